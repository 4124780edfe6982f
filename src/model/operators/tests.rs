//! Graphs of all that generators are made of: what the kernels and tract make of them together is what tract alone makes of them.

use proptest::prelude::*;
use prost::Message;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType, tensor_shape_proto,
    type_proto,
};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::internal::ToDim;

use super::blocks::Convolve;
use super::{Lowered, Packed, lower, register};
use crate::kernels::Tier;
use crate::model::embedded::EMBEDDED;

/// A layer of a made-up network.
#[derive(Clone, Debug)]
enum Layer {
    Convolution {
        channels: usize,
        kernel: usize,
        stride: usize,
        dilation: usize,
        groups: bool,
    },
    Transposed {
        channels: usize,
        kernel: usize,
        extra: usize,
    },
    Shuffled {
        channels: usize,
        block: usize,
        mode: &'static str,
    },
    Split,
    Norm,
    Relu,
    LeakyRelu(f32),
    Tanh,
    Border {
        mode: &'static str,
        rows: usize,
        columns: usize,
    },
    /// With the value before the last layers that has the same shape.
    Sum,
    /// With the value before the last layers that has the same size.
    Concatenation,
    MaxPool,
    Batch,
    /// A residual block, as generators have it.
    Residual,
}

fn layers() -> impl Strategy<Value = Layer> {
    let channels = || prop_oneof![1..=40_usize, Just(16), Just(32)];
    prop_oneof![
        6 => (channels(), prop_oneof![Just(3), 1..=5_usize], 1..=2_usize, 1..=2_usize, prop::bool::weighted(0.1)).prop_map(
            |(channels, kernel, stride, dilation, groups)| Layer::Convolution { channels, kernel, stride, dilation, groups }),
        2 => (channels(), 2..=4_usize, 0..=1_usize)
            .prop_map(|(channels, kernel, extra)| Layer::Transposed { channels, kernel, extra }),
        2 => (1..=20_usize, 1..=2_usize, prop_oneof![3 => Just("DCR"), 1 => Just("CRD")])
            .prop_map(|(channels, block, mode)| Layer::Shuffled { channels, block, mode }),
        1 => Just(Layer::Split),
        2 => Just(Layer::Norm),
        3 => Just(Layer::Relu),
        2 => prop_oneof![Just(0.2_f32), Just(-0.5), Just(1.5)].prop_map(Layer::LeakyRelu),
        1 => Just(Layer::Tanh),
        2 => (prop_oneof![2 => Just("reflect"), 1 => Just("constant"), 1 => Just("edge")], 0..=2_usize, 0..=2_usize)
            .prop_map(|(mode, rows, columns)| Layer::Border { mode, rows, columns }),
        3 => Just(Layer::Sum),
        3 => Just(Layer::Concatenation),
        1 => Just(Layer::MaxPool),
        1 => Just(Layer::Batch),
        2 => Just(Layer::Residual),
    ]
}

/// A network that is built layer by layer.
#[derive(Default)]
struct Builder {
    nodes: Vec<NodeProto>,
    weights: Vec<TensorProto>,
    /// Names and shapes (channels, height, width) of all values.
    values: Vec<(String, [usize; 3])>,
    seed: u64,
}

fn integers(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&value| value as i64).collect();
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints as i32,
        ints,
        ..AttributeProto::default()
    }
}

fn integer(name: &str, value: usize) -> AttributeProto {
    let i = value as i64;
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i, ..AttributeProto::default() }
}

