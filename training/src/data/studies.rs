//! Which studies a command takes: those of a list, a folder or a BIDS dataset, or of some of their patients.

use std::fs::File;
use std::path::PathBuf;

use clap::Args;

use crate::data::dataset::{self, Found};
use crate::data::pairs::{self, PairFiles, ReadOptions, State};
use crate::error::Error;

/// Studies of T1w and T2w scans. The command that takes them has the group `source`.
#[derive(Debug, Default, Args)]
pub struct Arguments {
    /// A list of studies: a CSV file with the columns id, patient, t1w, t2w; paths are relative to it. A further column,
    /// state, may say raw or prepared; another, lesions, may name masks of lesions.
    #[arg(long, value_name = "LIST.csv", group = "source")]
    pub(crate) pairs: Option<PathBuf>,
    /// A folder of pairs: NAME_T1w.nii.gz beside NAME_T2w.nii.gz (or T1W/T2W, T1/T2, .nii), in it or in folders right in it.
    #[arg(long, group = "source")]
    pub(crate) folder: Option<PathBuf>,
    /// A BIDS dataset: *_T1w and *_T2w under sub-*/[ses-*/]anat.
    #[arg(long, value_name = "DATASET", group = "source")]
    pub(crate) bids: Option<PathBuf>,
    /// The scans are bias-corrected, brain-extracted (background 0) and on one grid a study, in about MNI orientation. By
    /// default they are raw, and the library prepares them.
    #[arg(long)]
    pub(crate) prepared: bool,
    /// Take these patients only; repeatable.
    #[arg(long = "patient")]
    pub(crate) patients: Vec<String>,
    /// Leave out studies that lack a scan, or whose scans are refused, and go on with the others.
    #[arg(long)]
    pub(crate) skip_refused: bool,
    /// Warn of scans and studies that look implausible, where they would be refused.
    #[arg(long)]
    pub(crate) accept_implausible: bool,
}

impl Arguments {
    /// How the scans are to be read.
    pub(crate) fn read_options(&self, threads: usize) -> ReadOptions {
        ReadOptions { threads, accept_implausible: self.accept_implausible }
    }

    /// The studies of the wanted patients. Studies that lack a scan are errors unless they may be left out.
    ///
    /// # Errors
    /// [`Error::Data`] if there is none, a patient is unknown, or studies lack a scan; [`Error::Io`] for what cannot be opened.
    pub(crate) fn find(&self) -> Result<Found, Error> {
        let state = if self.prepared { State::Prepared } else { State::Raw };
        let mut found = match (&self.pairs, &self.folder, &self.bids) {
            (Some(list), ..) => Found { studies: pairs::read_list(list, state)?, ..Found::default() },
            (_, Some(folder), _) => dataset::in_folder(folder, state)?,
            (_, _, Some(dataset)) => dataset::in_bids(dataset, state)?,
            _ => return Err(Error::Usage("one of --pairs, --folder and --bids is needed".into())),
        };
        found.incomplete.retain(|one| self.patients.is_empty() || self.patients.contains(&one.patient));
        let incomplete: Vec<&str> = found.incomplete.iter().map(|one| one.fault.as_str()).collect();
        let incomplete = incomplete.join("; ");
        if !incomplete.is_empty() && !self.skip_refused {
            return Err(Error::Data(format!("{incomplete} (--skip-refused leaves such studies out)")));
        }
        if found.studies.is_empty() {
            return Err(Error::Data(format!("no study has both contrasts: {incomplete}")));
        }
        found.studies = chosen(found.studies, &self.patients, |files: &PairFiles| &files.patient)?;
        // Told now, and not after hours of work on the studies before.
        for path in found.studies.iter().flat_map(PairFiles::paths) {
            File::open(path).map_err(|fault| Error::io(path, fault))?;
        }
        Ok(found)
    }
}

/// The studies of the chosen patients; of all where none is chosen.
///
/// # Errors
/// [`Error::Data`] if there is no such patient.
pub(crate) fn chosen<T>(
    studies: Vec<T>,
    patients: &[String],
    patient: impl Fn(&T) -> &String,
) -> Result<Vec<T>, Error> {
    if let Some(unknown) = patients.iter().find(|name| studies.iter().all(|study| patient(study) != *name)) {
        return Err(Error::Data(format!("there is no patient {unknown}")));
    }
    let wanted = |study: &T| patients.is_empty() || patients.contains(patient(study));
    Ok(studies.into_iter().filter(wanted).collect())
}
