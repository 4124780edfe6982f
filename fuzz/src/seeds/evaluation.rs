//! Pairs of images, as `targets::evaluation` reads them.

use super::named;
use crate::Seed;

/// Options; 12 x 12 x 10 voxels of 1 mm; which parts there are; then a kind, a scale and a seed for each image.
fn pair(options: u8, parts: u8, kinds: &[u8]) -> Vec<u8> {
    let mut bytes = vec![options, 11, 11, 9, 16, 16, 16, parts];
    for (&kind, seed) in kinds.iter().zip(1..) {
        bytes.push(kind);
        bytes.extend(0.5_f32.to_le_bytes());
        bytes.push(seed);
    }
    bytes
}

pub(crate) fn pairs() -> Vec<Seed> {
    named([
        ("two-images", pair(8, 0, &[0, 0])),
        ("mask", pair(8 | 2, 1, &[0, 0, 1])),
        ("lesions", pair(8 | 4, 7, &[0, 3, 1, 2, 2])),
        ("labels", pair(8, 24, &[0, 0, 4, 4])),
        ("everything", pair(8 | 2 | 4, 31, &[0, 0, 1, 2, 2, 4, 4])),
        ("constant", pair(8, 0, &[5, 5])),
        ("any-values", pair(0, 0, &[7, 7])),
        ("refused", pair(0, 1, &[6, 0, 3])),
    ])
}
