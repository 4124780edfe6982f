//! The brain mask of a scan whose background is already zero.

use ndarray::{Array3, ArrayView3};

use crate::volume::in_memory_order;

/// The brain of a brain-extracted scan: every voxel that is not zero, and the zeros that it encloses (a ventricle that
/// some tool has blanked), found by a flood of the background from the volume's faces through voxel faces.
pub fn mask(voxels: ArrayView3<'_, f32>) -> Array3<bool> {
    let (ni, nj, nk) = voxels.dim();
    let mut brain = in_memory_order((ni, nj, nk), true);
    let mut queue = Vec::new();
    let visit = |brain: &mut Array3<bool>, queue: &mut Vec<_>, index: (usize, usize, usize)| {
        if brain[index] && voxels[index] == 0.0 {
            brain[index] = false;
            queue.push(index);
        }
    };
    for k in 0..nk {
        for j in 0..nj {
            let on_face = k == 0 || k == nk - 1 || j == 0 || j == nj - 1;
            let step = if on_face { 1 } else { (ni - 1).max(1) };
            for i in (0..ni).step_by(step) {
                visit(&mut brain, &mut queue, (i, j, k));
            }
        }
    }
    while let Some((i, j, k)) = queue.pop() {
        let below = [(i.wrapping_sub(1), j, k), (i, j.wrapping_sub(1), k), (i, j, k.wrapping_sub(1))];
        let above = [(i + 1, j, k), (i, j + 1, k), (i, j, k + 1)];
        for (i, j, k) in below.into_iter().chain(above) {
            if i < ni && j < nj && k < nk {
                visit(&mut brain, &mut queue, (i, j, k));
            }
        }
    }
    brain
}

/// The smallest box that holds every `true`: first and last index along each axis; none if there is no `true`.
pub fn bounding_box(mask: &Array3<bool>) -> Option<([usize; 3], [usize; 3])> {
    let mut bounds: Option<([usize; 3], [usize; 3])> = None;
    for ((i, j, k), _) in mask.indexed_iter().filter(|(_, inside)| **inside) {
        let index = [i, j, k];
        let (low, high) = bounds.get_or_insert((index, index));
        for axis in 0..3 {
            low[axis] = low[axis].min(index[axis]);
            high[axis] = high[axis].max(index[axis]);
        }
    }
    bounds
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
        assert_eq!(bounding_box(&brain), Some(([1, 2, 1], [5, 6, 7])));
        assert_eq!(bounding_box(&Array3::from_elem((2, 2, 2), false)), None);
    }

    #[test]
    fn thin_volumes_are_flooded_whole() {
        for shape in [(1, 1, 1), (1, 4, 4), (4, 1, 4), (2, 2, 2)] {
            assert!(mask(Array3::zeros(shape).view()).iter().all(|inside| !inside), "{shape:?}");
        }
    }
}
