//! The walk: a scan to standard slices, through the generator, and back onto the caller's grid.

use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{Array3, Array4, ArrayViewMut3, s};
use rayon::prelude::*;

use crate::control::{Adviser, Control};
use crate::guard::catch_panics;
use crate::model::{Card, Model, Network};
use crate::prepare::normalize::{self, Scale};
use crate::prepare::register::{rough, template};
use crate::prepare::{self, Prepared, brain, resample, standard};
use crate::residual::{self, Residual};
use crate::{Error, Grid, Limits, Result, Volume, Watch, memory, needs, plausible};

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
    Ok(walk(model, None, input, output, options, control)?.synthetic)
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
    Ok(walk_prepared(model, None, prepared, output, control)?.synthetic)
}

/// What a walk makes.
pub(crate) struct Outcome {
    pub(crate) synthetic: Volume,
    /// There is one if there was a model for the way back.
    pub(crate) residual: Option<Residual>,
}

/// [`synthesize`], and with a model for the way `back` the residual too.
pub(crate) fn walk(
    model: &Model,
    back: Option<&Model>,
    input: &Volume,
    output: &Grid,
    options: &Options,
    control: &mut Control<'_>,
) -> Result<Outcome> {
    catch_panics(|| {
        control.run(|watch, adviser| match options.input_state {
            InputState::Raw => {
                check_memory_of_raw(model, back, input, output, &options.preparation, adviser)?;
                let prepared =
                    prepare::run(input, &options.preparation, &watch.stage(0.0, PREPARATION), adviser)?;
                from_prepared(model, back, &prepared, output, &watch.stage(PREPARATION, 1.0), adviser)
            }
            InputState::Prepared => from_stripped(model, back, input, output, watch, adviser),
        })
    })
}

/// [`synthesize_prepared`], and with a model for the way `back` the residual too.
pub(crate) fn walk_prepared(
    model: &Model,
    back: Option<&Model>,
    prepared: &Prepared,
    output: &Grid,
    control: &mut Control<'_>,
) -> Result<Outcome> {
    catch_panics(|| {
        control.run(|watch, adviser| from_prepared(model, back, prepared, output, watch, adviser))
    })
}

/// The fraction of a whole synthesis that the preparation of a raw scan takes.
const PREPARATION: f32 = 0.4;
/// Fractions of the walk that are done before the first slice and after the last.
const BEFORE_SLICES: f32 = 0.05;
const AFTER_SLICES: f32 = 0.95;
/// The fraction of all slices that are done when a walk there and back turns round.
const TURN: f32 = 0.5;

/// A scan as the generator reads it: slices of 1 mm along the grid's axes, wherever those lead in the scan's space.
struct Standard {
    volume: Volume,
    brain: Array3<bool>,
}

/// From a scan that is bias-corrected and brain-extracted.
fn from_stripped(
    model: &Model,
    back: Option<&Model>,
    input: &Volume,
    output: &Grid,
    watch: &Watch,
    adviser: &Adviser<'_>,
) -> Result<Outcome> {
    let scan = input.grid();
    let held = 4 * needs::voxels(&scan) + weights(model, back);
    adviser.check_memory(held, needs::filled_mask(&scan) + compilation(model, back))?;
    let (brain, doubts) = adviser.timed("checks", || {
        plausible::check_image(input)?;
        let brain = brain::mask(input.voxels());
        watch.check()?;
        let doubts = plausible::doubts_about_prepared(input, &brain);
        Ok::<_, Error>((brain, doubts))
    })?;
    adviser.refuse_or_warn(doubts)?;
    let bounds = brain::bounding_box(&brain)
        .ok_or_else(|| Error::BadImage("no voxel differs from zero: there is no brain in it".into()))?;
    let grid = standard::grid_around(&scan, bounds, &Limits::default())?;
    let walk = Walk::new(model, back, &grid, output, watch, adviser)?;
    let mask = needs::voxels(&scan);
    let placing = 5 * needs::voxels(&grid) + needs::placed(&grid, rough::VOXEL, 2 * rough::BACKGROUND as u64);
    let before = resampling(&scan, &grid).max(placing);
    adviser.check_memory(held, mask + needs::FIXED + before.max(walk.needs(&scan, &grid)))?;
    let standard = adviser.timed("resampling", || on_standard_grid(input, &brain, &grid, watch))?;
    let doubts = adviser.timed("checks", || {
        plausible::doubts_about_unplaced(&standard.volume, &standard.brain, model.card(), watch)
    })?;
    adviser.settle(doubts)?;
    walk.run(&standard, &brain, &input.grid())
}

