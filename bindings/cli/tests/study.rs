//! `mrisynth evaluate --study` as a user or a script runs it.

mod common;

use std::fs;

use common::{Outcome, Workplace, write_volume};
use mrisynth::{Affine, Grid, Volume};

const DIMS: [usize; 3] = [24, 28, 16];

fn write(workplace: &Workplace, name: &str, size: f64, level: f32) {
    let affine = Affine::from_sizes([size; 3], [-10.0, -20.0, -15.0]).unwrap();
    let mut volume = Volume::zeros(&Grid { dims: DIMS, affine }).unwrap();
    for ((i, j, k), voxel) in volume.voxels_mut().indexed_iter_mut() {
        let in_brain = (4..20).contains(&i) && (4..24).contains(&j) && (2..14).contains(&k);
        *voxel = if in_brain { level * (1.0 - 0.03 * ((i + 2 * j + 3 * k) % 7) as f32) } else { 0.0 };
    }
    let path = workplace.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    write_volume(&path, &volume);
}

/// Four subjects: the method `near` is off by 5 %, `far` by 20 %, both by a little more in each further subject.
fn workplace() -> Workplace {
    let workplace = Workplace::new();
    let mut list = String::from("subject,method,reference,synthetic\n");
    for subject in 1..=4 {
        write(&workplace, &format!("images/real{subject}.nii.gz"), 1.0, 0.8);
        for (method, error) in [("near", 0.05), ("far", 0.2)] {
            let name = format!("{method}{subject}.nii.gz");
            let level = 0.8 * (1.0 - error - 0.01 * subject as f32 * subject as f32);
            write(&workplace, &format!("images/{name}"), 1.0, level);
            list += &format!("p{subject},{method},real{subject}.nii.gz,{name}\n");
        }
    }
    fs::write(workplace.path("images/study.csv"), list).unwrap();
    workplace
}

fn evaluate(workplace: &Workplace, arguments: &str) -> Outcome {
    let fixed = ["evaluate", "--study", "images/study.csv", "-o", "results"];
    workplace.run(fixed.into_iter().chain(arguments.split_whitespace()))
}

fn text(workplace: &Workplace, name: &str) -> String {
    String::from_utf8(workplace.bytes(name)).unwrap()
}

#[test]
fn a_list_gives_a_report_json_and_tables() {
    let workplace = workplace();
    let outcome = evaluate(&workplace, "").succeeded();
    assert_eq!(outcome.stderr(), "");
    for part in
        ["Fidelity of synthetic images", "| MAE, inside the brain |", "paired t-test", "8 pairs measured"]
    {
        assert!(outcome.stdout().contains(part), "{part:?} is not in {}", outcome.stdout());
    }
    let mut files: Vec<_> =
        fs::read_dir(workplace.path("results")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["comparisons.csv", "report.html", "study.json", "values.csv"]);

    // A factor on an image of a known mean: the error is known.
    let study = workplace.json("results/study.json");
    let mae = study["pairs"][0]["evaluation"]["mae_brain"].as_f64().unwrap();
    let mean =
        study["pairs"][0]["evaluation"]["mae"].as_f64().unwrap() / 0.06 * (24.0 * 28.0) / (16.0 * 20.0);
    assert!((mae - 0.06 * mean).abs() < 1e-6 && (0.7..0.8).contains(&mean), "{mae}, {mean}");
    assert_eq!(study["cohorts"][0]["methods"], serde_json::json!(["near", "far"]));
    assert_eq!(study["left_out"], serde_json::json!([]));
    let line = format!(",,p1,near,mae_brain,{mae},");
    assert!(text(&workplace, "results/values.csv").lines().any(|of| of == line), "{line}");
    let html = text(&workplace, "results/report.html");
    assert!(html.contains("not a medical device") && html.contains("near") && !html.contains("<script"));
    assert!(html.contains("evaluate --study images/study.csv -o results"));
}

#[test]
fn results_are_the_same_for_any_number_of_threads_and_replaced_only_if_asked() {
    let workplace = workplace();
    evaluate(&workplace, "--threads 1").succeeded();
    let files = ["results/study.json", "results/values.csv", "results/comparisons.csv"];
    let first = files.map(|file| workplace.bytes(file));
    evaluate(&workplace, "--threads 3").failed(12, "exists");
    evaluate(&workplace, "--threads 3 --force").succeeded();
    assert!(files.map(|file| workplace.bytes(file)) == first);
    let json = evaluate(&workplace, "--force --json -").succeeded().json();
    assert_eq!(json, workplace.json("results/study.json"));
    assert_eq!(evaluate(&workplace, "--force --quiet").succeeded().stdout(), "");
}

