//! The voxels that an estimate looks at: every so many along each axis, those inside the mask with a positive value.

use std::ops::Range;

use ndarray::Array3;

use super::options::{BiasOptions, FieldPlacement, Shrink};
use super::spline::Positions;
use crate::{Error, Grid, Result, Volume};

/// Rows of samples in one block: small enough for threads to share a slice, large enough to be worth a task.
const ROWS_IN_BLOCK: usize = 32;

/// Every `factor`-th voxel of an axis from `start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AxisSampling {
    pub(super) factor: usize,
    start: usize,
    /// Samples along the axis.
    pub(super) count: usize,
    /// Voxels along the axis.
    length: usize,
}

impl AxisSampling {
    /// The samples that `itk::ShrinkImageFilter` takes: as near to the middle as whole voxels allow, the higher of two.
    /// (ITK goes through millimetres there, so that in oblique scans rounding may make it take the lower.)
    fn new(length: usize, factor: usize) -> Self {
        let factor = factor.clamp(1, length);
        let count = length / factor;
        let left_over = (length - 1) - (count - 1) * factor;
        Self { factor, start: left_over.div_ceil(2), count, length }
    }

    fn voxel(&self, sample: usize) -> usize {
        self.start + sample * self.factor
    }

    /// Where the samples lie in the B-spline's domain.
    pub(super) fn positions(&self, placement: FieldPlacement) -> Positions {
        match placement {
            FieldPlacement::WhereVoxelsLie => {
                Positions::of_voxels(self.start, self.factor, self.count, self.length)
            }
            FieldPlacement::StretchedAsItk => Positions::of_voxels(0, 1, self.count, self.count),
        }
    }

    /// Where all voxels lie in it.
    pub(super) fn all_positions(&self) -> Positions {
        Positions::of_voxels(0, 1, self.length, self.length)
    }
}

/// How each axis of `grid` is sampled.
pub(super) fn axes(grid: &Grid, shrink: Shrink) -> [AxisSampling; 3] {
    let sizes = grid.affine.voxel_sizes();
    let factor = |axis: usize| match shrink {
        Shrink::Factor(factors) => factors[axis],
        Shrink::Millimetres(millimetres) => (millimetres / sizes[axis]).round() as usize,
    };
    [0, 1, 2].map(|axis| AxisSampling::new(grid.dims[axis], factor(axis)))
}

/// Some rows of one slice of samples, with what is known at each sample.
#[derive(Default)]
pub(super) struct Block {
    /// The slice.
    pub(super) k: usize,
    pub(super) rows: Vec<Row>,
    /// Each sample's place in its row.
    pub(super) i: Vec<usize>,
    /// Logarithm of each sample's intensity.
    pub(super) log: Vec<f64>,
    /// Logarithm of the field there, as far as it is known.
    pub(super) field: Vec<f64>,
    /// The last iteration's field over this one's, as ITK rounds it.
    pub(super) ratio: Vec<f32>,
}

/// The samples of one row.
pub(super) struct Row {
    pub(super) j: usize,
    pub(super) samples: Range<usize>,
}

/// The samples inside `mask` whose value has a logarithm, in blocks that hold at least one.
///
/// # Errors
/// [`Error::BadImage`] if the mask is another grid's, or there is no such sample.
pub(super) fn blocks(scan: &Volume, mask: &Array3<bool>, axes: &[AxisSampling; 3]) -> Result<Vec<Block>> {
    if mask.dim() != scan.voxels().dim() {
        return Err(Error::BadImage(format!(
            "the mask has {:?} voxels and the scan {:?}",
            mask.dim(),
            scan.voxels().dim()
        )));
    }
    let mut blocks = Vec::new();
    for k in 0..axes[2].count {
        for first in (0..axes[1].count).step_by(ROWS_IN_BLOCK) {
            let rows = first..(first + ROWS_IN_BLOCK).min(axes[1].count);
            let block = block(scan, mask, axes, k, rows);
            if !block.log.is_empty() {
                blocks.push(block);
            }
        }
    }
    if blocks.is_empty() {
        return Err(Error::BadImage(
            "bias correction: no sampled voxel inside the mask has a positive value".into(),
        ));
    }
    Ok(blocks)
}

fn block(
    scan: &Volume,
    mask: &Array3<bool>,
    axes: &[AxisSampling; 3],
    k: usize,
    rows: Range<usize>,
) -> Block {
    let voxels = scan.voxels();
    let mut block = Block { k, ..Block::default() };
    for j in rows {
        let start = block.i.len();
        for i in 0..axes[0].count {
            let index = [axes[0].voxel(i), axes[1].voxel(j), axes[2].voxel(k)];
            let value = voxels[index];
            // Values without a logarithm are left out; ITK would take them as 1, which only widens the histogram.
            if mask[index] && value > 0.0 && value.is_finite() {
                block.i.push(i);
                block.log.push(f64::from(value).ln());
            }
        }
        block.rows.push(Row { j, samples: start..block.i.len() });
    }
    block.field = vec![0.0; block.log.len()];
    block.ratio = vec![1.0; block.log.len()];
    block
}

/// Where samples lie in the B-spline's domain, for each axis.
pub(super) fn positions(axes: &[AxisSampling; 3], options: &BiasOptions) -> [Positions; 3] {
    axes.map(|axis| axis.positions(options.placement))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Affine;

    #[test]
    fn samples_are_those_of_itk() {
        // Length, factor; factor used, first voxel, count: SimpleITK 2.5.7's Shrink of a ramp.
        let cases = [
            (39, 4, (4, 3, 9)),
            (320, 4, (4, 2, 80)),
            (406, 4, (4, 3, 101)),
            (44, 3, (3, 2, 14)),
            (10, 4, (4, 3, 2)),
            (9, 2, (2, 1, 4)),
            (8, 4, (4, 2, 2)),
            (6, 4, (4, 3, 1)),
            (5, 3, (3, 2, 1)),
            (3, 7, (3, 1, 1)),
            (2, 2, (2, 1, 1)),
            (1, 4, (1, 0, 1)),
        ];
        for (length, factor, (used, start, count)) in cases {
            let axis = AxisSampling::new(length, factor);
            assert_eq!((axis.factor, axis.start, axis.count), (used, start, count), "{length}/{factor}");
            assert!(axis.voxel(count - 1) < length);
        }
    }

    #[test]
    fn millimetres_leave_thick_slices_whole() {
        let affine = Affine::from_sizes([0.5, 0.72, 3.0], [0.0; 3]).unwrap();
        let grid = Grid { dims: [400, 320, 39], affine };
        assert_eq!(axes(&grid, Shrink::Millimetres(4.0)).map(|axis| axis.factor), [8, 6, 1]);
        assert_eq!(axes(&grid, Shrink::Millimetres(1e-9)).map(|axis| axis.factor), [1, 1, 1]);
        assert_eq!(axes(&grid, Shrink::Millimetres(1e9)).map(|axis| axis.count), [1, 1, 1]);
    }
}
