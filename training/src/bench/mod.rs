//! `bench`: steps a second of every network on a backend, by every arithmetic; what the recipes' defaults are chosen by.

mod cases;
mod table;
mod timing;

use std::path::PathBuf;

use burn::tensor::backend::AutodiffBackend;
use clap::Args;

use crate::error::Error;
use cases::Case;
use table::Line;

/// Time a step (forward, backward, Adam) of each network, or of the methods of recipes: native convolution against products
/// of matrices, float32 against bfloat16, transposed convolution against resizing.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Time whole steps of this recipe's method on its networks and sizes, instead of single networks; repeatable. Of the
    /// other settings --rounds, --seconds, --arithmetic and --json count.
    #[arg(long)]
    recipe: Vec<PathBuf>,
    /// Edge of the square images in voxels.
    #[arg(long, default_value_t = 256)]
    window: usize,
    /// Images a step.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Divide all channels by this: smaller networks for a CPU.
    #[arg(long, default_value_t = 1)]
    divisor: usize,
    /// Rounds, of which the median counts; in each round every variant of a network has its turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds that a variant's turn takes about.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    /// Only networks whose name holds this, such as residual, unet, light, patchgan, transposed or resize.
    #[arg(long)]
    network: Option<String>,
    /// Only arithmetic whose name holds this, such as native, matrix, float32 or bfloat16.
    #[arg(long)]
    arithmetic: Option<String>,
    /// What the device computes at best, in TFLOP/s: gives the part of it that is reached.
    #[arg(long, value_name = "TFLOPS")]
    peak: Option<f64>,
    /// Write the figures to this file, too (JSON).
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Does what the arguments say; prints a line for each variant as Markdown.
///
/// # Errors
/// [`Error::Usage`] for sizes that no network takes or a filter that leaves none; [`Error::Io`].
pub fn run<B: AutodiffBackend>(arguments: &Arguments, device: &B::Device) -> Result<(), Error> {
    check(arguments)?;
    let all = match &arguments.recipe[..] {
        [] => cases::all(arguments.divisor),
        recipes => recipes.iter().map(|path| cases::of_recipe(path)).collect::<Result<_, _>>()?,
    };
    let groups: Vec<Vec<Case>> = all
        .into_iter()
        .map(|group| group.into_iter().filter(|case| wanted(case, arguments)).collect::<Vec<_>>())
        .filter(|group| !group.is_empty())
        .collect();
    if groups.is_empty() {
        return Err(Error::Usage("no variant has such a --network and --arithmetic".into()));
    }
    if let Some(case) = groups.iter().flatten().find(|case| !case.takes(arguments.window)) {
        return Err(Error::Usage(format!("--window {}: {} does not take it", arguments.window, case.name)));
    }
    println!("{}", table::heading(&B::name(device), arguments));
    let mut lines: Vec<Line> = Vec::new();
    for group in groups {
        let timed = timing::time::<B>(&group, arguments, device)?;
        for line in timed {
            println!("{}", line.markdown(arguments.peak));
            lines.push(line);
        }
    }
    match &arguments.json {
        Some(path) => table::write_json(path, &lines),
        None => Ok(()),
    }
}

fn check(arguments: &Arguments) -> Result<(), Error> {
    for (name, value, most) in [
        ("window", arguments.window, 1024),
        ("batch", arguments.batch, 256),
        ("divisor", arguments.divisor, 64),
        ("rounds", arguments.rounds, 1000),
    ] {
        if !(1..=most).contains(&value) {
            return Err(Error::Usage(format!("--{name} is {value}, it must be in 1..={most}")));
        }
    }
    let positive = |value: f64| value > 0.0 && value.is_finite();
    if !positive(arguments.seconds) || !arguments.peak.is_none_or(positive) {
        return Err(Error::Usage("--seconds and --peak must be above 0".into()));
    }
    Ok(())
}

fn wanted(case: &Case, arguments: &Arguments) -> bool {
    let holds = |text: &str, part: &Option<String>| part.as_ref().is_none_or(|part| text.contains(part));
    holds(&case.name, &arguments.network) && holds(&case.arithmetic_name(), &arguments.arithmetic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Autodiff, Flex};
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn arguments(line: &str) -> Arguments {
        Program::parse_from(std::iter::once("bench").chain(line.split_whitespace())).arguments
    }

    #[test]
    fn every_variant_of_every_network_takes_a_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("figures.json");
        let line = "--window 32 --divisor 64 --rounds 1 --seconds 1e-9 --network";
        for (network, variants) in [("residual", 8), ("light", 4), ("patchgan", 8)] {
            let mut arguments = arguments(&format!("{line} {network}"));
            arguments.json = Some(path.clone());
            run::<Autodiff<Flex>>(&arguments, &Default::default()).unwrap();
            let figures: Vec<serde_json::Value> =
                serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            assert_eq!(figures.len(), variants, "{network}");
            assert!(figures.iter().all(|line| line["steps_per_second"].as_f64().unwrap() > 0.0));
        }
    }

    #[test]
    fn so_does_every_method() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tiny.toml");
        for method in ["cyclegan", "pix2pix"] {
            let recipe = format!(
                "method = '{method}'\nsource = 't2w'\ntarget = 't1w'\nstores = ['x']\nwindow = 32\n\
                 network = {{ kind = 'residual', widths = [2, 2], residual_blocks = 1 }}\n\
                 discriminator = {{ widths = [2] }}\n"
            );
            std::fs::write(&path, recipe).unwrap();
            let mut arguments = arguments("--rounds 1 --seconds 1e-9 --arithmetic native");
            arguments.recipe = vec![path.clone()];
            arguments.json = Some(folder.path().join("figures.json"));
            run::<Autodiff<Flex>>(&arguments, &Default::default()).unwrap();
            let text = std::fs::read_to_string(folder.path().join("figures.json")).unwrap();
            let figures: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
            assert_eq!(figures.len(), 2);
            assert!(figures.iter().all(|line| line["steps_per_second"].as_f64().unwrap() > 0.0), "{text}");
        }
    }

    #[test]
    fn impossible_wishes_are_refused() {
        for line in ["--window 0", "--batch 0", "--divisor 0", "--rounds 0", "--seconds 0", "--peak=-1"] {
            assert!(check(&arguments(line)).is_err(), "{line}");
        }
        for line in ["--window 100 --network light", "--network transformer", "--window 128 --network unet"] {
            let refused = run::<Autodiff<Flex>>(&arguments(line), &Default::default());
            assert!(matches!(refused, Err(Error::Usage(_))), "{line}");
        }
    }
}
