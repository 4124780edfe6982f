//! The command line: `train`, `export` and `info`.

use std::path::PathBuf;
use std::time::Duration;

use burn::backend::{Autodiff, Flex};
use burn::tensor::backend::AutodiffBackend;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::error::Error;
use crate::export::{self, Precision};
use crate::recipe::Recipe;
use crate::store::{self, Origin, Subject};
use crate::train::{self, Options};
use crate::{prepare, validate};

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
    Validate(validate::Arguments),
    /// Train a generator as a recipe says.
    Train(TrainArguments),
    /// Write a trained generator as an ONNX file.
    Export(ExportArguments),
    /// Say what a store holds.
    Info(InfoArguments),
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
        Command::Validate(arguments) => validate::run(arguments),
        Command::Train(arguments) => run_train(arguments),
        Command::Export(arguments) => run_export(arguments),
        Command::Info(arguments) => run_info(arguments),
    }
}

fn card_entry(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(format!("{text:?} is not KEY=VALUE")),
    }
}

fn run_train(arguments: TrainArguments) -> Result<(), Error> {
    set_threads(arguments.threads)?;
    let recipe = Recipe::read(&arguments.recipe)?;
    match arguments.backend {
        BackendName::Flex => train_with::<Autodiff<Flex>>(&recipe, &arguments),
        BackendName::Tch => train_with_tch(&recipe, &arguments),
        BackendName::Cuda => train_with_cuda(&recipe, &arguments),
    }
}

#[cfg(feature = "tch")]
fn train_with_tch(recipe: &Recipe, arguments: &TrainArguments) -> Result<(), Error> {
    train_with::<Autodiff<burn::backend::LibTorch>>(recipe, arguments)
}

#[cfg(not(feature = "tch"))]
fn train_with_tch(_recipe: &Recipe, _arguments: &TrainArguments) -> Result<(), Error> {
    Err(not_built("tch"))
}

#[cfg(feature = "cuda")]
fn train_with_cuda(recipe: &Recipe, arguments: &TrainArguments) -> Result<(), Error> {
    train_with::<Autodiff<burn::backend::Cuda>>(recipe, arguments)
}

#[cfg(not(feature = "cuda"))]
fn train_with_cuda(_recipe: &Recipe, _arguments: &TrainArguments) -> Result<(), Error> {
    Err(not_built("cuda"))
}

#[cfg(any(not(feature = "tch"), not(feature = "cuda")))]
fn not_built(feature: &str) -> Error {
    Error::Usage(format!(
        "this program was built without the {feature} backend; build it with --features {feature}"
    ))
}

fn train_with<B: AutodiffBackend>(recipe: &Recipe, arguments: &TrainArguments) -> Result<(), Error> {
    let subjects = store::read_many(&recipe.stores)?;
    println!("{}", summary(&subjects));
    let options = Options {
        resume: arguments.resume,
        accept_changed_recipe: arguments.accept_changed_recipe,
        time_limit: arguments.time_limit.map(Duration::from_secs),
    };
    let device = B::Device::default();
    let outcome = train::train::<B>(recipe, subjects, &arguments.output, &options, &device)?;
    let state = if outcome.complete { "complete" } else { "stopped in time; go on with --resume" };
    println!("step {} of {}: {state}", outcome.step, recipe.steps);
    Ok(())
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
