//! `mrisynth evaluate` as a user or a script runs it.

mod common;

use std::fs;

use common::{Outcome, Workplace, write_volume};
use mrisynth::{Affine, Grid, Volume};
use serde_json::{Value, json};

const DIMS: [usize; 3] = [24, 28, 16];
const SIZES: [f64; 3] = [1.0, 1.5, 2.0];
const ORIGIN: [f64; 3] = [-10.0, -20.0, -15.0];
/// All that an evaluation of the whole workplace reads.
const ALL: &str = "--mask mask.nii.gz --lesions-reference lesions.nii.gz --lesions-synthetic found.nii.gz \
                   --labels-reference labels.nii.gz --labels-synthetic labels2.nii.gz";

fn affine() -> Affine {
    Affine::from_sizes(SIZES, ORIGIN).unwrap()
}

fn volume_of(affine: Affine, dims: [usize; 3], value: impl Fn([usize; 3]) -> f32) -> Volume {
    let mut volume = Volume::zeros(&Grid { dims, affine }).unwrap();
    for ((i, j, k), voxel) in volume.voxels_mut().indexed_iter_mut() {
        *voxel = value([i, j, k]);
    }
    volume
}

fn in_box(at: [usize; 3], first: [usize; 3], size: [usize; 3]) -> bool {
    (0..3).all(|axis| (first[axis]..first[axis] + size[axis]).contains(&at[axis]))
}

/// 16 x 20 x 12 of 24 x 28 x 16 voxels.
fn in_brain(at: [usize; 3]) -> bool {
    in_box(at, [4, 4, 2], [16, 20, 12])
}

fn level(value: f32) -> impl Fn([usize; 3]) -> f32 {
    move |at| if in_brain(at) { value } else { 0.0 }
}

fn lesions(at: [usize; 3]) -> f32 {
    f32::from(in_box(at, [8, 8, 6], [3; 3]) || in_box(at, [14, 15, 9], [2; 3]))
}

fn label(at: [usize; 3]) -> f32 {
    if in_brain(at) { [2.0, 3.0, 24.0][at[1] % 3] } else { 0.0 }
}

fn write(workplace: &Workplace, name: &str, value: impl Fn([usize; 3]) -> f32) {
    write_volume(&workplace.path(name), &volume_of(affine(), DIMS, value));
}

/// Real and synthetic images of one level each, with masks and label maps.
fn workplace() -> Workplace {
    let workplace = Workplace::new();
    write(&workplace, "real.nii.gz", level(0.5));
    write(&workplace, "synthetic.nii.gz", level(0.75));
    write(&workplace, "mask.nii.gz", level(1.0));
    write(&workplace, "lesions.nii.gz", lesions);
    write(&workplace, "found.nii.gz", |at| f32::from(in_box(at, [9, 8, 6], [3; 3])));
    write(&workplace, "labels.nii.gz", label);
    write(&workplace, "labels2.nii.gz", |at| if at[2] == 2 { 0.0 } else { label(at) });
    workplace
}

/// `mrisynth evaluate` of two images with more arguments, parted by spaces.
fn evaluate(workplace: &Workplace, [reference, synthetic]: [&str; 2], arguments: &str) -> Outcome {
    let fixed = ["evaluate", "--reference", reference, "--synthetic", synthetic];
    workplace.run(fixed.into_iter().chain(arguments.split_whitespace()))
}

fn run(workplace: &Workplace, arguments: &str) -> Outcome {
    evaluate(workplace, ["real.nii.gz", "synthetic.nii.gz"], arguments)
}

fn figure(result: &Value, key: &str) -> f64 {
    result[key].as_f64().unwrap_or_else(|| panic!("{key} is {}", result[key]))
}

#[track_caller]
fn check_near(result: &Value, key: &str, expected: f64) {
    let found = figure(result, key);
    assert!((found - expected).abs() < 1e-5, "{key} is {found} instead of {expected}");
}

