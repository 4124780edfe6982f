//! What the caller sees: progress and messages on standard output, as Slicer reads them, and errors on standard error.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mrisynth::control::LogLevel;
use mrisynth::{Error, Result};

/// What Slicer calls the work while it runs.
const NAME: &str = "MRI Synthesis";
/// The longest time without a word, so that a caller that has gone away is noticed.
const SILENCE: Duration = Duration::from_millis(250);

/// Prints on standard output at once.
///
/// # Errors
/// [`Error::Cancelled`] if nobody reads any more, [`Error::Io`] if it cannot be written for another reason.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|fault| match fault.kind() {
        io::ErrorKind::BrokenPipe => Error::Cancelled,
        _ => Error::io("standard output", fault),
    })
}

/// Prints a line on standard error.
pub fn to_stderr(line: &str) {
    // There is nowhere left to say that standard error is gone.
    let _ = writeln!(io::stderr(), "mrisynth-slicer-cli: {}", one_line(line));
}

/// `text` without line breaks and other control characters, which a file's name or a model could hold.
pub fn one_line(text: &str) -> String {
    let shown = |character: char| -> String {
        if character.is_control() { character.escape_default().collect() } else { character.into() }
    };
    text.chars().map(shown).collect()
}

/// How far the work is, told in the tags of Slicer's execution model.
pub struct Progress {
    start: Instant,
    told: f32,
    told_at: Instant,
}

impl Progress {
    /// Says that the work begins.
    ///
    /// # Errors
    /// Those of [`print`].
    pub fn start(comment: &str) -> Result<Self> {
        print(&format!(
            "<filter-start>\n<filter-name>{NAME}</filter-name>\n<filter-comment>{comment}</filter-comment>\n\
             </filter-start>\n"
        ))?;
        let start = Instant::now();
        Ok(Self { start, told: -1.0, told_at: start })
    }

    /// Says which fraction is done, where that is news; stops the work where nobody listens any more.
    pub fn tell(&mut self, fraction: f32) -> ControlFlow<()> {
        if fraction - self.told < 0.005 && self.told_at.elapsed() < SILENCE {
            return ControlFlow::Continue(());
        }
        (self.told, self.told_at) = (fraction, Instant::now());
        match print(&format!("<filter-progress>{fraction:.3}</filter-progress>\n")) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    /// Says that the work is done.
    ///
    /// # Errors
    /// Those of [`print`].
    pub fn finish(self) -> Result<()> {
        let seconds = self.start.elapsed().as_secs_f64();
        print(&format!(
            "<filter-end>\n<filter-name>{NAME}</filter-name>\n<filter-time>{seconds:.3}</filter-time>\n</filter-end>\n"
        ))
    }
}

/// Warnings, shown as they come and kept for the results.
#[derive(Default)]
pub struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    /// Takes a line of the library's log. Warnings go to standard output: Slicer shows what comes on standard error as the
    /// error of a module that failed.
    pub fn log(&self, level: LogLevel, message: &str) {
        if level > LogLevel::Warning {
            return;
        }
        let message = one_line(message);
        // A caller that has gone away is noticed by the progress.
        let _ = print(&format!("warning: {message}\n"));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    }

    /// All of them in one line.
    pub fn joined(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        assert_eq!(one_line("a\nb\x1b[31mé"), "a\\nb\\u{1b}[31mé");
    }

    #[test]
    fn warnings_are_kept_and_what_is_less_grave_is_not() {
        let warnings = Warnings::default();
        warnings.log(LogLevel::Information, "nothing");
        warnings.log(LogLevel::Warning, "first");
        warnings.log(LogLevel::Warning, "second\nline");
        assert_eq!(warnings.joined(), "first; second\\nline");
    }
}
