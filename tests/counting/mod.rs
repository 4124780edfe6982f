//! An allocator that counts what is allocated, and can be told to fail.

// Each test binary uses a part of this.
#![allow(dead_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst};

/// Counts the bytes that are allocated by the whole process, and the most of them at once.
pub struct Counting;

static CURRENT: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// Only the library's question whether the system has memory (`src/memory.rs`) is aligned to pages. It is given back at once and
/// never written to, so that it takes none.
const QUESTION_ALIGN: usize = 4096;
/// What stands at the start of memory that nobody has written to.
const UNTOUCHED: [u8; 16] = *b"nobody wrote me.";

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
fn count(size: usize) {
    PEAK.fetch_max(CURRENT.fetch_add(size, SeqCst) + size, SeqCst);
}

fn is_question(layout: Layout) -> bool {
    layout.align() == QUESTION_ALIGN && layout.size() >= QUESTION_ALIGN
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
            if is_question(layout) {
                // SAFETY: a page or more was just allocated, and nobody else knows of it yet.
                unsafe { allocated.cast::<[u8; 16]>().write(UNTOUCHED) };
            } else {
                count(layout.size());
            }
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
            count(layout.size());
        }
        allocated
    }

    unsafe fn dealloc(&self, allocated: *mut u8, layout: Layout) {
        if !is_question(layout) {
            CURRENT.fetch_sub(layout.size(), SeqCst);
        // SAFETY: it is not given back yet, and `alloc` wrote so much.
        } else if unsafe { allocated.cast::<[u8; 16]>().read() } != UNTOUCHED {
            // No limit allows for this.
            PEAK.store(usize::MAX, SeqCst);
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(allocated, layout) };
    }

    unsafe fn realloc(&self, allocated: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if fails(size) {
            return std::ptr::null_mut();
        }
        // At the worst both are there at once.
        count(size);
        // SAFETY: the caller's promise.
        let moved = unsafe { System.realloc(allocated, layout, size) };
        CURRENT.fetch_sub(if moved.is_null() { size } else { layout.size() }, SeqCst);
        moved
    }
}
