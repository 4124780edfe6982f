//! The one error type: each variant says what kind of fault it is, each message what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// What a call of this library can fail with.
///
/// The kinds are those of the C interface (`MrisynthStatus`), which are also the command's exit codes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument is out of range, or arguments contradict each other.
    #[error("invalid argument: {0}")]
    InvalidArgument(String),
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Not a model that this library runs, or a damaged one.
    #[error("bad model: {0}")]
    BadModel(String),
    /// Geometry or voxels that cannot be a brain scan, or a file that is not what it claims to be.
    #[error("bad image: {0}")]
    BadImage(String),
    /// A voxel type or feature that this build does not have, or a brain too large for the model's window.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// Memory could not be had, or the caller's limit would be passed.
    #[error("out of memory: {0}")]
    OutOfMemory(String),
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The input does not look like what the model was made for.
    #[error("refused: {0}")]
    Refused(String),
    /// A defect of this library.
    #[error("internal error, please report it: {0}")]
    Internal(String),
    /// One of the above, about one file.
    #[error("{}: {fault}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: Box<Error>,
    },
}

/// A result with this library's error.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An input or output error on `path`.
    pub fn io(path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Io { path: path.as_ref().to_owned(), source }
    }

    /// The same error, saying which file it is about (unless it says so already).
    #[must_use]
    pub fn in_file(self, path: impl AsRef<Path>) -> Self {
        match self {
            Self::Io { .. } | Self::InFile { .. } | Self::Cancelled => self,
            fault => Self::InFile { path: path.as_ref().to_owned(), fault: Box::new(fault) },
        }
    }

    /// The error itself, without the file that it is about.
    pub fn kind(&self) -> &Self {
        match self {
            Self::InFile { fault, .. } => fault.kind(),
            other => other,
        }
    }
}
