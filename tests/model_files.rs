//! Model files that are damaged, hostile or merely not ours: each is refused with a word on why, and none panics.

mod onnx;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use mrisynth::model::{LoadOptions, Model, Signer};
use mrisynth::synthesize::Options;
use mrisynth::{Affine, Contrast, Control, Error, Limits, Result, Volume, synthesize};
use ndarray::Array3;
use onnx::{append, append_resize, float_tensor, graph, integer, integer_tensor, integers, set_card};
use proptest::prelude::*;
use prost::Message;
use sha2::{Digest, Sha256};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, OperatorSetIdProto, SparseTensorProto, StringStringEntryProto,
    TensorProto, TypeProto, attribute_proto::AttributeType, tensor_proto, tensor_proto::DataType,
    tensor_shape_proto::dimension::Value, type_proto,
};

/// A way to spoil a good model.
type Damage = fn(&mut ModelProto);

fn load(bytes: &[u8]) -> Result<Model> {
    Model::from_bytes(bytes, &LoadOptions::default())
}

fn good() -> ModelProto {
    onnx::convolution(3, 1, [0, 0])
}

/// A good model of many operators: what a fault is searched in.
fn varied() -> ModelProto {
    let mut model = good();
    graph(&mut model).initializer.extend([
        integer_tensor("pads", &[0, 0, 1, 1, 0, 0, 1, 1]),
        integer_tensor("pads before", &[0, 0, 1, 1, 0, 0, 0, 0]),
        integer_tensor("starts", &[1, 2]),
        integer_tensor("ends", &[-1, i64::MAX]),
        integer_tensor("axes", &[2, 3]),
        float_tensor("low", &[], vec![0.0]),
        float_tensor("high", &[], vec![1.0]),
    ]);
    append(&mut model, "Pad", &["pads"], Vec::new());
    append(&mut model, "Slice", &["starts", "ends", "axes"], Vec::new());
    append(&mut model, "Pad", &["pads before"], Vec::new());
    append(
        &mut model,
        "AveragePool",
        &[],
        vec![integers("kernel_shape", &[2, 2]), integers("pads", &[0, 0, 0, 0])],
    );
    append_resize(&mut model, 2.0);
    append(&mut model, "MaxPool", &[], vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])]);
    append(&mut model, "Clip", &["low", "high"], Vec::new());
    model
}

/// The message of the refusal; `what` says which case it is.
fn refusal(what: &str, outcome: Result<Model>) -> String {
    let fault = outcome.err().unwrap_or_else(|| panic!("{what}: loaded"));
    match fault.kind() {
        Error::BadModel(text) => text.clone(),
        _ => panic!("{what}: {fault:?}"),
    }
}

fn assert_refused(what: &str, outcome: Result<Model>, word: &str) {
    let text = refusal(what, outcome);
    assert!(text.contains(word), "{what}: {text:?} does not say {word:?}");
}

/// Each damage must make a good model one that is refused with the word beside it.
fn assert_each_refused(cases: &[(&str, Damage, &str)]) {
    for (what, damage, word) in cases {
        let mut model = good();
        damage(&mut model);
        assert_refused(what, load(&model.encode_to_vec()), word);
    }
}

fn sha256_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first tensor of a good model: its float32 weights.
fn weights(model: &mut ModelProto) -> &mut TensorProto {
    &mut graph(model).initializer[0]
}

fn add_attribute(model: &mut ModelProto, attribute: AttributeProto) {
    graph(model).node[0].attribute.push(attribute);
}

fn set_attribute(model: &mut ModelProto, attribute: AttributeProto) {
    graph(model).node[0].attribute.retain(|other| other.name != attribute.name);
    add_attribute(model, attribute);
}

/// The type of the model's input or output.
fn tensor_type(end: &mut tract_onnx::pb::ValueInfoProto) -> &mut type_proto::Tensor {
    let Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), .. }) = &mut end.r#type else {
        panic!("not a tensor")
    };
    tensor
}

/// Sets an axis of the model's input.
fn set_axis(model: &mut ModelProto, axis: usize, value: Value) {
    let shape = &mut tensor_type(&mut graph(model).input[0]).shape;
    shape.as_mut().unwrap().dim[axis].value = Some(value);
}

fn set_raw(tensor: &mut TensorProto, data_type: DataType, raw_data: Vec<u8>) {
    tensor.float_data.clear();
    tensor.data_type = data_type as i32;
    tensor.raw_data = raw_data;
}

// ---- good files ----

#[test]
fn a_good_model_loads_and_is_known_by_its_hash() {
    for model in [good(), varied()] {
        let bytes = model.encode_to_vec();
        let (first, second) = (load(&bytes).unwrap(), load(&bytes).unwrap());
        assert_eq!(first.sha256(), sha256_of(&bytes));
        assert_eq!(first.sha256(), second.sha256());
        assert_eq!(first.card(), second.card());
        assert_eq!((first.card().source, first.card().target), (Contrast::T2w, Contrast::T1w));
    }
}

