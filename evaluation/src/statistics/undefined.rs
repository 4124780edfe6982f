//! Why a statistic is not defined, in place of a NaN.

use serde::{Serialize, Serializer};

use crate::{Error, Measured};

/// Why there is no number. Its text is a reason to print, and what becomes of it in JSON.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Undefined {
    /// Too few values, or pairs of values.
    #[error("too few values: {found}, and at least {least} are needed")]
    TooFew {
        /// How many there are.
        found: usize,
        /// How many are needed.
        least: usize,
    },
    /// More values than the method is made for.
    #[error("too many values: {found}, and the method is made for at most {most}")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// Too few groups to compare.
    #[error("too few groups: {found}, and at least {least} are needed")]
    TooFewGroups {
        /// How many there are.
        found: usize,
        /// How many are needed.
        least: usize,
    },
    /// Groups of paired values that differ in length.
    #[error("paired values are needed, and there are {first} and {second}")]
    Unpaired {
        /// How many values the first group has.
        first: usize,
        /// How many values another group has.
        second: usize,
    },
    /// A value that is infinite, not a number, or so large or small that its powers are not representable.
    #[error("{0} is not a number to compute with")]
    NotComputable(f64),
    /// No two values differ by more than rounding.
    #[error("all values are equal")]
    Constant,
    /// All differences of pairs are one and the same.
    #[error("all differences are {0}, so that nothing tells how far chance goes")]
    ConstantDifference(f64),
    /// No pair differs by more than rounding.
    #[error("there is no difference in any pair")]
    NoDifference,
    /// Groups without any spread inside, or none that the groups do not share.
    #[error("there is no spread within the groups, so that nothing tells how far chance goes")]
    NoSpread,
    /// Every subject's values are all equal.
    #[error("no subject's values differ, so that there are no ranks to compare")]
    OnlyTies,
    /// No test was made; the text says why.
    #[error("{0}")]
    Untested(String),
    /// An argument outside its range; the text says which.
    #[error("{0}")]
    Argument(String),
}

impl Serialize for Undefined {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl From<Undefined> for Error {
    fn from(reason: Undefined) -> Self {
        Self::Invalid(reason.to_string())
    }
}

/// A statistic, or why there is none.
pub type Outcome<T> = Measured<T, Undefined>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_plain_in_json() {
        let value: Outcome<f64> = Ok(0.25).into();
        assert_eq!(serde_json::to_string(&value).unwrap(), "0.25");
        assert_eq!((value.value(), value.reason()), (Some(&0.25), None));
        let none: Outcome<f64> = Err(Undefined::Constant).into();
        assert_eq!(serde_json::to_string(&none).unwrap(), r#"{"undefined":"all values are equal"}"#);
        assert_eq!((none.value(), none.reason()), (None, Some(&Undefined::Constant)));
    }

    #[test]
    fn a_reason_becomes_the_error_of_evaluations() {
        let error = Error::from(Undefined::TooFew { found: 1, least: 2 });
        assert_eq!(error.to_string(), "too few values: 1, and at least 2 are needed");
    }
}
