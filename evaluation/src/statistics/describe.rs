//! Describes one sample: its centre, its spread, and how well its mean is known.

use serde::Serialize;

use super::bootstrap::{self, Resampling};
use super::distributions::{normal_quantile, t_quantile};
use super::sample;
use super::undefined::{Outcome, Undefined};

/// A confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// How much confidence it has, inside 0..1: 0.95 for one.
    pub confidence: f64,
}

/// One sample, described.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Description {
    /// How many values there are.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// The sample's standard deviation (n - 1); of a single value there is none.
    pub standard_deviation: Outcome<f64>,
    /// The smallest value.
    pub minimum: f64,
    /// The 25th percentile, linear between ranks.
    pub lower_quartile: f64,
    /// The 50th percentile.
    pub median: f64,
    /// The 75th percentile.
    pub upper_quartile: f64,
    /// The largest value.
    pub maximum: f64,
    /// The mean's interval by Student's t distribution.
    pub t_interval: Outcome<Interval>,
    /// The mean's interval by the bootstrap's percentiles.
    pub bootstrap_interval: Outcome<Interval>,
}

impl Description {
    /// Describes independent values: one a subject, not one a slice.
    ///
    /// # Errors
    /// [`Undefined`] if there is no value, one that cannot be computed with, or the confidence is not inside 0..1.
    pub fn of(values: &[f64], confidence: f64, resampling: Resampling) -> Result<Self, Undefined> {
        sample::check(values, 1)?;
        check_confidence(confidence)?;
        Ok(Self {
            count: values.len(),
            mean: sample::mean(values),
            standard_deviation: standard_deviation(values).into(),
            minimum: quantile(values, 0.0)?,
            lower_quartile: quantile(values, 0.25)?,
            median: quantile(values, 0.5)?,
            upper_quartile: quantile(values, 0.75)?,
            maximum: quantile(values, 1.0)?,
            t_interval: t_interval(values, confidence).into(),
            bootstrap_interval: bootstrap::mean_interval(values, confidence, resampling).into(),
        })
    }
}

/// The mean.
///
/// # Errors
/// [`Undefined`] if there is no value, or one that cannot be computed with.
pub fn mean(values: &[f64]) -> Result<f64, Undefined> {
    sample::check(values, 1)?;
    Ok(sample::mean(values))
}

/// The sample's standard deviation (n - 1).
///
/// # Errors
/// [`Undefined`] if there are less than two values, or one that cannot be computed with.
pub fn standard_deviation(values: &[f64]) -> Result<f64, Undefined> {
    sample::check(values, 2)?;
    Ok(sample::variance(values).sqrt())
}

/// The median.
///
/// # Errors
/// [`Undefined`] if there is no value, or one that cannot be computed with.
pub fn median(values: &[f64]) -> Result<f64, Undefined> {
    quantile(values, 0.5)
}

/// The quantile at `probability` (0..=1), linear between ranks: type 7 of Hyndman and Fan 1996, NumPy's and R's default.
///
/// # Errors
/// [`Undefined`] if there is no value, one that cannot be computed with, or the probability is outside 0..=1.
pub fn quantile(values: &[f64], probability: f64) -> Result<f64, Undefined> {
    sample::check(values, 1)?;
    if !(0.0..=1.0).contains(&probability) {
        return Err(Undefined::Argument(format!(
            "a quantile's probability must be in 0..=1, and is {probability}"
        )));
    }
    Ok(quantile_of_sorted(&sample::sorted(values), probability))
}

