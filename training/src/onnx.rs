//! ONNX files of networks: nodes, weights in half precision, and the proof that tract computes the same.

use std::collections::BTreeMap;
use std::path::Path;

use burn::nn::conv::{Conv3d, ConvTranspose3d};
use burn::nn::{InstanceNorm, PaddingConfig3d};
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
use crate::network::Padding;
use crate::network::layers::{Convolution, Doubling};

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
    crate::data::store::write_whole(path, &bytes)
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
        layer: &Convolution<B>,
        input: &str,
        name: &str,
    ) -> Result<String, String> {
        let [channels_out, _, kernel, _] = layer.weight.dims();
        let (mut before, mut after) = (layer.before, layer.after);
        let mut input = input.to_owned();
        if layer.padding == Padding::Reflect {
            input = self.reflect(&input, before, after, name);
            (before, after) = (0, 0);
        }
        let bias = layer.bias.as_ref().map(|bias| bias.val().into_data());
        let (operator, weight) = if channels_out == 1 && kernel > 3 && layer.stride == 1 {
            // The same convolution seen from its output: engines are several times faster at it.
            (before, after) = (kernel - 1 - before, kernel - 1 - after);
            ("ConvTranspose", data(layer.weight.val().flip([2, 3]).swap_dims(0, 1)))
        } else {
            ("Conv", data(layer.weight.val()))
        };
        let pads = [before, before, after, after];
        let attributes = window(&[kernel; 2], &[layer.stride; 2], Some(&pads), &[1; 2], 1);
        self.layer(Layer { operator, weight, bias, attributes }, &input, name)
    }

    /// A convolution and a ReLU.
    pub(crate) fn convolution_relu<B: Backend>(
        &mut self,
        layer: &Convolution<B>,
        input: &str,
        name: &str,
    ) -> Result<String, String> {
        let output = self.convolution(layer, input, name)?;
        Ok(self.relu(&output, name))
    }

    /// Doubles height and width.
    pub(crate) fn doubling<B: Backend>(
        &mut self,
        layer: &Doubling<B>,
        input: &str,
        name: &str,
    ) -> Result<String, String> {
        match layer {
            Doubling::Resize(layer) => {
                let large = self.repeat_pixels(input, &format!("{name}.large"));
                self.convolution(layer, &large, name)
            }
            Doubling::Transposed(layer) => {
                let weight = data(layer.weight.val());
                let bias = layer.bias.as_ref().map(|bias| bias.val().into_data());
                let kernel = [layer.weight.dims()[2]; 2];
                let mut attributes = window(&kernel, &[2; 2], Some(&[1; 4]), &[1; 2], 1);
                attributes.push(integers("output_padding", &[layer.output_padding(); 2]));
                self.layer(Layer { operator: "ConvTranspose", weight, bias, attributes }, input, name)
            }
        }
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
        let pads = [d, h, w, d, h, w];
        let attributes =
            window(&layer.kernel_size, &layer.stride, Some(&pads), &layer.dilation, layer.groups);
        let bias = layer.bias.as_ref().map(|bias| bias.val().into_data());
        let weight = data(layer.weight.val());
        self.layer(Layer { operator: "Conv", weight, bias, attributes }, input, name)
    }

    /// A three-dimensional transposed convolution without padding.
    pub(crate) fn transposed_convolution_3d<B: Backend>(
        &mut self,
        layer: &ConvTranspose3d<B>,
        input: &str,
        name: &str,
    ) -> Result<String, String> {
        let attributes = window(&layer.kernel_size, &layer.stride, None, &layer.dilation, layer.groups);
        let bias = layer.bias.as_ref().map(|bias| bias.val().into_data());
        let weight = data(layer.weight.val());
        self.layer(Layer { operator: "ConvTranspose", weight, bias, attributes }, input, name)
    }

    /// An image with its mirrored border.
    fn reflect(&mut self, input: &str, before: usize, after: usize, name: &str) -> String {
        let widths = [0, 0, before, before, 0, 0, after, after];
        let widths = self.integer_initializer(&format!("{name}.widths"), &widths);
        let mode = text("mode", "reflect");
        self.node("Pad", &[input, &widths], &format!("{name}.mirrored"), vec![mode])
    }

    /// An image with each pixel four times.
    fn repeat_pixels(&mut self, input: &str, name: &str) -> String {
        let scales = self.float_initializer(&format!("{name}.scales"), vec![4], &[1.0, 1.0, 2.0, 2.0]);
        let attributes = vec![
            text("mode", "nearest"),
            text("coordinate_transformation_mode", "asymmetric"),
            text("nearest_mode", "floor"),
        ];
        self.node("Resize", &[input, "", &scales], name, attributes)
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
        let epsilon = float("epsilon", layer.epsilon as f32);
        let output = format!("{name}.normalized");
        Ok(self.node("InstanceNormalization", &[input, &gamma, &beta], &output, vec![epsilon]))
    }

    /// The larger of 0 and a value.
    pub(crate) fn relu(&mut self, input: &str, name: &str) -> String {
        self.node("Relu", &[input], &format!("{name}.relu"), vec![])
    }

    /// A value, or `slope` times a value below 0.
    pub(crate) fn leaky_relu(&mut self, input: &str, slope: f64, name: &str) -> String {
        let alpha = float("alpha", slope as f32);
        self.node("LeakyRelu", &[input], &format!("{name}.leaky"), vec![alpha])
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

    fn integer_initializer(&mut self, name: &str, values: &[usize]) -> String {
        let raw = values.iter().flat_map(|&value| (value as i64).to_le_bytes()).collect();
        self.initializer(name, vec![values.len()], DataType::Int64, raw)
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
            attributes.push(text("mode", "DCR"));
        }
        self.node(operator, &[input], name, attributes)
    }

    /// Images joined as channels.
    pub(crate) fn concatenate(&mut self, inputs: &[&str], name: &str) -> String {
        self.node("Concat", inputs, name, vec![integer("axis", 1)])
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

/// What a convolution of any number of dimensions says of its window.
fn window(
    kernel: &[usize],
    strides: &[usize],
    pads: Option<&[usize]>,
    dilations: &[usize],
    groups: usize,
) -> Vec<AttributeProto> {
    let mut attributes = vec![integers("kernel_shape", kernel), integers("strides", strides)];
    attributes.extend(pads.map(|pads| integers("pads", pads)));
    attributes.extend([integers("dilations", dilations), integer("group", groups)]);
    attributes
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::String as i32,
        s: value.into(),
        ..Default::default()
    }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Float as i32, f: value, ..Default::default() }
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
