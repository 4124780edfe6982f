/* What the programs that are built against an installed mrisynth have in common: a made-up prepared scan, and checks
 * of what comes of it. C99 and C++17. */
#ifndef MRISYNTH_TESTS_PHANTOM_H
#define MRISYNTH_TESTS_PHANTOM_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { PHANTOM_NI = 64, PHANTOM_NJ = 80, PHANTOM_NK = 24, PHANTOM_VOXELS = PHANTOM_NI * PHANTOM_NJ * PHANTOM_NK };

/* Voxels of 2 x 2 x 4 mm: i runs to the right, j to the front, k to the top. Index to LPS millimetres. */
static const double phantom_index_to_lps[16] = {-2, 0, 0, 63, 0, -2, 0, 79, 0, 0, 4, -46, 0, 0, 0, 1};

/* Squared distance from the centre; 1 on the surface of an ellipsoid of 108 x 136 x 80 mm. */
static double phantom_radius(int voxel) {
  const int i = voxel % PHANTOM_NI, j = voxel / PHANTOM_NI % PHANTOM_NJ, k = voxel / PHANTOM_NI / PHANTOM_NJ;
  const double x = (i - 31.5) * 2 / 54, y = (j - 39.5) * 2 / 68, z = (k - 11.5) * 4 / 40;
  return x * x + y * y + z * z;
}

/* T2w: a bright core, and 0 outside of the ellipsoid. */
static void phantom_make(float *t2w) {
  for (int voxel = 0; voxel < PHANTOM_VOXELS; ++voxel) {
    const double radius = phantom_radius(voxel);
    t2w[voxel] = radius > 1 ? 0.0f : radius < 0.1 ? 900.0f : 400.0f + 200.0f * (float)radius;
  }
}

static void phantom_fail(const char *what) {
  fprintf(stderr, "not so: %s\n", what);
  exit(EXIT_FAILURE);
}

/* Background stays 0 and all is within 0..1; nearly all of the brain has a value, and the core that is bright in T2w
 * is not one with what surrounds it. */
static void phantom_check(const float *t1w) {
  double core = 0, shell = 0;
  long in_core = 0, in_shell = 0, inside = 0, filled = 0;
  for (int voxel = 0; voxel < PHANTOM_VOXELS; ++voxel) {
    const double radius = phantom_radius(voxel);
    if (!(t1w[voxel] >= 0 && t1w[voxel] <= 1)) phantom_fail("every voxel is within 0..1");
    if (radius > 1 && t1w[voxel] != 0) phantom_fail("the background is 0");
    if (radius <= 1) ++inside, filled += t1w[voxel] > 0;
    if (radius < 0.1) core += t1w[voxel], ++in_core;
    if (radius > 0.3 && radius < 0.8) shell += t1w[voxel], ++in_shell;
  }
  if (filled < 0.95 * (double)inside) phantom_fail("the brain has values");
  if (fabs(core / (double)in_core - shell / (double)in_shell) < 0.02) phantom_fail("core and shell differ");
}

/* The bytes of the voxels, for comparing programs with each other. */
static void phantom_write(const float *t1w, const char *path) {
  FILE *file = fopen(path, "wb");
  if (file == NULL) phantom_fail(path);
  if (fwrite(t1w, sizeof *t1w, PHANTOM_VOXELS, file) != PHANTOM_VOXELS || fclose(file) != 0) phantom_fail(path);
}

#endif
