//! Real scans beside the repository, where there are some, and the transforms that go with them.

// Each test binary uses a part of this.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};

use mrisynth::{Limits, Transform, Volume, nifti};

/// The folder of shared data, or a loud note that there is none.
pub fn shared() -> Option<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    if shared.join("reference").is_dir() && shared.join("data/open_ms").is_dir() {
        return Some(shared);
    }
    eprintln!("SKIPPED: {} is not there; nothing was tested on real scans", shared.display());
    None
}

/// The volume in a file.
pub fn volume(path: &Path) -> Volume {
    nifti::read(path, &Limits::default()).unwrap().volume
}

/// An ITK affine transform in text: y = A (x - c) + c + t between LPS millimetres.
pub fn itk_transform(path: &Path) -> Transform {
    let text = fs::read_to_string(path).unwrap();
    let numbers = |key: &str| -> Vec<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().map(|number| number.parse().unwrap()).collect()
    };
    let (a, c) = (numbers("Parameters:"), numbers("FixedParameters:"));
    let row = |r: usize| {
        let turned: f64 = (0..3).map(|column| a[3 * r + column] * c[column]).sum();
        [a[3 * r], a[3 * r + 1], a[3 * r + 2], a[9 + r] + c[r] - turned]
    };
    Transform::from_lps([row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]]).unwrap()
}
