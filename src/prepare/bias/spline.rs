//! Cubic B-spline lattices over a box: fitted to scattered samples, refined, evaluated.
//!
//! The fit is that of Lee, Wolberg and Shin 1997, "Scattered data interpolation with multilevel B-splines", as in ITK's
//! `itkBSplineScatteredDataPointSetToImageFilter`. Where it sums over the 64 control points around a sample, each weight
//! is a product of one weight per axis, so the sums are taken axis by axis: 4 terms a sample, not 64.

/// Weights of the four uniform cubic B-splines that reach into a span, at a fraction of it.
fn cubic_weights(u: f64) -> [f64; 4] {
    let v = 1.0 - u;
    [
        v * v * v / 6.0,
        (3.0 * u * u * u - 6.0 * u * u + 4.0) / 6.0,
        (3.0 * v * v * v - 6.0 * v * v + 4.0) / 6.0,
        u * u * u / 6.0,
    ]
}

/// Where samples lie on one axis of a lattice's domain: 0 at its start, 1 at its end.
#[derive(Clone, Debug)]
pub(super) struct Positions {
    fractions: Vec<f64>,
    /// The largest fraction that is used, a little before the end (ITK's `BSplineEpsilon`): 1 would need a fifth weight.
    last: f64,
}

impl Positions {
    /// Every `step`-th voxel from `start`, `count` of them, where the domain reaches over voxels `0..=length - 1`.
    pub(super) fn of_voxels(start: usize, step: usize, count: usize, length: usize) -> Self {
        let extent = (length.max(2) - 1) as f64;
        let fractions = (0..count).map(|n| (start + n * step) as f64 / extent).collect();
        Self { fractions, last: 1.0 - 1e-3 / extent }
    }

    /// The basis functions at each position, for an axis of `points` control points.
    pub(super) fn basis(&self, points: usize) -> Basis {
        let spans = (points - 3) as f64;
        let at = |fraction: &f64| {
            let position = spans * fraction.clamp(0.0, self.last);
            let span = position.floor();
            (span as usize, cubic_weights(position - span))
        };
        let (first, weights) = self.fractions.iter().map(at).unzip();
        Basis { points, first, weights }
    }
}

/// The basis functions of one axis at each position on it.
#[derive(Clone, Debug)]
pub(super) struct Basis {
    /// Control points.
    pub(super) points: usize,
    /// The first of the four control points that reach each position.
    pub(super) first: Vec<usize>,
    /// Their weights.
    pub(super) weights: Vec<[f64; 4]>,
}

impl Basis {
    /// The same with `change` of each position's weights.
    pub(super) fn with_weights(&self, change: impl Fn(&[f64; 4]) -> [f64; 4]) -> Self {
        Self {
            points: self.points,
            first: self.first.clone(),
            weights: self.weights.iter().map(change).collect(),
        }
    }

    /// The weights squared: a fit's denominator.
    pub(super) fn squares(&self) -> Self {
        self.with_weights(|weights| weights.map(|w| w * w))
    }

    /// The weights cubed over their sum of squares: a fit's numerator.
    pub(super) fn cubes(&self) -> Self {
        self.with_weights(|weights| {
            let squares: f64 = weights.iter().map(|w| w * w).sum();
            weights.map(|w| w * w * w / squares)
        })
    }

    /// Adds `line`, times each weight at `position`, to the lines of control points that reach it.
    pub(super) fn scatter(&self, position: usize, line: &[f64], onto: &mut [f64]) {
        let start = self.first[position] * line.len();
        let lines = onto[start..].chunks_exact_mut(line.len());
        for (target, weight) in lines.zip(self.weights[position]) {
            for (sum, value) in target.iter_mut().zip(line) {
                *sum += weight * value;
            }
        }
    }

    /// Adds `value`, times each weight at `position`, to the control points that reach it.
    #[inline]
    pub(super) fn scatter_value(&self, position: usize, value: f64, onto: &mut [f64]) {
        let first = self.first[position];
        let points = &mut onto[first..first + 4];
        points.iter_mut().zip(self.weights[position]).for_each(|(sum, weight)| *sum += weight * value);
    }

    /// The sum of the lines of control points that reach `position`, times their weights.
    pub(super) fn gather(&self, position: usize, from: &[f64], line: &mut [f64]) {
        line.fill(0.0);
        let lines = from[self.first[position] * line.len()..].chunks_exact(line.len());
        for (source, weight) in lines.zip(self.weights[position]) {
            for (sum, value) in line.iter_mut().zip(source) {
                *sum += weight * value;
            }
        }
    }

    /// The sum of the four control points that reach `position`, times their weights.
    #[inline]
    pub(super) fn value(&self, position: usize, line: &[f64]) -> f64 {
        let first = self.first[position];
        let points = &line[first..first + 4];
        self.weights[position].iter().zip(points).map(|(w, p)| w * p).sum()
    }
}

