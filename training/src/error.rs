//! The one error type of the training crate; each variant names the place and the fault.

use std::path::{Path, PathBuf};

/// Everything that can go wrong while preparing data, training or exporting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused to read or write a file.
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// A store of subjects is damaged, or is no store.
    #[error("store {}: {fault}", path.display())]
    Store { path: PathBuf, fault: String },
    /// A recipe cannot be read or asks for the impossible.
    #[error("recipe {}: {fault}", path.display())]
    Recipe { path: PathBuf, fault: String },
    /// A checkpoint is damaged, missing, or belongs to another recipe.
    #[error("checkpoint {}: {fault}", path.display())]
    Checkpoint { path: PathBuf, fault: String },
    /// The subjects at hand cannot serve for this purpose.
    #[error("data: {0}")]
    Data(String),
    /// The files of a study can be read, but it cannot be used.
    #[error("study {study}: {fault}")]
    Study { study: String, fault: String },
    /// The configuration of a network is impossible.
    #[error("network: {0}")]
    Network(String),
    /// The loss is no longer a finite number.
    #[error(
        "the loss became {loss} at step {step}; the last good checkpoint is kept, \
         lower learning_rate or gradient_clip and start again from it"
    )]
    Diverged { step: u64, loss: f32 },
    /// The device gave up, most often for want of memory.
    #[error(
        "step {step} failed: {fault}; the last good checkpoint is kept. If memory ran out, lower batch_size, window, \
         patch_size or the network's widths"
    )]
    Device { step: u64, fault: String },
    /// The ONNX file cannot be made or is wrong.
    #[error("export {}: {fault}", path.display())]
    Export { path: PathBuf, fault: String },
    /// The library refused a scan or a model.
    #[error(transparent)]
    Library(#[from] mrisynth::Error),
    /// A request on the command line makes no sense.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// An operating-system error about the file at `path`.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io { path: path.as_ref().to_owned(), source }
    }

    /// A fault in the store at `path`.
    pub fn store(path: impl AsRef<Path>, fault: impl Into<String>) -> Self {
        Self::Store { path: path.as_ref().to_owned(), fault: fault.into() }
    }

    /// A fault in the recipe at `path`.
    pub fn recipe(path: impl AsRef<Path>, fault: impl Into<String>) -> Self {
        Self::Recipe { path: path.as_ref().to_owned(), fault: fault.into() }
    }

    /// A fault in the checkpoint at `path`.
    pub fn checkpoint(path: impl AsRef<Path>, fault: impl Into<String>) -> Self {
        Self::Checkpoint { path: path.as_ref().to_owned(), fault: fault.into() }
    }

    /// A fault in a study.
    pub fn study(study: &str, fault: impl Into<String>) -> Self {
        Self::Study { study: study.into(), fault: fault.into() }
    }

    /// True if what is wrong is wrong with one study's scans, and others may do without it.
    pub fn is_about_one_study(&self) -> bool {
        use mrisynth::Error::{BadImage, Refused, Unsupported};
        match self {
            Self::Study { .. } => true,
            Self::Library(fault) => matches!(fault.kind(), BadImage(_) | Refused(_) | Unsupported(_)),
            _ => false,
        }
    }

    /// A fault in the export to `path`.
    pub fn export(path: impl AsRef<Path>, fault: impl Into<String>) -> Self {
        Self::Export { path: path.as_ref().to_owned(), fault: fault.into() }
    }
}
