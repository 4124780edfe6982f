//! `validate`: PSNR, SSIM and MAE of a model on held-out patients, through the library as its users run it.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use mrisynth::metrics::{Score, Scores};
use mrisynth::model::{LoadOptions, Model};
use mrisynth::synthesize::{Options, synthesize};
use mrisynth::{Contrast, Control, Volume};
use serde::Serialize;

use crate::data::store;
use crate::data::studies::{self, chosen};
use crate::error::Error;

/// Score a model on pairs of scans or stored subjects: PSNR, SSIM and MAE of axial slices, averaged.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("source").required(true)))]
pub struct Arguments {
    /// The model file.
    #[arg(long)]
    model: PathBuf,
    #[command(flatten)]
    studies: studies::Arguments,
    /// A store of subjects.
    #[arg(long, group = "source", conflicts_with_all = ["prepared", "skip_refused", "accept_implausible"])]
    store: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Threads; default: one a core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

/// The scores of one study.
#[derive(Clone, Debug, Serialize)]
pub struct StudyScore {
    /// Names the study.
    pub id: String,
    /// Names the person.
    pub patient: String,
    /// The synthetic volume as it is.
    pub direct: Score,
    /// After the one factor and offset that bring it nearest to the real one inside the brain.
    pub fitted: Score,
}

impl StudyScore {
    /// Scores a study's synthetic volume against the real one.
    ///
    /// # Errors
    /// Those of [`Scores::of`].
    pub fn of(id: &str, patient: &str, reference: &Volume, synthetic: &Volume) -> Result<Self, Error> {
        let Scores { direct, fitted } = Scores::of(reference, synthetic)?;
        Ok(Self { id: id.into(), patient: patient.into(), direct, fitted })
    }
}

/// Does what the arguments say.
pub fn run(arguments: Arguments) -> Result<(), Error> {
    let model = Model::open(&arguments.model, &LoadOptions::default())?;
    let control = || Control {
        threads: arguments.threads,
        // What lies in a store was judged on its way there.
        accept_implausible: arguments.studies.accept_implausible || arguments.store.is_some(),
        ..Control::default()
    };
    let score = |id: &str, patient: &str, [t1w, t2w]: [Volume; 2]| {
        let (source, reference) = match model.card().target {
            Contrast::T1w => (t2w, t1w),
            Contrast::T2w => (t1w, t2w),
        };
        let synthetic = synthesize(&model, &source, &source.grid(), &Options::prepared(), &mut control())?;
        StudyScore::of(id, patient, &reference, &synthetic)
    };
    let mut scores = Vec::new();
    if let Some(path) = &arguments.store {
        for subject in chosen(store::read(path)?, &arguments.studies.patients, |subject| &subject.patient)? {
            let contrasts = [subject.volume(Contrast::T1w)?, subject.volume(Contrast::T2w)?];
            scores.push(score(&subject.id, &subject.patient, contrasts)?);
        }
    } else {
        let found = arguments.studies.find()?;
        found.incomplete.iter().for_each(|one| eprintln!("left out: {}", one.fault));
        for files in found.studies {
            let pair = files.read(&arguments.studies.read_options(arguments.threads));
            let scored = pair.and_then(|pair| {
                pair.notes.iter().for_each(|note| eprintln!("{}: {note}", files.id));
                score(&files.id, &files.patient, [pair.t1w, pair.t2w])
            });
            match scored {
                Ok(found) => scores.push(found),
                Err(fault) if arguments.studies.skip_refused && fault.is_about_one_study() => {
                    eprintln!("left out: {fault}");
                }
                Err(fault) => return Err(fault),
            }
        }
    }
    if scores.is_empty() {
        return Err(Error::Data("no study is left".into()));
    }
    if arguments.json {
        let text = serde_json::to_string_pretty(&scores).map_err(|e| Error::Data(e.to_string()))?;
        println!("{text}");
    } else {
        print_table(&model, &scores);
    }
    Ok(())
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
