//! Do two prepared scans go together: one head, one study, the contrasts that they are said to be?

use std::ops::RangeInclusive;

use mrisynth::prepare::normalize::percentile;
use mrisynth::prepare::register::{Registration, template};
use mrisynth::{Transform, Volume};

use crate::error::Error;

/// Voxels in common (Dice) of the brains of two scans of one head, once registered. The masks are found separately.
const LEAST_OVERLAP: f64 = 0.9;
/// How much two scans of one head tell of each other ([`Registration::similarity`]): 0.2 and more in clinical scans, less
/// where noise is strong, and hardly more than 0.05 where the heads are not one.
const LEAST_SIMILARITY: f64 = 0.085;
/// A patient does not turn or move farther than this between two scans of a study, in degrees and millimetres.
const LARGEST_TURN: f64 = 30.0;
const LARGEST_SHIFT: f64 = 60.0;
/// About the middle of MNI152's brain, in millimetres.
const MIDDLE: [f64; 3] = [0.0, -18.0, 8.0];
/// A box around the lateral ventricles of MNI152, in millimetres.
const VENTRICLES: [RangeInclusive<f64>; 3] = [-30.0..=30.0, -45.0..=35.0, 0.0..=32.0];
/// In that box the template is fluid below the first, and white matter above the second of these percentiles.
const FLUID_PERCENT: f64 = 5.0;
const WHITE_PERCENT: f64 = 80.0;

/// How far the patient moved between two scans, if their headers place both in one scanner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Motion {
    pub(crate) degrees: f64,
    pub(crate) millimetres: f64,
}

impl Motion {
    /// Of the middle of MNI152's brain, which lies in the T1w scan where `standard_to_t1w` leads.
    pub(crate) fn of(rigid: &Transform, standard_to_t1w: &Transform) -> Self {
        let rows = rigid.rows();
        // The trace of a rotation is 1 + 2 cos(angle).
        let cosine = (rows[0][0] + rows[1][1] + rows[2][2] - 1.0) / 2.0;
        let before = standard_to_t1w.apply(MIDDLE);
        let after = rigid.apply(before);
        let millimetres = (0..3).map(|axis| (after[axis] - before[axis]).powi(2)).sum::<f64>().sqrt();
        Self { degrees: cosine.clamp(-1.0, 1.0).acos().to_degrees(), millimetres }
    }
}

/// Why two scans cannot be of one head in one study; empty if they can.
pub(crate) fn doubts_about_study(found: &Registration, motion: &Motion) -> Vec<String> {
    let mut doubts = Vec::new();
    if found.overlap < LEAST_OVERLAP {
        doubts.push(format!(
            "registered to each other, their brains overlap with a Dice of only {:.2}: are they of one head?",
            found.overlap
        ));
    }
    if found.similarity < LEAST_SIMILARITY {
        doubts.push(format!(
            "inside the brain they tell next to nothing of each other (similarity {:.3}): are they of one head?",
            found.similarity
        ));
    }
    if motion.degrees > LARGEST_TURN || motion.millimetres > LARGEST_SHIFT {
        doubts.push(format!(
            "the headers place the two heads {:.0} degrees and {:.0} mm apart",
            motion.degrees, motion.millimetres
        ));
    }
    if let Some(orientation) = &found.better_orientation {
        doubts.push(format!("{orientation} in the T2w scan: one header's orientation seems wrong"));
    }
    doubts
}

/// Why the scans are not of the contrasts that they are said to be; empty if they seem to be.
///
/// In a T1w scan white matter is brighter than the fluid of the ventricles, in a T2w scan it is darker.
pub(crate) fn doubts_about_contrasts(t1w: &Volume, t2w: &Volume) -> Result<Vec<String>, Error> {
    let regions = Regions::new()?;
    let mut doubts = Vec::new();
    let (in_t1w, in_t2w) = (regions.white_over_fluid(t1w), regions.white_over_fluid(t2w));
    if in_t1w < 1.0 {
        doubts.push(format!(
            "fluid is brighter than white matter in the T1w scan (ratio {in_t1w:.2}): it looks like a T2w scan"
        ));
    }
    if in_t2w > 1.0 {
        doubts.push(format!(
            "fluid is darker than white matter in the T2w scan (ratio {in_t2w:.2}): it looks like a T1w scan"
        ));
    }
    Ok(doubts)
}

/// Voxels of the MNI152 grid that are ventricle or white matter in most heads, once a head is placed there.
struct Regions {
    fluid: Vec<[usize; 3]>,
    white: Vec<[usize; 3]>,
}

