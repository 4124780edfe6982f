//! What every run on a scan does: read it and its mask, call the library, tell the user.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use mrisynth::control::LogLevel;
use mrisynth::nifti::{self, Image};
use mrisynth::provenance::says_synthetic;
use mrisynth::{Control, Error, Grid, Limits, Result};
use mrisynth_evaluation::threads;
use ndarray::Array3;

use crate::arguments::RunArguments;
use crate::output::require_folder_of;
use crate::report::{Console, Verbosity};

/// Checks what a run on one scan cannot have.
///
/// # Errors
/// [`Error::InvalidArgument`] for options of a batch, or a contact sheet that is not called `.png`; [`Error::Io`] if a
/// folder that results are to go into does not exist.
pub fn check_single(task: &Task, arguments: &RunArguments) -> Result<()> {
    if arguments.skip_existing {
        return Err(Error::InvalidArgument("--skip-existing goes with a batch".into()));
    }
    let is_png = |path: &Path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png"));
    if let Some(sheet) = &task.sheet {
        if !is_png(sheet) {
            let message = "a contact sheet's name must end in .png";
            return Err(Error::InvalidArgument(message.into()).in_file(sheet));
        }
        require_folder_of(sheet)?;
    }
    task.residual.as_deref().map_or(Ok(()), require_folder_of)?;
    require_folder_of(&task.output)
}

/// A file's name without its folder.
pub fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// What an output's fault is that would replace the scan.
pub const IS_INPUT: &str = "the output is the input";
/// What an output's fault is that would replace the scan's own JSON file.
pub const IS_INPUTS_SIDECAR: &str = "it would be the input's own JSON file: choose another name or folder";
/// What an output's fault is that would replace the mask.
pub const IS_MASK: &str = "it would replace the mask";

/// One scan's work: what is read, and where the results go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The scan.
    pub input: PathBuf,
    /// The file or folder for what is made of it.
    pub output: PathBuf,
    /// The file for the contact sheet, if there is to be one.
    pub sheet: Option<PathBuf>,
    /// The file for the map of what the way back loses, if there is to be one.
    pub residual: Option<PathBuf>,
}

/// How much to say, as the arguments have it.
pub fn verbosity(arguments: &RunArguments) -> Verbosity {
    let level = match (arguments.quiet, arguments.verbose) {
        (true, _) => LogLevel::Error,
        (false, 0) => LogLevel::Warning,
        (false, 1) => LogLevel::Information,
        (false, _) => LogLevel::Debug,
    };
    Verbosity { level, progress: !arguments.quiet && !arguments.json }
}

/// The number of threads that the library makes of `asked`.
pub fn thread_count(asked: u16) -> usize {
    Control { threads: asked.into(), ..Control::default() }.thread_count()
}

/// A missing input is told before any work; what is no regular file (a pipe, a device) cannot be read twice.
///
/// # Errors
/// [`Error::Io`] or [`Error::InvalidArgument`].
pub fn check_input(input: &Path) -> Result<()> {
    let metadata = std::fs::metadata(input).map_err(|fault| Error::io(input, fault))?;
    if metadata.is_file() {
        return Ok(());
    }
    Err(Error::InvalidArgument("the input is not a regular file".into()).in_file(input))
}

/// Reads a scan, and tells what is doubtful about the file. One that alone would pass the memory's limit is not read.
///
/// # Errors
/// Those of [`nifti::read`].
pub fn read_scan(path: &Path, arguments: &RunArguments, console: &Console) -> Result<Image> {
    let mut limits = Limits::default();
    if let Some(bytes) = arguments.memory_limit {
        limits.max_voxels = limits.max_voxels.min(bytes / size_of::<f32>() as u64);
    }
    let image = console.timed("reading", || nifti::read(path, &limits))?;
    image.warnings.iter().for_each(|warning| console.log(LogLevel::Warning, warning));
    if says_synthetic(image.header.description()) {
        console.log(LogLevel::Warning, "the scan is itself synthetic");
    }
    Ok(image)
}

