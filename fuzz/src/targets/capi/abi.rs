//! What `include/mrisynth.h` declares, as far as it is called here. The library is linked as a C program links it: by name.

use std::ffi::{c_char, c_void};

/// `MrisynthImage`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Image {
    pub(super) struct_size: u32,
    pub(super) dtype: u32,
    pub(super) data: *mut c_void,
    pub(super) dims: [u64; 3],
    pub(super) strides: [i64; 3],
    pub(super) index_to_lps: [f64; 16],
}

/// `MrisynthOptions`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    pub(super) struct_size: u32,
    pub(super) num_threads: u32,
    pub(super) input_state: u32,
    pub(super) accept_implausible: u32,
    pub(super) memory_limit: u64,
    pub(super) progress: Option<unsafe extern "C" fn(f32, *mut c_void) -> i32>,
    pub(super) log: Option<unsafe extern "C" fn(i32, *const c_char, *mut c_void)>,
    pub(super) user_data: *mut c_void,
}

/// `MrisynthModel`.
#[repr(C)]
pub(super) struct Model {
    opaque: [u8; 0],
}

unsafe extern "C" {
    pub(super) fn mrisynth_abi_version() -> u32;
    pub(super) fn mrisynth_version() -> *const c_char;
    pub(super) fn mrisynth_cpu_tier() -> *const c_char;
    pub(super) fn mrisynth_status_string(status: i32) -> *const c_char;
    pub(super) fn mrisynth_last_error() -> *const c_char;
    pub(super) fn mrisynth_image_init(image: *mut Image, struct_size: usize) -> i32;
    pub(super) fn mrisynth_options_init(options: *mut Options, struct_size: usize) -> i32;
    pub(super) fn mrisynth_model_default(source: u32, target: u32, model: *mut *mut Model) -> i32;
    pub(super) fn mrisynth_model_load(utf8_path: *const c_char, model: *mut *mut Model) -> i32;
    pub(super) fn mrisynth_model_from_memory(
        bytes: *const c_void,
        size: usize,
        model: *mut *mut Model,
    ) -> i32;
    pub(super) fn mrisynth_model_free(model: *mut Model);
    pub(super) fn mrisynth_model_info(model: *const Model, key: *const c_char) -> *const c_char;
    pub(super) fn mrisynth_synthesize(
        model: *const Model,
        inputs: *const *const Image,
        n_inputs: usize,
        output: *const Image,
        options: *const Options,
    ) -> i32;
}
