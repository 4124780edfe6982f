//! Mutual information of two images and its gradient, as Mattes et al. have it ("PET-CT image registration in the chest
//! using free-form deformations", IEEE Trans. Med. Imaging 22 (2003) 120-128): the moving image's histogram is smoothed
//! by a cubic B-spline, so that it can be differentiated; the fixed image's is not.

use glam::{DMat3, DVec3};
use rayon::prelude::*;

use super::level::{Level, Value};
use super::pose::{Pose, Slope};
use crate::{Result, Watch, memory};

/// Bins of each image's histogram.
pub(super) const BINS: usize = 32;
/// Points that one task sums up. Its size decides the order of the sums, and so must not hang on the number of threads.
const CHUNK: usize = 2048;

/// Points of the fixed space with the fixed image's intensity.
pub(super) struct Samples {
    /// From which positions are taken, in millimetres.
    pub(super) centre: DVec3,
    pub(super) positions: Vec<[f32; 3]>,
    bins: Vec<u8>,
}

impl Samples {
    pub(super) fn new(centre: DVec3) -> Self {
        Self { centre, positions: Vec::new(), bins: Vec::new() }
    }

    /// Adds a point (millimetres) where the fixed image is `value`, 0..=1.
    pub(super) fn push(&mut self, point: DVec3, value: f32) {
        memory::push(&mut self.positions, (point - self.centre).as_vec3().to_array());
        memory::push(&mut self.bins, (value.clamp(0.0, 1.0) * (BINS - 1) as f32).round() as u8);
    }

    pub(super) fn len(&self) -> usize {
        self.positions.len()
    }

    /// The samples that `pose` brings to where `inside` is at least one half, and the share of all samples that it brings
    /// into view.
    pub(super) fn inside(&self, inside: &Level, pose: &Pose) -> (Self, f64) {
        let map = IndexMap::new(inside, pose);
        let mut both = Self::new(self.centre);
        let mut in_view = 0.0;
        for (position, bin) in self.positions.iter().zip(&self.bins) {
            let value = inside.at(map.apply(*position));
            in_view += f64::from(value.weight);
            if value.value * value.weight >= 0.5 {
                memory::push(&mut both.positions, *position);
                memory::push(&mut both.bins, *bin);
            }
        }
        (both, in_view / self.len().max(1) as f64)
    }
}

/// How alike the two images are under one pose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Likeness {
    /// Mutual information in nats.
    pub(super) information: f64,
    /// Twice the mutual information over the sum of the entropies: 0 where the images are independent, 1 where each
    /// follows from the other.
    pub(super) share: f64,
    /// The share of the points that lie in the moving image's field of view.
    pub(super) in_view: f64,
}

/// A joint histogram: row by row the fixed bins, in each row the moving ones.
type Joint = Vec<f64>;

/// The likeness of `moving` to the samples under `pose`.
///
/// # Errors
/// [`crate::Error::Cancelled`].
pub(super) fn likeness(samples: &Samples, moving: &Level, pose: &Pose, watch: &Watch) -> Result<Likeness> {
    watch.check()?;
    let map = IndexMap::new(moving, pose);
    let joint = joint_histogram(samples, |position| moving.at(map.apply(position)));
    Ok(Histograms::new(joint).likeness(samples.len()))
}

/// The likeness, and the derivative of the mutual information by the pose.
///
/// # Errors
/// [`crate::Error::Cancelled`].
pub(super) fn likeness_and_slope(
    samples: &Samples,
    moving: &Level,
    pose: &Pose,
    watch: &Watch,
) -> Result<(Likeness, Slope)> {
    watch.check()?;
    let map = IndexMap::new(moving, pose);
    let mut values = memory::filled(samples.len(), Value::default());
    values.par_chunks_mut(CHUNK).zip(samples.positions.par_chunks(CHUNK)).for_each(|(values, positions)| {
        for (value, position) in values.iter_mut().zip(positions) {
            *value = moving.at(map.apply(*position));
        }
    });
    let histograms = Histograms::new(joint_of(&samples.bins, &values));
    let slope = slope(samples, &values, &histograms, &map);
    Ok((histograms.likeness(samples.len()), slope))
}

/// From a sample's position to the moving image's fractional voxel index.
struct IndexMap {
    columns: [[f32; 3]; 3],
    offset: [f32; 3],
    /// From millimetres of the moving space to its indices.
    to_index: DMat3,
}

impl IndexMap {
    fn new(moving: &Level, pose: &Pose) -> Self {
        let rows = moving.affine.rows();
        let column = |j: usize| DVec3::new(rows[0][j], rows[1][j], rows[2][j]);
        let to_index = DMat3::from_cols(column(0), column(1), column(2)).inverse();
        let matrix = to_index * pose.matrix;
        let offset = to_index * (pose.middle - column(3));
        Self {
            columns: [0, 1, 2].map(|j| matrix.col(j).as_vec3().to_array()),
            offset: offset.as_vec3().to_array(),
            to_index,
        }
    }

