//! Samples: their check, and the sums that every statistic starts from.

use super::undefined::Undefined;

/// Values whose magnitude is within these ends have fourth powers, and fourth powers of differences, that are representable.
const MAGNITUDES: std::ops::RangeInclusive<f64> = 1e-60..=1e60;
/// Differences below this share of the values' magnitude are rounding.
const RESOLUTION: f64 = 1e-12;

/// Refuses samples that nothing can be computed of.
pub(super) fn check(values: &[f64], least: usize) -> Result<(), Undefined> {
    if let Some(&value) = values.iter().find(|value| !is_computable(**value)) {
        return Err(Undefined::NotComputable(value));
    }
    if values.len() < least { Err(Undefined::TooFew { found: values.len(), least }) } else { Ok(()) }
}

/// Whether a value is finite and neither too large nor too small to take its powers.
pub(super) fn is_computable(value: f64) -> bool {
    value == 0.0 || MAGNITUDES.contains(&value.abs())
}

/// Refuses groups that are not of one length, or samples that nothing can be computed of.
pub(super) fn check_paired(groups: &[impl AsRef<[f64]>], least: usize) -> Result<(), Undefined> {
    let mut lengths = groups.iter().map(|group| group.as_ref().len());
    let first = lengths.next().unwrap_or(0);
    if let Some(second) = lengths.find(|length| *length != first) {
        return Err(Undefined::Unpaired { first, second });
    }
    groups.iter().try_for_each(|group| check(group.as_ref(), least))
}

/// The mean; of no values it is not defined, which [`check`] has excluded.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sum of squared deviations from the mean.
pub(super) fn squares(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// The sample's variance (n - 1); of at least two values.
pub(crate) fn variance(values: &[f64]) -> f64 {
    squares(values) / (values.len() - 1) as f64
}

/// The values in rising order.
pub(crate) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// What differences of these values cannot be told from rounding.
pub(super) fn resolution<'a>(values: impl IntoIterator<Item = &'a f64>) -> f64 {
    RESOLUTION * values.into_iter().fold(0.0, |largest: f64, value| largest.max(value.abs()))
}

/// Whether values differ by more than rounding.
pub(super) fn vary(values: &[f64]) -> bool {
    range(values) > resolution(values)
}

/// The largest value less the smallest one.
fn range(values: &[f64]) -> f64 {
    let (low, high) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    high - low
}

/// Differences of pairs: of one subject's two values.
pub(super) struct Differences {
    /// First less second, exactly 0 where they differ by no more than rounding.
    pub values: Vec<f64>,
    /// What cannot be told from rounding; smaller than the differences' own, as the values are larger than these.
    pub resolution: f64,
}

impl Differences {
    /// The differences first - second.
    pub fn of(first: &[f64], second: &[f64], least: usize) -> Result<Self, Undefined> {
        check_paired(&[first, second], least)?;
        let resolution = resolution(first.iter().chain(second));
        let difference = |(first, second): (&f64, &f64)| {
            let difference = first - second;
            if difference.abs() <= resolution { 0.0 } else { difference }
        };
        Ok(Self { values: first.iter().zip(second).map(difference).collect(), resolution })
    }

    /// Refuses differences that are all one and the same.
    pub fn vary(&self) -> Result<(), Undefined> {
        match self.values.first() {
            Some(first) if range(&self.values) <= self.resolution => {
                Err(Undefined::ConstantDifference(*first))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_computed_is_named() {
        assert_eq!(check(&[1.0, 2.0], 2), Ok(()));
        assert_eq!(check(&[0.0, -1e60], 2), Ok(()));
        assert_eq!(check(&[1.0], 2), Err(Undefined::TooFew { found: 1, least: 2 }));
        assert_eq!(check(&[1.0, 1e61], 2), Err(Undefined::NotComputable(1e61)));
        assert_eq!(check(&[1.0, f64::INFINITY], 2), Err(Undefined::NotComputable(f64::INFINITY)));
        assert!(matches!(check(&[f64::NAN], 2), Err(Undefined::NotComputable(value)) if value.is_nan()));
        let unequal = [vec![1.0, 2.0], vec![1.0]];
        assert_eq!(check_paired(&unequal, 1), Err(Undefined::Unpaired { first: 2, second: 1 }));
    }

    #[test]
    fn rounding_is_no_difference() {
        assert!(!vary(&[0.1 + 0.2, 0.3]));
        assert!(vary(&[0.3, 0.300_001]));
        let differences = Differences::of(&[0.1 + 0.2, 0.8], &[0.3, 0.7], 1).unwrap();
        assert_eq!(differences.values[0], 0.0);
        assert!(differences.vary().is_ok());
        let shifted =
            Differences::of(&[30.1, 31.06, 28.3], &[30.1 + 0.35, 31.06 + 0.35, 28.3 + 0.35], 1).unwrap();
        assert!(matches!(shifted.vary(), Err(Undefined::ConstantDifference(_))));
    }
}
