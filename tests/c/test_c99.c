/* The C interface from C99: every function, every kind of failure, every voxel type. */
#include "common.h"

#include <stdint.h>

/* ---- functions that ask ------------------------------------------------------------------------------------------ */

static void test_versions(void) {
  int major, minor, patch, end = 0;
  CHECK(mrisynth_abi_version() == MRISYNTH_ABI_VERSION);
  CHECK(sscanf(mrisynth_version(), "%d.%d.%d%n", &major, &minor, &patch, &end) == 3);
  CHECK(mrisynth_version()[end] == '\0');
}

static void test_cpu_tier(void) {
  static const char *const known[] = {"generic", "avx2", "avx512", "neon", "none"};
  const char *tier = mrisynth_cpu_tier();
  size_t n, found = 0;
  for (n = 0; n < sizeof known / sizeof known[0]; ++n) found += strcmp(tier, known[n]) == 0;
  CHECK(found == 1);
  CHECK(strcmp(tier, mrisynth_cpu_tier()) == 0);
}

static void test_status_strings(void) {
  static const int32_t odd[] = {-1, 10, 1000, INT32_MIN, INT32_MAX};
  int32_t status;
  size_t n;
  for (status = 0; status < 10; ++status)
    CHECK(strcmp(mrisynth_status_string(status), mrisynth_status_string(-1)) != 0);
  for (n = 0; n < sizeof odd / sizeof odd[0]; ++n) CHECK(mrisynth_status_string(odd[n])[0] != '\0');
}

static void test_last_error(void) {
  char message[256];
  CHECK_STATUS(mrisynth_options_init(NULL, sizeof(MrisynthOptions)), MRISYNTH_STATUS_INVALID_ARGUMENT);
  strncpy(message, mrisynth_last_error(), sizeof message - 1);
  message[sizeof message - 1] = '\0';
  /* Functions without a status leave the message alone. */
  mrisynth_status_string(1);
  mrisynth_version();
  mrisynth_model_free(NULL);
  CHECK(mrisynth_model_info(NULL, "name") == NULL);
  CHECK(strcmp(message, mrisynth_last_error()) == 0);
}

/* ---- structs ----------------------------------------------------------------------------------------------------- */

/* The struct as a newer header may have it. */
typedef struct {
  MrisynthOptions known;
  uint64_t unknown;
} NewerOptions;

static void test_init(void) {
  static const size_t wrong[] = {0, 1, 4, sizeof(MrisynthOptions) - 1, 1 << 20, SIZE_MAX};
  NewerOptions newer;
  MrisynthOptions options;
  MrisynthImage image;
  size_t n;
  memset(&newer, 0x5a, sizeof newer);
  CHECK_STATUS(mrisynth_options_init(&newer.known, sizeof newer), MRISYNTH_STATUS_OK);
  CHECK(newer.known.struct_size == sizeof newer && newer.unknown == 0);
  CHECK_STATUS(mrisynth_options_init(&options, sizeof options), MRISYNTH_STATUS_OK);
  CHECK(options.struct_size == sizeof options && options.num_threads == 0 && options.memory_limit == 0);
  CHECK(options.input_state == MRISYNTH_INPUT_RAW && options.accept_implausible == 0);
  CHECK(options.progress == NULL && options.log == NULL && options.user_data == NULL);
  CHECK_STATUS(mrisynth_image_init(&image, sizeof image), MRISYNTH_STATUS_OK);
  CHECK(image.struct_size == sizeof image && image.dtype == MRISYNTH_DTYPE_F32 && image.data == NULL);
  CHECK(image.dims[0] == 0 && image.strides[2] == 0 && image.index_to_lps[0] == 1 && image.index_to_lps[1] == 0);
  for (n = 0; n < sizeof wrong / sizeof wrong[0]; ++n) {
    CHECK_STATUS(mrisynth_options_init(&options, wrong[n]), MRISYNTH_STATUS_INVALID_ARGUMENT);
    CHECK_STATUS(mrisynth_image_init(&image, wrong[n]), MRISYNTH_STATUS_INVALID_ARGUMENT);
  }
  CHECK(options.struct_size == sizeof options && image.struct_size == sizeof image);
  CHECK_STATUS(mrisynth_image_init(NULL, sizeof image), MRISYNTH_STATUS_INVALID_ARGUMENT);
}