/// Calls the library with the arguments' control; what it tells goes to the console, its progress as the part of the run
/// between two fractions.
///
/// # Errors
/// Those of the call.
pub fn with_control<T>(
    arguments: &RunArguments,
    console: &Console,
    (from, to): (f32, f32),
    call: impl FnOnce(&mut Control<'_>) -> Result<T>,
) -> Result<T> {
    let log = |level: LogLevel, message: &str| console.log(level, message);
    let mut progress = |fraction: f32| {
        console.progress(from + (to - from) * fraction);
        ControlFlow::Continue(())
    };
    call(&mut Control {
        threads: arguments.threads.into(),
        accept_implausible: arguments.accept_implausible,
        memory_limit: arguments.memory_limit,
        progress: Some(&mut progress),
        log: Some(&log),
    })
}

/// Does work outside of the library's calls, such as compressing files, on as many threads as the arguments say.
///
/// # Errors
/// Those of the work; [`Error::OutOfMemory`] if no threads can be had.
pub fn on_threads<T: Send>(arguments: &RunArguments, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    threads::run_on(thread_count(arguments.threads), || Ok(work()?)).map_err(Into::into)
}

/// Reads a mask that lies on the scan's grid: brain is what is not 0.
///
/// # Errors
/// Those of [`nifti::read`]; [`Error::BadImage`], naming the axis and the difference, for a mask on another grid, and for
/// voxels that are no numbers.
pub fn read_mask(path: &Path, scan: &Grid) -> Result<Array3<bool>> {
    let volume = nifti::read(path, &Limits::default())?.volume;
    check_grid(&volume.grid(), scan).map_err(|fault| fault.in_file(path))?;
    if volume.as_slice().iter().any(|value| value.is_nan()) {
        return Err(Error::BadImage("the mask has voxels that are not numbers".into()).in_file(path));
    }
    Ok(volume.voxels().mapv(|value| value != 0.0))
}

fn check_grid(mask: &Grid, scan: &Grid) -> Result<()> {
    let different =
        |text: String| Err(Error::BadImage(format!("the mask is not on the scan's grid: {text}")));
    for (axis, name) in ["i", "j", "k"].into_iter().enumerate() {
        let (voxels, wanted) = (mask.dims[axis], scan.dims[axis]);
        if voxels != wanted {
            return different(format!("it has {voxels} voxels along axis {name}, the scan {wanted}"));
        }
    }
    let differences = mask.corners_apart(scan);
    if differences.iter().all(|difference| *difference <= Grid::SAME_PLACE_WITHIN) {
        return Ok(());
    }
    let [across, along, up] = differences;
    different(format!(
        "its corners are up to {across:.2} mm off from left to right, {along:.2} mm from back to front, {up:.2} mm from \
         bottom to top"
    ))
}

#[cfg(test)]
mod tests {
    use mrisynth::Affine;

    use super::*;

    #[test]
    fn a_mask_on_another_grid_says_where_it_differs() {
        let grid = |dims, sizes, origin| Grid { dims, affine: Affine::from_sizes(sizes, origin).unwrap() };
        let scan = grid([10, 20, 30], [1.0, 1.0, 3.0], [0.0; 3]);
        assert!(check_grid(&grid([10, 20, 30], [1.0, 1.0, 3.0], [0.009, 0.0, 0.0]), &scan).is_ok());
        for (mask, part) in [
            (grid([10, 21, 30], [1.0, 1.0, 3.0], [0.0; 3]), "21 voxels along axis j, the scan 20"),
            (grid([10, 20, 30], [1.0, 1.0, 3.0], [0.0, 1.5, 0.0]), "1.50 mm from back to front"),
            (grid([10, 20, 30], [1.0, 1.0, 3.1], [0.0; 3]), "2.90 mm from bottom to top"),
        ] {
            let fault = check_grid(&mask, &scan).unwrap_err().to_string();
            assert!(fault.contains(part), "{fault}");
        }
    }
}
