//! The losses: L1, squared error and structural similarity, weighted towards the brain.

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use burn::tensor::module::avg_pool2d;
use serde::{Deserialize, Serialize};

use crate::adversarial::AdversarialLoss;

/// Edge of the uniform window of the structural similarity, in pixels.
const WINDOW: usize = 7;
/// Stabilizers of the structural similarity for intensities in 0..1.
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;

/// How much each loss counts, for methods that learn from pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossConfig {
    /// Mean absolute error.
    pub l1_weight: f64,
    /// One minus structural similarity.
    pub ssim_weight: f64,
    /// Mean squared error.
    pub mse_weight: f64,
    /// What the PatchGAN discriminator holds against an image; 0 leaves the discriminator out.
    pub adversarial_weight: f64,
    /// The form of the adversarial losses.
    pub adversarial: AdversarialLoss,
    /// Weight of a background pixel where a brain pixel has 1.
    pub background_weight: f64,
}

impl LossConfig {
    /// Names the first weight that makes no sense.
    pub fn validate(&self) -> Result<(), String> {
        let weights = [
            ("l1_weight", self.l1_weight),
            ("ssim_weight", self.ssim_weight),
            ("mse_weight", self.mse_weight),
            ("adversarial_weight", self.adversarial_weight),
            ("background_weight", self.background_weight),
        ];
        for (name, value) in weights {
            if !value.is_finite() || value < 0.0 {
                return Err(format!("losses.{name} is {value}, it must be 0 or more"));
            }
        }
        if self.l1_weight + self.ssim_weight + self.mse_weight == 0.0 {
            return Err("l1_weight, ssim_weight and mse_weight are all 0".into());
        }
        Ok(())
    }
}

/// How much each loss of a CycleGAN counts; the adversarial ones count 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CycleLossConfig {
    /// Mean absolute error of what comes back after both generators.
    pub cycle_weight: f64,
    /// Mean absolute error of a generator's image of what is its target already; 0 leaves it out, and saves a third of the
    /// work.
    pub identity_weight: f64,
    /// The form of the adversarial losses.
    pub adversarial: AdversarialLoss,
    /// Earlier images that the discriminators are shown again; 0: none.
    pub pool_size: usize,
}

impl CycleLossConfig {
    /// Names the first weight that makes no sense.
    ///
    /// # Errors
    /// The fault.
    pub fn validate(&self) -> Result<(), String> {
        for (name, value) in [("cycle_weight", self.cycle_weight), ("identity_weight", self.identity_weight)]
        {
            if !value.is_finite() || value < 0.0 {
                return Err(format!("cycle_losses.{name} is {value}, it must be 0 or more"));
            }
        }
        if self.pool_size > 10_000 {
            return Err(format!("cycle_losses.pool_size is {}, over 10000", self.pool_size));
        }
        Ok(())
    }
}

/// The losses of one batch, each of shape `[1]`, before weighting.
pub struct Parts<B: Backend> {
    /// Mean absolute error.
    pub l1: Tensor<B, 1>,
    /// Structural similarity.
    pub ssim: Tensor<B, 1>,
    /// Mean squared error.
    pub mse: Tensor<B, 1>,
}

impl<B: Backend> Parts<B> {
    /// The weighted sum, without the adversarial part.
    pub fn total(&self, config: &LossConfig) -> Tensor<B, 1> {
        self.l1.clone() * config.l1_weight
            + (self.ssim.clone().neg() + 1.0) * config.ssim_weight
            + self.mse.clone() * config.mse_weight
    }
}

/// Compares `prediction` with `target`, both `[n, 1, h, w]`; `weights` of the same shape says how much a pixel counts.
pub fn parts<B: Backend>(prediction: Tensor<B, 4>, target: Tensor<B, 4>, weights: Tensor<B, 4>) -> Parts<B> {
    let difference = prediction.clone() - target.clone();
    Parts {
        l1: weighted_mean(difference.clone().abs(), weights.clone()),
        mse: weighted_mean(difference.clone() * difference, weights.clone()),
        ssim: ssim(prediction, target, weights),
    }
}

