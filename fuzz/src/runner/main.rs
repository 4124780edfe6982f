//! `mrisynth-fuzz`: runs targets on inputs that it makes from others, and keeps every input that breaks a promise.
//!
//! The work is done in child processes, so that nothing that happens there loses an input.

mod allocator;
mod arguments;
mod coverage;
mod inputs;
mod supervise;
mod work;

use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

use clap::Parser;
use mrisynth_fuzz::{TARGETS, Target};

use arguments::{Arguments, What};

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

/// The exit code for faults that were found.
const FAULTS: u8 = 1;
/// The exit code for a run that could not be done.
const FAILURE: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match (&arguments.worker, &arguments.what) {
        (Some(folder), What::One(target)) => work::run(target, folder, &arguments).map(|()| 0),
        (_, What::Seeds) => write_seeds(&arguments.root).map(|()| 0),
        (_, What::One(target)) if !arguments.replay.is_empty() => {
            supervise::replay(target, &arguments).map(code)
        }
        (_, What::One(target)) => supervise::fuzz(&[target], &arguments).map(code),
        (_, What::All) => supervise::fuzz(&TARGETS.each_ref(), &arguments).map(code),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(fault) => {
            eprintln!("mrisynth-fuzz: {fault}");
            ExitCode::from(FAILURE)
        }
    }
}

/// The exit code for so many faults.
fn code(faults: usize) -> u8 {
    if faults == 0 { 0 } else { FAULTS }
}

/// Writes the seeds of all targets, in place of those that are there.
fn write_seeds(root: &Path) -> io::Result<()> {
    for Target { name, seeds, .. } in &TARGETS {
        let folder = root.join("corpus").join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        for (name, bytes) in seeds() {
            fs::write(folder.join(name), bytes)?;
        }
    }
    Ok(())
}