fn text(name: &str, value: &str) -> AttributeProto {
    let s = value.as_bytes().to_vec();
    AttributeProto { name: name.into(), r#type: AttributeType::String as i32, s, ..AttributeProto::default() }
}

impl Builder {
    fn last(&self) -> (String, [usize; 3]) {
        self.values.last().unwrap().clone()
    }

    fn noise(&mut self, count: usize) -> Vec<f32> {
        let next = |_| {
            self.seed =
                self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.seed >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(next).collect()
    }

    fn tensor(&mut self, dims: &[usize], values: Vec<f32>) -> String {
        let name = format!("weights {}", self.weights.len());
        self.weights.push(TensorProto {
            name: name.clone(),
            dims: dims.iter().map(|&length| length as i64).collect(),
            data_type: DataType::Float as i32,
            float_data: values,
            ..TensorProto::default()
        });
        name
    }

    /// Weights that keep values about as large as they are.
    fn kernel(&mut self, dims: [usize; 4], terms: usize) -> String {
        let factor = (3.0 / terms as f32).sqrt();
        let values = self.noise(dims.iter().product()).iter().map(|value| factor * value).collect();
        self.tensor(&dims, values)
    }

    fn vector(&mut self, count: usize) -> String {
        let values = self.noise(count);
        self.tensor(&[count], values)
    }

    fn node(&mut self, operator: &str, inputs: &[&str], attributes: Vec<AttributeProto>, shape: [usize; 3]) {
        let name = format!("value {}", self.nodes.len());
        self.nodes.push(NodeProto {
            op_type: operator.into(),
            name: name.clone(),
            input: inputs.iter().map(|&input| input.into()).collect(),
            output: vec![name.clone()],
            attribute: attributes,
            ..NodeProto::default()
        });
        self.values.push((name, shape));
    }

    fn convolution(&mut self, channels: usize, kernel: usize, stride: usize, dilation: usize, groups: usize) {
        let (input, [from, height, width]) = self.last();
        let pad = dilation * (kernel - 1) / 2;
        let length = |length: usize| {
            (length + 2 * pad).checked_sub(dilation * (kernel - 1) + 1).map(|room| room / stride + 1)
        };
        let (Some(rows), Some(columns)) = (length(height), length(width)) else { return };
        let weights = self.kernel([channels, from / groups, kernel, kernel], from / groups * kernel * kernel);
        let bias = self.vector(channels);
        let attributes = vec![
            integers("kernel_shape", &[kernel; 2]),
            integers("strides", &[stride; 2]),
            integers("dilations", &[dilation; 2]),
            integers("pads", &[pad; 4]),
            integer("group", groups),
        ];
        self.node("Conv", &[&input, &weights, &bias], attributes, [channels, rows, columns]);
    }

    fn layer(&mut self, layer: &Layer) {
        let (input, shape @ [channels, height, width]) = self.last();
        match *layer {
            Layer::Convolution { channels, kernel, stride, dilation, groups } => {
                let groups = if groups { shape[0] } else { 1 };
                self.convolution(channels.next_multiple_of(groups), kernel, stride, dilation, groups);
            }
            Layer::Transposed { channels: to, kernel, extra } if height * width <= 200 => {
                let weights = self.kernel([channels, to, kernel, kernel], channels * kernel * kernel / 4 + 1);
                let bias = self.vector(to);
                let pad = (kernel - 1) / 2;
                let length = |length: usize| 2 * (length - 1) + kernel + extra - 2 * pad;
                let attributes = vec![
                    integers("kernel_shape", &[kernel; 2]),
                    integers("strides", &[2; 2]),
                    integers("pads", &[pad; 4]),
                    integers("output_padding", &[extra; 2]),
                ];
                let shape = [to, length(height), length(width)];
                self.node("ConvTranspose", &[&input, &weights, &bias], attributes, shape);
            }
            Layer::Shuffled { channels, block, mode } if height * width <= 200 => {
                self.convolution(channels * block * block, 1, 1, 1, 1);
                let (input, _) = self.last();
                let attributes = vec![integer("blocksize", block), text("mode", mode)];
                self.node("DepthToSpace", &[&input], attributes, [channels, height * block, width * block]);
            }
            Layer::Split if height % 2 == 0 && width % 2 == 0 && channels <= 20 => {
                let shape = [4 * channels, height / 2, width / 2];
                self.node("SpaceToDepth", &[&input], vec![integer("blocksize", 2)], shape);
            }
            Layer::Norm if height * width > 4 => {
                let [scale, bias] = [0, 1].map(|_| self.vector(channels));
                self.node("InstanceNormalization", &[&input, &scale, &bias], vec![], shape);
            }
            Layer::Relu => self.node("Relu", &[&input], vec![], shape),
            Layer::LeakyRelu(alpha) => {
                let alpha = AttributeProto {
                    name: "alpha".into(),
                    r#type: AttributeType::Float as i32,
                    f: alpha,
                    ..AttributeProto::default()
                };
                self.node("LeakyRelu", &[&input], vec![alpha], shape);
            }
            Layer::Tanh => self.node("Tanh", &[&input], vec![], shape),
            Layer::Border { mode, rows, columns } if rows < height && columns < width => {
                let pads = [0, 0, rows, columns, 0, 0, columns, rows];
                // The border after the image is the other way round, so that a mistake in the order shows.
                if columns >= height || rows >= width {
                    return;
                }
                let name = format!("weights {}", self.weights.len());
                self.weights.push(TensorProto {
                    name: name.clone(),
                    dims: vec![8],
                    data_type: DataType::Int64 as i32,
                    int64_data: pads.iter().map(|&rows| rows as i64).collect(),
                    ..TensorProto::default()
                });
                let shape = [channels, height + rows + columns, width + columns + rows];
                self.node("Pad", &[&input, &name], vec![text("mode", mode)], shape);
            }
            Layer::Sum => {
                let earlier = self.values.iter().rev().skip(1).find(|(_, other)| *other == shape).cloned();
                if let Some((other, _)) = earlier {
                    self.node("Add", &[&other, &input], vec![], shape);
                }
            }
            Layer::Concatenation if channels <= 64 => {
                let same_size = |other: &[usize; 3]| other[1..] == shape[1..];
                let earlier = self.values.iter().rev().skip(1).find(|(_, other)| same_size(other)).cloned();
                if let Some((other, [more, ..])) = earlier {
                    let shape = [channels + more, height, width];
                    self.node("Concat", &[&input, &other], vec![integer("axis", 1)], shape);
                }
            }
            Layer::MaxPool if height > 2 && width > 2 => {
                let attributes = vec![integers("kernel_shape", &[2; 2]), integers("strides", &[2; 2])];
                self.node("MaxPool", &[&input], attributes, [channels, height / 2, width / 2]);
            }
            Layer::Batch => {
                let [scale, bias, mean] = [0, 1, 2].map(|_| self.vector(channels));
                let variance = self.noise(channels).iter().map(|value| 1.5 + value).collect();
                let variance = self.tensor(&[channels], variance);
                self.node("BatchNormalization", &[&input, &scale, &bias, &mean, &variance], vec![], shape);
            }
            Layer::Residual if height > 1 && width > 1 => {
                for last in [false, true] {
                    self.layer(&Layer::Border { mode: "reflect", rows: 1, columns: 1 });
                    let (padded, [_, rows, columns]) = self.last();
                    let weights = self.kernel([channels, channels, 3, 3], 9 * channels);
                    let bias = self.vector(channels);
                    let shape = [channels, rows - 2, columns - 2];
                    self.node(
                        "Conv",
                        &[&padded, &weights, &bias],
                        vec![integers("kernel_shape", &[3; 2])],
                        shape,
                    );
                    self.layer(&Layer::Norm);
                    if !last {
                        self.layer(&Layer::Relu);
                    }
                }
                let (made, _) = self.last();
                self.node("Add", &[&input, &made], vec![], shape);
            }
            _ => (),
        }
    }

    fn model(self, channels: usize) -> ModelProto {
        let end = |name: &str, dims: &[Option<usize>]| ValueInfoProto {
            name: name.into(),
            r#type: Some(TypeProto {
                value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                    elem_type: DataType::Float as i32,
                    shape: Some(TensorShapeProto {
                        dim: dims
                            .iter()
                            .map(|length| tensor_shape_proto::Dimension {
                                value: length.map(|length| {
                                    tensor_shape_proto::dimension::Value::DimValue(length as i64)
                                }),
                                ..tensor_shape_proto::Dimension::default()
                            })
                            .collect(),
                    }),
                })),
                ..TypeProto::default()
            }),
            ..ValueInfoProto::default()
        };
        let (last, _) = self.last();
        ModelProto {
            ir_version: 8,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
            graph: Some(GraphProto {
                node: self.nodes,
                name: "network".into(),
                initializer: self.weights,
                input: vec![end("source", &[None, Some(channels), None, None])],
                output: vec![end(&last, &[None; 4])],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        }
    }
}

