// mrisynth for C++17: synthesizes the missing T1w or T2w brain MRI contrast. Header-only, over mrisynth.h.
//
// Research software, not a medical device. What it writes is synthetic: an estimate of an image that was never
// acquired. Mark it as such wherever it goes, and base no diagnosis on it.
//
// The whole usage, for a raw T2w scan of floats with i fastest, whose geometry is a row-major 4x4 matrix to LPS
// millimetres, as DICOM and ITK have it:
//
//   const auto model = mrisynth::Model::embedded(mrisynth::Contrast::T2w, mrisynth::Contrast::T1w);
//   std::vector<float> t1w(t2w.size());
//   const mrisynth::Geometry geometry{{182, 218, 182}, index_to_lps};
//   model.synthesize({t2w, geometry}, {t1w, geometry});
//
// A failure throws mrisynth::Error with the library's status and message. A model may be used by any number of threads
// at once; everything else here is a value. What a callback throws comes out of synthesize() as it was thrown. Whenever
// synthesize() throws, the output is as it was before.
#ifndef MRISYNTH_HPP
#define MRISYNTH_HPP

#include "mrisynth.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace mrisynth {

/// What a call came to: the MRISYNTH_STATUS_* of the C interface. Values may be added.
enum class Status : std::int32_t {
  ok = MRISYNTH_STATUS_OK,
  invalid_argument = MRISYNTH_STATUS_INVALID_ARGUMENT,
  io = MRISYNTH_STATUS_IO,
  bad_model = MRISYNTH_STATUS_BAD_MODEL,
  bad_image = MRISYNTH_STATUS_BAD_IMAGE,
  unsupported = MRISYNTH_STATUS_UNSUPPORTED,
  out_of_memory = MRISYNTH_STATUS_OUT_OF_MEMORY,
  cancelled = MRISYNTH_STATUS_CANCELLED,
  refused = MRISYNTH_STATUS_REFUSED,
  internal = MRISYNTH_STATUS_INTERNAL,
};

/// A few English words for a status; an unknown value is called so.
inline std::string to_string(Status status) { return mrisynth_status_string(static_cast<std::int32_t>(status)); }

/// Contrasts that a default model can be asked for.
enum class Contrast : std::uint32_t { T1w = MRISYNTH_CONTRAST_T1W, T2w = MRISYNTH_CONTRAST_T2W };

/// How much of the preparation the caller has already done.
enum class InputState : std::uint32_t {
  /// As it left the scanner.
  raw = MRISYNTH_INPUT_RAW,
  /// Bias-corrected, brain-extracted (background 0) and aligned to MNI152.
  prepared = MRISYNTH_INPUT_PREPARED,
};

/// How much a line of the log matters.
enum class LogLevel : std::int32_t { error = 1, warning = 2, information = 3, debug = 4 };

/// Types of voxels.
enum class VoxelType : std::uint32_t {
  u8 = MRISYNTH_DTYPE_U8,
  i16 = MRISYNTH_DTYPE_I16,
  u16 = MRISYNTH_DTYPE_U16,
  /// IEEE 754 binary16.
  f16 = MRISYNTH_DTYPE_F16,
  f32 = MRISYNTH_DTYPE_F32,
  /// Rounded to binary32 on the way in.
  f64 = MRISYNTH_DTYPE_F64,
};

/// A voxel of IEEE 754 binary16, for which C++17 has no type of its own.
struct Half {
  std::uint16_t bits;
};

/// A failure: the library's status, and its message as what().
class Error : public std::runtime_error {
public:
  Error(Status status, const std::string &message) : std::runtime_error(message), status_(status) {}

  Status status() const noexcept { return status_; }

private:
  Status status_;
};

