//! Lesions found and missed: lesion-wise sensitivity, precision and F1, by an overlap rule that is named.

use std::collections::BTreeMap;

use mrisynth::prepare::morphology::{self, Connectivity};
use ndarray::{Array3, ArrayView3};
use serde::Serialize;

use super::around_both;
use crate::extent::{check_same, check_sizes};
use crate::measured::Measured;
use crate::{Error, Result};

/// What a lesion is and when it counts as found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rule {
    /// Voxels that are neighbours in this sense belong to one lesion.
    pub connectivity: Connectivity,
    /// A lesion is larger than this, in cubic millimetres; smaller ones are left out of both masks. 0 leaves out none.
    pub larger_than_mm3: f64,
    /// How much of a lesion must be found.
    pub overlap: Overlap,
}

/// When a lesion of one mask counts as found by the other mask.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// If one voxel is common.
    Any,
    /// If more than a share of it is common, and the lesions of the other mask that make up most of this do not lie mostly
    /// elsewhere.
    Strict {
        /// The share of the lesion that must be passed (alpha), 0..1.
        common: f64,
        /// No contributing lesion may have more than this share of itself outside of all lesions (beta), 0..1.
        most_outside: f64,
        /// Contributing lesions, the largest contribution first, are looked at until they make up this share of what is
        /// common (gamma), 0..1.
        looked_at: f64,
    },
}

impl Rule {
    /// The WMH segmentation challenge's (Kuijf et al. 2019, IEEE Transactions on Medical Imaging 38): 26 neighbours, any
    /// overlap, lesions of any size.
    pub const WMH_CHALLENGE: Self =
        Self { connectivity: Connectivity::Corners, larger_than_mm3: 0.0, overlap: Overlap::Any };

    /// That of Anima and the MSSEG challenge (Commowick et al. 2018, Scientific Reports 8:13650): 6 neighbours, lesions above
    /// 3 mm3, more than 10 % overlap (alpha), at most 70 % outside (beta) of lesions that make up 65 % of it (gamma).
    pub const ANIMA: Self = Self {
        connectivity: Connectivity::Faces,
        larger_than_mm3: 3.0,
        overlap: Overlap::Strict { common: 0.1, most_outside: 0.7, looked_at: 0.65 },
    };

    /// The lesions of a mask with voxels of this volume in cubic millimetres: the voxels of each.
    fn lesions(&self, mask: ArrayView3<'_, bool>, voxel_mm3: f64) -> Vec<Vec<[usize; 3]>> {
        let mut lesions = morphology::components(&mask, self.connectivity);
        lesions.retain(|lesion| lesion.len() as f64 * voxel_mm3 > self.larger_than_mm3);
        lesions
    }

    fn check(&self) -> Result<()> {
        if !(self.larger_than_mm3.is_finite() && self.larger_than_mm3 >= 0.0) {
            return Err(Error::Invalid(format!(
                "lesions larger than {} mm3: the bound must be 0 or more",
                self.larger_than_mm3
            )));
        }
        if let Overlap::Strict { common, most_outside, looked_at } = self.overlap
            && let Some(share) = [common, most_outside, looked_at].iter().find(|s| !(0.0..=1.0).contains(*s))
        {
            return Err(Error::Invalid(format!("a share of {share} in the overlap rule: it must be 0 to 1")));
        }
        Ok(())
    }
}

/// How many lesions of each mask the other mask finds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Detection {
    /// The rule that decided.
    pub rule: Rule,
    /// Lesions in the real image's mask.
    pub reference: usize,
    /// Lesions in the synthetic image's mask.
    pub synthetic: usize,
    /// Lesions of the real image's mask that the synthetic image's mask finds.
    pub reference_found: usize,
    /// Lesions of the synthetic image's mask that the real image's mask finds.
    pub synthetic_found: usize,
    /// Share of the real image's lesions that are found, 0..1; undefined if it has none (where the WMH challenge's code
    /// says 1).
    pub sensitivity: Measured<f64>,
    /// Share of the synthetic image's lesions that are there, 0..1; undefined if it has none (where the WMH challenge's
    /// code says 1).
    pub precision: Measured<f64>,
    /// Harmonic mean of both, 0..1. 1 where neither mask has a lesion, 0 where one has none or nothing is found.
    pub f1: f64,
}

/// Compares the lesions of two masks with voxels of these sizes in millimetres.
///
/// # Errors
/// [`Error::Invalid`] if the masks differ in size, a voxel size is not 0.01 to 100 mm, or a number of the rule is out of range.
pub fn detection(
    reference: ArrayView3<'_, bool>,
    synthetic: ArrayView3<'_, bool>,
    sizes: [f64; 3],
    rule: &Rule,
) -> Result<Detection> {
    Ok(Matched::between(reference, synthetic, sizes, rule)?.detection())
}