/// 1 where the target or the middle slice of the source is above 0, `background` elsewhere; `[n, 1, h, w]`.
pub fn brain_weights<B: Backend>(
    source: &Tensor<B, 4>,
    target: &Tensor<B, 4>,
    background: f64,
) -> Tensor<B, 4> {
    let middle = source.dims()[1] / 2;
    let brightest = source.clone().narrow(1, middle, 1).max_pair(target.clone());
    brightest.greater_elem(0.0).float() * (1.0 - background) + background
}

/// Weighted mean of the structural similarity over all windows that lie inside the image, shape `[1]`.
pub fn ssim<B: Backend>(
    prediction: Tensor<B, 4>,
    target: Tensor<B, 4>,
    weights: Tensor<B, 4>,
) -> Tensor<B, 1> {
    let [_, _, h, w] = weights.dims();
    let margin = WINDOW / 2;
    let weights = weights.narrow(2, margin, h - 2 * margin).narrow(3, margin, w - 2 * margin);
    weighted_mean(ssim_map(prediction, target), weights)
}

/// Structural similarity of every 7 x 7 window, `[n, 1, h - 6, w - 6]`, with the unbiased covariance.
fn ssim_map<B: Backend>(x: Tensor<B, 4>, y: Tensor<B, 4>) -> Tensor<B, 4> {
    let mean = |t: Tensor<B, 4>| avg_pool2d(t, [WINDOW; 2], [1; 2], [0; 2], false, false);
    let count = (WINDOW * WINDOW) as f64;
    let unbiased = count / (count - 1.0);
    let mean_x = mean(x.clone());
    let mean_y = mean(y.clone());
    let mean_xx = mean_x.clone() * mean_x.clone();
    let mean_yy = mean_y.clone() * mean_y.clone();
    let mean_xy = mean_x * mean_y;
    let spread = mean(x.clone() * x.clone() + y.clone() * y.clone());
    let variances = (spread - mean_xx.clone() - mean_yy.clone()) * unbiased;
    let covariance = (mean(x * y) - mean_xy.clone()) * unbiased;
    let numerator = (mean_xy * 2.0 + C1) * (covariance * 2.0 + C2);
    numerator / ((mean_xx + mean_yy + C1) * (variances + C2))
}

