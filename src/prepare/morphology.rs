//! Binary masks: connected components and holes.

use ndarray::Array3;

use crate::volume::in_memory_order;

/// Calls `visit` with the up to six neighbours of a voxel through its faces.
fn for_each_neighbour(
    (ni, nj, nk): (usize, usize, usize),
    (i, j, k): (usize, usize, usize),
    mut visit: impl FnMut((usize, usize, usize)),
) {
    // What wraps around below 0 is not below the length either.
    let below = [(i.wrapping_sub(1), j, k), (i, j.wrapping_sub(1), k), (i, j, k.wrapping_sub(1))];
    let above = [(i + 1, j, k), (i, j + 1, k), (i, j, k + 1)];
    for (i, j, k) in below.into_iter().chain(above) {
        if i < ni && j < nj && k < nk {
            visit((i, j, k));
        }
    }
}

/// The mask and the holes that it encloses: what a flood from the volume's faces through voxel faces cannot reach.
pub fn with_holes_filled(mask: &Array3<bool>) -> Array3<bool> {
    let (ni, nj, nk) = mask.dim();
    let mut filled = in_memory_order((ni, nj, nk), true);
    let mut queue = Vec::new();
    let reach = |filled: &mut Array3<bool>, queue: &mut Vec<_>, index: (usize, usize, usize)| {
        if filled[index] && !mask[index] {
            filled[index] = false;
            queue.push(index);
        }
    };
    for k in 0..nk {
        for j in 0..nj {
            let on_face = k == 0 || k == nk - 1 || j == 0 || j == nj - 1;
            let step = if on_face { 1 } else { (ni - 1).max(1) };
            for i in (0..ni).step_by(step) {
                reach(&mut filled, &mut queue, (i, j, k));
            }
        }
    }
    while let Some(index) = queue.pop() {
        for_each_neighbour((ni, nj, nk), index, |neighbour| reach(&mut filled, &mut queue, neighbour));
    }
    filled
}

/// The largest part of the mask that hangs together through voxel faces; of equals, the first in memory.
pub fn largest_component(mask: &Array3<bool>) -> Array3<bool> {
    let dims = mask.dim();
    let mut left = mask.clone();
    let mut largest = Vec::new();
    let (ni, nj, nk) = dims;
    for k in 0..nk {
        for j in 0..nj {
            for i in 0..ni {
                if left[(i, j, k)] {
                    let component = take_component(&mut left, (i, j, k));
                    if component.len() > largest.len() {
                        largest = component;
                    }
                }
            }
        }
    }
    let mut kept = in_memory_order(dims, false);
    for index in largest {
        kept[index] = true;
    }
    kept
}

/// Removes from `left` all that hangs together with `start`, and returns it.
fn take_component(left: &mut Array3<bool>, start: (usize, usize, usize)) -> Vec<(usize, usize, usize)> {
    let dims = left.dim();
    left[start] = false;
    let mut component = vec![start];
    let mut next = 0;
    while let Some(&index) = component.get(next) {
        next += 1;
        for_each_neighbour(dims, index, |neighbour| {
            if left[neighbour] {
                left[neighbour] = false;
                component.push(neighbour);
            }
        });
    }
    component
}

/// Twice the common voxels over the sum of both masks' (Dice 1945); 1 for two empty masks.
pub fn dice(a: &Array3<bool>, b: &Array3<bool>) -> f64 {
    let count = |mask: &Array3<bool>| mask.iter().filter(|inside| **inside).count();
    let common = a.iter().zip(b).filter(|(a, b)| **a && **b).count();
    match count(a) + count(b) {
        0 => 1.0,
        sum => 2.0 * common as f64 / sum as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::s;

    #[test]
    fn enclosed_holes_are_filled_and_open_ones_are_not() {
        let mut mask = in_memory_order((7, 8, 9), false);
        mask.slice_mut(s![1..6, 2..7, 1..8]).fill(true);
        mask[[3, 4, 4]] = false; // enclosed
        mask.slice_mut(s![2, 3, ..4]).fill(false); // a channel to the outside
        let filled = with_holes_filled(&mask);
        assert_eq!(filled.iter().filter(|inside| **inside).count(), 5 * 5 * 7 - 3);
        assert!(filled[[3, 4, 4]] && !filled[[2, 3, 2]] && !filled[[0, 0, 0]]);
    }

    #[test]
    fn thin_volumes_are_flooded_whole() {
        for shape in [(1, 1, 1), (1, 4, 4), (4, 1, 4), (2, 2, 2)] {
            assert!(
                with_holes_filled(&in_memory_order(shape, false)).iter().all(|inside| !inside),
                "{shape:?}"
            );
        }
    }

    #[test]
    fn parts_that_touch_at_an_edge_are_two() {
        let mut mask = in_memory_order((6, 6, 6), false);
        mask.slice_mut(s![..3, ..3, ..3]).fill(true);
        mask.slice_mut(s![3..5, 3..6, ..3]).fill(true);
        let largest = largest_component(&mask);
        assert_eq!(largest.iter().filter(|inside| **inside).count(), 27);
        assert!(largest[[2, 2, 2]] && !largest[[3, 3, 2]]);
        assert!(largest_component(&in_memory_order((2, 2, 2), false)).iter().all(|inside| !inside));
    }

    #[test]
    fn dice_of_halves_is_two_thirds() {
        let whole = in_memory_order((4, 2, 2), true);
        let mut half = whole.clone();
        half.slice_mut(s![..2, .., ..]).fill(false);
        assert!((dice(&whole, &half) - 2.0 / 3.0).abs() < 1e-12);
        let empty = in_memory_order((4, 2, 2), false);
        assert_eq!((dice(&empty, &empty), dice(&empty, &whole)), (1.0, 0.0));
    }
}