#[test]
fn everything_missing_is_told_at_once_and_nothing_is_written() {
    let workplace = workplace();
    for name in ["real2.nii.gz", "far4.nii.gz"] {
        fs::remove_file(workplace.path("images").join(name)).unwrap();
    }
    let outcome = evaluate(&workplace, "").failed(12, "real2.nii.gz");
    assert!(outcome.stderr().contains("far4.nii.gz"));
    assert_eq!(workplace.files(), ["images"]);
}

#[test]
fn pairs_that_cannot_be_measured_end_the_study_or_are_left_out() {
    let workplace = workplace();
    write(&workplace, "images/near2.nii.gz", 1.5, 0.7);
    write(&workplace, "images/far3.nii.gz", 1.0, 70.0);
    let outcome = evaluate(&workplace, "").failed(14, "2 of 8 pairs cannot be measured: p2, near: ");
    assert!(outcome.stderr().contains("spacing") && outcome.stderr().contains("p3, far: "));
    assert_eq!(workplace.files(), ["images"]);

    let outcome = evaluate(&workplace, "--skip-refused").succeeded();
    assert!(outcome.stderr().contains("left out: p2, near"), "{}", outcome.stderr());
    let html = text(&workplace, "results/report.html");
    assert!(html.contains("Left out of everything below, 2 pairs") && html.contains("far3.nii.gz"));
    let study = workplace.json("results/study.json");
    assert_eq!(study["left_out"][0]["subject"], "p2");
    assert_eq!(study["pairs"].as_array().unwrap().len(), 6);
    // Two subjects are whole: too few for tests, and that is said.
    assert!(outcome.stdout().contains("only 2 subjects have a value of every method"));
}

#[test]
fn images_of_any_scale_are_measured_after_normalizing() {
    let workplace = workplace();
    for subject in 1..=4 {
        write(&workplace, &format!("images/real{subject}.nii.gz"), 1.0, 800.0);
    }
    evaluate(&workplace, "").failed(18, "8 of 8 pairs cannot be measured");
    evaluate(&workplace, "--normalize --fit").succeeded();
    let study = workplace.json("results/study.json");
    for pair in study["pairs"].as_array().unwrap() {
        // What differs by a factor alone is equal after both.
        let psnr = pair["evaluation"]["psnr"].as_f64().unwrap();
        assert!(psnr > 90.0, "{psnr}");
        assert_eq!(pair["evaluation"]["normalize"], true);
    }
}

#[test]
fn faulty_lists_and_options_are_told() {
    let workplace = workplace();
    evaluate(&workplace, "--baseline nearest").failed(11, "\"nearest\" is no method: near, far");
    evaluate(&workplace, "--equivalence-margin 0").failed(11, "margin");
    evaluate(&workplace, "--json results.json").failed(11, "--json takes - only");
    evaluate(&workplace, "--reference-derivative x").failed(11, "BIDS");
    fs::write(workplace.path("images/study.csv"), "subject,method,reference,synthetic\np1,,r,s\np2,m,,s\n")
        .unwrap();
    evaluate(&workplace, "").failed(11, "line 2 has no method; line 3 has no reference");
    fs::write(workplace.path("images/study.csv"), [0xff, 0xfe, 0]).unwrap();
    evaluate(&workplace, "").failed(11, "study.csv: invalid argument: the text is not UTF-8");
    assert_eq!(workplace.files(), ["images"]);
    let together = ["evaluate", "--study", "images/study.csv", "-o", "x", "--mask", "m.nii"];
    assert_eq!(workplace.run(together).code(), 2);
    assert_eq!(workplace.run(["evaluate"]).code(), 2);
}

#[test]
fn a_bids_dataset_is_a_study() {
    let workplace = Workplace::new();
    for subject in ["01", "02", "03"] {
        let anat = format!("sub-{subject}/anat/sub-{subject}");
        write(&workplace, &format!("data/{anat}_T1w.nii.gz"), 1.0, 0.8);
        for (method, level) in [("A", 0.7), ("B", 0.75)] {
            let name = format!("data/derivatives/{method}/{anat}_desc-synthetic_T1w.nii.gz");
            write(&workplace, &name, 1.0, level);
        }
    }
    workplace.run(["evaluate", "--study", "data", "-o", "results", "--baseline", "B"]).succeeded();
    let study = workplace.json("results/study.json");
    assert_eq!(study["pairs"].as_array().unwrap().len(), 6);
    assert_eq!(study["cohorts"][0]["translation"], "T2w to T1w");
    assert_eq!(study["cohorts"][0]["subjects"], serde_json::json!(["sub-01", "sub-02", "sub-03"]));
    assert_eq!(study["cohorts"][0]["baseline"], "B");
    fs::remove_file(workplace.path("data/sub-02/anat/sub-02_T1w.nii.gz")).unwrap();
    let outcome = workplace.run(["evaluate", "--study", "data", "-o", "results", "--force"]);
    outcome.failed(11, "there is no real T1w of it");
}
