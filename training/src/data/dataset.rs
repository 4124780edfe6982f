//! Finds the studies of a folder of NIfTI pairs, or of a BIDS dataset, by the names of their files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mrisynth::Contrast;
use mrisynth_evaluation::folder;

use crate::data::pairs::{PairFiles, State};
use crate::error::Error;

/// Endings of files that hold one volume.
const ENDINGS: [&str; 2] = [".nii.gz", ".nii"];
/// Marks what `mrisynth synthesize` has made.
const SYNTHETIC: &str = "desc-synthetic";

/// What a folder holds.
#[derive(Debug, Default)]
pub struct Found {
    /// Studies with one scan of each contrast, in the order of their ids.
    pub studies: Vec<PairFiles>,
    /// Studies without one of the contrasts.
    pub incomplete: Vec<Incomplete>,
    /// What was passed over, a sentence each.
    pub notes: Vec<String>,
}

/// A study without one of the contrasts, or a subject without any scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incomplete {
    /// Names the person.
    pub patient: String,
    /// What is missing, and of which study.
    pub fault: String,
}

/// The pairs in a folder and in the folders right in it.
///
/// The files of a study are called `NAME_T1w.nii.gz` and `NAME_T2w.nii.gz`, or end in `.nii`; `T1` and `T2` without the w
/// are the same, and so are small and capital letters. A study in the folder itself is called NAME, one in a folder of its
/// own like that folder if its files have no NAME, else NAME if that begins with the folder's name, else FOLDER_NAME. The
/// patient is the part `sub-...` of the study's name, else what stands before `_ses-...` or `_s` and a number, else all.
///
/// # Errors
/// [`Error::Io`] if a folder cannot be read; [`Error::Data`] if no scan is called so, or a study has two of a contrast.
pub fn in_folder(folder: &Path, state: State) -> Result<Found, Error> {
    let own_name = folder.canonicalize().ok().and_then(|path| path.file_name().map(text));
    let own_name = own_name.unwrap_or_default();
    let (mut scans, mut passed) = (Scans::default(), Passed::default());
    for name in entries(folder)? {
        let path = folder.join(&name);
        if !path.is_dir() {
            let study = |stem: &str| if stem.is_empty() { own_name.clone() } else { stem.to_owned() };
            scans.take(path, &name, study, &mut passed);
            continue;
        }
        for file in entries(&path)? {
            let study = |stem: &str| match stem {
                "" => name.clone(),
                stem if stem.starts_with(&name) => stem.to_owned(),
                stem => format!("{name}_{stem}"),
            };
            if !path.join(&file).is_dir() {
                scans.take(path.join(&file), &file, study, &mut passed);
            }
        }
    }
    let mut found = Found { notes: passed.notes(), ..Found::default() };
    for (id, [t1w, t2w]) in scans.0 {
        for (contrast, files) in [("T1w", &t1w), ("T2w", &t2w)] {
            if let [one, other, ..] = files.as_slice() {
                return Err(Error::Data(format!(
                    "{} and {} are both the {contrast} scan of study {id}",
                    one.display(),
                    other.display()
                )));
            }
        }
        found.take(patient_of(&id), id, [t1w, t2w], state);
    }
    if found.studies.is_empty() && found.incomplete.is_empty() {
        let what = "no file in it or in a folder in it is called NAME_T1w.nii.gz or NAME_T2w.nii.gz";
        return Err(Error::Data(format!("{}: {what}", folder.display())));
    }
    Ok(found)
}