namespace detail {

/// Throws what this thread's last call failed with. An empty message gives way to the status in words.
inline void check(MrisynthStatus status) {
  if (status == MRISYNTH_STATUS_OK) return;
  const std::string message = mrisynth_last_error();
  const auto known = static_cast<Status>(status);
  throw Error(known, message.empty() ? to_string(known) : message);
}

/// The type of voxels that C++ calls `Voxel`.
template <class Voxel> constexpr VoxelType voxel_type_of() {
  using Bare = std::remove_cv_t<Voxel>;
  if constexpr (std::is_same_v<Bare, float>) return VoxelType::f32;
  else if constexpr (std::is_same_v<Bare, double>) return VoxelType::f64;
  else if constexpr (std::is_same_v<Bare, Half>) return VoxelType::f16;
  else if constexpr (std::is_same_v<Bare, std::uint8_t>) return VoxelType::u8;
  else if constexpr (std::is_same_v<Bare, std::int16_t>) return VoxelType::i16;
  else if constexpr (std::is_same_v<Bare, std::uint16_t>) return VoxelType::u16;
  else static_assert(!sizeof(Bare), "voxels are float, double, mrisynth::Half, uint8_t, int16_t or uint16_t");
}

/// What the elements of a std::vector or another buffer are.
template <class Buffer> using ElementOf = std::remove_pointer_t<decltype(std::declval<Buffer &>().data())>;

}  // namespace detail

/// Throws Error (Status::unsupported) unless the library that was loaded has the binary interface of this header.
/// Every model asks this when it is made.
inline void check_abi() {
  const std::uint32_t loaded = mrisynth_abi_version();
  if (loaded == MRISYNTH_ABI_VERSION) return;
  throw Error(Status::unsupported, "libmrisynth has the binary interface " + std::to_string(loaded) +
                                       ", and this program was built for " + std::to_string(MRISYNTH_ABI_VERSION));
}

/// Version of the library that was loaded, "major.minor.patch".
inline std::string version() { return mrisynth_version(); }

/// The instructions that networks run with in this process: mrisynth_cpu_tier().
inline std::string cpu_tier() { return mrisynth_cpu_tier(); }

/// Where voxels lie: how many along i, j, k, and the row-major 4x4 matrix from their index to LPS millimetres.
///
/// Limits: 1024 voxels along an axis, 134217728 together. The last row of the matrix is 0 0 0 1.
struct Geometry {
  std::array<std::uint64_t, 3> dims{};
  std::array<double, 16> index_to_lps{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1};
};

/// Bytes between neighbours along i, j, k. They may be negative, in any order and padded, but no two voxels may
/// overlap. All zero: packed, i fastest.
using Strides = std::array<std::int64_t, 3>;

/// Somebody's buffer of voxels, seen in place: nothing is copied and nothing is owned. The buffer must outlive the
/// view.
///
/// `Void` is void for images that are written and const void for those that are only read; the first converts to the
/// second. Voxels need not be aligned.
template <class Void> class ImageView {
  template <class Voxel>
  using IfFits = std::enable_if_t<!std::is_void_v<Voxel> && (std::is_const_v<Void> || !std::is_const_v<Voxel>)>;

public:
  /// All voxels of a std::vector or another buffer with data() and size(), packed with i fastest.
  ///
  /// Throws Error (Status::invalid_argument) unless there are as many as the geometry has.
  template <class Buffer, class = IfFits<detail::ElementOf<Buffer>>>
  ImageView(Buffer &voxels, const Geometry &geometry) : ImageView(voxels.data(), geometry) {
    if (!has_voxels(voxels.size())) throw Error(Status::invalid_argument, wrong_count(voxels.size()));
  }

  /// Voxels from `first` on, the one with the index (0, 0, 0); packed with i fastest unless there are strides.
  template <class Voxel, class = IfFits<Voxel>>
  ImageView(Voxel *first, const Geometry &geometry, const Strides &strides = {})
      : ImageView(first, detail::voxel_type_of<Voxel>(), geometry, strides) {}

  /// The same where the program learns only when it runs which type the voxels have.
  ImageView(Void *first, VoxelType voxel_type, const Geometry &geometry, const Strides &strides = {})
      : first_(first), voxel_type_(voxel_type), geometry_(geometry), strides_(strides) {}

  /// Whatever may be written may be read.
  template <class Other, class = std::enable_if_t<std::is_const_v<Void> && std::is_same_v<Other, void>>>
  ImageView(const ImageView<Other> &other)
      : ImageView(other.data(), other.voxel_type(), other.geometry(), other.strides()) {}

  Void *data() const noexcept { return first_; }
  VoxelType voxel_type() const noexcept { return voxel_type_; }
  const Geometry &geometry() const noexcept { return geometry_; }
  const Strides &strides() const noexcept { return strides_; }

  /// For functions of mrisynth.h, which have one struct for both kinds; of an input they only read.
  MrisynthImage c_image() const {
    MrisynthImage image;
    detail::check(mrisynth_image_init(&image, sizeof image));
    image.dtype = static_cast<std::uint32_t>(voxel_type_);
    image.data = const_cast<void *>(static_cast<const void *>(first_));
    for (std::size_t axis = 0; axis < 3; ++axis) {
      image.dims[axis] = geometry_.dims[axis];
      image.strides[axis] = strides_[axis];
    }
    for (std::size_t entry = 0; entry < 16; ++entry) image.index_to_lps[entry] = geometry_.index_to_lps[entry];
    return image;
  }

private:
  /// Divides instead of multiplying: a product of absurd dimensions could overflow.
  bool has_voxels(std::uint64_t count) const noexcept {
    for (const std::uint64_t length : geometry_.dims) {
      if (length == 0 || count % length != 0) return false;
      count /= length;
    }
    return count == 1;
  }

  std::string wrong_count(std::size_t count) const {
    const auto &[i, j, k] = geometry_.dims;
    return "a buffer of " + std::to_string(count) + " voxels for an image of " + std::to_string(i) + " x " +
           std::to_string(j) + " x " + std::to_string(k);
  }

  Void *first_;
  VoxelType voxel_type_;
  Geometry geometry_;
  Strides strides_;
};