#[test]
fn a_model_for_a_target_is_the_files_or_the_embedded_one() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/t1w-from-t2w.onnx");
    for given in [None, Some(file.as_path())] {
        let model = Model::for_target(given, Contrast::T1w, &LoadOptions::default()).unwrap();
        assert_eq!((model.card().source, model.card().target), (Contrast::T2w, Contrast::T1w));
    }
    let fault = Model::for_target(Some(&file), Contrast::T2w, &LoadOptions::default()).unwrap_err();
    assert!(matches!(fault.kind(), Error::InvalidArgument(_)));
    assert!(fault.to_string().contains("t1w-from-t2w.onnx: "), "{fault}");
    assert!(fault.to_string().contains("synthesizes T1w, and T2w is asked for"), "{fault}");
}

#[test]
fn embedded_models_are_the_files_of_this_repository() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    for (source, target, name) in [
        (Contrast::T2w, Contrast::T1w, "t1w-from-t2w.onnx"),
        (Contrast::T1w, Contrast::T2w, "t2w-from-t1w.onnx"),
    ] {
        let model = Model::embedded(source, target).unwrap();
        assert_eq!((model.card().source, model.card().target), (source, target), "{name}");
        let file = fs::read(folder.join(name)).unwrap();
        assert!(file.len() <= 8_000_000, "{name} has {} bytes", file.len());
        assert_eq!(sha256_of(&file), model.sha256(), "{name}");
        let beside = fs::read_to_string(folder.join(format!("{name}.sha256"))).unwrap();
        assert_eq!(beside, format!("{}  {name}\n", model.sha256()));
        let opened = Model::open(&folder.join(name), &LoadOptions::default()).unwrap();
        assert_eq!(opened.card(), model.card());
    }
    let listed: Vec<_> = Model::embedded_contrasts().collect();
    assert_eq!(listed, [(Contrast::T2w, Contrast::T1w), (Contrast::T1w, Contrast::T2w)]);
    let same = Model::embedded(Contrast::T1w, Contrast::T1w);
    assert!(matches!(same, Err(Error::InvalidArgument(_))));
}

// ---- the file as a whole ----

#[test]
fn bytes_that_are_no_model_are_refused() {
    let text = b"This is not a model, but a text that is long enough to look like something.";
    let cases: [(&str, &[u8], &str); 5] = [
        ("empty", b"", "card"),
        ("text", text, "damaged"),
        ("zeros", &[0; 4096], "damaged"),
        ("ones", &[0xff; 4096], "damaged"),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x03\0\0\0\0\0\0\0\0\0", "damaged"),
    ];
    for (what, bytes, word) in cases {
        assert_refused(what, load(bytes), word);
    }
}

#[test]
fn a_truncated_file_is_refused_at_every_length() {
    // The card comes last in the file, so that every cut takes something that is needed.
    let bytes = varied().encode_to_vec();
    for length in 0..bytes.len() {
        refusal(&format!("{length} bytes"), load(&bytes[..length]));
    }
}

#[test]
fn the_limit_of_bytes_is_inclusive() {
    let bytes = good().encode_to_vec();
    let within = |max_model_bytes| {
        let limits = Limits { max_model_bytes, ..Limits::default() };
        LoadOptions { limits, ..LoadOptions::default() }
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    fs::write(&path, &bytes).unwrap();
    let length = bytes.len() as u64;
    Model::from_bytes(&bytes, &within(length)).unwrap();
    Model::open(&path, &within(length)).unwrap();
    for limit in [length - 1, 1, 0] {
        let options = within(limit);
        assert_refused("bytes", Model::from_bytes(&bytes, &options), "over the limit");
        assert_refused("file", Model::open(&path, &options), "over the limit");
    }
}

#[test]
fn the_limit_of_a_tensor_is_inclusive() {
    // One kernel of 5 x 5 for one channel.
    let bytes = onnx::middle_slice(1);
    let within = |max_tensor_elements| {
        let limits = Limits { max_tensor_elements, ..Limits::default() };
        Model::from_bytes(&bytes, &LoadOptions { limits, ..LoadOptions::default() })
    };
    within(25).unwrap();
    assert_refused("weights", within(24), "tensor \"weights\" has 25 elements, over the limit of 24");
}

fn signed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/signed").join(name)
}

/// `MRISYNTH_REGENERATE_SIGNED=1` writes the file anew, which must then be signed as tests/signed/README.md says.
#[test]
fn the_signed_model_is_what_the_tests_make() {
    let bytes = onnx::middle_slice(1);
    if std::env::var_os("MRISYNTH_REGENERATE_SIGNED").is_some() {
        fs::write(signed("middle_slice.onnx"), &bytes).unwrap();
    }
    assert_eq!(fs::read(signed("middle_slice.onnx")).unwrap(), bytes);
}

