// A fault on purpose in what a caller does while the library runs: two calls count in one place without a lock.
// ThreadSanitizer must report it, although it does not see into the library.
#include "phantom.hpp"

#include <thread>

namespace {

int calls = 0;

void synthesize(const mrisynth::Model &model) {
  mrisynth::Options options = phantom::options();
  options.progress = [](float) { return ++calls > 0; };
  const std::vector<float> scan = phantom::scan();
  std::vector<float> output(phantom::voxels);
  model.synthesize({scan, phantom::geometry()}, {output, phantom::geometry()}, options);
}

}  // namespace

int main() {
  const mrisynth::Model model = phantom::model();
  std::thread one([&] { synthesize(model); }), other([&] { synthesize(model); });
  one.join();
  other.join();
  return calls == 0;
}
