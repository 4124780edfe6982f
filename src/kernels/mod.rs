//! The operators that generators spend their time in, for the processor at hand.
//!
//! Images are kept in blocks of [`BLOCK`] channels, so that one load brings neighbouring channels of one pixel: image, block,
//! row, column, channel in the block ([`Shape`]). Channels that fill up the last block are 0 in every image.
//!
//! A kernel is written once, for any [`lanes::Lanes`], and compiled for each [`Tier`] of instructions; the tier is chosen when the
//! program runs. The naive loops of `reference` say what the kernels must give.
//!
//! An image's values do not depend on the images that are computed with it, nor on the number of threads.

// Intrinsics, and pointers in inner loops: each block says why it is sound.
#![allow(unsafe_code)]
#![allow(clippy::needless_range_loop, reason = "constant counts, which the compiler turns into registers")]

mod activation;
mod aligned;
mod bands;
mod convolution;
mod direct;
mod images;
mod instance_norm;
mod lanes;
mod narrow;
mod product;
#[cfg(test)]
mod reference;
mod scratch;
#[cfg(test)]
mod tests;
mod tier;
mod winograd;

pub use activation::Activation;
pub use convolution::{Border, Convolution, Resampling, Spec};
pub(crate) use images::split_shape;
pub use images::{BLOCK, Shape, from_blocks, to_blocks};
pub use instance_norm::InstanceNorm;
pub use tier::{TOLERANCE_BETWEEN_TIERS, Tier, VARIABLE};

pub use activation::add;
