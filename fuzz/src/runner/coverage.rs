//! Which edges of the instrumented code a run takes. Without instrumentation there are none, and fuzzing is blind.
//!
//! LLVM's sanitizer coverage keeps a counter of 8 bits for each edge, and names them to
//! [`__sanitizer_cov_8bit_counters_init`] before `main`. `fuzz/instrument.sh` has the compiler put them in.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Programs and libraries with counters of their own that one process can have.
const MAX_REGIONS: usize = 8;

/// Addresses of the first counter and of the one after the last, for each program and library.
static REGIONS: [[AtomicUsize; 2]; MAX_REGIONS] =
    [const { [AtomicUsize::new(0), AtomicUsize::new(0)] }; MAX_REGIONS];

/// Called by instrumented code before `main`, once for each of its units, always with all counters of the program.
///
/// # Safety
/// `start` to `stop` are counters that live as long as the process.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, stop: *mut u8) {
    for [first, last] in &REGIONS {
        let known = first.load(Ordering::Relaxed);
        if known == start.addr() {
            return;
        }
        if known == 0 {
            first.store(start.expose_provenance(), Ordering::Relaxed);
            last.store(stop.expose_provenance(), Ordering::Relaxed);
            return;
        }
    }
}

/// Calls `visit` with all counters.
fn for_each_region(mut visit: impl FnMut(&mut [u8])) {
    for [first, last] in &REGIONS {
        let (first, last) = (first.load(Ordering::Relaxed), last.load(Ordering::Relaxed));
        if first != 0 && last > first {
            // SAFETY: instrumented code has promised that these are counters for as long as the process lives. It changes
            // them while it runs; between runs, when this is called, a thread that is going idle may at worst lose a count.
            visit(unsafe {
                std::slice::from_raw_parts_mut(std::ptr::with_exposed_provenance_mut(first), last - first)
            });
        }
    }
}

/// What runs have reached so far.
#[derive(Debug, Default)]
pub struct Coverage {
    /// For each counter, the orders of magnitude that it was seen at, as bits.
    seen: Vec<u8>,
}

impl Coverage {
    /// True if there are counters.
    pub fn is_there() -> bool {
        let mut counters = 0;
        for_each_region(|region| counters += region.len());
        counters > 0
    }

    /// Sets all counters to 0, before a run.
    pub fn reset() {
        for_each_region(|region| region.fill(0));
    }

    /// Adds what the counters say after a run; true if any of it was not seen before.
    pub fn add(&mut self) -> bool {
        let (mut at, mut is_new) = (0, false);
        for_each_region(|region| {
            self.seen.resize(self.seen.len().max(at + region.len()), 0);
            for (counters, seen) in region.chunks(64).zip(self.seen[at..].chunks_mut(64)) {
                // Nearly all are 0.
                if counters.iter().fold(0, |all, &count| all | count) != 0 {
                    is_new |= add_chunk(counters, seen);
                }
            }
            at += region.len();
        });
        is_new
    }

    /// Edges that were taken at least once.
    pub fn edges(&self) -> usize {
        self.seen.iter().filter(|&&seen| seen != 0).count()
    }
}

fn add_chunk(counters: &[u8], seen: &mut [u8]) -> bool {
    let mut is_new = false;
    for (&count, seen) in counters.iter().zip(seen) {
        let bit = magnitude(count);
        is_new |= bit & !*seen != 0;
        *seen |= bit;
    }
    is_new
}

/// One bit for a count's order of magnitude, none for 0: loops are worth telling apart only roughly.
fn magnitude(count: u8) -> u8 {
    match count {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        4..=7 => 8,
        8..=15 => 16,
        16..=31 => 32,
        32..=127 => 64,
        128.. => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_order_of_magnitude_is_new_once() {
        let mut seen = [0; 3];
        assert!(add_chunk(&[0, 1, 0], &mut seen));
        assert!(!add_chunk(&[0, 1, 0], &mut seen));
        assert!(add_chunk(&[0, 5, 0], &mut seen));
        assert!(!add_chunk(&[0, 7, 0], &mut seen));
        assert!(add_chunk(&[0, 7, 1], &mut seen));
        assert_eq!(seen, [0, 1 | 8, 1]);
    }
}
