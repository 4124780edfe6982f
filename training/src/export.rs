//! Writes a trained generator as one ONNX file with its card.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use prost::Message;
use tract_onnx::pb::ModelProto;

use mrisynth::metrics::Similarity;

use crate::direction::Direction;
use crate::error::Error;
use crate::network::layers::{Normalized, NormalizedDoubling, SLOPE};
use crate::network::{Generator, GeneratorConfig, Light, Residual, Unet};
use crate::onnx::{self, Graph, Precision, fixed, symbol};
use crate::recipe::Recipe;

const INPUT: &str = "source";
const OUTPUT: &str = "synthetic";
/// The prefix of every key of the card.
const PREFIX: &str = "mrisynth.";
/// Keys that say what the file is; only the export itself writes them.
const FIXED: [&str; 15] = [
    "format",
    "source",
    "target",
    "method",
    "slices_in",
    "size_multiple",
    "window",
    "normalization",
    "orientation",
    "spacing_mm",
    "training_steps",
    "validation_psnr",
    "validation_ssim",
    "validation_mae",
    "parameters",
];
/// No window of a brain in voxels of 1 mm is larger.
const LARGEST_WINDOW: usize = 1024;

/// What a run knows of a generator.
#[derive(Clone, Copy, Debug)]
pub struct Trained {
    /// From which contrast to which.
    pub direction: Direction,
    /// Steps of training.
    pub steps: u64,
    /// Its scores on whole slices of the validation part, if it was looked at after these steps.
    pub validation: Option<Similarity>,
}

/// The card of a generator: what the recipe and the run know, then `entries` (with or without the prefix).
///
/// # Errors
/// [`Error::Network`] for a network that depends on its window and a recipe that gives none, or an impossible one;
/// [`Error::Usage`] for an entry that only the export itself writes.
pub fn card<B: Backend>(
    recipe: &Recipe,
    trained: &Trained,
    network: &Generator<B>,
    entries: &[(String, String)],
) -> Result<BTreeMap<String, String>, Error> {
    let window = recipe.model_window();
    check_window(&recipe.network, window)?;
    let mut card = BTreeMap::new();
    let mut set = |key: &str, value: String| card.insert(format!("{PREFIX}{key}"), value);
    for (key, value) in [
        ("format", "1".to_owned()),
        ("name", recipe.model_name(trained.direction)),
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("source", trained.direction.source.to_string().to_lowercase()),
        ("target", trained.direction.target.to_string().to_lowercase()),
        ("method", recipe.method_name().into()),
        ("slices_in", recipe.network.slices_in().to_string()),
        ("size_multiple", recipe.network.size_multiple().to_string()),
        ("normalization", "p99.5".into()),
        ("orientation", "axial-ras".into()),
        ("spacing_mm", "1".into()),
        ("training_data", recipe.store_names()),
        ("license", "unspecified".into()),
        ("training_steps", trained.steps.to_string()),
        ("parameters", network.num_params().to_string()),
    ] {
        set(key, value);
    }
    if let Some(window) = window {
        set("window", window.to_string());
    }
    if let Some(Similarity { psnr, ssim, mae }) = trained.validation {
        for (key, value) in [("psnr", psnr), ("ssim", ssim), ("mae", mae)] {
            set(&format!("validation_{key}"), format!("{value:.4}"));
        }
    }
    for (key, value) in entries {
        let key = key.strip_prefix(PREFIX).unwrap_or(key);
        if key.is_empty() || FIXED.contains(&key) {
            return Err(Error::Usage(format!("--card cannot set {key:?}, the export itself writes it")));
        }
        set(key, value.clone());
    }
    Ok(card)
}

