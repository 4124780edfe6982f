//! Brain extraction: finds the brain in a raw scan of a head, whatever its contrast, slices, shading or field of view.
//!
//! A small network, trained on heads simulated in random contrasts (Billot et al. 2023, "SynthSeg", Medical Image
//! Analysis 86; Hoopes et al. 2022, "SynthStrip", NeuroImage 260), reads the scan at 2 mm and gives each voxel's signed
//! distance from the brain's surface; the mask is what lies under a fixed level, one component, without holes.

use ndarray::Array3;
use rayon::prelude::*;

use super::lattice::{self, SIZE_MULTIPLE, SPACING};
use super::{brain, extractor, morphology, resample};
use crate::memory::{self, in_memory_order};
use crate::{Affine, Grid, Result, Volume, Watch, needs};

/// Voxels lower than this above the surface that the network was trained on belong to the brain, in millimetres. Chosen
/// on reference masks of other tools, which leave a thin layer of fluid around the cortex.
const BORDER: f32 = 1.2;
/// A scan whose exact zeros leave a region that agrees with the network's brain at least this well is stripped already.
const STRIPPED_DICE: f64 = 0.9;
/// Around what is not exactly 0, the network sees this much more, in millimetres.
const MARGIN: f64 = 8.0;
/// The longest side of what the network sees, in millimetres; longer scans are cut around the middle of their brightness.
const LONGEST: f64 = 320.0;
/// Heights up to this are used to judge how sharply the surface is seen, in millimetres.
const NEAR_SURFACE: f32 = 4.0;
/// The stage's fraction that is done when the network starts, and when it ends.
const NETWORK_SPAN: [f32; 2] = [0.1, 0.8];

/// Where the brain is, and how much that can be trusted.
#[derive(Clone, Debug)]
pub struct Extraction {
    /// The brain, on the scan's grid: one component through voxel faces, without holes.
    pub mask: Array3<bool>,
    /// Somebody removed what is not brain before: the mask is what is not 0, with its holes.
    pub already_stripped: bool,
    /// The brain's volume in millilitres.
    pub millilitres: f64,
    /// How sharply the network sees the surface: the mean gradient of its distances there, 1 for true distances.
    pub sharpness: f64,
    /// The area of the scan's faces that cut through the brain, in square centimetres.
    pub cut_square_centimetres: f64,
}

/// Finds the brain in `scan`, a head of any contrast.
///
/// Noise gives an empty or tiny mask; but a body of a brain's size can pass for one, so whether this is a head is for the
/// caller to judge, by these figures and by how the brain fits a template.
///
/// # Errors
/// [`Error::Unsupported`] in a build without embedded models, [`Error::Cancelled`], [`Error::OutOfMemory`].
pub fn extract(scan: &Volume, watch: &Watch) -> Result<Extraction> {
    let nonzero = morphology::bounding_box(&memory::mapped(scan.voxels(), |value| *value != 0.0));
    let Some(bounds) = nonzero else {
        return Ok(Extraction::empty(scan));
    };
    watch.check()?;
    let (heights, grid) = heights(scan, bounds, watch)?;
    watch.advance(NETWORK_SPAN[1])?;
    let under = under_surface(&heights, &grid, scan, BORDER);
    watch.check()?;
    let component = morphology::largest_component(&under);
    watch.check()?;
    let found = morphology::with_holes_filled(&component);
    watch.advance(0.95)?;
    let given = given_brain(scan, &found);
    let already_stripped = given.is_some();
    let mask = given.unwrap_or(found);
    watch.advance(1.0)?;
    Ok(Extraction {
        already_stripped,
        millilitres: millilitres(&mask, scan.affine()),
        sharpness: sharpness(&heights, grid.dims),
        cut_square_centimetres: cut_area(&mask, scan.affine()),
        mask,
    })
}

impl Extraction {
    fn empty(scan: &Volume) -> Self {
        Self {
            mask: in_memory_order(scan.voxels().dim(), false),
            already_stripped: false,
            millilitres: 0.0,
            sharpness: 0.0,
            cut_square_centimetres: 0.0,
        }
    }
}

