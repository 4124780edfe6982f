//! The synthesis itself: a caller's image in, a caller's image out.

use safer_ffi::ffi_export;

use super::boundary::{self, enter};
use super::image::{Buffer, MrisynthImage};
use super::model::MrisynthModel;
use super::options::{MrisynthOptions, Settings};
use super::status::MrisynthStatus;
use crate::{Error, Result};

/// Checks everything, copies the input, synthesizes, and only then writes the output.
///
/// # Safety
/// That of [`mrisynth_synthesize`].
unsafe fn synthesize(
    model: *const MrisynthModel,
    inputs: *const *const MrisynthImage,
    n_inputs: usize,
    output: *const MrisynthImage,
    options: *const MrisynthOptions,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let (model, settings, input, output) = unsafe {
        let model = boundary::required(model, "model")?;
        let settings = Settings::new(options)?;
        let input = Buffer::new(only_input(inputs, n_inputs)?, "inputs[0]")?;
        (model, settings, input, Buffer::new(output, "output")?)
    };
    if let Some(limit) = settings.memory_limit().filter(|&limit| limit < input.volume_bytes()) {
        let bytes = input.volume_bytes();
        return Err(Error::OutOfMemory(format!("the input takes {bytes} bytes, over the limit of {limit}")));
    }
    // SAFETY: the caller's promise.
    let scan = unsafe { input.read() }?;
    let synthesized = settings
        .with(|options, control| crate::synthesize(model.model(), &scan, &output.grid, options, control))?;
    // SAFETY: the caller's promise. The input was copied, so the output may lie over it.
    unsafe { output.write(&synthesized) }
}

/// The one input that the models of this version take.
///
/// # Safety
/// A non-NULL `inputs` is the start of `n_inputs` pointers.
unsafe fn only_input(inputs: *const *const MrisynthImage, n_inputs: usize) -> Result<*const MrisynthImage> {
    if inputs.is_null() {
        return Err(boundary::null("inputs"));
    }
    if n_inputs != 1 {
        return Err(Error::InvalidArgument(format!("{n_inputs} inputs: this version takes one")));
    }
    // SAFETY: not NULL, and otherwise the caller's promise.
    Ok(unsafe { inputs.read_unaligned() })
}

/// Writes the synthesized contrast into output, on output's own grid and in its own voxel type; usually a copy of the
/// input's geometry with a buffer of its own. Floats take 0..1, 8-bit integers 0..255 and 16-bit integers 0..1000,
/// rounded half to even; 0 is background. The same input and model give the same bytes for every num_threads.
///
/// inputs are n_inputs pointers, so that the struct can grow; n_inputs must be 1 in this version. options may be NULL
/// for the defaults. The output buffer is written only on success, after the last call of progress; it may be the
/// input's. Nothing of either buffer may change from outside during the call.
///
/// A raw scan (MRISYNTH_INPUT_RAW) is prepared first: its brain is found, its bias field corrected, and it is registered to
/// MNI152. progress covers all of it, and is called at least every 100 ms.
///
/// MRISYNTH_STATUS_INVALID_ARGUMENT for NULL, wrong sizes, strides and counts; _UNSUPPORTED for an unknown voxel type;
/// _BAD_IMAGE for an affine or voxels that no brain scan has; _REFUSED for a scan that does not look like a head, like a
/// prepared one where it is called so (whole, and the right way up), or of the contrast that the model reads, with the
/// reason; _OUT_OF_MEMORY; _CANCELLED.
///
/// The caller promises that non-NULL pointers are what they are declared to be: a live model, n_inputs pointers to
/// structs with the bytes they say they have, buffers with the bytes that dims, strides and dtype describe, callbacks
/// that may be called.
#[ffi_export]
pub unsafe extern "C" fn mrisynth_synthesize(
    model: *const MrisynthModel,
    inputs: *const *const MrisynthImage,
    n_inputs: usize,
    output: *const MrisynthImage,
    options: *const MrisynthOptions,
) -> MrisynthStatus {
    // SAFETY: the caller's promise.
    enter(|| unsafe { synthesize(model, inputs, n_inputs, output, options) })
}
