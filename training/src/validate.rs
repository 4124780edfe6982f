//! `validate`: PSNR, SSIM and MAE of a model on held-out patients, through the library as its users run it.

use std::path::PathBuf;

use clap::Args;
use mrisynth::Contrast;
use mrisynth::Control;
use mrisynth::metrics::{self, Score};
use mrisynth::model::{LoadOptions, Model};
use mrisynth::synthesize::{Options, synthesize};
use serde::Serialize;

use crate::error::Error;
use crate::pairs::{self, Pair, PairFiles};
use crate::prepare;

/// Score a model on pairs of prepared scans: PSNR, SSIM and MAE of axial slices, averaged.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The model file.
    #[arg(long)]
    model: PathBuf,
    /// The list of studies: a CSV file with the columns id, patient, t1w, t2w; paths are relative to it.
    #[arg(long)]
    pairs: PathBuf,
    /// Take these patients only; repeatable.
    #[arg(long = "patient")]
    patients: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Threads; default: one a core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

/// The scores of one study.
#[derive(Debug, Serialize)]
struct StudyScore {
    id: String,
    patient: String,
    /// The synthetic volume as it is.
    direct: Score,
    /// After the one factor and offset that bring it nearest to the real one inside the brain.
    fitted: Score,
}

/// Does what the arguments say.
pub fn run(arguments: Arguments) -> Result<(), Error> {
    let model = Model::open(&arguments.model, &LoadOptions::default())?;
    let list = prepare::chosen(pairs::read_list(&arguments.pairs)?, &arguments.patients)?;
    let score = |files: &PairFiles| score_study(&model, files, arguments.threads);
    let scores: Vec<StudyScore> = list.iter().map(score).collect::<Result<_, _>>()?;
    if arguments.json {
        let text = serde_json::to_string_pretty(&scores).map_err(|e| Error::Data(e.to_string()))?;
        println!("{text}");
    } else {
        print_table(&model, &scores);
    }
    Ok(())
}

fn score_study(model: &Model, files: &PairFiles, threads: usize) -> Result<StudyScore, Error> {
    let Pair { t1w, t2w, .. } = files.read()?;
    let (source, reference) = match model.card().target {
        Contrast::T1w => (t2w, t1w),
        Contrast::T2w => (t1w, t2w),
    };
    let mut control = Control { threads, ..Control::default() };
    let synthetic = synthesize(model, &source, &source.grid(), &Options::prepared(), &mut control)?;
    // Where the real scan has signal, so that no metric may see an invented background.
    let brain = reference.voxels().mapv(|value| value > 0.0);
    let score = |fit| metrics::score(&reference, &synthetic, &brain, fit);
    Ok(StudyScore {
        id: files.id.clone(),
        patient: files.patient.clone(),
        direct: score(false)?,
        fitted: score(true)?,
    })
}

fn print_table(model: &Model, scores: &[StudyScore]) {
    let card = model.card();
    println!("{} {} ({} to {})", card.name, card.version, card.source, card.target);
    println!("                            whole slice              inside the brain");
    println!("study        fit  slices   PSNR    SSIM    MAE      PSNR    SSIM    MAE");
    for study in scores {
        for (fit, score) in [("no", &study.direct), ("yes", &study.fitted)] {
            let (whole, brain) = (&score.whole, &score.brain);
            println!(
                "{:<12} {fit:<4} {:>5}  {:>6.2}  {:.4}  {:.4}   {:>6.2}  {:.4}  {:.4}",
                study.id, score.slices, whole.psnr, whole.ssim, whole.mae, brain.psnr, brain.ssim, brain.mae
            );
        }
    }
}
