//! Kruskal and Wallis's test: do independent groups differ in location, by ranks.

use serde::Serialize;

use super::distributions::chi_squared_above;
use super::ranks::rank;
use super::sample;
use super::undefined::Undefined;

/// What the test finds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct KruskalWallis {
    /// The statistic H, corrected for ties.
    pub h: f64,
    /// The chance of an H that is no smaller, by the chi-squared distribution; coarse for groups below 5 values.
    pub p: f64,
    /// Degrees of freedom.
    pub freedom: usize,
}

/// Tests whether independent groups, which may differ in size, lie equally high. Of other people in each group: the same
/// subjects in each are for [`friedman`](super::friedman::friedman).
///
/// # Errors
/// [`Undefined`] if there are less than two groups, a group without a value, a value that cannot be computed with, or if all
/// values are equal.
pub fn kruskal_wallis(groups: &[impl AsRef<[f64]>]) -> Result<KruskalWallis, Undefined> {
    if groups.len() < 2 {
        return Err(Undefined::TooFewGroups { found: groups.len(), least: 2 });
    }
    groups.iter().try_for_each(|group| sample::check(group.as_ref(), 1))?;
    let all: Vec<f64> = groups.iter().flat_map(|group| group.as_ref()).copied().collect();
    let ranked = rank(&all, 0.0);
    let n = all.len() as f64;
    let untied = 1.0 - ranked.ties / (n.powi(3) - n);
    if untied <= 0.0 {
        return Err(Undefined::Constant);
    }
    let centre = 0.5 * (n + 1.0);
    let mut rest = ranked.ranks.as_slice();
    let mut between = 0.0;
    for group in groups {
        let (of_group, others) = rest.split_at(group.as_ref().len());
        between += of_group.len() as f64 * (sample::mean(of_group) - centre).powi(2);
        rest = others;
    }
    let h = 12.0 / (n * (n + 1.0)) * between / untied;
    let freedom = groups.len() - 1;
    Ok(KruskalWallis { h, p: chi_squared_above(h, freedom as f64), freedom })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::testing::{assert_close, golden_groups};

    #[test]
    fn golden_groups_have_scipys_h_and_p() {
        let found = kruskal_wallis(&golden_groups()).unwrap();
        assert_close(found.h, 17.885069817400648, 1e-9);
        assert_close(found.p, 0.00046451953184722326, 1e-9);
        assert_eq!(found.freedom, 3);
    }

    /// scipy.stats.kruskal([1, 2, 2, 5], [2, 4, 7], [7, 9, 9, 12, 1]) (1.17.1)
    #[test]
    fn ties_and_sizes_are_minded() {
        let groups = [vec![1.0, 2.0, 2.0, 5.0], vec![2.0, 4.0, 7.0], vec![7.0, 9.0, 9.0, 12.0, 1.0]];
        let found = kruskal_wallis(&groups).unwrap();
        assert_close(found.h, 3.544115890083634, 1e-9);
        assert_close(found.p, 0.16998281334013696, 1e-9);
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(kruskal_wallis(&[[1.0]]), Err(Undefined::TooFewGroups { found: 1, least: 2 }));
        assert_eq!(kruskal_wallis(&[vec![1.0], vec![]]), Err(Undefined::TooFew { found: 0, least: 1 }));
        assert_eq!(kruskal_wallis(&[[1.0, 1.0], [1.0, 1.0]]), Err(Undefined::Constant));
        assert_eq!(kruskal_wallis(&[[1.0], [1.0]]), Err(Undefined::Constant));
    }
}
