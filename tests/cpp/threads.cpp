// One model and many threads: the same bytes for all, and to each its own callbacks, failures and exceptions.
#include "phantom.hpp"

#include <atomic>
#include <string>
#include <thread>

using mrisynth::LogLevel, mrisynth::Model, mrisynth::Options, mrisynth::Status, mrisynth::VoxelType;

namespace {

constexpr int thread_count = 16;

/// Runs `work` with the numbers 0, 1, ... on a thread each. What it returns is how much was wrong.
template <class Work> void on_threads(const char *name, const Work &work) {
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int number = 0; number < thread_count; ++number)
    threads.emplace_back([&, number] { wrong += work(number); });
  for (std::thread &thread : threads) thread.join();
  if (wrong != 0) {
    std::fprintf(stderr, "%s: %d things wrong\n", name, wrong.load());
    ++failures;
  }
}

// The scan is shared too: it is only read.
int synthesize_alike(const Model &model, const std::vector<float> &scan, const std::vector<float> &expected,
                     int number) {
  Options options = phantom::options();
  options.num_threads = 1 + static_cast<std::uint32_t>(number % 2);
  std::vector<float> output(phantom::voxels);
  model.synthesize({scan, phantom::geometry()}, {output, phantom::geometry()}, options);
  return !phantom::same_bytes(output, expected);
}

// Options may be shared as long as the callbacks in it can be called from several threads.
int synthesize_with_shared_options(const Model &model, const std::vector<float> &scan,
                                   const std::vector<float> &expected, const Options &options) {
  std::vector<float> output(phantom::voxels);
  model.synthesize({scan, phantom::geometry()}, {output, phantom::geometry()}, options);
  return !phantom::same_bytes(output, expected);
}

/// Not synchronized: progress is called on the thread that called, and the log for one line at a time.
struct Notes {
  float last = 0;
  int wrong = 0;
  std::string lines;
};

int synthesize_with_callbacks(const Model &model, const std::vector<float> &scan, int) {
  Notes notes;
  Options options = phantom::options();
  options.num_threads = 2;
  options.progress = [&, caller = std::this_thread::get_id()](float fraction) {
    notes.wrong += fraction < notes.last || caller != std::this_thread::get_id();
    notes.last = fraction;
    return true;
  };
  options.log = [&](LogLevel, std::string_view line) { notes.lines += line; };
  std::vector<float> output(phantom::voxels);
  model.synthesize({scan, phantom::geometry()}, {output, phantom::geometry()}, options);
  return notes.wrong + (notes.last != 1.0f) + notes.lines.empty();
}

struct Stop {
  int number;
};

// A third throws in progress, a third in the log, a third fails in the library; nobody gets another one's.
int fail_in_own_way(const Model &model, const std::vector<float> &scan, int number) {
  Options options = phantom::options();
  VoxelType voxel_type = VoxelType::f32;
  switch (number % 3) {
    case 0:
      options.progress = [=](float fraction) { return fraction < 0.5f ? true : throw Stop{number}; };
      break;
    case 1:
      options.log = [=](LogLevel, std::string_view) { throw Stop{number}; };
      break;
    default: voxel_type = static_cast<VoxelType>(100 + number);
  }
  std::vector<float> output(phantom::voxels, phantom::untouched);
  int wrong = 0;
  try {
    model.synthesize({scan.data(), voxel_type, phantom::geometry()}, {output, phantom::geometry()}, options);
    ++wrong;
  } catch (const Stop &stop) {
    wrong += stop.number != number || number % 3 == 2;
  } catch (const mrisynth::Error &error) {
    const bool names_own = std::string(error.what()).find(std::to_string(100 + number)) != std::string::npos;
    wrong += number % 3 != 2 || error.status() != Status::unsupported || !names_own;
  }
  return wrong + !phantom::is_untouched(output);
}

int make_and_move_model(const std::vector<float> &expected) {
  Model model = phantom::model();
  const Model moved = std::move(model);
  return !phantom::same_bytes(phantom::synthesized(moved), expected);
}

}  // namespace

int main() {
  const Model model = phantom::model();
  const std::vector<float> scan = phantom::scan(), expected = phantom::synthesized(model);
  Options shared = phantom::options();
  std::atomic<int> asked = 0;
  shared.progress = [&](float) { return ++asked > 0; };
  on_threads("one model", [&](int number) { return synthesize_alike(model, scan, expected, number); });
  on_threads("shared options", [&](int) { return synthesize_with_shared_options(model, scan, expected, shared); });
  on_threads("callbacks", [&](int number) { return synthesize_with_callbacks(model, scan, number); });
  on_threads("failures", [&](int number) { return fail_in_own_way(model, scan, number); });
  on_threads("models", [&](int) { return make_and_move_model(expected); });
  CHECK(asked > thread_count);
  return failures != 0;
}
