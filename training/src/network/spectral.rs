//! Spectral normalization: a convolution's weights divided by their greatest singular value (Miyato et al. 2018).

use burn::module::{Module, Param, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use super::layers::Layers;

/// Power iterations at the start: with fewer, the first losses are those of far too large weights.
const ITERATIONS_AT_START: usize = 20;
/// Keeps the direction of a zero vector finite.
const EPSILON: f64 = 1e-12;

/// Running estimates of the singular vectors of the greatest singular value of weights `[out, in, kernel, kernel]`, taken
/// as a matrix of `out` rows.
///
/// They are parameters without gradients: records hold them, and optimizers leave them alone.
#[derive(Module, Debug)]
pub struct SpectralNorm<B: Backend> {
    /// Left singular vector, `[out, 1]`.
    left: Param<Tensor<B, 2>>,
    /// Right singular vector, `[in x kernel x kernel, 1]`.
    right: Param<Tensor<B, 2>>,
}

impl<B: Backend> SpectralNorm<B> {
    /// Starts from a random vector of `layers`.
    pub(crate) fn new(layers: &mut Layers<'_, B>, weight: &Tensor<B, 4>) -> Self {
        let [rows, ..] = weight.dims();
        let columns = weight.dims()[1..].iter().product();
        let random = layers.normal(rows, 1.0);
        let left = Tensor::from_data(TensorData::new(random, [rows, 1]), layers.device);
        let right = Tensor::zeros([columns, 1], layers.device);
        let start = Self { left: constant(left), right: constant(right) };
        (0..ITERATIONS_AT_START).fold(start, |estimate, _| estimate.iterate(weight))
    }

    /// One power iteration, without gradients; nothing is read back from the device.
    #[must_use]
    pub fn iterate(self, weight: &Tensor<B, 4>) -> Self {
        let matrix = matrix(weight.clone().detach());
        let right = direction(matrix.clone().transpose().matmul(self.left.val()));
        let left = direction(matrix.matmul(right.clone()));
        Self { left: self.left.map(|_| left.detach()), right: self.right.map(|_| right.detach()) }
    }

    /// The greatest singular value, `[1, 1]`: left' W right. Gradients pass through the weights alone.
    pub fn sigma(&self, weight: Tensor<B, 4>) -> Tensor<B, 2> {
        let left = self.left.val().detach().transpose();
        left.matmul(matrix(weight).matmul(self.right.val().detach()))
    }

    /// The weights divided by their greatest singular value.
    pub fn normalize(&self, weight: Tensor<B, 4>) -> Tensor<B, 4> {
        let sigma = self.sigma(weight.clone());
        weight / (sigma + EPSILON).reshape([1, 1, 1, 1])
    }
}

/// One row for each channel out.
fn matrix<B: Backend>(weight: Tensor<B, 4>) -> Tensor<B, 2> {
    weight.flatten(1, 3)
}

fn direction<B: Backend>(vector: Tensor<B, 2>) -> Tensor<B, 2> {
    let norm = vector.clone().square().sum().sqrt() + EPSILON;
    vector / norm.reshape([1, 1])
}

/// A parameter that no gradient reaches.
fn constant<B: Backend>(value: Tensor<B, 2>) -> Param<Tensor<B, 2>> {
    Param::initialized(ParamId::new(), value)
}

#[cfg(test)]
mod tests {
    use super::super::layers::Arithmetic;
    use super::*;
    use burn::backend::Flex;

    #[test]
    fn power_iteration_finds_the_greatest_singular_value() {
        let device = Default::default();
        for (channels_in, channels_out, kernel) in [(3, 8, 4), (16, 4, 3), (5, 1, 4), (1, 6, 1)] {
            let mut layers = Layers::<Flex>::new(Arithmetic::default(), 11, &device);
            let weight = layers.convolution(channels_in, channels_out, kernel, 1, 1.0).weight.val();
            let mut spectral = SpectralNorm::new(&mut layers, &weight);
            for _ in 0..200 {
                spectral = spectral.iterate(&weight);
            }
            let values: Vec<f32> = weight.clone().into_data().to_vec().unwrap();
            let expected = greatest_singular_value(&values, channels_out);
            let found = spectral.sigma(weight.clone()).into_scalar();
            assert!((f64::from(found) - expected).abs() < 1e-4 * expected, "{found} {expected}");
            // The weights that it leaves have the greatest singular value 1.
            let normalized: Vec<f32> = spectral.normalize(weight).into_data().to_vec().unwrap();
            assert!((greatest_singular_value(&normalized, channels_out) - 1.0).abs() < 1e-4);
        }
    }

    /// By a singular value decomposition: one-sided Jacobi rotations make the rows orthogonal (Hestenes 1958); their
    /// lengths are the singular values then.
    fn greatest_singular_value(values: &[f32], rows: usize) -> f64 {
        let columns = values.len() / rows;
        let mut matrix: Vec<Vec<f64>> =
            values.chunks(columns).map(|row| row.iter().copied().map(f64::from).collect()).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        for _ in 0..30 {
            for first in 0..rows {
                for second in first + 1..rows {
                    let common = dot(&matrix[first], &matrix[second]);
                    let (square, other) =
                        (dot(&matrix[first], &matrix[first]), dot(&matrix[second], &matrix[second]));
                    let (sine, cosine) = (0.5 * (2.0 * common).atan2(square - other)).sin_cos();
                    let (upper, lower) = matrix.split_at_mut(second);
                    for (a, b) in upper[first].iter_mut().zip(&mut lower[0]) {
                        (*a, *b) = (cosine * *a + sine * *b, cosine * *b - sine * *a);
                    }
                }
            }
        }
        for (first, row) in matrix.iter().enumerate() {
            assert!(matrix[..first].iter().all(|other| dot(row, other).abs() < 1e-9));
        }
        matrix.iter().map(|row| dot(row, row).sqrt()).fold(0.0, f64::max)
    }

    #[test]
    fn the_start_is_close_already() {
        let device = Default::default();
        let mut layers = Layers::<Flex>::new(Arithmetic::default(), 12, &device);
        let weight = layers.convolution(64, 128, 4, 2, 1.0).weight.val();
        let start = SpectralNorm::new(&mut layers, &weight);
        let found = start.sigma(weight.clone()).into_scalar();
        let later = (0..500).fold(start, |estimate, _| estimate.iterate(&weight));
        let settled = later.sigma(weight).into_scalar();
        assert!(found > 0.9 * settled && found <= settled * 1.0001, "{found} {settled}");
    }

    #[test]
    fn weights_of_zero_stay_finite() {
        let device = Default::default();
        let mut layers = Layers::<Flex>::new(Arithmetic::default(), 1, &device);
        let weight = Tensor::zeros([2, 3, 1, 1], &device);
        let spectral = SpectralNorm::new(&mut layers, &weight);
        assert_eq!(spectral.normalize(weight).abs().sum().into_scalar(), 0.0);
    }
}
