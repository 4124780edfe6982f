//! A volume on another grid: one cubic interpolation, smoothed first where the other grid is coarser.
//!
//! Interpolation is by Keys' cubic convolution with a = -1/2 (Keys 1981, "Cubic convolution interpolation for digital
//! image processing", equation 15), also known as Catmull-Rom. Where a voxel of the new grid falls on one of the old, its
//! value is copied exactly; values never leave the range of the volume. Where a new voxel spans several old ones, the old
//! volume is first smoothed by a Gaussian whose full width at half maximum, added in squares to the old voxel, gives the
//! new one.

use std::borrow::Cow;
use std::ops::Range;

use ndarray::{Array3, ShapeBuilder, s};
use rayon::prelude::*;

use super::aligned::Aligned;
use super::around::{Around, Cells};
use super::brain;
pub use super::smooth::smooth_by;
use super::surface::Surface;
use crate::memory::{self, in_memory_order};
use crate::volume::IndexMap;
use crate::{Error, Grid, Result, Volume, Watch};

/// A full width at half maximum is this many standard deviations of a Gaussian.
const FWHM_IN_SIGMAS: f64 = 2.354_820_045;
/// Indices this near to a voxel are that voxel: what is left of an affine's rounding.
const SNAP: f64 = 1e-5;
/// Layers of voxels around the brain that take the brain's values before an interpolation, so that the zeros outside
/// leave no dark rim.
const RIM: usize = 3;

/// `volume` on `grid` where `brain_there` holds, as if what lies beyond `brain` were like the brain's rim; 0 elsewhere and
/// out of view. `brain` lies on the grid of `volume`, `brain_there` on `grid`.
///
/// # Errors
/// [`crate::Error::OutOfMemory`] if the memory cannot be had, [`crate::Error::Cancelled`].
pub fn brain_onto(
    volume: &Volume,
    brain: &Array3<bool>,
    grid: &Grid,
    brain_there: &Array3<bool>,
    watch: &Watch,
) -> Result<Volume> {
    if let Some(copy) = copied_brain(volume, brain, grid, brain_there, watch)? {
        return Ok(copy);
    }
    let Some((mut source, mask)) = cropped(volume, brain)? else { return Volume::zeros(grid) };
    let map = grid.affine.to_indices_of(source.affine());
    watch.check()?;
    spread_rim(&mut source, &mask);
    watch.check()?;
    smooth_for(&mut source, &map);
    let there = brain_there.as_slice_memory_order().unwrap_or(&[]);
    cubic_onto(&source, &map, grid, |at| there.get(at).is_some_and(|inside| *inside), watch)
}

/// [`brain_onto`] where it only copies: the voxels of the grid are those of the volume, and what is wanted lies in the brain.
fn copied_brain(
    volume: &Volume,
    brain: &Array3<bool>,
    grid: &Grid,
    brain_there: &Array3<bool>,
    watch: &Watch,
) -> Result<Option<Volume>> {
    let map = grid.affine.to_indices_of(volume.affine());
    let Some(aligned) = Aligned::of(&map, grid.dims) else { return Ok(None) };
    let is_brain = aligned.copied(&in_order(brain), volume.dims(), false, watch)?;
    let wanted = in_order(brain_there);
    if wanted.iter().zip(&is_brain).any(|(wanted, is_brain)| *wanted && !is_brain) {
        return Ok(None);
    }
    let mut values = aligned.copied(volume.as_slice(), volume.dims(), 0.0, watch)?;
    for (value, wanted) in values.iter_mut().zip(wanted.iter()) {
        // Adding 0 makes a 0 of -0, as a sum does.
        *value = if *wanted { *value + 0.0 } else { 0.0 };
    }
    as_volume(values, grid).map(Some)
}

/// A mask's values, i fastest.
fn in_order(mask: &Array3<bool>) -> Cow<'_, [bool]> {
    // The transposed view's logical order is i fastest.
    match mask.t().to_slice() {
        Some(values) => Cow::Borrowed(values),
        None => Cow::Owned(memory::gathered(mask.t().iter().copied())),
    }
}

fn as_volume(values: Vec<f32>, grid: &Grid) -> Result<Volume> {
    Volume::new(as_array(values, grid)?, grid.affine)
}

