//! The command line: one subcommand a step, from scans to a validated model.

use std::path::PathBuf;
use std::time::Duration;

use burn::backend::{Autodiff, Flex};
use burn::tensor::backend::AutodiffBackend;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::error::Error;
use crate::export;
use crate::onnx::Precision;
use crate::recipe::Recipe;
use crate::store::{self, Origin, Subject};
use crate::train::{self, Options, Outcome};
use crate::{brain, prepare, simulate, validate};

/// Trains the generators that mrisynth runs.
#[derive(Debug, Parser)]
#[command(name = "mrisynth-train", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

// A further subcommand is one variant here and one line in `run`.
#[derive(Debug, Subcommand)]
enum Command {
    Prepare(prepare::Arguments),
    Simulate(simulate::Arguments),
    Validate(validate::Arguments),
    /// Train a generator as a recipe says.
    Train(TrainArguments),
    /// Write a trained generator as an ONNX file.
    Export(ExportArguments),
    /// Say what a store holds.
    Info(InfoArguments),
    /// Train the network that finds the brain in a head, as a recipe says.
    TrainBrain(TrainArguments),
    /// Write a trained network that finds the brain as an ONNX file.
    ExportBrain(ExportArguments),
    /// Write simulated heads and the heights above their brains' surfaces as NIfTI, to look at.
    SimulateHeads(brain::command::SimulateArguments),
}

#[derive(Debug, Args)]
struct TrainArguments {
    /// The recipe (TOML).
    #[arg(long)]
    recipe: PathBuf,
    /// The folder for log and checkpoints.
    #[arg(long)]
    output: PathBuf,
    /// What computes.
    #[arg(long, value_enum, default_value_t = BackendName::Flex)]
    backend: BackendName,
    /// Go on from the newest checkpoint of the folder, if there is one.
    #[arg(long)]
    resume: bool,
    /// Go on although the recipe has changed since the checkpoint.
    #[arg(long, requires = "resume")]
    accept_changed_recipe: bool,
    /// Stop with a checkpoint after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<u64>,
    /// Threads for all computing; default: one a core.
    #[arg(long)]
    threads: Option<u16>,
}

impl TrainArguments {
    fn options(&self) -> Options {
        Options {
            resume: self.resume,
            accept_changed_recipe: self.accept_changed_recipe,
            time_limit: self.time_limit.map(Duration::from_secs),
        }
    }
}

#[derive(Debug, Args)]
struct ExportArguments {
    /// The folder of a run.
    #[arg(long)]
    run: PathBuf,
    /// The ONNX file to write.
    #[arg(short, long)]
    output: PathBuf,
    /// Store the weights in single instead of half precision.
    #[arg(long)]
    float32: bool,
    /// An entry of the card, such as license=CC0-1.0; repeatable.
    #[arg(long, value_name = "KEY=VALUE", value_parser = card_entry)]
    card: Vec<(String, String)>,
}

#[derive(Debug, Args)]
struct InfoArguments {
    /// The store; repeatable.
    #[arg(long, required = true)]
    store: Vec<PathBuf>,
}

/// What computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BackendName {
    /// Pure Rust on the CPU.
    Flex,
    /// LibTorch on the CPU (feature `tch`).
    Tch,
    /// An NVIDIA GPU (feature `cuda`).
    Cuda,
}

/// Does what the command line asks for.
pub fn run(arguments: Arguments) -> Result<(), Error> {
    match arguments.command {
        Command::Prepare(arguments) => prepare::run(arguments),
        Command::Simulate(arguments) => simulate::run(arguments),
        Command::Validate(arguments) => validate::run(arguments),
        Command::Train(arguments) => run_job(&arguments, GeneratorJob(&arguments)),
        Command::Export(arguments) => run_export(arguments),
        Command::Info(arguments) => run_info(arguments),
        Command::TrainBrain(arguments) => run_job(&arguments, BrainJob(&arguments)),
        Command::ExportBrain(arguments) => run_export_brain(arguments),
        Command::SimulateHeads(arguments) => brain::command::simulate(&arguments),
    }
}

fn card_entry(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(format!("{text:?} is not KEY=VALUE")),
    }
}

/// A training that any backend can do.
trait Job {
    fn run<B: AutodiffBackend>(self) -> Result<Outcome, Error>;
}

struct GeneratorJob<'a>(&'a TrainArguments);

impl Job for GeneratorJob<'_> {
    fn run<B: AutodiffBackend>(self) -> Result<Outcome, Error> {
        let recipe = Recipe::read(&self.0.recipe)?;
        let subjects = store::read_many(&recipe.stores)?;
        println!("{}", summary(&subjects));
        train::train::<B>(&recipe, subjects, &self.0.output, &self.0.options(), &B::Device::default())
    }
}

