//! How well the numbers of lesions agree: in one subject, and in their spread over subjects.
//!
//! No published definition of these two was found; they are ours.

use crate::measured::Measured;
use crate::{Error, Result};

/// The lesion count agreement score, 0..1: 1 less the difference of both numbers over the larger one; 1 if both are 0.
pub fn agreement(reference: usize, synthetic: usize) -> f64 {
    match reference.max(synthetic) {
        0 => 1.0,
        larger => 1.0 - reference.abs_diff(synthetic) as f64 / larger as f64,
    }
}

/// The count variance ratio over subjects: the variance (n - 1) of the numbers of lesions in synthetic images over that in
/// real images, in the same order of subjects. 1 where both spread alike.
///
/// # Errors
/// [`Error::Invalid`] if there are not as many numbers of either kind.
pub fn variance_ratio(reference: &[usize], synthetic: &[usize]) -> Result<Measured<f64>> {
    if reference.len() != synthetic.len() {
        return Err(Error::Invalid(format!(
            "lesions of {} real and {} synthetic images: each subject needs both",
            reference.len(),
            synthetic.len()
        )));
    }
    if reference.len() < 2 {
        return Ok(Measured::undefined("fewer than two subjects"));
    }
    let reason = "all real images have the same number of lesions";
    Ok(Measured::quotient(variance(synthetic), variance(reference), reason))
}

/// Sample variance; exactly 0 for equal numbers.
fn variance(counts: &[usize]) -> f64 {
    let mean = counts.iter().map(|&count| count as f64).sum::<f64>() / counts.len() as f64;
    counts.iter().map(|&count| (count as f64 - mean).powi(2)).sum::<f64>() / (counts.len() - 1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{assert_near, number, read};
    use proptest::prelude::*;

    #[test]
    fn agreement_of_five_and_six_is_five_sixths() {
        assert_near(agreement(5, 6), 0.833_333_333_333_333_4);
        assert_eq!(
            [agreement(0, 0), agreement(0, 4), agreement(4, 0), agreement(7, 7)],
            [1.0, 0.0, 0.0, 1.0]
        );
        if let Some(file) = read("image_ops.json") {
            assert_near(agreement(5, 6), number(&file, "/count_scores_assumed/lcas"));
        }
    }

    #[test]
    fn variances_are_of_samples() {
        // Variances of 1, 2, 3, 4 and of 2, 4, 6, 8: 5/3 and 20/3.
        assert_near(*variance_ratio(&[1, 2, 3, 4], &[2, 4, 6, 8]).unwrap().value().unwrap(), 4.0);
        assert_eq!(variance_ratio(&[1, 2], &[3, 3]).unwrap().value(), Some(&0.0));
        assert!(variance_ratio(&[3, 3, 3], &[1, 2, 3]).unwrap().reason().unwrap().contains("same number"));
        for one_or_none in [&[][..], &[5]] {
            assert_eq!(
                variance_ratio(one_or_none, one_or_none).unwrap().reason(),
                Some(&"fewer than two subjects")
            );
        }
        assert!(variance_ratio(&[1, 2], &[1]).is_err());
    }

    proptest! {
        #[test]
        fn agreement_is_symmetric_and_within_its_range(a in 0_usize..100, b in 0_usize..100) {
            prop_assert_eq!(agreement(a, b), agreement(b, a));
            prop_assert!((0.0..=1.0).contains(&agreement(a, b)));
        }

        #[test]
        fn equal_counts_have_no_variance(count in 0_usize..1000, subjects in 2_usize..40) {
            let counts = vec![count; subjects];
            prop_assert!(variance_ratio(&counts, &counts).unwrap().reason().is_some());
        }
    }
}
