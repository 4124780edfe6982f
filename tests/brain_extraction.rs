//! Brain extraction on what is no head, on the stripped example scan, and on real raw scans against masks of another tool.
#![cfg(feature = "embedded-models")]

mod real;

use std::path::Path;

use mrisynth::prepare::extract::{Extraction, extract};
use mrisynth::prepare::morphology::dice;
use mrisynth::{Affine, Transform, Volume, Watch};
use ndarray::{Array3, ShapeBuilder};
use real::{itk_transform, shared, volume};

fn extraction(scan: &Volume) -> Extraction {
    extract(scan, &Watch::default()).unwrap()
}

/// `mask` of the T1w scan on the grid of `scan`, of which `to_t1w` leads to the T1w scan; nearest voxel.
fn carried(mask: &Volume, to_t1w: &Transform, scan: &Volume) -> Array3<bool> {
    let map = scan.affine().then(to_t1w).unwrap().to_indices_of(mask.affine());
    Array3::from_shape_fn(scan.voxels().dim(), |(i, j, k)| {
        let index = map.apply([i as f64, j as f64, k as f64]).map(f64::round);
        let inside = (0..3).all(|axis| index[axis] >= 0.0 && index[axis] < mask.dims()[axis] as f64);
        inside && mask.voxels()[index.map(|position| position as usize)] > 0.5
    })
}

#[test]
fn raw_scans_of_both_contrasts_agree_with_robex() {
    let Some(shared) = shared() else { return };
    let study = shared.join("data/open_ms/train/long_p12_s1");
    let robex = volume(&shared.join("reference/p12_T1W/mask_robex.nii.gz"));
    let (t1w, t2w) = (volume(&study.join("T1W.nii.gz")), volume(&study.join("T2W.nii.gz")));
    let [from_t1w, from_t2w] =
        ["T1W", "T2W"].map(|name| itk_transform(&study.join(format!("{name}_to_FLAIR.txt"))));
    let to_t1w = from_t2w.inverse().then(&from_t1w);
    let references = [robex.voxels().mapv(|value| value > 0.5), carried(&robex, &to_t1w, &t2w)];
    for (scan, reference) in [&t1w, &t2w].into_iter().zip(&references) {
        let found = extraction(scan);
        let agreement = dice(&found.mask, reference);
        assert!(agreement > 0.93, "Dice {agreement}");
        assert!(!found.already_stripped);
        assert!((900.0..1900.0).contains(&found.millilitres), "{} ml", found.millilitres);
        assert!(found.sharpness > 0.6, "sharpness {}", found.sharpness);
    }
}

#[test]
fn turned_and_shifted_heads_agree_with_robex() {
    let Some(shared) = shared() else { return };
    let robex = volume(&shared.join("reference/p01_T1W/mask_robex.nii.gz"));
    let reference = robex.voxels().mapv(|value| value > 0.5);
    let scan = volume(&shared.join("data/open_ms/train/long_p01_s1/T1W.nii.gz"));
    let (sin, cos) = 35.0_f64.to_radians().sin_cos();
    for turn in [
        [[1.0, 0.0, 0.0, 0.0], [0.0, cos, -sin, 40.0], [0.0, sin, cos, 0.0]],
        [[cos, 0.0, -sin, 40.0], [0.0, 1.0, 0.0, 0.0], [sin, 0.0, cos, 0.0]],
        [[cos, sin, 0.0, 0.0], [-sin, cos, 0.0, 0.0], [0.0, 0.0, 1.0, -40.0]],
    ] {
        let transform = Transform::from_rows([turn[0], turn[1], turn[2], [0.0, 0.0, 0.0, 1.0]]).unwrap();
        let affine = scan.affine().then(&transform).unwrap();
        let moved = Volume::new(scan.voxels().to_owned(), affine).unwrap();
        let agreement = dice(&extraction(&moved).mask, &reference);
        assert!(agreement > 0.93, "Dice {agreement} after {turn:?}");
    }
}

#[test]
fn the_stripped_example_is_recognized_and_left_as_it_is() {
    for name in ["example_T1w", "example_T2w"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/data/{name}.nii.gz"));
        let scan = volume(&path);
        let found = extraction(&scan);
        assert!(found.already_stripped, "{name}: {} ml", found.millilitres);
        assert!(scan.voxels().iter().zip(&found.mask).all(|(value, inside)| *value == 0.0 || *inside));
    }
}

#[test]
fn stripped_scans_are_recognized_and_keep_their_mask() {
    let Some(shared) = shared() else { return };
    for name in ["T1", "T2"] {
        let scan = volume(&shared.join(format!("data/open_ms/train/cs_p07/{name}.nii.gz")));
        let found = extraction(&scan);
        assert!(found.already_stripped, "{name}");
        assert!(scan.voxels().iter().zip(&found.mask).all(|(value, inside)| *value == 0.0 || *inside));
    }
}

fn noise(dims: [usize; 3], spacing: f64) -> Volume {
    let mut state = 12345_u32;
    let voxels = Array3::from_shape_fn((dims[0], dims[1], dims[2]).f(), |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32
    });
    Volume::new(voxels, Affine::from_sizes([spacing; 3], [0.0; 3]).unwrap()).unwrap()
}

/// Less than the smallest brain of an adult.
const TINY: f64 = 300.0;

#[test]
fn a_cube_of_noise_has_no_brain() {
    let found = extraction(&noise([90; 3], 2.0));
    assert!(found.millilitres < TINY, "{} ml, sharpness {}", found.millilitres, found.sharpness);
    assert!(!found.already_stripped);
}

/// The network takes it for a brain (models/README.md); but nobody must think that it was stripped.
#[test]
fn a_knee_like_ellipsoid_is_not_called_stripped() {
    let mut scan = noise([80, 90, 100], 2.0);
    for ((i, j, k), value) in scan.voxels_mut().indexed_iter_mut() {
        let radius = |centre: [f32; 3], half: [f32; 3]| {
            let part = [i, j, k].map(|at| at as f32);
            [0, 1, 2].map(|n| (part[n] - centre[n]) / half[n]).iter().map(|x| x * x).sum::<f32>().sqrt()
        };
        let bone = radius([40.0, 48.0, 50.0], [15.0, 15.0, 60.0]);
        let tissue = match radius([40.0, 45.0, 50.0], [32.0, 34.0, 70.0]) {
            r if r > 1.0 => 0.0,
            r if r > 0.85 => 200.0,
            _ if bone < 0.8 => 180.0,
            _ if bone < 1.0 => 10.0,
            _ => 90.0,
        };
        *value = tissue * (1.0 + 1e-8 * *value);
    }
    let found = extraction(&scan);
    assert!(!found.already_stripped);
}

#[test]
fn a_wish_to_stop_is_heard() {
    let watch = Watch::default();
    watch.cancel();
    let outcome = extract(&noise([40; 3], 2.0), &watch);
    assert!(matches!(outcome, Err(mrisynth::Error::Cancelled)));
}
