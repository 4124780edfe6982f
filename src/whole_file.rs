//! Files that appear whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::{Error, Result, temporary};

/// Makes `path` the file that `fill` writes, buffered and brought to the disk, or leaves all as it was. A file that is there
/// is replaced only if `overwrite`, and a device or a pipe never.
///
/// The file is written beside its place under a hidden name. What a process that was killed meanwhile has left there under such
/// a name is removed.
///
/// # Errors
/// [`Error::Io`], naming `path`; [`Error::InvalidArgument`] if what is there is no file.
pub fn write(
    path: &Path,
    overwrite: bool,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    write_through(path, overwrite, fill, |file| Box::new(file))
}

/// Where bytes go that are to be on the disk in the end.
pub(crate) trait Disk: Write {
    /// Brings to the disk what was written.
    fn sync(&self) -> io::Result<()>;
}

impl Disk for &File {
    fn sync(&self) -> io::Result<()> {
        self.sync_all()
    }
}

/// [`write`] through what `disk` makes of the file.
pub(crate) fn write_through(
    path: &Path,
    overwrite: bool,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    disk: impl FnOnce(&File) -> Box<dyn Disk + '_>,
) -> Result<()> {
    check_place(path)?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = temporary::file_in(folder).map_err(|fault| Error::io(path, fault))?;
    put(disk(file.as_file()).as_mut(), fill).map_err(|fault| Error::io(path, fault))?;
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

/// Brings what `fill` writes to the disk.
fn put(disk: &mut dyn Disk, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut buffered = BufWriter::new(&mut *disk);
    fill(&mut buffered)?;
    buffered.flush()?;
    drop(buffered);
    disk.sync()
}

/// Checks that what is at `path`, if anything, is a file (or a link), which can be replaced: a device or a pipe would be lost.
///
/// # Errors
/// [`Error::InvalidArgument`], naming the path.
pub fn check_place(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(found) if !found.is_file() && !found.is_symlink() || path.is_dir() => {
            let what = if path.is_dir() { "a folder" } else { "no file" };
            Err(Error::InvalidArgument(format!("this is {what}, where a file is to go")).in_file(path))
        }
        _ => Ok(()),
    }
}

/// Brings new names in a folder to the disk, where the system can. The files are whole either way, so failure is no error.
pub fn sync_folder(folder: &Path) {
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

/// Disks that fail.
#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::faulty::Faulty;

    impl Disk for Faulty<&File> {
        fn sync(&self) -> io::Result<()> {
            self.inner().sync()
        }
    }

    /// A disk that takes everything and then cannot bring it down.
    pub(crate) struct Unsynced<'a>(pub(crate) &'a File, pub(crate) i32);

    impl Write for Unsynced<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Disk for Unsynced<'_> {
        fn sync(&self) -> io::Result<()> {
            Err(io::Error::from_raw_os_error(self.1))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::testing::Unsynced;
    use super::*;
    use crate::faulty::{Faulty, LASTING};

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
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// Checks that a write of `new` failed, naming `path`, and left everything as it was.
    #[track_caller]
    fn check_failed(outcome: Result<()>, path: &Path, errno: i32, old: Option<&[u8]>) {
        let Err(Error::Io { path: named, source }) = &outcome else { panic!("{outcome:?}") };
        assert_eq!((named.as_path(), source.raw_os_error()), (path, Some(errno)));
        assert_eq!(fs::read(path).ok().as_deref(), old);
        let count = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(count, usize::from(old.is_some()), "something is left");
    }

    #[test]
    fn a_disk_that_fails_at_any_byte_leaves_all_as_it_was() {
        let new: Vec<u8> = (0..200).collect();
        for (old, overwrite) in [(None, false), (None, true), (Some(&b"old"[..]), true)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a");
            if let Some(old) = old {
                fs::write(&path, old).unwrap();
            }
            let fill = |out: &mut dyn Write| out.write_all(&new);
            for at in 0..new.len() {
                for (_, errno) in LASTING {
                    let outcome = write_through(&path, overwrite, fill, |file| {
                        Box::new(Faulty::after(file, at, errno).moving_at_most(7))
                    });
                    check_failed(outcome, &path, errno, old);
                }
            }
            for (_, errno) in LASTING {
                let outcome = write_through(&path, overwrite, fill, |file| Box::new(Unsynced(file, errno)));
                check_failed(outcome, &path, errno, old);
            }
            // Short and interrupted writes are gone on with.
            for most in [1, 2, 50] {
                let slow = write_through(&path, true, fill, |file| Box::new(Faulty::slow(file, most)));
                slow.unwrap();
                assert_eq!(fs::read(&path).unwrap(), new);
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        fs::create_dir(path("folder")).unwrap();
        for place in [path("socket"), path("folder"), "/dev/null".into()] {
            let fault = write(&place, true, |out| out.write_all(b"one")).unwrap_err();
            assert!(matches!(fault.kind(), Error::InvalidArgument(_)), "{fault}");
            assert!(fault.to_string().contains(place.to_str().unwrap()), "{fault}");
        }
        drop(socket);
        // A link is replaced, and what it leads to stays.
        fs::write(path("target"), "old").unwrap();
        std::os::unix::fs::symlink(path("target"), path("link")).unwrap();
        write(&path("link"), true, |out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read(path("link")).unwrap(), b"new");
        assert_eq!(fs::read(path("target")).unwrap(), b"old");
    }
}
