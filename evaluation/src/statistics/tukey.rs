//! Tukey's honestly significant difference: all pairs of groups after an analysis of variance.

use serde::Serialize;

use super::anova::Anova;
use super::describe::{Interval, check_confidence};
use super::sample;
use super::studentized_range;
use super::undefined::Undefined;

/// Two groups, compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TukeyPair {
    /// The first group's place among the groups.
    pub first: usize,
    /// The second group's place.
    pub second: usize,
    /// The first group's mean less the second one's.
    pub difference: f64,
    /// The difference's interval; all pairs' intervals hold together with the confidence.
    pub interval: Interval,
    /// p, adjusted for all pairs.
    pub p: f64,
}

/// Compares all pairs of independent groups: (0, 1), (0, 2), ..., (1, 2), ...; of groups that differ in size as Tukey and
/// Kramer do (Kramer 1956), which is never too bold (Hayter 1984).
///
/// # Errors
/// [`Undefined`] if the confidence is not inside 0..1, or as [`anova`](super::anova::anova), whose result of the same groups is
/// `anova`.
pub fn tukey(
    groups: &[impl AsRef<[f64]>],
    anova: &Anova,
    confidence: f64,
) -> Result<Vec<TukeyPair>, Undefined> {
    check_confidence(confidence)?;
    groups.iter().try_for_each(|group| sample::check(group.as_ref(), 1))?;
    let freedom = anova.freedom_within as f64;
    let critical = studentized_range::quantile(confidence, groups.len(), freedom)?;
    let compare = |(first, second): (usize, usize)| {
        let (a, b) = (groups[first].as_ref(), groups[second].as_ref());
        let difference = sample::mean(a) - sample::mean(b);
        let sizes = 1.0 / a.len() as f64 + 1.0 / b.len() as f64;
        let error = (0.5 * anova.mean_square_within * sizes).sqrt();
        let half = critical * error;
        Ok(TukeyPair {
            first,
            second,
            difference,
            interval: Interval { low: difference - half, high: difference + half, confidence },
            p: studentized_range::above(difference.abs() / error, groups.len(), freedom)?,
        })
    };
    super::pairs(groups.len()).into_iter().map(compare).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::anova::anova;
    use crate::statistics::testing::{assert_close, golden_groups};

    fn assert_pairs(groups: &[impl AsRef<[f64]>], expected: &[(usize, usize, f64, f64, f64)]) {
        let found = tukey(groups, &anova(groups).unwrap(), 0.95).unwrap();
        assert_eq!(found.len(), expected.len());
        for (pair, (first, second, p, low, high)) in found.iter().zip(expected) {
            assert_eq!((pair.first, pair.second), (*first, *second));
            assert_close(pair.p, *p, 1e-6);
            assert_close(pair.interval.low, *low, 1e-6);
            assert_close(pair.interval.high, *high, 1e-6);
            assert_close(pair.difference, 0.5 * (low + high), 1e-6);
        }
    }

    #[test]
    fn golden_groups_have_scipys_p_and_intervals() {
        assert_pairs(
            &golden_groups(),
            &[
                (0, 1, 0.5323825290552757, -0.9182440951720796, 0.29732572782514843),
                (0, 2, 0.0007829787969578783, -1.5496896734033658, -0.3341198504061378),
                (0, 3, 0.9763045912377948, -0.5136290673427641, 0.7019407556544639),
                (1, 2, 0.03887534233203371, -1.2392304897299002, -0.023660666732672198),
                (1, 3, 0.30071902561641817, -0.20316988366929856, 1.0123999393279295),
                (2, 3, 0.00020304499104595308, 0.42827569456198766, 1.6438455175592157),
            ],
        );
    }

    /// scipy.stats.tukey_hsd([1, 2, 3.5], [2, 4], [7, 9, 8, 12]) (1.17.1)
    #[test]
    fn groups_may_differ_in_size() {
        assert_pairs(
            &[vec![1.0, 2.0, 3.5], vec![2.0, 4.0], vec![7.0, 9.0, 8.0, 12.0]],
            &[
                (0, 1, 0.8690210590933815, -5.83945343, 4.17278676),
                (0, 2, 0.005843391037183454, -11.02175391, -2.64491276),
                (1, 2, 0.01922806710044922, -10.74922252, -1.25077748),
            ],
        );
    }

    #[test]
    fn faults_are_named() {
        let groups = [[1.0, 2.0], [2.0, 4.0]];
        let of = anova(&groups).unwrap();
        assert!(tukey(&groups, &of, 1.0).is_err());
        assert!(tukey(&[[1.0, f64::NAN], [2.0, 4.0]], &of, 0.95).is_err());
    }
}
