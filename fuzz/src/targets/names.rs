//! Names that users and datasets give: files of a BIDS dataset, scans of a folder, amounts of memory.

use std::fs;
use std::path::{Component, Path, PathBuf};

use mrisynth::Contrast;
use mrisynth_evaluation::study::bids;

use super::{sound_evaluation, take};
use crate::files;

#[allow(dead_code, reason = "the command's own sources")]
#[path = "../../../bindings/cli/src/memory_size.rs"]
mod memory_size;
#[allow(dead_code, reason = "the command's own sources")]
#[path = "../../../bindings/cli/src/names.rs"]
mod scan_names;

/// Files that a dataset gets, at most, and the depth that they lie in.
const MOST_FILES: usize = 16;
const MOST_DEPTH: usize = 7;
/// Bytes that a file system takes for a name.
const MOST_NAME_BYTES: usize = 255;

/// Names, one a line.
pub(super) fn read(bytes: &[u8]) {
    let lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').take(MOST_FILES).collect();
    for line in &lines {
        let text = String::from_utf8_lossy(line);
        if let Ok(amount) = memory_size::parse(&text) {
            assert!(amount > 0);
        }
        check_scan_name(line);
    }
    read_dataset(&lines);
}

fn check_scan_name(name: &[u8]) {
    let Some(scan) = scan_names::ScanName::of(&path(name)) else { return };
    let synthetic = scan.synthetic(Contrast::T1w);
    let again =
        scan_names::ScanName::of(Path::new(&synthetic)).expect("a synthetic image is called like one");
    assert!(again.says_synthetic() && again.is_single_file() && again.contrast() == Some(Contrast::T1w));
    assert!(again.synthetic(Contrast::T1w).contains("desc-synthetic"));
}

/// A dataset of empty files.
fn read_dataset(names: &[&[u8]]) {
    let root = files::path("dataset");
    fs::create_dir_all(&root).expect("a folder can be made");
    for name in names {
        make(&root, &path(name));
    }
    for real in [None, Some("prepared")] {
        let Some(study) = sound_evaluation(bids::read(&root, real)) else { continue };
        take();
        assert!(study.files().iter().all(|file| file.starts_with(&root)));
        // A folder that is called like an image is told.
        sound_evaluation(study.check_files());
    }
    fs::remove_dir_all(&root).expect("a folder can be removed");
}

/// Makes an empty file, if that can be made inside the dataset at all.
fn make(root: &Path, name: &Path) {
    let is_plain = |part: Component<'_>| match part {
        Component::Normal(part) => part.len() <= MOST_NAME_BYTES && !part.as_encoded_bytes().contains(&0),
        _ => false,
    };
    let depth = name.components().count();
    if !(1..=MOST_DEPTH).contains(&depth) || !name.components().all(is_plain) {
        return;
    }
    let path = root.join(name);
    // Where a file is in the way of a folder, or the other way round, the first stays.
    if path.parent().is_some_and(|folder| fs::create_dir_all(folder).is_ok()) && !path.exists() {
        let _ = fs::write(path, "");
    }
}

#[cfg(unix)]
fn path(name: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(name).into()
}

#[cfg(not(unix))]
fn path(name: &[u8]) -> PathBuf {
    String::from_utf8_lossy(name).into_owned().into()
}
