//! Fuzz targets: functions of bytes, each over one place in mrisynth that reads what nobody vouches for, and all that a
//! runner needs beside them. How to run them: `README.md` in this folder.

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod files;
pub mod mutate;
pub mod random;
mod seeds;
mod source;
pub mod targets;

pub use random::Random;
pub use targets::{PLANTED, TARGETS, Target};

/// An input that is committed with the project: the name of its file, and its bytes.
pub type Seed = (String, Vec<u8>);
