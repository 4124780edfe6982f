//! Folders and BIDS datasets through the command: names, order, faults in between, what is left out.

mod common;

use std::fs;
use std::path::Path;

use common::{Outcome, Workplace};
use serde_json::{Value, json};

fn run(workplace: &Workplace, arguments: &str) -> Outcome {
    workplace.run(arguments.split_whitespace())
}

/// A workplace with copies of the phantom at these paths.
fn with_scans(paths: &[&str]) -> Workplace {
    let workplace = Workplace::with_scan();
    for path in paths {
        fs::create_dir_all(workplace.path(path).parent().unwrap()).unwrap();
        fs::copy(workplace.path("scan.nii.gz"), workplace.path(path)).unwrap();
    }
    workplace
}

/// All files below a folder, hidden ones included, in order.
fn files_below(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

#[test]
fn a_scan_goes_into_a_folder_under_its_bids_name() {
    let workplace = with_scans(&["sub-01_ses-02_acq-x_run-1_T2w.nii.gz"]);
    fs::create_dir(workplace.path("out")).unwrap();
    let arguments = "synthesize sub-01_ses-02_acq-x_run-1_T2w.nii.gz -o out --to t1w --prepared";
    run(&workplace, arguments).succeeded();
    let stem = "sub-01_ses-02_acq-x_run-1_desc-synthetic_T1w";
    assert_eq!(files_below(&workplace.path("out")), [format!("{stem}.json"), format!("{stem}.nii.gz")]);
    run(&workplace, arguments).failed(12, &format!("out/{stem}"));
    run(&workplace, &arguments.replace("-o out", "-o none")).failed(11, "none");
    run(&workplace, &format!("{arguments} --skip-existing")).failed(11, "batch");
}

#[test]
fn a_folder_is_worked_through_in_spite_of_faults() {
    let workplace = with_scans(&[
        "in/b.nii.gz",
        "in/c.nii.gz",
        "in/d_T1w.nii.gz",
        "in/.hidden.nii.gz",
        "in/e.1.5mm.nii.gz",
    ]);
    fs::write(workplace.path("in/a.nii"), "not a scan").unwrap();
    fs::write(workplace.path("in/notes.txt"), "no scan").unwrap();
    fs::write(workplace.path("in/c.json"), r#"{"Synthetic": true}"#).unwrap();
    let arguments = "synthesize in -o out --to t1w --prepared --json";
    let outcome = run(&workplace, arguments);
    assert_eq!(outcome.code(), 3, "{}", outcome.stderr());
    assert!(outcome.stderr().contains("mrisynth: error: in/a.nii: bad image"), "{}", outcome.stderr());
    let results = outcome.json();
    let results = results.as_array().unwrap();
    assert_eq!(results.len(), 5);
    assert_eq!(results[0]["error"]["status"], "BAD_IMAGE");
    assert_eq!(results[0]["error"]["exit_code"], 14);
    assert_eq!(results[1]["output"], "out/b_desc-synthetic_T1w.nii.gz");
    assert_eq!(results[2], json!({ "input": "c.nii.gz", "skipped": "it is synthetic" }));
    assert_eq!(results[3]["skipped"], "named as T1w, the contrast to synthesize");
    assert_eq!(results[4]["output"], "out/e.1.5mm_desc-synthetic_T1w.nii.gz");
    let made = ["b", "e.1.5mm"].map(|name| format!("{name}_desc-synthetic_T1w"));
    let expected: Vec<_> =
        made.iter().flat_map(|name| [format!("{name}.json"), format!("{name}.nii.gz")]).collect();
    assert_eq!(files_below(&workplace.path("out")), expected);

    // The same again: what is there is in the way, or left out, or replaced.
    let outcome = run(&workplace, arguments);
    assert_eq!((outcome.code(), &outcome.json()[1]["error"]["status"]), (3, &"IO".into()));
    fs::remove_file(workplace.path("in/a.nii")).unwrap();
    let outcome = run(&workplace, &arguments.replace("--json", "--skip-existing")).succeeded();
    assert!(outcome.stdout().ends_with("\n0 done, 0 failed, 4 skipped\n"), "{}", outcome.stdout());
    // Results are no scans: nothing is made of them.
    let outcome = run(&workplace, "synthesize out -o more --to t2w --prepared");
    outcome.failed(11, "synthetic");
    assert!(!workplace.path("more").exists());
}

#[test]
fn a_bids_dataset_becomes_a_derived_one() {
    let scans = ["sub-02/ses-1/anat/sub-02_ses-1_run-1_T2w.nii.gz", "sub-01/anat/sub-01_T2w.nii.gz"];
    let others = ["sub-01/anat/sub-01_T1w.nii.gz", "sub-01/func/sub-01_T2w.nii.gz", "code/sub-01_T2w.nii.gz"];
    let paths: Vec<_> = scans.iter().chain(&others).map(|path| format!("data/{path}")).collect();
    let workplace = with_scans(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    let description = r#"{"Name": "Ours", "BIDSVersion": "1.8.0", "DatasetDOI": "doi:10.1/2"}"#;
    fs::write(workplace.path("data/dataset_description.json"), description).unwrap();
    let before = files_below(&workplace.path("data"));
    run(&workplace, "synthesize data -o data --to t1w --prepared").failed(11, "its own folder");
    fs::create_dir(workplace.path("data/derivatives")).unwrap();

    let arguments = "synthesize data -o data/derivatives/mrisynth --to t1w --prepared --qc sheets";
    let outcome = run(&workplace, arguments).succeeded();
    let lines: Vec<_> = outcome.stdout().lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[1].starts_with("sub-01/anat/sub-01_T2w.nii.gz ") && lines[1].contains("  done  "));
    assert!(lines[2].starts_with("sub-02/ses-1/anat/sub-02_ses-1_run-1_T2w.nii.gz "));
    assert_eq!(lines[3], "2 done, 0 failed, 0 skipped");
    let derived = workplace.path("data/derivatives/mrisynth");
    assert_eq!(
        files_below(&derived),
        [
            "dataset_description.json",
            "sub-01/anat/sub-01_desc-synthetic_T1w.json",
            "sub-01/anat/sub-01_desc-synthetic_T1w.nii.gz",
            "sub-02/ses-1/anat/sub-02_ses-1_run-1_desc-synthetic_T1w.json",
            "sub-02/ses-1/anat/sub-02_ses-1_run-1_desc-synthetic_T1w.nii.gz",
        ]
    );
    assert_eq!(
        files_below(&workplace.path("sheets")),
        ["sub-01_T2w_qc.png", "sub-02_ses-1_run-1_T2w_qc.png"]
    );
    let made = workplace.json("data/derivatives/mrisynth/dataset_description.json");
    assert_eq!(made["DatasetType"], "derivative");
    assert_eq!(made["GeneratedBy"][0]["Name"], "mrisynth");
    assert_eq!(made["SourceDatasets"], json!([{ "DOI": "doi:10.1/2", "Name": "Ours" }]));
    assert!(made["BIDSVersion"].is_string() && made["Name"].is_string());

    // Again, beside what is there, and into a folder that is another dataset's.
    run(&workplace, &format!("{arguments} --skip-existing --quiet")).succeeded();
    fs::create_dir(workplace.path("theirs")).unwrap();
    fs::write(workplace.path("theirs/dataset_description.json"), description).unwrap();
    run(&workplace, "synthesize data -o theirs --to t1w --prepared --force").failed(11, "another dataset");
    let of_others = |path: &String| !path.starts_with("derivatives");
    assert_eq!(
        files_below(&workplace.path("data")).into_iter().filter(of_others).collect::<Vec<_>>(),
        before
    );
}

#[test]
fn scans_whose_results_would_be_one_are_not_both_made() {
    let workplace = with_scans(&["in/a.nii.gz"]);
    let phantom = common::phantom();
    common::write_volume(&workplace.path("in/a.nii"), &phantom);
    let outcome = run(&workplace, "synthesize in -o out --to t1w --prepared --json");
    assert_eq!(outcome.code(), 3);
    let results = outcome.json();
    assert_eq!(results[0]["output"], "out/a_desc-synthetic_T1w.nii");
    assert_eq!(results[1]["error"]["status"], "INVALID_ARGUMENT");
    assert_eq!(files_below(&workplace.path("out")).len(), 2);
}

#[test]
fn what_a_batch_cannot_have_is_refused_before_the_work() {
    let workplace = with_scans(&["in/a.nii.gz"]);
    fs::create_dir(workplace.path("empty")).unwrap();
    fs::create_dir_all(workplace.path("bids/sub-01/anat")).unwrap();
    fs::write(workplace.path("file"), "").unwrap();
    run(&workplace, "synthesize empty -o out --to t1w").failed(11, "empty");
    run(&workplace, "synthesize bids -o out --to t1w").failed(11, "anat");
    run(&workplace, "prepare empty -o out").failed(11, "empty");
    run(&workplace, "synthesize in -o file --to t1w").failed(11, "file");
    run(&workplace, "synthesize in -o out --to t1w --qc file").failed(11, "file");
    run(&workplace, "synthesize in -o out --to t1w --mask scan.nii.gz").failed(11, "--mask");
    run(&workplace, "prepare in -o out --mask scan.nii.gz").failed(11, "--mask");
    run(&workplace, "synthesize in -o missing/out --to t1w").failed(12, "missing/out");
    assert_eq!(workplace.files(), ["bids", "empty", "file", "in", "scan.nii.gz"]);
}

#[test]
fn a_batch_is_prepared_into_folders_of_the_scans_names() {
    let workplace = with_scans(&["in/b_T2w.nii.gz"]);
    fs::write(workplace.path("in/a.nii"), "not a scan").unwrap();
    let outcome = run(&workplace, "prepare in -o out --no-bias --accept-implausible --json");
    assert_eq!(outcome.code(), 3, "{}", outcome.stderr());
    let results: Value = outcome.json();
    assert_eq!(results[0]["error"]["status"], "BAD_IMAGE");
    assert_eq!(results[1]["output"], "out/b_T2w");
    let files = files_below(&workplace.path("out"));
    assert_eq!(files.len(), 6);
    assert!(files.iter().all(|file| file.starts_with("b_T2w/")), "{files:?}");
}
