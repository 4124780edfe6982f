//! How a call runs and talks to its caller, whatever it does.

use std::ops::ControlFlow;
use std::time::Instant;

use crate::plausible::Doubts;
use crate::watch::{self, Watch};
use crate::{Error, Result, memory};

/// How grave a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// The work fails.
    Error = 1,
    /// The result needs a look.
    Warning = 2,
    /// What is being done.
    Information = 3,
    /// For the library's developers.
    Debug = 4,
}

/// Called with the fraction done, which never falls and ends at 1; `Break` cancels, within a quarter of a second.
pub type Progress<'a> = &'a mut dyn FnMut(f32) -> ControlFlow<()>;
/// Called with one line without newline, perhaps from several threads.
pub type Log<'a> = &'a (dyn Fn(LogLevel, &str) + Sync);

/// Does the work of a stage, and tells `log`, for developers, how long it took: `time: STAGE, SECONDS s`.
pub fn timed<T>(stage: &str, log: Option<Log<'_>>, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let outcome = work();
    if let Some(log) = log {
        log(LogLevel::Debug, &format!("time: {stage}, {:.4} s", start.elapsed().as_secs_f64()));
    }
    outcome
}

/// How a call runs and talks to its caller. What it makes depends on none of these.
#[derive(Default)]
pub struct Control<'a> {
    /// Threads to work on; 0: as many as the machine has cores. More than 16 and than that are not started.
    pub threads: usize,
    /// Warn through `log` where [`Error::Refused`] would be returned.
    pub accept_implausible: bool,
    /// Bytes that the call may have allocated at once, weights and input included; none: no limit.
    pub memory_limit: Option<u64>,
    /// Called on the thread that made the call.
    pub progress: Option<Progress<'a>>,
    /// Called with what a user may want to read.
    pub log: Option<Log<'a>>,
}

/// Threads that a caller may ask for on a machine with fewer cores.
const MAX_THREADS_OVER_CORES: usize = 16;

impl Control<'_> {
    /// The threads asked for, within reason: beyond the machine's cores they only hold memory.
    pub fn thread_count(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if self.threads == 0 { cores } else { self.threads.min(cores.max(MAX_THREADS_OVER_CORES)) }
    }

    /// Runs `work` on this call's threads. Progress is told from 0 to 1 on this thread.
    ///
    /// # Errors
    /// Those of the work, [`Error::OutOfMemory`] if no threads can be had, [`Error::Cancelled`].
    pub(crate) fn run<T: Send>(
        &mut self,
        work: impl FnOnce(&Watch, &Adviser<'_>) -> Result<T> + Send,
    ) -> Result<T> {
        let threads = self.thread_count();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|fault| Error::OutOfMemory(format!("{threads} threads: {fault}")))?;
        let adviser = Adviser {
            accept_implausible: self.accept_implausible,
            memory_limit: self.memory_limit,
            threads,
            log: self.log,
        };
        let mut report = |fraction| match self.progress.as_mut() {
            Some(progress) => progress(fraction),
            None => ControlFlow::Continue(()),
        };
        let stopped = |flow: ControlFlow<()>| if flow.is_break() { Err(Error::Cancelled) } else { Ok(()) };
        stopped(report(0.0))?;
        let result = watch::run(&pool, |watch| work(watch, &adviser), &mut report)?;
        stopped(report(1.0))?;
        Ok(result)
    }
}

/// What work may ask and tell of the caller, from any thread.
pub(crate) struct Adviser<'a> {
    accept_implausible: bool,
    memory_limit: Option<u64>,
    /// Threads that the work runs on.
    pub(crate) threads: usize,
    log: Option<Log<'a>>,
}

impl Adviser<'_> {
    /// Writes one line to the caller's log.
    pub(crate) fn log(&self, level: LogLevel, message: &str) {
        if let Some(log) = self.log {
            log(level, message);
        }
    }

    /// [`timed`], for the caller's log.
    pub(crate) fn timed<T>(&self, stage: &str, work: impl FnOnce() -> T) -> T {
        timed(stage, self.log, work)
    }

    /// Refuses the input for these doubts, or warns of them if the caller insists; nothing if there are none. The warnings
    /// are returned.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub(crate) fn refuse_or_warn(&self, doubts: Vec<String>) -> Result<Vec<String>> {
        if !doubts.is_empty() && !self.accept_implausible {
            return Err(Error::Refused(doubts.join("; ")));
        }
        let warnings: Vec<_> = doubts.iter().map(|doubt| format!("accepted as asked: {doubt}")).collect();
        warnings.iter().for_each(|warning| self.log(LogLevel::Warning, warning));
        Ok(warnings)
    }

    /// Tells of what needs a look, and refuses or warns of the rest as [`Adviser::refuse_or_warn`] does.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub(crate) fn settle(&self, doubts: Doubts) -> Result<()> {
        self.refuse_or_warn(doubts.refusals)?;
        doubts.warnings.iter().for_each(|warning| self.log(LogLevel::Warning, warning));
        Ok(())
    }

    /// Checks, before it is allocated, that `more` bytes may be beside those that are `held`: by the caller's limit, and by
    /// what the system has.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(crate) fn check_memory(&self, held: u64, more: u64) -> Result<()> {
        let what = format!("this scan, with {} threads,", self.threads);
        memory::check(self.memory_limit, held, more, &what)
    }
}
