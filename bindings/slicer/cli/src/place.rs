//! Where results go, checked before the work.

use std::io;
use std::path::{Path, PathBuf};

use mrisynth::{Error, Result, whole_file};

/// Checks, before any work, that a file can be made at `path`.
///
/// # Errors
/// [`Error::InvalidArgument`] for a folder, a device or a pipe, [`Error::Io`] where no file can be made.
pub fn check(path: &Path) -> Result<()> {
    whole_file::check_place(path)?;
    // The file has no name.
    tempfile::tempfile_in(folder_of(path)).map(|_| ()).map_err(|fault| {
        let fault = io::Error::new(fault.kind(), format!("its folder: {fault}"));
        Error::io(path, fault)
    })
}

fn folder_of(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_without_a_folder_is_told_before_the_work() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check(&folder.path().join("a")).is_ok());
        assert!(matches!(check(&folder.path().join("none/a")), Err(Error::Io { .. })));
        assert!(matches!(check(folder.path()), Err(Error::InFile { .. })));
    }
}