/// Control points, i fastest; as many along each axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lattice {
    /// Along each axis.
    pub(super) points: usize,
    pub(super) values: Vec<f64>,
}

impl Lattice {
    pub(super) fn zeros(points: usize) -> Self {
        Self { points, values: vec![0.0; points * points * points] }
    }

    /// Adds the weighted means `numerator / denominator`; control points that no sample reaches stay.
    pub(super) fn add_fit(&mut self, numerator: &[f64], denominator: &[f64]) {
        for (value, (n, d)) in self.values.iter_mut().zip(numerator.iter().zip(denominator)) {
            if *d > 0.0 {
                *value += n / d;
            }
        }
    }

    /// The same function on twice as many spans along each axis.
    pub(super) fn refined(&self) -> Self {
        let (old, new) = (self.points, 2 * self.points - 3);
        // Each pass doubles the slowest axis and makes it the fastest, so three of them double all in the old order.
        let mut values = self.values.clone();
        for _ in 0..3 {
            let lines = values.len() / old;
            let mut doubled = vec![0.0; lines * new];
            for line in 0..lines {
                let at = |n: usize| values[line + n * lines];
                for n in 0..new {
                    let first = n / 2;
                    doubled[line * new + n] = if n % 2 == 0 {
                        (at(first) + at(first + 1)) / 2.0
                    } else {
                        (at(first) + 6.0 * at(first + 1) + at(first + 2)) / 8.0
                    };
                }
            }
            values = doubled;
        }
        Self { points: new, values }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lattice at a position, by the definition: a sum over 64 control points.
    fn at(lattice: &Lattice, bases: &[Basis; 3], index: [usize; 3]) -> f64 {
        let mut sum = 0.0;
        for (c, wk) in bases[2].weights[index[2]].iter().enumerate() {
            for (b, wj) in bases[1].weights[index[1]].iter().enumerate() {
                for (a, wi) in bases[0].weights[index[0]].iter().enumerate() {
                    let [i, j, k] = [0, 1, 2].map(|axis| bases[axis].first[index[axis]] + [a, b, c][axis]);
                    sum += wi * wj * wk * lattice.values[i + lattice.points * (j + lattice.points * k)];
                }
            }
        }
        sum
    }

    fn bases(points: usize) -> [Basis; 3] {
        [9, 7, 5].map(|length| Positions::of_voxels(0, 1, length, length).basis(points))
    }

    #[test]
    fn weights_are_a_partition_of_unity_and_reproduce_a_line() {
        for step in 0..=10 {
            let u = f64::from(step) / 10.0;
            let weights = cubic_weights(u);
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-15);
            let line: f64 = weights.iter().zip([-1.0, 0.0, 1.0, 2.0]).map(|(w, x)| w * x).sum();
            assert!((line - u).abs() < 1e-15);
        }
    }

    #[test]
    fn refinement_keeps_the_function() {
        let mut lattice = Lattice::zeros(4);
        for (n, value) in lattice.values.iter_mut().enumerate() {
            *value = ((n * 37) % 11) as f64 - 5.0;
        }
        let fine = lattice.refined();
        assert_eq!(fine.points, 5);
        let finer = fine.refined();
        assert_eq!(finer.points, 7);
        for k in 0..5 {
            for j in 0..7 {
                for i in 0..9 {
                    let coarse = at(&lattice, &bases(4), [i, j, k]);
                    assert!((at(&fine, &bases(5), [i, j, k]) - coarse).abs() < 1e-12);
                    assert!((at(&finer, &bases(7), [i, j, k]) - coarse).abs() < 1e-12);
                }
            }
        }
    }

    #[test]
    fn axis_by_axis_sums_are_the_sum_over_64_points() {
        let mut lattice = Lattice::zeros(5);
        for (n, value) in lattice.values.iter_mut().enumerate() {
            *value = ((n * 29) % 13) as f64;
        }
        let bases = bases(5);
        let (mut plane, mut line) = (vec![0.0; 25], vec![0.0; 5]);
        for index in [[0, 0, 0], [8, 6, 4], [3, 2, 1], [5, 6, 0]] {
            bases[2].gather(index[2], &lattice.values, &mut plane);
            bases[1].gather(index[1], &plane, &mut line);
            let value = bases[0].value(index[0], &line);
            assert!((value - at(&lattice, &bases, index)).abs() < 1e-12);
        }
    }

    #[test]
    fn one_voxel_lies_at_the_start() {
        let basis = Positions::of_voxels(0, 1, 1, 1).basis(11);
        assert_eq!((basis.first, basis.weights), (vec![0], vec![cubic_weights(0.0)]));
    }
}
