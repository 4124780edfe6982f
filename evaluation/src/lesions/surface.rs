//! Distances between the surfaces of two masks, in millimetres.
//!
//! A mask's surface is its border voxels: those that erosion removes. From each of them, the distance to the nearest border
//! voxel of the other mask is taken between voxel centres, by the exact Euclidean distance transform. This is how MedPy
//! 0.5.2 (`medpy.metric.binary`) does it.

use mrisynth::prepare::distance::distance_to;
use mrisynth::prepare::morphology::{self, Connectivity};
use ndarray::ArrayView3;
use serde::Serialize;

use super::around_both;
use crate::extent::{check_same, check_sizes};
use crate::measured::Measured;
use crate::statistics::describe::quantile_of_sorted;
use crate::{Error, Result};

/// What share of the distances HD95 is above.
const HD95_SHARE: f64 = 0.95;
/// The distance transform holds no more than this, in millimetres; no two voxels of a head are further apart.
const FARTHEST: f64 = 1000.0;

/// How far apart two surfaces are, in millimetres.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SurfaceDistances {
    /// HD95 as MedPy defines it: the 95th percentile (linear between ranks) of the distances from either surface to the
    /// other, pooled.
    pub hd95: f64,
    /// HD95 by the other usual definition (MONAI, ITK): the larger of the two directed 95th percentiles.
    pub hd95_larger_directed: f64,
    /// The Hausdorff distance: the largest distance from either surface to the other.
    pub hausdorff: f64,
    /// Average symmetric surface distance, `assd` of MedPy 0.5: the mean of the distances from either surface to the other,
    /// pooled.
    pub average: f64,
    /// The same as MedPy had it before 0.5: the mean of the two directed means, so that the smaller surface counts as much.
    pub average_of_directed: f64,
}

/// Distances between the surfaces of two masks with voxels of these sizes in millimetres; undefined if a mask is empty.
/// With `connectivity`, a voxel is border if one of these neighbours is outside; [`Connectivity::Faces`] is MedPy's default.
///
/// # Errors
/// [`Error::Invalid`] if the masks differ in size, a voxel size is not 0.01 to 100 mm, or the masks reach over more than 1 m.
pub fn surface_distances(
    reference: ArrayView3<'_, bool>,
    synthetic: ArrayView3<'_, bool>,
    sizes: [f64; 3],
    connectivity: Connectivity,
) -> Result<Measured<SurfaceDistances>> {
    check_same(("the real image's mask", reference.dim()), ("the synthetic image's mask", synthetic.dim()))?;
    check_sizes(sizes)?;
    let [reference, synthetic] = around_both(reference, synthetic);
    let dims = <[usize; 3]>::from(reference.dim());
    let diagonal = (0..3).map(|axis| (dims[axis] as f64 * sizes[axis]).powi(2)).sum::<f64>().sqrt();
    if diagonal >= FARTHEST {
        return Err(Error::Invalid(format!(
            "the masks reach over {diagonal:.0} mm: a head does not; are the voxel sizes {sizes:?} mm right?"
        )));
    }
    let index = |[i, j, k]: [usize; 3]| i + dims[0] * (j + dims[1] * k);
    let [reference, synthetic] = [reference, synthetic]
        .map(|mask| morphology::border(&mask, connectivity).into_iter().map(index).collect::<Vec<_>>());
    match [reference.is_empty(), synthetic.is_empty()] {
        [true, true] => return Ok(Measured::undefined("both masks are empty")),
        [true, false] => return Ok(Measured::undefined("the real image's mask is empty")),
        [false, true] => return Ok(Measured::undefined("the synthetic image's mask is empty")),
        [false, false] => {}
    }
    let there = distances(&synthetic, &reference, dims, sizes);
    let back = distances(&reference, &synthetic, dims, sizes);
    Ok(Measured::Value(SurfaceDistances::of(there, back)))
}

