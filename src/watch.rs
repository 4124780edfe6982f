//! What long work and its caller tell each other: how far it is, and whether to stop.
//!
//! Work runs on the threads of a pool and calls [`Watch::check`] often; the thread that called the library passes the
//! fractions that the work tells on to the caller's progress function, and calls it at least every [`INTERVAL`], so that
//! a wish to stop is heard soon.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use crate::guard::catch_panics;
use crate::{Error, Result};

/// The longest time between two calls of the caller's progress function while work runs.
const INTERVAL: Duration = Duration::from_millis(50);

/// One stage of long work, as seen from inside. The default is watched by nobody and never cancelled.
#[derive(Clone, Debug)]
pub struct Watch {
    cancelled: Arc<AtomicBool>,
    sender: Option<Sender<f32>>,
    /// The part of the whole work that this stage is: its first fraction, and its length.
    from: f32,
    length: f32,
}

impl Default for Watch {
    fn default() -> Self {
        Self { cancelled: Arc::default(), sender: None, from: 0.0, length: 1.0 }
    }
}

impl Watch {
    /// Call at least every 100 ms of work, on any thread.
    ///
    /// # Errors
    /// [`Error::Cancelled`] once the caller wishes to stop.
    pub fn check(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Tells the fraction of this stage that is done, 0 to 1, and checks. The caller hears of each call: make them where
    /// something visible is done, not in an inner loop.
    ///
    /// # Errors
    /// Those of [`Watch::check`].
    pub fn advance(&self, fraction: f32) -> Result<()> {
        if let Some(sender) = &self.sender {
            // Nobody listens any more once the caller wishes to stop.
            let _ = sender.send(self.from + self.length * fraction.clamp(0.0, 1.0));
        }
        self.check()
    }

    /// Asks the work to stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// A stage of this one: what lies between the fractions `from` and `to` of it.
    #[must_use]
    pub fn stage(&self, from: f32, to: f32) -> Self {
        Self { from: self.from + self.length * from, length: self.length * (to - from), ..self.clone() }
    }
}

/// Runs `work` on `pool`, and `report` on this thread with fractions that never fall until the work ends; `Break` stops
/// it.
///
/// # Errors
/// Those of the work; [`Error::Cancelled`] if `report` asked to stop; [`Error::Internal`] for a panic in the work.
pub(crate) fn run<T: Send>(
    pool: &rayon::ThreadPool,
    work: impl FnOnce(&Watch) -> Result<T> + Send,
    mut report: impl FnMut(f32) -> ControlFlow<()>,
) -> Result<T> {
    let (sender, receiver) = mpsc::channel();
    let watch = Watch { sender: Some(sender), ..Watch::default() };
    let stopper = Watch { sender: None, ..watch.clone() };
    let mut outcome = None;
    let slot = &mut outcome;
    pool.in_place_scope(|scope| {
        // The channel closes with the watch, when the work ends.
        scope.spawn(move |_| *slot = Some(catch_panics(|| work(&watch))));
        let mut done = 0.0_f32;
        loop {
            match receiver.recv_timeout(INTERVAL) {
                Ok(fraction) => done = done.max(fraction),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if report(done).is_break() {
                stopper.cancel();
                break;
            }
        }
    });
    // Also where the work ended in spite of it: the caller does not expect a result any more.
    stopper.check()?;
    outcome.unwrap_or_else(|| Err(Error::Internal("the work ended without a result".into())))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn pool() -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap()
    }

    #[test]
    fn results_errors_and_panics_come_back() {
        let go_on = |_: f32| ControlFlow::Continue(());
        assert_eq!(run(&pool(), |_| Ok(7), go_on).unwrap(), 7);
        let fault = run(&pool(), |_| -> Result<()> { Err(Error::BadImage("x".into())) }, go_on);
        assert!(matches!(fault, Err(Error::BadImage(_))));
        let panic = run(&pool(), |_| -> Result<()> { panic!("y") }, go_on);
        assert!(matches!(panic, Err(Error::Internal(text)) if text == "y"));
    }

    #[test]
    fn stages_tell_their_part_of_the_whole_and_it_never_falls() {
        let mut told = Vec::new();
        let work = |watch: &Watch| {
            let second = watch.stage(0.5, 1.0);
            second.advance(0.5)?;
            watch.stage(0.0, 0.5).advance(0.5)?;
            second.stage(0.5, 1.0).advance(1.0)
        };
        let note = |fraction| {
            told.push(fraction);
            ControlFlow::Continue(())
        };
        run(&pool(), work, note).unwrap();
        told.dedup();
        assert_eq!(told, [0.75, 1.0]);
    }

    #[test]
    fn a_wish_to_stop_is_heard_by_work_that_tells_nothing() {
        let endless = |watch: &Watch| -> Result<()> {
            loop {
                watch.check()?;
                std::thread::sleep(Duration::from_millis(1));
            }
        };
        let start = Instant::now();
        let outcome = run(&pool(), endless, |_| {
            if start.elapsed() > Duration::from_millis(120) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert!(matches!(outcome, Err(Error::Cancelled)));
    }
}
