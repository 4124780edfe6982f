//! `mrisynth synthesize`: one scan in, its synthetic other contrast out.

use std::path::PathBuf;
use std::time::Instant;

use mrisynth::control::LogLevel;
use mrisynth::model::{Contrast, LoadOptions, Model};
use mrisynth::nifti::{Image, VoxelType};
use mrisynth::prepare::{self, Prepared};
use mrisynth::provenance::{Provenance, SourceFile};
use mrisynth::residual::{self, Residual, RoundTrip, Summary, round_trip, round_trip_prepared};
use mrisynth::synthesize::{InputState, Options, synthesize, synthesize_prepared};
use mrisynth::{Error, Result, Volume};
use serde::Serialize;

use crate::arguments::SynthesizeArguments;
use crate::batch::{self, Item, Plan};
use crate::dataset::{Dataset, IS_SYNTHETIC, is_synthetic, write_description};
use crate::exit::{self, Ending};
use crate::model::{self, Identity};
use crate::names::ScanName;
use crate::output::{Kept, Outputs, Staging, is_nifti_name, sidecar_path, write_image};
use crate::report::{Console, one_line, print, print_json};
use crate::run::{
    IS_INPUT, IS_INPUTS_SIDECAR, IS_MASK, Task, check_input, check_single, name_of, on_threads, read_mask,
    read_scan, thread_count, verbosity, with_control,
};
use crate::sheet::{self, Subject};

/// The part of the work that the preparation of a raw scan is.
const PREPARATION: f32 = 0.6;

/// A result as `--json` shows it.
#[derive(Serialize)]
pub struct Success {
    synthetic: bool,
    input: String,
    output: String,
    sidecar: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    qc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    residual: Option<ResidualReport>,
    source: String,
    target: String,
    model: Identity,
    dims: [usize; 3],
    #[serde(skip_serializing_if = "Option::is_none")]
    brain_ml: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overlap: Option<f64>,
    threads: usize,
    seconds: f64,
    warnings: Vec<String>,
}

/// A cycle residual as `--json` shows it.
#[derive(Serialize)]
struct ResidualReport {
    output: String,
    sidecar: String,
    #[serde(flatten)]
    summary: Summary,
    model: Identity,
}

/// Synthesizes as the arguments say, and prints the result.
///
/// # Errors
/// Any of the library's; then nothing was written.
pub fn run(arguments: &SynthesizeArguments) -> Result<Ending> {
    if arguments.input.is_dir() {
        return run_batch(arguments);
    }
    let console = Console::new(verbosity(&arguments.run));
    let task = single_task(arguments, &console);
    check_single(&task, &arguments.run)?;
    check_input(&task.input)?;
    let outputs = check_outputs(arguments, &task)?;
    let models = console.timed("model's loading", || Models::load(arguments))?;
    let outcome = Synthesis { arguments, models: &models, console: &console }.run(&task, &outputs);
    console.finish();
    let success = outcome?;
    if arguments.run.json {
        print_json(&success)?;
    } else if !arguments.run.quiet {
        print(&one_line(&success.to_line()))?;
    }
    Ok(exit::OK)
}

/// The one scan; its image goes into a folder under a name of its own.
fn single_task(arguments: &SynthesizeArguments, console: &Console) -> Task {
    let (input, mut output) = (arguments.input.clone(), arguments.output.clone());
    if let Some(name) = ScanName::of(&input) {
        if name.contrast() == Some(arguments.to) {
            console.log(LogLevel::Warning, &format!("the scan is {}", named_as(arguments.to)));
        }
        if output.is_dir() {
            output.push(name.synthetic(arguments.to));
        }
    }
    let (sheet, residual) = (arguments.preparation.qc.clone(), arguments.residual.clone());
    Task { input, output, sheet, residual }
}

fn named_as(contrast: Contrast) -> String {
    format!("named as {contrast}, the contrast to synthesize")
}