/// The typed graph for images of (channels, height, width), as many as `images` says.
fn typed(
    model: &ModelProto,
    images: TDim,
    [channels, height, width]: [usize; 3],
    keep: bool,
) -> TractResult<TypedModel> {
    let mut onnx = tract_onnx::onnx().with_ignore_value_info(true);
    if keep {
        register(&mut onnx);
    }
    let mut model = onnx.model_for_proto_model(model)?;
    model.set_output_fact(0, Default::default())?;
    let shape = [images, channels.to_dim(), height.to_dim(), width.to_dim()];
    model.with_input_fact(0, f32::fact(shape).into())?.into_typed()
}

fn run(graph: TypedModel, images: &Tensor) -> TractResult<Tensor> {
    let outputs = graph.into_optimized()?.into_runnable()?.run(tvec!(images.clone().into()))?;
    Ok(outputs[0].clone().into_tensor())
}

/// Tract's result of each image alone, one after the other.
fn by_tract(model: &ModelProto, shape: [usize; 3], images: &Tensor) -> TractResult<Vec<f32>> {
    let mut values = Vec::new();
    for image in 0..images.shape()[0] {
        let image = images.slice(0, image, image + 1)?;
        let result = run(typed(model, 1.to_dim(), shape, false)?, &image)?;
        values.extend_from_slice(result.try_as_plain_ram()?.as_slice::<f32>()?);
    }
    Ok(values)
}

