//! The normal, t, F and chi-squared distributions: their tails, each computed as such so that small ones stay exact.
//!
//! Callers hand over finite statistics and positive degrees of freedom.

use std::f64::consts::{PI, SQRT_2};

use statrs::function::beta::{beta_reg, inv_beta_reg};
use statrs::function::{erf, gamma::gamma_ur};

/// Degrees of freedom above which statrs's inverse of the incomplete beta function loses digits.
const MANY_FREEDOMS: f64 = 1e4;

/// P(Z <= z) of the standard normal distribution.
pub(super) fn normal_below(z: f64) -> f64 {
    0.5 * erf::erfc(-z / SQRT_2)
}

/// P(Z >= z) of the standard normal distribution.
pub(super) fn normal_above(z: f64) -> f64 {
    normal_below(-z)
}

/// P(|Z| >= |z|) of the standard normal distribution.
pub(super) fn normal_beyond(z: f64) -> f64 {
    erf::erfc(z.abs() / SQRT_2)
}

/// The density of the standard normal distribution.
pub(super) fn normal_density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

/// The z with P(Z <= z) = `probability`, which is inside 0..1.
pub(super) fn normal_quantile(probability: f64) -> f64 {
    -SQRT_2 * erf::erfc_inv(2.0 * probability)
}

/// P(|T| >= |t|) of Student's t distribution.
pub(super) fn t_beyond(t: f64, freedom: f64) -> f64 {
    beta_reg(0.5 * freedom, 0.5, freedom / (freedom + t * t))
}

/// P(T >= t) of Student's t distribution.
pub(super) fn t_above(t: f64, freedom: f64) -> f64 {
    let tail = 0.5 * t_beyond(t, freedom);
    if t > 0.0 { tail } else { 1.0 - tail }
}

/// The t with P(T <= t) = `probability`, which is inside 0..1.
pub(crate) fn t_quantile(probability: f64, freedom: f64) -> f64 {
    if freedom > MANY_FREEDOMS {
        // Abramowitz and Stegun 26.7.5, whose next term is below 1e-11 here.
        let z = normal_quantile(probability);
        let first = (z.powi(3) + z) / 4.0;
        let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
        return z + first / freedom + second / (freedom * freedom);
    }
    let tail = probability.min(1.0 - probability);
    let share = inv_beta_reg(0.5 * freedom, 0.5, 2.0 * tail);
    let t = (freedom * (1.0 - share) / share).sqrt();
    if probability < 0.5 { -t } else { t }
}

/// P(F >= f) of the F distribution with `between` and `within` degrees of freedom.
pub(super) fn f_above(f: f64, between: f64, within: f64) -> f64 {
    beta_reg(0.5 * within, 0.5 * between, within / (within + between * f))
}

/// P(X >= x) of the chi-squared distribution.
pub(super) fn chi_squared_above(x: f64, freedom: f64) -> f64 {
    if x > 0.0 { gamma_ur(0.5 * freedom, 0.5 * x) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::testing::assert_close;

    /// scipy.stats (1.17.1): 2 * t.sf(t, v), t.ppf(p, v), f.sf(f, a, b), chi2.sf(x, v), norm.sf(z), norm.ppf(p)
    #[test]
    fn tails_and_quantiles_are_scipys() {
        for (t, freedom, expected) in [
            (0.1, 1.0, 0.936548965138893),
            (7.36, 13.0, 5.5032480378786025e-6),
            (2.0, 333.0, 0.04631208291423232),
            (2.0, 200_000.0, 0.04550161367372689),
        ] {
            assert_close(t_beyond(t, freedom), expected, 1e-9);
            assert_close(t_beyond(-t, freedom), expected, 1e-9);
            assert_close(t_above(t, freedom), 0.5 * expected, 1e-9);
            assert_close(t_above(-t, freedom), 1.0 - 0.5 * expected, 1e-9);
        }
        for (probability, freedom, expected) in [
            (0.95, 2.0, 2.919985580353724),
            (0.975, 13.0, 2.1603686564627913),
            (0.995, 5000.0, 2.57681296655628),
            (0.95, 200_000.0, 1.6448612458327154),
            (0.025, 1e6, -1.959966356814107),
        ] {
            assert_close(t_quantile(probability, freedom), expected, 1e-9);
        }
        for (f, between, within, expected) in [
            (0.01, 2.0, 30.0, 0.9900531324547684),
            (6.26, 3.0, 52.0, 0.0010404543754445707),
            (534.53, 2.0, 333.0, 1.1228612511367644e-104),
            (4.48, 4.0, 20_000.0, 0.001283432836301552),
        ] {
            assert_close(f_above(f, between, within), expected, 1e-9);
        }
        for (x, freedom, expected) in [
            (0.1, 2.0, 0.951229424500714),
            (39.17, 3.0, 1.5975351653959266e-8),
            (200.0, 9.0, 3.312992393909567e-38),
        ] {
            assert_close(chi_squared_above(x, freedom), expected, 1e-9);
        }
        assert_close(normal_above(1.96), 0.024997895148220435, 1e-9);
        assert_close(normal_below(-8.0), 6.2209605742717395e-16, 1e-9);
        assert_close(normal_beyond(-1.96), 2.0 * 0.024997895148220435, 1e-9);
        assert_close(normal_quantile(0.001), -3.090232306167813, 1e-12);
        assert_close(normal_density(1.0), 0.24197072451914337, 1e-12);
    }
}
