//! Upper bounds on the memory that work allocates at once, from the sizes of its grids alone: what a limit is compared with
//! before the work. `tests/memory.rs` measures that they hold.

use crate::Grid;

/// Bytes of a voxel, of a mask's voxel, and of a place in a list of voxels.
const VOXEL: u64 = 4;
const CELL: u64 = 1;
const PLACE: u64 = 8;

/// The template with what is made of it, and lists whose lengths no scan decides.
pub(crate) const FIXED: u64 = 40 << 20;

/// Voxels of a grid.
pub(crate) fn voxels(grid: &Grid) -> u64 {
    grid.dims.iter().map(|&length| length as u64).product()
}

/// The same with a layer on each side, as masks are looked at.
fn with_layer(grid: &Grid) -> u64 {
    grid.dims.iter().map(|&length| length as u64 + 2).product()
}

/// A mask with its holes filled: the mask, the part around it, what is open, the result, and all places that a flood reaches.
pub(crate) fn filled_mask(grid: &Grid) -> u64 {
    (4 * CELL + PLACE) * with_layer(grid)
}

/// The largest part of a mask, and that with its holes filled.
pub(crate) fn largest_part(grid: &Grid) -> u64 {
    2 * CELL * voxels(grid) + filled_mask(grid)
}

/// A mask on another grid, by the distances from its surface, for which there may be two transforms at once.
pub(crate) fn mask_onto(from: &Grid, onto: &Grid) -> u64 {
    (CELL + 3 * VOXEL) * with_layer(from) + CELL * voxels(onto)
}

/// A brain on another grid: the part that holds it, with its mask, what is known of its rim, and a layer of that; or a copy.
pub(crate) fn brain_onto(from: &Grid, onto: &Grid) -> u64 {
    (VOXEL + 2 * CELL + 2 * PLACE) * with_layer(from) + (VOXEL + CELL) * voxels(onto)
}

/// A scan placed on the template, on voxels of `size` millimetres: images, shares of the mask, and what the stages of a search
/// see; the reduced grids may have `margin` voxels around.
pub(crate) fn placed(grid: &Grid, size: f64, margin: u64) -> u64 {
    let sizes = grid.affine.voxel_sizes();
    let reduced = [0, 1, 2].map(|axis| {
        let blocks = ((size / sizes[axis]).round().max(1.0) as u64).min(grid.dims[axis] as u64);
        grid.dims[axis] as u64 / blocks + margin
    });
    CELL * voxels(grid) + 8 * VOXEL * reduced.iter().product::<u64>()
}
