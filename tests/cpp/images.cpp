// Images over any buffer: every type of voxel, any strides, nothing copied, and the same result as from packed floats.
#include "phantom.hpp"

#include <algorithm>
#include <array>
#include <type_traits>

using mrisynth::ConstImage, mrisynth::Geometry, mrisynth::Half, mrisynth::Image, mrisynth::Model, mrisynth::Strides,
    mrisynth::VoxelType;

namespace {

// ---- what converts to what ------------------------------------------------------------------------------------------

using Floats = std::vector<float>;
static_assert(std::is_constructible_v<Image, Floats &, Geometry>);
static_assert(std::is_constructible_v<ConstImage, Floats &, Geometry>);
static_assert(std::is_constructible_v<ConstImage, const Floats &, Geometry>);
static_assert(std::is_constructible_v<Image, std::array<double, 8> &, Geometry>);
static_assert(!std::is_constructible_v<Image, const Floats &, Geometry>, "const voxels are not written");
static_assert(!std::is_constructible_v<ConstImage, Floats, Geometry>, "a temporary would be gone before its view");
static_assert(!std::is_constructible_v<Image, const float *, Geometry>, "const voxels are not written");
static_assert(!std::is_constructible_v<Image, const void *, VoxelType, Geometry>, "const voxels are not written");
static_assert(!std::is_constructible_v<Image, void *, Geometry>, "a void pointer does not say what it points to");
static_assert(std::is_convertible_v<Image, ConstImage>);
static_assert(!std::is_constructible_v<Image, ConstImage>);
static_assert(std::is_copy_assignable_v<Image> && std::is_copy_assignable_v<ConstImage>);
static_assert(sizeof(Half) == 2);

template <class Voxel> void check_view(VoxelType expected) {
  Voxel voxel{};
  const Image image(&voxel, phantom::geometry());
  CHECK(image.voxel_type() == expected && image.data() == &voxel);
  const ConstImage read_only(static_cast<const Voxel *>(&voxel), phantom::geometry());
  CHECK(read_only.voxel_type() == expected && read_only.data() == &voxel);
}

void test_views() {
  check_view<std::uint8_t>(VoxelType::u8);
  check_view<std::int16_t>(VoxelType::i16);
  check_view<std::uint16_t>(VoxelType::u16);
  check_view<Half>(VoxelType::f16);
  check_view<float>(VoxelType::f32);
  check_view<double>(VoxelType::f64);
}

// The caller's buffer itself is what C gets, not a copy of it.
void test_nothing_is_copied() {
  Floats scan = phantom::scan();
  const Strides strides{4, 4 * phantom::ni, 4 * phantom::ni * phantom::nj};
  const Image image(scan.data(), phantom::geometry(), strides);
  const ConstImage read_only = image;
  CHECK(read_only.data() == scan.data() && read_only.strides() == strides);
  CHECK(read_only.voxel_type() == VoxelType::f32);
  const MrisynthImage c_image = read_only.c_image();
  CHECK(c_image.struct_size == sizeof c_image && c_image.data == scan.data());
  CHECK(c_image.dtype == MRISYNTH_DTYPE_F32);
  CHECK(std::equal(strides.begin(), strides.end(), c_image.strides));
  const Geometry geometry = phantom::geometry();
  CHECK(std::equal(geometry.dims.begin(), geometry.dims.end(), c_image.dims));
  CHECK(std::equal(geometry.index_to_lps.begin(), geometry.index_to_lps.end(), c_image.index_to_lps));
}

// ---- types of voxels ------------------------------------------------------------------------------------------------

double number(double voxel) { return voxel; }
double number(Half voxel) {
  const int exponent = voxel.bits >> 10 & 31, fraction = voxel.bits & 1023;
  const double size = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return voxel.bits >> 15 ? -size : size;
}

template <class Voxel> void set(Voxel &voxel, double value) { voxel = static_cast<Voxel>(value); }
/// For whole numbers up to 2048, which are exact.
void set(Half &voxel, double value) {
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);
  const int bits = value == 0 ? 0 : (exponent + 14) << 10 | (static_cast<int>(fraction * 2048) & 1023);
  voxel.bits = static_cast<std::uint16_t>(bits);
}