/// From each of these voxels, the distance to the nearest one of `to`.
fn distances(from: &[usize], to: &[usize], dims: [usize; 3], sizes: [f64; 3]) -> Vec<f64> {
    let mut is_target = vec![false; dims.iter().product()];
    to.iter().for_each(|&at| is_target[at] = true);
    let field = distance_to(dims, sizes.map(|size| size as f32), |at| is_target[at]);
    from.iter().map(|&at| f64::from(field[at])).collect()
}

impl SurfaceDistances {
    /// Of the distances from either surface to the other; of one each, at least.
    fn of(mut there: Vec<f64>, mut back: Vec<f64>) -> Self {
        let mean = |distances: &[f64]| distances.iter().sum::<f64>() / distances.len() as f64;
        let average_of_directed = 0.5 * (mean(&there) + mean(&back));
        let mut pooled = [there.as_slice(), back.as_slice()].concat();
        for distances in [&mut there, &mut back, &mut pooled] {
            distances.sort_unstable_by(f64::total_cmp);
        }
        Self {
            hd95: quantile_of_sorted(&pooled, HD95_SHARE),
            hd95_larger_directed: quantile_of_sorted(&there, HD95_SHARE)
                .max(quantile_of_sorted(&back, HD95_SHARE)),
            hausdorff: quantile_of_sorted(&pooled, 1.0),
            average: mean(&pooled),
            average_of_directed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{assert_near, number, read};
    use crate::lesions::tests::{SIZES, balls, masks, random_masks, shifted};
    use ndarray::Array3;
    use proptest::prelude::*;

    fn of(reference: &Array3<bool>, synthetic: &Array3<bool>, sizes: [f64; 3]) -> Measured<SurfaceDistances> {
        surface_distances(reference.view(), synthetic.view(), sizes, Connectivity::Faces).unwrap()
    }

    /// MedPy 0.5.2 and MONAI's definition with SciPy 1.15, as `lesion.json` of the shared files has them.
    #[test]
    fn agrees_with_medpy_and_monai() {
        let (reference, synthetic) = masks();
        let distances = *of(&reference, &synthetic, SIZES).value().unwrap();
        assert_near(distances.hd95, 15.686_978_892_435_738);
        assert_near(distances.hausdorff, 18.466_456_075_814_87);
        assert_near(distances.average, 2.325_925_512_816_703_6);
        assert_near(distances.hd95_larger_directed, 16.656_753_049_910_083);
        // SciPy 1.17, with a and b the two borders and sampling = (3, 0.9, 0.9): (distance_transform_edt(~b, sampling)[a].mean()
        // + distance_transform_edt(~a, sampling)[b].mean()) / 2
        assert_near(distances.average_of_directed, 2.416_049_624_093_075);
        assert_eq!(morphology::border(&synthetic, Connectivity::Faces).len(), 180);
        assert_eq!(morphology::border(&reference, Connectivity::Faces).len(), 282);
        let corners = surface_distances(reference.view(), synthetic.view(), SIZES, Connectivity::Corners);
        let corners = *corners.unwrap().value().unwrap();
        assert_near(corners.hd95, 15.631_505_719_447_947);
        assert_near(corners.average, 2.193_985_881_789_348_3);
        assert_near(corners.hd95_larger_directed, 16.668_897_000_540_11);
    }

    #[test]
    fn agrees_with_the_shared_values() {
        let Some(file) = read("lesion.json") else { return };
        let (reference, synthetic) = masks();
        for (connectivity, n) in [(Connectivity::Faces, 1), (Connectivity::Corners, 3)] {
            let found = surface_distances(reference.view(), synthetic.view(), SIZES, connectivity).unwrap();
            let found = found.value().unwrap();
            assert_near(found.hd95, number(&file, &format!("/medpy_hd95_conn{n}")));
            assert_near(found.hausdorff, number(&file, &format!("/medpy_hd_conn{n}")));
            assert_near(found.average, number(&file, &format!("/medpy_assd_conn{n}")));
            assert_near(found.hd95_larger_directed, number(&file, &format!("/monai_style_hd95_conn{n}")));
        }
    }

    #[test]
    fn empty_masks_say_so() {
        let (mask, _) = masks();
        let empty = Array3::from_elem(mask.dim(), false);
        assert_eq!(of(&empty, &empty, SIZES).reason(), Some(&"both masks are empty"));
        assert_eq!(of(&empty, &mask, SIZES).reason(), Some(&"the real image's mask is empty"));
        assert_eq!(of(&mask, &empty, SIZES).reason(), Some(&"the synthetic image's mask is empty"));
    }

    #[test]
    fn senseless_sizes_are_refused() {
        let (mask, _) = masks();
        let fault =
            |sizes| surface_distances(mask.view(), mask.view(), sizes, Connectivity::Faces).unwrap_err();
        assert!(fault([1.0, 0.0, 1.0]).to_string().contains("must be 0.01 to 100 mm"));
        assert!(fault([100.0; 3]).to_string().contains("a head does not"));
    }

    #[test]
    fn a_single_voxel_is_as_far_as_its_centre() {
        let reference = balls(&[([4, 4, 4], 0)]);
        let synthetic = balls(&[([4, 7, 0], 0)]);
        let distances = *of(&reference, &synthetic, SIZES).value().unwrap();
        let expected = (3.0 * SIZES[1]).hypot(4.0 * SIZES[2]);
        for found in [distances.hd95, distances.hd95_larger_directed, distances.hausdorff, distances.average]
        {
            assert_near(found, expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn symmetric_and_zero_for_one_mask((a, b) in random_masks()) {
            prop_assert_eq!(of(&a, &b, SIZES), flip_reason(of(&b, &a, SIZES)));
            if let Some(distances) = of(&a, &a, SIZES).value() {
                prop_assert_eq!((distances.hausdorff, distances.average), (0.0, 0.0));
            }
        }

        #[test]
        fn shifting_both_masks_changes_nothing((a, b) in random_masks(), shift in prop::array::uniform3(0_usize..4)) {
            let moved = of(&shifted(&a, shift), &shifted(&b, shift), SIZES);
            prop_assert_eq!(of(&a, &b, SIZES), moved);
        }

        #[test]
        fn distances_scale_with_the_voxels((a, b) in random_masks(), scale in 0.2_f64..5.0) {
            let (one, other) = (of(&a, &b, SIZES), of(&a, &b, SIZES.map(|size| scale * size)));
            if let (Some(one), Some(other)) = (one.value(), other.value()) {
                for (one, other) in [(one.hd95, other.hd95), (one.hausdorff, other.hausdorff), (one.average, other.average)] {
                    prop_assert!((scale * one - other).abs() <= 1e-5 * other);
                }
            }
        }

        #[test]
        fn agrees_with_brute_force((a, b) in random_masks()) {
            if let Some(found) = of(&a, &b, SIZES).value() {
                let [a, b] = [a, b].map(|mask| morphology::border(&mask, Connectivity::Faces));
                let apart = |x: &[usize; 3], y: &[usize; 3]| {
                    (0..3).map(|axis| (x[axis].abs_diff(y[axis]) as f64 * SIZES[axis]).powi(2)).sum::<f64>().sqrt()
                };
                let nearest = |from: &[[usize; 3]], to: &[[usize; 3]]| -> Vec<f64> {
                    from.iter().map(|x| to.iter().map(|y| apart(x, y)).fold(f64::INFINITY, f64::min)).collect()
                };
                let expected = SurfaceDistances::of(nearest(&a, &b), nearest(&b, &a));
                prop_assert!((found.hd95 - expected.hd95).abs() < 1e-5);
                prop_assert!((found.hd95_larger_directed - expected.hd95_larger_directed).abs() < 1e-5);
                prop_assert!((found.hausdorff - expected.hausdorff).abs() < 1e-5);
                prop_assert!((found.average - expected.average).abs() < 1e-5);
            }
        }
    }

    /// The same with the roles of the masks exchanged in the reason.
    fn flip_reason(measured: Measured<SurfaceDistances>) -> Measured<SurfaceDistances> {
        match measured.reason().copied() {
            Some("the real image's mask is empty") => {
                Measured::undefined("the synthetic image's mask is empty")
            }
            Some("the synthetic image's mask is empty") => {
                Measured::undefined("the real image's mask is empty")
            }
            _ => measured,
        }
    }
}
