//! What tests share: the reference tools' values, and inputs that a formula makes.

use std::path::Path;

use ndarray::Array2;
use serde_json::Value;

/// A file of `../shared/golden` beside the repository; none, loudly, where it is absent.
pub(crate) fn read(name: &str) -> Option<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/golden").join(name);
    match std::fs::read(&path) {
        Ok(text) => Some(serde_json::from_slice(&text).unwrap()),
        Err(fault) => {
            eprintln!("SKIPPED: {} cannot be read ({fault}); committed values are tested", path.display());
            None
        }
    }
}

/// The number at this place of a file.
pub(crate) fn number(file: &Value, pointer: &str) -> f64 {
    file.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number at {pointer}"))
}

/// Refuses values that differ by more than 1e-6 of the expected one.
#[track_caller]
pub(crate) fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{found} instead of {expected}");
}

/// The two images and the brain mask that `image_quality.json` and `glcm.json` describe, 48 rows of 40 columns.
pub(crate) fn images() -> (Array2<f32>, Array2<f32>, Array2<bool>) {
    let dim = (48, 40);
    let real = |y: usize, x: usize| {
        0.5 * ((x + 2 * y) % 64) as f64 / 63.0 + 0.5 * ((x / 5 + y / 6) % 3) as f64 / 2.0
    };
    let pattern =
        |y: usize, x: usize| ((3 * y * y + 5 * x * x + 2 * x * y + 7 * x + 13 * y) % 251) as f64 / 250.0;
    let reference = Array2::from_shape_fn(dim, |(y, x)| real(y, x) as f32);
    let synthetic = Array2::from_shape_fn(dim, |(y, x)| {
        (0.9 * real(y, x) + 0.05 + 0.08 * (pattern(y, x) - 0.5)).clamp(0.0, 1.0) as f32
    });
    let brain = Array2::from_shape_fn(dim, |(y, x)| {
        let (y, x) = (y as f64 - 24.0, x as f64 - 20.0);
        4.0 * x * x + 3.0 * y * y <= 1500.0
    });
    (reference, synthetic, brain)
}
