//! The studentized range: the range of k normal means over an independent estimate of their standard error.
//!
//! The tail is the average of the range's own tail over the estimate's distribution (Lund and Lund 1983, AS 190). Both are sums
//! of positive terms over smooth bells, for which the trapezoidal rule converges faster than any power of its step, so small
//! tails keep their digits.

use statrs::function::gamma::ln_gamma;

use super::distributions::{normal_above, normal_below, normal_density};
use super::undefined::Undefined;

/// Degrees of freedom above which the estimate counts as exact.
const MOST_FREEDOM: f64 = 1e8;
/// Where Stirling's series of three terms is exact to 1e-10.
const LEAST_STIRLING: f64 = 10.0;
/// Step of the integral over the largest mean, in standard errors.
const STEP: f64 = 0.2;
/// Where that integral ends: the normal density beyond is below 1e-18.
const END: f64 = 9.0;
/// A range whose tail, falling as exp(-r^2 / 4), is smaller than any float.
const FARTHEST: f64 = 60.0;
/// The integral over the estimate ends where its integrand has fallen by this much from its peak, as a natural logarithm.
const FALL: f64 = 45.0;
/// Intervals that the integral over the estimate starts with, and those that it gives up at.
const INTERVALS: std::ops::RangeInclusive<usize> = 32..=8192;
/// The relative change of that integral from halving its step at which it is done; statrs's `erfc` is off by up to 1e-10.
const CHANGE: f64 = 1e-9;
/// The relative error of the tail at which its quantile is found, and the steps after which it stands as it is.
const TAIL_ERROR: f64 = 1e-9;
const MOST_ITERATIONS: usize = 100;

/// P(Q >= q): the chance that `groups` equal means range over `q` standard errors or more; `freedom` are the error's degrees of
/// freedom, at least 1 and possibly infinite.
///
/// # Errors
/// [`Undefined::Argument`] if q is not a number, or there are less than two groups or less than one degree of freedom.
pub fn above(q: f64, groups: usize, freedom: f64) -> Result<f64, Undefined> {
    check(groups, freedom)?;
    if q.is_nan() {
        return Err(Undefined::Argument("a studentized range must be a number".into()));
    }
    if q <= 0.0 {
        return Ok(1.0);
    }
    if q.is_infinite() {
        return Ok(0.0);
    }
    let tail =
        if freedom > MOST_FREEDOM { range_above(q, groups) } else { averaged_tail(q, groups, freedom) };
    Ok(tail.clamp(0.0, 1.0))
}

/// P(Q <= q): 1 - [`above`].
///
/// # Errors
/// Those of [`above`].
pub fn below(q: f64, groups: usize, freedom: f64) -> Result<f64, Undefined> {
    Ok(1.0 - above(q, groups, freedom)?)
}

/// The q with P(Q <= q) = `probability`, which is inside 0..1.
///
/// # Errors
/// [`Undefined::Argument`] if the probability is not inside 0..1, or as [`above`].
pub fn quantile(probability: f64, groups: usize, freedom: f64) -> Result<f64, Undefined> {
    check(groups, freedom)?;
    if !(probability > 0.0 && probability < 1.0) {
        return Err(Undefined::Argument(format!("a probability must be inside 0..1, and is {probability}")));
    }
    let target = 1.0 - probability;
    // Positive below the quantile and negative above; nearly a parabola.
    let excess = |q: f64| Ok((above(q, groups, freedom)?.max(f64::MIN_POSITIVE) / target).ln());
    let mut high = 1.0;
    while excess(high)? > 0.0 && high < f64::MAX / 2.0 {
        high *= 2.0;
    }
    let low = if high > 1.0 { 0.5 * high } else { 0.0 };
    root(excess, low, high)
}

/// Refuses what there is no studentized range of.
fn check(groups: usize, freedom: f64) -> Result<(), Undefined> {
    if groups < 2 {
        return Err(Undefined::Argument(format!("a range is of at least 2 groups, and not {groups}")));
    }
    if freedom >= 1.0 {
        Ok(())
    } else {
        Err(Undefined::Argument(format!("an error has at least 1 degree of freedom, and not {freedom}")))
    }
}

/// P(R >= r) of the range of k standard normal values.
///
/// With the largest value at z, all k - 1 others are below it, and not all within r of it:
/// k * integral of density(z) (P(z)^(k-1) - (P(z) - P(z - r))^(k-1)). The difference of powers is written as a product.
fn range_above(r: f64, groups: usize) -> f64 {
    if r > FARTHEST {
        return 0.0;
    }
    let end = END.max(0.5 * r + END);
    let steps = ((end + END) / STEP).ceil() as usize;
    let sum: f64 = (0..=steps)
        .map(|step| {
            let z = step as f64 * STEP - END;
            let (below, far_below) = (normal_below(z), normal_below(z - r));
            // As a difference of upper tails where the lower ones are close to 1.
            let within = if z > r { normal_above(z - r) - normal_above(z) } else { below - far_below };
            normal_density(z) * far_below * power_sum(below, within, groups - 1)
        })
        .sum();
    (groups as f64 * STEP * sum).min(1.0)
}

