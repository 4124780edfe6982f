//! Images in the formats that Slicer hands over, told apart by the ends of their names: NRRD and NIfTI.

use std::path::Path;

use mrisynth::nifti::{self, Header, VoxelType, WriteOptions};
use mrisynth::provenance::{Provenance, says_synthetic};
use mrisynth::{Error, Limits, Result, Volume};

use crate::nrrd;

/// A scan as it was read.
pub struct Scan {
    pub volume: Volume,
    /// What is needed to write another volume on its grid as NIfTI.
    header: Header,
    /// What was repaired or is doubtful, one sentence each.
    pub warnings: Vec<String>,
    /// True if the file says that no scanner has seen it.
    pub is_synthetic: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Nrrd,
    Nifti,
}

impl Format {
    /// The format of a file to be read.
    fn of(path: &Path) -> Self {
        let is_nrrd = |ending: &std::ffi::OsStr| ending.eq_ignore_ascii_case("nrrd");
        if path.extension().is_some_and(is_nrrd) { Self::Nrrd } else { Self::Nifti }
    }
}

/// Reads a scan.
///
/// # Errors
/// Those of [`nrrd::read`] and [`nifti::read`].
pub fn read(path: &Path) -> Result<Scan> {
    let limits = Limits::default();
    match Format::of(path) {
        Format::Nrrd => {
            let nrrd::Image { volume, content } = nrrd::read(path, &limits)?;
            let header = Header::for_grid(&volume.grid());
            Ok(Scan { volume, header, warnings: Vec::new(), is_synthetic: says_synthetic(&content) })
        }
        Format::Nifti => {
            let nifti::Image { volume, header, warnings } = nifti::read(path, &limits)?;
            let is_synthetic = says_synthetic(header.description());
            Ok(Scan { volume, header, warnings, is_synthetic })
        }
    }
}

/// Checks, before any work, that an output of this name can be written.
///
/// # Errors
/// [`Error::InvalidArgument`], naming the file.
pub fn check_name(path: &Path) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if [".nrrd", ".nii", ".nii.gz"].iter().any(|ending| name.ends_with(ending) && name.len() > ending.len()) {
        return Ok(());
    }
    let message = "the output's name must end in .nrrd, .nii or .nii.gz";
    Err(Error::InvalidArgument(message.into()).in_file(path))
}

/// Writes what was made of `scan`, and in the file where it comes from.
///
/// # Errors
/// Those of [`nrrd::write`] and [`nifti::write`].
pub fn write(path: &Path, synthetic: &Volume, scan: &Scan, provenance: &Provenance) -> Result<()> {
    // NRRD stores the same floats as NIfTI.
    let provenance = provenance.clone().of_image(synthetic, VoxelType::Float32);
    let (description, record) = (provenance.description(), provenance.to_json()?);
    match Format::of(path) {
        Format::Nrrd => nrrd::write(path, synthetic, description, &record),
        Format::Nifti => nifti::write(
            path,
            synthetic,
            &scan.header,
            &WriteOptions {
                voxel_type: VoxelType::Float32,
                description,
                extension: Some(&record),
                overwrite: true,
            },
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_formats() {
        for (name, format) in
            [("a.nrrd", Format::Nrrd), ("A.NRRD", Format::Nrrd), ("a.nrrd.nii.gz", Format::Nifti)]
        {
            assert_eq!(Format::of(Path::new(name)), format);
            assert!(check_name(Path::new(name)).is_ok());
        }
        for name in ["a.nhdr", "a.hdr", "a", ".nrrd", "", "a.gz"] {
            assert!(check_name(Path::new(name)).is_err(), "{name}");
        }
    }
}
