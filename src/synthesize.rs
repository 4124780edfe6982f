//! The walk: a scan to standard slices, through the generator, and back onto the caller's grid.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use ndarray::{Array3, s};
use rayon::prelude::*;

use crate::guard::catch_panics;
use crate::model::{Model, Network};
use crate::prepare::{brain, normalize, resample, standard};
use crate::{Error, Grid, Limits, Result, Volume, plausible};

/// How much the caller has already done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InputState {
    /// As it left the scanner.
    #[default]
    Raw,
    /// Bias-corrected, brain-extracted (background 0) and aligned to MNI152 axes.
    Prepared,
}

/// How grave a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// The work fails.
    Error = 1,
    /// The result needs a look.
    Warning = 2,
    /// What is being done.
    Information = 3,
    /// For the library's developers.
    Debug = 4,
}

/// Called with the fraction done, which never falls and ends at 1; `Break` cancels.
pub type Progress<'a> = &'a mut dyn FnMut(f32) -> ControlFlow<()>;
/// Called with one line without newline, perhaps from several threads.
pub type Log<'a> = &'a (dyn Fn(LogLevel, &str) + Sync);

/// How to synthesize. The result's voxels depend on none of these.
#[derive(Default)]
pub struct Options<'a> {
    /// Threads to work on; 0: as many as the machine has cores. More than 16 and than that are not started.
    pub threads: usize,
    /// How much the caller has already done.
    pub input_state: InputState,
    /// Warn through `log` where [`Error::Refused`] would be returned.
    pub accept_implausible: bool,
    /// Bytes that the call may have allocated at once, weights and input included; none: no limit.
    pub memory_limit: Option<u64>,
    /// Called on the thread that called [`synthesize`].
    pub progress: Option<Progress<'a>>,
    /// Called with what a user may want to read.
    pub log: Option<Log<'a>>,
}

/// Synthesizes `model`'s target contrast from `input`, on the grid `output` (usually that of `input`).
///
/// The result is 0..1 inside the brain, 1 being what the model was trained to call the brain's 99.5th percentile, and 0
/// outside. The same input, model and machine give the same bytes for any number of threads.
///
/// # Errors
/// [`Error::BadImage`] for voxels or geometry that cannot be a brain scan, [`Error::Refused`] for a scan that does not look
/// prepared, [`Error::Unsupported`] for a raw scan, [`Error::OutOfMemory`], [`Error::Cancelled`].
pub fn synthesize(model: &Model, input: &Volume, output: &Grid, options: &mut Options<'_>) -> Result<Volume> {
    catch_panics(|| {
        let threads = thread_count(options.threads);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|fault| Error::OutOfMemory(format!("{threads} threads: {fault}")))?;
        Walk { model, input, output, threads, pool: &pool }.run(options)
    })
}

/// The threads asked for, within reason: beyond the machine's cores they only hold memory.
fn thread_count(asked: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if asked == 0 { cores } else { asked.min(cores.max(MAX_THREADS_OVER_CORES)) }
}

/// Threads that a caller may ask for on a machine with fewer cores.
const MAX_THREADS_OVER_CORES: usize = 16;

/// Fractions of the work that are done before the first slice and after the last.
const BEFORE_SLICES: f32 = 0.05;
const AFTER_SLICES: f32 = 0.95;

/// One call: what is synthesized, from what, onto what.
struct Walk<'a> {
    model: &'a Model,
    input: &'a Volume,
    output: &'a Grid,
    threads: usize,
    pool: &'a rayon::ThreadPool,
}

/// A scan as the generator reads it.
struct Standard {
    volume: Volume,
    brain: Array3<bool>,
}

