//! Exit codes: one table, which the help, the documentation's test and the program itself use.

use std::any::Any;
use std::fmt::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Mutex, PoisonError};

use mrisynth::{Error, Result};

/// How a run can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The exit code. Codes never change their meaning.
    pub code: u8,
    /// The library's name for it, as in the C interface, or the command's own.
    pub status: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

const fn ending(code: u8, status: &'static str, meaning: &'static str) -> Ending {
    Ending { code, status, meaning }
}

/// All is well.
pub const OK: Ending = ending(0, "OK", "the work is done");
/// A batch went on after faults.
pub const SOME_FAILED: Ending =
    ending(3, "SOME_FAILED", "some scans of a batch failed: the table says which and why");

const INVALID_ARGUMENT: Ending =
    ending(11, "INVALID_ARGUMENT", "an argument is out of range or contradicts another");
const IO: Ending = ending(12, "IO", "a file could not be read or written, or exists (see --force)");
const BAD_MODEL: Ending = ending(13, "BAD_MODEL", "not a model that this version runs, or a damaged one");
const BAD_IMAGE: Ending = ending(14, "BAD_IMAGE", "a damaged file, or one that cannot be a brain scan");
const UNSUPPORTED: Ending =
    ending(15, "UNSUPPORTED", "a feature or voxel type that this version does not have");
const OUT_OF_MEMORY: Ending = ending(16, "OUT_OF_MEMORY", "no memory, or --memory-limit would be passed");
const CANCELLED: Ending = ending(17, "CANCELLED", "the work was asked to stop");
const REFUSED: Ending = ending(18, "REFUSED", "not what the model was made for (see --accept-implausible)");
const INTERNAL: Ending = ending(19, "INTERNAL", "a defect of mrisynth: please report it");

/// Every exit code. Those of the library are 10 more than its status codes; the others are the command's own.
pub const ENDINGS: [Ending; 12] = [
    OK,
    ending(2, "USAGE", "the command line could not be understood"),
    SOME_FAILED,
    INVALID_ARGUMENT,
    IO,
    BAD_MODEL,
    BAD_IMAGE,
    UNSUPPORTED,
    OUT_OF_MEMORY,
    CANCELLED,
    REFUSED,
    INTERNAL,
];

/// How a run ends that fails with `fault`.
pub fn ending_of(fault: &Error) -> &'static Ending {
    match fault.kind() {
        Error::InvalidArgument(_) => &INVALID_ARGUMENT,
        Error::Io { .. } => &IO,
        Error::BadModel(_) => &BAD_MODEL,
        Error::BadImage(_) => &BAD_IMAGE,
        Error::Unsupported(_) => &UNSUPPORTED,
        Error::OutOfMemory(_) => &OUT_OF_MEMORY,
        Error::Cancelled => &CANCELLED,
        Error::Refused(_) => &REFUSED,
        // Kinds that a later version of the library adds get their own line above.
        _ => &INTERNAL,
    }
}

/// The table as the help shows it.
pub fn table() -> String {
    ENDINGS.iter().fold("Exit codes:\n".to_owned(), |mut text, ending| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:>2}  {:<16}  {}", ending.code, ending.status, ending.meaning);
        text
    })
}

/// Where the last panic was, and its message.
static LAST_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Runs `work`; a panic in it becomes [`Error::Internal`], so that even a defect ends with a documented exit code.
pub fn catch_defects<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    panic::set_hook(Box::new(|info| {
        *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = Some(info.to_string());
    }));
    // Nothing that the closure may have left half done is used after a panic.
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(defect(payload.as_ref())))
}

fn defect(payload: &(dyn Any + Send)) -> Error {
    let recorded = LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
    let message = || payload.downcast_ref::<&str>().map_or("a panic", |text| text).to_owned();
    Error::Internal(recorded.unwrap_or_else(message))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn codes_are_ten_more_than_the_statuses_and_never_change() {
        let faults = [
            Error::InvalidArgument(String::new()),
            Error::io("file", io::Error::other("fault")),
            Error::BadModel(String::new()),
            Error::BadImage(String::new()),
            Error::Unsupported(String::new()),
            Error::OutOfMemory(String::new()),
            Error::Cancelled,
            Error::Refused(String::new()),
            Error::Internal(String::new()),
        ];
        for (code, fault) in (11..).zip(faults) {
            assert_eq!(ending_of(&fault).code, code);
            assert_eq!(ending_of(&fault.in_file("file")).code, code);
        }
    }

    #[test]
    fn the_documentation_has_every_code() {
        let documentation = include_str!("../../../docs/command.md");
        for Ending { code, status, meaning } in &ENDINGS {
            let row = format!("| {code} | {status} | {meaning} |");
            assert!(documentation.contains(&row), "docs/command.md lacks: {row}");
        }
    }

    #[test]
    fn a_panic_is_a_defect_with_a_message() {
        let outcome: Result<()> = catch_defects(|| panic!("number {}", 7));
        let Err(Error::Internal(message)) = outcome else { panic!("{outcome:?}") };
        assert!(message.contains("number 7"), "{message}");
        let _ = panic::take_hook();
    }
}
