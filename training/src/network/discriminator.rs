//! The PatchGAN discriminator: a score for each patch of 94 x 94 pixels, 16 x 16 scores of 256 x 256 pixels.

use burn::module::Module;
use burn::nn::InstanceNorm;
use burn::tensor::Tensor;
use burn::tensor::activation::leaky_relu;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use super::check_widths;
use super::layers::{Arithmetic, Convolution, Layers, Normalization, SLOPE, multiply_adds, normalize};
use super::spectral::SpectralNorm;
use crate::error::Error;

/// Edge of the kernels.
const KERNEL: usize = 4;

/// The shape of a discriminator.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiscriminatorConfig {
    /// Channels after each halving; 1 to 6. A convolution to one channel follows.
    pub widths: Vec<usize>,
    /// What follows the convolutions, but the first and the last.
    pub normalization: Normalization,
    /// Whether all convolutions' weights are divided by their greatest singular value.
    pub spectral_normalization: bool,
}

impl Default for DiscriminatorConfig {
    fn default() -> Self {
        Self {
            widths: vec![64, 128, 256, 512],
            normalization: Normalization::Instance,
            spectral_normalization: false,
        }
    }
}

impl DiscriminatorConfig {
    /// Refuses shapes that cannot be built or would be absurdly large.
    ///
    /// # Errors
    /// [`Error::Network`] with the first fault.
    pub fn validate(&self) -> Result<(), Error> {
        check_widths(&self.widths, 1..=6)
    }

    /// The smallest height and width that can be judged.
    pub fn smallest_size(&self) -> usize {
        match self.normalization {
            // A single pixel would be normalized to 0, whatever it was.
            Normalization::Instance if self.widths.len() > 1 => 2 << self.widths.len(),
            _ => 1 << self.widths.len(),
        }
    }

    /// Multiplications with an addition that an image of `height` x `width` takes, forward.
    pub fn multiply_adds(&self, channels_in: usize, height: usize, width: usize) -> u64 {
        let mut total = 0;
        let (mut above, mut h, mut w) = (channels_in, height, width);
        for &channels in &self.widths {
            (h, w) = (h / 2, w / 2);
            total += multiply_adds(above, channels, KERNEL, h * w);
            above = channels;
        }
        total + multiply_adds(above, 1, KERNEL, h * w)
    }

    /// Builds a discriminator of images of `channels_in` channels; its weights depend on `seed` only.
    pub fn init<B: Backend>(
        &self,
        channels_in: usize,
        arithmetic: Arithmetic,
        seed: u64,
        device: &B::Device,
    ) -> Discriminator<B> {
        let mut layers = Layers::new(arithmetic, seed, device);
        let mut judges = Vec::with_capacity(self.widths.len() + 1);
        let mut channels = channels_in;
        for (level, &width) in self.widths.iter().enumerate() {
            let normalization = if level == 0 { Normalization::None } else { self.normalization };
            judges.push(self.judge(&mut layers, [channels, width], 2, normalization));
            channels = width;
        }
        judges.push(self.judge(&mut layers, [channels, 1], 1, Normalization::None));
        Discriminator { judges }
    }

    fn judge<B: Backend>(
        &self,
        layers: &mut Layers<'_, B>,
        [channels_in, channels_out]: [usize; 2],
        stride: usize,
        normalization: Normalization,
    ) -> Judge<B> {
        let convolution = layers.convolution(channels_in, channels_out, KERNEL, stride, 1.0);
        let weight = convolution.weight.val();
        let spectral = self.spectral_normalization.then(|| SpectralNorm::new(layers, &weight));
        let normalized = layers.normalized(convolution, normalization);
        Judge { convolution: normalized.convolution, spectral, normalization: normalized.normalization }
    }
}

/// A convolution, its spectral normalization and what follows it.
#[derive(Module, Debug)]
struct Judge<B: Backend> {
    convolution: Convolution<B>,
    spectral: Option<SpectralNorm<B>>,
    normalization: Option<InstanceNorm<B>>,
}

impl<B: Backend> Judge<B> {
    fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        let weight = self.convolution.weight.val();
        let weight = match &self.spectral {
            Some(spectral) => spectral.normalize(weight),
            None => weight,
        };
        normalize(self.normalization.as_ref(), self.convolution.forward_with(input, weight))
    }

    fn iterate(mut self) -> Self {
        let weight = self.convolution.weight.val();
        self.spectral = self.spectral.map(|spectral| spectral.iterate(&weight));
        self
    }
}

/// Convolutions of 4 x 4 and stride 2, and one to a single channel.
#[derive(Module, Debug)]
pub struct Discriminator<B: Backend> {
    judges: Vec<Judge<B>>,
}

impl<B: Backend> Discriminator<B> {
    /// Scores `[n, 1, h, w]`, each axis halved once a layer: high where the image looks acquired.
    ///
    /// To judge a target by its source, join the two as channels.
    pub fn forward(&self, image: Tensor<B, 4>) -> Tensor<B, 4> {
        let Some((last, before)) = self.judges.split_last() else { return image };
        let value = before.iter().fold(image, |value, judge| leaky_relu(judge.forward(value), SLOPE));
        last.forward(value)
    }