fn signed_by(key: &str, signature: Option<PathBuf>) -> LoadOptions {
    let key = signed(key);
    let signer = Signer::new(key.to_str().unwrap(), signature).unwrap();
    LoadOptions { signer: Some(signer), ..LoadOptions::default() }
}

#[test]
fn a_signature_is_checked_where_a_signer_is_named() {
    let model = signed("middle_slice.onnx");
    Model::open(&model, &signed_by("key.pub", None)).unwrap();
    assert_refused("other key", Model::open(&model, &signed_by("other.pub", None)), "by another key");

    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("model.onnx");
    fs::write(&copy, good().encode_to_vec()).unwrap();
    let fault = Model::open(&copy, &signed_by("key.pub", None)).unwrap_err();
    assert!(matches!(fault, Error::Io { .. }) && fault.to_string().contains("model.onnx.minisig"), "{fault}");
    let given = signed_by("key.pub", Some(signed("middle_slice.onnx.minisig")));
    assert_refused("another file", Model::open(&copy, &given), "not the one that was signed");
    fs::write(folder.path().join("model.onnx.minisig"), "untrusted comment: none\n").unwrap();
    assert_refused("no signature", Model::open(&copy, &signed_by("key.pub", None)), "not one of minisign");
}

#[test]
fn each_fault_of_integrity_has_words_of_its_own() {
    let spoilt = |damage: Damage| {
        let mut model = good();
        damage(&mut model);
        load(&model.encode_to_vec()).unwrap_err().to_string()
    };
    let model = signed("middle_slice.onnx");
    let sha256 = LoadOptions { sha256: Some("0".repeat(64)), ..LoadOptions::default() };
    let limits = Limits { max_tensor_elements: 1, ..Limits::default() };
    let small = LoadOptions { limits, ..LoadOptions::default() };
    let faults = [
        ("its SHA-256 is", Model::open(&model, &sha256).unwrap_err().to_string()),
        ("its signature is", Model::open(&model, &signed_by("other.pub", None)).unwrap_err().to_string()),
        ("is not one that a generator may use", spoilt(|model| append(model, "Einsum", &[], Vec::new()))),
        (
            "lies outside the file",
            spoilt(|model| {
                let place = StringStringEntryProto { key: "location".into(), value: "/etc/passwd".into() };
                graph(model).initializer[0].external_data.push(place);
            }),
        ),
        ("elements, over the limit", Model::open(&model, &small).unwrap_err().to_string()),
    ];
    for (words, fault) in &faults {
        assert!(fault.contains("bad model") && fault.contains(words), "{words:?} is not in {fault:?}");
        assert_eq!(faults.iter().filter(|(_, other)| other.contains(words)).count(), 1, "{words}");
    }
}

