/* Synthesizes a T1w image from a made-up T2w one, and prints what came out. Takes no arguments.
 *
 * A real program reads its voxels and their geometry from a file, brain-extracted and aligned to MNI152. */
#include <mrisynth.h>

#include <stdio.h>
#include <stdlib.h>

enum { NI = 80, NJ = 96, NK = 72, VOXELS = NI * NJ * NK };

static void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", what, mrisynth_last_error());
  exit(EXIT_FAILURE);
}

/* An ellipsoid of 120 x 150 x 108 mm with a bright core, 0 around it. Voxels are 2 mm wide. */
static void make_phantom(float *voxels) {
  for (int k = 0; k < NK; ++k)
    for (int j = 0; j < NJ; ++j)
      for (int i = 0; i < NI; ++i) {
        const double x = (i - 39.5) * 2 / 60, y = (j - 47.5) * 2 / 75, z = (k - 35.5) * 2 / 54;
        const double radius = x * x + y * y + z * z;
        voxels[i + NI * (j + NJ * k)] = radius > 1 ? 0.0f : radius < 0.1 ? 900.0f : 400.0f + 200.0f * (float)radius;
      }
}

static int32_t show_progress(float fraction, void *user_data) {
  (void)user_data;
  fprintf(stderr, "\r%3.0f %%", 100.0 * fraction);
  return 0; /* anything else would cancel */
}

static void print_statistics(const float *voxels) {
  double sum = 0, highest = 0;
  long inside = 0;
  for (long n = 0; n < VOXELS; ++n) {
    if (voxels[n] > 0) ++inside;
    sum += voxels[n];
    if (voxels[n] > highest) highest = voxels[n];
  }
  printf("synthetic T1w: mean %.4f in the brain (%.0f ml), highest %.4f\n", inside ? sum / inside : 0.0,
         inside * 8 / 1000.0, highest);
}

int main(void) {
  float *t2w_voxels = malloc(VOXELS * sizeof *t2w_voxels), *t1w_voxels = malloc(VOXELS * sizeof *t1w_voxels);
  if (t2w_voxels == NULL || t1w_voxels == NULL) return EXIT_FAILURE;
  make_phantom(t2w_voxels);

  /* The model that is built into the library; mrisynth_model_load() takes one from a file. */
  MrisynthModel *model;
  if (mrisynth_model_default(MRISYNTH_CONTRAST_T2W, MRISYNTH_CONTRAST_T1W, &model) != MRISYNTH_STATUS_OK) fail("model");
  printf("model %s, version %s\n", mrisynth_model_info(model, "name"), mrisynth_model_info(model, "version"));

  /* Where the voxels are, and where they lie in the patient: rows of a matrix to LPS millimetres. */
  MrisynthImage t2w;
  if (mrisynth_image_init(&t2w, sizeof t2w) != MRISYNTH_STATUS_OK) fail("image");
  t2w.dtype = MRISYNTH_DTYPE_F32;
  t2w.data = t2w_voxels;
  t2w.dims[0] = NI, t2w.dims[1] = NJ, t2w.dims[2] = NK;
  t2w.index_to_lps[0] = -2, t2w.index_to_lps[3] = 79;   /* i runs to the right    */
  t2w.index_to_lps[5] = -2, t2w.index_to_lps[7] = 95;   /* j runs to the front    */
  t2w.index_to_lps[10] = 2, t2w.index_to_lps[11] = -71; /* k runs to the top      */

  /* The output: the same geometry, a buffer of its own. */
  MrisynthImage t1w = t2w;
  t1w.data = t1w_voxels;

  MrisynthOptions options;
  if (mrisynth_options_init(&options, sizeof options) != MRISYNTH_STATUS_OK) fail("options");
  options.input_state = MRISYNTH_INPUT_PREPARED;
  options.accept_implausible = 1; /* an ellipsoid is no brain; leave this out for scans */
  options.progress = show_progress;

  const MrisynthImage *inputs[] = {&t2w};
  if (mrisynth_synthesize(model, inputs, 1, &t1w, &options) != MRISYNTH_STATUS_OK) fail("synthesis");
  fputc('\n', stderr);
  print_statistics(t1w_voxels);

  mrisynth_model_free(model);
  free(t1w_voxels);
  free(t2w_voxels);
  return EXIT_SUCCESS;
}
