//! Writes a trained generator as one ONNX file with its card, and proves that tract computes the same.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use burn::nn::PaddingConfig2d;
use burn::nn::conv::Conv2d;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use half::f16;
use prost::Message;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto::AttributeType,
    tensor_proto::DataType, tensor_shape_proto::Dimension, tensor_shape_proto::dimension, type_proto,
};
use tract_onnx::prelude::{Framework, InferenceModelExt, IntoRunnable, tvec};

use crate::error::Error;
use crate::network::{Network, SIZE_MULTIPLE};
use crate::recipe::Recipe;

const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;
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

/// How the weights are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Half precision, cast when the model is loaded: half the size.
    Float16,
    /// As trained.
    Float32,
}

impl Precision {
    /// The greatest difference between tract and burn that is allowed, for outputs in 0..1.
    fn tolerance(self) -> f32 {
        match self {
            Self::Float16 => 2e-3,
            Self::Float32 => 1e-4,
        }
    }
}

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
    let bytes = model.encode_to_vec();
    let difference = difference(network, &bytes, slices_in, device).map_err(|f| Error::export(path, f))?;
    if difference.is_nan() || difference > precision.tolerance() {
        return Err(Error::export(
            path,
            format!(
                "tract and burn differ by {difference}, more than {} are not allowed",
                precision.tolerance()
            ),
        ));
    }
    write_whole(path, &bytes)
}

fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = crate::store::temporary_in(folder).map_err(|e| Error::io(path, e))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(|e| Error::io(path, e))?;
    file.persist(path).map_err(|e| Error::io(path, e.error))?;
    Ok(())
}

fn build<B: Backend>(
    network: &Network<B>,
    slices_in: usize,
    card: &BTreeMap<String, String>,
    precision: Precision,
) -> Result<ModelProto, String> {
    let mut graph = Graph { precision, nodes: Vec::new(), initializers: Vec::new() };
    graph.network(network)?;
    let size = [symbol("height"), symbol("width")];
    let channels = |count: usize| vec![fixed(1), fixed(count), size[0].clone(), size[1].clone()];
    Ok(ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        producer_name: env!("CARGO_PKG_NAME").into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        metadata_props: card
            .iter()
            .map(|(key, value)| StringStringEntryProto { key: key.clone(), value: value.clone() })
            .collect(),
        graph: Some(GraphProto {
            name: "generator".into(),
            node: graph.nodes,
            initializer: graph.initializers,
            input: vec![value_info(INPUT, channels(slices_in))],
            output: vec![value_info(OUTPUT, channels(1))],
            ..Default::default()
        }),
        ..Default::default()
    })
}

struct Graph {
    precision: Precision,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

impl Graph {
    /// The same walk as [`Network::forward`], then a clip to 0..1.
    fn network<B: Backend>(&mut self, network: &Network<B>) -> Result<(), String> {
        let half = self.block(INPUT, "SpaceToDepth", "split");
        let half = self.convolution_relu(&network.stem, &half, "stem")?;
        let mut value = self.convolution_relu(&network.stem_second, &half, "stem_second")?;
        let mut skips = Vec::new();
        for (level, down) in network.down.iter().enumerate() {
            skips.push(value.clone());
            value = self.convolution_relu(down, &value, &format!("down.{level}"))?;
            if let Some(refine) = network.refine.get(level) {
                value = self.convolution_relu(refine, &value, &format!("refine.{level}"))?;
            }
        }
        for (n, block) in network.residual.iter().enumerate() {
            let name = format!("residual.{n}");
            let inner = self.convolution_relu(&block.first, &value, &format!("{name}.first"))?;
            let change = self.convolution(&block.second, &inner, &format!("{name}.second"))?;
            value = self.node("Add", &[&value, &change], &name, vec![]);
        }
        for (level, (up, merge)) in network.up.iter().zip(&network.merge).enumerate() {
            let wide = self.convolution(up, &value, &format!("up.{level}"))?;
            value = self.block(&wide, "DepthToSpace", &format!("shuffle.{level}"));
            if let Some(skip) = skips.pop() {
                value = self.node("Add", &[&value, &skip], &format!("skip.{level}"), vec![]);
            }
            value = self.convolution_relu(merge, &value, &format!("merge.{level}"))?;
        }
        let head = self.convolution(&network.head, &value, "head")?;
        let full = self.block(&head, "DepthToSpace", "join");
        let low = self.float_initializer("clip.low", vec![], &[0.0]);
        let high = self.float_initializer("clip.high", vec![], &[1.0]);
        self.nodes.push(node("Clip", &[&full, &low, &high], OUTPUT, vec![]));
        Ok(())
    }

