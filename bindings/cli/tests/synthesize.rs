//! `mrisynth synthesize` as a user or a script runs it.

mod common;

use std::fs;
use std::path::Path;

use common::{DIMS, Workplace, model_file, phantom, write_volume};
use mrisynth::nifti::{self, Image};
use mrisynth::{Affine, Contrast, Limits, Volume};

fn read(path: &Path) -> Image {
    nifti::read(path, &Limits::default()).unwrap()
}

#[test]
fn both_directions_write_an_image_and_its_sidecar() {
    for (to, contrast, source) in [("t1w", "T1w", "T2w"), ("T2W", "T2w", "T1w")] {
        let workplace = Workplace::with_scan_in(source.parse().unwrap());
        let outcome = workplace.synthesize(&format!("-o out.nii.gz --to {to}")).succeeded();
        assert_eq!(outcome.stdout().lines().count(), 1, "{}", outcome.stdout());
        assert!(outcome.stdout().starts_with(&format!("out.nii.gz: synthetic {contrast} by ")));
        assert_eq!(workplace.files(), ["out.json", "out.nii.gz", "scan.nii.gz"]);

        let image = read(&workplace.path("out.nii.gz"));
        assert_eq!(image.header.description(), format!("SYNTHETIC {contrast} by mrisynth 0.1.0"));
        let grid = phantom().grid();
        assert_eq!(image.volume.dims(), grid.dims);
        let last = DIMS.map(|voxels| voxels as f64 - 1.0);
        let (expected, found) =
            (grid.affine.to_millimetres(last), image.volume.affine().to_millimetres(last));
        assert!((0..3).all(|axis| (expected[axis] - found[axis]).abs() < 1e-3), "{expected:?} {found:?}");
        assert!(image.volume.as_slice().iter().all(|value| value.is_finite()));

        let sidecar = workplace.json("out.json");
        assert_eq!(sidecar["Synthetic"], true);
        assert_eq!(sidecar["SyntheticContrast"], contrast);
        assert_eq!(sidecar["Sources"], serde_json::json!(["scan.nii.gz"]));
        assert_eq!(sidecar["InputSHA256"].as_str().unwrap().len(), 64);
        assert_eq!(sidecar["GeneratedBy"][0]["Name"], "mrisynth");
        assert_eq!(sidecar["GeneratedBy"][0]["Version"], "0.1.0");
        assert_eq!(sidecar["GeneratedBy"][0]["Model"]["sha256"].as_str().unwrap().len(), 64);
        assert_eq!(sidecar["Parameters"]["SourceContrast"], source);
        assert_eq!(sidecar["Parameters"]["InputState"], "prepared");
        assert!(sidecar["Notice"].as_str().unwrap().contains("not for diagnosis"));
    }
}

#[test]
fn the_image_itself_holds_its_provenance() {
    let workplace = Workplace::with_scan();
    workplace.synthesize("-o out.nii --to t1w").succeeded();
    let bytes = workplace.bytes("out.nii");
    // An extension of code 6 (comment) follows the 348 bytes of the header and the 4 that announce it.
    assert_eq!(bytes[348], 1);
    let word = |start: usize| u32::from_le_bytes(bytes[start..start + 4].try_into().unwrap());
    assert_eq!(word(356), 6);
    let text = std::str::from_utf8(&bytes[360..352 + word(352) as usize]).unwrap();
    let inside: serde_json::Value = serde_json::from_str(text.trim_end_matches('\0')).unwrap();
    assert_eq!(inside, workplace.json("out.json"));
}

#[test]
fn json_holds_the_result_and_nothing_else_is_printed() {
    let workplace = Workplace::with_scan();
    let outcome = workplace.synthesize("-o out.nii.gz --to t1w --json --threads 2").succeeded();
    let result = outcome.json();
    assert_eq!(result["synthetic"], true);
    assert_eq!((&result["source"], &result["target"]), (&"T2w".into(), &"T1w".into()));
    assert_eq!(result["output"], "out.nii.gz");
    assert_eq!(result["sidecar"], "out.json");
    assert_eq!(result["dims"], serde_json::json!(DIMS));
    assert_eq!(result["threads"], 2);
    assert!(result["seconds"].as_f64().unwrap() > 0.0);
    assert!(result["warnings"].is_array());
    assert_eq!(result["model"]["name"], workplace.json("out.json")["GeneratedBy"][0]["Model"]["name"]);
    assert_eq!(outcome.stderr(), "");
}

