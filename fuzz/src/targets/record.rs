//! The record that an image carries, and the file beside it: what `mrisynth verify` reads.

use std::sync::OnceLock;

use mrisynth::nifti::{self, Header, VoxelType, WriteOptions};
use mrisynth::provenance::{Evidence, Outcome, Verification, verify};
use mrisynth::{Affine, Grid, Volume};

use super::{sound, take};
use crate::{files, seeds};

/// Of records that name a model, one in so many is compared with those inside the library, which take long to load.
const EMBEDDED_ONCE_IN: u8 = 64;

/// A byte, the record in an image, a NUL, and what is beside it: bit 1 of the byte says that there is something, bit 2 that it is the
/// same.
pub(super) fn read(bytes: &[u8]) {
    let Some((how, texts)) = bytes.split_first() else { return };
    let mut texts = texts.splitn(2, |&byte| byte == 0);
    let record = texts.next().unwrap_or_default();
    let beside = if how & 2 == 2 { record } else { texts.next().unwrap_or_default() };
    // What is no text can be in no extension; `nifti_read` has files with any bytes there.
    let Ok(record) = std::str::from_utf8(record) else { return };
    let path = files::path("made.nii");
    write(record);
    if how & 1 == 1 {
        files::put("made.json", beside);
    }
    let outcome = verify(&path, &evidence(bytes));
    if how & 1 == 1 {
        std::fs::remove_file(files::path("made.json")).expect("a file can be removed");
    }
    if let Some(verification) = sound(outcome) {
        check(&verification);
        take();
    }
}

fn evidence(bytes: &[u8]) -> Evidence {
    static STUB: OnceLock<Vec<u8>> = OnceLock::new();
    let sum = bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
    let is_given = !sum.is_multiple_of(EMBEDDED_ONCE_IN);
    let model = is_given.then(|| files::put("model.onnx", STUB.get_or_init(seeds::model::stub)));
    Evidence { input: None, model }
}

/// The image that is in the seeds' records.
pub(crate) fn image() -> Volume {
    let affine = Affine::from_sizes([1.0, 2.0, 3.0], [-1.0, 0.0, 1.0]).expect("an affine");
    let mut volume = Volume::zeros(&Grid { dims: [3, 2, 2], affine }).expect("so few voxels can be had");
    volume
        .as_mut_slice()
        .iter_mut()
        .zip(0_u8..)
        .for_each(|(voxel, number)| *voxel = f32::from(number) / 12.0);
    volume
}

/// What its header says.
pub(crate) const DESCRIPTION: &str = "SYNTHETIC T1w by a test";

fn write(record: &str) {
    let options = WriteOptions {
        voxel_type: VoxelType::Float32,
        description: DESCRIPTION,
        extension: Some(record),
        overwrite: true,
    };
    let volume = image();
    let header = Header::for_grid(&volume.grid());
    nifti::write(&files::path("made.nii"), &volume, &header, &options)
        .expect("a record without NUL is written");
}

/// Only a record with this image's voxels and place may pass.
fn check(verification: &Verification) {
    let outcome = |name: &str| {
        verification.checks.iter().find(|check| check.name == name).expect("each comparison is made").outcome
    };
    let image = &verification.record["Image"];
    let voxels = nifti::voxels_sha256(&self::image(), VoxelType::Float32);
    if image["VoxelType"] == "float32" {
        assert_eq!(outcome("voxels") == Outcome::Passed, image["VoxelsSHA256"] == voxels.as_str());
    }
    if outcome("geometry") == Outcome::Passed {
        assert_eq!(image["Dims"], serde_json::json!([3, 2, 2]));
    }
    let description = &verification.record["Description"];
    assert_eq!(outcome("description") == Outcome::Passed, description == DESCRIPTION);
    let failed = verification.checks.iter().any(|check| check.outcome == Outcome::Failed);
    assert_eq!(verification.passed(), !failed);
}
