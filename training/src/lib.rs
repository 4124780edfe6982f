//! Trains the generators that mrisynth runs: stores of subjects, networks, losses, the loop and the ONNX export.

pub mod average;
pub mod brain;
pub mod checkpoint;
pub mod command;
pub mod discriminator;
pub mod error;
pub mod export;
pub mod gradient;
pub mod journal;
pub mod loss;
pub mod network;
pub mod onnx;
pub mod pairs;
pub mod prepare;
pub mod recipe;
pub mod sample;
pub mod simulate;
pub mod store;
pub mod train;
pub mod validate;
