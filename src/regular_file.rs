//! Regular files alone, read up to a limit: a pipe can block for ever, and a device has no end.

use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::{Error, Result};

/// Opens the regular file at `path`; `refuse` makes the error where it is something else.
///
/// # Errors
/// [`Error::Io`] if it cannot be opened, that of `refuse` for a folder, a device, a pipe or a socket; both name the file.
pub fn open(path: &Path, refuse: fn(String) -> Error) -> Result<File> {
    let check = |found: std::io::Result<Metadata>| {
        let found = found.map_err(|fault| Error::io(path, fault))?;
        if found.is_file() {
            return Ok(());
        }
        let what = if found.is_dir() { "a directory" } else { "not a regular file" };
        Err(refuse(format!("this is {what}")).in_file(path))
    };
    // A pipe must not even be opened.
    check(fs::metadata(path))?;
    let file = File::open(path).map_err(|fault| Error::io(path, fault))?;
    // Something else may have taken its name.
    check(file.metadata())?;
    Ok(file)
}

/// All bytes of the regular file at `path`, of which there may be `limit`.
///
/// # Errors
/// Those of [`open`], [`Error::Io`] if it cannot be read, [`Error::OutOfMemory`] if there is no memory for it, and that of
/// `refuse` if it is longer; all name the file.
pub fn read(path: &Path, limit: u64, refuse: fn(String) -> Error) -> Result<Vec<u8>> {
    let file = open(path, refuse)?;
    let length = file.metadata().map_err(|fault| Error::io(path, fault))?.len();
    // What is too long is not read at all.
    let bytes = if length > limit { Vec::new() } else { read_from(file, path, limit)? };
    let length = length.max(bytes.len() as u64);
    if length > limit {
        return Err(refuse(format!("{length} bytes, over the limit of {limit}")).in_file(path));
    }
    Ok(bytes)
}

/// The text of the regular file at `path`, which may have `limit` bytes.
///
/// # Errors
/// Those of [`read`]; that of `refuse` for what is not UTF-8.
pub fn read_text(path: &Path, limit: u64, refuse: fn(String) -> Error) -> Result<String> {
    let bytes = read(path, limit, refuse)?;
    String::from_utf8(bytes).map_err(|_| refuse("the text is not UTF-8".into()).in_file(path))
}

/// What `reader` gives, but no more than one byte over the limit.
fn read_from(reader: impl Read, path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    match reader.take(limit.saturating_add(1)).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(fault) if fault.kind() == ErrorKind::OutOfMemory => {
            Err(Error::OutOfMemory(format!("a file read into memory: {fault}")).in_file(path))
        }
        Err(fault) => Err(Error::io(path, fault)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faulty::{Faulty, LASTING};

    #[test]
    fn a_file_is_read_whole_or_the_fault_names_it() {
        let (bytes, path) = ([7; 100], Path::new("some.onnx"));
        for most in [1, 3, 100] {
            assert_eq!(read_from(Faulty::slow(&bytes[..], most), path, 100).unwrap(), bytes);
        }
        for (at, (name, errno)) in (0..100).flat_map(|at| LASTING.map(|fault| (at, fault))) {
            let fault = read_from(Faulty::after(&bytes[..], at, errno), path, 100).unwrap_err();
            let Error::Io { path: named, source } = &fault else { panic!("{name} at {at}: {fault}") };
            assert_eq!((named.as_path(), source.raw_os_error()), (path, Some(errno)));
        }
    }

    #[test]
    fn no_more_is_read_than_may_be() {
        let endless = std::io::repeat(7);
        assert_eq!(read_from(endless, Path::new("endless"), 1000).unwrap().len(), 1001);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_text(&path, 5, Error::BadModel).unwrap(), "12345");
        let fault = read_text(&path, 4, Error::BadModel).unwrap_err();
        assert!(
            matches!(fault.kind(), Error::BadModel(_)) && fault.to_string().contains("5 bytes"),
            "{fault}"
        );
        fs::write(&path, [0xff]).unwrap();
        assert!(matches!(read_text(&path, 5, Error::BadImage).unwrap_err().kind(), Error::BadImage(_)));
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let fault = open(folder.path(), Error::BadImage).unwrap_err();
        assert!(matches!(fault.kind(), Error::BadImage(text) if text.contains("a directory")), "{fault}");
        assert!(matches!(open(&folder.path().join("absent"), Error::BadImage), Err(Error::Io { .. })));
        #[cfg(unix)]
        {
            let pipe = folder.path().join("pipe");
            assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
            for path in [&pipe, Path::new("/dev/zero"), Path::new("/dev/null")] {
                let fault = open(path, Error::BadModel).unwrap_err();
                assert!(
                    matches!(fault.kind(), Error::BadModel(text) if text.contains("regular file")),
                    "{fault}"
                );
            }
        }
    }
}