/// What is not 0 and its holes, if that agrees with the brain that was found.
fn given_brain(scan: &Volume, found: &Array3<bool>) -> Option<Array3<bool>> {
    let brain = found.iter().filter(|inside| **inside).count();
    let nonzero = scan.as_slice().iter().filter(|value| **value != 0.0).count();
    // Whatever else it holds, a mask of so many voxels cannot agree.
    let at_most = 2.0 * brain.min(nonzero) as f64 / (brain + nonzero).max(1) as f64;
    if nonzero > brain && at_most <= STRIPPED_DICE {
        return None;
    }
    let given = brain::mask(scan.voxels());
    (morphology::dice(&given, found) > STRIPPED_DICE).then_some(given)
}

/// The network's heights above the brain's surface in millimetres, and their grid.
fn heights(scan: &Volume, bounds: ([usize; 3], [usize; 3]), watch: &Watch) -> Result<(Vec<f32>, Grid)> {
    let grid = grid_of(scan, bounds)?;
    let mut seen = resample::linear_onto(scan, &grid)?;
    lattice::scale(seen.as_mut_slice());
    watch.advance(NETWORK_SPAN[0])?;
    let output = extractor::run(lattice::split(seen.as_slice(), grid.dims), grid.dims, |fraction| {
        watch.advance(NETWORK_SPAN[0] + fraction * (NETWORK_SPAN[1] - NETWORK_SPAN[0]))
    })?;
    let mut heights = lattice::join(&output, grid.dims);
    for height in &mut heights {
        *height *= lattice::UNIT;
    }
    Ok((heights, grid))
}

/// An upper bound on the bytes that the extraction allocates at once, the scan not included.
pub(super) fn needs_of(scan: &Grid) -> u64 {
    let voxels = needs::voxels(scan);
    let (low, high) = extent(scan, ([0; 3], scan.dims.map(|length| length - 1)));
    let seen: u64 =
        [0, 1, 2].map(|axis| lattice_length((high[axis] - low[axis]).min(LONGEST)) as u64).iter().product();
    // A copy that is smoothed, and the network; or the mask as it was found, a part of it, and that of a stripped scan.
    (5 * voxels + extractor::needs_of(seen)).max(12 * seen + 2 * voxels + needs::largest_part(scan))
}

/// What lies between these voxels and a margin around, in the patient's axes: the lowest and highest millimetres.
fn extent(scan: &Grid, (first, last): ([usize; 3], [usize; 3])) -> ([f64; 3], [f64; 3]) {
    let mut low = [f64::INFINITY; 3];
    let mut high = [f64::NEG_INFINITY; 3];
    for corner in 0..8_usize {
        let index = [0, 1, 2].map(|axis| {
            if corner >> axis & 1 == 1 { last[axis] as f64 + 0.5 } else { first[axis] as f64 - 0.5 }
        });
        let position = scan.affine.to_millimetres(index);
        for axis in 0..3 {
            low[axis] = low[axis].min(position[axis] - MARGIN);
            high[axis] = high[axis].max(position[axis] + MARGIN);
        }
    }
    (low, high)
}

/// Voxels along a side of so many millimetres.
fn lattice_length(millimetres: f64) -> usize {
    ((millimetres / SPACING).ceil().max(1.0) as usize).next_multiple_of(SIZE_MULTIPLE)
}

/// The grid of 2 mm along the patient's axes that the network sees: what is not 0 and a margin.
fn grid_of(scan: &Volume, bounds: ([usize; 3], [usize; 3])) -> Result<Grid> {
    let (mut low, mut high) = extent(&scan.grid(), bounds);
    if (0..3).any(|axis| high[axis] - low[axis] > LONGEST) {
        let centre = bright_centre(scan);
        for axis in 0..3 {
            if high[axis] - low[axis] > LONGEST {
                low[axis] = (centre[axis] - 0.5 * LONGEST).clamp(low[axis], high[axis] - LONGEST);
                high[axis] = low[axis] + LONGEST;
            }
        }
    }
    let dims = [0, 1, 2].map(|axis| lattice_length(high[axis] - low[axis]));
    // What the multiple adds goes to both sides.
    let origin =
        [0, 1, 2].map(|axis| 0.5 * (low[axis] + high[axis]) - 0.5 * SPACING * (dims[axis] as f64 - 1.0));
    Ok(Grid { dims, affine: Affine::from_sizes([SPACING; 3], origin)? })
}

