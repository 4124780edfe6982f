//! Built-in reference segmentations: three tissue classes, and white-matter lesions.
//!
//! They let an evaluation run with nothing else installed. Whoever has masks and label maps of a tool of the field should
//! evaluate those. Scans must be brain-extracted and free of bias, as [`mrisynth::prepare`] leaves them.

mod around;
pub mod filling;
pub mod lesions;
mod mixture;
mod model;
pub mod priors;
pub mod reference;
pub mod tissue;

#[cfg(test)]
mod phantom;
#[cfg(test)]
mod twin;
