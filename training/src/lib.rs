//! Trains the generators that mrisynth runs: stores of subjects, networks, losses, the loop and the ONNX export.

// ndarray's macro for slices allows it for itself, which `forbid` would not let it.
#![deny(unsafe_code)]

pub mod adversarial;
pub mod assess;
pub mod average;
pub mod bench;
pub mod brain;
pub mod checkpoint;
pub mod command;
pub mod data;
pub mod direction;
pub mod error;
pub mod export;
pub mod gradient;
pub mod journal;
/// The library's small models whose result is known.
#[cfg(test)]
#[path = "../../tests/onnx/mod.rs"]
mod known_models;
pub mod loss;
pub mod method;
pub mod network;
pub mod onnx;
pub mod prefetch;
pub mod recipe;
pub mod report;
pub mod run;
pub mod sample;
pub mod schedule;
pub mod simulate;
pub mod train;
pub mod validate;
pub mod validation;
