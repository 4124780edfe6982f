//! Model files: the tests' small ones, and one for each operator that a generator may have.

use prost::Message;
use tract_onnx::pb::{AttributeProto, ModelProto, attribute_proto::AttributeType};

use crate::Seed;

#[allow(clippy::duplicate_mod, reason = "the tests' own builder of models")]
#[path = "../../../tests/onnx/mod.rs"]
mod onnx;

use onnx::{append, convolution, float_tensor, graph, integer, integer_tensor, integers};

/// A model of a few hundred bytes that reads one slice.
pub(crate) fn stub() -> Vec<u8> {
    onnx::line(1, 0.9, 0.05).encode_to_vec()
}

/// The same of three slices.
pub(crate) fn stub_of_three() -> Vec<u8> {
    onnx::line(3, 0.9, 0.05).encode_to_vec()
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Float as i32,
        f: value,
        ..AttributeProto::default()
    }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::String as i32,
        s: value.into(),
        ..AttributeProto::default()
    }
}

/// A model with one more layer, which reads weights beside the model so far.
fn with(
    operator: &str,
    weights: Vec<tract_onnx::pb::TensorProto>,
    attributes: Vec<AttributeProto>,
) -> ModelProto {
    let mut model = convolution(1, 0, [0, 0]);
    then(&mut model, operator, weights, attributes);
    model
}

fn then(
    model: &mut ModelProto,
    operator: &str,
    weights: Vec<tract_onnx::pb::TensorProto>,
    attributes: Vec<AttributeProto>,
) {
    let names: Vec<String> = weights.iter().map(|tensor| tensor.name.clone()).collect();
    graph(model).initializer.extend(weights);
    append(model, operator, &names.iter().map(String::as_str).collect::<Vec<_>>(), attributes);
}

/// `count` numbers that differ.
fn values(count: usize) -> Vec<f32> {
    (0..count).map(|at| 0.1 + (at % 7) as f32 / 10.0).collect()
}

fn weights(name: &str, dims: &[i64]) -> tract_onnx::pb::TensorProto {
    float_tensor(name, dims, values(dims.iter().product::<i64>() as usize))
}

pub(crate) fn files() -> Vec<Seed> {
    let mut models = activations();
    models.extend(pools_and_borders());
    models.extend(sizes());
    models.extend(networks());
    models.into_iter().map(|(name, model)| (format!("{name}.onnx"), model.encode_to_vec())).collect()
}

fn activations() -> Vec<(&'static str, ModelProto)> {
    let one = |name: &str, value: f32| float_tensor(name, &[1], vec![value]);
    vec![
        ("line", onnx::line(3, 0.9, 0.05)),
        ("clip", onnx::cut_at(0.5)),
        ("leaky-relu", with("LeakyRelu", Vec::new(), vec![float("alpha", 0.2)])),
        ("prelu", with("PRelu", vec![one("slope", 0.1)], Vec::new())),
        ("relu", with("Relu", Vec::new(), Vec::new())),
        ("sigmoid", with("Sigmoid", Vec::new(), Vec::new())),
        ("tanh", with("Tanh", Vec::new(), Vec::new())),
        ("identity", with("Identity", Vec::new(), Vec::new())),
        ("cast", with("Cast", Vec::new(), vec![integer("to", 1)])),
        (
            "instance-norm",
            with(
                "InstanceNormalization",
                vec![one("scale", 1.5), one("bias", 0.1)],
                vec![float("epsilon", 1e-5)],
            ),
        ),
        (
            "batch-norm",
            with(
                "BatchNormalization",
                vec![one("scale", 1.0), one("bias", 0.0), one("mean", 0.2), one("variance", 0.5)],
                vec![float("epsilon", 1e-5)],
            ),
        ),
        ("sub", with("Sub", vec![one("less", 0.1)], Vec::new())),
    ]
}