#[test]
fn quiet_prints_nothing_and_verbose_more() {
    let workplace = Workplace::with_scan();
    let quiet = workplace.synthesize("-o out.nii --to t1w --quiet").succeeded();
    assert_eq!((quiet.stdout(), quiet.stderr()), ("", ""));
    workplace.synthesize("-o out.nii --to t1w -vv --force").succeeded();
    assert_eq!(workplace.synthesize("-o out.nii --to t1w -v -q --force").code(), 2);
}

#[test]
fn every_voxel_type_and_a_named_model_work() {
    let workplace = Workplace::with_scan();
    workplace.synthesize("-o float32.nii --to t1w").succeeded();
    let reference = read(&workplace.path("float32.nii")).volume;
    let model = model_file("t1w-from-t2w.onnx");
    for (voxel_type, tolerance) in [("float64", 0.0), ("int16", 6e-4), ("uint16", 6e-4), ("uint8", 2.1e-3)] {
        let name = format!("{voxel_type}.nii");
        let arguments = ["synthesize", "scan.nii.gz", "--prepared", "--to", "t1w", "--dtype", voxel_type];
        let more = ["-o", &name, "--model", model.to_str().unwrap()];
        workplace.run(arguments.into_iter().chain(more)).succeeded();
        let image = read(&workplace.path(&name)).volume;
        let pairs = image.as_slice().iter().zip(reference.as_slice());
        let worst = pairs.map(|(a, b)| (a - b.clamp(0.0, 1.0)).abs()).fold(0.0, f32::max);
        assert!(worst <= tolerance, "{voxel_type}: {worst}");
    }
}

#[test]
fn nothing_is_overwritten_without_force() {
    for taken in ["out.nii.gz", "out.json"] {
        let workplace = Workplace::with_scan();
        fs::write(workplace.path(taken), "precious").unwrap();
        workplace.synthesize("-o out.nii.gz --to t1w").failed(12, taken);
        assert_eq!(workplace.bytes(taken), b"precious");
        assert_eq!(workplace.files().len(), 2);
        workplace.synthesize("-o out.nii.gz --to t1w --force").succeeded();
        assert_ne!(workplace.bytes(taken), b"precious");
        assert_eq!(workplace.files(), ["out.json", "out.nii.gz", "scan.nii.gz"]);
    }
}

