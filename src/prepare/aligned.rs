//! Grids whose voxel centres coincide: what goes from one onto the other is copied, and nothing is interpolated.

use rayon::prelude::*;

use crate::volume::IndexMap;
use crate::{Result, Watch, memory};

/// Indices this near to a voxel are that voxel: less than what an interpolation takes for rounding.
const WITHIN: f64 = 5e-6;

/// How the voxels of one grid are counted in another: along the same axes, in any order and direction.
pub(super) struct Aligned {
    /// The other grid's index of this one's first voxel.
    first: [i64; 3],
    /// What a step along each axis of this grid adds to the other's index: one of its entries is 1 or -1, the others are 0.
    steps: [[i64; 3]; 3],
    dims: [usize; 3],
}

impl Aligned {
    /// None if a voxel of the grid that `map` leads from, which has `dims` voxels, lies between voxels of the other.
    pub(super) fn of(map: &IndexMap, dims: [usize; 3]) -> Option<Self> {
        // What is farther than any voxel fails below.
        let whole = |values: [f64; 3]| values.map(|value| value.clamp(-1e9, 1e9).round() as i64);
        let first = whole(map.apply([0.0; 3]));
        let steps = [0, 1, 2].map(|axis| whole(map.step(axis)));
        let taken = |along: usize| steps.iter().map(|step| step[along].abs()).sum::<i64>() == 1;
        let unit = |step: &[i64; 3]| step.iter().map(|along| along.abs()).sum::<i64>() == 1;
        let aligned = Self { first, steps, dims };
        // What rounding left out is largest at a corner.
        let exact = |corner: usize| {
            let index = [0, 1, 2].map(|axis| if corner >> axis & 1 == 1 { dims[axis] - 1 } else { 0 });
            let (there, here) = (map.apply(index.map(|at| at as f64)), aligned.at(index));
            (0..3).all(|axis| (there[axis] - here[axis] as f64).abs() < WITHIN)
        };
        ((0..3).all(taken) && steps.iter().all(unit) && (0..8).all(exact)).then_some(aligned)
    }

    fn at(&self, index: [usize; 3]) -> [i64; 3] {
        [0, 1, 2].map(|along| {
            (0..3).fold(self.first[along], |sum, axis| sum + index[axis] as i64 * self.steps[axis][along])
        })
    }

    /// The values of `from`, a grid of `dims` voxels (i fastest), on this grid; `outside` where that does not reach.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`].
    pub(super) fn copied<T: Copy + Send + Sync>(
        &self,
        from: &[T],
        dims: [usize; 3],
        outside: T,
        watch: &Watch,
    ) -> Result<Vec<T>> {
        let [ni, nj, nk] = self.dims;
        let mut onto = memory::filled(ni * nj * nk, outside);
        onto.par_chunks_mut((ni * nj).max(1)).enumerate().try_for_each(|(k, slice)| {
            for (j, row) in slice.chunks_mut(ni).enumerate() {
                self.copy_row(from, dims, [j, k], row);
            }
            watch.check()
        })?;
        Ok(onto)
    }

    fn copy_row<T: Copy>(&self, from: &[T], dims: [usize; 3], [j, k]: [usize; 2], row: &mut [T]) {
        let (start, step) = (self.at([0, j, k]), self.steps[0]);
        let strides = [1, dims[0], dims[0] * dims[1]].map(|stride| stride as i64);
        let dims = dims.map(|length| length as i64);
        // The voxels of the row that lie in the other grid follow each other.
        let (mut low, mut high) = (0, row.len() as i64);
        for axis in 0..3 {
            let (at, last) = (start[axis], dims[axis] - 1);
            match step[axis] {
                0 if at < 0 || at > last => return,
                0 => {}
                1 => (low, high) = (low.max(-at), high.min(last - at + 1)),
                _ => (low, high) = (low.max(at - last), high.min(at + 1)),
            }
        }
        let place = |i: i64| (0..3).map(|axis| (start[axis] + i * step[axis]) * strides[axis]).sum::<i64>();
        for i in low..high {
            row[i as usize] = from[place(i) as usize];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Affine;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_voxel_is_the_one_in_its_place(
            order in Just([0_usize, 1, 2]).prop_shuffle(), flips in prop::array::uniform3(any::<bool>()),
            shift in prop::array::uniform3(-6_i32..6), dims in prop::array::uniform3(1_usize..7),
            size in 0.3_f64..3.0,
        ) {
            let other = Affine::from_sizes([size; 3], [-3.3, 7.1, 0.4]).unwrap();
            let (length, mut rows) = ([5, 4, 6], [[0.0; 4]; 4]);
            for axis in 0..3 {
                rows[order[axis]][axis] = if flips[axis] { -1.0 } else { 1.0 };
                rows[axis][3] = f64::from(shift[axis]) + 1e-9;
            }
            rows[3][3] = 1.0;
            let here = other.rows();
            let product = [0, 1, 2, 3].map(|r| [0, 1, 2, 3].map(|c| (0..4).map(|n| here[r][n] * rows[n][c]).sum()));
            let map = Affine::from_rows(product).unwrap().to_indices_of(&other);
            let from: Vec<usize> = (1..=length.iter().product()).collect();
            let aligned = Aligned::of(&map, dims).unwrap();
            let onto = aligned.copied(&from, length, 0, &Watch::default()).unwrap();
            for (at, value) in onto.iter().enumerate() {
                let index = [at % dims[0], at / dims[0] % dims[1], at / dims[0] / dims[1]].map(|i| i as f64);
                let there = map.apply(index).map(f64::round);
                let inside = (0..3).all(|axis| there[axis] >= 0.0 && there[axis] < length[axis] as f64);
                let [i, j, k] = there.map(|i| i as usize);
                prop_assert_eq!(*value, if inside { from[i + 5 * (j + 4 * k)] } else { 0 });
            }
        }
    }

    #[test]
    fn what_lies_between_voxels_is_not_aligned() {
        let grid = Affine::from_sizes([1.0; 3], [0.0; 3]).unwrap();
        let map = |affine: Affine| affine.to_indices_of(&grid);
        let turned = |angle: f64| {
            let (sin, cos) = angle.sin_cos();
            let rows =
                [[cos, -sin, 0.0, 0.0], [sin, cos, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
            map(Affine::from_rows(rows).unwrap())
        };
        assert!(Aligned::of(&turned(0.0), [200; 3]).is_some());
        // A turn that shows only at the far end.
        assert!(Aligned::of(&turned(1e-6), [4; 3]).is_some());
        assert!(Aligned::of(&turned(1e-6), [200; 3]).is_none());
        for (sizes, origin) in
            [([1.0, 1.0, 2.0], [0.0; 3]), ([1.0; 3], [0.0, 0.5, 0.0]), ([0.5; 3], [0.0; 3])]
        {
            assert!(Aligned::of(&map(Affine::from_sizes(sizes, origin).unwrap()), [9; 3]).is_none());
        }
    }
}
