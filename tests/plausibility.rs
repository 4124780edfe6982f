//! What a model is handed in: the example pair is accepted, and refused when it is the other contrast, turned over or cut.

mod onnx;
mod real;

use std::path::Path;
use std::sync::Mutex;

use mrisynth::control::LogLevel;
use mrisynth::model::{LoadOptions, Model};
use mrisynth::prepare::register::template;
use mrisynth::synthesize::Options;
use mrisynth::{Affine, Contrast, Control, Error, Limits, Result, Volume, nifti, synthesize};
use ndarray::{ArrayViewMut3, Axis, s};

/// A model that reads T2w and shows it.
fn model() -> Model {
    Model::from_bytes(&onnx::middle_slice(3), &LoadOptions::default()).unwrap()
}

fn example(contrast: Contrast) -> Volume {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/data/example_{contrast}.nii.gz"));
    nifti::read(&path, &Limits::default()).unwrap().volume
}

/// The outcome for a prepared scan, and the warnings.
fn run(scan: &Volume, accept_implausible: bool) -> (Result<Volume>, Vec<String>) {
    let warnings = Mutex::new(Vec::new());
    let log = |level: LogLevel, text: &str| {
        if level == LogLevel::Warning {
            warnings.lock().unwrap().push(text.to_owned());
        }
    };
    let mut control = Control { accept_implausible, log: Some(&log), ..Control::default() };
    let outcome = synthesize(&model(), scan, &scan.grid(), &Options::prepared(), &mut control);
    (outcome, warnings.into_inner().unwrap())
}

#[track_caller]
fn assert_refused(scan: &Volume, word: &str) {
    let fault = run(scan, false).0.unwrap_err();
    assert!(matches!(&fault, Error::Refused(text) if text.contains(word)), "{word}: {fault}");
    let (outcome, warnings) = run(scan, true);
    outcome.unwrap();
    assert!(warnings.iter().any(|warning| warning.contains(word)), "{word}: {warnings:?}");
}

#[test]
fn a_scan_of_the_models_contrast_is_accepted_and_one_of_the_other_is_not() {
    assert_eq!(model().card().source, Contrast::T2w);
    let (outcome, warnings) = run(&example(Contrast::T2w), false);
    outcome.unwrap();
    assert_eq!(warnings, [""; 0]);
    assert_refused(&example(Contrast::T1w), "looks T1w");
}

/// The average brain inside the library, its fluid, grey and white matter as bright as said.
fn average(fluid: f32, grey: f32, white: f32) -> Volume {
    let brain = template::brain().unwrap();
    // The average's own intensities are about 50, 165 and 230.
    let intensity = |value: f32| match value {
        0.0 => 0.0,
        value if value < 165.0 => fluid + (grey - fluid) * ((value - 50.0) / 115.0).clamp(0.0, 1.0),
        value => grey + (white - grey) * ((value - 165.0) / 65.0).clamp(0.0, 1.0),
    };
    Volume::new(brain.voxels().mapv(intensity), *brain.affine()).unwrap()
}

#[test]
fn dark_fluid_with_bright_grey_matter_is_neither_contrast() {
    run(&average(900.0, 400.0, 300.0), false).0.unwrap();
    assert_refused(&average(200.0, 600.0, 800.0), "looks T1w");
    for flair_or_ct in [average(50.0, 400.0, 330.0), average(8.0, 38.0, 29.0)] {
        assert_refused(&flair_or_ct, "neither T1w nor T2w");
    }
}

/// The T2w example with one voxel axis named the other way.
fn reversed(axis: usize) -> Volume {
    let scan = example(Contrast::T2w);
    let mut voxels = scan.voxels().to_owned();
    voxels.invert_axis(Axis(axis));
    Volume::new(voxels, *scan.affine()).unwrap()
}

#[test]
fn a_brain_turned_over_is_refused_and_a_mirrored_one_cannot_be_told() {
    let axes = example(Contrast::T2w).affine().nearest_axes();
    run(&reversed(axes[0].0), false).0.unwrap();
    assert_refused(&reversed(axes[1].0), "the front where it says back");
    assert_refused(&reversed(axes[2].0), "the patient's top seems to be where the header says bottom");
    let scan = example(Contrast::T2w);
    let mut rows = scan.affine().rows();
    // What lay to the front now lies to the top, and what lay to the top to the back.
    (rows[1], rows[2]) = (rows[2].map(|entry| -entry), rows[1]);
    let turned = Volume::new(scan.voxels().to_owned(), Affine::from_rows(rows).unwrap()).unwrap();
    assert_refused(&turned, "orientation: ");
}

/// The T2w example with a part of it blanked, and so surrounded by background.
fn cropped(crop: impl Fn(&mut ArrayViewMut3<'_, f32>)) -> Volume {
    let mut scan = example(Contrast::T2w);
    crop(&mut scan.voxels_mut());
    scan
}

#[test]
fn half_a_brain_is_refused() {
    let [ni, nj, nk] = example(Contrast::T2w).dims();
    assert_refused(&cropped(|voxels| voxels.slice_mut(s![..ni / 2, .., ..]).fill(0.0)), "field of view");
    assert_refused(&cropped(|voxels| voxels.slice_mut(s![.., nj / 2.., ..]).fill(0.0)), "field of view");
    assert_refused(&cropped(|voxels| voxels.slice_mut(s![.., .., ..nk / 2]).fill(0.0)), "field of view");
    let slab = cropped(|voxels| {
        voxels.slice_mut(s![.., .., ..nk * 2 / 5]).fill(0.0);
        voxels.slice_mut(s![.., .., nk * 7 / 10..]).fill(0.0);
    });
    assert_refused(&slab, "flat face (bottom, top)");
}

#[test]
fn real_scans_are_told_apart() {
    let Some(shared) = real::shared() else { return };
    let scan = |name: &str| real::volume(&shared.join("data/open_ms/train/cs_p07").join(name));
    run(&scan("T2.nii.gz"), false).0.unwrap();
    let fault = run(&scan("T1.nii.gz"), false).0.unwrap_err().to_string();
    assert!(fault.contains("looks T1w"), "{fault}");
    let mut flair = scan("FLAIR.nii.gz");
    let brain = scan("T2.nii.gz");
    let pairs = flair.as_mut_slice().iter_mut().zip(brain.as_slice());
    pairs.for_each(|(value, brain)| *value = if *brain == 0.0 { 0.0 } else { value.max(1e-3) });
    let fault = run(&flair, false).0.unwrap_err().to_string();
    assert!(fault.contains("neither T1w nor T2w"), "{fault}");
}
