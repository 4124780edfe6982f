//! Small ONNX files whose result is known, for tests.
#![allow(dead_code, reason = "each test program uses some of them")]

use prost::Message;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto::AttributeType,
    tensor_proto::DataType, tensor_shape_proto, type_proto,
};

/// A model that returns the middle one of its `slices_in` slices.
pub fn middle_slice(slices_in: usize) -> Vec<u8> {
    shifted(slices_in, slices_in / 2, [0, 0])
}

/// A model that returns slice `channel` so that voxel (row, column) shows what was at (row, column) + `shift`.
pub fn shifted(slices_in: usize, channel: usize, shift: [usize; 2]) -> Vec<u8> {
    convolution(slices_in, channel, shift).encode_to_vec()
}

/// The same, to be damaged by a test before it is encoded.
pub fn convolution(slices_in: usize, channel: usize, shift: [usize; 2]) -> ModelProto {
    let radius = 2;
    let size = 2 * radius + 1;
    let mut kernel = vec![0.0_f32; slices_in * size * size];
    kernel[(channel * size + radius + shift[0]) * size + radius + shift[1]] = 1.0;
    let dims = [1, slices_in, size, size].map(|length| length as i64);
    let weights = float_tensor("weights", &dims, kernel);
    let attributes = vec![integers("pads", &[radius as i64; 4]), integers("kernel_shape", &[size as i64; 2])];
    let convolution = node("Conv", &["source", "weights"], "synthetic", attributes);
    let graph = GraphProto {
        node: vec![convolution],
        name: "generator".into(),
        initializer: vec![weights],
        input: vec![end("source", slices_in)],
        output: vec![end("synthetic", 1)],
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        graph: Some(graph),
        metadata_props: card(slices_in),
        ..ModelProto::default()
    }
}

/// A model that returns `factor` times its middle slice, plus `offset`.
pub fn line(slices_in: usize, factor: f32, offset: f32) -> ModelProto {
    let mut model = convolution(slices_in, slices_in / 2, [0, 0]);
    graph(&mut model)
        .initializer
        .extend([float_tensor("factor", &[1], vec![factor]), float_tensor("offset", &[1], vec![offset])]);
    append(&mut model, "Mul", &["factor"], Vec::new());
    append(&mut model, "Add", &["offset"], Vec::new());
    model
}

/// A model that returns its middle slice with all above `most` cut down to it.
pub fn cut_at(most: f32) -> ModelProto {
    let mut model = convolution(3, 1, [0, 0]);
    let bounds = [("least", 0.0), ("most", most)].map(|(name, bound)| float_tensor(name, &[], vec![bound]));
    graph(&mut model).initializer.extend(bounds);
    append(&mut model, "Clip", &["least", "most"], Vec::new());
    model
}

/// The model, with a card that says that it leads from T1w to T2w and not from T2w to T1w.
pub fn for_the_way_back(mut model: ModelProto) -> ModelProto {
    set_card(&mut model, "source", Some("t1w"));
    set_card(&mut model, "target", Some("t2w"));
    model
}

/// A model for windows of `window` x `window` voxels alone, that tells each voxel's place in its window:
/// (row x window + column) / window^2.
pub fn places(window: usize) -> Vec<u8> {
    let mut model = convolution(1, 0, [0, 0]);
    let count = window * window;
    let places = (0..count).map(|place| place as f32 / count as f32).collect();
    let edge = window as i64;
    graph(&mut model).initializer.extend([
        float_tensor("nothing", &[1], vec![0.0]),
        float_tensor("places", &[1, 1, edge, edge], places),
    ]);
    append(&mut model, "Mul", &["nothing"], Vec::new());
    append(&mut model, "Add", &["places"], Vec::new());
    set_card(&mut model, "window", Some(&window.to_string()));
    model.encode_to_vec()
}

/// The graph of a model, to be damaged.
pub fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

/// Adds a layer between the model so far and its output; it reads `weights` beside the model so far.
pub fn append(model: &mut ModelProto, operator: &str, weights: &[&str], attributes: Vec<AttributeProto>) {
    let graph = graph(model);
    let so_far = format!("layer {}", graph.node.len());
    let last = graph.node.last_mut().unwrap();
    (last.name, last.output) = (so_far.clone(), vec![so_far.clone()]);
    let inputs: Vec<&str> = std::iter::once(so_far.as_str()).chain(weights.iter().copied()).collect();
    graph.node.push(node(operator, &inputs, "synthetic", attributes));
}

/// Appends a Resize by `factor` in both directions.
pub fn append_resize(model: &mut ModelProto, factor: f32) {
    let scales = format!("scales {}", graph(model).node.len());
    graph(model).initializer.push(float_tensor(&scales, &[4], vec![1.0, 1.0, factor, factor]));
    append(model, "Resize", &["", &scales], Vec::new());
}

/// Changes an entry of the model's card, or removes it.
pub fn set_card(model: &mut ModelProto, key: &str, value: Option<&str>) {
    let key = format!("mrisynth.{key}");
    model.metadata_props.retain(|entry| entry.key != key);
    let entry = value.map(|value| StringStringEntryProto { key, value: value.into() });
    model.metadata_props.extend(entry);
}

pub fn node(operator: &str, inputs: &[&str], output: &str, attributes: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|&name| name.into()).collect(),
        output: vec![output.into()],
        name: output.into(),
        op_type: operator.into(),
        attribute: attributes,
        ..NodeProto::default()
    }
}

pub fn float_tensor(name: &str, dims: &[i64], values: Vec<f32>) -> TensorProto {
    TensorProto {
        dims: dims.to_vec(),
        data_type: DataType::Float as i32,
        float_data: values,
        name: name.into(),
        ..TensorProto::default()
    }
}

pub fn integer_tensor(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        dims: vec![values.len() as i64],
        data_type: DataType::Int64 as i32,
        int64_data: values.to_vec(),
        name: name.into(),
        ..TensorProto::default()
    }
}

pub fn integer(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..AttributeProto::default()
    }
}

pub fn integers(name: &str, values: &[i64]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints as i32,
        ints: values.to_vec(),
        ..AttributeProto::default()
    }
}

pub fn end(name: &str, channels: usize) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension::Value};
    let axis = |value| Dimension { value: Some(value), ..Dimension::default() };
    let dim = vec![
        axis(Value::DimValue(1)),
        axis(Value::DimValue(channels as i64)),
        axis(Value::DimParam("height".into())),
        axis(Value::DimParam("width".into())),
    ];
    let tensor =
        type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(TensorShapeProto { dim }) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: name.into(), r#type: Some(r#type), ..ValueInfoProto::default() }
}

fn card(slices_in: usize) -> Vec<StringStringEntryProto> {
    let slices_in = slices_in.to_string();
    let entries = [
        ("format", "1"),
        ("name", "test"),
        ("version", "1"),
        ("source", "t2w"),
        ("target", "t1w"),
        ("slices_in", &slices_in),
        ("size_multiple", "1"),
        ("orientation", "axial-ras"),
        ("spacing_mm", "1"),
        ("normalization", "p99.5"),
    ];
    let entry = |(key, value): (&str, &str)| StringStringEntryProto {
        key: format!("mrisynth.{key}"),
        value: value.into(),
    };
    entries.into_iter().map(entry).collect()
}
