//! Measures synthetic brain MRI against real: fidelity, sharpness, lesions, volumes, texture and statistics, with reports.
//!
//! Measures are functions of arrays; files and commands are the business of who calls them.

#![deny(unsafe_code)]
#![warn(missing_docs)]

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
