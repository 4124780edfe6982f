//! Builds and runs the C and C++ programs of `tests/c` and `examples/c` against the shared and the static library.
//!
//! Needs CMake and a C and C++ compiler. The libraries are those of this build: where it made none, run
//! `cargo build --release --workspace --all-targets` first.

#![cfg(all(feature = "capi", feature = "embedded-models", target_os = "linux"))]

mod capi_support;
mod head;

use std::path::{Path, PathBuf};
use std::process::Command;

use capi_support::{built_library, root};
use head::{Contrast, Head, clinical_grid, pose};
use mrisynth::synthesize::Options;
use mrisynth::{Control, Limits, Model, Volume, nifti, synthesize};

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

/// A made-up raw scan as files that the C program reads: `voxels`, packed floats, and `grid`, numbers in text.
fn write_raw_scan(folder: &Path) -> Volume {
    let (scan, _) = Head::new().scan(clinical_grid(8.0), &pose(), Contrast::T2w);
    std::fs::write(folder.join("voxels"), bytes_of(&scan)).unwrap();
    std::fs::write(folder.join("grid"), grid_of(&scan)).unwrap();
    scan
}

/// The example pair as files that the C program reads: `t1w` and `t2w`, packed floats, and `grid`, numbers in text.
fn write_prepared_pair(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    for contrast in ["T1w", "T2w"] {
        let path = root().join(format!("examples/data/example_{contrast}.nii.gz"));
        let scan = nifti::read(&path, &Limits::default()).unwrap().volume;
        std::fs::write(folder.join(contrast.to_lowercase()), bytes_of(&scan)).unwrap();
        std::fs::write(folder.join("grid"), grid_of(&scan)).unwrap();
    }
}

fn bytes_of(scan: &Volume) -> Vec<u8> {
    scan.as_slice().iter().flat_map(|voxel| voxel.to_ne_bytes()).collect()
}

fn grid_of(scan: &Volume) -> String {
    let numbers = scan.dims().map(|length| length.to_string()).into_iter();
    let affine = scan.affine().to_lps().concat().into_iter().map(|entry| format!("{entry:?}"));
    numbers.chain(affine).collect::<Vec<_>>().join("\n")
}

/// What C got of the raw scan is what Rust gets, to the byte.
fn compare_with_rust(folder: &Path, scan: &Volume) {
    let model = Model::embedded(mrisynth::Contrast::T2w, mrisynth::Contrast::T1w).unwrap();
    let control = &mut Control::default();
    let expected = synthesize(&model, scan, &scan.grid(), &Options::default(), control).unwrap();
    assert!(std::fs::read(folder.join("result")).unwrap() == bytes_of(&expected), "C and Rust differ");
}

#[test]
fn c_and_cpp_programs_pass_with_both_libraries() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let build = folder.path().join("build");
    let shared = install_shared_library(folder.path());
    let scan = write_raw_scan(folder.path());
    let pair = folder.path().join("pair");
    write_prepared_pair(&pair);
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
            .arg(define("RAW_SCAN", folder.path()))
            .arg(define("PREPARED_PAIR", &pair))
    });
    run("cmake", |cmake| cmake.arg("--build").arg(&build));
    run("ctest", |ctest| ctest.arg("--output-on-failure").arg("--no-tests=error").current_dir(&build));
    compare_with_rust(folder.path(), &scan);
}

/// A prefix with what CMake's `find_package(Mrisynth)` needs; `scripts/install.sh` makes whole ones.
fn link_into_prefix(prefix: &Path) {
    run("cmake", |cmake| {
        cmake
            .arg(format!("-DOUTPUT={}", prefix.display()))
            .arg(concat!("-DPACKAGE_VERSION=", env!("CARGO_PKG_VERSION")))
            .args(["-DLIBRARY_VERSION=1", "-DABI_VERSION=1"])
            .arg("-P")
            .arg(root().join("bindings/cmake/configure.cmake"))
    });
    install_shared_library(&prefix.join("lib"));
    std::os::unix::fs::symlink(root().join("include"), prefix.join("include")).unwrap();
}

#[test]
fn the_example_builds_by_itself() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let build = folder.path().join("build");
    let prefix = folder.path().join("prefix");
    link_into_prefix(&prefix);
    run("cmake", |cmake| {
        cmake
            .arg("-S")
            .arg(root().join("examples/c"))
            .arg("-B")
            .arg(&build)
            .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()))
    });
    run("cmake", |cmake| cmake.arg("--build").arg(&build));
    run(build.join("synthesize").to_str().unwrap(), |example| example);
}
