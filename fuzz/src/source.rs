//! Values out of an input's bytes, for targets whose input is no file: the same bytes always give the same values, and after
//! the last byte all are 0.

/// The bytes that are left.
#[derive(Clone, Debug)]
pub(crate) struct Source<'a>(&'a [u8]);

macro_rules! numbers {
    ($($name:ident: $type:ty),*) => {$(
        #[doc = "The next number, little-endian."]
        pub(crate) fn $name(&mut self) -> $type {
            <$type>::from_le_bytes(self.array())
        }
    )*};
}

impl<'a> Source<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    numbers!(u8: u8, u16: u16, u32: u32, u64: u64, i64: i64, f32: f32, f64: f64);

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As many bytes as there are, at most `count`.
    pub(crate) fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.bytes(usize::MAX)
    }

    /// A number below `bound`, which is at most 256.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::from(self.u8()) % bound
    }

    /// One of `choices`.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let bytes = self.bytes(N);
        array[..bytes.len()].copy_from_slice(bytes);
        array
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_in_order_and_end_in_zeros() {
        let mut source = Source::new(&[1, 2, 1, 7, 9]);
        assert_eq!((source.u8(), source.u16(), source.below(5)), (1, 258, 2));
        assert_eq!((source.u32(), source.f64(), source.is_empty()), (9, 0.0, true));
    }
}
