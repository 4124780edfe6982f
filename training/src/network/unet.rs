//! The U-Net of Pix2Pix (Isola et al. 2017): every resolution's features are joined again on the way up.
//!
//! Without its dropout: a generator must give one result, and a resumed run must equal a straight one.

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::activation::{leaky_relu, relu, sigmoid};
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::layers::{
    Arithmetic, Doubling, Layers, Normalization, Normalized, NormalizedDoubling, RELU_GAIN, SLOPE,
    Upsampling, doubling_multiply_adds, multiply_adds,
};
use super::{check_slices, check_widths};
use crate::error::Error;

/// Edge of the kernels of stride 2.
const KERNEL: usize = 4;

/// The shape of a U-Net.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UnetConfig {
    /// Neighbouring axial slices of the source contrast that come in as channels: 1, 3 or 5.
    pub slices_in: usize,
    /// Channels after each halving; 2 to 8.
    pub widths: Vec<usize>,
    /// How sizes are doubled.
    pub upsampling: Upsampling,
    /// What follows the convolutions, but the first and the one to the lowest resolution, which may be a single pixel.
    pub normalization: Normalization,
}

impl Default for UnetConfig {
    fn default() -> Self {
        Self {
            slices_in: 1,
            widths: vec![64, 128, 256, 512, 512, 512, 512, 512],
            upsampling: Upsampling::Transposed,
            normalization: Normalization::Instance,
        }
    }
}

impl UnetConfig {
    /// Heights and widths must be multiples of this.
    pub fn size_multiple(&self) -> usize {
        1 << self.widths.len()
    }

    /// Refuses shapes that cannot be built or would be absurdly large.
    ///
    /// # Errors
    /// [`Error::Network`] with the first fault.
    pub fn validate(&self) -> Result<(), Error> {
        check_slices(self.slices_in)?;
        check_widths(&self.widths, 2..=8)
    }

    /// Builds a generator whose weights depend on `seed` only, not on the backend.
    ///
    /// # Errors
    /// Those of [`UnetConfig::validate`].
    pub fn init<B: Backend>(
        &self,
        arithmetic: Arithmetic,
        seed: u64,
        device: &B::Device,
    ) -> Result<Unet<B>, Error> {
        self.validate()?;
        let mut layers = Layers::new(arithmetic, seed, device);
        let lowest = self.widths.len() - 1;
        let mut channels = self.slices_in;
        let mut down = Vec::with_capacity(self.widths.len());
        for (level, &width) in self.widths.iter().enumerate() {
            let inside = level > 0 && level < lowest;
            let normalization = if inside { self.normalization } else { Normalization::None };
            let convolution = layers.convolution(channels, width, KERNEL, 2, RELU_GAIN);
            down.push(layers.normalized(convolution, normalization));
            channels = width;
        }
        let mut up = Vec::with_capacity(lowest);
        for level in (0..lowest).rev() {
            let doubling = layers.doubling(
                self.upsampling,
                self.joined(level + 1),
                self.widths[level],
                KERNEL,
                RELU_GAIN,
            );
            up.push(layers.normalized_doubling(doubling, self.normalization));
        }
        let head = layers.doubling(self.upsampling, self.joined(0), 1, KERNEL, 1.0);
        Ok(Unet { down, up, head })
    }

    /// Channels that go up from a level: its own, and what comes from below.
    fn joined(&self, level: usize) -> usize {
        let below = if level + 1 == self.widths.len() { 0 } else { self.widths[level] };
        self.widths[level] + below
    }

    /// Multiplications with an addition that a slice of `height` x `width` takes, forward.
    pub fn multiply_adds(&self, height: usize, width: usize) -> u64 {
        let levels = self.widths.iter().enumerate().map(|(level, &channels)| {
            let above = if level == 0 { self.slices_in } else { self.widths[level - 1] };
            let out = if level == 0 { 1 } else { above };
            let pixels = (height * width) >> (2 * (level + 1));
            multiply_adds(above, channels, KERNEL, pixels)
                + doubling_multiply_adds(self.upsampling, self.joined(level), out, KERNEL, pixels)
        });
        levels.sum()
    }
}

