//! `assess`: all that a model's card says of its quality on held-out patients, in figures and pictures.
//!
//! Similarity, lesions, smoothness through the slices, and implants: each measure is a function of arrays in a module of its
//! own. `docs/quality.md` says what they mean.

mod images;
pub mod implants;
pub mod jumps;
pub mod lesions;
mod pictures;
mod table;
pub mod tissue;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use mrisynth::model::{LoadOptions, Model};
use mrisynth::synthesize::{Options, synthesize};
use mrisynth::{Affine, Contrast, Control, Volume};
use ndarray::Array3;
use serde::Serialize;

use crate::data::pairs::Pair;
use crate::data::store::write_whole;
use crate::data::studies;
use crate::error::Error;
use crate::validate::StudyScore;
use images::Images;
use implants::{Finding, Scan, Tested};
use jumps::Jumps;
use lesions::Lesions;
use tissue::Tissue;

/// Assess models on held-out patients: similarity, lesions, smoothness through the slices, and what becomes of masses,
/// cavities and missing parts that are put into the scans.
///
/// Models are run by the library as its users run it. Lesions are measured where the list of studies names masks of them.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("source").required(true)))]
pub struct Arguments {
    /// A model file; repeatable, one a direction.
    #[arg(long = "model", required = true)]
    models: Vec<PathBuf>,
    #[command(flatten)]
    studies: studies::Arguments,
    /// Leave out the implants, which take ten synthetic images a study and model.
    #[arg(long)]
    without_implants: bool,
    /// A folder for assess.md, assess.json and the pictures; made if it is missing.
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// Threads; default: one a core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

/// What is known of a model on a study.
#[derive(Clone, Debug, Serialize)]
pub struct Assessment {
    /// Names the study.
    pub study: String,
    /// Names the person.
    pub patient: String,
    /// The contrast that went in.
    pub source: Contrast,
    /// The contrast that came out.
    pub target: Contrast,
    /// Which model.
    pub model: ModelName,
    /// PSNR, SSIM and MAE.
    pub score: StudyScore,
    /// What became of its lesions, where there is a mask of them.
    pub lesions: Option<Lesions>,
    /// How rough it is from slice to slice.
    pub jumps: Jumps,
    /// What is shown of what was put in.
    pub implants: Vec<Finding>,
    /// From the indices of lesions and implants to millimetres.
    #[serde(skip)]
    affine: Affine,
}

/// Which model was assessed.
#[derive(Clone, Debug, Serialize)]
pub struct ModelName {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The hash of its file.
    pub sha256: String,
}

impl Assessment {
    /// Such as `T2w to T1w`.
    pub fn direction(&self) -> String {
        format!("{} to {}", self.source, self.target)
    }

    fn millimetres(&self, index: [usize; 3]) -> [f64; 3] {
        self.affine.to_millimetres(index.map(|index| index as f64))
    }

    /// How its pictures are called, without the last part.
    fn file_stem(&self) -> String {
        let safe =
            |letter: char| if letter.is_alphanumeric() || "-_".contains(letter) { letter } else { '_' };
        let study: String = self.study.chars().map(safe).collect();
        format!("{study}-{}", self.target).to_lowercase()
    }
}

/// Does what the arguments say.
pub fn run(arguments: Arguments) -> Result<(), Error> {
    let models = open(&arguments.models)?;
    if let Some(folder) = &arguments.output {
        fs::create_dir_all(folder).map_err(|fault| Error::io(folder, fault))?;
    }
    let found = arguments.studies.find()?;
    found.incomplete.iter().for_each(|one| eprintln!("left out: {}", one.fault));
    let mut assessments = Vec::new();
    for files in found.studies {
        let assessed = files.read(&arguments.studies.read_options(arguments.threads)).and_then(|pair| {
            pair.notes.iter().for_each(|note| eprintln!("{}: {note}", files.id));
            let study = Study { id: &files.id, patient: &files.patient, pair: &pair, arguments: &arguments };
            models.iter().map(|model| study.assess(model)).collect::<Result<Vec<Assessment>, Error>>()
        });
        match assessed {
            Ok(found) => assessments.extend(found),
            Err(fault) if arguments.studies.skip_refused && fault.is_about_one_study() => {
                eprintln!("left out: {fault}");
            }
            Err(fault) => return Err(fault),
        }
    }
    if assessments.is_empty() {
        return Err(Error::Data("no study is left".into()));
    }
    // To T1w first, as in the paper; of one direction, in the order of the studies.
    assessments.sort_by_key(|assessment| assessment.target);
    let text = table::draw(&assessments);
    print!("{text}");
    if let Some(folder) = &arguments.output {
        write_whole(&folder.join("assess.md"), text.as_bytes())?;
        let json = serde_json::to_string_pretty(&assessments).map_err(|e| Error::Data(e.to_string()))?;
        write_whole(&folder.join("assess.json"), json.as_bytes())?;
    }
    Ok(())
}

/// Opens the models; there can be one a direction.
fn open(paths: &[PathBuf]) -> Result<Vec<Model>, Error> {
    let mut models: Vec<Model> = Vec::new();
    for path in paths {
        let model = Model::open(path, &LoadOptions::default())?;
        if models.iter().any(|other| other.card().target == model.card().target) {
            let fault =
                format!("--model {}: there is one to {} already", path.display(), model.card().target);
            return Err(Error::Usage(fault));
        }
        models.push(model);
    }
    Ok(models)
}

/// A study that is assessed.
struct Study<'a> {
    id: &'a str,
    patient: &'a str,
    pair: &'a Pair,
    arguments: &'a Arguments,
}

