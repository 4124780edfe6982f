//! `mrisynth segment`: a prepared scan in, a label map of its tissues and a mask of its lesions out.

mod table;

use std::path::{Path, PathBuf};

use mrisynth::control::LogLevel;
use mrisynth::nifti::{self, Header, VoxelType};
use mrisynth::provenance::{Provenance, SourceFile};
use mrisynth::{Error, Grid, Limits, Result, Volume};
use mrisynth_evaluation::pair::input::{Input, check_files};
use mrisynth_evaluation::segmentation::lesions::Sequence;
use mrisynth_evaluation::segmentation::reference::{self, BrainSource, Filled, Scans, Segmentation};
use mrisynth_evaluation::segmentation::tissue::{Gaussian, Tissue};
use mrisynth_evaluation::threads;
use serde::Serialize;

use crate::arguments::SegmentArguments;
use crate::output::{Kept, Outputs, Staging, is_nifti_name, require_folder_of, sidecar_path, write_image};
use crate::report::{Console, Verbosity, print, print_json};
use crate::run::thread_count;

/// What an output's fault is that would replace what is read, or the JSON file beside it.
const IS_INPUT: &str = "it would replace an input";

const NOTICE: &str = "Research software: a reference to compare images by, not a measurement of a patient.";

/// The result as `--json` shows it.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    notice: &'static str,
    scan: String,
    scan_is_synthetic: bool,
    contrast: String,
    mask: Option<String>,
    lesions: Option<String>,
    flair: Option<String>,
    t2w: Option<String>,
    output: String,
    lesions_output: Option<String>,
    dims: [usize; 3],
    voxel_sizes_mm: [f64; 3],
    brain: BrainSource,
    brain_ml: f64,
    overlap: Option<f64>,
    volumes: Tissues<VolumeOf>,
    intensities: Tissues<Gaussian>,
    rounds: usize,
    converged: bool,
    lesions_filled: Option<Filled>,
    lesions_filled_ml: f64,
    lesions_found: Option<Found>,
    warnings: Vec<String>,
}

/// A value for each tissue, by the names that `evaluate` has for them.
#[derive(Serialize)]
struct Tissues<T> {
    csf: T,
    grey_matter: T,
    white_matter: T,
}

impl<T> Tissues<T> {
    fn of(value: impl Fn(Tissue) -> T) -> Self {
        Self {
            csf: value(Tissue::Fluid),
            grey_matter: value(Tissue::Grey),
            white_matter: value(Tissue::White),
        }
    }
}

#[derive(Serialize)]
struct VolumeOf {
    labelled_ml: f64,
    probable_ml: f64,
}

#[derive(Serialize)]
struct Found {
    ml: f64,
    count: usize,
    rounds: usize,
    converged: bool,
}

/// Segments as the arguments say, writes the results and prints their volumes.
///
/// # Errors
/// Any of the library's, and those of `reference::segment`; then nothing was written.
pub fn run(arguments: &SegmentArguments) -> Result<()> {
    let files = files(arguments);
    files.check()?;
    check_files(files.parts().map(PathBuf::as_path))?;
    let outputs = check_outputs(&files, arguments)?;

    let level = if arguments.quiet { LogLevel::Error } else { LogLevel::Warning };
    let console = Console::new(Verbosity { level, progress: false });
    let image = nifti::read(&files.scan, &Limits::default())?;
    let place = Place { grid: image.volume.grid(), header: image.header.clone() };
    let mut scan = Some(Input::of_image(&files.scan, image));
    // The scan is the first part, and is read already.
    let scans = files.clone().try_map(|file| match scan.take() {
        Some(scan) => Ok(scan),
        None => Input::read(&file, &Limits::default()),
    })?;
    let synthetic = scans.scan.says_synthetic;
    let found = threads::run_on(thread_count(arguments.threads), || {
        reference::segment(&scans, arguments.accept_implausible)
    })?;
    found.warnings.iter().for_each(|warning| console.log(LogLevel::Warning, warning));

    let made = Made { files: &files, arguments, place: &place, synthetic };
    made.write(&outputs, &found)?;

    let report = Report::new(&files, arguments, &place.grid, synthetic, &found);
    match (arguments.json, arguments.quiet) {
        (true, _) => print_json(&report),
        (false, true) => Ok(()),
        (false, false) => print(&table::of(&report)),
    }
}

/// The files that are read.
fn files(arguments: &SegmentArguments) -> Scans<PathBuf> {
    let flair = arguments.flair.clone().map(|file| (Sequence::Flair, file));
    let t2w = arguments.t2w.clone().map(|file| (Sequence::T2w, file));
    Scans {
        mask: arguments.mask.clone(),
        lesions: arguments.lesions.clone(),
        bright: flair.or(t2w),
        ..Scans::new(arguments.scan.clone(), arguments.contrast)
    }
}

