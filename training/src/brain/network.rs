//! The brain extractor: a small U-shaped network of 3-D convolutions.
//!
//! Instance normalization makes the layers indifferent to a contrast's scale and offset; there is none where distances
//! come out.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv3d, ConvTranspose3d};
use burn::nn::{InstanceNorm, InstanceNormConfig, PaddingConfig3d};
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rand::SeedableRng;
use rand_distr::{Distribution, StandardNormal};
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The gain of a convolution before a ReLU that keeps the scale of activations (He initialization).
const RELU_GAIN: f32 = std::f32::consts::SQRT_2;
/// The gain of the second convolution of a residual block: small, so that a block starts near the identity.
const RESIDUAL_GAIN: f32 = 0.1;

/// The shape of an extractor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NetworkConfig {
    /// Channels at 4, 8, 16 and 32 mm.
    pub widths: [usize; 4],
    /// Residual blocks at 32 mm.
    pub residual_blocks: usize,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self { widths: [16, 32, 64, 96], residual_blocks: 1 }
    }
}

impl NetworkConfig {
    /// Refuses shapes that cannot be built or would be absurdly large.
    pub fn validate(&self) -> Result<(), Error> {
        if self.widths.iter().any(|width| !(1..=512).contains(width)) {
            return Err(Error::Network(format!("widths are {:?}, each must be in 1..=512", self.widths)));
        }
        if self.residual_blocks > 16 {
            return Err(Error::Network(format!("{} residual blocks are more than 16", self.residual_blocks)));
        }
        Ok(())
    }

    /// Builds an extractor whose weights depend on `seed` only, not on the backend.
    pub fn init<B: Backend>(&self, seed: u64, device: &B::Device) -> Result<Network<B>, Error> {
        self.validate()?;
        let mut layers = Layers { random: Pcg64::seed_from_u64(seed), device };
        let [first, second, third, fourth] = self.widths;
        Ok(Network {
            stem: layers.block(8, first, 1),
            stem_second: layers.convolution(first, first, 1, RELU_GAIN),
            down: vec![
                layers.block(first, second, 2),
                layers.block(second, third, 2),
                layers.block(third, fourth, 2),
            ],
            refine: vec![layers.block(second, second, 1), layers.block(third, third, 1)],
            residual: (0..self.residual_blocks)
                .map(|_| ResidualBlock {
                    first: layers.block(fourth, fourth, 1),
                    second: layers.convolution(fourth, fourth, 1, RESIDUAL_GAIN),
                })
                .collect(),
            up: vec![
                layers.doubling(fourth, third),
                layers.doubling(third, second),
                layers.doubling(second, first),
            ],
            merge: vec![layers.block(third, third, 1), layers.block(second, second, 1)],
            // The sum with the skip has twice the variance, which the gain of 1 takes back.
            last: layers.convolution(first, first, 1, 1.0),
            head: layers.convolution(first, 8, 1, 0.5),
        })
    }
}

/// A convolution, instance normalization and a ReLU.
#[derive(Module, Debug)]
pub struct Block<B: Backend> {
    pub convolution: Conv3d<B>,
    pub normalization: InstanceNorm<B>,
}

impl<B: Backend> Block<B> {
    fn forward(&self, input: Tensor<B, 5>) -> Tensor<B, 5> {
        relu(self.normalization.forward(self.convolution.forward(input)))
    }
}

/// Two convolutions around a ReLU, added to their input.
#[derive(Module, Debug)]
pub struct ResidualBlock<B: Backend> {
    pub first: Block<B>,
    pub second: Conv3d<B>,
}

