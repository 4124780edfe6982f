//! Where results go: checked before the work, and published together or not at all.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mrisynth::nifti::{self, Header, VoxelType, WriteOptions};
use mrisynth::provenance::Provenance;
use mrisynth::{Error, Result, Volume, whole_file};
use tempfile::TempPath;

use crate::interrupt::{StagingFolder, uninterrupted};

/// What a run reads and must not replace, and what is wrong with an output that would.
pub type Kept = (PathBuf, &'static str);

/// The files that a run makes. They appear together, in their order, or not at all.
#[derive(Debug)]
pub struct Outputs {
    places: Vec<PathBuf>,
    overwrite: bool,
}

impl Outputs {
    /// Checks, before any work, that files can be made at `places`, that they are different, and that nothing that must
    /// stay would be lost: neither what is `kept` nor, unless `overwrite`, what is already there. Folders that are missing
    /// are made with the files.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] or [`Error::Io`], naming the file.
    pub fn check(places: Vec<PathBuf>, kept: &[Kept], overwrite: bool) -> Result<Self> {
        // The last is what the user named.
        for (index, place) in places.iter().enumerate().rev() {
            let invalid = |message: &str| Err(Error::InvalidArgument(message.into()).in_file(place));
            // Fails also where no file can be made, such as in a folder that is read-only; the file has no name.
            tempfile::tempfile_in(existing_folder(place))
                .map_err(|fault| Error::io(place, with_context("its folder", &fault)))?;
            if let Some((_, fault)) = kept.iter().find(|(kept, _)| same_place(place, kept)) {
                return invalid(fault);
            }
            if places[..index].iter().any(|earlier| same_place(earlier, place)) {
                return invalid("two of the results would go there");
            }
            whole_file::check_place(place)?;
            if !overwrite && place.symlink_metadata().is_ok() {
                return Err(Error::io(place, already_exists()));
            }
        }
        Ok(Self { places, overwrite })
    }

    /// A place to write the files to until all of them are whole.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be made.
    pub fn stage(&self) -> Result<Staging<'_>> {
        let mut folders: Vec<(PathBuf, StagingFolder)> = Vec::new();
        let mut files = Vec::new();
        for (index, place) in self.places.iter().enumerate() {
            let beside = existing_folder(place);
            if !folders.iter().any(|(of, _)| *of == beside) {
                let folder = StagingFolder::new_in(&beside).map_err(|fault| Error::io(place, fault))?;
                folders.push((beside.clone(), folder));
            }
            let folder =
                folders.iter().find(|(of, _)| *of == beside).map_or(Path::new(""), |(_, f)| f.path());
            // Its own folder, for two results may have the same name in different folders.
            let folder = folder.join(index.to_string());
            fs::create_dir(&folder).map_err(|fault| Error::io(place, fault))?;
            files.push(folder.join(place.file_name().unwrap_or_default()));
        }
        Ok(Staging { outputs: self, files, _folders: folders })
    }
}

/// Hidden folders beside the places of the results, which vanish with what is in them.
#[derive(Debug)]
pub struct Staging<'a> {
    outputs: &'a Outputs,
    files: Vec<PathBuf>,
    _folders: Vec<(PathBuf, StagingFolder)>,
}

impl Staging<'_> {
    /// Writes the result that goes to `place` by a function of the path where it is until then, under its own name.
    ///
    /// # Errors
    /// Those of the function, about the file that the user asked for.
    pub fn write(&self, place: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let mut pairs = self.files.iter().zip(&self.outputs.places);
        let Some((staged, _)) = pairs.find(|(_, of)| *of == place) else {
            return Err(Error::Internal("a result without a place".into()).in_file(place));
        };
        write(staged).map_err(|fault| match fault {
            Error::Io { path, source } if path == *staged => Error::io(place, source),
            Error::InFile { path, fault } if path == *staged => fault.in_file(place),
            other => other,
        })
    }

    /// Writes the result that goes to `place` as these bytes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_bytes(&self, place: &Path, bytes: &[u8]) -> Result<()> {
        self.write(place, |path| write_synced(path, bytes).map_err(|fault| Error::io(path, fault)))
    }

    /// Moves the files to their places, in their order; if one cannot go there, none stays.
    ///
    /// # Errors
    /// [`Error::Io`], also for a file that has come to exist since the check and may not be replaced.
    pub fn publish(self) -> Result<()> {
        uninterrupted(|| self.move_all())
    }

    fn move_all(&self) -> Result<()> {
        let mut steps = Vec::new();
        let pairs = self.files.iter().zip(&self.outputs.places);
        for (staged, place) in pairs {
            let moved = move_into_place(staged, place, self.outputs.overwrite, &mut steps);
            if let Err(fault) = moved {
                // Already failing: what cannot be undone must not hide why.
                steps.iter().rev().for_each(Step::undo);
                return Err(fault);
            }
        }
        self.outputs.places.iter().for_each(|place| whole_file::sync_folder(&folder_of(place)));
        Ok(())
    }
}

/// What was done to publish files, so that it can be undone.
enum Step {
    Folder(PathBuf),
    File(PathBuf),
    Replaced { place: PathBuf, previous: PathBuf },
}

impl Step {
    fn undo(&self) {
        let _ = match self {
            Self::Folder(folder) => fs::remove_dir(folder),
            Self::File(file) => fs::remove_file(file),
            Self::Replaced { place, previous } => fs::rename(previous, place),
        };
    }
}