fn pools_and_borders() -> Vec<(&'static str, ModelProto)> {
    let pool =
        || vec![integers("kernel_shape", &[3, 3]), integers("pads", &[1; 4]), integers("strides", &[1; 2])];
    let pads = integer_tensor("pads", &[0, 0, 1, 2, 0, 0, 1, 2]);
    let mut padded = with("Pad", vec![pads], vec![text("mode", "reflect")]);
    let starts = [("starts", [1, 2]), ("ends", [-1, -2]), ("axes", [2, 3])];
    let starts = starts.map(|(name, values)| integer_tensor(name, &values));
    then(&mut padded, "Slice", starts.into(), Vec::new());
    vec![
        ("max-pool", with("MaxPool", Vec::new(), pool())),
        (
            "average-pool",
            with("AveragePool", Vec::new(), [pool(), vec![integer("count_include_pad", 1)]].concat()),
        ),
        ("pad-and-slice", padded),
    ]
}

fn sizes() -> Vec<(&'static str, ModelProto)> {
    let mut resized =
        with("Conv", vec![weights("halving", &[1, 1, 2, 2])], vec![integers("strides", &[2, 2])]);
    onnx::append_resize(&mut resized, 2.0);
    onnx::set_card(&mut resized, "size_multiple", Some("8"));
    let mut blocks = with("SpaceToDepth", Vec::new(), vec![integer("blocksize", 2)]);
    then(&mut blocks, "DepthToSpace", Vec::new(), vec![integer("blocksize", 2), text("mode", "CRD")]);
    onnx::set_card(&mut blocks, "size_multiple", Some("4"));
    let mut transposed = with(
        "Conv",
        vec![weights("down", &[4, 1, 3, 3])],
        vec![integers("strides", &[2, 2]), integers("pads", &[1, 1, 1, 1])],
    );
    then(
        &mut transposed,
        "ConvTranspose",
        vec![weights("up", &[4, 1, 4, 4])],
        vec![integers("strides", &[2, 2]), integers("pads", &[1, 1, 1, 1])],
    );
    onnx::set_card(&mut transposed, "size_multiple", Some("2"));
    let mut window = onnx::line(1, 1.0, 0.0);
    onnx::set_card(&mut window, "window", Some("64"));
    vec![
        ("resize", resized),
        ("space-to-depth-and-back", blocks),
        ("transposed-convolution", transposed),
        ("fixed-window", window),
    ]
}

fn networks() -> Vec<(&'static str, ModelProto)> {
    let dilated = with(
        "Conv",
        vec![weights("wide", &[1, 1, 3, 3])],
        vec![integers("dilations", &[2, 3]), integers("pads", &[2, 3, 2, 3])],
    );
    let mut grouped = with("Conv", vec![weights("four", &[4, 1, 1, 1])], Vec::new());
    then(
        &mut grouped,
        "Conv",
        vec![weights("each", &[4, 1, 3, 3]), weights("bias", &[4])],
        vec![integer("group", 4), integers("pads", &[1; 4])],
    );
    then(&mut grouped, "Conv", vec![weights("all", &[1, 4, 1, 1])], Vec::new());
    // As the generators are: convolutions and norms with a sum around them, wide enough for the blocks of the kernels.
    let mut residual = with("Conv", vec![weights("in", &[17, 1, 3, 3]), weights("in bias", &[17])], same());
    for (kernel, scale, bias) in [("first", "scale 1", "bias 1"), ("second", "scale 2", "bias 2")] {
        then(&mut residual, "Conv", vec![weights(kernel, &[17, 17, 1, 1])], Vec::new());
        then(
            &mut residual,
            "InstanceNormalization",
            vec![weights(scale, &[17]), weights(bias, &[17])],
            vec![float("epsilon", 1e-5)],
        );
        then(&mut residual, "Relu", Vec::new(), Vec::new());
    }
    append(&mut residual, "Add", &["layer 1"], Vec::new());
    append(&mut residual, "Concat", &["layer 1"], vec![integer("axis", 1)]);
    then(&mut residual, "Conv", vec![weights("out", &[1, 34, 1, 1])], Vec::new());
    then(&mut residual, "Sigmoid", Vec::new(), Vec::new());
    vec![("dilated", dilated), ("grouped", grouped), ("residual-block", residual)]
}

fn same() -> Vec<AttributeProto> {
    vec![integers("pads", &[1; 4]), integers("kernel_shape", &[3, 3])]
}
