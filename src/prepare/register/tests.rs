//! Known transforms are found again, in any contrast; and what cannot be registered is said to be so.

use rayon::ThreadPoolBuilder;

use super::*;
use crate::memory::in_memory_order;
use crate::prepare::resample::{linear_onto, mask_onto};
use crate::{Affine, Error, Grid};

/// An affine map with turns, stretch and shear, as between a head and MNI152.
fn known() -> Transform {
    Transform::from_rows([
        [0.90, 0.05, -0.03, 4.0],
        [-0.06, 0.96, 0.14, -9.0],
        [0.04, -0.16, 0.88, 12.0],
        [0.0, 0.0, 0.0, 1.0],
    ])
    .unwrap()
}

/// The standard brain after `transform` on a grid of slices 4 mm thick, its intensities changed, and its mask there.
fn scan(transform: &Transform, contrast: impl Fn(f32) -> f32) -> (Volume, Array3<bool>) {
    let centre = transform.apply([0.0, -18.0, 6.0]);
    let sizes = [0.9, 1.1, 4.0];
    let dims = [222, 218, 56];
    let origin = [0, 1, 2].map(|axis| centre[axis] - 0.5 * sizes[axis] * dims[axis] as f64);
    let affine = Affine::from_sizes(sizes, origin).unwrap();
    let in_standard = Grid { dims, affine: affine.then(&transform.inverse()).unwrap() };
    let voxels = linear_onto(template::brain().unwrap(), &in_standard).unwrap().into_voxels();
    let mask = mask_onto(
        template::brain_mask().unwrap(),
        &template::standard_grid(),
        &in_standard,
        &Watch::default(),
    )
    .unwrap();
    (Volume::new(voxels.mapv(|value| contrast(value / 255.0)), affine).unwrap(), mask)
}

/// The mean distance, over the standard brain, between where two transforms take a point.
fn apart(one: &Transform, other: &Transform) -> f64 {
    let (grid, mask) = (template::standard_grid(), template::brain_mask().unwrap());
    let points = mask.indexed_iter().filter(|((i, j, k), inside)| **inside && (i | j | k) % 8 == 0);
    let distances = points.map(|((i, j, k), _)| {
        let point = grid.affine.to_millimetres([i as f64, j as f64, k as f64]);
        DVec3::from_array(one.apply(point)).distance(DVec3::from_array(other.apply(point)))
    });
    let (sum, count) = distances.fold((0.0, 0), |(sum, count), distance| (sum + distance, count + 1));
    sum / f64::from(count)
}

fn registered(scan: &Volume, mask: &Array3<bool>) -> Registration {
    to_template(scan, mask, &Watch::default()).unwrap()
}

#[test]
fn a_known_affine_is_found_in_any_contrast() {
    let contrasts: [fn(f32) -> f32; 3] = [
        |value| 300.0 * value,
        |value| 1000.0 - 700.0 * value,
        // Grey matter brightest, fluid and white matter darker.
        |value| 50.0 + (6.0 * value).sin().abs(),
    ];
    for (n, contrast) in contrasts.into_iter().enumerate() {
        let (scan, mask) = scan(&known(), contrast);
        let found = registered(&scan, &mask);
        let distance = apart(&found.transform, &known());
        assert!(distance < 0.5, "contrast {n}: {distance} mm");
        assert!(found.overlap > 0.95 && found.in_view > 0.99 && found.similarity > 0.1, "{found:?}");
        assert_eq!(found.better_orientation, None);
    }
}

#[test]
fn a_head_far_off_is_found_and_one_turned_over_is_told() {
    let (turned, mask) = scan(&known(), |value| 1.0 - value);
    let (sin, cos) = 30_f64.to_radians().sin_cos();
    let misplaced = Transform::from_rows([
        [cos, -sin, 0.0, 25.0],
        [sin, cos, 0.0, -20.0],
        [0.0, 0.0, 1.0, 24.0],
        [0.0, 0.0, 0.0, 1.0],
    ])
    .unwrap();
    let affine = turned.affine().then(&misplaced).unwrap();
    let far_off = Volume::new(turned.clone().into_voxels(), affine).unwrap();
    let found = registered(&far_off, &mask);
    let distance = apart(&found.transform, &known().then(&misplaced));
    assert!(distance < 0.5, "{distance} mm");
    assert_eq!(found.better_orientation, None);

    // The header has bottom and top the wrong way round.
    let mut rows = turned.affine().rows();
    rows[2][2] = -rows[2][2];
    rows[2][3] = -rows[2][3];
    let upside_down = Volume::new(turned.into_voxels(), Affine::from_rows(rows).unwrap()).unwrap();
    let told = registered(&upside_down, &mask).better_orientation.unwrap();
    assert!(told.starts_with("the patient's top seems to be where the header says bottom"), "{told}");
}

