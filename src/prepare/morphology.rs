//! Binary masks: bounding boxes, connected components, holes, agreement.

use ndarray::{Array3, s};

use crate::volume::in_memory_order;

/// The part of a mask around its `true` voxels with one layer of `false` on every side, so that no voxel inside has a
/// neighbour outside.
struct Padded {
    /// The first index of the mask that the box holds, after its layer.
    low: [usize; 3],
    /// Voxels of the box, layers included.
    dims: [usize; 3],
    /// i fastest.
    cells: Vec<bool>,
}

impl Padded {
    /// None for an empty mask.
    fn of(mask: &Array3<bool>) -> Option<Self> {
        let (low, high) = bounding_box(mask)?;
        let dims = [0, 1, 2].map(|axis| high[axis] - low[axis] + 3);
        let mut padded = Self { low, dims, cells: vec![false; dims.iter().product()] };
        padded.for_each_voxel(|cell, index| *cell = mask[index]);
        Some(padded)
    }

    /// Visits every voxel but those of the layers, with its index in the mask.
    fn for_each_voxel(&mut self, mut visit: impl FnMut(&mut bool, [usize; 3])) {
        let [ni, nj, nk] = self.dims;
        for k in 1..nk - 1 {
            for j in 1..nj - 1 {
                let row = (k * nj + j) * ni;
                for (cell, i) in self.cells[row + 1..row + ni - 1].iter_mut().zip(0..) {
                    visit(cell, [self.low[0] + i, self.low[1] + j - 1, self.low[2] + k - 1]);
                }
            }
        }
    }

    /// What leads from a place in `cells` to those that share a face with it.
    fn to_faces(&self) -> [isize; 6] {
        let [i, j, k] = self.strides();
        [-i, i, -j, j, -k, k]
    }

    /// What leads from a place in `cells` to those that share a face, an edge or a corner with it.
    fn to_corners(&self) -> [isize; 26] {
        let [i, j, k] = self.strides();
        // The 13th of 27 leads nowhere.
        std::array::from_fn(|n| {
            let n = (if n < 13 { n } else { n + 1 }) as isize;
            (n % 3 - 1) * i + (n / 3 % 3 - 1) * j + (n / 9 - 1) * k
        })
    }

    fn strides(&self) -> [isize; 3] {
        [1, self.dims[0], self.dims[0] * self.dims[1]].map(|stride| stride as isize)
    }

    /// The index in the mask of a place in `cells` that is not in the layers.
    fn index_of(&self, at: usize) -> [usize; 3] {
        let [ni, nj, _] = self.dims;
        let index = [at % ni, at / ni % nj, at / ni / nj];
        [0, 1, 2].map(|axis| self.low[axis] + index[axis] - 1)
    }

    /// All places that hang together with `start` by these steps among those for which `open` holds, in the order of
    /// their visit. Each is closed when it is visited.
    fn flood<const N: usize>(&self, open: &mut [bool], start: usize, steps: [isize; N]) -> Vec<usize> {
        let mut reached = vec![start];
        open[start] = false;
        let mut next = 0;
        while let Some(&at) = reached.get(next) {
            next += 1;
            for neighbour in steps.iter().filter_map(|step| at.checked_add_signed(*step)) {
                if open.get(neighbour) == Some(&true) {
                    open[neighbour] = false;
                    reached.push(neighbour);
                }
            }
        }
        reached
    }
}

/// The smallest box that holds every `true`: first and last index along each axis; none if there is no `true`.
pub fn bounding_box(mask: &Array3<bool>) -> Option<([usize; 3], [usize; 3])> {
    let (ni, nj, nk) = mask.dim();
    let mut low = [ni, nj, nk];
    let mut high = [0; 3];
    for k in 0..nk {
        for j in 0..nj {
            let row = mask.slice(s![.., j, k]);
            let Some(first) = row.iter().position(|&inside| inside) else { continue };
            let last = row.iter().rposition(|&inside| inside).unwrap_or(first);
            for (axis, (from, to)) in [(first, last), (j, j), (k, k)].into_iter().enumerate() {
                low[axis] = low[axis].min(from);
                high[axis] = high[axis].max(to);
            }
        }
    }
    (low[0] < ni).then_some((low, high))
}

/// The mask and the holes that it encloses: what a flood from outside through voxel faces cannot reach.
pub fn with_holes_filled(mask: &Array3<bool>) -> Array3<bool> {
    let mut filled = in_memory_order(mask.dim(), false);
    let Some(mut padded) = Padded::of(mask) else {
        return filled;
    };
    let mut outside: Vec<bool> = padded.cells.iter().map(|inside| !inside).collect();
    padded.flood(&mut outside, 0, padded.to_faces());
    // What is still open was not reached.
    for (cell, hole) in padded.cells.iter_mut().zip(outside) {
        *cell |= hole;
    }
    padded.for_each_voxel(|cell, index| filled[index] = *cell);
    filled
}

