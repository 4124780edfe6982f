//! Hidden temporary files and folders: they vanish with the process that made them or, where that was killed, with the next
//! that makes one in the same folder.
//!
//! Each is locked by its process as long as it lives, with the system's advisory locks, which end with the process however that
//! ends. What can be locked was abandoned, and is removed. Where the system has no locks nothing is removed.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// How the names begin. Six letters or digits follow, and for a file [`ENDING`].
const PREFIX: &str = ".mrisynth-";
const RANDOM_LETTERS: usize = 6;
const ENDING: &str = ".tmp";
/// The file in a folder that is locked in its place.
const LOCK: &str = "lock";
/// How often another name is tried, should another process take a file for abandoned before it is locked.
const ATTEMPTS: usize = 100;

/// A file in `folder` that vanishes unless it is given a name, with the permissions of any new file. What other processes have
/// abandoned in the folder is removed before.
///
/// # Errors
/// Those of making a file.
pub(crate) fn file_in(folder: &Path) -> io::Result<NamedTempFile> {
    remove_abandoned(folder);
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).rand_bytes(RANDOM_LETTERS).suffix(ENDING);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    attempt(|| {
        let file = builder.tempfile_in(folder)?;
        Ok(is_held(file.as_file(), file.path()).then_some(file))
    })
}

/// A folder that vanishes with what is in it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Held as long as the folder is there.
    _lock: File,
}

impl Folder {
    /// Makes one in the folder `beside`. What other processes have abandoned there is removed before.
    ///
    /// # Errors
    /// Those of making a folder and a file.
    pub fn new_in(beside: &Path) -> io::Result<Self> {
        remove_abandoned(beside);
        let mut builder = tempfile::Builder::new();
        builder.prefix(PREFIX).rand_bytes(RANDOM_LETTERS);
        attempt(|| {
            let folder = builder.tempdir_in(beside)?;
            let path = folder.path().join(LOCK);
            let lock = match OpenOptions::new().read(true).write(true).create_new(true).open(&path) {
                // The folder was empty, and so taken for abandoned.
                Err(fault) if fault.kind() == ErrorKind::NotFound => return Ok(None),
                lock => lock?,
            };
            Ok(is_held(&lock, &path).then(|| Self { path: folder.keep(), _lock: lock }))
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The next process has another try.
        let _ = remove_folder(&self.path);
    }
}

/// Removes a [`Folder`] with what is in it, whoever holds it: the lock last, so that the next process goes on with what is left
/// should this one be killed.
///
/// # Errors
/// Those of removing.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == LOCK {
            continue;
        }
        // A link's target is left alone.
        let is_folder = entry.file_type()?.is_dir();
        if is_folder { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    match fs::remove_file(folder.join(LOCK)) {
        Err(fault) if fault.kind() != ErrorKind::NotFound => Err(fault),
        _ => fs::remove_dir(folder),
    }
}

/// Makes something whose name is free, again if another process takes it away before it is held.
fn attempt<T>(mut make: impl FnMut() -> io::Result<Option<T>>) -> io::Result<T> {
    for _ in 0..ATTEMPTS {
        if let Some(made) = make()? {
            return Ok(made);
        }
    }
    Err(io::Error::other("another process removes temporary files as soon as they are made"))
}

/// Locks a file, and says whether it is this process's: not if another took it for abandoned, be it that its name is gone
/// already. Where there are no locks, no process can take it for abandoned.
fn is_held(file: &File, path: &Path) -> bool {
    match file.try_lock() {
        Ok(()) => is_named(file, path),
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(_)) => true,
    }
}

/// Whether `path` still leads to the open file.
fn is_named(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (open.dev(), open.ino()) == (named.dev(), named.ino())
    }
    #[cfg(not(unix))]
    {
        open.is_file() && named.is_file()
    }
}

/// Removes what processes have left in `folder` that are no more. What cannot be removed stays: it is in nobody's way.
fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Some(kind) = kind_of(&entry.file_name()) else { continue };
        let (path, Ok(found)) = (entry.path(), entry.file_type()) else { continue };
        let _ = match kind {
            Kind::File if found.is_file() => when_abandoned(&path, || fs::remove_file(&path)),
            Kind::Folder if found.is_dir() => remove_abandoned_folder(&path),
            _ => Ok(()),
        };
    }
}