/// Synthesizes from every scan of a folder.
fn run_batch(arguments: &SynthesizeArguments) -> Result<Ending> {
    let (folder, output, options) = (&arguments.input, &arguments.output, &arguments.preparation);
    let folders = [options.qc.as_deref(), arguments.residual.as_deref()];
    batch::check_arguments(output, options.mask.as_deref(), &folders)?;
    let dataset = Dataset::find(folder, &[arguments.to.other()])?;
    let description = dataset.description_for(output)?;
    let item = |scan: PathBuf| {
        let (input, name) = (folder.join(&scan), ScanName::of(&scan));
        let plan = match name {
            Some(name) if name.contrast() == Some(arguments.to) => Plan::Skip(named_as(arguments.to)),
            Some(name) if !is_synthetic(&input) => {
                let image = output.join(scan.with_file_name(name.synthetic(arguments.to)));
                let [sheets, residuals] = folders;
                let sheet = sheets.map(|folder| batch::sheet_in(folder, &name.stem));
                let residual = residuals.map(|folder| batch::residual_in(folder, &name.stem));
                Plan::of(Task { input, output: image.clone(), sheet, residual }, &image, &arguments.run)
            }
            _ => Plan::Skip(IS_SYNTHETIC.into()),
        };
        Item { name: scan, plan }
    };
    let mut items: Vec<_> = dataset.scans.iter().cloned().map(item).collect();
    batch::refuse_collisions(&mut items, |task| sidecar_path(&task.output));
    batch::refuse_collisions(&mut items, |task| task.residual.clone().unwrap_or(task.output.clone()));
    let models = Models::load(arguments)?;
    let ending = batch::run(items, &arguments.run, |task, console| {
        check_input(&task.input)?;
        let outputs = check_outputs(arguments, task)?;
        Synthesis { arguments, models: &models, console }.run(task, &outputs)
    })?;
    // Where nothing could be made there is nothing to describe.
    match description.filter(|_| output.is_dir()) {
        Some((place, description)) => write_description(&place, &description).map(|()| ending),
        None => Ok(ending),
    }
}

impl Success {
    fn to_line(&self) -> String {
        let Self { output, target, seconds, .. } = self;
        let (name, version) = self.model.name_and_version();
        let residual = self.residual.as_ref().map(|ResidualReport { output, summary, .. }| {
            let Summary { median, percentile_95, .. } = summary;
            format!("; {output}: cycle residual, median {median:.3}, 95th percentile {percentile_95:.3}")
        });
        let residual = residual.unwrap_or_default();
        format!("{output}: synthetic {target} by {name} {version} in {seconds:.1} s{residual}")
    }
}

/// The image and the JSON file beside it, which goes first: where there is an image, its sidecar is there too. Before both
/// what else is asked for.
fn check_outputs(arguments: &SynthesizeArguments, task: &Task) -> Result<Outputs> {
    let image = &task.output;
    let invalid = |message: &str, place| Err(Error::InvalidArgument(message.into()).in_file(place));
    if !is_nifti_name(image) {
        return invalid("the output's name must end in .nii or .nii.gz, or be a folder that exists", image);
    }
    if let Some(residual) = task.residual.as_ref().filter(|residual| !is_nifti_name(residual)) {
        return invalid("a residual's name must end in .nii or .nii.gz", residual);
    }
    let kept = [
        Some((task.input.clone(), IS_INPUT)),
        Some((sidecar_path(&task.input), IS_INPUTS_SIDECAR)),
        arguments.preparation.mask.clone().map(|mask| (mask, IS_MASK)),
        arguments.model.clone().map(|model| (model, "it would replace the model")),
        arguments.residual_model.clone().map(|model| (model, "it would replace the model of the way back")),
    ];
    let kept: Vec<Kept> = kept.into_iter().flatten().collect();
    let with_sidecar = |image: &PathBuf| [sidecar_path(image), image.clone()];
    let images = task.residual.iter().chain([image]).flat_map(with_sidecar);
    Outputs::check(task.sheet.iter().cloned().chain(images).collect(), &kept, arguments.run.force)
}

/// What is the same for every scan of a run.
struct Synthesis<'a> {
    arguments: &'a SynthesizeArguments,
    models: &'a Models,
    console: &'a Console,
}

