//! Whether a file is what its record says: its header, its voxels, the file beside it, its scan and its model.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::{SourceFile, says_synthetic};
use crate::model::Model;
use crate::nifti::{self, Image, VoxelType, voxels_sha256};
use crate::{Affine, Error, Grid, Limits, Result, regular_file};

/// What the file beside an image may hold and the image itself does not, so that the image is the same with it and without.
const IN_SIDECAR_ALONE: &str = "CycleResidual";

/// What a file is compared with, beside its own record.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// The scan that it was made of; if not given, a file of the recorded name in the same folder.
    pub input: Option<PathBuf>,
    /// The model file that made it; if not given, the embedded model of the recorded name.
    pub model: Option<PathBuf>,
}

/// How a comparison ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is as the record says.
    Passed,
    /// It is not.
    Failed,
    /// What to compare with is not at hand.
    NotChecked,
}

/// One comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was compared: `description`, `geometry`, `voxels`, `sidecar`, `input` or `model`.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// With what, or why not, in one sentence.
    pub detail: String,
}

impl Check {
    fn new(name: &'static str, outcome: Outcome, detail: impl Into<String>) -> Self {
        Self { name, outcome, detail: detail.into() }
    }

    fn of(name: &'static str, holds: bool, detail: impl Into<String>) -> Self {
        Self::new(name, if holds { Outcome::Passed } else { Outcome::Failed }, detail)
    }
}

/// What came of all comparisons.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verification {
    /// Whether the image is synthetic by its record.
    pub synthetic: bool,
    /// The record in the image file.
    pub record: Value,
    /// Every comparison.
    pub checks: Vec<Check>,
}

impl Verification {
    /// True if nothing is other than the record says. What is not at hand does not count.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.outcome != Outcome::Failed)
    }
}

/// Compares a NIfTI file with the record that mrisynth wrote into it. That it agrees shows that nothing was changed by accident;
/// against intent it shows nothing, for a record can be written by anyone.
///
/// # Errors
/// Those of [`nifti::read`]; [`Error::BadImage`] if the file holds no record; [`Error::Io`] if a file that is given as evidence
/// cannot be read. A comparison that fails is no error: see [`Verification::passed`].
pub fn verify(path: &Path, evidence: &Evidence) -> Result<Verification> {
    let record = record_in(path)?;
    let image = nifti::read(path, &Limits::default())?;
    let checks = vec![
        description(&record, image.header.description()),
        geometry(&record, &image.volume.grid()),
        voxels(&record, &image),
        sidecar(&record, path)?,
        input(&record, path, evidence.input.as_deref())?,
        model(&record, evidence.model.as_deref())?,
    ];
    let synthetic = record["Synthetic"] == true;
    Ok(Verification { synthetic, record, checks })
}

/// The record in an image file.
fn record_in(path: &Path) -> Result<Value> {
    let comments = nifti::comments(path)?;
    let records = comments.iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let mut ours = records
        .filter(|record| record["Synthetic"].is_boolean() && record["GeneratedBy"][0]["Name"] == "mrisynth");
    let missing = "it holds no record of mrisynth: made by other software, or saved again by it";
    ours.next().ok_or_else(|| Error::BadImage(missing.into()).in_file(path))
}

/// A text of the record; empty if it has none.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn description(record: &Value, found: &str) -> Check {
    let recorded = text(&record["Description"]);
    let says_so = record["Synthetic"] == false || says_synthetic(found);
    Check::of("description", found == recorded && says_so, format!("the header says {found:?}"))
}

fn geometry(record: &Value, grid: &Grid) -> Check {
    let image = &record["Image"];
    let Some(recorded) = recorded_grid(image) else {
        return Check::new("geometry", Outcome::Failed, "the record does not say where the voxels lie");
    };
    let apart = grid.corners_apart(&recorded).into_iter().fold(0.0, f64::max);
    let [i, j, k] = grid.dims;
    let same = grid.dims == recorded.dims && apart <= Grid::SAME_PLACE_WITHIN;
    Check::of("geometry", same, format!("{i} x {j} x {k} voxels, corners {apart:.3} mm from the record's"))
}

