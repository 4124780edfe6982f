/* A raw scan through the C interface, on a head that the caller hands over as a file of floats. C99.
 *
 *   raw_scan VOXELS GRID RESULT
 *
 * VOXELS: packed floats, i fastest. GRID: 19 numbers in text: voxels along i, j, k, then index_to_lps. RESULT: the
 * synthetic floats are written there. The test that made the files compares them with what Rust gets. */
#include "check.h"
#include "files.h"
#include "mrisynth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the progress function sees, and when it asks to stop. */
typedef struct {
  float last;
  float stop_at;
  int falls;
  int calls;
} Progress;

static int32_t note(float fraction, void *user_data) {
  Progress *progress = (Progress *)user_data;
  progress->falls += fraction < progress->last;
  progress->last = fraction;
  ++progress->calls;
  return fraction >= progress->stop_at;
}

/* Every stage of the preparation and of the synthesis hears a wish to stop, and then nothing is written. */
static void test_cancel(const MrisynthModel *model, const MrisynthImage *input, const MrisynthImage *output,
                        size_t count) {
  static const float stops[] = {0.0f, 0.05f, 0.2f, 0.3f, 0.38f, 0.6f, 0.97f};
  const MrisynthImage *inputs[1];
  MrisynthOptions options;
  size_t n, v;
  inputs[0] = input;
  for (n = 0; n < sizeof stops / sizeof stops[0]; ++n) {
    Progress progress = {0, 0, 0, 0};
    progress.stop_at = stops[n];
    mrisynth_options_init(&options, sizeof options);
    options.progress = note;
    options.user_data = &progress;
    CHECK(mrisynth_synthesize(model, inputs, 1, output, &options) == MRISYNTH_STATUS_CANCELLED);
    CHECK(progress.last >= stops[n]);
  }
  for (v = 0; v < count; ++v)
    if (((float *)output->data)[v] != -1.0f) break;
  CHECK(v == count);
}

int main(int argc, char **argv) {
  MrisynthModel *model = NULL;
  MrisynthImage input, output;
  MrisynthOptions options;
  Progress progress = {0, 2, 0, 0};
  const MrisynthImage *inputs[1];
  float *scan, *result;
  size_t count, n;
  if (argc != 4) return 2;
  CHECK(mrisynth_image_init(&input, sizeof input) == MRISYNTH_STATUS_OK);
  if (!read_grid(argv[2], &input)) return 2;
  count = (size_t)(input.dims[0] * input.dims[1] * input.dims[2]);
  scan = (float *)malloc(count * sizeof(float));
  result = (float *)malloc(count * sizeof(float));
  if (scan == NULL || result == NULL || !transfer(argv[1], "rb", scan, count)) return 2;
  for (n = 0; n < count; ++n) result[n] = -1.0f;
  input.data = scan;
  output = input;
  output.data = result;
  inputs[0] = &input;
  CHECK(mrisynth_model_default(MRISYNTH_CONTRAST_T2W, MRISYNTH_CONTRAST_T1W, &model) == MRISYNTH_STATUS_OK);
  test_cancel(model, &input, &output, count);

  mrisynth_options_init(&options, sizeof options);
  options.input_state = MRISYNTH_INPUT_RAW;
  options.progress = note;
  options.user_data = &progress;
  CHECK(mrisynth_synthesize(model, inputs, 1, &output, &options) == MRISYNTH_STATUS_OK);
  CHECK(progress.falls == 0 && progress.last == 1.0f && progress.calls > 20);
  CHECK(transfer(argv[3], "wb", result, count));

  /* Noise is no head, and the reason names the stage. */
  for (n = 0; n < count; ++n) scan[n] = (float)((n * 2654435761u) % 1000);
  CHECK(mrisynth_synthesize(model, inputs, 1, &output, NULL) == MRISYNTH_STATUS_REFUSED);
  CHECK(strstr(mrisynth_last_error(), "brain extraction") != NULL);
  mrisynth_model_free(model);
  free(scan);
  free(result);
  return failures != 0;
}
