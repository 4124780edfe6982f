//! Every odd file of the shared data reads, or gives an error that names it.

use std::fs;
use std::path::{Path, PathBuf};

use mrisynth::{Error, Limits, nifti};

/// Files that must give an error: damaged ones, and ones that are not one real volume.
const FAULTY: &[&str] = &[
    "bad_datatype.nii.gz",
    "bad_magic.nii.gz",
    "empty.nii.gz",
    "header_only_100bytes.nii",
    "huge_dims.nii.gz",
    "ndim4_three_volumes.nii.gz",
    "negative_dim.nii.gz",
    "singular_sform.nii.gz",
    "truncated_data.nii.gz",
    "truncated_gzip.nii.gz",
    "5D_small.nii",
    "5D_zeros.nii.gz",
    "complex.nii.gz",
    "example4d.nii.gz",
    "example_nifti2.nii.gz",
    // Headers whose .img was left out.
    "nifti1.hdr",
    "nifti2.hdr",
    "not-nifti.nii",
];

fn odd_files() -> Option<Vec<PathBuf>> {
    let odd = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/odd");
    if !odd.is_dir() {
        eprintln!("SKIPPED: {} is absent, so the odd files were not read", odd.display());
        return None;
    }
    let files_in =
        |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let mut files = [files_in(&odd), files_in(&odd.join("peers"))].concat();
    files.retain(|path| path.is_file());
    files.sort();
    Some(files)
}

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn odd_files_read_or_are_named_in_the_error() {
    for path in odd_files().unwrap_or_default() {
        let read = nifti::read(&path, &Limits::default());
        assert_eq!(read.is_err(), FAULTY.contains(&file_name(&path)), "{}: {:?}", path.display(), read.err());
        if let Err(fault) = read {
            let stem = file_name(&path).split('.').next().unwrap();
            assert!(fault.to_string().contains(stem), "{fault}");
            assert!(!matches!(fault.kind(), Error::Internal(_)), "{fault}");
        }
    }
}

#[test]
fn what_reads_is_written_and_reads_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for path in odd_files().unwrap_or_default() {
        let Ok(image) = nifti::read(&path, &Limits::default()) else { continue };
        let copy = folder.path().join("copy.nii");
        let options = nifti::WriteOptions {
            voxel_type: nifti::VoxelType::Float32,
            description: image.header.description(),
            extension: None,
            overwrite: true,
        };
        nifti::write(&copy, &image.volume, &image.header, &options).unwrap();
        let again = nifti::read(&copy, &Limits::default()).unwrap();
        assert_eq!(again.volume.affine(), image.volume.affine(), "{}", path.display());
        assert_eq!(again.header, image.header, "{}", path.display());
        let same = |(a, b): (&f32, &f32)| a == b || (a.is_nan() && b.is_nan());
        assert!(again.volume.as_slice().iter().zip(image.volume.as_slice()).all(same), "{}", path.display());
    }
}
