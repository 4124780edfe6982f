/* A C99 program that somebody builds against an installed mrisynth: synthesizes T1w from a made-up T2w scan, checks
 * what comes out and writes its floats to the file that is named. EXPECTED_VERSION is what the build found. */
#include <mrisynth.h>

#include <string.h>

#include "phantom.h"

static void require(int32_t status) {
  if (status != MRISYNTH_STATUS_OK) phantom_fail(mrisynth_last_error());
}

int main(int count, char **arguments) {
  static float t2w_voxels[PHANTOM_VOXELS], t1w_voxels[PHANTOM_VOXELS];
  if (count != 2) phantom_fail("one argument, the file to write");
  if (mrisynth_abi_version() != MRISYNTH_ABI_VERSION) phantom_fail("library and header have the same binary interface");
  if (strcmp(mrisynth_version(), EXPECTED_VERSION) != 0) phantom_fail("the library has version " EXPECTED_VERSION);
  phantom_make(t2w_voxels);

  MrisynthModel *model;
  require(mrisynth_model_default(MRISYNTH_CONTRAST_T2W, MRISYNTH_CONTRAST_T1W, &model));
  MrisynthImage t2w;
  require(mrisynth_image_init(&t2w, sizeof t2w));
  t2w.data = t2w_voxels;
  t2w.dims[0] = PHANTOM_NI, t2w.dims[1] = PHANTOM_NJ, t2w.dims[2] = PHANTOM_NK;
  memcpy(t2w.index_to_lps, phantom_index_to_lps, sizeof phantom_index_to_lps);
  MrisynthImage t1w = t2w;
  t1w.data = t1w_voxels;

  MrisynthOptions options;
  require(mrisynth_options_init(&options, sizeof options));
  options.input_state = MRISYNTH_INPUT_PREPARED;
  options.accept_implausible = 1; /* an ellipsoid is no brain */
  const MrisynthImage *inputs[] = {&t2w};
  require(mrisynth_synthesize(model, inputs, 1, &t1w, &options));
  mrisynth_model_free(model);

  phantom_check(t1w_voxels);
  phantom_write(t1w_voxels, arguments[1]);
  return EXIT_SUCCESS;
}
