// The C interface from C++17: a model shared by threads, lambdas as callbacks, handles in std::unique_ptr.
#include "common.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

namespace {

static_assert(std::is_same_v<MrisynthStatus, std::int32_t>);
static_assert(std::is_standard_layout_v<MrisynthImage> && std::is_trivially_copyable_v<MrisynthImage>);
static_assert(std::is_standard_layout_v<MrisynthOptions> && std::is_trivially_copyable_v<MrisynthOptions>);

struct FreeModel {
  void operator()(MrisynthModel *model) const { mrisynth_model_free(model); }
};
using Model = std::unique_ptr<MrisynthModel, FreeModel>;

struct FreePhantom {
  void operator()(float *voxels) const { std::free(voxels); }
};
using Phantom = std::unique_ptr<float, FreePhantom>;

Model default_model(std::uint32_t source, std::uint32_t target) {
  MrisynthModel *model = nullptr;
  CHECK_STATUS(mrisynth_model_default(source, target, &model), MRISYNTH_STATUS_OK);
  return Model(model);
}

using ImageOf = MrisynthImage (*)(float *voxels);

std::vector<float> result_of(const MrisynthModel &model, ImageOf image_of, float *phantom, MrisynthOptions options) {
  std::vector<float> result(VOXELS, -1.0f);
  const MrisynthImage input = image_of(phantom), output = image_of(result.data());
  CHECK_STATUS(synthesize(&model, &input, &output, &options), MRISYNTH_STATUS_OK);
  return result;
}

// Both directions have a default model, which says so.
void test_directions() {
  const std::array<std::array<std::uint32_t, 2>, 2> directions{
      {{MRISYNTH_CONTRAST_T2W, MRISYNTH_CONTRAST_T1W}, {MRISYNTH_CONTRAST_T1W, MRISYNTH_CONTRAST_T2W}}};
  for (const auto &[source, target] : directions) {
    const Model model = default_model(source, target);
    if (!model) continue;
    const auto name = [](std::uint32_t contrast) { return contrast == MRISYNTH_CONTRAST_T1W ? "T1w" : "T2w"; };
    CHECK(std::string(mrisynth_model_info(model.get(), "source")) == name(source));
    CHECK(std::string(mrisynth_model_info(model.get(), "target")) == name(target));
    const Phantom phantom(new_phantom());
    check_synthetic(result_of(*model, phantom_image, phantom.get(), prepared_options()).data());
  }
}

// Eight threads on one model, each with callbacks and a failure of its own.
void test_threads(const MrisynthModel &model) {
  const Phantom phantom(new_phantom());
  const std::vector<float> expected = result_of(model, quick_image, phantom.get(), quick_options());
  std::atomic<int> wrong = 0;
  const auto work = [&](std::uint32_t number) {
    struct Caller {
      std::thread::id thread = std::this_thread::get_id();
      bool on_another = false;
      float last = 0;
    } caller;
    MrisynthOptions options;
    wrong += mrisynth_options_init(&options, sizeof options) != MRISYNTH_STATUS_OK;
    options.input_state = MRISYNTH_INPUT_PREPARED;
    options.accept_implausible = 1;
    options.num_threads = 1 + number % 2;
    options.user_data = &caller;
    options.progress = [](float fraction, void *user_data) -> std::int32_t {
      auto &self = *static_cast<Caller *>(user_data);
      self.on_another |= self.thread != std::this_thread::get_id();
      self.last = fraction;
      return 0;
    };
    std::vector<float> result(VOXELS, -1.0f);
    MrisynthImage input = quick_image(phantom.get()), output = quick_image(result.data());
    // The message is this thread's, whatever the others are told meanwhile.
    input.dtype = 100 + number;
    wrong += synthesize(&model, &input, &output, &options) != MRISYNTH_STATUS_UNSUPPORTED;
    const std::string message = mrisynth_last_error();
    wrong += message.find(std::to_string(100 + number)) == std::string::npos;
    input.dtype = MRISYNTH_DTYPE_F32;
    wrong += synthesize(&model, &input, &output, &options) != MRISYNTH_STATUS_OK;
    wrong += mrisynth_last_error()[0] != '\0';
    wrong += caller.on_another || caller.last != 1.0f;
    wrong += std::memcmp(result.data(), expected.data(), VOXELS * sizeof(float)) != 0;
  };
  std::vector<std::thread> threads;
  for (std::uint32_t number = 0; number < 8; ++number) threads.emplace_back(work, number);
  for (std::thread &thread : threads) thread.join();
  CHECK(wrong == 0);
}

// Models come and go on several threads.
void test_handles() {
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int number = 0; number < 4; ++number) {
    threads.emplace_back([&wrong] {
      MrisynthModel *model = nullptr;
      wrong += mrisynth_model_default(MRISYNTH_CONTRAST_T2W, MRISYNTH_CONTRAST_T1W, &model) != MRISYNTH_STATUS_OK;
      wrong += mrisynth_model_info(model, "name") == nullptr;
      mrisynth_model_free(model);
    });
  }
  for (std::thread &thread : threads) thread.join();
  CHECK(wrong == 0);
}

}  // namespace

int main() {
  test_directions();
  if (const Model model = default_model(MRISYNTH_CONTRAST_T2W, MRISYNTH_CONTRAST_T1W)) test_threads(*model);
  test_handles();
  return failures != 0;
}
