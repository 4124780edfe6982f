//! `mrisynth evaluate --study`: many pairs in; a report, JSON and tables out.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use mrisynth::control::LogLevel;
use mrisynth::{Error, Result};
use mrisynth_evaluation::pair;
use mrisynth_evaluation::pair::input::check_files;
use mrisynth_evaluation::report::{Provenance, Table};
use mrisynth_evaluation::study::measure::Kind;
use mrisynth_evaluation::study::summary::{self, Summary, summarize};
use mrisynth_evaluation::study::values::Values;
use mrisynth_evaluation::study::{Fault, Results, Study, bids, list, page, record, tables};
use mrisynth_evaluation::threads;
use serde_json::Value;

use super::{console, json_text, kept, options, table_file, wants_json};
use crate::arguments::EvaluateArguments;
use crate::output::Outputs;
use crate::report::{one_line, print, print_json};
use crate::run::thread_count;

/// What the folder of a study's results gets, the report last: when it is there, all is.
const FILES: [&str; 4] = ["values.csv", "comparisons.csv", "study.json", "report.html"];

/// A study's results as text.
struct Texts {
    json: Value,
    values: String,
    comparisons: String,
    page: String,
    tables: String,
}

/// Evaluates the study at `place`, a list or a dataset.
///
/// # Errors
/// Those of the list or dataset; one that names all files that are missing; one that names every pair that cannot be
/// measured, unless those are to be left out. Then nothing was written.
pub fn run(place: &Path, arguments: &EvaluateArguments) -> Result<()> {
    let folder = arguments.output.as_deref().unwrap_or(Path::new("."));
    if arguments.json.is_some() && !wants_json(arguments) {
        let fault = "a study's JSON goes into the folder of --output: --json takes - only";
        return Err(Error::InvalidArgument(fault.into()));
    }
    let study = read(place, arguments)?;
    let table_file = table_file(arguments).map(PathBuf::as_path);
    check_files(study.files().into_iter().chain(table_file))?;
    let places = FILES.map(|name| folder.join(name)).to_vec();
    let inputs = study.files().into_iter().chain(table_file).chain([place]);
    let outputs = Outputs::check(places.clone(), &kept(inputs), arguments.force)?;
    let (measuring, comparing) = (options(arguments)?, comparing(arguments));

    let (results, texts) = threads::run_on(thread_count(arguments.threads), || {
        let results = evaluate(&study, &measuring, arguments)?;
        let texts = texts(&results, &measuring, &comparing)?;
        Ok((results, texts))
    })?;
    let staging = outputs.stage()?;
    let contents = [&texts.values, &texts.comparisons, &json_text(&texts.json)?, &texts.page];
    for (file, content) in places.iter().zip(contents) {
        staging.write_bytes(file, content.as_bytes())?;
    }
    staging.publish()?;
    if wants_json(arguments) {
        return print_json(&texts.json);
    }
    if arguments.quiet {
        return Ok(());
    }
    print(&texts.tables)?;
    print(&one_line(&format!("{}: {} pairs measured", places[3].display(), results.measured.len())))
}

fn read(place: &Path, arguments: &EvaluateArguments) -> mrisynth_evaluation::Result<Study> {
    if place.is_dir() {
        return bids::read(place, arguments.reference_derivative.as_deref());
    }
    if arguments.reference_derivative.is_some() {
        let fault = "--reference-derivative is for a BIDS dataset, and this is a list";
        return Err(Error::InvalidArgument(fault.into()).in_file(place).into());
    }
    list::read(place)
}

fn comparing(arguments: &EvaluateArguments) -> summary::Options {
    summary::Options {
        baseline: arguments.baseline.clone(),
        equivalence_margin_percent: arguments.equivalence_margin,
        ..summary::Options::default()
    }
}