fn move_into_place(staged: &Path, place: &Path, overwrite: bool, steps: &mut Vec<Step>) -> Result<()> {
    make_folders(&folder_of(place), steps).map_err(|fault| Error::io(place, fault))?;
    let replaces = overwrite && place.symlink_metadata().is_ok();
    let previous = staged.with_file_name("previous");
    if replaces {
        // A second name costs nothing; a copy does where there are no second names.
        fs::hard_link(place, &previous)
            .or_else(|_| fs::copy(place, &previous).map(|_| ()))
            .map_err(|fault| Error::io(place, fault))?;
    }
    let file = TempPath::try_from_path(staged).map_err(|fault| Error::io(place, fault))?;
    let moved = if overwrite { file.persist(place) } else { file.persist_noclobber(place) };
    moved.map_err(|fault| match fault.error.kind() {
        io::ErrorKind::AlreadyExists => Error::io(place, already_exists()),
        _ => Error::io(place, fault.error),
    })?;
    let place = place.to_owned();
    steps.push(if replaces { Step::Replaced { place, previous } } else { Step::File(place) });
    Ok(())
}

/// Makes the folder and those above it that are missing.
fn make_folders(folder: &Path, steps: &mut Vec<Step>) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    make_folders(&folder_of(folder), steps)?;
    fs::create_dir(folder)?;
    steps.push(Step::Folder(folder.to_owned()));
    Ok(())
}

/// Writes an image with its origin, in the header and in an extension, to where it is until all results are whole.
///
/// # Errors
/// Those of [`nifti::write`].
pub fn write_image(
    staging: &Staging<'_>,
    place: &Path,
    volume: &Volume,
    header: &Header,
    provenance: &Provenance,
    voxel_type: VoxelType,
) -> Result<()> {
    let extension = provenance.to_json()?;
    let options = WriteOptions {
        voxel_type,
        description: provenance.description(),
        extension: Some(&extension),
        overwrite: false,
    };
    staging.write(place, |path| nifti::write(path, volume, header, &options))
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// `path` without the ending `.gz`.
fn without_gz(path: &Path) -> PathBuf {
    if has_ending(path, "gz") { path.with_extension("") } else { path.to_owned() }
}

/// True for `.nii` and `.nii.gz`.
pub fn is_nifti_name(path: &Path) -> bool {
    has_ending(&without_gz(path), "nii")
}

/// `scan.nii`, `scan.nii.gz` or `scan.hdr` to `scan.json`.
pub fn sidecar_path(image: &Path) -> PathBuf {
    without_gz(image).with_extension("json")
}

/// The folder that a file lies in.
fn folder_of(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| *parent != OsStr::new(""));
    parent.unwrap_or(Path::new(".")).to_owned()
}

/// Checks that the folder that a file or folder is to go into exists.
///
/// # Errors
/// [`Error::Io`], naming the file.
pub fn require_folder_of(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    fs::metadata(&folder).map(|_| ()).map_err(|fault| Error::io(path, with_context("its folder", &fault)))
}

/// The nearest folder above `path` that exists.
fn existing_folder(path: &Path) -> PathBuf {
    let mut folder = folder_of(path);
    while folder.symlink_metadata().is_err() && folder.parent().is_some() {
        folder = folder_of(&folder);
    }
    folder
}

/// True if both paths lead to one place, whether or not there is a file.
fn same_place(one: &Path, other: &Path) -> bool {
    match (fs::canonicalize(one), fs::canonicalize(other)) {
        (Ok(one), Ok(other)) => return one == other,
        (Err(_), Err(_)) => {}
        _ => return false,
    }
    let folders = (fs::canonicalize(folder_of(one)), fs::canonicalize(folder_of(other)));
    let same_folder = match folders {
        (Ok(first), Ok(second)) => first == second,
        (Err(_), Err(_)) => folder_of(one) == folder_of(other),
        _ => false,
    };
    same_folder && one.file_name() == other.file_name()
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

    /// Publishes results with these names, of which the last cannot be moved into place.
    fn publish_blocked(folder: &Path, names: &[&str], overwrite: bool) {
        let places: Vec<_> = names.iter().map(|name| folder.join(name)).collect();
        let outputs = Outputs::check(places.clone(), &[], overwrite).unwrap();
        let staging = outputs.stage().unwrap();
        places.iter().for_each(|place| staging.write_bytes(place, b"new").unwrap());
        // A folder cannot be replaced by a file.
        fs::create_dir(places.last().unwrap()).unwrap();
        assert!(staging.publish().is_err());
        fs::remove_dir(places.last().unwrap()).unwrap();
    }

    fn names_in(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn nothing_stays_of_results_that_are_not_complete() {
        let folder = tempfile::tempdir().unwrap();
        publish_blocked(folder.path(), &["out.json", "new/folder/a.nii", "new/b.nii", "out.nii"], false);
        assert!(names_in(folder.path()).is_empty());
    }

    #[test]
    fn what_was_replaced_comes_back_if_a_later_result_fails() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join("out.json");
        fs::write(&old, "old").unwrap();
        publish_blocked(folder.path(), &["out.json", "out.nii"], true);
        assert_eq!(fs::read_to_string(&old).unwrap(), "old");
        assert_eq!(names_in(folder.path()), [old]);
    }

    #[test]
    fn results_go_to_different_places() {
        let folder = tempfile::tempdir().unwrap();
        let places = |names: [&str; 2]| names.map(|name| folder.path().join(name)).to_vec();
        for names in [["a.png", "a.png"], ["a.png", "./a.png"], ["none/a.png", "none/a.png"]] {
            assert!(matches!(Outputs::check(places(names), &[], true), Err(Error::InFile { .. })));
        }
        assert!(Outputs::check(places(["none/a.png", "a.png"]), &[], true).is_ok());
    }
}
