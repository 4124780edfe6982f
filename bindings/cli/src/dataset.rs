//! The scans of a folder or a BIDS dataset, and the description of the dataset that is made of it.

use std::fs;
use std::path::{Path, PathBuf};

use mrisynth::model::Contrast;
use mrisynth::provenance::says_synthetic;
use mrisynth::{Error, Result, nifti, regular_file};
use mrisynth_evaluation::folder;
use serde_json::{Value, json};

use crate::names::ScanName;
use crate::output::{Outputs, sidecar_path};

/// Why a scan of a batch is left out.
pub const IS_SYNTHETIC: &str = "it is synthetic";
/// The version of BIDS whose names are used.
const BIDS_VERSION: &str = "1.10.0";
const DESCRIPTION: &str = "dataset_description.json";
/// A JSON file beside a scan is not longer than this, in bytes.
const MAX_JSON_BYTES: u64 = 16 << 20;

/// What a folder holds.
#[derive(Debug)]
pub struct Dataset {
    folder: PathBuf,
    /// True for a BIDS dataset.
    is_bids: bool,
    /// The scans, relative to the folder, in the order of their names.
    pub scans: Vec<PathBuf>,
}

impl Dataset {
    /// Finds the scans of the wanted contrasts: in a BIDS dataset those under `sub-*/[ses-*/]anat` with their suffixes, in
    /// any other folder every NIfTI file right in it, whatever it is called.
    ///
    /// # Errors
    /// [`Error::Io`] if a folder cannot be read, [`Error::InvalidArgument`] if there is no scan.
    pub fn find(folder: &Path, wanted: &[Contrast]) -> Result<Self> {
        let top = entries(folder)?;
        let subjects: Vec<_> =
            top.iter().filter(|name| folder.join(name).is_dir() && starts(name, "sub-")).collect();
        let is_bids = !subjects.is_empty() || folder.join(DESCRIPTION).is_file();
        let mut scans = Vec::new();
        if is_bids {
            for subject in subjects {
                let sessions = entries(&folder.join(subject))?;
                let sessions =
                    sessions.iter().filter(|name| starts(name, "ses-")).map(|name| subject.join(name));
                for place in [subject.clone()].into_iter().chain(sessions) {
                    scans.extend(anatomical_scans(folder, &place.join("anat"), wanted)?);
                }
            }
        } else {
            scans.extend(top.into_iter().filter(|name| is_scan(&folder.join(name))));
        }
        if scans.is_empty() {
            let what = if is_bids {
                "the BIDS dataset has no such scan under sub-*/[ses-*/]anat"
            } else {
                "no NIfTI file is in the folder"
            };
            return Err(Error::InvalidArgument(what.into()).in_file(folder));
        }
        Ok(Self { folder: folder.to_owned(), is_bids, scans })
    }

    /// The description of a dataset derived from this one, and the file for it in `output`; none if there is one already
    /// that this program has made, or this is no BIDS dataset.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the folder is this dataset itself, or another's.
    pub fn description_for(&self, output: &Path) -> Result<Option<(PathBuf, Value)>> {
        if !self.is_bids {
            return Ok(None);
        }
        if let (Ok(input), Ok(output)) = (fs::canonicalize(&self.folder), fs::canonicalize(output))
            && input == output
        {
            let message =
                "a derived dataset needs its own folder, such as derivatives/mrisynth in the dataset";
            return Err(Error::InvalidArgument(message.into()).in_file(output));
        }
        let place = output.join(DESCRIPTION);
        if place.symlink_metadata().is_ok() {
            if is_ours(&place) {
                return Ok(None);
            }
            let message = "it describes another dataset: choose another folder";
            return Err(Error::InvalidArgument(message.into()).in_file(place));
        }
        Ok(Some((place, self.derived_description())))
    }

    fn derived_description(&self) -> Value {
        let own = read_json(&self.folder.join(DESCRIPTION)).unwrap_or_default();
        let name = own.get("Name").and_then(Value::as_str);
        let mut description = json!({
            "Name": name.map_or("mrisynth".to_owned(), |name| format!("{name}: mrisynth")),
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [{ "Name": "mrisynth", "Version": env!("CARGO_PKG_VERSION") }],
        });
        // Named as the dataset names itself: where it lies is nobody's business.
        let mut source = serde_json::Map::new();
        for (key, from) in [("DOI", "DatasetDOI"), ("Name", "Name")] {
            if let Some(value) = own.get(from).filter(|value| value.is_string()) {
                source.insert(key.into(), value.clone());
            }
        }
        if !source.is_empty() {
            description["SourceDatasets"] = json!([source]);
        }
        description
    }
}

/// Writes a dataset's description.
///
/// # Errors
/// [`Error::Io`].
pub fn write_description(place: &Path, description: &Value) -> Result<()> {
    let text =
        serde_json::to_string_pretty(description).map_err(|fault| Error::Internal(fault.to_string()))?;
    let outputs = Outputs::check(vec![place.to_owned()], &[], false)?;
    let staging = outputs.stage()?;
    staging.write_bytes(place, (text + "\n").as_bytes())?;
    staging.publish()
}

/// True if the scan's name, JSON file or header says that it is a result of this program.
pub fn is_synthetic(scan: &Path) -> bool {
    let named = ScanName::of(scan).is_some_and(|name| name.says_synthetic());
    let sidecar = || read_json(&sidecar_path(scan)).is_some_and(|json| json["Synthetic"] == true);
    // What cannot be read will fail where that is told.
    let header = || nifti::description(scan).is_ok_and(|text| says_synthetic(&text));
    named || sidecar() || header()
}

fn is_ours(description: &Path) -> bool {
    let json = read_json(description).unwrap_or_default();
    let by = json["GeneratedBy"].as_array().is_some_and(|by| by.iter().any(|by| by["Name"] == "mrisynth"));
    by && json["DatasetType"] == "derivative"
}

fn read_json(path: &Path) -> Option<Value> {
    let text = regular_file::read(path, MAX_JSON_BYTES, Error::InvalidArgument).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Names in a folder in their order, without hidden ones.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    folder::names(folder).map_err(|fault| Error::io(folder, fault))
}

fn anatomical_scans(folder: &Path, anat: &Path, wanted: &[Contrast]) -> Result<Vec<PathBuf>> {
    if !folder.join(anat).is_dir() {
        return Ok(Vec::new());
    }
    let is_wanted = |name: &ScanName| {
        name.is_single_file() && name.contrast().is_some_and(|contrast| wanted.contains(&contrast))
    };
    let scans = entries(&folder.join(anat))?
        .into_iter()
        .filter(|name| ScanName::of(name).is_some_and(|name| is_wanted(&name)));
    Ok(scans.map(|name| anat.join(name)).collect())
}

/// True for a file that is called like a scan; of a pair, for the header alone.
fn is_scan(path: &Path) -> bool {
    ScanName::of(path).is_some_and(|name| !name.is_voxel_file()) && !path.is_dir()
}

fn starts(name: &Path, beginning: &str) -> bool {
    name.to_string_lossy().starts_with(beginning)
}
