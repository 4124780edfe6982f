//! The error type of evaluations.

/// What keeps an evaluation from being made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An argument that no result can be made of; the text says what is wrong with it.
    #[error("{0}")]
    Invalid(String),
    /// What the library says, of a file for one.
    #[error(transparent)]
    Library(#[from] mrisynth::Error),
}

/// A result with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl From<Error> for mrisynth::Error {
    /// As the library, its C interface and the command have it.
    fn from(fault: Error) -> Self {
        match fault {
            Error::Invalid(what) => Self::InvalidArgument(what),
            Error::Library(fault) => fault,
        }
    }
}
