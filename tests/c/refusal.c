/* A T1w scan handed to the model that reads T2w is refused, and goes through where the caller insists. C99.
 *
 *   refusal T1W_VOXELS T2W_VOXELS GRID
 *
 * Two prepared scans on one grid, as files.h has them. */
#include "check.h"
#include "files.h"

#include <stdlib.h>
#include <string.h>

static int warnings = 0;

static void count_warnings(int32_t level, const char *message, void *user_data) {
  (void)user_data;
  warnings += level == 2 && strstr(message, "looks T1w") != NULL;
}

int main(int argc, char **argv) {
  MrisynthModel *model = NULL;
  MrisynthImage input, output;
  MrisynthOptions options;
  const MrisynthImage *inputs[1];
  float *t1w, *t2w, *result;
  size_t count, n;
  if (argc != 4) return 2;
  CHECK(mrisynth_image_init(&input, sizeof input) == MRISYNTH_STATUS_OK);
  if (!read_grid(argv[3], &input)) return 2;
  count = (size_t)(input.dims[0] * input.dims[1] * input.dims[2]);
  t1w = (float *)malloc(count * sizeof(float));
  t2w = (float *)malloc(count * sizeof(float));
  result = (float *)malloc(count * sizeof(float));
  if (t1w == NULL || t2w == NULL || result == NULL) return 2;
  if (!transfer(argv[1], "rb", t1w, count) || !transfer(argv[2], "rb", t2w, count)) return 2;
  for (n = 0; n < count; ++n) result[n] = -1.0f;
  input.dtype = MRISYNTH_DTYPE_F32;
  output = input;
  output.data = result;
  inputs[0] = &input;
  CHECK(mrisynth_model_default(MRISYNTH_CONTRAST_T2W, MRISYNTH_CONTRAST_T1W, &model) == MRISYNTH_STATUS_OK);
  CHECK(mrisynth_options_init(&options, sizeof options) == MRISYNTH_STATUS_OK);
  options.input_state = MRISYNTH_INPUT_PREPARED;
  options.log = count_warnings;

  input.data = t1w;
  CHECK(mrisynth_synthesize(model, inputs, 1, &output, &options) == MRISYNTH_STATUS_REFUSED);
  CHECK(strstr(mrisynth_last_error(), "looks T1w") != NULL);
  for (n = 0; n < count && result[n] == -1.0f; ++n) {}
  CHECK(n == count);
  CHECK(warnings == 0);

  options.accept_implausible = 1;
  CHECK(mrisynth_synthesize(model, inputs, 1, &output, &options) == MRISYNTH_STATUS_OK);
  CHECK(warnings == 1);

  options.accept_implausible = 0;
  input.data = t2w;
  CHECK(mrisynth_synthesize(model, inputs, 1, &output, &options) == MRISYNTH_STATUS_OK);
  CHECK(warnings == 1);

  mrisynth_model_free(model);
  free(t1w);
  free(t2w);
  free(result);
  return failures != 0;
}