/// The pairs of a BIDS dataset: `*_T1w` and `*_T2w` under `sub-*/[ses-*/]anat`, one study a session. Of several scans of a
/// contrast in a session, the first by name is taken. Derivatives are left out.
///
/// # Errors
/// [`Error::Io`] if a folder cannot be read; [`Error::Data`] if there is no subject.
pub fn in_bids(dataset: &Path, state: State) -> Result<Found, Error> {
    let mut found = Found::default();
    let mut passed = Passed::default();
    let folders = |place: &Path, beginning: &str| -> Result<Vec<String>, Error> {
        let is_wanted = |name: &String| name.starts_with(beginning) && place.join(name).is_dir();
        Ok(entries(place)?.into_iter().filter(is_wanted).collect())
    };
    let subjects = folders(dataset, "sub-")?;
    if subjects.is_empty() {
        return Err(Error::Data(format!("{}: a BIDS dataset has folders sub-*", dataset.display())));
    }
    for subject in subjects {
        let place = dataset.join(&subject);
        let mut sessions = vec![(subject.clone(), place.join("anat"))];
        for session in folders(&place, "ses-")? {
            sessions.push((format!("{subject}_{session}"), place.join(session).join("anat")));
        }
        let mut has_scans = false;
        for (id, anat) in sessions.into_iter().filter(|(_, anat)| anat.is_dir()) {
            let scans = anatomical_scans(&anat, &mut passed)?;
            if scans.iter().all(Vec::is_empty) {
                continue;
            }
            has_scans = true;
            for (contrast, files) in ["T1w", "T2w"].iter().zip(&scans) {
                if let [first, _, ..] = files.as_slice() {
                    let count = files.len();
                    found.notes.push(format!("{id}: {count} {contrast} scans; {} is taken", first.display()));
                }
            }
            found.take(subject.clone(), id, scans, state);
        }
        if !has_scans {
            let fault = format!("{subject}: neither a T1w nor a T2w scan under anat");
            found.incomplete.push(Incomplete { patient: subject, fault });
        }
    }
    found.notes.extend(passed.notes());
    Ok(found)
}

/// The T1w and the T2w scans of one folder `anat`.
fn anatomical_scans(anat: &Path, passed: &mut Passed) -> Result<[Vec<PathBuf>; 2], Error> {
    let mut scans = Scans::default();
    for name in entries(anat)? {
        let is_bids =
            ["_T1w", "_T2w"].iter().any(|suffix| stem_of(&name).is_some_and(|s| s.ends_with(suffix)));
        if is_bids {
            scans.take(anat.join(&name), &name, |_| String::new(), passed);
        }
    }
    Ok(scans.0.remove("").unwrap_or_default())
}

impl Found {
    fn take(&mut self, patient: String, id: String, [t1w, t2w]: [Vec<PathBuf>; 2], state: State) {
        let (missing, there) = match (t1w.into_iter().next(), t2w.into_iter().next()) {
            (Some(t1w), Some(t2w)) => {
                self.studies.push(PairFiles { id, patient, t1w, t2w, state, lesions: None });
                return;
            }
            (Some(t1w), None) => ("T2w", t1w),
            (None, Some(t2w)) => ("T1w", t2w),
            (None, None) => return,
        };
        let fault = format!("{id}: no {missing} scan goes with {}", there.display());
        self.incomplete.push(Incomplete { patient, fault });
    }
}

/// The T1w and the T2w scans of each study.
#[derive(Default)]
struct Scans(BTreeMap<String, [Vec<PathBuf>; 2]>);

impl Scans {
    /// Takes a file that is called like a scan; `study` names its study by what stands before the contrast.
    fn take(&mut self, path: PathBuf, name: &str, study: impl Fn(&str) -> String, passed: &mut Passed) {
        let Some(stem) = stem_of(name) else { return };
        let Some((before, contrast)) = parted(stem) else {
            passed.others += 1;
            return;
        };
        if stem.split('_').any(|part| part == SYNTHETIC) {
            passed.synthetic += 1;
            return;
        }
        let scans = self.0.entry(study(before)).or_default();
        scans[usize::from(contrast == Contrast::T2w)].push(path);
    }
}

/// How many NIfTI files were passed over.
#[derive(Default)]
struct Passed {
    synthetic: usize,
    others: usize,
}

