//! The walk: a scan to standard slices, through the generator, and back onto the caller's grid.

use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{Array3, s};
use rayon::prelude::*;

use crate::control::{Adviser, Control};
use crate::guard::catch_panics;
use crate::model::{Model, Network};
use crate::prepare::normalize::{self, Scale};
use crate::prepare::{self, Prepared, brain, resample, standard};
use crate::{Error, Grid, Limits, Result, Volume, Watch, plausible};

/// How much the caller has already done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InputState {
    /// As it left the scanner.
    #[default]
    Raw,
    /// Bias-corrected, brain-extracted (background 0) and aligned to MNI152 axes.
    Prepared,
}

/// What is done to the scan before it is synthesized from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// How much the caller has already done.
    pub input_state: InputState,
    /// How a raw scan is prepared.
    pub preparation: prepare::Options,
}

impl Options {
    /// For a scan that is bias-corrected, brain-extracted (background 0) and aligned to MNI152 axes.
    pub fn prepared() -> Self {
        Self { input_state: InputState::Prepared, ..Self::default() }
    }
}

/// Synthesizes `model`'s target contrast from `input`, on the grid `output` (usually that of `input`).
///
/// The result is 0..1 inside the brain, 1 being what the model was trained to call the brain's 99.5th percentile, and 0
/// outside. The same input, model and machine give the same bytes for any number of threads.
///
/// # Errors
/// [`Error::BadImage`] for voxels or geometry that cannot be a brain scan, [`Error::Refused`] for a scan that does not look
/// like what it is said to be, [`Error::Unsupported`] for a brain that does not fit into the model's window,
/// [`Error::OutOfMemory`], [`Error::Cancelled`].
pub fn synthesize(
    model: &Model,
    input: &Volume,
    output: &Grid,
    options: &Options,
    control: &mut Control<'_>,
) -> Result<Volume> {
    catch_panics(|| {
        control.run(|watch, adviser| match options.input_state {
            InputState::Raw => {
                let prepared =
                    prepare::run(input, &options.preparation, &watch.stage(0.0, PREPARATION), adviser)?;
                from_prepared(model, &prepared, output, &watch.stage(PREPARATION, 1.0), adviser)
            }
            InputState::Prepared => from_stripped(model, input, output, watch, adviser),
        })
    })
}

/// Synthesizes `model`'s target contrast from a scan that [`crate::prepare`] has prepared, on the grid `output` (usually
/// that of the scan); like [`synthesize`] otherwise.
///
/// # Errors
/// Those of [`synthesize`].
pub fn synthesize_prepared(
    model: &Model,
    prepared: &Prepared,
    output: &Grid,
    control: &mut Control<'_>,
) -> Result<Volume> {
    catch_panics(|| control.run(|watch, adviser| from_prepared(model, prepared, output, watch, adviser)))
}

/// The fraction of a whole synthesis that the preparation of a raw scan takes.
const PREPARATION: f32 = 0.4;
/// Fractions of the walk that are done before the first slice and after the last.
const BEFORE_SLICES: f32 = 0.05;
const AFTER_SLICES: f32 = 0.95;

/// A scan as the generator reads it: slices of 1 mm along the grid's axes, wherever those lead in the scan's space.
struct Standard {
    volume: Volume,
    brain: Array3<bool>,
}

/// From a scan that is bias-corrected and brain-extracted.
fn from_stripped(
    model: &Model,
    input: &Volume,
    output: &Grid,
    watch: &Watch,
    adviser: &Adviser<'_>,
) -> Result<Volume> {
    plausible::check_image(input)?;
    let brain = brain::mask(input.voxels());
    watch.check()?;
    adviser.refuse_or_warn(plausible::doubts_about_prepared(input, &brain))?;
    let bounds = brain::bounding_box(&brain)
        .ok_or_else(|| Error::BadImage("no voxel differs from zero: there is no brain in it".into()))?;
    let grid = standard::grid_around(input, bounds, Limits::default().max_axis)?;
    let walk = Walk { model, output, watch, adviser, network: network_for(model, &grid)? };
    // The input, and its part with a spread rim.
    walk.check_memory(11 * input.grid().len() as u64, &grid)?;
    let scale = Scale { low: 0.0, high: normalize::top_intensity(input, &brain)? };
    let standard_brain = resample::mask_onto(&brain, &input.grid(), &grid, watch)?;
    watch.check()?;
    let mut volume = resample::brain_onto(input, &brain, &grid, &standard_brain, watch)?;
    volume.change_by_mask(&standard_brain, |value, inside| if inside { scale.apply(value) } else { 0.0 });
    let doubts = plausible::doubts_about_unplaced(&volume, &standard_brain, model.card(), watch)?;
    adviser.settle(doubts)?;
    walk.run(&Standard { volume, brain: standard_brain }, &brain, &input.grid())
}

