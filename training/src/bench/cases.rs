//! What is timed: the recipes' networks with each of their choices.

use std::path::Path;

use crate::error::Error;
use crate::network::{
    Arithmetic, ConvolutionKind, DiscriminatorConfig, GeneratorConfig, LightConfig, Precision,
    ResidualConfig, UnetConfig, Upsampling,
};
use crate::recipe::Recipe;

/// A network and the arithmetic of its convolutions.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// Such as `residual-transposed`.
    pub name: String,
    pub network: Network,
    pub arithmetic: Arithmetic,
}

#[derive(Clone, Debug)]
pub(super) enum Network {
    Generator(GeneratorConfig),
    /// A discriminator of images alone, as in CycleGAN.
    Discriminator(DiscriminatorConfig),
    /// All networks and losses of a recipe's method.
    Method(Box<Recipe>),
}

/// All cases, those to be compared with each other together.
pub(super) fn all(divisor: usize) -> Vec<Vec<Case>> {
    let narrowed = |widths: Vec<usize>| widths.into_iter().map(|width| (width / divisor).max(1)).collect();
    let residual = |upsampling| {
        let config = ResidualConfig { upsampling, ..Default::default() };
        let widths = narrowed(config.widths);
        Network::Generator(GeneratorConfig::Residual(ResidualConfig { widths, ..config }))
    };
    let unet = |upsampling| {
        let config = UnetConfig { upsampling, ..Default::default() };
        let widths = narrowed(config.widths);
        Network::Generator(GeneratorConfig::Unet(UnetConfig { widths, ..config }))
    };
    let light = LightConfig::default();
    let widths = light.widths.map(|width| (width / divisor).max(1));
    let light = Network::Generator(GeneratorConfig::Light(LightConfig { widths, ..light }));
    let patchgan = |spectral_normalization| {
        let config = DiscriminatorConfig { spectral_normalization, ..Default::default() };
        let widths = narrowed(config.widths);
        Network::Discriminator(DiscriminatorConfig { widths, ..config })
    };
    [
        vec![
            ("residual-transposed", residual(Upsampling::Transposed)),
            ("residual-resize", residual(Upsampling::Resize)),
        ],
        vec![("unet-transposed", unet(Upsampling::Transposed)), ("unet-resize", unet(Upsampling::Resize))],
        vec![("light", light)],
        vec![("patchgan", patchgan(false)), ("patchgan-spectral", patchgan(true))],
    ]
    .into_iter()
    .map(|group| group.into_iter().flat_map(|(name, network)| by_arithmetic(name, &network)).collect())
    .collect()
}

/// The method of the recipe at `path`.
pub(super) fn of_recipe(path: &Path) -> Result<Vec<Case>, Error> {
    let recipe = Recipe::read(path)?;
    let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
    Ok(by_arithmetic(&name, &Network::Method(Box::new(recipe))))
}

fn by_arithmetic(name: &str, network: &Network) -> Vec<Case> {
    let kinds = [ConvolutionKind::Native, ConvolutionKind::Matrix];
    let precisions = [Precision::Float32, Precision::Bfloat16];
    let arithmetics = kinds.into_iter().flat_map(|convolution| {
        precisions.into_iter().map(move |precision| Arithmetic { convolution, precision })
    });
    arithmetics
        .map(|arithmetic| Case { name: name.to_owned(), network: network.clone(), arithmetic })
        .collect()
}

impl Case {
    /// Such as `native float32`.
    pub fn arithmetic_name(&self) -> String {
        format!("{:?} {:?}", self.arithmetic.convolution, self.arithmetic.precision).to_lowercase()
    }

    /// Channels that come in.
    pub fn channels(&self) -> usize {
        match &self.network {
            Network::Generator(config) => config.slices_in(),
            Network::Discriminator(_) => 1,
            Network::Method(recipe) => recipe.network.slices_in(),
        }
    }

    /// Whether images of this edge go through.
    pub fn takes(&self, window: usize) -> bool {
        match &self.network {
            Network::Generator(config) => {
                window >= config.smallest_size() && window.is_multiple_of(config.size_multiple())
            }
            Network::Discriminator(config) => window >= config.smallest_size(),
            // Its size is its own.
            Network::Method(_) => true,
        }
    }

    /// Floating-point operations of a step on an image of this edge: two for each multiplication with its addition, and
    /// twice as many back as forward. Not known of whole methods.
    pub fn operations(&self, window: usize) -> Option<u64> {
        let forward = match &self.network {
            Network::Generator(config) => config.multiply_adds(window, window),
            Network::Discriminator(config) => config.multiply_adds(1, window, window),
            Network::Method(_) => return None,
        };
        Some(3 * 2 * forward)
    }
}
