//! NRRD files, as Slicer hands them to the command-line module.

use mrisynth::Limits;

use super::{sound, take};
use crate::files;

#[allow(dead_code, unused_imports, reason = "the module's own sources, of which the reader is wanted here")]
#[path = "../../../bindings/slicer/cli/src/nrrd/mod.rs"]
mod module;

/// The bytes of a file.
pub(super) fn read(bytes: &[u8]) {
    let limits = Limits { max_voxels: 1 << 20, ..Limits::default() };
    let Some(image) = sound(module::read(&files::put("scan.nrrd", bytes), &limits)) else { return };
    take();
    // What was read can be written, and is the same when it is read again.
    let path = files::path("again.nrrd");
    module::write(&path, &image.volume, &image.content, "{}\n").expect("what was read can be written");
    let again = module::read(&path, &limits).expect("what was written can be read");
    assert_eq!(image.volume.grid(), again.volume.grid());
    let bits = |value: &f32| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() };
    assert!(
        image.volume.as_slice().iter().map(bits).eq(again.volume.as_slice().iter().map(bits)),
        "voxels changed on their way"
    );
}