/// The largest part of the mask that hangs together through voxel faces; of equals, the first in memory.
pub fn largest_component(mask: &Array3<bool>) -> Array3<bool> {
    let mut kept = in_memory_order(mask.dim(), false);
    let Some(mut padded) = Padded::of(mask) else {
        return kept;
    };
    let mut left = padded.cells.clone();
    let mut largest = Vec::new();
    for start in 0..left.len() {
        if left[start] {
            let component = padded.flood(&mut left, start, padded.to_faces());
            if component.len() > largest.len() {
                largest = component;
            }
        }
    }
    padded.cells.fill(false);
    for at in largest {
        padded.cells[at] = true;
    }
    padded.for_each_voxel(|cell, index| kept[index] = *cell);
    kept
}

/// How many parts of the mask do not hang together through voxel faces, of those with at least `smallest` voxels.
pub fn component_count(mask: &Array3<bool>, smallest: usize) -> usize {
    let Some(padded) = Padded::of(mask) else {
        return 0;
    };
    let mut left = padded.cells.clone();
    let mut count = 0;
    for start in 0..left.len() {
        if left[start] {
            count += usize::from(padded.flood(&mut left, start, padded.to_faces()).len() >= smallest);
        }
    }
    count
}

/// The parts of the mask that hang together through voxel faces, edges or corners (26 neighbours): the voxels of each, the
/// parts in the order of their first voxels in memory.
pub fn components(mask: &Array3<bool>) -> Vec<Vec<[usize; 3]>> {
    let Some(padded) = Padded::of(mask) else {
        return Vec::new();
    };
    let mut left = padded.cells.clone();
    let mut components = Vec::new();
    for start in 0..left.len() {
        if left[start] {
            let component = padded.flood(&mut left, start, padded.to_corners());
            components.push(component.into_iter().map(|at| padded.index_of(at)).collect());
        }
    }
    components
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

    #[test]
    fn components_are_counted_by_faces() {
        let mut mask = in_memory_order((5, 5, 5), false);
        assert_eq!(component_count(&mask, 1), 0);
        mask[[0, 0, 0]] = true;
        mask[[0, 0, 1]] = true;
        mask[[1, 1, 1]] = true; // shares an edge only
        mask[[4, 4, 4]] = true;
        assert_eq!(component_count(&mask, 1), 3);
        assert_eq!(component_count(&mask, 2), 1);
    }

    #[test]
    fn components_hang_together_through_corners() {
        let mut mask = in_memory_order((6, 5, 7), false);
        assert!(components(&mask).is_empty());
        let (bent, lone) = ([[0, 0, 0], [1, 1, 1], [0, 2, 1], [0, 2, 2]], [5, 4, 6]);
        bent.iter().for_each(|&index| mask[index] = true);
        mask[lone] = true;
        // As far from the others as one voxel can be without touching them.
        mask[[3, 1, 1]] = true;
        let mut found = components(&mask);
        found[0].sort_unstable();
        let mut expected = bent.to_vec();
        expected.sort_unstable();
        assert_eq!(found, [expected, vec![[3, 1, 1]], vec![lone]]);
        // All 26 neighbours, each alone with the middle.
        for n in (0..27).filter(|n| *n != 13) {
            let mut pair = in_memory_order((3, 3, 3), false);
            pair[[1, 1, 1]] = true;
            pair[[n % 3, n / 3 % 3, n / 9]] = true;
            assert_eq!(components(&pair).len(), 1, "{n}");
        }
    }

    #[test]
    fn enclosed_holes_are_filled_and_open_ones_are_not() {
        let mut mask = in_memory_order((7, 8, 9), false);
        mask.slice_mut(s![1..6, 2..7, 1..8]).fill(true);
        mask[[3, 4, 4]] = false; // enclosed
        mask.slice_mut(s![2, 3, ..4]).fill(false); // a channel to the outside
        let filled = with_holes_filled(&mask);
        assert_eq!(filled.iter().filter(|inside| **inside).count(), 5 * 5 * 7 - 3);
        assert!(filled[[3, 4, 4]] && !filled[[2, 3, 2]] && !filled[[0, 0, 0]]);
        assert_eq!(bounding_box(&mask), Some(([1, 2, 1], [5, 6, 7])));
        assert_eq!(bounding_box(&in_memory_order((2, 2, 2), false)), None);
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
    fn holes_at_the_faces_are_open() {
        let mut mask = in_memory_order((5, 5, 3), true);
        mask[[2, 2, 0]] = false;
        mask[[2, 2, 1]] = false;
        assert_eq!(with_holes_filled(&mask), mask);
        mask[[2, 2, 0]] = true;
        assert!(with_holes_filled(&mask).iter().all(|inside| *inside));
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