/// A scan's brain on the grid of its slices, 0..1.
fn on_standard_grid(input: &Volume, brain: &Array3<bool>, grid: &Grid, watch: &Watch) -> Result<Standard> {
    let scale = Scale { low: 0.0, high: normalize::top_intensity(input, brain)? };
    let there = resample::mask_onto(brain, &input.grid(), grid, watch)?;
    watch.check()?;
    let mut volume = resample::brain_onto(input, brain, grid, &there, watch)?;
    volume.change_by_mask(&there, |value, inside| if inside { scale.apply(value) } else { 0.0 });
    Ok(Standard { volume, brain: there })
}

/// From a scan that this library has prepared.
fn from_prepared(
    model: &Model,
    back: Option<&Model>,
    prepared: &Prepared,
    output: &Grid,
    watch: &Watch,
    adviser: &Adviser<'_>,
) -> Result<Outcome> {
    let scan = prepared.corrected.grid();
    let held = 4 * needs::voxels(&scan) + prepare::kept(&scan) + weights(model, back);
    adviser.check_memory(held, compilation(model, back))?;
    let bounds = brain::bounding_box(&prepared.standard_mask)
        .ok_or_else(|| Error::BadImage("the scan shows no brain".into()))?;
    let standard = prepared.standard.grid();
    let grid = standard::grid_around(&standard, bounds, &Limits::default())?;
    let walk = Walk::new(model, back, &grid, output, watch, adviser)?;
    adviser.check_memory(held, needs::FIXED + resampling(&standard, &grid).max(walk.needs(&scan, &grid)))?;
    let standard = adviser.timed("resampling", || in_scan_space(prepared, &grid, watch))?;
    let Standard { volume, brain } = &standard;
    let doubts = adviser.timed("checks", || {
        plausible::doubts_about_placed(volume, brain, &prepared.standard_to_scan, model.card())
    })?;
    adviser.settle(doubts)?;
    walk.run(&standard, &prepared.mask, &scan)
}

/// Checks, before a raw scan is prepared, that there will be the memory for all that is done with it, whatever its brain's size.
///
/// # Errors
/// [`Error::OutOfMemory`], and those of [`network_for`] that no smaller brain would spare.
fn check_memory_of_raw(
    model: &Model,
    back: Option<&Model>,
    input: &Volume,
    output: &Grid,
    options: &prepare::Options,
    adviser: &Adviser<'_>,
) -> Result<()> {
    let scan = input.grid();
    let held = prepare::held(&scan, options) + weights(model, back);
    adviser.check_memory(held, prepare::needs_of(&scan, options).max(compilation(model, back)))?;
    let standard = template::standard_grid();
    let whole = ([0; 3], standard.dims.map(|length| length - 1));
    let mut grid = standard::grid_around(&standard, whole, &Limits::default())?;
    for model in [Some(model), back].into_iter().flatten() {
        if let Some(window) = model.card().window {
            // A brain that does not fit is refused when it was found.
            grid.dims = [grid.dims[0].min(window), grid.dims[1].min(window), grid.dims[2]];
        }
    }
    let watch = Watch::default();
    let walk = Walk::new(model, back, &grid, output, &watch, adviser)?;
    let after = needs::FIXED + resampling(&standard, &grid).max(walk.needs(&scan, &grid));
    adviser.check_memory(held, prepare::kept(&scan) + after)
}

/// Bytes of the models' weights.
fn weights(model: &Model, back: Option<&Model>) -> u64 {
    model.weight_bytes() + back.map_or(0, Model::weight_bytes)
}

/// An upper bound on what compiling the models' networks takes for a while.
fn compilation(model: &Model, back: Option<&Model>) -> u64 {
    [Some(model), back].into_iter().flatten().map(Model::compilation_bytes).max().unwrap_or(0)
}

/// What a brain and its mask take on their way to the standard grid, and there.
fn resampling(from: &Grid, standard: &Grid) -> u64 {
    needs::mask_onto(from, standard).max(needs::voxels(standard) + needs::brain_onto(from, standard))
}

