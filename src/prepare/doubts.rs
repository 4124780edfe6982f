//! Is this a head whose brain was found and placed? What no radiologist would accept is refused; what needs a look is
//! warned of.

use ndarray::Array3;

use super::extract::Extraction;
use super::register::Registration;
use crate::plausible;
use crate::volume::Volume;

/// How much larger or smaller along an axis than MNI152 a head can be; MNI152's is larger than most.
const SCALE_RANGE: std::ops::RangeInclusive<f64> = 0.6..=1.4;
/// What is worth a warning, and what is refused: two limits of one quantity.
struct Limits {
    warn: f64,
    refuse: f64,
}

/// The share of the template's brain outside the field of view.
const OUT_OF_VIEW: Limits = Limits { warn: 0.02, refuse: 0.15 };
/// Voxels in common (Dice) of the scan's brain and the template's, of those that could be with this field of view. The
/// outlines of made-up shapes fit less well than those of brains (`tests/preparation.rs`).
const LEAST_OVERLAP: Limits = Limits { warn: 0.935, refuse: 0.915 };
/// How much the scan and the template tell of each other ([`Registration::similarity`]): next to nothing where the outline
/// is a brain's, but nothing in it is (`tests/preparation.rs`).
const LEAST_SIMILARITY: Limits = Limits { warn: 0.045, refuse: 0.035 };
/// Voxels longer than this, in millimetres, hide what lies in them.
const LONGEST_VOXEL: Limits = Limits { warn: 7.0, refuse: 12.0 };

/// The sharpness with which the network sees a real brain's surface is higher.
const LEAST_SHARPNESS: f64 = 0.5;

/// Why the brain that the network sees is not to be trusted; empty if it is.
pub fn of_extraction(extraction: &Extraction) -> Vec<String> {
    if extraction.already_stripped || extraction.sharpness >= LEAST_SHARPNESS {
        return Vec::new();
    }
    vec![format!(
        "the surface of a brain is hardly to be seen (sharpness {:.2}): is this a head?",
        extraction.sharpness
    )]
}

/// Why the brain that was found cannot be one; empty if it can.
pub fn of_brain(scan: &Volume, brain: &Array3<bool>) -> Vec<String> {
    let mut doubts = plausible::doubts_about_brain(scan, brain);
    let thickest = scan.affine().voxel_sizes().into_iter().fold(0.0, f64::max);
    if thickest > LONGEST_VOXEL.refuse {
        doubts.push(format!("voxels of {thickest:.1} mm hide most of the brain"));
    }
    doubts
}

/// Warnings and reasons to refuse, in this order.
pub fn of_registration(scan: &Volume, registration: &Registration) -> (Vec<String>, Vec<String>) {
    let (mut warnings, mut refusals) = (Vec::new(), Vec::new());
    for (axis, scale) in ["right to left", "back to front", "bottom to top"].iter().zip(registration.stretch)
    {
        if !SCALE_RANGE.contains(&scale) {
            refusals.push(format!("the brain would be {scale:.2} times as long as MNI152's, from {axis}"));
        }
    }
    if let Some(orientation) = &registration.better_orientation {
        refusals.push(format!("{orientation}: the header's orientation seems wrong"));
    }
    let overlap = registration.overlap / best_overlap(registration.in_view);
    let text =
        format!("the brain and that of MNI152 overlap with a Dice of {overlap:.2} of the best in this view");
    sort(overlap < LEAST_OVERLAP.warn, overlap < LEAST_OVERLAP.refuse, text, &mut warnings, &mut refusals);
    let similarity = registration.similarity;
    let text = format!(
        "inside the brain the scan is hardly like MNI152 (similarity {similarity:.3}): is this a head?"
    );
    sort(
        similarity < LEAST_SIMILARITY.warn,
        similarity < LEAST_SIMILARITY.refuse,
        text,
        &mut warnings,
        &mut refusals,
    );
    let outside = 1.0 - registration.in_view;
    let text = format!("the field of view leaves out {:.0} % of the brain", 100.0 * outside);
    sort(outside > OUT_OF_VIEW.warn, outside > OUT_OF_VIEW.refuse, text, &mut warnings, &mut refusals);
    let thickest = scan.affine().voxel_sizes().into_iter().fold(0.0, f64::max);
    if thickest > LONGEST_VOXEL.warn {
        warnings.push(format!("voxels of {thickest:.1} mm: what is smaller may be missing"));
    }
    (warnings, refusals)
}

/// The Dice coefficient of a whole brain and as much of it as is in view.
fn best_overlap(in_view: f64) -> f64 {
    2.0 * in_view / (1.0 + in_view)
}

fn sort(warn: bool, refuse: bool, text: String, warnings: &mut Vec<String>, refusals: &mut Vec<String>) {
    if refuse {
        refusals.push(text);
    } else if warn {
        warnings.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Affine, Grid, Transform};

    fn scan(thickness: f64) -> Volume {
        let affine = Affine::from_sizes([1.0, 1.0, thickness], [0.0; 3]).unwrap();
        Volume::zeros(&Grid { dims: [4, 4, 4], affine }).unwrap()
    }

    fn good() -> Registration {
        Registration {
            transform: Transform::IDENTITY,
            similarity: 0.1,
            overlap: 0.95,
            in_view: 1.0,
            stretch: [0.9; 3],
            better_orientation: None,
        }
    }

    #[test]
    fn each_doubt_about_a_registration_has_its_own_words() {
        let (warnings, refusals) = of_registration(&scan(3.0), &good());
        assert!(warnings.is_empty() && refusals.is_empty());
        let turned = Some("the patient seems upside down".to_owned());
        for (registration, word) in [
            (Registration { stretch: [0.9, 1.5, 0.9], ..good() }, "1.50 times"),
            (Registration { better_orientation: turned, ..good() }, "upside down"),
            (Registration { overlap: 0.8, ..good() }, "Dice of 0.80"),
            (Registration { similarity: 0.02, ..good() }, "similarity 0.020"),
            (Registration { in_view: 0.8, overlap: 0.85, ..good() }, "leaves out 20 %"),
        ] {
            let (warnings, refusals) = of_registration(&scan(3.0), &registration);
            assert!(warnings.is_empty() && refusals.len() == 1, "{word}: {warnings:?} {refusals:?}");
            assert!(refusals[0].contains(word), "{word}: {refusals:?}");
        }
    }

    #[test]
    fn what_a_radiologist_would_accept_is_warned_of() {
        for (registration, thickness) in [
            (Registration { overlap: 0.93, ..good() }, 3.0),
            (Registration { similarity: 0.04, ..good() }, 3.0),
            (Registration { in_view: 0.95, ..good() }, 3.0),
            (good(), 8.0),
        ] {
            let (warnings, refusals) = of_registration(&scan(thickness), &registration);
            assert_eq!((warnings.len(), refusals.len()), (1, 0), "{warnings:?} {refusals:?}");
        }
    }

    #[test]
    fn slabs_of_voxels_and_blurred_surfaces_are_refused() {
        let brain = Array3::from_elem((4, 4, 4), true);
        assert!(of_brain(&scan(13.0), &brain).iter().any(|doubt| doubt.contains("13.0 mm")));
        let seen = |sharpness, already_stripped| Extraction {
            mask: brain.clone(),
            already_stripped,
            millilitres: 1300.0,
            sharpness,
            cut_square_centimetres: 0.0,
        };
        assert!(of_extraction(&seen(0.7, false)).is_empty());
        assert!(of_extraction(&seen(0.3, true)).is_empty());
        assert!(of_extraction(&seen(0.3, false))[0].contains("sharpness 0.30"));
    }
}
