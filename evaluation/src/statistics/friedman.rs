//! Friedman's test: do methods differ, by the ranks that they take with each subject.

use serde::Serialize;

use super::distributions::chi_squared_above;
use super::ranks::rank;
use super::sample;
use super::undefined::Undefined;

/// The fewest methods; with two, Wilcoxon's signed-rank test says more.
const LEAST_METHODS: usize = 3;

/// What the test finds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Friedman {
    /// How many subjects there are.
    pub subjects: usize,
    /// The statistic, corrected for ties.
    pub chi_squared: f64,
    /// The chance of one that is no smaller, by the chi-squared distribution: coarse for less than about ten subjects.
    pub p: f64,
    /// Degrees of freedom.
    pub freedom: usize,
    /// The effect size, Kendall's W: 0 where subjects rank the methods each in its own way, 1 where all rank them alike.
    pub kendall_w: f64,
    /// Each method's mean rank; 1 is that of the smallest values.
    pub mean_ranks: Vec<f64>,
}

/// Tests whether methods lie equally high; `methods` holds the same subjects in the same order for each.
///
/// # Errors
/// [`Undefined`] if there are less than three methods, less than two subjects, methods of unequal length, a value that cannot
/// be computed with, or if no subject's values differ.
pub fn friedman(methods: &[impl AsRef<[f64]>]) -> Result<Friedman, Undefined> {
    if methods.len() < LEAST_METHODS {
        return Err(Undefined::TooFewGroups { found: methods.len(), least: LEAST_METHODS });
    }
    let (mean_ranks, ties) = mean_ranks(methods)?;
    let subjects = methods[0].as_ref().len();
    let (k, n) = (methods.len() as f64, subjects as f64);
    let untied = 1.0 - ties / (n * (k.powi(3) - k));
    if untied <= 0.0 {
        return Err(Undefined::OnlyTies);
    }
    let chi_squared = 12.0 * n / (k * (k + 1.0)) * sample::squares(&mean_ranks) / untied;
    Ok(Friedman {
        subjects,
        chi_squared,
        p: chi_squared_above(chi_squared, k - 1.0),
        freedom: methods.len() - 1,
        kendall_w: (chi_squared / (n * (k - 1.0))).min(1.0),
        mean_ranks,
    })
}

/// Each method's mean rank over subjects, and the sum of t^3 - t over all ties within subjects.
fn mean_ranks(methods: &[impl AsRef<[f64]>]) -> Result<(Vec<f64>, f64), Undefined> {
    sample::check_paired(methods, 2)?;
    let subjects = methods[0].as_ref().len();
    let mut sums = vec![0.0; methods.len()];
    let mut ties = 0.0;
    for subject in 0..subjects {
        let values: Vec<f64> = methods.iter().map(|method| method.as_ref()[subject]).collect();
        let ranked = rank(&values, sample::resolution(&values));
        ties += ranked.ties;
        sums.iter_mut().zip(ranked.ranks).for_each(|(sum, rank)| *sum += rank);
    }
    Ok((sums.iter().map(|sum| sum / subjects as f64).collect(), ties))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::testing::{assert_close, golden_groups, golden_groups_with_ties};

    #[test]
    fn golden_groups_have_scipys_statistic_and_p() {
        let found = friedman(&golden_groups()).unwrap();
        assert_close(found.chi_squared, 39.17142857142858, 1e-9);
        assert_close(found.p, 1.5964222036254643e-08, 1e-9);
        assert_close(found.kendall_w, 0.93265306122449, 1e-9);
        assert_eq!(found.freedom, 3);
        assert_close(found.mean_ranks.iter().sum(), 10.0, 1e-12);
        let tied = friedman(&golden_groups_with_ties()).unwrap();
        assert_close(tied.chi_squared, 40.40145985401459, 1e-9);
        assert_close(tied.p, 8.758892093860624e-09, 1e-9);
    }

    #[test]
    fn full_agreement_has_a_kendall_w_of_one() {
        let methods: Vec<Vec<f64>> =
            (0..3).map(|method| (0..5).map(|subject| f64::from(10 * subject + method)).collect()).collect();
        let found = friedman(&methods).unwrap();
        assert_eq!((found.kendall_w, found.mean_ranks), (1.0, vec![1.0, 2.0, 3.0]));
        // chi-squared = n (k - 1), and of two degrees of freedom its tail is exp(-x / 2).
        assert_close(found.p, (-5.0_f64).exp(), 1e-9);
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(friedman(&[[1.0], [2.0]]), Err(Undefined::TooFewGroups { found: 2, least: 3 }));
        assert_eq!(friedman(&[[1.0], [2.0], [3.0]]), Err(Undefined::TooFew { found: 1, least: 2 }));
        assert_eq!(friedman(&[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]), Err(Undefined::OnlyTies));
    }
}
