//! `mrisynth synthesize`: one scan in, its synthetic other contrast out.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use mrisynth::control::LogLevel;
use mrisynth::model::{Contrast, LoadOptions, Model};
use mrisynth::nifti::{self, Image};
use mrisynth::provenance::{Provenance, SourceFile};
use mrisynth::synthesize::{InputState, Options, synthesize};
use mrisynth::{Control, Error, Limits, Result};
use serde::Serialize;

use crate::arguments::SynthesizeArguments;
use crate::model::Identity;
use crate::output::Output;
use crate::report::{Console, Verbosity, one_line, print, print_json};

/// A result as `--json` shows it.
#[derive(Serialize)]
struct Success {
    synthetic: bool,
    input: String,
    output: String,
    sidecar: String,
    source: String,
    target: String,
    model: Identity,
    dims: [usize; 3],
    threads: usize,
    seconds: f64,
    warnings: Vec<String>,
}

/// Synthesizes as the arguments say, and prints the result.
///
/// # Errors
/// Any of the library's; then nothing was written.
pub fn run(arguments: &SynthesizeArguments) -> Result<()> {
    let start = Instant::now();
    check_input(&arguments.input)?;
    let output =
        Output::check(&arguments.output, &arguments.input, arguments.model.as_deref(), arguments.force)?;
    let console = Console::new(verbosity(arguments));
    let model = load_model(arguments)?;
    let image = nifti::read(&arguments.input, &Limits::default())?;
    image.warnings.iter().for_each(|warning| console.log(LogLevel::Warning, warning));
    let outcome = write_synthetic(arguments, &console, &model, &image, &output);
    console.finish();
    outcome?;
    if arguments.json {
        let (input, sidecar) = (&arguments.input, output.sidecar());
        return print_json(&Success {
            synthetic: true,
            input: input.display().to_string(),
            output: arguments.output.display().to_string(),
            sidecar: sidecar.display().to_string(),
            source: model.card().source.to_string(),
            target: model.card().target.to_string(),
            model: Identity::of(&model),
            dims: image.volume.dims(),
            threads: thread_count(arguments.threads),
            seconds: start.elapsed().as_secs_f64(),
            warnings: console.warnings(),
        });
    }
    if arguments.quiet {
        return Ok(());
    }
    let (card, path) = (model.card(), arguments.output.display());
    let seconds = start.elapsed().as_secs_f64();
    print(&one_line(&format!(
        "{path}: synthetic {} by {} {} in {seconds:.1} s",
        card.target, card.name, card.version
    )))
}

/// Synthesizes from `image` and writes the result with its origin.
fn write_synthetic(
    arguments: &SynthesizeArguments,
    console: &Console,
    model: &Model,
    image: &Image,
    output: &Output,
) -> Result<()> {
    let log = |level: LogLevel, message: &str| console.log(level, message);
    let mut progress = |fraction: f32| {
        console.progress(fraction);
        ControlFlow::Continue(())
    };
    let input_state = if arguments.prepared { InputState::Prepared } else { InputState::Raw };
    let options = Options { input_state, ..Options::default() };
    let mut control = Control {
        threads: arguments.threads.into(),
        accept_implausible: arguments.accept_implausible,
        memory_limit: arguments.memory_limit,
        progress: Some(&mut progress),
        log: Some(&log),
    };
    let provenance =
        Provenance::new(model, SourceFile::read(&arguments.input)?, &options, arguments.accept_implausible);
    let synthetic = synthesize(model, &image.volume, &image.volume.grid(), &options, &mut control)
        .map_err(|fault| explain(fault, arguments))?;
    output.write(&synthetic, &image.header, arguments.dtype, &provenance)
}

/// A missing input is told before any work; what is no regular file (a pipe, a device) cannot be read twice.
fn check_input(input: &Path) -> Result<()> {
    let metadata = std::fs::metadata(input).map_err(|fault| Error::io(input, fault))?;
    if metadata.is_file() {
        return Ok(());
    }
    Err(Error::InvalidArgument("the input is not a regular file".into()).in_file(input))
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

/// `fault` with the file that it is about, and the option that may help.
fn explain(fault: Error, arguments: &SynthesizeArguments) -> Error {
    match (fault, &arguments.model) {
        (fault @ Error::BadModel(_), Some(model)) => fault.in_file(model),
        (Error::Unsupported(text), _) if !arguments.prepared => {
            Error::Unsupported(format!("{text} (--prepared)")).in_file(&arguments.input)
        }
        (fault, _) => fault.in_file(&arguments.input),
    }
}

fn verbosity(arguments: &SynthesizeArguments) -> Verbosity {
    let level = match (arguments.quiet, arguments.verbose) {
        (true, _) => LogLevel::Error,
        (false, 0) => LogLevel::Warning,
        (false, 1) => LogLevel::Information,
        (false, _) => LogLevel::Debug,
    };
    Verbosity { level, progress: !arguments.quiet && !arguments.json }
}

/// The number of threads that the library makes of `asked`.
fn thread_count(asked: u16) -> usize {
    if asked == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { asked.into() }
}