/// The lesions of two masks by one rule, and what they share.
pub(super) struct Matched {
    rule: Rule,
    /// The voxels of each lesion of the real image's mask; places in the box around both masks.
    pub(super) reference: Vec<Vec<[usize; 3]>>,
    /// The voxels of each lesion of the synthetic image's mask.
    pub(super) synthetic: Vec<Vec<[usize; 3]>>,
    overlaps: Overlaps,
}

impl Matched {
    /// The lesions of both masks; the errors are those of [`detection`].
    pub(super) fn between(
        reference: ArrayView3<'_, bool>,
        synthetic: ArrayView3<'_, bool>,
        sizes: [f64; 3],
        rule: &Rule,
    ) -> Result<Self> {
        check_same(
            ("the real image's mask", reference.dim()),
            ("the synthetic image's mask", synthetic.dim()),
        )?;
        check_sizes(sizes)?;
        rule.check()?;
        let voxel_mm3 = sizes.iter().product();
        let masks = around_both(reference, synthetic);
        let [first, second] = masks.map(|mask| rule.lesions(mask, voxel_mm3));
        let overlaps = Overlaps::between(&first, &second, masks[0].dim());
        Ok(Self { rule: *rule, reference: first, synthetic: second, overlaps })
    }

    /// Lesions of the real image without a voxel in one of the synthetic image's.
    pub(super) fn failed(&self) -> usize {
        self.reference.len() - self.overlaps.found(Overlap::Any)
    }

    pub(super) fn detection(&self) -> Detection {
        let (reference, synthetic) = (self.reference.len(), self.synthetic.len());
        let reference_found = self.overlaps.found(self.rule.overlap);
        let synthetic_found = self.overlaps.transposed().found(self.rule.overlap);
        let share = |found: usize, all: usize, reason| Measured::quotient(found as f64, all as f64, reason);
        let sensitivity = share(reference_found, reference, "the real image has no lesion");
        let precision = share(synthetic_found, synthetic, "the synthetic image has no lesion");
        Detection {
            rule: self.rule,
            reference,
            synthetic,
            reference_found,
            synthetic_found,
            sensitivity,
            precision,
            f1: f1(sensitivity, precision),
        }
    }
}

fn f1(sensitivity: Measured<f64>, precision: Measured<f64>) -> f64 {
    match (sensitivity.value(), precision.value()) {
        (None, None) => 1.0,
        (Some(sensitivity), Some(precision)) if sensitivity + precision > 0.0 => {
            2.0 * sensitivity * precision / (sensitivity + precision)
        }
        _ => 0.0,
    }
}

/// How many voxels each lesion of one mask has in common with each of another.
struct Overlaps {
    /// Voxels of each lesion.
    sizes: Vec<usize>,
    /// Voxels of each lesion of the other mask.
    other_sizes: Vec<usize>,
    /// Common voxels of a lesion and one of the other mask, where there are any.
    common: BTreeMap<(usize, usize), usize>,
}

impl Overlaps {
    fn between(lesions: &[Vec<[usize; 3]>], others: &[Vec<[usize; 3]>], dim: (usize, usize, usize)) -> Self {
        // 0 where there is no lesion of the other mask, else one more than its number.
        let mut other_at = Array3::<usize>::zeros(dim);
        for (other, voxels) in others.iter().enumerate() {
            voxels.iter().for_each(|&voxel| other_at[voxel] = other + 1);
        }
        let mut common = BTreeMap::new();
        for (lesion, voxels) in lesions.iter().enumerate() {
            for other in voxels.iter().filter_map(|&voxel| other_at[voxel].checked_sub(1)) {
                *common.entry((lesion, other)).or_default() += 1;
            }
        }
        let sizes = |lesions: &[Vec<[usize; 3]>]| lesions.iter().map(Vec::len).collect();
        Self { sizes: sizes(lesions), other_sizes: sizes(others), common }
    }

    /// The same seen from the other mask.
    fn transposed(&self) -> Self {
        Self {
            sizes: self.other_sizes.clone(),
            other_sizes: self.sizes.clone(),
            common: self.common.iter().map(|(&(lesion, other), &voxels)| ((other, lesion), voxels)).collect(),
        }
    }

    /// How many lesions count as found.
    fn found(&self, rule: Overlap) -> usize {
        let outside = self.other_shares_outside();
        (0..self.sizes.len()).filter(|&lesion| self.is_found(lesion, rule, &outside)).count()
    }