/// The quantile of values that are in rising order; there is at least one.
pub(crate) fn quantile_of_sorted(sorted: &[f64], probability: f64) -> f64 {
    let last = sorted.len() - 1;
    let rank = probability * last as f64;
    let below = (rank.floor() as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (rank - below as f64) * (sorted[above] - sorted[below])
}

/// The mean's confidence interval by Student's t distribution: mean +/- t s / sqrt(n), with n - 1 degrees of freedom.
///
/// # Errors
/// [`Undefined`] if there are less than two values, one that cannot be computed with, or the confidence is not inside 0..1.
pub fn t_interval(values: &[f64], confidence: f64) -> Result<Interval, Undefined> {
    let freedom = values.len().saturating_sub(1) as f64;
    interval(values, confidence, |probability| t_quantile(probability, freedom))
}

/// The mean's confidence interval by the normal distribution: mean +/- z s / sqrt(n); for large samples.
///
/// # Errors
/// Those of [`t_interval`].
pub fn normal_interval(values: &[f64], confidence: f64) -> Result<Interval, Undefined> {
    interval(values, confidence, normal_quantile)
}

/// The mean's interval by the quantiles of a distribution that is symmetric around 0.
fn interval(values: &[f64], confidence: f64, quantile: impl Fn(f64) -> f64) -> Result<Interval, Undefined> {
    sample::check(values, 2)?;
    check_confidence(confidence)?;
    let error = (sample::variance(values) / values.len() as f64).sqrt();
    let half = quantile(0.5 + 0.5 * confidence) * error;
    let mean = sample::mean(values);
    Ok(Interval { low: mean - half, high: mean + half, confidence })
}

/// Refuses a confidence that is not inside 0..1.
pub(super) fn check_confidence(confidence: f64) -> Result<(), Undefined> {
    if confidence > 0.0 && confidence < 1.0 {
        Ok(())
    } else {
        Err(Undefined::Argument(format!("a confidence must be inside 0..1, and is {confidence}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::testing::{assert_close, golden_groups};

    const RESAMPLING: Resampling = Resampling { count: 200, seed: 1 };

    /// numpy.mean, numpy.std(ddof=1), scipy.stats.t.interval(0.95, 13, mean, sem), norm.interval, numpy.percentile
    #[test]
    fn descriptions_are_numpys_and_scipys() {
        let [first, ..] = golden_groups();
        let description = Description::of(&first, 0.95, RESAMPLING).unwrap();
        assert_eq!(description.count, 14);
        assert_close(description.mean, 31.101428571428578, 1e-12);
        assert_close(*description.standard_deviation.value().unwrap(), 0.5240941950400951, 1e-9);
        let interval = description.t_interval.value().unwrap();
        assert_close(interval.low, 30.79882559233166, 1e-9);
        assert_close(interval.high, 31.404031550525495, 1e-9);
        assert_eq!(interval.confidence, 0.95);
        let normal = normal_interval(&first, 0.95).unwrap();
        assert_close(normal.low, 30.826896287843212, 1e-9);
        assert_close(normal.high, 31.375960855013943, 1e-9);
        assert_close(description.lower_quartile, 30.744999999999997, 1e-12);
        assert_close(description.median, 31.259999999999998, 1e-12);
        assert_close(description.upper_quartile, 31.509999999999998, 1e-12);
        assert_eq!((description.minimum, description.maximum), (30.1, 31.8));
        assert_close(quantile(&first, 0.005).unwrap(), 30.1078, 1e-12);
        assert_close(quantile(&first, 0.995).unwrap(), 31.7844, 1e-12);
    }

    #[test]
    fn one_value_has_a_mean_and_no_spread() {
        let one = Description::of(&[0.25], 0.95, RESAMPLING).unwrap();
        assert_eq!((one.mean, one.median, one.minimum, one.maximum), (0.25, 0.25, 0.25, 0.25));
        let reason = Undefined::TooFew { found: 1, least: 2 };
        assert_eq!(one.standard_deviation.reason(), Some(&reason));
        assert_eq!(one.t_interval.reason(), Some(&reason));
        assert_eq!(one.bootstrap_interval.reason(), Some(&reason));
    }

    #[test]
    fn equal_values_have_an_interval_without_width() {
        let equal = Description::of(&[0.5; 4], 0.95, RESAMPLING).unwrap();
        let at = Interval { low: 0.5, high: 0.5, confidence: 0.95 };
        assert_eq!(equal.standard_deviation.value(), Some(&0.0));
        assert_eq!((equal.t_interval.value(), equal.bootstrap_interval.value()), (Some(&at), Some(&at)));
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(mean(&[]), Err(Undefined::TooFew { found: 0, least: 1 }));
        assert!(median(&[1.0, f64::NAN]).is_err());
        assert!(quantile(&[1.0], 1.5).unwrap_err().to_string().contains("1.5"));
        assert!(t_interval(&[1.0, 2.0], 1.0).unwrap_err().to_string().contains("inside 0..1"));
        assert!(Description::of(&[1.0, 2.0], f64::NAN, RESAMPLING).is_err());
    }
}
