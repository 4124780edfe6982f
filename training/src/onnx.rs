//! ONNX files of networks: nodes, weights in half precision, and the proof that tract computes the same.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use burn::nn::conv::{Conv2d, Conv3d, ConvTranspose3d};
use burn::nn::{InstanceNorm, PaddingConfig2d, PaddingConfig3d};
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

const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;

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
    pub(crate) fn tolerance(self) -> f32 {
        match self {
            Self::Float16 => 2e-3,
            Self::Float32 => 1e-4,
        }
    }
}

/// Writes `model` to `path` if tract computes `expected` of `input`, whose shape is `shape`.
pub(crate) fn write_proven(
    model: &ModelProto,
    (shape, input): (&[usize], &[f32]),
    expected: &[f32],
    precision: Precision,
    path: &Path,
) -> Result<(), Error> {
    let bytes = model.encode_to_vec();
    let difference = difference(&bytes, shape, input, expected).map_err(|f| Error::export(path, f))?;
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

/// The nodes and weights of a file in the making.
pub(crate) struct Graph {
    precision: Precision,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

/// A layer's tensors and attributes, whatever its number of dimensions.
struct Layer {
    operator: &'static str,
    weight: (Vec<usize>, TensorData),
    bias: Option<TensorData>,
    attributes: Vec<AttributeProto>,
}

impl Graph {
    /// Nothing yet.
    pub(crate) fn new(precision: Precision) -> Self {
        Self { precision, nodes: Vec::new(), initializers: Vec::new() }
    }

    /// The file: graph `name` with one input and one output (name and shape each), and its card.
    pub(crate) fn into_model(
        self,
        name: &str,
        (input, input_shape): (&str, Vec<Dimension>),
        (output, output_shape): (&str, Vec<Dimension>),
        card: &BTreeMap<String, String>,
    ) -> ModelProto {
        ModelProto {
            ir_version: IR_VERSION,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            producer_name: env!("CARGO_PKG_NAME").into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            metadata_props: card
                .iter()
                .map(|(key, value)| StringStringEntryProto { key: key.clone(), value: value.clone() })
                .collect(),
            graph: Some(GraphProto {
                name: name.into(),
                node: self.nodes,
                initializer: self.initializers,
                input: vec![value_info(input, input_shape)],
                output: vec![value_info(output, output_shape)],
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// A two-dimensional convolution; returns its output's name.
    pub(crate) fn convolution<B: Backend>(
        &mut self,
        layer: &Conv2d<B>,
        input: &str,
        name: &str,
    ) -> Result<String, String> {
        let PaddingConfig2d::Explicit(top, left, bottom, right) = layer.padding else {
            return Err(format!("{name}: the padding is not explicit"));
        };
        let attributes = vec![
            integers("kernel_shape", &layer.kernel_size),
            integers("strides", &layer.stride),
            integers("pads", &[top, left, bottom, right]),
            integers("dilations", &layer.dilation),
            integer("group", layer.groups),
        ];
        let bias = layer.bias.as_ref().map(|bias| bias.val().into_data());
        self.layer(
            Layer { operator: "Conv", weight: data(layer.weight.val()), bias, attributes },
            input,
            name,
        )
    }

    /// A convolution and a ReLU.
    pub(crate) fn convolution_relu<B: Backend>(
        &mut self,
        layer: &Conv2d<B>,
        input: &str,
        name: &str,
    ) -> Result<String, String> {
        let output = self.convolution(layer, input, name)?;
        Ok(self.relu(&output, name))
    }

    /// A three-dimensional convolution.
    pub(crate) fn convolution_3d<B: Backend>(
        &mut self,
        layer: &Conv3d<B>,
        input: &str,
        name: &str,
    ) -> Result<String, String> {
        let PaddingConfig3d::Explicit(d, h, w) = layer.padding else {
            return Err(format!("{name}: the padding is not explicit"));
        };
        let attributes = vec![
            integers("kernel_shape", &layer.kernel_size),
            integers("strides", &layer.stride),
            integers("pads", &[d, h, w, d, h, w]),
            integers("dilations", &layer.dilation),
            integer("group", layer.groups),
        ];
        let bias = layer.bias.as_ref().map(|bias| bias.val().into_data());
        self.layer(
            Layer { operator: "Conv", weight: data(layer.weight.val()), bias, attributes },
            input,
            name,
        )
    }

    /// A three-dimensional transposed convolution without padding.
    pub(crate) fn transposed_convolution_3d<B: Backend>(
        &mut self,
        layer: &ConvTranspose3d<B>,
        input: &str,
        name: &str,
    ) -> Result<String, String> {
        let attributes = vec![
            integers("kernel_shape", &layer.kernel_size),
            integers("strides", &layer.stride),
            integers("dilations", &layer.dilation),
            integer("group", layer.groups),
        ];
        let bias = layer.bias.as_ref().map(|bias| bias.val().into_data());
        let weight = data(layer.weight.val());
        self.layer(Layer { operator: "ConvTranspose", weight, bias, attributes }, input, name)
    }

    /// Instance normalization with a factor and an offset for each channel.
    pub(crate) fn instance_normalization<B: Backend>(
        &mut self,
        layer: &InstanceNorm<B>,
        input: &str,
        name: &str,
    ) -> Result<String, String> {
        let (Some(gamma), Some(beta)) = (&layer.gamma, &layer.beta) else {
            return Err(format!("{name}: the normalization has no factors"));
        };
        let gamma = self.bias(gamma.val().into_data(), &format!("{name}.factors"))?;
        let beta = self.bias(beta.val().into_data(), &format!("{name}.offsets"))?;
        let epsilon = AttributeProto {
            name: "epsilon".into(),
            r#type: AttributeType::Float as i32,
            f: layer.epsilon as f32,
            ..Default::default()
        };
        let output = format!("{name}.normalized");
        Ok(self.node("InstanceNormalization", &[input, &gamma, &beta], &output, vec![epsilon]))
    }

    /// The larger of 0 and a value.
    pub(crate) fn relu(&mut self, input: &str, name: &str) -> String {
        self.node("Relu", &[input], &format!("{name}.relu"), vec![])
    }

    fn layer(&mut self, layer: Layer, input: &str, name: &str) -> Result<String, String> {
        let (dims, weight) = layer.weight;
        let weight = self.weight(dims, weight, &format!("{name}.weight"))?;
        let mut inputs = vec![input, weight.as_str()];
        let bias;
        if let Some(values) = layer.bias {
            bias = self.bias(values, &format!("{name}.bias"))?;
            inputs.push(&bias);
        }
        Ok(self.node(layer.operator, &inputs, name, layer.attributes))
    }

    /// Stores a kernel in the wanted precision; half precision is cast back in the graph.
    fn weight(&mut self, dims: Vec<usize>, weight: TensorData, name: &str) -> Result<String, String> {
        let values = finite(weight, name)?;
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

    fn bias(&mut self, bias: TensorData, name: &str) -> Result<String, String> {
        let values = finite(bias, name)?;
        Ok(self.float_initializer(name, vec![values.len()], &values))
    }

    /// A constant; returns its name.
    pub(crate) fn float_initializer(&mut self, name: &str, dims: Vec<usize>, values: &[f32]) -> String {
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
    pub(crate) fn block(&mut self, input: &str, operator: &str, name: &str) -> String {
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

    /// A node named after its output, whose name it returns.
    pub(crate) fn node(
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

/// A dimension of any length.
pub(crate) fn symbol(name: &str) -> Dimension {
    dimension_of(dimension::Value::DimParam(name.into()))
}

/// A dimension of one length.
pub(crate) fn fixed(value: usize) -> Dimension {
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

/// A tensor's shape and values.
fn data<B: Backend, const D: usize>(tensor: Tensor<B, D>) -> (Vec<usize>, TensorData) {
    (tensor.dims().to_vec(), tensor.into_data())
}

/// The greatest difference between `expected` and what tract computes.
pub(crate) fn difference(
    bytes: &[u8],
    shape: &[usize],
    input: &[f32],
    expected: &[f32],
) -> Result<f32, String> {
    let computed = run_tract(bytes, shape, input).map_err(|e| format!("tract: {e:#}"))?;
    if computed.len() != expected.len() {
        return Err(format!("tract gives {} pixels instead of {}", computed.len(), expected.len()));
    }
    let differences = computed.iter().zip(expected).map(|(a, b)| (a - b).abs());
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
pub(crate) fn test_image(length: usize) -> Vec<f32> {
    (0..length)
        .map(|n| 0.5 + 0.3 * (n as f32 * 0.05).sin() + 0.2 * ((n * 7919 % 101) as f32 / 101.0 - 0.5))
        .collect()
}
