//! Matrices, as `targets::transforms` reads them.

use super::named;
use crate::Seed;

fn doubles(numbers: &[f64]) -> Vec<u8> {
    let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
    [vec![2], bytes].concat()
}

pub(crate) fn matrices() -> Vec<Seed> {
    let plain = [1.0, 0.0, 0.0, -90.0, 0.0, 1.0, 0.0, -126.0, 0.0, 0.0, 1.0, -72.0];
    let oblique = [-0.9, 0.1, 0.2, 80.25, 0.1, 1.1, -0.3, -60.0, 0.2, 0.3, 2.9, 1e-3];
    let order = [0.0, 0.0, -1.2, 0.0, 3.0, 0.0, 0.0, 5.0, 0.0, -0.7, 0.0, 1e5];
    let pair = |one: &[f64], other: &[f64]| [doubles(one), doubles(other), vec![3, 4, 5]].concat();
    named([
        ("plain", pair(&plain, &oblique)),
        ("oblique", pair(&oblique, &order)),
        ("another-order", pair(&order, &plain)),
        ("singular", pair(&[0.0; 12], &[0.0; 12])),
        ("not-finite", pair(&[f64::NAN; 12], &[f64::INFINITY; 12])),
        (
            "as-hundredths",
            vec![0, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0],
        ),
    ])
}
