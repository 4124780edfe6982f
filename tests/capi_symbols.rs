//! The shared library exports what the header declares and nothing else, under a name that carries the ABI version.

#![cfg(all(feature = "capi", target_os = "linux"))]

mod capi_support;

use std::collections::BTreeSet;
use std::process::Command;

use capi_support::{built_library, root};

/// What a program of the binutils says of the shared library.
fn ask(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).arg(built_library("libmrisynth.so")).output();
    let output =
        output.unwrap_or_else(|fault| panic!("{program} (binutils) is needed for this test: {fault}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn header() -> String {
    std::fs::read_to_string(root().join("include/mrisynth.h")).unwrap()
}

/// The functions that the header declares: a name before a parenthesis, outside of comments.
fn declared() -> BTreeSet<String> {
    let header = header();
    let code: String = header
        .split("/*")
        .flat_map(|part| part.split_once("*/").map_or(part, |(_, code)| code).chars())
        .collect();
    let names = code.match_indices("mrisynth_").filter_map(|(start, _)| {
        let (name, _) = code[start..].split_once('(')?;
        name.chars().all(|c| c.is_ascii_lowercase() || c == '_').then(|| name.to_owned())
    });
    names.collect()
}

#[test]
fn exactly_the_declared_functions_are_exported() {
    let symbols = ask("nm", &["-D", "--defined-only"]);
    let exported: BTreeSet<String> =
        symbols.lines().filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect();
    assert_eq!(exported, declared());
    assert!(exported.len() >= 12);
}

#[test]
fn the_soname_carries_the_abi_version_and_the_code_stays_loaded() {
    let header = header();
    let define = header.lines().find_map(|line| line.strip_prefix("#define MRISYNTH_ABI_VERSION ")).unwrap();
    let dynamic = ask("readelf", &["-d", "-W"]);
    let soname = dynamic.lines().find(|line| line.contains("SONAME")).expect("the library has a SONAME");
    assert!(dynamic.contains("NODELETE"), "a host that closes the library must not unmap running code");
    assert!(soname.contains(&format!("[libmrisynth.so.{}]", define.trim())), "{soname}");
}

#[test]
fn the_stack_is_not_executable() {
    let segments = ask("readelf", &["-l", "-W"]);
    let stack =
        segments.lines().find(|line| line.contains("GNU_STACK")).expect("the library has a GNU_STACK entry");
    // Systems refuse to load a library that asks for an executable one.
    assert!(!stack.contains("RWE"), "{stack}");
}
