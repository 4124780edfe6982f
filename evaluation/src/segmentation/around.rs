//! A part of an image, and weighted means around its voxels.

use mrisynth::prepare::{morphology, resample};
use mrisynth::{Grid, Volume};
use ndarray::Array3;

use crate::Result;

/// A Gaussian is cut off at so many standard deviations.
const REACH: f64 = 3.0;
/// Where less than this part of a Gaussian's weight lies on voxels that count, there is no mean.
const LEAST_WEIGHT: f32 = 1e-4;

/// A box of voxels.
pub(super) struct Part {
    /// The index of its first voxel in the whole image.
    pub low: [usize; 3],
    grid: Grid,
}

impl Part {
    /// The box around a mask on `grid`, with so many millimetres more on every side as far as the image goes; none if the
    /// mask is empty.
    pub fn around(mask: &Array3<bool>, grid: &Grid, margin: f64) -> Option<Self> {
        let (first, last) = morphology::bounding_box(mask)?;
        let sizes = grid.affine.voxel_sizes();
        let voxels = sizes.map(|size| (margin / size).ceil() as usize);
        let low = [0, 1, 2].map(|axis| first[axis].saturating_sub(voxels[axis]));
        let end = [0, 1, 2].map(|axis| (last[axis] + 1 + voxels[axis]).min(grid.dims[axis]));
        let dims = [0, 1, 2].map(|axis| end[axis] - low[axis]);
        let affine = grid.affine.cropped_at(low.map(|index| index as f64));
        Some(Self { low, grid: Grid { dims, affine } })
    }

    /// The box around a mask and all that a mean with this standard deviation in millimetres sees from it.
    pub fn seen_from(mask: &Array3<bool>, grid: &Grid, sigma: f64) -> Option<Self> {
        Self::around(mask, grid, REACH * sigma)
    }

    /// A volume of the box, from the indices in the whole image.
    ///
    /// # Errors
    /// [`crate::Error::Library`] if the memory cannot be had.
    pub fn volume(&self, value: impl Fn([usize; 3]) -> f32) -> Result<Volume> {
        let mut volume = Volume::zeros(&self.grid)?;
        let [ni, nj, _] = self.grid.dims;
        for (at, voxel) in volume.as_mut_slice().iter_mut().enumerate() {
            *voxel = value(self.whole([at % ni, at / ni % nj, at / (ni * nj)]));
        }
        Ok(volume)
    }

    /// The index in the whole image of one in the box.
    pub fn whole(&self, index: [usize; 3]) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.low[axis] + index[axis])
    }
}

/// Weighted means around each voxel: by the voxels' weights and by a Gaussian.
pub(super) struct Around {
    weights: Volume,
    /// The weights themselves, smoothed.
    total: Volume,
    /// The Gaussian's standard deviations in voxels.
    sigmas: [f64; 3],
}

impl Around {
    /// With a Gaussian of `sigma` millimetres' standard deviation.
    pub fn of(weights: Volume, sigma: f64) -> Self {
        let sigmas = weights.affine().voxel_sizes().map(|size| sigma / size);
        let mut total = weights.clone();
        resample::smooth_by(&mut total, sigmas);
        Self { weights, total, sigmas }
    }

    /// The mean of `values` around each voxel; not a number where no voxel in reach has a weight.
    pub fn mean(&self, mut values: Volume) -> Volume {
        let weights = self.weights.as_slice();
        values.as_mut_slice().iter_mut().zip(weights).for_each(|(value, weight)| *value *= weight);
        resample::smooth_by(&mut values, self.sigmas);
        for (value, total) in values.as_mut_slice().iter_mut().zip(self.total.as_slice()) {
            *value = if *total > LEAST_WEIGHT { *value / total } else { f32::NAN };
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mrisynth::Affine;
    use ndarray::ShapeBuilder;

    fn grid() -> Grid {
        Grid { dims: [24, 20, 12], affine: Affine::from_sizes([1.0, 1.0, 2.0], [5.0, 6.0, 7.0]).unwrap() }
    }

    #[test]
    fn a_part_keeps_its_place() {
        let mut mask = Array3::from_elem((24, 20, 12).f(), false);
        assert!(Part::around(&mask, &grid(), 3.0).is_none());
        mask[[10, 2, 5]] = true;
        mask[[12, 4, 6]] = true;
        let part = Part::around(&mask, &grid(), 3.0).unwrap();
        assert_eq!((part.low, part.grid.dims), ([7, 0, 3], [9, 8, 6]));
        let volume = part.volume(|[i, j, k]| (i + 100 * j + 10_000 * k) as f32).unwrap();
        assert_eq!(volume.voxels()[[1, 2, 3]], 60_208.0);
        assert_eq!(volume.affine().to_millimetres([0.0; 3]), grid().affine.to_millimetres([7.0, 0.0, 3.0]));
    }

    #[test]
    fn means_see_only_what_has_a_weight() {
        let part = Part::around(&Array3::from_elem((24, 20, 12), true), &grid(), 0.0).unwrap();
        let values = part.volume(|[i, ..]| if i < 10 { 3.0 } else { f32::from(i as u8) }).unwrap();
        let weights = part.volume(|[i, ..]| if i < 10 { 0.5 } else { 0.0 }).unwrap();
        let means = Around::of(weights, 2.0).mean(values);
        assert!((means.voxels()[[4, 5, 6]] - 3.0).abs() < 1e-5);
        assert!((means.voxels()[[12, 5, 6]] - 3.0).abs() < 1e-5);
        assert!(means.voxels()[[20, 5, 6]].is_nan());
    }
}
