//! Records of images, as `targets::record` reads them.

use mrisynth::nifti::{VoxelType, voxels_sha256};
use serde_json::{Value, json};

use super::{model, named};
use crate::Seed;
use crate::targets::record::{DESCRIPTION, image};

fn record() -> Value {
    let image = image();
    json!({
        "Synthetic": true,
        "SyntheticContrast": "T1w",
        "Description": DESCRIPTION,
        "Sources": ["scan.nii.gz"],
        "InputSHA256": "ab",
        "GeneratedBy": [{
            "Name": "mrisynth",
            "Version": "0.1.0",
            "Model": { "name": "test", "version": "1", "sha256": mrisynth::digest::sha256(&model::stub()) },
        }],
        "Image": {
            "Dims": image.dims(),
            "IndexToLPS": image.affine().to_lps().as_flattened(),
            "VoxelType": "float32",
            "VoxelsSHA256": voxels_sha256(&image, VoxelType::Float32),
        },
    })
}

/// The record, with a change.
fn changed(pointer: &str, value: Value) -> String {
    let mut record = record();
    *record.pointer_mut(pointer).expect("the record has it") = value;
    record.to_string()
}

pub(crate) fn records() -> Vec<Seed> {
    let seed =
        |how: u8, record: &str, beside: &str| [&[how], record.as_bytes(), &[0], beside.as_bytes()].concat();
    let good = record().to_string();
    named([
        ("good", seed(0, &good, "")),
        ("same-beside", seed(3, &good, "")),
        ("other-beside", seed(1, &good, "{\"Synthetic\": false}")),
        ("residual-beside", seed(1, &good, "{\"CycleResidual\": {}}")),
        ("no-json-beside", seed(1, &good, "{")),
        ("not-synthetic", seed(0, &changed("/Synthetic", json!(false)), "")),
        ("another-type", seed(0, &changed("/Image/VoxelType", json!("int16")), "")),
        ("another-place", seed(0, &changed("/Image/IndexToLPS/3", json!(9.5)), "")),
        ("another-source", seed(0, &changed("/Sources/0", json!("../made.nii")), "")),
        ("no-model", seed(0, &changed("/GeneratedBy/0/Model", Value::Null), "")),
        ("deep", seed(0, &"[".repeat(300), "")),
        ("not-ours", seed(0, "{\"Synthetic\": true}", "")),
    ])
}
