//! Structs of the header that may grow at the end, told apart by the `struct_size` that they begin with.
//!
//! A caller compiled with an older header passes a smaller struct, whose missing members take their defaults; one
//! compiled with a newer header passes a larger one, whose unknown members are not read.

use std::ptr;

use super::boundary::null;
use crate::{Error, Result};

/// No header will ever have a struct of more bytes: such a `struct_size` is not one.
const ABSURD_SIZE: usize = 4096;

/// A struct that begins with a `u32` that holds its size in bytes.
///
/// # Safety
/// The type is `repr(C)`, its first member is the `u32` size, and every bit pattern is a value of it.
pub(super) unsafe trait Versioned: Copy {
    /// The struct's name in C.
    const NAME: &'static str;
    /// Bytes of it in the first version of the header.
    const FIRST_SIZE: usize;

    /// All defaults, with this `struct_size`.
    fn initial(struct_size: u32) -> Self;
}

/// Fills the caller's struct, which has `struct_size` bytes, with defaults. Members that only the caller's newer header
/// knows become zero.
///
/// # Safety
/// A non-NULL `target` is the start of `struct_size` bytes that may be written.
pub(super) unsafe fn init<T: Versioned>(target: *mut T, struct_size: usize) -> Result<()> {
    if target.is_null() {
        return Err(null(T::NAME));
    }
    let value = T::initial(check_size::<T>(struct_size)?);
    let bytes = target.cast::<u8>();
    // SAFETY: the caller's promise: `struct_size` bytes are there; no more of `value` is copied than it has.
    unsafe {
        ptr::write_bytes(bytes, 0, struct_size);
        ptr::copy_nonoverlapping((&raw const value).cast(), bytes, struct_size.min(size_of::<T>()));
    }
    Ok(())
}

/// Copies the caller's struct.
///
/// # Safety
/// A non-NULL `source` is the start of a readable struct that has the bytes it says it has.
pub(super) unsafe fn read<T: Versioned>(source: *const T) -> Result<T> {
    if source.is_null() {
        return Err(null(T::NAME));
    }
    // SAFETY: every version of the struct begins with its size.
    let struct_size = unsafe { source.cast::<u32>().read_unaligned() };
    let mut value = T::initial(check_size::<T>(struct_size as usize)?);
    let length = (struct_size as usize).min(size_of::<T>());
    // SAFETY: both sides have at least `length` bytes, and any bytes make a value of T.
    unsafe { ptr::copy_nonoverlapping(source.cast::<u8>(), (&raw mut value).cast(), length) };
    Ok(value)
}

fn check_size<T: Versioned>(struct_size: usize) -> Result<u32> {
    let sizes = T::FIRST_SIZE..=ABSURD_SIZE;
    let size = u32::try_from(struct_size).ok().filter(|_| sizes.contains(&struct_size));
    size.ok_or_else(|| {
        let (name, first) = (T::NAME, T::FIRST_SIZE);
        Error::InvalidArgument(format!(
            "a {name} of {struct_size} bytes (this library's has {}, the smallest {first}): set struct_size with the \
             init function",
            size_of::<T>()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Grown {
        struct_size: u32,
        old: u32,
        new: u32,
    }

    // SAFETY: repr(C), the size first, integers only.
    unsafe impl Versioned for Grown {
        const NAME: &'static str = "Grown";
        const FIRST_SIZE: usize = 8;

        fn initial(struct_size: u32) -> Self {
            Self { struct_size, old: 1, new: 2 }
        }
    }

    #[test]
    fn an_older_caller_gets_defaults_for_what_it_lacks() {
        let older = [8_u32, 7];
        // SAFETY: eight bytes are there.
        let value = unsafe { read(older.as_ptr().cast::<Grown>()) }.unwrap();
        assert_eq!(value, Grown { struct_size: 8, old: 7, new: 2 });
    }

    #[test]
    fn an_older_callers_struct_is_not_overrun() {
        let mut older = [0_u32, 0, 99];
        // SAFETY: eight bytes are there.
        unsafe { init(older.as_mut_ptr().cast::<Grown>(), 8) }.unwrap();
        assert_eq!(older, [8, 1, 99]);
    }

    #[test]
    fn a_newer_callers_unknown_members_become_zero() {
        let mut newer = [9_u32; 5];
        // SAFETY: sixteen bytes are there.
        unsafe { init(newer.as_mut_ptr().cast::<Grown>(), 16) }.unwrap();
        assert_eq!(newer, [16, 1, 2, 0, 9]);
    }

    #[test]
    fn absurd_sizes_and_null_are_refused_and_nothing_is_written() {
        for size in [0, 1, 7, ABSURD_SIZE + 1, usize::MAX] {
            let mut target = [5_u32; 3];
            // SAFETY: a refused size is not used.
            let outcome = unsafe { init(target.as_mut_ptr().cast::<Grown>(), size) };
            assert!(matches!(outcome, Err(Error::InvalidArgument(_))), "{size}");
            assert_eq!(target, [5; 3]);
        }
        // SAFETY: NULL is allowed, and refused.
        unsafe {
            assert!(init(ptr::null_mut::<Grown>(), 12).is_err());
            assert!(read(ptr::null::<Grown>()).is_err());
        }
    }
}
