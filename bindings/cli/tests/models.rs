//! `mrisynth model`, `--help` and `--version`.

mod common;

use std::fs;

use common::{Workplace, model_file};

#[test]
fn both_embedded_models_are_listed() {
    let workplace = Workplace::new();
    let lines = workplace.run(["model", "list"]).succeeded();
    assert_eq!(lines.stdout().lines().count(), 2);
    let listed = workplace.run(["model", "list", "--json"]).succeeded().json();
    let models = listed["models"].as_array().unwrap();
    assert_eq!(models.len(), 2);
    for model in models {
        assert!(lines.stdout().contains(model["name"].as_str().unwrap()));
        assert!(lines.stdout().contains(model["sha256"].as_str().unwrap()));
    }
}

#[test]
fn a_card_is_shown_by_name_and_by_file() {
    let workplace = Workplace::new();
    fs::copy(model_file("t1w-from-t2w.onnx"), workplace.path("own.onnx")).unwrap();
    let by_name = workplace.run(["model", "info", "t1w-from-t2w"]).succeeded();
    let by_file = workplace.run(["model", "info", "own.onnx"]).succeeded();
    assert_eq!(by_name.stdout(), by_file.stdout());
    assert!(by_name.stdout().contains("source: t2w\n"), "{}", by_name.stdout());
    let json = workplace.run(["model", "info", "own.onnx", "--json"]).succeeded().json();
    assert_eq!((&json["name"], &json["target"]), (&"t1w-from-t2w".into(), &"T1w".into()));
    assert_eq!(json["card"]["format"], "1");
    workplace.run(["model", "info", "unknown"]).failed(12, "t1w-from-t2w");
}

#[test]
fn a_file_is_verified() {
    let workplace = Workplace::new();
    let model = model_file("t1w-from-t2w.onnx");
    fs::copy(&model, workplace.path("own.onnx")).unwrap();
    let recorded = fs::read_to_string(model_file("t1w-from-t2w.onnx.sha256")).unwrap();
    let sha256 = recorded.split_whitespace().next().unwrap();
    for arguments in
        [&["model", "verify", "own.onnx"][..], &["model", "verify", "own.onnx", "--sha256", sha256]]
    {
        let outcome = workplace.run(arguments).succeeded();
        assert!(
            outcome.stdout().contains(sha256) && outcome.stdout().ends_with("OK\n"),
            "{}",
            outcome.stdout()
        );
    }
    let other = "0".repeat(64);
    workplace.run(["model", "verify", "own.onnx", "--sha256", &other]).failed(13, "own.onnx");
    assert_eq!(workplace.run(["model", "verify", "own.onnx", "--sha256", "12"]).code(), 2);
    workplace.run(["model", "verify", "none.onnx"]).failed(12, "none.onnx");

    let mut damaged = fs::read(&model).unwrap();
    damaged.truncate(damaged.len() / 2);
    fs::write(workplace.path("own.onnx"), damaged).unwrap();
    workplace.run(["model", "verify", "own.onnx"]).failed(13, "own.onnx");
}

#[test]
fn the_instructions_in_use_are_told_and_can_be_chosen() {
    let workplace = Workplace::new();
    let cpu = workplace.run(["model", "info", "--cpu", "--json"]).succeeded().json();
    let available = cpu["cpu"]["available"].as_array().unwrap();
    assert!(available.contains(&"generic".into()) && available.contains(&cpu["cpu"]["tier"]), "{cpu}");
    assert_eq!(cpu.get("name"), None);
    let both = workplace.run(["model", "info", "t1w-from-t2w", "--cpu", "--json"]).succeeded().json();
    assert_eq!((&both["name"], &both["cpu"]), (&"t1w-from-t2w".into(), &cpu["cpu"]));
    for tier in ["generic", "none"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mrisynth"));
        let output = command.args(["model", "info", "--cpu"]).env("MRISYNTH_KERNELS", tier).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(&format!("CPU tier: {tier} (this processor has ")), "{text}");
    }
    assert_eq!(workplace.run(["model", "info"]).code(), 2);
}

#[test]
fn a_signed_file_is_verified() {
    let workplace = Workplace::new();
    let signed = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/signed");
    for name in ["middle_slice.onnx", "middle_slice.onnx.minisig", "key.pub", "other.pub"] {
        fs::copy(signed.join(name), workplace.path(name)).unwrap();
    }
    let verify = |key: &str| workplace.run(["model", "verify", "middle_slice.onnx", "--public-key", key]);
    let outcome = verify("key.pub").succeeded();
    assert!(outcome.stdout().ends_with("signature OK  OK\n"), "{}", outcome.stdout());
    let key = fs::read_to_string(workplace.path("key.pub")).unwrap();
    verify(key.lines().last().unwrap()).succeeded();
    verify("other.pub").failed(13, "its signature is by another key");
    verify("none.pub").failed(11, "neither a public key of minisign nor a file with one");
    fs::rename(workplace.path("middle_slice.onnx.minisig"), workplace.path("elsewhere.minisig")).unwrap();
    verify("key.pub").failed(12, "middle_slice.onnx.minisig");
    let elsewhere = ["--public-key", "key.pub", "--signature", "elsewhere.minisig"];
    workplace.run(["model", "verify", "middle_slice.onnx"].into_iter().chain(elsewhere)).succeeded();

    common::write_volume(&workplace.path("scan.nii.gz"), &common::phantom());
    let synthesize = |key: &str| {
        let arguments = format!("-o out.nii --to t1w --model middle_slice.onnx --public-key {key}");
        workplace.synthesize(&arguments)
    };
    synthesize("key.pub").failed(12, "middle_slice.onnx.minisig");
    fs::rename(workplace.path("elsewhere.minisig"), workplace.path("middle_slice.onnx.minisig")).unwrap();
    synthesize("other.pub").failed(13, "its signature is by another key");
    synthesize("key.pub").succeeded();
}

#[test]
fn help_and_version_are_on_standard_output() {
    let workplace = Workplace::new();
    for command in [
        &["synthesize"][..],
        &["prepare"],
        &["segment"],
        &["evaluate"],
        &["verify"],
        &["selftest"],
        &["model"],
        &["model", "list"],
        &["model", "info"],
        &["model", "verify"],
        &[],
    ] {
        let outcome = workplace.run(command.iter().chain(&["--help"])).succeeded();
        for part in [
            "Examples:\n  mrisynth ",
            "Exit codes:\n   0  OK",
            "Research software, not a medical device. A synthetic image is an estimate.",
        ] {
            assert!(outcome.stdout().contains(part), "{command:?}: {part}");
        }
    }
    assert_eq!(workplace.run(["--version"]).succeeded().stdout(), "mrisynth 0.1.0\n");
}

#[test]
fn a_senseless_command_line_is_exit_code_2() {
    let workplace = Workplace::new();
    let scan = ["synthesize", "scan.nii", "-o", "out.nii"];
    for arguments in [&[][..], &["paint"], &["model"], &scan, &["synthesize", "scan.nii", "--to", "t1w"]] {
        assert_eq!(workplace.run(arguments).code(), 2, "{arguments:?}");
    }
    for extra in [["--to", "flair"], ["--dtype", "int8"], ["--threads", "-1"], ["--threads", "1025"]] {
        assert_eq!(workplace.run(scan.iter().chain(&extra)).code(), 2, "{extra:?}");
    }
}
