//! The surface of a mask, as distances from it that can be interpolated on another grid.

use ndarray::Array3;
use rayon::prelude::*;

use super::around::{Around, Cells};
use super::brain;
use super::distance::distance_to;
use super::resample::{linear_at, snap};
use crate::{Grid, Result, Watch, memory};

/// The distance that stands for "too far from the surface to matter", in millimetres.
const FAR: f32 = 1e3;
/// Places that are searched around a voxel for the other side. Voxels so much longer than wide that it takes more are looked
/// at by a distance transform of all.
const MOST_PLACES: usize = 4096;

/// The surface of a mask, as distances from it in the box around the mask.
///
/// Linear interpolation between the corners of a cell changes its sign only where these lie on both sides; so the distances
/// need to be exact only there, which are voxels that touch the other side.
pub(super) struct Surface {
    /// Millimetres to the surface, positive inside, i fastest.
    depth: Vec<f32>,
    /// The box: its first voxel and its size, both in voxels of the mask's grid.
    pub(super) first: [usize; 3],
    pub(super) dims: [usize; 3],
}

impl Surface {
    /// None if the mask is empty.
    pub(super) fn of(mask: &Array3<bool>, grid: &Grid, watch: &Watch) -> Result<Option<Self>> {
        let Some((low, high)) = brain::bounding_box(mask) else { return Ok(None) };
        // One voxel more on each side, to have the outside there too.
        let first = low.map(|index| index.saturating_sub(1));
        let dims = [0, 1, 2].map(|axis| (high[axis] + 2).min(grid.dims[axis]) - first[axis]);
        let [ni, nj, nk] = dims;
        let part = ndarray::s![first[0]..first[0] + ni, first[1]..first[1] + nj, first[2]..first[2] + nk];
        // The transposed view's logical order is i fastest.
        let cells = memory::gathered(mask.slice(part).t().iter().copied());
        let sizes = grid.affine.voxel_sizes().map(|size| size as f32);
        watch.check()?;
        let depth = match places(dims, sizes) {
            Some(places) => near(Cells { cells: &cells, dims }, &places, watch)?,
            None => everywhere(Cells { cells: &cells, dims }, sizes, watch)?,
        };
        Ok(Some(Self { depth, first, dims }))
    }

    /// True if a fractional index of the mask's grid lies inside.
    pub(super) fn holds(&self, position: [f64; 3]) -> bool {
        let in_box = [0, 1, 2].map(|axis| snap(position[axis]) - self.first[axis] as f64);
        linear_at(&self.depth, self.dims, in_box).is_some_and(|depth| depth >= 0.0)
    }
}

/// A place relative to a voxel, and how far it is in square millimetres.
struct Place {
    offset: [isize; 3],
    squared: f32,
}

/// All places that are as near to a voxel as the farthest of its 26 neighbours, the nearest first; none if there are too many.
fn places(dims: [usize; 3], sizes: [f32; 3]) -> Option<Vec<Place>> {
    let squared = |[i, j, k]: [isize; 3]| {
        let [i, j, k] = [(i, sizes[0]), (j, sizes[1]), (k, sizes[2])].map(|(steps, size)| {
            let away = steps.unsigned_abs() as f32 * size;
            away * away
        });
        // In the order of a distance transform's sums.
        j + (i + k)
    };
    let farthest = squared([1; 3]);
    let reach = [0, 1, 2].map(|axis| ((farthest.sqrt() / sizes[axis]) as usize).min(dims[axis]));
    let box_of = reach.iter().try_fold(1_usize, |product, reach| product.checked_mul(2 * reach + 1));
    box_of.filter(|places| *places <= MOST_PLACES)?;
    let along = |axis: usize| -(reach[axis] as isize)..=reach[axis] as isize;
    let offsets = along(2).flat_map(|k| along(1).flat_map(move |j| along(0).map(move |i| [i, j, k])));
    let mut places: Vec<Place> = offsets.map(|offset| Place { offset, squared: squared(offset) }).collect();
    places.retain(|place| place.squared > 0.0 && place.squared <= farthest);
    places.sort_by(|a, b| a.squared.total_cmp(&b.squared));
    Some(places)
}

