//! Many scans in one run: each by itself, a fault in one not stopping the others, and a table at the end.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mrisynth::{Error, Result};
use serde::Serialize;

use crate::arguments::RunArguments;
use crate::exit::{self, Ending};
use crate::output::require_folder_of;
use crate::report::{Console, Failure, one_line, print, print_json};
use crate::run::{Task, verbosity};

/// What is to be done with a scan of a batch.
pub struct Item {
    /// The scan as the table names it: relative to the batch's folder.
    pub name: PathBuf,
    pub plan: Plan,
}

/// What is to be done with a scan.
pub enum Plan {
    Work(Task),
    /// Nothing, for a reason that is no fault.
    Skip(String),
    /// Nothing, for a fault in what is asked for.
    Refuse(String),
}

/// Why a scan is left out whose results are there.
const EXISTS: &str = "its result exists";

impl Plan {
    /// The work, unless its result exists and such scans are to be left out.
    pub fn of(task: Task, result: &Path, arguments: &RunArguments) -> Self {
        if arguments.skip_existing && result.exists() { Self::Skip(EXISTS.into()) } else { Self::Work(task) }
    }
}

/// How one scan ended, as `--json` shows it.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome<T> {
    Done(T),
    Failed { input: String, seconds: f64, error: Failure },
    Skipped { input: String, skipped: String },
}

/// A line of the table.
struct Row {
    name: String,
    status: String,
    seconds: Option<f64>,
    reason: String,
}

/// Works on every item in its order, and prints the results. The ending says whether some failed.
///
/// # Errors
/// [`Error::InvalidArgument`] if there is nothing to do and never was; those of printing.
pub fn run<T: Serialize>(
    items: Vec<Item>,
    arguments: &RunArguments,
    work: impl Fn(&Task, &Console) -> Result<T>,
) -> Result<Ending> {
    let idle = |item: &Item| matches!(&item.plan, Plan::Skip(reason) if reason != EXISTS);
    if let (true, Some(Item { name, plan: Plan::Skip(reason) })) = (items.iter().all(idle), items.first()) {
        let message = format!("there is no scan to work on: {}: {reason}", name.display());
        return Err(Error::InvalidArgument(message));
    }
    let console = Console::new(verbosity(arguments));
    let count = items.len();
    let (mut rows, mut outcomes) = (Vec::new(), Vec::new());
    for (index, Item { name, plan }) in items.into_iter().enumerate() {
        let start = Instant::now();
        let own = console.for_scan(&name, index, count);
        let input = || name.display().to_string();
        let result = match plan {
            Plan::Skip(skipped) => Ok(Outcome::Skipped { input: input(), skipped }),
            Plan::Refuse(fault) => Err(Error::InvalidArgument(fault).in_file(&name)),
            Plan::Work(task) => exit::catch_defects(|| work(&task, &own)).map(Outcome::Done),
        };
        let outcome = result.unwrap_or_else(|fault| {
            let error = Failure::of(&fault);
            own.failure(&error);
            Outcome::Failed { input: input(), seconds: start.elapsed().as_secs_f64(), error }
        });
        own.progress(1.0);
        rows.push(Row::of(&name, &outcome, start.elapsed().as_secs_f64(), own.warnings().len()));
        outcomes.push(outcome);
    }
    console.finish();
    if arguments.json {
        print_json(&outcomes)?;
    } else if !arguments.quiet {
        print(&table(&rows))?;
    }
    let failed = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed { .. }));
    Ok(if failed { exit::SOME_FAILED } else { exit::OK })
}

/// Turns scans whose results would go to one place, by `place`, into faults of all but the first.
pub fn refuse_collisions(items: &mut [Item], place: impl Fn(&Task) -> PathBuf) {
    let mut taken: HashMap<PathBuf, PathBuf> = HashMap::new();
    for item in items {
        let Plan::Work(task) = &item.plan else { continue };
        let place = place(task);
        if let Some(first) = taken.get(&place) {
            item.plan =
                Plan::Refuse(format!("its result would take the place of that of {}", first.display()));
        } else {
            taken.insert(place, item.name.clone());
        }
    }
}

