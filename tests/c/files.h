/* Scans that a test hands over as files: packed floats, and a grid in text (voxels along i, j, k, then index_to_lps). C99. */
#ifndef MRISYNTH_TESTS_FILES_H
#define MRISYNTH_TESTS_FILES_H

#include "mrisynth.h"

#include <stdio.h>

static int read_grid(const char *path, MrisynthImage *image) {
  FILE *file = fopen(path, "r");
  int n, found = 0;
  if (file == NULL) return 0;
  for (n = 0; n < 3; ++n) {
    unsigned long length = 0;
    found += fscanf(file, "%lu", &length) == 1;
    image->dims[n] = length;
  }
  for (n = 0; n < 16; ++n) found += fscanf(file, "%lf", &image->index_to_lps[n]) == 1;
  fclose(file);
  return found == 19;
}

static int transfer(const char *path, const char *mode, float *voxels, size_t count) {
  FILE *file = fopen(path, mode);
  size_t done;
  if (file == NULL) return 0;
  done = mode[0] == 'r' ? fread(voxels, sizeof(float), count, file) : fwrite(voxels, sizeof(float), count, file);
  return fclose(file) == 0 && done == count;
}

#endif
