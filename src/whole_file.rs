//! Files that appear whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// Makes `path` the file that `fill` writes, buffered and brought to the disk, or leaves all as it was. A file that is there
/// is replaced only if `overwrite`.
///
/// # Errors
/// [`Error::Io`], naming `path`.
pub fn write(
    path: &Path,
    overwrite: bool,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = temporary_file(folder).map_err(|fault| Error::io(path, fault))?;
    let mut buffered = BufWriter::new(&mut file);
    fill(&mut buffered).and_then(|()| buffered.flush()).map_err(|fault| Error::io(path, fault))?;
    drop(buffered);
    file.as_file().sync_all().map_err(|fault| Error::io(path, fault))?;
    let persisted = if overwrite { file.persist(path) } else { file.persist_noclobber(path) };
    match persisted {
        Ok(_) => {
            sync_folder(folder);
            Ok(())
        }
        Err(fault) if fault.error.kind() == io::ErrorKind::AlreadyExists => Err(already_exists(path)),
        Err(fault) => Err(Error::io(path, fault.error)),
    }
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

/// Brings the new name to the disk, where the system can. The file is whole either way, so failure is no error.
fn sync_folder(folder: &Path) {
    if cfg!(unix) {
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

pub(crate) fn already_exists(path: &Path) -> Error {
    Error::io(
        path,
        io::Error::new(io::ErrorKind::AlreadyExists, "the file exists, and overwriting was not asked for"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write(&path, false, |out| out.write_all(b"one")).unwrap();
        write(&path, true, |out| out.write_all(b"two")).unwrap();
        let fails = write(&path, true, |out| {
            out.write_all(b"three")?;
            Err(io::Error::other("full"))
        });
        assert!(fails.unwrap_err().to_string().contains("full"));
        assert!(write(&path, false, |out| out.write_all(b"four")).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
