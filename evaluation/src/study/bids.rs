//! A study in a BIDS dataset: real images in it, those of each method in a folder of its `derivatives`.
//!
//! Synthetic images are called as `mrisynth synthesize` calls them, `sub-01_[ses-02_]desc-synthetic_T1w.nii.gz`, in
//! `derivatives/METHOD/sub-01/[ses-02/]anat`. Beside an image may lie, with its entities but for `desc`: the brain
//! (`_desc-brain_mask`, beside the real image), lesions (`_label-lesion_mask`) and a label map (`_dseg`). Where a folder has
//! images of both contrasts, `_label-lesion_desc-T1w_mask` and `_desc-T1w_dseg` belong to T1w alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Case, Cohort, Study};
use crate::pair::Pair;
use crate::{Result, folder};

const ENDINGS: [&str; 2] = [".nii.gz", ".nii"];
/// What `desc` of a synthetic image is.
const SYNTHETIC: &str = "synthetic";

/// A file of an `anat` folder, its name taken apart.
#[derive(Clone, Debug, PartialEq)]
struct Named {
    path: PathBuf,
    /// `sub`, `ses` and the like, but for `desc` and `label`.
    entities: BTreeMap<String, String>,
    desc: Option<String>,
    label: Option<String>,
    /// `T1w`, `mask` and the like.
    suffix: String,
}

impl Named {
    /// None for what is not called like an image of BIDS.
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let stem = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending))?;
        let mut parts: Vec<&str> = stem.split('_').collect();
        let suffix = parts.pop()?.to_owned();
        let entities = parts.into_iter().map(|part| part.split_once('-'));
        let mut entities: BTreeMap<String, String> = entities
            .map(|part| part.map(|(key, value)| (key.to_owned(), value.to_owned())))
            .collect::<Option<_>>()?;
        let (desc, label) = (entities.remove("desc"), entities.remove("label"));
        Some(Self { path: path.to_owned(), entities, desc, label, suffix })
    }

    fn is_contrast(&self) -> bool {
        ["T1w", "T2w"].contains(&self.suffix.as_str())
    }

    fn is_synthetic(&self) -> bool {
        self.desc.as_deref() == Some(SYNTHETIC)
    }

    /// Subject, session and the rest, as BIDS writes them.
    fn subject(&self) -> String {
        let first = ["sub", "ses"].into_iter().filter_map(|key| Some((key, self.entities.get(key)?)));
        let others = self.entities.iter().map(|(key, value)| (key.as_str(), value));
        let others = others.filter(|(key, _)| !["sub", "ses"].contains(key));
        first.chain(others).map(|(key, value)| format!("{key}-{value}")).collect::<Vec<_>>().join("_")
    }

    fn is_of_same_scan(&self, other: &Self) -> bool {
        ["sub", "ses"].iter().all(|key| self.entities.get(*key) == other.entities.get(*key))
    }
}

/// Finds a study in a dataset. The real images are the dataset's own, or with `real` those of the folder of its derivatives
/// that is called so, such as one with prepared images.
///
/// # Errors
/// Those of reading folders; [`Error::Invalid`] if there is no synthetic image, and one that names every synthetic image
/// that has no real one, or more than one.
pub fn read(dataset: &Path, real: Option<&str>) -> Result<Study> {
    let derivatives = dataset.join("derivatives");
    let real_root = real.map_or(dataset.to_owned(), |name| derivatives.join(name));
    let real_files = files(&real_root)?;
    let (mut cases, mut faults) = (Vec::new(), Vec::new());
    for method in folders(&derivatives, "")? {
        let root = derivatives.join(&method);
        if root == real_root {
            continue;
        }
        let own = files(&root)?;
        for synthetic in own.iter().filter(|file| file.is_contrast() && file.is_synthetic()) {
            match real_image(&real_files, synthetic) {
                Ok(reference) => cases.push(case(&method, (reference, &real_files), (synthetic, &own))),
                Err(fault) => faults.push(format!("{}: {fault}", synthetic.path.display())),
            }
        }
    }
    let in_dataset = |fault: String| mrisynth::Error::InvalidArgument(fault).in_file(dataset);
    if !faults.is_empty() {
        return Err(in_dataset(faults.join("; ")).into());
    }
    if cases.is_empty() {
        let fault = "no desc-synthetic image is under derivatives/METHOD/sub-*/[ses-*/]anat";
        return Err(in_dataset(fault.into()).into());
    }
    Study::new(cases).map_err(|fault| mrisynth::Error::from(fault).in_file(dataset).into())
}

