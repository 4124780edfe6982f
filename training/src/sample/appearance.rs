//! How a patch's intensities are varied: gamma, scale, bias field, blur and noise.

use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;

use super::UNIT;

/// How the source's intensities differ from the stored ones.
pub(super) struct Appearance {
    gamma: f32,
    scale: f32,
    /// Coefficients of the bias field's smooth terms over the patch.
    bias: [f32; 5],
    /// Part of a pixel that comes from each neighbour in a three-pixel blur.
    blur: f32,
    noise: f32,
    rician: bool,
}

impl Appearance {
    pub(super) fn random(random: &mut Pcg64) -> Self {
        let sometimes = |random: &mut Pcg64, probability: f64, low: f32, high: f32, else_: f32| {
            let drawn = random.random_range(low..high);
            if random.random_bool(probability) { drawn } else { else_ }
        };
        let log_gamma = sometimes(random, 0.6, 0.7f32.ln(), 1.4f32.ln(), 0.0);
        let strength = sometimes(random, 0.5, 0.0, 0.2, 0.0);
        Self {
            gamma: log_gamma.exp(),
            scale: sometimes(random, 0.6, 0.9, 1.1, 1.0),
            bias: random_bias(strength, random),
            blur: sometimes(random, 0.2, 0.02, 0.22, 0.0),
            noise: sometimes(random, 0.5, 0.0, 0.04, 0.0),
            rician: random.random_bool(0.5),
        }
    }

    /// Changes brain pixels only and keeps them in 0..1.
    pub(super) fn apply(&self, source: &mut [f32], patch: usize, random: &mut Pcg64) {
        for pixels in source.chunks_mut(patch * patch) {
            if self.blur > 0.0 {
                blur(pixels, patch, self.blur);
            }
            for (row, line) in pixels.chunks_mut(patch).enumerate() {
                for (column, pixel) in line.iter_mut().enumerate() {
                    if *pixel > 0.0 {
                        let value = pixel.powf(self.gamma) * self.scale;
                        let value = value * self.bias_at(row, column, patch);
                        // A brain pixel never becomes exactly 0, which would be background.
                        *pixel = self.noisy(value, random).clamp(UNIT, 1.0);
                    }
                }
            }
        }
    }

    fn bias_at(&self, row: usize, column: usize, patch: usize) -> f32 {
        let unit = |n: usize| 2.0 * n as f32 / patch as f32 - 1.0;
        let (y, x) = (unit(row), unit(column));
        let terms = [x, y, x * y, x * x - 0.5, y * y - 0.5];
        1.0 + terms.iter().zip(&self.bias).map(|(term, weight)| term * weight).sum::<f32>()
    }

    fn noisy(&self, value: f32, random: &mut Pcg64) -> f32 {
        if self.noise == 0.0 {
            return value;
        }
        let mut draw = || -> f32 {
            let drawn: f32 = StandardNormal.sample(random);
            drawn * self.noise
        };
        if self.rician { (value + draw()).hypot(draw()) } else { value + draw() }
    }
}

/// Random weights of the smooth terms whose absolute values sum to `strength`.
fn random_bias(strength: f32, random: &mut Pcg64) -> [f32; 5] {
    let mut weights = [0.0; 5];
    for weight in &mut weights {
        *weight = random.random_range(-1.0f32..1.0);
    }
    let total: f32 = weights.iter().map(|w| w.abs()).sum::<f32>().max(1e-6);
    weights.map(|weight| weight / total * strength)
}

/// A separable three-pixel blur over brain pixels; background neither gives nor takes.
fn blur(pixels: &mut [f32], patch: usize, side: f32) {
    for stride in [1, patch] {
        let before = pixels.to_vec();
        for (at, pixel) in pixels.iter_mut().enumerate() {
            if *pixel == 0.0 {
                continue;
            }
            let position = (at / stride) % patch;
            let (mut sum, mut total) = ((1.0 - 2.0 * side) * *pixel, 1.0 - 2.0 * side);
            let mut add = |neighbour: f32| {
                if neighbour > 0.0 {
                    sum += side * neighbour;
                    total += side;
                }
            };
            if position > 0 {
                add(before[at - stride]);
            }
            if position + 1 < patch {
                add(before[at + stride]);
            }
            *pixel = sum / total;
        }
    }
}
