//! The paper's generator, after CycleGAN's: 256 x 256 x 1 encoded to 16 x 16 x 512, residual blocks, and back.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::layers::{
    Arithmetic, Convolution, Layers, Normalization, Normalized, NormalizedDoubling, Padding, RELU_GAIN,
    RESIDUAL_GAIN, Upsampling, doubling_multiply_adds, multiply_adds,
};
use super::{check_residual_blocks, check_slices, check_widths};
use crate::error::Error;

/// Edge of the first and the last kernel.
const OUTER_KERNEL: usize = 7;

/// The shape of a residual generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResidualConfig {
    /// Neighbouring axial slices of the source contrast that come in as channels: 1, 3 or 5.
    pub slices_in: usize,
    /// Channels at full resolution and after each halving; 2 to 6.
    pub widths: Vec<usize>,
    /// Residual blocks at the lowest resolution.
    pub residual_blocks: usize,
    /// How sizes are doubled.
    pub upsampling: Upsampling,
    /// What follows the convolutions.
    pub normalization: Normalization,
    /// The border of all convolutions of stride 1 but those of up-sampling.
    pub padding: Padding,
}

impl Default for ResidualConfig {
    fn default() -> Self {
        Self {
            slices_in: 1,
            widths: vec![64, 128, 256, 512, 512],
            residual_blocks: 9,
            upsampling: Upsampling::Transposed,
            normalization: Normalization::Instance,
            padding: Padding::Reflect,
        }
    }
}

impl ResidualConfig {
    /// Heights and widths must be multiples of this.
    pub fn size_multiple(&self) -> usize {
        1 << self.widths.len().saturating_sub(1)
    }

    /// Refuses shapes that cannot be built or would be absurdly large.
    ///
    /// # Errors
    /// [`Error::Network`] with the first fault.
    pub fn validate(&self) -> Result<(), Error> {
        check_slices(self.slices_in)?;
        check_widths(&self.widths, 2..=6)?;
        check_residual_blocks(self.residual_blocks)
    }

    /// Builds a generator whose weights depend on `seed` only, not on the backend.
    ///
    /// # Errors
    /// Those of [`ResidualConfig::validate`].
    pub fn init<B: Backend>(
        &self,
        arithmetic: Arithmetic,
        seed: u64,
        device: &B::Device,
    ) -> Result<Residual<B>, Error> {
        self.validate()?;
        let mut layers = Layers::new(arithmetic, seed, device);
        let (first, last) = (self.widths[0], self.widths[self.widths.len() - 1]);
        let normalization = self.normalization;
        let stem = layers.convolution(self.slices_in, first, OUTER_KERNEL, 1, RELU_GAIN);
        let stem = layers.normalized(stem.padded_by(self.padding), normalization);
        let down = self.widths.windows(2).map(|pair| {
            let convolution = layers.convolution(pair[0], pair[1], 3, 2, RELU_GAIN);
            layers.normalized(convolution, normalization)
        });
        let down = down.collect();
        let residual = (0..self.residual_blocks).map(|_| self.block(&mut layers, last)).collect();
        let up = self.widths.windows(2).rev().map(|pair| {
            let doubling = layers.doubling(self.upsampling, pair[1], pair[0], 3, RELU_GAIN);
            layers.normalized_doubling(doubling, normalization)
        });
        let up = up.collect();
        let head = layers.convolution(first, 1, OUTER_KERNEL, 1, 1.0).padded_by(self.padding);
        Ok(Residual { stem, down, residual, up, head })
    }

    fn block<B: Backend>(&self, layers: &mut Layers<'_, B>, width: usize) -> ResidualBlock<B> {
        let mut half = |gain| {
            let convolution = layers.convolution(width, width, 3, 1, gain).padded_by(self.padding);
            layers.normalized(convolution, self.normalization)
        };
        ResidualBlock { first: half(RELU_GAIN), second: half(RESIDUAL_GAIN) }
    }

    /// Multiplications with an addition that a slice of `height` x `width` takes, forward.
    pub fn multiply_adds(&self, height: usize, width: usize) -> u64 {
        let pixels = height * width;
        let (first, last) = (self.widths[0], self.widths[self.widths.len() - 1]);
        let outer = multiply_adds(self.slices_in + 1, first, OUTER_KERNEL, pixels);
        let levels = self.widths.windows(2).enumerate().map(|(level, pair)| {
            let below = pixels >> (2 * (level + 1));
            multiply_adds(pair[0], pair[1], 3, below)
                + doubling_multiply_adds(self.upsampling, pair[1], pair[0], 3, below)
        });
        let lowest = pixels >> (2 * (self.widths.len() - 1));
        outer + levels.sum::<u64>() + multiply_adds(last, last, 3, 2 * self.residual_blocks * lowest)
    }
}

