//! The command line.

use std::path::PathBuf;

use clap::Parser;
use mrisynth_fuzz::{TARGETS, Target};

/// Fuzzes mrisynth. Ends with 0 if no fault was found, and with 1 if one was.
#[derive(Debug, Parser)]
#[command(name = "mrisynth-fuzz")]
pub struct Arguments {
    /// A target; `all` of them; or `seeds`, to write the inputs that fuzzing begins with.
    #[arg(value_parser = parse_what)]
    pub what: What,
    /// Time for each target.
    #[arg(long, default_value_t = 60.0)]
    pub seconds: f64,
    /// Runs of each target, at most.
    #[arg(long, default_value_t = u64::MAX)]
    pub runs: u64,
    /// What all random numbers follow from.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Folder of inputs to begin with, instead of corpus/TARGET.
    #[arg(long)]
    pub corpus: Option<PathBuf>,
    /// Folder that inputs are written to which reach what no other does.
    #[arg(long)]
    pub keep: Option<PathBuf>,
    /// Targets that are fuzzed at the same time.
    #[arg(long, default_value_t = 1)]
    pub jobs: usize,
    /// Seconds that one run may work.
    #[arg(long, default_value_t = 10.0)]
    pub time_limit: f64,
    /// Inputs to run once, instead of fuzzing.
    #[arg(long, num_args = 1..)]
    pub replay: Vec<PathBuf>,
    /// Folder with corpus/ and regressions/, to which faults are written.
    #[arg(long, default_value = env!("CARGO_MANIFEST_DIR"))]
    pub root: PathBuf,
    /// Work for a supervisor, in this folder.
    #[arg(long, hide = true)]
    pub worker: Option<PathBuf>,
    /// The number of the worker's first run.
    #[arg(long, hide = true, default_value_t = 0)]
    pub first_run: u64,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum What {
    /// Fuzz one target.
    One(&'static Target),
    /// Fuzz all targets.
    All,
    /// Write the seeds.
    Seeds,
}

fn parse_what(name: &str) -> Result<What, String> {
    match name {
        "all" => Ok(What::All),
        "seeds" => Ok(What::Seeds),
        _ => Target::of(name).map(What::One).ok_or_else(|| {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            format!("there are all, seeds, {}", names.join(", "))
        }),
    }
}