/// The prepared scan around its brain, in RAS order, placed in the scan's own space.
fn in_scan_space(prepared: &Prepared, grid: &Grid, watch: &Watch) -> Result<Standard> {
    // The same voxels in another order: nothing is interpolated.
    let volume = resample::volume_onto(&prepared.standard, grid, watch)?;
    let brain = resample::mask_onto(&prepared.standard_mask, &prepared.standard.grid(), grid, watch)?;
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

/// One pass through the generator, and where asked one back: by which models, onto what, for whom.
struct Walk<'a> {
    there: Generator<'a>,
    back: Option<Generator<'a>>,
    output: &'a Grid,
    watch: &'a Watch,
    adviser: &'a Adviser<'a>,
}

impl<'a> Walk<'a> {
    fn new(
        model: &'a Model,
        back: Option<&'a Model>,
        standard: &Grid,
        output: &'a Grid,
        watch: &'a Watch,
        adviser: &'a Adviser<'a>,
    ) -> Result<Self> {
        let generator = |model| {
            let network = adviser.timed("network's compilation", || network_for(model, standard))?;
            Ok(Generator { model, network })
        };
        let (there, back) = (generator(model)?, back.map(generator).transpose()?);
        Ok(Self { there, back, output, watch, adviser })
    }

    /// Synthesizes from `standard`, and brings the result onto the output, 0 outside of `brain`, which lies on `scan`.
    fn run(&self, standard: &Standard, brain: &Array3<bool>, scan: &Grid) -> Result<Outcome> {
        self.watch.advance(BEFORE_SLICES)?;
        let slices = self.watch.stage(BEFORE_SLICES, AFTER_SLICES);
        let turn = if self.back.is_some() { TURN } else { 1.0 };
        let (synthetic, residual) = self.adviser.timed("network", || {
            let synthetic = self.there.run(&standard.volume, &standard.brain, &slices.stage(0.0, turn))?;
            let back = |back| residual_of(standard, &synthetic, back, &slices.stage(turn, 1.0));
            let residual = self.back.as_ref().map(back).transpose()?;
            Ok::<_, Error>((synthetic, residual))
        })?;
        self.watch.advance(AFTER_SLICES)?;
        let made = Outcome { synthetic, residual };
        let outcome = self.adviser.timed("way back", || self.bring_back(made, standard, brain, scan))?;
        self.watch.advance(1.0)?;
        Ok(outcome)
    }

    /// What was made of `standard`, on the output's grid and 0 outside of `brain`, which lies on `scan`.
    fn bring_back(
        &self,
        made: Outcome,
        standard: &Standard,
        brain: &Array3<bool>,
        scan: &Grid,
    ) -> Result<Outcome> {
        let brain = resample::mask_onto(brain, scan, self.output, self.watch)?;
        self.watch.check()?;
        let onto_output =
            |volume: Volume| resample::brain_onto(&volume, &standard.brain, self.output, &brain, self.watch);
        let synthetic = onto_output(made.synthetic)?;
        let residual =
            made.residual.map(|Residual { map, summary }| Ok(Residual { map: onto_output(map)?, summary }));
        Ok(Outcome { synthetic, residual: residual.transpose()? })
    }

    /// An upper bound on what the walk allocates at once for a scan whose slices lie on the grid `standard`, these included.
    fn needs(&self, scan: &Grid, standard: &Grid) -> u64 {
        let (there, voxels) = (self.output, needs::voxels(standard));
        let generators = || [Some(&self.there), self.back.as_ref()].into_iter().flatten();
        let network = generators().map(|generator| generator.network.bytes).max().unwrap_or(0);
        let compiled: u64 = generators().map(|generator| generator.network.own_bytes).sum();
        // The scan with its mask, its synthesis; with a way back what returned, and its values in a row.
        let slices = if self.back.is_some() { 17 } else { 9 } * voxels;
        let maps = if self.back.is_some() { 2 } else { 1 };
        let made = (5 + 4 * maps) * voxels + needs::voxels(there);
        let onto_output = (maps - 1) * 4 * needs::voxels(there) + needs::brain_onto(standard, there);
        let back = made + needs::mask_onto(scan, there).max(onto_output);
        compiled + slices.saturating_add((self.adviser.threads as u64).saturating_mul(network)).max(back)
    }
}

