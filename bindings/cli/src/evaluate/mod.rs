//! `mrisynth evaluate`: a real image and a synthetic one in, how near they are out.

mod study;
mod table;

use std::path::{Path, PathBuf};

use mrisynth::control::LogLevel;
use mrisynth::{Error, Limits, Result, regular_file};
use mrisynth_evaluation::pair::input::check_files;
use mrisynth_evaluation::pair::{self, Evaluation, Pair};
use mrisynth_evaluation::threads;
use mrisynth_evaluation::volumes::table::LabelTable;
use serde::Serialize;

use crate::arguments::EvaluateArguments;
use crate::output::{Kept, Outputs};
use crate::report::{Console, Verbosity, one_line, print, print_json};
use crate::run::thread_count;

/// Where `--json` goes that names no file.
const STANDARD_OUTPUT: &str = "-";
/// Tables of labels that are built in.
pub const FREESURFER: &str = "freesurfer";
const THREE_CLASSES: &str = "three-classes";
/// A table of labels is not longer than this, in bytes.
const MAX_TABLE_BYTES: u64 = 1 << 20;

/// The results as `--json` shows them: the evaluation, and what it is about.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    reference: String,
    synthetic: String,
    mask: Option<String>,
    lesions_reference: Option<String>,
    lesions_synthetic: Option<String>,
    labels_reference: Option<String>,
    labels_synthetic: Option<String>,
    label_table: String,
    #[serde(flatten)]
    evaluation: Evaluation,
}

/// True if results and errors are to be JSON on standard output.
pub fn wants_json(arguments: &EvaluateArguments) -> bool {
    arguments.json.as_deref() == Some(Path::new(STANDARD_OUTPUT))
}

/// Evaluates as the arguments say, and prints or writes the result.
///
/// # Errors
/// Any of the library's, those of `pair::evaluate` and of a study; then nothing was written.
pub fn run(arguments: &EvaluateArguments) -> Result<()> {
    match (&arguments.reference, &arguments.synthetic, &arguments.study) {
        (_, _, Some(place)) => study::run(place, arguments),
        (Some(reference), Some(synthetic), None) => {
            let files = Pair {
                mask: arguments.mask.clone(),
                lesions_reference: arguments.lesions_reference.clone(),
                lesions_synthetic: arguments.lesions_synthetic.clone(),
                labels_reference: arguments.labels_reference.clone(),
                labels_synthetic: arguments.labels_synthetic.clone(),
                ..Pair::new(reference.clone(), synthetic.clone())
            };
            run_pair(&files, arguments)
        }
        _ => Err(Error::InvalidArgument("neither two images nor a study".into())),
    }
}

/// Evaluates one pair.
fn run_pair(files: &Pair<PathBuf>, arguments: &EvaluateArguments) -> Result<()> {
    let table_file = table_file(arguments);
    check_files(files.parts().chain(table_file).map(PathBuf::as_path))?;
    let to_file = arguments.json.as_ref().filter(|_| !wants_json(arguments));
    let outputs = to_file.map(|file| {
        let inputs = files.parts().chain(table_file);
        Outputs::check(vec![file.clone()], &kept(inputs.map(PathBuf::as_path)), arguments.force)
    });
    let outputs = outputs.transpose()?;
    let options = options(arguments)?;

    let console = console(arguments, false);
    let evaluation = threads::run_on(thread_count(arguments.threads), || {
        pair::evaluate(&files.clone().read(&Limits::default())?, &options)
    })?;
    evaluation.warnings.iter().for_each(|warning| console.log(LogLevel::Warning, warning));
    let report = Report::new(files, arguments, evaluation);

    if wants_json(arguments) {
        return print_json(&report);
    }
    if let (Some(outputs), Some(file)) = (outputs, to_file) {
        let staging = outputs.stage()?;
        staging.write_bytes(file, json_text(&report)?.as_bytes())?;
        staging.publish()?;
        return if arguments.quiet { Ok(()) } else { print(&one_line(&report.to_line(file))) };
    }
    print(&table::of(&report))
}

/// What must not be replaced.
fn kept<'a>(inputs: impl Iterator<Item = &'a Path>) -> Vec<Kept> {
    inputs.map(|input| (input.to_owned(), "it would replace an input")).collect()
}

fn console(arguments: &EvaluateArguments, progress: bool) -> Console {
    let level = if arguments.quiet { LogLevel::Error } else { LogLevel::Warning };
    Console::new(Verbosity { level, progress: progress && !arguments.quiet })
}

/// A file of JSON.
fn json_text(of: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string_pretty(of).map_err(|fault| Error::Internal(fault.to_string()))?;
    Ok(text + "\n")
}

/// The file of a table of labels that is not built in.
fn table_file(arguments: &EvaluateArguments) -> Option<&PathBuf> {
    let built_in = [FREESURFER, THREE_CLASSES].map(Path::new);
    Some(&arguments.label_table).filter(|table| !built_in.contains(&table.as_path()))
}

fn options(arguments: &EvaluateArguments) -> Result<pair::Options> {
    let label_table = match table_file(arguments) {
        Some(file) => read_table(file)?,
        None if arguments.label_table == Path::new(THREE_CLASSES) => LabelTable::three_classes(),
        None => LabelTable::freesurfer(),
    };
    Ok(pair::Options {
        normalize: arguments.normalize,
        fit: arguments.fit,
        label_table,
        accept_implausible: arguments.accept_implausible,
        ..pair::Options::for_range(arguments.data_range)?
    })
}

fn read_table(file: &Path) -> Result<LabelTable> {
    let text = regular_file::read_text(file, MAX_TABLE_BYTES, Error::InvalidArgument)?;
    LabelTable::parse(&text).map_err(|fault| Error::from(fault).in_file(file))
}

impl Report {
    fn new(files: &Pair<PathBuf>, arguments: &EvaluateArguments, evaluation: Evaluation) -> Self {
        let name = |path: &PathBuf| path.display().to_string();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            reference: name(&files.reference),
            synthetic: name(&files.synthetic),
            mask: files.mask.as_ref().map(name),
            lesions_reference: files.lesions_reference.as_ref().map(name),
            lesions_synthetic: files.lesions_synthetic.as_ref().map(name),
            labels_reference: files.labels_reference.as_ref().map(name),
            labels_synthetic: files.labels_synthetic.as_ref().map(name),
            label_table: name(&arguments.label_table),
            evaluation,
        }
    }

    fn to_line(&self, file: &Path) -> String {
        let fidelity = &self.evaluation.fidelity;
        let dice = self.evaluation.lesions.dice;
        let lesions = dice.map(|dice| format!(", Dice of lesions {dice:.4}")).unwrap_or_default();
        format!(
            "{}: {} slices, PSNR {:.2} dB, SSIM {:.4}, MAE {:.4}{lesions}",
            file.display(),
            fidelity.slices,
            fidelity.psnr,
            fidelity.ssim,
            fidelity.mae
        )
    }
}
