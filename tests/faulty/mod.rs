//! Readers and writers that fail where a test says, and move fewer bytes at once than they are asked to.

// Each test binary uses a part of this.
#![allow(dead_code)]

use std::io::{self, Read, Write};

/// What a disk says that fails for good, by the numbers that Linux has for it.
pub const LASTING: [(&str, i32); 7] = [
    ("EIO", 5),
    ("EACCES", 13),
    ("EINVAL", 22),
    ("ENOSPC", 28),
    ("EROFS", 30),
    ("ESTALE", 116),
    ("EDQUOT", 122),
];
/// What a call says that a signal came in between of: it is to be made again.
pub const EINTR: i32 = 4;

/// A reader or writer that fails.
#[derive(Debug)]
pub struct Faulty<T> {
    inner: T,
    /// Bytes that a call moves at most.
    most: usize,
    /// Bytes after which it fails, and how.
    fault: Option<(usize, i32)>,
    /// Whether every call is interrupted once before it is done.
    interrupts: bool,
    interrupted: bool,
    moved: usize,
}

impl<T> Faulty<T> {
    /// Fails with `errno` once `at` bytes were moved, each time it is called.
    pub fn after(inner: T, at: usize, errno: i32) -> Self {
        Self {
            inner,
            most: usize::MAX,
            fault: Some((at, errno)),
            interrupts: false,
            interrupted: false,
            moved: 0,
        }
    }

    /// Moves no more than `most` bytes a call, and is interrupted once before each.
    pub fn slow(inner: T, most: usize) -> Self {
        Self { inner, most, fault: None, interrupts: true, interrupted: false, moved: 0 }
    }

    /// The same with calls of no more than `most` bytes.
    pub fn moving_at_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// What it stands before.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// Moves bytes by `step`, which gets how many it may and what they go through.
    fn step(
        &mut self,
        wanted: usize,
        step: impl FnOnce(&mut T, usize) -> io::Result<usize>,
    ) -> io::Result<usize> {
        if self.interrupts && !std::mem::replace(&mut self.interrupted, true) {
            return Err(io::Error::from_raw_os_error(EINTR));
        }
        self.interrupted = false;
        let room = self.fault.map_or(usize::MAX, |(at, _)| at - self.moved);
        if let (0, Some((_, errno))) = (room, self.fault) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let moved = step(&mut self.inner, wanted.min(self.most).min(room))?;
        self.moved += moved;
        Ok(moved)
    }
}

impl<R: Read> Read for Faulty<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.step(buffer.len(), |inner, most| inner.read(&mut buffer[..most]))
    }
}

impl<W: Write> Write for Faulty<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.step(bytes.len(), |inner, most| inner.write(&bytes[..most]))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
