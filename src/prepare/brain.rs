//! The brain mask of a scan whose background is already zero.

use ndarray::{Array3, ArrayView3};

use super::morphology;
pub use super::morphology::bounding_box;
use crate::memory;

/// The brain of a brain-extracted scan: every voxel that is not zero, and the zeros that it encloses (a ventricle that
/// some tool has blanked), found by a flood of the background from the volume's faces through voxel faces.
pub fn mask(voxels: ArrayView3<'_, f32>) -> Array3<bool> {
    morphology::with_holes_filled(&memory::mapped(voxels, |value| *value != 0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enclosed_zeros_belong_to_the_brain_and_open_ones_do_not() {
        let mut voxels = Array3::<f32>::zeros((7, 8, 9));
        voxels.slice_mut(ndarray::s![1..6, 2..7, 1..8]).fill(-3.0);
        voxels[[3, 4, 4]] = 0.0; // enclosed
        voxels.slice_mut(ndarray::s![2, 3, ..4]).fill(0.0); // a channel to the outside
        let brain = mask(voxels.view());
        let count = brain.iter().filter(|inside| **inside).count();
        assert_eq!(count, 5 * 5 * 7 - 3);
        assert!(brain[[3, 4, 4]] && !brain[[2, 3, 2]] && !brain[[0, 0, 0]]);
    }
}