/// The extractor: `[n, 8, d, h, w]` to `[n, 8, d, h, w]`, both in the channel order of
/// [`mrisynth::prepare::lattice`].
#[derive(Module, Debug)]
pub struct Network<B: Backend> {
    /// Reads the intensities, eight voxels of 2 mm as channels of one of 4 mm.
    pub stem: Block<B>,
    /// Second convolution at 4 mm.
    pub stem_second: Conv3d<B>,
    /// Convolutions of stride 2 into 8, 16 and 32 mm.
    pub down: Vec<Block<B>>,
    /// One more convolution at 8 and at 16 mm.
    pub refine: Vec<Block<B>>,
    /// Blocks at 32 mm.
    pub residual: Vec<ResidualBlock<B>>,
    /// Transposed convolutions of kernel and stride 2 into 16, 8 and 4 mm.
    pub up: Vec<ConvTranspose3d<B>>,
    /// Convolutions after the skip was added, at 16 and 8 mm.
    pub merge: Vec<Block<B>>,
    /// Convolution after the skip was added, at 4 mm.
    pub last: Conv3d<B>,
    /// Distances for the eight voxels of 2 mm.
    pub head: Conv3d<B>,
}

impl<B: Backend> Network<B> {
    /// Runs the network; depth, height and width must be multiples of 8.
    pub fn forward(&self, input: Tensor<B, 5>) -> Tensor<B, 5> {
        let mut value = relu(self.stem_second.forward(self.stem.forward(input)));
        let mut skips = Vec::with_capacity(self.down.len());
        for (level, down) in self.down.iter().enumerate() {
            skips.push(value.clone());
            value = down.forward(value);
            if let Some(refine) = self.refine.get(level) {
                value = refine.forward(value);
            }
        }
        for block in &self.residual {
            let change = block.second.forward(block.first.forward(value.clone()));
            value = value + change;
        }
        for (level, up) in self.up.iter().enumerate() {
            value = up.forward(value);
            if let Some(skip) = skips.pop() {
                value = value + skip;
            }
            value = match self.merge.get(level) {
                Some(merge) => merge.forward(value),
                None => relu(self.last.forward(value)),
            };
        }
        self.head.forward(value)
    }
}

/// Makes layers whose weights come from one stream of random numbers.
struct Layers<'a, B: Backend> {
    random: Pcg64,
    device: &'a B::Device,
}

impl<B: Backend> Layers<'_, B> {
    fn block(&mut self, channels_in: usize, channels_out: usize, stride: usize) -> Block<B> {
        Block {
            convolution: self.convolution(channels_in, channels_out, stride, RELU_GAIN),
            normalization: InstanceNormConfig::new(channels_out).init(self.device),
        }
    }

    /// A zero-padded 3 x 3 x 3 convolution: normal weights of standard deviation `gain / sqrt(fan in)`, biases 0.
    fn convolution(
        &mut self,
        channels_in: usize,
        channels_out: usize,
        stride: usize,
        gain: f32,
    ) -> Conv3d<B> {
        let deviation = gain / ((channels_in * 27) as f32).sqrt();
        Conv3d {
            weight: self.weights([channels_out, channels_in, 3, 3, 3], deviation),
            bias: Some(Param::from_tensor(Tensor::zeros([channels_out], self.device))),
            stride: [stride; 3],
            kernel_size: [3; 3],
            dilation: [1; 3],
            groups: 1,
            padding: PaddingConfig3d::Explicit(1, 1, 1),
        }
    }

    /// A transposed convolution that doubles the size; every output has one input voxel.
    fn doubling(&mut self, channels_in: usize, channels_out: usize) -> ConvTranspose3d<B> {
        let deviation = 1.0 / (channels_in as f32).sqrt();
        ConvTranspose3d {
            weight: self.weights([channels_in, channels_out, 2, 2, 2], deviation),
            bias: Some(Param::from_tensor(Tensor::zeros([channels_out], self.device))),
            stride: [2; 3],
            kernel_size: [2; 3],
            dilation: [1; 3],
            groups: 1,
            padding: [0; 3],
            padding_out: [0; 3],
            channels: [channels_in, channels_out],
        }
    }

    fn weights(&mut self, shape: [usize; 5], deviation: f32) -> Param<Tensor<B, 5>> {
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|_| {
                let value: f32 = StandardNormal.sample(&mut self.random);
                deviation * value
            })
            .collect();
        Param::from_data(TensorData::new(values, shape), self.device)
    }
}