fn weighted_mean<B: Backend>(values: Tensor<B, 4>, weights: Tensor<B, 4>) -> Tensor<B, 1> {
    // With a background weight of 0 a batch without brain would divide by zero.
    let total = weights.clone().sum().clamp_min(1e-6);
    (values * weights).sum() / total
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::TensorData;

    type B = Flex;

    fn config() -> LossConfig {
        LossConfig {
            l1_weight: 1.0,
            ssim_weight: 0.5,
            mse_weight: 0.0,
            adversarial_weight: 0.0,
            adversarial: AdversarialLoss::Hinge,
            background_weight: 0.05,
        }
    }

    fn image(seed: usize, h: usize, w: usize) -> Vec<f32> {
        (0..h * w).map(|n| ((n * 37 + seed * 101 + n * n % 13) % 97) as f32 / 97.0).collect()
    }

    fn tensor(values: &[f32], h: usize, w: usize) -> Tensor<B, 4> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, h, w]), &Default::default())
    }

    fn naive_ssim(x: &[f32], y: &[f32], h: usize, w: usize) -> f64 {
        let mut total = 0.0;
        for row in 0..=h - WINDOW {
            for column in 0..=w - WINDOW {
                let pixels = (0..WINDOW * WINDOW)
                    .map(|n| (row + n / WINDOW) * w + column + n % WINDOW)
                    .map(|at| (f64::from(x[at]), f64::from(y[at])));
                let count = (WINDOW * WINDOW) as f64;
                let mx = pixels.clone().map(|p| p.0).sum::<f64>() / count;
                let my = pixels.clone().map(|p| p.1).sum::<f64>() / count;
                let free = count - 1.0;
                let vx = pixels.clone().map(|p| (p.0 - mx).powi(2)).sum::<f64>() / free;
                let vy = pixels.clone().map(|p| (p.1 - my).powi(2)).sum::<f64>() / free;
                let c = pixels.map(|p| (p.0 - mx) * (p.1 - my)).sum::<f64>() / free;
                total += (2.0 * mx * my + C1) * (2.0 * c + C2) / ((mx * mx + my * my + C1) * (vx + vy + C2));
            }
        }
        total / ((h - WINDOW + 1) * (w - WINDOW + 1)) as f64
    }

    #[test]
    fn ssim_equals_the_naive_computation() {
        let (h, w) = (11, 13);
        let (x, y) = (image(1, h, w), image(2, h, w));
        let ones = Tensor::ones([1, 1, h, w], &Default::default());
        let computed = ssim(tensor(&x, h, w), tensor(&y, h, w), ones.clone()).into_scalar();
        let expected = naive_ssim(&x, &y, h, w);
        assert!((f64::from(computed) - expected).abs() < 1e-4, "{computed} {expected}");
        let same = ssim(tensor(&x, h, w), tensor(&x, h, w), ones).into_scalar();
        assert!((same - 1.0).abs() < 1e-5);
    }

    #[test]
    fn l1_and_mse_weigh_brain_and_background() {
        let (h, w) = (7, 7);
        let mut target = vec![0.0; 49];
        target[0] = 0.5;
        let prediction = vec![0.2; 49];
        let (p, t) = (tensor(&prediction, h, w), tensor(&target, h, w));
        let weights = brain_weights(&Tensor::zeros([1, 3, h, w], &Default::default()), &t, 0.1);
        let parts = parts(p, t, weights);
        let expected = (0.3 + 0.1 * 48.0 * 0.2) / (1.0 + 4.8);
        assert!((parts.l1.into_scalar() - expected).abs() < 1e-5);
        let expected = (0.09 + 0.1 * 48.0 * 0.04) / (1.0 + 4.8);
        assert!((parts.mse.into_scalar() - expected).abs() < 1e-5);
    }

    #[test]
    fn the_gradient_matches_finite_differences() {
        type A = Autodiff<Flex>;
        let (h, w) = (8, 8);
        let (x, y) = (image(3, h, w), image(4, h, w));
        let config = LossConfig { mse_weight: 0.7, ..config() };
        let loss = |values: &[f32]| {
            let ones = Tensor::ones([1, 1, h, w], &Default::default());
            parts(tensor(values, h, w), tensor(&y, h, w), ones).total(&config).into_scalar()
        };
        let device = Default::default();
        let leaf =
            Tensor::<A, 4>::from_data(TensorData::new(x.clone(), [1, 1, h, w]), &device).require_grad();
        let target = Tensor::from_inner(tensor(&y, h, w));
        let ones = Tensor::ones([1, 1, h, w], &device);
        let grads = parts(leaf.clone(), target, ones).total(&config).backward();
        let gradient: Vec<f32> = leaf.grad(&grads).unwrap().into_data().to_vec().unwrap();
        for at in [0, 9, 27, 36, 63] {
            let step = 1e-2;
            let mut moved = x.clone();
            moved[at] += step;
            let above = loss(&moved);
            moved[at] -= 2.0 * step;
            let slope = (above - loss(&moved)) / (2.0 * step);
            assert!(
                (slope - gradient[at]).abs() < 2e-3 + 0.05 * slope.abs(),
                "pixel {at}: {slope} {}",
                gradient[at]
            );
        }
    }

    #[test]
    fn senseless_weights_are_refused() {
        assert!(config().validate().is_ok());
        let negative = LossConfig { l1_weight: -1.0, ..config() };
        assert!(negative.validate().is_err());
        let nothing = LossConfig { l1_weight: 0.0, ssim_weight: 0.0, ..config() };
        assert!(nothing.validate().is_err());
    }
}