/// What `sha256sum` and not this library says.
#[test]
fn recorded_digests_are_those_of_another_program() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| Path::new(name).extension().is_some_and(|ending| ending == "onnx"));
    assert_eq!(names.len(), 3);
    for name in names {
        let digests = format!("{}.sha256", name.to_str().unwrap());
        let output =
            Command::new("sha256sum").args(["--check", "--strict", &digests]).current_dir(&folder).output();
        let output = output.expect("sha256sum (coreutils) is needed for this test");
        assert!(output.status.success(), "{digests}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn a_given_sha256_must_be_the_files() {
    let bytes = good().encode_to_vec();
    let given = |sha256: &str| LoadOptions { sha256: Some(sha256.into()), ..LoadOptions::default() };
    let right = sha256_of(&bytes);
    Model::from_bytes(&bytes, &given(&right)).unwrap();
    Model::from_bytes(&bytes, &given(&format!(" {}\n", right.to_uppercase()))).unwrap();
    for wrong in ["", "0", &right[1..], &"0".repeat(64), &format!("{right}0")] {
        assert_refused(wrong, Model::from_bytes(&bytes, &given(wrong)), "SHA-256");
    }
}

/// A folder with a good model `model.onnx`, and the text beside it.
fn with_sidecar(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    fs::write(&path, good().encode_to_vec()).unwrap();
    fs::write(folder.path().join("model.onnx.sha256"), text).unwrap();
    (folder, path)
}

#[test]
fn a_sha256_beside_the_file_is_checked() {
    let options = LoadOptions::default();
    let right = sha256_of(&good().encode_to_vec());
    for text in
        [format!("{right}  model.onnx\n"), right.clone(), format!("{} *other.onnx", right.to_uppercase())]
    {
        let (_folder, path) = with_sidecar(&text);
        assert_eq!(Model::open(&path, &options).unwrap().sha256(), right);
    }
    let wrong = "0".repeat(64);
    for (text, word) in
        [(wrong.as_str(), "SHA-256"), ("model.onnx\n", "SHA-256"), ("", "no SHA-256"), (" \n", "no SHA-256")]
    {
        let (_folder, path) = with_sidecar(text);
        assert_refused(text, Model::open(&path, &options), word);
    }
}

#[test]
fn a_given_sha256_goes_before_the_one_beside_the_file() {
    let (_folder, path) = with_sidecar(&"0".repeat(64));
    let sha256 = Some(sha256_of(&good().encode_to_vec()));
    Model::open(&path, &LoadOptions { sha256, ..LoadOptions::default() }).unwrap();
}

#[test]
fn a_folder_is_no_model_and_a_missing_file_is_an_io_error() {
    let folder = tempfile::tempdir().unwrap();
    let options = LoadOptions::default();
    assert_refused("folder", Model::open(folder.path(), &options), "this is a directory");
    let missing = folder.path().join("missing.onnx");
    match Model::open(&missing, &options) {
        Err(Error::Io { path, source }) => {
            assert_eq!((path, source.kind()), (missing, std::io::ErrorKind::NotFound));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.onnx");
    fs::write(&path, "no model").unwrap();
    let fault = Model::open(&path, &LoadOptions::default()).unwrap_err();
    assert!(matches!(fault, Error::InFile { .. }) && fault.to_string().contains("bad.onnx"), "{fault}");
}

// ---- the card ----

#[test]
fn cards_that_are_missing_or_not_ours_are_refused() {
    assert_each_refused(&[
        ("no card", |model| model.metadata_props.clear(), "card has no entry mrisynth.format"),
        ("no format", |model| set_card(model, "format", None), "mrisynth.format"),
        ("later format", |model| set_card(model, "format", Some("2")), "mrisynth.format is \"2\""),
        ("no contrast", |model| set_card(model, "source", None), "mrisynth.source"),
        ("unknown source", |model| set_card(model, "source", Some("flair")), "flair"),
        ("unknown target", |model| set_card(model, "target", Some("ct")), "\"ct\""),
        ("same contrasts", |model| set_card(model, "target", Some("t2w")), "both T2w"),
        ("even slices", |model| set_card(model, "slices_in", Some("2")), "slices_in"),
        ("no multiple", |model| set_card(model, "size_multiple", Some("0")), "size_multiple"),
        ("sagittal", |model| set_card(model, "orientation", Some("sagittal")), "orientation"),
        ("entry twice", |model| model.metadata_props.extend_from_within(..1), "twice"),
        ("long entry", |model| set_card(model, "license", Some(&"x".repeat(1 << 17))), "bytes"),
    ]);
}

// ---- the operators ----

fn with_operator(model: &mut ModelProto, operator: &str) {
    graph(model).node[0].op_type = operator.into();
}

#[test]
fn operators_and_attributes_out_of_bounds_are_refused() {
    assert_each_refused(&[
        ("no graph", |model| model.graph = None, "no graph"),
        ("Loop", |model| with_operator(model, "Loop"), "\"Loop\""),
        ("If", |model| with_operator(model, "If"), "\"If\""),
        ("Scan", |model| with_operator(model, "Scan"), "\"Scan\""),
        ("ConstantOfShape", |model| with_operator(model, "ConstantOfShape"), "ConstantOfShape"),
        ("no operator", |model| with_operator(model, ""), "operator"),
        ("custom domain", |model| graph(model).node[0].domain = "com.example".into(), "operator"),
        (
            "custom operator set",
            |model| {
                let domain = "com.example".into();
                model.opset_import.push(OperatorSetIdProto { domain, version: 1 });
            },
            "com.example",
        ),
        (
            "too many inputs",
            |model| append(model, "MaxPool", &["weights"], vec![integers("kernel_shape", &[1, 1])]),
            "\"MaxPool\" (node \"synthetic\") has 2 inputs and takes 1",
        ),
        ("too few inputs", |model| append(model, "Add", &[], Vec::new()), "has 1 inputs and takes 2"),
        (
            "too many weights",
            |model| {
                let tensor = |index| float_tensor(&format!("weights {index}"), &[], vec![0.0]);
                graph(model).initializer.extend((0..10_000).map(tensor));
            },
            "10001 weights",
        ),
        (
            "too many layers",
            |model| (0..1_000).for_each(|_| append(model, "Relu", &[], vec![])),
            "1001 nodes",
        ),
        (
            "graph attribute",
            |model| {
                let g = Some(GraphProto::default());
                add_attribute(model, AttributeProto { name: "body".into(), g, ..integer("", 0) });
            },
            "graph",
        ),
        (
            "graphs attribute",
            |model| {
                let graphs = vec![GraphProto::default()];
                add_attribute(model, AttributeProto { name: "bodies".into(), graphs, ..integer("", 0) });
            },
            "graph",
        ),
        (
            "attribute without type",
            |model| {
                let r#type = AttributeType::Undefined as i32;
                add_attribute(model, AttributeProto { r#type, ..integer("group", 1) });
            },
            "no type",
        ),
        ("huge pads", |model| set_attribute(model, integers("pads", &[0, 0, 1 << 40, 0])), "pads"),
        ("negative huge pads", |model| set_attribute(model, integers("pads", &[i64::MIN; 4])), "pads"),
        ("negative pads", |model| set_attribute(model, integers("pads", &[-1, -1, 5, 5])), ""),
        ("huge strides", |model| set_attribute(model, integers("strides", &[1, 1025])), "1025"),
        ("huge dilations", |model| set_attribute(model, integers("dilations", &[i64::MAX; 2])), "dilations"),
        ("huge group", |model| set_attribute(model, integer("group", 1 << 33)), "group"),
        ("no strides", |model| set_attribute(model, integers("strides", &[0, 0])), ""),
        ("no group", |model| set_attribute(model, integer("group", 0)), ""),
        ("other group", |model| set_attribute(model, integer("group", 2)), ""),
        ("too few pads", |model| set_attribute(model, integers("pads", &[2])), ""),
    ]);
}

#[test]
fn resizes_out_of_bounds_are_refused() {
    assert_each_refused(&[
        ("huge", |model| append_resize(model, 1e30), "scales outside"),
        ("just too large", |model| append_resize(model, 8.5), "scales outside"),
        ("negative", |model| append_resize(model, -1.0), "scales outside"),
        ("zero", |model| append_resize(model, 0.0), "scales outside"),
        ("not a number", |model| append_resize(model, f32::NAN), "scales outside"),
        ("no scales", |model| append(model, "Resize", &[], Vec::new()), "no constant scales"),
        (
            "sizes instead of scales",
            |model| {
                graph(model).initializer.push(integer_tensor("sizes", &[1, 1, 1000, 1000]));
                append(model, "Resize", &["", "", "sizes"], Vec::new());
            },
            "no constant scales",
        ),
        (
            "computed scales",
            |model| append(model, "Resize", &["", "layer 1"], Vec::new()),
            "no constant scales",
        ),
        (
            "scales given twice",
            |model| {
                append_resize(model, 2.0);
                let second = float_tensor("scales 1", &[4], vec![1.0, 1.0, 1e9, 1e9]);
                graph(model).initializer.push(second);
            },
            "scales 1",
        ),
    ]);
}

// ---- the tensors ----

#[test]
fn tensors_that_are_not_what_they_claim_are_refused() {
    assert_each_refused(&[
        (
            "outside the file",
            |model| weights(model).data_location = Some(tensor_proto::DataLocation::External as i32),
            "outside the file",
        ),
        (
            "name of another file",
            |model| {
                let entry = StringStringEntryProto { key: "location".into(), value: "/etc/passwd".into() };
                weights(model).external_data.push(entry);
            },
            "outside the file",
        ),
        ("more than held", |model| weights(model).dims[0] = 1 << 33, "claims"),
        ("fewer than held", |model| weights(model).dims[2] = 1, "claims"),
        ("nothing held", |model| weights(model).float_data.clear(), "holds 0"),
        ("negative length", |model| weights(model).dims[0] = -1, "impossible shape"),
        ("overflow", |model| weights(model).dims = vec![1 << 32, 1 << 32, 1 << 32], "impossible shape"),
        ("lengths of i64::MAX", |model| weights(model).dims = vec![i64::MAX; 4], "impossible shape"),
        (
            "odd raw data",
            |model| set_raw(weights(model), DataType::Float, vec![0; 299]),
            "middle of an element",
        ),
        ("raw data of halves", |model| set_raw(weights(model), DataType::Float16, vec![0; 150]), ""),
        ("strings", |model| weights(model).data_type = DataType::String as i32, "element type 8"),
        ("doubles", |model| weights(model).data_type = DataType::Double as i32, "element type 11"),
        ("booleans", |model| weights(model).data_type = DataType::Bool as i32, "element type 9"),
        ("complex", |model| weights(model).data_type = DataType::Complex64 as i32, "element type 14"),
        ("no type", |model| weights(model).data_type = 0, "element type 0"),
        ("unknown type", |model| weights(model).data_type = 9999, "element type 9999"),
        (
            "segment",
            |model| weights(model).segment = Some(tensor_proto::Segment { begin: 0, end: 1 }),
            "segments",
        ),
        (
            "sparse weights",
            |model| graph(model).sparse_initializer.push(SparseTensorProto::default()),
            "sparse",
        ),
        ("another shape", |model| weights(model).dims = vec![75], ""),
        ("no such tensor", |model| weights(model).name = "other".into(), "weights"),
        ("tensor twice", |model| graph(model).initializer.extend_from_within(..1), "weights"),
        (
            "huge padding",
            |model| {
                graph(model).initializer.push(integer_tensor("pads", &[0, 0, 0, 0, 0, 0, 0, 1 << 40]));
                append(model, "Pad", &["pads"], Vec::new());
            },
            "\"pads\"",
        ),
        (
            "padding to the end",
            |model| {
                graph(model).initializer.push(integer_tensor("pads", &[0, 0, 0, 0, 0, 0, 0, i64::MAX]));
                append(model, "Pad", &["pads"], Vec::new());
            },
            "Pad",
        ),
        (
            "padding past 64 bits, and back to the right size",
            |model| {
                let around = [0, 0, 0, i64::MAX, 0, 0, 0, i64::MAX];
                let pads =
                    [integer_tensor("pads", &around), integer_tensor("two", &[0, 0, 0, 0, 0, 0, 0, 2])];
                graph(model).initializer.extend(pads);
                append(model, "Pad", &["pads"], Vec::new());
                append(model, "Pad", &["two"], Vec::new());
            },
            "Pad",
        ),
        (
            "cropping",
            |model| {
                graph(model).initializer.push(integer_tensor("pads", &[0, 0, 0, -1, 0, 0, 0, 1]));
                append(model, "Pad", &["pads"], Vec::new());
            },
            "Pad",
        ),
        ("computed padding", |model| append(model, "Pad", &["source"], Vec::new()), "no constant widths"),
        (
            "huge padding, raw",
            |model| {
                let mut pads = integer_tensor("pads", &[]);
                pads.dims = vec![8];
                set_raw(&mut pads, DataType::Int64, [[0; 8], [0x70; 8]].concat().repeat(4));
                graph(model).initializer.push(pads);
                append(model, "Pad", &["pads"], Vec::new());
            },
            "\"pads\"",
        ),
        (
            "tensor attribute that claims more",
            |model| {
                let value = float_tensor("value", &[1 << 40], vec![0.0]);
                let r#type = AttributeType::Tensor as i32;
                let attribute = AttributeProto { t: Some(value), r#type, ..integer("value", 0) };
                graph(model).node.insert(0, onnx::node("Constant", &[], "constant", vec![attribute]));
            },
            "claims",
        ),
    ]);
}

// ---- the graph ----

#[test]
fn inputs_and_outputs_of_other_kinds_are_refused() {
    assert_each_refused(&[
        ("another input", |model| graph(model).input[0].name = "image".into(), "\"image\""),
        ("another output", |model| graph(model).output[0].name = "image".into(), "\"image\""),
        ("no input", |model| graph(model).input.clear(), "0 inputs"),
        ("two inputs", |model| graph(model).input.push(onnx::end("mask", 1)), "2 inputs"),
        ("no output", |model| graph(model).output.clear(), "0 outputs"),
        ("two outputs", |model| graph(model).output.push(onnx::end("mask", 1)), "2 outputs"),
        ("input without type", |model| graph(model).input[0].r#type = None, "not a tensor"),
        ("more slices than the card says", |model| set_card(model, "slices_in", Some("1")), "(1, 1, height"),
        ("fewer slices than the card says", |model| set_card(model, "slices_in", Some("5")), "(1, 5, height"),
        ("fixed height", |model| set_axis(model, 2, Value::DimValue(224)), "free height and width"),
        ("fixed width", |model| set_axis(model, 3, Value::DimValue(192)), "free height and width"),
        ("free slices", |model| set_axis(model, 1, Value::DimParam("n".into())), "free height and width"),
        ("many at once", |model| set_axis(model, 0, Value::DimValue(2)), "free height and width"),
        (
            "output called float16",
            |model| tensor_type(&mut graph(model).output[0]).elem_type = DataType::Float16 as i32,
            "output is not float32",
        ),
        (
            "input called float64",
            |model| tensor_type(&mut graph(model).input[0]).elem_type = DataType::Double as i32,
            "input is not float32",
        ),
        (
            "output that is float16",
            |model| append(model, "Cast", &[], vec![integer("to", DataType::Float16 as i64)]),
            "not float32",
        ),
        ("smaller output", |model| set_attribute(model, integers("strides", &[2, 2])), "[1, 1, 4, 4]"),
        ("larger output", |model| append_resize(model, 2.0), "[1, 1, 4, 4]"),
        ("output of nothing", |model| graph(model).node[0].output = vec!["lost".into()], ""),
        ("unknown value", |model| graph(model).node[0].input[0] = "nowhere".into(), "nowhere"),
        ("a value from later on", |model| graph(model).node[0].input[0] = "synthetic".into(), "synthetic"),
    ]);
}

#[test]
fn images_too_large_for_memory_are_refused_before_they_are_made() {
    assert_each_refused(&[
        ("upwards for ever", |model| (0..5).for_each(|_| append_resize(model, 8.0)), "too large"),
        ("upwards past 64 bits", |model| (0..40).for_each(|_| append_resize(model, 8.0)), ""),
        (
            "padded along every axis",
            |model| {
                graph(model).initializer.push(integer_tensor("pads", &[1024; 8]));
                append(model, "Pad", &["pads"], Vec::new());
            },
            "too large",
        ),
    ]);
}

#[test]
fn weights_that_would_be_blown_up_at_loading_are_refused() {
    // The engine computes what depends on weights alone when it loads a model, before any size is known.
    assert_each_refused(&[
        (
            "padded",
            |model| {
                let tensors = [float_tensor("one", &[1; 4], vec![1.0]), integer_tensor("pads", &[1024; 8])];
                graph(model).initializer.extend(tensors);
                graph(model).node.insert(0, onnx::node("Pad", &["one", "pads"], "huge", Vec::new()));
                append(model, "Add", &["huge"], Vec::new());
            },
            "weights alone",
        ),
        (
            "broadcast",
            |model| {
                let tensors = [
                    float_tensor("row", &[1, 1, 1, 1 << 20], vec![1.0; 1 << 20]),
                    float_tensor("column", &[1, 1, 1 << 20, 1], vec![1.0; 1 << 20]),
                ];
                graph(model).initializer.extend(tensors);
                graph(model).node.insert(0, onnx::node("Add", &["row", "column"], "huge", Vec::new()));
                append(model, "Add", &["huge"], Vec::new());
            },
            "weights alone",
        ),
        (
            "padded after a cast",
            |model| {
                let tensors = [float_tensor("one", &[1; 4], vec![1.0]), integer_tensor("pads", &[1024; 8])];
                graph(model).initializer.extend(tensors);
                let to = integer("to", DataType::Float as i64);
                graph(model).node.insert(0, onnx::node("Cast", &["one"], "cast", vec![to]));
                graph(model).node.insert(1, onnx::node("Pad", &["cast", "pads"], "huge", Vec::new()));
                append(model, "Add", &["huge"], Vec::new());
            },
            "weights alone",
        ),
    ]);
}

#[test]
fn a_long_network_loads_in_good_time() {
    let mut model = good();
    (0..999).for_each(|_| append(&mut model, "Relu", &[], Vec::new()));
    let start = Instant::now();
    let outcome = load(&model.encode_to_vec());
    // It takes seconds, and the time grows faster than the square of the length.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    outcome.unwrap();
}

#[test]
fn names_of_axes_are_names() {
    // The engine reads them as formulas, one call deeper for each parenthesis.
    assert_each_refused(&[
        ("parentheses", |model| set_axis(model, 2, Value::DimParam("(".repeat(100_000))), "letters"),
        ("formula", |model| set_axis(model, 3, Value::DimParam("floor(h/0)".into())), "letters"),
    ]);
}

#[test]
fn notes_on_values_inside_the_graph_are_not_read() {
    let mut model = good();
    append(&mut model, "Relu", &[], Vec::new());
    let mut note = onnx::end("layer 1", 1);
    let shape = tensor_type(&mut note).shape.as_mut().unwrap();
    shape.dim[2].value = Some(Value::DimParam("(".repeat(100_000)));
    graph(&mut model).value_info.push(note);
    load(&model.encode_to_vec()).unwrap();
}

#[test]
fn half_precision_weights_may_be_cast() {
    let mut model = good();
    let halves = [[0, 0x3c]; 75].concat();
    set_raw(weights(&mut model), DataType::Float16, halves);
    let to = integer("to", DataType::Float as i64);
    graph(&mut model).node[0].input[1] = "floats".into();
    graph(&mut model).node.insert(0, onnx::node("Cast", &["weights"], "floats", vec![to]));
    load(&model.encode_to_vec()).unwrap();
}

// ---- faults that only a scan shows ----

/// A coarse prepared scan: an ellipsoid the size of a brain.
fn phantom() -> Volume {
    let affine = Affine::from_sizes([3.0; 3], [0.0; 3]).unwrap();
    let value = |(i, j, k)| {
        let offset = |index: usize, half: f64| (index as f64 + 0.5) * 3.0 / half - 1.2;
        let distance = offset(i, 65.0).powi(2) + offset(j, 80.0).powi(2) + offset(k, 55.0).powi(2);
        if distance < 1.0 { 1.0 + (i % 5) as f32 } else { 0.0 }
    };
    Volume::new(Array3::from_shape_fn((52, 64, 44), value), affine).unwrap()
}

fn run(model: &ModelProto) -> Result<Volume> {
    let model = load(&model.encode_to_vec()).unwrap();
    let scan = phantom();
    // An ellipsoid of stripes shows no contrast that a brain has.
    let mut control = Control { threads: 1, accept_implausible: true, ..Control::default() };
    synthesize(&model, &scan, &scan.grid(), &Options::prepared(), &mut control)
}

#[test]
fn the_phantom_passes_a_good_model() {
    run(&good()).unwrap();
    run(&varied()).unwrap();
}

#[test]
fn a_result_that_is_not_finite_is_the_models_fault() {
    for weight in [f32::NAN, f32::INFINITY] {
        let mut model = good();
        weights(&mut model).float_data.fill(weight);
        let outcome = run(&model);
        assert!(
            matches!(&outcome, Err(Error::BadModel(text)) if text.contains("not finite")),
            "{weight}: {outcome:?}"
        );
    }
}

#[test]
fn images_too_large_for_memory_are_refused_for_real_slices_too() {
    // Small enough for the small window of loading.
    let mut model = good();
    (0..3).for_each(|_| append_resize(&mut model, 8.0));
    (0..3).for_each(|_| append_resize(&mut model, 0.125));
    let outcome = run(&model);
    assert!(matches!(&outcome, Err(Error::BadModel(text)) if text.contains("too large")), "{outcome:?}");
}

#[test]
fn layers_read_an_image_and_weights_of_their_shapes() {
    assert_each_refused(&[
        // The engine would read beside the shape of a value of one axis, and crash.
        (
            "weights in place of an image",
            |model| {
                graph(model).initializer.push(float_tensor("one", &[1], vec![1.0]));
                append(model, "Relu", &[], Vec::new());
                let node = onnx::node("PRelu", &["one", "layer 1"], "of one axis", Vec::new());
                graph(model).node.insert(1, node);
            },
            "PRelu (node \"of one axis\") reads weights in place of an image",
        ),
        (
            "an image in place of weights",
            |model| {
                append(model, "Relu", &[], Vec::new());
                append(model, "PRelu", &["layer 1"], Vec::new());
            },
            "reads an image in place of weights",
        ),
        ("a kernel of three axes", |model| weights(model).dims = vec![3, 5, 5], "not of four axes"),
        (
            "a kernel of another size",
            |model| add_attribute(model, integers("kernel_shape", &[3, 3])),
            "says [3, 3]",
        ),
        ("one stride", |model| add_attribute(model, integers("strides", &[1])), "has 1 strides, not 2"),
        (
            "three dilations",
            |model| add_attribute(model, integers("dilations", &[1; 3])),
            "has 3 dilations, not 2",
        ),
        (
            "two borders",
            |model| graph(model).node[0].attribute = vec![integers("pads", &[2, 2])],
            "has 2 pads, not 4",
        ),
        ("a pool without size", |model| append(model, "MaxPool", &[], Vec::new()), "has no kernel_shape"),
        (
            "widths for two axes",
            |model| {
                graph(model).initializer.push(integer_tensor("pads", &[1; 4]));
                append(model, "Pad", &["pads"], Vec::new());
            },
            "not 8 numbers",
        ),
        (
            "more ends than starts",
            |model| {
                let ends = [integer_tensor("starts", &[0]), integer_tensor("ends", &[9, 9])];
                graph(model).initializer.extend(ends);
                append(model, "Slice", &["starts", "ends"], Vec::new());
            },
            "not 1 numbers",
        ),
        (
            "two results",
            |model| {
                append(model, "MaxPool", &[], vec![integers("kernel_shape", &[1, 1])]);
                graph(model).node[1].output.push("places".into());
            },
            "makes 2 values",
        ),
        (
            "a norm of two axes",
            |model| {
                let of = |name| float_tensor(name, &[1, 1], vec![1.0]);
                graph(model).initializer.extend(["scale", "bias", "mean", "variance"].map(of));
                append(model, "BatchNormalization", &["scale", "bias", "mean", "variance"], Vec::new());
            },
            "weights of 2 axes",
        ),
    ]);
    for operator in ["Add", "Mul", "Sub"] {
        let mut model = good();
        graph(&mut model).initializer.push(float_tensor("five axes", &[1; 5], vec![1.0]));
        append(&mut model, operator, &["five axes"], Vec::new());
        assert_refused(operator, load(&model.encode_to_vec()), "weights of 5 axes");
    }
}

#[test]
fn images_that_do_not_fit_together_are_refused_soon() {
    // Tract took the width for a formula, which grew with each layer: the time doubled and more.
    let mut model = onnx::convolution(1, 0, [0, 0]);
    graph(&mut model).initializer.push(float_tensor("slope", &[1], vec![0.5]));
    graph(&mut model).node[0].op_type = "ConvTranspose".into();
    let same = || vec![integers("pads", &[2, 2, 2, 2])];
    append(&mut model, "Conv", &["weights"], vec![integers("pads", &[2, 2, 2, 31])]);
    append(&mut model, "Add", &["source"], Vec::new());
    append(&mut model, "Conv", &["weights"], same());
    (0..30).for_each(|_| append(&mut model, "PRelu", &["slope"], Vec::new()));
    append(&mut model, "Conv", &["weights"], same());
    append(&mut model, "Conv", &["weights"], same());
    let start = Instant::now();
    assert_refused("widths that differ", load(&model.encode_to_vec()), "do not fit together");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

// ---- random damage ----

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_damage_never_panics_and_never_takes_long(
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..12),
        cut in proptest::option::weighted(0.25, any::<prop::sample::Index>()),
    ) {
        let mut bytes = varied().encode_to_vec();
        for (place, bit) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let start = Instant::now();
        let outcome = load(&bytes);
        prop_assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        prop_assert!(matches!(&outcome, Ok(_) | Err(Error::BadModel(_))), "{:?}", outcome.err());
    }
}
