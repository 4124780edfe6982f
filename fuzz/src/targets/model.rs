//! Model files and their cards; and changes of model files that know what they hold.

use mrisynth::model::{CARD_PREFIX, Card, LoadOptions};
use mrisynth::synthesize::Options;
use mrisynth::{Affine, Control, Grid, Limits, Model, Volume, synthesize};
use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto, type_proto,
};

use super::{sound, take};
use crate::{Random, mutate};

/// Bytes that a synthesis may have allocated at once: a model that wants more must be refused before it has them.
const MEMORY_LIMIT: u64 = 128 << 20;

/// Edge of the largest window that a model is run on.
const LARGEST_WINDOW: usize = 128;

/// The bytes of a model file. What loads must run, or say why not.
pub(super) fn file(bytes: &[u8]) {
    let limits = Limits { max_model_bytes: 32 << 10, ..Limits::default() };
    let options = LoadOptions { limits, ..LoadOptions::default() };
    let Some(model) = sound(Model::from_bytes(bytes, &options)) else { return };
    assert_eq!(model.sha256().len(), 64);
    check_card(model.card());
    run(&model);
}

fn run(model: &Model) {
    // Slices of that size are long work, and no other.
    if model.card().window.is_some_and(|window| window > LARGEST_WINDOW) {
        return;
    }
    let mut control = Control {
        threads: 1,
        accept_implausible: true,
        memory_limit: Some(MEMORY_LIMIT),
        ..Control::default()
    };
    let scan = scan();
    let made = sound(synthesize(model, &scan, &scan.grid(), &Options::prepared(), &mut control));
    if let Some(made) = made {
        assert!(made.as_slice().iter().all(|value| (0.0..=1.0).contains(value)), "values outside 0..1");
        take();
    }
}

/// A few large voxels with background around them.
fn scan() -> Volume {
    let affine = Affine::from_sizes([8.0; 3], [-17.0, -20.0, -14.0]).expect("an affine");
    let mut volume = Volume::zeros(&Grid { dims: [4; 3], affine }).expect("so few voxels can be had");
    for ((i, j, k), voxel) in volume.voxels_mut().indexed_iter_mut() {
        if [i, j, k].iter().all(|at| (1..3).contains(at)) {
            *voxel = (1 + i + 3 * j + 7 * k) as f32;
        }
    }
    volume
}

