//! Turns a panic of our own or a dependency's into an error, silently.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::{Error, Result};

thread_local! {
    static SILENCED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`; a panic inside becomes [`Error::Internal`] with its message, and prints nothing. Where memory has run out, it
/// becomes [`Error::OutOfMemory`].
///
/// Panics elsewhere in the host program keep going through the hook that was installed before.
pub(crate) fn catch_panics<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    install_hook();
    let outer = SILENCED.replace(true);
    // The closure's state is dropped on a panic, never looked at again.
    let outcome = panic::catch_unwind(AssertUnwindSafe(work));
    SILENCED.set(outer);
    outcome.unwrap_or_else(|payload| Err(error(payload.as_ref())))
}

fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // A thread that is going away has no flag left: then the panic is not ours to silence.
            if !SILENCED.try_with(Cell::get).unwrap_or(false) {
                previous(info);
            }
        }));
    });
}

/// How messages begin of the panics with which the engine, the kernels and [`crate::memory`] tell that there is no memory.
pub(crate) const EXHAUSTED: &str = "failed to allocate";

fn error(payload: &(dyn Any + Send)) -> Error {
    let message = message(payload);
    if message.starts_with(EXHAUSTED) { Error::OutOfMemory(message) } else { Error::Internal(message) }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_internal_error() {
        let outcome: Result<()> = catch_panics(|| panic!("number {}", 7));
        assert!(matches!(outcome, Err(Error::Internal(text)) if text == "number 7"));
        assert_eq!(catch_panics(|| Ok(3)).unwrap(), 3);
    }
}
