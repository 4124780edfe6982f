//! Memory that a thread's convolutions use one after the other.

use std::cell::RefCell;

use super::aligned::Aligned;

/// Buffers that grow to what the largest layer needs, and stay until the thread ends.
#[derive(Default)]
pub(super) struct Scratch {
    /// Input rows with their border, of a direct convolution.
    pub(super) band: Aligned,
    /// Where the pixels of a direct convolution lie in the band.
    pub(super) pixels: Vec<usize>,
    /// Where its results go.
    pub(super) places: Vec<usize>,
    /// Its sums over some of the terms.
    pub(super) sums: Aligned,
    /// Input tiles of a Winograd convolution, transformed.
    pub(super) tiles: Aligned,
    /// Its products.
    pub(super) products: Aligned,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Gives this thread's buffers to `work`.
pub(super) fn with<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with_borrow_mut(work)
}

/// The first `length` values of `buffer`, whatever they are.
pub(super) fn room(buffer: &mut Aligned, length: usize) -> &mut [f32] {
    buffer.grow(length);
    &mut buffer[..length]
}