fn remove_abandoned_folder(folder: &Path) -> io::Result<()> {
    let lock = folder.join(LOCK);
    match fs::symlink_metadata(&lock) {
        Ok(found) if found.is_file() => when_abandoned(&lock, || remove_folder(folder)),
        Ok(_) => Ok(()),
        // Its process was killed before it had made the lock, or makes it now and then starts again. What is not empty stays.
        Err(_) => fs::remove_dir(folder),
    }
}

/// Calls `remove` if `path` leads to a file that no process holds.
fn when_abandoned(path: &Path, remove: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let is_free = file.try_lock().is_ok();
    // It may have been given its name since the folder was read; then that one stays.
    if is_free && is_named(&file, path) { remove() } else { Ok(()) }
}

enum Kind {
    File,
    Folder,
}

/// What a name says that it is, if it is a name of this module.
fn kind_of(name: &OsStr) -> Option<Kind> {
    let rest = name.to_str()?.strip_prefix(PREFIX)?;
    let (random, kind) = match rest.strip_suffix(ENDING) {
        Some(random) => (random, Kind::File),
        None => (rest, Kind::Folder),
    };
    let is_random = random.len() == RANDOM_LETTERS && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_random.then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// What a killed process leaves: everything but its locks.
    fn abandon_file(folder: &Path) -> PathBuf {
        let (file, path) = file_in(folder).unwrap().keep().unwrap();
        drop(file);
        path
    }

    fn abandon_folder(beside: &Path) -> PathBuf {
        let folder = Folder::new_in(beside).unwrap();
        let path = folder.path().to_owned();
        fs::create_dir(path.join("0")).unwrap();
        fs::write(path.join("0/scan.nii"), "half").unwrap();
        let kept = path.with_file_name("kept");
        fs::rename(&path, &kept).unwrap();
        drop(folder);
        fs::rename(&kept, &path).unwrap();
        path
    }

    #[test]
    fn what_was_abandoned_is_removed_by_the_next() {
        let place = tempfile::tempdir().unwrap();
        let (file, folder) = (abandon_file(place.path()), abandon_folder(place.path()));
        // The folder's maker removes the file, so both are there only now.
        fs::write(&file, "half").unwrap();
        assert!(file.exists() && folder.join("0/scan.nii").exists());
        let next = file_in(place.path()).unwrap();
        assert_eq!(names(place.path()).len(), 1);
        drop(next);
        abandon_file(place.path());
        let next = Folder::new_in(place.path()).unwrap();
        assert_eq!(names(place.path()).len(), 1);
        drop(next);
        assert!(names(place.path()).is_empty());
    }

    #[test]
    fn what_lives_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..3).map(|_| file_in(place.path()).unwrap()).collect();
        let folders: Vec<_> = (0..3).map(|_| Folder::new_in(place.path()).unwrap()).collect();
        fs::write(folders[0].path().join("scan.nii"), "half").unwrap();
        drop(file_in(place.path()).unwrap());
        assert_eq!(names(place.path()).len(), 6);
        assert!(files.iter().all(|file| file.path().exists()));
        assert!(folders[0].path().join("scan.nii").exists());
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("lock"), "").unwrap();
        for name in
            [".mrisynth-notes.tmp", ".mrisynth-abcde!.tmp", ".mrisynth-abcdef.nii", "mrisynth-abcdef.tmp"]
        {
            fs::write(place.path().join(name), "precious").unwrap();
        }
        for name in [".mrisynth-abcdef", ".mrisynth-dicom-abcdef", ".mrisynth-ghijkl.tmp"] {
            fs::create_dir(place.path().join(name)).unwrap();
            fs::write(place.path().join(name).join("a"), "precious").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(outside.path(), place.path().join(".mrisynth-linked")).unwrap();
        let before = names(place.path());
        drop(file_in(place.path()).unwrap());
        assert_eq!(names(place.path()), before);
        assert!(outside.path().join("lock").exists());
    }

    #[test]
    fn a_folder_that_was_never_locked_goes_if_it_is_empty() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join(".mrisynth-abcdef")).unwrap();
        drop(file_in(place.path()).unwrap());
        assert!(names(place.path()).is_empty());
    }

    #[test]
    fn many_at_once_do_not_take_each_other_s() {
        let place = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let file = file_in(place.path()).unwrap();
                        assert!(is_named(file.as_file(), file.path()));
                        let folder = Folder::new_in(place.path()).unwrap();
                        fs::write(folder.path().join("a"), "half").unwrap();
                        assert!(file.path().exists() && folder.path().join("a").exists());
                    }
                });
            }
        });
        assert!(names(place.path()).is_empty());
    }
}
