//! The way in and out of every exported function: panics, errors and pointers stop here.

use std::ffi::{CStr, c_char, c_void};

use super::status::{MrisynthStatus, MrisynthStatusCode, set_last_error};
use crate::guard::catch_panics;
use crate::{Error, Result};

/// Runs the body of a function that returns a status: errors and panics become a code and this thread's last message.
pub(super) fn enter(body: impl FnOnce() -> Result<()>) -> MrisynthStatus {
    match catch_panics(body) {
        Ok(()) => {
            set_last_error("");
            MrisynthStatusCode::Ok as i32
        }
        Err(error) => {
            set_last_error(&error.to_string());
            MrisynthStatusCode::of(&error) as i32
        }
    }
}

/// Runs the body of a function that cannot say what went wrong; `None` also stands for a panic.
///
/// This thread's last message stays as it is.
pub(super) fn enter_quietly<T>(body: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_panics(|| Ok(body())).ok().flatten()
}

pub(super) fn null(name: &str) -> Error {
    Error::InvalidArgument(format!("{name} is NULL"))
}

/// What a pointer that may not be NULL points to.
///
/// # Safety
/// A non-NULL `pointer` is a live, aligned `T` that nobody changes during `'a`.
pub(super) unsafe fn required<'a, T>(pointer: *const T, name: &str) -> Result<&'a T> {
    // SAFETY: the caller's promise is the one that `as_ref` asks for.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(name))
}

/// A text that must be there and be UTF-8.
///
/// # Safety
/// A non-NULL `pointer` is a NUL-terminated string that nobody changes during `'a`.
pub(super) unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str> {
    // SAFETY: the caller's promise.
    let text = unsafe { optional_text(pointer) }.ok_or_else(|| null(name))?;
    text.to_str().map_err(|_| Error::InvalidArgument(format!("{name} is not UTF-8")))
}

/// A text that may be NULL.
///
/// # Safety
/// A non-NULL `pointer` is a NUL-terminated string that nobody changes during `'a`.
pub(super) unsafe fn optional_text<'a>(pointer: *const c_char) -> Option<&'a CStr> {
    // SAFETY: not NULL, and otherwise the caller's promise.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) })
}

/// `size` bytes in memory that must be there.
///
/// # Safety
/// A non-NULL `pointer` is the start of `size` bytes that nobody changes during `'a`.
pub(super) unsafe fn bytes<'a>(pointer: *const c_void, size: usize, name: &str) -> Result<&'a [u8]> {
    if pointer.is_null() {
        return Err(null(name));
    }
    if isize::try_from(size).is_err() {
        return Err(Error::InvalidArgument(format!("{name} cannot have {size} bytes")));
    }
    // SAFETY: not NULL, no longer than an allocation can be, and otherwise the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(pointer.cast(), size) })
}

/// Makes a value and hands it to the caller as a pointer; NULL in its place on failure.
///
/// # Safety
/// A non-NULL `target` may be written as a `*mut T`.
pub(super) unsafe fn hand_out<T>(
    target: *mut *mut T,
    name: &str,
    make: impl FnOnce() -> Result<T>,
) -> Result<()> {
    if target.is_null() {
        return Err(null(name));
    }
    // SAFETY: not NULL, and otherwise the caller's promise. NULL comes first: a panic in `make` leaves it there.
    unsafe { target.write_unaligned(std::ptr::null_mut()) };
    let value = Box::into_raw(Box::new(make()?));
    // SAFETY: as above.
    unsafe { target.write_unaligned(value) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::status::mrisynth_last_error;

    fn last_error() -> String {
        // SAFETY: the pointer is valid until this thread's next call, which comes after the copy.
        unsafe { CStr::from_ptr(mrisynth_last_error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn failures_leave_a_message_and_success_clears_it() {
        let status = enter(|| Err(Error::BadImage("a mirror\0image".into())));
        assert_eq!(status, MrisynthStatusCode::BadImage as i32);
        assert_eq!(last_error(), "bad image: a mirrorimage");
        assert_eq!(enter(|| Ok(())), 0);
        assert_eq!(last_error(), "");
    }

    #[test]
    fn a_panic_is_an_internal_error() {
        assert_eq!(enter(|| panic!("at the disco")), MrisynthStatusCode::Internal as i32);
        assert!(last_error().contains("at the disco"));
        assert_eq!(enter_quietly(|| -> Option<u8> { panic!("again") }), None);
        assert!(last_error().contains("at the disco"));
    }

    #[test]
    fn messages_belong_to_their_thread() {
        enter(|| Err(Error::Cancelled));
        std::thread::spawn(|| assert_eq!(last_error(), "")).join().unwrap();
        assert_eq!(last_error(), "cancelled");
    }
}
