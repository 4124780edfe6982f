//! `mrisynth synthesize`: one scan in, its synthetic other contrast out.

use std::path::PathBuf;
use std::time::Instant;

use mrisynth::control::LogLevel;
use mrisynth::model::{Contrast, LoadOptions, Model};
use mrisynth::nifti::{self, Image, WriteOptions};
use mrisynth::prepare::{self, Prepared};
use mrisynth::provenance::{Provenance, SourceFile};
use mrisynth::synthesize::{InputState, Options, synthesize, synthesize_prepared};
use mrisynth::{Error, Result, Volume};
use serde::Serialize;

use crate::arguments::SynthesizeArguments;
use crate::batch::{self, Item, Plan};
use crate::dataset::{Dataset, IS_SYNTHETIC, is_synthetic, write_description};
use crate::exit::{self, Ending};
use crate::model::Identity;
use crate::names::ScanName;
use crate::output::{Kept, Outputs, is_nifti_name, sidecar_path};
use crate::report::{Console, one_line, print, print_json};
use crate::run::{
    IS_INPUT, IS_INPUTS_SIDECAR, IS_MASK, Task, check_input, check_single, name_of, read_mask, read_scan,
    thread_count, verbosity, with_control,
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
    let model = load_model(arguments)?;
    let outcome = Synthesis { arguments, model: &model, console: &console }.run(&task, &outputs);
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
    Task { input, output, sheet: arguments.preparation.qc.clone() }
}

fn named_as(contrast: Contrast) -> String {
    format!("named as {contrast}, the contrast to synthesize")
}

/// Synthesizes from every scan of a folder.
fn run_batch(arguments: &SynthesizeArguments) -> Result<Ending> {
    let (folder, output, options) = (&arguments.input, &arguments.output, &arguments.preparation);
    batch::check_arguments(output, options.mask.as_deref(), options.qc.as_deref())?;
    let dataset = Dataset::find(folder, &[other(arguments.to)])?;
    let description = dataset.description_for(output)?;
    let item = |scan: PathBuf| {
        let (input, name) = (folder.join(&scan), ScanName::of(&scan));
        let plan = match name {
            Some(name) if name.contrast() == Some(arguments.to) => Plan::Skip(named_as(arguments.to)),
            Some(name) if !is_synthetic(&input) => {
                let image = output.join(scan.with_file_name(name.synthetic(arguments.to)));
                let sheet = options.qc.as_deref().map(|folder| batch::sheet_in(folder, &name.stem));
                Plan::of(Task { input, output: image.clone(), sheet }, &image, &arguments.run)
            }
            _ => Plan::Skip(IS_SYNTHETIC.into()),
        };
        Item { name: scan, plan }
    };
    let mut items: Vec<_> = dataset.scans.iter().cloned().map(item).collect();
    batch::refuse_collisions(&mut items, |task| sidecar_path(&task.output));
    let model = load_model(arguments)?;
    let ending = batch::run(items, &arguments.run, |task, console| {
        check_input(&task.input)?;
        let outputs = check_outputs(arguments, task)?;
        Synthesis { arguments, model: &model, console }.run(task, &outputs)
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
        format!("{output}: synthetic {target} by {name} {version} in {seconds:.1} s")
    }
}

/// The image and the JSON file beside it, which goes first: where there is an image, its sidecar is there too.
fn check_outputs(arguments: &SynthesizeArguments, task: &Task) -> Result<Outputs> {
    let image = &task.output;
    if !is_nifti_name(image) {
        let message = "the output's name must end in .nii or .nii.gz, or be a folder that exists";
        return Err(Error::InvalidArgument(message.into()).in_file(image));
    }
    let kept = [
        Some((task.input.clone(), IS_INPUT)),
        Some((sidecar_path(&task.input), IS_INPUTS_SIDECAR)),
        arguments.preparation.mask.clone().map(|mask| (mask, IS_MASK)),
        arguments.model.clone().map(|model| (model, "it would replace the model")),
    ];
    let kept: Vec<Kept> = kept.into_iter().flatten().collect();
    let places = task.sheet.iter().cloned().chain([sidecar_path(image), image.clone()]).collect();
    Outputs::check(places, &kept, arguments.run.force)
}

/// What is the same for every scan of a run.
struct Synthesis<'a> {
    arguments: &'a SynthesizeArguments,
    model: &'a Model,
    console: &'a Console,
}