/// What `back` does not bring back of a standard scan that `synthetic` was made from, on the standard grid.
fn residual_of(
    standard: &Standard,
    synthetic: &Volume,
    back: &Generator<'_>,
    watch: &Watch,
) -> Result<Residual> {
    let returned = back.run(synthetic, &standard.brain, watch)?;
    residual::compare(&standard.volume, returned, &standard.brain, watch)
}

/// A model, and its network for the slices of the scan.
struct Generator<'a> {
    model: &'a Model,
    network: std::sync::Arc<Network>,
}

impl Generator<'_> {
    /// Runs the network on every slice of `volume` that holds brain.
    fn run(&self, volume: &Volume, brain: &Array3<bool>, watch: &Watch) -> Result<Volume> {
        let [ni, nj, _] = volume.dims();
        let mut synthetic = Volume::zeros(&volume.grid())?;
        let has_brain = |k: usize| brain.slice(s![.., .., k]).iter().any(|inside| *inside);
        let slices = synthetic.as_mut_slice().chunks_mut(ni * nj).enumerate();
        let mut wanted: Vec<_> = slices.filter(|(k, _)| has_brain(*k)).collect();
        let (count, done) = (wanted.len() as f32, AtomicUsize::new(0));
        let place = place_in_window(self.model, &volume.grid(), self.network.window);
        let slices = Slices { volume, brain, network: &self.network, card: self.model.card(), place };
        wanted.par_chunks_mut(self.network.slices_at_once).try_for_each(|group| {
            slices.run(group, watch)?;
            let advance = || watch.advance((done.fetch_add(1, Ordering::Relaxed) + 1) as f32 / count);
            group.iter().try_for_each(|_| advance())
        })?;
        Ok(synthetic)
    }
}

/// The slices of a standard scan on their way through the network.
struct Slices<'a> {
    volume: &'a Volume,
    brain: &'a Array3<bool>,
    network: &'a Network,
    card: &'a Card,
    /// Row and column of the window where a slice begins.
    place: [usize; 2],
}

impl Slices<'_> {
    /// Synthesizes axial slices, each given with its index and the values (i fastest) to fill: 0..1 inside the brain and 0 outside.
    fn run(&self, group: &mut [(usize, &mut [f32])], watch: &Watch) -> Result<()> {
        let [height, width] = self.network.window;
        let shape = (group.len(), self.card.slices_in, height, width);
        let values = memory::filled(shape.0 * shape.1 * shape.2 * shape.3, 0.0);
        let mut input =
            Array4::from_shape_vec(shape, values).map_err(|fault| Error::Internal(fault.to_string()))?;
        for (mut image, (k, _)) in input.outer_iter_mut().zip(group.iter()) {
            self.read(*k, image.view_mut());
        }
        let values = self.network.run(input, watch)?;
        for (values, (k, slice)) in values.chunks(height * width).zip(group) {
            self.write(*k, values, slice)?;
        }
        Ok(())
    }

    /// Slice `k` and its neighbours into a window (slices in, height, width).
    fn read(&self, k: usize, mut window: ArrayViewMut3<'_, f32>) {
        let ([ni, nj, nk], [row, column]) = (self.volume.dims(), self.place);
        let slices_in = self.card.slices_in;
        for channel in 0..slices_in {
            // Beyond the last slices there is no brain, and so nothing.
            let Some(neighbour) = (k + channel).checked_sub(slices_in / 2).filter(|&n| n < nk) else {
                continue;
            };
            let mut image = window.slice_mut(s![channel, row..row + nj, column..column + ni]);
            image.assign(&self.volume.voxels().slice(s![.., .., neighbour]).t());
        }
    }

    /// The network's values for a window into slice `k`.
    fn write(&self, k: usize, values: &[f32], slice: &mut [f32]) -> Result<()> {
        let ([ni, _, _], [row, column]) = (self.volume.dims(), self.place);
        let width = self.network.window[1];
        let brain = self.brain.slice(s![.., .., k]);
        for (j, line) in slice.chunks_mut(ni).enumerate() {
            for (i, voxel) in line.iter_mut().enumerate() {
                let value = values[(row + j) * width + column + i];
                if !value.is_finite() {
                    let name = &self.card.name;
                    return Err(Error::BadModel(format!("the result of {name} in slice {k} is not finite")));
                }
                *voxel = if brain[[i, j]] { value.clamp(0.0, 1.0) } else { 0.0 };
            }
        }
        Ok(())
    }
}
