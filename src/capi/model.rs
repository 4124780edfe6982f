//! Model handles: made, asked, freed.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;

use safer_ffi::{derive_ReprC, ffi_export};

use super::boundary::{self, enter, enter_quietly, hand_out};
use super::status::{MrisynthStatus, c_string};
use crate::model::{Contrast, LoadOptions, Model};
use crate::{Error, Result};

/// Contrasts that a default model can be asked for.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MrisynthContrast {
    /// T1-weighted.
    T1w = 1,
    /// T2-weighted.
    T2w = 2,
}

/// A loaded model: immutable, shared freely between threads.
#[derive_ReprC]
#[repr(opaque)]
pub struct MrisynthModel {
    model: Model,
    /// The card for C: values live as long as the handle.
    card: BTreeMap<CString, CString>,
}

impl MrisynthModel {
    fn new(model: Model) -> Self {
        let card = model.card();
        let (source, target) = (card.source.to_string(), card.target.to_string());
        // What the library made of the file comes after the file's own words, and replaces them.
        let known = [("source", source.as_str()), ("target", target.as_str()), ("sha256", model.sha256())];
        let entries = card.entries().chain(known);
        let card = entries.map(|(key, value)| (c_string(key), c_string(value))).collect();
        Self { model, card }
    }

    fn embedded(source: u32, target: u32) -> Result<Self> {
        let source = contrast_from(source, "source")?;
        let target = contrast_from(target, "target")?;
        Model::embedded(source, target).map(Self::new)
    }

    fn open(path: &str) -> Result<Self> {
        Model::open(Path::new(path), &LoadOptions::default()).map(Self::new)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Model::from_bytes(bytes, &LoadOptions::default()).map(Self::new)
    }

    fn info(&self, key: &CStr) -> Option<&CStr> {
        self.card.get(key).map(CString::as_c_str)
    }

    /// The model itself.
    pub(super) fn model(&self) -> &Model {
        &self.model
    }
}

fn contrast_from(number: u32, role: &str) -> Result<Contrast> {
    match number {
        _ if number == MrisynthContrast::T1w as u32 => Ok(Contrast::T1w),
        _ if number == MrisynthContrast::T2w as u32 => Ok(Contrast::T2w),
        _ => Err(Error::InvalidArgument(format!(
            "{role} contrast {number}: must be one of MRISYNTH_CONTRAST_*"
        ))),
    }
}

/// Loads the model that is built into the library, from one of MRISYNTH_CONTRAST_* to another.
///
/// On success *model is a handle to free with mrisynth_model_free(), otherwise NULL.
/// MRISYNTH_STATUS_INVALID_ARGUMENT for NULL, unknown or equal contrasts, MRISYNTH_STATUS_UNSUPPORTED if this build has
/// no such model.
///
/// The caller promises: a non-NULL model may be written.
#[ffi_export]
pub unsafe extern "C" fn mrisynth_model_default(
    source_contrast: u32,
    target_contrast: u32,
    model: *mut *mut MrisynthModel,
) -> MrisynthStatus {
    // SAFETY: the caller's promise.
    enter(|| unsafe {
        hand_out(model, "model", || MrisynthModel::embedded(source_contrast, target_contrast))
    })
}

/// Loads a model file (ONNX, with the card inside). Where a file of the same name with ".sha256" added lies beside it,
/// that SHA-256 is checked.
///
/// On success *model is a handle to free with mrisynth_model_free(), otherwise NULL.
/// MRISYNTH_STATUS_INVALID_ARGUMENT for NULL or a path that is not UTF-8, MRISYNTH_STATUS_IO if the file cannot be read,
/// MRISYNTH_STATUS_BAD_MODEL if it is not a model that this library runs.
///
/// The caller promises: a non-NULL utf8_path is a NUL-terminated string; a non-NULL model may be written.
#[ffi_export]
pub unsafe extern "C" fn mrisynth_model_load(
    utf8_path: *const c_char,
    model: *mut *mut MrisynthModel,
) -> MrisynthStatus {
    // SAFETY: the caller's promise.
    enter(|| unsafe {
        hand_out(model, "model", || MrisynthModel::open(boundary::text(utf8_path, "utf8_path")?))
    })
}

/// Loads a model file that is in memory: size bytes, of which nothing is kept.
///
/// On success *model is a handle to free with mrisynth_model_free(), otherwise NULL.
/// MRISYNTH_STATUS_INVALID_ARGUMENT for NULL, MRISYNTH_STATUS_BAD_MODEL if it is not a model that this library runs.
///
/// The caller promises: a non-NULL bytes is the start of size readable bytes; a non-NULL model may be written.
#[ffi_export]
pub unsafe extern "C" fn mrisynth_model_from_memory(
    bytes: *const c_void,
    size: usize,
    model: *mut *mut MrisynthModel,
) -> MrisynthStatus {
    // SAFETY: the caller's promise.
    enter(|| unsafe {
        hand_out(model, "model", || MrisynthModel::from_bytes(boundary::bytes(bytes, size, "bytes")?))
    })
}

/// Frees a model that no call uses any more, and the strings it gave. NULL is fine.
///
/// The caller promises: a non-NULL model came from this library and was not freed yet.
#[ffi_export]
pub unsafe extern "C" fn mrisynth_model_free(model: *mut MrisynthModel) {
    // SAFETY: the caller's promise: `hand_out` made it with `Box::into_raw`.
    enter_quietly(|| (!model.is_null()).then(|| drop(unsafe { Box::from_raw(model) })));
}

/// A value of the model's card in UTF-8: "source" and "target" (T1w or T2w), "name", "version", "sha256" (of the model
/// file), "license" and whatever else the file says of itself. NULL for an unknown key, or if model or key is NULL.
/// Lives as long as the model.
///
/// The caller promises: a non-NULL model is a live handle, a non-NULL key a NUL-terminated string.
#[ffi_export]
pub unsafe extern "C" fn mrisynth_model_info(
    model: *const MrisynthModel,
    key: *const c_char,
) -> *const c_char {
    // SAFETY: the caller's promise.
    let value = enter_quietly(|| unsafe { model.as_ref()?.info(boundary::optional_text(key)?) });
    value.map_or(std::ptr::null(), CStr::as_ptr)
}
