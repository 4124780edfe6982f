//! What an evaluation of one pair reads: its files, found missing all at once, and their volumes, all in RAS.

use std::io;
use std::path::{Path, PathBuf};

use mrisynth::provenance::says_synthetic;
use mrisynth::{Error, Limits, Volume, nifti};
use ndarray::Array3;
use rayon::prelude::*;

use crate::Result;

/// Everything that there may be of one pair: as files, or read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pair<T> {
    /// The real image.
    pub reference: T,
    /// The synthetic image, on the real one's grid.
    pub synthetic: T,
    /// The brain, on the images' grid: what is not 0. Without it, the brain is where the real image is above 0.
    pub mask: Option<T>,
    /// The lesions of the real image, on the images' grid: what is not 0.
    pub lesions_reference: Option<T>,
    /// The lesions of the synthetic image, on the images' grid: what is not 0.
    pub lesions_synthetic: Option<T>,
    /// The label map of the real image, on any grid: volumes alone are taken from it.
    pub labels_reference: Option<T>,
    /// The label map of the synthetic image, on any grid.
    pub labels_synthetic: Option<T>,
}

impl<T> Pair<T> {
    /// Two images and nothing else.
    pub fn new(reference: T, synthetic: T) -> Self {
        Self {
            reference,
            synthetic,
            mask: None,
            lesions_reference: None,
            lesions_synthetic: None,
            labels_reference: None,
            labels_synthetic: None,
        }
    }

    /// All that there is, in the order of the fields.
    pub fn parts(&self) -> impl Iterator<Item = &T> {
        let optional = [
            &self.mask,
            &self.lesions_reference,
            &self.lesions_synthetic,
            &self.labels_reference,
            &self.labels_synthetic,
        ];
        [&self.reference, &self.synthetic].into_iter().chain(optional.into_iter().flatten())
    }

    /// What lies on the images' grid, but for the real image itself.
    pub(super) fn on_grid(&self) -> impl Iterator<Item = &T> {
        let optional = [&self.mask, &self.lesions_reference, &self.lesions_synthetic];
        [&self.synthetic].into_iter().chain(optional.into_iter().flatten())
    }

    /// The same with each part changed, in the order of the fields.
    ///
    /// # Errors
    /// The first of the change.
    fn try_map<U>(self, mut change: impl FnMut(T) -> Result<U>) -> Result<Pair<U>> {
        Ok(Pair {
            reference: change(self.reference)?,
            synthetic: change(self.synthetic)?,
            mask: self.mask.map(&mut change).transpose()?,
            lesions_reference: self.lesions_reference.map(&mut change).transpose()?,
            lesions_synthetic: self.lesions_synthetic.map(&mut change).transpose()?,
            labels_reference: self.labels_reference.map(&mut change).transpose()?,
            labels_synthetic: self.labels_synthetic.map(&mut change).transpose()?,
        })
    }
}

impl Pair<PathBuf> {
    /// Checks that every file is there, before any is read.
    ///
    /// # Errors
    /// Those of [`check_files`].
    pub fn check_files(&self) -> Result<()> {
        check_files(self.parts().map(PathBuf::as_path))
    }

    /// Reads the files, on all threads of the current pool.
    ///
    /// # Errors
    /// Those of [`Pair::check_files`] and of `nifti::read`.
    pub fn read(self, limits: &Limits) -> Result<Pair<Input>> {
        self.check_files()?;
        let paths: Vec<&PathBuf> = self.parts().collect();
        let read: Vec<_> = paths.into_par_iter().map(|path| Input::read(path, limits)).collect();
        // The files' order is that of the fields.
        let mut read = read.into_iter();
        self.try_map(|path| {
            read.next().unwrap_or_else(|| {
                Err(Error::Internal("a file that was not read".into()).in_file(path).into())
            })
        })
    }
}

/// Checks that each of these is a file that can be read.
///
/// # Errors
/// One that names all that are not: of the kind [`Error::Io`] if one is missing.
pub fn check_files<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<()> {
    let fault_of = |path: &'a Path| match std::fs::metadata(path) {
        Err(fault) => Some((path, fault)),
        Ok(metadata) if !metadata.is_file() => {
            Some((path, io::Error::new(io::ErrorKind::InvalidInput, "this is not a regular file")))
        }
        Ok(_) => None,
    };
    let mut faults: Vec<(&Path, io::Error)> = paths.filter_map(fault_of).collect();
    faults.dedup_by(|later, earlier| later.0 == earlier.0);
    let count = faults.len();
    let mut faults = faults.into_iter();
    let Some((first, fault)) = faults.next() else { return Ok(()) };
    if count == 1 {
        return Err(Error::io(first, fault).into());
    }
    let others: Vec<String> = faults.map(|(path, fault)| format!("{}: {fault}", path.display())).collect();
    let message = format!("{fault}; {} ({count} files in all)", others.join("; "));
    Err(Error::io(first, io::Error::new(fault.kind(), message)).into())
}