fn as_array<T>(values: Vec<T>, grid: &Grid) -> Result<Array3<T>> {
    let [ni, nj, nk] = grid.dims;
    Array3::from_shape_vec((ni, nj, nk).f(), values).map_err(|fault| Error::Internal(fault.to_string()))
}

/// The part of a volume that holds its brain and the rim around it, and the brain there; none if there is no brain.
fn cropped(volume: &Volume, brain: &Array3<bool>) -> Result<Option<(Volume, Array3<bool>)>> {
    let Some((low, high)) = brain::bounding_box(brain) else { return Ok(None) };
    let dims = volume.dims();
    let first = low.map(|index| index.saturating_sub(RIM + 1));
    let end = [0, 1, 2].map(|axis| (high[axis] + RIM + 2).min(dims[axis]));
    let size = [0, 1, 2].map(|axis| end[axis] - first[axis]);
    let part = s![first[0]..end[0], first[1]..end[1], first[2]..end[2]];
    let affine = volume.affine().cropped_at(first.map(|index| index as f64));
    let mut source = Volume::zeros(&Grid { dims: size, affine })?;
    source.voxels_mut().assign(&volume.voxels().slice(part));
    let mut mask = in_memory_order((size[0], size[1], size[2]), false);
    mask.assign(&brain.slice(part));
    Ok(Some((source, mask)))
}

/// `volume` on `grid`, all of it; 0 out of view.
///
/// # Errors
/// [`crate::Error::OutOfMemory`] if the memory cannot be had, [`crate::Error::Cancelled`].
pub fn volume_onto(volume: &Volume, grid: &Grid, watch: &Watch) -> Result<Volume> {
    let map = grid.affine.to_indices_of(volume.affine());
    if let Some(aligned) = Aligned::of(&map, grid.dims) {
        let mut values = aligned.copied(volume.as_slice(), volume.dims(), 0.0, watch)?;
        values.iter_mut().for_each(|value| *value += 0.0);
        return as_volume(values, grid);
    }
    let mut source = volume.copy();
    smooth_for(&mut source, &map);
    watch.check()?;
    cubic_onto(&source, &map, grid, |_| true, watch)
}

/// The whole of `volume` on `grid`: linearly interpolated, smoothed first where the grid is coarser; 0 out of view.
///
/// # Errors
/// [`crate::Error::OutOfMemory`] if the memory cannot be had.
pub fn linear_onto(volume: &Volume, grid: &Grid) -> Result<Volume> {
    let map = grid.affine.to_indices_of(volume.affine());
    let mut source = volume.copy();
    smooth_for(&mut source, &map);
    let mut onto = Volume::zeros(grid)?;
    let (values, dims) = (source.as_slice(), source.dims());
    let [ni, nj, _] = grid.dims;
    onto.as_mut_slice().par_chunks_mut(ni * nj).enumerate().for_each(|(k, slice)| {
        for (j, row) in slice.chunks_mut(ni).enumerate() {
            for i in in_reach(&map, [j, k], ni, dims, [0; 3]) {
                let position = map.apply([i, j, k].map(|at| at as f64));
                row[i] = linear_at(values, dims, position).unwrap_or(0.0);
            }
        }
    });
    Ok(onto)
}

/// The linear interpolation of `values` (i fastest) at a fractional index; none out of view (over half a voxel beyond the
/// outermost centres).
pub(crate) fn linear_at(values: &[f32], dims: [usize; 3], position: [f64; 3]) -> Option<f32> {
    let mut base = [0; 3];
    let mut next = [0; 3];
    let mut part = [0.0_f32; 3];
    for axis in 0..3 {
        let last = dims[axis] - 1;
        if !(position[axis] >= -0.5 && position[axis] <= last as f64 + 0.5) {
            return None;
        }
        let inside = position[axis].clamp(0.0, last as f64);
        base[axis] = (inside as usize).min(last);
        next[axis] = (base[axis] + 1).min(last);
        part[axis] = (inside - base[axis] as f64) as f32;
    }
    let mix = |a: f32, b: f32, part: f32| a + (b - a) * part;
    let line = |j: usize, k: usize| {
        let row = (k * dims[1] + j) * dims[0];
        mix(values[row + base[0]], values[row + next[0]], part[0])
    };
    let plane = |k: usize| mix(line(base[1], k), line(next[1], k), part[1]);
    Some(mix(plane(base[2]), plane(next[2]), part[2]))
}