    fn convolution_relu<B: Backend>(
        &mut self,
        layer: &Conv2d<B>,
        input: &str,
        name: &str,
    ) -> Result<String, String> {
        let output = self.convolution(layer, input, name)?;
        Ok(self.node("Relu", &[&output], &format!("{name}.relu"), vec![]))
    }

    fn convolution<B: Backend>(
        &mut self,
        layer: &Conv2d<B>,
        input: &str,
        name: &str,
    ) -> Result<String, String> {
        let PaddingConfig2d::Explicit(top, left, bottom, right) = layer.padding else {
            return Err(format!("{name}: the padding is not explicit"));
        };
        let weight = self.weight(layer.weight.val(), &format!("{name}.weight"))?;
        let mut inputs = vec![input, weight.as_str()];
        let bias;
        if let Some(values) = &layer.bias {
            bias = self.bias(values.val(), &format!("{name}.bias"))?;
            inputs.push(&bias);
        }
        let attributes = vec![
            integers("kernel_shape", &layer.kernel_size),
            integers("strides", &layer.stride),
            integers("pads", &[top, left, bottom, right]),
            integers("dilations", &layer.dilation),
            integer("group", layer.groups),
        ];
        Ok(self.node("Conv", &inputs, name, attributes))
    }

    /// Stores a kernel in the wanted precision; half precision is cast back in the graph.
    fn weight<B: Backend>(&mut self, weight: Tensor<B, 4>, name: &str) -> Result<String, String> {
        let dims = weight.dims().to_vec();
        let values = finite(weight.into_data(), name)?;
        if self.precision == Precision::Float32 {
            return Ok(self.float_initializer(name, dims, &values));
        }
        let halves: Vec<f16> = values.iter().map(|&v| f16::from_f32(v)).collect();
        if halves.iter().any(|half| !half.is_finite()) {
            return Err(format!("{name} does not fit into half precision"));
        }
        let raw = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
        let stored = self.initializer(&format!("{name}.float16"), dims, DataType::Float16, raw);
        let to = integer("to", DataType::Float as usize);
        self.nodes.push(node("Cast", &[&stored], name, vec![to]));
        Ok(name.into())
    }

    fn bias<B: Backend>(&mut self, bias: Tensor<B, 1>, name: &str) -> Result<String, String> {
        let dims = bias.dims().to_vec();
        let values = finite(bias.into_data(), name)?;
        Ok(self.float_initializer(name, dims, &values))
    }

    fn float_initializer(&mut self, name: &str, dims: Vec<usize>, values: &[f32]) -> String {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.initializer(name, dims, DataType::Float, raw)
    }

    fn initializer(&mut self, name: &str, dims: Vec<usize>, kind: DataType, raw_data: Vec<u8>) -> String {
        self.initializers.push(TensorProto {
            name: name.into(),
            dims: dims.into_iter().map(|d| d as i64).collect(),
            data_type: kind as i32,
            raw_data,
            ..Default::default()
        });
        name.into()
    }

    /// SpaceToDepth or DepthToSpace by two.
    fn block(&mut self, input: &str, operator: &str, name: &str) -> String {
        let mut attributes = vec![integer("blocksize", 2)];
        if operator == "DepthToSpace" {
            attributes.push(AttributeProto {
                name: "mode".into(),
                r#type: AttributeType::String as i32,
                s: b"DCR".to_vec(),
                ..Default::default()
            });
        }
        self.node(operator, &[input], name, attributes)
    }