/// A card's entries, each `key 0xFE value`, with `0xFF` between them: bytes that no text has.
pub(super) fn card(bytes: &[u8]) {
    let entries = bytes.split(|&byte| byte == 0xff).map(|entry| {
        let mut parts = entry.splitn(2, |&byte| byte == 0xfe).map(String::from_utf8_lossy);
        (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
    });
    let entries: Vec<_> = entries.collect();
    let properties = entries.iter().map(|(key, value)| (key.as_ref(), value.as_ref()));
    let Some(card) = sound(Card::from_properties(properties.clone())) else { return };
    take();
    check_card(&card);
    // Nothing is lost and nothing is added.
    let ours = properties.filter_map(|(key, value)| Some((key.strip_prefix(CARD_PREFIX)?, value)));
    let mut ours: Vec<_> = ours.collect();
    ours.sort_unstable();
    assert!(card.entries().eq(ours));
}

fn check_card(card: &Card) {
    assert!(card.source != card.target && [1, 3, 5].contains(&card.slices_in));
    assert!((1..=256).contains(&card.size_multiple));
    if let Some(window) = card.window {
        assert!(window <= 1024 && window.is_multiple_of(card.size_multiple) && window > 0);
    }
    assert_eq!(card.get("name"), Some(card.name.as_str()));
}

/// Operators, most of which a generator may have.
const OPERATORS: [&str; 32] = [
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
    "Div",
    "If",
    "Loop",
    "Scan",
    "Reshape",
    "MatMul",
    "Upsample",
    "",
];
const ATTRIBUTES: [&str; 30] = [
    "alpha",
    "auto_pad",
    "axes",
    "axis",
    "blocksize",
    "ceil_mode",
    "coordinate_transformation_mode",
    "count_include_pad",
    "cubic_coeff_a",
    "dilations",
    "ends",
    "epsilon",
    "group",
    "kernel_shape",
    "max",
    "min",
    "mode",
    "momentum",
    "nearest_mode",
    "output_padding",
    "output_shape",
    "pads",
    "spatial",
    "starts",
    "storage_order",
    "strides",
    "to",
    "training_mode",
    "value",
    "value_floats",
];
const TEXTS: [&str; 22] = [
    "",
    "NOTSET",
    "SAME_UPPER",
    "SAME_LOWER",
    "VALID",
    "DCR",
    "CRD",
    "constant",
    "edge",
    "reflect",
    "wrap",
    "nearest",
    "linear",
    "cubic",
    "half_pixel",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
    "round_prefer_floor",
    "floor",
    "ceil",
];
const INTEGERS: [i64; 20] =
    [0, 1, 2, 3, 4, 5, 7, 8, 16, 31, 64, 255, 1023, 1024, 1025, -1, -2, -1024, i64::MAX, i64::MIN];
const FLOATS: [f32; 12] =
    [0.0, 1.0, -1.0, 0.5, 2.0, 8.0, 8.5, 1e-30, 1e30, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
const CARD_KEYS: [&str; 12] = [
    "format",
    "orientation",
    "spacing_mm",
    "normalization",
    "name",
    "version",
    "source",
    "target",
    "slices_in",
    "size_multiple",
    "window",
    "license",
];
const CARD_VALUES: [&str; 20] = [
    "1",
    "2",
    "3",
    "5",
    "8",
    "16",
    "64",
    "256",
    "1024",
    "0",
    "-1",
    "t1w",
    "t2w",
    "T2W",
    "axial-ras",
    "p99.5",
    "",
    "1.0",
    "name",
    "99999999999999999999",
];
/// Changes that one model is made from another by, at most.
const MAX_CHANGES: usize = 4;

/// Decodes a model, changes some of its fields, and encodes it; what is no model is changed as bytes.
pub(super) fn mutate(bytes: &mut Vec<u8>, other: &[u8], most: usize, random: &mut Random) {
    let Ok(mut model) = ModelProto::decode(&bytes[..]) else {
        return mutate::bytes(bytes, other, &[], most, random);
    };
    let other = ModelProto::decode(other).unwrap_or_default();
    for _ in 0..1 + random.below(MAX_CHANGES) {
        change_model(&mut model, &other, random);
    }
    let encoded = model.encode_to_vec();
    if encoded.len() <= most {
        *bytes = encoded;
    }
}

fn change_model(model: &mut ModelProto, other: &ModelProto, random: &mut Random) {
    match random.below(24) {
        0 => change_entry(&mut model.metadata_props, random),
        1 => {
            if let Some(opset) = model.opset_import.first_mut() {
                opset.version = *random.pick(&[7, 9, 10, 11, 12, 13, 15, 17, 18, 19, 20, 21, 0, -1, 1000]);
            }
        }
        _ => {
            let none = GraphProto::default();
            let other = other.graph.as_ref().unwrap_or(&none);
            if let Some(graph) = &mut model.graph {
                change_graph(graph, other, random);
            }
        }
    }
}

fn change_entry(entries: &mut Vec<StringStringEntryProto>, random: &mut Random) {
    let entry = StringStringEntryProto {
        key: format!("{CARD_PREFIX}{}", random.pick(&CARD_KEYS)),
        value: (*random.pick(&CARD_VALUES)).into(),
    };
    if !random.once_in(8) {
        entries.retain(|kept| kept.key != entry.key);
    }
    entries.push(entry);
}

fn change_graph(graph: &mut GraphProto, other: &GraphProto, random: &mut Random) {
    match random.below(20) {
        0..=5 => {
            let names = names(graph);
            if let Some(node) = any(&mut graph.node, random) {
                change_node(node, &names, random);
            }
        }
        6..=9 => {
            if let Some(node) = any(&mut graph.node, random)
                && let Some(attribute) = any(&mut node.attribute, random)
            {
                change_attribute(attribute, random);
            }
        }
        10..=12 => {
            if let Some(tensor) = any(&mut graph.initializer, random) {
                change_tensor(tensor, random);
            }
        }
        13..=15 => insert_node(graph, other, random),
        16 => duplicate_or_remove(&mut graph.node, random),
        17 => duplicate_or_remove(&mut graph.initializer, random),
        18 if random.once_in(3) => change_end(graph, random),
        18 => swap(&mut graph.node, random),
        _ => graph.initializer.extend(other.initializer.get(random.below(other.initializer.len())).cloned()),
    }
}

fn any<'a, T>(items: &'a mut [T], random: &mut Random) -> Option<&'a mut T> {
    let at = random.below(items.len());
    items.get_mut(at)
}