fn recorded_grid(image: &Value) -> Option<Grid> {
    let dims: Vec<usize> = serde_json::from_value(image["Dims"].clone()).ok()?;
    let numbers: Vec<f64> = serde_json::from_value(image["IndexToLPS"].clone()).ok()?;
    let rows: Vec<[f64; 4]> = numbers.as_chunks::<4>().0.to_vec();
    let affine = Affine::from_lps(rows.try_into().ok()?).ok()?;
    Some(Grid { dims: dims.try_into().ok()?, affine })
}

fn voxels(record: &Value, image: &Image) -> Check {
    let recorded = &record["Image"];
    let Some(voxel_type) = VoxelType::named(text(&recorded["VoxelType"])) else {
        return Check::new("voxels", Outcome::Failed, "the record does not say what the voxels are");
    };
    let found = voxels_sha256(&image.volume, voxel_type);
    let same = found == text(&recorded["VoxelsSHA256"]);
    Check::of("voxels", same, format!("SHA-256 {found} of {} voxels", voxel_type.name()))
}

/// Of `scan.nii.gz`, `scan.json`.
fn sidecar_path(image: &Path) -> PathBuf {
    let is_gzip = image.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
    let plain = if is_gzip { image.with_extension("") } else { image.to_owned() };
    plain.with_extension("json")
}

fn sidecar(record: &Value, image: &Path) -> Result<Check> {
    let path = sidecar_path(image);
    let name = file_name(&path);
    let limit = Limits::default().max_extension_bytes;
    let text = match regular_file::read_text(&path, limit, Error::BadImage) {
        Ok(text) => text,
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return Ok(Check::new("sidecar", Outcome::NotChecked, format!("there is no {name} beside it")));
        }
        Err(fault) => return Err(fault),
    };
    let Ok(mut found) = serde_json::from_str::<Value>(&text) else {
        return Ok(Check::new("sidecar", Outcome::Failed, format!("{name} is not JSON")));
    };
    if record.get(IN_SIDECAR_ALONE).is_none()
        && let Some(fields) = found.as_object_mut()
    {
        fields.remove(IN_SIDECAR_ALONE);
    }
    let same = found == *record;
    let detail = if same { "says the same" } else { "says something else than the image file" };
    Ok(Check::of("sidecar", same, format!("{name} {detail}")))
}

fn input(record: &Value, image: &Path, given: Option<&Path>) -> Result<Check> {
    let name = text(&record["Sources"][0]);
    let beside = image.with_file_name(Path::new(name).file_name().unwrap_or_default());
    let path = match given {
        Some(path) => path,
        None if !name.is_empty() && beside.is_file() => &beside,
        None => {
            let detail = format!("{name} is not in the same folder, and no scan is given");
            return Ok(Check::new("input", Outcome::NotChecked, detail));
        }
    };
    let SourceFile { name, sha256 } = SourceFile::read(path)?;
    let same = sha256 == text(&record["InputSHA256"]);
    Ok(Check::of("input", same, format!("{name} has the SHA-256 {sha256}")))
}

fn model(record: &Value, given: Option<&Path>) -> Result<Check> {
    let recorded = &record["GeneratedBy"][0]["Model"];
    if recorded.is_null() {
        return Ok(Check::new("model", Outcome::NotChecked, "the record names no model"));
    }
    let [name, version, sha256] = ["name", "version", "sha256"].map(|key| text(&recorded[key]));
    if let Some(path) = given {
        let found = SourceFile::read(path)?;
        let detail = format!("{} has the SHA-256 {}", found.name, found.sha256);
        return Ok(Check::of("model", found.sha256 == sha256, detail));
    }
    for (source, target) in Model::embedded_contrasts() {
        let embedded = Model::embedded(source, target)?;
        let card = embedded.card();
        if (card.name.as_str(), card.version.as_str()) == (name, version) {
            let detail = format!("the embedded {name} {version} has the SHA-256 {}", embedded.sha256());
            return Ok(Check::of("model", embedded.sha256() == sha256, detail));
        }
    }
    let detail = format!("{name} {version} is not embedded, and no model file is given");
    Ok(Check::new("model", Outcome::NotChecked, detail))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