    fn node(
        &mut self,
        operator: &str,
        inputs: &[&str],
        output: &str,
        attributes: Vec<AttributeProto>,
    ) -> String {
        self.nodes.push(node(operator, inputs, output, attributes));
        output.into()
    }
}

fn node(operator: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        name: format!("{output}.node"),
        op_type: operator.into(),
        input: inputs.iter().map(|&name| name.into()).collect(),
        output: vec![output.into()],
        attribute,
        ..Default::default()
    }
}

fn integer(name: &str, value: usize) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Int as i32,
        i: value as i64,
        ..Default::default()
    }
}

fn integers(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints as i32,
        ints: values.iter().map(|&value| value as i64).collect(),
        ..Default::default()
    }
}

fn symbol(name: &str) -> Dimension {
    dimension_of(dimension::Value::DimParam(name.into()))
}

fn fixed(value: usize) -> Dimension {
    dimension_of(dimension::Value::DimValue(value as i64))
}

fn dimension_of(value: dimension::Value) -> Dimension {
    Dimension { value: Some(value), ..Default::default() }
}

fn value_info(name: &str, dim: Vec<Dimension>) -> ValueInfoProto {
    let tensor =
        type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() }),
        ..Default::default()
    }
}

fn finite(data: TensorData, name: &str) -> Result<Vec<f32>, String> {
    let values: Vec<f32> = data.iter::<f32>().collect();
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(format!("{name} holds values that are not finite"))
    }
}

/// The greatest difference between tract on `bytes` and burn on `network`, over a test image.
fn difference<B: Backend>(
    network: &Network<B>,
    bytes: &[u8],
    slices_in: usize,
    device: &B::Device,
) -> Result<f32, String> {
    let shape = [1, slices_in, 3 * SIZE_MULTIPLE, 2 * SIZE_MULTIPLE];
    let values = test_image(shape.iter().product());
    let input = Tensor::<B, 4>::from_data(TensorData::new(values.clone(), shape), device);
    let expected = network.forward(input).clamp(0.0, 1.0).into_data();
    let computed = run_tract(bytes, &shape, &values).map_err(|e| format!("tract: {e:#}"))?;
    let expected: Vec<f32> = expected.iter::<f32>().collect();
    if computed.len() != expected.len() {
        return Err(format!("tract gives {} pixels instead of {}", computed.len(), expected.len()));
    }
    let differences = computed.iter().zip(&expected).map(|(a, b)| (a - b).abs());
    // Unlike max, this keeps a NaN.
    Ok(differences.fold(0.0, |worst: f32, d| if d <= worst { worst } else { d }))
}

fn run_tract(bytes: &[u8], shape: &[usize], values: &[f32]) -> tract_onnx::prelude::TractResult<Vec<f32>> {
    use tract_onnx::prelude::{DatumExt, Tensor as TractTensor};
    let model = tract_onnx::onnx()
        .model_for_read(&mut &bytes[..])?
        .with_input_fact(0, f32::fact(shape).into())?
        .into_optimized()?
        .into_runnable()?;
    let input = TractTensor::from_shape(shape, values)?;
    let outputs = model.run(tvec!(input.into()))?;
    Ok(outputs[0].to_plain_array_view::<f32>()?.iter().copied().collect())
}

/// Smooth and rough parts without a random number generator.
fn test_image(length: usize) -> Vec<f32> {
    (0..length)
        .map(|n| 0.5 + 0.3 * (n as f32 * 0.05).sin() + 0.2 * ((n * 7919 % 101) as f32 / 101.0 - 0.5))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::NetworkConfig;
    use crate::recipe::tests::smallest;
    use burn::backend::Flex;

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
        difference(&network, &model.encode_to_vec(), slices_in, &Default::default()).unwrap()
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
        let found = difference(&other, &model.encode_to_vec(), 3, &Default::default()).unwrap();
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