fn swap<T>(items: &mut [T], random: &mut Random) {
    if !items.is_empty() {
        items.swap(random.below(items.len()), random.below(items.len()));
    }
}

fn duplicate_or_remove<T: Clone>(items: &mut Vec<T>, random: &mut Random) {
    if items.is_empty() {
        return;
    }
    let at = random.below(items.len());
    if random.once_in(2) {
        items.push(items[at].clone());
    } else {
        items.remove(at);
    }
}

/// All names of values.
fn names(graph: &GraphProto) -> Vec<String> {
    let tensors = graph.initializer.iter().map(|tensor| tensor.name.clone());
    let outputs = graph.node.iter().flat_map(|node| node.output.iter().cloned());
    tensors.chain(outputs).chain(["source".into(), "synthetic".into(), String::new()]).collect()
}

fn change_node(node: &mut NodeProto, names: &[String], random: &mut Random) {
    match random.below(8) {
        0..=2 => node.op_type = (*random.pick(&OPERATORS)).into(),
        3 => {
            if let Some(input) = any(&mut node.input, random) {
                *input = random.pick(names).clone();
            }
        }
        4 => node.input.push(random.pick(names).clone()),
        5 => duplicate_or_remove(&mut node.input, random),
        6 => duplicate_or_remove(&mut node.attribute, random),
        _ => node.attribute.push(new_attribute(random)),
    }
}

fn new_attribute(random: &mut Random) -> AttributeProto {
    let types = [AttributeType::Int, AttributeType::Ints, AttributeType::Float, AttributeType::String];
    let count = random.below(6);
    let mut attribute = AttributeProto {
        name: (*random.pick(&ATTRIBUTES)).into(),
        r#type: *random.pick(&types) as i32,
        ints: vec![*random.pick(&INTEGERS); count],
        ..AttributeProto::default()
    };
    change_attribute(&mut attribute, random);
    attribute
}

fn change_attribute(attribute: &mut AttributeProto, random: &mut Random) {
    match random.below(12) {
        0 => attribute.name = (*random.pick(&ATTRIBUTES)).into(),
        1 => attribute.r#type = random.below(14) as i32,
        2 => duplicate_or_remove(&mut attribute.ints, random),
        3 => attribute.ints.push(*random.pick(&INTEGERS)),
        4 | 5 => attribute.i = *random.pick(&INTEGERS),
        6 => attribute.f = *random.pick(&FLOATS),
        7 => attribute.s = (*random.pick(&TEXTS)).into(),
        8 => attribute.floats.push(*random.pick(&FLOATS)),
        9 => {
            let mut tensor = attribute.t.take().unwrap_or_default();
            change_tensor(&mut tensor, random);
            attribute.t = Some(tensor);
        }
        _ => {
            if let Some(integer) = any(&mut attribute.ints, random) {
                *integer = *random.pick(&INTEGERS);
            }
        }
    }
}

