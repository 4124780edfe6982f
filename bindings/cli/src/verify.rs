//! `mrisynth verify`: whether an image is what its record says.

use mrisynth::provenance::{self, Check, Evidence, Outcome, Verification};
use mrisynth::{Error, Result};
use serde::Serialize;

use crate::arguments::VerifyArguments;
use crate::report::{one_line, print, print_json};

/// What `--json` shows of an image that is as recorded.
#[derive(Serialize)]
struct Report<'a> {
    file: String,
    #[serde(flatten)]
    verification: &'a Verification,
}

/// Compares an image with its record, and prints every comparison.
///
/// # Errors
/// Those of [`provenance::verify()`]; [`Error::BadImage`], naming what differs, if the image is not as recorded.
pub fn run(arguments: &VerifyArguments) -> Result<()> {
    let evidence = Evidence { input: arguments.input.clone(), model: arguments.model.clone() };
    let verification = provenance::verify(&arguments.file, &evidence)?;
    let failed: Vec<_> = verification
        .checks
        .iter()
        .filter(|check| check.outcome == Outcome::Failed)
        .map(|Check { name, detail, .. }| format!("{name} ({detail})"))
        .collect();
    if !failed.is_empty() {
        let message = format!("it is not as its record says: {}", failed.join("; "));
        return Err(Error::BadImage(message).in_file(&arguments.file));
    }
    let file = arguments.file.display().to_string();
    if arguments.json {
        return print_json(&Report { file, verification: &verification });
    }
    verification.checks.iter().try_for_each(|check| print(&line(check)))?;
    let kind = if verification.synthetic { "SYNTHETIC" } else { "not synthetic" };
    print(&one_line(&format!("{file}: {kind}, and as its record says")))
}

fn line(Check { name, outcome, detail }: &Check) -> String {
    let outcome = match outcome {
        Outcome::Passed => "OK",
        Outcome::Failed => "FAILED",
        Outcome::NotChecked => "not checked",
    };
    one_line(&format!("{name:<12} {outcome:<12} {detail}"))
}
