//! `mrisynth-slicer-cli`: a command-line module of 3D Slicer. It describes itself in XML, takes volumes as Slicer hands them
//! over, and tells how far it is in the text protocol of Slicer's execution model.

#![forbid(unsafe_code)]
// Nothing that a caller or a file brings may panic; where one of these is shown to be unreachable, it says why.
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod arguments;
mod image;
mod nrrd;
mod place;
mod report;
mod synthesize;

use std::process::ExitCode;

use clap::Parser;
use mrisynth::provenance::NOTICE;

use arguments::Arguments;
use report::{print, to_stderr};

/// The module's description, but for what the build fills in.
const DESCRIPTION: &str = include_str!("module.xml");

fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1).as_deref() {
        Some("--xml") => print(&description()),
        // There is none. A module with a logo would print it.
        Some("--logo") => Ok(()),
        _ => synthesize::run(&Arguments::parse()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            to_stderr(&format!("error: {fault}"));
            ExitCode::FAILURE
        }
    }
}

/// The XML by which Slicer knows the module's parameters.
fn description() -> String {
    DESCRIPTION.replace("@VERSION@", env!("CARGO_PKG_VERSION")).replace("@NOTICE@", NOTICE)
}