/// `mask` on `grid`: true where the distance to its surface, interpolated linearly, is inside.
///
/// Interpolating distances and not the mask itself (shape-based interpolation: Raya and Udupa 1990, IEEE Transactions on
/// Medical Imaging 9) keeps the surface free of steps where voxels are thick. Out of view, what is nearest counts up to
/// half a voxel.
///
/// # Errors
/// [`crate::Error::OutOfMemory`] if the memory cannot be had, [`crate::Error::Cancelled`].
pub fn mask_onto(mask: &Array3<bool>, from: &Grid, grid: &Grid, watch: &Watch) -> Result<Array3<bool>> {
    if from == grid {
        return Ok(memory::mapped(mask.view(), |inside| *inside));
    }
    let map = grid.affine.to_indices_of(&from.affine);
    if let Some(aligned) = Aligned::of(&map, grid.dims) {
        return as_array(aligned.copied(&in_order(mask), from.dims, false, watch)?, grid);
    }
    let mut onto = in_memory_order((grid.dims[0], grid.dims[1], grid.dims[2]), false);
    let Some(surface) = Surface::of(mask, from, watch)? else { return Ok(onto) };
    let [ni, nj, _] = grid.dims;
    let slices = onto.as_slice_memory_order_mut().unwrap_or(&mut []).par_chunks_mut(ni * nj);
    slices.enumerate().try_for_each(|(k, slice)| {
        for (j, row) in slice.chunks_mut(ni).enumerate() {
            for i in in_reach(&map, [j, k], ni, surface.dims, surface.first) {
                row[i] = surface.holds(map.apply([i, j, k].map(|at| at as f64)));
            }
        }
        watch.check()
    })?;
    Ok(onto)
}

/// The voxels of the row at `j`, `k`, `ni` long, that `map` brings to within a voxel of the box of `dims` voxels that begins
/// at `first`. No voxel beyond them is in the box's view.
pub(super) fn in_reach(
    map: &IndexMap,
    [j, k]: [usize; 2],
    ni: usize,
    dims: [usize; 3],
    first: [usize; 3],
) -> Range<usize> {
    let (start, step) = (map.apply([0.0, j as f64, k as f64]), map.step(0));
    let (mut low, mut high) = (0.0, ni as f64);
    for axis in 0..3 {
        let [from, to] = [first[axis] as f64 - 1.0, (first[axis] + dims[axis]) as f64];
        if step[axis].abs() < 1e-9 {
            if start[axis] < from - 0.5 || start[axis] > to + 0.5 {
                return 0..0;
            }
            continue;
        }
        let [a, b] = [from, to].map(|end| (end - start[axis]) / step[axis]);
        (low, high) = (f64::max(low, a.min(b)), f64::min(high, a.max(b) + 1.0));
    }
    // A cast takes what is below 0 to 0.
    let (low, high) = (low.floor() as usize, (high.ceil() as usize).min(ni));
    low.min(high)..high
}

/// An index, or the voxel that it means.
pub(super) fn snap(position: f64) -> f64 {
    // Not `round`, which is a call of a function: it matters only where the index is next to a whole one.
    let nearest = floor(position + 0.5);
    if (position - nearest).abs() < SNAP { nearest } else { position }
}

/// The largest whole number that is not larger; for indices, so within 63 bits. Unlike `f64::floor` no call of a function.
fn floor(position: f64) -> f64 {
    let towards_zero = position as i64 as f64;
    if towards_zero > position { towards_zero - 1.0 } else { towards_zero }
}

/// Gives the voxels around `brain`, layer by layer, the mean of their neighbours (26) that have a value.
fn spread_rim(volume: &mut Volume, brain: &Array3<bool>) {
    let mut known = memory::copied(&in_order(brain));
    volume.change_by_mask(brain, |value, inside| if inside { value } else { 0.0 });
    let dims = volume.dims();
    for _ in 0..RIM {
        let layer = outer_layer(Cells { cells: &known, dims }, volume.as_slice());
        let voxels = volume.as_mut_slice();
        for (at, value) in layer.into_iter().flatten() {
            voxels[at as usize] = value;
            known[at as usize] = true;
        }
    }
}