#[test]
fn a_failure_with_force_leaves_the_old_files() {
    let workplace = Workplace::with_scan();
    fs::write(workplace.path("out.nii.gz"), "precious").unwrap();
    fs::write(workplace.path("out.json"), "too").unwrap();
    fs::write(workplace.path("scan.nii.gz"), "not a scan").unwrap();
    workplace.synthesize("-o out.nii.gz --to t1w --force").failed(14, "scan.nii.gz");
    assert_eq!(workplace.bytes("out.nii.gz"), b"precious");
    assert_eq!(workplace.bytes("out.json"), b"too");
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_leaves_what_was_there() {
    // No file may grow over 64 blocks; without the signal, writing more is an error as on a full disk.
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\"";
    for force in [false, true] {
        let workplace = Workplace::with_scan();
        if force {
            fs::write(workplace.path("out.nii"), "precious").unwrap();
            fs::write(workplace.path("out.json"), "too").unwrap();
        }
        let before = workplace.files();
        let mut command = std::process::Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_mrisynth"), "synthesize", "scan.nii.gz"]);
        command.args(["-o", "out.nii", "--to", "t1w", "--prepared"]);
        command.args(force.then_some("--force")).current_dir(workplace.path(""));
        common::Outcome(command.output().unwrap()).failed(12, "error: out.nii: ");
        assert_eq!(workplace.files(), before);
        if force {
            assert_eq!(
                (workplace.bytes("out.nii"), workplace.bytes("out.json")),
                (b"precious".into(), b"too".into())
            );
        }
    }
}

#[test]
fn the_input_is_never_replaced() {
    let workplace = Workplace::with_scan();
    let before = workplace.bytes("scan.nii.gz");
    for (output, named) in
        [("scan.nii.gz", "scan.nii.gz"), ("./scan.nii.gz", "./scan.nii.gz"), ("scan.nii", "scan.json")]
    {
        workplace.synthesize(&format!("-o {output} --to t1w --force")).failed(11, named);
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("scan.nii.gz", workplace.path("link.nii.gz")).unwrap();
        workplace.synthesize("-o link.nii.gz --to t1w --force").failed(11, "link.nii.gz");
        fs::remove_file(workplace.path("link.nii.gz")).unwrap();
    }
    assert_eq!(workplace.bytes("scan.nii.gz"), before);
    assert_eq!(workplace.files(), ["scan.nii.gz"]);
}

#[test]
fn an_output_that_cannot_be_is_refused_before_the_work() {
    let workplace = Workplace::with_scan();
    // With an input that is no scan: the output's fault is found first.
    fs::write(workplace.path("scan.nii.gz"), "not a scan").unwrap();
    for output in ["out.img", "out", "out.gz", ".nii"] {
        workplace.synthesize(&format!("-o {output} --to t1w --force")).failed(11, output);
    }
    workplace.synthesize("-o missing/out.nii --to t1w").failed(12, "missing/out.nii");
    assert_eq!(workplace.files(), ["scan.nii.gz"]);
}

#[test]
fn an_input_that_is_no_scan_is_an_error_that_names_it() {
    let workplace = Workplace::with_scan();
    let whole = workplace.bytes("scan.nii.gz");
    fs::create_dir(workplace.path("folder")).unwrap();
    // A folder is a batch, and an empty one is none.
    for (bytes, code) in [(&whole[..whole.len() / 2], 14), (b"", 14), (b"text", 14)] {
        fs::write(workplace.path("scan.nii.gz"), bytes).unwrap();
        workplace.synthesize("-o out.nii --to t1w").failed(code, "scan.nii.gz");
    }
    let run =
        |input: &str| workplace.run(["synthesize", input, "-o", "out.nii", "--to", "t1w", "--prepared"]);
    run("none.nii").failed(12, "none.nii");
    run("folder").failed(11, "folder");
    assert_eq!(workplace.files(), ["folder", "scan.nii.gz"]);
}

#[test]
fn implausible_scans_are_refused_unless_accepted() {
    let workplace = Workplace::new();
    let mut volume = phantom();
    // A head without brain extraction: no voxel is background.
    volume.as_mut_slice().iter_mut().for_each(|voxel| *voxel += 50.0);
    write_volume(&workplace.path("scan.nii.gz"), &volume);
    workplace.synthesize("-o out.nii --to t1w").failed(18, "scan.nii.gz");
    assert_eq!(workplace.files(), ["scan.nii.gz"]);
    let outcome = workplace.synthesize("-o out.nii --to t1w --accept-implausible --json").succeeded();
    assert_ne!(outcome.json()["warnings"], serde_json::json!([]));
    assert!(outcome.stderr().starts_with("mrisynth: warning: "), "{}", outcome.stderr());
    assert_eq!(workplace.json("out.json")["Parameters"]["AcceptImplausible"], true);
}

#[test]
fn a_scan_of_the_wrong_contrast_is_refused_unless_accepted() {
    for (given, to) in [(Contrast::T1w, "t1w"), (Contrast::T2w, "t2w")] {
        let workplace = Workplace::with_scan_in(given);
        let looks = format!("the scan looks {given}");
        workplace.synthesize(&format!("-o out.nii --to {to}")).failed(18, &looks);
        assert_eq!(workplace.files(), ["scan.nii.gz"]);
        let accepted = format!("-o out.nii --to {to} --accept-implausible --json");
        let warnings = workplace.synthesize(&accepted).succeeded().json()["warnings"].to_string();
        assert!(warnings.contains(&looks), "{warnings}");
    }
}

#[test]
fn images_that_cannot_be_a_brain_are_bad() {
    let workplace = Workplace::new();
    let affine = Affine::from_sizes([2.5; 3], [0.0; 3]).unwrap();
    let empty = Volume::zeros(&mrisynth::Grid { dims: DIMS, affine }).unwrap();
    write_volume(&workplace.path("scan.nii.gz"), &empty);
    workplace.synthesize("-o out.nii --to t1w").failed(14, "scan.nii.gz");
}

/// The phantom is no head: what is checked holds for whatever the stages find.
#[test]
fn a_raw_scan_is_prepared_and_its_origin_says_how() {
    let workplace = Workplace::with_scan();
    let run = |arguments: &str| workplace.run(arguments.split_whitespace());
    let fixed = "synthesize scan.nii.gz --mask scan.nii.gz --no-bias --to t1w --accept-implausible";
    let result = run(&format!("{fixed} -o out.nii.gz --json")).succeeded().json();
    assert_eq!(workplace.files(), ["out.json", "out.nii.gz", "scan.nii.gz"]);
    let (scan, image) = (read(&workplace.path("scan.nii.gz")), read(&workplace.path("out.nii.gz")));
    assert_eq!(image.volume.grid(), scan.volume.grid());
    for (synthetic, original) in image.volume.as_slice().iter().zip(scan.volume.as_slice()) {
        assert!((0.0..=1.0).contains(synthetic) && (*original > 0.0 || *synthetic == 0.0));
    }
    let parameters = &workplace.json("out.json")["Parameters"];
    assert_eq!(parameters["InputState"], "raw");
    let preparation = &parameters["Preparation"];
    assert_eq!(preparation["BiasCorrection"], "none");
    assert_eq!(preparation["BrainMask"], "given");
    assert_eq!(preparation["StandardToScanLPS"].as_array().unwrap().len(), 16);
    assert!(preparation["Warnings"].is_array());
    assert_eq!(preparation["BrainMillilitres"], result["brain_ml"]);
    for option in ["--no-bias", "--bias itk", "--mask scan.nii.gz"] {
        let outcome = workplace.synthesize(&format!("-o two.nii --to t1w {option}"));
        assert_eq!(outcome.code(), 2, "{option}");
    }
    run(&format!("{fixed} -o scan.nii --force")).failed(11, "scan.json");
    run("synthesize scan.nii.gz --mask none.nii -o two.nii --to t1w").failed(12, "none.nii");
}

#[test]
fn a_contact_sheet_goes_with_the_image() {
    let workplace = Workplace::with_scan_in(Contrast::T1w);
    let result = workplace.synthesize("-o out.nii --to t2w --qc sheet.png --json").succeeded().json();
    assert_eq!(result["qc"], "sheet.png");
    assert!(workplace.bytes("sheet.png").starts_with(b"\x89PNG"));
    assert_eq!(workplace.files(), ["out.json", "out.nii", "scan.nii.gz", "sheet.png"]);
    workplace.synthesize("-o two.nii --to t2w --qc sheet.png").failed(12, "sheet.png");
}

#[test]
fn a_memory_limit_is_kept() {
    let workplace = Workplace::with_scan();
    workplace.synthesize("-o out.nii --to t1w --memory-limit 1MiB").failed(16, "the limit is");
    // Enough for the model, and then not for the scan.
    workplace.synthesize("-o out.nii --to t1w --memory-limit 120MiB").failed(16, "scan.nii.gz");
    workplace.synthesize("-o out.nii --to t1w --memory-limit 8GiB").succeeded();
    assert_eq!(workplace.synthesize("-o out.nii --to t1w --memory-limit much").code(), 2);
}

#[test]
fn a_model_must_be_sound_and_fit() {
    let workplace = Workplace::with_scan();
    let wrong_way = model_file("t2w-from-t1w.onnx");
    fs::copy(&wrong_way, workplace.path("wrong.onnx")).unwrap();
    fs::write(workplace.path("bad.onnx"), "not a model").unwrap();
    workplace.synthesize("-o out.nii --to t1w --model wrong.onnx").failed(11, "wrong.onnx");
    workplace.synthesize("-o out.nii --to t1w --model bad.onnx").failed(13, "bad.onnx");
    workplace.synthesize("-o out.nii --to t1w --model none.onnx").failed(12, "none.onnx");
    assert_eq!(workplace.files(), ["bad.onnx", "scan.nii.gz", "wrong.onnx"]);
}

#[test]
fn errors_are_json_too_if_asked_for() {
    let workplace = Workplace::new();
    let outcome = workplace.synthesize("-o out.nii --to t1w --json");
    assert_eq!(outcome.code(), 12);
    let error = &outcome.json()["error"];
    assert_eq!((&error["status"], &error["exit_code"]), (&"IO".into(), &12.into()));
    let message = error["message"].as_str().unwrap();
    assert_eq!(outcome.stderr(), format!("mrisynth: error: {message}\n"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_name_cannot_break_the_line_or_the_json() {
    let workplace = Workplace::new();
    let outcome = workplace.run(["synthesize", "a\nb\x1b.nii", "-o", "out.nii", "--to", "t1w", "--json"]);
    assert_eq!(outcome.code(), 12);
    assert_eq!(outcome.stderr().lines().count(), 1);
    assert!(outcome.json()["error"]["message"].as_str().unwrap().contains("a\\nb\\u{1b}.nii"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_result_that_cannot_be_printed_is_an_error() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mrisynth"));
    let outcome = command.args(["model", "list"]).stdout(full).output().unwrap();
    assert_eq!(outcome.status.code(), Some(12));
    assert!(String::from_utf8_lossy(&outcome.stderr).contains("standard output"));
}

#[test]
fn every_stage_tells_its_time_to_those_who_ask() {
    let workplace = Workplace::with_scan();
    let asked = workplace.synthesize("-o asked.nii.gz --to t1w -vv").succeeded();
    for stage in ["model's loading", "reading", "checks", "resampling", "network", "way back", "writing"] {
        assert!(asked.stderr().contains(&format!("debug: time: {stage}, ")), "{stage}: {}", asked.stderr());
    }
    let not_asked = workplace.synthesize("-o not-asked.nii.gz --to t1w -v").succeeded();
    assert!(!not_asked.stderr().contains("time: "), "{}", not_asked.stderr());
}