/// Signed distances, exact for voxels that touch the other side.
fn near(mask: Cells<'_>, places: &[Place], watch: &Watch) -> Result<Vec<f32>> {
    let [ni, nj, _] = mask.dims;
    let signed = |distance: f32, inside: bool| if inside { distance } else { -distance };
    let mut depth = memory::gathered(mask.cells.iter().map(|inside| signed(FAR, *inside)));
    let slices = depth.par_chunks_mut(ni * nj).enumerate();
    slices.try_for_each_init(Around::default, |around, (k, slice)| {
        for (j, row) in slice.chunks_mut(ni).enumerate() {
            if !around.look(mask, j, k) {
                continue;
            }
            for (i, depth) in row.iter_mut().enumerate().filter(|(i, _)| around.any[*i] != around.all[*i]) {
                let inside = mask.cells[(k * nj + j) * ni + i];
                *depth = signed(to_other_side(mask, [i, j, k], inside, places), inside);
            }
        }
        watch.check()
    })?;
    Ok(depth)
}

/// From a voxel to the nearest one that is not `inside` as it is.
fn to_other_side(mask: Cells<'_>, index: [usize; 3], inside: bool, places: &[Place]) -> f32 {
    let [ni, nj, nk] = mask.dims;
    let differs = |place: &&Place| {
        let [i, j, k] = [0, 1, 2].map(|axis| index[axis].wrapping_add_signed(place.offset[axis]));
        // What would be below 0 has become large.
        i < ni && j < nj && k < nk && mask.cells[(k * nj + j) * ni + i] != inside
    };
    places.iter().find(differs).map_or(FAR, |place| place.squared.sqrt())
}

/// Signed distances, all exact.
fn everywhere(mask: Cells<'_>, sizes: [f32; 3], watch: &Watch) -> Result<Vec<f32>> {
    let mut depth = distance_to(mask.dims, sizes, |at| !mask.cells[at]);
    watch.check()?;
    let to_mask = distance_to(mask.dims, sizes, |at| mask.cells[at]);
    // Each is measured to the other side's voxel centres, so the surface lies half way between them.
    depth.par_iter_mut().zip(&to_mask).for_each(|(depth, to_mask)| *depth -= to_mask);
    watch.check()?;
    Ok(depth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn distances_at_the_surface_are_those_of_a_transform_of_all(
            dims in prop::array::uniform3(1_usize..9),
            sizes in prop::array::uniform3(0.4_f32..5.0),
            seed in any::<u64>(), share in 1_u64..8,
        ) {
            let mut state = seed | 1;
            let mut drawn = || {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % 8 < share
            };
            let cells: Vec<bool> = (0..dims.iter().product()).map(|_: usize| drawn()).collect();
            let mask = Cells { cells: &cells, dims };
            let watch = Watch::default();
            let near = near(mask, &places(dims, sizes).unwrap(), &watch).unwrap();
            let all = everywhere(mask, sizes, &watch).unwrap();
            for (at, (near, all)) in near.iter().zip(&all).enumerate() {
                prop_assert_eq!(*near > 0.0, cells[at]);
                prop_assert_eq!(*all > 0.0, cells[at]);
                prop_assert!(near.abs() == FAR || (near - all).abs() <= 1e-6 * all.abs(), "{} {}", near, all);
            }
        }
    }

    #[test]
    fn voxels_that_are_very_long_are_looked_at_by_a_transform() {
        assert!(places([300, 300, 20], [0.1, 0.1, 10.0]).is_none());
        assert!(places([300, 300, 20], [0.5, 0.5, 6.0]).is_some());
        assert!(places([300, 300, 20], [1e-12, 1.0, 6.0]).is_none());
    }
}
