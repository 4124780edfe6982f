//! Pairs of methods after Friedman's test, by their mean ranks: Nemenyi's and Dunn's comparisons.
//!
//! Whether two methods differ here depends on which others are in the study (Benavoli, Corani, Mangili 2016, "Should we really
//! use post-hoc tests based on mean-ranks?", Journal of Machine Learning Research 17), so they stand beside Wilcoxon's test.

use serde::Serialize;

use super::distributions::normal_beyond;
use super::friedman::Friedman;
use super::studentized_range;
use super::undefined::Undefined;

/// Two methods, compared by their mean ranks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeanRankPair {
    /// The first method's place among the methods.
    pub first: usize,
    /// The second method's place.
    pub second: usize,
    /// The first one's mean rank less the second one's.
    pub difference: f64,
    /// That difference over its standard error without ties.
    pub z: f64,
    /// Nemenyi's p for all pairs together, by the studentized range (Demsar 2006).
    pub p_nemenyi: f64,
    /// Dunn's p, Bonferroni-adjusted for all pairs: what GraphPad Prism reports after Friedman's test.
    pub p_dunn: f64,
}

/// Compares all pairs of methods: (0, 1), (0, 2), ..., (1, 2), ...
///
/// # Errors
/// [`Undefined`] if there are less than two methods, or no subject.
pub fn mean_rank_pairs(friedman: &Friedman) -> Result<Vec<MeanRankPair>, Undefined> {
    let methods = friedman.mean_ranks.len();
    if friedman.subjects == 0 {
        return Err(Undefined::TooFew { found: 0, least: 1 });
    }
    let k = methods as f64;
    let error = (k * (k + 1.0) / (6.0 * friedman.subjects as f64)).sqrt();
    let pairs = super::pairs(methods);
    let compare = |(first, second): (usize, usize)| {
        let difference = friedman.mean_ranks[first] - friedman.mean_ranks[second];
        let z = difference / error;
        let range = z.abs() * std::f64::consts::SQRT_2;
        Ok(MeanRankPair {
            first,
            second,
            difference,
            z,
            p_nemenyi: studentized_range::above(range, methods, f64::INFINITY)?,
            p_dunn: (normal_beyond(z) * pairs.len() as f64).min(1.0),
        })
    };
    pairs.iter().copied().map(compare).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::friedman::friedman;
    use crate::statistics::testing::{assert_close, golden_groups};

    /// scikit_posthocs.posthoc_nemenyi_friedman(numpy.array(groups).T) (0.17.1); Dunn's by the formula of Prism's guide,
    /// min(1, 6 * 2 * scipy.stats.norm.sf(abs(difference) / sqrt(4 * 5 / (6 * 14))))
    #[test]
    fn golden_groups_have_posthocs_p() {
        let golden = [
            (0.06168325891240056, 0.07696016187291278),
            (3.3650592553557956e-05, 3.4084603141687454e-05),
            (0.6451600476781312, 1.0),
            (0.17005163566434356, 0.24254387602145144),
            (0.0014415482746185093, 0.0015155060418161246),
            (6.808044250572465e-08, 6.81789555005404e-08),
        ];
        let found = mean_rank_pairs(&friedman(&golden_groups()).unwrap()).unwrap();
        let places: Vec<(usize, usize)> = found.iter().map(|pair| (pair.first, pair.second)).collect();
        assert_eq!(places, [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]);
        for (pair, (nemenyi, dunn)) in found.iter().zip(golden) {
            assert_close(pair.p_nemenyi, nemenyi, 1e-3);
            assert_close(pair.p_dunn, dunn, 1e-6);
        }
    }
}