impl Passed {
    fn notes(&self) -> Vec<String> {
        let synthetic = format!("files that are called synthetic, left out: {}", self.synthetic);
        let others = format!("other NIfTI files, left out: {}", self.others);
        [(self.synthetic, synthetic), (self.others, others)]
            .into_iter()
            .filter_map(|(count, note)| (count > 0).then_some(note))
            .collect()
    }
}

/// A NIfTI file's name without its ending.
fn stem_of(name: &str) -> Option<&str> {
    let lower = name.to_ascii_lowercase();
    let ending = ENDINGS.iter().find(|ending| lower.ends_with(**ending))?;
    name.get(..name.len() - ending.len()).filter(|stem| !stem.is_empty())
}

/// What stands before the contrast in a file's name, and the contrast.
fn parted(stem: &str) -> Option<(&str, Contrast)> {
    let (before, last) = stem.rsplit_once('_').unwrap_or(("", stem));
    match last.to_ascii_lowercase().as_str() {
        "t1w" | "t1" => Some((before, Contrast::T1w)),
        "t2w" | "t2" => Some((before, Contrast::T2w)),
        _ => None,
    }
}

/// The patient of a study by its name, as [`in_folder`] says.
fn patient_of(study: &str) -> String {
    let parts: Vec<&str> = study.split('_').collect();
    if let Some(subject) = parts.iter().find(|part| part.starts_with("sub-") && part.len() > 4) {
        return (*subject).to_owned();
    }
    let is_session = |part: &str| {
        let number = part.strip_prefix('s').unwrap_or("");
        part.starts_with("ses-") || (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match parts.iter().position(|part| is_session(part)) {
        Some(end) if end > 0 => parts[..end].join("_"),
        _ => study.to_owned(),
    }
}

/// The names in a folder, as text.
fn entries(folder: &Path) -> Result<Vec<String>, Error> {
    let names = folder::names(folder).map_err(|fault| Error::io(folder, fault))?;
    Ok(names.iter().map(|name| text(name.as_os_str())).collect())
}

fn text(name: &std::ffi::OsStr) -> String {
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn ids_and_patients(found: &Found) -> Vec<(&str, &str)> {
        found.studies.iter().map(|files| (files.id.as_str(), files.patient.as_str())).collect()
    }

    #[test]
    fn pairs_are_found_beside_each_other_and_in_folders_of_their_own() {
        let folder = folder_with(&[
            "a_T1w.nii.gz",
            "a_T2w.nii",
            "long_p01_s1/T1W.nii.gz",
            "long_p01_s1/T2W.nii.gz",
            "long_p01_s1/FLAIR.nii.gz",
            "long_p01_s1/T1W_to_FLAIR.txt",
            "long_p01_s2/t1.nii",
            "long_p01_s2/t2.nii",
            "sub-07/sub-07_ses-1_T1w.nii",
            "sub-07/sub-07_ses-1_T2w.nii",
            "sub-07/sub-07_ses-1_desc-synthetic_T2w.nii",
            "x/brain_T1.nii.gz",
            "x/brain_T2.nii.gz",
            ".hidden/b_T1w.nii",
        ]);
        let found = in_folder(folder.path(), State::Raw).unwrap();
        assert_eq!(
            ids_and_patients(&found),
            [
                ("a", "a"),
                ("long_p01_s1", "long_p01"),
                ("long_p01_s2", "long_p01"),
                ("sub-07_ses-1", "sub-07"),
                ("x_brain", "x_brain")
            ]
        );
        assert!(found.studies[1].t1w.ends_with("long_p01_s1/T1W.nii.gz"));
        assert!(found.studies[1].t2w.ends_with("long_p01_s1/T2W.nii.gz"));
        assert!(found.incomplete.is_empty());
        assert_eq!(
            found.notes,
            ["files that are called synthetic, left out: 1", "other NIfTI files, left out: 1"]
        );
    }

    #[test]
    fn one_study_can_be_the_folder_itself() {
        let folder = folder_with(&["p3_s2/T1.nii", "p3_s2/T2.nii"]);
        let found = in_folder(&folder.path().join("p3_s2"), State::Prepared).unwrap();
        assert_eq!(ids_and_patients(&found), [("p3_s2", "p3")]);
        assert_eq!(found.studies[0].state, State::Prepared);
    }

    #[test]
    fn studies_without_a_pair_are_named_with_what_is_missing() {
        let folder = folder_with(&["a_T1w.nii", "b_T2w.nii", "c_T1w.nii", "c_T2w.nii"]);
        let found = in_folder(folder.path(), State::Raw).unwrap();
        assert_eq!(ids_and_patients(&found), [("c", "c")]);
        assert!(found.incomplete[0].fault.starts_with("a: no T2w scan goes with "), "{:?}", found.incomplete);
        assert!(found.incomplete[0].fault.ends_with("a_T1w.nii"));
        assert!(found.incomplete[1].fault.starts_with("b: no T1w scan goes with "));
    }

    #[test]
    fn two_scans_of_one_contrast_and_empty_folders_are_errors() {
        let folder = folder_with(&["a_T1w.nii", "a_T1w.nii.gz", "a_T2w.nii"]);
        let fault = in_folder(folder.path(), State::Raw).unwrap_err().to_string();
        assert!(fault.contains("a_T1w.nii and ") && fault.contains("T1w scan of study a"), "{fault}");
        // Two folders whose studies come to one name.
        let folder = folder_with(&["a/b_c_T1.nii", "a_b/c_T1.nii"]);
        assert!(in_folder(folder.path(), State::Raw).is_err());
        let folder = folder_with(&["notes.txt"]);
        let fault = in_folder(folder.path(), State::Raw).unwrap_err().to_string();
        assert!(fault.contains("NAME_T1w.nii.gz"), "{fault}");
        assert!(matches!(in_folder(&folder.path().join("none"), State::Raw), Err(Error::Io { .. })));
    }

    #[test]
    fn bids_sessions_are_studies_and_first_runs_are_taken() {
        let folder = folder_with(&[
            "dataset_description.json",
            "sub-01/anat/sub-01_run-2_T1w.nii.gz",
            "sub-01/anat/sub-01_run-1_T1w.nii.gz",
            "sub-01/anat/sub-01_T2w.nii.gz",
            "sub-01/anat/sub-01_T2w.json",
            "sub-01/anat/sub-01_FLAIR.nii.gz",
            "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii",
            "sub-02/ses-a/anat/sub-02_ses-a_T2w.nii",
            "sub-02/ses-b/anat/sub-02_ses-b_T2w.nii",
            "sub-02/ses-c/func/sub-02_ses-c_bold.nii",
            "sub-03/func/sub-03_bold.nii",
            "derivatives/x/sub-01/anat/sub-01_T1w.nii.gz",
        ]);
        let found = in_bids(folder.path(), State::Raw).unwrap();
        assert_eq!(ids_and_patients(&found), [("sub-01", "sub-01"), ("sub-02_ses-a", "sub-02")]);
        assert!(found.studies[0].t1w.ends_with("sub-01/anat/sub-01_run-1_T1w.nii.gz"));
        assert!(found.notes[0].starts_with("sub-01: 2 T1w scans; "), "{:?}", found.notes);
        assert!(found.incomplete[0].fault.starts_with("sub-02_ses-b: no T1w scan goes with "));
        assert_eq!(found.incomplete[1].fault, "sub-03: neither a T1w nor a T2w scan under anat");
        let fault = in_bids(&folder.path().join("sub-01"), State::Raw).unwrap_err().to_string();
        assert!(fault.contains("sub-*"), "{fault}");
    }

    #[test]
    fn patients_are_read_off_the_names_of_studies() {
        for (study, patient) in [
            ("long_p01_s1", "long_p01"),
            ("p01_s10_extra", "p01"),
            ("p01_ses-post", "p01"),
            ("site_sub-7_ses-1", "sub-7"),
            ("s1", "s1"),
            ("p01_second", "p01_second"),
            ("sub-", "sub-"),
        ] {
            assert_eq!(patient_of(study), patient);
        }
    }
}