/// Is this what the type makes of a synthesized value 0..1?
template <class Voxel> bool is_expected(Voxel voxel, float synthesized) {
  const double stored = number(voxel);
  if constexpr (std::is_same_v<Voxel, Half>) {
    // Half of the distance of two neighbours from 0.5 to 1.
    return std::abs(stored - static_cast<double>(synthesized)) <= std::ldexp(1, -12);
  } else if constexpr (std::is_integral_v<Voxel>) {
    const float full_scale = std::is_same_v<Voxel, std::uint8_t> ? 255.0f : 1000.0f;
    return stored == static_cast<double>(std::nearbyint(synthesized * full_scale));
  } else {
    return stored == static_cast<double>(synthesized);
  }
}

// ---- strides --------------------------------------------------------------------------------------------------------

/// How voxels lie in memory.
struct Layout {
  const char *name;
  /// Axes from the fastest to the slowest.
  std::array<std::size_t, 3> order;
  /// Axes that run backwards.
  std::array<bool, 3> backwards;
  /// Bytes left free behind each voxel, row and slice.
  std::array<std::size_t, 3> padding;
  /// Bytes before everything, so that voxels are not aligned.
  std::size_t before;
};

constexpr Layout layouts[] = {
    {"packed", {0, 1, 2}, {false, false, false}, {0, 0, 0}, 0},
    {"k fastest", {2, 1, 0}, {false, false, false}, {0, 0, 0}, 0},
    {"all axes backwards", {0, 1, 2}, {true, true, true}, {0, 0, 0}, 0},
    {"rows padded", {0, 1, 2}, {false, false, false}, {0, 16, 0}, 0},
    {"one channel of three, j fastest, k backwards, not aligned", {1, 0, 2}, {false, false, true}, {16, 7, 33}, 1},
};

constexpr unsigned char unused = 0xa5;

/// The phantom's voxels in a layout, in bytes of which the others are `unused`.
template <class Voxel> class Buffer {
public:
  explicit Buffer(const Layout &layout) {
    constexpr std::size_t dims[] = {phantom::ni, phantom::nj, phantom::nk};
    std::size_t step = sizeof(Voxel) + layout.padding[0];
    first_ = layout.before;
    for (std::size_t place = 0; place < 3; ++place) {
      const std::size_t axis = layout.order[place], length = dims[axis];
      if (layout.backwards[axis]) first_ += step * (length - 1);
      strides_[axis] = static_cast<std::int64_t>(step) * (layout.backwards[axis] ? -1 : 1);
      step = step * length + (place < 2 ? layout.padding[place + 1] : 0);
    }
    bytes_.assign(layout.before + step, unused);
  }

  Image image() { return {&bytes_[first_], mrisynth::detail::voxel_type_of<Voxel>(), phantom::geometry(), strides_}; }
  ConstImage const_image() const {
    return {&bytes_[first_], mrisynth::detail::voxel_type_of<Voxel>(), phantom::geometry(), strides_};
  }

  Voxel get(std::size_t i, std::size_t j, std::size_t k) const {
    Voxel voxel;
    std::memcpy(&voxel, &bytes_[offset(i, j, k)], sizeof voxel);
    return voxel;
  }

  void put(std::size_t i, std::size_t j, std::size_t k, Voxel voxel) {
    std::memcpy(&bytes_[offset(i, j, k)], &voxel, sizeof voxel);
  }

  /// How many bytes are not `unused`.
  std::size_t used_bytes() const {
    return bytes_.size() - static_cast<std::size_t>(std::count(bytes_.begin(), bytes_.end(), unused));
  }

  /// Sets all voxels to bytes that are `unused`.
  void clear_voxels() {
    Voxel voxel;
    std::memset(static_cast<void *>(&voxel), unused, sizeof voxel);
    each([&](std::size_t i, std::size_t j, std::size_t k) { put(i, j, k, voxel); });
  }

  template <class Visit> static void each(const Visit &visit) {
    for (std::size_t k = 0; k < phantom::nk; ++k)
      for (std::size_t j = 0; j < phantom::nj; ++j)
        for (std::size_t i = 0; i < phantom::ni; ++i) visit(i, j, k);
  }

private:
  std::size_t offset(std::size_t i, std::size_t j, std::size_t k) const {
    const std::int64_t from_first = static_cast<std::int64_t>(i) * strides_[0] +
                                    static_cast<std::int64_t>(j) * strides_[1] +
                                    static_cast<std::int64_t>(k) * strides_[2];
    return static_cast<std::size_t>(static_cast<std::int64_t>(first_) + from_first);
  }

  std::vector<unsigned char> bytes_;
  std::size_t first_ = 0;
  Strides strides_{};
};

