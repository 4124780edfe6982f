//! Synthesizes the missing T1w or T2w brain MRI contrast from the one at hand.
//!
//! This is the front door: what a Rust user may rely on is re-exported here.
//!
//! Research software, not a medical device: a synthetic image is an estimate, and must be marked as one wherever it
//! goes.

#![deny(unsafe_code)]
#![warn(missing_docs)]
// Nothing that a caller or a file brings may panic; where one of these is shown to be unreachable, it says why.
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

#[cfg(feature = "capi")]
mod capi;
pub mod control;
pub mod digest;
pub mod error;
#[cfg(test)]
#[path = "../tests/faulty/mod.rs"]
mod faulty;
mod guard;
pub mod kernels;
/// Small models whose result is known.
#[cfg(test)]
#[path = "../tests/onnx/mod.rs"]
mod known_models;
pub mod limits;
mod memory;
pub mod metrics;
pub mod model;
mod needs;
pub mod nifti;
pub mod plausible;
pub mod prepare;
pub mod provenance;
pub mod regular_file;
pub mod residual;
pub mod synthesize;
pub mod temporary;
pub mod volume;
pub mod watch;
pub mod whole_file;

pub use control::Control;
pub use error::{Error, Result};
pub use limits::Limits;
pub use model::{Contrast, Model};
pub use prepare::{Prepared, prepare};
pub use synthesize::{synthesize, synthesize_prepared};
pub use volume::{Affine, Grid, Transform, Volume};
pub use watch::Watch;
