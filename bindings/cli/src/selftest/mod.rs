//! `mrisynth selftest`: whether this installation makes what it made where it was built.
//!
//! The whole road is gone on a made-up raw scan that is inside the program: preparation, synthesis, the way back, and a file
//! with its record. Results are compared with those of the same instructions to the byte, and with those of others up to
//! rounding. A scan of the wrong contrast must be refused.

mod reference;
mod road;

use std::time::Instant;

use mrisynth::{Error, Result};
use serde::Serialize;

use crate::arguments::SelftestArguments;
use crate::exit::{self, Ending};
use crate::model::{Identity, Processor};
use crate::report::{Failure, one_line, print, print_json, warning};
use crate::run::thread_count;
use reference::Reference;
use road::{Road, Step};

const NOTICE: &str = "Passed means that this installation computes as it should on one made-up scan. It says nothing of how \
                      good an image of a patient is. Research software, not a medical device.";

/// What came of the test, for a file.
#[derive(Serialize)]
struct Report {
    software: &'static str,
    version: &'static str,
    platform: String,
    cpu: Processor,
    threads: usize,
    models: Vec<Identity>,
    steps: Vec<Step>,
    passed: bool,
    seconds: f64,
    notice: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Failure>,
}

/// Tests this installation and prints a summary.
///
/// # Errors
/// Those of printing, and of writing a reference. A test that fails is told in the summary, with the ending that goes with the fault.
pub fn run(arguments: &SelftestArguments) -> Result<Ending> {
    let start = Instant::now();
    let mut road = Road::new(arguments.threads.into());
    let reference = match arguments.write_reference {
        Some(_) => Ok(None),
        None => Reference::embedded().map(Some),
    };
    let outcome = reference.and_then(|reference| road.go(reference.as_ref()));
    let fault = match outcome {
        Err(fault) => Some(fault),
        Ok(results) => {
            if let Some(folder) = &arguments.write_reference {
                reference::write(folder, results.images())?;
            }
            road.failed().map(|names| Error::Internal(format!("the self-test failed: {names}")))
        }
    };
    let report = Report {
        software: "mrisynth",
        version: env!("CARGO_PKG_VERSION"),
        platform: reference::platform(),
        cpu: Processor::this(),
        threads: thread_count(arguments.threads),
        models: road.models.iter().map(Identity::of).collect(),
        steps: road.steps,
        passed: fault.is_none(),
        seconds: start.elapsed().as_secs_f64(),
        notice: NOTICE,
        error: fault.as_ref().map(Failure::of),
    };
    if arguments.json {
        print_json(&report)?
    } else {
        print(&report.to_text())?
    }
    let Some(fault) = fault else { return Ok(exit::OK) };
    warning(&one_line(&fault.to_string()));
    Ok(*exit::ending_of(&fault))
}

impl Report {
    fn to_text(&self) -> String {
        let Self { version, platform, cpu, threads, .. } = self;
        let mut lines =
            vec![format!("mrisynth {version} on {platform}, CPU tier {}, {threads} threads", cpu.tier)];
        for model in &self.models {
            let (name, version) = model.name_and_version();
            lines.push(format!("model {name} {version}  SHA-256 {}", model.sha256()));
        }
        for Step { name, passed, detail, seconds } in &self.steps {
            let outcome = if *passed { "OK" } else { "FAILED" };
            lines.push(one_line(&format!("{name:<12} {outcome:<7} {seconds:>6.2} s  {detail}")));
        }
        lines.push(format!(
            "self-test {} in {:.1} s",
            if self.passed { "passed" } else { "FAILED" },
            self.seconds
        ));
        lines.push(self.notice.into());
        lines.join("\n")
    }
}
