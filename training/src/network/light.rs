//! The light generator: a small U-shaped network that works at half resolution and below, without normalization layers.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::layers::{Arithmetic, Convolution, Layers, RELU_GAIN, RESIDUAL_GAIN, multiply_adds};
use super::{check_residual_blocks, check_slices, check_widths};
use crate::error::Error;

/// Height and width of an input must be multiples of this: one space-to-depth and three halvings.
pub const SIZE_MULTIPLE: usize = 16;

/// The shape of a light generator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LightConfig {
    /// Neighbouring axial slices of the source contrast that come in as channels: 1, 3 or 5.
    pub slices_in: usize,
    /// Channels at 1/2, 1/4, 1/8 and 1/16 of the resolution.
    pub widths: [usize; 4],
    /// Residual blocks at the lowest resolution.
    pub residual_blocks: usize,
}

impl Default for LightConfig {
    fn default() -> Self {
        Self { slices_in: 3, widths: [32, 64, 128, 256], residual_blocks: 2 }
    }
}

impl LightConfig {
    /// Refuses shapes that cannot be built or would be absurdly large.
    ///
    /// # Errors
    /// [`Error::Network`] with the first fault.
    pub fn validate(&self) -> Result<(), Error> {
        check_slices(self.slices_in)?;
        check_widths(&self.widths, 4..=4)?;
        check_residual_blocks(self.residual_blocks)
    }

    /// Multiplications with an addition that a slice of `height` x `width` takes, forward.
    pub fn multiply_adds(&self, height: usize, width: usize) -> u64 {
        let pixels = |level: usize| (height * width) >> (2 * (level + 1));
        let [first, second, third, fourth] = self.widths;
        let ends = 4 * self.slices_in + 4;
        let half = multiply_adds(first, first + ends, 3, pixels(0));
        let levels = self.widths.windows(2).enumerate().map(|(level, pair)| {
            let down = multiply_adds(pair[0], pair[1], 3, pixels(level + 1));
            let up = multiply_adds(pair[1], 4 * pair[0], 1, pixels(level + 1));
            down + up + multiply_adds(pair[0], pair[0], 3, pixels(level))
        });
        let refine = multiply_adds(second, second, 3, pixels(1)) + multiply_adds(third, third, 3, pixels(2));
        let residual = multiply_adds(fourth, fourth, 3, 2 * self.residual_blocks * pixels(3));
        half + levels.sum::<u64>() + refine + residual
    }

    /// Builds a generator whose weights depend on `seed` only, not on the backend.
    ///
    /// # Errors
    /// Those of [`LightConfig::validate`].
    pub fn init<B: Backend>(
        &self,
        arithmetic: Arithmetic,
        seed: u64,
        device: &B::Device,
    ) -> Result<Light<B>, Error> {
        self.validate()?;
        let mut layers = Layers::new(arithmetic, seed, device);
        let [first, second, third, fourth] = self.widths;
        Ok(Light {
            stem: layers.convolution(4 * self.slices_in, first, 3, 1, RELU_GAIN),
            stem_second: layers.convolution(first, first, 3, 1, RELU_GAIN),
            down: vec![
                layers.convolution(first, second, 3, 2, RELU_GAIN),
                layers.convolution(second, third, 3, 2, RELU_GAIN),
                layers.convolution(third, fourth, 3, 2, RELU_GAIN),
            ],
            refine: vec![
                layers.convolution(second, second, 3, 1, RELU_GAIN),
                layers.convolution(third, third, 3, 1, RELU_GAIN),
            ],
            residual: (0..self.residual_blocks)
                .map(|_| ResidualBlock {
                    first: layers.convolution(fourth, fourth, 3, 1, RELU_GAIN),
                    second: layers.convolution(fourth, fourth, 3, 1, RESIDUAL_GAIN),
                })
                .collect(),
            up: vec![
                layers.convolution(fourth, 4 * third, 1, 1, 1.0),
                layers.convolution(third, 4 * second, 1, 1, 1.0),
                layers.convolution(second, 4 * first, 1, 1, 1.0),
            ],
            // The sum with the skip has twice the variance, which the gain of 1 takes back.
            merge: vec![
                layers.convolution(third, third, 3, 1, 1.0),
                layers.convolution(second, second, 3, 1, 1.0),
                layers.convolution(first, first, 3, 1, 1.0),
            ],
            head: layers.convolution(first, 4, 3, 1, 0.5),
        })
    }
}

/// Two convolutions around a ReLU, added to their input.
#[derive(Module, Debug)]
pub struct ResidualBlock<B: Backend> {
    pub first: Convolution<B>,
    pub second: Convolution<B>,
}

impl<B: Backend> ResidualBlock<B> {
    fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        let change = self.second.forward(relu(self.first.forward(input.clone())));
        input + change
    }
}

