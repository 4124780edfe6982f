//! Shapiro and Wilk's test of normality.
//!
//! Royston 1995, "Remark AS R94: a remark on algorithm AS 181: the W-test for normality", Applied Statistics 44(4); R's and
//! SciPy's `shapiro` are the same algorithm.

use serde::Serialize;

use super::distributions::{normal_above, normal_quantile};
use super::sample;
use super::undefined::Undefined;

/// The sizes that the approximation is made for.
pub const SIZES: std::ops::RangeInclusive<usize> = 3..=5000;

/// Polynomials of Royston's remark, by rising powers: of the two outermost weights in 1 / sqrt(n), ...
const OUTERMOST_WEIGHT: [f64; 6] = [0.0, 0.221157, -0.147981, -2.07119, 4.434685, -2.706056];
const NEXT_WEIGHT: [f64; 6] = [0.0, 0.042981, -0.293762, -1.752461, 5.682633, -3.582633];
/// ... of the mean and the logarithm of the deviation of the transformed W, in n up to 11 and in ln n above, ...
const SMALL_MEAN: [f64; 4] = [0.544, -0.39978, 0.025054, -6.714e-4];
const SMALL_DEVIATION: [f64; 4] = [1.3822, -0.77857, 0.062767, -0.0020322];
const LARGE_MEAN: [f64; 4] = [-1.5861, -0.31082, -0.083751, 0.0038915];
const LARGE_DEVIATION: [f64; 3] = [-0.4803, -0.082676, 0.0030302];
/// ... and of the transformation's bound, in n.
const SMALL_BOUND: [f64; 2] = [-2.273, 0.459];
/// The largest sample that counts as small.
const MOST_SMALL: usize = 11;

/// What the test finds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ShapiroWilk {
    /// The statistic W, up to 1: the nearer to 1, the more normal.
    pub w: f64,
    /// The chance of a W that is no larger, from a normal distribution.
    pub p: f64,
}

/// Tests whether values may come from a normal distribution.
///
/// # Errors
/// [`Undefined`] if there are less than 3 or more than 5000 values, one that cannot be computed with, or if all are equal.
pub fn shapiro_wilk(values: &[f64]) -> Result<ShapiroWilk, Undefined> {
    sample::check(values, *SIZES.start())?;
    if values.len() > *SIZES.end() {
        return Err(Undefined::TooMany { found: values.len(), most: *SIZES.end() });
    }
    if !sample::vary(values) {
        return Err(Undefined::Constant);
    }
    let lack = lack_of_fit(&sample::sorted(values));
    let w = 1.0 - lack;
    Ok(ShapiroWilk { w, p: probability(lack, values.len()).clamp(0.0, 1.0) })
}

/// 1 - W of values in rising order, as such because W is often close to 1.
fn lack_of_fit(sorted: &[f64]) -> f64 {
    let weights = weights(sorted.len());
    let centre = sample::mean(sorted);
    let spread = sorted.iter().map(|value| (value - centre).powi(2)).sum::<f64>().sqrt();
    let weight_length = weights.iter().map(|weight| weight * weight).sum::<f64>().sqrt();
    let product = weights.iter().zip(sorted).map(|(weight, value)| weight * (value - centre)).sum::<f64>();
    let length = spread * weight_length;
    ((length - product) * (length + product) / (length * length)).clamp(f64::MIN_POSITIVE, 1.0)
}

/// The weights of the ordered values, antisymmetric around the middle; at least three.
fn weights(count: usize) -> Vec<f64> {
    let half = upper_weights(count);
    let middle = vec![0.0; count % 2];
    half.iter().map(|weight| -weight).chain(middle).chain(half.iter().rev().copied()).collect()
}

/// The weights of the upper half, the outermost first.
fn upper_weights(count: usize) -> Vec<f64> {
    if count == 3 {
        return vec![0.5_f64.sqrt()];
    }
    let n = count as f64;
    // Blom's approximation of the expected values of ordered normal values.
    let mut scores: Vec<f64> =
        (1..=count / 2).map(|rank| -normal_quantile((rank as f64 - 0.375) / (n + 0.25))).collect();
    let squares = 2.0 * scores.iter().map(|score| score * score).sum::<f64>();
    let root = 1.0 / n.sqrt();
    let outermost = scores[0] / squares.sqrt() + polynomial(&OUTERMOST_WEIGHT, root);
    let mut replaced = vec![outermost];
    if count > 5 {
        replaced.push(scores[1] / squares.sqrt() + polynomial(&NEXT_WEIGHT, root));
    }
    let of_scores = squares - 2.0 * scores[..replaced.len()].iter().map(|score| score * score).sum::<f64>();
    let of_weights = 1.0 - 2.0 * replaced.iter().map(|weight| weight * weight).sum::<f64>();
    let factor = (of_scores / of_weights).sqrt();
    scores.iter_mut().for_each(|score| *score /= factor);
    scores[..replaced.len()].copy_from_slice(&replaced);
    scores
}