    fn apply(&self, [x, y, z]: [f32; 3]) -> [f32; 3] {
        let [a, b, c] = &self.columns;
        [0, 1, 2].map(|r| a[r] * x + b[r] * y + c[r] * z + self.offset[r])
    }
}

/// Where a value lies among the moving bins: the first of the four that it counts in, and how far it is beyond the second.
fn bin_of(value: f32) -> (usize, f64) {
    // Bins at both ends take the spline's feet.
    let position = 1.0 + f64::from(value.clamp(0.0, 1.0)) * (BINS as f64 - 3.001);
    // A cast rounds down what is above 0, without a call of a function.
    let bin = position as usize;
    (bin - 1, position - bin as f64)
}

/// The cubic B-spline's weights for the four bins around a value that is `t` beyond the second.
fn spline(t: f64) -> [f64; 4] {
    let s = 1.0 - t;
    [
        s * s * s / 6.0,
        2.0 / 3.0 - t * t * (2.0 - t) / 2.0,
        2.0 / 3.0 - s * s * (2.0 - s) / 2.0,
        t * t * t / 6.0,
    ]
}

/// The derivative of [`spline`] by `t`.
fn spline_slope(t: f64) -> [f64; 4] {
    let s = 1.0 - t;
    [-s * s / 2.0, t * (1.5 * t - 2.0), -s * (1.5 * s - 2.0), t * t / 2.0]
}

fn joint_histogram(samples: &Samples, value_at: impl Fn([f32; 3]) -> Value + Sync) -> Joint {
    let chunks = samples.positions.par_chunks(CHUNK).zip(samples.bins.par_chunks(CHUNK));
    let parts: Vec<Joint> = chunks
        .map(|(positions, bins)| {
            let mut joint = vec![0.0; BINS * BINS];
            for (position, bin) in positions.iter().zip(bins) {
                count(&mut joint, *bin, &value_at(*position));
            }
            joint
        })
        .collect();
    sum(parts)
}

fn joint_of(bins: &[u8], values: &[Value]) -> Joint {
    let chunks = bins.par_chunks(CHUNK).zip(values.par_chunks(CHUNK));
    let parts: Vec<Joint> = chunks
        .map(|(bins, values)| {
            let mut joint = vec![0.0; BINS * BINS];
            bins.iter().zip(values).for_each(|(bin, value)| count(&mut joint, *bin, value));
            joint
        })
        .collect();
    sum(parts)
}

fn count(joint: &mut Joint, bin: u8, value: &Value) {
    if value.weight > 0.0 {
        let (first, t) = bin_of(value.value);
        let start = usize::from(bin) * BINS + first;
        let weight = f64::from(value.weight);
        joint[start..start + 4].iter_mut().zip(spline(t)).for_each(|(cell, share)| *cell += weight * share);
    }
}

fn sum(parts: Vec<Joint>) -> Joint {
    let mut total = vec![0.0; BINS * BINS];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
    }
    total
}

/// Joint and marginal probabilities.
struct Histograms {
    joint: Joint,
    fixed: Vec<f64>,
    moving: Vec<f64>,
    /// The weights of all samples in view.
    total: f64,
}

impl Histograms {
    fn new(mut joint: Joint) -> Self {
        let total: f64 = joint.iter().sum();
        if total > 0.0 {
            joint.iter_mut().for_each(|cell| *cell /= total);
        }
        let fixed = joint.chunks(BINS).map(|row| row.iter().sum()).collect();
        let mut moving = vec![0.0; BINS];
        for row in joint.chunks(BINS) {
            moving.iter_mut().zip(row).for_each(|(sum, cell)| *sum += cell);
        }
        Self { joint, fixed, moving, total }
    }

    fn likeness(&self, samples: usize) -> Likeness {
        let entropy = |p: &[f64]| -> f64 { -p.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum::<f64>() };
        let marginal = entropy(&self.fixed) + entropy(&self.moving);
        let information = marginal - entropy(&self.joint);
        let share = if marginal > 0.0 { 2.0 * information / marginal } else { 0.0 };
        Likeness { information, share, in_view: self.total / samples.max(1) as f64 }
    }

    /// The derivative of the mutual information by a count in a cell, up to what is the same along a row.
    fn by_count(&self) -> Joint {
        let cell = |(n, joint): (usize, &f64)| {
            let moving = self.moving[n % BINS];
            if *joint > 0.0 && moving > 0.0 { (joint / moving).ln() / self.total } else { 0.0 }
        };
        self.joint.iter().enumerate().map(cell).collect()
    }
}