/// a^(m-1) + a^(m-2) b + ... + b^(m-1), which is (a^m - b^m) / (a - b).
fn power_sum(a: f64, b: f64, m: usize) -> f64 {
    let mut sum = 0.0;
    let mut power = 1.0;
    for _ in 0..m {
        sum = sum * a + power;
        power *= b;
    }
    sum
}

/// The range's tail at q s, averaged over the estimate s of the standard error, whose true value is 1; by its logarithm.
fn averaged_tail(q: f64, groups: usize, freedom: f64) -> f64 {
    let half = 0.5 * freedom;
    // Of the density of ln s, where s^2 freedom is chi-squared; written around its peak at 0.
    let height = std::f64::consts::LN_2 + log_height(half);
    let log_integrand = |log: f64| {
        height - half * ((2.0 * log).exp_m1() - 2.0 * log) + range_above(q * log.exp(), groups).ln()
    };
    // The tail only falls with s, so the integrand peaks left of 0; where q s is tiny it is as good as 1.
    let peak = peak(log_integrand, -q.max(1.0).ln() - 3.0, 0.0);
    let top = log_integrand(peak);
    if top == f64::NEG_INFINITY {
        return 0.0;
    }
    let end = |direction: f64| {
        let mut step = 1.0 / freedom.sqrt();
        while log_integrand(peak + direction * step) > top - FALL {
            step *= 1.25;
        }
        peak + direction * step
    };
    trapezoid(|log| log_integrand(log).exp(), end(-1.0), end(1.0))
}

/// h ln h - h - ln Gamma(h), by Stirling's series where the terms would cancel.
fn log_height(h: f64) -> f64 {
    if h < LEAST_STIRLING {
        return h * h.ln() - h - ln_gamma(h);
    }
    let series = 1.0 / (12.0 * h) - 1.0 / (360.0 * h.powi(3)) + 1.0 / (1260.0 * h.powi(5));
    0.5 * (h / std::f64::consts::TAU).ln() - series
}

/// Where a function of one peak is highest between two ends: by golden sections, near enough to integrate around.
fn peak(function: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    const SECTION: f64 = 0.618_033_988_749_894_9;
    let at = |low: f64, high: f64| (high - SECTION * (high - low), low + SECTION * (high - low));
    let (mut left, mut right) = at(low, high);
    let (mut of_left, mut of_right) = (function(left), function(right));
    for _ in 0..24 {
        // Where both have underflown the peak is further left.
        if of_left >= of_right {
            (high, right, of_right) = (right, left, of_left);
            left = at(low, high).0;
            of_left = function(left);
        } else {
            (low, left, of_left) = (left, right, of_right);
            right = at(low, high).1;
            of_right = function(right);
        }
    }
    0.5 * (low + high)
}

/// The integral of a bell between its feet by the trapezoidal rule, the step halved until nothing changes.
fn trapezoid(function: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
    let mut intervals = *INTERVALS.start();
    let mut step = (high - low) / intervals as f64;
    // Both ends are as good as 0.
    let mut sum: f64 = (1..intervals).map(|at| function(low + at as f64 * step)).sum();
    let mut integral = sum * step;
    while intervals < *INTERVALS.end() {
        sum += (0..intervals).map(|at| function(low + (at as f64 + 0.5) * step)).sum::<f64>();
        step *= 0.5;
        intervals *= 2;
        let before = std::mem::replace(&mut integral, sum * step);
        if (integral - before).abs() <= CHANGE * integral {
            break;
        }
    }
    integral
}