fn check_window(config: &GeneratorConfig, window: Option<usize>) -> Result<(), Error> {
    let (multiple, smallest) = (config.size_multiple(), config.smallest_size());
    match window {
        None if !config.is_local() => Err(Error::Network(
            "with instance normalization the result depends on the window, and none is given".into(),
        )),
        Some(window)
            if !window.is_multiple_of(multiple) || !(smallest..=LARGEST_WINDOW).contains(&window) =>
        {
            Err(Error::Network(format!(
                "the window is {window}, it must be a multiple of {multiple} in {smallest}..={LARGEST_WINDOW}"
            )))
        }
        _ => Ok(()),
    }
}

/// The ONNX file of `network`, for use in memory; what [`export`] proves is not proven of it.
///
/// # Errors
/// [`Error::Network`] for weights that are not finite, or do not fit into half precision.
pub fn to_bytes<B: Backend>(
    network: &Generator<B>,
    config: &GeneratorConfig,
    card: &BTreeMap<String, String>,
    precision: Precision,
) -> Result<Vec<u8>, Error> {
    Ok(build(network, config, card, precision).map_err(Error::Network)?.encode_to_vec())
}

/// Writes `network` to `path` after tract has computed the same as burn on a test image.
///
/// # Errors
/// [`Error::Export`] if it does not, or a weight does not fit; [`Error::Io`].
pub fn export<B: Backend>(
    network: &Generator<B>,
    config: &GeneratorConfig,
    card: &BTreeMap<String, String>,
    precision: Precision,
    path: &Path,
    device: &B::Device,
) -> Result<(), Error> {
    let model = build(network, config, card, precision).map_err(|f| Error::export(path, f))?;
    let (shape, image, expected) = example(network, config, device);
    onnx::write_proven(&model, (&shape, &image), &expected, precision, path)
}

/// A test image, its shape, and what the network makes of it.
fn example<B: Backend>(
    network: &Generator<B>,
    config: &GeneratorConfig,
    device: &B::Device,
) -> ([usize; 4], Vec<f32>, Vec<f32>) {
    let shape = [1, config.slices_in(), 3 * config.size_multiple(), 2 * config.size_multiple()];
    let image = onnx::test_image(shape.iter().product());
    let input = Tensor::<B, 4>::from_data(TensorData::new(image.clone(), shape), device);
    // Only the light generator's results may need it.
    let expected = network.forward(input).clamp(0.0, 1.0).into_data();
    (shape, image, expected.iter::<f32>().collect())
}

fn build<B: Backend>(
    network: &Generator<B>,
    config: &GeneratorConfig,
    card: &BTreeMap<String, String>,
    precision: Precision,
) -> Result<ModelProto, String> {
    let mut graph = Graph::new(precision);
    match network {
        Generator::Light(network) => walk_light(&mut graph, network)?,
        Generator::Residual(network) => walk_residual(&mut graph, network)?,
        Generator::Unet(network) => walk_unet(&mut graph, network)?,
    }
    let size = [symbol("height"), symbol("width")];
    let channels = |count: usize| vec![fixed(1), fixed(count), size[0].clone(), size[1].clone()];
    Ok(graph.into_model("generator", (INPUT, channels(config.slices_in())), (OUTPUT, channels(1)), card))
}