#[test]
fn figures_are_those_of_their_formulas() {
    let workplace = workplace();
    let outcome = run(&workplace, &format!("{ALL} --json -")).succeeded();
    let result = outcome.json();
    // A quarter too much in 320 of the 672 voxels of each slice with brain.
    let share = 320.0_f64 / 672.0;
    for (key, expected) in [
        ("slices", 12.0),
        ("mae_brain", 0.25),
        ("mae", 0.25 * share),
        ("psnr_brain", -20.0 * 0.25_f64.log10()),
        ("psnr", -20.0 * 0.25_f64.log10() - 10.0 * share.log10()),
        ("laplacian_ratio", 2.25),
        ("brain_ml", 11.52),
        ("dice", 36.0 / 62.0),
        ("hausdorff", (16.0 + 81.0 + 16.0_f64).sqrt()),
        ("lesion_f1", 2.0 / 3.0),
        ("lesion_precision", 1.0),
        ("lesion_sensitivity", 0.5),
        ("lesion_count_reference", 2.0),
        ("lesion_count_synthetic", 1.0),
        ("failed_lesions", 1.0),
        ("lesion_volume_reference_ml", 0.105),
        ("lesion_volume_difference_percent", -800.0 / 35.0),
        ("glcm_contrast_reference", 0.0),
    ] {
        check_near(&result, key, expected);
    }
    check_near(&result["volumes"]["intracranial"], "reference_ml", 11.52);
    check_near(&result["volumes"]["intracranial"], "difference_percent", -100.0 / 12.0);
    assert_eq!(result["reference"], "real.nii.gz");
    assert_eq!(
        (&result["brain"], &result["fit"], &result["data_range"]),
        (&json!("mask"), &json!(false), &json!(1.0))
    );
    assert_eq!(result["settings"]["lesions"]["rule"]["overlap"], "any");
    assert_eq!(outcome.stderr(), "");
}

#[test]
fn equal_images_have_the_best_figures() {
    let workplace = workplace();
    let masks = "--lesions-reference lesions.nii.gz --lesions-synthetic lesions.nii.gz --json -";
    let result = evaluate(&workplace, ["real.nii.gz", "real.nii.gz"], masks).succeeded().json();
    for (key, expected) in [
        ("psnr", 120.0),
        ("ssim", 1.0),
        ("ssim_gaussian", 1.0),
        ("mae", 0.0),
        ("psnr_brain", 120.0),
        ("laplacian_ratio", 1.0),
        ("gradient_mae", 0.0),
        ("dice", 1.0),
        ("hd95", 0.0),
        ("hd95_larger", 0.0),
        ("assd", 0.0),
        ("lesion_f1", 1.0),
        ("lesion_f1_strict", 1.0),
        ("failed_lesions", 0.0),
    ] {
        assert_eq!(figure(&result, key), expected, "{key}");
    }
    assert_eq!(result["brain"], "reference_above_zero");
}

#[test]
fn the_table_says_the_same() {
    let workplace = workplace();
    let outcome = run(&workplace, ALL).succeeded();
    let text = outcome.stdout();
    let line = |start: &str| {
        let found = text.lines().find(|line| line.starts_with(start));
        found
            .unwrap_or_else(|| panic!("{start} is not in {text}"))
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("PSNR"), "PSNR (dB) 15.2634 12.0412");
    assert_eq!(line("Dice"), "Dice 0.5806");
    assert_eq!(line("lesions "), "lesions 2 1");
    assert_eq!(line("intracranial"), "intracranial 11.5200 10.5600 -8.3333");
    assert_eq!(line("brain stem"), "brain stem 0.0000 0.0000 -");
    assert!(line("- the real image has none of it").contains("volumes.brain_stem.difference_percent"));
    // What is not there is not shown, nor is the reason.
    let images = run(&workplace, "").succeeded();
    assert!(!images.stdout().contains("Dice") && !images.stdout().contains("\n- "), "{}", images.stdout());
    assert!(images.stdout().contains("where the real image is above 0: 11.5 ml"));
}

#[test]
fn json_goes_to_a_file_that_is_replaced_only_if_asked() {
    let workplace = workplace();
    let before = workplace.files().len();
    let outcome = run(&workplace, "--json result.json").succeeded();
    assert!(outcome.stdout().starts_with("result.json: 12 slices, PSNR 15.26 dB"), "{}", outcome.stdout());
    assert_eq!(workplace.files().len(), before + 1);
    let first = workplace.bytes("result.json");
    assert_eq!(workplace.json("result.json"), run(&workplace, "--json -").succeeded().json());

    run(&workplace, "--json result.json").failed(12, "result.json: it exists already; --force replaces it");
    let silent = run(&workplace, "--json result.json --force --quiet").succeeded();
    assert_eq!((silent.stdout(), silent.stderr()), ("", ""));
    assert!(workplace.bytes("result.json") == first, "the same input gave other bytes");
    run(&workplace, "--json mask.nii.gz --mask mask.nii.gz --force").failed(11, "it would replace an input");
    run(&workplace, "--json none/result.json").succeeded();
    // A fault leaves what was there.
    run(&workplace, "--data-range 255 --json result.json --force").failed(18, "the data range is 255");
    assert!(workplace.bytes("result.json") == first);
}

#[test]
fn threads_change_nothing() {
    let workplace = workplace();
    write(&workplace, "real.nii.gz", |at| level(0.4)(at) * (1.0 + (at[0] * at[1] % 7) as f32 / 10.0));
    let result = |threads: u8| {
        run(&workplace, &format!("{ALL} --threads {threads} --json -")).succeeded().stdout().to_owned()
    };
    assert_eq!(result(1), result(2));
    assert_eq!(result(1), result(7));
}

