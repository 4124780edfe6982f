//! `mrisynth synthesize --residual`: the map beside the image, what it says of itself, and what never happens to files.

mod common;

use std::fs;
use std::path::Path;

use common::{Workplace, model_file, phantom};
use mrisynth::nifti::{self, Image};
use mrisynth::{Contrast, Control, Limits, Model, residual};
use serde_json::json;

fn read(path: &Path) -> Image {
    nifti::read(path, &Limits::default()).unwrap()
}

#[test]
fn the_map_goes_with_the_image_which_stays_the_same_bytes() {
    let workplace = Workplace::with_scan();
    let alone = workplace.synthesize("-o alone.nii.gz --to t1w").succeeded();
    assert!(!alone.stdout().contains("residual"));
    let arguments = "-o out.nii.gz --to t1w --residual lost.nii.gz --qc sheet.png";
    let outcome = workplace.synthesize(&format!("{arguments} --json")).succeeded();
    assert_eq!(
        workplace.files(),
        [
            "alone.json",
            "alone.nii.gz",
            "lost.json",
            "lost.nii.gz",
            "out.json",
            "out.nii.gz",
            "scan.nii.gz",
            "sheet.png"
        ]
    );
    assert!(workplace.bytes("out.nii.gz") == workplace.bytes("alone.nii.gz"));

    // The library's own map and figures, whole and as floats.
    let scan = read(&workplace.path("scan.nii.gz")).volume;
    let [there, back] = [(Contrast::T2w, Contrast::T1w), (Contrast::T1w, Contrast::T2w)]
        .map(|(source, target)| Model::embedded(source, target).unwrap());
    let options = mrisynth::synthesize::Options::prepared();
    let control = &mut Control { accept_implausible: true, ..Control::default() };
    let trip = residual::round_trip(&there, &back, &scan, &scan.grid(), &options, control).unwrap();
    let map = read(&workplace.path("lost.nii.gz"));
    assert_eq!(map.volume.as_slice(), trip.residual.map.as_slice());
    let result = &outcome.json()["residual"];
    assert_eq!((&result["output"], &result["sidecar"]), (&json!("lost.nii.gz"), &json!("lost.json")));
    let figure = |name: &str| result[name].as_f64().unwrap() as f32;
    let summary = trip.residual.summary;
    assert_eq!(figure("median"), summary.median);
    assert_eq!(figure("percentile_95"), summary.percentile_95);
    assert_eq!(result["model"]["sha256"], back.sha256());

    // What the map says of itself, and what the image's JSON file says of it.
    let description = map.header.description();
    assert!(description.starts_with("SYNTHETIC cycle residual of T1w"), "{description}");
    assert!(description.ends_with("not an error map"), "{description}");
    let (of_map, of_image) = (workplace.json("lost.json"), workplace.json("out.json"));
    assert_eq!((&of_map["Synthetic"], of_map.get("SyntheticContrast")), (&json!(true), None));
    assert_eq!(of_map["Description"], description);
    assert!(of_map["CycleResidual"]["Notice"].as_str().unwrap().contains("low value does not prove"));
    assert_eq!(of_map["CycleResidual"]["Median"], result["median"]);
    assert_eq!(of_map["CycleResidual"]["Percentile95"], result["percentile_95"]);
    assert_eq!(of_map["CycleResidual"]["Model"]["sha256"], back.sha256());
    assert_eq!(of_image["CycleResidual"], of_map["CycleResidual"]);
    assert_eq!(of_image["SyntheticContrast"], "T1w");
    assert_eq!(workplace.json("alone.json").get("CycleResidual"), None);

    // A later batch does not take it for a scan, whatever it is called and with no JSON file beside it.
    fs::create_dir(workplace.path("in")).unwrap();
    fs::rename(workplace.path("lost.nii.gz"), workplace.path("in/scan.nii.gz")).unwrap();
    let batch = "synthesize in -o more --to t2w --prepared";
    workplace.run(batch.split_whitespace()).failed(11, "it is synthetic");
}

