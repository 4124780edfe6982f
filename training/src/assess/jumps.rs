//! How rough an image is from slice to slice, and within slices.

use ndarray::{Array3, ArrayView3, Axis, Slice};
use serde::Serialize;

/// Mean absolute differences between neighbouring voxels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Roughness {
    /// In the real image.
    pub real: f64,
    /// In the synthetic image.
    pub synthetic: f64,
    /// Synthetic over real: above 1 where the synthetic image is rougher.
    pub ratio: f64,
}

impl Roughness {
    fn of([real, synthetic]: [f64; 2]) -> Self {
        Self { real, synthetic, ratio: synthetic / real }
    }
}

/// How rough a synthetic image is beside the real one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Jumps {
    /// Between neighbouring axial slices.
    pub through_plane: Roughness,
    /// Within axial slices: the mean of both directions.
    pub in_plane: Roughness,
    /// The through-plane ratio over the in-plane ratio. A blurred image is smooth in both; above 1, slices do not fit
    /// together as well as each is smooth in itself.
    pub anisotropy: f64,
}

/// Measures both images, axial slices being those along the last axis. Only neighbours that are both brain count; NaN where
/// there are none.
pub fn measure(real: ArrayView3<'_, f32>, synthetic: ArrayView3<'_, f32>, brain: &Array3<bool>) -> Jumps {
    let along = |axis| [real, synthetic].map(|image| mean_jump(image, brain, Axis(axis)));
    let (x, y) = (along(0), along(1));
    let in_plane = Roughness::of([0, 1].map(|image| (x[image] + y[image]) / 2.0));
    let through_plane = Roughness::of(along(2));
    Jumps { through_plane, in_plane, anisotropy: through_plane.ratio / in_plane.ratio }
}

fn mean_jump(image: ArrayView3<'_, f32>, brain: &Array3<bool>, axis: Axis) -> f64 {
    let (from, to) = (Slice::new(0, Some(-1), 1), Slice::new(1, None, 1));
    let both = ndarray::Zip::from(brain.slice_axis(axis, from))
        .and(brain.slice_axis(axis, to))
        .map_collect(|one, other| *one && *other);
    let (mut sum, mut count) = (0.0, 0_usize);
    ndarray::Zip::from(image.slice_axis(axis, from)).and(image.slice_axis(axis, to)).and(&both).for_each(
        |one, other, both| {
            if *both {
                sum += f64::from((one - other).abs());
                count += 1;
            }
        },
    );
    sum / count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_and_steps_are_measured_in_closed_form() {
        // Real: slopes of 0.01, 0.03 and 0.02. Synthetic: slopes of half that in the slices, and 0.05 up and down from slice
        // to slice.
        let shape = (10, 9, 8);
        let real =
            Array3::from_shape_fn(shape, |(i, j, k)| 0.01 * i as f32 + 0.03 * j as f32 + 0.02 * k as f32);
        let synthetic = Array3::from_shape_fn(shape, |(i, j, k)| {
            0.005 * i as f32 + 0.015 * j as f32 + 0.05 * (k % 2) as f32
        });
        let mut brain = Array3::from_elem(shape, true);
        let jumps = measure(real.view(), synthetic.view(), &brain);
        let near =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
        near(jumps.through_plane.real, 0.02);
        near(jumps.through_plane.synthetic, 0.05);
        near(jumps.through_plane.ratio, 2.5);
        near(jumps.in_plane.real, 0.02);
        near(jumps.in_plane.ratio, 0.5);
        near(jumps.anisotropy, 5.0);
        // What is not brain does not count, however rough.
        let mut spiked = synthetic.clone();
        spiked[[4, 4, 4]] = 100.0;
        brain[[4, 4, 4]] = false;
        near(measure(real.view(), spiked.view(), &brain).through_plane.synthetic, 0.05);
        brain.fill(false);
        assert!(measure(real.view(), synthetic.view(), &brain).through_plane.ratio.is_nan());
    }
}