/// The real image that a synthetic one stands for: that of the same entities, or the only one of the subject and session.
fn real_image<'a>(files: &'a [Named], synthetic: &Named) -> std::result::Result<&'a Named, String> {
    let is = |file: &&Named| {
        file.suffix == synthetic.suffix && !file.is_synthetic() && file.is_of_same_scan(synthetic)
    };
    let of_scan: Vec<&Named> = files.iter().filter(is).collect();
    let same: Vec<&Named> =
        of_scan.iter().copied().filter(|file| file.entities == synthetic.entities).collect();
    match (same.as_slice(), of_scan.as_slice()) {
        ([one], _) | ([], [one]) => Ok(one),
        ([], []) => Err(format!("there is no real {} of it", synthetic.suffix)),
        _ => {
            let several = if same.is_empty() { of_scan } else { same };
            let names: Vec<String> = several.iter().map(|file| file.path.display().to_string()).collect();
            Err(format!("there are {} real images of it: {}", names.len(), names.join(", ")))
        }
    }
}

fn case(method: &str, (real, real_files): (&Named, &[Named]), (synthetic, own): (&Named, &[Named])) -> Case {
    let other = if synthetic.suffix == "T1w" { "T2w" } else { "T1w" };
    // A label map of one image alone is of no use.
    let labels = (beside(real, real_files, "dseg", None), beside(synthetic, own, "dseg", None));
    let labels = labels.0.zip(labels.1);
    let lesions_reference = beside(real, real_files, "mask", Some("lesion"));
    let brain = |file: &&Named| {
        file.suffix == "mask"
            && file.label.is_none()
            && file.desc.as_deref() == Some("brain")
            && file.entities == real.entities
    };
    Case {
        cohort: Cohort { dataset: String::new(), translation: format!("{other} to {}", synthetic.suffix) },
        subject: synthetic.subject(),
        method: method.to_owned(),
        files: Pair {
            reference: real.path.clone(),
            synthetic: synthetic.path.clone(),
            mask: real_files.iter().find(brain).map(|file| file.path.clone()),
            lesions_synthetic: beside(synthetic, own, "mask", Some("lesion"))
                .filter(|_| lesions_reference.is_some()),
            lesions_reference,
            labels_reference: labels.as_ref().map(|(real, _)| real.clone()),
            labels_synthetic: labels.map(|(_, synthetic)| synthetic),
        },
    }
}

/// The mask or label map of an image: that of its contrast alone before that of both.
fn beside(image: &Named, files: &[Named], suffix: &str, label: Option<&str>) -> Option<PathBuf> {
    let of = |desc: Option<&str>| {
        let is = |file: &&Named| {
            file.suffix == suffix
                && file.label.as_deref() == label
                && file.desc.as_deref() == desc
                && file.entities == image.entities
        };
        files.iter().find(is).map(|file| file.path.clone())
    };
    of(Some(&image.suffix)).or_else(|| of(None))
}

/// The NIfTI files under `sub-*/[ses-*/]anat`, in the order of their names.
fn files(root: &Path) -> Result<Vec<Named>> {
    let mut files = Vec::new();
    for subject in folders(root, "sub-")? {
        let subject = root.join(subject);
        let sessions = folders(&subject, "ses-")?;
        for place in [subject.clone()].into_iter().chain(sessions.iter().map(|session| subject.join(session)))
        {
            let folder = place.join("anat");
            if folder.is_dir() {
                files.extend(texts(&folder)?.iter().filter_map(|name| Named::of(&folder.join(name))));
            }
        }
    }
    Ok(files)
}

/// The folders of a folder whose names begin so, in their order.
fn folders(folder: &Path, prefix: &str) -> Result<Vec<String>> {
    let is = |name: &String| name.starts_with(prefix) && folder.join(name).is_dir();
    Ok(texts(folder)?.into_iter().filter(is).collect())
}

