//! From the caller's scan to what a generator reads, and back: brain mask, standard slices, normalization.

pub mod brain;
pub mod normalize;
pub mod register;
pub mod resample;
pub mod standard;
