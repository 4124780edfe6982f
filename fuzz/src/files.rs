//! Folders of inputs, and files for what reads paths: in memory where the system has a file system there.

use std::cell::OnceCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Names the folder in which targets put their files; without it they make one themselves, and remove it.
pub const SCRATCH_VARIABLE: &str = "MRISYNTH_FUZZ_SCRATCH";

/// A new folder, in memory if the system has a place for that.
///
/// # Errors
/// Those of making it.
pub fn new_folder() -> io::Result<TempDir> {
    let builder = |place: &Path| tempfile::Builder::new().prefix("mrisynth-fuzz-").tempdir_in(place);
    builder(Path::new("/dev/shm")).or_else(|_| builder(&std::env::temp_dir()))
}

enum Scratch {
    Given(PathBuf),
    Own(TempDir),
}

thread_local! {
    static SCRATCH: OnceCell<Scratch> = const { OnceCell::new() };
}

/// The path of a file of this name in this thread's folder.
pub(crate) fn path(name: &str) -> PathBuf {
    SCRATCH.with(|scratch| {
        let folder = scratch.get_or_init(|| match std::env::var_os(SCRATCH_VARIABLE) {
            Some(folder) => Scratch::Given(folder.into()),
            None => Scratch::Own(new_folder().expect("a folder for files can be made")),
        });
        match folder {
            Scratch::Given(folder) => folder.join(name),
            Scratch::Own(folder) => folder.path().join(name),
        }
    })
}

/// Makes a file of this thread's folder, in place of the one before.
pub(crate) fn put(name: &str, bytes: &[u8]) -> PathBuf {
    let path = path(name);
    fs::write(&path, bytes).expect("a file can be written");
    path
}

/// The files right in a folder with their names, in their order; none if there is no such folder.
///
/// # Errors
/// Those of reading them.
pub fn read_all(folder: &Path) -> io::Result<Vec<crate::Seed>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(fault) => return Err(fault),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((name, fs::read(&path)?));
        }
    }
    files.sort();
    Ok(files)
}