/// The unknown voxels of each slice that touch a known one, each with the mean of the known ones that it touches.
fn outer_layer(known: Cells<'_>, voxels: &[f32]) -> Vec<Vec<(u32, f32)>> {
    let [ni, nj, nk] = known.dims;
    let slice = |k: usize| {
        let (mut layer, mut around) = (Vec::new(), Around::default());
        for j in 0..nj {
            if !around.look(known, j, k) {
                continue;
            }
            let row = (k * nj + j) * ni;
            for i in (0..ni).filter(|i| around.any[*i] && !known.cells[row + i]) {
                // No volume has more voxels than can be counted so.
                memory::push(&mut layer, ((row + i) as u32, mean_of_known(known, voxels, [i, j, k])));
            }
        }
        layer.shrink_to_fit();
        layer
    };
    (0..nk).into_par_iter().map(slice).collect()
}

/// The mean of the known voxels that touch one.
fn mean_of_known(known: Cells<'_>, voxels: &[f32], [i, j, k]: [usize; 3]) -> f32 {
    let [ni, nj, nk] = known.dims;
    let (mut sum, mut count) = (0.0_f32, 0_u8);
    for kk in k.saturating_sub(1)..(k + 2).min(nk) {
        for jj in j.saturating_sub(1)..(j + 2).min(nj) {
            for ii in i.saturating_sub(1)..(i + 2).min(ni) {
                let at = (kk * nj + jj) * ni + ii;
                if known.cells[at] {
                    sum += voxels[at];
                    count += 1;
                }
            }
        }
    }
    sum / f32::from(count)
}

/// Smooths `volume` along each axis as far as one step of the new grid is longer there than one voxel.
fn smooth_for(volume: &mut Volume, map: &IndexMap) {
    let steps = [0, 1, 2].map(|axis| map.step(axis));
    let sigma = |axis: usize| {
        let extent_squared: f64 = steps.iter().map(|step| step[axis] * step[axis]).sum();
        (extent_squared - 1.0).max(0.0).sqrt() / FWHM_IN_SIGMAS
    };
    smooth_by(volume, [sigma(0), sigma(1), sigma(2)]);
}

/// Cubic interpolation at the voxels of `grid` that are wanted; 0 elsewhere and out of view, and never outside the
/// volume's own range.
fn cubic_onto(
    source: &Volume,
    map: &IndexMap,
    grid: &Grid,
    wanted: impl Fn(usize) -> bool + Sync,
    watch: &Watch,
) -> Result<Volume> {
    let mut onto = Volume::zeros(grid)?;
    let values = source.as_slice();
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let dims = source.dims();
    let [ni, nj, _] = grid.dims;
    onto.as_mut_slice().par_chunks_mut(ni * nj).enumerate().try_for_each(|(k, slice)| {
        for (j, row) in slice.chunks_mut(ni).enumerate() {
            let first = (k * nj + j) * ni;
            for i in in_reach(map, [j, k], ni, dims, [0; 3]).filter(|i| wanted(first + i)) {
                let position = map.apply([i, j, k].map(|at| at as f64));
                if let Some(value) = cubic_at(values, dims, position) {
                    row[i] = value.clamp(low, high);
                }
            }
        }
        watch.check()
    })?;
    Ok(onto)
}

/// The cubic interpolation at a fractional index; none out of view (over half a voxel beyond the outermost centres).
fn cubic_at(values: &[f32], dims: [usize; 3], position: [f64; 3]) -> Option<f32> {
    let [along_i, along_j, along_k] =
        [taps(position[0], dims[0])?, taps(position[1], dims[1])?, taps(position[2], dims[2])?];
    if let Some(start) = along_i.start_of_four().filter(|_| along_j.used == 4 && along_k.used == 4) {
        return Some(cubic_sum(values, dims, start, [&along_i, &along_j, &along_k]));
    }
    let mut sum = 0.0;
    for (k, weight_k) in along_k.iter() {
        for (j, weight_j) in along_j.iter() {
            let row = (k * dims[1] + j) * dims[0];
            let weight = weight_k * weight_j;
            for (i, weight_i) in along_i.iter() {
                sum += weight * weight_i * values[row + i];
            }
        }
    }
    Some(sum)
}

