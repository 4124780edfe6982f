//! Bias field correction: N4 (Tustison et al. 2010, "N4ITK: improved N3 bias correction").
//!
//! A scan is taken as the product of what it should be and a smooth field of the coils. In the logarithmic domain, the
//! histogram of the scan inside a mask is sharpened (`sharpen`), a cubic B-spline is fitted to what that moved
//! (`spline`), and the scan without it is looked at again (`iterate`), from coarse splines to fine ones. With
//! [`BiasOptions::itk_compatible`] all of it is as in ITK's `itkN4BiasFieldCorrectionImageFilter`.
//!
//! Give it the brain alone, once: with the whole head the field evens out scalp, fat and muscle as well and takes that
//! into the brain, and a second pass inside the brain does not take all of it back. Where there is no brain mask,
//! [`otsu_mask`] finds the head.

mod iterate;
mod options;
mod otsu;
mod sampling;
mod sharpen;
mod spline;
#[cfg(test)]
mod tests;

use ndarray::{Array3, ShapeBuilder};
use rayon::prelude::*;
use serde::Serialize;

pub use options::{BiasOptions, ConvergenceMeasure, FieldPlacement, Shrink};
pub use otsu::otsu_mask;
use sampling::AxisSampling;
use spline::{Basis, Lattice};

use crate::{Error, Grid, Result, Volume, Watch};

/// How one level of the B-spline went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LevelReport {
    /// Iterations that were run.
    pub iterations: usize,
    /// Coefficient of variation of the ratio of the last two iterations' fields.
    pub convergence: f64,
}

/// What was done to find a field.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BiasReport {
    /// What was asked for.
    pub options: BiasOptions,
    /// Every so many voxels were sampled along i, j, k.
    pub shrink_factors: [usize; 3],
    /// Voxels of the shrunk grid.
    pub shrunk_dims: [usize; 3],
    /// Samples inside the mask with a positive value: what the field was fitted to.
    pub samples: usize,
    /// Each level.
    pub levels: Vec<LevelReport>,
    /// The lowest and highest value of the multiplicative field at the samples.
    pub field_range: [f64; 2],
}

/// The bias field of a scan: a smooth factor that the scan is to be divided by, inside the mask and outside.
///
/// It is known where the mask is. Beyond it, a spline follows the nearest part of the mask for about one span (an eighth
/// of the scan's extent with the default options) and then fades to the coarser levels' extrapolation;
/// [`BiasOptions::limited_to_mask`] keeps that within the values that the field has inside the mask.
#[derive(Clone, Debug)]
pub struct BiasField {
    grid: Grid,
    axes: [AxisSampling; 3],
    lattice: Lattice,
    /// The lowest and highest value of the logarithmic field at the samples.
    range: (f64, f64),
    report: BiasReport,
}

/// Estimates the bias field of `scan` from its voxels inside `mask` that have a positive value.
///
/// # Errors
/// [`Error::InvalidArgument`] for options out of range; [`Error::BadImage`] if the mask is another grid's or holds no
/// sampled voxel with a positive value; [`Error::Cancelled`] if `watch` says so. Where all intensities are the same, the
/// field is 1.
pub fn estimate(
    scan: &Volume,
    mask: &Array3<bool>,
    options: &BiasOptions,
    watch: &Watch,
) -> Result<BiasField> {
    options.check()?;
    let axes = sampling::axes(&scan.grid(), options.shrink);
    let mut blocks = sampling::blocks(scan, mask, &axes)?;
    let fit = iterate::run(&mut blocks, &sampling::positions(&axes, options), options, watch)?;
    let report = BiasReport {
        options: options.clone(),
        shrink_factors: axes.map(|axis| axis.factor),
        shrunk_dims: axes.map(|axis| axis.count),
        samples: blocks.iter().map(|block| block.log.len()).sum(),
        levels: fit.levels,
        field_range: [fit.range.0.exp(), fit.range.1.exp()],
    };
    Ok(BiasField { grid: scan.grid(), axes, lattice: fit.lattice, range: fit.range, report })
}

/// Bytes of all samples that there can be: their places, logarithms, fields and ratios, in lists with room for twice as many
/// places and logarithms as they grow.
pub(super) fn needs_of_samples(scan: &Grid, options: &BiasOptions) -> u64 {
    let samples: usize = sampling::axes(scan, options.shrink).iter().map(|axis| axis.count).product();
    44 * samples as u64
}

impl BiasField {
    /// What was done to find it.
    pub fn report(&self) -> &BiasReport {
        &self.report
    }

    /// The logarithm of the field at the samples, inside the mask and outside, without limits: what
    /// [`BiasReport::shrunk_dims`] counts, i fastest.
    pub fn log_on_samples(&self) -> Array3<f64> {
        let [ni, nj, nk] = self.report.shrunk_dims;
        let positions = sampling::positions(&self.axes, &self.report.options);
        let bases = [0, 1, 2].map(|axis: usize| positions[axis].basis(self.lattice.points));
        let mut field = Array3::zeros((ni, nj, nk).f());
        let slices = field.as_slice_memory_order_mut().unwrap_or(&mut []).chunks_exact_mut(ni * nj);
        slices.enumerate().for_each(|(k, slice)| fill_slice(&self.lattice, &bases, k, slice, |log| log));
        field
    }

    /// The field on the scan's grid, as a factor.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if its memory cannot be had; [`Error::Cancelled`] if `watch` says so.
    pub fn on_scan(&self, watch: &Watch) -> Result<Volume> {
        let bases = self.axes.map(|axis| axis.all_positions().basis(self.lattice.points));
        let (low, high) =
            if self.report.options.limited_to_mask { self.range } else { (f64::NEG_INFINITY, f64::INFINITY) };
        let mut field = Volume::zeros(&self.grid)?;
        let slice_len = self.grid.dims[0] * self.grid.dims[1];
        let slices = field.as_mut_slice().par_chunks_exact_mut(slice_len);
        slices.enumerate().try_for_each(|(k, slice)| {
            watch.check()?;
            fill_slice(&self.lattice, &bases, k, slice, |log| (log.clamp(low, high) as f32).exp());
            Ok::<_, Error>(())
        })?;
        Ok(field)
    }
}

/// One slice of the field, each voxel `from_log` of its logarithm.
fn fill_slice<T>(
    lattice: &Lattice,
    bases: &[Basis; 3],
    k: usize,
    slice: &mut [T],
    from_log: impl Fn(f64) -> T,
) {
    let points = lattice.points;
    let (mut plane, mut line) = (vec![0.0; points * points], vec![0.0; points]);
    bases[2].gather(k, &lattice.values, &mut plane);
    for (j, row) in slice.chunks_exact_mut(bases[0].first.len()).enumerate() {
        bases[1].gather(j, &plane, &mut line);
        for (i, voxel) in row.iter_mut().enumerate() {
            *voxel = from_log(bases[0].value(i, &line));
        }
    }
}