/// The middle of the scan's brightness in millimetres, or of the scan where it has none.
fn bright_centre(scan: &Volume) -> [f64; 3] {
    let slice = |k: usize| {
        let mut sums = [0.0; 4];
        for ((i, j), value) in scan.voxels().index_axis(ndarray::Axis(2), k).indexed_iter() {
            let weight = f64::from(value.max(0.0));
            for (sum, position) in sums.iter_mut().zip([i as f64, j as f64, k as f64, 1.0]) {
                *sum += weight * position;
            }
        }
        sums
    };
    let slices: Vec<[f64; 4]> = (0..scan.dims()[2]).into_par_iter().map(slice).collect();
    let sums = slices.iter().fold([0.0; 4], |sum, slice| [0, 1, 2, 3].map(|n| sum[n] + slice[n]));
    let index = if sums[3] > 0.0 {
        [0, 1, 2].map(|axis| sums[axis] / sums[3])
    } else {
        scan.dims().map(|length| 0.5 * (length as f64 - 1.0))
    };
    scan.affine().to_millimetres(index)
}

/// The voxels of the scan whose height, linearly interpolated, is below `border`.
fn under_surface(heights: &[f32], grid: &Grid, scan: &Volume, border: f32) -> Array3<bool> {
    let map = scan.affine().to_indices_of(&grid.affine);
    let [ni, nj, _] = scan.dims();
    let mut under = in_memory_order(scan.voxels().dim(), false);
    let Some((low, high)) = box_under(heights, grid, border) else { return under };
    let dims = [0, 1, 2].map(|axis| high[axis] + 1 - low[axis]);
    let slices = under.as_slice_memory_order_mut().unwrap_or(&mut []).par_chunks_mut(ni * nj);
    slices.enumerate().for_each(|(k, slice)| {
        for (j, row) in slice.chunks_mut(ni).enumerate() {
            for i in resample::in_reach(&map, [j, k], ni, dims, low) {
                let position = map.apply([i, j, k].map(|at| at as f64));
                let height = resample::linear_at(heights, grid.dims, position);
                row[i] = height.is_some_and(|height| height < border);
            }
        }
    });
    under
}

/// The first and the last index along each axis of heights below `border`; none if there is none. Between voxels, heights
/// can be below it only next to one that is.
fn box_under(heights: &[f32], grid: &Grid, border: f32) -> Option<([usize; 3], [usize; 3])> {
    let [ni, nj, nk] = grid.dims;
    let mut under = in_memory_order((ni, nj, nk), false);
    let cells = under.as_slice_memory_order_mut().unwrap_or(&mut []);
    cells.iter_mut().zip(heights).for_each(|(under, height)| *under = *height < border);
    morphology::bounding_box(&under)
}

fn millilitres(mask: &Array3<bool>, affine: &Affine) -> f64 {
    let voxel: f64 = affine.voxel_sizes().iter().product();
    mask.iter().filter(|inside| **inside).count() as f64 * voxel / 1000.0
}