/// The kernels' result: of all images at once if they run all convolutions, otherwise of each alone.
fn by_kernels(
    model: &ModelProto,
    shape: [usize; 3],
    images: &Tensor,
    tier: Tier,
) -> TractResult<(Vec<f32>, bool)> {
    let packed = Packed::default();
    let one = lower(&typed(model, 1.to_dim(), shape, true)?, &packed, tier)?;
    if !one.whole {
        let plan = one.graph.into_optimized()?.into_runnable()?;
        let mut values = Vec::new();
        for image in 0..images.shape()[0] {
            let image = images.slice(0, image, image + 1)?;
            let outputs = plan.run(tvec!(image.into()))?;
            values.extend_from_slice(outputs[0].try_as_plain_ram()?.as_slice::<f32>()?);
        }
        return Ok((values, false));
    }
    let count = images.shape()[0];
    let Lowered { graph, .. } = lower(&typed(model, count.to_dim(), shape, true)?, &packed, tier)?;
    let result = run(graph, images)?;
    Ok((result.try_as_plain_ram()?.as_slice::<f32>()?.to_vec(), true))
}

proptest! {
    #[test]
    fn networks_give_what_tract_alone_gives(
        channels in 1..=3_usize,
        [height, width] in [4..=13_usize, 4..=13_usize],
        layers in prop::collection::vec(layers(), 1..=10),
        seed: u64,
    ) {
        let shape = [channels, height, width];
        let mut builder = Builder { values: vec![("source".into(), shape)], seed, ..Builder::default() };
        layers.iter().for_each(|layer| builder.layer(layer));
        prop_assume!(!builder.nodes.is_empty());
        let images = builder.noise(2 * channels * height * width);
        let images = Tensor::from_shape(&[2, channels, height, width], &images).unwrap();
        let model = builder.model(channels);
        // Tract cannot compile some graphs, such as a 1x1 convolution with stride 2 of shuffled pixels.
        let Ok(expected) = by_tract(&model, shape, &images) else { return Ok(()) };
        for tier in Tier::available() {
            let (values, _) = by_kernels(&model, shape, &images, tier).unwrap();
            prop_assert_eq!(values.len(), expected.len());
            for (value, expected) in values.iter().zip(&expected) {
                // Norms of a few pixels that hardly differ enlarge rounding.
                let tolerance = 2e-3 * expected.abs().max(1.0);
                prop_assert!((value - expected).abs() < tolerance, "{tier}: {value} is not {expected}");
            }
        }
    }
}

#[cfg(feature = "embedded-models")]
#[test]
fn the_embedded_models_are_run_by_the_kernels_alone() {
    for embedded in EMBEDDED {
        let model = ModelProto::decode(embedded.bytes).unwrap();
        let shape = [3, 32, 48];
        let graph = typed(&model, 1.to_dim(), shape, true).unwrap();
        let lowered = lower(&graph, &Packed::default(), Tier::Generic).unwrap();
        assert!(lowered.whole);
        let convolutions = graph.nodes().iter().filter(|node| node.op.name() == "Conv").count();
        let kernels = lowered.graph.nodes().iter().filter(|node| node.op_is::<Convolve>()).count();
        assert_eq!(kernels, convolutions);
        let names: Vec<_> = lowered.graph.nodes().iter().map(|node| node.op.name()).collect();
        // The images go into blocks once, and the last convolution brings them out.
        assert_eq!(names.iter().filter(|name| **name == "ToBlocks").count(), 1, "{names:?}");
        assert!(!names.iter().any(|name| *name == "FromBlocks" || *name == "Add"), "{names:?}");
    }
}

#[test]
fn convolutions_that_would_need_much_room_stay_with_tract() {
    let shape = [1, 40, 40];
    for (kernel, stride, dilation) in [(3, 1, 9), (3, 9, 1), (1, 16, 1)] {
        let mut builder = Builder { values: vec![("source".into(), shape)], ..Builder::default() };
        builder.convolution(2, kernel, stride, dilation, 1);
        let graph = typed(&builder.model(1), 1.to_dim(), shape, true).unwrap();
        let lowered = lower(&graph, &Packed::default(), Tier::Generic).unwrap();
        assert!(!lowered.whole, "{kernel}, {stride}, {dilation}");
    }
}

#[cfg(feature = "embedded-models")]
#[test]
fn windows_share_packed_weights() {
    let model = ModelProto::decode(EMBEDDED[0].bytes).unwrap();
    let packed = Packed::default();
    let tier = Tier::available().next().unwrap();
    let mut bytes = Vec::new();
    for size in [32, 64] {
        lower(&typed(&model, 1.to_dim(), [3, size, size], true).unwrap(), &packed, tier).unwrap();
        bytes.push(packed.bytes());
    }
    assert!(bytes[0] > 0);
    assert_eq!(bytes[0], bytes[1]);
}
