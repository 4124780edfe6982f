//! Writes a trained generator as one ONNX file with its card.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use tract_onnx::pb::ModelProto;

use crate::error::Error;
use crate::network::{Network, SIZE_MULTIPLE};
use crate::onnx::{self, Graph, Precision, fixed, symbol};
use crate::recipe::Recipe;

const INPUT: &str = "source";
const OUTPUT: &str = "synthetic";
/// The prefix of every key of the card.
const PREFIX: &str = "mrisynth.";
/// Keys that say what the file is; only the export itself writes them.
const FIXED: [&str; 10] = [
    "format",
    "source",
    "target",
    "slices_in",
    "size_multiple",
    "normalization",
    "orientation",
    "spacing_mm",
    "training_steps",
    "parameters",
];

/// The card of a generator: what the recipe and the run know, then `entries` (with or without the prefix).
pub fn card<B: Backend>(
    recipe: &Recipe,
    network: &Network<B>,
    training_steps: u64,
    entries: &[(String, String)],
) -> Result<BTreeMap<String, String>, Error> {
    use burn::module::Module;
    let mut card = BTreeMap::new();
    for (key, value) in [
        ("format", "1".to_owned()),
        ("name", recipe.name.clone()),
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("source", recipe.source.to_string().to_lowercase()),
        ("target", recipe.target.to_string().to_lowercase()),
        ("method", "supervised".into()),
        ("slices_in", recipe.network.slices_in.to_string()),
        ("size_multiple", SIZE_MULTIPLE.to_string()),
        ("normalization", "p99.5".into()),
        ("orientation", "axial-ras".into()),
        ("spacing_mm", "1".into()),
        ("training_data", "unspecified".into()),
        ("license", "unspecified".into()),
        ("training_steps", training_steps.to_string()),
        ("parameters", network.num_params().to_string()),
    ] {
        card.insert(format!("{PREFIX}{key}"), value);
    }
    for (key, value) in entries {
        let key = key.strip_prefix(PREFIX).unwrap_or(key);
        if key.is_empty() || FIXED.contains(&key) {
            return Err(Error::Usage(format!("--card cannot set {key:?}, the export itself writes it")));
        }
        card.insert(format!("{PREFIX}{key}"), value.clone());
    }
    Ok(card)
}

/// Writes `network` to `path` after tract has computed the same as burn on a test image.
pub fn export<B: Backend>(
    network: &Network<B>,
    slices_in: usize,
    card: &BTreeMap<String, String>,
    precision: Precision,
    path: &Path,
    device: &B::Device,
) -> Result<(), Error> {
    let model = build(network, slices_in, card, precision).map_err(|f| Error::export(path, f))?;
    let (shape, image, expected) = example(network, slices_in, device);
    onnx::write_proven(&model, (&shape, &image), &expected, precision, path)
}

/// A test image, its shape, and what the network makes of it.
fn example<B: Backend>(
    network: &Network<B>,
    slices_in: usize,
    device: &B::Device,
) -> ([usize; 4], Vec<f32>, Vec<f32>) {
    let shape = [1, slices_in, 3 * SIZE_MULTIPLE, 2 * SIZE_MULTIPLE];
    let image = onnx::test_image(shape.iter().product());
    let input = Tensor::<B, 4>::from_data(TensorData::new(image.clone(), shape), device);
    let expected = network.forward(input).clamp(0.0, 1.0).into_data();
    (shape, image, expected.iter::<f32>().collect())
}

fn build<B: Backend>(
    network: &Network<B>,
    slices_in: usize,
    card: &BTreeMap<String, String>,
    precision: Precision,
) -> Result<ModelProto, String> {
    let mut graph = Graph::new(precision);
    walk(&mut graph, network)?;
    let size = [symbol("height"), symbol("width")];
    let channels = |count: usize| vec![fixed(1), fixed(count), size[0].clone(), size[1].clone()];
    Ok(graph.into_model("generator", (INPUT, channels(slices_in)), (OUTPUT, channels(1)), card))
}

/// The same walk as [`Network::forward`], then a clip to 0..1.
fn walk<B: Backend>(graph: &mut Graph, network: &Network<B>) -> Result<(), String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::NetworkConfig;
    use crate::recipe::tests::smallest;
    use burn::backend::Flex;
    use prost::Message;

    fn network(slices_in: usize) -> Network<Flex> {
        let config = NetworkConfig { slices_in, widths: [8, 12, 16, 24], residual_blocks: 2 };
        let mut network = config.init(3, &Default::default()).unwrap();
        // Towards the middle of 0..1, so that the clip hides no difference; the biases differ, so that they count.
        let bias = Tensor::from_floats([0.3, 0.4, 0.5, 0.6], &Default::default());
        network.head.bias = Some(burn::module::Param::from_tensor(bias));
        network
    }

    fn difference_of(precision: Precision, slices_in: usize) -> f32 {
        let network = network(slices_in);
        let model = build(&network, slices_in, &BTreeMap::new(), precision).unwrap();
        difference(&model, &network, slices_in)
    }

    fn difference(model: &ModelProto, network: &Network<Flex>, slices_in: usize) -> f32 {
        let (shape, image, expected) = example(network, slices_in, &Default::default());
        onnx::difference(&model.encode_to_vec(), &shape, &image, &expected).unwrap()
    }

    #[test]
    fn tract_computes_what_burn_computes() {
        for slices_in in [1, 3, 5] {
            assert!(difference_of(Precision::Float32, slices_in) < 1e-4);
            let half = difference_of(Precision::Float16, slices_in);
            assert!(half > 0.0 && half < 2e-3, "{half}");
        }
    }

    #[test]
    fn another_network_is_noticed() {
        let model = build(&network(3), 3, &BTreeMap::new(), Precision::Float32).unwrap();
        let mut other = network(3);
        other.merge[0].weight = other.merge[0].weight.clone().map(|w| w * 1.5);
        let found = difference(&model, &other, 3);
        assert!(found > 1e-3, "{found}");
    }

    #[test]
    fn weights_that_are_not_finite_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.onnx");
        let mut network = network(3);
        network.stem.weight = network.stem.weight.map(|w| w * f32::INFINITY);
        let device = Default::default();
        let card = BTreeMap::new();
        let error = export(&network, 3, &card, Precision::Float16, &path, &device).unwrap_err();
        assert!(error.to_string().contains("stem.weight"), "{error}");
        assert!(!path.exists());
    }

    #[test]
    fn the_card_is_in_the_file_and_keeps_its_fixed_keys() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.onnx");
        let (network, device) = (network(3), Default::default());
        let entries = [("license".to_owned(), "CC0-1.0".to_owned())];
        let card = card(&smallest(), &network, 7, &entries).unwrap();
        export(&network, 3, &card, Precision::Float16, &path, &device).unwrap();
        let model = ModelProto::decode(&*std::fs::read(&path).unwrap()).unwrap();
        let read: BTreeMap<_, _> =
            model.metadata_props.into_iter().map(|entry| (entry.key, entry.value)).collect();
        assert_eq!(read, card);
        assert_eq!(read["mrisynth.license"], "CC0-1.0");
        assert_eq!(read["mrisynth.training_steps"], "7");
        let fixed = [("mrisynth.source".to_owned(), "t1w".to_owned())];
        assert!(super::card(&smallest(), &network, 7, &fixed).is_err());
    }
}
