//! The work itself: a scan in, its synthetic other contrast out, told step by step.

use std::path::Path;

use mrisynth::control::LogLevel;
use mrisynth::model::{LoadOptions, Model};
use mrisynth::provenance::{Provenance, SourceFile};
use mrisynth::synthesize::{InputState, Options, synthesize, synthesize_prepared};
use mrisynth::{Control, Error, Result, Volume, whole_file};

use crate::arguments::Arguments;
use crate::image::{self, Scan};
use crate::place;
use crate::report::{Progress, Warnings, one_line, print};

/// The part of the work that the preparation of a raw scan is.
const PREPARATION: f32 = 0.6;

/// Synthesizes as the arguments say.
///
/// # Errors
/// Any of the library's; then nothing was written.
pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.echo {
        print(&arguments.echoed())?;
    }
    check_places(arguments)?;
    let model = Model::for_target(arguments.model.as_deref(), arguments.to, &LoadOptions::default())?;
    let mut progress =
        Progress::start(&format!("synthesizes {} from {}", arguments.to, arguments.to.other()))?;
    let warnings = Warnings::default();
    let scan = read_scan(&arguments.input, &warnings)?;
    let mut work = Work { arguments, model: &model, progress: &mut progress, warnings: &warnings };
    let (synthetic, provenance) = work.run(&scan.volume).map_err(|fault| fault.in_file(&arguments.input))?;
    image::write(&arguments.output, &synthetic, &scan, &provenance)?;
    if let Some(path) = &arguments.return_parameter_file {
        // Slicer reads a value up to the end of its line.
        let (result, warnings) = (one_line(provenance.description()), warnings.joined());
        whole_file::write(path, true, |out| write!(out, "result = {result}\nwarnings = {warnings}\n"))?;
    }
    progress.finish()
}

fn check_places(arguments: &Arguments) -> Result<()> {
    let (input, output) = (&arguments.input, &arguments.output);
    image::check_name(output)?;
    let is_the_input = |path: &Path| match (path.canonicalize(), input.canonicalize()) {
        (Ok(path), Ok(input)) => path == input,
        _ => false,
    };
    if is_the_input(output) {
        return Err(Error::InvalidArgument("the output is the input".into()).in_file(output));
    }
    place::check(output)?;
    arguments.return_parameter_file.as_deref().map_or(Ok(()), place::check)
}

fn read_scan(path: &Path, warnings: &Warnings) -> Result<Scan> {
    let scan = image::read(path)?;
    scan.warnings.iter().for_each(|warning| warnings.log(LogLevel::Warning, warning));
    if scan.is_synthetic {
        warnings.log(LogLevel::Warning, "the scan is itself synthetic");
    }
    Ok(scan)
}

/// What is the same for every step of the work.
struct Work<'a> {
    arguments: &'a Arguments,
    model: &'a Model,
    progress: &'a mut Progress,
    warnings: &'a Warnings,
}

impl Work<'_> {
    /// The synthetic image and its origin.
    fn run(&mut self, scan: &Volume) -> Result<(Volume, Provenance)> {
        let (model, grid, state) = (self.model, scan.grid(), self.arguments.state);
        let options = Options { input_state: state, ..Options::default() };
        let provenance = Provenance::new(
            model,
            SourceFile::read(&self.arguments.input)?,
            &options,
            self.arguments.accept_implausible,
        );
        if state == InputState::Prepared {
            let synthetic =
                self.with_control((0.0, 1.0), |control| synthesize(model, scan, &grid, &options, control))?;
            return Ok((synthetic, provenance));
        }
        let prepared = self.with_control((0.0, PREPARATION), |control| {
            mrisynth::prepare(scan, &options.preparation, control)
        })?;
        let synthetic = self.with_control((PREPARATION, 1.0), |control| {
            synthesize_prepared(model, &prepared, &grid, control)
        })?;
        Ok((synthetic, provenance.with_preparation(&prepared.record)))
    }

    /// Calls the library, its progress being the part of the work between two fractions.
    fn with_control<T>(
        &mut self,
        (from, to): (f32, f32),
        call: impl FnOnce(&mut Control<'_>) -> Result<T>,
    ) -> Result<T> {
        let log = |level: LogLevel, message: &str| self.warnings.log(level, message);
        let progress = &mut *self.progress;
        let mut tell = |fraction: f32| progress.tell(from + (to - from) * fraction);
        call(&mut Control {
            threads: self.arguments.threads.into(),
            accept_implausible: self.arguments.accept_implausible,
            memory_limit: None,
            progress: Some(&mut tell),
            log: Some(&log),
        })
    }
}
