//! What long work and its caller tell each other: how far it is, and whether to stop.
//!
//! Work runs on the threads of a pool and calls [`Watch::check`] often; the thread that called the library looks in
//! at least every [`INTERVAL`] and passes the fraction on to the caller's progress function.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crate::guard::catch_panics;
use crate::{Error, Result};

/// How often the caller's progress function is called while work runs, and so how soon a wish to stop is heard.
const INTERVAL: Duration = Duration::from_millis(50);

/// The state of one piece of long work, shared between its threads and its caller.
#[derive(Debug, Default)]
pub struct Watch {
    cancelled: AtomicBool,
    /// The fraction done, as the bits of an `f32`.
    done: AtomicU32,
}

impl Watch {
    /// Call at least every 100 ms of work, on any thread.
    ///
    /// # Errors
    /// [`Error::Cancelled`] once the caller wishes to stop.
    pub fn check(&self) -> Result<()> {
        if self.cancelled.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Tells the fraction of the work that is done, 0 to 1, and checks.
    ///
    /// # Errors
    /// Those of [`Watch::check`].
    pub fn advance(&self, fraction: f32) -> Result<()> {
        // Bits of floats that are not negative are in the order of the floats.
        self.done.fetch_max(fraction.clamp(0.0, 1.0).to_bits(), Ordering::Relaxed);
        self.check()
    }

    /// Asks the work to stop.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// The fraction of the work that is done.
    pub fn fraction(&self) -> f32 {
        f32::from_bits(self.done.load(Ordering::Relaxed))
    }
}

/// Runs `work` on `pool`, and `report` on this thread with the fraction done until the work ends; `Break` stops it.
///
/// # Errors
/// Those of the work; [`Error::Cancelled`] if `report` asked to stop; [`Error::Internal`] for a panic in the work.
pub(crate) fn run<T: Send>(
    pool: &rayon::ThreadPool,
    work: impl FnOnce(&Watch) -> Result<T> + Send,
    mut report: impl FnMut(f32) -> ControlFlow<()>,
) -> Result<T> {
    let watch = Watch::default();
    let mut outcome = None;
    let slot = &mut outcome;
    let watched = &watch;
    pool.in_place_scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        scope.spawn(move |_| {
            *slot = Some(catch_panics(|| work(watched)));
            // The caller may not be listening any more.
            let _ = sender.send(());
        });
        while let Err(RecvTimeoutError::Timeout) = receiver.recv_timeout(INTERVAL) {
            if report(watch.fraction()).is_break() {
                watch.cancel();
                break;
            }
        }
    });
    // Work that ended in spite of a wish to stop is thrown away: the caller does not expect it any more.
    watch.check()?;
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
    fn a_wish_to_stop_is_heard_soon_and_progress_does_not_fall() {
        let mut last = 0.0;
        let start = Instant::now();
        let endless = |watch: &Watch| -> Result<()> {
            for step in 0.. {
                watch.advance(if step % 2 == 0 { 0.5 } else { 0.25 })?;
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        };
        let outcome = run(&pool(), endless, |fraction| {
            assert!(fraction >= last);
            last = fraction;
            if start.elapsed() > Duration::from_millis(120) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        assert!(matches!(outcome, Err(Error::Cancelled)));
        assert_eq!(last, 0.5);
    }
}
