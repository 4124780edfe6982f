//! Scalar fields on a voxel grid: sampling, separable linear operators (blur, resampling) and smooth random fields.

use rand::RngExt;
use rand_distr::StandardNormal;

use super::Random;

/// Standard deviation of one weight sum of a 3D cubic B-spline over white noise, averaged over positions:
/// (151/315)^(3/2), from the integral of the squared B-spline.
const SPLINE_NOISE_DEVIATION: f32 = 0.3319;
/// A Gaussian's weights are cut off this many standard deviations from its centre.
const GAUSSIAN_REACH: f32 = 3.0;

/// Float values on a grid, i fastest in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Voxels along i, j, k.
    pub dims: [usize; 3],
    /// The values, i fastest.
    pub values: Vec<f32>,
}

impl Field {
    /// The same value everywhere.
    pub fn filled(dims: [usize; 3], value: f32) -> Self {
        Self { dims, values: vec![value; dims.iter().product()] }
    }

    /// Smooth Gaussian noise of mean 0 and variance 1, whose structures are about `spacing` voxels wide.
    pub fn noise(dims: [usize; 3], spacing: f32, random: &mut Random) -> Self {
        let bands = dims.map(|length| Band::spline(length, spacing));
        let knots = [0, 1, 2].map(|axis| bands[axis].inputs);
        let count = knots.iter().product();
        let white = (0..count).map(|_| {
            let value: f32 = random.sample(StandardNormal);
            value / SPLINE_NOISE_DEVIATION
        });
        let mut field = Self { dims: knots, values: white.collect() };
        // Slowest axis first keeps the intermediate fields small.
        for axis in [2, 1, 0] {
            field = bands[axis].apply(&field, axis);
        }
        field
    }

    /// The value by linear interpolation at a fractional voxel index; outside, that of the nearest face.
    pub fn sample(&self, at: [f32; 3]) -> f32 {
        let mut low = [0; 3];
        let mut high = [0; 3];
        let mut part = [0.0; 3];
        for axis in 0..3 {
            let last = self.dims[axis] - 1;
            let inside = at[axis].clamp(0.0, last as f32);
            low[axis] = (inside as usize).min(last);
            high[axis] = (low[axis] + 1).min(last);
            part[axis] = inside - low[axis] as f32;
        }
        let value = |i: usize, j: usize, k: usize| self.values[index(self.dims, [i, j, k])];
        let along_i = |j: usize, k: usize| mix(value(low[0], j, k), value(high[0], j, k), part[0]);
        let along_j = |k: usize| mix(along_i(low[1], k), along_i(high[1], k), part[1]);
        mix(along_j(low[2]), along_j(high[2]), part[2])
    }

    /// Blurred with a Gaussian of these standard deviations, in voxels along each axis.
    pub fn blurred(self, deviations: [f32; 3]) -> Self {
        let mut field = self;
        for (axis, deviation) in deviations.into_iter().enumerate() {
            if deviation > 0.05 {
                field = Band::gaussian(field.dims[axis], deviation).apply(&field, axis);
            }
        }
        field
    }
}

/// Position in memory of voxel (i, j, k), i fastest.
pub fn index(dims: [usize; 3], at: [usize; 3]) -> usize {
    at[0] + dims[0] * (at[1] + dims[1] * at[2])
}

/// From `a` (at 0) to `b` (at 1).
pub fn mix(a: f32, b: f32, part: f32) -> f32 {
    a + (b - a) * part
}

