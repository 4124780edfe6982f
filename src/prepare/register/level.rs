//! The moving image as the optimizer sees it: reduced to about the wanted voxel size, its intensities in 0..1, smooth.

use std::sync::OnceLock;

use ndarray::Array3;
use rayon::prelude::*;

use crate::prepare::distance::distance_to;
use crate::prepare::normalize::percentile;
use crate::prepare::resample::smooth_by;
use crate::{Affine, Error, Grid, Result, Volume, memory};

/// Percentiles of the intensities that become the ends of the range.
const RANGE_PERCENTILES: [f64; 2] = [0.5, 99.5];
/// How bright the darkest tissue of a masked image is, above the 0 of what is outside the mask.
const DARKEST: f32 = 0.1;

/// An image and, voxel by voxel, how much of it lies inside a mask (0..=1); both on one grid.
pub(super) struct Reduced {
    pub(super) image: Volume,
    pub(super) inside: Volume,
    distances: OnceLock<Vec<f32>>,
}

impl Reduced {
    /// Voxel by voxel, the millimetres to the nearest one that lies in the mask by half or more.
    pub(super) fn distances(&self) -> &[f32] {
        // Every scale of a registration asks for them.
        self.distances.get_or_init(|| {
            let Grid { dims, affine } = self.inside.grid();
            let shares = self.inside.as_slice();
            distance_to(dims, affine.voxel_sizes().map(|size| size as f32), |at| shares[at] >= 0.5)
        })
    }
}

/// What becomes of an image outside its mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outside {
    /// It is 0, and everything inside is brighter.
    Blank,
    /// It stays.
    Kept,
}

/// The means over blocks of `volume`'s voxels, as many to a block as bring each axis nearest to `size` millimetres, with
/// the range of intensities inside the mask stretched to 0..=1.
///
/// # Errors
/// [`Error::BadImage`] if the mask is empty or of another shape, or the image is constant in it.
pub(super) fn reduced(
    volume: &Volume,
    mask: Option<&Array3<bool>>,
    outside: Outside,
    size: f64,
) -> Result<Reduced> {
    let mask = mask.map(|mask| in_order(mask, volume)).transpose()?;
    let blocks = Blocks::new(volume, size)?;
    let inside_of = |at: usize| mask.as_ref().is_none_or(|mask| mask[at]);
    let (mut image, inside) = match outside {
        Outside::Blank => blocks.means(volume, inside_of)?,
        Outside::Kept => (blocks.means(volume, |_| true)?.0, blocks.means(volume, inside_of)?.1),
    };
    let (low, high) = range_inside(&image, &inside)?;
    let darkest = if outside == Outside::Blank { DARKEST } else { 0.0 };
    image.as_mut_slice().par_iter_mut().zip(inside.as_slice()).for_each(|(value, share)| {
        let stretched = darkest + (1.0 - darkest) * ((*value - low) / (high - low)).clamp(0.0, 1.0);
        *value = if outside == Outside::Blank { share * stretched } else { stretched };
    });
    Ok(Reduced { image, inside, distances: OnceLock::new() })
}

/// The mask's values, i fastest.
fn in_order(mask: &Array3<bool>, volume: &Volume) -> Result<Vec<bool>> {
    if mask.dim() != volume.voxels().dim() {
        let (mask, image) = (mask.dim(), volume.dims());
        return Err(Error::BadImage(format!("a mask of {mask:?} voxels for an image of {image:?}")));
    }
    // The transposed view's logical order is i fastest.
    Ok(memory::gathered(mask.t().iter().copied()))
}

/// The ends of the range of intensities inside the mask.
fn range_inside(image: &Volume, inside: &Volume) -> Result<(f32, f32)> {
    let pairs = image.as_slice().iter().zip(inside.as_slice());
    let mut values = memory::gathered(pairs.filter(|(_, share)| **share > 0.0).map(|(value, _)| *value));
    let [low, high] = RANGE_PERCENTILES.map(|percent| percentile(&mut values, percent));
    let (Some(low), Some(high)) = (low, high) else {
        return Err(Error::BadImage("there is nothing to register: the mask is empty".into()));
    };
    if !(high > low && (high - low).is_finite()) {
        return Err(Error::BadImage(format!(
            "there is nothing to register: the image is {low} all over the mask"
        )));
    }
    Ok((low, high))
}