impl Synthesis<'_> {
    /// Synthesizes from one scan, and writes the result with its origin.
    fn run(&self, task: &Task, outputs: &Outputs) -> Result<Success> {
        let start = Instant::now();
        let image = read_scan(&task.input, self.console)?;
        let prepared = if self.arguments.prepared { None } else { Some(self.prepare(task, &image)?) };
        let synthetic =
            self.synthesize(&image, prepared.as_ref()).map_err(|fault| self.explain(fault, task))?;
        let provenance = self.provenance(task, prepared.as_ref())?;
        let sidecar = sidecar_path(&task.output);
        let staging = outputs.stage()?;
        staging.write_bytes(&sidecar, provenance.to_sidecar()?.as_bytes())?;
        let extension = provenance.to_json()?;
        let options = WriteOptions {
            voxel_type: self.arguments.dtype,
            description: provenance.description(),
            extension: Some(&extension),
            overwrite: false,
        };
        staging.write(&task.output, |path| nifti::write(path, &synthetic, &image.header, &options))?;
        if let Some(sheet) = &task.sheet {
            staging.write_bytes(sheet, &self.sheet(task, &image, prepared.as_ref(), &synthetic)?)?;
        }
        staging.publish()?;
        let record = prepared.as_ref().map(|prepared| &prepared.record);
        Ok(Success {
            synthetic: true,
            input: task.input.display().to_string(),
            output: task.output.display().to_string(),
            sidecar: sidecar.display().to_string(),
            qc: task.sheet.as_ref().map(|sheet| sheet.display().to_string()),
            source: self.model.card().source.to_string(),
            target: self.model.card().target.to_string(),
            model: Identity::of(self.model),
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

    fn synthesize(&self, image: &Image, prepared: Option<&Prepared>) -> Result<Volume> {
        let (scan, grid) = (&image.volume, image.volume.grid());
        let run = &self.arguments.run;
        match prepared {
            Some(prepared) => with_control(run, self.console, (PREPARATION, 1.0), |control| {
                synthesize_prepared(self.model, prepared, &grid, control)
            }),
            None => with_control(run, self.console, (0.0, 1.0), |control| {
                synthesize(self.model, scan, &grid, &Options::prepared(), control)
            }),
        }
    }

    fn sheet(
        &self,
        task: &Task,
        image: &Image,
        prepared: Option<&Prepared>,
        synthetic: &Volume,
    ) -> Result<Vec<u8>> {
        sheet::draw(&Subject {
            name: &name_of(&task.input),
            scan: &image.volume,
            prepared,
            synthetic: Some((synthetic, self.arguments.to)),
            warnings: &self.console.warnings(),
        })
    }

    fn provenance(&self, task: &Task, prepared: Option<&Prepared>) -> Result<Provenance> {
        let input_state = if prepared.is_some() { InputState::Raw } else { InputState::Prepared };
        let options = Options { input_state, ..Options::default() };
        let source = SourceFile::read(&task.input)?;
        let provenance = Provenance::new(self.model, source, &options, self.arguments.run.accept_implausible);
        Ok(match prepared {
            Some(prepared) => provenance.with_preparation(&prepared.record),
            None => provenance,
        })
    }

    /// `fault` with the file that it is about.
    fn explain(&self, fault: Error, task: &Task) -> Error {
        match (fault, &self.arguments.model) {
            (fault @ Error::BadModel(_), Some(model)) => fault.in_file(model),
            (fault, _) => fault.in_file(&task.input),
        }
    }
}

/// The model that the arguments name, or the embedded one.
fn load_model(arguments: &SynthesizeArguments) -> Result<Model> {
    let Some(path) = &arguments.model else {
        return Model::embedded(other(arguments.to), arguments.to);
    };
    let model = Model::open(path, &LoadOptions::default())?;
    let target = model.card().target;
    if target == arguments.to {
        return Ok(model);
    }
    let message = format!("the model synthesizes {target}, and --to asks for {}", arguments.to);
    Err(Error::InvalidArgument(message).in_file(path))
}

fn other(contrast: Contrast) -> Contrast {
    match contrast {
        Contrast::T1w => Contrast::T2w,
        Contrast::T2w => Contrast::T1w,
    }
}
