// The same program as synthesize.c in C++17, over mrisynth.hpp.
#include <mrisynth.hpp>

#include <algorithm>
#include <vector>

#include "phantom.h"

int main(int count, char **arguments) try {
  if (count != 2) phantom_fail("one argument, the file to write");
  mrisynth::check_abi();
  if (mrisynth::version() != EXPECTED_VERSION) phantom_fail("the library has version " EXPECTED_VERSION);
  std::vector<float> t2w(PHANTOM_VOXELS), t1w(PHANTOM_VOXELS);
  phantom_make(t2w.data());

  mrisynth::Geometry geometry{{PHANTOM_NI, PHANTOM_NJ, PHANTOM_NK}, {}};
  std::copy_n(phantom_index_to_lps, 16, geometry.index_to_lps.begin());
  mrisynth::Options options;
  options.input_state = mrisynth::InputState::prepared;
  options.accept_implausible = true;  // an ellipsoid is no brain
  const auto model = mrisynth::Model::embedded(mrisynth::Contrast::T2w, mrisynth::Contrast::T1w);
  model.synthesize({t2w.data(), geometry}, {t1w.data(), geometry}, options);

  phantom_check(t1w.data());
  phantom_write(t1w.data(), arguments[1]);
  return EXIT_SUCCESS;
} catch (const std::exception &error) {
  phantom_fail(error.what());
}