impl Row {
    fn of<T>(name: &Path, outcome: &Outcome<T>, seconds: f64, warnings: usize) -> Self {
        let (status, seconds, reason) = match outcome {
            Outcome::Done(_) => {
                let reason = match warnings {
                    0 => String::new(),
                    1 => "1 warning".into(),
                    more => format!("{more} warnings"),
                };
                ("done".to_owned(), Some(seconds), reason)
            }
            Outcome::Failed { error, .. } => (error.status.to_owned(), Some(seconds), error.message.clone()),
            Outcome::Skipped { skipped, .. } => ("skipped".to_owned(), None, skipped.clone()),
        };
        Self { name: one_line(&name.display().to_string()), status, seconds, reason: one_line(&reason) }
    }
}

/// The table, and below it how many scans ended how.
fn table(rows: &[Row]) -> String {
    let width = |of: fn(&Row) -> &str, least: usize| {
        rows.iter().map(|row| of(row).chars().count()).fold(least, usize::max)
    };
    let (name_width, status_width) = (width(|row| &row.name, 4), width(|row| &row.status, 6));
    let line = |name: &str, status: &str, seconds: &str, reason: &str| {
        format!("{name:name_width$}  {status:status_width$}  {seconds:>7}  {reason}").trim_end().to_owned()
    };
    let mut lines = vec![line("scan", "status", "seconds", "reason")];
    lines.extend(rows.iter().map(|row| {
        let seconds = row.seconds.map(|seconds| format!("{seconds:.1}")).unwrap_or_default();
        line(&row.name, &row.status, &seconds, &row.reason)
    }));
    let count = |of: &dyn Fn(&str) -> bool| rows.iter().filter(|row| of(&row.status)).count();
    let (done, skipped) = (count(&|status| status == "done"), count(&|status| status == "skipped"));
    lines.push(format!("{done} done, {} failed, {skipped} skipped", rows.len() - done - skipped));
    lines.join("\n")
}

/// The contact sheet's file of a scan in a batch.
pub fn sheet_in(folder: &Path, stem: &str) -> PathBuf {
    folder.join(format!("{stem}_qc.png"))
}

/// The residual's file of a scan in a batch.
pub fn residual_in(folder: &Path, stem: &str) -> PathBuf {
    folder.join(format!("{stem}_residual.nii.gz"))
}

/// Checks what a batch cannot have; `more` are the folders, beside the output, that results go into.
///
/// # Errors
/// [`Error::InvalidArgument`]; [`Error::Io`] if the folder that one is to be in does not exist.
pub fn check_arguments(output: &Path, mask: Option<&Path>, more: &[Option<&Path>]) -> Result<()> {
    let invalid = |message: &str, path: &Path| Err(Error::InvalidArgument(message.into()).in_file(path));
    if let Some(mask) = mask {
        return invalid("--mask goes with one scan, not with a batch", mask);
    }
    for folder in std::iter::once(output).chain(more.iter().copied().flatten()) {
        require_folder_of(folder)?;
        if folder.exists() && !folder.is_dir() {
            return invalid("a file, where a batch needs a folder", folder);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, status: &str, seconds: Option<f64>, reason: &str) -> Row {
        Row { name: name.into(), status: status.into(), seconds, reason: reason.into() }
    }

    #[test]
    fn the_table_has_a_line_for_each_scan_and_a_sum() {
        let rows = [
            row("a.nii", "done", Some(4.25), ""),
            row("longer.nii", "REFUSED", Some(0.5), "no head"),
            row("b.nii", "skipped", None, "it is synthetic"),
        ];
        let expected = "\
scan        status   seconds  reason
a.nii       done         4.2
longer.nii  REFUSED      0.5  no head
b.nii       skipped           it is synthetic
1 done, 1 failed, 1 skipped";
        assert_eq!(table(&rows), expected);
    }
}
