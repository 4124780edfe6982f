//! One-way analysis of variance of repeated measures: every subject is measured by every method.

use serde::Serialize;

use super::distributions::f_above;
use super::sample;
use super::undefined::Undefined;

/// What a repeated-measures analysis of variance finds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RepeatedAnova {
    /// The statistic F: the mean square between methods over that which neither methods nor subjects explain.
    pub f: f64,
    /// The chance of an F that is no smaller, if differences between any two methods have one variance (sphericity).
    pub p: f64,
    /// Degrees of freedom between methods.
    pub freedom_between: usize,
    /// Degrees of freedom of what is not explained.
    pub freedom_error: usize,
    /// Greenhouse and Geisser's epsilon: 1 where there is sphericity, and 1 / (methods - 1) where it is furthest.
    pub epsilon: f64,
    /// p with the degrees of freedom multiplied by epsilon: without the assumption of sphericity.
    pub p_corrected: f64,
    /// The effect size partial eta squared, 0..1.
    pub partial_eta_squared: f64,
}

/// Tests whether methods have equal means; `methods` holds the same subjects in the same order for each.
///
/// Greenhouse and Geisser 1959, "On methods in the analysis of profile data", Psychometrika 24.
///
/// # Errors
/// [`Undefined`] if there are less than two methods, less than two subjects, methods of unequal length, a value that cannot be
/// computed with, or nothing but differences that all subjects share.
pub fn repeated_anova(methods: &[impl AsRef<[f64]>]) -> Result<RepeatedAnova, Undefined> {
    let k = methods.len();
    if k < 2 {
        return Err(Undefined::TooFewGroups { found: k, least: 2 });
    }
    sample::check_paired(methods, 2)?;
    let n = methods[0].as_ref().len();
    let method_means: Vec<f64> = methods.iter().map(|method| sample::mean(method.as_ref())).collect();
    let subject_means: Vec<f64> = (0..n)
        .map(|subject| methods.iter().map(|method| method.as_ref()[subject]).sum::<f64>() / k as f64)
        .collect();
    let centre = sample::mean(&method_means);
    // What neither the method nor the subject explains of each value.
    let residuals: Vec<Vec<f64>> = methods
        .iter()
        .zip(&method_means)
        .map(|(method, mean)| {
            let left = |(value, subject): (&f64, &f64)| (value - mean) - (subject - centre);
            method.as_ref().iter().zip(&subject_means).map(left).collect()
        })
        .collect();
    let largest = residuals.iter().flatten().fold(0.0, |largest: f64, value| largest.max(value.abs()));
    if largest <= sample::resolution(methods.iter().flat_map(|method| method.as_ref())) {
        return Err(Undefined::NoSpread);
    }
    let between = n as f64 * sample::squares(&method_means);
    let error: f64 = residuals.iter().flatten().map(|value| value * value).sum();
    let (freedom_between, freedom_error) = (k - 1, (k - 1) * (n - 1));
    let f = between / freedom_between as f64 / (error / freedom_error as f64);
    let epsilon = epsilon(&residuals);
    Ok(RepeatedAnova {
        f,
        p: f_above(f, freedom_between as f64, freedom_error as f64),
        freedom_between,
        freedom_error,
        epsilon,
        p_corrected: f_above(f, epsilon * freedom_between as f64, epsilon * freedom_error as f64),
        partial_eta_squared: between / (between + error),
    })
}

/// Greenhouse and Geisser's epsilon: the squared trace of the double-centred covariance matrix over (k - 1) times the sum of its
/// squares. The products of residuals are that matrix, but for a factor.
fn epsilon(residuals: &[Vec<f64>]) -> f64 {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let trace: f64 = residuals.iter().map(|method| product(method, method)).sum();
    let squares: f64 =
        residuals.iter().flat_map(|a| residuals.iter().map(|b| (product(a, b) / trace).powi(2))).sum();
    let least = 1.0 / (residuals.len() - 1) as f64;
    (least / squares).clamp(least, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::paired_t::paired_t;
    use crate::statistics::testing::{assert_close, golden_groups};

    /// pingouin.rm_anova(data, dv='value', within='method', subject='subject', correction=True, effsize='np2') (0.7.0)
    #[test]
    fn golden_groups_have_pingouins_f_p_and_epsilon() {
        let found = repeated_anova(&golden_groups()).unwrap();
        assert_eq!((found.freedom_between, found.freedom_error), (3, 39));
        assert_close(found.f, 100.18427280611995, 1e-9);
        assert_close(found.p, 2.257489767796005e-18, 1e-6);
        assert_close(found.p_corrected, 7.922585231773214e-10, 1e-6);
        assert_close(found.partial_eta_squared, 0.8851430532025552, 1e-9);
        assert_close(found.epsilon, 0.4762218381362275, 1e-9);
    }

    #[test]
    fn of_two_methods_it_is_the_paired_t_test() {
        let [first, second, ..] = golden_groups();
        let t = paired_t(&first, &second, 0.95).unwrap();
        let found = repeated_anova(&[first, second]).unwrap();
        assert_close(found.f, t.t * t.t, 1e-9);
        assert_close(found.p, t.p, 1e-9);
        assert_eq!(found.epsilon, 1.0);
        assert_eq!(found.p, found.p_corrected);
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(repeated_anova(&[[1.0, 2.0]]), Err(Undefined::TooFewGroups { found: 1, least: 2 }));
        assert_eq!(repeated_anova(&[[1.0], [2.0]]), Err(Undefined::TooFew { found: 1, least: 2 }));
        let unequal = [vec![1.0, 2.0], vec![1.0, 2.0, 3.0]];
        assert_eq!(repeated_anova(&unequal), Err(Undefined::Unpaired { first: 2, second: 3 }));
        // Every method adds the same to every subject.
        let shifted = [[30.1, 31.3, 29.7], [30.2, 31.4, 29.8], [30.4, 31.6, 30.0]];
        assert_eq!(repeated_anova(&shifted), Err(Undefined::NoSpread));
    }
}
