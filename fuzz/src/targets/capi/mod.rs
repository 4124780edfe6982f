//! The C entry points, called with arbitrary arguments as far as the header's promises allow: what is undefined by contract is
//! not done.
#![allow(unsafe_code, reason = "it does what a C program does")]

mod abi;
mod image;
mod synthesis;

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::sync::OnceLock;

use abi::{Image, Model, Options};

use super::take;
use crate::source::Source;
use crate::{files, seeds};

/// `MRISYNTH_STATUS_OK`.
const OK: i32 = 0;
/// `MRISYNTH_STATUS_INVALID_ARGUMENT`.
const INVALID_ARGUMENT: i32 = 1;
/// `MRISYNTH_STATUS_CANCELLED`.
const CANCELLED: i32 = 7;
/// `MRISYNTH_STATUS_INTERNAL`: a defect.
const INTERNAL: i32 = 9;
/// Calls that one input makes, at most.
const MOST_CALLS: usize = 3;
/// Bytes that a struct gets, at most: sizes above are refused, but the promise is that the bytes are there.
const MOST_STRUCT_BYTES: usize = 8192;

/// Of inputs with raw scans, one in so many has its scan taken as one.
pub(crate) const RAW_ONCE_IN: u8 = 64;

/// The sum of bytes, modulo 256.
pub(crate) fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, &byte| sum.wrapping_add(byte))
}

/// Some calls, each after a byte that says which.
pub(super) fn calls(bytes: &[u8]) {
    // A few raw scans are enough, for they take long; which ones must follow from the bytes.
    let may_be_raw = sum(bytes).is_multiple_of(RAW_ONCE_IN);
    let mut source = Source::new(bytes);
    for _ in 0..MOST_CALLS {
        if source.is_empty() {
            return;
        }
        match source.u8() {
            0 => init_image(&mut source),
            1 => init_options(&mut source),
            2 => load(&mut source),
            3 => from_memory(&mut source),
            4 => default(&mut source),
            5 => info(&mut source),
            6 => words(&mut source),
            _ => synthesis::run(&mut source, may_be_raw),
        }
    }
}

/// Checks what a call returned, against what it left as its message.
fn check_status(status: i32) {
    // SAFETY: the message is valid until this thread's next call.
    let message = unsafe { CStr::from_ptr(abi::mrisynth_last_error()) };
    let message = message.to_str().expect("a message is UTF-8");
    assert_ne!(status, INTERNAL, "{message}");
    assert!((OK..INTERNAL).contains(&status), "status {status}");
    assert_eq!(message.is_empty(), status == OK, "{message}");
}

/// A struct size: most often the right one.
fn struct_size(source: &mut Source<'_>, right: usize) -> usize {
    match source.below(8) {
        0 => usize::from(source.u16()) % (MOST_STRUCT_BYTES + 1),
        1 => right + source.below(64),
        2 => right.saturating_sub(source.below(64)),
        _ => right,
    }
}

fn init_image(source: &mut Source<'_>) {
    init(source, size_of::<Image>(), |bytes, size| {
        // SAFETY: `init` gives as many bytes as it says, or NULL.
        unsafe { abi::mrisynth_image_init(bytes.cast(), size) }
    });
}

fn init_options(source: &mut Source<'_>) {
    init(source, size_of::<Options>(), |bytes, size| {
        // SAFETY: `init` gives as many bytes as it says, or NULL.
        unsafe { abi::mrisynth_options_init(bytes.cast(), size) }
    });
}

/// Calls an init function with a struct of some size at any address, and looks that nothing beside it is written.
fn init(source: &mut Source<'_>, right: usize, call: impl Fn(*mut u8, usize) -> i32) {
    const UNTOUCHED: u8 = 0xa5;
    let (size, offset) = (struct_size(source, right), source.below(9));
    if source.below(16) == 1 {
        assert_eq!(call(ptr::null_mut(), size), INVALID_ARGUMENT);
    }
    let mut bytes = vec![UNTOUCHED; offset + size + 16];
    let status = call(bytes[offset..].as_mut_ptr(), size);
    check_status(status);
    let written = if status == OK { offset..offset + size } else { 0..0 };
    let beside = bytes.iter().enumerate().filter(|(at, _)| !written.contains(at));
    assert!(
        beside.into_iter().all(|(_, &byte)| byte == UNTOUCHED),
        "written beside a struct of {size} bytes"
    );
    if status == OK && size >= 4 {
        let said = [0, 1, 2, 3].map(|at| bytes[offset + at]);
        assert_eq!(u32::from_ne_bytes(said) as usize, size);
        take();
    }
}

/// Receives a handle, looks at it and frees it.
fn receive(call: impl FnOnce(*mut *mut Model) -> i32) {
    let mut model: *mut Model = ptr::dangling_mut();
    let status = call(&raw mut model);
    check_status(status);
    assert_eq!(model.is_null(), status != OK);
    if status == OK {
        // SAFETY: a live handle and C strings.
        let hash = unsafe { abi::mrisynth_model_info(model, c"sha256".as_ptr()) };
        assert!(!hash.is_null());
        take();
    }
    // SAFETY: a live handle that nothing uses any more, or NULL.
    unsafe { abi::mrisynth_model_free(model) };
}

