//! A volume on another grid: one cubic interpolation, smoothed first where the other grid is coarser.
//!
//! Interpolation is by Keys' cubic convolution with a = -1/2 (Keys 1981, "Cubic convolution interpolation for digital
//! image processing", equation 15), also known as Catmull-Rom. Where a voxel of the new grid falls on one of the old, its
//! value is copied exactly; values never leave the range of the volume. Where a new voxel spans several old ones, the old
//! volume is first smoothed by a Gaussian whose full width at half maximum, added in squares to the old voxel, gives the
//! new one.

use ndarray::{Array3, Axis, s};
use rayon::prelude::*;

use super::brain;
use super::distance::distance_to;
use crate::volume::{IndexMap, in_memory_order};
use crate::{Grid, Result, Volume, Watch};

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
    let Some((mut source, mask)) = cropped(volume, brain)? else { return Volume::zeros(grid) };
    let map = grid.affine.to_indices_of(source.affine());
    watch.check()?;
    spread_rim(&mut source, &mask);
    watch.check()?;
    smooth_for(&mut source, &map);
    let there = brain_there.as_slice_memory_order().unwrap_or(&[]);
    cubic_onto(&source, &map, grid, |at| there.get(at).is_some_and(|inside| *inside), watch)
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
    let mut source = volume.clone();
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
    let mut source = volume.clone();
    smooth_for(&mut source, &map);
    let mut onto = Volume::zeros(grid)?;
    let (values, dims) = (source.as_slice(), source.dims());
    let [ni, nj, _] = grid.dims;
    onto.as_mut_slice().par_chunks_mut(ni * nj).enumerate().for_each(|(k, slice)| {
        for (n, voxel) in slice.iter_mut().enumerate() {
            let position = map.apply([(n % ni) as f64, (n / ni) as f64, k as f64]);
            *voxel = linear_at(values, dims, position).unwrap_or(0.0);
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
        return Ok(mask.clone());
    }
    let mut onto = in_memory_order((grid.dims[0], grid.dims[1], grid.dims[2]), false);
    let Some(surface) = Surface::of(mask, from, watch)? else { return Ok(onto) };
    let map = grid.affine.to_indices_of(&from.affine);
    let [ni, nj, _] = grid.dims;
    let slices = onto.as_slice_memory_order_mut().unwrap_or(&mut []).par_chunks_mut(ni * nj);
    slices.enumerate().try_for_each(|(k, slice)| {
        for (n, voxel) in slice.iter_mut().enumerate() {
            let index = [n % ni, n / ni, k].map(|index| index as f64);
            *voxel = surface.holds(map.apply(index));
        }
        watch.check()
    })?;
    Ok(onto)
}

/// The surface of a mask, as distances from it in the box around the mask.
struct Surface {
    /// Millimetres to the surface, positive inside, i fastest.
    depth: Vec<f32>,
    /// The box: its first voxel and its size, both in voxels of the mask's grid.
    first: [usize; 3],
    dims: [usize; 3],
}

impl Surface {
    /// None if the mask is empty.
    fn of(mask: &Array3<bool>, grid: &Grid, watch: &Watch) -> Result<Option<Self>> {
        let Some((low, high)) = brain::bounding_box(mask) else { return Ok(None) };
        // One voxel more on each side, to have the outside there too.
        let first = low.map(|index| index.saturating_sub(1));
        let dims = [0, 1, 2].map(|axis| (high[axis] + 2).min(grid.dims[axis]) - first[axis]);
        let inside = |at: usize| {
            let (i, j, k) = (at % dims[0], at / dims[0] % dims[1], at / dims[0] / dims[1]);
            mask[[first[0] + i, first[1] + j, first[2] + k]]
        };
        let sizes = grid.affine.voxel_sizes().map(|size| size as f32);
        watch.check()?;
        let mut depth = distance_to(dims, sizes, |at| !inside(at));
        watch.check()?;
        let to_mask = distance_to(dims, sizes, inside);
        watch.check()?;
        // Each is measured to the other side's voxel centres, so the surface lies half way between them.
        depth.par_iter_mut().zip(&to_mask).for_each(|(depth, to_mask)| *depth -= to_mask);
        Ok(Some(Self { depth, first, dims }))
    }

    /// True if a fractional index of the mask's grid lies inside.
    fn holds(&self, position: [f64; 3]) -> bool {
        let in_box = [0, 1, 2].map(|axis| snap(position[axis]) - self.first[axis] as f64);
        linear_at(&self.depth, self.dims, in_box).is_some_and(|depth| depth >= 0.0)
    }
}

fn snap(position: f64) -> f64 {
    let nearest = position.round();
    if (position - nearest).abs() < SNAP { nearest } else { position }
}

/// Gives the voxels around `brain`, layer by layer, the mean of their neighbours (26) that have a value.
fn spread_rim(volume: &mut Volume, brain: &Array3<bool>) {
    let mut known = brain.clone();
    volume.change_by_mask(brain, |value, inside| if inside { value } else { 0.0 });
    let mut voxels = volume.voxels_mut();
    for _ in 0..RIM {
        let layer = outer_layer(&known, &voxels.view());
        for (index, value) in layer {
            voxels[index] = value;
            known[index] = true;
        }
    }
}

/// The unknown voxels that touch a known one, each with the mean of the known ones that it touches.
fn outer_layer(known: &Array3<bool>, voxels: &ndarray::ArrayView3<'_, f32>) -> Vec<([usize; 3], f32)> {
    let (ni, nj, nk) = known.dim();
    let slice = |k: usize| {
        let mut layer = Vec::new();
        for j in 0..nj {
            for i in 0..ni {
                if known[[i, j, k]] {
                    continue;
                }
                let (mut sum, mut count) = (0.0_f32, 0_u8);
                for kk in k.saturating_sub(1)..(k + 2).min(nk) {
                    for jj in j.saturating_sub(1)..(j + 2).min(nj) {
                        for ii in i.saturating_sub(1)..(i + 2).min(ni) {
                            if known[[ii, jj, kk]] {
                                sum += voxels[[ii, jj, kk]];
                                count += 1;
                            }
                        }
                    }
                }
                if count > 0 {
                    layer.push(([i, j, k], sum / f32::from(count)));
                }
            }
        }
        layer
    };
    (0..nk).into_par_iter().flat_map_iter(slice).collect()
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

/// Smooths `volume` by a Gaussian of so many voxels' standard deviation along each axis, renormalized at the faces. Along axes
/// where that is at most a quarter of a voxel, nothing changes.
pub fn smooth_by(volume: &mut Volume, sigmas: [f64; 3]) {
    for (axis, sigma) in sigmas.into_iter().enumerate() {
        // A rotation lengthens nothing, but rounding might; and a thinner Gaussian than this changes no voxel by 1 %.
        if sigma > 0.25 {
            gaussian_along(volume, axis, sigma);
        }
    }
}

/// Convolves along one axis with a Gaussian of `sigma` voxels, renormalized at the faces.
fn gaussian_along(volume: &mut Volume, axis: usize, sigma: f64) {
    let radius = (3.0 * sigma).ceil() as usize;
    let weight = |distance: usize| (-0.5 * (distance as f64 / sigma).powi(2)).exp() as f32;
    let weights: Vec<f32> = (0..=radius).map(weight).collect();
    // Slices that hold whole lines along the axis, for the threads to share out.
    let (across, along) = [(2, 0), (2, 1), (1, 1)][axis];
    let mut voxels = volume.voxels_mut();
    let slices: Vec<_> = voxels.axis_iter_mut(Axis(across)).collect();
    slices.into_par_iter().for_each(|mut slice| {
        for mut lane in slice.lanes_mut(Axis(along)) {
            let line = lane.to_vec();
            lane.iter_mut().enumerate().for_each(|(at, value)| *value = weighted_mean(&line, at, &weights));
        }
    });
}

/// The mean of `line` around `centre`, `weights[d]` for voxels at distance d.
fn weighted_mean(line: &[f32], centre: usize, weights: &[f32]) -> f32 {
    let first = (centre + 1).saturating_sub(weights.len());
    let last = (centre + weights.len()).min(line.len());
    let (mut sum, mut total) = (0.0, 0.0);
    for (at, value) in line.iter().enumerate().take(last).skip(first) {
        let weight = weights[at.abs_diff(centre)];
        sum += weight * value;
        total += weight;
    }
    sum / total
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
        for (n, voxel) in slice.iter_mut().enumerate().filter(|(n, _)| wanted(k * ni * nj + n)) {
            let position = map.apply([(n % ni) as f64, (n / ni) as f64, k as f64]);
            if let Some(value) = cubic_at(values, dims, position) {
                *voxel = value.clamp(low, high);
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

/// Voxels along one axis and their weights; indices beyond the ends are the end voxel.
struct Taps {
    indices: [usize; 4],
    weights: [f32; 4],
    used: usize,
}

impl Taps {
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
    let base = position.floor();
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
    fn smoothing_keeps_the_mean_and_widens_an_impulse_as_said() {
        let mut voxels = Array3::zeros((61, 1, 1));
        voxels[[30, 0, 0]] = 1.0;
        let mut volume = Volume::new(voxels, Affine::from_sizes([1.0; 3], [0.0; 3]).unwrap()).unwrap();
        gaussian_along(&mut volume, 0, 2.0);
        let line = volume.as_slice();
        let mean: f32 = line.iter().sum();
        let variance: f32 = line.iter().enumerate().map(|(i, v)| v * (i as f32 - 30.0).powi(2)).sum();
        assert!((mean - 1.0).abs() < 1e-5 && (variance - 4.0).abs() < 0.15, "{mean} {variance}");
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
