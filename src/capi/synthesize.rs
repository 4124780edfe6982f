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

#[cfg(test)]
mod tests {
    use std::ptr;

    use super::*;
    use crate::capi::image::mrisynth_image_init;
    use crate::capi::model::{mrisynth_model_free, mrisynth_model_from_memory};
    use crate::capi::options::{MrisynthInput, mrisynth_options_init};
    use crate::capi::status::mrisynth_last_error;
    use crate::known_models;

    /// The shortest scan that is not refused, with a brain so small that few slices are run.
    const DIMS: [usize; 3] = [15, 15, 15];
    const SIZE: f64 = 2.0;
    const VOXELS: usize = DIMS[0] * DIMS[1] * DIMS[2];

    /// Two voxels in the middle that differ, among zeros.
    fn scan() -> Vec<f32> {
        let mut voxels = vec![0.0; VOXELS];
        voxels[VOXELS / 2..VOXELS / 2 + 2].copy_from_slice(&[100.0, 80.0]);
        voxels
    }

    /// Every function that a synthesis needs, as C calls them; small enough for Miri, which must find nothing wrong in it.
    #[test]
    fn a_whole_call_through_the_interface_of_c() {
        let file = known_models::middle_slice(3);
        let (mut voxels, mut result) = (scan(), vec![f32::NAN; VOXELS]);
        let mut model = ptr::null_mut();
        // SAFETY: all pointers are to what is declared, and the buffers hold as many floats as the images say.
        let status = unsafe {
            assert_eq!(mrisynth_model_from_memory(file.as_ptr().cast(), file.len(), &raw mut model), 0);
            let mut image = std::mem::zeroed::<MrisynthImage>();
            assert_eq!(mrisynth_image_init(&raw mut image, size_of::<MrisynthImage>()), 0);
            image.dims = DIMS.map(|length| length as u64);
            image.data = voxels.as_mut_ptr().cast();
            image.index_to_lps = image.index_to_lps.map(|entry| SIZE * entry);
            image.index_to_lps[15] = 1.0;
            let output = MrisynthImage { data: result.as_mut_ptr().cast(), ..image };
            let mut options = std::mem::zeroed::<MrisynthOptions>();
            assert_eq!(mrisynth_options_init(&raw mut options, size_of::<MrisynthOptions>()), 0);
            options.input_state = MrisynthInput::Prepared as u32;
            options.accept_implausible = 1;
            options.num_threads = 2;
            let inputs = [&raw const image];
            let status =
                mrisynth_synthesize(model, inputs.as_ptr(), 1, &raw const output, &raw const options);
            mrisynth_model_free(model);
            status
        };
        // SAFETY: valid until this thread's next call.
        let message = unsafe { std::ffi::CStr::from_ptr(mrisynth_last_error()) };
        assert_eq!(status, 0, "{message:?}");
        // The model shows its input, on a scale whose 1 is about the largest value, after two interpolations.
        for (made, given) in result.iter().zip(&voxels) {
            assert!(
                (made - given / 100.0).abs() < 0.1 && (*made == 0.0) == (*given == 0.0),
                "{made} for {given}"
            );
        }
    }
}