/// The generator: `[n, slices_in, height, width]` in 0..1 to `[n, 1, height, width]`, unclipped.
#[derive(Module, Debug)]
pub struct Light<B: Backend> {
    /// Reads the space-to-depth form of the input.
    pub stem: Convolution<B>,
    /// Second convolution at half resolution.
    pub stem_second: Convolution<B>,
    /// Convolutions of stride 2 into 1/4, 1/8 and 1/16.
    pub down: Vec<Convolution<B>>,
    /// One more convolution at 1/4 and at 1/8.
    pub refine: Vec<Convolution<B>>,
    /// Blocks at 1/16.
    pub residual: Vec<ResidualBlock<B>>,
    /// 1x1 convolutions before depth-to-space into 1/8, 1/4 and 1/2.
    pub up: Vec<Convolution<B>>,
    /// Convolutions after the skip was added, at 1/8, 1/4 and 1/2.
    pub merge: Vec<Convolution<B>>,
    /// Four channels at half resolution, which become one at full resolution.
    pub head: Convolution<B>,
}

impl<B: Backend> Light<B> {
    /// Runs the network; height and width must be multiples of [`SIZE_MULTIPLE`].
    pub fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        let half = relu(self.stem.forward(space_to_depth(input)));
        let mut value = relu(self.stem_second.forward(half));
        let mut skips = Vec::with_capacity(self.down.len());
        for (level, down) in self.down.iter().enumerate() {
            skips.push(value.clone());
            value = relu(down.forward(value));
            if let Some(refine) = self.refine.get(level) {
                value = relu(refine.forward(value));
            }
        }
        for block in &self.residual {
            value = block.forward(value);
        }
        for (up, merge) in self.up.iter().zip(&self.merge) {
            value = depth_to_space(up.forward(value));
            if let Some(skip) = skips.pop() {
                value = value + skip;
            }
            value = relu(merge.forward(value));
        }
        depth_to_space(self.head.forward(value))
    }
}

/// `[n, c, h, w]` to `[n, 4c, h / 2, w / 2]` in the channel order of ONNX SpaceToDepth.
pub fn space_to_depth<B: Backend>(input: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, c, h, w] = input.dims();
    input.reshape([n, c, h / 2, 2, w / 2, 2]).permute([0, 3, 5, 1, 2, 4]).reshape([n, 4 * c, h / 2, w / 2])
}

/// `[n, 4c, h, w]` to `[n, c, 2h, 2w]` in the channel order of ONNX DepthToSpace, mode DCR.
pub fn depth_to_space<B: Backend>(input: Tensor<B, 4>) -> Tensor<B, 4> {
    let [n, c, h, w] = input.dims();
    input.reshape([n, 2, 2, c / 4, h, w]).permute([0, 3, 4, 1, 5, 2]).reshape([n, c / 4, 2 * h, 2 * w])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;
    use burn::tensor::TensorData;

    type B = Flex;

    #[test]
    fn depth_to_space_follows_onnx() {
        // The example of the ONNX operator documentation, mode DCR, block 2.
        let input: Vec<f32> = [
            0., 1., 2., 3., 4., 5., 9., 10., 11., 12., 13., 14., 18., 19., 20., 21., 22., 23., 27., 28., 29.,
            30., 31., 32.,
        ]
        .to_vec();
        let tensor = Tensor::<B, 4>::from_data(TensorData::new(input, [1, 4, 2, 3]), &Default::default());
        let output: Vec<f32> = depth_to_space(tensor.clone()).into_data().to_vec().unwrap();
        let expected = [
            0., 9., 1., 10., 2., 11., 18., 27., 19., 28., 20., 29., 3., 12., 4., 13., 5., 14., 21., 30., 22.,
            31., 23., 32.,
        ];
        assert_eq!(output, expected);
        let back = space_to_depth(depth_to_space(tensor.clone()));
        assert_eq!(back.into_data(), tensor.into_data());
    }

    #[test]
    fn the_default_fits_eight_megabytes_in_half_precision() {
        let network =
            LightConfig::default().init::<B>(Arithmetic::default(), 1, &Default::default()).unwrap();
        let parameters = network.num_params();
        assert!((3_000_000..=3_950_000).contains(&parameters), "{parameters}");
    }

    #[test]
    fn activations_keep_their_scale_and_shape() {
        let config = LightConfig::default();
        let device = Default::default();
        let network = config.init::<B>(Arithmetic::default(), 7, &device).unwrap();
        let values: Vec<f32> = (0..2 * 3 * 32 * 48).map(|n| ((n * 7919) % 1000) as f32 / 1000.0).collect();
        let input = Tensor::<B, 4>::from_data(TensorData::new(values, [2, 3, 32, 48]), &device);
        let output = network.forward(input);
        assert_eq!(output.dims(), [2, 1, 32, 48]);
        let deviation = output.var(3).mean().sqrt().into_scalar();
        assert!((0.02..3.0).contains(&deviation), "{deviation}");
    }

    #[test]
    fn the_seed_decides_the_weights() {
        let config = LightConfig { widths: [4, 4, 4, 4], ..Default::default() };
        let weights = |seed| {
            let network = config.init::<B>(Arithmetic::default(), seed, &Default::default()).unwrap();
            network.head.weight.val().into_data()
        };
        assert_eq!(weights(1), weights(1));
        assert_ne!(weights(1), weights(2));
    }

    #[test]
    fn impossible_shapes_are_refused() {
        let config = |slices_in, width| LightConfig { slices_in, widths: [width; 4], residual_blocks: 1 };
        assert!(config(3, 8).validate().is_ok());
        assert!(config(2, 8).validate().is_err());
        assert!(config(3, 0).validate().is_err());
    }
}
