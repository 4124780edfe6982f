//! What the tests of statistics share: the golden groups, and how close a number must be.

/// The four groups of 14 subjects that the golden values are of; the formula stands in their file.
pub(super) fn golden_groups() -> [Vec<f64>; 4] {
    let of = |group: fn(u32, f64) -> f64| {
        (0..14)
            .map(|i: u32| {
                let b = f64::from((37 * i * i + 11 * i + 5) % 101) / 100.0;
                group(i, 30.0 + 2.0 * b)
            })
            .collect()
    };
    [
        of(|_, first| first),
        of(|i, first| first + 0.35 + 0.5 * (f64::from((53 * i + 7) % 29) / 28.0 - 0.5)),
        of(|i, first| first + 0.9 + 0.8 * (f64::from((17 * i * i + 3) % 31) / 30.0 - 0.5)),
        of(|i, first| first - 0.1 + 0.3 * (f64::from((29 * i + 2) % 23) / 22.0 - 0.5)),
    ]
}

/// The golden groups, rounded to one decimal so that values are tied.
pub(super) fn golden_groups_with_ties() -> [Vec<f64>; 4] {
    golden_groups().map(|group| group.iter().map(|value| (value * 10.0).round_ties_even() / 10.0).collect())
}

/// Refuses a number that is further from the expected one than `relative` times its magnitude.
#[track_caller]
pub(super) fn assert_close(found: f64, expected: f64, relative: f64) {
    assert!((found - expected).abs() <= relative * expected.abs(), "{found} instead of {expected}");
}