fn evaluate(study: &Study, measuring: &pair::Options, arguments: &EvaluateArguments) -> Result<Results> {
    let console = console(arguments, true);
    let (count, done) = (study.cases().len(), AtomicUsize::new(0));
    let results = study.evaluate(measuring, &|_| {
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        console.progress(done as f32 / count as f32);
    });
    console.finish();
    let results = results?;
    for measured in &results.measured {
        for warning in &measured.evaluation.warnings {
            console.log(LogLevel::Warning, &format!("{}: {warning}", measured.case.name()));
        }
    }
    if results.faults.is_empty() {
        return Ok(results);
    }
    if !arguments.skip_refused || results.measured.is_empty() {
        return Err(all(&results.faults, count));
    }
    for Fault { case, fault } in &results.faults {
        console.log(LogLevel::Warning, &format!("left out: {}: {fault}", case.name()));
    }
    Ok(results)
}

/// One error that names every pair that cannot be measured: refused, if all of them are.
fn all(faults: &[Fault], count: usize) -> Error {
    let texts: Vec<String> =
        faults.iter().map(|Fault { case, fault }| format!("{}: {fault}", case.name())).collect();
    let text = format!("{} of {count} pairs cannot be measured: {}", faults.len(), texts.join("; "));
    let is_refusal = |fault: &Fault| match &fault.fault {
        mrisynth_evaluation::Error::Library(fault) => is_refused(fault),
        mrisynth_evaluation::Error::Invalid(_) => false,
    };
    if faults.iter().all(is_refusal) { Error::Refused(text) } else { Error::BadImage(text) }
}

fn is_refused(fault: &Error) -> bool {
    match fault {
        Error::InFile { fault, .. } => is_refused(fault),
        other => matches!(other, Error::Refused(_)),
    }
}

fn texts(results: &Results, measuring: &pair::Options, comparing: &summary::Options) -> Result<Texts> {
    let summaries = summarize(results, comparing)?;
    let page = page::of(results, &summaries, measuring, comparing, provenance(results))?;
    Ok(Texts {
        json: record::json(results, &summaries, measuring, comparing)?,
        values: record::values_csv(results)?,
        comparisons: record::comparisons_csv(&summaries)?,
        page: page.html()?,
        tables: in_words(results, &summaries)?,
    })
}

fn provenance(results: &Results) -> Provenance {
    let command = std::env::args_os().map(OsString::into_string);
    let subjects: usize = results.cohorts().iter().map(|cohort| results.subjects(cohort).len()).sum();
    Provenance {
        command: command
            .map(|word| word.unwrap_or_else(|word| word.to_string_lossy().into_owned()))
            .collect(),
        versions: vec![("mrisynth".into(), env!("CARGO_PKG_VERSION").into())],
        counts: vec![
            ("pairs".into(), results.measured.len()),
            ("subjects".into(), subjects),
            ("methods".into(), results.methods().len()),
            ("pairs left out".into(), results.faults.len()),
        ],
    }
}

/// The tables as Markdown, and which tests were chosen and why.
fn in_words(results: &Results, summaries: &[Summary]) -> Result<String> {
    let values = Values::of(results)?;
    let of_kinds = Kind::ALL.into_iter().filter_map(|kind| tables::of_kind(summaries, &values, kind));
    let tables = of_kinds.chain(tables::of_lesion_totals(summaries)).chain(tables::of_equivalence(summaries));
    let mut parts: Vec<String> =
        tables.map(|table: Table| Ok(table.markdown()?.trim_end().to_owned())).collect::<Result<_>>()?;
    for summary in summaries {
        for compared in summary.measures.iter().filter(|compared| compared.measure.is_drawn) {
            let name = summary.cohort.name();
            let of = if name.is_empty() { String::new() } else { format!("{name}, ") };
            let words = compared.comparison.to_string().replace('\n', " ");
            parts.push(format!("{of}{}: {words}", compared.measure.name));
        }
    }
    Ok(parts.join("\n\n"))
}
