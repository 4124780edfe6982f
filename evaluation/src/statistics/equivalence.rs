//! Equivalence of paired values: two one-sided t-tests (TOST) against margins that the caller gives.
//!
//! Schuirmann 1987, "A comparison of the two one-sided tests procedure and the power approach for assessing the equivalence of
//! average bioavailability", Journal of Pharmacokinetics and Biopharmaceutics 15. That a usual test finds no difference shows no
//! equivalence.

use serde::Serialize;

use super::describe::{Interval, check_confidence, t_interval};
use super::distributions::t_above;
use super::sample::{self, Differences};
use super::undefined::Undefined;

/// How far apart paired values may lie on average and still count as equivalent, in their own unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Margins {
    /// The lowest mean difference.
    pub low: f64,
    /// The highest mean difference.
    pub high: f64,
}

/// What can be said of equivalence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The mean difference is within the margins: both tests reject that it is not.
    Equivalent,
    /// The interval lies wholly outside the margins.
    NotEquivalent,
    /// The interval crosses a margin: there are too few subjects to tell, or the difference is close to a margin.
    Inconclusive,
}

/// What the two tests find.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Equivalence {
    /// How many pairs there are.
    pub count: usize,
    /// The mean of the differences first - second.
    pub mean_difference: f64,
    /// The margins.
    pub margins: Margins,
    /// The level of each test.
    pub significance: f64,
    /// The t of the test against the lower margin.
    pub t_low: f64,
    /// The chance of a t that is no lower, if the mean difference is the lower margin.
    pub p_low: f64,
    /// The t of the test against the higher margin.
    pub t_high: f64,
    /// The chance of a t that is no higher, if the mean difference is the higher margin.
    pub p_high: f64,
    /// The larger of the two p: that of equivalence.
    pub p: f64,
    /// Degrees of freedom.
    pub freedom: usize,
    /// The mean difference's interval with a confidence of 1 - 2 * significance: 90 % at a level of 0.05. It is within the
    /// margins exactly where both tests reject.
    pub interval: Interval,
    /// What follows.
    pub verdict: Verdict,
}

/// Tests whether paired values are equivalent; their differences are assumed to be normal. For margins in percent hand over
/// the differences in percent, and zeros as `second`.
///
/// # Errors
/// [`Undefined`] if the margins are not two rising numbers, the level is not inside 0..0.5, there are less than two pairs, lengths
/// differ, a value cannot be computed with, or all differences are equal.
pub fn equivalence(
    first: &[f64],
    second: &[f64],
    margins: Margins,
    significance: f64,
) -> Result<Equivalence, Undefined> {
    let Margins { low, high } = margins;
    if !(low < high && sample::is_computable(low) && sample::is_computable(high)) {
        return Err(Undefined::Argument(format!(
            "margins must be two rising numbers, and are {low} and {high}"
        )));
    }
    if !(significance > 0.0 && significance < 0.5) {
        return Err(Undefined::Argument(format!("a level must be inside 0..0.5, and is {significance}")));
    }
    let confidence = 1.0 - 2.0 * significance;
    check_confidence(confidence)?;
    let differences = Differences::of(first, second, 2)?;
    differences.vary()?;
    let values = &differences.values;
    let mean_difference = sample::mean(values);
    let error = (sample::variance(values) / values.len() as f64).sqrt();
    let freedom = values.len() - 1;
    let (t_low, t_high) = ((mean_difference - low) / error, (mean_difference - high) / error);
    let p_low = t_above(t_low, freedom as f64);
    let p_high = t_above(-t_high, freedom as f64);
    let p = p_low.max(p_high);
    let interval = t_interval(values, confidence)?;
    let verdict = if p <= significance {
        Verdict::Equivalent
    } else if interval.low > high || interval.high < low {
        Verdict::NotEquivalent
    } else {
        Verdict::Inconclusive
    };
    Ok(Equivalence {
        count: values.len(),
        mean_difference,
        margins,
        significance,
        t_low,
        p_low,
        t_high,
        p_high,
        p,
        freedom,
        interval,
        verdict,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::testing::{assert_close, golden_groups};

    /// statsmodels.stats.weightstats.ttost_paired(g1, g2, -0.4, 0.4) (0.15.0), and
    /// scipy.stats.ttest_rel(g1, g2).confidence_interval(0.9) (1.17.1)
    #[test]
    fn golden_groups_have_statsmodels_p() {
        let [first, second, ..] = golden_groups();
        let found = equivalence(&first, &second, Margins { low: -0.4, high: 0.4 }, 0.05).unwrap();
        assert_close(found.t_low, 2.1239746280376703, 1e-9);
        assert_close(found.p_low, 0.026716287080966877, 1e-9);
        assert_close(found.t_high, -16.85261919967227, 1e-9);
        assert_close(found.p_high, 1.6278307057465006e-10, 1e-9);
        assert_eq!((found.p, found.freedom, found.count), (found.p_low, 13, 14));
        assert_close(found.interval.low, -0.38511677131286737, 1e-9);
        assert_close(found.interval.high, -0.23580159603407297, 1e-9);
        assert_eq!(found.verdict, Verdict::Equivalent);
    }

    #[test]
    fn the_verdict_follows_the_interval() {
        let [first, second, ..] = golden_groups();
        let verdict = |low, high| equivalence(&first, &second, Margins { low, high }, 0.05).unwrap().verdict;
        // The interval is -0.385..-0.236.
        assert_eq!(verdict(-0.386, 0.0), Verdict::Equivalent);
        assert_eq!(verdict(-0.384, 0.0), Verdict::Inconclusive);
        assert_eq!(verdict(-0.235, 0.235), Verdict::NotEquivalent);
        assert_eq!(verdict(-0.237, 0.237), Verdict::Inconclusive);
        assert_eq!(verdict(-1.0, -0.386), Verdict::NotEquivalent);
    }

    #[test]
    fn faults_are_named() {
        let (first, second) = ([1.0, 2.0, 4.0], [1.5, 2.0, 3.0]);
        let of = |low, high, level| equivalence(&first, &second, Margins { low, high }, level);
        assert!(of(1.0, 1.0, 0.05).unwrap_err().to_string().contains("rising"));
        assert!(of(f64::NAN, 1.0, 0.05).is_err());
        assert!(of(-1.0, f64::INFINITY, 0.05).is_err());
        assert!(of(-1.0, 1.0, 0.5).unwrap_err().to_string().contains("0..0.5"));
        assert!(of(-1.0, 1.0, f64::NAN).is_err());
        let equal = equivalence(&first, &first, Margins { low: -1.0, high: 1.0 }, 0.05);
        assert_eq!(equal, Err(Undefined::ConstantDifference(0.0)));
    }
}
