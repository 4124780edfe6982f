//! The command line: one subcommand a step, from scans to a validated model.

use std::path::PathBuf;
use std::time::Duration;

use burn::backend::{Autodiff, Flex};
use burn::tensor::backend::AutodiffBackend;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::data::prepare;
use crate::data::store::{self, Origin, Subject};
use crate::error::Error;
use crate::export;
use crate::method::{self, Choice};
use crate::onnx::Precision;
use crate::recipe::Recipe;
use crate::report::compare;
use crate::run::{Options, Outcome};
use crate::{assess, bench, brain, simulate, train, validate, validation};

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
    Assess(assess::Arguments),
    Compare(compare::Arguments),
    /// Train a generator as a recipe says.
    Train(GeneratorArguments),
    /// Write a trained generator as an ONNX file.
    Export(ExportArguments),
    Bench(BenchArguments),
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
    #[arg(long, value_enum, default_value_t = BackendName::Cpu)]
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

#[derive(Debug, Args)]
struct GeneratorArguments {
    #[command(flatten)]
    common: TrainArguments,
    /// Swap the recipe's source and target.
    #[arg(long)]
    reverse: bool,
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
    /// The ONNX file to write; of a run with both directions, the folder for NAME.onnx of each.
    #[arg(short, long)]
    output: PathBuf,
    /// Which checkpoint; default: the best on the validation part if there is one, else the newest.
    #[arg(long, value_enum)]
    checkpoint: Option<Choice>,
    /// Store the weights in single instead of half precision.
    #[arg(long)]
    float32: bool,
    /// An entry of the card, such as license=CC0-1.0; repeatable.
    #[arg(long, value_name = "KEY=VALUE", value_parser = card_entry)]
    card: Vec<(String, String)>,
}

#[derive(Debug, Args)]
struct BenchArguments {
    #[command(flatten)]
    bench: bench::Arguments,
    /// What computes.
    #[arg(long, value_enum, default_value_t = BackendName::Cpu)]
    backend: BackendName,
    /// Threads for all computing; default: one a core.
    #[arg(long)]
    threads: Option<u16>,
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
    /// Pure Rust on the CPU (burn's Flex).
    #[value(alias = "flex")]
    Cpu,
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
        Command::Assess(arguments) => assess::run(arguments),
        Command::Compare(arguments) => compare::run(arguments),
        Command::Train(arguments) => run_job(&arguments.common, GeneratorJob(&arguments)),
        Command::Export(arguments) => run_export(arguments),
        Command::Bench(arguments) => {
            on_backend(arguments.backend, arguments.threads, BenchJob(&arguments.bench))
        }
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

/// What any backend can do.
trait Job {
    type Output;

    fn run<B: AutodiffBackend>(self) -> Result<Self::Output, Error>;
}

struct BenchJob<'a>(&'a bench::Arguments);

impl Job for BenchJob<'_> {
    type Output = ();

    fn run<B: AutodiffBackend>(self) -> Result<(), Error> {
        bench::run::<B>(self.0, &B::Device::default())
    }
}

struct GeneratorJob<'a>(&'a GeneratorArguments);

impl Job for GeneratorJob<'_> {
    type Output = Outcome;

    fn run<B: AutodiffBackend>(self) -> Result<Outcome, Error> {
        let common = &self.0.common;
        let mut recipe = Recipe::read(&common.recipe)?;
        if self.0.reverse {
            (recipe.source, recipe.target) = (recipe.target, recipe.source);
        }
        let subjects = store::read_many(&recipe.stores)?;
        println!("{}", summary(&subjects));
        train::train::<B>(&recipe, subjects, &common.output, &common.options(), &B::Device::default())
    }
}

struct BrainJob<'a>(&'a TrainArguments);

impl Job for BrainJob<'_> {
    type Output = Outcome;

    fn run<B: AutodiffBackend>(self) -> Result<Outcome, Error> {
        let recipe = brain::recipe::Recipe::read(&self.0.recipe)?;
        let anatomies = brain::pool::read_anatomies(&recipe)?;
        println!("{} label maps", anatomies.len());
        let pool = brain::pool::Pool::new(anatomies, recipe.clone());
        brain::train::train::<B>(&recipe, pool, &self.0.output, &self.0.options(), &B::Device::default())
    }
}

fn on_backend<J: Job>(backend: BackendName, threads: Option<u16>, job: J) -> Result<J::Output, Error> {
    set_threads(threads)?;
    match backend {
        BackendName::Cpu => job.run::<Autodiff<Flex>>(),
        BackendName::Tch => run_on_tch(job),
        BackendName::Cuda => run_on_cuda(job),
    }
}

fn run_job(arguments: &TrainArguments, job: impl Job<Output = Outcome>) -> Result<(), Error> {
    let outcome = on_backend(arguments.backend, arguments.threads, job)?;
    let state = if outcome.complete { "complete" } else { "stopped in time; go on with --resume" };
    println!("step {}: {state}", outcome.step);
    Ok(())
}

#[cfg(feature = "tch")]
fn run_on_tch<J: Job>(job: J) -> Result<J::Output, Error> {
    job.run::<Autodiff<burn::backend::LibTorch>>()
}

#[cfg(not(feature = "tch"))]
fn run_on_tch<J: Job>(_job: J) -> Result<J::Output, Error> {
    Err(not_built("tch"))
}

#[cfg(feature = "cuda")]
fn run_on_cuda<J: Job>(job: J) -> Result<J::Output, Error> {
    job.run::<Autodiff<burn::backend::Cuda>>()
}

#[cfg(not(feature = "cuda"))]
fn run_on_cuda<J: Job>(_job: J) -> Result<J::Output, Error> {
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
    let loaded = method::load::<Flex>(&arguments.run, arguments.checkpoint, &device)?;
    let recipe = &loaded.recipe;
    let precision = if arguments.float32 { Precision::Float32 } else { Precision::Float16 };
    for (direction, network) in &loaded.generators {
        let path = match loaded.generators.len() {
            1 => arguments.output.clone(),
            _ => arguments.output.join(format!("{}.onnx", recipe.model_name(*direction))),
        };
        let trained = export::Trained {
            direction: *direction,
            steps: loaded.step,
            validation: validation::score_at(&arguments.run, loaded.step, *direction)?,
        };
        let card = export::card(recipe, &trained, network, &arguments.card)?;
        export::export(network, &recipe.network, &card, precision, &path, &device)?;
        println!("{}", path.display());
        for (key, value) in card {
            println!("  {key} = {value}");
        }
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
