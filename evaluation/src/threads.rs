//! Work on as many threads as a caller asks for.

use crate::Result;

/// Runs `work` on this many threads, which its parallel loops then use.
///
/// # Errors
/// Those of the work; [`mrisynth::Error::OutOfMemory`] if no threads can be had.
pub fn run_on<T: Send>(threads: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|fault| mrisynth::Error::OutOfMemory(format!("{threads} threads: {fault}")))?;
    pool.install(work)
}