/// The generator: `[n, slices_in, height, width]` in 0..1 to `[n, 1, height, width]` in 0..1.
#[derive(Module, Debug)]
pub struct Unet<B: Backend> {
    /// Convolutions of stride 2, from full resolution to the lowest.
    pub down: Vec<Normalized<B>>,
    /// Up-sampling from the lowest resolution to half of the full one.
    pub up: Vec<NormalizedDoubling<B>>,
    /// Up-sampling to full resolution and one channel.
    pub head: Doubling<B>,
}

impl<B: Backend> Unet<B> {
    /// Runs the network; height and width must be multiples of [`UnetConfig::size_multiple`].
    pub fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        let mut skips: Vec<Tensor<B, 4>> = Vec::with_capacity(self.down.len());
        for down in &self.down {
            let above = match skips.last() {
                Some(above) => leaky_relu(above.clone(), SLOPE),
                None => input.clone(),
            };
            skips.push(down.forward(above));
        }
        let mut value = skips.pop().unwrap_or(input);
        for up in &self.up {
            value = up.forward(relu(value));
            if let Some(skip) = skips.pop() {
                value = Tensor::cat(vec![skip, value], 1);
            }
        }
        // A sigmoid of images in 0..1 is Pix2Pix's hyperbolic tangent of images in -1..1.
        sigmoid(self.head.forward(relu(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Differentiable, check_gradients, image};
    use super::*;
    use burn::backend::Flex;
    use burn::tensor::DType;

    #[test]
    fn the_published_sizes_and_their_cost() {
        let device = Default::default();
        let config = UnetConfig::default();
        let network = config.init::<Flex>(Arithmetic::default(), 1, &device).unwrap();
        let output = network.forward(image([1, 1, 256, 256], DType::F32));
        assert_eq!(output.dims(), [1, 1, 256, 256]);
        assert_eq!(network.down.len(), 8);
        // The authors' program prints 54.414 M for three channels in and out; ours are two less at either end.
        let (channels_in, channels_out) = (2 * 16 * 64, 2 * (16 * 128 + 1));
        assert_eq!(network.num_params() + channels_in + channels_out, 54_414_531);
        assert_eq!(config.size_multiple(), 256);
    }

    fn tiny(upsampling: Upsampling, normalization: Normalization) -> UnetConfig {
        UnetConfig { slices_in: 1, widths: vec![2, 3, 4], upsampling, normalization }
    }

    #[test]
    fn the_cost_follows_the_layers() {
        // 16 x 16: down 1-2, 2-3, 3-4 onto 64, 16 and 4 pixels; up 4-3, 6-2, 4-1 from 4, 16 and 64 pixels.
        let config = tiny(Upsampling::Transposed, Normalization::Instance);
        let down = 16 * (2 * 64 + 6 * 16 + 12 * 4);
        assert_eq!(config.multiply_adds(16, 16), down + 16 * (12 * 4 + 12 * 16 + 4 * 64));
        let config = tiny(Upsampling::Resize, Normalization::Instance);
        assert_eq!(config.multiply_adds(16, 16), down + 9 * 4 * (12 * 4 + 12 * 16 + 4 * 64));
    }

    #[test]
    fn gradients_match_finite_differences() {
        for (config, parameters) in [
            (tiny(Upsampling::Transposed, Normalization::Instance), 15),
            (tiny(Upsampling::Resize, Normalization::None), 12),
        ] {
            let network =
                config.init::<Differentiable>(Arithmetic::default(), 2, &Default::default()).unwrap();
            let compared = check_gradients(network, |network: &Unet<_>| {
                network.forward(image([1, 1, 16, 16], DType::F64)).square()
            });
            assert_eq!(compared, 3 * parameters);
        }
    }

    #[test]
    fn a_single_pixel_at_the_lowest_resolution_still_tells_images_apart() {
        let config = tiny(Upsampling::Transposed, Normalization::Instance);
        let network = config.init::<Flex>(Arithmetic::default(), 4, &Default::default()).unwrap();
        let picture = image::<Flex>([1, 1, 8, 8], DType::F32);
        let lowest = |input: Tensor<Flex, 4>| {
            network.down.iter().fold(input, |value, down| down.forward(value)).abs().sum().into_scalar()
        };
        assert!((lowest(picture.clone()) - lowest(picture.flip([3]))).abs() > 1e-3);
    }
}