/// The chance of a 1 - W that is no smaller.
fn probability(lack: f64, count: usize) -> f64 {
    let n = count as f64;
    if count == 3 {
        // Exact: W is at least 3/4.
        let w: f64 = 1.0 - lack;
        let least = 0.75_f64.sqrt().asin();
        return 6.0 / std::f64::consts::PI * (w.sqrt().asin() - least);
    }
    let (value, mean, deviation) = if count <= MOST_SMALL {
        let bound = polynomial(&SMALL_BOUND, n);
        if lack.ln() >= bound {
            return 0.0;
        }
        (-(bound - lack.ln()).ln(), polynomial(&SMALL_MEAN, n), polynomial(&SMALL_DEVIATION, n).exp())
    } else {
        let log = n.ln();
        (lack.ln(), polynomial(&LARGE_MEAN, log), polynomial(&LARGE_DEVIATION, log).exp())
    };
    normal_above((value - mean) / deviation)
}

/// A polynomial whose coefficients are given by rising powers.
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::testing::{assert_close, golden_groups};

    fn assert_test(values: &[f64], w: f64, p: f64) {
        let found = shapiro_wilk(values).unwrap();
        assert_close(found.w, w, 1e-9);
        assert_close(found.p, p, 1e-6);
    }

    #[test]
    fn golden_groups_have_scipys_w_and_p() {
        let golden = [
            (0.9122261327636305, 0.16975832794615808),
            (0.8944922955095864, 0.09385153792129318),
            (0.9221156890046612, 0.23582974108134214),
            (0.9071970765090065, 0.1434817514047083),
        ];
        for (group, (w, p)) in golden_groups().iter().zip(golden) {
            assert_test(group, w, p);
        }
        let squares: Vec<f64> = (0..20).map(|i| f64::from(i * i)).collect();
        assert_test(&squares, 0.8949288620307665, 0.03316539297687834);
        let many: Vec<f64> = (0..200).map(|i| f64::from(i * 7919 % 1009) / 1008.0).collect();
        assert_test(&many, 0.9535013687650302, 4.166857311844127e-06);
    }

    /// scipy.stats.shapiro (1.17.1) of [(i * i + 3 * i) % 17 + 0.1 * i for i in range(n)]
    #[test]
    fn every_range_of_sizes_has_scipys_w_and_p() {
        for (count, w, p) in SCIPY_BY_SIZE {
            let values: Vec<f64> =
                (0..count).map(|i| f64::from((i * i + 3 * i) % 17) + 0.1 * f64::from(i)).collect();
            assert_test(&values, w, p);
        }
    }

    const SCIPY_BY_SIZE: [(u32, f64, f64); 11] = [
        (3, 0.9873465772491458, 0.7847091605112689),
        (4, 0.9058046805409481, 0.4604592880296089),
        (5, 0.8863679695896277, 0.33916953505627767),
        (6, 0.935879143738638, 0.6262036216426561),
        (7, 0.9383807092200697, 0.6241809186624462),
        (11, 0.9303224664666985, 0.4141248879844276),
        (12, 0.9180414283528004, 0.27010583643904573),
        (13, 0.9078326721488469, 0.1712708054415928),
        (50, 0.9501715418796245, 0.03467321155753392),
        (999, 0.9646533202504255, 7.656849350250009e-15),
        (5000, 0.9556924752196132, 1.688982017596188e-36),
    ];

    #[test]
    fn three_values_in_a_row_are_as_normal_as_can_be() {
        let found = shapiro_wilk(&[1.0, 2.0, 3.0]).unwrap();
        assert_close(found.w, 1.0, 1e-12);
        assert_close(found.p, 1.0, 1e-6);
        // Two equal ones: the least W there is.
        let least = shapiro_wilk(&[1.0, 1.0, 3.0]).unwrap();
        assert_close(least.w, 0.75, 1e-12);
        assert!(least.p.abs() < 1e-7, "{}", least.p);
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(shapiro_wilk(&[1.0, 2.0]), Err(Undefined::TooFew { found: 2, least: 3 }));
        assert_eq!(shapiro_wilk(&[0.3, 0.3, 0.1 + 0.2]), Err(Undefined::Constant));
        assert_eq!(shapiro_wilk(&vec![0.0; 5001]), Err(Undefined::TooMany { found: 5001, most: 5000 }));
        assert!(shapiro_wilk(&[1.0, f64::NAN, 2.0]).is_err());
    }
}
