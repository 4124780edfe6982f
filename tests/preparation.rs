//! Raw scans, from the scanner's grid to standard space and back: made-up heads whose truth is known, and what is no head.

mod head;
mod onnx;
mod real;

use std::ops::ControlFlow;
use std::sync::LazyLock;

use head::{Contrast, Head, clinical_grid, pose};
use mrisynth::model::{LoadOptions, Model};
use mrisynth::prepare::morphology::dice;
use mrisynth::prepare::register::template;
use mrisynth::prepare::{self, BiasCorrection};
use mrisynth::synthesize::Options;
use mrisynth::{
    Affine, Control, Error, Grid, Prepared, Result, Transform, Volume, prepare as prepare_scan, synthesize,
    synthesize_prepared,
};
use ndarray::{Array3, s};

static HEAD: LazyLock<Head> = LazyLock::new(Head::new);

fn prepared(scan: &Volume) -> Result<Prepared> {
    prepare_scan(scan, &prepare::Options::default(), &mut Control::default())
}

/// The mean distance in millimetres over the template's brain between two transforms.
fn displacement(one: &Transform, other: &Transform) -> f64 {
    let (grid, brain) = (template::standard_grid(), template::brain_mask().unwrap());
    let (mut sum, mut count) = (0.0, 0);
    for ((i, j, k), _) in brain.indexed_iter().filter(|(_, inside)| **inside).step_by(97) {
        let point = grid.affine.to_millimetres([i as f64, j as f64, k as f64]);
        let (a, b) = (one.apply(point), other.apply(point));
        sum += (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt();
        count += 1;
    }
    sum / f64::from(count)
}

#[test]
fn a_tilted_head_in_thick_slices_is_found_placed_and_normalized() {
    for contrast in [Contrast::T1w, Contrast::T2w] {
        let (scan, brain) = HEAD.scan(clinical_grid(10.0), &pose(), contrast);
        let prepared = prepared(&scan).unwrap();
        assert_eq!(prepared.corrected.grid(), scan.grid());
        assert_eq!(prepared.bias.grid(), scan.grid());
        let overlap = dice(&prepared.mask, &brain);
        assert!(overlap > 0.9, "{contrast:?}: Dice {overlap}");
        let away = displacement(&prepared.standard_to_scan, &pose());
        assert!(away < 2.5, "{contrast:?}: {away} mm from where the head lies");

        let standard = &prepared.standard;
        assert_eq!(standard.grid(), template::standard_grid());
        assert!(standard.as_slice().iter().all(|value| (0.0..=1.0).contains(value)));
        let inside_or_zero =
            |(at, value): ((usize, usize, usize), &f32)| prepared.standard_mask[at] || *value == 0.0;
        assert!(standard.voxels().indexed_iter().all(inside_or_zero));
        let overlap = dice(&prepared.standard_mask, template::brain_mask().unwrap());
        assert!(overlap > 0.9, "{contrast:?}: Dice {overlap} with MNI152's brain");
    }
}

#[test]
fn a_mirrored_result_would_be_noticed() {
    // A mark in the left half of the head: in the standard image it lies at a negative x, where MNI152 has the left.
    let (mut scan, brain) = HEAD.scan(clinical_grid(0.0), &pose(), Contrast::T1w);
    let place = pose().apply([-30.0, 10.0, 20.0]);
    let affine = *scan.affine();
    for ((i, j, k), voxel) in scan.voxels_mut().indexed_iter_mut() {
        let point = affine.to_millimetres([i as f64, j as f64, k as f64]);
        let away = (0..3).map(|axis| (point[axis] - place[axis]).powi(2)).sum::<f64>().sqrt();
        if away < 12.0 {
            *voxel = 0.0;
        }
    }
    let options = prepare::Options { mask: Some(brain), ..prepare::Options::default() };
    let prepared = prepare_scan(&scan, &options, &mut Control::default()).unwrap();
    let at = |x: f64| {
        let rows = template::standard_grid().affine.rows();
        let i = ((x - rows[0][3]) / rows[0][0]).round() as usize;
        prepared.standard.voxels()[[i, 136, 92]]
    };
    assert!(at(-30.0) < 0.1 && at(30.0) > 0.3, "left {}, right {}", at(-30.0), at(30.0));
}

#[test]
fn the_synthetic_image_lies_on_the_scans_own_grid() {
    // A network that shows its input: what comes back is the scan itself, on the scale of the brain.
    let model = Model::from_bytes(&onnx::middle_slice(3), &LoadOptions::default()).unwrap();
    let (scan, _) = HEAD.scan(clinical_grid(10.0), &pose(), Contrast::T2w);
    let options = Options::default();
    let result = synthesize(&model, &scan, &scan.grid(), &options, &mut Control::default()).unwrap();
    assert_eq!(result.grid(), scan.grid());
    let prepared = prepared(&scan).unwrap();
    let again = synthesize_prepared(&model, &prepared, &scan.grid(), &mut Control::default()).unwrap();
    assert_eq!(result, again, "both ways to synthesize from a raw scan are one");
    let (mut error, mut count) = (0.0, 0);
    for (at, value) in result.voxels().indexed_iter() {
        assert!(prepared.mask[at] || *value == 0.0, "outside of the brain it is 0");
        if prepared.mask[at] {
            let expected = prepared.scale.apply(prepared.corrected.voxels()[at]);
            error += f64::from((value - expected).abs());
            count += 1;
        }
    }
    let error = error / f64::from(count);
    // Noise and edges are smoothed a little on the way there and back.
    assert!(error < 0.06, "mean error {error}");
}

#[test]
fn any_number_of_threads_prepares_the_same() {
    let (scan, _) = HEAD.scan(clinical_grid(5.0), &pose(), Contrast::T1w);
    let with = |threads| {
        let mut control = Control { threads, ..Control::default() };
        prepare_scan(&scan, &prepare::Options::default(), &mut control).unwrap()
    };
    let alone = with(1);
    for threads in [2, 3] {
        let other = with(threads);
        assert_eq!(other.standard, alone.standard, "{threads} threads");
        assert_eq!(other.bias, alone.bias, "{threads} threads");
        assert_eq!(other.mask, alone.mask, "{threads} threads");
        assert_eq!(other.record.to_json().unwrap(), alone.record.to_json().unwrap(), "{threads} threads");
    }
}

#[test]
fn a_stripped_scan_keeps_its_own_mask() {
    let (mut scan, brain) = HEAD.scan(clinical_grid(0.0), &pose(), Contrast::T1w);
    for (at, voxel) in scan.voxels_mut().indexed_iter_mut() {
        *voxel = if brain[at] { voxel.max(1.0) } else { 0.0 };
    }
    let prepared = prepared(&scan).unwrap();
    assert_eq!(prepared.mask, prepare::brain::mask(scan.voxels()));
}

#[test]
fn a_given_mask_is_used_and_must_fit() {
    let (scan, brain) = HEAD.scan(clinical_grid(0.0), &pose(), Contrast::T1w);
    let with = |mask| {
        let options =
            prepare::Options { bias: BiasCorrection::Skip, mask: Some(mask), ..prepare::Options::default() };
        prepare_scan(&scan, &options, &mut Control::default())
    };
    let prepared = with(brain.clone()).unwrap();
    assert_eq!(prepared.mask, brain);
    assert_eq!(prepared.corrected, scan, "without bias correction the scan stays as it is");
    for mask in [Array3::from_elem((4, 4, 4), true), Array3::from_elem(brain.dim(), false)] {
        let fault = with(mask).unwrap_err();
        assert!(matches!(&fault, Error::BadImage(text) if text.starts_with("brain extraction: ")), "{fault}");
    }
}

/// A volume of 2 mm voxels made by a formula of the place in millimetres.
fn made(dims: [usize; 3], value: impl Fn([f64; 3]) -> f32) -> Volume {
    let origin = dims.map(|length| 1.0 - length as f64);
    let affine = Affine::from_sizes([2.0; 3], origin).unwrap();
    let mut volume = Volume::zeros(&Grid { dims, affine }).unwrap();
    for ((i, j, k), voxel) in volume.voxels_mut().indexed_iter_mut() {
        *voxel = value(affine.to_millimetres([i as f64, j as f64, k as f64])) + head::noise([i, j, k]);
    }
    volume
}

#[test]
fn what_is_no_head_is_refused_with_the_stage() {
    let noise = made([96, 96, 80], |_| 100.0);
    let radius = |[x, y, z]: [f64; 3], r: [f64; 3]| (x / r[0]).hypot(y / r[1]).hypot(z / r[2]);
    let knee = made([80, 80, 90], |point| match radius(point, [55.0, 60.0, 150.0]) {
        r if r < 0.45 => 180.0,
        r if r < 0.9 => 80.0,
        r if r < 1.0 => 220.0,
        _ => 6.0,
    });
    // A phantom: shells like ventricles, white matter, cortex, skull and scalp.
    let shells = made([96, 110, 96], |point| match radius(point, [70.0, 88.0, 68.0]) {
        r if r < 0.25 => 60.0,
        r if r < 0.75 => 150.0,
        r if r < 0.85 => 110.0,
        r if r < 0.93 => 10.0,
        r if r < 1.05 => 220.0,
        _ => 6.0,
    });
    let ball = made([96, 96, 96], |point| if radius(point, [60.0; 3]) < 1.0 { 200.0 } else { 6.0 });
    for (name, volume) in [("noise", noise), ("knee", knee), ("shells", shells), ("ball", ball)] {
        let fault = prepared(&volume).err().unwrap_or_else(|| panic!("{name} was taken for a head"));
        let text = fault.to_string();
        let stage = ["brain extraction: ", "registration: "].iter().any(|stage| text.contains(stage));
        assert!(matches!(fault, Error::Refused(_) | Error::BadImage(_)) && stage, "{name}: {text}");
    }
}

#[test]
fn a_brain_cut_by_the_field_of_view_is_refused() {
    let (scan, _) = HEAD.scan(clinical_grid(0.0), &pose(), Contrast::T1w);
    // The lower half only.
    let voxels = scan.voxels().slice(s![.., .., ..28]).to_owned();
    let lower = Volume::new(voxels, *scan.affine()).unwrap();
    let fault = prepared(&lower).unwrap_err();
    assert!(matches!(fault, Error::Refused(_)), "{fault}");
}

#[test]
fn a_header_that_turns_the_patient_round_is_refused() {
    let (scan, _) = HEAD.scan(clinical_grid(0.0), &pose(), Contrast::T1w);
    // The head is upside down and faces backwards: handedness is kept, the face is not where the header says.
    let mut rows = scan.affine().rows();
    rows[1..3].iter_mut().flatten().for_each(|entry| *entry = -*entry);
    let turned = Volume::new(scan.voxels().to_owned(), Affine::from_rows(rows).unwrap()).unwrap();
    let fault = prepared(&turned).unwrap_err();
    assert!(matches!(fault, Error::Refused(_)), "{fault}");
}

#[test]
fn a_wish_to_stop_is_heard_in_every_stage() {
    let (scan, _) = HEAD.scan(clinical_grid(0.0), &pose(), Contrast::T2w);
    let mut told = Vec::new();
    let mut note = |fraction| {
        told.push(fraction);
        ControlFlow::Continue(())
    };
    let mut control = Control { progress: Some(&mut note), ..Control::default() };
    prepare_scan(&scan, &prepare::Options::default(), &mut control).unwrap();
    assert!(told.windows(2).all(|pair| pair[0] <= pair[1]));
    assert_eq!((told.first(), told.last()), (Some(&0.0), Some(&1.0)));
    for stop_at in [0.0, 0.1, 0.4, 0.7, 0.9, 1.0] {
        let mut stop =
            |fraction| if fraction >= stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let mut control = Control { progress: Some(&mut stop), ..Control::default() };
        let outcome = prepare_scan(&scan, &prepare::Options::default(), &mut control);
        assert!(matches!(outcome, Err(Error::Cancelled)), "{stop_at}");
    }
}

#[test]
fn memory_is_bounded_before_the_work() {
    let (scan, _) = HEAD.scan(clinical_grid(0.0), &pose(), Contrast::T1w);
    let mut control = Control { memory_limit: Some(64 << 20), ..Control::default() };
    let outcome = prepare_scan(&scan, &prepare::Options::default(), &mut control);
    assert!(matches!(outcome, Err(Error::OutOfMemory(_))));
}

#[test]
fn real_scans_are_prepared() {
    let Some(shared) = real::shared() else { return };
    for name in ["train/long_p01_s1/T1W.nii.gz", "test/long_p04_s1/T2W.nii.gz"] {
        let scan = real::volume(&shared.join("data/open_ms").join(name));
        let prepared = prepared(&scan).unwrap();
        let overlap = dice(&prepared.standard_mask, template::brain_mask().unwrap());
        assert!(overlap > 0.88, "{name}: Dice {overlap} with MNI152's brain");
        let inside = prepared.mask.iter().filter(|inside| **inside).count() as f64;
        let millilitres = inside * scan.affine().voxel_sizes().iter().product::<f64>() / 1000.0;
        assert!((1000.0..1900.0).contains(&millilitres), "{name}: {millilitres} ml");
    }
}
