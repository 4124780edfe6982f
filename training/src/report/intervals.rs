//! Means with 95 % confidence intervals by Student's t distribution.

use mrisynth_evaluation::statistics::Undefined;
use mrisynth_evaluation::statistics::describe::{mean, t_interval};
use serde::Serialize;

use crate::error::Error;

/// The intervals' confidence.
const CONFIDENCE: f64 = 0.95;

/// A mean and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// How many values there were.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// The ends of the 95 % confidence interval; there is none for a single value.
    pub bounds: Option<(f64, f64)>,
}

impl Interval {
    /// The mean of independent values (one a person, not one a slice), with its 95 % interval: mean +/- t s / sqrt(n), s being
    /// the sample's standard deviation and t the 0.975 quantile of Student's distribution with n - 1 degrees of freedom.
    ///
    /// # Errors
    /// [`Error::Data`] if there is no value, or one that is not finite.
    pub fn of(values: &[f64]) -> Result<Self, Error> {
        let undefined = |reason: Undefined| Error::Data(format!("there is no average: {reason}"));
        let count = values.len();
        let mean = mean(values).map_err(undefined)?;
        if count == 1 {
            return Ok(Self { count, mean, bounds: None });
        }
        let interval = t_interval(values, CONFIDENCE).map_err(undefined)?;
        Ok(Self { count, mean, bounds: Some((interval.low, interval.high)) })
    }

    /// `mean [low, high]`, or the mean alone.
    pub fn text(&self, decimals: usize) -> String {
        match self.bounds {
            Some((low, high)) => format!("{:.decimals$} [{low:.decimals$}, {high:.decimals$}]", self.mean),
            None => format!("{:.decimals$}", self.mean),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `scipy.stats.t.interval(0.95, n - 1, mean, sem)` of SciPy gives.
    #[test]
    fn intervals_agree_with_scipy() {
        let eleven = [28.1, 27.3, 26.9, 30.2, 29.9, 28.8, 27.0, 28.4, 29.1, 26.2, 27.7];
        let cases: [(&[f64], [f64; 3]); 3] = [
            (&[26.88, 27.12, 25.4], [26.466_666_666_666_67, 24.152_637_608_033_7, 28.780_695_725_299_637]),
            (&[0.9, 0.92], [0.91, 0.782_937_952_635_679, 1.037_062_047_364_321]),
            (&eleven, [28.145_454_545_454_54, 27.288_607_540_901_392, 29.002_301_550_007_69]),
        ];
        for (values, [mean, low, high]) in cases {
            let interval = Interval::of(values).unwrap();
            let bounds = interval.bounds.unwrap();
            assert_eq!(interval.count, values.len());
            for (found, expected) in [(interval.mean, mean), (bounds.0, low), (bounds.1, high)] {
                assert!((found - expected).abs() < 1e-9 * expected, "{found} instead of {expected}");
            }
        }
    }

    #[test]
    fn one_value_has_no_interval_and_none_has_no_mean() {
        let one = Interval::of(&[0.25]).unwrap();
        assert_eq!((one.mean, one.bounds, one.text(3).as_str()), (0.25, None, "0.250"));
        let equal = Interval::of(&[0.5, 0.5, 0.5]).unwrap();
        assert_eq!(equal.text(2), "0.50 [0.50, 0.50]");
        assert!(Interval::of(&[]).is_err());
        assert!(Interval::of(&[1.0, f64::NAN]).is_err());
    }
}