/// The same walk as [`Light::forward`], then a clip to 0..1.
fn walk_light<B: Backend>(graph: &mut Graph, network: &Light<B>) -> Result<(), String> {
    let half = graph.block(INPUT, "SpaceToDepth", "split");
    let half = graph.convolution_relu(&network.stem, &half, "stem")?;
    let mut value = graph.convolution_relu(&network.stem_second, &half, "stem_second")?;
    let mut skips = Vec::new();
    for (level, down) in network.down.iter().enumerate() {
        skips.push(value.clone());
        value = graph.convolution_relu(down, &value, &format!("down.{level}"))?;
        if let Some(refine) = network.refine.get(level) {
            value = graph.convolution_relu(refine, &value, &format!("refine.{level}"))?;
        }
    }
    for (n, block) in network.residual.iter().enumerate() {
        let name = format!("residual.{n}");
        let inner = graph.convolution_relu(&block.first, &value, &format!("{name}.first"))?;
        let change = graph.convolution(&block.second, &inner, &format!("{name}.second"))?;
        value = graph.node("Add", &[&value, &change], &name, vec![]);
    }
    for (level, (up, merge)) in network.up.iter().zip(&network.merge).enumerate() {
        let wide = graph.convolution(up, &value, &format!("up.{level}"))?;
        value = graph.block(&wide, "DepthToSpace", &format!("shuffle.{level}"));
        if let Some(skip) = skips.pop() {
            value = graph.node("Add", &[&value, &skip], &format!("skip.{level}"), vec![]);
        }
        value = graph.convolution_relu(merge, &value, &format!("merge.{level}"))?;
    }
    let head = graph.convolution(&network.head, &value, "head")?;
    let full = graph.block(&head, "DepthToSpace", "join");
    let low = graph.float_initializer("clip.low", vec![], &[0.0]);
    let high = graph.float_initializer("clip.high", vec![], &[1.0]);
    graph.node("Clip", &[&full, &low, &high], OUTPUT, vec![]);
    Ok(())
}

/// The same walk as [`Residual::forward`].
fn walk_residual<B: Backend>(graph: &mut Graph, network: &Residual<B>) -> Result<(), String> {
    let mut value = normalized(graph, &network.stem, INPUT, "stem")?;
    value = graph.relu(&value, "stem");
    for (level, down) in network.down.iter().enumerate() {
        let name = format!("down.{level}");
        value = normalized(graph, down, &value, &name)?;
        value = graph.relu(&value, &name);
    }
    for (n, block) in network.residual.iter().enumerate() {
        let name = format!("residual.{n}");
        let first = format!("{name}.first");
        let inner = normalized(graph, &block.first, &value, &first)?;
        let inner = graph.relu(&inner, &first);
        let change = normalized(graph, &block.second, &inner, &format!("{name}.second"))?;
        value = graph.node("Add", &[&value, &change], &name, vec![]);
    }
    for (level, up) in network.up.iter().enumerate() {
        let name = format!("up.{level}");
        value = normalized_doubling(graph, up, &value, &name)?;
        value = graph.relu(&value, &name);
    }
    let head = graph.convolution(&network.head, &value, "head")?;
    graph.node("Sigmoid", &[&head], OUTPUT, vec![]);
    Ok(())
}

/// The same walk as [`Unet::forward`].
fn walk_unet<B: Backend>(graph: &mut Graph, network: &Unet<B>) -> Result<(), String> {
    let mut skips: Vec<String> = Vec::new();
    for (level, down) in network.down.iter().enumerate() {
        let name = format!("down.{level}");
        let above = match skips.last() {
            Some(above) => graph.leaky_relu(above, SLOPE, &name),
            None => INPUT.into(),
        };
        skips.push(normalized(graph, down, &above, &name)?);
    }
    let mut value = skips.pop().unwrap_or_else(|| INPUT.into());
    for (level, up) in network.up.iter().enumerate() {
        let name = format!("up.{level}");
        value = graph.relu(&value, &name);
        value = normalized_doubling(graph, up, &value, &name)?;
        if let Some(skip) = skips.pop() {
            value = graph.concatenate(&[&skip, &value], &format!("join.{level}"));
        }
    }
    value = graph.relu(&value, "head");
    let head = graph.doubling(&network.head, &value, "head")?;
    graph.node("Sigmoid", &[&head], OUTPUT, vec![]);
    Ok(())
}

fn normalized<B: Backend>(
    graph: &mut Graph,
    layer: &Normalized<B>,
    input: &str,
    name: &str,
) -> Result<String, String> {
    let value = graph.convolution(&layer.convolution, input, name)?;
    match &layer.normalization {
        Some(normalization) => graph.instance_normalization(normalization, &value, name),
        None => Ok(value),
    }
}

