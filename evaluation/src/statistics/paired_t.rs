//! The t-test of paired values.

use serde::Serialize;

use super::describe::{Interval, t_interval};
use super::distributions::t_beyond;
use super::sample::{self, Differences};
use super::undefined::Undefined;

/// What the test finds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PairedT {
    /// The statistic t: the mean difference over its standard error.
    pub t: f64,
    /// The chance of a t that is no nearer to 0, if the mean difference is 0.
    pub p: f64,
    /// Degrees of freedom.
    pub freedom: usize,
    /// The mean of the differences first - second.
    pub mean_difference: f64,
    /// Its confidence interval.
    pub interval: Interval,
}

/// Tests whether paired values differ in mean; their differences are assumed to be normal.
///
/// # Errors
/// [`Undefined`] if there are less than two pairs, lengths differ, a value cannot be computed with, all differences are equal,
/// or the confidence is not inside 0..1.
pub fn paired_t(first: &[f64], second: &[f64], confidence: f64) -> Result<PairedT, Undefined> {
    let differences = Differences::of(first, second, 2)?;
    differences.vary()?;
    let values = &differences.values;
    let mean_difference = sample::mean(values);
    let t = mean_difference / (sample::variance(values) / values.len() as f64).sqrt();
    let freedom = values.len() - 1;
    let interval = t_interval(values, confidence)?;
    Ok(PairedT { t, p: t_beyond(t, freedom as f64), freedom, mean_difference, interval })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::testing::{assert_close, golden_groups};

    /// scipy.stats.ttest_rel(g1, g2) and its confidence_interval(0.95) (1.17.1)
    #[test]
    fn golden_groups_have_scipys_t_and_p() {
        let [first, second, ..] = golden_groups();
        let found = paired_t(&first, &second, 0.95).unwrap();
        assert_close(found.t, -7.364322285817299, 1e-9);
        assert_close(found.p, 5.46895032112272e-06, 1e-9);
        assert_eq!(found.freedom, 13);
        assert_close(found.interval.low, -0.40153427021753413, 1e-9);
        assert_close(found.interval.high, -0.21938409712940615, 1e-9);
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(paired_t(&[1.0], &[2.0], 0.95), Err(Undefined::TooFew { found: 1, least: 2 }));
        assert_eq!(paired_t(&[1.0, 2.0], &[1.0, 2.0], 0.95), Err(Undefined::ConstantDifference(0.0)));
        assert!(paired_t(&[1.0, 2.0], &[2.0, 2.0], 1.0).is_err());
    }
}
