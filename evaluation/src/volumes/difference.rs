//! Differences of volumes between real and synthetic images, absolute and in percent.

use serde::Serialize;

use crate::measured::Measured;

/// A volume in the real image and in the synthetic one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Millilitres in the real image.
    pub reference_ml: f64,
    /// Millilitres in the synthetic image.
    pub synthetic_ml: f64,
    /// Synthetic less real, in millilitres.
    pub difference_ml: f64,
    /// The difference in percent of the real image's volume: -100 where the synthetic image has none.
    pub percent: Measured<f64>,
}

impl Difference {
    /// Between two volumes in millilitres, finite and not negative.
    pub fn between(reference_ml: f64, synthetic_ml: f64) -> Self {
        let difference_ml = synthetic_ml - reference_ml;
        let percent =
            Measured::quotient(100.0 * difference_ml, reference_ml, "the real image has none of it");
        Self { reference_ml, synthetic_ml, difference_ml, percent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_of_the_real_volume() {
        let difference = Difference::between(1500.0, 1485.0);
        assert_eq!((difference.difference_ml, difference.percent.value()), (-15.0, Some(&-1.0)));
        assert_eq!(Difference::between(2.0, 0.0).percent.value(), Some(&-100.0));
        assert_eq!(Difference::between(0.0, 3.0).percent.reason(), Some(&"the real image has none of it"));
    }
}
