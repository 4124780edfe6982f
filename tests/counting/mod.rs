//! An allocator that counts what is allocated, and can be told to fail.

// Each test binary uses a part of this.
#![allow(dead_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Counts the bytes that are allocated by the whole process, and the most of them at once.
pub struct Counting;

static CURRENT: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// What is at least so large and given back so soon, with nothing else allocated by its thread in between, was a question whether
/// there is memory, and never used: to fill it would take longer.
const QUESTION: (usize, Duration) = (4 << 20, Duration::from_millis(1));

thread_local! {
    /// The last allocation of this thread if that may have been a question: where it is, what was allocated with it, and when.
    static ASKED: Cell<Option<(usize, usize, Instant)>> = const { Cell::new(None) };
}

/// Allocations smaller than this never fail.
static LARGE: AtomicUsize = AtomicUsize::new(usize::MAX);
/// Large allocations that are yet to succeed; then one fails.
static LEFT: AtomicI64 = AtomicI64::new(i64::MAX);
/// Whether those after it fail too.
static ALL_AFTER: AtomicUsize = AtomicUsize::new(0);

/// Bytes that are allocated.
pub fn current() -> usize {
    CURRENT.load(SeqCst)
}

/// Does `work`, and says how many bytes were allocated at once meanwhile, beyond `before`.
pub fn peak_over<T>(before: usize, work: impl FnOnce() -> T) -> (T, usize) {
    PEAK.store(current(), SeqCst);
    let done = work();
    settle(None);
    (done, PEAK.load(SeqCst).saturating_sub(before))
}

/// From now on, the allocation of `large` bytes or more that comes after `number` others fails; with `lasting`, those after it
/// do too.
pub fn fail_after(number: i64, large: usize, lasting: bool) {
    ALL_AFTER.store(usize::from(lasting), SeqCst);
    LEFT.store(number, SeqCst);
    LARGE.store(large, SeqCst);
}

/// No allocation fails any more; says how many large ones were asked for since [`fail_after`] with `number`.
pub fn stop_failing(number: i64) -> i64 {
    LARGE.store(usize::MAX, SeqCst);
    number - LEFT.swap(i64::MAX, SeqCst)
}

fn fails(size: usize) -> bool {
    if size < LARGE.load(SeqCst) {
        return false;
    }
    let left = LEFT.fetch_sub(1, SeqCst);
    left == 0 || left < 0 && ALL_AFTER.load(SeqCst) == 1
}

/// Counts an allocation.
fn count(allocated: *mut u8, size: usize) {
    let now = CURRENT.fetch_add(size, SeqCst) + size;
    settle(None);
    if size < QUESTION.0
        || ASKED.try_with(|asked| asked.set(Some((allocated.addr(), now, Instant::now())))).is_err()
    {
        PEAK.fetch_max(now, SeqCst);
    }
}

/// Counts what may have been a question, unless it is given back now.
fn settle(given_back: Option<*mut u8>) {
    let Some((asked, now, since)) = ASKED.try_with(Cell::take).ok().flatten() else { return };
    let was_question = given_back.is_some_and(|back| back.addr() == asked) && since.elapsed() < QUESTION.1;
    if !was_question {
        PEAK.fetch_max(now, SeqCst);
    }
}

// SAFETY: everything is left to the system's allocator, or refused.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if fails(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        let allocated = unsafe { System.alloc(layout) };
        if !allocated.is_null() {
            count(allocated, layout.size());
        }
        allocated
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if fails(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        let allocated = unsafe { System.alloc_zeroed(layout) };
        if !allocated.is_null() {
            count(allocated, layout.size());
        }
        allocated
    }

    unsafe fn dealloc(&self, allocated: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(allocated, layout) };
        settle(Some(allocated));
        CURRENT.fetch_sub(layout.size(), SeqCst);
    }

    unsafe fn realloc(&self, allocated: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if fails(size) {
            return std::ptr::null_mut();
        }
        // At the worst both are there at once.
        count(std::ptr::null_mut(), size);
        // SAFETY: the caller's promise.
        let moved = unsafe { System.realloc(allocated, layout, size) };
        CURRENT.fetch_sub(if moved.is_null() { size } else { layout.size() }, SeqCst);
        moved
    }
}
