//! Exported files against the outside world: onnx's checker accepts them, and ONNX Runtime computes what burn computes.
//!
//! Needs the Python environment of `scripts/setup.sh tests`. Without it the test says so and passes, unless
//! `MRISYNTH_REQUIRE_PYTHON` is set.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use burn::backend::Flex;
use burn::tensor::{Tensor, TensorData};
use mrisynth_training::export;
use mrisynth_training::network::{
    Arithmetic, GeneratorConfig, LightConfig, Normalization, Padding, ResidualConfig, UnetConfig, Upsampling,
};
use mrisynth_training::onnx::Precision;
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The environment's interpreter; nothing where there is none and none is required.
fn python() -> Option<PathBuf> {
    let python = root().join("target/python/bin/python");
    if python.exists() {
        return Some(python);
    }
    assert!(
        std::env::var_os("MRISYNTH_REQUIRE_PYTHON").is_none(),
        "there is no target/python: run scripts/setup.sh tests"
    );
    eprintln!("skipped: there is no target/python; scripts/setup.sh tests makes it");
    None
}

fn run(python: &Path, folder: &Path, cases: &[Value]) {
    let list = folder.join("cases.json");
    fs::write(&list, serde_json::to_vec(cases).unwrap()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx_runtime.py");
    let output = Command::new(python).arg(script).arg(list).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Each kind of generator, with each of its choices.
fn configs() -> Vec<GeneratorConfig> {
    let mut configs = vec![GeneratorConfig::Light(LightConfig {
        slices_in: 3,
        widths: [8, 12, 16, 24],
        residual_blocks: 2,
    })];
    for (upsampling, normalization, padding) in [
        (Upsampling::Transposed, Normalization::Instance, Padding::Reflect),
        (Upsampling::Resize, Normalization::None, Padding::Zero),
    ] {
        configs.push(GeneratorConfig::Residual(ResidualConfig {
            slices_in: 1,
            widths: vec![8, 12, 16],
            residual_blocks: 2,
            upsampling,
            normalization,
            padding,
        }));
        let widths = vec![8, 12, 16, 24];
        configs.push(GeneratorConfig::Unet(UnetConfig { slices_in: 5, widths, upsampling, normalization }));
    }
    configs
}

#[test]
fn onnx_runtime_computes_what_burn_computes() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (mut cases, mut expectations) = (Vec::new(), Vec::new());
    for (n, config) in configs().into_iter().enumerate() {
        let device = Default::default();
        let network = config.init::<Flex>(Arithmetic::default(), 5, &device).unwrap();
        let shape = [1, config.slices_in(), 3 * config.size_multiple(), 2 * config.size_multiple()];
        let image: Vec<f32> = (0..shape.iter().product())
            .map(|n| 0.5 + 0.3 * (n as f32 * 0.07).sin() + 0.2 * ((n * 7919 % 101) as f32 / 101.0 - 0.5))
            .collect();
        let input = Tensor::<Flex, 4>::from_data(TensorData::new(image.clone(), shape), &device);
        let expected: Vec<f32> = network.forward(input).clamp(0.0, 1.0).into_data().to_vec().unwrap();
        for (precision, bound) in [(Precision::Float32, 1e-4), (Precision::Float16, 2e-3)] {
            let file = |ending| folder.path().join(format!("{n}-{precision:?}.{ending}"));
            let (model, output) = (file("onnx"), file("output"));
            let card = BTreeMap::from([("mrisynth.name".to_owned(), "test".to_owned())]);
            export::export(&network, &config, &card, precision, &model, &device).unwrap();
            fs::write(file("input"), floats(&image)).unwrap();
            cases.push(json!({"model": model, "shape": shape, "input": file("input"), "output": output}));
            expectations.push((format!("{config:?} {precision:?}"), output, expected.clone(), bound));
        }
    }
    run(&python, folder.path(), &cases);
    for (name, output, expected, bound) in expectations {
        let bytes = fs::read(output).unwrap();
        let found = bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap()));
        assert_eq!(found.len(), expected.len(), "{name}");
        let worst = found.zip(expected).fold(0.0, |worst: f32, (found, expected)| {
            assert!(found.is_finite(), "{name}");
            worst.max((found - expected).abs())
        });
        println!("{name}: {worst:.1e}");
        assert!(worst <= bound, "{name}: {worst}");
    }
}

#[test]
fn the_checker_accepts_the_models_of_the_library() {
    let Some(python) = python() else { return };
    let models = fs::read_dir(root().join("models")).unwrap().map(|entry| entry.unwrap().path());
    let cases: Vec<Value> = models
        .filter(|path| path.extension().is_some_and(|ending| ending == "onnx"))
        .map(|path| json!({"model": path}))
        .collect();
    assert_eq!(cases.len(), 3);
    run(&python, tempfile::tempdir().unwrap().path(), &cases);
}
