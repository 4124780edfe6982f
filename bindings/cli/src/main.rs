//! The `mrisynth` command: arguments in, one call of the library, a report and an exit code out.

mod arguments;
mod exit;
mod memory_size;
mod model;
mod output;
mod report;
mod synthesize;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command, ModelCommand};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let json = arguments.command.wants_json();
    match exit::catch_defects(|| run(&arguments.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => report::failure(&fault, json),
    }
}

fn run(command: &Command) -> mrisynth::Result<()> {
    match command {
        Command::Synthesize(arguments) => synthesize::run(arguments),
        Command::Model { command: ModelCommand::List { json } } => model::list(*json),
        Command::Model { command: ModelCommand::Info { model, json } } => model::info(model, *json),
        Command::Model { command: ModelCommand::Verify { file, sha256 } } => {
            model::verify(file, sha256.as_deref())
        }
    }
}
