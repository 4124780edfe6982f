//! Writes a trained extractor as one ONNX file with its card.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use mrisynth::prepare::lattice::CHANNELS;
use tract_onnx::pb::ModelProto;

use super::network::{Block, Network};
use crate::error::Error;
use crate::onnx::{self, Graph, Precision, fixed, symbol};

const INPUT: &str = "intensities";
const OUTPUT: &str = "heights";
/// The prefix of every key of the card.
const PREFIX: &str = "mrisynth.";

/// The card of an extractor: what the run knows, then `entries` (with or without the prefix).
///
/// # Errors
/// [`Error::Usage`] for an entry that only the export itself writes.
pub fn card<B: Backend>(
    network: &Network<B>,
    training_steps: u64,
    entries: &[(String, String)],
) -> Result<BTreeMap<String, String>, Error> {
    let fixed = [
        ("kind", "brain-extraction".to_owned()),
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("orientation", "ras".into()),
        ("spacing_mm", mrisynth::prepare::lattice::SPACING.to_string()),
        ("unit_mm", mrisynth::prepare::lattice::UNIT.to_string()),
        ("training_steps", training_steps.to_string()),
        ("parameters", network.num_params().to_string()),
    ];
    let mut card = BTreeMap::new();
    for (key, value) in entries {
        let key = key.strip_prefix(PREFIX).unwrap_or(key);
        if key.is_empty() || fixed.iter().any(|(name, _)| *name == key) {
            return Err(Error::Usage(format!("--card cannot set {key:?}, the export itself writes it")));
        }
        card.insert(format!("{PREFIX}{key}"), value.clone());
    }
    card.extend(fixed.into_iter().map(|(key, value)| (format!("{PREFIX}{key}"), value)));
    Ok(card)
}

/// Writes `network` to `path` after tract has computed the same as burn on a test image.
///
/// # Errors
/// [`Error::Export`] if it does not, or a weight does not fit; [`Error::Io`].
pub fn export<B: Backend>(
    network: &Network<B>,
    card: &BTreeMap<String, String>,
    precision: Precision,
    path: &Path,
    device: &B::Device,
) -> Result<(), Error> {
    let model = build(network, card, precision).map_err(|f| Error::export(path, f))?;
    let (shape, image, expected) = example(network, device);
    onnx::write_proven(&model, (&shape, &image), &expected, precision, path)
}

/// A test image, its shape, and what the network makes of it.
fn example<B: Backend>(network: &Network<B>, device: &B::Device) -> ([usize; 5], Vec<f32>, Vec<f32>) {
    let shape = [1, CHANNELS, 16, 8, 24];
    let image = onnx::test_image(shape.iter().product());
    let input = Tensor::<B, 5>::from_data(TensorData::new(image.clone(), shape), device);
    let expected = network.forward(input).into_data();
    (shape, image, expected.iter::<f32>().collect())
}

fn build<B: Backend>(
    network: &Network<B>,
    card: &BTreeMap<String, String>,
    precision: Precision,
) -> Result<ModelProto, String> {
    let mut graph = Graph::new(precision);
    walk(&mut graph, network)?;
    let shape = || vec![fixed(1), fixed(CHANNELS), symbol("depth"), symbol("height"), symbol("width")];
    Ok(graph.into_model("brain-extraction", (INPUT, shape()), (OUTPUT, shape()), card))
}

/// The same walk as [`Network::forward`].
fn walk<B: Backend>(graph: &mut Graph, network: &Network<B>) -> Result<(), String> {
    let mut value = block(graph, &network.stem, INPUT, "stem")?;
    value = graph.convolution_3d(&network.stem_second, &value, "stem_second")?;
    value = graph.relu(&value, "stem_second");
    let mut skips = Vec::new();
    for (level, down) in network.down.iter().enumerate() {
        skips.push(value.clone());
        value = block(graph, down, &value, &format!("down.{level}"))?;
        if let Some(refine) = network.refine.get(level) {
            value = block(graph, refine, &value, &format!("refine.{level}"))?;
        }
    }
    for (n, residual) in network.residual.iter().enumerate() {
        let name = format!("residual.{n}");
        let inner = block(graph, &residual.first, &value, &format!("{name}.first"))?;
        let change = graph.convolution_3d(&residual.second, &inner, &format!("{name}.second"))?;
        value = graph.node("Add", &[&value, &change], &name, vec![]);
    }
    for (level, up) in network.up.iter().enumerate() {
        value = graph.transposed_convolution_3d(up, &value, &format!("up.{level}"))?;
        if let Some(skip) = skips.pop() {
            value = graph.node("Add", &[&value, &skip], &format!("skip.{level}"), vec![]);
        }
        if let Some(merge) = network.merge.get(level) {
            value = block(graph, merge, &value, &format!("merge.{level}"))?;
        } else {
            value = graph.convolution_3d(&network.last, &value, "last")?;
            value = graph.relu(&value, "last");
        }
    }
    graph.convolution_3d(&network.head, &value, OUTPUT)?;
    Ok(())
}

fn block<B: Backend>(graph: &mut Graph, block: &Block<B>, input: &str, name: &str) -> Result<String, String> {
    let value = graph.convolution_3d(&block.convolution, input, name)?;
    let value = graph.instance_normalization(&block.normalization, &value, name)?;
    Ok(graph.relu(&value, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::brain::network::NetworkConfig;
    use burn::backend::Flex;
    use prost::Message;

    #[test]
    fn tract_computes_what_burn_computes() {
        let config = NetworkConfig { widths: [6, 8, 10, 12], residual_blocks: 1 };
        let network = config.init::<Flex>(5, &Default::default()).unwrap();
        let (shape, image, expected) = example(&network, &Default::default());
        for (precision, bound) in [(Precision::Float32, 1e-4), (Precision::Float16, 2e-3)] {
            let model = build(&network, &BTreeMap::new(), precision).unwrap();
            let found = onnx::difference(&model.encode_to_vec(), &shape, &image, &expected).unwrap();
            assert!(found < bound, "{found}");
        }
    }
}
