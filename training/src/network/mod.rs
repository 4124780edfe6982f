//! The two-dimensional networks: three kinds of generators, and the discriminator that judges them.

pub mod discriminator;
pub mod layers;
pub mod light;
mod matrix;
pub mod residual;
pub mod spectral;
#[cfg(test)]
pub(crate) mod testing;
pub mod unet;

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

use crate::error::Error;
pub use discriminator::{Discriminator, DiscriminatorConfig};
pub use layers::{Arithmetic, ConvolutionKind, Normalization, Padding, Precision, Upsampling};
pub use light::{Light, LightConfig};
pub use residual::{Residual, ResidualConfig};
pub use unet::{Unet, UnetConfig};

/// The shape of a generator; in recipes the key `kind` chooses `light`, `residual` or `unet`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum GeneratorConfig {
    /// The small network of the default models.
    Light(LightConfig),
    /// The paper's: convolutions down, residual blocks, convolutions up.
    Residual(ResidualConfig),
    /// The U-Net of Pix2Pix.
    Unet(UnetConfig),
}

impl Default for GeneratorConfig {
    fn default() -> Self {
        Self::Light(LightConfig::default())
    }
}

impl GeneratorConfig {
    /// Neighbouring axial slices of the source contrast that come in as channels: 1, 3 or 5.
    pub fn slices_in(&self) -> usize {
        match self {
            Self::Light(config) => config.slices_in,
            Self::Residual(config) => config.slices_in,
            Self::Unet(config) => config.slices_in,
        }
    }

    /// Heights and widths must be multiples of this.
    pub fn size_multiple(&self) -> usize {
        match self {
            Self::Light(_) => light::SIZE_MULTIPLE,
            Self::Residual(config) => config.size_multiple(),
            Self::Unet(config) => config.size_multiple(),
        }
    }

    /// The smallest height and width: below, a layer would have nothing to reflect or to normalize.
    pub fn smallest_size(&self) -> usize {
        match self {
            // At 1 x 1 there would be no neighbour to reflect, and nothing but zeros after normalization.
            Self::Residual(config) => 2 * config.size_multiple(),
            Self::Light(_) | Self::Unet(_) => self.size_multiple(),
        }
    }

    /// Whether a pixel depends on its surroundings alone: instance normalization makes it depend on the whole window.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Light(_) => true,
            Self::Residual(config) => config.normalization == Normalization::None,
            Self::Unet(config) => config.normalization == Normalization::None,
        }
    }

    /// Refuses shapes that cannot be built or would be absurdly large.
    ///
    /// # Errors
    /// [`Error::Network`] with the first fault.
    pub fn validate(&self) -> Result<(), Error> {
        match self {
            Self::Light(config) => config.validate(),
            Self::Residual(config) => config.validate(),
            Self::Unet(config) => config.validate(),
        }
    }

    /// Builds a generator whose weights depend on `seed` only, not on the backend.
    ///
    /// # Errors
    /// Those of [`GeneratorConfig::validate`].
    pub fn init<B: Backend>(
        &self,
        arithmetic: Arithmetic,
        seed: u64,
        device: &B::Device,
    ) -> Result<Generator<B>, Error> {
        Ok(match self {
            Self::Light(config) => Generator::Light(config.init(arithmetic, seed, device)?),
            Self::Residual(config) => Generator::Residual(config.init(arithmetic, seed, device)?),
            Self::Unet(config) => Generator::Unet(config.init(arithmetic, seed, device)?),
        })
    }

    /// Multiplications with an addition that a slice of `height` x `width` takes, forward.
    pub fn multiply_adds(&self, height: usize, width: usize) -> u64 {
        match self {
            Self::Light(config) => config.multiply_adds(height, width),
            Self::Residual(config) => config.multiply_adds(height, width),
            Self::Unet(config) => config.multiply_adds(height, width),
        }
    }
}

/// A generator of any kind.
#[derive(Module, Debug)]
pub enum Generator<B: Backend> {
    /// See [`GeneratorConfig::Light`].
    Light(Light<B>),
    /// See [`GeneratorConfig::Residual`].
    Residual(Residual<B>),
    /// See [`GeneratorConfig::Unet`].
    Unet(Unet<B>),
}

impl<B: Backend> Generator<B> {
    /// `[n, slices_in, height, width]` in 0..1 to `[n, 1, height, width]`; the light generator's may leave 0..1.
    ///
    /// Height and width must be multiples of [`GeneratorConfig::size_multiple`].
    pub fn forward(&self, input: Tensor<B, 4>) -> Tensor<B, 4> {
        match self {
            Self::Light(network) => network.forward(input),
            Self::Residual(network) => network.forward(input),
            Self::Unet(network) => network.forward(input),
        }
    }
}

/// Refuses numbers of neighbouring slices other than 1, 3 and 5.
fn check_slices(slices_in: usize) -> Result<(), Error> {
    if [1, 3, 5].contains(&slices_in) {
        return Ok(());
    }
    Err(Error::Network(format!("slices_in is {slices_in}, it must be 1, 3 or 5")))
}

