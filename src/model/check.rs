//! What an ONNX file must be before tract sees it: known operators, no outside data, bounded shapes.

use std::ops::RangeInclusive;

use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, attribute_proto,
    tensor_proto,
    tensor_shape_proto::{Dimension, dimension::Value},
    type_proto,
};

use super::card::Card;
use super::layers;
use crate::{Error, Limits, Result};

/// The name of the network's input, shaped (1, slices in, height, width).
pub const INPUT_NAME: &str = "source";
/// The name of the network's output, shaped (1, 1, height, width).
pub const OUTPUT_NAME: &str = "synthetic";

/// Operators that a generator may be made of, and how many inputs each may have; the engine does not count all of them when it
/// loads a file.
const ALLOWED_OPERATORS: [(&str, RangeInclusive<usize>); 24] = [
    ("Add", 2..=2),
    ("AveragePool", 1..=1),
    ("BatchNormalization", 5..=5),
    ("Cast", 1..=1),
    ("Clip", 1..=3),
    ("Concat", 1..=MAX_WEIGHTS),
    ("Constant", 0..=0),
    ("Conv", 2..=3),
    ("ConvTranspose", 2..=3),
    ("DepthToSpace", 1..=1),
    ("Identity", 1..=1),
    ("InstanceNormalization", 3..=3),
    ("LeakyRelu", 1..=1),
    ("MaxPool", 1..=1),
    ("Mul", 2..=2),
    ("Pad", 1..=4),
    ("PRelu", 2..=2),
    ("Relu", 1..=1),
    ("Resize", 1..=4),
    ("Sigmoid", 1..=1),
    ("Slice", 1..=5),
    ("SpaceToDepth", 1..=1),
    ("Sub", 2..=2),
    ("Tanh", 1..=1),
];
/// The engine's time to load a long chain of nodes grows faster than its square.
const MAX_NODES: usize = 1_000;
/// Weights that a graph may have, and inputs, as each weight may be called one too.
const MAX_WEIGHTS: usize = 10_000;
/// No stride, padding, kernel size or dilation of a sensible generator is larger.
const MAX_INTEGER: u64 = 1024;
/// No up-sampling of a sensible generator is larger.
const MAX_RESIZE: f32 = 8.0;
const EXTERNAL: i32 = tensor_proto::DataLocation::External as i32;

/// Checks the graph of a decoded model file against its card.
///
/// # Errors
/// [`Error::BadModel`] with the first fault found.
pub fn check(model: &ModelProto, card: &Card, limits: &Limits) -> Result<()> {
    if let Some(opset) = model.opset_import.iter().find(|opset| !is_onnx_domain(&opset.domain)) {
        return bad(format!("it uses operators of the domain {:?}", opset.domain));
    }
    let Some(graph) = &model.graph else { return bad("it holds no graph".into()) };
    for (what, count, limit) in [
        ("nodes", graph.node.len(), MAX_NODES),
        ("weights", graph.initializer.len(), MAX_WEIGHTS),
        ("inputs", graph.input.len(), MAX_WEIGHTS),
    ] {
        if count > limit {
            return bad(format!("it has {count} {what}, over {limit}"));
        }
    }
    if !graph.sparse_initializer.is_empty() {
        return bad("it has sparse weights".into());
    }
    graph.initializer.iter().try_for_each(|tensor| check_tensor(tensor, limits))?;
    for node in &graph.node {
        check_node(node, graph, limits)?;
    }
    check_ends(graph, card)?;
    layers::check(graph)
}

pub(super) fn bad<T>(fault: String) -> Result<T> {
    Err(Error::BadModel(fault))
}

