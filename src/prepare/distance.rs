//! The exact Euclidean distance transform on voxels of any size, in linear time (Felzenszwalb and Huttenlocher 2012,
//! "Distance transforms of sampled functions", Theory of Computing 8).

use rayon::prelude::*;

use crate::memory;

/// The squared distance in millimetres that stands for "nothing in reach".
const FAR: f32 = 1e6;

/// For each voxel (i fastest), the distance in millimetres to the nearest voxel centre for which `is_inside` holds; at
/// most 1000. `sizes` are the voxel's in millimetres. On all threads of the current pool.
pub fn distance_to(dims: [usize; 3], sizes: [f32; 3], is_inside: impl Fn(usize) -> bool + Sync) -> Vec<f32> {
    let [ni, nj, nk] = dims;
    let slice = ni * nj;
    // Along k first, with the columns side by side, so that threads can share them out.
    let mut columns = memory::filled(slice * nk, FAR);
    columns.par_chunks_mut(nk).enumerate().for_each_init(Line::default, |line, (start, column)| {
        for (k, value) in column.iter_mut().enumerate() {
            *value = if is_inside(start + k * slice) { 0.0 } else { FAR };
        }
        line.transform(column, 0, 1, nk, sizes[2]);
    });
    let mut squared = memory::filled(slice * nk, 0.0);
    squared.par_chunks_mut(slice).enumerate().for_each_init(Line::default, |line, (k, values)| {
        for (at, value) in values.iter_mut().enumerate() {
            *value = columns[at * nk + k];
        }
        (0..nj).for_each(|j| line.transform(values, j * ni, 1, ni, sizes[0]));
        (0..ni).for_each(|i| line.transform(values, i, ni, nj, sizes[1]));
        values.iter_mut().for_each(|value| *value = value.sqrt());
    });
    squared
}

/// Working memory for one line: the lower envelope of parabolas.
#[derive(Default)]
struct Line {
    heights: Vec<f32>,
    /// The voxel at which each parabola of the envelope has its apex.
    apexes: Vec<usize>,
    /// Where each parabola of the envelope starts to be the lowest.
    starts: Vec<f32>,
}

impl Line {
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
    use super::*;

    #[test]
    fn agrees_with_brute_force_on_an_anisotropic_grid() {
        let (dims, sizes) = ([7, 6, 5], [1.0, 0.8, 1.5]);
        let points = [[1, 2, 3], [6, 0, 0], [3, 5, 4]];
        let index = |[i, j, k]: [usize; 3]| i + 7 * (j + 6 * k);
        let inside: Vec<usize> = points.iter().map(|&point| index(point)).collect();
        let distances = distance_to(dims, sizes, |at| inside.contains(&at));
        for (i, j, k) in (0..7).flat_map(|i| (0..6).flat_map(move |j| (0..5).map(move |k| (i, j, k)))) {
            let to = |point: &[usize; 3]| {
                let away = [0, 1, 2].map(|a| (point[a] as f32 - [i, j, k][a] as f32) * sizes[a]);
                away.iter().map(|v| v * v).sum::<f32>().sqrt()
            };
            let expected = points.iter().map(to).fold(f32::INFINITY, f32::min);
            assert!((distances[index([i, j, k])] - expected).abs() < 1e-3);
        }
    }

    #[test]
    fn nothing_inside_is_far_everywhere() {
        assert!(distance_to([3, 3, 3], [1.0; 3], |_| false).iter().all(|&distance| distance >= 999.0));
    }
}
