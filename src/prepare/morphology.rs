//! Binary masks: bounding boxes, connected components, borders, holes, agreement.
//!
//! Masks may lie in memory in any order; i fastest is the fast one.

use ndarray::{Array3, ArrayRef3, Zip, s};

use crate::memory::{self, in_memory_order};

/// Which voxels of a grid are neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Connectivity {
    /// The 6 that share a face.
    Faces,
    /// The 18 that share a face or an edge.
    Edges,
    /// The 26 that share a face, an edge or a corner.
    Corners,
}

impl Connectivity {
    /// Along how many axes neighbours may differ, which SciPy's `generate_binary_structure` calls connectivity.
    fn axes(self) -> usize {
        match self {
            Self::Faces => 1,
            Self::Edges => 2,
            Self::Corners => 3,
        }
    }
}

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
    fn of(mask: &ArrayRef3<bool>) -> Option<Self> {
        let (low, high) = bounding_box(mask)?;
        let dims = [0, 1, 2].map(|axis| high[axis] - low[axis] + 3);
        let mut padded = Self { low, dims, cells: memory::filled(dims.iter().product(), false) };
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

    /// What leads from a place in `cells` to its neighbours, in the order of memory.
    fn steps(&self, connectivity: Connectivity) -> Vec<isize> {
        let strides = self.strides();
        let mut steps = Vec::with_capacity(26);
        for [k, j, i] in (0..27).map(|n| [n / 9 - 1, n / 3 % 3 - 1, n % 3 - 1]) {
            let axes = [i, j, k].into_iter().filter(|step| *step != 0).count();
            if axes > 0 && axes <= connectivity.axes() {
                steps.push(i * strides[0] + j * strides[1] + k * strides[2]);
            }
        }
        steps
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

    /// Appends to `reached` all places that hang together with `start` by these steps among those for which `open` holds, in
    /// the order of their visit. Each is closed when it is visited.
    fn flood(&self, open: &mut [bool], start: usize, steps: &[isize], reached: &mut Vec<usize>) {
        let mut next = reached.len();
        reached.push(start);
        open[start] = false;
        while let Some(&at) = reached.get(next) {
            next += 1;
            for neighbour in steps.iter().filter_map(|step| at.checked_add_signed(*step)) {
                if open.get(neighbour) == Some(&true) {
                    open[neighbour] = false;
                    reached.push(neighbour);
                }
            }
        }
    }

    /// Calls `visit` with the places of each part of the mask that hangs together, the parts in the order of their first
    /// places and the places in the order of the flood's visit.
    fn for_each_part(&self, connectivity: Connectivity, mut visit: impl FnMut(&[usize])) {
        let steps = self.steps(connectivity);
        let mut left = memory::copied(&self.cells);
        let mut reached = room_for(&left);
        for start in 0..left.len() {
            if left[start] {
                reached.clear();
                self.flood(&mut left, start, &steps, &mut reached);
                visit(&reached);
            }
        }
    }
}

/// An empty list with room for all places that are open, which is more than a flood can reach.
fn room_for(open: &[bool]) -> Vec<usize> {
    memory::reserved(open.iter().filter(|open| **open).count())
}

/// The smallest box that holds every `true`: first and last index along each axis; none if there is no `true`.
pub fn bounding_box(mask: &ArrayRef3<bool>) -> Option<([usize; 3], [usize; 3])> {
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
pub fn with_holes_filled(mask: &ArrayRef3<bool>) -> Array3<bool> {
    let mut filled = in_memory_order(mask.dim(), false);
    let Some(mut padded) = Padded::of(mask) else {
        return filled;
    };
    let mut outside = memory::gathered(padded.cells.iter().map(|inside| !inside));
    let mut reached = room_for(&outside);
    padded.flood(&mut outside, 0, &padded.steps(Connectivity::Faces), &mut reached);
    drop(reached);
    // What is still open was not reached.
    for (cell, hole) in padded.cells.iter_mut().zip(outside) {
        *cell |= hole;
    }
    padded.for_each_voxel(|cell, index| filled[index] = *cell);
    filled
}

/// The largest part of the mask that hangs together through voxel faces; of equals, the first in memory.
pub fn largest_component(mask: &ArrayRef3<bool>) -> Array3<bool> {
    let mut kept = in_memory_order(mask.dim(), false);
    let Some(mut padded) = Padded::of(mask) else {
        return kept;
    };
    let (mut start, mut largest) = (0, 0);
    padded.for_each_part(Connectivity::Faces, |part| {
        if part.len() > largest {
            (start, largest) = (part[0], part.len());
        }
    });
    // The flood again, rather than room for two parts.
    let mut left = memory::copied(&padded.cells);
    let mut reached = memory::reserved(largest);
    padded.flood(&mut left, start, &padded.steps(Connectivity::Faces), &mut reached);
    padded.cells.fill(false);
    reached.into_iter().for_each(|at| padded.cells[at] = true);
    padded.for_each_voxel(|cell, index| kept[index] = *cell);
    kept
}

/// How many parts of the mask do not hang together through voxel faces, of those with at least `smallest` voxels.
pub fn component_count(mask: &ArrayRef3<bool>, smallest: usize) -> usize {
    let Some(padded) = Padded::of(mask) else {
        return 0;
    };
    let mut count = 0;
    padded.for_each_part(Connectivity::Faces, |part| count += usize::from(part.len() >= smallest));
    count
}

/// The parts of the mask that hang together: the voxels of each, the parts in the order of their first voxels in memory
/// (i fastest).
pub fn components(mask: &ArrayRef3<bool>, connectivity: Connectivity) -> Vec<Vec<[usize; 3]>> {
    let Some(padded) = Padded::of(mask) else {
        return Vec::new();
    };
    let mut components = Vec::new();
    padded.for_each_part(connectivity, |part| {
        components.push(memory::gathered(part.iter().map(|&at| padded.index_of(at))));
    });
    components
}

/// The voxels of the mask with a neighbour that is not in it, in the order of memory (i fastest); what lies outside the
/// grid is not in it. Erosion removes these (SciPy's `binary_erosion` with `generate_binary_structure`).
pub fn border(mask: &ArrayRef3<bool>, connectivity: Connectivity) -> Vec<[usize; 3]> {
    let Some(padded) = Padded::of(mask) else {
        return Vec::new();
    };
    let steps = padded.steps(connectivity);
    // The layer of `false` lets every step from a voxel inside end in `cells`.
    let is_inner = |at: usize| steps.iter().all(|&step| padded.cells[at.wrapping_add_signed(step)]);
    let places = 0..padded.cells.len();
    places.filter(|&at| padded.cells[at] && !is_inner(at)).map(|at| padded.index_of(at)).collect()
}

/// Twice the common voxels over the sum of both masks' (Dice 1945); 1 for two empty masks, 0 for masks of two sizes, which
/// have no voxel in common.
pub fn dice(a: &ArrayRef3<bool>, b: &ArrayRef3<bool>) -> f64 {
    if a.dim() != b.dim() {
        return 0.0;
    }
    let (mut common, mut sum) = (0_usize, 0_usize);
    Zip::from(a).and(b).for_each(|&a, &b| {
        common += usize::from(a && b);
        sum += usize::from(a) + usize::from(b);
    });
    if sum == 0 { 1.0 } else { 2.0 * common as f64 / sum as f64 }
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
        assert!(components(&mask, Connectivity::Corners).is_empty());
        let (bent, lone) = ([[0, 0, 0], [1, 1, 1], [0, 2, 1], [0, 2, 2]], [5, 4, 6]);
        bent.iter().for_each(|&index| mask[index] = true);
        mask[lone] = true;
        // As far from the others as one voxel can be without touching them.
        mask[[3, 1, 1]] = true;
        let mut found = components(&mask, Connectivity::Corners);
        found[0].sort_unstable();
        let mut expected = bent.to_vec();
        expected.sort_unstable();
        assert_eq!(found, [expected, vec![[3, 1, 1]], vec![lone]]);
        // All 26 neighbours, each alone with the middle.
        for n in (0..27).filter(|n| *n != 13) {
            let mut pair = in_memory_order((3, 3, 3), false);
            pair[[1, 1, 1]] = true;
            pair[[n % 3, n / 3 % 3, n / 9]] = true;
            assert_eq!(components(&pair, Connectivity::Corners).len(), 1, "{n}");
        }
    }

    #[test]
    fn neighbours_share_a_face_an_edge_or_a_corner() {
        // Each of the 26 neighbours alone with the middle: along how many axes it differs decides.
        for n in (0..27).filter(|n| *n != 13) {
            let neighbour = [n % 3, n / 3 % 3, n / 9];
            let axes = neighbour.iter().filter(|at| **at != 1).count();
            let mut pair = in_memory_order((3, 3, 3), false);
            pair[[1, 1, 1]] = true;
            pair[neighbour] = true;
            for connectivity in [Connectivity::Faces, Connectivity::Edges, Connectivity::Corners] {
                let expected = if axes <= connectivity.axes() { 1 } else { 2 };
                assert_eq!(components(&pair, connectivity).len(), expected, "{neighbour:?} {connectivity:?}");
            }
        }
    }

    #[test]
    fn borders_are_what_erosion_removes() {
        let mut mask = in_memory_order((7, 6, 5), false);
        mask.slice_mut(s![1..6, 1..6, 0..5]).fill(true);
        // A corner is missing: an inner voxel that only Corners let see it becomes border.
        mask[[1, 1, 1]] = false;
        let inner = |connectivity| {
            let mut left = mask.clone();
            border(&mask, connectivity).into_iter().for_each(|at| left[at] = false);
            left
        };
        let mut expected = in_memory_order((7, 6, 5), false);
        expected.slice_mut(s![2..5, 2..5, 1..4]).fill(true);
        assert_eq!(inner(Connectivity::Faces), expected);
        // Across the edge to it lie (2, 2, 1) only.
        expected[[2, 2, 1]] = false;
        assert_eq!(inner(Connectivity::Edges), expected);
        expected[[2, 2, 2]] = false;
        assert_eq!(inner(Connectivity::Corners), expected);
        assert!(border(&in_memory_order((2, 2, 2), false), Connectivity::Faces).is_empty());
        assert_eq!(border(&in_memory_order((1, 1, 1), true), Connectivity::Faces), [[0, 0, 0]]);
    }

    #[test]
    fn masks_in_any_memory_order_are_the_same() {
        let mask = Array3::from_shape_fn((5, 6, 7), |(i, j, k)| (i * 7 + j * 5 + k * 3) % 4 == 0);
        let mut ordered = in_memory_order((5, 6, 7), false);
        ordered.assign(&mask);
        assert_eq!(components(&mask, Connectivity::Corners), components(&ordered, Connectivity::Corners));
        assert_eq!(border(&mask.view(), Connectivity::Faces), border(&ordered, Connectivity::Faces));
        assert!((dice(&mask, &ordered) - 1.0).abs() < 1e-12);
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