#[test]
fn the_order_of_storage_changes_nothing() {
    let workplace = workplace();
    let value = |at: [usize; 3]| level(0.4)(at) * (1.0 + (at[0] * at[1] % 7 + at[2]) as f32 / 30.0);
    write(&workplace, "real.nii.gz", value);
    // Slices from the top, then columns from the right, then rows: k, i, j, the first two backwards.
    let [x, y, z] = SIZES;
    let rows = [
        [0.0, -x, 0.0, ORIGIN[0] + x * (DIMS[0] - 1) as f64],
        [0.0, 0.0, y, ORIGIN[1]],
        [-z, 0.0, 0.0, ORIGIN[2] + z * (DIMS[2] - 1) as f64],
        [0.0, 0.0, 0.0, 1.0],
    ];
    let dims = [DIMS[2], DIMS[0], DIMS[1]];
    let unturned = |[a, b, c]: [usize; 3]| [DIMS[0] - 1 - b, c, DIMS[2] - 1 - a];
    let turned = volume_of(Affine::from_rows(rows).unwrap(), dims, |at| value(unturned(at)));
    write_volume(&workplace.path("turned.nii.gz"), &turned);
    let lesions = volume_of(Affine::from_rows(rows).unwrap(), dims, |at| lesions(unturned(at)));
    write_volume(&workplace.path("turned_lesions.nii.gz"), &lesions);
    let result = |reference: &str, lesions: &str| {
        let arguments = format!("--lesions-reference {lesions} --lesions-synthetic found.nii.gz --json -");
        let outcome = evaluate(&workplace, [reference, "synthetic.nii.gz"], &arguments).succeeded();
        outcome.stdout().replace("turned_", "").replace("turned", "real")
    };
    assert_eq!(result("real.nii.gz", "lesions.nii.gz"), result("turned.nii.gz", "turned_lesions.nii.gz"));
}

#[test]
fn grids_that_differ_are_named() {
    let workplace = workplace();
    let moved = Affine::from_sizes([1.0, 1.5, 2.5], ORIGIN).unwrap();
    write_volume(&workplace.path("thick.nii.gz"), &volume_of(moved, DIMS, level(0.5)));
    let part = "thick.nii.gz: bad image: it is not on the grid of real.nii.gz: from bottom to top a spacing of 2.5000 mm \
                instead of 2.0000 (+0.5000 mm)";
    evaluate(&workplace, ["real.nii.gz", "thick.nii.gz"], "").failed(14, part);
    run(&workplace, "--mask thick.nii.gz").failed(14, part);
    run(&workplace, "--lesions-reference thick.nii.gz").failed(14, part);
}

#[test]
fn missing_files_are_told_all_at_once() {
    let workplace = workplace();
    let arguments = "--lesions-reference gone.nii.gz --lesions-synthetic found.nii.gz --labels-reference lost.nii.gz \
                     --labels-synthetic labels.nii.gz --label-table table.txt";
    let outcome =
        evaluate(&workplace, ["away.nii.gz", "synthetic.nii.gz"], arguments).failed(12, "(4 files in all)");
    for name in ["away.nii.gz: ", "gone.nii.gz: ", "lost.nii.gz: ", "table.txt: "] {
        assert!(outcome.stderr().contains(name), "{}", outcome.stderr());
    }
    let json = evaluate(&workplace, ["away.nii.gz", "gone.nii.gz"], "--json -");
    assert_eq!((json.code(), json.json()["error"]["status"].as_str()), (12, Some("IO")));
}

#[test]
fn empty_masks_and_constant_images_have_defined_results() {
    let workplace = workplace();
    write(&workplace, "empty.nii.gz", |_| 0.0);
    write(&workplace, "constant.nii.gz", |_| 0.5);
    let lesions = "--lesions-reference empty.nii.gz --lesions-synthetic empty.nii.gz";
    let both = run(&workplace, &format!("{lesions} --json -")).succeeded().json();
    assert_eq!((figure(&both, "dice"), figure(&both, "lesion_f1")), (1.0, 1.0));
    assert_eq!((&both["hd95"], &both["notes"]["hd95"]), (&Value::Null, &json!("both masks are empty")));
    assert!(run(&workplace, lesions).succeeded().stdout().contains("- both masks are empty: assd, "));
    let one = "--lesions-reference lesions.nii.gz --lesions-synthetic empty.nii.gz --json -";
    let one = run(&workplace, one).succeeded().json();
    assert_eq!((figure(&one, "dice"), figure(&one, "failed_lesions")), (0.0, 2.0));
    assert_eq!(one["notes"]["assd"], "the synthetic image's mask is empty");
    run(&workplace, "--mask empty.nii.gz").failed(14, "empty.nii.gz: bad image: the mask is empty");
    evaluate(&workplace, ["empty.nii.gz", "real.nii.gz"], "").failed(14, "no voxel is above 0");

    let arguments = "--mask mask.nii.gz --json -";
    let constant = evaluate(&workplace, ["constant.nii.gz", "constant.nii.gz"], arguments).succeeded().json();
    assert_eq!((figure(&constant, "ssim"), figure(&constant, "psnr")), (1.0, 120.0));
    assert_eq!(constant["laplacian_ratio"], Value::Null);
    assert!(constant["notes"]["laplacian_ratio"].as_str().unwrap().contains("no edge"));
}