/// Refuses lists of channels that are too short, too long, or hold absurd numbers.
fn check_widths(widths: &[usize], counts: std::ops::RangeInclusive<usize>) -> Result<(), Error> {
    if !counts.contains(&widths.len()) {
        return Err(Error::Network(format!(
            "widths has {} entries, it must have {} to {}",
            widths.len(),
            counts.start(),
            counts.end()
        )));
    }
    if widths.iter().any(|width| !(1..=1024).contains(width)) {
        return Err(Error::Network(format!("widths are {widths:?}, each must be in 1..=1024")));
    }
    Ok(())
}

/// Refuses more residual blocks than anyone needs.
fn check_residual_blocks(count: usize) -> Result<(), Error> {
    if count > 32 {
        return Err(Error::Network(format!("{count} residual blocks are more than 32")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;

    fn kinds() -> [GeneratorConfig; 3] {
        [
            GeneratorConfig::Light(LightConfig { widths: [4; 4], ..Default::default() }),
            GeneratorConfig::Residual(ResidualConfig { widths: vec![4, 4, 4], ..Default::default() }),
            GeneratorConfig::Unet(UnetConfig { widths: vec![4, 4, 4], ..Default::default() }),
        ]
    }

    #[test]
    fn recipes_name_the_kind_and_nothing_unknown() {
        for config in kinds() {
            let text = toml::to_string(&config).unwrap();
            assert_eq!(toml::from_str::<GeneratorConfig>(&text).unwrap(), config);
            assert!(toml::from_str::<GeneratorConfig>(&format!("{text}dropout = 0.5\n")).is_err());
        }
        assert_eq!(
            toml::from_str::<GeneratorConfig>("kind = 'residual'").unwrap(),
            GeneratorConfig::Residual(ResidualConfig::default())
        );
        assert!(toml::from_str::<GeneratorConfig>("kind = 'transformer'").is_err());
        assert!(toml::from_str::<GeneratorConfig>("slices_in = 1").is_err());
        for line in ["upsampling = 'cubic'", "normalization = 'batch'", "padding = 'edge'", "widths = [-1]"] {
            assert!(
                toml::from_str::<GeneratorConfig>(&format!("kind = 'residual'\n{line}")).is_err(),
                "{line}"
            );
        }
        for line in ["convolution = 'fft'", "precision = 'float16'", "threads = 3"] {
            assert!(toml::from_str::<Arithmetic>(line).is_err(), "{line}");
        }
    }

    #[test]
    fn impossible_shapes_are_refused() {
        for text in [
            "kind = 'light'\nslices_in = 2",
            "kind = 'light'\nwidths = [0, 1, 1, 1]",
            "kind = 'residual'\nslices_in = 7",
            "kind = 'residual'\nwidths = [64]",
            "kind = 'residual'\nwidths = [1, 1, 1, 1, 1, 1, 1]",
            "kind = 'residual'\nwidths = [64, 4096]",
            "kind = 'residual'\nresidual_blocks = 33",
            "kind = 'unet'\nslices_in = 0",
            "kind = 'unet'\nwidths = []",
            "kind = 'unet'\nwidths = [1, 1, 1, 1, 1, 1, 1, 1, 1]",
        ] {
            let config: GeneratorConfig = toml::from_str(text).unwrap();
            assert!(config.validate().is_err(), "{text}");
            assert!(config.init::<Flex>(Arithmetic::default(), 1, &Default::default()).is_err(), "{text}");
        }
        assert!(kinds().iter().all(|config| config.validate().is_ok()));
    }

    #[test]
    fn the_seed_decides_the_weights_and_the_arithmetic_does_not() {
        let matrix = Arithmetic { convolution: ConvolutionKind::Matrix, ..Default::default() };
        for config in kinds() {
            let size = config.smallest_size();
            let output = |arithmetic, seed| {
                let network = config.init::<Flex>(arithmetic, seed, &Default::default()).unwrap();
                let shape = [1, config.slices_in(), size, size];
                network.forward(testing::image(shape, burn::tensor::DType::F32)).into_data()
            };
            let first = output(Arithmetic::default(), 1);
            assert_eq!(first, output(Arithmetic::default(), 1));
            assert_ne!(first, output(Arithmetic::default(), 2));
            output(matrix, 1).assert_approx_eq::<f32>(&first, burn::tensor::Tolerance::absolute(1e-4));
        }
    }

    #[test]
    fn sizes_and_costs_by_kind() {
        let [light, residual, unet] = kinds();
        assert_eq!([light.size_multiple(), residual.size_multiple(), unet.size_multiple()], [16, 4, 8]);
        assert_eq!([light.is_local(), residual.is_local(), unet.is_local()], [true, false, false]);
        // Four times the pixels, four times the work.
        for config in [light, residual, unet] {
            assert_eq!(4 * config.multiply_adds(64, 96), config.multiply_adds(128, 192));
        }
    }
}
