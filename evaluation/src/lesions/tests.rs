//! Tests of the comparison, and masks that tests of its parts share.

use ndarray::{Array3, s};
use proptest::prelude::*;

use super::*;
use crate::golden::{assert_near, number, read};

/// Voxel sizes of the shared masks, in the order of their axes.
pub(crate) const SIZES: [f64; 3] = [3.0, 0.9, 0.9];

type Ball = ([i32; 3], i32);

/// The balls around these voxels with these radii in voxels, on the grid of the shared masks.
pub(crate) fn balls(balls: &[Ball]) -> Array3<bool> {
    Array3::from_shape_fn((24, 32, 30), |(z, y, x)| {
        balls.iter().any(|(centre, radius)| {
            let away = [z as i32 - centre[0], y as i32 - centre[1], x as i32 - centre[2]];
            away.iter().map(|v| v * v).sum::<i32>() <= radius * radius
        })
    })
}

/// The masks that `lesion.json` of the shared files describes: the real image's and the synthetic one's.
pub(crate) fn masks() -> (Array3<bool>, Array3<bool>) {
    let reference =
        balls(&[([6, 8, 8], 3), ([12, 20, 9], 2), ([17, 10, 22], 4), ([5, 25, 24], 1), ([20, 27, 5], 2)]);
    let synthetic = balls(&[
        ([6, 9, 8], 3),
        ([12, 20, 10], 1),
        ([17, 10, 19], 2),
        ([17, 11, 25], 2),
        ([3, 3, 27], 2),
        ([20, 29, 8], 1),
    ]);
    (reference, synthetic)
}

/// Two masks of up to 9 voxels an axis with some boxes in each, of which many touch.
pub(crate) fn random_masks() -> impl Strategy<Value = (Array3<bool>, Array3<bool>)> {
    let dims = (3_usize..9, 3_usize..9, 3_usize..9);
    let boxes = || {
        prop::collection::vec((prop::array::uniform3(0_usize..9), prop::array::uniform3(1_usize..4)), 0..6)
    };
    (dims, boxes(), boxes()).prop_map(|(dims, first, second)| {
        let mask = |boxes: &[([usize; 3], [usize; 3])]| {
            Array3::from_shape_fn(dims, |(i, j, k)| {
                boxes.iter().any(|(start, size)| {
                    (0..3).all(|axis| (start[axis]..start[axis] + size[axis]).contains(&[i, j, k][axis]))
                })
            })
        };
        (mask(&first), mask(&second))
    })
}

/// The mask with as many empty layers before it, and one after it.
pub(crate) fn shifted(mask: &Array3<bool>, by: [usize; 3]) -> Array3<bool> {
    let (ni, nj, nk) = mask.dim();
    let mut larger = Array3::from_elem((ni + by[0] + 1, nj + by[1] + 1, nk + by[2] + 1), false);
    larger.slice_mut(s![by[0]..by[0] + ni, by[1]..by[1] + nj, by[2]..by[2] + nk]).assign(mask);
    larger
}

fn of(reference: &Array3<bool>, synthetic: &Array3<bool>) -> Comparison {
    compare(reference.view(), synthetic.view(), SIZES, &Settings::default()).unwrap()
}

/// Counts and quotients of NumPy, as `lesion.json` of the shared files has them.
#[test]
fn agrees_with_numpys_counts() {
    let (reference, synthetic) = masks();
    let found = of(&reference, &synthetic);
    assert_near(found.dice, 0.429_608_127_721_335_3);
    assert_near(found.jaccard, 0.273_567_467_652_495_4);
    assert_near(found.count_agreement, 0.833_333_333_333_333_4);
    assert_eq!(found.failed, Failed { failed: 2, of: 5 });
    assert_eq!((found.reference.count, found.synthetic.count), (5, 6));
    let voxel = 3.0 * 0.9 * 0.9;
    for (lesions, expected) in
        [(&found.reference, &[7, 33, 33, 123, 257][..]), (&found.synthetic, &[7, 7, 33, 33, 33, 123])]
    {
        for (found, voxels) in lesions.volumes_mm3.iter().zip(expected) {
            assert_near(*found, f64::from(*voxels) * voxel);
        }
    }
    assert_near(found.volume.reference_ml, 453.0 * voxel / 1000.0);
    assert_near(found.volume.synthetic_ml, 236.0 * voxel / 1000.0);
    assert_near(*found.volume.percent.value().unwrap(), 100.0 * (236.0 - 453.0) / 453.0);
    // 17, 80, 80, 299, 625 mm3, and 17, 17, 80, 80, 80, 299 mm3.
    assert_eq!(found.size_distribution.reference, [0, 1, 2, 1, 1, 0, 0]);
    assert_eq!(found.size_distribution.synthetic, [0, 2, 3, 1, 0, 0, 0]);
}

