//! What the user sees: results on standard output, everything else on standard error, and never a panic for it.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use mrisynth::control::{LogLevel, timed};
use mrisynth::{Error, Result};
use serde::Serialize;

use crate::exit::{self, Ending};

/// Steps of the progress bar.
const STEPS: u64 = 1000;

/// An error as `--json` shows it.
#[derive(Debug, Serialize)]
pub struct Failure {
    pub status: &'static str,
    exit_code: u8,
    pub message: String,
}

impl Failure {
    /// How a run ends that fails with `fault`, and why.
    pub fn of(fault: &Error) -> Self {
        let Ending { code, status, .. } = exit::ending_of(fault);
        Self { status, exit_code: *code, message: one_line(&fault.to_string()) }
    }
}

#[derive(Serialize)]
struct FailureReport {
    error: Failure,
}

/// Prints an error, and returns the exit code that goes with it.
pub fn failure(fault: &Error, json: bool) -> ExitCode {
    let error = Failure::of(fault);
    let code = error.exit_code;
    to_stderr(&format!("mrisynth: error: {}", error.message));
    if json {
        // The exit code tells of the failure even where standard output cannot.
        let _ = print_json(&FailureReport { error });
    }
    ExitCode::from(code)
}

/// Prints a warning that is not about a scan.
pub fn warning(message: &str) {
    to_stderr(&format!("mrisynth: warning: {message}"));
}

/// Prints a result on standard output.
///
/// # Errors
/// [`Error::Io`] if it cannot be written. A reader that has gone away wants no more: no error.
pub fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(fault) if fault.kind() != io::ErrorKind::BrokenPipe => Err(Error::io("standard output", fault)),
        _ => Ok(()),
    }
}

/// Prints a result on standard output as one JSON object.
///
/// # Errors
/// Those of [`print`].
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|fault| Error::Internal(fault.to_string()))?;
    print(&text)
}

/// `text` without line breaks and other control characters, which a file's name or a model could hold.
pub fn one_line(text: &str) -> String {
    let shown = |character: char| -> String {
        if character.is_control() { character.escape_default().collect() } else { character.into() }
    };
    text.chars().map(shown).collect()
}

fn to_stderr(line: &str) {
    // There is nowhere left to say that standard error is gone.
    let _ = writeln!(io::stderr(), "{line}");
}

/// How much to say on standard error.
#[derive(Clone, Copy, Debug)]
pub struct Verbosity {
    /// The least grave messages that are shown.
    pub level: LogLevel,
    /// Whether a progress bar may be drawn.
    pub progress: bool,
}

/// Messages and progress of one run, on standard error.
pub struct Console {
    level: LogLevel,
    bar: ProgressBar,
    /// The scan of a batch that this is about.
    scan: Option<String>,
    /// The part of the bar that is this run's: its first fraction, and its length.
    from: f64,
    length: f64,
    warnings: Mutex<Vec<String>>,
}

impl Console {
    /// A console that draws a progress bar only on a terminal.
    pub fn new(verbosity: Verbosity) -> Self {
        let bar = if verbosity.progress && io::stderr().is_terminal() {
            // The template is fixed; were it wrong, the default style would do.
            let style =
                ProgressStyle::with_template("{msg}{bar:40} {percent:>3} %  {elapsed} (about {eta} left)");
            ProgressBar::new(STEPS).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        } else {
            ProgressBar::hidden()
        };
        Self { level: verbosity.level, bar, scan: None, from: 0.0, length: 1.0, warnings: Mutex::default() }
    }

    /// A console for one scan of a batch: number `index` (from 0) of `count`.
    pub fn for_scan(&self, scan: &Path, index: usize, count: usize) -> Self {
        self.bar.set_message(format!("{index} of {count} done  "));
        Self {
            bar: self.bar.clone(),
            scan: Some(scan.display().to_string()),
            from: index as f64 / count as f64,
            length: 1.0 / count as f64,
            warnings: Mutex::default(),
            ..*self
        }
    }

    /// Shows the fraction of the work that is done.
    pub fn progress(&self, fraction: f32) {
        self.bar.set_position(((self.from + self.length * f64::from(fraction)) * STEPS as f64) as u64);
    }

    /// Takes the progress bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Shows a message if the user wants those of its level, and remembers it if it is a warning.
    pub fn log(&self, level: LogLevel, message: &str) {
        let message = one_line(message);
        if level <= self.level {
            self.bar.suspend(|| {
                to_stderr(&format!("mrisynth: {}: {}{message}", level_name(level), self.prefix()))
            });
        }
        if level == LogLevel::Warning {
            self.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(message);
        }
    }

    /// Does the work of a stage, and says how long it took to users who want to know.
    pub fn timed<T>(&self, stage: &str, work: impl FnOnce() -> T) -> T {
        timed(stage, Some(&|level, message| self.log(level, message)), work)
    }

    /// Shows an error after which the work goes on.
    pub fn failure(&self, failure: &Failure) {
        self.bar.suspend(|| to_stderr(&format!("mrisynth: error: {}", failure.message)));
    }

    fn prefix(&self) -> String {
        self.scan.as_ref().map(|scan| format!("{}: ", one_line(scan))).unwrap_or_default()
    }

    /// The warnings so far.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Error => "error",
        LogLevel::Warning => "warning",
        LogLevel::Information => "information",
        LogLevel::Debug => "debug",
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
    fn a_quiet_console_remembers_warnings() {
        let console = Console::new(Verbosity { level: LogLevel::Error, progress: false });
        console.log(LogLevel::Warning, "first");
        console.log(LogLevel::Information, "second");
        assert_eq!(console.warnings(), ["first"]);
    }
}