/// How voxels are put together to larger ones.
struct Blocks {
    factor: [usize; 3],
    /// The first block's first voxel: what does not fill a block is left out on both sides.
    start: [usize; 3],
    grid: Grid,
}

impl Blocks {
    fn new(volume: &Volume, size: f64) -> Result<Self> {
        let dims = volume.dims();
        let sizes = volume.affine().voxel_sizes();
        let factor = [0, 1, 2].map(|axis| ((size / sizes[axis]).round() as usize).clamp(1, dims[axis]));
        let blocks = [0, 1, 2].map(|axis| dims[axis] / factor[axis]);
        let start = [0, 1, 2].map(|axis| (dims[axis] - blocks[axis] * factor[axis]) / 2);
        let centre = [0, 1, 2].map(|axis| start[axis] as f64 + 0.5 * (factor[axis] - 1) as f64);
        let mut rows = volume.affine().cropped_at(centre).rows();
        for row in &mut rows[..3] {
            (0..3).for_each(|axis| row[axis] *= factor[axis] as f64);
        }
        Ok(Self { factor, start, grid: Grid { dims: blocks, affine: Affine::from_rows(rows)? } })
    }

    /// The mean of each block's voxels that are inside and finite, and the share of its voxels that are.
    fn means(&self, volume: &Volume, inside: impl Fn(usize) -> bool + Sync) -> Result<(Volume, Volume)> {
        let (mut image, mut shares) = (Volume::zeros(&self.grid)?, Volume::zeros(&self.grid)?);
        let (voxels, dims) = (volume.as_slice(), volume.dims());
        let per_block = self.factor.iter().product::<usize>() as f32;
        let [ni, nj, _] = self.grid.dims;
        let slices =
            image.as_mut_slice().par_chunks_mut(ni * nj).zip(shares.as_mut_slice().par_chunks_mut(ni * nj));
        slices.enumerate().for_each(|(k, (means, shares))| {
            for (n, (mean, share)) in means.iter_mut().zip(shares).enumerate() {
                let (mut sum, mut count) = (0.0, 0.0);
                self.for_each_voxel([n % ni, n / ni, k], dims, |at| {
                    if voxels[at].is_finite() && inside(at) {
                        sum += voxels[at];
                        count += 1.0;
                    }
                });
                *mean = if count > 0.0 { sum / count } else { 0.0 };
                *share = count / per_block;
            }
        });
        Ok((image, shares))
    }

    /// Calls `visit` with the place in memory of each voxel of a block.
    fn for_each_voxel(&self, block: [usize; 3], dims: [usize; 3], mut visit: impl FnMut(usize)) {
        let [i, j, k] = [0, 1, 2].map(|axis| self.start[axis] + block[axis] * self.factor[axis]);
        for kk in k..k + self.factor[2] {
            for jj in j..j + self.factor[1] {
                let row = (kk * dims[1] + jj) * dims[0];
                (row + i..row + i + self.factor[0]).for_each(&mut visit);
            }
        }
    }
}

/// An image to look values up in, between voxels.
pub(super) struct Level {
    values: Vec<f32>,
    dims: [usize; 3],
    pub(super) affine: Affine,
}

/// A value of a [`Level`] between voxels.
#[derive(Clone, Copy, Default)]
pub(super) struct Value {
    pub(super) value: f32,
    /// Its derivative along each voxel axis.
    pub(super) slope: [f32; 3],
    /// 1 in view, falling to 0 over one voxel beyond the outermost centres.
    pub(super) weight: f32,
}

impl Level {
    /// `image`, smoothed by a Gaussian of `sigma` millimetres.
    pub(super) fn smoothed(image: &Volume, sigma: f64) -> Self {
        let (dims, affine) = (image.dims(), *image.affine());
        let mut image = image.copy();
        smooth_by(&mut image, affine.voxel_sizes().map(|size| sigma / size));
        Self { values: image.into_voxels().into_raw_vec_and_offset().0, dims, affine }
    }

