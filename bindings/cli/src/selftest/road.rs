//! The road of the self-test, step by step.

use std::fs;
use std::path::Path;
use std::time::Instant;

use mrisynth::control::Control;
use mrisynth::model::{Contrast, Model};
use mrisynth::nifti::{self, Image, VoxelType, WriteOptions, voxels_sha256};
use mrisynth::prepare::{self, Prepared, prepare};
use mrisynth::provenance::{self, Evidence, Provenance, SourceFile};
use mrisynth::residual::{RoundTrip, round_trip_prepared};
use mrisynth::synthesize::{Options, synthesize_prepared};
use mrisynth::{Error, Limits, Result, Volume};
use serde::Serialize;

use super::reference::Reference;
use crate::interrupt::StagingFolder;

/// A made-up raw T2w scan: see scripts/make-selftest.sh.
const SCAN: &[u8] = include_bytes!("../../data/selftest_T2w.nii.gz");

/// One step, and what came of it.
#[derive(Serialize)]
pub struct Step {
    pub name: &'static str,
    pub passed: bool,
    pub detail: String,
    pub seconds: f64,
}

/// The steps so far.
pub struct Road {
    threads: usize,
    pub models: Vec<Model>,
    pub steps: Vec<Step>,
}

/// What the road leads to.
pub struct Results {
    prepared: Prepared,
    round_trip: RoundTrip,
}

impl Results {
    /// The images that are compared with a reference, by name.
    pub fn images(&self) -> [(&'static str, &Volume); 3] {
        let RoundTrip { synthetic, residual } = &self.round_trip;
        [("standard", &self.prepared.standard), ("synthetic", synthetic), ("residual", &residual.map)]
    }
}

/// What a step says of itself, whether it is as it should be, and what it made.
pub type Outcome<T> = Result<(String, bool, T)>;

impl Road {
    /// A road to be gone on so many threads; 0: as many as there are cores.
    pub fn new(threads: usize) -> Self {
        Self { threads, models: Vec::new(), steps: Vec::new() }
    }

    /// The names of steps that are not as they should be, if there are any.
    pub fn failed(&self) -> Option<String> {
        let failed: Vec<_> = self.steps.iter().filter(|step| !step.passed).map(|step| step.name).collect();
        (!failed.is_empty()).then(|| failed.join(", "))
    }

    /// Goes the whole road; without a reference nothing is compared with it.
    ///
    /// # Errors
    /// Those of a step without which there is no next one.
    pub fn go(&mut self, reference: Option<&Reference>) -> Result<Results> {
        let temporary = std::env::temp_dir();
        let folder = StagingFolder::new_in(&temporary).map_err(|fault| Error::io(&temporary, fault))?;
        let threads = self.threads;
        let [there, back] = self.step("models", load)?;
        self.models = vec![there.clone(), back.clone()];
        let scan = self.step("reading", || Scan::read(folder.path()))?;
        let volume = &scan.image.volume;
        let prepared = self.step("preparation", || prepared(volume, threads))?;
        let round_trip = self.step("synthesis", || {
            let mut control = Control { threads, ..Control::default() };
            let made = round_trip_prepared(&there, &back, &prepared, &volume.grid(), &mut control)?;
            Ok(("T1w of T2w, and the way back".into(), true, made))
        })?;
        let results = Results { prepared, round_trip };
        for (reference, (name, image)) in
            reference.iter().flat_map(|one| results.images().map(|image| (one, image)))
        {
            self.step(name, || reference.compare(name, image))?;
        }
        self.step("one thread", || one_thread(&there, &results))?;
        self.step("refusal", || refusal(&back, &results))?;
        self.step("file", || file(folder.path(), &there, &results, &scan))?;
        Ok(results)
    }

