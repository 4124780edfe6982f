//! One-way analysis of variance of independent groups, and Levene's test of its assumption of equal spread.

use serde::Serialize;

use super::describe::median;
use super::distributions::f_above;
use super::sample;
use super::undefined::Undefined;

/// What a one-way analysis of variance finds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Anova {
    /// The statistic F: the mean square between groups over that within.
    pub f: f64,
    /// The chance of an F that is no smaller, from groups of equal means.
    pub p: f64,
    /// Degrees of freedom between groups.
    pub freedom_between: usize,
    /// Degrees of freedom within groups.
    pub freedom_within: usize,
    /// The mean square within groups.
    pub mean_square_within: f64,
    /// The effect size eta squared, 0..1: the share of all squares that is between groups.
    pub eta_squared: f64,
}

/// Tests whether independent groups, which may differ in size, have equal means; their spread is assumed to be normal and
/// equal.
///
/// # Errors
/// [`Undefined`] if there are less than two groups, a group without a value, no more values than groups, a value that cannot
/// be computed with, or no spread within any group.
pub fn anova(groups: &[impl AsRef<[f64]>]) -> Result<Anova, Undefined> {
    if groups.len() < 2 {
        return Err(Undefined::TooFewGroups { found: groups.len(), least: 2 });
    }
    groups.iter().try_for_each(|group| sample::check(group.as_ref(), 1))?;
    let all: Vec<f64> = groups.iter().flat_map(|group| group.as_ref()).copied().collect();
    if all.len() <= groups.len() {
        return Err(Undefined::TooFew { found: all.len(), least: groups.len() + 1 });
    }
    if !groups.iter().any(|group| sample::vary(group.as_ref())) {
        return Err(Undefined::NoSpread);
    }
    let centre = sample::mean(&all);
    let between: f64 = groups
        .iter()
        .map(|group| group.as_ref().len() as f64 * (sample::mean(group.as_ref()) - centre).powi(2))
        .sum();
    let within: f64 = groups.iter().map(|group| sample::squares(group.as_ref())).sum();
    let (freedom_between, freedom_within) = (groups.len() - 1, all.len() - groups.len());
    let mean_square_within = within / freedom_within as f64;
    let f = between / freedom_between as f64 / mean_square_within;
    Ok(Anova {
        f,
        p: f_above(f, freedom_between as f64, freedom_within as f64),
        freedom_between,
        freedom_within,
        mean_square_within,
        eta_squared: between / (between + within),
    })
}

/// Tests whether independent groups have equal spread: Levene's test with the distances from the medians (Brown and Forsythe
/// 1974, SciPy's default). It is the analysis of variance of these distances, whose F is the statistic W.
///
/// # Errors
/// Those of [`anova`].
pub fn levene(groups: &[impl AsRef<[f64]>]) -> Result<Anova, Undefined> {
    let distances: Vec<Vec<f64>> = groups
        .iter()
        .map(|group| {
            let centre = median(group.as_ref())?;
            Ok(group.as_ref().iter().map(|value| (value - centre).abs()).collect())
        })
        .collect::<Result<_, Undefined>>()?;
    anova(&distances)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::testing::{assert_close, golden_groups};

    #[test]
    fn golden_groups_have_scipys_f_and_p() {
        let found = anova(&golden_groups()).unwrap();
        assert_close(found.f, 8.353277622432186, 1e-9);
        assert_close(found.p, 0.00012490897044364327, 1e-9);
        assert_eq!((found.freedom_between, found.freedom_within), (3, 52));
        // eta squared = F df1 / (F df1 + df2)
        let explained = found.f * 3.0;
        assert_close(found.eta_squared, explained / (explained + 52.0), 1e-12);
        let levene = levene(&golden_groups()).unwrap();
        assert_close(levene.f, 0.17254297150583886, 1e-9);
        assert_close(levene.p, 0.9144807498497438, 1e-9);
    }

    /// scipy.stats.f_oneway([1, 2, 3.5], [2, 4], [7, 9, 8, 12]) (1.17.1), and levene of the same
    #[test]
    fn groups_may_differ_in_size() {
        let groups = [vec![1.0, 2.0, 3.5], vec![2.0, 4.0], vec![7.0, 9.0, 8.0, 12.0]];
        let found = anova(&groups).unwrap();
        assert_close(found.f, 14.826086956521747, 1e-9);
        assert_close(found.p, 0.004766457248153675, 1e-9);
        let levene = levene(&groups).unwrap();
        assert_close(levene.f, 0.3488372093023256, 1e-9);
        assert_close(levene.p, 0.7189218026620371, 1e-9);
    }

    /// Table 2 of the paper, MS: 11 patients and 3 methods. Its p-values follow from its F with 2 and 30 degrees of freedom,
    /// so its analysis of variance takes the methods for independent groups; 2 and 20, those of repeated measures, would
    /// give 0.35 for MAE and 0.0077 for PSNR.
    #[test]
    fn the_papers_table_is_of_independent_groups() {
        for (f, p, decimals) in
            [(1.10, "0.35", 2), (4.48, "0.02", 2), (1.11, "0.34", 2), (6.26, "0.005", 3), (0.58, "0.57", 2)]
        {
            assert_eq!(format!("{:.decimals$}", f_above(f, 2.0, 30.0)), p);
        }
        assert_eq!(format!("{:.2}", f_above(1.11, 2.0, 20.0)), "0.35");
        assert_eq!(format!("{:.4}", f_above(6.26, 2.0, 20.0)), "0.0077");
    }

    #[test]
    fn faults_are_named() {
        let none: [Vec<f64>; 0] = [];
        assert_eq!(anova(&none), Err(Undefined::TooFewGroups { found: 0, least: 2 }));
        assert_eq!(anova(&[vec![1.0, 2.0], vec![]]), Err(Undefined::TooFew { found: 0, least: 1 }));
        assert_eq!(anova(&[[1.0], [2.0]]), Err(Undefined::TooFew { found: 2, least: 3 }));
        assert_eq!(anova(&[[1.0; 3], [2.0; 3]]), Err(Undefined::NoSpread));
        assert!(anova(&[[1.0, 2.0], [2.0, f64::NAN]]).is_err());
    }
}