/// One image, mask or label map.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The file, or what else it is called in messages.
    pub name: PathBuf,
    /// Its voxels, brought to RAS.
    pub(super) volume: Volume,
    /// Whether its header says that it is synthetic.
    pub says_synthetic: bool,
    /// What is doubtful about the file, one sentence each.
    pub warnings: Vec<String>,
}

impl Input {
    /// A volume in memory, in any orientation, by the name that messages shall have for it.
    pub fn new(name: impl Into<PathBuf>, volume: Volume) -> Self {
        Self { name: name.into(), volume: volume.into_ras(), says_synthetic: false, warnings: Vec::new() }
    }

    /// From a NIfTI file.
    ///
    /// # Errors
    /// Those of `nifti::read`, which name the file.
    pub fn read(path: &Path, limits: &Limits) -> Result<Self> {
        Ok(Self::of_image(path, nifti::read(path, limits)?))
    }

    /// An image that was read, by the name that messages shall have for it.
    pub fn of_image(name: impl Into<PathBuf>, image: nifti::Image) -> Self {
        Self {
            says_synthetic: says_synthetic(image.header.description()),
            warnings: image.warnings,
            ..Self::new(name, image.volume)
        }
    }

    /// Its voxels, in RAS.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// Refuses voxels that are not finite numbers.
    pub(crate) fn check_finite(&self) -> Result<()> {
        let count = self.volume.as_slice().iter().filter(|value| !value.is_finite()).count();
        if count == 0 {
            return Ok(());
        }
        let message = match count {
            1 => "1 of its voxels is no finite number".into(),
            _ => format!("{count} of its voxels are no finite numbers"),
        };
        Err(Error::BadImage(message).in_file(&self.name).into())
    }

    /// Where voxels are not 0.
    pub(crate) fn mask(&self) -> Array3<bool> {
        self.volume.voxels().mapv(|value| value != 0.0)
    }

    /// An error about this file.
    pub(crate) fn fault(&self, fault: Error) -> crate::Error {
        fault.in_file(&self.name).into()
    }

    /// The same of an error that a measure found with its voxels.
    pub(crate) fn about(&self, fault: crate::Error) -> crate::Error {
        self.fault(match fault {
            crate::Error::Invalid(what) => Error::BadImage(what),
            crate::Error::Library(fault) => fault,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_missing_are_told_all_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there.nii");
        std::fs::write(&there, "").unwrap();
        let path = |name: &str| folder.path().join(name);
        let pair = Pair {
            mask: Some(path("mask.nii")),
            labels_synthetic: Some(folder.path().to_owned()),
            ..Pair::new(path("real.nii"), there.clone())
        };
        let fault = pair.check_files().unwrap_err().to_string();
        assert!(fault.starts_with(&format!("{}: ", path("real.nii").display())), "{fault}");
        assert!(fault.contains("mask.nii: ") && fault.contains("not a regular file"), "{fault}");
        assert!(fault.ends_with("(3 files in all)") && !fault.contains("there.nii"), "{fault}");
        let one = Pair::new(path("real.nii"), there.clone()).check_files().unwrap_err().to_string();
        assert!(!one.contains("in all"), "{one}");
        assert!(Pair::new(there.clone(), there).check_files().is_ok());
    }

    #[test]
    fn parts_come_in_the_order_of_the_fields() {
        let pair = Pair { mask: Some(3), labels_reference: Some(6), ..Pair::new(1, 2) };
        assert_eq!(pair.parts().copied().collect::<Vec<_>>(), [1, 2, 3, 6]);
        let mut seen = Vec::new();
        let mapped = pair.try_map(|part| {
            seen.push(part);
            Ok(10 * part)
        });
        let mapped = mapped.unwrap();
        assert_eq!((seen, mapped.mask, mapped.labels_reference), (vec![1, 2, 3, 6], Some(30), Some(60)));
        assert_eq!(mapped.on_grid().copied().collect::<Vec<_>>(), [20, 30]);
    }
}