    fn step<T>(&mut self, name: &'static str, work: impl FnOnce() -> Outcome<T>) -> Result<T> {
        let start = Instant::now();
        let outcome = work();
        let seconds = start.elapsed().as_secs_f64();
        let (detail, passed, result) = match outcome {
            Ok((detail, passed, value)) => (detail, passed, Ok(value)),
            Err(fault) => (fault.to_string(), false, Err(fault)),
        };
        self.steps.push(Step { name, passed, detail, seconds });
        result
    }
}

fn load() -> Outcome<[Model; 2]> {
    let load = |target: Contrast| Model::embedded(target.other(), target);
    Ok(("each has its SHA-256".into(), true, [load(Contrast::T1w)?, load(Contrast::T2w)?]))
}

/// The scan, as it is read from a file.
struct Scan {
    image: Image,
    source: SourceFile,
}

impl Scan {
    fn read(folder: &Path) -> Outcome<Self> {
        let path = folder.join("selftest_T2w.nii.gz");
        fs::write(&path, SCAN).map_err(|fault| Error::io(&path, fault))?;
        let image = nifti::read(&path, &Limits::default())?;
        let [i, j, k] = image.volume.dims();
        let source = SourceFile::read(&path)?;
        Ok((format!("{i} x {j} x {k} voxels of a made-up head"), true, Self { image, source }))
    }
}

fn prepared(scan: &Volume, threads: usize) -> Outcome<Prepared> {
    let mut control = Control { threads, ..Control::default() };
    let prepared = prepare(scan, &prepare::Options::default(), &mut control)?;
    let (brain, overlap) = (prepared.record.brain_ml(), prepared.record.overlap());
    let detail =
        format!("brain {:.0} ml, Dice with MNI152 {:.3}", brain.unwrap_or(0.0), overlap.unwrap_or(0.0));
    Ok((detail, true, prepared))
}

/// The image must not depend on the number of threads.
fn one_thread(model: &Model, results: &Results) -> Outcome<()> {
    let made = &results.round_trip.synthetic;
    let mut control = Control { threads: 1, ..Control::default() };
    let again = synthesize_prepared(model, &results.prepared, &made.grid(), &mut control)?;
    let [made, again] = [made, &again].map(|volume| voxels_sha256(volume, VoxelType::Float32));
    let same = made == again;
    Ok((if same { "the same bytes" } else { "other bytes" }.into(), same, ()))
}

/// A model for T1w scans must refuse this one.
fn refusal(back: &Model, results: &Results) -> Outcome<()> {
    let grid = results.round_trip.synthetic.grid();
    match synthesize_prepared(back, &results.prepared, &grid, &mut Control::default()) {
        Err(fault) if matches!(fault.kind(), Error::Refused(_)) => {
            Ok(("a T2w scan as T1w is refused".into(), true, ()))
        }
        Err(fault) => Err(fault),
        Ok(_) => Ok(("a T2w scan as T1w is not refused".into(), false, ())),
    }
}

/// What is written must be what is read, and its record must fit.
fn file(folder: &Path, model: &Model, results: &Results, scan: &Scan) -> Outcome<()> {
    let (path, synthetic) = (folder.join("selftest_T1w.nii.gz"), &results.round_trip.synthetic);
    let provenance = Provenance::new(model, scan.source.clone(), &Options::default(), false)
        .with_preparation(&results.prepared.record)
        .of_image(synthetic, VoxelType::Float32);
    let options = WriteOptions {
        voxel_type: VoxelType::Float32,
        description: provenance.description(),
        extension: Some(&provenance.to_json()?),
        overwrite: false,
    };
    nifti::write(&path, synthetic, &scan.image.header, &options)?;
    let same = nifti::read(&path, &Limits::default())?.volume.as_slice() == synthetic.as_slice();
    let verification = provenance::verify(&path, &Evidence::default())?;
    let all = verification.checks.iter().filter(|check| check.name != "sidecar");
    let compared = all.into_iter().all(|check| check.outcome == provenance::Outcome::Passed);
    let passed = same && compared;
    let detail = if passed { "written, read and as its record says" } else { "not what was written" };
    Ok((detail.into(), passed, ()))
}
