//! Where results go: checked before the work, and published together or not at all.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mrisynth::nifti::{self, Header, VoxelType, WriteOptions};
use mrisynth::provenance::Provenance;
use mrisynth::{Error, Result, Volume};
use tempfile::TempPath;

/// The files that a run makes: an image, and a JSON file beside it that says what the image is.
#[derive(Debug)]
pub struct Output {
    image: PathBuf,
    sidecar: PathBuf,
    folder: PathBuf,
    overwrite: bool,
}

impl Output {
    /// Checks, before any work, that `image` can be written and that nothing that must stay would be lost: neither
    /// the input and its JSON file, nor the model, nor, unless `overwrite`, what is already there.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] or [`Error::Io`], naming the file.
    pub fn check(image: &Path, input: &Path, model: Option<&Path>, overwrite: bool) -> Result<Self> {
        let invalid = |message: &str| Err(Error::InvalidArgument(message.into()).in_file(image));
        if !is_nifti_name(image) {
            return invalid("the output's name must end in .nii or .nii.gz");
        }
        let sidecar = sidecar_path(image);
        let folder = folder_of(image);
        // Fails also where no file can be made, such as in a folder that is read-only; the file has no name.
        tempfile::tempfile_in(&folder)
            .map_err(|fault| Error::io(image, with_context("its folder", &fault)))?;
        if same_place(image, input) {
            return invalid("the output is the input");
        }
        if same_place(&sidecar, &sidecar_path(input)) {
            return invalid("its JSON file would be the input's own: choose another name or folder");
        }
        for made in [image, &sidecar] {
            if model.is_some_and(|model| same_place(made, model)) {
                return invalid("it would replace the model");
            }
            if made.is_dir() {
                return Err(Error::InvalidArgument("a folder, where a file is to go".into()).in_file(made));
            }
            if !overwrite && made.symlink_metadata().is_ok() {
                return Err(Error::io(made, already_exists()));
            }
        }
        Ok(Self { image: image.to_owned(), sidecar, folder, overwrite })
    }

    /// The JSON file beside the image.
    pub fn sidecar(&self) -> &Path {
        &self.sidecar
    }

    /// Writes both files; on any failure what was there before is there still.
    ///
    /// # Errors
    /// [`Error::Io`] if one cannot be written, or has come to exist since the check and may not be replaced.
    pub fn write(
        &self,
        volume: &Volume,
        template: &Header,
        voxel_type: VoxelType,
        provenance: &Provenance,
    ) -> Result<()> {
        let named = |fault: io::Error| Error::io(&self.image, fault);
        // Both are written in full, under their own names, in a folder that vanishes; then they only need to move.
        let staging =
            tempfile::Builder::new().prefix(".mrisynth-").tempdir_in(&self.folder).map_err(named)?;
        let staged = |path: &Path| staging.path().join(path.file_name().unwrap_or_default());
        let (image, sidecar) = (staged(&self.image), staged(&self.sidecar));
        let extension = provenance.to_json()?;
        let options = WriteOptions {
            voxel_type,
            description: provenance.description(),
            extension: Some(&extension),
            overwrite: false,
        };
        nifti::write(&image, volume, template, &options).map_err(|fault| self.instead_of(&image, fault))?;
        write_synced(&sidecar, provenance.to_sidecar()?.as_bytes())
            .map_err(|fault| Error::io(&self.sidecar, fault))?;
        self.publish(&image, &sidecar, &staging.path().join("previous"))
    }

    /// Moves the staged files to their places, the image last: where there is an image, its sidecar is there too.
    fn publish(&self, image: &Path, sidecar: &Path, previous: &Path) -> Result<()> {
        let replaces_sidecar = self.overwrite && self.sidecar.symlink_metadata().is_ok();
        if replaces_sidecar {
            fs::copy(&self.sidecar, previous).map_err(|fault| Error::io(&self.sidecar, fault))?;
        }
        self.move_into_place(sidecar, &self.sidecar)?;
        self.move_into_place(image, &self.image).inspect_err(|_| {
            // Already failing: what cannot be undone must not hide why.
            let _ = if replaces_sidecar {
                fs::rename(previous, &self.sidecar)
            } else {
                fs::remove_file(&self.sidecar)
            };
        })
    }