/// An image that is written.
using Image = ImageView<void>;
/// An image that is only read.
using ConstImage = ImageView<const void>;

/// How to synthesize.
struct Options {
  /// 0: as many as the machine has cores. The result is the same for every number.
  std::uint32_t num_threads = 0;
  InputState input_state = InputState::raw;
  /// Warn through the log where Status::refused would be thrown.
  bool accept_implausible = false;
  /// Bytes that the call may have allocated at once; 0: no limit.
  std::uint64_t memory_limit = 0;
  /// Called on the thread that called synthesize(), at least every 100 ms, with a fraction that never falls, ending at
  /// 1. Return false to cancel: synthesize() then throws Error with Status::cancelled. What it throws cancels too, and
  /// comes out of synthesize().
  std::function<bool(float fraction)> progress;
  /// One line in UTF-8 without newline, valid during the call. May be called on worker threads, for one line at a time;
  /// must not call mrisynth. What it throws cancels, and comes out of synthesize(); no line comes after it.
  std::function<void(LogLevel level, std::string_view line)> log;
};

namespace detail {

/// The C callbacks of one call: keeps the first exception of either from crossing C, and cancels.
class Callbacks {
public:
  explicit Callbacks(const Options &options) : options_(options) {}
  Callbacks(const Callbacks &) = delete;
  Callbacks &operator=(const Callbacks &) = delete;

  /// Lets the C interface call here. A log that throws must cancel even if the caller has no progress function.
  void enter_in(MrisynthOptions &options) {
    options.user_data = this;
    if (options_.progress || options_.log) options.progress = &Callbacks::on_progress;
    if (options_.log) options.log = &Callbacks::on_log;
    order_log();
  }

  /// Goes on, after the call, with the exception that was kept, if any.
  void rethrow() {
    order_log();
    const std::exception_ptr thrown = kept();
    if (thrown) std::rethrow_exception(thrown);
  }

private:
  static std::int32_t on_progress(float fraction, void *user_data) noexcept {
    auto &self = *static_cast<Callbacks *>(user_data);
    if (self.kept()) return 1;
    try {
      return self.options_.progress && !self.options_.progress(fraction);
    } catch (...) {
      self.keep(std::current_exception());
      return 1;
    }
  }

  static void on_log(std::int32_t level, const char *message, void *user_data) noexcept {
    auto &self = *static_cast<Callbacks *>(user_data);
    const std::lock_guard<std::mutex> turn(self.log_turn_);
    if (self.kept()) return;
    try {
      self.options_.log(static_cast<LogLevel>(level), message);
    } catch (...) {
      self.keep(std::current_exception());
    }
  }

