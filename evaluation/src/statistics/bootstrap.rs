//! The bootstrap: intervals of any statistic from samples drawn out of the sample.

use rand::RngExt;
use rand_pcg::Pcg64;
use serde::Serialize;

use super::describe::{Interval, check_confidence, quantile_of_sorted};
use super::sample;
use super::undefined::Undefined;

/// The most samples that may be drawn.
const MOST_RESAMPLES: usize = 10_000_000;

/// How samples are drawn out of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Resampling {
    /// How many are drawn: 1 to 10 million; more give steadier intervals.
    pub count: usize,
    /// Which ones: equal seeds draw equal samples, on any machine.
    pub seed: u64,
}

/// The mean's percentile interval.
///
/// # Errors
/// Those of [`percentile_interval`].
pub fn mean_interval(values: &[f64], confidence: f64, resampling: Resampling) -> Result<Interval, Undefined> {
    percentile_interval(values, sample::mean, confidence, resampling)
}

/// The percentile interval of a statistic (Efron 1979): values are drawn with replacement, as many as there are, time and
/// again, and the interval's ends are the percentiles of the statistic over these samples. For paired values hand over their
/// differences: then subjects are drawn. With few subjects such intervals are somewhat too narrow.
///
/// # Errors
/// [`Undefined`] if there are less than two values, one that cannot be computed with, an argument outside its range, or a
/// statistic that is not finite.
pub fn percentile_interval(
    values: &[f64],
    statistic: impl Fn(&[f64]) -> f64,
    confidence: f64,
    resampling: Resampling,
) -> Result<Interval, Undefined> {
    sample::check(values, 2)?;
    check_confidence(confidence)?;
    check(resampling)?;
    let mut random = Pcg64::new(u128::from(resampling.seed), 0);
    let mut drawn = vec![0.0; values.len()];
    let mut statistics: Vec<f64> = (0..resampling.count)
        .map(|_| {
            drawn.fill_with(|| values[random.random_range(0..values.len())]);
            statistic(&drawn)
        })
        .collect();
    if let Some(&value) = statistics.iter().find(|value| !value.is_finite()) {
        return Err(Undefined::NotComputable(value));
    }
    statistics.sort_unstable_by(f64::total_cmp);
    let tail = 0.5 * (1.0 - confidence);
    Ok(Interval {
        low: quantile_of_sorted(&statistics, tail),
        high: quantile_of_sorted(&statistics, 1.0 - tail),
        confidence,
    })
}

/// Refuses a number of samples outside its range.
pub(super) fn check(resampling: Resampling) -> Result<(), Undefined> {
    if (1..=MOST_RESAMPLES).contains(&resampling.count) {
        return Ok(());
    }
    let text = format!("1 to {MOST_RESAMPLES} samples can be drawn, and not {}", resampling.count);
    Err(Undefined::Argument(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::testing::golden_groups;

    /// scipy.stats.bootstrap((g1,), numpy.mean, n_resamples=200000, method='percentile', rng=1), whose ends other seeds move
    /// by less than 0.002
    #[test]
    fn intervals_are_scipys_but_for_the_draw() {
        let [first, ..] = golden_groups();
        let interval = mean_interval(&first, 0.95, Resampling { count: 50_000, seed: 7 }).unwrap();
        assert!((interval.low - 30.827).abs() < 0.01, "{interval:?}");
        assert!((interval.high - 31.354).abs() < 0.01, "{interval:?}");
    }

    #[test]
    fn a_seed_decides_the_draw() {
        let values: Vec<f64> = (0..9).map(|n| f64::from(n * n)).collect();
        let of = |seed| mean_interval(&values, 0.9, Resampling { count: 500, seed }).unwrap();
        assert_eq!(of(3), of(3));
        assert_ne!(of(3), of(4));
    }

    #[test]
    fn two_values_have_three_samples() {
        // The mean of (0, 0), (0, 1), (1, 0) or (1, 1): the outer 5 % of the samples are at the ends.
        let interval = mean_interval(&[0.0, 1.0], 0.9, Resampling { count: 2000, seed: 0 }).unwrap();
        assert_eq!((interval.low, interval.high), (0.0, 1.0));
        let inner = mean_interval(&[0.0, 1.0], 0.3, Resampling { count: 2000, seed: 0 }).unwrap();
        assert_eq!((inner.low, inner.high), (0.5, 0.5));
    }

    #[test]
    fn faults_are_named() {
        let resampling = Resampling { count: 10, seed: 0 };
        assert_eq!(mean_interval(&[1.0], 0.9, resampling), Err(Undefined::TooFew { found: 1, least: 2 }));
        assert!(mean_interval(&[1.0, 2.0], 0.0, resampling).is_err());
        assert!(mean_interval(&[1.0, 2.0], 0.9, Resampling { count: 0, seed: 0 }).is_err());
        assert!(mean_interval(&[1.0, 2.0], 0.9, Resampling { count: usize::MAX, seed: 0 }).is_err());
        assert!(matches!(
            percentile_interval(&[1.0, 2.0], |_| f64::INFINITY, 0.9, resampling),
            Err(Undefined::NotComputable(_))
        ));
    }
}