    /// The trilinear interpolation at a fractional voxel index; weight 0 out of view.
    pub(super) fn at(&self, index: [f32; 3]) -> Value {
        let mut weight = 1.0_f32;
        let (mut base, mut part, mut step) = ([0; 3], [0.0_f32; 3], [0; 3]);
        let mut stride = 1;
        for axis in 0..3 {
            let last = (self.dims[axis] - 1) as f32;
            let within = index[axis].clamp(0.0, last);
            weight *= 1.0 - (index[axis] - within).abs();
            if weight.is_nan() || weight <= 0.0 {
                return Value::default();
            }
            let floor = (within as usize).min(self.dims[axis].saturating_sub(2));
            base[axis] = floor * stride;
            part[axis] = within - floor as f32;
            step[axis] = if self.dims[axis] > 1 { stride } else { 0 };
            stride *= self.dims[axis];
        }
        let first = base[0] + base[1] + base[2];
        let corner = |up: usize| self.values[first + up];
        let [di, dj, dk] = step;
        let [pi, pj, pk] = part;
        let edge = |at: usize| {
            let (low, high) = (corner(at), corner(at + di));
            (low + (high - low) * pi, high - low)
        };
        let (v00, s00) = edge(0);
        let (v10, s10) = edge(dj);
        let (v01, s01) = edge(dk);
        let (v11, s11) = edge(dj + dk);
        let (low, high) = (v00 + (v10 - v00) * pj, v01 + (v11 - v01) * pj);
        let slope_i = (s00 + (s10 - s00) * pj) * (1.0 - pk) + (s01 + (s11 - s01) * pj) * pk;
        let slope_j = (v10 - v00) * (1.0 - pk) + (v11 - v01) * pk;
        Value { value: low + (high - low) * pk, slope: [slope_i, slope_j, high - low], weight }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_averaged_inside_the_mask_and_stretched() {
        let voxels = Array3::from_shape_fn((7, 4, 3), |(i, j, k)| (i + 10 * j + 100 * k) as f32);
        let volume =
            Volume::new(voxels, Affine::from_sizes([1.0, 1.0, 2.0], [5.0, 6.0, 7.0]).unwrap()).unwrap();
        let mut mask = crate::memory::in_memory_order((7, 4, 3), true);
        mask[[0, 0, 0]] = false;
        let at_two = Blocks::new(&volume, 2.0).unwrap();
        let (means, inside) = at_two.means(&volume, |at| at != 0).unwrap();
        assert_eq!(means.dims(), [3, 2, 3]);
        assert_eq!(means.affine().rows()[0], [2.0, 0.0, 0.0, 5.5]);
        assert_eq!(means.affine().rows()[2], [0.0, 0.0, 2.0, 7.0]);
        assert_eq!(inside.voxels()[[0, 0, 0]], 0.75);
        assert_eq!(means.voxels()[[0, 0, 0]], (1.0 + 10.0 + 11.0) / 3.0);
        assert_eq!(means.voxels()[[1, 1, 2]], 200.0 + 25.0 + 2.5);
        let image = reduced(&volume, Some(&mask), Outside::Blank, 2.0).unwrap().image;
        let top = image.as_slice().iter().copied().fold(0.0, f32::max);
        assert_eq!((image.voxels()[[0, 0, 0]], top), (0.75 * DARKEST, 1.0));
    }

    #[test]
    fn values_between_voxels_have_their_slopes() {
        let voxels =
            Array3::from_shape_fn((4, 5, 6), |(i, j, k)| ((i * 7 + j * 5 + k * 3 + i * j * k) % 11) as f32);
        let volume = Volume::new(voxels, Affine::from_sizes([1.0; 3], [0.0; 3]).unwrap()).unwrap();
        let level = Level::smoothed(&volume, 0.0);
        assert_eq!(level.at([2.0, 3.0, 4.0]).value, volume.voxels()[[2, 3, 4]]);
        let at = [1.3, 2.6, 3.2];
        for axis in 0..3 {
            let (mut above, mut below) = (at, at);
            above[axis] += 0.05;
            below[axis] -= 0.05;
            let slope = (level.at(above).value - level.at(below).value) / 0.1;
            assert!((slope - level.at(at).slope[axis]).abs() < 1e-3);
        }
        assert_eq!(level.at([-0.25, 2.0, 2.0]).weight, 0.75);
        assert_eq!(level.at([1.0, 2.0, 6.5]).weight, 0.0);
        assert_eq!(level.at([f32::NAN, 2.0, 6.5]).weight, 0.0);
    }
}