  /// Lines of the log come one at a time, after the call began and before it ends. The library sees to that, but
  /// checkers of C++ programs such as ThreadSanitizer do not see the library's locks: they see this one.
  void order_log() { const std::lock_guard<std::mutex> turn(log_turn_); }

  std::exception_ptr kept() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return thrown_;
  }

  void keep(std::exception_ptr thrown) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!thrown_) thrown_ = std::move(thrown);
  }

  const Options &options_;
  std::mutex log_turn_;
  /// Guards the exception. Never held while the caller's functions run: a log may well wait for progress.
  std::mutex mutex_;
  std::exception_ptr thrown_;
};

}  // namespace detail

/// A loaded model: immutable, shared freely between threads, moved but not copied.
///
/// One that was moved from has no info() and does not synthesize (Status::invalid_argument), until another is assigned.
class Model {
public:
  /// The model that is built into the library. Status::unsupported if this build has no such model.
  static Model embedded(Contrast source, Contrast target) {
    return Model([&](MrisynthModel **handle) {
      return mrisynth_model_default(static_cast<std::uint32_t>(source), static_cast<std::uint32_t>(target), handle);
    });
  }

  /// A model file (ONNX, with the card inside). Where a file of the same name with ".sha256" added lies beside it, that
  /// SHA-256 is checked. Status::io if it cannot be read, Status::bad_model if it is not a model that this library
  /// runs.
  static Model load(const std::string &utf8_path) {
    // C would take what comes before it for the path.
    if (utf8_path.find('\0') != std::string::npos)
      throw Error(Status::invalid_argument, "the path of the model holds a NUL");
    return Model([&](MrisynthModel **handle) { return mrisynth_model_load(utf8_path.c_str(), handle); });
  }

  /// A model file that is in memory, of which nothing is kept. Status::bad_model if it is not a model that this library
  /// runs.
  static Model from_memory(const void *bytes, std::size_t size) {
    return Model([&](MrisynthModel **handle) { return mrisynth_model_from_memory(bytes, size, handle); });
  }

  /// A value of the model's card: "source" and "target" (T1w or T2w), "name", "version", "sha256" (of the model file),
  /// "license" and whatever else the file says of itself. Nothing for an unknown key.
  std::optional<std::string> info(const std::string &key) const {
    const char *value = mrisynth_model_info(handle_.get(), key.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  }

  /// Writes the synthesized contrast into `output`, on output's own grid and in its own voxel type: floats take 0..1,
  /// 8-bit integers 0..255 and 16-bit integers 0..1000; 0 is background. The output may be the input's buffer. Nothing
  /// of either buffer may change from outside during the call.
  ///
  /// Throws Error, with the status that mrisynth_synthesize() documents, or what a callback threw; then nothing of the
  /// output was written.
  void synthesize(const ConstImage &input, const Image &output, const Options &options = {}) const {
    MrisynthOptions c_options;
    detail::check(mrisynth_options_init(&c_options, sizeof c_options));
    c_options.num_threads = options.num_threads;
    c_options.input_state = static_cast<std::uint32_t>(options.input_state);
    c_options.accept_implausible = options.accept_implausible;
    c_options.memory_limit = options.memory_limit;
    detail::Callbacks callbacks(options);
    callbacks.enter_in(c_options);
    const MrisynthImage c_input = input.c_image(), c_output = output.c_image();
    const MrisynthImage *const inputs[] = {&c_input};
    const MrisynthStatus status = mrisynth_synthesize(handle_.get(), inputs, 1, &c_output, &c_options);
    callbacks.rethrow();
    detail::check(status);
  }

  /// For functions of mrisynth.h. The model keeps it.
  const MrisynthModel *c_model() const noexcept { return handle_.get(); }

private:
  struct Free {
    void operator()(MrisynthModel *handle) const noexcept { mrisynth_model_free(handle); }
  };

  template <class Make> explicit Model(const Make &make) {
    check_abi();
    MrisynthModel *handle = nullptr;
    detail::check(make(&handle));
    handle_.reset(handle);
  }

  std::unique_ptr<MrisynthModel, Free> handle_;
};

}  // namespace mrisynth

#endif  // MRISYNTH_HPP
