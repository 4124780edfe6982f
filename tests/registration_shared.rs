//! Registration of a real study agrees with what other tools found. The phantoms of `prepare::register` cover the same code
//! where the shared data is absent.

mod real;

use std::fs;
use std::path::Path;

use mrisynth::prepare::register::{self, template};
use mrisynth::{Transform, Watch};
use ndarray::Array3;
use real::{itk_transform, shared, volume};

type Rows = [[f64; 4]; 4];

fn mask(path: &Path) -> Array3<bool> {
    volume(path).voxels().mapv(|value| value > 0.5)
}

fn mean_distance(one: &Transform, other: &Transform, points: impl Iterator<Item = [f64; 3]>) -> f64 {
    let distances = points.map(|point| {
        let (a, b) = (one.apply(point), other.apply(point));
        (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt()
    });
    let (sum, count) = distances.fold((0.0, 0), |(sum, count), distance| (sum + distance, count + 1));
    sum / f64::from(count)
}

#[test]
fn a_real_scan_lies_where_ants_places_it() {
    let Some(shared) = shared() else { return };
    let reference = shared.join("reference/p01_T1W");
    let scan = volume(&shared.join("data/open_ms/train/long_p01_s1/T1W.nii.gz"));
    let found =
        register::to_template(&scan, &mask(&reference.join("mask_robex.nii.gz")), &Watch::default()).unwrap();
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(reference.join("affine_4x4_lps.json")).unwrap()).unwrap();
    let rows: Rows = serde_json::from_value(json["ants_Affine_lps_fixed_to_moving"].clone()).unwrap();
    let (grid, brain) = (template::standard_grid(), template::brain_mask().unwrap());
    let points = brain.indexed_iter().filter(|((i, j, k), inside)| **inside && (i | j | k) % 8 == 0);
    let points = points.map(|((i, j, k), _)| grid.affine.to_millimetres([i as f64, j as f64, k as f64]));
    let distance = mean_distance(&found.transform, &Transform::from_lps(rows).unwrap(), points);
    assert!(distance <= 2.0, "{distance} mm from ANTs' affine: {found:?}");
    assert_eq!(found.better_orientation, None);
}

#[test]
fn the_scans_of_a_study_lie_where_its_own_transforms_place_them() {
    let Some(shared) = shared() else { return };
    let study = shared.join("data/open_ms/train/long_p01_s1");
    let (t1w, t2w) = (volume(&study.join("T1W.nii.gz")), volume(&study.join("T2W.nii.gz")));
    let brain = mask(&shared.join("reference/p01_T1W/mask_robex.nii.gz"));
    let found = register::rigid(&t1w, &brain, &t2w, None, &Watch::default()).unwrap();
    let to_t1w = itk_transform(&study.join("T1W_to_FLAIR.txt"));
    let given = to_t1w.inverse().then(&itk_transform(&study.join("T2W_to_FLAIR.txt")));
    let points = brain.indexed_iter().filter(|((i, j, _), inside)| **inside && (i | j) % 8 == 0);
    let points = points.map(|((i, j, k), _)| t1w.affine().to_millimetres([i as f64, j as f64, k as f64]));
    let distance = mean_distance(&found.transform, &given, points);
    assert!(distance <= 0.7, "{distance} mm from the given transforms: {found:?}");
}
