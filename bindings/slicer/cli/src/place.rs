//! Files that appear whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use mrisynth::{Error, Result};
use tempfile::NamedTempFile;

/// Makes `path` the file that `fill` writes, in place of one that may be there, or leaves all as it was.
///
/// # Errors
/// [`Error::Io`], naming the file.
pub fn write_whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    write_beside(path, fill).map_err(|fault| Error::io(path, fault))
}

fn write_beside(path: &Path, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut file = temporary_file(&folder_of(path))?;
    let mut buffered = BufWriter::new(&mut file);
    fill(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    file.as_file().sync_all()?;
    file.persist(path).map(|_: File| ()).map_err(|fault| fault.error)
}

/// A file in `folder` that vanishes unless it is given a name, with the permissions of any new file.
fn temporary_file(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".mrisynth-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder)
}

/// Checks, before any work, that a file can be made at `path`.
///
/// # Errors
/// [`Error::InvalidArgument`] for a folder, [`Error::Io`] where no file can be made.
pub fn check(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(Error::InvalidArgument("a folder, where a file is to go".into()).in_file(path));
    }
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
    fn a_file_is_replaced_whole_or_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_whole(&path, |out| out.write_all(b"one")).unwrap();
        write_whole(&path, |out| out.write_all(b"two")).unwrap();
        let fails = write_whole(&path, |out| {
            out.write_all(b"three")?;
            Err(io::Error::other("full"))
        });
        assert!(fails.unwrap_err().to_string().contains("full"));
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_place_without_a_folder_is_told_before_the_work() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check(&folder.path().join("a")).is_ok());
        assert!(matches!(check(&folder.path().join("none/a")), Err(Error::Io { .. })));
        assert!(matches!(check(folder.path()), Err(Error::InFile { .. })));
    }
}
