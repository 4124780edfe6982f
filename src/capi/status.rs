//! Status codes, what they are called, and the last message of each thread.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};

use safer_ffi::ffi_export;

use crate::Error;

/// What a call came to: one of the MRISYNTH_STATUS_* values. Values may be added.
pub type MrisynthStatus = i32;

/// The values of MrisynthStatus.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MrisynthStatusCode {
    /// It worked.
    Ok = 0,
    /// NULL, out of range, or arguments that contradict each other.
    InvalidArgument = 1,
    /// A file could not be read or written.
    Io = 2,
    /// Not a model that this library runs, or damaged.
    BadModel = 3,
    /// Geometry or voxels that cannot be a brain scan: singular affine, constant or non-finite voxels, a single slice.
    BadImage = 4,
    /// A voxel type or feature that this build does not have.
    Unsupported = 5,
    /// Memory could not be had, or memory_limit would be passed.
    OutOfMemory = 6,
    /// The progress callback asked to stop.
    Cancelled = 7,
    /// The input does not look like what the model was made for.
    Refused = 8,
    /// A defect of this library; the message says where.
    Internal = 9,
}

use MrisynthStatusCode as Code;

const CODES: [Code; 10] = [
    Code::Ok,
    Code::InvalidArgument,
    Code::Io,
    Code::BadModel,
    Code::BadImage,
    Code::Unsupported,
    Code::OutOfMemory,
    Code::Cancelled,
    Code::Refused,
    Code::Internal,
];

impl Code {
    /// The code for an error.
    pub(super) fn of(error: &Error) -> Self {
        match error.kind() {
            Error::InvalidArgument(_) => Self::InvalidArgument,
            Error::Io { .. } => Self::Io,
            Error::BadModel(_) => Self::BadModel,
            Error::BadImage(_) => Self::BadImage,
            Error::Unsupported(_) => Self::Unsupported,
            Error::OutOfMemory(_) => Self::OutOfMemory,
            Error::Cancelled => Self::Cancelled,
            Error::Refused(_) => Self::Refused,
            // `kind` never returns the wrapper; should it ever, that is a defect.
            Error::Internal(_) | Error::InFile { .. } => Self::Internal,
        }
    }

    fn text(self) -> &'static CStr {
        match self {
            Self::Ok => c"success",
            Self::InvalidArgument => c"invalid argument",
            Self::Io => c"a file could not be read or written",
            Self::BadModel => c"bad model",
            Self::BadImage => c"bad image",
            Self::Unsupported => c"unsupported",
            Self::OutOfMemory => c"out of memory",
            Self::Cancelled => c"cancelled",
            Self::Refused => c"refused: the input does not look like what the model was made for",
            Self::Internal => c"internal error",
        }
    }
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// Keeps `message` for this thread; an empty one says that there was no failure.
pub(super) fn set_last_error(message: &str) {
    let message = c_string(message);
    // While the thread is being torn down there is nobody left to ask for the message.
    let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = message);
}

/// `text` for C, without the NULs that would cut it short.
pub(super) fn c_string(text: &str) -> CString {
    let bytes = text.bytes().filter(|&byte| byte != 0).collect::<Vec<_>>();
    CString::new(bytes).unwrap_or_default()
}

fn last_error() -> *const c_char {
    LAST_ERROR.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

fn status_text(status: MrisynthStatus) -> &'static CStr {
    let known = CODES.into_iter().find(|&code| code as i32 == status);
    known.map_or(c"unknown status", Code::text)
}

/// A few English words for a status, in static storage. Never NULL; an unknown value is called so.
#[ffi_export]
pub unsafe extern "C" fn mrisynth_status_string(status: i32) -> *const c_char {
    status_text(status).as_ptr()
}

/// The message of this thread's last failure in UTF-8, or "" if its last call that returns a MrisynthStatus succeeded.
/// Valid until this thread's next call of such a function; the others leave it alone.
#[ffi_export]
pub unsafe extern "C" fn mrisynth_last_error() -> *const c_char {
    last_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_numbered_in_order_and_have_words() {
        for (number, code) in CODES.into_iter().enumerate() {
            assert_eq!(code as usize, number);
            assert_eq!(status_text(code as i32), code.text());
        }
        for unknown in [-1, 10, i32::MIN, i32::MAX] {
            assert_eq!(status_text(unknown), c"unknown status");
        }
    }

    #[test]
    fn an_error_about_a_file_has_the_code_of_its_kind() {
        let error = Error::BadModel("odd".into()).in_file("model.onnx");
        assert_eq!(Code::of(&error), Code::BadModel);
    }

    #[test]
    fn text_for_c_holds_no_nul() {
        assert_eq!(c_string("a\0b"), c"ab".to_owned());
    }
}
