//! `mrisynth synthesize`: one scan in, its synthetic other contrast out.

use std::time::Instant;

use mrisynth::model::{Contrast, LoadOptions, Model};
use mrisynth::nifti::{self, Image, WriteOptions};
use mrisynth::prepare::{self, Prepared};
use mrisynth::provenance::{Provenance, SourceFile};
use mrisynth::synthesize::{InputState, Options, synthesize, synthesize_prepared};
use mrisynth::{Error, Result, Volume};
use serde::Serialize;

use crate::arguments::SynthesizeArguments;
use crate::exit::{self, Ending};
use crate::model::Identity;
use crate::output::{Kept, Outputs, is_nifti_name, require_folder_of, sidecar_path};
use crate::report::{Console, one_line, print, print_json};
use crate::run::{
    IS_INPUT, IS_INPUTS_SIDECAR, IS_MASK, Task, check_input, read_mask, read_scan, thread_count, verbosity,
    with_control,
};

/// The part of the work that the preparation of a raw scan is.
const PREPARATION: f32 = 0.6;

/// A result as `--json` shows it.
#[derive(Serialize)]
pub struct Success {
    synthetic: bool,
    input: String,
    output: String,
    sidecar: String,
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
    let task = Task { input: arguments.input.clone(), output: arguments.output.clone() };
    require_folder_of(&task.output)?;
    check_input(&task.input)?;
    let outputs = check_outputs(arguments, &task)?;
    let console = Console::new(verbosity(&arguments.run));
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
        let message = "the output's name must end in .nii or .nii.gz";
        return Err(Error::InvalidArgument(message.into()).in_file(image));
    }
    let kept = [
        Some((task.input.clone(), IS_INPUT)),
        Some((sidecar_path(&task.input), IS_INPUTS_SIDECAR)),
        arguments.preparation.mask.clone().map(|mask| (mask, IS_MASK)),
        arguments.model.clone().map(|model| (model, "it would replace the model")),
    ];
    let kept: Vec<Kept> = kept.into_iter().flatten().collect();
    Outputs::check(vec![sidecar_path(image), image.clone()], &kept, arguments.run.force)
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
        staging.publish()?;
        let record = prepared.as_ref().map(|prepared| &prepared.record);
        Ok(Success {
            synthetic: true,
            input: task.input.display().to_string(),
            output: task.output.display().to_string(),
            sidecar: sidecar.display().to_string(),
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
