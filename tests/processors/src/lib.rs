//! The library's kernels, compiled alone.
#![allow(dead_code, unused_imports, reason = "the library uses all of them")]

#[path = "../../../src/kernels/mod.rs"]
pub mod kernels;