fn check_outputs(files: &Scans<PathBuf>, arguments: &SegmentArguments) -> Result<Outputs> {
    let images: Vec<PathBuf> = arguments.lesions_output.iter().chain([&arguments.output]).cloned().collect();
    for place in &images {
        if !is_nifti_name(place) {
            let fault = "a segmentation's name must end in .nii or .nii.gz";
            return Err(Error::InvalidArgument(fault.into()).in_file(place));
        }
        require_folder_of(place)?;
    }
    let kept: Vec<Kept> = files
        .parts()
        .flat_map(|input| [(input.clone(), IS_INPUT), (sidecar_path(input), IS_INPUT)])
        .collect();
    let with_sidecar = |image: &PathBuf| [sidecar_path(image), image.clone()];
    Outputs::check(images.iter().flat_map(with_sidecar).collect(), &kept, arguments.force)
}

/// Where the scan's voxels lie, as its file has it.
struct Place {
    grid: Grid,
    header: Header,
}

/// What is made of the files, and where it goes.
struct Made<'a> {
    files: &'a Scans<PathBuf>,
    arguments: &'a SegmentArguments,
    place: &'a Place,
    /// Whether the scan is.
    synthetic: bool,
}

impl Made<'_> {
    fn write(&self, outputs: &Outputs, found: &Segmentation) -> Result<()> {
        let (grid, staging, origin) = (&self.place.grid, outputs.stage()?, self.origin()?);
        let labels = found.on(grid, &found.tissues.labels, f32::from)?;
        self.write_image(&staging, &self.arguments.output, &labels, &origin)?;
        if let (Some(file), Some(lesions)) = (&self.arguments.lesions_output, &found.lesions) {
            let mask = found.on(grid, &lesions.mask, |lesion| f32::from(u8::from(lesion)))?;
            self.write_image(&staging, file, &mask, &origin)?;
        }
        staging.publish()
    }

    fn origin(&self) -> Result<Provenance> {
        let description =
            if self.synthetic { reference::DESCRIPTION_OF_SYNTHETIC } else { reference::DESCRIPTION };
        let mut sources = self.files.parts().map(|file| SourceFile::read(file));
        // The scan is the first part.
        let scan = sources.next().unwrap_or_else(|| SourceFile::read(&self.files.scan))?;
        let others = sources.collect::<Result<_>>()?;
        let accepted = self.arguments.accept_implausible;
        Ok(Provenance::derived(description.into(), scan, others, self.synthetic, accepted))
    }

    fn write_image(
        &self,
        staging: &Staging<'_>,
        place: &Path,
        volume: &Volume,
        origin: &Provenance,
    ) -> Result<()> {
        let origin = origin.clone().of_image(volume, VoxelType::Label);
        write_image(staging, place, volume, &self.place.header, &origin, VoxelType::Label)?;
        staging.write_bytes(&sidecar_path(place), origin.to_sidecar()?.as_bytes())
    }
}

impl Report {
    fn new(
        files: &Scans<PathBuf>,
        arguments: &SegmentArguments,
        grid: &Grid,
        scan_is_synthetic: bool,
        found: &Segmentation,
    ) -> Self {
        let name = |path: &PathBuf| path.display().to_string();
        let volumes = found.tissues.volumes(found.grid.affine.voxel_sizes());
        Self {
            version: env!("CARGO_PKG_VERSION"),
            notice: NOTICE,
            scan: name(&files.scan),
            scan_is_synthetic,
            contrast: files.contrast.to_string(),
            mask: files.mask.as_ref().map(name),
            lesions: files.lesions.as_ref().map(name),
            flair: arguments.flair.as_ref().map(name),
            t2w: arguments.t2w.as_ref().map(name),
            output: name(&arguments.output),
            lesions_output: arguments.lesions_output.as_ref().map(name),
            dims: grid.dims,
            voxel_sizes_mm: grid.affine.voxel_sizes(),
            brain: found.brain_source,
            brain_ml: found.millilitres(&found.brain),
            overlap: found.priors.registration().map(|registration| registration.overlap),
            volumes: Tissues::of(|tissue| VolumeOf {
                labelled_ml: volumes.labelled[tissue.index()],
                probable_ml: volumes.probable[tissue.index()],
            }),
            intensities: Tissues::of(|tissue| found.tissues.intensities[tissue.index()]),
            rounds: found.tissues.rounds,
            converged: found.tissues.converged,
            lesions_filled: found.filled,
            lesions_filled_ml: found.filled_ml,
            lesions_found: found.lesions.as_ref().zip(found.lesion_count()).map(|(lesions, count)| Found {
                ml: found.millilitres(&lesions.mask),
                count,
                rounds: lesions.rounds,
                converged: lesions.converged,
            }),
            warnings: found.warnings.clone(),
        }
    }
}