template <class Voxel> void test_input(const Model &model, const Layout &layout, const Floats &expected) {
  Buffer<Voxel> buffer(layout);
  Buffer<Voxel>::each([&](std::size_t i, std::size_t j, std::size_t k) {
    Voxel voxel;
    set(voxel, phantom::value(i, j, k));
    buffer.put(i, j, k, voxel);
  });
  const Buffer<Voxel> &read_only = buffer;
  Floats output(phantom::voxels, phantom::untouched);
  model.synthesize(read_only.const_image(), {output, phantom::geometry()}, phantom::options());
  if (!phantom::same_bytes(output, expected)) {
    std::fprintf(stderr, "input of voxel type %u, %s: another result\n", read_only.const_image().c_image().dtype,
                 layout.name);
    ++failures;
  }
}

template <class Voxel> void test_output(const Model &model, const Layout &layout, const Floats &expected) {
  const Floats input = phantom::scan();
  Buffer<Voxel> buffer(layout);
  model.synthesize({input, phantom::geometry()}, buffer.image(), phantom::options());
  std::size_t wrong = 0;
  Buffer<Voxel>::each([&](std::size_t i, std::size_t j, std::size_t k) {
    wrong += !is_expected(buffer.get(i, j, k), expected[phantom::index(i, j, k)]);
  });
  // What is between the voxels is not theirs.
  buffer.clear_voxels();
  if (wrong != 0 || buffer.used_bytes() != 0) {
    std::fprintf(stderr, "output of voxel type %u, %s: %zu voxels wrong, %zu bytes beside them written\n",
                 buffer.image().c_image().dtype, layout.name, wrong, buffer.used_bytes());
    ++failures;
  }
}

template <class Voxel> void test_voxels(const Model &model, const Floats &expected) {
  for (const Layout &layout : layouts) {
    test_input<Voxel>(model, layout, expected);
    test_output<Voxel>(model, layout, expected);
  }
}

// The result may replace the scan, in its own buffer.
void test_in_place(const Model &model, const Floats &expected) {
  Floats scan = phantom::scan();
  const Image image(scan, phantom::geometry());
  model.synthesize(image, image, phantom::options());
  CHECK(phantom::same_bytes(scan, expected));
}

// The output has its own grid: here every other plane along i, in voxels that are twice as wide.
void test_other_grid(const Model &model) {
  const Floats input = phantom::scan();
  Geometry wide = phantom::geometry();
  wide.dims[0] /= 2;
  wide.index_to_lps[0] *= 2;
  Floats output(phantom::voxels / 2, phantom::untouched);
  model.synthesize({input, phantom::geometry()}, {output, wide}, phantom::options());
  const auto in_brain = std::count_if(output.begin(), output.end(), [](float value) { return value > 0; });
  CHECK(in_brain > 200);
  CHECK(std::all_of(output.begin(), output.end(), [](float value) { return value >= 0 && value <= 1; }));
}

// A buffer that is too small is found before anything is read or written.
void test_sizes() {
  const auto fails = [](const char *name, std::size_t count, const Geometry &geometry) {
    Floats voxels(count);
    check_error(name, mrisynth::Status::invalid_argument, "voxels for an image of",
                [&] { ConstImage(voxels, geometry); });
  };
  Geometry geometry = phantom::geometry();
  fails("one too few", phantom::voxels - 1, geometry);
  fails("one too many", phantom::voxels + 1, geometry);
  fails("empty", 0, geometry);
  geometry.dims = {0, 1, 1};
  fails("no voxels", 0, geometry);
  // A product that overflows to 16.
  geometry.dims = {UINT64_C(1) << 34, UINT64_C(1) << 34, 16};
  fails("absurd", 16, geometry);
}

}  // namespace

int main() {
  test_views();
  test_nothing_is_copied();
  test_sizes();
  const Model model = phantom::model();
  const Floats expected = phantom::synthesized(model);
  CHECK(std::count_if(expected.begin(), expected.end(), [](float value) { return value > 0; }) > 400);
  test_voxels<std::uint8_t>(model, expected);
  test_voxels<std::int16_t>(model, expected);
  test_voxels<std::uint16_t>(model, expected);
  test_voxels<Half>(model, expected);
  test_voxels<float>(model, expected);
  test_voxels<double>(model, expected);
  test_in_place(model, expected);
  test_other_grid(model);
  return failures != 0;
}
