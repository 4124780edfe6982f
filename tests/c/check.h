/* Counts what is not so. C99 and C++17. */
#ifndef MRISYNTH_TESTS_CHECK_H
#define MRISYNTH_TESTS_CHECK_H

#include "mrisynth.h"

#include <stdio.h>

static int failures = 0;

/* A passing program prints nothing at all: CTest fails a test on any output, so the library's silence is tested too. */
#define CHECK(condition)                                                                                   \
  do {                                                                                                     \
    if (!(condition)) {                                                                                    \
      fprintf(stderr, "%s:%d: not so: %s (last error: %s)\n", __FILE__, __LINE__, #condition,              \
              mrisynth_last_error());                                                                      \
      ++failures;                                                                                          \
    }                                                                                                      \
  } while (0)

#endif
