//! From the caller's scan to what a generator reads, and back: brain mask, standard slices, normalization.

pub mod brain;
pub mod extract;
mod extractor;
pub mod lattice;
pub mod morphology;
pub mod normalize;
pub mod resample;
pub mod standard;
