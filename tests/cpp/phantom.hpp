// What the tests share: a made-up brain, small enough for a synthesis in a few hundredths of a second.
#ifndef MRISYNTH_TESTS_PHANTOM_HPP
#define MRISYNTH_TESTS_PHANTOM_HPP

#include "../c/check.h"

#include <mrisynth.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace phantom {

inline constexpr std::size_t ni = 20, nj = 24, nk = 16, voxels = ni * nj * nk;

/// Voxels of 2 x 2 x 2.5 mm, stored from left to right, front to back and bottom to top.
inline mrisynth::Geometry geometry() {
  return {{ni, nj, nk}, {2, 0, 0, -19, 0, -2, 0, 23, 0, 0, 2.5, -18.75, 0, 0, 0, 1}};
}

inline std::size_t index(std::size_t i, std::size_t j, std::size_t k) { return i + ni * (j + nj * k); }

/// Position relative to an ellipsoid in the middle: 0 at its centre, 1 on its surface.
inline double radius(std::size_t i, std::size_t j, std::size_t k) {
  const auto along = [](std::size_t n, std::size_t count, double size, double semiaxis) {
    return (static_cast<double>(n) - (static_cast<double>(count) - 1) / 2) * size / semiaxis;
  };
  return std::hypot(along(i, ni, 2, 13), along(j, nj, 2, 16), along(k, nk, 2.5, 11));
}

/// Whole numbers up to 250, which every type of voxel holds exactly: fluid inside, white matter, cortex, background 0.
inline double value(std::size_t i, std::size_t j, std::size_t k) {
  const double texture = static_cast<double>((i * 7 + j * 5 + k * 3) % 11);
  const double at = radius(i, j, k);
  if (at >= 1) return 0;
  if (at < 0.25) return 230 + texture;
  return (at < 0.8 ? 90 : 140) + texture;
}

inline std::vector<float> scan() {
  std::vector<float> scan(voxels);
  for (std::size_t k = 0; k < nk; ++k)
    for (std::size_t j = 0; j < nj; ++j)
      for (std::size_t i = 0; i < ni; ++i) scan[index(i, j, k)] = static_cast<float>(value(i, j, k));
  return scan;
}

/// The phantom is no plausible brain, and is accepted. One thread, as most tests are about other things.
inline mrisynth::Options options() {
  mrisynth::Options options;
  options.num_threads = 1;
  options.input_state = mrisynth::InputState::prepared;
  options.accept_implausible = true;
  return options;
}

inline mrisynth::Model model() { return mrisynth::Model::embedded(mrisynth::Contrast::T2w, mrisynth::Contrast::T1w); }

/// What the model makes of the phantom.
inline std::vector<float> synthesized(const mrisynth::Model &model) {
  const std::vector<float> input = scan();
  std::vector<float> output(voxels, -1.0f);
  model.synthesize({input, geometry()}, {output, geometry()}, options());
  return output;
}

/// To the byte, which also tells 0 from -0.
template <class Voxel> bool same_bytes(const std::vector<Voxel> &one, const std::vector<Voxel> &other) {
  return one.size() == other.size() && std::memcmp(one.data(), other.data(), one.size() * sizeof(Voxel)) == 0;
}

/// A value that no synthesis writes.
inline constexpr float untouched = -7.5f;

inline bool is_untouched(const std::vector<float> &output) {
  for (const float voxel : output)
    if (voxel != untouched) return false;
  return true;
}

}  // namespace phantom

/// Checks that a call throws mrisynth::Error with a status, and some words in its message.
template <class Call>
void check_error(const char *name, mrisynth::Status expected, const char *words, const Call &call) {
  try {
    call();
    std::fprintf(stderr, "%s: nothing was thrown\n", name);
    ++failures;
  } catch (const mrisynth::Error &error) {
    if (error.status() == expected && std::strstr(error.what(), words) != nullptr) return;
    std::fprintf(stderr, "%s: %s (\"%s\"), not %s with \"%s\"\n", name, to_string(error.status()).c_str(), error.what(),
                 to_string(expected).c_str(), words);
    ++failures;
  }
}

#endif