#[test]
fn a_rigid_transform_is_found_between_contrasts() {
    let (fixed, mask) = scan(&known(), |value| 300.0 * value);
    let rigid_rows = DMat3::from_rotation_x(0.2) * DMat3::from_rotation_z(-0.1);
    let pose = Pose { centre: DVec3::ZERO, matrix: rigid_rows, middle: DVec3::new(8.0, -5.0, 12.0) };
    let moved = pose.transform().unwrap();
    let (moving, moving_mask) =
        scan(&known().then(&moved), |value| if value > 0.0 { 1.2 - value } else { 0.0 });
    for moving_mask in [None, Some(&moving_mask)] {
        let found = rigid(&fixed, &mask, &moving, moving_mask, &Watch::default()).unwrap();
        let distance = apart(&known().then(&found.transform), &known().then(&moved));
        assert!(distance < 0.5, "{distance} mm");
        assert!(found.stretch.iter().all(|stretch| (stretch - 1.0).abs() < 1e-9), "{found:?}");
    }
}

#[test]
fn the_result_is_the_same_for_any_number_of_threads() {
    let (scan, mask) = scan(&known(), |value| 1.0 - value);
    let with = |threads| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| registered(&scan, &mask))
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(4));
}

#[test]
fn what_cannot_be_registered_is_said_to_be_so() {
    let affine = Affine::from_sizes([2.0; 3], [-90.0; 3]).unwrap();
    let shape = (80, 80, 60);
    let all = in_memory_order(shape, true);
    let mut noisy = in_memory_order(shape, 0.0_f32);
    noisy.iter_mut().enumerate().for_each(|(n, value)| *value = (n * 7919 % 101) as f32);
    let watch = Watch::default();
    let of = |voxels: Array3<f32>, mask: &Array3<bool>| {
        to_template(&Volume::new(voxels, affine).unwrap(), mask, &watch).map(|_| ()).unwrap_err().to_string()
    };
    assert!(of(noisy.clone(), &in_memory_order(shape, false)).contains("the mask is empty"));
    assert!(of(in_memory_order(shape, 3.0), &all).contains("the image is 3 all over the mask"));
    assert!(of(in_memory_order(shape, f32::NAN), &all).contains("the mask is empty"));
    assert!(of(noisy.clone(), &in_memory_order((2, 2, 2), true)).contains("a mask of"));
    let plain = Volume::new(in_memory_order((64, 64, 1), 1.0), affine).unwrap();
    assert!(to_template(&plain, &in_memory_order((64, 64, 1), true), &watch).is_err());

    let cancelled = Watch::default();
    cancelled.cancel();
    let outcome = to_template(&Volume::new(noisy, affine).unwrap(), &all, &cancelled);
    assert!(matches!(outcome, Err(Error::Cancelled)));
}

#[test]
fn a_mask_of_a_few_voxels_ends_in_some_result() {
    let affine = Affine::from_sizes([2.0; 3], [-90.0; 3]).unwrap();
    let mut voxels = in_memory_order((40, 40, 1), 0.0_f32);
    let mut mask = in_memory_order((40, 40, 1), false);
    for n in 0..3 {
        mask[[20, 20 + n, 0]] = true;
        voxels[[20, 20 + n, 0]] = n as f32;
    }
    // No panic, whatever the result: the callers judge it by its figures.
    if let Ok(found) = to_template(&Volume::new(voxels, affine).unwrap(), &mask, &Watch::default()) {
        assert!(found.overlap < 0.5, "{found:?}");
    }
}