#[test]
fn what_cannot_be_is_refused_unless_the_user_insists() {
    let workplace = workplace();
    write(&workplace, "raw.nii.gz", level(700.0));
    let raw = ["raw.nii.gz", "synthetic.nii.gz"];
    evaluate(&workplace, raw, "").failed(18, "raw.nii.gz: its brain has intensities of 700");
    let insisting = evaluate(&workplace, raw, "--accept-implausible").succeeded();
    assert!(insisting.stderr().contains("warning: accepted as asked: raw.nii.gz"), "{}", insisting.stderr());
    // As many times the values, as many times the range.
    let fitted = evaluate(&workplace, raw, "--data-range 700 --fit --json -").succeeded().json();
    assert_eq!((&fitted["fit"], &fitted["data_range"]), (&json!(true), &json!(700.0)));
    assert!(figure(&fitted, "psnr_brain") > 100.0);
    for (arguments, code, part) in [
        ("--data-range 0", 11, "a data range of 0"),
        ("--data-range nan", 11, "a data range of NaN"),
        ("--mask real.nii.gz", 0, ""),
        ("--label-table mask.nii.gz", 11, "mask.nii.gz: invalid argument: the text is not UTF-8"),
    ] {
        let outcome = run(&workplace, arguments);
        if code == 0 { drop(outcome.succeeded()) } else { drop(outcome.failed(code, part)) }
    }
    for arguments in
        ["--lesions-synthetic found.nii.gz", "--labels-reference labels.nii.gz", "--data-range x"]
    {
        assert_eq!(run(&workplace, arguments).code(), 2, "{arguments}");
    }
}

#[test]
fn labels_mean_what_the_table_says() {
    let workplace = workplace();
    write(&workplace, "classes.nii.gz", |at| if in_brain(at) { (1 + at[1] % 3) as f32 } else { 0.0 });
    let labels = "--labels-reference classes.nii.gz --labels-synthetic classes.nii.gz --json -";
    let refused = run(&workplace, labels);
    assert_eq!(refused.code(), 18);
    assert!(refused.stderr().contains("classes.nii.gz: its labels are 1 to 3"), "{}", refused.stderr());
    let three = run(&workplace, &format!("{labels} --label-table three-classes")).succeeded().json();
    // Columns 4 to 23 of the brain: 7 with label 2 (4, 7, ...), 7 with 3 and 6 with 1.
    check_near(&three["volumes"]["grey_matter"], "reference_ml", 16.0 * 7.0 * 12.0 * 0.003);
    check_near(&three["volumes"]["csf"], "reference_ml", 16.0 * 6.0 * 12.0 * 0.003);
    assert_eq!(three["label_table"], "three-classes");
    fs::write(workplace.path("mine.txt"), "1 white_matter\n2 csf\n3 csf\n").unwrap();
    let own = run(&workplace, &format!("{labels} --label-table mine.txt")).succeeded().json();
    check_near(&own["volumes"]["white_matter"], "reference_ml", 16.0 * 6.0 * 12.0 * 0.003);
    fs::write(workplace.path("mine.txt"), "1 bone\n").unwrap();
    let fault = run(&workplace, &format!("{labels} --label-table mine.txt"));
    assert_eq!(fault.code(), 11);
    assert!(
        fault.stderr().contains("mine.txt: invalid argument: table of labels, line 1"),
        "{}",
        fault.stderr()
    );
}

#[test]
fn the_documentation_has_every_key() {
    let workplace = workplace();
    let help = workplace.run(["evaluate", "--help"]).succeeded();
    assert!(help.stdout().contains("--lesions-synthetic <FILE>") && help.stdout().contains("Exit codes:"));
    // The documentation has a line for each key of the JSON object.
    let documentation = include_str!("../../../docs/command.md");
    let result = run(&workplace, "--json -").succeeded().json();
    for key in result.as_object().unwrap().keys() {
        assert!(documentation.contains(&format!("`{key}`")), "docs/command.md lacks {key}");
    }
}