    fn is_found(&self, lesion: usize, rule: Overlap, outside: &[f64]) -> bool {
        let mut contributions: Vec<(usize, usize)> = self
            .common
            .range((lesion, 0)..(lesion + 1, 0))
            .map(|(&(_, other), &voxels)| (other, voxels))
            .collect();
        let common: usize = contributions.iter().map(|(_, voxels)| voxels).sum();
        match rule {
            Overlap::Any => common > 0,
            Overlap::Strict { common: least, most_outside, looked_at } => {
                if common == 0 || common as f64 <= least * self.sizes[lesion] as f64 {
                    return false;
                }
                // The largest first; of equals, the first in memory.
                contributions.sort_by_key(|(_, voxels)| std::cmp::Reverse(*voxels));
                let mut seen = 0.0;
                for (other, voxels) in contributions {
                    if outside[other] > most_outside {
                        return false;
                    }
                    seen += voxels as f64 / common as f64;
                    if seen >= looked_at {
                        break;
                    }
                }
                true
            }
        }
    }

    /// For each lesion of the other mask, the share of it that lies in no lesion of this one.
    fn other_shares_outside(&self) -> Vec<f64> {
        let mut outside = self.other_sizes.clone();
        self.common.iter().for_each(|((_, other), voxels)| outside[*other] -= voxels);
        outside.iter().zip(&self.other_sizes).map(|(&outside, &size)| outside as f64 / size as f64).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{assert_near, number, read};
    use crate::lesions::tests::{SIZES, balls, masks, random_masks, shifted};
    use proptest::prelude::*;

    fn of(reference: &Array3<bool>, synthetic: &Array3<bool>, rule: &Rule) -> Detection {
        detection(reference.view(), synthetic.view(), SIZES, rule).unwrap()
    }

    /// SciPy's labels and counts, as `lesion.json` of the shared files has them for each connectivity.
    #[test]
    fn any_overlap_agrees_with_scipys_labels() {
        let (reference, synthetic) = masks();
        for connectivity in [Connectivity::Faces, Connectivity::Edges, Connectivity::Corners] {
            let found = of(&reference, &synthetic, &Rule { connectivity, ..Rule::WMH_CHALLENGE });
            assert_eq!((found.reference, found.synthetic), (5, 6));
            assert_eq!((found.reference_found, found.synthetic_found), (3, 4));
            assert_near(*found.sensitivity.value().unwrap(), 0.6);
            assert_near(*found.precision.value().unwrap(), 0.666_666_666_666_666_6);
            assert_near(found.f1, 0.631_578_947_368_421);
        }
    }

    /// Anima's rule on the same masks, as `image_ops.json` of the shared files has it.
    #[test]
    fn the_strict_rule_agrees_with_anima() {
        let (reference, synthetic) = masks();
        let found = of(&reference, &synthetic, &Rule::ANIMA);
        assert_eq!((found.reference, found.synthetic), (5, 6));
        assert_eq!((found.reference_found, found.synthetic_found), (3, 1));
        assert_near(found.f1, 0.260_869_565_217_391_3);
    }

    #[test]
    fn agrees_with_the_shared_values() {
        let (reference, synthetic) = masks();
        if let Some(file) = read("lesion.json") {
            for (key, connectivity) in [
                ("lesionwise_conn1(6)", Connectivity::Faces),
                ("lesionwise_conn2(18)", Connectivity::Edges),
                ("lesionwise_conn3(26)", Connectivity::Corners),
            ] {
                let found = of(&reference, &synthetic, &Rule { connectivity, ..Rule::WMH_CHALLENGE });
                let value = |name| number(&file, &format!("/{key}/{name}"));
                assert_eq!(found.reference_found as f64, value("gt_detected_any_overlap"));
                assert_eq!(found.synthetic_found as f64, value("pred_matched_any_overlap"));
                assert_near(*found.sensitivity.value().unwrap(), value("ltpr"));
                assert_near(*found.precision.value().unwrap(), value("lppv"));
                assert_near(found.f1, value("f1_harmonic"));
            }
        }
        if let Some(file) = read("image_ops.json") {
            let found = of(&reference, &synthetic, &Rule::ANIMA);
            let value = |name| number(&file, &format!("/anima_f1_on_lesion_json/{name}"));
            assert_eq!(found.reference as f64, value("n_gt"));
            assert_eq!(found.synthetic as f64, value("n_pred"));
            assert_eq!(found.reference_found as f64, value("tp_gt"));
            assert_eq!(found.synthetic_found as f64, value("tp_pred"));
            assert_near(*found.sensitivity.value().unwrap(), value("sens"));
            assert_near(*found.precision.value().unwrap(), value("ppv"));
            assert_near(found.f1, value("f1"));
        }
    }

    /// A line of voxels along the last axis, from one place to before another.
    fn line(parts: &[(usize, usize)]) -> Array3<bool> {
        Array3::from_shape_fn((1, 1, 60), |(_, _, k)| {
            parts.iter().any(|(from, to)| (*from..*to).contains(&k))
        })
    }

    fn strict(reference: &[(usize, usize)], synthetic: &[(usize, usize)]) -> usize {
        let cubes = [1.0; 3];
        detection(line(reference).view(), line(synthetic).view(), cubes, &Rule::ANIMA)
            .unwrap()
            .reference_found
    }

    #[test]
    fn the_strict_rule_follows_its_three_shares() {
        let lesion = (10, 30);
        // More than 10 % of 20 voxels are 3.
        assert_eq!(strict(&[lesion], &[(8, 12)]), 0);
        assert_eq!(strict(&[lesion], &[(8, 13)]), 1);
        // 7 of 10 voxels outside are 70 %, 8 of 11 are more.
        assert_eq!(strict(&[lesion], &[(3, 13)]), 1);
        assert_eq!(strict(&[lesion], &[(2, 13)]), 0);
        // What lies in another lesion is not outside.
        assert_eq!(strict(&[lesion, (0, 8)], &[(2, 13)]), 2);
        // A lesion mostly outside is overlooked if the larger one makes up 65 % of what is common: 8 of 12, not 7 of 12.
        assert_eq!(strict(&[lesion], &[(12, 20), (26, 60)]), 1);
        assert_eq!(strict(&[lesion], &[(12, 19), (25, 60)]), 0);
        // 3 voxels of 1 mm3 are not above 3 mm3.
        assert_eq!(strict(&[(10, 13)], &[(10, 13)]), 0);
        assert_eq!(strict(&[(10, 14)], &[(10, 14)]), 1);
    }

    #[test]
    fn masks_without_lesions_have_defined_results() {
        let (mask, _) = masks();
        let empty = Array3::from_elem(mask.dim(), false);
        for rule in [Rule::WMH_CHALLENGE, Rule::ANIMA] {
            let none = of(&empty, &empty, &rule);
            assert_eq!((none.f1, none.reference, none.synthetic), (1.0, 0, 0));
            assert_eq!(none.sensitivity.reason(), Some(&"the real image has no lesion"));
            let missed = of(&mask, &empty, &rule);
            assert_eq!((missed.f1, missed.sensitivity.value()), (0.0, Some(&0.0)));
            assert_eq!(missed.precision.reason(), Some(&"the synthetic image has no lesion"));
            let invented = of(&empty, &mask, &rule);
            assert_eq!((invented.f1, invented.precision.value()), (0.0, Some(&0.0)));
        }
        // Lesions on both sides that do not touch.
        let apart = of(&balls(&[([4, 4, 4], 1)]), &balls(&[([12, 12, 12], 1)]), &Rule::WMH_CHALLENGE);
        assert_eq!((apart.f1, apart.sensitivity.value()), (0.0, Some(&0.0)));
    }

    #[test]
    fn senseless_rules_are_refused() {
        let (mask, _) = masks();
        let refused = |rule| detection(mask.view(), mask.view(), SIZES, &rule).is_err();
        assert!(refused(Rule { larger_than_mm3: f64::NAN, ..Rule::ANIMA }));
        let overlap = Overlap::Strict { common: 1.5, most_outside: 0.7, looked_at: 0.65 };
        assert!(refused(Rule { overlap, ..Rule::ANIMA }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn exchanging_the_masks_exchanges_sensitivity_and_precision((a, b) in random_masks()) {
            for rule in [Rule::WMH_CHALLENGE, Rule::ANIMA] {
                let (there, back) = (of(&a, &b, &rule), of(&b, &a, &rule));
                prop_assert_eq!(there.reference_found, back.synthetic_found);
                prop_assert_eq!(there.synthetic_found, back.reference_found);
                prop_assert!((there.f1 - back.f1).abs() < 1e-12);
                prop_assert!(there.reference_found <= there.reference);
            }
        }

        #[test]
        fn shifting_both_masks_changes_nothing((a, b) in random_masks(), shift in prop::array::uniform3(0_usize..4)) {
            for rule in [Rule::WMH_CHALLENGE, Rule::ANIMA] {
                prop_assert_eq!(of(&a, &b, &rule), of(&shifted(&a, shift), &shifted(&b, shift), &rule));
            }
        }

        #[test]
        fn what_is_found_strictly_is_found_by_any_overlap((a, b) in random_masks()) {
            let rule = Rule { overlap: Overlap::Any, ..Rule::ANIMA };
            prop_assert!(of(&a, &b, &Rule::ANIMA).reference_found <= of(&a, &b, &rule).reference_found);
        }
    }
}