/// Two convolutions around a ReLU, added to their input.
#[derive(Module, Debug)]
pub struct ResidualBlock<B: Backend> {
    pub first: Normalized<B>,
    pub second: Normalized<B>,
}

impl<B: Backend> ResidualBlock<B> {
    fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        let change = self.second.forward(relu(self.first.forward(input.clone())));
        input + change
    }
}

/// The generator: `[n, slices_in, height, width]` in 0..1 to `[n, 1, height, width]` in 0..1.
#[derive(Module, Debug)]
pub struct Residual<B: Backend> {
    /// Reads the slices, 7 x 7.
    pub stem: Normalized<B>,
    /// Convolutions of stride 2.
    pub down: Vec<Normalized<B>>,
    /// Blocks at the lowest resolution.
    pub residual: Vec<ResidualBlock<B>>,
    /// Back to full resolution.
    pub up: Vec<NormalizedDoubling<B>>,
    /// Writes the slice, 7 x 7.
    pub head: Convolution<B>,
}

impl<B: Backend> Residual<B> {
    /// Runs the network; height and width must be multiples of [`ResidualConfig::size_multiple`].
    pub fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        let mut value = relu(self.stem.forward(input));
        for down in &self.down {
            value = relu(down.forward(value));
        }
        for block in &self.residual {
            value = block.forward(value);
        }
        for up in &self.up {
            value = relu(up.forward(value));
        }
        // A sigmoid of images in 0..1 is CycleGAN's hyperbolic tangent of images in -1..1.
        sigmoid(self.head.forward(value))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Differentiable, check_gradients, image};
    use super::*;
    use burn::backend::Flex;
    use burn::tensor::DType;

    #[test]
    fn the_paper_s_sizes_and_their_cost() {
        let device = Default::default();
        let config = ResidualConfig::default();
        let network = config.init::<Flex>(Arithmetic::default(), 1, &device).unwrap();
        let mut value = network.stem.forward(image([1, 1, 256, 256], DType::F32));
        assert_eq!(value.dims(), [1, 64, 256, 256]);
        for down in &network.down {
            value = relu(down.forward(value));
        }
        assert_eq!(value.dims(), [1, 512, 16, 16]);
        for up in &network.up {
            value = relu(up.forward(value));
        }
        assert_eq!(network.head.forward(value).dims(), [1, 1, 256, 256]);
        // Two 7 x 7 kernels; three levels and one level of 512 down, and the same up; 18 kernels of 512 x 512.
        let outer = 2 * 49 * 64 * 256 * 256;
        let levels = 2 * (3 * 9 * 64 * 128 * 128 * 128 + 9 * 512 * 512 * 16 * 16);
        assert_eq!(config.multiply_adds(256, 256), outer + levels + 18 * 9 * 512 * 512 * 16 * 16);
        // The same in weights, a factor and an offset for each normalized channel, and the head's bias.
        let levels = 2 * 9 * (64 * 128 + 128 * 256 + 256 * 512 + 512 * 512);
        let factors = 2 * (2 * (64 + 128 + 256 + 512) + 512 + 18 * 512);
        assert_eq!(network.num_params(), 2 * 49 * 64 + levels + 18 * 9 * 512 * 512 + factors + 1);
    }

    fn tiny(upsampling: Upsampling, normalization: Normalization, padding: Padding) -> ResidualConfig {
        ResidualConfig {
            slices_in: 3,
            widths: vec![2, 3, 4],
            residual_blocks: 1,
            upsampling,
            normalization,
            padding,
        }
    }

    #[test]
    fn gradients_match_finite_differences() {
        for (config, parameters) in [
            (tiny(Upsampling::Transposed, Normalization::Instance, Padding::Reflect), 23),
            (tiny(Upsampling::Resize, Normalization::None, Padding::Zero), 16),
        ] {
            let network =
                config.init::<Differentiable>(Arithmetic::default(), 2, &Default::default()).unwrap();
            let compared = check_gradients(network, |network: &Residual<_>| {
                network.forward(image([1, 3, 16, 16], DType::F64)).square()
            });
            assert_eq!(compared, 3 * parameters);
        }
    }

    #[test]
    fn the_result_is_an_image_for_every_choice() {
        for upsampling in [Upsampling::Transposed, Upsampling::Resize] {
            for normalization in [Normalization::Instance, Normalization::None] {
                for padding in [Padding::Reflect, Padding::Zero] {
                    let config = tiny(upsampling, normalization, padding);
                    let network = config.init::<Flex>(Arithmetic::default(), 3, &Default::default()).unwrap();
                    let output = network.forward(image([2, 3, 8, 12], DType::F32));
                    assert_eq!(output.dims(), [2, 1, 8, 12]);
                    let values: Vec<f32> = output.into_data().to_vec().unwrap();
                    assert!(values.iter().all(|value| *value > 0.0 && *value < 1.0));
                }
            }
        }
    }
}
