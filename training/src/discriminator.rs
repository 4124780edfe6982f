//! The 70 x 70 PatchGAN discriminator: judges patches of a source and its target together.

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{InstanceNorm, InstanceNormConfig};
use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu;
use burn::tensor::backend::Backend;
use rand::SeedableRng;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::network::Layers;

/// The slope of the leaky ReLUs below zero.
const SLOPE: f64 = 0.2;

/// The shape of a discriminator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiscriminatorConfig {
    /// Channels of the first layer; the others have 2, 4 and 8 times as many.
    pub width: usize,
}

impl Default for DiscriminatorConfig {
    fn default() -> Self {
        Self { width: 64 }
    }
}

impl DiscriminatorConfig {
    /// Builds a discriminator of `slices_in` source channels and one target channel from `seed`.
    pub fn init<B: Backend>(&self, slices_in: usize, seed: u64, device: &B::Device) -> Discriminator<B> {
        let mut layers = Layers { random: Pcg64::seed_from_u64(seed), device };
        let w = self.width;
        let channels = [slices_in + 1, w, 2 * w, 4 * w, 8 * w, 1];
        let strides = [2, 2, 2, 1, 1];
        let convolutions = strides
            .iter()
            .enumerate()
            .map(|(n, &stride)| layers.convolution(channels[n], channels[n + 1], 4, stride, 1.0))
            .collect();
        let norms = channels[2..5].iter().map(|&c| InstanceNormConfig::new(c).init(device)).collect();
        Discriminator { convolutions, norms }
    }
}

/// Five convolutions of 4 x 4, instance-normalized but for the first and the last.
#[derive(Module, Debug)]
pub struct Discriminator<B: Backend> {
    convolutions: Vec<Conv2d<B>>,
    norms: Vec<InstanceNorm<B>>,
}

impl<B: Backend> Discriminator<B> {
    /// Scores of shape `[n, 1, about h / 8, about w / 8]`: high where the pair looks acquired.
    pub fn forward(&self, source: Tensor<B, 4>, target: Tensor<B, 4>) -> Tensor<B, 4> {
        let mut value = Tensor::cat(vec![source, target], 1);
        let last = self.convolutions.len() - 1;
        for (n, convolution) in self.convolutions.iter().enumerate() {
            value = convolution.forward(value);
            if n > 0
                && let Some(norm) = self.norms.get(n - 1)
            {
                value = norm.forward(value);
            }
            if n < last {
                value = leaky_relu(value, SLOPE);
            }
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::Distribution;

    #[test]
    fn the_receptive_field_is_seventy() {
        // One score depends on exactly the 70 x 70 pixels that its gradient reaches, instance norms aside.
        type B = Autodiff<Flex>;
        let device = Default::default();
        let mut discriminator = DiscriminatorConfig { width: 4 }.init::<B>(1, 1, &device);
        discriminator.norms.clear();
        let target = Tensor::<B, 4>::random([1, 1, 128, 128], Distribution::Default, &device).require_grad();
        let score = discriminator.forward(target.clone().detach(), target.clone());
        let [_, _, h, w] = score.dims();
        assert_eq!([h, w], [14, 14]);
        let grads = score.slice([0..1, 0..1, 7..8, 7..8]).sum().backward();
        let reached: Vec<f32> = target.grad(&grads).unwrap().into_data().to_vec().unwrap();
        let rows = reached.chunks(128).filter(|row| row.iter().any(|g| *g != 0.0)).count();
        assert_eq!(rows, 70);
    }
}