fn is_onnx_domain(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

fn check_node(node: &NodeProto, graph: &GraphProto, limits: &Limits) -> Result<()> {
    let operator = node.op_type.as_str();
    let known = ALLOWED_OPERATORS.iter().find(|(name, _)| *name == operator);
    let Some((_, inputs)) = known.filter(|_| is_onnx_domain(&node.domain)) else {
        return bad(format!(
            "operator {operator:?} (node {:?}) is not one that a generator may use",
            node.name
        ));
    };
    if !inputs.contains(&node.input.len()) {
        let (count, name, least, most) = (node.input.len(), &node.name, inputs.start(), inputs.end());
        let takes = if least == most { least.to_string() } else { format!("{least} to {most}") };
        return bad(format!("operator {operator:?} (node {name:?}) has {count} inputs and takes {takes}"));
    }
    for attribute in &node.attribute {
        check_attribute(attribute, limits)
            .map_err(|fault| Error::BadModel(format!("node {:?}: {fault}", node.name)))?;
    }
    match operator {
        "Pad" => check_pad(node, graph),
        "Resize" => check_resize(node, graph),
        _ => Ok(()),
    }
}

fn check_attribute(attribute: &AttributeProto, limits: &Limits) -> Result<()> {
    use attribute_proto::AttributeType as Type;
    let name = &attribute.name;
    if attribute.g.is_some() || !attribute.graphs.is_empty() {
        return bad(format!("attribute {name:?} holds a graph"));
    }
    if attribute.sparse_tensor.is_some() {
        return bad(format!("attribute {name:?} holds sparse weights"));
    }
    let integers = attribute.ints.iter().chain(std::iter::once(&attribute.i));
    if let Some(value) = integers.into_iter().find(|value| value.unsigned_abs() > MAX_INTEGER) {
        return bad(format!("attribute {name:?} holds {value}, over {MAX_INTEGER}"));
    }
    if attribute.r#type == Type::Undefined as i32 {
        return bad(format!("attribute {name:?} has no type"));
    }
    attribute.t.iter().chain(&attribute.tensors).try_for_each(|tensor| check_tensor(tensor, limits))
}

fn check_tensor(tensor: &TensorProto, limits: &Limits) -> Result<()> {
    let name = &tensor.name;
    if tensor.data_location == Some(EXTERNAL) || !tensor.external_data.is_empty() {
        return bad(format!("tensor {name:?} lies outside the file"));
    }
    if tensor.segment.is_some() {
        return bad(format!("tensor {name:?} is split into segments"));
    }
    let Some(size) = element_size(tensor.data_type) else {
        return bad(format!("tensor {name:?} has element type {}", tensor.data_type));
    };
    let elements = tensor.dims.iter().try_fold(1_usize, |product, &length| {
        usize::try_from(length).ok().and_then(|length| product.checked_mul(length))
    });
    let Some(elements) = elements else {
        return bad(format!("tensor {name:?} has the impossible shape {:?}", tensor.dims));
    };
    // Its values must all be in the file, so that a short file cannot ask for much memory.
    let held = if tensor.raw_data.is_empty() {
        tensor.float_data.len() + tensor.int32_data.len() + tensor.int64_data.len()
    } else {
        if !tensor.raw_data.len().is_multiple_of(size) {
            return bad(format!("tensor {name:?} ends in the middle of an element"));
        }
        tensor.raw_data.len() / size
    };
    if held != elements {
        return bad(format!("tensor {name:?} claims {elements} elements and holds {held}"));
    }
    if elements as u64 > limits.max_tensor_elements {
        let limit = limits.max_tensor_elements;
        return bad(format!("tensor {name:?} has {elements} elements, over the limit of {limit}"));
    }
    check_integers(tensor)
}

/// Bytes of an element, for the types that a generator may hold.
fn element_size(data_type: i32) -> Option<usize> {
    use tensor_proto::DataType;
    match DataType::try_from(data_type).ok()? {
        DataType::Float | DataType::Int32 => Some(4),
        DataType::Float16 => Some(2),
        DataType::Int64 => Some(8),
        _ => None,
    }
}

/// Integer tensors are paddings, axes and sizes: a huge one would ask for a huge image.
fn check_integers(tensor: &TensorProto) -> Result<()> {
    // Slice says "to the end" with the largest integer.
    let sensible = |value: i64| value.unsigned_abs() <= MAX_INTEGER || value == i64::MAX;
    match integers(tensor).into_iter().find(|&value| !sensible(value)) {
        Some(value) => bad(format!("tensor {:?} holds {value}, over {MAX_INTEGER}", tensor.name)),
        None => Ok(()),
    }
}

/// What an integer tensor holds; nothing for other tensors.
fn integers(tensor: &TensorProto) -> Vec<i64> {
    let is = |data_type| tensor.data_type == data_type as i32;
    let mut values: Vec<i64> = if is(tensor_proto::DataType::Int64) {
        let eight = |bytes: &[u8]| bytes.try_into().map_or(i64::MAX, i64::from_le_bytes);
        tensor.raw_data.chunks_exact(8).map(eight).collect()
    } else if is(tensor_proto::DataType::Int32) {
        let four = |bytes: &[u8]| i64::from(bytes.try_into().map_or(i32::MAX, i32::from_le_bytes));
        tensor.raw_data.chunks_exact(4).map(four).collect()
    } else {
        return Vec::new();
    };
    values.extend(&tensor.int64_data);
    values.extend(tensor.int32_data.iter().map(|&value| i64::from(value)));
    values
}