impl Regions {
    /// The darkest and the brightest parts of the template in a box around the lateral ventricles.
    fn new() -> Result<Self, Error> {
        let template = template::brain()?;
        let map = template.affine().to_indices_of(&template::standard_grid().affine);
        let mut near = Vec::new();
        for ((i, j, k), &value) in template.voxels().indexed_iter() {
            let index = [i as f64, j as f64, k as f64];
            let place = template.affine().to_millimetres(index);
            if value > 0.0 && (0..3).all(|axis| VENTRICLES[axis].contains(&place[axis])) {
                // Eight voxels of the MNI152 grid make one of the template: this is the first of them.
                near.push((value, map.apply(index).map(|at| at.max(0.0) as usize)));
            }
        }
        let mut values: Vec<f32> = near.iter().map(|(value, _)| *value).collect();
        let limit = |values: &mut [f32], percent| {
            percentile(values, percent).ok_or_else(|| Error::Data("the template has no ventricles".into()))
        };
        let (dark, bright) = (limit(&mut values, FLUID_PERCENT)?, limit(&mut values, WHITE_PERCENT)?);
        let part = |wanted: &dyn Fn(f32) -> bool| {
            near.iter().filter(|(value, _)| wanted(*value)).map(|(_, index)| *index).collect()
        };
        Ok(Self { fluid: part(&|value| value < dark), white: part(&|value| value > bright) })
    }

    /// The median of white matter over that of fluid in a scan on the MNI152 grid.
    fn white_over_fluid(&self, scan: &Volume) -> f64 {
        let median = |part: &[[usize; 3]]| {
            let mut values: Vec<f32> =
                part.iter().filter_map(|index| scan.voxels().get(*index).copied()).collect();
            f64::from(percentile(&mut values, 50.0).unwrap_or(0.0))
        };
        median(&self.white) / median(&self.fluid).max(1e-6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Registration {
        Registration {
            transform: Transform::IDENTITY,
            similarity: 0.21,
            overlap: 0.96,
            in_view: 1.0,
            stretch: [1.0; 3],
            better_orientation: None,
        }
    }

    #[test]
    fn a_turn_and_a_shift_are_told_as_they_are() {
        let (sin, cos) = 20_f64.to_radians().sin_cos();
        let rigid = Transform::from_rows([
            [cos, -sin, 0.0, 0.0],
            [sin, cos, 0.0, 0.0],
            [0.0, 0.0, 1.0, 40.0],
            [0.0, 0.0, 0.0, 1.0],
        ])
        .unwrap();
        // To where the turn's axis is: the middle then moves along it alone.
        let shift = Transform::from_rows([
            [1.0, 0.0, 0.0, -MIDDLE[0]],
            [0.0, 1.0, 0.0, -MIDDLE[1]],
            [0.0, 0.0, 1.0, 7.0],
            [0.0, 0.0, 0.0, 1.0],
        ])
        .unwrap();
        let motion = Motion::of(&rigid, &shift);
        assert!((motion.degrees - 20.0).abs() < 1e-9 && (motion.millimetres - 40.0).abs() < 1e-9);
        assert!(doubts_about_study(&good(), &motion).is_empty());
    }

    #[test]
    fn each_doubt_about_a_study_has_its_own_words() {
        let still = Motion { degrees: 0.0, millimetres: 0.0 };
        let turned = Some("the patient seems upside down".to_owned());
        for (found, motion, word) in [
            (Registration { overlap: 0.85, ..good() }, still, "Dice of only 0.85"),
            (Registration { similarity: 0.05, ..good() }, still, "similarity 0.050"),
            (good(), Motion { degrees: 45.0, ..still }, "45 degrees and 0 mm"),
            (good(), Motion { millimetres: 100.0, ..still }, "0 degrees and 100 mm"),
            (Registration { better_orientation: turned, ..good() }, still, "upside down"),
        ] {
            let doubts = doubts_about_study(&found, &motion);
            assert!(doubts.len() == 1 && doubts[0].contains(word), "{word}: {doubts:?}");
        }
    }

    #[test]
    fn contrasts_are_told_by_the_ventricles() {
        let regions = Regions::new().unwrap();
        assert!(regions.fluid.len() > 500 && regions.white.len() > 2000);
        let with = |white, fluid| {
            let mut scan = Volume::zeros(&template::standard_grid()).unwrap();
            scan.as_mut_slice().fill(0.5);
            regions.white.iter().for_each(|index| scan.voxels_mut()[*index] = white);
            regions.fluid.iter().for_each(|index| scan.voxels_mut()[*index] = fluid);
            scan
        };
        let (t1w, t2w) = (with(0.9, 0.2), with(0.3, 1.0));
        assert!(doubts_about_contrasts(&t1w, &t2w).unwrap().is_empty());
        let swapped = doubts_about_contrasts(&t2w, &t1w).unwrap();
        assert!(swapped[0].contains("looks like a T2w scan"), "{swapped:?}");
        assert!(swapped[1].contains("looks like a T1w scan"), "{swapped:?}");
        assert_eq!(doubts_about_contrasts(&t1w, &t1w).unwrap().len(), 1);
    }
}