/// The weighted sum over 64 voxels, whose rows begin at `start` along i: four voxels at once, for the processor to take together.
fn cubic_sum(values: &[f32], dims: [usize; 3], start: usize, [along_i, along_j, along_k]: [&Taps; 3]) -> f32 {
    let mut sums = [0.0_f32; 4];
    for (k, weight_k) in along_k.indices.into_iter().zip(along_k.weights) {
        for (j, weight_j) in along_j.indices.into_iter().zip(along_j.weights) {
            let first = (k * dims[1] + j) * dims[0] + start;
            let weight = weight_k * weight_j;
            sums.iter_mut().zip(&values[first..first + 4]).for_each(|(sum, value)| *sum += weight * value);
        }
    }
    let [a, b, c, d] = [0, 1, 2, 3].map(|n| sums[n] * along_i.weights[n]);
    (a + b) + (c + d)
}

/// Voxels along one axis and their weights; indices beyond the ends are the end voxel.
struct Taps {
    indices: [usize; 4],
    weights: [f32; 4],
    used: usize,
}

impl Taps {
    /// The first of four voxels that follow each other; none where they do not.
    fn start_of_four(&self) -> Option<usize> {
        (self.used == 4 && self.indices[3] == self.indices[0] + 3).then_some(self.indices[0])
    }

    fn iter(&self) -> impl Iterator<Item = (usize, f32)> + '_ {
        self.indices[..self.used].iter().copied().zip(self.weights[..self.used].iter().copied())
    }
}