/// The mean length of the heights' gradient where they are small; 0 where they nowhere are.
fn sharpness(heights: &[f32], [ni, nj, nk]: [usize; 3]) -> f64 {
    let slice = |k: usize| {
        let (mut sum, mut count) = (0.0_f64, 0_u32);
        for j in 1..nj - 1 {
            for i in 1..ni - 1 {
                let at = i + ni * (j + nj * k);
                if heights[at].abs() < NEAR_SURFACE {
                    let slope =
                        |step: usize| f64::from(heights[at + step] - heights[at - step]) / (2.0 * SPACING);
                    sum += [1, ni, ni * nj].map(slope).iter().map(|s| s * s).sum::<f64>().sqrt();
                    count += 1;
                }
            }
        }
        (sum, count)
    };
    let slices: Vec<(f64, u32)> = (1..nk - 1).into_par_iter().map(slice).collect();
    let (sum, count) = slices.iter().fold((0.0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    if count > 0 { sum / f64::from(count) } else { 0.0 }
}

/// The area of brain on the volume's outermost voxels, in square centimetres.
fn cut_area(mask: &Array3<bool>, affine: &Affine) -> f64 {
    let sizes = affine.voxel_sizes();
    let area = |axis: usize| {
        let voxel = sizes.iter().product::<f64>() / sizes[axis];
        let last = mask.shape()[axis] - 1;
        let count = |at: usize| {
            mask.index_axis(ndarray::Axis(axis), at).iter().filter(|inside| **inside).count() as f64
        };
        voxel * if last == 0 { count(0) } else { count(0) + count(last) }
    };
    (0..3).map(area).sum::<f64>() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grid of 2 mm with the heights above a ball around the origin.
    fn ball(radius: f64) -> (Vec<f32>, Grid) {
        let affine = Affine::from_sizes([SPACING; 3], [-63.0; 3]).unwrap();
        let grid = Grid { dims: [64; 3], affine };
        let height = |at: usize| {
            let index = [at % 64, at / 64 % 64, at / 4096].map(|i| i as f64);
            let position = affine.to_millimetres(index);
            (position.iter().map(|x| x * x).sum::<f64>().sqrt() - radius) as f32
        };
        ((0..64 * 64 * 64).map(height).collect(), grid)
    }

    #[test]
    fn the_mask_on_an_oblique_thick_grid_is_a_ball() {
        let (heights, grid) = ball(45.0);
        let (sin, cos) = 0.3_f64.sin_cos();
        let affine = Affine::from_rows([
            [0.9 * cos, 0.0, 3.0 * sin, -75.0],
            [0.0, -0.8, 0.0, 60.0],
            [-0.9 * sin, 0.0, 3.0 * cos, -45.0],
            [0.0, 0.0, 0.0, 1.0],
        ]);
        let scan = Volume::zeros(&Grid { dims: [150, 150, 50], affine: affine.unwrap() }).unwrap();
        for (border, radius) in [(0.0, 45.0), (1.5, 46.5)] {
            let mask = under_surface(&heights, &grid, &scan, border);
            let expected = 4.0 / 3.0 * std::f64::consts::PI * f64::powi(radius, 3) / 1000.0;
            let found = millilitres(&mask, scan.affine());
            assert!((found / expected - 1.0).abs() < 5e-3, "{found} {expected}");
            assert_eq!(cut_area(&mask, scan.affine()), 0.0);
        }
        assert!((sharpness(&heights, grid.dims) - 1.0).abs() < 0.01);
    }

    #[test]
    fn cut_brains_show_the_cut() {
        let (heights, grid) = ball(45.0);
        let affine = Affine::from_sizes([1.0, 1.0, 3.0], [-70.0, -70.0, 0.0]).unwrap();
        let scan = Volume::zeros(&Grid { dims: [140, 140, 30], affine }).unwrap();
        let mask = under_surface(&heights, &grid, &scan, 0.0);
        let expected = std::f64::consts::PI * 4.5 * 4.5;
        let found = cut_area(&mask, scan.affine());
        assert!((found / expected - 1.0).abs() < 0.01, "{found} {expected}");
    }

    #[test]
    fn the_grid_covers_what_is_not_zero_and_no_more_than_is_allowed() {
        let affine = Affine::from_sizes([0.8, 0.8, 3.0], [-100.0, -90.0, -300.0]).unwrap();
        let mut scan = Volume::zeros(&Grid { dims: [240, 240, 200], affine }).unwrap();
        let whole = grid_of(&scan, ([40, 20, 10], [200, 220, 60])).unwrap();
        assert!(whole.dims.iter().all(|length| length % SIZE_MULTIPLE == 0));
        let back = affine.to_indices_of(&whole.affine);
        for index in [[40.0, 20.0, 10.0], [200.0, 220.0, 60.0]] {
            let there = back.apply(index);
            let inside = |axis: usize| there[axis] >= 3.5 && there[axis] <= whole.dims[axis] as f64 - 4.5;
            assert!((0..3).all(inside), "{there:?} {:?}", whole.dims);
        }
        // 600 mm along z, bright at the top, where the 320 mm then end 8 mm above the last face.
        scan.voxels_mut().slice_mut(ndarray::s![.., .., 150..]).fill(1.0);
        let cut = grid_of(&scan, ([0; 3], [239, 239, 199])).unwrap();
        assert_eq!(cut.dims[2], 160);
        let middle = cut.affine.to_millimetres([0.0, 0.0, 79.5])[2];
        assert!((middle - 146.5).abs() < 1.0, "{middle}");
    }

    #[test]
    fn an_empty_scan_has_no_brain() {
        let grid = Grid { dims: [20, 20, 5], affine: Affine::from_sizes([3.0; 3], [0.0; 3]).unwrap() };
        let found = extract(&Volume::zeros(&grid).unwrap(), &Watch::default()).unwrap();
        assert!(found.mask.iter().all(|inside| !inside) && !found.already_stripped);
        assert_eq!(found.millilitres, 0.0);
    }
}
