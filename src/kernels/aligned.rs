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
    /// Makes the buffer hold `length` floats at least, the new ones 0.
    pub(super) fn grow(&mut self, length: usize) {
        if self.length < length {
            self.lines.resize(length.div_ceil(LINE), Line([0.0; LINE]));
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