struct BrainJob<'a>(&'a TrainArguments);

impl Job for BrainJob<'_> {
    fn run<B: AutodiffBackend>(self) -> Result<Outcome, Error> {
        let recipe = brain::recipe::Recipe::read(&self.0.recipe)?;
        let anatomies = brain::pool::read_anatomies(&recipe)?;
        println!("{} label maps", anatomies.len());
        let pool = brain::pool::Pool::new(anatomies, recipe.clone());
        brain::train::train::<B>(&recipe, pool, &self.0.output, &self.0.options(), &B::Device::default())
    }
}

fn run_job(arguments: &TrainArguments, job: impl Job) -> Result<(), Error> {
    set_threads(arguments.threads)?;
    let outcome = match arguments.backend {
        BackendName::Flex => job.run::<Autodiff<Flex>>(),
        BackendName::Tch => run_on_tch(job),
        BackendName::Cuda => run_on_cuda(job),
    }?;
    let state = if outcome.complete { "complete" } else { "stopped in time; go on with --resume" };
    println!("step {}: {state}", outcome.step);
    Ok(())
}

#[cfg(feature = "tch")]
fn run_on_tch(job: impl Job) -> Result<Outcome, Error> {
    job.run::<Autodiff<burn::backend::LibTorch>>()
}

#[cfg(not(feature = "tch"))]
fn run_on_tch(_job: impl Job) -> Result<Outcome, Error> {
    Err(not_built("tch"))
}

#[cfg(feature = "cuda")]
fn run_on_cuda(job: impl Job) -> Result<Outcome, Error> {
    job.run::<Autodiff<burn::backend::Cuda>>()
}

#[cfg(not(feature = "cuda"))]
fn run_on_cuda(_job: impl Job) -> Result<Outcome, Error> {
    Err(not_built("cuda"))
}

#[cfg(any(not(feature = "tch"), not(feature = "cuda")))]
fn not_built(feature: &str) -> Error {
    Error::Usage(format!(
        "this program was built without the {feature} backend; build it with --features {feature}"
    ))
}

fn set_threads(threads: Option<u16>) -> Result<(), Error> {
    let Some(threads) = threads else {
        return Ok(());
    };
    if threads == 0 {
        return Err(Error::Usage("--threads is 0".into()));
    }
    #[cfg(feature = "tch")]
    tch::set_num_threads(i32::from(threads));
    rayon::ThreadPoolBuilder::new()
        .num_threads(usize::from(threads))
        .build_global()
        .map_err(|e| Error::Usage(format!("--threads: {e}")))
}

fn run_export(arguments: ExportArguments) -> Result<(), Error> {
    let device = Default::default();
    let (recipe, network, steps) = train::load_generator::<Flex>(&arguments.run, &device)?;
    let card = export::card(&recipe, &network, steps, &arguments.card)?;
    let precision = if arguments.float32 { Precision::Float32 } else { Precision::Float16 };
    export::export(&network, recipe.network.slices_in, &card, precision, &arguments.output, &device)?;
    for (key, value) in card {
        println!("{key} = {value}");
    }
    Ok(())
}

fn run_export_brain(arguments: ExportArguments) -> Result<(), Error> {
    let device = Default::default();
    let (_, network, steps) = brain::train::load::<Flex>(&arguments.run, &device)?;
    let card = brain::export::card(&network, steps, &arguments.card)?;
    let precision = if arguments.float32 { Precision::Float32 } else { Precision::Float16 };
    brain::export::export(&network, &card, precision, &arguments.output, &device)?;
    for (key, value) in card {
        println!("{key} = {value}");
    }
    Ok(())
}

fn run_info(arguments: InfoArguments) -> Result<(), Error> {
    let subjects = store::read_many(&arguments.store)?;
    for subject in &subjects {
        println!(
            "{} (patient {}, {:?}): {:?}",
            subject.id,
            subject.patient,
            subject.origin,
            subject.t1w.dim()
        );
    }
    println!("{}", summary(&subjects));
    Ok(())
}

fn summary(subjects: &[Subject]) -> String {
    let count = |origin| subjects.iter().filter(|s| s.origin == origin).count();
    let patients: std::collections::BTreeSet<_> = subjects.iter().map(|s| &s.patient).collect();
    format!(
        "{} real and {} simulated subjects of {} patients",
        count(Origin::Real),
        count(Origin::Simulated),
        patients.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
        assert_eq!(card_entry("a=b=c").unwrap(), ("a".into(), "b=c".into()));
        assert!(card_entry("=b").is_err());
        assert!(card_entry("b").is_err());
    }
}
