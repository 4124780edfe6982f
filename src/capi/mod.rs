//! The C interface: everything that `include/mrisynth.h` declares, as thin functions over the safe library.
//!
//! What holds for all of it:
//!
//! - **Names.** Functions are `mrisynth_*`, types `Mrisynth*`, constants `MRISYNTH_*`. The header is generated from
//!   this folder; the library exports these functions and nothing else.
//! - **Bodies.** An exported function is one line: it enters through [`boundary`], which catches panics, turns errors
//!   into status codes and keeps the thread's last message. Pointers are turned into safe values in [`boundary`],
//!   [`versioned`] and [`image`]; the rest is ordinary code.
//! - **NULL.** A NULL where the header does not allow it is `MRISYNTH_STATUS_INVALID_ARGUMENT`, never a crash.
//! - **Numbers for enums.** They arrive as plain integers, so that an unknown one is an error and not undefined
//!   behaviour.
//! - **Structs that grow.** They begin with `struct_size`; see [`versioned`].
//! - **Ownership.** The caller owns every buffer and struct; nothing of them is kept after a call. The library owns
//!   model handles, until `mrisynth_model_free`. Outputs are written only on success.
//! - **Threads.** Every function may be called from any thread at any time; a model may be used by many threads at
//!   once. The last message belongs to the thread.
//! - **Callbacks.** They must return: no C++ exception and no `longjmp` may leave one.
#![allow(unsafe_code, reason = "C passes raw pointers; the rest of the library stays without unsafe code")]

mod boundary;
mod image;
mod layout;
mod model;
mod options;
mod status;
mod synthesize;
mod versioned;

use std::ffi::{CStr, c_char};

use safer_ffi::ffi_export;

use crate::kernels::Tier;

/// Version of the binary interface. It changes only when an existing declaration changes meaning; it is the number in
/// the shared library's SONAME.
pub const MRISYNTH_ABI_VERSION: u32 = 1;

/// The library's version with the NUL that C wants.
const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("the version holds a NUL"),
};

/// The MRISYNTH_ABI_VERSION that the library was built with. A program may compare it with the header's.
#[ffi_export]
pub unsafe extern "C" fn mrisynth_abi_version() -> u32 {
    MRISYNTH_ABI_VERSION
}

/// The library's version, "major.minor.patch", in static storage.
#[ffi_export]
pub unsafe extern "C" fn mrisynth_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The instructions that this process runs networks with, in static storage: "avx512", "avx2", "neon", "generic" (what every
/// processor of the architecture has), or "none" where the environment variable MRISYNTH_KERNELS asks for that. Chosen at
/// the first use for the processor at hand. Images of different ones agree up to rounding, those of one to the byte. Names may
/// be added.
#[ffi_export]
pub unsafe extern "C" fn mrisynth_cpu_tier() -> *const c_char {
    cpu_tier().as_ptr()
}

fn cpu_tier() -> &'static CStr {
    let named = TIERS.iter().find(|tier| tier.to_bytes() == Tier::current_name().as_bytes());
    named.copied().unwrap_or(c"unknown")
}

/// The names of tiers with the NUL that C wants.
const TIERS: [&CStr; 5] = [c"generic", c"avx2", c"avx512", c"neon", c"none"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_programs_are_told_the_tier_in_use() {
        assert_eq!(cpu_tier().to_str(), Ok(Tier::current_name()));
        for tier in Tier::available().filter(|tier| *tier != Tier::Wide) {
            assert!(TIERS.iter().any(|name| name.to_str() == Ok(tier.name())), "{tier}");
        }
    }
}