fn normalized_doubling<B: Backend>(
    graph: &mut Graph,
    layer: &NormalizedDoubling<B>,
    input: &str,
    name: &str,
) -> Result<String, String> {
    let value = graph.doubling(&layer.doubling, input, name)?;
    match &layer.normalization {
        Some(normalization) => graph.instance_normalization(normalization, &value, name),
        None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{
        Arithmetic, LightConfig, Normalization, Padding, ResidualConfig, UnetConfig, Upsampling,
    };
    use crate::recipe::tests::smallest;
    use burn::backend::Flex;
    use mrisynth::model::{LoadOptions, Model};

    fn trained(recipe: &Recipe) -> Trained {
        let validation = Some(Similarity { psnr: 21.25, ssim: 0.75, mae: 0.0625 });
        Trained { direction: recipe.direction(), steps: 7, validation }
    }

    fn light(slices_in: usize) -> LightConfig {
        LightConfig { slices_in, widths: [8, 12, 16, 24], residual_blocks: 2 }
    }

    fn network(slices_in: usize) -> Light<Flex> {
        let mut network = light(slices_in).init(Arithmetic::default(), 3, &Default::default()).unwrap();
        // Towards the middle of 0..1, so that the clip hides no difference; the biases differ, so that they count.
        let bias = Tensor::from_floats([0.3, 0.4, 0.5, 0.6], &Default::default());
        network.head.bias = Some(burn::module::Param::from_tensor(bias));
        network
    }

    /// Every kind, and every choice that the others have.
    fn others() -> Vec<GeneratorConfig> {
        let mut configs = Vec::new();
        for (upsampling, normalization, padding) in [
            (Upsampling::Transposed, Normalization::Instance, Padding::Reflect),
            (Upsampling::Resize, Normalization::None, Padding::Zero),
        ] {
            configs.push(GeneratorConfig::Residual(ResidualConfig {
                slices_in: 3,
                widths: vec![6, 8, 10],
                residual_blocks: 2,
                upsampling,
                normalization,
                padding,
            }));
            let widths = vec![6, 8, 10, 12];
            configs.push(GeneratorConfig::Unet(UnetConfig {
                slices_in: 1,
                widths,
                upsampling,
                normalization,
            }));
        }
        configs
    }

    fn difference(model: &ModelProto, network: &Generator<Flex>, config: &GeneratorConfig) -> f32 {
        let (shape, image, expected) = example(network, config, &Default::default());
        let spread = expected.iter().fold(0.0, |top: f32, v| top.max((v - expected[0]).abs()));
        assert!(spread > 0.01, "a flat picture proves nothing: {spread}");
        onnx::difference(&model.encode_to_vec(), &shape, &image, &expected).unwrap()
    }

    fn all() -> Vec<(GeneratorConfig, Generator<Flex>)> {
        let lights = [1, 3, 5]
            .map(|slices| (GeneratorConfig::Light(light(slices)), Generator::Light(network(slices))));
        let others = others().into_iter().map(|config| {
            let network = config.init(Arithmetic::default(), 3, &Default::default()).unwrap();
            (config, network)
        });
        lights.into_iter().chain(others).collect()
    }

    fn recipe(config: &GeneratorConfig, window: Option<usize>) -> Recipe {
        Recipe { network: config.clone(), window, ..smallest() }
    }

    fn card_of(network: &Generator<Flex>, recipe: &Recipe) -> Result<BTreeMap<String, String>, Error> {
        card(recipe, &trained(recipe), network, &[])
    }

    #[test]
    fn tract_computes_what_burn_computes() {
        for (config, network) in all() {
            let found = |precision| {
                let model = build(&network, &config, &BTreeMap::new(), precision).unwrap();
                difference(&model, &network, &config)
            };
            let single = found(Precision::Float32);
            assert!(single < 1e-4, "{config:?}: {single}");
            let half = found(Precision::Float16);
            assert!(half > 0.0 && half < 2e-3, "{config:?}: {half}");
        }
    }

    #[test]
    fn the_library_loads_every_kind() {
        for (config, network) in all() {
            let window = (!config.is_local()).then(|| 8 * config.size_multiple());
            let card = card_of(&network, &recipe(&config, window)).unwrap();
            let bytes = to_bytes(&network, &config, &card, Precision::Float16).unwrap();
            let model = Model::from_bytes(&bytes, &LoadOptions::default()).unwrap();
            assert_eq!(model.card().slices_in, config.slices_in());
            assert_eq!(model.card().size_multiple, config.size_multiple());
            assert_eq!(model.card().window, window);
        }
    }

    #[test]
    fn networks_of_the_published_sizes_are_within_the_library_s_limits() {
        for config in [
            GeneratorConfig::Residual(ResidualConfig::default()),
            GeneratorConfig::Unet(UnetConfig::default()),
        ] {
            let network = config.init::<Flex>(Arithmetic::default(), 3, &Default::default()).unwrap();
            let card = card_of(&network, &recipe(&config, Some(256))).unwrap();
            let bytes = to_bytes(&network, &config, &card, Precision::Float16).unwrap();
            let model = Model::from_bytes(&bytes, &LoadOptions::default()).unwrap();
            assert_eq!(model.card().window, Some(256));
        }
    }

    #[test]
    fn another_network_is_noticed() {
        let config = GeneratorConfig::Light(light(3));
        let model = build(&Generator::Light(network(3)), &config, &BTreeMap::new(), Precision::Float32);
        let mut other = network(3);
        other.merge[0].weight = other.merge[0].weight.clone().map(|w| w * 1.5);
        let found = difference(&model.unwrap(), &Generator::Light(other), &config);
        assert!(found > 1e-3, "{found}");
    }

    #[test]
    fn weights_that_are_not_finite_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.onnx");
        let mut network = network(3);
        network.stem.weight = network.stem.weight.map(|w| w * f32::INFINITY);
        let (config, device) = (GeneratorConfig::Light(light(3)), Default::default());
        let (network, card) = (Generator::Light(network), BTreeMap::new());
        let error = export(&network, &config, &card, Precision::Float16, &path, &device).unwrap_err();
        assert!(error.to_string().contains("stem.weight"), "{error}");
        assert!(!path.exists());
        assert!(to_bytes(&network, &config, &card, Precision::Float32).is_err());
    }

    #[test]
    fn the_card_is_in_the_file_and_keeps_its_fixed_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.onnx");
        let (network, device) = (Generator::Light(network(3)), Default::default());
        let config = GeneratorConfig::Light(light(3));
        let entries = [("license".to_owned(), "CC0-1.0".to_owned())];
        let card = card(&smallest(), &trained(&smallest()), &network, &entries).unwrap();
        export(&network, &config, &card, Precision::Float16, &path, &device).unwrap();
        let model = ModelProto::decode(&*std::fs::read(&path).unwrap()).unwrap();
        let read: BTreeMap<_, _> =
            model.metadata_props.into_iter().map(|entry| (entry.key, entry.value)).collect();
        assert_eq!(read, card);
        assert_eq!(read["mrisynth.license"], "CC0-1.0");
        assert_eq!(read["mrisynth.training_steps"], "7");
        assert_eq!(read["mrisynth.validation_psnr"], "21.2500");
        assert!(!read.contains_key("mrisynth.window"));
        let fixed = [("mrisynth.source".to_owned(), "t1w".to_owned())];
        assert!(super::card(&smallest(), &trained(&smallest()), &network, &fixed).is_err());
    }

    #[test]
    fn a_network_that_depends_on_its_window_must_say_it() {
        let config = others().remove(0);
        let network = config.init::<Flex>(Arithmetic::default(), 3, &Default::default()).unwrap();
        let made = |window| card_of(&network, &recipe(&config, window));
        assert!(made(None).is_err());
        assert_eq!(made(Some(64)).unwrap()["mrisynth.window"], "64");
        for impossible in [0, 4, 66, 2048] {
            assert!(made(Some(impossible)).is_err(), "{impossible}");
        }
    }
}
