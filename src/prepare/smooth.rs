//! Gaussian smoothing of a volume along its axes.

use ndarray::{ArrayViewMut2, Axis};
use rayon::prelude::*;

use crate::Volume;

/// Smooths `volume` by a Gaussian of so many voxels' standard deviation along each axis, renormalized at the faces. Along axes
/// where that is at most a quarter of a voxel, nothing changes.
pub fn smooth_by(volume: &mut Volume, sigmas: [f64; 3]) {
    for (axis, sigma) in sigmas.into_iter().enumerate() {
        // A rotation lengthens nothing, but rounding might; and a thinner Gaussian than this changes no voxel by 1 %.
        if sigma > 0.25 {
            gaussian_along(volume, axis, sigma);
        }
    }
}

/// Convolves along one axis with a Gaussian of `sigma` voxels, renormalized at the faces.
fn gaussian_along(volume: &mut Volume, axis: usize, sigma: f64) {
    let radius = (3.0 * sigma).ceil() as usize;
    let weight = |distance: usize| (-0.5 * (distance as f64 / sigma).powi(2)).exp() as f32;
    let weights: Vec<f32> = (0..=radius).map(weight).collect();
    // Slices that hold whole lines along the axis, for the threads to share out; their first axis is i.
    let across = if axis == 2 { 1 } else { 2 };
    let mut voxels = volume.voxels_mut();
    let slices: Vec<_> = voxels.axis_iter_mut(Axis(across)).collect();
    slices.into_par_iter().for_each_init(Scratch::default, |scratch, mut slice| {
        if axis == 0 {
            along_rows(&mut slice, &weights, scratch);
        } else {
            across_rows(&mut slice, &weights, scratch);
        }
    });
}

/// Working memory of one thread.
#[derive(Default)]
struct Scratch {
    /// What is smoothed, as it was.
    source: Vec<f32>,
    sums: Vec<f32>,
}

/// Smooths each row of a slice along itself.
fn along_rows(slice: &mut ArrayViewMut2<'_, f32>, weights: &[f32], scratch: &mut Scratch) {
    let radius = weights.len() - 1;
    for mut row in slice.columns_mut() {
        let Scratch { source, sums } = scratch;
        source.clear();
        source.extend(row.iter());
        let inner = radius..source.len().saturating_sub(radius).max(radius);
        sums.clear();
        sums.resize(inner.len(), 0.0);
        let mut total = 0.0;
        // Tap by tap along the whole row, so that the processor takes several voxels at once.
        for tap in 0..=2 * radius {
            let weight = weights[tap.abs_diff(radius)];
            total += weight;
            sums.iter_mut().zip(&source[tap.min(source.len())..]).for_each(|(sum, v)| *sum += weight * v);
        }
        for (at, value) in row.iter_mut().enumerate() {
            *value = if inner.contains(&at) {
                sums[at - radius] / total
            } else {
                weighted_mean(source, at, weights)
            };
        }
    }
}

/// Smooths the rows of a slice with each other: each becomes a mean of those around it.
fn across_rows(slice: &mut ArrayViewMut2<'_, f32>, weights: &[f32], scratch: &mut Scratch) {
    let (length, rows) = slice.dim();
    let Scratch { source, sums } = scratch;
    source.clear();
    slice.columns().into_iter().for_each(|row| source.extend(row.iter()));
    for (at, mut row) in slice.columns_mut().into_iter().enumerate() {
        sums.clear();
        sums.resize(length, 0.0);
        let mut total = 0.0;
        for from in (at + 1).saturating_sub(weights.len())..(at + weights.len()).min(rows) {
            let weight = weights[from.abs_diff(at)];
            total += weight;
            let line = &source[from * length..][..length];
            sums.iter_mut().zip(line).for_each(|(sum, value)| *sum += weight * value);
        }
        row.iter_mut().zip(sums.iter()).for_each(|(value, sum)| *value = sum / total);
    }
}

/// The mean of `line` around `centre`, `weights[d]` for voxels at distance d.
fn weighted_mean(line: &[f32], centre: usize, weights: &[f32]) -> f32 {
    let first = (centre + 1).saturating_sub(weights.len());
    let last = (centre + weights.len()).min(line.len());
    let (mut sum, mut total) = (0.0, 0.0);
    for (at, value) in line.iter().enumerate().take(last).skip(first) {
        let weight = weights[at.abs_diff(centre)];
        sum += weight * value;
        total += weight;
    }
    sum / total
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Affine;
    use ndarray::{Array3, ShapeBuilder};

    #[test]
    fn smoothing_keeps_the_mean_and_widens_an_impulse_as_said() {
        let mut voxels = Array3::zeros((61, 1, 1));
        voxels[[30, 0, 0]] = 1.0;
        let mut volume = Volume::new(voxels, Affine::from_sizes([1.0; 3], [0.0; 3]).unwrap()).unwrap();
        gaussian_along(&mut volume, 0, 2.0);
        let line = volume.as_slice();
        let mean: f32 = line.iter().sum();
        let variance: f32 = line.iter().enumerate().map(|(i, v)| v * (i as f32 - 30.0).powi(2)).sum();
        assert!((mean - 1.0).abs() < 1e-5 && (variance - 4.0).abs() < 0.15, "{mean} {variance}");
    }

    #[test]
    fn every_line_along_every_axis_is_the_weighted_mean() {
        for (dims, sigma) in [((23, 5, 4), 1.3), ((6, 19, 3), 0.9), ((3, 4, 17), 2.1), ((5, 6, 7), 4.0)] {
            let value = |(i, j, k): (usize, usize, usize)| ((i * 31 + j * 17 + k * 7) % 13) as f32 - 5.0;
            let mut ordered = Array3::zeros(dims.f());
            ordered.assign(&Array3::from_shape_fn(dims, value));
            for axis in 0..3 {
                let affine = Affine::from_sizes([1.0; 3], [0.0; 3]).unwrap();
                let mut volume = Volume::new(ordered.clone(), affine).unwrap();
                gaussian_along(&mut volume, axis, sigma);
                let radius = (3.0 * sigma).ceil() as usize;
                let weights: Vec<f32> =
                    (0..=radius).map(|d| (-0.5 * (d as f64 / sigma).powi(2)).exp() as f32).collect();
                let found = volume.voxels();
                let lanes = ordered.lanes(Axis(axis)).into_iter().zip(found.lanes(Axis(axis)));
                for (before, after) in lanes {
                    let line = before.to_vec();
                    for (at, value) in after.iter().enumerate() {
                        // The same sums in the same order: the same bits.
                        assert_eq!(*value, weighted_mean(&line, at, &weights));
                    }
                }
            }
        }
    }
}