impl Synthesis<'_> {
    /// Synthesizes from one scan, and writes the result with its origin.
    fn run(&self, task: &Task, outputs: &Outputs) -> Result<Success> {
        let start = Instant::now();
        let image = read_scan(&task.input, &self.arguments.run, self.console)?;
        let prepared = if self.arguments.prepared { None } else { Some(self.prepare(task, &image)?) };
        let (synthetic, residual) =
            self.synthesize(&image, prepared.as_ref()).map_err(|fault| self.explain(fault, task))?;
        let results = Results { task, image: &image, prepared: prepared.as_ref(), synthetic, residual };
        self.console
            .timed("writing", || on_threads(&self.arguments.run, || self.publish(outputs, &results)))?;
        let record = prepared.as_ref().map(|prepared| &prepared.record);
        let model = &self.models.there;
        Ok(Success {
            synthetic: true,
            input: task.input.display().to_string(),
            output: task.output.display().to_string(),
            sidecar: sidecar_path(&task.output).display().to_string(),
            qc: task.sheet.as_ref().map(|sheet| sheet.display().to_string()),
            residual: self.report_residual(&results),
            source: model.card().source.to_string(),
            target: model.card().target.to_string(),
            model: Identity::of(model),
            dims: image.volume.dims(),
            brain_ml: record.and_then(prepare::Record::brain_ml),
            overlap: record.and_then(prepare::Record::overlap),
            threads: thread_count(self.arguments.run.threads),
            seconds: start.elapsed().as_secs_f64(),
            warnings: self.console.warnings(),
        })
    }

    fn prepare(&self, task: &Task, image: &Image) -> Result<Prepared> {
        let mask = self.arguments.preparation.mask.as_deref();
        let mask = mask.map(|mask| read_mask(mask, &image.volume.grid())).transpose()?;
        let options = prepare::Options { mask, ..self.arguments.preparation.options() };
        let part = (0.0, PREPARATION);
        with_control(&self.arguments.run, self.console, part, |control| {
            mrisynth::prepare(&image.volume, &options, control)
        })
        .map_err(|fault| fault.in_file(&task.input))
    }

    /// The image, and the residual if there is a way back.
    fn synthesize(&self, image: &Image, prepared: Option<&Prepared>) -> Result<(Volume, Option<Residual>)> {
        let (scan, grid) = (&image.volume, image.volume.grid());
        let (there, options) = (&self.models.there, Options::prepared());
        let part = if prepared.is_some() { (PREPARATION, 1.0) } else { (0.0, 1.0) };
        let alone = |synthetic| (synthetic, None);
        let both = |RoundTrip { synthetic, residual }| (synthetic, Some(residual));
        with_control(&self.arguments.run, self.console, part, |control| match (&self.models.back, prepared) {
            (Some(back), Some(prepared)) => {
                round_trip_prepared(there, back, prepared, &grid, control).map(both)
            }
            (Some(back), None) => round_trip(there, back, scan, &grid, &options, control).map(both),
            (None, Some(prepared)) => synthesize_prepared(there, prepared, &grid, control).map(alone),
            (None, None) => synthesize(there, scan, &grid, &options, control).map(alone),
        })
    }

    /// Writes the results with their origin, and shows them where they belong.
    fn publish(&self, outputs: &Outputs, results: &Results<'_>) -> Result<()> {
        let provenance = self.provenance(results.task, results.prepared)?;
        let staging = outputs.stage()?;
        self.write(&staging, results, provenance)?;
        staging.publish()
    }

    /// Writes the results to where they are until all of them are whole. The image is the same bytes with a residual and
    /// without; its JSON file and the map hold the residual's figures.
    fn write(&self, staging: &Staging<'_>, results: &Results<'_>, provenance: Provenance) -> Result<()> {
        let task = results.task;
        let header = &results.image.header;
        let of_map = provenance.clone().of_residual();
        let warnings = self.console.warnings();
        let mut provenance = provenance
            .with_quality_control(&results.synthetic, &warnings)
            .of_image(&results.synthetic, self.arguments.dtype);
        write_image(staging, &task.output, &results.synthetic, header, &provenance, self.arguments.dtype)?;
        if let (Some(place), Some(residual), Some(back)) =
            (&task.residual, &results.residual, &self.models.back)
        {
            provenance = provenance.with_residual(back, &residual.summary);
            let voxel_type = VoxelType::Float32;
            let of_map = of_map.with_residual(back, &residual.summary).of_image(&residual.map, voxel_type);
            staging.write_bytes(&sidecar_path(place), of_map.to_sidecar()?.as_bytes())?;
            write_image(staging, place, &residual.map, header, &of_map, voxel_type)?;
        }
        staging.write_bytes(&sidecar_path(&task.output), provenance.to_sidecar()?.as_bytes())?;
        if let Some(sheet) = &task.sheet {
            staging.write_bytes(sheet, &self.sheet(results)?)?;
        }
        Ok(())
    }

    fn sheet(&self, results: &Results<'_>) -> Result<Vec<u8>> {
        sheet::draw(&Subject {
            name: &name_of(&results.task.input),
            scan: &results.image.volume,
            prepared: results.prepared,
            synthetic: Some((&results.synthetic, self.arguments.to)),
            residual: results.residual.as_ref(),
            warnings: &self.console.warnings(),
        })
    }

    fn report_residual(&self, results: &Results<'_>) -> Option<ResidualReport> {
        let (place, residual) = (results.task.residual.as_ref()?, results.residual.as_ref()?);
        Some(ResidualReport {
            output: place.display().to_string(),
            sidecar: sidecar_path(place).display().to_string(),
            summary: residual.summary,
            model: Identity::of(self.models.back.as_ref()?),
        })
    }

    fn provenance(&self, task: &Task, prepared: Option<&Prepared>) -> Result<Provenance> {
        let input_state = if prepared.is_some() { InputState::Raw } else { InputState::Prepared };
        let options = Options { input_state, ..Options::default() };
        let source = SourceFile::read(&task.input)?;
        let model = &self.models.there;
        let provenance = Provenance::new(model, source, &options, self.arguments.run.accept_implausible);
        Ok(match prepared {
            Some(prepared) => provenance.with_preparation(&prepared.record),
            None => provenance,
        })
    }

    /// `fault` with the file that it is about.
    fn explain(&self, fault: Error, task: &Task) -> Error {
        match (fault, &self.arguments.model) {
            // With two models the fault itself names the one.
            (fault @ Error::BadModel(_), Some(model)) if self.models.back.is_none() => fault.in_file(model),
            (fault, _) => fault.in_file(&task.input),
        }
    }
}

