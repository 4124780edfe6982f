//! Floats that begin where a line of the cache does, so that no vector lies across two lines.

use std::ops::{Deref, DerefMut};

/// Floats of a line of the cache.
const LINE: usize = 16;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// A buffer of floats.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    lines: Vec<Line>,
    length: usize,
}

impl Aligned {
    /// Makes the buffer hold `length` floats at least, all of them 0 if it held fewer.
    pub(super) fn grow(&mut self, length: usize) {
        if self.length < length {
            // What it held is not needed, and goes before there is room for more.
            *self = Self::default();
            let count = length.div_ceil(LINE);
            if self.lines.try_reserve_exact(count).is_err() {
                // As the engine tells it, but silently.
                let message = format!("failed to allocate {} bytes", count * size_of::<Line>());
                std::panic::resume_unwind(Box::new(message));
            }
            self.lines.resize(count, Line([0.0; LINE]));
            self.length = length;
        }
    }
}

impl FromIterator<f32> for Aligned {
    fn from_iter<I: IntoIterator<Item = f32>>(values: I) -> Self {
        let values: Vec<f32> = values.into_iter().collect();
        let mut buffer = Self::default();
        buffer.grow(values.len());
        buffer.copy_from_slice(&values);
        buffer
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: a line is sixteen floats without gaps, and `length` floats lie in the lines.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.length) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: a line is sixteen floats without gaps, and `length` floats lie in the lines.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.length) }
    }
}
