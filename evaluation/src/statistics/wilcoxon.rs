//! Wilcoxon's signed-rank test: do pairs differ, by the ranks of their differences.

use serde::Serialize;

use super::distributions::normal_beyond;
use super::ranks::{Ranks, rank};
use super::sample::Differences;
use super::undefined::Undefined;

/// The most pairs whose p is counted out where there are neither ties nor zeros.
const MOST_UNTIED: usize = 50;
/// The most pairs whose p is counted out where there are.
const MOST_TIED: usize = 13;

/// How a p-value was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// All signs of the differences were counted.
    Exact,
    /// By the normal distribution, corrected for ties, without a correction for continuity.
    Normal,
}

/// What the test finds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Wilcoxon {
    /// The pairs that differ; the others are left out.
    pub count: usize,
    /// The smaller of the two rank sums.
    pub statistic: f64,
    /// The chance of one that is no larger, if differences are as often above as below 0, two-sided.
    pub p: f64,
    /// How p was found.
    pub method: Method,
    /// The effect size, the matched-pairs rank-biserial correlation, -1..1: 1 where the first of each pair is the larger.
    pub rank_biserial: f64,
}

/// Tests whether paired values differ; their differences are assumed to spread symmetrically around their median.
///
/// As SciPy's `wilcoxon` by default: pairs that do not differ are left out; p is exact for up to 50 pairs, or for up to 13
/// where some are left out or differences are tied; above that it is by the normal distribution. Unlike there, differences
/// that rounding alone tells apart are tied.
///
/// # Errors
/// [`Undefined`] if there is no pair, lengths differ, a value cannot be computed with, or if no pair differs.
pub fn wilcoxon(first: &[f64], second: &[f64]) -> Result<Wilcoxon, Undefined> {
    let differences = Differences::of(first, second, 1)?;
    let nonzero: Vec<f64> = differences.values.iter().copied().filter(|value| *value != 0.0).collect();
    if nonzero.is_empty() {
        return Err(Undefined::NoDifference);
    }
    let distances: Vec<f64> = nonzero.iter().map(|value| value.abs()).collect();
    let ranked = rank(&distances, differences.resolution);
    let rank_above = |(rank, value): (&f64, &f64)| if *value > 0.0 { *rank } else { 0.0 };
    let above: f64 = ranked.ranks.iter().zip(&nonzero).map(rank_above).sum();
    let count = nonzero.len();
    let total = 0.5 * (count * (count + 1)) as f64;
    let statistic = above.min(total - above);
    let untied = ranked.ties == 0.0 && count == differences.values.len();
    let most = if untied { MOST_UNTIED } else { MOST_TIED };
    let (p, method) = if differences.values.len() <= most {
        (exact(&ranked.ranks, statistic), Method::Exact)
    } else {
        (normal(&ranked, statistic), Method::Normal)
    };
    Ok(Wilcoxon { count, statistic, p, method, rank_biserial: (2.0 * above - total) / total })
}

/// The two-sided p by counting the signs that give a rank sum no larger than `statistic`; for up to 50 ranks, so that counts
/// are exact in a float.
fn exact(ranks: &[f64], statistic: f64) -> f64 {
    // Tied ranks may be halves: twice the ranks are whole numbers.
    let doubled: Vec<usize> = ranks.iter().map(|rank| (2.0 * rank) as usize).collect();
    let total: usize = doubled.iter().sum();
    let mut ways = vec![0.0; total + 1];
    ways[0] = 1.0;
    for rank in doubled {
        for sum in (rank..=total).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    let below: f64 = ways[..=(2.0 * statistic) as usize].iter().sum();
    (2.0 * below / 2.0_f64.powi(ranks.len() as i32)).min(1.0)
}

/// The two-sided p by the normal distribution.
fn normal(ranked: &Ranks, statistic: f64) -> f64 {
    let n = ranked.ranks.len() as f64;
    let mean = 0.25 * n * (n + 1.0);
    let variance = (n * (n + 1.0) * (2.0 * n + 1.0) - 0.5 * ranked.ties) / 24.0;
    normal_beyond((statistic - mean) / variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::testing::{assert_close, golden_groups};

    #[test]
    fn golden_groups_have_scipys_statistic_and_p() {
        let [first, second, ..] = golden_groups();
        let found = wilcoxon(&first, &second).unwrap();
        assert_eq!((found.statistic, found.method, found.count), (0.0, Method::Exact, 14));
        assert_eq!(found.p, 0.0001220703125);
        assert_eq!(found.rank_biserial, -1.0);
        assert_eq!(wilcoxon(&second, &first).unwrap().rank_biserial, 1.0);
    }

    /// scipy.stats.wilcoxon(x) (1.17.1) of x = [((i * i + 7 * i) % m) - s for i in range(n)], for each (n, m, s)
    #[test]
    fn every_way_to_p_is_scipys() {
        let scipy = [
            (1, 5, -1.0, 0.0, 1.0),
            (5, 97, 30.0, 2.0, 0.375),
            (12, 97, 31.5, 39.0, 1.0),
            (13, 11, 3.0, 23.0, 0.117431640625),
            (13, 11, 4.5, 42.0, 0.82763671875),
            (14, 11, 3.0, 23.0, 0.0627304969243956),
            (14, 11, 4.5, 47.0, 0.7281481565601563),
            (30, 997, 300.5, 206.0, 0.5978077705949545),
            (50, 9973, 1000.5, 594.0, 0.6806447467771797),
            (51, 9973, 1000.5, 645.0, 0.8660149958741169),
            (60, 9973, 2500.5, 190.0, 9.441258782647494e-08),
            (200, 23, 9.0, 5163.0, 8.334221500926594e-06),
        ];
        for (count, modulus, shift, statistic, p) in scipy {
            let values: Vec<f64> =
                (0..count).map(|i: u32| f64::from((i * i + 7 * i) % modulus) - shift).collect();
            let found = wilcoxon(&values, &vec![0.0; values.len()]).unwrap();
            assert_close(found.statistic, statistic, 1e-12);
            assert_close(found.p, p, 1e-9);
        }
    }

    #[test]
    fn ties_by_rounding_are_ties() {
        // Both differ by 0.1, one up and one down: as likely as can be.
        let found = wilcoxon(&[0.8, 0.2], &[0.7, 0.3]).unwrap();
        assert_eq!((found.statistic, found.p, found.rank_biserial), (1.5, 1.0, 0.0));
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(wilcoxon(&[], &[]), Err(Undefined::TooFew { found: 0, least: 1 }));
        assert_eq!(wilcoxon(&[1.0], &[1.0, 2.0]), Err(Undefined::Unpaired { first: 1, second: 2 }));
        assert_eq!(wilcoxon(&[1.0, 2.0], &[1.0, 2.0]), Err(Undefined::NoDifference));
    }
}
