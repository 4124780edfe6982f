//! Effect sizes: differences of means in standard deviations.

use super::sample::{self, Differences};
use super::undefined::Undefined;

/// Cohen's d of two independent groups: the first mean less the second one, over the pooled standard deviation (Cohen 1988).
///
/// # Errors
/// [`Undefined`] if a group has less than two values, a value cannot be computed with, or there is no spread.
pub fn cohen_d(first: &[f64], second: &[f64]) -> Result<f64, Undefined> {
    sample::check(first, 2)?;
    sample::check(second, 2)?;
    if !sample::vary(first) && !sample::vary(second) {
        return Err(Undefined::NoSpread);
    }
    let freedom = (first.len() + second.len() - 2) as f64;
    let pooled = (sample::squares(first) + sample::squares(second)) / freedom;
    Ok((sample::mean(first) - sample::mean(second)) / pooled.sqrt())
}

/// Hedges's g: Cohen's d of two independent groups without its bias in small ones, by the factor 1 - 3 / (4 df - 1)
/// (Hedges 1981).
///
/// # Errors
/// Those of [`cohen_d`].
pub fn hedges_g(first: &[f64], second: &[f64]) -> Result<f64, Undefined> {
    let freedom = (first.len() + second.len()) as f64 - 2.0;
    Ok(cohen_d(first, second)? * (1.0 - 3.0 / (4.0 * freedom - 1.0)))
}

/// Cohen's d_z of paired values: the mean of the differences first - second over their standard deviation. The more alike two
/// methods rank the subjects, the larger it is than d.
///
/// The paper does not say which d its Table 2 has; pooled it would be smaller by a factor of 1.5 to 3 in the cohort of 112
/// people, so it is more likely this one.
///
/// # Errors
/// [`Undefined`] if there are less than two pairs, lengths differ, a value cannot be computed with, or all differences are
/// equal.
pub fn cohen_d_z(first: &[f64], second: &[f64]) -> Result<f64, Undefined> {
    let differences = Differences::of(first, second, 2)?;
    differences.vary()?;
    Ok(sample::mean(&differences.values) / sample::variance(&differences.values).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::testing::{assert_close, golden_groups};

    /// pingouin.compute_effsize(g3, g1, eftype='cohen'), 'hedges', and (g3 - g1).mean() / (g3 - g1).std(ddof=1)
    #[test]
    fn golden_groups_have_pingouins_effects() {
        let [first, _, third, _] = golden_groups();
        assert_close(cohen_d(&third, &first).unwrap(), 1.502523392303569, 1e-9);
        assert_close(hedges_g(&third, &first).unwrap(), 1.4587605750520087, 1e-9);
        assert_close(cohen_d_z(&third, &first).unwrap(), 3.3043348429231534, 1e-9);
        assert_close(cohen_d(&first, &third).unwrap(), -1.502523392303569, 1e-9);
    }

    /// Tables 1 and 2 of the paper, HCP, T2w to T1w, PSNR of 112 people: means with their 95 % intervals, and Cohen's d.
    #[test]
    fn the_papers_d_is_not_the_pooled_one() {
        let methods: [(f64, f64, f64); 3] =
            [(26.880, 26.40, 27.37), (26.190, 25.75, 26.63), (28.520, 27.85, 29.19)];
        let deviation = |(_, low, high): (f64, f64, f64)| {
            0.5 * (high - low) * 112.0_f64.sqrt() / crate::statistics::distributions::t_quantile(0.975, 111.0)
        };
        let pooled = |a: (f64, f64, f64), b: (f64, f64, f64)| {
            (a.0 - b.0) / (0.5 * (deviation(a).powi(2) + deviation(b).powi(2))).sqrt()
        };
        let [plain, normalized, paired] = methods;
        for (pooled, paper) in [
            (pooled(plain, normalized), 0.79),
            (pooled(normalized, paired), -1.32),
            (pooled(plain, paired), -0.92),
        ] {
            let factor: f64 = paper / pooled;
            assert!((1.5..3.0).contains(&factor), "{paper} is {factor} times {pooled}");
        }
    }

    #[test]
    fn groups_may_differ_in_size() {
        // Means 2 and 5, squares 2 and 8 over 3 degrees of freedom.
        let (first, second) = ([1.0, 2.0, 3.0], [3.0, 7.0]);
        let d = -3.0 / (10.0_f64 / 3.0).sqrt();
        assert_close(cohen_d(&first, &second).unwrap(), d, 1e-12);
        assert_close(hedges_g(&first, &second).unwrap(), d * (1.0 - 3.0 / 11.0), 1e-12);
    }

    #[test]
    fn faults_are_named() {
        assert_eq!(cohen_d(&[1.0], &[1.0, 2.0]), Err(Undefined::TooFew { found: 1, least: 2 }));
        assert_eq!(hedges_g(&[1.0, 1.0], &[2.0, 2.0]), Err(Undefined::NoSpread));
        assert_eq!(hedges_g(&[], &[]), Err(Undefined::TooFew { found: 0, least: 2 }));
        assert_eq!(cohen_d_z(&[1.0, 2.0], &[2.0, 3.0]), Err(Undefined::ConstantDifference(-1.0)));
    }
}