/// 0 below `from`, 1 above `to`, and smooth between.
pub fn smooth_step(from: f32, to: f32, value: f32) -> f32 {
    let t = ((value - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// A linear operator along one axis, each of whose outputs depends on a few neighbouring inputs.
pub struct Band {
    inputs: usize,
    /// For each output, its first input and the weights from there on.
    rows: Vec<(usize, Vec<f32>)>,
}

impl Band {
    /// A Gaussian blur that keeps constants, also at the ends.
    pub fn gaussian(length: usize, deviation: f32) -> Self {
        let centres = (0..length).map(|output| output as f32);
        Self { inputs: length, rows: centres.map(|c| gaussian_row(length, c, deviation)).collect() }
    }

    /// Slices of a scan at `positions` (in voxels), each with a Gaussian profile.
    pub fn slices(length: usize, positions: &[f32], deviation: f32) -> Self {
        let rows = positions.iter().map(|&position| gaussian_row(length, position, deviation));
        Self { inputs: length, rows: rows.collect() }
    }

    /// From slices back to voxels by cubic (Catmull-Rom) interpolation: slice m is at voxel `first + m * spacing`.
    pub fn between_slices(slices: usize, length: usize, first: f32, spacing: f32) -> Self {
        let row = |voxel: usize| {
            let position = ((voxel as f32 - first) / spacing).clamp(0.0, (slices - 1) as f32);
            let base = position.floor();
            clamped_row(slices, base as isize - 1, &catmull_rom(position - base))
        };
        Self { inputs: slices, rows: (0..length).map(row).collect() }
    }

    /// From coefficients every `spacing` voxels to voxels, by a cubic B-spline.
    fn spline(length: usize, spacing: f32) -> Self {
        let inputs = (length as f32 / spacing).ceil() as usize + 4;
        let row = |voxel: usize| {
            let position = voxel as f32 / spacing;
            let base = position.floor();
            (base as usize, cubic_b_spline(position - base).to_vec())
        };
        Self { inputs, rows: (0..length).map(row).collect() }
    }

    /// The operator applied to every line along `axis`, whose length it may change.
    pub fn apply(&self, field: &Field, axis: usize) -> Field {
        debug_assert_eq!(field.dims[axis], self.inputs);
        let inner: usize = field.dims[..axis].iter().product();
        let mut dims = field.dims;
        dims[axis] = self.rows.len();
        let mut result = Field::filled(dims, 0.0);
        let sources = field.values.chunks_exact(inner * self.inputs);
        let targets = result.values.chunks_exact_mut(inner * self.rows.len());
        for (source, target) in sources.zip(targets) {
            if inner == 1 { self.apply_line(source, target) } else { self.apply_rows(source, target, inner) }
        }
        result
    }

    fn apply_line(&self, source: &[f32], target: &mut [f32]) {
        for ((first, weights), value) in self.rows.iter().zip(target) {
            *value = weights.iter().zip(&source[*first..]).map(|(w, v)| w * v).sum();
        }
    }

    fn apply_rows(&self, source: &[f32], target: &mut [f32], inner: usize) {
        for ((first, weights), row) in self.rows.iter().zip(target.chunks_exact_mut(inner)) {
            for (tap, weight) in weights.iter().enumerate() {
                let start = (first + tap) * inner;
                for (value, input) in row.iter_mut().zip(&source[start..start + inner]) {
                    *value += weight * input;
                }
            }
        }
    }
}

fn gaussian_row(length: usize, centre: f32, deviation: f32) -> (usize, Vec<f32>) {
    let reach = (GAUSSIAN_REACH * deviation).max(1.0);
    let last = length - 1;
    let first = ((centre - reach).ceil().max(0.0) as usize).min(last);
    let end = ((centre + reach).floor().max(0.0) as usize).clamp(first, last);
    let weight = |voxel: usize| (-0.5 * ((voxel as f32 - centre) / deviation).powi(2)).exp();
    let weights: Vec<f32> = (first..=end).map(weight).collect();
    let sum: f32 = weights.iter().sum();
    if sum > 0.0 { (first, weights.iter().map(|w| w / sum).collect()) } else { (first, vec![1.0]) }
}

/// Taps that lie outside fold onto the first or last input.
fn clamped_row(inputs: usize, start: isize, weights: &[f32]) -> (usize, Vec<f32>) {
    let last = inputs as isize - 1;
    let place = |tap: usize| (start + tap as isize).clamp(0, last) as usize;
    let first = place(0);
    let mut folded = vec![0.0; place(weights.len() - 1) - first + 1];
    for (tap, weight) in weights.iter().enumerate() {
        folded[place(tap) - first] += weight;
    }
    (first, folded)
}

/// Weights of the four coefficients around a position `t` after the second, for a uniform cubic B-spline.
fn cubic_b_spline(t: f32) -> [f32; 4] {
    let s = 1.0 - t;
    [
        s * s * s / 6.0,
        (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0,
        (4.0 - 6.0 * s * s + 3.0 * s * s * s) / 6.0,
        t * t * t / 6.0,
    ]
}

/// Weights of the four values around a position `t` after the second, for Catmull-Rom interpolation.
fn catmull_rom(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [
        0.5 * (-t + 2.0 * t2 - t3),
        0.5 * (2.0 - 5.0 * t2 + 3.0 * t3),
        0.5 * (t + 4.0 * t2 - 3.0 * t3),
        0.5 * (t3 - t2),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_mean_0_and_variance_1() {
        let field = Field::noise([60, 60, 60], 2.5, &mut Random::new(3, 0));
        let count = field.values.len() as f32;
        let mean: f32 = field.values.iter().sum::<f32>() / count;
        let variance: f32 = field.values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / count;
        assert!(mean.abs() < 0.1, "{mean}");
        assert!((variance - 1.0).abs() < 0.15, "{variance}");
    }

    #[test]
    fn operators_keep_constants() {
        let ones = Field::filled([7, 8, 9], 1.0);
        let slices = Band::slices(9, &[0.4, 3.4, 6.4], 1.2);
        let back = Band::between_slices(3, 9, 0.4, 3.0);
        let field = back.apply(&slices.apply(&ones.clone().blurred([0.7, 1.5, 0.0]), 2), 2);
        assert_eq!(field.dims, ones.dims);
        assert!(field.values.iter().all(|v| (v - 1.0).abs() < 1e-5));
    }

    #[test]
    fn sampling_is_linear_between_and_constant_outside() {
        let mut field = Field::filled([3, 2, 2], 0.0);
        for (at, value) in field.values.iter_mut().enumerate() {
            *value = (at % 3) as f32;
        }
        assert!((field.sample([1.25, 0.5, 0.9]) - 1.25).abs() < 1e-6);
        assert_eq!(field.sample([9.0, -4.0, 0.0]), 2.0);
    }

    #[test]
    fn a_blurred_point_keeps_its_sum() {
        let mut field = Field::filled([21, 21, 21], 0.0);
        field.values[index([21, 21, 21], [10, 10, 10])] = 1.0;
        let sum: f32 = field.blurred([1.5, 1.0, 2.0]).values.iter().sum();
        assert!((sum - 1.0).abs() < 1e-3);
    }
}
