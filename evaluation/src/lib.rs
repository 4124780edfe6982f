//! Measures synthetic brain MRI against real: fidelity, sharpness, lesions, volumes, texture and statistics, with reports.
//!
//! Measures are functions of arrays; files and commands are the business of who calls them.

// ndarray's macro for slices allows it for itself, which `forbid` would not let it.
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

pub mod error;
mod extent;
pub mod fidelity;
pub mod folder;
#[cfg(test)]
mod golden;
pub mod lesions;
pub mod measured;
pub mod pair;
pub mod report;
pub mod segmentation;
pub mod statistics;
pub mod study;
pub mod texture;
pub mod threads;
pub mod volumes;

pub use error::{Error, Result};
pub use measured::Measured;
