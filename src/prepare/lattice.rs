//! What the brain extractor reads and writes: voxels of 2 mm, of which eight make the channels of one lattice point of 4 mm.
//!
//! The training crate builds its batches with the same functions.

use crate::memory;
use crate::prepare::normalize::percentile;

/// Voxel size of the volumes that the extractor sees, in millimetres.
pub const SPACING: f64 = 2.0;
/// Each side of a volume must be a multiple of this many voxels: four halvings.
pub const SIZE_MULTIPLE: usize = 16;
/// Voxels of a volume that become the channels of one lattice point.
pub const CHANNELS: usize = 8;
/// Millimetres that the network's output 1 stands for; distances are trained up to this one.
pub const UNIT: f32 = 10.0;
/// The percentiles that become 0 and 1.
const PERCENTILES: [f64; 2] = [0.5, 99.5];

/// Brings intensities to 0..1: of all that are not exactly 0 (which is what no scanner saw, or a tool removed), the
/// 0.5th percentile becomes 0, the 99.5th 1, and what is beyond is clipped. A volume without contrast becomes 0.
pub fn scale(values: &mut [f32]) {
    let mut sorted: Vec<f32> = memory::gathered(values.iter().copied().filter(|value| *value != 0.0));
    let [low, high] = PERCENTILES.map(|percent| percentile(&mut sorted, percent).unwrap_or(0.0));
    let factor = if high > low { 1.0 / (high - low) } else { 0.0 };
    for value in values {
        *value = ((*value - low) * factor).clamp(0.0, 1.0);
    }
}

/// A volume of 2 mm (i fastest, even sides) as channels of the lattice: `[8, nk / 2, nj / 2, ni / 2]`, row-major.
/// Channel 4 c + 2 b + a holds the voxels (2 i + a, 2 j + b, 2 k + c).
pub fn split(values: &[f32], dims: [usize; 3]) -> Vec<f32> {
    let mut channels = memory::filled(values.len(), 0.0);
    let half = dims.map(|length| length / 2);
    for_each_row(half, |channel, row, j, k| {
        let (first, line) = line_of(dims, channel, j, k);
        for (value, i) in channels[row..row + half[0]].iter_mut().zip(0..) {
            *value = values[line + first + 2 * i];
        }
    });
    channels
}

/// The way back from [`split`]; `dims` are those of the volume.
pub fn join(channels: &[f32], dims: [usize; 3]) -> Vec<f32> {
    let mut values = memory::filled(channels.len(), 0.0);
    let half = dims.map(|length| length / 2);
    for_each_row(half, |channel, row, j, k| {
        let (first, line) = line_of(dims, channel, j, k);
        for (value, i) in channels[row..row + half[0]].iter().zip(0..) {
            values[line + first + 2 * i] = *value;
        }
    });
    values
}

/// Calls `work` with channel, position of the row's first value, j and k for each row of the lattice.
fn for_each_row(half: [usize; 3], mut work: impl FnMut(usize, usize, usize, usize)) {
    let mut row = 0;
    for channel in 0..CHANNELS {
        for k in 0..half[2] {
            for j in 0..half[1] {
                work(channel, row, j, k);
                row += half[0];
            }
        }
    }
}

/// For a row of the lattice, the first voxel along i, and where its line starts in the volume.
fn line_of(dims: [usize; 3], channel: usize, j: usize, k: usize) -> (usize, usize) {
    let (a, b, c) = (channel & 1, channel >> 1 & 1, channel >> 2);
    (a, ((2 * k + c) * dims[1] + 2 * j + b) * dims[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_the_corners_of_a_lattice_point_and_joining_undoes_splitting() {
        let dims = [4, 6, 2];
        let values: Vec<f32> = (0..48).map(|at| at as f32).collect();
        let channels = split(&values, dims);
        // Lattice (1, 2, 0), channel 7: voxel (3, 5, 1).
        assert_eq!(channels[7 * 6 + 2 * 2 + 1], (3 + 4 * (5 + 6)) as f32);
        // Lattice (0, 1, 0), channel 2: voxel (0, 3, 0).
        assert_eq!(channels[2 * 6 + 2], 12.0);
        assert_eq!(join(&channels, dims), values);
    }

    #[test]
    fn scaling_is_robust_and_survives_constants() {
        let mut values: Vec<f32> = (0..=1000).map(|v| v as f32 + 100.0).collect();
        values[1000] = 1e9;
        values.extend([0.0; 5000]);
        scale(&mut values);
        assert_eq!(
            (values[0], values[5], values[995], values[1000], values[1001]),
            (0.0, 0.0, 1.0, 1.0, 0.0)
        );
        assert!((values[500] - 0.5).abs() < 1e-3);
        let mut constant = vec![7.0; 9];
        scale(&mut constant);
        assert_eq!(constant, [0.0; 9]);
    }
}