fn taps(position: f64, length: usize) -> Option<Taps> {
    let position = snap(position);
    let last = length as f64 - 1.0;
    if !(position >= -0.5 && position <= last + 0.5) {
        return None;
    }
    let base = floor(position);
    let part = position - base;
    let at = |offset: i64| (base as i64 + offset).clamp(0, length as i64 - 1) as usize;
    if part == 0.0 {
        return Some(Taps { indices: [at(0); 4], weights: [1.0, 0.0, 0.0, 0.0], used: 1 });
    }
    let (t, t2, t3) = (part, part * part, part * part * part);
    let weights = [
        -0.5 * t3 + t2 - 0.5 * t,
        1.5 * t3 - 2.5 * t2 + 1.0,
        -1.5 * t3 + 2.0 * t2 + 0.5 * t,
        0.5 * t3 - 0.5 * t2,
    ];
    Some(Taps { indices: [at(-1), at(0), at(1), at(2)], weights: weights.map(|w| w as f32), used: 4 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Affine;
    use proptest::prelude::*;

    /// A quadratic, which cubic convolution reproduces exactly away from the faces (Keys 1981, section III).
    fn quadratic(position: [f64; 3]) -> f64 {
        let [x, y, z] = position;
        0.01 * x * x - 0.02 * y * y + 0.015 * z * z + 0.01 * x * y + 0.3 * x - 0.2 * z + 5.0
    }

    fn sampled(dims: [usize; 3], affine: Affine) -> Volume {
        let value = |(i, j, k)| quadratic(affine.to_millimetres([i as f64, j as f64, k as f64])) as f32;
        Volume::new(Array3::from_shape_fn((dims[0], dims[1], dims[2]), value), affine).unwrap()
    }

    fn everywhere(volume: &Volume) -> Array3<bool> {
        let [i, j, k] = volume.dims();
        in_memory_order((i, j, k), true)
    }

    #[test]
    fn the_same_grid_is_copied_exactly() {
        let affine = Affine::from_sizes([0.7, 0.9, 3.0], [-10.3, 4.1, 7.7]).unwrap();
        let volume = sampled([9, 8, 7], affine);
        let again = brain_onto(
            &volume,
            &everywhere(&volume),
            &volume.grid(),
            &everywhere(&volume),
            &Watch::default(),
        )
        .unwrap();
        assert_eq!(again, volume);
    }

    #[test]
    fn slopes_stay_slopes_on_a_coarser_turned_grid_and_nothing_is_seen_beyond() {
        let affine = Affine::from_rows([
            [0.0, 0.0, 3.0, -30.0],
            [0.9, 0.0, 0.0, -20.0],
            [0.0, -0.9, 0.0, 25.0],
            [0.0, 0.0, 0.0, 1.0],
        ]);
        let affine = affine.unwrap();
        let slope = |[x, y, z]: [f64; 3]| (0.5 * x - 0.3 * y + 0.2 * z + 40.0) as f32;
        let voxels = Array3::from_shape_fn((50, 60, 20), |(i, j, k)| {
            slope(affine.to_millimetres([i as f64, j as f64, k as f64]))
        });
        let volume = Volume::new(voxels, affine).unwrap();
        let grid = Grid { dims: [40, 40, 40], affine: Affine::from_sizes([2.0; 3], [-40.0; 3]).unwrap() };
        let onto = linear_onto(&volume, &grid).unwrap();
        for index in [[8, 15, 12], [20, 20, 20], [30, 22, 25]] {
            let expected = slope(grid.affine.to_millimetres(index.map(|i| i as f64)));
            assert!((onto.voxels()[index] - expected).abs() < 1e-3);
        }
        assert_eq!(onto.voxels()[[1, 20, 20]], 0.0);
    }

    #[test]
    fn the_rim_takes_the_brains_values() {
        let mut voxels = Array3::zeros((11, 11, 11));
        voxels.slice_mut(ndarray::s![4..7, 4..7, 4..7]).fill(2.0);
        let mut volume = Volume::new(voxels, Affine::from_sizes([1.0; 3], [0.0; 3]).unwrap()).unwrap();
        let brain = volume.voxels().mapv(|v| v > 0.0);
        spread_rim(&mut volume, &brain);
        assert_eq!(volume.voxels()[[1, 1, 1]], 2.0);
        assert_eq!(volume.voxels()[[0, 5, 5]], 0.0);
    }

    #[test]
    fn masks_keep_their_edge_where_grids_differ() {
        let from = Grid { dims: [10, 10, 10], affine: Affine::from_sizes([2.0; 3], [0.0; 3]).unwrap() };
        let mut mask = in_memory_order((10, 10, 10), false);
        mask.slice_mut(ndarray::s![..5, .., ..]).fill(true);
        let grid = Grid { dims: [19, 4, 4], affine: Affine::from_sizes([1.0; 3], [0.0, 3.0, 3.0]).unwrap() };
        let onto = mask_onto(&mask, &from, &grid, &Watch::default()).unwrap();
        // Voxel 4 lies at 8 mm, voxel 5 at 10 mm: the edge is at 9 mm, which is shared equally.
        assert!(onto[[9, 1, 1]] && !onto[[10, 1, 1]]);
    }

    proptest! {
        #[test]
        fn quadratics_are_interpolated_exactly(
            sizes in prop::array::uniform3(1.0_f64..1.6), angle in -0.5_f64..0.5, shift in prop::array::uniform3(-1.0_f64..1.0),
        ) {
            let (sin, cos) = angle.sin_cos();
            let affine = Affine::from_rows([
                [sizes[0] * cos, -sizes[1] * sin, 0.0, shift[0]], [sizes[0] * sin, sizes[1] * cos, 0.0, shift[1]],
                [0.0, 0.0, sizes[2], shift[2]], [0.0, 0.0, 0.0, 1.0],
            ]).unwrap();
            let volume = sampled([24, 24, 24], affine);
            let centre = affine.to_millimetres([11.5; 3]);
            let origin = [0, 1, 2].map(|axis| centre[axis] - 2.0);
            let grid = Grid { dims: [5, 5, 5], affine: Affine::from_sizes([1.0; 3], origin).unwrap() };
            let there = in_memory_order((5, 5, 5), true);
            let onto = brain_onto(&volume, &everywhere(&volume), &grid, &there, &Watch::default()).unwrap();
            for ((i, j, k), value) in onto.voxels().indexed_iter() {
                let expected = quadratic(grid.affine.to_millimetres([i as f64, j as f64, k as f64]));
                prop_assert!((f64::from(*value) - expected).abs() < 1e-4, "{value} {expected}");
            }
        }
    }
}
