//! The `mrisynth` command: arguments in, calls of the library, a report and an exit code out.

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
mod batch;
mod dataset;
mod evaluate;
mod exit;
mod interrupt;
mod memory_size;
mod model;
mod names;
mod output;
mod prepare;
mod report;
mod run;
mod segment;
mod selftest;
mod sheet;
mod synthesize;
mod verify;

use std::process::ExitCode;

use clap::Parser;
use mrisynth::model::LoadOptions;

use arguments::{Arguments, Command, ModelCommand};
use exit::Ending;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.command.wants_json();
    interrupt::watch(json);
    match exit::catch_defects(|| run(&arguments.command)) {
        Ok(ending) => ExitCode::from(ending.code),
        // A cancelled run has spoken its last word.
        Err(fault) => interrupt::uninterrupted(|| report::failure(&fault, json)),
    }
}

fn run(command: &Command) -> mrisynth::Result<Ending> {
    let done = |()| exit::OK;
    match command {
        Command::Evaluate(arguments) => evaluate::run(arguments).map(done),
        Command::Prepare(arguments) => prepare::run(arguments),
        Command::Segment(arguments) => segment::run(arguments).map(done),
        Command::Synthesize(arguments) => synthesize::run(arguments),
        Command::Model { command: ModelCommand::List { json } } => model::list(*json).map(done),
        Command::Model { command: ModelCommand::Info { model, cpu, json } } => {
            model::info(model.as_deref(), *cpu, *json).map(done)
        }
        Command::Model { command: ModelCommand::Verify { file, sha256, public_key, signature } } => {
            let options = LoadOptions {
                sha256: sha256.clone(),
                signer: model::signer(public_key.as_deref(), signature.clone())?,
                ..LoadOptions::default()
            };
            model::verify(file, &options).map(done)
        }
        Command::Verify(arguments) => verify::run(arguments).map(done),
        Command::Selftest(arguments) => selftest::run(arguments),
    }
}
