//! Normality of a sample, by the test that fits its size.

use serde::Serialize;

use super::dagostino::{DAgostino, dagostino};
use super::shapiro_wilk::{SIZES, ShapiroWilk, shapiro_wilk};
use super::undefined::Undefined;

/// What a test of normality finds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "test", rename_all = "snake_case")]
pub enum Normality {
    /// Shapiro and Wilk's, of 3 to 5000 values.
    ShapiroWilk(ShapiroWilk),
    /// D'Agostino and Pearson's, of more.
    DAgostino(DAgostino),
}

impl Normality {
    /// The chance of a statistic that speaks no less against a normal distribution, if it is one.
    pub fn p(&self) -> f64 {
        match self {
            Self::ShapiroWilk(test) => test.p,
            Self::DAgostino(test) => test.p,
        }
    }

    /// The test's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ShapiroWilk(_) => "Shapiro-Wilk",
            Self::DAgostino(_) => "D'Agostino-Pearson",
        }
    }
}

/// Tests whether values may come from a normal distribution: by Shapiro and Wilk's test, as the paper does, or above 5000
/// values, which that is not made for, by D'Agostino and Pearson's.
///
/// # Errors
/// [`Undefined`] if there are less than 3 values, one that cannot be computed with, or if all are equal.
pub fn normality(values: &[f64]) -> Result<Normality, Undefined> {
    if values.len() > *SIZES.end() {
        dagostino(values).map(Normality::DAgostino)
    } else {
        shapiro_wilk(values).map(Normality::ShapiroWilk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_decides_the_test() {
        let values: Vec<f64> = (0..5001).map(|i| f64::from(i * 7919 % 5003)).collect();
        let large = normality(&values).unwrap();
        assert_eq!((large.name(), large.p()), ("D'Agostino-Pearson", dagostino(&values).unwrap().p));
        let small = normality(&values[1..]).unwrap();
        assert_eq!((small.name(), small.p()), ("Shapiro-Wilk", shapiro_wilk(&values[1..]).unwrap().p));
        assert_eq!(normality(&values[..2]), Err(Undefined::TooFew { found: 2, least: 3 }));
        let json = serde_json::to_value(large).unwrap();
        assert_eq!(json["test"], "d_agostino");
    }
}