fn change_tensor(tensor: &mut TensorProto, random: &mut Random) {
    match random.below(9) {
        0..=2 => {
            if let Some(length) = any(&mut tensor.dims, random) {
                *length = *random.pick(&INTEGERS);
            }
            fill(tensor, random);
        }
        3 => {
            duplicate_or_remove(&mut tensor.dims, random);
            fill(tensor, random);
        }
        4 => {
            tensor.data_type = *random.pick(&[1, 6, 7, 10, 2, 9, 11, 8, 0]);
            fill(tensor, random);
        }
        5 => {
            if let Some(value) = any(&mut tensor.float_data, random) {
                *value = *random.pick(&FLOATS);
            }
        }
        6 => {
            if let Some(value) = any(&mut tensor.int64_data, random) {
                *value = *random.pick(&INTEGERS);
            }
        }
        7 => swap(&mut tensor.dims, random),
        _ => mutate::bytes(&mut tensor.raw_data, &[], &[], 4096, random),
    }
}

/// Gives a tensor as many values as it says it has, but for once in a while, and if these are not too many.
fn fill(tensor: &mut TensorProto, random: &mut Random) {
    let count = tensor.dims.iter().try_fold(1_usize, |product, &length| {
        product.checked_mul(usize::try_from(length).ok()?).filter(|&count| count <= 2048)
    });
    let Some(count) = count.filter(|_| !random.once_in(6)) else { return };
    (tensor.raw_data, tensor.int32_data) = (Vec::new(), Vec::new());
    let is_integer = tensor.data_type == 7;
    tensor.float_data.resize(if is_integer { 0 } else { count }, 0.5);
    tensor.int64_data.resize(if is_integer { count } else { 0 }, 1);
    if tensor.data_type == 6 || tensor.data_type == 10 {
        tensor.float_data.clear();
        tensor.int32_data = vec![1; count];
    }
}

/// Puts a node, of this graph or of the other, between a node and its output; the other's weights come with it.
fn insert_node(graph: &mut GraphProto, other: &GraphProto, random: &mut Random) {
    let mut node = if random.once_in(3) {
        NodeProto { op_type: (*random.pick(&OPERATORS)).into(), ..NodeProto::default() }
    } else {
        let from = if random.once_in(2) { other } else { &*graph };
        from.node.get(random.below(from.node.len())).cloned().unwrap_or_default()
    };
    let weights = other.initializer.iter().filter(|tensor| node.input.contains(&tensor.name)).cloned();
    for tensor in weights.collect::<Vec<_>>() {
        if graph.initializer.iter().all(|known| known.name != tensor.name) {
            graph.initializer.push(tensor);
        }
    }
    let at = random.below(graph.node.len());
    let between = format!("value {}", random.next() % 1000);
    let Some(before) = graph.node.get_mut(at) else { return };
    let after = before.output.first().cloned().unwrap_or_default();
    before.output = vec![between.clone()];
    match node.input.first_mut() {
        Some(input) => *input = between,
        None => node.input.push(between),
    }
    (node.name, node.output) = (after.clone(), vec![after]);
    graph.node.insert(at + 1, node);
}

fn change_end(graph: &mut GraphProto, random: &mut Random) {
    let ends = if random.once_in(2) { &mut graph.input } else { &mut graph.output };
    let Some(end) = any(ends, random) else { return };
    let Some(type_proto::Value::TensorType(tensor)) =
        end.r#type.as_mut().and_then(|r#type| r#type.value.as_mut())
    else {
        return;
    };
    let Some(shape) = &mut tensor.shape else { return };
    match random.below(3) {
        0 => duplicate_or_remove(&mut shape.dim, random),
        which => {
            if let Some(axis) = any(&mut shape.dim, random) {
                let name = (*random.pick(&TEXTS)).to_owned();
                axis.value = Some(if which == 1 {
                    Value::DimValue(*random.pick(&INTEGERS))
                } else {
                    Value::DimParam(name)
                });
            }
        }
    }
}