impl Study<'_> {
    fn assess(&self, model: &Model) -> Result<Assessment, Error> {
        let (source, target) = (model.card().source, model.card().target);
        let accept = self.arguments.studies.accept_implausible;
        let synthetic = self.synthesize(model, self.pair.volume(source), accept)?;
        let images = Images::of(self.pair, source, target, &synthetic)?;
        let tested = match self.arguments.without_implants {
            true => Vec::new(),
            false => self.with_implants(model, &images)?,
        };
        let (real, made) = (images.real.view(), images.synthetic.view());
        let measured = lesions::Images {
            real,
            synthetic: made,
            source: images.source.view(),
            brain: &images.brain,
            sizes: images.sizes(),
        };
        let assessment = Assessment {
            study: self.id.into(),
            patient: self.patient.into(),
            source,
            target,
            model: ModelName {
                name: model.card().name.clone(),
                version: model.card().version.clone(),
                sha256: model.sha256().into(),
            },
            score: StudyScore::of(self.id, self.patient, self.pair.volume(target), &synthetic)?,
            lesions: images.lesions.as_ref().and_then(|mask| lesions::measure(&measured, mask)),
            jumps: jumps::measure(real, made, &images.brain),
            implants: tested.iter().map(|one| one.finding.clone()).collect(),
            affine: images.grid.affine,
        };
        if let Some(folder) = &self.arguments.output {
            write_pictures(folder, &assessment, &images, &tested)?;
        }
        Ok(assessment)
    }

    fn synthesize(&self, model: &Model, source: &Volume, accept_implausible: bool) -> Result<Volume, Error> {
        let mut control =
            Control { threads: self.arguments.threads, accept_implausible, ..Control::default() };
        Ok(synthesize(model, source, &source.grid(), &Options::prepared(), &mut control)?)
    }

    /// Scans with implants are run although they may look implausible: they are.
    fn with_implants(&self, model: &Model, images: &Images) -> Result<Vec<Tested>, Error> {
        let [t1w, t2w] = images.contrasts(model.card().source);
        let sizes = images.sizes();
        let Some(tissue) = Tissue::of(t1w.view(), t2w.view(), &images.brain, sizes) else {
            return Ok(Vec::new());
        };
        let scan = Scan { source: &images.source, brain: &images.brain, tissue: &tissue, sizes };
        implants::test(&scan, |source: &Array3<f32>| {
            let volume = Volume::new(source.clone(), images.grid.affine)?;
            Ok(self.synthesize(model, &volume, true)?.into_voxels())
        })
    }
}

