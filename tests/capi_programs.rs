//! Builds and runs the C and C++ programs of `tests/c` and `examples/c` against the shared and the static library.
//!
//! Needs CMake and a C and C++ compiler. The libraries are those of this build: where it made none, run
//! `cargo build --release --workspace --all-targets` first.

#![cfg(all(feature = "capi", feature = "embedded-models", target_os = "linux"))]

mod capi_support;

use std::path::{Path, PathBuf};
use std::process::Command;

use capi_support::{built_library, root};

fn run(program: &str, configure: impl FnOnce(&mut Command) -> &mut Command) {
    let mut command = Command::new(program);
    let output = configure(&mut command).output();
    let output = output.unwrap_or_else(|fault| panic!("{program} is needed for this test: {fault}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program}: {}\n{stdout}\n{stderr}", output.status);
}

/// The shared library under the names that a system has it: for the linker, and for programs that run.
fn install_shared_library(folder: &Path) -> PathBuf {
    let library = folder.join("libmrisynth.so");
    for name in ["libmrisynth.so", "libmrisynth.so.1"] {
        std::os::unix::fs::symlink(built_library("libmrisynth.so"), folder.join(name)).unwrap();
    }
    library
}

fn define(name: &str, value: &Path) -> String {
    format!("-DMRISYNTH_{name}={}", value.display())
}

#[test]
fn c_and_cpp_programs_pass_with_both_libraries() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let build = folder.path().join("build");
    let shared = install_shared_library(folder.path());
    run("cmake", |cmake| {
        cmake
            .arg("-S")
            .arg(root().join("tests/c"))
            .arg("-B")
            .arg(&build)
            .arg("-DCMAKE_BUILD_TYPE=RelWithDebInfo")
            .arg(define("INCLUDE_DIR", &root().join("include")))
            .arg(define("SHARED_LIBRARY", &shared))
            .arg(define("STATIC_LIBRARY", &built_library("libmrisynth.a")))
            .arg(define("MODEL_FILE", &root().join("models/t1w-from-t2w.onnx")))
    });
    run("cmake", |cmake| cmake.arg("--build").arg(&build));
    run("ctest", |ctest| ctest.arg("--output-on-failure").arg("--no-tests=error").current_dir(&build));
}

#[test]
fn the_example_builds_by_itself() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let build = folder.path().join("build");
    let shared = install_shared_library(folder.path());
    run("cmake", |cmake| {
        cmake.arg("-S").arg(root().join("examples/c")).arg("-B").arg(&build).arg(define("LIBRARY", &shared))
    });
    run("cmake", |cmake| cmake.arg("--build").arg(&build));
    run(build.join("synthesize").to_str().unwrap(), |example| example);
}
