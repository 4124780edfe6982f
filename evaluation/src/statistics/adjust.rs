//! Adjusts p-values of several tests for their number.

use super::undefined::Undefined;

/// Bonferroni's: each p times their number, up to 1. Holm's holds the same and loses less.
///
/// # Errors
/// [`Undefined::Argument`] if a p-value is outside 0..=1.
pub fn bonferroni(p: &[f64]) -> Result<Vec<f64>, Undefined> {
    check(p)?;
    let count = p.len() as f64;
    Ok(p.iter().map(|p| (p * count).min(1.0)).collect())
}

/// Holm's (1979): the chance of any false finding among all tests stays below the level.
///
/// # Errors
/// Those of [`bonferroni`].
pub fn holm(p: &[f64]) -> Result<Vec<f64>, Undefined> {
    check(p)?;
    let rising = order(p);
    let mut adjusted = vec![0.0; p.len()];
    let mut largest: f64 = 0.0;
    for (before, at) in rising.into_iter().enumerate() {
        largest = largest.max(p[at] * (p.len() - before) as f64).min(1.0);
        adjusted[at] = largest;
    }
    Ok(adjusted)
}

/// Benjamini and Hochberg's (1995): the expected share of false findings among all findings stays below the level.
///
/// # Errors
/// Those of [`bonferroni`].
pub fn benjamini_hochberg(p: &[f64]) -> Result<Vec<f64>, Undefined> {
    check(p)?;
    let rising = order(p);
    let mut adjusted = vec![0.0; p.len()];
    let mut smallest: f64 = 1.0;
    for (before, at) in rising.into_iter().enumerate().rev() {
        smallest = smallest.min(p[at] * p.len() as f64 / (before + 1) as f64);
        adjusted[at] = smallest;
    }
    Ok(adjusted)
}

/// Refuses what is no p-value.
fn check(p: &[f64]) -> Result<(), Undefined> {
    match p.iter().find(|p| !(0.0..=1.0).contains(*p)) {
        Some(wrong) => Err(Undefined::Argument(format!("a p-value must be in 0..=1, and is {wrong}"))),
        None => Ok(()),
    }
}

/// The places of the values in rising order.
fn order(p: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::testing::assert_close;

    /// statsmodels.stats.multitest.multipletests(p, method='bonferroni'), 'holm', 'fdr_bh' (0.15.0)
    #[test]
    fn adjusted_values_are_statsmodels() {
        let p = [0.01, 0.04, 0.03, 0.005, 0.9, 0.03];
        let cases: [(Vec<f64>, [f64; 6]); 3] = [
            (bonferroni(&p).unwrap(), [0.06, 0.24, 0.18, 0.03, 1.0, 0.18]),
            (holm(&p).unwrap(), [0.05, 0.12, 0.12, 0.03, 0.9, 0.12]),
            (benjamini_hochberg(&p).unwrap(), [0.03, 0.048, 0.045, 0.03, 0.9, 0.045]),
        ];
        for (found, expected) in cases {
            for (found, expected) in found.into_iter().zip(expected) {
                assert_close(found, expected, 1e-12);
            }
        }
    }

    #[test]
    fn one_or_none_stays_as_it_is() {
        for adjust in [bonferroni, holm, benjamini_hochberg] {
            assert_eq!(adjust(&[0.25]), Ok(vec![0.25]));
            assert_eq!(adjust(&[]), Ok(vec![]));
            assert_eq!(adjust(&[1.0, 0.0]), Ok(vec![1.0, 0.0]));
            assert!(adjust(&[0.2, 1.1]).is_err());
            assert!(adjust(&[f64::NAN]).is_err());
        }
    }
}
