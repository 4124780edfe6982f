/* What both test programs share: checks, and a made-up brain in a buffer. C99 and C++17. */
#ifndef MRISYNTH_TESTS_COMMON_H
#define MRISYNTH_TESTS_COMMON_H

#include "check.h"
#include "mrisynth.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A small brain, so that the tests are quick: 324 ml in voxels of 1.5 x 1.5 x 3 mm. */
enum { NI = 72, NJ = 84, NK = 28, VOXELS = NI * NJ * NK };

#define CHECK_STATUS(call, expected)                                                                       \
  do {                                                                                                     \
    const MrisynthStatus status_ = (call);                                                                 \
    if (status_ != (expected)) {                                                                           \
      fprintf(stderr, "%s:%d: %s: %s, not %s (last error: %s)\n", __FILE__, __LINE__, #call,               \
              mrisynth_status_string(status_), mrisynth_status_string(expected), mrisynth_last_error());   \
      ++failures;                                                                                          \
    } else if ((status_ == MRISYNTH_STATUS_OK) != (mrisynth_last_error()[0] == '\0')) {                    \
      fprintf(stderr, "%s:%d: %s: the message does not fit the status: \"%s\"\n", __FILE__, __LINE__,      \
              #call, mrisynth_last_error());                                                               \
      ++failures;                                                                                          \
    }                                                                                                      \
  } while (0)

static size_t voxel_index(size_t i, size_t j, size_t k) { return i + NI * (j + NJ * k); }

/* Position of a voxel relative to an ellipsoid of 46 x 56 x 30 mm in the middle: 0 at its centre, 1 on its surface. */
static double brain_radius(size_t i, size_t j, size_t k) {
  const double x = ((double)i - (NI - 1) / 2.0) * 1.5 / 46.0;
  const double y = ((double)j - (NJ - 1) / 2.0) * 1.5 / 56.0;
  const double z = ((double)k - (NK - 1) / 2.0) * 3.0 / 30.0;
  return sqrt(x * x + y * y + z * z);
}

/* Whole numbers up to 250, which every voxel type holds exactly: fluid inside, white matter, cortex, background 0. */
static double phantom_value(size_t i, size_t j, size_t k) {
  const double radius = brain_radius(i, j, k);
  const double texture = (double)((i * 7 + j * 5 + k * 3) % 11);
  if (radius >= 1.0) return 0.0;
  if (radius < 0.25) return 230.0 + texture;
  return (radius < 0.8 ? 90.0 : 140.0) + texture;
}

static float *new_phantom(void) {
  float *voxels = (float *)malloc(VOXELS * sizeof(float));
  size_t i, j, k;
  if (voxels == NULL) abort();
  for (k = 0; k < NK; ++k)
    for (j = 0; j < NJ; ++j)
      for (i = 0; i < NI; ++i) voxels[voxel_index(i, j, k)] = (float)phantom_value(i, j, k);
  return voxels;
}

/* A packed float image over `voxels`; its i runs to the patient's left, as LPS has it. */
static MrisynthImage phantom_image(float *voxels) {
  static const double index_to_lps[16] = {1.5, 0, 0, -53.25, 0, -1.5, 0, 62.25, 0, 0, 3, -40.5, 0, 0, 0, 1};
  MrisynthImage image;
  CHECK_STATUS(mrisynth_image_init(&image, sizeof image), MRISYNTH_STATUS_OK);
  image.dtype = MRISYNTH_DTYPE_F32;
  image.data = voxels;
  image.dims[0] = NI;
  image.dims[1] = NJ;
  image.dims[2] = NK;
  memcpy(image.index_to_lps, index_to_lps, sizeof index_to_lps);
  return image;
}

/* The phantom is no plausible brain, and is accepted. */
static MrisynthOptions prepared_options(void) {
  MrisynthOptions options;
  CHECK_STATUS(mrisynth_options_init(&options, sizeof options), MRISYNTH_STATUS_OK);
  options.input_state = MRISYNTH_INPUT_PREPARED;
  options.accept_implausible = 1;
  return options;
}

/* The same voxels called a third as wide in the slices, which makes a brain of 36 ml: implausible, but nine times as quick. */
static MrisynthImage quick_image(float *voxels) {
  MrisynthImage image = phantom_image(voxels);
  image.index_to_lps[0] = 0.5;
  image.index_to_lps[5] = -0.5;
  return image;
}

static MrisynthOptions quick_options(void) { return prepared_options(); }

static MrisynthStatus synthesize(const MrisynthModel *model, const MrisynthImage *input, const MrisynthImage *output,
                                 const MrisynthOptions *options) {
  const MrisynthImage *inputs[1];
  inputs[0] = input;
  return mrisynth_synthesize(model, inputs, 1, output, options);
}

/* In the brain values from 0 to 1 that are not all the same, outside of it nothing. */
static void check_synthetic(const float *voxels) {
  float lowest = 2, highest = -1;
  size_t i, j, k, outside = 0;
  for (k = 0; k < NK; ++k)
    for (j = 0; j < NJ; ++j)
      for (i = 0; i < NI; ++i) {
        const float value = voxels[voxel_index(i, j, k)];
        if (brain_radius(i, j, k) >= 1.0) {
          outside += value != 0.0f;
        } else {
          lowest = value < lowest ? value : lowest;
          highest = value > highest ? value : highest;
        }
      }
  CHECK(outside == 0);
  CHECK(lowest >= 0 && highest <= 1 && highest - lowest > 0.01f);
}

#endif
