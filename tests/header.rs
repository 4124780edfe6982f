//! `include/mrisynth.h` is what cbindgen makes of `src/capi`, and what the C interface promises.
//!
//! `MRISYNTH_REGENERATE_HEADER=1 cargo test --release --test header` writes it anew.

#![cfg(feature = "capi")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files with exported items, in the order in which the header shows them.
const SOURCES: [&str; 6] = ["mod.rs", "status.rs", "options.rs", "image.rs", "model.rs", "synthesize.rs"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn header_path() -> PathBuf {
    root().join("include/mrisynth.h")
}

/// What cbindgen makes of the sources.
fn generate() -> String {
    let folder = tempfile::tempdir().unwrap();
    let config = cbindgen::Config::from_file(root().join("cbindgen.toml")).unwrap();
    let mut builder = cbindgen::Builder::new().with_config(config);
    for name in SOURCES {
        let source = fs::read_to_string(root().join("src/capi").join(name)).unwrap();
        let copy = folder.path().join(name);
        fs::write(&copy, for_cbindgen(&source)).unwrap();
        builder = builder.with_src(copy);
    }
    let mut header = Vec::new();
    builder.generate().expect("cbindgen understands src/capi").write(&mut header);
    String::from_utf8(header).unwrap()
}

/// cbindgen knows neither safer-ffi's attributes nor where unit tests begin, and would read a file again for each `mod`
/// that names it.
fn for_cbindgen(source: &str) -> String {
    let exported = source.split("#[cfg(test)]").next().unwrap_or(source);
    let lines = exported.lines().filter(|line| !(line.starts_with("mod ") && line.ends_with(';')));
    let exported: String = lines.flat_map(|line| [line, "\n"]).collect();
    exported
        .replace("#[ffi_export]", "#[unsafe(no_mangle)]")
        .replace("#[derive_ReprC]\n", "")
        .replace("#[repr(opaque)]\n", "")
}

#[test]
fn the_header_is_what_the_sources_say() {
    let generated = generate();
    if std::env::var_os("MRISYNTH_REGENERATE_HEADER").is_some() {
        fs::write(header_path(), &generated).unwrap();
    }
    let stored = fs::read_to_string(header_path()).unwrap_or_default();
    assert!(
        stored == generated,
        "include/mrisynth.h differs from src/capi: run MRISYNTH_REGENERATE_HEADER=1 cargo test --release --test header"
    );
}

#[test]
fn every_source_file_with_exports_is_in_the_header() {
    for entry in fs::read_dir(root().join("src/capi")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let exports = fs::read_to_string(&path).unwrap().contains("\n#[ffi_export]\n");
        assert!(!exports || SOURCES.contains(&name.as_str()), "{name} exports functions: add it to SOURCES");
    }
}

/// Compiles and runs `tests/c/NAME` with `compiler` and its arguments; the program checks by itself.
fn compile_and_run(compiler: &str, arguments: &[&str], name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    let output = Command::new(compiler)
        .args(arguments)
        .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"])
        .arg(root().join("include"))
        .arg(root().join("tests/c").join(name))
        .arg("-o")
        .arg(&program)
        .output()
        .unwrap_or_else(|fault| panic!("{compiler} is needed for this test: {fault}"));
    assert!(output.status.success(), "{compiler}: {}", String::from_utf8_lossy(&output.stderr));
    let output = Command::new(&program).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_header_is_c99_and_has_the_promised_layout() {
    compile_and_run("cc", &["-std=c99"], "layout.c");
}

#[test]
fn the_header_is_cpp17_and_has_the_promised_layout() {
    compile_and_run("c++", &["-x", "c++", "-std=c++17", "-Wno-deprecated"], "layout.c");
}
