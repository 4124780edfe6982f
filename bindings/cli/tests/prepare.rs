//! `mrisynth prepare` as a user or a script runs it.
//!
//! The phantom is no head, so that its runs accept what is implausible, and what is checked are promises that hold for
//! whatever the stages find.

mod common;

use std::fs;
use std::path::Path;

use common::{DIMS, Workplace, phantom, write_volume};
use mrisynth::nifti::{self, Image};
use mrisynth::{Affine, Limits, Volume};
use serde_json::Value;

const ALL: [&str; 6] = [
    "bias.nii.gz",
    "corrected.nii.gz",
    "mask.nii.gz",
    "prepare.json",
    "standard.nii.gz",
    "standard_to_scan.txt",
];

fn read(workplace: &Workplace, name: &str) -> Image {
    nifti::read(&workplace.path(name), &Limits::default()).unwrap()
}

/// A workplace with the phantom and its mask, whose voxels are 0 and 3.
fn with_mask() -> Workplace {
    let workplace = Workplace::with_scan();
    let mut mask = phantom();
    mask.as_mut_slice().iter_mut().for_each(|voxel| *voxel = if *voxel > 0.0 { 3.0 } else { 0.0 });
    write_volume(&workplace.path("brain.nii.gz"), &mask);
    workplace
}

/// `mrisynth prepare scan.nii.gz` with a mask and without bias correction, which takes long, and more arguments.
fn quick(workplace: &Workplace, arguments: &str) -> common::Outcome {
    let fixed = "prepare scan.nii.gz --mask brain.nii.gz --no-bias --accept-implausible";
    workplace.run(fixed.split_whitespace().chain(arguments.split_whitespace()))
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

/// The parameters of an ITK transform file as a row-major 4x4 matrix.
fn itk_matrix(text: &str) -> Vec<f64> {
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "#Insight Transform File V1.0");
    assert_eq!(lines[2], "Transform: AffineTransform_double_3_3");
    assert_eq!(lines[4], "FixedParameters: 0 0 0");
    let p = numbers(lines[3].strip_prefix("Parameters: ").unwrap());
    assert_eq!(p.len(), 12);
    let row = |r: usize| [p[3 * r], p[3 * r + 1], p[3 * r + 2], p[9 + r]];
    [row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]].concat()
}

fn check_on_scans_grid(workplace: &Workplace, name: &str) -> Volume {
    let (scan, image) = (read(workplace, "scan.nii.gz"), read(workplace, name));
    assert_eq!(image.volume.grid(), scan.volume.grid(), "{name}");
    image.volume
}

