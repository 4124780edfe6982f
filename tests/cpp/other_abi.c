/* In place of the library's own function, where it comes first: a library with a newer binary interface. */
#include <stdint.h>

uint32_t mrisynth_abi_version(void);

uint32_t mrisynth_abi_version(void) { return 2; }
