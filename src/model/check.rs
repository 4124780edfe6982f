//! What an ONNX file must be before tract sees it: known operators, no outside data, bounded shapes.

use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, attribute_proto,
    tensor_proto, tensor_shape_proto, type_proto,
};

use super::card::Card;
use crate::{Error, Result};

/// The name of the network's input, shaped (1, slices in, height, width).
pub const INPUT_NAME: &str = "source";
/// The name of the network's output, shaped (1, 1, height, width).
pub const OUTPUT_NAME: &str = "synthetic";

/// Operators that a generator may be made of.
const ALLOWED_OPERATORS: [&str; 24] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Identity",
    "InstanceNormalization",
    "LeakyRelu",
    "MaxPool",
    "Mul",
    "Pad",
    "PRelu",
    "Relu",
    "Resize",
    "Sigmoid",
    "Slice",
    "SpaceToDepth",
    "Sub",
    "Tanh",
];
const MAX_NODES: usize = 10_000;
/// No stride, padding, kernel size or dilation of a sensible generator is larger.
const MAX_INTEGER: u64 = 1024;
/// No up-sampling of a sensible generator is larger.
const MAX_RESIZE: f32 = 8.0;
const EXTERNAL: i32 = tensor_proto::DataLocation::External as i32;

/// Checks the graph of a decoded model file against its card.
///
/// # Errors
/// [`Error::BadModel`] with the first fault found.
pub fn check(model: &ModelProto, card: &Card) -> Result<()> {
    if let Some(opset) = model.opset_import.iter().find(|opset| !is_onnx_domain(&opset.domain)) {
        return bad(format!("it uses operators of the domain {:?}", opset.domain));
    }
    let Some(graph) = &model.graph else { return bad("it holds no graph".into()) };
    if graph.node.len() > MAX_NODES {
        return bad(format!("it has {} nodes, over {MAX_NODES}", graph.node.len()));
    }
    if !graph.sparse_initializer.is_empty() {
        return bad("it has sparse weights".into());
    }
    graph.initializer.iter().try_for_each(check_tensor)?;
    for node in &graph.node {
        check_node(node, graph)?;
    }
    check_ends(graph, card)
}

fn bad<T>(fault: String) -> Result<T> {
    Err(Error::BadModel(fault))
}

fn is_onnx_domain(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

fn check_node(node: &NodeProto, graph: &GraphProto) -> Result<()> {
    let operator = node.op_type.as_str();
    if !is_onnx_domain(&node.domain) || !ALLOWED_OPERATORS.contains(&operator) {
        return bad(format!(
            "operator {operator:?} (node {:?}) is not one that a generator may use",
            node.name
        ));
    }
    for attribute in &node.attribute {
        check_attribute(attribute)
            .map_err(|fault| Error::BadModel(format!("node {:?}: {fault}", node.name)))?;
    }
    if operator == "Resize" {
        check_resize(node, graph)?;
    }
    Ok(())
}

fn check_attribute(attribute: &AttributeProto) -> Result<()> {
    use attribute_proto::AttributeType as Type;
    let name = &attribute.name;
    if attribute.g.is_some() {
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
    attribute.t.iter().chain(&attribute.tensors).try_for_each(check_tensor)
}

fn check_tensor(tensor: &TensorProto) -> Result<()> {
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
    let is = |data_type| tensor.data_type == data_type as i32;
    let from_bytes: Vec<i64> = if is(tensor_proto::DataType::Int64) {
        let eight = |bytes: &[u8]| bytes.try_into().map_or(i64::MAX, i64::from_le_bytes);
        tensor.raw_data.chunks_exact(8).map(eight).collect()
    } else if is(tensor_proto::DataType::Int32) {
        let four = |bytes: &[u8]| i64::from(bytes.try_into().map_or(i32::MAX, i32::from_le_bytes));
        tensor.raw_data.chunks_exact(4).map(four).collect()
    } else {
        return Ok(());
    };
    let all = from_bytes.iter().copied();
    let all = all.chain(tensor.int64_data.iter().copied());
    let mut all = all.chain(tensor.int32_data.iter().map(|&value| i64::from(value)));
    // Slice says "to the end" with the largest integer.
    let sensible = |value: i64| value.unsigned_abs() <= MAX_INTEGER || value == i64::MAX;
    match all.find(|&value| !sensible(value)) {
        Some(value) => bad(format!("tensor {:?} holds {value}, over {MAX_INTEGER}", tensor.name)),
        None => Ok(()),
    }
}

/// A Resize must have constant scales within bounds.
fn check_resize(node: &NodeProto, graph: &GraphProto) -> Result<()> {
    let scales = node.input.get(2).and_then(|name| graph.initializer.iter().find(|t| &t.name == name));
    let Some(scales) = scales else {
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
    let length = |axis: &tensor_shape_proto::Dimension| match axis.value {
        Some(tensor_shape_proto::dimension::Value::DimValue(length)) => Some(length),
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
