//! D'Agostino and Pearson's test of normality, by skewness and kurtosis: for samples too large for Shapiro and Wilk's.
//!
//! D'Agostino, Belanger, D'Agostino 1990, "A suggestion for using powerful and informative tests of normality", The American
//! Statistician 44(4); SciPy's `normaltest`.

use serde::Serialize;

use super::distributions::chi_squared_above;
use super::sample;
use super::undefined::Undefined;

/// The least that the approximation of the skewness is made for.
const LEAST: usize = 8;

/// What the test finds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DAgostino {
    /// The statistic K squared, 0 for a sample as skewed and as heavy-tailed as a normal one is on average.
    pub k_squared: f64,
    /// The chance of one that is no smaller, from a normal distribution.
    pub p: f64,
}

/// Tests whether values may come from a normal distribution.
///
/// # Errors
/// [`Undefined`] if there are less than 8 values, one that cannot be computed with, or if all are equal.
pub fn dagostino(values: &[f64]) -> Result<DAgostino, Undefined> {
    sample::check(values, LEAST)?;
    if !sample::vary(values) {
        return Err(Undefined::Constant);
    }
    let mean = sample::mean(values);
    let n = values.len() as f64;
    let moment = |power| values.iter().map(|value| (value - mean).powi(power)).sum::<f64>() / n;
    let variance = moment(2);
    let skewness = skewness_score(moment(3) / variance.powf(1.5), n);
    let kurtosis = kurtosis_score(moment(4) / (variance * variance), n);
    let k_squared = skewness * skewness + kurtosis * kurtosis;
    Ok(DAgostino { k_squared, p: chi_squared_above(k_squared, 2.0) })
}

/// The skewness as a standard normal score (equations 13 to 17 of the paper).
fn skewness_score(skewness: f64, n: f64) -> f64 {
    let scaled = skewness * ((n + 1.0) * (n + 3.0) / (6.0 * (n - 2.0))).sqrt();
    let kurtosis = 3.0 * (n * n + 27.0 * n - 70.0) * (n + 1.0) * (n + 3.0)
        / ((n - 2.0) * (n + 5.0) * (n + 7.0) * (n + 9.0));
    let square = (2.0 * (kurtosis - 1.0)).sqrt() - 1.0;
    let delta = 1.0 / (0.5 * square.ln()).sqrt();
    let alpha = (2.0 / (square - 1.0)).sqrt();
    delta * (scaled / alpha).asinh()
}

/// The kurtosis (3 of a normal distribution) as a standard normal score (Anscombe and Glynn 1983).
fn kurtosis_score(kurtosis: f64, n: f64) -> f64 {
    let expected = 3.0 * (n - 1.0) / (n + 1.0);
    let variance = 24.0 * n * (n - 2.0) * (n - 3.0) / ((n + 1.0).powi(2) * (n + 3.0) * (n + 5.0));
    let scaled = (kurtosis - expected) / variance.sqrt();
    let skewness = 6.0 * (n * n - 5.0 * n + 2.0) / ((n + 7.0) * (n + 9.0))
        * (6.0 * (n + 3.0) * (n + 5.0) / (n * (n - 2.0) * (n - 3.0))).sqrt();
    let a = 6.0 + 8.0 / skewness * (2.0 / skewness + (1.0 + 4.0 / (skewness * skewness)).sqrt());
    let ratio = (1.0 - 2.0 / a) / (1.0 + scaled * (2.0 / (a - 4.0)).sqrt());
    (1.0 - 2.0 / (9.0 * a) - ratio.cbrt()) / (2.0 / (9.0 * a)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::testing::{assert_close, golden_groups};

    /// scipy.stats.normaltest (1.17.1)
    #[test]
    fn statistics_are_scipys() {
        let many: Vec<f64> = (0..200).map(|i| f64::from(i * 7919 % 1009) / 1008.0).collect();
        let found = dagostino(&many).unwrap();
        assert_close(found.k_squared, 97.06938512594502, 1e-9);
        assert_close(found.p, 8.349314860791936e-22, 1e-6);
        let [first, ..] = golden_groups();
        let found = dagostino(&first).unwrap();
        assert_close(found.k_squared, 1.5998856908456645, 1e-9);
        assert_close(found.p, 0.4493546460580883, 1e-9);
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(dagostino(&[1.0; 7]), Err(Undefined::TooFew { found: 7, least: 8 }));
        assert_eq!(dagostino(&[1.0; 9]), Err(Undefined::Constant));
    }
}