/// The weights that are a node's input number `index`.
fn weights<'a>(node: &NodeProto, index: usize, graph: &'a GraphProto) -> Option<&'a TensorProto> {
    let name = node.input.get(index)?;
    graph.initializer.iter().find(|tensor| &tensor.name == name)
}

/// A Pad must have constant widths within bounds, and crop nothing: tract takes widths as unsigned. Before operator set
/// 11 they are an attribute.
fn check_pad(node: &NodeProto, graph: &GraphProto) -> Result<()> {
    let attribute = node.attribute.iter().filter(|attribute| attribute.name == "pads");
    let mut widths: Vec<i64> = attribute.flat_map(|attribute| attribute.ints.iter().copied()).collect();
    if node.input.len() > 1 {
        let Some(tensor) = weights(node, 1, graph) else {
            return bad(format!("Pad (node {:?}) has no constant widths", node.name));
        };
        widths.extend(integers(tensor));
    }
    if widths.iter().any(|&width| !u64::try_from(width).is_ok_and(|width| width <= MAX_INTEGER)) {
        return bad(format!("Pad (node {:?}) has widths outside 0..{MAX_INTEGER}", node.name));
    }
    Ok(())
}

/// A Resize must have constant scales within bounds.
fn check_resize(node: &NodeProto, graph: &GraphProto) -> Result<()> {
    let Some(scales) = weights(node, 2, graph) else {
        return bad(format!("Resize (node {:?}) has no constant scales", node.name));
    };
    let four = |bytes: &[u8]| bytes.try_into().map_or(f32::NAN, f32::from_le_bytes);
    let from_bytes = scales.raw_data.chunks_exact(4).map(four);
    let mut values = from_bytes.chain(scales.float_data.iter().copied());
    if scales.data_type != tensor_proto::DataType::Float as i32
        || values.any(|value| !(value > 0.0 && value <= MAX_RESIZE))
    {
        return bad(format!("Resize (node {:?}) has scales outside 0..{MAX_RESIZE}", node.name));
    }
    Ok(())
}

fn check_ends(graph: &GraphProto, card: &Card) -> Result<()> {
    let is_weight = |value: &&ValueInfoProto| graph.initializer.iter().any(|t| t.name == value.name);
    let inputs: Vec<_> = graph.input.iter().filter(|value| !is_weight(value)).collect();
    check_end("input", &inputs, INPUT_NAME, card.slices_in)?;
    check_end("output", &graph.output.iter().collect::<Vec<_>>(), OUTPUT_NAME, 1)
}

fn check_end(what: &str, values: &[&ValueInfoProto], name: &str, channels: usize) -> Result<()> {
    let [value] = values else {
        return bad(format!("it has {} {what}s instead of one", values.len()));
    };
    if value.name != name {
        return bad(format!("its {what} is called {:?}, not {name:?}", value.name));
    }
    let Some(type_proto::Value::TensorType(tensor)) = value.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return bad(format!("its {what} is not a tensor"));
    };
    if tensor.elem_type != tensor_proto::DataType::Float as i32 {
        return bad(format!("its {what} is not float32"));
    }
    let axes = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    axes.iter().try_for_each(|axis| check_axis_name(what, axis))?;
    let length = |axis: &Dimension| match axis.value {
        Some(Value::DimValue(length)) => Some(length),
        _ => None,
    };
    let lengths: Vec<_> = axes.iter().map(length).collect();
    if lengths != [Some(1), i64::try_from(channels).ok(), None, None] {
        return bad(format!(
            "its {what} has the shape {lengths:?}; it must be (1, {channels}, height, width) with free height and width"
        ));
    }
    Ok(())
}

/// tract reads an axis's name as a formula, one call deeper for each parenthesis: it must be a plain name.
fn check_axis_name(what: &str, axis: &Dimension) -> Result<()> {
    match &axis.value {
        Some(Value::DimParam(name)) if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
            bad(format!("its {what} has an axis whose name is not of letters, digits and underscores"))
        }
        _ => Ok(()),
    }
}