/* ---- models ------------------------------------------------------------------------------------------------------ */

/* A call that must fail and set its output to NULL. */
#define CHECK_NO_MODEL(call, expected)                    \
  do {                                                    \
    MrisynthModel *model = (MrisynthModel *)&failures;    \
    CHECK_STATUS(call, expected);                         \
    CHECK(model == NULL);                                 \
  } while (0)

static void write_file(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  CHECK(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

static void test_bad_models(void) {
  static const char garbage[] = "\x08\x07not an ONNX file, whatever its name says\xff\xff\xff";
  CHECK_NO_MODEL(mrisynth_model_default(0, 1, &model), MRISYNTH_STATUS_INVALID_ARGUMENT);
  CHECK_NO_MODEL(mrisynth_model_default(1, 3, &model), MRISYNTH_STATUS_INVALID_ARGUMENT);
  CHECK_NO_MODEL(mrisynth_model_default(UINT32_MAX, 1, &model), MRISYNTH_STATUS_INVALID_ARGUMENT);
  CHECK_NO_MODEL(mrisynth_model_default(1, 1, &model), MRISYNTH_STATUS_INVALID_ARGUMENT);
  CHECK_STATUS(mrisynth_model_default(1, 2, NULL), MRISYNTH_STATUS_INVALID_ARGUMENT);

  write_file("garbage.onnx", garbage, sizeof garbage);
  CHECK_NO_MODEL(mrisynth_model_load("garbage.onnx", &model), MRISYNTH_STATUS_BAD_MODEL);
  remove("garbage.onnx");
  CHECK_NO_MODEL(mrisynth_model_load("no such folder/model.onnx", &model), MRISYNTH_STATUS_IO);
  CHECK_NO_MODEL(mrisynth_model_load("", &model), MRISYNTH_STATUS_IO);
  CHECK_NO_MODEL(mrisynth_model_load("\xff\xfe.onnx", &model), MRISYNTH_STATUS_INVALID_ARGUMENT);
  CHECK_NO_MODEL(mrisynth_model_load(NULL, &model), MRISYNTH_STATUS_INVALID_ARGUMENT);
  CHECK_STATUS(mrisynth_model_load("garbage.onnx", NULL), MRISYNTH_STATUS_INVALID_ARGUMENT);

  CHECK_NO_MODEL(mrisynth_model_from_memory(garbage, sizeof garbage, &model), MRISYNTH_STATUS_BAD_MODEL);
  CHECK_NO_MODEL(mrisynth_model_from_memory(garbage, 0, &model), MRISYNTH_STATUS_BAD_MODEL);
  CHECK_NO_MODEL(mrisynth_model_from_memory(garbage, SIZE_MAX, &model), MRISYNTH_STATUS_INVALID_ARGUMENT);
  CHECK_NO_MODEL(mrisynth_model_from_memory(NULL, 10, &model), MRISYNTH_STATUS_INVALID_ARGUMENT);
  CHECK_STATUS(mrisynth_model_from_memory(garbage, sizeof garbage, NULL), MRISYNTH_STATUS_INVALID_ARGUMENT);
}

static void test_model_info(const MrisynthModel *model) {
  static const char *const keys[] = {"name", "version", "license"};
  size_t n;
  for (n = 0; n < sizeof keys / sizeof keys[0]; ++n) {
    CHECK(mrisynth_model_info(model, keys[n]) != NULL);
    /* The string lives as long as the model: it is the same one each time. */
    CHECK(mrisynth_model_info(model, keys[n]) == mrisynth_model_info(model, keys[n]));
  }
  CHECK(strcmp(mrisynth_model_info(model, "source"), "T2w") == 0);
  CHECK(strcmp(mrisynth_model_info(model, "target"), "T1w") == 0);
  CHECK(strlen(mrisynth_model_info(model, "sha256")) == 64);
  CHECK(mrisynth_model_info(model, "no such key") == NULL);
  CHECK(mrisynth_model_info(model, "") == NULL);
  CHECK(mrisynth_model_info(model, "\xff") == NULL);
  CHECK(mrisynth_model_info(model, NULL) == NULL);
}

/* The default model's file, loaded by path and from memory, is the default model. */
static void test_model_file(const MrisynthModel *built_in, const char *path) {
  static char bytes[64 << 20];
  MrisynthModel *loaded = NULL, *from_memory = NULL;
  FILE *file = fopen(path, "rb");
  size_t size;
  CHECK(file != NULL);
  if (file == NULL) return;
  size = fread(bytes, 1, sizeof bytes, file);
  fclose(file);
  CHECK_STATUS(mrisynth_model_load(path, &loaded), MRISYNTH_STATUS_OK);
  CHECK_STATUS(mrisynth_model_from_memory(bytes, size, &from_memory), MRISYNTH_STATUS_OK);
  if (loaded != NULL && from_memory != NULL) {
    CHECK(strcmp(mrisynth_model_info(loaded, "sha256"), mrisynth_model_info(built_in, "sha256")) == 0);
    CHECK(strcmp(mrisynth_model_info(from_memory, "sha256"), mrisynth_model_info(built_in, "sha256")) == 0);
  }
  mrisynth_model_free(loaded);
  mrisynth_model_free(from_memory);
  /* Cut short it is none. */
  CHECK_NO_MODEL(mrisynth_model_from_memory(bytes, size / 2, &model), MRISYNTH_STATUS_BAD_MODEL);
}

/* ---- callbacks --------------------------------------------------------------------------------------------------- */

typedef struct {
  int calls;
  float last;
  int fell;
  float stop_at;
  int stopped;
  int calls_after_stop;
  int lines;
  int bad_lines;
} Watch;

static int32_t watch_progress(float fraction, void *user_data) {
  Watch *watch = (Watch *)user_data;
  watch->calls += 1;
  watch->fell |= fraction < watch->last || fraction > 1;
  watch->last = fraction;
  watch->calls_after_stop += watch->stopped;
  watch->stopped |= fraction >= watch->stop_at;
  return watch->stopped;
}

static void watch_log(int32_t level, const char *message, void *user_data) {
  Watch *watch = (Watch *)user_data;
  watch->lines += 1;
  watch->bad_lines += level < 1 || level > 4 || message[0] == '\0' || strchr(message, '\n') != NULL;
}

static MrisynthOptions watched_options(Watch *watch, float stop_at) {
  MrisynthOptions options = prepared_options();
  memset(watch, 0, sizeof *watch);
  watch->stop_at = stop_at;
  options.progress = watch_progress;
  options.log = watch_log;
  options.user_data = watch;
  return options;
}

/* ---- synthesis --------------------------------------------------------------------------------------------------- */

/* The buffers of a test: a phantom, the result that its variants are compared with, and room for another one. */
typedef struct {
  MrisynthModel *model;
  float *phantom;
  float *reference;
  float *result;
} Bench;

static const unsigned char UNTOUCHED = 0xa5;

static void blank(float *voxels) { memset(voxels, UNTOUCHED, VOXELS * sizeof(float)); }

static int is_blank(const float *voxels) {
  const unsigned char *bytes = (const unsigned char *)voxels;
  size_t n;
  for (n = 0; n < VOXELS * sizeof(float); ++n)
    if (bytes[n] != UNTOUCHED) return 0;
  return 1;
}

static int equals_reference(const Bench *bench) {
  return memcmp(bench->result, bench->reference, VOXELS * sizeof(float)) == 0;
}

static void test_synthesis(const Bench *bench) {
  const MrisynthImage input = phantom_image(bench->phantom), output = phantom_image(bench->result);
  float *before = new_phantom();
  Watch watch;
  const MrisynthOptions options = watched_options(&watch, 2);
  blank(bench->result);
  CHECK_STATUS(synthesize(bench->model, &input, &output, &options), MRISYNTH_STATUS_OK);
  check_synthetic(bench->result);
  CHECK(watch.calls > 2 && !watch.fell && watch.last == 1.0f && watch.bad_lines == 0);
  CHECK(memcmp(before, bench->phantom, VOXELS * sizeof(float)) == 0);
  free(before);
}

/* What the variants of the quick scan are compared with. */
static void make_reference(const Bench *bench) {
  const MrisynthImage input = quick_image(bench->phantom), output = quick_image(bench->reference);
  const MrisynthOptions options = quick_options();
  CHECK_STATUS(synthesize(bench->model, &input, &output, &options), MRISYNTH_STATUS_OK);
  check_synthetic(bench->reference);
}

static void test_thread_counts(const Bench *bench) {
  static const uint32_t counts[] = {1, 3, 16};
  const MrisynthImage input = quick_image(bench->phantom), output = quick_image(bench->result);
  MrisynthOptions options = quick_options();
  size_t n;
  for (n = 0; n < sizeof counts / sizeof counts[0]; ++n) {
    options.num_threads = counts[n];
    blank(bench->result);
    CHECK_STATUS(synthesize(bench->model, &input, &output, &options), MRISYNTH_STATUS_OK);
    CHECK(equals_reference(bench));
  }
}

static void test_cancel(const Bench *bench) {
  static const float stops[] = {0.0f, 0.3f, 1.0f};
  const MrisynthImage input = quick_image(bench->phantom), output = quick_image(bench->result);
  size_t n;
  for (n = 0; n < sizeof stops / sizeof stops[0]; ++n) {
    Watch watch;
    MrisynthOptions options = watched_options(&watch, stops[n]);
    options.accept_implausible = 1;
    blank(bench->result);
    CHECK_STATUS(synthesize(bench->model, &input, &output, &options), MRISYNTH_STATUS_CANCELLED);
    CHECK(watch.stopped && watch.calls_after_stop == 0 && is_blank(bench->result));
  }
}

static void test_in_place(const Bench *bench) {
  const MrisynthImage image = quick_image(bench->result);
  const MrisynthOptions options = quick_options();
  memcpy(bench->result, bench->phantom, VOXELS * sizeof(float));
  CHECK_STATUS(synthesize(bench->model, &image, &image, &options), MRISYNTH_STATUS_OK);
  CHECK(equals_reference(bench));
}

static void test_newer_structs(const Bench *bench) {
  struct {
    MrisynthImage known;
    double unknown[4];
  } input;
  NewerOptions options;
  const MrisynthImage output = quick_image(bench->result);
  memset(&input, 0x77, sizeof input);
  input.known = quick_image(bench->phantom);
  input.known.struct_size = sizeof input;
  CHECK_STATUS(mrisynth_options_init(&options.known, sizeof options), MRISYNTH_STATUS_OK);
  options.known.input_state = MRISYNTH_INPUT_PREPARED;
  options.known.accept_implausible = 1;
  blank(bench->result);
  CHECK_STATUS(synthesize(bench->model, &input.known, &output, &options.known), MRISYNTH_STATUS_OK);
  CHECK(equals_reference(bench));
}

/* ---- voxel types and strides ------------------------------------------------------------------------------------- */

static float from_half(uint16_t bits) {
  const int exponent = bits >> 10 & 31;
  const float fraction = (float)(bits & 1023) / 1024.0f;
  const float value = exponent == 0 ? ldexpf(fraction, -14) : ldexpf(1.0f + fraction, exponent - 15);
  return bits >> 15 ? -value : value;
}

/* For whole numbers up to 2048, which are exact. */
static uint16_t to_half(double value) {
  int exponent;
  const double fraction = frexp(value, &exponent);
  if (value == 0) return 0;
  return (uint16_t)((exponent + 14) << 10 | ((int)(fraction * 2048) & 1023));
}

static void put(unsigned char *voxel, uint32_t dtype, double value) {
  const uint8_t u8 = (uint8_t)value;
  const int16_t i16 = (int16_t)value;
  const uint16_t u16 = (uint16_t)value, f16 = to_half(value);
  const float f32 = (float)value;
  switch (dtype) {
    case MRISYNTH_DTYPE_U8: memcpy(voxel, &u8, sizeof u8); break;
    case MRISYNTH_DTYPE_I16: memcpy(voxel, &i16, sizeof i16); break;
    case MRISYNTH_DTYPE_U16: memcpy(voxel, &u16, sizeof u16); break;
    case MRISYNTH_DTYPE_F16: memcpy(voxel, &f16, sizeof f16); break;
    case MRISYNTH_DTYPE_F32: memcpy(voxel, &f32, sizeof f32); break;
    case MRISYNTH_DTYPE_F64: memcpy(voxel, &value, sizeof value); break;
    default: CHECK(0);
  }
}

/* Is the voxel what this type makes of the reference value? */
static int is_expected(const unsigned char *voxel, uint32_t dtype, float expected) {
  uint8_t u8;
  int16_t i16;
  uint16_t u16;
  float f32;
  double f64;
  switch (dtype) {
    case MRISYNTH_DTYPE_U8: memcpy(&u8, voxel, sizeof u8); return u8 == rintf(expected * 255.0f);
    case MRISYNTH_DTYPE_I16: memcpy(&i16, voxel, sizeof i16); return i16 == rintf(expected * 1000.0f);
    case MRISYNTH_DTYPE_U16: memcpy(&u16, voxel, sizeof u16); return u16 == rintf(expected * 1000.0f);
    case MRISYNTH_DTYPE_F16: memcpy(&u16, voxel, sizeof u16); return fabsf(from_half(u16) - expected) <= 2.5e-4f;
    case MRISYNTH_DTYPE_F32: memcpy(&f32, voxel, sizeof f32); return f32 == expected;
    case MRISYNTH_DTYPE_F64: memcpy(&f64, voxel, sizeof f64); return f64 == (double)expected;
    default: return 0;
  }
}

typedef struct {
  const char *name;
  uint32_t dtype;
  int64_t strides[3];
  int64_t start; /* bytes from the allocation to the first voxel */
} Variant;

/* Room for voxels of eight bytes with gaps. */
enum { ROOM = 2 * 8 * VOXELS };

static const Variant variants[] = {
    {"u8, packed", MRISYNTH_DTYPE_U8, {0, 0, 0}, 0},
    {"i16, j backwards", MRISYNTH_DTYPE_I16, {2, -2 * NI, 2 * NI * NJ}, 2 * NI * (NJ - 1)},
    {"u16, k fastest", MRISYNTH_DTYPE_U16, {2 * NK * NJ, 2 * NK, 2}, 0},
    {"f16, gaps and no alignment", MRISYNTH_DTYPE_F16, {3, 3 * NI + 5, (3 * NI + 5) * NJ + 7}, 1},
    {"f32, all backwards", MRISYNTH_DTYPE_F32, {-4, -4 * NI, -4 * NI * NJ}, 4 * (VOXELS - 1)},
    {"f64, in every other place", MRISYNTH_DTYPE_F64, {16, 16 * NI, 16 * NI * NJ}, 0},
};

static size_t element_size(uint32_t dtype) {
  static const size_t sizes[] = {0, 1, 2, 2, 2, 4, 8};
  return sizes[dtype];
}

/* The same scan in another voxel type and layout gives the same result, in that type and layout. */
static void test_variant(const Bench *bench, const Variant *variant) {
  unsigned char *in = (unsigned char *)malloc(ROOM), *out = (unsigned char *)malloc(ROOM);
  MrisynthImage input = quick_image(bench->phantom), output;
  const MrisynthOptions options = quick_options();
  const int64_t size = (int64_t)element_size(variant->dtype);
  const int packed = variant->strides[0] == 0;
  const int64_t si = packed ? size : variant->strides[0], sj = packed ? size * NI : variant->strides[1],
                sk = packed ? size * NI * NJ : variant->strides[2];
  size_t i, j, k, n, differing = 0, touched = 0;
  if (in == NULL || out == NULL) abort();
  memset(in, 0xff, ROOM);
  memset(out, UNTOUCHED, ROOM);
  input.dtype = variant->dtype;
  input.data = in + variant->start;
  memcpy(input.strides, variant->strides, sizeof input.strides);
  output = input;
  output.data = out + variant->start;
#define OFFSET(i, j, k) (variant->start + si * (int64_t)(i) + sj * (int64_t)(j) + sk * (int64_t)(k))
  for (k = 0; k < NK; ++k)
    for (j = 0; j < NJ; ++j)
      for (i = 0; i < NI; ++i) put(in + OFFSET(i, j, k), variant->dtype, phantom_value(i, j, k));
  CHECK_STATUS(synthesize(bench->model, &input, &output, &options), MRISYNTH_STATUS_OK);
  for (k = 0; k < NK; ++k)
    for (j = 0; j < NJ; ++j)
      for (i = 0; i < NI; ++i) {
        unsigned char *voxel = out + OFFSET(i, j, k);
        differing += !is_expected(voxel, variant->dtype, bench->reference[voxel_index(i, j, k)]);
        memset(voxel, UNTOUCHED, (size_t)size);
      }
#undef OFFSET
  for (n = 0; n < ROOM; ++n) touched += out[n] != UNTOUCHED;
  if (differing != 0 || touched != 0) {
    fprintf(stderr, "%s: %lu voxels differ, %lu bytes between them were written\n", variant->name,
            (unsigned long)differing, (unsigned long)touched);
    ++failures;
  }
  free(in);
  free(out);
}

/* The output's own grid counts, not the input's: half the voxels, twice as wide. */
static void test_other_grid(const Bench *bench) {
  const MrisynthImage input = quick_image(bench->phantom);
  MrisynthImage output = quick_image(bench->result);
  const MrisynthOptions options = quick_options();
  const size_t half = VOXELS / 2;
  size_t n, inside = 0;
  output.dims[0] = NI / 2;
  output.index_to_lps[0] = 1.0;
  blank(bench->result);
  CHECK_STATUS(synthesize(bench->model, &input, &output, &options), MRISYNTH_STATUS_OK);
  for (n = 0; n < half; ++n) {
    CHECK(bench->result[n] >= 0 && bench->result[n] <= 1);
    inside += bench->result[n] > 0;
  }
  CHECK(inside > 1000);
  CHECK(memcmp(bench->result + half, bench->result + half + 1, (half - 1) * sizeof(float)) == 0);
}

/* ---- what must be refused ---------------------------------------------------------------------------------------- */

/* One call with one thing wrong. */
typedef struct {
  MrisynthImage input;
  MrisynthImage output;
  MrisynthOptions options;
  float *voxels; /* a copy of the phantom that the input uses */
} Call;

static void in_size_zero(Call *call) { call->input.struct_size = 0; }
static void in_size_small(Call *call) { call->input.struct_size = sizeof(MrisynthImage) - 8; }
static void in_size_absurd(Call *call) { call->input.struct_size = UINT32_MAX; }
static void out_size_zero(Call *call) { call->output.struct_size = 0; }
static void options_size_zero(Call *call) { call->options.struct_size = 0; }
static void options_size_absurd(Call *call) { call->options.struct_size = UINT32_MAX; }
static void in_data_null(Call *call) { call->input.data = NULL; }
static void out_data_null(Call *call) { call->output.data = NULL; }
static void in_dtype_zero(Call *call) { call->input.dtype = 0; }
static void in_dtype_unknown(Call *call) { call->input.dtype = 7; }
static void out_dtype_unknown(Call *call) { call->output.dtype = UINT32_MAX; }
static void in_dims_zero(Call *call) { call->input.dims[1] = 0; }
static void out_dims_zero(Call *call) { call->output.dims[2] = 0; }
static void in_dims_overflow(Call *call) { call->input.dims[0] = call->input.dims[1] = UINT64_C(1) << 32; }
static void in_dims_huge(Call *call) { call->input.dims[2] = UINT64_MAX; }
static void out_dims_huge(Call *call) { call->output.dims[0] = call->output.dims[1] = call->output.dims[2] = 1024; }
static void set_strides(MrisynthImage *image, int64_t i, int64_t j, int64_t k) {
  image->strides[0] = i, image->strides[1] = j, image->strides[2] = k;
}
static void in_strides_overlap(Call *call) { set_strides(&call->input, 4, 4, 4 * NI * NJ); }
static void in_strides_partly_zero(Call *call) { set_strides(&call->input, 4, 4 * NI, 0); }
static void out_strides_overlap(Call *call) { set_strides(&call->output, 2, 4 * NI, 4 * NI * NJ); }
static void out_strides_mirror_overlap(Call *call) { set_strides(&call->output, 4, -4 * NI, 4 * NI); }
static void out_strides_huge(Call *call) { set_strides(&call->output, 4, 4 * NI, INT64_MAX); }
static void out_strides_most_negative(Call *call) { set_strides(&call->output, INT64_MIN, INT64_MIN, INT64_MIN); }
static void in_state_unknown(Call *call) { call->options.input_state = 2; }
static void in_state_raw(Call *call) { call->options.input_state = MRISYNTH_INPUT_RAW; }
static void in_affine_singular(Call *call) { call->input.index_to_lps[10] = 0; }
static void out_affine_singular(Call *call) { memset(call->output.index_to_lps, 0, sizeof(double[16])); }
static void in_affine_nan(Call *call) { call->input.index_to_lps[3] = (double)NAN; }
static void in_affine_last_row(Call *call) { call->input.index_to_lps[12] = 0.5; }
static void in_nan(Call *call) { call->voxels[VOXELS / 2] = NAN; }
static void in_infinite(Call *call) { call->voxels[0] = -INFINITY; }
static void in_constant(Call *call) { memset(call->voxels, 0, VOXELS * sizeof(float)); }
static void in_single_slice(Call *call) { call->input.dims[2] = 1; }
static void in_no_background(Call *call) {
  size_t n;
  for (n = 0; n < VOXELS; ++n) call->voxels[n] += 1;
}
static void in_tiny(Call *call) {
  call->input.index_to_lps[0] = 0.5;
  call->input.index_to_lps[5] = -0.5;
}
static void no_memory(Call *call) { call->options.memory_limit = 1; }
static void little_memory(Call *call) { call->options.memory_limit = VOXELS * sizeof(float); }

typedef struct {
  const char *name;
  void (*spoil)(Call *call);
  MrisynthStatus expected;
} BadCall;

#define BAD(name, status) {#name, name, MRISYNTH_STATUS_##status}

static const BadCall bad_calls[] = {
    BAD(in_size_zero, INVALID_ARGUMENT),        BAD(in_size_small, INVALID_ARGUMENT),
    BAD(in_size_absurd, INVALID_ARGUMENT),      BAD(out_size_zero, INVALID_ARGUMENT),
    BAD(options_size_zero, INVALID_ARGUMENT),   BAD(options_size_absurd, INVALID_ARGUMENT),
    BAD(in_data_null, INVALID_ARGUMENT),        BAD(out_data_null, INVALID_ARGUMENT),
    BAD(in_dtype_zero, UNSUPPORTED),            BAD(in_dtype_unknown, UNSUPPORTED),
    BAD(out_dtype_unknown, UNSUPPORTED),        BAD(in_dims_zero, INVALID_ARGUMENT),
    BAD(out_dims_zero, INVALID_ARGUMENT),       BAD(in_dims_overflow, INVALID_ARGUMENT),
    BAD(in_dims_huge, INVALID_ARGUMENT),        BAD(out_dims_huge, INVALID_ARGUMENT),
    BAD(in_strides_overlap, INVALID_ARGUMENT),  BAD(in_strides_partly_zero, INVALID_ARGUMENT),
    BAD(out_strides_overlap, INVALID_ARGUMENT), BAD(out_strides_mirror_overlap, INVALID_ARGUMENT),
    BAD(out_strides_huge, INVALID_ARGUMENT),    BAD(out_strides_most_negative, INVALID_ARGUMENT),
    BAD(in_state_unknown, INVALID_ARGUMENT),    BAD(in_state_raw, REFUSED),
    BAD(in_affine_singular, BAD_IMAGE),         BAD(out_affine_singular, BAD_IMAGE),
    BAD(in_affine_nan, BAD_IMAGE),              BAD(in_affine_last_row, BAD_IMAGE),
    BAD(in_nan, BAD_IMAGE),                     BAD(in_infinite, BAD_IMAGE),
    BAD(in_constant, BAD_IMAGE),                BAD(in_single_slice, BAD_IMAGE),
    BAD(in_no_background, REFUSED),             BAD(in_tiny, REFUSED),
    BAD(no_memory, OUT_OF_MEMORY),              BAD(little_memory, OUT_OF_MEMORY),
};

static void test_bad_call(const Bench *bench, const BadCall *bad) {
  Call call;
  MrisynthStatus status;
  call.voxels = new_phantom();
  call.input = phantom_image(call.voxels);
  call.output = phantom_image(bench->result);
  call.options = prepared_options();
  call.options.accept_implausible = 0;
  bad->spoil(&call);
  blank(bench->result);
  status = synthesize(bench->model, &call.input, &call.output, &call.options);
  if (status != bad->expected || mrisynth_last_error()[0] == '\0' || !is_blank(bench->result)) {
    fprintf(stderr, "%s: %s (\"%s\"), output %s\n", bad->name, mrisynth_status_string(status),
            mrisynth_last_error(), is_blank(bench->result) ? "untouched" : "written");
    ++failures;
  }
  free(call.voxels);
}

static void test_null_arguments(const Bench *bench) {
  const MrisynthImage input = phantom_image(bench->phantom), output = phantom_image(bench->result);
  const MrisynthImage *inputs[2];
  const MrisynthImage *no_input[1] = {NULL};
  const MrisynthOptions options = prepared_options();
  const MrisynthStatus invalid = MRISYNTH_STATUS_INVALID_ARGUMENT;
  inputs[0] = inputs[1] = &input;
  blank(bench->result);
  CHECK_STATUS(mrisynth_synthesize(NULL, inputs, 1, &output, &options), invalid);
  CHECK_STATUS(mrisynth_synthesize(bench->model, NULL, 1, &output, &options), invalid);
  CHECK_STATUS(mrisynth_synthesize(bench->model, no_input, 1, &output, &options), invalid);
  CHECK_STATUS(mrisynth_synthesize(bench->model, inputs, 0, &output, &options), invalid);
  CHECK_STATUS(mrisynth_synthesize(bench->model, inputs, 2, &output, &options), invalid);
  CHECK_STATUS(mrisynth_synthesize(bench->model, inputs, SIZE_MAX, &output, &options), invalid);
  CHECK_STATUS(mrisynth_synthesize(bench->model, inputs, 1, NULL, &options), invalid);
  /* No options are the default ones: a raw scan, as which an ellipsoid is refused. */
  CHECK_STATUS(mrisynth_synthesize(bench->model, inputs, 1, &output, NULL), MRISYNTH_STATUS_REFUSED);
  CHECK(is_blank(bench->result));
}

/* What is refused as implausible goes through with a warning when the caller says so. */
static void test_accepted_doubts(const Bench *bench) {
  Call call;
  Watch watch;
  call.voxels = new_phantom();
  call.input = phantom_image(call.voxels);
  call.output = phantom_image(bench->result);
  call.options = watched_options(&watch, 2);
  in_tiny(&call);
  CHECK_STATUS(synthesize(bench->model, &call.input, &call.output, &call.options), MRISYNTH_STATUS_OK);
  CHECK(watch.lines > 0 && watch.bad_lines == 0);
  /* Without a log the warning is lost, not printed. */
  call.options.log = NULL;
  CHECK_STATUS(synthesize(bench->model, &call.input, &call.output, &call.options), MRISYNTH_STATUS_OK);
  free(call.voxels);
}

static void test_with_model(Bench *bench) {
  size_t n;
  test_synthesis(bench);
  make_reference(bench);
  test_thread_counts(bench);
  test_cancel(bench);
  test_in_place(bench);
  test_newer_structs(bench);
  for (n = 0; n < sizeof variants / sizeof variants[0]; ++n) test_variant(bench, &variants[n]);
  test_other_grid(bench);
  test_null_arguments(bench);
  for (n = 0; n < sizeof bad_calls / sizeof bad_calls[0]; ++n) test_bad_call(bench, &bad_calls[n]);
  test_accepted_doubts(bench);
}

int main(int argc, char **argv) {
  Bench bench;
  test_versions();
  test_cpu_tier();
  test_status_strings();
  test_last_error();
  test_init();
  test_bad_models();
  bench.phantom = new_phantom();
  bench.reference = new_phantom();
  bench.result = new_phantom();
  CHECK_STATUS(mrisynth_model_default(MRISYNTH_CONTRAST_T2W, MRISYNTH_CONTRAST_T1W, &bench.model), MRISYNTH_STATUS_OK);
  if (bench.model != NULL) {
    test_model_info(bench.model);
    if (argc > 1) test_model_file(bench.model, argv[1]);
    test_with_model(&bench);
    mrisynth_model_free(bench.model);
  }
  free(bench.phantom);
  free(bench.reference);
  free(bench.result);
  return failures != 0;
}