/// What was made of a scan, and is to be written.
struct Results<'a> {
    task: &'a Task,
    image: &'a Image,
    prepared: Option<&'a Prepared>,
    synthetic: Volume,
    residual: Option<Residual>,
}

/// The models of a run.
struct Models {
    there: Model,
    /// There is one if a residual is asked for.
    back: Option<Model>,
}

impl Models {
    fn load(arguments: &SynthesizeArguments) -> Result<Self> {
        let options = load_options(arguments)?;
        let there = Model::for_target(arguments.model.as_deref(), arguments.to, &options)?;
        let back = arguments.residual.as_ref().map(|_| load_back(&there, arguments)).transpose()?;
        Ok(Self { there, back })
    }
}

fn load_options(arguments: &SynthesizeArguments) -> Result<LoadOptions> {
    let signer = model::signer(arguments.public_key.as_deref(), None)?;
    Ok(LoadOptions { signer, memory_limit: arguments.run.memory_limit, ..LoadOptions::default() })
}

/// The model that leads back from what `there` synthesizes: the one that the arguments name, or the embedded one.
fn load_back(there: &Model, arguments: &SynthesizeArguments) -> Result<Model> {
    let mut options = load_options(arguments)?;
    // Beside the model for the way there.
    options.memory_limit = options.memory_limit.map(|limit| limit.saturating_sub(there.weight_bytes()));
    let Some(path) = &arguments.residual_model else {
        return Model::for_target(None, there.card().source, &options);
    };
    let back = Model::open(path, &options)?;
    residual::check_back(there, &back).map_err(|fault| fault.in_file(path))?;
    Ok(back)
}
