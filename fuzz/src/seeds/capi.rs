//! Calls of the C interface, as `targets::capi` reads them.

use super::named;
use crate::Seed;
use crate::targets::capi::{RAW_ONCE_IN, sum};

/// A synthesis of a brain of a few large voxels, which is accepted.
fn synthesis(how: u8, dtype: u8, dims: [u8; 3], options: u8) -> Vec<u8> {
    let mut bytes = vec![200, how];
    // The input: nothing unusual, the struct's own size, its type, its dimensions, packed.
    bytes.extend([0, 7, dtype - 1]);
    bytes.extend(dims.map(|length| length - 1));
    bytes.push(0);
    // Along the patient's axes with voxels of 7 mm, and each axis's origin.
    bytes.extend([0, 55, 110, 55, 100, 55, 120]);
    // The output like the input, as floats, packed.
    bytes.extend([4, 0]);
    // Nobody cancels; the options, whose struct has its own size; one thread.
    bytes.extend([0, options, 7, 0]);
    // Where the buffers begin; then a brain inside the input.
    bytes.extend([0, 0, 2]);
    bytes
}

/// The same scan, taken as a raw one.
fn raw() -> Vec<u8> {
    let mut bytes = synthesis(1, 5, [6, 6, 6], 0xf0);
    // The last byte says what the brain is made of, the last but one nothing here.
    let at = bytes.len() - 2;
    bytes[at] = RAW_ONCE_IN - sum(&bytes) % RAW_ONCE_IN;
    bytes
}

pub(crate) fn calls() -> Vec<Seed> {
    let cancelled = {
        let mut bytes = synthesis(1, 5, [6, 6, 6], 0x30);
        bytes[18] = 2;
        bytes
    };
    named([
        ("floats", synthesis(1, 5, [6, 7, 6], 0x30)),
        ("bytes", synthesis(1, 1, [6, 6, 6], 0x10)),
        ("shorts", synthesis(5, 2, [8, 5, 6], 0)),
        ("halves", synthesis(2, 4, [6, 6, 6], 0)),
        ("doubles-of-three-slices", synthesis(6, 6, [6, 6, 7], 0)),
        ("raw", raw()),
        ("cancelled", cancelled),
        ("init", vec![0, 7, 0, 0, 1, 7, 3, 0, 0, 0, 20, 0, 0]),
        ("load", [&[2, 1][..], &[0; 64], &[2, 0], &[0; 64], &[2, 5], b"no such file"].concat()),
        ("from-memory", vec![3, 3, 3, 1, 9, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 3, 0]),
        ("from-memory-garbage", [&[3, 2][..], b"\x08\x08\x3a\x02\x0a\x00"].concat()),
        ("default", vec![4, 9, 0, 0, 0, 1, 4, 1, 0, 0, 0, 1, 6, 3, 0, 0, 0]),
        ("info", [&[5, 2][..], b"source"].concat()),
    ])
}
