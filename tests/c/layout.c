/* Sizes, offsets, types and values of mrisynth.h against what the interface promises, in C99 and C++17 alike. It needs
 * the header only: nothing is linked. */
#include "mrisynth.h"

#include <stdio.h>

static int failures = 0;

#define CHECK(condition)                                                     \
  do {                                                                       \
    if (!(condition)) {                                                      \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
      ++failures;                                                            \
    }                                                                        \
  } while (0)

/* Each of these compiles only if the declaration has the promised type. */
typedef uint32_t (*AbiVersion)(void);
typedef const char *(*Version)(void);
typedef const char *(*StatusString)(int32_t);
typedef const char *(*LastError)(void);
typedef int32_t (*OptionsInit)(MrisynthOptions *, size_t);
typedef int32_t (*ImageInit)(MrisynthImage *, size_t);
typedef int32_t (*ModelDefault)(uint32_t, uint32_t, MrisynthModel **);
typedef int32_t (*ModelLoad)(const char *, MrisynthModel **);
typedef int32_t (*ModelFromMemory)(const void *, size_t, MrisynthModel **);
typedef void (*ModelFree)(MrisynthModel *);
typedef const char *(*ModelInfo)(const MrisynthModel *, const char *);
typedef int32_t (*Synthesize)(const MrisynthModel *, const MrisynthImage *const *, size_t, const MrisynthImage *,
                              const MrisynthOptions *);

#define SAME_TYPE(type, function) (sizeof(1 ? (type)0 : (function)))

static void check_functions(void) {
  CHECK(SAME_TYPE(AbiVersion, mrisynth_abi_version));
  CHECK(SAME_TYPE(Version, mrisynth_version));
  CHECK(SAME_TYPE(Version, mrisynth_cpu_tier));
  CHECK(SAME_TYPE(StatusString, mrisynth_status_string));
  CHECK(SAME_TYPE(LastError, mrisynth_last_error));
  CHECK(SAME_TYPE(OptionsInit, mrisynth_options_init));
  CHECK(SAME_TYPE(ImageInit, mrisynth_image_init));
  CHECK(SAME_TYPE(ModelDefault, mrisynth_model_default));
  CHECK(SAME_TYPE(ModelLoad, mrisynth_model_load));
  CHECK(SAME_TYPE(ModelFromMemory, mrisynth_model_from_memory));
  CHECK(SAME_TYPE(ModelFree, mrisynth_model_free));
  CHECK(SAME_TYPE(ModelInfo, mrisynth_model_info));
  CHECK(SAME_TYPE(Synthesize, mrisynth_synthesize));
}

static void check_values(void) {
  CHECK(MRISYNTH_ABI_VERSION == 1);
  CHECK(MRISYNTH_STATUS_OK == 0);
  CHECK(MRISYNTH_STATUS_INVALID_ARGUMENT == 1);
  CHECK(MRISYNTH_STATUS_IO == 2);
  CHECK(MRISYNTH_STATUS_BAD_MODEL == 3);
  CHECK(MRISYNTH_STATUS_BAD_IMAGE == 4);
  CHECK(MRISYNTH_STATUS_UNSUPPORTED == 5);
  CHECK(MRISYNTH_STATUS_OUT_OF_MEMORY == 6);
  CHECK(MRISYNTH_STATUS_CANCELLED == 7);
  CHECK(MRISYNTH_STATUS_REFUSED == 8);
  CHECK(MRISYNTH_STATUS_INTERNAL == 9);
  CHECK(MRISYNTH_DTYPE_U8 == 1);
  CHECK(MRISYNTH_DTYPE_I16 == 2);
  CHECK(MRISYNTH_DTYPE_U16 == 3);
  CHECK(MRISYNTH_DTYPE_F16 == 4);
  CHECK(MRISYNTH_DTYPE_F32 == 5);
  CHECK(MRISYNTH_DTYPE_F64 == 6);
  CHECK(MRISYNTH_CONTRAST_T1W == 1);
  CHECK(MRISYNTH_CONTRAST_T2W == 2);
  CHECK(MRISYNTH_INPUT_RAW == 0);
  CHECK(MRISYNTH_INPUT_PREPARED == 1);
}

/* A member begins where the one before it ends, rounded up to its own alignment. */
#define FOLLOWS(type, member, before, alignment)                                                       \
  CHECK(offsetof(type, member) == (offsetof(type, before) + sizeof(((type *)0)->before) + (alignment) - 1) / \
                                      (alignment) * (alignment))

static void check_image(void) {
  MrisynthImage image;
  uint32_t *size = &image.struct_size;
  uint32_t *dtype = &image.dtype;
  void **data = &image.data;
  uint64_t(*dims)[3] = &image.dims;
  int64_t(*strides)[3] = &image.strides;
  double(*index_to_lps)[16] = &image.index_to_lps;
  (void)size, (void)dtype, (void)data, (void)dims, (void)strides, (void)index_to_lps;
  CHECK(offsetof(MrisynthImage, struct_size) == 0);
  CHECK(offsetof(MrisynthImage, dtype) == 4);
  FOLLOWS(MrisynthImage, data, dtype, sizeof(void *));
  CHECK(offsetof(MrisynthImage, strides) == offsetof(MrisynthImage, dims) + 24);
  CHECK(offsetof(MrisynthImage, index_to_lps) == offsetof(MrisynthImage, strides) + 24);
  if (sizeof(void *) == 8) {
    CHECK(offsetof(MrisynthImage, dims) == 16);
    CHECK(sizeof(MrisynthImage) == 192);
  }
}

static void check_options(void) {
  MrisynthOptions options;
  uint32_t *size = &options.struct_size;
  uint32_t *num_threads = &options.num_threads;
  uint32_t *input_state = &options.input_state;
  uint32_t *accept_implausible = &options.accept_implausible;
  uint64_t *memory_limit = &options.memory_limit;
  int32_t (**progress)(float, void *) = &options.progress;
  void (**log)(int32_t, const char *, void *) = &options.log;
  void **user_data = &options.user_data;
  MrisynthProgressFn *named_progress = progress;
  MrisynthLogFn *named_log = log;
  (void)size, (void)num_threads, (void)input_state, (void)accept_implausible, (void)memory_limit;
  (void)named_progress, (void)named_log, (void)user_data;
  CHECK(offsetof(MrisynthOptions, struct_size) == 0);
  CHECK(offsetof(MrisynthOptions, num_threads) == 4);
  CHECK(offsetof(MrisynthOptions, input_state) == 8);
  CHECK(offsetof(MrisynthOptions, accept_implausible) == 12);
  CHECK(offsetof(MrisynthOptions, memory_limit) == 16);
  CHECK(offsetof(MrisynthOptions, progress) == 24);
  FOLLOWS(MrisynthOptions, log, progress, sizeof(void *));
  FOLLOWS(MrisynthOptions, user_data, log, sizeof(void *));
  if (sizeof(void *) == 8) CHECK(sizeof(MrisynthOptions) == 48);
}

int main(void) {
  /* A status is an int32_t, in C++ too: this compiles, and the size is right. */
  MrisynthStatus status = 3;
  int32_t *number = &status;
  CHECK(sizeof status == 4 && *number == 3);
  check_functions();
  check_values();
  check_image();
  check_options();
  return failures != 0;
}
