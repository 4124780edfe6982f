/* In place of the library's own function, where it comes first: a library that knows a status which the header does
 * not, and says nothing about it. */
#include "mrisynth.h"

MrisynthStatus mrisynth_model_default(uint32_t source_contrast, uint32_t target_contrast, MrisynthModel **model) {
  (void)target_contrast;
  *model = NULL;
  return source_contrast == MRISYNTH_CONTRAST_T1W ? MRISYNTH_STATUS_INTERNAL : 77;
}
