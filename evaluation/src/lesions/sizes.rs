//! Lesions of one mask: how many, how large, and how many of each size.

use serde::Serialize;

use crate::{Error, Result};

/// The lesions of one mask.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lesions {
    /// How many there are.
    pub count: usize,
    /// The mask's volume in millilitres, lesions too small to be counted included.
    pub volume_ml: f64,
    /// The volume of each lesion in cubic millimetres, rising.
    pub volumes_mm3: Vec<f64>,
}

impl Lesions {
    /// From the voxels of the mask, those of each lesion and the volume of a voxel in cubic millimetres.
    pub(super) fn new(voxels: usize, lesions: &[Vec<[usize; 3]>], voxel_mm3: f64) -> Self {
        let mut volumes_mm3: Vec<f64> =
            lesions.iter().map(|lesion| lesion.len() as f64 * voxel_mm3).collect();
        volumes_mm3.sort_unstable_by(f64::total_cmp);
        Self { count: lesions.len(), volume_ml: voxels as f64 * voxel_mm3 / 1000.0, volumes_mm3 }
    }
}

/// Bounds of lesion volumes in cubic millimetres: bin n holds what is at least bound n and less than bound n + 1; the last
/// bin is open.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct SizeBins(Vec<f64>);

impl SizeBins {
    /// With these lower bounds.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none, the first is not 0, or they do not rise.
    pub fn new(lower_bounds_mm3: Vec<f64>) -> Result<Self> {
        let rises = lower_bounds_mm3.windows(2).all(|pair| pair[0] < pair[1] && pair[1].is_finite());
        if lower_bounds_mm3.first() != Some(&0.0) || !rises {
            return Err(Error::Invalid(format!(
                "lesion sizes with the bounds {lower_bounds_mm3:?} mm3: they must rise, and start at 0"
            )));
        }
        Ok(Self(lower_bounds_mm3))
    }

    /// The lower bound of each bin, in cubic millimetres.
    pub fn lower_bounds_mm3(&self) -> &[f64] {
        &self.0
    }

    /// How many of these volumes in cubic millimetres each bin holds.
    pub fn count(&self, volumes_mm3: &[f64]) -> Vec<usize> {
        let mut counts = vec![0; self.0.len()];
        for volume in volumes_mm3 {
            // The first bound is 0 and no volume is negative, so a bin is found.
            let bin = self.0.partition_point(|bound| bound <= volume).saturating_sub(1);
            counts[bin] += 1;
        }
        counts
    }
}

impl Default for SizeBins {
    /// 0, 10, 30, 100, 300, 1000 and 3000 mm3: two bins a decade, from a few voxels of 1 mm to confluent lesions.
    fn default() -> Self {
        Self(vec![0.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0])
    }
}

/// How many lesions of each size both masks have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SizeDistribution {
    /// The bins' lower bounds in cubic millimetres.
    pub lower_bounds_mm3: SizeBins,
    /// Lesions of the real image's mask in each bin.
    pub reference: Vec<usize>,
    /// Lesions of the synthetic image's mask in each bin.
    pub synthetic: Vec<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_belong_to_the_bin_above() {
        let bins = SizeBins::new(vec![0.0, 10.0, 100.0]).unwrap();
        assert_eq!(bins.count(&[0.5, 9.9, 10.0, 99.0, 100.0, 1e6]), [2, 2, 2]);
        assert_eq!(bins.count(&[]), [0, 0, 0]);
    }

    #[test]
    fn senseless_bounds_are_refused() {
        for bounds in
            [vec![], vec![1.0, 2.0], vec![0.0, 5.0, 5.0], vec![0.0, f64::NAN], vec![0.0, f64::INFINITY]]
        {
            assert!(SizeBins::new(bounds.clone()).is_err(), "{bounds:?}");
        }
        assert!(SizeBins::new(SizeBins::default().0).is_ok());
    }

    proptest! {
        #[test]
        fn every_lesion_is_in_one_bin(volumes in prop::collection::vec(0.1_f64..1e5, 0..50)) {
            prop_assert_eq!(SizeBins::default().count(&volumes).iter().sum::<usize>(), volumes.len());
        }
    }
}
