//! `mrisynth verify` as a user or a script runs it: whatever is changed in an image or beside it is found.

mod common;

use common::{Outcome, Workplace, model_file};
use mrisynth::nifti::{self, VoxelType, WriteOptions};
use mrisynth::{Contrast, Limits};
use serde_json::Value;

/// A workplace with a scan, and what was synthesized from it as `out.nii` with more arguments.
fn synthesized(arguments: &str) -> Workplace {
    let workplace = Workplace::with_scan();
    workplace.synthesize(&format!("-o out.nii --to t1w --quiet {arguments}")).succeeded();
    workplace
}

fn verify(workplace: &Workplace, arguments: &str) -> Outcome {
    workplace.run(["verify"].into_iter().chain(arguments.split_whitespace()))
}

fn outcomes(report: &Value) -> Vec<(&str, &str)> {
    let text = |check: &Value, key: &str| check[key].as_str().unwrap().to_owned().leak() as &str;
    let checks = report["checks"].as_array().unwrap();
    checks.iter().map(|check| (text(check, "name"), text(check, "outcome"))).collect()
}

#[test]
fn what_was_made_here_is_as_its_record_says() {
    let workplace = synthesized("--residual lost.nii.gz");
    let report = verify(&workplace, "out.nii --json").succeeded().json();
    assert_eq!(report["synthetic"], true);
    assert_eq!(report["record"]["SyntheticContrast"], "T1w");
    let all = ["description", "geometry", "voxels", "sidecar", "input", "model"];
    assert_eq!(outcomes(&report), all.map(|name| (name, "passed")));
    let text = verify(&workplace, "lost.nii.gz").succeeded();
    assert!(text.stdout().ends_with("lost.nii.gz: SYNTHETIC, and as its record says\n"), "{}", text.stdout());
    assert_eq!(text.stdout().lines().filter(|line| line.contains(" OK ")).count(), 6);
}

#[test]
fn every_voxel_type_is_verified() {
    for voxel_type in ["uint8", "int16", "uint16", "float64"] {
        let workplace = synthesized(&format!("--dtype {voxel_type}"));
        verify(&workplace, "out.nii").succeeded();
    }
}

#[test]
fn what_is_not_at_hand_is_not_checked_and_said_so() {
    let workplace = synthesized("");
    for gone in ["scan.nii.gz", "out.json"] {
        std::fs::remove_file(workplace.path(gone)).unwrap();
    }
    let report = verify(&workplace, "out.nii --json").succeeded().json();
    let not_checked = outcomes(&report).into_iter().filter(|(_, outcome)| *outcome == "not_checked");
    assert_eq!(not_checked.map(|(name, _)| name).collect::<Vec<_>>(), ["sidecar", "input"]);
    assert!(verify(&workplace, "out.nii").succeeded().stdout().contains("not checked"));
}

/// Changes bytes of `out.nii` in place.
fn change(workplace: &Workplace, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = workplace.bytes("out.nii");
    change(&mut bytes);
    std::fs::write(workplace.path("out.nii"), bytes).unwrap();
}

#[test]
fn a_changed_voxel_is_found() {
    let workplace = synthesized("");
    change(&workplace, |bytes| *bytes.last_mut().unwrap() ^= 0x40);
    verify(&workplace, "out.nii").failed(14, "voxels (SHA-256");
}

#[test]
fn a_changed_scaling_is_found() {
    let workplace = synthesized("--dtype int16");
    // scl_slope of NIfTI-1.
    change(&workplace, |bytes| bytes[112..116].copy_from_slice(&0.002_f32.to_le_bytes()));
    verify(&workplace, "out.nii").failed(14, "voxels (SHA-256");
}

#[test]
fn a_moved_or_mirrored_image_is_found() {
    for row in [280, 296, 312] {
        let workplace = synthesized("");
        // The sform's diagonal element of this row: left and right, front and back, or top and bottom change places.
        let at = row + (row - 280) / 4;
        change(&workplace, |bytes| bytes[at + 3] ^= 0x80);
        verify(&workplace, "out.nii").failed(14, "geometry (60 x 72 x 54 voxels, corners");
    }
}

#[test]
fn a_description_that_hides_what_the_image_is_is_found() {
    let workplace = synthesized("");
    change(&workplace, |bytes| bytes[148..157].copy_from_slice(b"ACQUIRED "));
    verify(&workplace, "out.nii").failed(14, "description (the header says \"ACQUIRED ");
}