/// From a scan that this library has prepared.
fn from_prepared(
    model: &Model,
    prepared: &Prepared,
    output: &Grid,
    watch: &Watch,
    adviser: &Adviser<'_>,
) -> Result<Volume> {
    let standard = in_scan_space(prepared, watch)?;
    let walk = Walk { model, output, watch, adviser, network: network_for(model, &standard.volume.grid())? };
    let scan = prepared.corrected.grid();
    // The scan, corrected, its field and its mask; the standard image with its mask.
    let held = 13 * scan.len() as u64 + 5 * prepared.standard.grid().len() as u64;
    walk.check_memory(held, &standard.volume.grid())?;
    let Standard { volume, brain } = &standard;
    let doubts = plausible::doubts_about_placed(volume, brain, &prepared.standard_to_scan, model.card())?;
    adviser.settle(doubts)?;
    walk.run(&standard, &prepared.mask, &scan)
}

/// The prepared scan around its brain, in RAS order, placed in the scan's own space.
fn in_scan_space(prepared: &Prepared, watch: &Watch) -> Result<Standard> {
    let bounds = brain::bounding_box(&prepared.standard_mask)
        .ok_or_else(|| Error::BadImage("the scan shows no brain".into()))?;
    let grid = standard::grid_around(&prepared.standard, bounds, Limits::default().max_axis)?;
    // The same voxels in another order: nothing is interpolated.
    let volume = resample::volume_onto(&prepared.standard, &grid, watch)?;
    let brain = resample::mask_onto(&prepared.standard_mask, &prepared.standard.grid(), &grid, watch)?;
    let affine = grid.affine.then(&prepared.standard_to_scan)?;
    let mut volume = Volume::new(volume.into_voxels(), affine)?;
    volume.change_by_mask(&brain, |value, inside| if inside { value } else { 0.0 });
    Ok(Standard { volume, brain })
}

/// The network for the slices of `grid`, from front to back and from left to right: their size rounded up to what it takes,
/// or the window that its card fixes.
fn network_for(model: &Model, grid: &Grid) -> Result<std::sync::Arc<Network>> {
    let (card, size) = (model.card(), [grid.dims[1], grid.dims[0]]);
    match card.window {
        None => model.network(size.map(|size| size.next_multiple_of(card.size_multiple))),
        Some(window) if size.iter().all(|&size| size <= window) => model.network([window; 2]),
        Some(window) => Err(Error::Unsupported(format!(
            "the brain's box of {} x {} mm does not fit into the window of {window} x {window} mm that {} was made for",
            size[1], size[0], card.name
        ))),
    }
}

/// Where the slices lie in their window: its first row and column, or its middle where the card fixes the window.
fn place_in_window(model: &Model, grid: &Grid, window: [usize; 2]) -> [usize; 2] {
    if model.card().window.is_none() {
        return [0, 0];
    }
    let centred = |size: usize, slice: usize| size.saturating_sub(slice) / 2;
    [centred(window[0], grid.dims[1]), centred(window[1], grid.dims[0])]
}

/// One pass through the generator: by which model, onto what, for whom.
struct Walk<'a> {
    model: &'a Model,
    output: &'a Grid,
    watch: &'a Watch,
    adviser: &'a Adviser<'a>,
    network: std::sync::Arc<Network>,
}

