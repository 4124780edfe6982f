//! README's first command on the example scan: the synthetic contrast is the other one, in its place.

use std::path::{Path, PathBuf};
use std::process::Command;

use mrisynth::{Limits, Volume, metrics, nifti};

fn example(contrast: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../examples/data/example_{contrast}.nii.gz"))
}

fn read(path: &Path) -> Volume {
    nifti::read(path, &Limits::default()).unwrap().volume
}

/// Pearson's correlation inside the real scan's brain.
fn correlation(real: &Volume, image: &Volume) -> f64 {
    let pairs = real.as_slice().iter().zip(image.as_slice()).filter(|(real, _)| **real > 0.0);
    let pairs: Vec<(f64, f64)> = pairs.map(|(real, image)| (f64::from(*real), f64::from(*image))).collect();
    let count = pairs.len() as f64;
    let mean_real = pairs.iter().map(|pair| pair.0).sum::<f64>() / count;
    let mean_image = pairs.iter().map(|pair| pair.1).sum::<f64>() / count;
    let sum = |term: fn(f64, f64) -> f64| -> f64 {
        pairs.iter().map(|(real, image)| term(real - mean_real, image - mean_image)).sum()
    };
    sum(|a, b| a * b) / (sum(|a, _| a * a) * sum(|_, b| b * b)).sqrt()
}

/// The example is simulated from formulas, so no figure here says how good a model is on patients: what can fail is a
/// contrast that is not turned round, anatomy that lies elsewhere, or a model that is no model.
fn check(from: &str, to: &str) {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("synthetic.nii.gz");
    let run = Command::new(env!("CARGO_BIN_EXE_mrisynth"))
        .args(["synthesize".as_ref(), example(from).as_os_str(), "-o".as_ref(), output.as_os_str()])
        .args(["--to", to, "--prepared"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let (real, source, synthetic) = (read(&example(to)), read(&example(from)), read(&output));
    assert!(correlation(&real, &source) < -0.5, "the example's contrasts are not each other's inverse");
    let correlation = correlation(&real, &synthetic);
    assert!(correlation > 0.7, "correlation with the real {to}: {correlation}");
    let brain = real.voxels().mapv(|value| value > 0.0);
    let score = metrics::score(&real, &synthetic, &brain, true).unwrap();
    assert!(score.brain.ssim > 0.8, "{score:?}");
}

#[test]
fn the_examples_t2w_becomes_a_t1w() {
    check("T2w", "T1w");
}

#[test]
fn the_examples_t1w_becomes_a_t2w() {
    check("T1w", "T2w");
}
