//! Intensities to 0..1 inside the brain.

use ndarray::Array3;
use serde::Serialize;

use crate::{Error, Result, Volume, memory};

/// The percentile of the brain's intensities that becomes 1: brighter voxels (vessels, artefacts) are clipped, for
/// otherwise a few of them decide how dark the whole brain is.
pub const TOP_PERCENTILE: f64 = 99.5;

/// Which intensities inside the brain become 0 and 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scaling {
    /// 0 and the 99.5th percentile.
    #[default]
    Percentile,
    /// The least and the largest, as the paper does; a few bright voxels then decide how dark the brain is.
    MinimumMaximum,
}

/// The intensities that became 0 and 1: what is needed to undo a normalization.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Scale {
    /// What became 0.
    pub low: f32,
    /// What became 1.
    pub high: f32,
}

impl Scale {
    /// An intensity on the scale, clipped to 0..1.
    pub fn apply(&self, intensity: f32) -> f32 {
        ((intensity - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The intensity of a value on the scale.
    pub fn undo(&self, value: f32) -> f32 {
        self.low + value * (self.high - self.low)
    }
}

/// The scale of a volume's brain.
///
/// # Errors
/// [`Error::BadImage`] if the mask is empty, or the intensities inside it leave nothing to scale.
pub fn scale(volume: &Volume, brain: &Array3<bool>, scaling: Scaling) -> Result<Scale> {
    match scaling {
        Scaling::Percentile => Ok(Scale { low: 0.0, high: top_intensity(volume, brain)? }),
        Scaling::MinimumMaximum => {
            let voxels = volume.voxels();
            let inside = voxels.iter().zip(brain).filter(|(_, inside)| **inside).map(|(value, _)| *value);
            let (low, high) = inside.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
            if high > low {
                return Ok(Scale { low, high });
            }
            Err(Error::BadImage("the brain has no two different intensities".into()))
        }
    }
}

/// The intensity in `voxels` that becomes 1: the 99.5th percentile inside the brain, linearly interpolated between ranks
/// as NumPy does.
///
/// # Errors
/// [`Error::BadImage`] if the mask is empty or the percentile is not positive.
pub fn top_intensity(volume: &Volume, brain: &Array3<bool>) -> Result<f32> {
    let voxels = volume.voxels();
    let inside = voxels.iter().zip(brain).filter(|(_, inside)| **inside).map(|(value, _)| *value);
    let mut values = memory::gathered(inside);
    let top = percentile(&mut values, TOP_PERCENTILE)
        .ok_or_else(|| Error::BadImage("no voxel differs from zero: there is no brain in it".into()))?;
    if top > 0.0 && top.is_finite() {
        Ok(top)
    } else {
        Err(Error::BadImage(format!("the brain's {TOP_PERCENTILE}th percentile of intensity is {top}")))
    }
}

/// A percentile (0..=100) of `values`, linearly interpolated between ranks; none if there is no value. Reorders `values`.
pub fn percentile(values: &mut [f32], percent: f64) -> Option<f32> {
    let last = values.len().checked_sub(1)?;
    let rank = percent / 100.0 * last as f64;
    let below = (rank.floor() as usize).min(last);
    let (_, &mut low, above) = values.select_nth_unstable_by(below, f32::total_cmp);
    let high = above.iter().copied().min_by(f32::total_cmp).unwrap_or(low);
    Some((f64::from(low) + (f64::from(high) - f64::from(low)) * (rank - below as f64)) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_undone() {
        let affine = crate::Affine::from_sizes([1.0; 3], [0.0; 3]).unwrap();
        let voxels = Array3::from_shape_fn((10, 10, 11), |(i, j, k)| (i + 10 * j + 100 * k) as f32);
        let volume = Volume::new(voxels, affine).unwrap();
        let brain = volume.voxels().mapv(|value| (50.0..=1050.0).contains(&value));
        let percentile = scale(&volume, &brain, Scaling::Percentile).unwrap();
        assert_eq!((percentile.low, percentile.high), (0.0, 1045.0));
        let extremes = scale(&volume, &brain, Scaling::MinimumMaximum).unwrap();
        assert_eq!((extremes.low, extremes.high), (50.0, 1050.0));
        assert_eq!((extremes.apply(300.0), extremes.undo(0.25)), (0.25, 300.0));
        assert_eq!((extremes.apply(0.0), extremes.apply(2000.0)), (0.0, 1.0));
        let constant = Volume::zeros(&volume.grid()).unwrap();
        for scaling in [Scaling::Percentile, Scaling::MinimumMaximum] {
            assert!(matches!(scale(&constant, &brain, scaling), Err(Error::BadImage(_))));
        }
    }

    #[test]
    fn percentiles_are_numpys() {
        // numpy.percentile([5, 1, 4, 2, 3, 9], [0, 25, 50, 99.5, 100])
        let expected = [(0.0, 1.0), (25.0, 2.25), (50.0, 3.5), (99.5, 8.9), (100.0, 9.0)];
        for (percent, value) in expected {
            let mut values = [5.0, 1.0, 4.0, 2.0, 3.0, 9.0];
            let found = percentile(&mut values, percent).unwrap();
            assert!((found - value).abs() < 1e-6, "{percent}: {found}");
        }
        assert_eq!(percentile(&mut [], 50.0), None);
    }
}