#[test]
fn a_sidecar_of_something_else_is_found() {
    let workplace = synthesized("");
    let sidecar = String::from_utf8(workplace.bytes("out.json")).unwrap();
    for (text, part) in [
        (sidecar.replace("\"T2w\"", "\"FLAIR\""), "out.json says something else"),
        ("{".into(), "out.json is not JSON"),
    ] {
        std::fs::write(workplace.path("out.json"), text).unwrap();
        verify(&workplace, "out.nii").failed(14, part);
    }
}

#[test]
fn another_scan_and_another_model_are_found() {
    let workplace = synthesized("");
    let other = model_file("t2w-from-t1w.onnx");
    verify(&workplace, &format!("out.nii --model {}", other.display()))
        .failed(14, "model (t2w-from-t1w.onnx");
    let same = model_file("t1w-from-t2w.onnx");
    verify(&workplace, &format!("out.nii --model {}", same.display())).succeeded();
    verify(&workplace, "out.nii --input out.json").failed(14, "input (out.json has the SHA-256");
    verify(&workplace, "out.nii --input none.nii").failed(12, "none.nii");
}

#[test]
fn an_image_without_a_record_is_no_image_of_ours() {
    let workplace = synthesized("");
    verify(&workplace, "scan.nii.gz").failed(14, "holds no record of mrisynth");
    verify(&workplace, "none.nii.gz").failed(12, "none.nii.gz");
    verify(&workplace, "out.json").failed(14, "out.json");
    // Saved again by software that leaves extensions out.
    let image = nifti::read(&workplace.path("out.nii"), &Limits::default()).unwrap();
    let options = WriteOptions {
        voxel_type: VoxelType::Float32,
        description: image.header.description(),
        extension: None,
        overwrite: true,
    };
    nifti::write(&workplace.path("out.nii"), &image.volume, &image.header, &options).unwrap();
    verify(&workplace, "out.nii").failed(14, "holds no record of mrisynth");
}

#[test]
fn what_is_prepared_or_segmented_carries_a_record_too() {
    let workplace = Workplace::with_scan_in(Contrast::T1w);
    workplace
        .run("segment scan.nii.gz -o tissues.nii.gz --quiet --accept-implausible".split(' '))
        .succeeded();
    let text = verify(&workplace, "tissues.nii.gz").succeeded();
    assert!(text.stdout().contains("tissues.nii.gz: not synthetic, and as its record says"));
    assert_eq!(workplace.json("tissues.json")["Sources"], serde_json::json!(["scan.nii.gz"]));
}

/// What the headers of scans may say of a person.
const NAME: &str = "DOE^JANE";

#[test]
fn a_name_in_the_header_goes_nowhere() {
    let workplace = Workplace::new();
    let mut bytes = {
        let phantom = common::phantom();
        common::write_volume(&workplace.path("scan.nii"), &phantom);
        workplace.bytes("scan.nii")
    };
    // db_name, descrip, aux_file and intent_name of NIfTI-1, and the start of an extension that begins where the voxels would.
    for at in [14, 148, 228, 328] {
        bytes[at..at + NAME.len()].copy_from_slice(NAME.as_bytes());
    }
    let extension =
        [&32_u32.to_le_bytes()[..], &6_u32.to_le_bytes(), format!("{NAME:24}").as_bytes()].concat();
    bytes.splice(352..352, extension);
    bytes[348] = 1;
    bytes[108..112].copy_from_slice(&384_f32.to_le_bytes());
    std::fs::write(workplace.path("scan.nii"), bytes).unwrap();
    assert_eq!(nifti::comments(&workplace.path("scan.nii")).unwrap(), [format!("{NAME:24}")]);

    let runs = [
        "synthesize scan.nii --prepared -o out.nii --to t1w -vv --residual lost.nii --qc look.png",
        "synthesize scan.nii --prepared -o json.nii --to t1w --json",
        "synthesize scan.nii --prepared -o refused.nii --to t2w --json",
        "synthesize scan.nii -o raw.nii --to t1w -vv",
        "verify scan.nii --json",
        "verify out.nii --json",
    ];
    for arguments in runs {
        let outcome = workplace.run(arguments.split(' '));
        for text in [outcome.stdout(), outcome.stderr()] {
            assert!(!text.contains("JANE"), "{arguments}: {text}");
        }
    }
    let written: Vec<_> = workplace.files().into_iter().filter(|name| name != "scan.nii").collect();
    assert!(written.len() >= 7, "{written:?}");
    for name in written {
        assert!(!workplace.bytes(&name).windows(4).any(|part| part == b"JANE"), "{name}");
    }
}
