//! Where the fixed image is looked at: one point in each cell of a lattice, at a place in it that a fixed seed draws, so
//! that no point lies on a voxel again and again.

use glam::DVec3;

use super::level::{Level, Reduced};
use super::metric::Samples;

const SEED: u64 = 0x6d72_6973_796e_7468;

/// Points of the fixed image, `spacing` millimetres apart on average, inside its mask or up to `reach` millimetres beyond;
/// the image is smoothed by a Gaussian of `sigma` millimetres first.
pub(super) fn points(fixed: &Reduced, centre: DVec3, spacing: f64, sigma: f64, reach: f64) -> Samples {
    let image = Level::smoothed(&fixed.image, sigma);
    let grid = fixed.image.grid();
    let sizes = grid.affine.voxel_sizes();
    let distance = fixed.distances();
    let [ni, nj, _] = grid.dims;
    let step = sizes.map(|size| spacing / size);
    let cells = [0, 1, 2].map(|axis| (grid.dims[axis] as f64 / step[axis]).ceil() as usize);
    let mut random = SplitMix64(SEED);
    let mut samples = Samples::new(centre);
    for n in 0..cells.iter().product() {
        let cell = [n % cells[0], n / cells[0] % cells[1], n / (cells[0] * cells[1])];
        // Cells begin at the first voxel's outer face, half a voxel before its centre.
        let index = cell.map(|at| at as f64 + random.unit());
        let index = [0, 1, 2].map(|axis| index[axis] * step[axis] - 0.5);
        let nearest = index.map(|at| at.round().max(0.0) as usize);
        if (0..3).any(|axis| nearest[axis] >= grid.dims[axis]) {
            continue;
        }
        if f64::from(distance[(nearest[2] * nj + nearest[1]) * ni + nearest[0]]) <= reach {
            let value = image.at(index.map(|at| at as f32)).value;
            samples.push(DVec3::from_array(grid.affine.to_millimetres(index)), value);
        }
    }
    samples
}

/// Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014).
struct SplitMix64(u64);

impl SplitMix64 {
    /// Uniform in 0..1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use ndarray::Array3;

    use super::*;
    use crate::memory::in_memory_order;
    use crate::prepare::register::level::{Outside, reduced};
    use crate::{Affine, Volume};

    #[test]
    fn random_numbers_are_splitmix64s() {
        // The first value from seed 0 in the reference implementation (Vigna, prng.di.unimi.it/splitmix64.c).
        assert_eq!(SplitMix64(0).unit(), (0xe220_a839_7b1d_cdaf_u64 >> 11) as f64 / (1_u64 << 53) as f64);
    }

    #[test]
    fn points_fill_the_mask_evenly() {
        let affine = Affine::from_sizes([2.0; 3], [-40.0, 10.0, 0.0]).unwrap();
        let voxels = Array3::from_shape_fn((40, 40, 40), |(i, _, _)| i as f32);
        let volume = Volume::new(voxels, affine).unwrap();
        let mut mask = in_memory_order((40, 40, 40), false);
        mask.slice_mut(ndarray::s![10..30, 10..30, 10..30]).fill(true);
        let fixed = reduced(&volume, Some(&mask), Outside::Kept, 2.0).unwrap();
        let count = |reach: f64| points(&fixed, DVec3::ZERO, 4.0, 0.0, reach).len() as f64;
        // A cube of 40 mm; with 10 mm around it, that and six slabs, twelve quarters of cylinders and a ball.
        let around = 64e3 + 6.0 * 16e3 + PI * (3.0 * 40.0 * 100.0 + 4.0 / 3.0 * 1000.0);
        for (found, expected) in [(count(0.0), 1000.0), (count(10.0), around / 64.0)] {
            assert!((found / expected - 1.0).abs() < 0.06, "{found} {expected}");
        }
    }
}