/// Where a function that falls from positive to negative between two ends is 0: by false position, an end that stays being
/// weighed down (the Illinois method, Dowell and Jarratt 1971).
fn root(
    function: impl Fn(f64) -> Result<f64, Undefined>,
    mut low: f64,
    mut high: f64,
) -> Result<f64, Undefined> {
    let (mut of_low, mut of_high) = (function(low)?, function(high)?);
    let mut middle = high;
    let mut last_moved_low = None;
    for _ in 0..MOST_ITERATIONS {
        middle = high - of_high * (high - low) / (of_high - of_low);
        let value = function(middle)?;
        if value.abs() <= TAIL_ERROR {
            break;
        }
        let moves_low = value > 0.0;
        let stays = last_moved_low.replace(moves_low) == Some(moves_low);
        if moves_low {
            (low, of_low) = (middle, value);
            of_high *= if stays { 0.5 } else { 1.0 };
        } else {
            (high, of_high) = (middle, value);
            of_low *= if stays { 0.5 } else { 1.0 };
        }
    }
    Ok(middle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::testing::assert_close;

    /// scipy.stats.studentized_range.sf(q, k, v)
    #[test]
    fn tails_are_scipys() {
        let golden = [
            (3.0, 3, 20.0, 0.11075679785306414),
            (4.0, 4, 52.0, 0.032554286178995806),
            (1.0, 3, 10.0, 0.7648908105787191),
            (3.77, 4, 40.0, 0.051726496674023625),
            (6.0, 5, 100.0, 0.00046686899754266875),
            (0.2, 3, 52.0, 0.9890367820029607),
            (10.0, 4, 52.0, 2.268395704607684e-08),
        ];
        for (q, groups, freedom, expected) in golden {
            assert_close(above(q, groups, freedom).unwrap(), expected, 1e-6);
            assert_close(below(q, groups, freedom).unwrap(), 1.0 - expected, 1e-6);
        }
    }

    /// scipy.stats.studentized_range.ppf(0.95, k, v)
    #[test]
    fn quantiles_are_scipys_and_lead_back() {
        let golden = [
            (2, 10.0, 3.151064183329372),
            (3, 20.0, 3.577934725220134),
            (4, 52.0, 3.7534625510522908),
            (5, 120.0, 3.9169376908061198),
        ];
        for (groups, freedom, expected) in golden {
            assert_close(quantile(0.95, groups, freedom).unwrap(), expected, 1e-6);
        }
        for probability in [1e-6, 0.1, 0.5, 0.99, 1.0 - 1e-9] {
            for freedom in [1.0, 3.0, 40.0, 1e5, f64::INFINITY] {
                let q = quantile(probability, 6, freedom).unwrap();
                assert_close(above(q, 6, freedom).unwrap(), 1.0 - probability, 2e-9);
            }
        }
    }

    /// The range of two means is their difference: Q / sqrt(2) is |T| of Student's distribution.
    #[test]
    fn of_two_groups_it_is_students_t() {
        for q in [1e-3, 0.5, 3.0, 9.0, 60.0, 1e4] {
            for freedom in [1.0, 2.0, 7.5, 19.0, 21.0, 52.0, 1000.0, 1e4] {
                let t = q / std::f64::consts::SQRT_2;
                let expected = crate::statistics::distributions::t_beyond(t, freedom);
                if expected > 1e-290 {
                    assert_close(above(q, 2, freedom).unwrap(), expected, 1e-8);
                }
            }
        }
    }

    /// By another quadrature: in NumPy, Gauss and Legendre's over z and over s (not ln s) in panels; with an exact estimate by
    /// mpmath, quad(lambda z: k * npdf(z) * (ncdf(z)**(k-1) - (ncdf(z) - ncdf(z-r))**(k-1)), ...) with 30 to 250 digits.
    #[test]
    fn extremes_keep_their_digits() {
        let extremes = [
            (50.0, 3, 1.0, 0.026999591484770488),
            (5.0, 8, 1.0, 0.42571186136637695),
            (300.0, 3, 2.0, 4.059819251565337e-05),
            (12.0, 4, 7.0, 0.00027540770665532337),
            (25.0, 3, 52.0, 3.6551146209335407e-23),
            (3.3, 3, f64::INFINITY, 0.051310906418189876),
            (15.0, 4, f64::INFINITY, 1.6659896293411692e-25),
            (45.0, 3, f64::INFINITY, 1.0336046581393805e-221),
        ];
        for (q, groups, freedom, expected) in extremes {
            assert_close(above(q, groups, freedom).unwrap(), expected, 1e-8);
        }
        assert_eq!(above(0.0, 3, 10.0), Ok(1.0));
        assert_eq!(above(-1.0, 3, 10.0), Ok(1.0));
        assert_eq!(above(f64::INFINITY, 3, 10.0), Ok(0.0));
        assert_eq!(above(1e300, 3, 52.0), Ok(0.0));
        assert_close(above(1e-300, 3, 52.0).unwrap(), 1.0, 1e-9);
    }

    #[test]
    fn faults_are_named() {
        assert!(above(f64::NAN, 3, 10.0).is_err());
        assert!(above(1.0, 1, 10.0).is_err());
        assert!(above(1.0, 3, 0.5).is_err());
        assert!(above(1.0, 3, f64::NAN).is_err());
        for probability in [0.0, 1.0, -0.5, f64::NAN] {
            assert!(quantile(probability, 3, 10.0).is_err());
        }
    }
}
