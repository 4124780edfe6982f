//! Where code is that the compiler cannot check: `unsafe` is in the C interface and in the kernels, and nowhere else in what is
//! installed. Fuzzing has it where it does what a C program does, and where it counts memory and edges.
//!
//! `cargo test --release --workspace --test unsafe_code -- --nocapture` prints the list. That each place gives its reason is clippy's
//! work (`undocumented_unsafe_blocks`, `missing_safety_doc`).

use std::fs;
use std::path::{Path, PathBuf};

/// Folders whose code may hold it.
const ALLOWED: [&str; 4] = ["src/capi", "src/kernels", "fuzz/src/targets/capi", "fuzz/src/runner"];
/// How it begins, and what that is called.
const KINDS: [(&str, &str); 6] = [
    ("unsafe {", "blocks"),
    ("unsafe fn ", "functions"),
    ("unsafe extern ", "functions of C"),
    ("unsafe impl ", "implementations"),
    ("unsafe trait ", "traits"),
    ("#[unsafe(", "attributes"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folders of the workspace's packages, as its Cargo.toml names them.
fn packages() -> Vec<PathBuf> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let list = manifest.lines().find_map(|line| line.strip_prefix("members = [")).unwrap();
    let names = list.trim_end_matches(']').split(',').map(|name| name.trim().trim_matches('"'));
    names.map(|name| if name == "." { PathBuf::new() } else { PathBuf::from(name) }).collect()
}

/// Files of Rust below a folder of the repository, in order.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs::read_dir(root().join(folder)).unwrap();
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = folder.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// How often each kind is in a text, comments left out.
fn counts(text: &str) -> [usize; KINDS.len()] {
    let code: Vec<&str> = text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    KINDS.map(|(beginning, _)| code.iter().map(|line| line.matches(beginning).count()).sum())
}

fn in_words(counts: &[usize]) -> String {
    let some = counts.iter().zip(KINDS).filter(|(count, _)| **count > 0);
    some.map(|(count, (_, name))| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn unsafe_code_is_in_the_c_interface_and_the_kernels_alone() {
    let mut all = [0; KINDS.len()];
    let mut files = 0;
    for path in packages().iter().flat_map(|package| sources(&package.join("src"))) {
        let counts = counts(&read(&path));
        if counts.iter().sum::<usize>() == 0 {
            continue;
        }
        println!("{}: {}", path.display(), in_words(&counts));
        assert!(ALLOWED.iter().any(|folder| path.starts_with(folder)), "unsafe code in {}", path.display());
        all.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        files += 1;
    }
    println!("{files} files: {}", in_words(&all));
    assert!(all[0] > 0, "nothing was found, not even in the C interface");
}

#[test]
fn the_compiler_refuses_it_elsewhere() {
    for package in packages() {
        let crates = ["src/lib.rs", "src/main.rs"].map(|file| package.join(file));
        let crates: Vec<_> = crates.iter().filter(|file| root().join(file).is_file()).collect();
        assert!(!crates.is_empty(), "{} holds no crate", package.display());
        for file in crates {
            let refuses = ["#![forbid(unsafe_code)]", "#![deny(unsafe_code)]"];
            assert!(
                read(file).lines().any(|line| refuses.contains(&line)),
                "{} allows unsafe code",
                file.display()
            );
        }
        // Where it is denied and not forbidden, modules can allow it.
        for path in sources(&package.join("src")) {
            let text = read(&path);
            let allows = ["allow(unsafe_code", "expect(unsafe_code"].iter().any(|words| text.contains(words));
            let may = ALLOWED.iter().any(|folder| path == Path::new(folder).join("mod.rs"));
            assert!(!allows || may, "{} allows unsafe code", path.display());
        }
    }
}
