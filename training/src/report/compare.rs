//! `compare`: several models and two baselines on a recipe's held-out patients, as tables in the paper's form.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressIterator};
use mrisynth::model::{LoadOptions, Model};
use mrisynth::synthesize::{Options, synthesize};
use mrisynth::{Contrast, Control, Volume};
use rayon::prelude::*;
use serde::Serialize;

use crate::data::split::{self, Part};
use crate::data::store::{self, Origin, Subject, write_whole};
use crate::error::Error;
use crate::recipe::Recipe;
use crate::report::baseline::IntensityMap;
use crate::report::table::{self, Mean, Scored};
use crate::validate::StudyScore;

/// What the baselines are called.
const COPY: &str = "source copied";
const MAP: &str = "intensity map";

/// Score models on the patients that a recipe held out: tables of PSNR, SSIM and MAE with 95 % intervals.
///
/// Each model is run by the library as its users run it. Beside the models stand two baselines that need no network: the source
/// as it is, and its intensities looked up in a table learned from the training patients.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The recipe: its stores and its split say which patients are held out.
    #[arg(long)]
    recipe: PathBuf,
    /// A model to score, and the name of its column; repeatable. Models of both directions may share a column.
    #[arg(long = "model", value_name = "LABEL=FILE", required = true, value_parser = labelled)]
    models: Vec<(String, PathBuf)>,
    /// The patients to score on.
    #[arg(long, value_enum, default_value_t = Part::Test)]
    part: Part,
    /// Write the tables (Markdown) to this file too.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Write every score (JSON) to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Threads; default: one a core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

/// What a reader should know of a part.
fn described(part: Part) -> &'static str {
    match part {
        Part::Train => "Training patients, which the models have seen",
        Part::Validation => "Validation patients, which chose the checkpoints",
        Part::Test => "Held-out test patients",
    }
}

fn labelled(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((label, file)) if !label.trim().is_empty() && !file.is_empty() => {
            Ok((label.trim().into(), file.into()))
        }
        _ => Err(format!("{text:?} is not LABEL=FILE")),
    }
}

/// Does what the arguments say.
pub fn run(arguments: Arguments) -> Result<(), Error> {
    let recipe = Recipe::read(&arguments.recipe)?;
    let methods = methods(&arguments.models)?;
    let comparison = compare(&recipe, methods, arguments.part, arguments.threads)?;
    let text = comparison.markdown();
    print!("{text}");
    if let Some(path) = &arguments.output {
        write_whole(path, text.as_bytes())?;
    }
    if let Some(path) = &arguments.json {
        write_whole(path, comparison.json()?.as_bytes())?;
    }
    Ok(())
}

/// Something that makes a target from a source.
enum Means {
    Model(Box<Model>),
    Copy,
    Map(IntensityMap),
}

struct Method {
    label: String,
    source: Contrast,
    target: Contrast,
    means: Means,
}

/// Opens the models; two of one direction cannot share a column.
fn methods(models: &[(String, PathBuf)]) -> Result<Vec<Method>, Error> {
    let mut methods: Vec<Method> = Vec::new();
    for (label, path) in models {
        let method = open(label, path)?;
        let twice = methods.iter().any(|one| one.label == *label && one.target == method.target);
        if twice || label == COPY || label == MAP {
            return Err(Error::Usage(format!(
                "--model {label}: the column {label} has a method from {} to {} already",
                method.source, method.target
            )));
        }
        methods.push(method);
    }
    // As in the paper: to T1w first.
    methods.sort_by_key(|method| method.target);
    Ok(methods)
}

fn open(label: &str, path: &Path) -> Result<Method, Error> {
    let model = Model::open(path, &LoadOptions::default())
        .map_err(|fault| Error::Usage(format!("--model {label}={}: {fault}", path.display())))?;
    let (source, target) = (model.card().source, model.card().target);
    Ok(Method { label: label.into(), source, target, means: Means::Model(Box::new(model)) })
}