impl Walk<'_> {
    fn run(&self, options: &mut Options<'_>) -> Result<Volume> {
        if options.input_state == InputState::Raw {
            return Err(Error::Unsupported(
                "this version does not prepare raw scans: give one that is bias-corrected, brain-extracted \
                 (background 0) and aligned to MNI152, and say that it is prepared"
                    .into(),
            ));
        }
        report(options, 0.0)?;
        plausible::check_image(self.input)?;
        let brain = self.parallel(|| Ok(brain::mask(self.input.voxels())))?;
        self.check_plausible(&brain, options)?;
        let grid = self.standard_grid(&brain)?;
        let network = self.model.network(self.window(&grid))?;
        self.check_memory(&grid, &network, options.memory_limit)?;
        let standard = self.parallel(|| self.to_standard(&brain, &grid))?;
        report(options, BEFORE_SLICES)?;
        let synthetic = self.run_slices(&standard, &network, options)?;
        report(options, AFTER_SLICES)?;
        let result = self.parallel(|| self.to_output(&synthetic, &standard.brain, &brain))?;
        report(options, 1.0)?;
        Ok(result)
    }

    /// Runs `work` with this call's threads; a panic in it becomes an error.
    fn parallel<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.pool.install(|| catch_panics(work))
    }

    fn check_plausible(&self, brain: &Array3<bool>, options: &Options<'_>) -> Result<()> {
        let doubts = plausible::doubts_about_prepared(self.input, brain);
        if doubts.is_empty() {
            return Ok(());
        }
        if !options.accept_implausible {
            return Err(Error::Refused(doubts.join("; ")));
        }
        if let Some(log) = options.log {
            doubts.iter().for_each(|doubt| log(LogLevel::Warning, &format!("accepted as asked: {doubt}")));
        }
        Ok(())
    }

    fn standard_grid(&self, brain: &Array3<bool>) -> Result<Grid> {
        let bounds = brain::bounding_box(brain)
            .ok_or_else(|| Error::BadImage("no voxel differs from zero: there is no brain in it".into()))?;
        standard::grid_around(self.input, bounds, Limits::default().max_axis)
    }

    /// Height (front to back) and width (left to right) of the slices, rounded up to what the network takes.
    fn window(&self, grid: &Grid) -> [usize; 2] {
        [grid.dims[1], grid.dims[0]].map(|size| size.next_multiple_of(self.model.card().size_multiple))
    }

    /// An upper bound on what will be allocated at once, checked before any of it is.
    fn check_memory(&self, grid: &Grid, network: &Network, limit: Option<u64>) -> Result<()> {
        let Some(limit) = limit else { return Ok(()) };
        let (input, standard, output) =
            (self.input.grid().len() as u64, grid.len() as u64, self.output.len() as u64);
        // Floats and masks: the input, its copy with a spread rim; the standard scan, its synthesis with its copy; the output.
        let volumes = 11 * input + 14 * standard + 5 * output;
        let network = self.model.weight_bytes() + self.threads as u64 * network.activation_bytes;
        let needed = volumes + network;
        if needed > limit {
            return Err(Error::OutOfMemory(format!(
                "this scan needs up to {needed} bytes with {} threads; the limit is {limit}",
                self.threads
            )));
        }
        Ok(())
    }

    fn to_standard(&self, brain: &Array3<bool>, grid: &Grid) -> Result<Standard> {
        let top = normalize::top_intensity(self.input, brain)?;
        let mut volume = resample::brain_onto(self.input, brain, grid)?;
        let brain = resample::mask_onto(brain, &self.input.grid(), grid)?;
        volume.change_by_mask(
            &brain,
            |value, inside| {
                if inside { (value / top).clamp(0.0, 1.0) } else { 0.0 }
            },
        );
        Ok(Standard { volume, brain })
    }

    /// Runs the generator on every slice that holds brain, and reports from the calling thread as slices are done.
    fn run_slices(
        &self,
        standard: &Standard,
        network: &Network,
        options: &mut Options<'_>,
    ) -> Result<Volume> {
        let [ni, nj, nk] = standard.volume.dims();
        let has_brain = |k: &usize| standard.brain.slice(s![.., .., *k]).iter().any(|inside| *inside);
        let slices: Vec<usize> = (0..nk).filter(has_brain).collect();
        let mut synthetic = Volume::zeros(&standard.volume.grid())?;
        let wanted: Vec<_> = synthetic
            .as_mut_slice()
            .chunks_mut(ni * nj)
            .enumerate()
            .filter(|(k, _)| slices.binary_search(k).is_ok())
            .collect();
        let cancelled = AtomicBool::new(false);
        let (sender, receiver) = mpsc::channel();
        let work = || {
            // The channel closes when the last slice is done or a slice has failed.
            wanted.into_par_iter().try_for_each_with(sender, |sender, (k, slice)| {
                if cancelled.load(Ordering::Relaxed) {
                    return Err(Error::Cancelled);
                }
                run_slice(standard, network, self.model.card().slices_in, k, slice)?;
                // Nobody listens any more once the call is cancelled.
                let _ = sender.send(());
                Ok(())
            })
        };
        let mut outcome = Ok(());
        let outcome_slot = &mut outcome;
        self.pool.in_place_scope(|scope| {
            scope.spawn(move |_| *outcome_slot = catch_panics(work));
            for (done, ()) in receiver.iter().enumerate() {
                let part = (done + 1) as f32 / slices.len() as f32;
                if report(options, BEFORE_SLICES + part * (AFTER_SLICES - BEFORE_SLICES)).is_err() {
                    cancelled.store(true, Ordering::Relaxed);
                    break;
                }
            }
        });
        outcome?;
        if cancelled.into_inner() { Err(Error::Cancelled) } else { Ok(synthetic) }
    }

    fn to_output(
        &self,
        synthetic: &Volume,
        standard_brain: &Array3<bool>,
        brain: &Array3<bool>,
    ) -> Result<Volume> {
        let mut output = resample::brain_onto(synthetic, standard_brain, self.output)?;
        let brain = resample::mask_onto(brain, &self.input.grid(), self.output)?;
        output.change_by_mask(&brain, |value, inside| if inside { value } else { 0.0 });
        Ok(output)
    }
}

fn report(options: &mut Options<'_>, fraction: f32) -> Result<()> {
    match options.progress.as_mut().map(|progress| progress(fraction)) {
        Some(ControlFlow::Break(())) => Err(Error::Cancelled),
        _ => Ok(()),
    }
}

/// Synthesizes axial slice `k` into `slice` (i fastest), 0..1 inside the brain and 0 outside.
fn run_slice(
    standard: &Standard,
    network: &Network,
    slices_in: usize,
    k: usize,
    slice: &mut [f32],
) -> Result<()> {
    let [ni, nj, nk] = standard.volume.dims();
    let [height, width] = network.window;
    let voxels = standard.volume.voxels();
    let mut input = Array3::zeros((slices_in, height, width));
    for channel in 0..slices_in {
        // Beyond the last slices there is no brain, and so nothing.
        let Some(neighbour) = (k + channel).checked_sub(slices_in / 2).filter(|&n| n < nk) else { continue };
        input.slice_mut(s![channel, ..nj, ..ni]).assign(&voxels.slice(s![.., .., neighbour]).t());
    }
    let values = network.run(input)?;
    let brain = standard.brain.slice(s![.., .., k]);
    for (j, row) in slice.chunks_mut(ni).enumerate() {
        for (i, voxel) in row.iter_mut().enumerate() {
            let value = values[j * width + i];
            if !value.is_finite() {
                return Err(Error::BadModel(format!("its result in slice {k} is not finite")));
            }
            *voxel = if brain[[i, j]] { value.clamp(0.0, 1.0) } else { 0.0 };
        }
    }
    Ok(())
}