fn write_pictures(
    folder: &Path,
    assessment: &Assessment,
    images: &Images,
    tested: &[Tested],
) -> Result<(), Error> {
    let sheets = [
        ("slices", Some(pictures::slices(assessment, images)?)),
        ("lesions", pictures::lesions(assessment, images)?),
        ("implants", pictures::implants(assessment, tested)?),
    ];
    for (name, sheet) in sheets {
        if let Some(sheet) = sheet {
            write_whole(&folder.join(format!("{}-{name}.png", assessment.file_stem())), &sheet)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known_models;
    use crate::simulate::example::write_volume;
    use mrisynth::nifti::VoxelType;
    use prost::Message;

    const SHAPE: (usize, usize, usize) = (64, 76, 62);
    const SIZE: f64 = 2.0;
    /// A lesion of 8 mm, in white matter.
    const LESION: [usize; 3] = [18, 50, 40];

    fn within(index: (usize, usize, usize), centre: [usize; 3], radii: [f64; 3]) -> bool {
        let index = [index.0, index.1, index.2];
        let part = |axis: usize| (index[axis].abs_diff(centre[axis]) as f64 / radii[axis]).powi(2);
        (0..3).map(part).sum::<f64>() < 1.0
    }

    /// A brain of 0.4 litres: fluid in the middle, white matter, a lesion that the target shows half as well as the source.
    fn brain(fluid: f32, white: f32, lesion: f32) -> Volume {
        let voxels = Array3::from_shape_fn(SHAPE, |index| match index {
            _ if within(index, LESION, [2.5; 3]) => lesion,
            _ if within(index, [32, 38, 31], [8.0, 12.0, 7.0]) => fluid,
            _ if within(index, [32, 38, 31], [25.0, 31.0, 25.0]) => white + 0.02 * (index.2 % 2) as f32,
            _ => 0.0,
        });
        Volume::new(voxels, Affine::from_sizes([SIZE; 3], [-64.0, -76.0, -62.0]).unwrap()).unwrap()
    }

    #[test]
    fn a_model_that_copies_is_assessed_from_files_to_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (t2w, t1w) = (brain(1.0, 0.3, 0.7), brain(0.1, 0.9, 0.7));
        let lesions = t2w.voxels().indexed_iter().map(|(index, _)| within(index, LESION, [2.5; 3])).collect();
        let lesions =
            Array3::from_shape_vec(SHAPE, lesions).unwrap().mapv(|inside: bool| f32::from(u8::from(inside)));
        let lesions = Volume::new(lesions, *t1w.affine()).unwrap();
        for (name, volume) in [("t1.nii", &t1w), ("t2.nii", &t2w), ("lesions.nii", &lesions)] {
            write_volume(&path(name), volume, VoxelType::Float32).unwrap();
        }
        let list = "id,patient,t1w,t2w,state,lesions\na/1,a,t1.nii,t2.nii,prepared,lesions.nii\n";
        fs::write(path("list.csv"), list).unwrap();
        let mut model = known_models::convolution(1, 0, [0, 0]);
        known_models::set_card(&mut model, "source", Some("t2w"));
        known_models::set_card(&mut model, "target", Some("t1w"));
        fs::write(path("model.onnx"), model.encode_to_vec()).unwrap();
        let arguments = |models: &[&str]| Arguments {
            models: models.iter().map(|name| path(name)).collect(),
            studies: studies::Arguments { pairs: Some(path("list.csv")), ..Default::default() },
            without_implants: false,
            output: Some(path("assessed")),
            threads: 2,
        };
        let twice = run(arguments(&["model.onnx", "model.onnx"])).unwrap_err();
        assert!(twice.to_string().contains("to T1w already"), "{twice}");
        run(arguments(&["model.onnx"])).unwrap();

        let text = fs::read_to_string(path("assessed/assess.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let found = &json[0];
        assert_eq!((&found["study"], &found["target"]), (&"a/1".into(), &"t1w".into()));
        // A copy that is fitted: T2w turned round, in which the lesion lies as far from white matter as in T2w.
        assert!(found["score"]["fitted"]["brain"]["psnr"].as_f64().unwrap() > 20.0);
        assert_eq!(found["lesions"]["visible"], 1);
        assert!(found["lesions"]["each"][0]["ratio"].as_f64().unwrap() > 1.0);
        let findings = found["implants"].as_array().unwrap();
        assert!(!findings.is_empty());
        for finding in findings {
            assert_eq!(
                (&finding["shown"], &finding["unchanged_elsewhere"]),
                (&true.into(), &true.into()),
                "{finding}"
            );
        }
        let table = fs::read_to_string(path("assessed/assess.md")).unwrap();
        for title in ["Similarity", "Lesions", "Mean absolute jumps", "Implants", "Lesion by lesion"] {
            assert!(table.contains(title), "{table}");
        }
        for name in ["slices", "lesions", "implants"] {
            let sheet = path(&format!("assessed/a_1-t1w-{name}.png"));
            assert!(sheet.metadata().unwrap().len() > 2_000, "{name}");
        }
    }
}