/// The models' scores, and those of the baselines for the same directions.
fn compare(
    recipe: &Recipe,
    mut methods: Vec<Method>,
    part: Part,
    threads: usize,
) -> Result<Comparison, Error> {
    let mut parts = split::parted(store::read_many(&recipe.stores)?, &recipe.split)?;
    methods.extend(baselines(&parts[Part::Train as usize], &methods)?);
    let subjects = std::mem::take(&mut parts[part as usize]);
    // The other parts' volumes are not needed any more.
    drop(parts);
    if subjects.is_empty() {
        return Err(Error::Data(format!("the recipe's split keeps no patient for the part {part:?}")));
    }
    let progress = ProgressBar::new(subjects.len() as u64);
    let mut studies: Vec<Vec<StudyScore>> = methods.iter().map(|_| Vec::new()).collect();
    for subject in subjects.iter().progress_with(progress) {
        let scores = score_subject(&methods, subject, threads)?;
        studies.iter_mut().zip(scores).for_each(|(studies, score)| studies.push(score));
    }
    let scored: Vec<Scored> = methods
        .iter()
        .zip(studies)
        .map(|(method, studies)| Scored {
            label: method.label.clone(),
            source: method.source,
            target: method.target,
            studies,
        })
        .collect();
    Ok(Comparison {
        cohort: recipe.store_names(),
        part,
        patients: subjects.iter().map(|subject| subject.patient.clone()).collect(),
        studies: subjects.len(),
        simulated: subjects.iter().filter(|subject| subject.origin == Origin::Simulated).count(),
        means: table::means(&scored)?,
        scored,
        models: methods.iter().filter_map(Method::provenance).collect(),
    })
}

/// Both baselines for each direction of the models, the map learned from the training patients.
fn baselines(training: &[Subject], methods: &[Method]) -> Result<Vec<Method>, Error> {
    let directions: BTreeMap<Contrast, Contrast> =
        methods.iter().map(|method| (method.target, method.source)).collect();
    let mut baselines = Vec::new();
    for (target, source) in directions {
        let map = IntensityMap::learn(training, source, target)?;
        for (label, means) in [(COPY, Means::Copy), (MAP, Means::Map(map))] {
            baselines.push(Method { label: label.into(), source, target, means });
        }
    }
    Ok(baselines)
}

/// The scores of one subject, one a method.
fn score_subject(methods: &[Method], subject: &Subject, threads: usize) -> Result<Vec<StudyScore>, Error> {
    let synthetic: Vec<Volume> =
        methods.iter().map(|method| method.run(subject, threads)).collect::<Result<_, Error>>()?;
    methods
        .par_iter()
        .zip(&synthetic)
        .map(|(method, synthetic)| {
            let reference = subject.volume(method.target)?;
            StudyScore::of(&subject.id, &subject.patient, &reference, synthetic)
        })
        .collect()
}

impl Method {
    fn run(&self, subject: &Subject, threads: usize) -> Result<Volume, Error> {
        match &self.means {
            Means::Copy => subject.volume(self.source),
            Means::Map(map) => map.apply(subject, self.source),
            Means::Model(model) => {
                let source = subject.volume(self.source)?;
                // What lies in a store was judged on its way there: a doubt must not end the comparison.
                let mut control = Control { threads, accept_implausible: true, ..Control::default() };
                synthesize(model, &source, &source.grid(), &Options::prepared(), &mut control)
                    .map_err(|fault| Error::Data(format!("{} on {}: {fault}", self.label, subject.id)))
            }
        }
    }

    fn provenance(&self) -> Option<Provenance> {
        let Means::Model(model) = &self.means else {
            return None;
        };
        let card = model.card();
        Some(Provenance {
            label: self.label.clone(),
            name: card.name.clone(),
            version: card.version.clone(),
            method: card.get("method").map(str::to_owned),
            source: self.source,
            target: self.target,
            sha256: model.sha256().into(),
        })
    }
}

