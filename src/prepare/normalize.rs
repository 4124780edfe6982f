//! Intensities to 0..1 inside the brain.

use ndarray::Array3;

use crate::{Error, Result, Volume};

/// The percentile of the brain's intensities that becomes 1: brighter voxels (vessels, artefacts) are clipped, for
/// otherwise a few of them decide how dark the whole brain is.
pub const TOP_PERCENTILE: f64 = 99.5;

/// The intensity in `voxels` that becomes 1: the 99.5th percentile inside the brain, linearly interpolated between ranks
/// as NumPy does.
///
/// # Errors
/// [`Error::BadImage`] if the mask is empty or the percentile is not positive.
pub fn top_intensity(volume: &Volume, brain: &Array3<bool>) -> Result<f32> {
    let voxels = volume.voxels();
    let mut values: Vec<f32> =
        voxels.iter().zip(brain).filter(|(_, inside)| **inside).map(|(v, _)| *v).collect();
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