/// The derivative of the mutual information by the pose: over each sample, that by its count in four cells, times that of
/// the counts by the moving value, times that of the value by its place, times that of the place by the pose.
fn slope(samples: &Samples, values: &[Value], histograms: &Histograms, map: &IndexMap) -> Slope {
    let by_count = histograms.by_count();
    let chunks = samples.positions.par_chunks(CHUNK).zip(samples.bins.par_chunks(CHUNK));
    let parts: Vec<[f64; 12]> = chunks
        .zip(values.par_chunks(CHUNK))
        .map(|((positions, bins), values)| {
            let mut sums = [0.0; 12];
            for ((position, bin), value) in positions.iter().zip(bins).zip(values) {
                if value.weight > 0.0 {
                    add_sample(&mut sums, position, value, &by_count[usize::from(*bin) * BINS..][..BINS]);
                }
            }
            sums
        })
        .collect();
    let mut sums = [0.0; 12];
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    let back = map.to_index.transpose();
    let column = |j: usize| back * DVec3::from_slice(&sums[3 * j..]);
    Slope { matrix: DMat3::from_cols(column(0), column(1), column(2)), middle: column(3) }
}

fn add_sample(sums: &mut [f64; 12], position: &[f32; 3], value: &Value, by_count: &[f64]) {
    let (first, t) = bin_of(value.value);
    let per_bin: f64 = spline_slope(t).iter().zip(&by_count[first..]).map(|(slope, by)| slope * by).sum();
    let by_value = per_bin * (BINS as f64 - 3.001) * f64::from(value.weight);
    let by_index = value.slope.map(|slope| by_value * f64::from(slope));
    for (column, at) in [position[0], position[1], position[2], 1.0].into_iter().enumerate() {
        let at = f64::from(at);
        sums[3 * column..][..3].iter_mut().zip(by_index).for_each(|(sum, by)| *sum += by * at);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::prepare::register::pose::Freedom;
    use crate::{Affine, Volume};

    #[test]
    fn the_spline_is_a_partition_of_one_with_its_slope() {
        for t in [0.0, 0.25, 0.5, 0.9] {
            assert!((spline(t).iter().sum::<f64>() - 1.0).abs() < 1e-12);
            for ((above, below), slope) in spline(t + 1e-6).iter().zip(spline(t - 1e-6)).zip(spline_slope(t))
            {
                assert!(((above - below) / 2e-6 - slope).abs() < 1e-6);
            }
        }
        // De Boor: at a knot 1/6, 2/3, 1/6.
        assert!(
            spline(0.0)
                .iter()
                .zip([1.0 / 6.0, 2.0 / 3.0, 1.0 / 6.0, 0.0])
                .all(|(a, b)| (a - b).abs() < 1e-12)
        );
    }

    fn waves(at: DVec3) -> f32 {
        (0.5 + 0.2 * (at.x / 5.0).sin() + 0.2 * (at.y / 6.0 + at.z / 9.0).sin()) as f32
    }

    fn scene() -> (Samples, Level, Pose) {
        let affine = Affine::from_sizes([1.5, 2.0, 1.0], [-30.0, -30.0, -20.0]).unwrap();
        let value =
            |(i, j, k)| waves(DVec3::from_array(affine.to_millimetres([i as f64, j as f64, k as f64])));
        let volume = Volume::new(Array3::from_shape_fn((40, 30, 40), value), affine).unwrap();
        let mut samples = Samples::new(DVec3::new(1.0, 2.0, 3.0));
        for n in 0..5000 {
            let n = f64::from(n);
            let point =
                DVec3::new((n * 0.37) % 34.0, (n * 0.61) % 36.0, (n * 0.83) % 26.0) - DVec3::splat(13.0);
            samples.push(point, 1.0 - waves(point).powi(2));
        }
        let pose = Pose { centre: samples.centre, matrix: DMat3::IDENTITY, middle: samples.centre };
        (samples, Level::smoothed(&volume, 0.0), pose)
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let (samples, level, pose) = scene();
        let watch = Watch::default();
        let start: Vec<f64> = (0..12).map(|n| 0.8 * f64::from(n).cos()).collect();
        let at = |moved: &[f64]| pose.moved(Freedom::Affine, moved);
        let (_, slope) = likeness_and_slope(&samples, &level, &at(&start), &watch).unwrap();
        let gradient = pose.gradient(Freedom::Affine, &start, &slope);
        for n in 0..12 {
            let along = |step: f64| {
                let mut moved = start.clone();
                moved[n] += step;
                likeness(&samples, &level, &at(&moved), &watch).unwrap().information
            };
            let difference = (along(0.01) - along(-0.01)) / 0.02;
            assert!(
                (difference - gradient[n]).abs() < 0.02 * gradient[n].abs() + 1e-3,
                "{difference} {}",
                gradient[n]
            );
        }
    }

    #[test]
    fn likeness_is_highest_where_the_images_agree_whatever_their_contrast() {
        let (samples, level, pose) = scene();
        let watch = Watch::default();
        let here = likeness(&samples, &level, &pose, &watch).unwrap();
        assert!(here.share > 0.6 && here.in_view > 0.999, "{here:?}");
        let beside = likeness(&samples, &level, &pose.shifted(DVec3::new(1.5, -1.0, 1.0)), &watch).unwrap();
        assert!(beside.information < here.information);
        let away = likeness(&samples, &level, &pose.shifted(DVec3::splat(500.0)), &watch).unwrap();
        assert_eq!((away.information, away.share, away.in_view), (0.0, 0.0, 0.0));
    }
}