/// Which model a column is of.
#[derive(Debug, Serialize)]
struct Provenance {
    label: String,
    name: String,
    version: String,
    method: Option<String>,
    source: Contrast,
    target: Contrast,
    sha256: String,
}

/// All that is known of a comparison.
#[derive(Debug, Serialize)]
struct Comparison {
    cohort: String,
    part: Part,
    patients: BTreeSet<String>,
    studies: usize,
    simulated: usize,
    models: Vec<Provenance>,
    means: Vec<Mean>,
    scored: Vec<Scored>,
}

impl Comparison {
    fn markdown(&self) -> String {
        let mut text = format!("### {}\n\n{}\n\n", table::escaped(&self.cohort), self.heading());
        text += &table::draw(&self.means);
        text += "\nModels:\n\n";
        for model in &self.models {
            let method = model.method.as_deref().unwrap_or("method not said");
            text += &format!(
                "- {}, {} to {}: {} {}, {method}, SHA-256 {}\n",
                model.label,
                model.source,
                model.target,
                model.name,
                model.version,
                model.sha256.get(..12).unwrap_or(&model.sha256)
            );
        }
        text
    }

    fn heading(&self) -> String {
        let patients = self.patients.len();
        let origin = match self.simulated {
            0 => "all real".to_owned(),
            all if all == self.studies => "all **simulated**".to_owned(),
            some => format!("{some} of them **simulated**"),
        };
        format!(
            "{}: n = {patients}, {} studies, {origin}. Means [95 % intervals, Student's t, over patients] of axial \
             slices with at least 2 % brain. \"{COPY}\" and \"{MAP}\" need no network: the source as it is, and the target's mean \
             intensity for each intensity of the source, learned from the training patients.",
            described(self.part),
            self.studies
        )
    }