#[test]
fn all_results_appear_or_none_and_nothing_is_lost() {
    let workplace = Workplace::with_scan();
    let run = |arguments: &str| workplace.synthesize(&format!("--to t1w {arguments}"));
    for (residual, code) in [
        ("lost.png", 11),
        ("lost", 11),
        ("scan.nii.gz", 11),
        ("scan.nii", 11),
        ("none/lost.nii", 12),
        ("out.nii", 11),
    ] {
        run(&format!("-o out.nii --residual {residual} --force"))
            .failed(code, residual.split('.').next().unwrap());
        assert_eq!(workplace.files(), ["scan.nii.gz"], "{residual}");
    }
    for taken in ["lost.nii.gz", "lost.json"] {
        fs::write(workplace.path(taken), "precious").unwrap();
        run("-o out.nii --residual lost.nii.gz").failed(12, taken);
        assert_eq!(workplace.bytes(taken), b"precious");
        assert_eq!(workplace.files().len(), 2);
        fs::remove_file(workplace.path(taken)).unwrap();
    }
    fs::write(workplace.path("lost.nii.gz"), "old").unwrap();
    run("-o out.nii --residual lost.nii.gz --memory-limit 1MiB --force").failed(16, "the limit is");
    assert_eq!((workplace.bytes("lost.nii.gz"), workplace.files().len()), (b"old".into(), 2));
    let line = run("-o out.nii --residual lost.nii.gz --force").succeeded();
    assert!(line.stdout().contains("lost.nii.gz: cycle residual, median 0."), "{}", line.stdout());
    assert_eq!(line.stdout().lines().count(), 1);
    assert_eq!(workplace.files(), ["lost.json", "lost.nii.gz", "out.json", "out.nii", "scan.nii.gz"]);
}

#[test]
fn an_own_model_leads_back_or_is_refused() {
    let workplace = Workplace::with_scan();
    let (right, wrong) = (model_file("t2w-from-t1w.onnx"), model_file("t1w-from-t2w.onnx"));
    fs::copy(&right, workplace.path("right.onnx")).unwrap();
    fs::copy(&wrong, workplace.path("wrong.onnx")).unwrap();
    let run = |arguments: &str| workplace.synthesize(&format!("-o out.nii --to t1w {arguments}"));
    run("--residual lost.nii --residual-model wrong.onnx").failed(11, "wrong.onnx");
    run("--residual lost.nii --residual-model none.onnx").failed(12, "none.onnx");
    assert_eq!(run("--residual-model right.onnx").code(), 2);
    assert_eq!(workplace.files(), ["right.onnx", "scan.nii.gz", "wrong.onnx"]);
    run("--residual lost.nii --residual-model right.onnx").succeeded();
    let own = workplace.bytes("lost.nii");
    run("--residual lost.nii --force").succeeded();
    assert!(own == workplace.bytes("lost.nii"));
}

#[test]
fn a_batch_has_a_folder_for_its_maps() {
    let workplace = Workplace::with_scan();
    fs::create_dir_all(workplace.path("data/sub-01/anat")).unwrap();
    fs::rename(workplace.path("scan.nii.gz"), workplace.path("data/sub-01/anat/sub-01_T2w.nii.gz")).unwrap();
    fs::write(workplace.path("file"), "").unwrap();
    let run = |arguments: &str| {
        let arguments = format!("synthesize data -o out --to t1w --prepared {arguments}");
        workplace.run(arguments.split_whitespace())
    };
    run("--residual file").failed(11, "file");
    run("--residual none/maps").failed(12, "none/maps");
    assert!(!workplace.path("out").exists());
    let results = run("--residual maps --json").succeeded().json();
    assert_eq!(results[0]["residual"]["output"], "maps/sub-01_T2w_residual.nii.gz");
    let mut names: Vec<_> = fs::read_dir(workplace.path("maps"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["sub-01_T2w_residual.json", "sub-01_T2w_residual.nii.gz"]);
    assert!(workplace.path("out/sub-01/anat/sub-01_desc-synthetic_T1w.nii.gz").exists());
}

/// The phantom is no head: what is checked holds for whatever the stages find.
#[test]
fn a_raw_scan_has_a_map_on_its_own_grid() {
    let workplace = Workplace::with_scan();
    let arguments = "synthesize scan.nii.gz --mask scan.nii.gz --no-bias --to t1w --accept-implausible -o out.nii \
                     --residual lost.nii";
    workplace.run(arguments.split_whitespace()).succeeded();
    let map = read(&workplace.path("lost.nii")).volume;
    assert_eq!(map.dims(), phantom().dims());
    for (lost, scan) in map.as_slice().iter().zip(phantom().as_slice()) {
        assert!((0.0..=1.0).contains(lost) && (*scan > 0.0 || *lost == 0.0));
    }
    assert!(map.as_slice().iter().any(|lost| *lost > 0.0));
    assert!(workplace.json("lost.json")["Parameters"]["Preparation"].is_object());
}