    /// One power iteration of every spectral normalization; once a step, before it judges.
    #[must_use]
    pub fn iterate(mut self) -> Self {
        self.judges = self.judges.into_iter().map(Judge::iterate).collect();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Differentiable, check_gradients, image};
    use super::*;
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::{DType, Distribution};

    fn tiny(normalization: Normalization, spectral_normalization: bool) -> DiscriminatorConfig {
        DiscriminatorConfig { widths: vec![2, 3, 4], normalization, spectral_normalization }
    }

    #[test]
    fn the_paper_s_sizes_and_their_cost() {
        let config = DiscriminatorConfig::default();
        let discriminator = config.init::<Flex>(2, Arithmetic::default(), 1, &Default::default());
        let scores = discriminator.forward(image([1, 2, 256, 256], DType::F32));
        assert_eq!(scores.dims(), [1, 1, 16, 16]);
        let levels = 16 * (2 * 64 * 128 * 128 + 3 * 64 * 128 * 64 * 64);
        assert_eq!(config.multiply_adds(2, 256, 256), levels + 16 * 512 * 16 * 16);
    }

    #[test]
    fn a_score_depends_on_ninety_four_pixels() {
        type B = Autodiff<Flex>;
        let device = Default::default();
        // Without normalization, through which every pixel would count.
        let config = DiscriminatorConfig { widths: vec![4; 4], ..tiny(Normalization::None, false) };
        let discriminator = config.init::<B>(1, Arithmetic::default(), 1, &device);
        let target = Tensor::<B, 4>::random([1, 1, 256, 256], Distribution::Default, &device).require_grad();
        let score = discriminator.forward(target.clone());
        let gradients = score.slice([0..1, 0..1, 7..8, 7..8]).sum().backward();
        let reached: Vec<f32> = target.grad(&gradients).unwrap().into_data().to_vec().unwrap();
        let rows = reached.chunks(256).filter(|row| row.iter().any(|g| *g != 0.0)).count();
        assert_eq!(rows, 94);
    }

    #[test]
    fn gradients_match_finite_differences() {
        for (config, parameters) in [
            (tiny(Normalization::Instance, false), 10),
            (tiny(Normalization::Instance, true), 10),
            (tiny(Normalization::None, true), 8),
        ] {
            let discriminator =
                config.init::<Differentiable>(2, Arithmetic::default(), 2, &Default::default()).iterate();
            let compared = check_gradients(discriminator, |discriminator: &Discriminator<_>| {
                discriminator.forward(image([1, 2, 16, 16], DType::F64)).square()
            });
            assert_eq!(compared, 3 * parameters);
        }
    }

    #[test]
    fn spectral_normalization_takes_the_scale_away_and_records_keep_it() {
        let device = Default::default();
        let config = tiny(Normalization::None, true);
        let input = || image::<Flex>([1, 1, 32, 32], DType::F32);
        let scores = |discriminator: &Discriminator<Flex>| discriminator.forward(input()).into_data();
        let mut large = config.init::<Flex>(1, Arithmetic::default(), 3, &device);
        let normal = scores(&large);
        large.judges[0].convolution.weight = large.judges[0].convolution.weight.clone().map(|w| w * 100.0);
        let scaled = scores(&large);
        scaled.assert_approx_eq::<f32>(&normal, burn::tensor::Tolerance::relative(1e-4));
        // The next power iteration is part of a record, so that a resumed run goes on alike.
        let iterated = large.iterate();
        let record = iterated.clone().into_record();
        let resumed = config.init::<Flex>(1, Arithmetic::default(), 99, &device).load_record(record);
        assert_eq!(scores(&iterated), scores(&resumed));
        assert_eq!(scores(&iterated.iterate()), scores(&resumed.iterate()));
    }

    #[test]
    fn a_frozen_discriminator_passes_gradients_and_takes_none() {
        let device = Default::default();
        let config = tiny(Normalization::Instance, true);
        let frozen = config.init::<Differentiable>(1, Arithmetic::default(), 3, &device).no_grad();
        let input = image::<Differentiable>([1, 1, 16, 16], DType::F32).require_grad();
        let gradients = frozen.forward(input.clone()).sum().backward();
        assert!(input.grad(&gradients).unwrap().abs().sum().into_scalar() > 0.0);
        assert!(frozen.judges[0].convolution.weight.val().grad(&gradients).is_none());
    }

    #[test]
    fn the_smallest_size_gives_scores_that_differ() {
        for (normalization, size) in [(Normalization::Instance, 16), (Normalization::None, 8)] {
            let config = tiny(normalization, false);
            assert_eq!(config.smallest_size(), size);
            let discriminator = config.init::<Flex>(1, Arithmetic::default(), 1, &Default::default());
            let one = discriminator.forward(image([1, 1, size, size], DType::F32));
            let other = discriminator.forward(Tensor::ones([1, 1, size, size], &Default::default()));
            assert!((one - other).abs().sum().into_scalar() > 1e-4);
        }
        assert!(DiscriminatorConfig { widths: vec![], ..Default::default() }.validate().is_err());
        assert!(DiscriminatorConfig { widths: vec![0], ..Default::default() }.validate().is_err());
        assert!(DiscriminatorConfig::default().validate().is_ok());
    }
}
