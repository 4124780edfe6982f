//! Draws batches on a thread of its own, in the order of steps, ahead of the trainer.

use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::error::Error;

/// Batches to come.
pub struct Prefetch<T> {
    receiver: Option<Receiver<T>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> Prefetch<T> {
    /// Starts drawing the batches of `steps`; at most `ahead` of them wait for the trainer.
    ///
    /// # Errors
    /// [`Error::Data`] if the thread cannot be started.
    pub fn start(
        steps: Range<u64>,
        ahead: usize,
        mut draw: impl FnMut(u64) -> T + Send + 'static,
    ) -> Result<Self, Error> {
        let (sender, receiver): (SyncSender<T>, _) = sync_channel(ahead);
        let work = move || {
            for step in steps {
                if sender.send(draw(step)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("prefetch".into())
            .spawn(work)
            .map_err(|fault| Error::Data(format!("cannot start the prefetch thread: {fault}")))?;
        Ok(Self { receiver: Some(receiver), thread: Some(thread) })
    }

    /// The next batch.
    ///
    /// # Errors
    /// [`Error::Data`] when drawing has ended or failed.
    pub fn receive(&mut self) -> Result<T, Error> {
        self.receiver
            .as_ref()
            .and_then(|receiver| receiver.recv().ok())
            .ok_or_else(|| Error::Data("the prefetch thread has ended".into()))
    }
}

impl<T> Drop for Prefetch<T> {
    fn drop(&mut self) {
        // The thread ends at its next send once nobody listens.
        self.receiver = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefetching_keeps_the_order_and_ends() {
        let mut prefetch = Prefetch::start(7..9, 3, |step| 2 * step).unwrap();
        assert_eq!(prefetch.receive().unwrap(), 14);
        assert_eq!(prefetch.receive().unwrap(), 16);
        assert!(prefetch.receive().is_err());
        drop(Prefetch::start(0..1_000_000, 3, |step| step).unwrap());
    }
}
