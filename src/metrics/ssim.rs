//! Structural similarity (Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity",
//! IEEE Transactions on Image Processing 13), with either of its two usual windows.

use ndarray::{Array2, ArrayView2, s};

use crate::{Error, Result};

/// The constants K1 and K2 of the paper, shares of the data range.
const K: [f64; 2] = [0.01, 0.03];
/// The Gaussian window's standard deviation in voxels, and where it is cut off.
const SIGMA: f64 = 1.5;
const GAUSSIAN_RADIUS: usize = 5;
const UNIFORM_RADIUS: usize = 3;
/// Data ranges whose squares are neither 0 nor infinite beside an image's.
const DATA_RANGES: std::ops::RangeInclusive<f64> = 1e-30..=1e30;

/// The window over which means, variances and covariances are taken, and how the latter are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// 7 x 7 voxels of one weight, and the sample covariance (over n - 1): `structural_similarity` of scikit-image as it is
    /// by default.
    Uniform,
    /// A Gaussian of 1.5 voxels, cut off after 5 (11 x 11 voxels), and the population covariance (over n): as in the paper,
    /// and `structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)` of scikit-image.
    Gaussian,
}

impl Window {
    /// Voxels from the window's middle to its end.
    pub fn radius(self) -> usize {
        match self {
            Self::Uniform => UNIFORM_RADIUS,
            Self::Gaussian => GAUSSIAN_RADIUS,
        }
    }

    /// Voxels along a side.
    fn width(self) -> usize {
        2 * self.radius() + 1
    }

    /// The weights along one axis, with the sum 1.
    fn weights(self) -> Vec<f64> {
        let weight = |at: usize| match self {
            Self::Uniform => 1.0,
            Self::Gaussian => (-0.5 * ((at as f64 - GAUSSIAN_RADIUS as f64) / SIGMA).powi(2)).exp(),
        };
        let weights: Vec<f64> = (0..self.width()).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / sum).collect()
    }

    /// What makes the window's variance the estimate that is wanted.
    fn covariance_factor(self) -> f64 {
        let samples = (self.width() * self.width()) as f64;
        match self {
            Self::Uniform => samples / (samples - 1.0),
            Self::Gaussian => 1.0,
        }
    }
}

/// The map of structural similarity of two images, mirrored at the edges (edge voxel repeated): scikit-image's
/// `structural_similarity(full=True)`.
///
/// # Errors
/// [`Error::InvalidArgument`] if the images differ in size or are smaller than the window, or the data range is not
/// within 1e-30..=1e30.
pub fn map(
    reference: ArrayView2<'_, f32>,
    image: ArrayView2<'_, f32>,
    window: Window,
    data_range: f64,
) -> Result<Array2<f64>> {
    let (rows, columns) = reference.dim();
    let width = window.width();
    if reference.dim() != image.dim() || rows < width || columns < width {
        return Err(Error::InvalidArgument(format!(
            "SSIM of {:?} and {:?} voxels: both must be of one size, at least {width} x {width}",
            reference.dim(),
            image.dim()
        )));
    }
    if !DATA_RANGES.contains(&data_range) {
        return Err(Error::InvalidArgument(format!("a data range of {data_range}: it must be positive")));
    }
    let [c1, c2] = K.map(|k| (k * data_range).powi(2));
    let factor = window.covariance_factor();
    let mut means = Means::of(reference, image, window);
    let mut map = Array2::zeros((rows, columns));
    for (row, mut values) in map.rows_mut().into_iter().enumerate() {
        let [x, y, squares, products] = means.along_row(row);
        for (column, value) in values.iter_mut().enumerate() {
            let (x, y) = (x[column], y[column]);
            let variances = factor * (squares[column] - x * x - y * y);
            let covariance = factor * (products[column] - x * y);
            *value = (2.0 * x * y + c1) * (2.0 * covariance + c2) / ((x * x + y * y + c1) * (variances + c2));
        }
    }
    Ok(map)
}

/// The mean of a map without a margin of half a window, in which mirrored voxels count: scikit-image's
/// `structural_similarity`. None if nothing but margin is there.
pub fn mean(map: &Array2<f64>, window: Window) -> Option<f64> {
    let (rows, columns) = map.dim();
    let margin = window.radius();
    if rows.min(columns) <= 2 * margin {
        return None;
    }
    map.slice(s![margin..rows - margin, margin..columns - margin]).mean()
}

/// Means over the window of two images, the sum of their squares and their product, a row at a time.
struct Means {
    weights: Vec<f64>,
    /// In rows: first image, second image, sum of squares, product.
    planes: [Array2<f64>; 4],
    /// One row of a plane after the means along the columns, and the mirrored ends.
    padded: Vec<f64>,
    rows: [Vec<f64>; 4],
}

impl Means {
    fn of(reference: ArrayView2<'_, f32>, image: ArrayView2<'_, f32>, window: Window) -> Self {
        let dim = reference.dim();
        let plane = |value: fn(f64, f64) -> f64| {
            Array2::from_shape_fn(dim, |at| value(f64::from(reference[at]), f64::from(image[at])))
        };
        let planes = [plane(|x, _| x), plane(|_, y| y), plane(|x, y| x * x + y * y), plane(|x, y| x * y)];
        let padded = vec![0.0; dim.1 + 2 * window.radius()];
        Self { weights: window.weights(), planes, padded, rows: [(); 4].map(|()| vec![0.0; dim.1]) }
    }

    /// The four means around each voxel of a row.
    fn along_row(&mut self, row: usize) -> &[Vec<f64>; 4] {
        let radius = self.weights.len() / 2;
        for (plane, means) in self.planes.iter().zip(&mut self.rows) {
            let (rows, columns) = plane.dim();
            let middle = &mut self.padded[radius..radius + columns];
            middle.fill(0.0);
            for (tap, &weight) in self.weights.iter().enumerate() {
                let from = mirrored(row as isize + tap as isize - radius as isize, rows);
                add_weighted(middle, plane.row(from).as_slice().unwrap_or(&[]), weight);
            }
            for n in 0..radius {
                self.padded[radius - 1 - n] = self.padded[radius + n];
                self.padded[radius + columns + n] = self.padded[radius + columns - 1 - n];
            }
            means.fill(0.0);
            for (tap, &weight) in self.weights.iter().enumerate() {
                add_weighted(means, &self.padded[tap..], weight);
            }
        }
        &self.rows
    }
}

fn add_weighted(sums: &mut [f64], values: &[f64], weight: f64) {
    for (sum, value) in sums.iter_mut().zip(values) {
        *sum += weight * value;
    }
}

/// The index that `n` falls on when a line is mirrored at its ends, each end voxel repeated (d c b a | a b c d | d c b a).
fn mirrored(n: isize, length: usize) -> usize {
    let length = length as isize;
    let folded = if n < 0 { -1 - n } else { n };
    (if folded >= length { 2 * length - 1 - folded } else { folded }) as usize
}
