//! What can be had without a network: the source as it is, and its intensities looked up in a table.

use mrisynth::{Contrast, Volume};
use rayon::prelude::*;

use crate::data::store::Subject;
use crate::error::Error;

/// Entries of a table: the stored integers' upper eight bits.
const ENTRIES: usize = 256;
const SHIFT: u32 = 8;
/// The largest stored integer.
const LARGEST: f64 = 65535.0;

/// The target's mean intensity for each intensity of the source: of all maps that see one voxel and no neighbours, and know
/// nothing but intensities, the one with the least mean squared error on the subjects that it was learned from.
#[derive(Clone, Debug, PartialEq)]
pub struct IntensityMap(Vec<f32>);

impl IntensityMap {
    /// Learns the table from the brains of these subjects.
    ///
    /// # Errors
    /// [`Error::Data`] if they hold no brain.
    pub fn learn(subjects: &[Subject], source: Contrast, target: Contrast) -> Result<Self, Error> {
        // Whole numbers, so that the order of the sums does not matter.
        let empty = || vec![(0_u64, 0_u64); ENTRIES];
        let of = |subject: &Subject| {
            let mut sums = empty();
            for (&source, &target) in subject.contrast(source).iter().zip(subject.contrast(target)) {
                if (source != 0 || target != 0)
                    && let Some((sum, count)) = sums.get_mut(usize::from(source >> SHIFT))
                {
                    *sum += u64::from(target);
                    *count += 1;
                }
            }
            sums
        };
        let sums = subjects.par_iter().map(of).reduce(empty, |mut one, other| {
            for (one, other) in one.iter_mut().zip(other) {
                *one = (one.0 + other.0, one.1 + other.1);
            }
            one
        });
        let known: Vec<(usize, f32)> = sums
            .iter()
            .enumerate()
            .filter(|(_, (_, count))| *count > 0)
            .map(|(entry, (sum, count))| (entry, (*sum as f64 / *count as f64 / LARGEST) as f32))
            .collect();
        // An intensity that was not met gets the value of the nearest one that was.
        let nearest = |entry: usize| known.iter().min_by_key(|(other, _)| other.abs_diff(entry));
        let table = (0..ENTRIES).map(|entry| nearest(entry).map(|(_, value)| *value));
        let table: Option<Vec<f32>> = table.collect();
        table.map(Self).ok_or_else(|| Error::Data("no subject to learn intensities from".into()))
    }

    /// A subject's source with its intensities replaced; the background gets a value too, which no score looks at.
    ///
    /// # Errors
    /// Those of [`Volume::new`].
    pub fn apply(&self, subject: &Subject, source: Contrast) -> Result<Volume, Error> {
        let mapped = subject
            .contrast(source)
            .mapv(|value| self.0.get(usize::from(value >> SHIFT)).copied().unwrap_or_default());
        Ok(Volume::new(mapped, *subject.volume(source)?.affine())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::store::Origin;
    use ndarray::Array3;

    fn subject(map: impl Fn(u16) -> u16) -> Subject {
        let t2w = Array3::from_shape_fn((16, 16, 8), |(i, j, k)| {
            if k == 0 { 0 } else { 256 * (40 + 16 * (j % 4) as u16 + (i % 16) as u16) }
        });
        let t1w = t2w.mapv(|value| if value == 0 { 0 } else { map(value) });
        Subject { id: "a".into(), patient: "a".into(), origin: Origin::Simulated, t1w, t2w }
    }

    #[test]
    fn a_map_of_intensities_is_learned_whatever_its_shape() {
        // Neither monotone nor smooth.
        let map = |value: u16| 30_000 + 20_000 * u16::from((value >> 8).is_multiple_of(3));
        let subjects = [subject(map), subject(map)];
        let learned = IntensityMap::learn(&subjects, Contrast::T2w, Contrast::T1w).unwrap();
        let (found, expected) =
            (learned.apply(&subjects[0], Contrast::T2w).unwrap(), subjects[0].volume(Contrast::T1w).unwrap());
        for (found, expected) in found.as_slice().iter().zip(expected.as_slice()) {
            assert!(*expected == 0.0 || (found - expected).abs() < 1e-6, "{found} instead of {expected}");
        }
        assert_eq!(found.grid(), expected.grid());
    }

    #[test]
    fn where_the_target_varies_its_mean_is_learned_and_gaps_are_filled() {
        let subjects = [subject(|_| 10_000), subject(|_| 20_000)];
        let learned = IntensityMap::learn(&subjects, Contrast::T2w, Contrast::T1w).unwrap();
        assert!(learned.0.iter().all(|value| (value - 15_000.0 / 65535.0).abs() < 1e-6));
        assert!(IntensityMap::learn(&[], Contrast::T2w, Contrast::T1w).is_err());
    }
}
