//! An allocator that counts, and gives no more than a run may have.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what is allocated.
pub struct Counting;

/// Bytes that are allocated.
static LIVE: AtomicUsize = AtomicUsize::new(0);
/// Bytes that may be.
static MOST: AtomicUsize = AtomicUsize::new(usize::MAX);
/// Bytes that would have been allocated when they were too many; 0: they never were.
static REFUSED: AtomicUsize = AtomicUsize::new(0);

/// From now on so many bytes more may be allocated than there are.
pub fn allow(bytes: usize) {
    REFUSED.store(0, Ordering::Relaxed);
    MOST.store(LIVE.load(Ordering::Relaxed).saturating_add(bytes), Ordering::Relaxed);
}

/// From now on any number of bytes may be allocated. Bytes that were refused since [`allow`], if any were.
pub fn allow_all() -> Option<usize> {
    MOST.store(usize::MAX, Ordering::Relaxed);
    Some(REFUSED.load(Ordering::Relaxed)).filter(|&bytes| bytes > 0)
}

/// Counts so many bytes more, if they may be allocated.
fn count(bytes: usize) -> bool {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
    if live <= MOST.load(Ordering::Relaxed) {
        return true;
    }
    LIVE.fetch_sub(bytes, Ordering::Relaxed);
    REFUSED.fetch_max(live, Ordering::Relaxed);
    false
}

// SAFETY: the system's allocator does all the work; NULL is what an allocator gives when it has no more.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !count(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !count(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if !count(new_size) {
            return std::ptr::null_mut();
        }
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, new_size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}
