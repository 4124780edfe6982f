//! The grid that generators read: 1 mm, axes along right, front and top, around the brain.

use crate::volume::{Affine, Grid};
use crate::{Error, Limits, Result};

/// Voxel size of the standard grid in millimetres.
const SPACING: f64 = 1.0;
/// Voxels kept around the brain, so that a network sees its background.
pub const MARGIN: usize = 8;

/// The standard grid around a brain whose voxels lie in the box of indices from `first` to `last`.
///
/// Its axes are those of the patient (RAS); its voxel centres coincide with those of a volume that has 1 mm voxels along
/// the same axes, in any order and direction, so that such a volume is copied and not interpolated.
///
/// # Errors
/// [`Error::BadImage`] if the brain would need more voxels than the limits allow.
pub fn grid_around(scan: &Grid, (first, last): ([usize; 3], [usize; 3]), limits: &Limits) -> Result<Grid> {
    let corner = |corner: usize| {
        let index = [0, 1, 2].map(|axis| if corner >> axis & 1 == 1 { last[axis] } else { first[axis] });
        scan.affine.to_millimetres(index.map(|i| i as f64))
    };
    let mut low = [f64::INFINITY; 3];
    let mut high = [f64::NEG_INFINITY; 3];
    for position in (0..8).map(corner) {
        for axis in 0..3 {
            low[axis] = low[axis].min(position[axis]);
            high[axis] = high[axis].max(position[axis]);
        }
    }
    let mut dims = [0; 3];
    for axis in 0..3 {
        // What is left of an affine's rounding must not add a voxel.
        let steps = ((high[axis] - low[axis]) / SPACING - 1e-6).ceil().max(0.0);
        if steps > limits.max_axis as f64 {
            let extent = high[axis] - low[axis];
            return Err(Error::BadImage(format!(
                "what is not background is {extent:.0} mm long: not a head"
            )));
        }
        dims[axis] = steps as usize + 1 + 2 * MARGIN;
        low[axis] -= MARGIN as f64 * SPACING;
    }
    // Each axis is short enough for the product to fit.
    if dims.iter().map(|&voxels| voxels as u64).product::<u64>() > limits.max_voxels {
        let [x, y, z] = [0, 1, 2].map(|axis| high[axis] - low[axis]);
        return Err(Error::BadImage(format!(
            "what is not background fills {x:.0} x {y:.0} x {z:.0} mm: not a head"
        )));
    }
    Ok(Grid { dims, affine: Affine::from_sizes([SPACING; 3], low)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Volume;

    #[test]
    fn one_millimetre_voxels_fall_on_the_grid_whatever_their_order() {
        let rows =
            [[0.0, 0.0, -1.0, 60.5], [-1.0, 0.0, 0.0, 70.25], [0.0, 1.0, 0.0, -40.0], [0.0, 0.0, 0.0, 1.0]];
        let affine = Affine::from_rows(rows).unwrap();
        let volume = Volume::zeros(&Grid { dims: [30, 40, 50], affine }).unwrap();
        let grid = grid_around(&volume.grid(), ([5, 6, 7], [20, 30, 40]), &Limits::default()).unwrap();
        assert_eq!(grid.dims, [34 + 16, 16 + 16, 25 + 16]);
        for index in [[0.0; 3], [49.0, 31.0, 40.0]] {
            let there = grid.affine.to_indices_of(&affine).apply(index);
            assert!(there.iter().all(|i| (i - i.round()).abs() < 1e-9), "{there:?}");
        }
    }

    #[test]
    fn thick_and_thin_voxels_are_covered() {
        let affine = Affine::from_sizes([0.7, 0.7, 3.0], [-80.0, -100.0, -60.0]).unwrap();
        let volume = Volume::zeros(&Grid { dims: [200, 250, 45], affine }).unwrap();
        let grid = grid_around(&volume.grid(), ([10, 10, 2], [190, 240, 42]), &Limits::default()).unwrap();
        assert_eq!(grid.dims, [127 + 16, 162 + 16, 121 + 16]);
    }

    #[test]
    fn a_mile_of_brain_is_refused() {
        let affine = Affine::from_sizes([100.0; 3], [0.0; 3]).unwrap();
        let volume = Volume::zeros(&Grid { dims: [60, 4, 4], affine }).unwrap();
        // Each of the second's axes is short enough alone.
        for last in [[59, 3, 3], [8, 3, 3]] {
            let limits = Limits { max_voxels: 30_000_000, ..Limits::default() };
            let outcome = grid_around(&volume.grid(), ([0; 3], last), &limits);
            assert!(matches!(outcome, Err(Error::BadImage(_))), "{outcome:?}");
        }
    }
}