/// A path; relative ones lead into this process's own files, so that nothing of this machine is read.
fn load(source: &mut Source<'_>) {
    let how = source.below(8);
    let name: Vec<u8> = source.bytes(64).iter().copied().filter(|&byte| byte != 0 && byte != b'/').collect();
    if how == 0 {
        // SAFETY: NULL is allowed, and refused.
        receive(|model| unsafe { abi::mrisynth_model_load(ptr::null(), model) });
        // SAFETY: the same.
        check_status(unsafe { abi::mrisynth_model_load(c"model.onnx".as_ptr(), ptr::null_mut()) });
        return;
    }
    let folder = files::put("model.onnx", &seeds::model::stub());
    let folder = folder.parent().expect("a file lies in a folder").as_os_str().as_encoded_bytes();
    let name = if how == 1 { b"model.onnx".to_vec() } else { name };
    let path = CString::new([folder, b"/", &name].concat()).expect("there is no NUL in it");
    // SAFETY: a C string, and a place for the handle.
    receive(|model| unsafe { abi::mrisynth_model_load(path.as_ptr(), model) });
}

fn from_memory(source: &mut Source<'_>) {
    let how = source.below(8);
    if how == 0 {
        // SAFETY: NULL is allowed, and refused.
        receive(|model| unsafe { abi::mrisynth_model_from_memory(ptr::null(), usize::MAX, model) });
        return;
    }
    let mut bytes = seeds::model::stub();
    if how == 1 {
        // A patch somewhere.
        let at = usize::from(source.u16()) % bytes.len();
        let patch = source.bytes(8);
        bytes.splice(at..(at + patch.len()).min(bytes.len()), patch.iter().copied());
    } else if how == 2 {
        bytes = source.bytes(256).to_vec();
    }
    // SAFETY: the bytes are there, and a place for the handle.
    receive(|model| unsafe { abi::mrisynth_model_from_memory(bytes.as_ptr().cast(), bytes.len(), model) });
}

fn default(source: &mut Source<'_>) {
    let (from, to) = (source.u32(), source.pick(&[0, 1, 2, 3, u32::MAX]));
    // The default models take a while to load, and are no untrusted input.
    if !([1, 2].contains(&from) && [1, 2].contains(&to) && from != to) {
        // SAFETY: a place for the handle.
        receive(|model| unsafe { abi::mrisynth_model_default(from, to, model) });
    }
    // SAFETY: NULL is allowed, and refused.
    assert_eq!(unsafe { abi::mrisynth_model_default(from, to, ptr::null_mut()) }, INVALID_ARGUMENT);
}

fn info(source: &mut Source<'_>) {
    let how = source.below(8);
    let key: Vec<u8> = source.bytes(32).iter().copied().filter(|&byte| byte != 0).collect();
    let key = CString::new(key).expect("there is no NUL in it");
    let key = if how == 0 { ptr::null() } else { key.as_ptr() };
    let model = if how == 1 { ptr::null() } else { stub(how) };
    // SAFETY: a live handle or NULL, and a C string or NULL.
    let value = unsafe { abi::mrisynth_model_info(model, key) };
    if !value.is_null() {
        // SAFETY: a value is a C string that lives as long as the model, which is never freed.
        unsafe { CStr::from_ptr(value) }.to_str().expect("a value is UTF-8");
        take();
    }
    if how <= 1 {
        assert!(value.is_null());
    }
}

fn words(source: &mut Source<'_>) {
    let status = source.u32() as i32;
    // SAFETY: these take numbers and give C strings in static storage.
    let words =
        unsafe { [abi::mrisynth_status_string(status), abi::mrisynth_version(), abi::mrisynth_cpu_tier()] };
    for word in words {
        // SAFETY: as above.
        assert!(!unsafe { CStr::from_ptr(word) }.to_str().expect("words are UTF-8").is_empty());
    }
    // SAFETY: it takes nothing.
    assert_eq!(unsafe { abi::mrisynth_abi_version() }, 1);
}

/// A small model that lives as long as the process.
fn stub(which: usize) -> *const Model {
    static STUBS: OnceLock<[usize; 2]> = OnceLock::new();
    let load = |bytes: Vec<u8>| {
        let mut model = ptr::null_mut();
        let (start, size) = (bytes.as_ptr().cast::<c_void>(), bytes.len());
        // SAFETY: the bytes are there, and a place for the handle.
        assert_eq!(unsafe { abi::mrisynth_model_from_memory(start, size, &raw mut model) }, OK);
        model.expose_provenance()
    };
    let stubs = STUBS.get_or_init(|| [load(seeds::model::stub()), load(seeds::model::stub_of_three())]);
    ptr::with_exposed_provenance(stubs[which % 2])
}

/// A line of the log, by its pointer.
///
/// # Safety
/// A C string.
unsafe fn line(message: *const c_char) -> Result<String, String> {
    // SAFETY: the promise.
    let line = unsafe { CStr::from_ptr(message) };
    let line = line.to_str().map_err(|fault| fault.to_string())?;
    if line.contains(['\n', '\r']) { Err(format!("{line:?} is more than one line")) } else { Ok(line.into()) }
}