/// NIfTI-1's fields of a gzipped file: datatype, qform code, sform code.
fn header_codes(workplace: &Workplace, name: &str) -> [i16; 3] {
    use std::io::Read;
    let mut bytes = [0; 348];
    let file = fs::File::open(workplace.path(name)).unwrap();
    flate2::read::GzDecoder::new(file).read_exact(&mut bytes).unwrap();
    [70, 252, 254].map(|at| i16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

#[test]
fn every_result_is_there_and_on_its_grid() {
    let workplace = with_mask();
    let fixed = "prepare scan.nii.gz --mask brain.nii.gz --accept-implausible -o out --json --threads 1";
    let result = workplace.run(fixed.split_whitespace()).succeeded().json();
    assert_eq!(workplace.files(), ["brain.nii.gz", "out", "scan.nii.gz"]);
    assert_eq!(names_in(&workplace.path("out")), ALL);
    let mut listed: Vec<_> =
        result["files"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    listed.sort_unstable();
    assert_eq!(listed, ALL);

    let scan = phantom();
    let corrected = check_on_scans_grid(&workplace, "out/corrected.nii.gz");
    let bias = check_on_scans_grid(&workplace, "out/bias.nii.gz");
    for ((value, field), original) in corrected.as_slice().iter().zip(bias.as_slice()).zip(scan.as_slice()) {
        assert!((value * field - original).abs() <= 1e-4 * original.abs(), "{value} {field} {original}");
    }
    let mask = check_on_scans_grid(&workplace, "out/mask.nii.gz");
    for (inside, original) in mask.as_slice().iter().zip(scan.as_slice()) {
        assert_eq!(*inside, if *original > 0.0 { 1.0 } else { 0.0 });
    }
    // Stored as 0 and 1 in bytes, and the scan's own codes.
    let [_, qform, sform] = header_codes(&workplace, "scan.nii.gz");
    assert_eq!(header_codes(&workplace, "out/mask.nii.gz"), [2, qform, sform]);

    let standard = read(&workplace, "out/standard.nii.gz").volume;
    assert_eq!(header_codes(&workplace, "out/standard.nii.gz"), [16, 4, 4]);
    assert_eq!((standard.dims(), standard.affine().voxel_sizes()), ([182, 218, 182], [1.0; 3]));
    assert!(standard.as_slice().iter().all(|value| (0.0..=1.0).contains(value)));
    assert!(standard.as_slice().contains(&1.0));

    let record = workplace.json("out/prepare.json");
    let lps: Vec<_> =
        record["standard_to_scan_lps"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect();
    let text = String::from_utf8(workplace.bytes("out/standard_to_scan.txt")).unwrap();
    // Reading JSON may lose the last bit.
    let written = itk_matrix(&text);
    assert_eq!(written.len(), lps.len());
    assert!(written.iter().zip(&lps).all(|(a, b)| (a - b).abs() < 1e-12), "{written:?} {lps:?}");
    assert_eq!(record["input"], "scan.nii.gz");
    assert_eq!(record["input_sha256"], mrisynth::digest::sha256(&workplace.bytes("scan.nii.gz")));
    assert_eq!(record["parameters"]["brain_mask"], "given");
    let voxels = scan.as_slice().iter().filter(|&&value| value > 0.0).count() as f64;
    let millilitres = voxels * scan.affine().voxel_sizes().iter().product::<f64>() / 1000.0;
    assert!((record["brain_extraction"]["brain_ml"].as_f64().unwrap() - millilitres).abs() < 0.1);
    assert_eq!(record["brain_extraction"]["brain_ml"], result["brain_ml"]);
    assert_eq!(record["registration"]["overlap"], result["overlap"]);

    // Again, with more threads: the same bytes.
    let before: Vec<_> = ALL.map(|name| workplace.bytes(&format!("out/{name}"))).into();
    workplace.run(fixed.replace("threads 1", "threads 3 --force").split_whitespace()).succeeded();
    for (name, bytes) in ALL.iter().zip(before) {
        assert!(workplace.bytes(&format!("out/{name}")) == bytes, "{name}");
    }
}

#[test]
fn what_is_asked_for_is_done_and_recorded() {
    let workplace = with_mask();
    quick(&workplace, "-o out --whole-head --scaling minmax").succeeded();
    let bias = read(&workplace, "out/bias.nii.gz").volume;
    assert!(bias.as_slice().iter().all(|field| *field == 1.0));
    assert_eq!(read(&workplace, "out/corrected.nii.gz").volume.as_slice(), phantom().as_slice());
    let parameters = &workplace.json("out/prepare.json")["parameters"];
    assert_eq!(parameters["bias_correction"], "none");
    assert_eq!(parameters["coverage"], "whole head");
    assert_eq!(parameters["scaling"], "minimum to maximum of the brain");
}

#[test]
fn the_bias_field_alone_is_two_files() {
    let workplace = Workplace::with_scan();
    let run = |arguments: &str| workplace.run(arguments.split_whitespace());
    run("prepare scan.nii.gz -o out --bias itk --bias-only").succeeded();
    assert_eq!(names_in(&workplace.path("out")), ["bias.nii.gz", "corrected.nii.gz"]);
    check_on_scans_grid(&workplace, "out/corrected.nii.gz");
    run("prepare scan.nii.gz -o two --bias-only").failed(11, "--bias itk");
    for extra in ["--no-bias", "--mask scan.nii.gz", "--whole-head", "--scaling minmax"] {
        let outcome = run(&format!("prepare scan.nii.gz -o two --bias-only {extra}"));
        assert_eq!(outcome.code(), 2, "{extra}");
    }
    assert_eq!(run("prepare scan.nii.gz -o two --no-bias --bias itk").code(), 2);
    assert_eq!(workplace.files(), ["out", "scan.nii.gz"]);
}

/// Width and height of a PNG file (RFC 2083).
fn png_size(bytes: &[u8]) -> [u32; 2] {
    assert_eq!(bytes[..8], *b"\x89PNG\r\n\x1a\n");
    assert_eq!(bytes[12..16], *b"IHDR");
    [16, 20].map(|at| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()))
}

#[test]
fn a_contact_sheet_is_drawn_with_the_results_or_not_at_all() {
    let workplace = with_mask();
    let result = quick(&workplace, "-o out --qc sheet.png --json").succeeded().json();
    assert_eq!(result["qc"], "sheet.png");
    let [width, height] = png_size(&workplace.bytes("sheet.png"));
    assert!(width > 1000 && height > 500);
    quick(&workplace, "-o two --qc sheet.png").failed(12, "sheet.png");
    quick(&workplace, "-o two --qc sheet.jpg").failed(11, "sheet.jpg");
    quick(&workplace, "-o two --qc missing/sheet.png").failed(12, "missing/sheet.png");
    fs::create_dir(workplace.path("two.png")).unwrap();
    quick(&workplace, "-o two --qc two.png --force").failed(11, "two.png");
    fs::write(workplace.path("scan.nii.gz"), "not a scan").unwrap();
    quick(&workplace, "-o two --qc three.png").failed(14, "scan.nii.gz");
    assert_eq!(workplace.files(), ["brain.nii.gz", "out", "scan.nii.gz", "sheet.png", "two.png"]);
}

#[test]
fn nothing_is_overwritten_without_force() {
    let workplace = with_mask();
    fs::create_dir(workplace.path("out")).unwrap();
    fs::write(workplace.path("out/standard.nii.gz"), "precious").unwrap();
    fs::write(workplace.path("out/notes.txt"), "mine").unwrap();
    quick(&workplace, "-o out").failed(12, "out/standard.nii.gz");
    assert_eq!(names_in(&workplace.path("out")), ["notes.txt", "standard.nii.gz"]);
    quick(&workplace, "-o out --force").succeeded();
    assert_eq!(workplace.bytes("out/notes.txt"), b"mine");
    assert_ne!(workplace.bytes("out/standard.nii.gz"), b"precious");
    assert_eq!(names_in(&workplace.path("out")).len(), 7);
}

#[test]
fn the_input_and_the_mask_are_never_replaced() {
    let workplace = with_mask();
    fs::create_dir(workplace.path("out")).unwrap();
    for (own, input, mask) in [
        ("out/corrected.nii.gz", "out/corrected.nii.gz", "brain.nii.gz"),
        ("out/mask.nii.gz", "scan.nii.gz", "out/mask.nii.gz"),
    ] {
        fs::copy(workplace.path("scan.nii.gz"), workplace.path(own)).unwrap();
        workplace.run(["prepare", input, "-o", "out", "--mask", mask, "--force"]).failed(11, own);
        assert_eq!(workplace.bytes(own), workplace.bytes("scan.nii.gz"));
        fs::remove_file(workplace.path(own)).unwrap();
    }
    assert!(names_in(&workplace.path("out")).is_empty());
}

#[test]
fn a_mask_on_another_grid_is_an_error_that_says_where() {
    let workplace = Workplace::with_scan();
    let grid = phantom().grid();
    let rows = grid.affine.rows();
    let shifted = |by: f64| {
        let mut rows = rows;
        rows[1][3] += by;
        Volume::new(phantom().into_voxels(), Affine::from_rows(rows).unwrap()).unwrap()
    };
    let check = |mask: &Volume, part: &str| {
        write_volume(&workplace.path("brain.nii.gz"), mask);
        quick(&workplace, "-o out").failed(14, part);
    };
    check(&shifted(0.5), "0.50 mm from back to front");
    let mut dims = DIMS;
    dims[2] += 1;
    let longer = Volume::zeros(&mrisynth::Grid { dims, affine: grid.affine }).unwrap();
    check(&longer, &format!("{} voxels along axis k, the scan {}", dims[2], DIMS[2]));
    check(&Volume::zeros(&grid).unwrap(), "empty");
    fs::remove_file(workplace.path("brain.nii.gz")).unwrap();
    quick(&workplace, "-o out").failed(12, "brain.nii.gz");
    assert_eq!(workplace.files(), ["scan.nii.gz"]);
    // Rounding is not another place.
    write_volume(&workplace.path("brain.nii.gz"), &shifted(0.005));
    quick(&workplace, "-o out").succeeded();
}

#[test]
fn faults_leave_nothing_behind() {
    let workplace = with_mask();
    quick(&workplace, "-o missing/out").failed(12, "missing/out");
    fs::write(workplace.path("file"), "").unwrap();
    quick(&workplace, "-o file").failed(12, "file/");
    quick(&workplace, "-o out --memory-limit 1MiB").failed(16, "scan.nii.gz");
    let cube = phantom().voxels().mapv(|_| 7.0);
    write_volume(&workplace.path("scan.nii.gz"), &Volume::new(cube, *phantom().affine()).unwrap());
    quick(&workplace, "-o out").failed(14, "constant");
    fs::write(workplace.path("scan.nii.gz"), "not a scan").unwrap();
    quick(&workplace, "-o out").failed(14, "scan.nii.gz");
    let outcome = quick(&workplace, "-o out --json");
    let error: Value = outcome.json();
    assert_eq!((outcome.code(), &error["error"]["status"]), (14, &"BAD_IMAGE".into()));
    assert_eq!(workplace.files(), ["brain.nii.gz", "file", "scan.nii.gz"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_leaves_what_was_there() {
    // No file may grow over 64 blocks; without the signal, writing more is an error as on a full disk.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"";
    let workplace = with_mask();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_mrisynth"), "prepare", "scan.nii.gz", "-o", "out"]);
    command.args(["--mask", "brain.nii.gz", "--no-bias", "--accept-implausible"]);
    command.current_dir(workplace.path(""));
    common::Outcome(command.output().unwrap()).failed(12, "error: out/");
    assert_eq!(workplace.files(), ["brain.nii.gz", "scan.nii.gz"]);
}