/// The names in a folder that are text: others are none of BIDS.
fn texts(folder: &Path) -> Result<Vec<String>> {
    let names = folder::names(folder).map_err(|fault| mrisynth::Error::io(folder, fault))?;
    Ok(names.into_iter().filter_map(|name| name.into_os_string().into_string().ok()).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn dataset(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    fn relative(folder: &tempfile::TempDir, path: &Option<PathBuf>) -> Option<String> {
        let path = path.as_ref()?.strip_prefix(folder.path()).unwrap();
        Some(path.display().to_string())
    }

    #[test]
    fn real_images_masks_and_label_maps_are_found() {
        let folder = dataset(&[
            "sub-01/anat/sub-01_T1w.nii.gz",
            "sub-01/anat/sub-01_T2w.nii.gz",
            "sub-01/anat/sub-01_desc-brain_mask.nii.gz",
            "sub-01/anat/sub-01_label-lesion_mask.nii.gz",
            "sub-01/anat/sub-01_desc-T1w_dseg.nii",
            "sub-01/anat/sub-01_dseg.nii",
            "sub-01/anat/notes.txt",
            "sub-01/anat/._sub-01_T1w.nii.gz",
            "derivatives/.unfinished/sub-01/anat/sub-01_desc-synthetic_T1w.nii.gz",
            "sub-02/ses-a/anat/sub-02_ses-a_T2w.nii.gz",
            "derivatives/A/sub-01/anat/sub-01_desc-synthetic_T1w.nii.gz",
            "derivatives/A/sub-01/anat/sub-01_label-lesion_mask.nii.gz",
            "derivatives/A/sub-01/anat/sub-01_dseg.nii.gz",
            "derivatives/B/sub-01/anat/sub-01_acq-x_desc-synthetic_T1w.nii",
            "derivatives/B/sub-02/ses-a/anat/sub-02_ses-a_desc-synthetic_T2w.nii.gz",
            "derivatives/fmriprep/sub-01/anat/sub-01_desc-preproc_T1w.nii.gz",
        ]);
        let study = read(folder.path(), None).unwrap();
        let names: Vec<String> = study.cases().iter().map(Case::name).collect();
        assert_eq!(
            names,
            ["sub-01, A (T2w to T1w)", "sub-01_acq-x, B (T2w to T1w)", "sub-02_ses-a, B (T1w to T2w)"]
        );
        let files = &study.cases()[0].files;
        let found = [
            &files.mask,
            &files.lesions_reference,
            &files.lesions_synthetic,
            &files.labels_reference,
            &files.labels_synthetic,
        ]
        .map(|path| relative(&folder, path).unwrap());
        assert_eq!(
            found,
            [
                "sub-01/anat/sub-01_desc-brain_mask.nii.gz",
                "sub-01/anat/sub-01_label-lesion_mask.nii.gz",
                "derivatives/A/sub-01/anat/sub-01_label-lesion_mask.nii.gz",
                "sub-01/anat/sub-01_desc-T1w_dseg.nii",
                "derivatives/A/sub-01/anat/sub-01_dseg.nii.gz"
            ]
        );
        // Without the synthetic image's map the real one's is of no use.
        assert_eq!(study.cases()[1].files.labels_reference, None);
        assert!(study.cases()[1].files.reference.ends_with("sub-01_T1w.nii.gz"));
    }

    #[test]
    fn real_images_may_be_a_derivative() {
        let folder = dataset(&[
            "sub-01/anat/sub-01_T1w.nii.gz",
            "derivatives/prepared/sub-01/anat/sub-01_desc-prepared_T1w.nii.gz",
            "derivatives/A/sub-01/anat/sub-01_desc-synthetic_T1w.nii.gz",
        ]);
        let study = read(folder.path(), Some("prepared")).unwrap();
        assert_eq!(study.cases().len(), 1);
        assert!(study.cases()[0].files.reference.ends_with("sub-01_desc-prepared_T1w.nii.gz"));
        assert!(read(folder.path(), Some("nothing")).is_err());
    }

    #[test]
    fn all_that_is_missing_or_ambiguous_is_told_at_once() {
        let folder = dataset(&[
            "sub-01/anat/sub-01_T2w.nii.gz",
            "sub-02/anat/sub-02_run-1_T1w.nii.gz",
            "sub-02/anat/sub-02_run-2_T1w.nii.gz",
            "derivatives/A/sub-01/anat/sub-01_desc-synthetic_T1w.nii.gz",
            "derivatives/A/sub-02/anat/sub-02_desc-synthetic_T1w.nii.gz",
        ]);
        let fault = read(folder.path(), None).unwrap_err().to_string();
        assert!(fault.contains("sub-01_desc-synthetic_T1w.nii.gz: there is no real T1w of it"), "{fault}");
        assert!(fault.contains("sub-02_desc-synthetic_T1w.nii.gz: there are 2 real images of it"), "{fault}");
        let empty =
            dataset(&["derivatives/A/sub-01/anat/sub-01_T1w.nii.gz", "sub-01/anat/sub-01_T1w.nii.gz"]);
        assert!(read(empty.path(), None).unwrap_err().to_string().contains("no desc-synthetic image"));
        assert!(read(&empty.path().join("none"), None).is_err());
    }
}
