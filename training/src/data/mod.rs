//! Pairs of scans to learn from: found, checked, prepared, kept in stores, and split into parts.

mod agreement;
pub mod dataset;
pub mod pairs;
pub mod prepare;
mod raw;
pub mod split;
pub mod store;
pub mod studies;