    fn move_into_place(&self, from: &Path, to: &Path) -> Result<()> {
        let staged = TempPath::try_from_path(from).map_err(|fault| Error::io(to, fault))?;
        let moved = if self.overwrite { staged.persist(to) } else { staged.persist_noclobber(to) };
        moved.map_err(|fault| match fault.error.kind() {
            io::ErrorKind::AlreadyExists => Error::io(to, already_exists()),
            _ => Error::io(to, fault.error),
        })
    }

    /// `fault` about the staged image as one about the image that the user asked for.
    fn instead_of(&self, staged: &Path, fault: Error) -> Error {
        match fault {
            Error::Io { path, source } if path == staged => Error::io(&self.image, source),
            Error::InFile { path, fault } if path == staged => fault.in_file(&self.image),
            other => other,
        }
    }
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// `path` without the ending `.gz`.
fn without_gz(path: &Path) -> PathBuf {
    if has_ending(path, "gz") { path.with_extension("") } else { path.to_owned() }
}

/// True for `.nii` and `.nii.gz`.
fn is_nifti_name(path: &Path) -> bool {
    has_ending(&without_gz(path), "nii")
}

/// `scan.nii`, `scan.nii.gz` or `scan.hdr` to `scan.json`.
fn sidecar_path(image: &Path) -> PathBuf {
    without_gz(image).with_extension("json")
}

fn folder_of(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| *parent != OsStr::new(""));
    parent.unwrap_or(Path::new(".")).to_owned()
}

/// True if both paths lead to one place, whether or not there is a file.
fn same_place(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => return one == other,
        (Err(_), Err(_)) => {}
        _ => return false,
    }
    let folders = (fs::canonicalize(folder_of(one)), fs::canonicalize(folder_of(other)));
    matches!(folders, (Ok(first), Ok(second)) if first == second) && one.file_name() == other.file_name()
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn already_exists() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "it exists already; --force replaces it")
}

fn with_context(what: &str, fault: &io::Error) -> io::Error {
    io::Error::new(fault.kind(), format!("{what}: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_keeps_all_but_the_image_ending() {
        for (image, sidecar) in [
            ("scan.nii", "scan.json"),
            ("a/scan.1.5mm.nii.gz", "a/scan.1.5mm.json"),
            ("Scan.NII.GZ", "Scan.json"),
        ] {
            assert!(is_nifti_name(Path::new(image)), "{image}");
            assert_eq!(sidecar_path(Path::new(image)), Path::new(sidecar));
        }
        for image in ["scan", "scan.gz", "scan.img", ".nii", ".nii.gz", "scan.nii.gz/..", "", "/"] {
            assert!(!is_nifti_name(Path::new(image)), "{image}");
        }
    }

    #[test]
    fn one_place_has_many_names() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.nii");
        assert!(same_place(&file, &folder.path().join("./a.nii")));
        fs::write(&file, "").unwrap();
        assert!(same_place(&file, &folder.path().join("./a.nii")));
        assert!(!same_place(&file, &folder.path().join("b.nii")));
    }

    /// An output whose image cannot be moved into place, and its staged files.
    fn blocked_output(folder: &Path, overwrite: bool) -> (Output, PathBuf, PathBuf, PathBuf) {
        let path = |name: &str| folder.join(name);
        fs::write(path("staged.nii"), "new").unwrap();
        fs::write(path("staged.json"), "new").unwrap();
        // A folder cannot be replaced by a file.
        fs::create_dir(path("out.nii")).unwrap();
        let output = Output {
            image: path("out.nii"),
            sidecar: path("out.json"),
            folder: folder.to_owned(),
            overwrite,
        };
        (output, path("staged.nii"), path("staged.json"), path("previous"))
    }

    #[test]
    fn a_sidecar_does_not_stay_without_its_image() {
        let folder = tempfile::tempdir().unwrap();
        let (output, image, sidecar, previous) = blocked_output(folder.path(), false);
        assert!(output.publish(&image, &sidecar, &previous).is_err());
        assert!(!output.sidecar.exists());
    }

    #[test]
    fn a_replaced_sidecar_comes_back_if_the_image_fails() {
        let folder = tempfile::tempdir().unwrap();
        let (output, image, sidecar, previous) = blocked_output(folder.path(), true);
        fs::write(&output.sidecar, "old").unwrap();
        assert!(output.publish(&image, &sidecar, &previous).is_err());
        assert_eq!(fs::read_to_string(&output.sidecar).unwrap(), "old");
    }
}