impl Walk<'_> {
    /// Synthesizes from `standard`, and brings the result onto the output, 0 outside of `brain`, which lies on `scan`.
    fn run(&self, standard: &Standard, brain: &Array3<bool>, scan: &Grid) -> Result<Volume> {
        self.watch.advance(BEFORE_SLICES)?;
        let synthetic = self.run_slices(standard)?;
        self.watch.advance(AFTER_SLICES)?;
        let brain = resample::mask_onto(brain, scan, self.output, self.watch)?;
        self.watch.check()?;
        let output = resample::brain_onto(&synthetic, &standard.brain, self.output, &brain, self.watch)?;
        self.watch.advance(1.0)?;
        Ok(output)
    }

    /// An upper bound on what will be allocated at once, checked before any of it is: `held` bytes of the scan, and floats
    /// and masks of the standard scan, its synthesis and its copy, and of the output.
    fn check_memory(&self, held: u64, standard: &Grid) -> Result<()> {
        let volumes = held + 14 * standard.len() as u64 + 5 * self.output.len() as u64;
        let network = self.model.weight_bytes() + self.adviser.threads as u64 * self.network.activation_bytes;
        self.adviser.check_memory(volumes + network)
    }

    /// Runs the generator on every slice that holds brain.
    fn run_slices(&self, standard: &Standard) -> Result<Volume> {
        let [ni, nj, _] = standard.volume.dims();
        let mut synthetic = Volume::zeros(&standard.volume.grid())?;
        let has_brain = |k: usize| standard.brain.slice(s![.., .., k]).iter().any(|inside| *inside);
        let slices = synthetic.as_mut_slice().chunks_mut(ni * nj).enumerate();
        let wanted: Vec<_> = slices.filter(|(k, _)| has_brain(*k)).collect();
        let (count, done) = (wanted.len() as f32, AtomicUsize::new(0));
        let watch = self.watch.stage(BEFORE_SLICES, AFTER_SLICES);
        let place = place_in_window(self.model, &standard.volume.grid(), self.network.window);
        let slices =
            Slices { standard, network: &self.network, slices_in: self.model.card().slices_in, place };
        wanted.into_par_iter().try_for_each(|(k, slice)| {
            watch.check()?;
            slices.run(k, slice)?;
            watch.advance((done.fetch_add(1, Ordering::Relaxed) + 1) as f32 / count)
        })?;
        Ok(synthetic)
    }
}

/// The slices of a standard scan on their way through the network.
struct Slices<'a> {
    standard: &'a Standard,
    network: &'a Network,
    slices_in: usize,
    /// Row and column of the window where a slice begins.
    place: [usize; 2],
}

impl Slices<'_> {
    /// Synthesizes axial slice `k` into `slice` (i fastest), 0..1 inside the brain and 0 outside.
    fn run(&self, k: usize, slice: &mut [f32]) -> Result<()> {
        let [ni, nj, nk] = self.standard.volume.dims();
        let ([height, width], [row, column]) = (self.network.window, self.place);
        let voxels = self.standard.volume.voxels();
        let mut input = Array3::zeros((self.slices_in, height, width));
        for channel in 0..self.slices_in {
            // Beyond the last slices there is no brain, and so nothing.
            let Some(neighbour) = (k + channel).checked_sub(self.slices_in / 2).filter(|&n| n < nk) else {
                continue;
            };
            let mut image = input.slice_mut(s![channel, row..row + nj, column..column + ni]);
            image.assign(&voxels.slice(s![.., .., neighbour]).t());
        }
        let values = self.network.run(input)?;
        let brain = self.standard.brain.slice(s![.., .., k]);
        for (j, line) in slice.chunks_mut(ni).enumerate() {
            for (i, voxel) in line.iter_mut().enumerate() {
                let value = values[(row + j) * width + column + i];
                if !value.is_finite() {
                    return Err(Error::BadModel(format!("its result in slice {k} is not finite")));
                }
                *voxel = if brain[[i, j]] { value.clamp(0.0, 1.0) } else { 0.0 };
            }
        }
        Ok(())
    }
}
