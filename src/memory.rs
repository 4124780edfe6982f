//! Memory for what a file or a caller has sized: where it cannot be had, the call fails and the process goes on.
//!
//! Rust ends the process where a collection cannot grow. These functions ask first. Where there is no memory they unwind,
//! silently, as the engine and the kernels do, and every entry of the library makes [`crate::Error::OutOfMemory`] of it; so
//! functions that only compute need no result for it.

use std::panic;

use ndarray::{Array3, ArrayView3, ShapeBuilder, Zip};

use crate::{Error, Result};

/// What systems give memory in. Nothing else is aligned so, by which an allocator that counts can tell a question from a use.
#[repr(align(4096))]
struct Page(#[expect(dead_code, reason = "there for its size")] [u8; 4096]);

/// Checks that `more` bytes may be allocated beside those that are `held`: by the caller's limit, and by what the system has.
/// `what` is what needs them.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(crate) fn check(limit: Option<u64>, held: u64, more: u64, what: &str) -> Result<()> {
    let needed = held.saturating_add(more);
    if let Some(limit) = limit.filter(|limit| needed > *limit) {
        return Err(Error::OutOfMemory(format!("{what} needs up to {needed} bytes; the limit is {limit}")));
    }
    // All of it in one piece, given back at once: what the system does not have is told now, and not in the middle.
    let mut probe: Vec<Page> = Vec::new();
    let pages = more.div_ceil(size_of::<Page>() as u64);
    let has_room = usize::try_from(pages).is_ok_and(|pages| probe.try_reserve_exact(pages).is_ok());
    // Or else the compiler sees that nothing is done with it.
    std::hint::black_box(&mut probe);
    if has_room {
        return Ok(());
    }
    Err(Error::OutOfMemory(format!("{what} needs up to {needed} bytes; the system does not have them")))
}

/// An empty list with room for `count` values.
pub(crate) fn reserved<T>(count: usize) -> Vec<T> {
    let mut values = Vec::new();
    if values.try_reserve_exact(count).is_err() {
        exhausted::<T>(count);
    }
    values
}

/// Unwinds for lack of room for `count` values. Unlike a panic, this calls no hook, which would print.
fn exhausted<T>(count: usize) -> ! {
    let bytes = (count as u64).saturating_mul(size_of::<T>() as u64);
    panic::resume_unwind(Box::new(format!("{} {bytes} bytes", crate::guard::EXHAUSTED)))
}

/// `count` times `value`.
pub(crate) fn filled<T: Clone>(count: usize, value: T) -> Vec<T> {
    let mut values = reserved(count);
    values.resize(count, value);
    values
}

/// A copy.
pub(crate) fn copied<T: Copy>(of: &[T]) -> Vec<T> {
    let mut values = reserved(of.len());
    values.extend_from_slice(of);
    values
}

/// All that an iterator gives, which is walked twice: first to count, so that there is no more room than is needed.
pub(crate) fn gathered<T>(of: impl Iterator<Item = T> + Clone) -> Vec<T> {
    let mut values = reserved(of.clone().count());
    values.extend(of);
    values
}

/// Appends a value to a list that grows as lists do.
pub(crate) fn push<T>(values: &mut Vec<T>, value: T) {
    if values.len() == values.capacity() && values.try_reserve(1).is_err() {
        exhausted::<T>(2 * values.len());
    }
    values.push(value);
}

/// An array with i fastest in memory, as every volume and mask of this library has it.
#[expect(clippy::expect_used, reason = "there are as many values as the shape says")]
pub(crate) fn in_memory_order<T: Clone>(shape: (usize, usize, usize), value: T) -> Array3<T> {
    let values = filled(shape.0 * shape.1 * shape.2, value);
    Array3::from_shape_vec(shape.f(), values).expect("as many values as the shape says")
}

/// What `change` makes of each element, i fastest in memory.
pub(crate) fn mapped<T, U: Clone + Default>(of: ArrayView3<'_, T>, change: impl Fn(&T) -> U) -> Array3<U> {
    let mut made = in_memory_order(of.dim(), U::default());
    Zip::from(&mut made).and(of).for_each(|to, from| *to = change(from));
    made
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::catch_panics;

    #[test]
    fn what_cannot_be_had_is_an_error() {
        let outcome = catch_panics(|| Ok(filled(usize::MAX / 16, 1.0_f64).len()));
        assert!(
            matches!(&outcome, Err(Error::OutOfMemory(text)) if text.contains("failed to allocate")),
            "{outcome:?}"
        );
        let threads = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let outcome = catch_panics(|| {
            let _ = threads.install(|| rayon::join(|| 1, || reserved::<f64>(usize::MAX / 8)));
            Ok(())
        });
        assert!(matches!(outcome, Err(Error::OutOfMemory(_))), "from another thread: {outcome:?}");
    }

    #[test]
    fn there_is_no_more_room_than_is_needed() {
        let values = gathered((0..1000).filter(|value| value % 3 == 0));
        assert_eq!((values.len(), values.capacity()), (334, 334));
        assert_eq!(copied(&[1, 2, 3]), [1, 2, 3]);
        let array = mapped(in_memory_order((2, 3, 4), 2.0).view(), |value| *value > 1.0);
        assert_eq!(array.strides(), [1, 2, 6]);
        assert!(array.iter().all(|value| *value));
    }
}
