//! The exact Euclidean distance transform, in linear time (Felzenszwalb and Huttenlocher 2012, Theory of Computing 8).

use super::field::Field;

/// The squared distance in millimetres that stands for "nothing in reach".
const FAR: f32 = 1e6;

/// For each voxel, the distance in millimetres to the nearest voxel centre that `is_inside`; at most 1000.
pub fn distance_to(dims: [usize; 3], sizes: [f32; 3], is_inside: impl Fn(usize) -> bool) -> Field {
    let count = dims.iter().product();
    let values = (0..count).map(|at| if is_inside(at) { 0.0 } else { FAR }).collect();
    let mut squared = Field { dims, values };
    let longest = dims.into_iter().max().unwrap_or(0);
    let mut line = Line::with_capacity(longest);
    for axis in 0..3 {
        let step: usize = dims[..axis].iter().product();
        for start in 0..count {
            if (start / step).is_multiple_of(dims[axis]) {
                line.transform(&mut squared.values, start, step, dims[axis], sizes[axis]);
            }
        }
    }
    for value in &mut squared.values {
        *value = value.sqrt();
    }
    squared
}

/// Working memory for one line: the lower envelope of parabolas.
struct Line {
    heights: Vec<f32>,
    /// The voxel at which each parabola of the envelope has its apex.
    apexes: Vec<usize>,
    /// Where each parabola of the envelope starts to be the lowest.
    starts: Vec<f32>,
}

impl Line {
    fn with_capacity(length: usize) -> Self {
        Self {
            heights: Vec::with_capacity(length),
            apexes: Vec::with_capacity(length),
            starts: Vec::with_capacity(length),
        }
    }

    fn transform(&mut self, values: &mut [f32], start: usize, step: usize, length: usize, size: f32) {
        self.heights.clear();
        self.heights.extend((0..length).map(|x| values[start + x * step]));
        if self.heights.iter().all(|&h| h == 0.0) || self.heights.iter().all(|&h| h >= FAR) {
            return;
        }
        self.build_envelope(size * size);
        let mut parabola = 0;
        for x in 0..length {
            while self.starts.get(parabola + 1).is_some_and(|&next| next < x as f32) {
                parabola += 1;
            }
            let apex = self.apexes[parabola];
            let away = x.abs_diff(apex) as f32 * size;
            values[start + x * step] = (away * away + self.heights[apex]).min(FAR);
        }
    }

    fn build_envelope(&mut self, scale: f32) {
        self.apexes.clear();
        self.starts.clear();
        for x in 0..self.heights.len() {
            let mut from = f32::NEG_INFINITY;
            while let (Some(&apex), Some(&start)) = (self.apexes.last(), self.starts.last()) {
                from = self.crossing(apex, x, scale);
                if from > start {
                    break;
                }
                self.apexes.pop();
                self.starts.pop();
                from = f32::NEG_INFINITY;
            }
            self.apexes.push(x);
            self.starts.push(from);
        }
    }

    /// Where the parabola at `right` becomes lower than the one at `left`.
    fn crossing(&self, left: usize, right: usize, scale: f32) -> f32 {
        let (l, r) = (left as f32, right as f32);
        let rise = (self.heights[right] - self.heights[left]) / scale;
        (rise + r * r - l * l) / (2.0 * (r - l))
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::index;
    use super::*;

    #[test]
    fn agrees_with_brute_force_on_an_anisotropic_grid() {
        let (dims, sizes) = ([7, 6, 5], [1.0, 0.8, 1.5]);
        let points = [[1, 2, 3], [6, 0, 0], [3, 5, 4]];
        let inside: Vec<usize> = points.iter().map(|&p| index(dims, p)).collect();
        let field = distance_to(dims, sizes, |at| inside.contains(&at));
        for (i, j, k) in (0..7).flat_map(|i| (0..6).flat_map(move |j| (0..5).map(move |k| (i, j, k)))) {
            let to = |p: &[usize; 3]| {
                let d = [0, 1, 2].map(|a| (p[a] as f32 - [i, j, k][a] as f32) * sizes[a]);
                d.iter().map(|v| v * v).sum::<f32>().sqrt()
            };
            let expected = points.iter().map(to).fold(f32::INFINITY, f32::min);
            assert!((field.values[index(dims, [i, j, k])] - expected).abs() < 1e-3);
        }
    }

    #[test]
    fn nothing_inside_is_far_everywhere() {
        let field = distance_to([3, 3, 3], [1.0; 3], |_| false);
        assert!(field.values.iter().all(|&d| d >= 999.0));
    }
}
