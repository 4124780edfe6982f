/* A synthesis T2w to T1w through the C interface, for the comparison with other languages. C99.
 *
 *   from_c VOXELS GRID RESULT raw|prepared
 *
 * VOXELS, GRID and RESULT are files as ../c/files.h has them; nifti.py makes the first two of a NIfTI file. */
#include "../c/files.h"

#include <mrisynth.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what, const char *why) {
  fprintf(stderr, "from_c: %s: %s\n", what, why);
  return EXIT_FAILURE;
}

int main(int argc, char **argv) {
  MrisynthModel *model = NULL;
  MrisynthImage input, output;
  MrisynthOptions options;
  const MrisynthImage *inputs[1];
  size_t count;
  if (argc != 5) return 2;
  if (mrisynth_image_init(&input, sizeof input) != MRISYNTH_STATUS_OK) return fail("image", mrisynth_last_error());
  if (mrisynth_options_init(&options, sizeof options) != MRISYNTH_STATUS_OK)
    return fail("options", mrisynth_last_error());
  if (strcmp(argv[4], "prepared") == 0) options.input_state = MRISYNTH_INPUT_PREPARED;
  if (!read_grid(argv[2], &input)) return fail(argv[2], "no grid");
  count = (size_t)(input.dims[0] * input.dims[1] * input.dims[2]);
  output = input;
  input.data = malloc(count * sizeof(float));
  output.data = malloc(count * sizeof(float));
  if (input.data == NULL || output.data == NULL) return fail("voxels", "no memory");
  if (!transfer(argv[1], "rb", (float *)input.data, count)) return fail(argv[1], "not as many voxels as the grid has");
  inputs[0] = &input;
  if (mrisynth_model_default(MRISYNTH_CONTRAST_T2W, MRISYNTH_CONTRAST_T1W, &model) != MRISYNTH_STATUS_OK)
    return fail("model", mrisynth_last_error());
  if (mrisynth_synthesize(model, inputs, 1, &output, &options) != MRISYNTH_STATUS_OK)
    return fail(argv[1], mrisynth_last_error());
  if (!transfer(argv[3], "wb", (float *)output.data, count)) return fail(argv[3], "cannot be written");
  mrisynth_model_free(model);
  free(input.data);
  free(output.data);
  return EXIT_SUCCESS;
}
