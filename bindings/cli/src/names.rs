//! Names of scans and of what is made of them, as BIDS has them: `sub-01_ses-02_T2w.nii.gz` gives
//! `sub-01_ses-02_desc-synthetic_T1w.nii.gz`.

use std::path::Path;

use mrisynth::model::Contrast;

/// Marks the results of this program (BIDS, "Derivatives": the entity `desc`, the last before the suffix).
const DESCRIPTION: &str = "desc-synthetic";

/// A scan's file name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanName {
    /// All before the file's ending.
    pub stem: String,
    /// `.nii` or `.nii.gz`, or what else NIfTI files are called.
    ending: String,
}

/// Endings of NIfTI files.
const ENDINGS: [&str; 6] = [".nii.gz", ".nii", ".hdr.gz", ".hdr", ".img.gz", ".img"];

impl ScanName {
    /// The name of a file, or none if it is not called like a NIfTI file.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let lower = name.to_ascii_lowercase();
        let ending = ENDINGS.iter().find(|ending| lower.ends_with(*ending) && lower.len() > ending.len())?;
        let (stem, ending) = name.split_at(name.len() - ending.len());
        Some(Self { stem: stem.to_owned(), ending: ending.to_ascii_lowercase() })
    }

    /// True for `.nii` and `.nii.gz`, and not for a pair of files.
    pub fn is_single_file(&self) -> bool {
        self.ending.starts_with(".nii")
    }

    /// True for the file of a pair that holds the voxels.
    pub fn is_voxel_file(&self) -> bool {
        self.ending.starts_with(".img")
    }

    /// The contrast that the name ends in, as BIDS names have it.
    pub fn contrast(&self) -> Option<Contrast> {
        match self.stem.rsplit('_').next() {
            Some("T1w") => Some(Contrast::T1w),
            Some("T2w") => Some(Contrast::T2w),
            _ => None,
        }
    }

    /// True if the name says that this is a result of this program.
    pub fn says_synthetic(&self) -> bool {
        self.stem.split('_').any(|part| part == DESCRIPTION)
    }

    /// The name of the image of `target` that is synthesized from this scan. A BIDS name keeps its entities and their
    /// order, but for `desc`, which there can be once.
    pub fn synthetic(&self, target: Contrast) -> String {
        let mut parts: Vec<&str> = self.stem.split('_').collect();
        if self.contrast().is_some() {
            parts.pop();
        }
        if self.stem.starts_with("sub-") {
            parts.retain(|part| !part.starts_with("desc-"));
        }
        let suffix = target.to_string();
        parts.extend([DESCRIPTION, &suffix]);
        let ending = if self.ending == ".nii" { ".nii" } else { ".nii.gz" };
        parts.join("_") + ending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> ScanName {
        ScanName::of(Path::new(text)).unwrap()
    }

    #[test]
    fn entities_keep_their_order_and_desc_comes_last() {
        for (scan, synthetic) in [
            ("sub-01_T2w.nii.gz", "sub-01_desc-synthetic_T1w.nii.gz"),
            ("sub-01_ses-02_acq-x_run-1_T2w.nii", "sub-01_ses-02_acq-x_run-1_desc-synthetic_T1w.nii"),
            ("sub-01_space-T2w_desc-preproc_T2w.nii.gz", "sub-01_space-T2w_desc-synthetic_T1w.nii.gz"),
            ("scan.1.5mm.nii.gz", "scan.1.5mm_desc-synthetic_T1w.nii.gz"),
            ("a/desc-ription.hdr", "desc-ription_desc-synthetic_T1w.nii.gz"),
            ("T2w.NII.GZ", "desc-synthetic_T1w.nii.gz"),
        ] {
            assert_eq!(name(scan).synthetic(Contrast::T1w), synthetic);
        }
        assert_eq!(name("sub-01_T1w.nii").synthetic(Contrast::T2w), "sub-01_desc-synthetic_T2w.nii");
    }

    #[test]
    fn names_say_what_they_are() {
        assert_eq!(name("sub-01_T1w.nii").contrast(), Some(Contrast::T1w));
        assert_eq!(name("sub-01_FLAIR.nii").contrast(), None);
        assert!(name("sub-01_desc-synthetic_T1w.nii").says_synthetic());
        assert!(!name("sub-01_desc-synthetics_T1w.nii").says_synthetic());
        assert!(name("a.img.gz").is_voxel_file() && name("a.nii").is_single_file());
        for none in ["a.txt", ".nii", ".nii.gz", "nii", ""] {
            assert_eq!(ScanName::of(Path::new(none)), None, "{none}");
        }
    }
}
