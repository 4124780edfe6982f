//! The command `mrisynth-train`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use mrisynth_training::command;

fn main() -> ExitCode {
    match command::run(command::Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mrisynth-train: {error}");
            ExitCode::FAILURE
        }
    }
}