    fn json(&self) -> Result<String, Error> {
        serde_json::to_string_pretty(self).map_err(|e| Error::Data(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::store::StoreWriter;
    use crate::known_models;
    use ndarray::{Array3, ShapeBuilder};
    use prost::Message;

    /// A brain of 0.4 litres, normalized as stores are, in which T1w falls as T2w rises, and by `place` on one side.
    fn subject(id: &str, patient: &str, place: u16) -> Subject {
        let t2w = Array3::from_shape_fn((100, 120, 100).f(), |(i, j, k)| {
            let inside = [(i, 100, 42.0), (j, 120, 52.0), (k, 100, 42.0)]
                .iter()
                .map(|&(at, all, radius)| ((at as f64 + 0.5 - f64::from(all) / 2.0) / radius).powi(2))
                .sum::<f64>()
                < 1.0;
            if inside {
                (9_000 + 300 * ((3 * (i / 7) + 5 * (j / 5) + 7 * (k / 4)) % 220)).min(65_535) as u16
            } else {
                0
            }
        });
        let dark = |value: u16| (75_000 - 3 * u32::from(value) / 4).min(65_535) as u16;
        let mut t1w = t2w.mapv(|value| if value == 0 { 0 } else { dark(value) });
        for ((i, _, _), value) in t1w.indexed_iter_mut() {
            if *value > 0 && i < 50 {
                *value -= place;
            }
        }
        Subject { id: id.into(), patient: patient.into(), origin: Origin::Simulated, t1w, t2w }
    }

    struct Bench {
        folder: tempfile::TempDir,
    }

    impl Bench {
        /// Three patients, two of whom have two studies; a third each trains, validates and tests.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let mut writer = StoreWriter::create(folder.path().join("a.store")).unwrap();
            for (id, patient) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("c1", "c"), ("c2", "c")] {
                writer.append(&subject(id, patient, 2_000)).unwrap();
            }
            writer.finish().unwrap();
            Self { folder }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn recipe(&self) -> PathBuf {
            let text = format!(
                "name = 'bench'\nmethod = 'supervised'\nsource = 't2w'\ntarget = 't1w'\nstores = [{:?}]\nsteps = 10\n\
                 split = {{ train = 0.34, validation = 0.33, test = 0.33, seed = 42 }}\n",
                self.path("a.store")
            );
            std::fs::write(self.path("r.toml"), text).unwrap();
            self.path("r.toml")
        }

        /// A model that hands its source on.
        fn model(&self, source: &str, target: &str) -> PathBuf {
            let mut model = known_models::convolution(1, 0, [0, 0]);
            known_models::set_card(&mut model, "source", Some(source));
            known_models::set_card(&mut model, "target", Some(target));
            let path = self.path(&format!("{target}.onnx"));
            std::fs::write(&path, model.encode_to_vec()).unwrap();
            path
        }
    }

    fn text_of(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_model_that_copies_scores_as_the_copy_and_the_map_scores_better() {
        let bench = Bench::new();
        let models = [("t2w", "t1w"), ("t1w", "t2w")].map(|(s, t)| ("same".to_owned(), bench.model(s, t)));
        run(Arguments {
            recipe: bench.recipe(),
            models: models.to_vec(),
            part: Part::Test,
            output: Some(bench.path("table.md")),
            json: Some(bench.path("scores.json")),
            threads: 2,
        })
        .unwrap();
        let text = text_of(&bench.path("table.md"));
        assert!(text.contains("n = 1, 2 studies") && text.contains("all **simulated**"), "{text}");
        let rows: Vec<Vec<&str>> = text
            .lines()
            .filter(|line| line.contains("PSNR") || line.contains("SSIM"))
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        assert_eq!(rows.len(), 12, "{text}");
        for row in &rows {
            let [same, copy, map] = [3, 4, 5].map(|column| row[column].parse::<f64>().unwrap());
            assert!((same - copy).abs() < 0.0051, "the walk changes nothing: {row:?}");
            assert!(map > copy || !row[2].starts_with("PSNR"), "{row:?}");
        }
        let scores: serde_json::Value = serde_json::from_str(&text_of(&bench.path("scores.json"))).unwrap();
        assert_eq!(scores["scored"].as_array().unwrap().len(), 6);
        assert_eq!(scores["means"].as_array().unwrap().len(), 6 * 9);
        assert_eq!(scores["models"][0]["target"], "t1w");
    }

    #[test]
    fn patients_are_in_one_part_alone() {
        let bench = Bench::new();
        let recipe = Recipe::read(&bench.recipe()).unwrap();
        let of = |part: Part| -> Vec<Subject> {
            let all = store::read_many(&recipe.stores).unwrap();
            split::subjects_of(all, &recipe.split, part).unwrap()
        };
        let parts = [Part::Train, Part::Validation, Part::Test].map(of);
        let patients = parts.each_ref().map(|part| part.iter().map(|s| &s.patient).collect::<BTreeSet<_>>());
        assert!(patients.iter().all(|patients| patients.len() == 1));
        assert_eq!(patients.iter().flatten().collect::<BTreeSet<_>>().len(), 3);
        assert_eq!(parts.iter().flatten().count(), 5);
    }

    #[test]
    fn columns_are_named_and_filled_once() {
        let bench = Bench::new();
        let path = bench.model("t2w", "t1w");
        let of = |labels: &[&str]| {
            let models: Vec<_> = labels.iter().map(|label| (String::from(*label), path.clone())).collect();
            methods(&models).map(|methods| methods.len())
        };
        assert_eq!(of(&["a", "b"]).unwrap(), 2);
        for labels in [&["a", "a"][..], &[COPY], &[MAP]] {
            assert!(of(labels).unwrap_err().to_string().contains(labels[0]));
        }
        std::fs::write(&path, "no model").unwrap();
        assert!(of(&["a"]).unwrap_err().to_string().contains("t1w.onnx"));
        assert_eq!(labelled("Pix2Pix=a=b.onnx").unwrap(), ("Pix2Pix".into(), "a=b.onnx".into()));
        assert!(labelled("a.onnx").is_err() && labelled("=a.onnx").is_err());
    }
}