#[test]
fn agrees_with_the_shared_values() {
    let Some(file) = read("lesion.json") else { return };
    let (reference, synthetic) = masks();
    let found = of(&reference, &synthetic);
    assert_near(found.dice, number(&file, "/dice"));
    assert_near(found.jaccard, number(&file, "/jaccard"));
    let voxel = 3.0 * 0.9 * 0.9 / 1000.0;
    assert_near(found.volume.reference_ml, number(&file, "/gt_vox") * voxel);
    assert_near(found.volume.synthetic_ml, number(&file, "/pred_vox") * voxel);
    let distances = found.distances.value().unwrap();
    assert_near(distances.hd95, number(&file, "/medpy_hd95_conn1"));
    assert_near(found.detection.f1, number(&file, "/lesionwise_conn3(26)/f1_harmonic"));
    assert_eq!(found.failed.of as f64, number(&file, "/lesionwise_conn3(26)/n_gt"));
}

#[test]
fn empty_masks_have_defined_results() {
    let (mask, _) = masks();
    let empty = Array3::from_elem(mask.dim(), false);
    let none = of(&empty, &empty);
    assert_eq!((none.dice, none.jaccard, none.count_agreement, none.detection.f1), (1.0, 1.0, 1.0, 1.0));
    assert_eq!(none.failed, Failed { failed: 0, of: 0 });
    assert_eq!(none.distances.reason(), Some(&"both masks are empty"));
    assert_eq!(none.volume.percent.reason(), Some(&"the real image has none of it"));
    let missed = of(&mask, &empty);
    assert_eq!((missed.dice, missed.jaccard, missed.count_agreement), (0.0, 0.0, 0.0));
    assert_eq!(missed.failed, Failed { failed: 5, of: 5 });
    assert_eq!(missed.volume.percent.value(), Some(&-100.0));
    for comparison in [none, missed, of(&empty, &mask), of(&mask, &mask)] {
        let text = serde_json::to_string(&comparison).unwrap();
        assert!(!text.contains("null"), "{text}");
    }
}

#[test]
fn masks_of_two_sizes_are_refused() {
    let (mask, _) = masks();
    let part = mask.slice(s![.., ..30, ..]);
    let fault = compare(mask.view(), part, SIZES, &Settings::default()).unwrap_err();
    assert!(fault.to_string().contains("axis j by 2 (32 and 30)"), "{fault}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn overlap_is_symmetric_and_within_its_range((a, b) in random_masks()) {
        let (there, back) = (of(&a, &b), of(&b, &a));
        prop_assert_eq!(there.dice, back.dice);
        prop_assert_eq!(there.jaccard, back.jaccard);
        prop_assert!((0.0..=1.0).contains(&there.dice) && there.jaccard <= there.dice);
        prop_assert_eq!(of(&a, &a).dice, 1.0);
        let (a, b) = (a.mapv(usize::from), b.mapv(usize::from));
        let either = a.iter().zip(&b).filter(|(a, b)| **a + **b > 0).count();
        if either > 0 {
            prop_assert!((there.jaccard - (&a * &b).sum() as f64 / either as f64).abs() < 1e-12);
        }
    }

    #[test]
    fn volumes_scale_with_the_voxels((a, b) in random_masks(), scale in 0.2_f64..5.0) {
        let larger = compare(a.view(), b.view(), SIZES.map(|size| scale * size), &Settings::default()).unwrap();
        let usual = of(&a, &b);
        prop_assert!((usual.volume.reference_ml * scale.powi(3) - larger.volume.reference_ml).abs() < 1e-9);
        prop_assert_eq!(usual.detection.reference, larger.detection.reference);
        prop_assert_eq!(usual.dice, larger.dice);
    }
}
