//! Otsu's threshold: the head, where nothing better is known.

use ndarray::{Array3, Zip};

use crate::Volume;
use crate::memory::in_memory_order;

/// Bins of the histogram, as SimpleITK users give it for N4.
const BINS: usize = 200;
/// ITK's histogram reaches beyond the highest value by this share of a bin (`MarginalScale`).
const MARGIN: f64 = 1.0 / 100.0;

/// The voxels above Otsu's threshold (1979, "A threshold selection method from gray-level histograms"), as ITK's
/// `OtsuThresholdImageFilter` finds it with 200 bins: the upper edge of the bin that splits the histogram into the two
/// classes farthest apart. In a scan with its skull that is the head without bone and air. Voxels that are not finite
/// numbers are left out; nothing is above the threshold of a constant image.
pub fn otsu_mask(scan: &Volume) -> Array3<bool> {
    let mut mask = in_memory_order(scan.voxels().dim(), false);
    if let Some(threshold) = threshold(scan.as_slice()) {
        Zip::from(&mut mask).and(scan.voxels()).for_each(|inside, value| {
            *inside = value.is_finite() && *value > threshold;
        });
    }
    mask
}

/// None if there are no two different values.
fn threshold(values: &[f32]) -> Option<f32> {
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (lowest, highest) = finite()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let (lowest, range) = (f64::from(lowest), f64::from(highest) - f64::from(lowest));
    // Also false for no value at all.
    if !(range > 0.0 && range.is_finite()) {
        return None;
    }
    let width = range * (1.0 + MARGIN / BINS as f64) / BINS as f64;
    let mut counts = [0_u64; BINS];
    for value in finite() {
        let bin = ((f64::from(value) - lowest) / width) as usize;
        counts[bin.min(BINS - 1)] += 1;
    }
    let split = best_split(&counts)?;
    Some((lowest + (split + 1) as f64 * width) as f32)
}

/// The last bin of the lower class; the first one of equals.
fn best_split(counts: &[u64]) -> Option<usize> {
    let total: u64 = counts.iter().sum();
    // Bin numbers serve as intensities: the classes' distance in them has its largest value at the same bin.
    let moment: f64 = counts.iter().enumerate().map(|(bin, count)| bin as f64 * *count as f64).sum();
    let (mut below, mut moment_below) = (0, 0.0);
    let mut best = None;
    for (bin, count) in counts.iter().enumerate() {
        below += count;
        moment_below += bin as f64 * *count as f64;
        if below == 0 || below == total {
            continue;
        }
        let (n_below, n_above) = (below as f64, (total - below) as f64);
        let apart = moment_below / n_below - (moment - moment_below) / n_above;
        let variance = n_below * n_above * apart * apart;
        if best.is_none_or(|(_, largest)| variance > largest) {
            best = Some((bin, variance));
        }
    }
    best.map(|(bin, _)| bin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Affine;

    fn mask_of(values: Vec<f32>) -> Vec<bool> {
        let affine = Affine::from_sizes([1.0; 3], [0.0; 3]).unwrap();
        let voxels = Array3::from_shape_vec((values.len(), 1, 1), values).unwrap();
        otsu_mask(&Volume::new(voxels, affine).unwrap()).into_iter().collect()
    }

    #[test]
    fn two_classes_are_told_apart() {
        let mask = mask_of(vec![1.0, 2.0, 3.0, 90.0, 95.0, 100.0, f32::NAN, f32::INFINITY]);
        assert_eq!(mask, [false, false, false, true, true, true, false, false]);
    }

    #[test]
    fn constant_and_unusable_images_have_no_head() {
        for values in [vec![7.0; 5], vec![f32::NAN; 5], vec![0.0], vec![f32::INFINITY, 1.0]] {
            assert!(mask_of(values).iter().all(|inside| !inside));
        }
    }
}
