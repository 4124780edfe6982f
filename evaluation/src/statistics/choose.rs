//! Which tests are made of a table, as the paper chooses them.
//!
//! The paper: "one-way ANOVA when normal distributions were satisfied, followed by Tukey correction for multiple comparisons.
//! Friedman's test was used otherwise", p <= 0.05 being significant. What it leaves open is decided here:
//! - Distributions are satisfied where Shapiro and Wilk's test finds no departure in the values of any method. Where it is not
//!   defined, as of equal values, they are not.
//! - The paper's ANOVA takes the methods for independent groups (the p-values of its Table 2 are those of 2 and 30 degrees of
//!   freedom), though all methods see the same subjects. So it is done here; the analysis of repeated measures stands beside it.
//! - After Friedman's test pairs are compared by Wilcoxon's signed-rank test, adjusted by Holm: it looks at two methods only, while
//!   comparisons by mean ranks change with what else is in the study. Those, Nemenyi's and Dunn's, stand beside it.
//! - Of two methods, the differences decide: the paired t-test if they may be normal, else Wilcoxon's signed-rank test.

use serde::Serialize;

use super::anova::{Anova, anova, levene};
use super::friedman::{Friedman, friedman};
use super::mean_ranks::{MeanRankPair, mean_rank_pairs};
use super::normality::{Normality, normality};
use super::paired_t::{PairedT, paired_t};
use super::repeated_anova::{RepeatedAnova, repeated_anova};
use super::sample::Differences;
use super::table::Complete;
use super::tukey::{TukeyPair, tukey};
use super::undefined::{Outcome, Undefined};
use super::wilcoxon::{Wilcoxon, wilcoxon};

/// The fewest subjects that tests are made of: normality is not defined of less.
pub const LEAST_SUBJECTS: usize = 3;

/// The test that was chosen, and what it found. Places in pairs are those of the compared methods.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Test {
    /// None, and why.
    Absent {
        /// The reason, in words.
        reason: String,
    },
    /// Two methods, whose differences may be normal.
    PairedT {
        /// Of the differences.
        normality: Normality,
        /// The test.
        result: PairedT,
    },
    /// Two methods, whose differences are not normal.
    Wilcoxon {
        /// Of the differences.
        normality: Outcome<Normality>,
        /// The test.
        result: Wilcoxon,
    },
    /// Three methods or more, whose values may all be normal.
    Anova {
        /// The analysis of variance of independent groups, as in the paper.
        result: Anova,
        /// All pairs.
        tukey: Vec<TukeyPair>,
        /// Levene's test of equal spread, which the analysis assumes.
        levene: Outcome<Anova>,
        /// The analysis of repeated measures.
        repeated: Outcome<RepeatedAnova>,
    },
    /// Three methods or more, some of whose values are not normal.
    Friedman {
        /// The test.
        result: Friedman,
        /// All pairs by mean ranks.
        mean_ranks: Vec<MeanRankPair>,
    },
}

/// Chooses and makes the test of complete columns, whose normality is known.
pub(super) fn choose(
    complete: &Complete,
    normalities: &[Outcome<Normality>],
    significance: f64,
    confidence: f64,
) -> Test {
    let columns = &complete.columns;
    if let Some(reason) = absence(complete) {
        return Test::Absent { reason };
    }
    let chosen = if let [first, second] = columns.as_slice() {
        two(first, second, significance, confidence)
    } else if normalities.iter().all(|normality| may_be_normal(normality, significance)) {
        by_means(columns, confidence)
    } else {
        by_ranks(columns)
    };
    chosen.unwrap_or_else(|undefined| Test::Absent { reason: undefined.to_string() })
}

/// Whether a test of normality was made and found no departure.
pub(super) fn may_be_normal(normality: &Outcome<Normality>, significance: f64) -> bool {
    normality.value().is_some_and(|normality| normality.p() > significance)
}

/// Why no test can be made.
fn absence(complete: &Complete) -> Option<String> {
    let (methods, subjects) = (complete.methods.len(), complete.subjects.len());
    if methods < 2 {
        return Some(match methods {
            0 => "no method has any value".into(),
            _ => format!("{} is the only method that has values", complete.methods[0]),
        });
    }
    let subjects = match subjects {
        LEAST_SUBJECTS.. => return None,
        0 => "no subject has".into(),
        1 => "one subject only has".into(),
        _ => format!("only {subjects} subjects have"),
    };
    Some(format!("{subjects} a value of every method, and tests need at least {LEAST_SUBJECTS}"))
}

/// Two methods.
fn two(first: &[f64], second: &[f64], significance: f64, confidence: f64) -> Result<Test, Undefined> {
    let differences = Differences::of(first, second, LEAST_SUBJECTS)?;
    let found = differences.vary().and_then(|()| normality(&differences.values));
    match found {
        Ok(normality) if normality.p() > significance => {
            Ok(Test::PairedT { normality, result: paired_t(first, second, confidence)? })
        }
        _ => Ok(Test::Wilcoxon { normality: found.into(), result: wilcoxon(first, second)? }),
    }
}

/// Three methods or more that may be normal.
fn by_means(columns: &[Vec<f64>], confidence: f64) -> Result<Test, Undefined> {
    let result = anova(columns)?;
    Ok(Test::Anova {
        tukey: tukey(columns, &result, confidence)?,
        levene: levene(columns).into(),
        repeated: repeated_anova(columns).into(),
        result,
    })
}

/// Three methods or more of which one is not normal.
fn by_ranks(columns: &[Vec<f64>]) -> Result<Test, Undefined> {
    let result = friedman(columns)?;
    Ok(Test::Friedman { mean_ranks: mean_rank_pairs(&result)?, result })
}
