//! Is this a head whose brain was found and placed? What no radiologist would accept is refused; what needs a look is
//! warned of.

use ndarray::Array3;

use super::extract::Extraction;
use super::register::Registration;
use crate::plausible;
use crate::volume::Volume;

/// How much larger or smaller along an axis than MNI152 a head can be; MNI152's is larger than most.
const SCALE_RANGE: std::ops::RangeInclusive<f64> = 0.6..=1.4;
/// A share of the template's brain outside the field of view that is worth a warning, and one that is refused.
const OUT_OF_VIEW: (f64, f64) = (0.02, 0.15);
/// Shares of voxels in common (Dice) of the scan's brain and the template's: what is refused, and what is warned of.
const LEAST_OVERLAP: (f64, f64) = (0.75, 0.85);
/// Slices thicker than this, in millimetres, hide what lies between them.
const THICK_SLICES: (f64, f64) = (7.0, 12.0);

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
    if thickest > THICK_SLICES.1 {
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
    let overlap = registration.overlap;
    let text = format!("the brain and that of MNI152 overlap with a Dice of {overlap:.2} only");
    sort(overlap < LEAST_OVERLAP.1, overlap < LEAST_OVERLAP.0, text, &mut warnings, &mut refusals);
    let outside = 1.0 - registration.in_view;
    let text = format!("the field of view leaves out {:.0} % of the brain", 100.0 * outside);
    sort(outside > OUT_OF_VIEW.0, outside > OUT_OF_VIEW.1, text, &mut warnings, &mut refusals);
    let thickest = scan.affine().voxel_sizes().into_iter().fold(0.0, f64::max);
    if thickest > THICK_SLICES.0 {
        warnings.push(format!("voxels of {thickest:.1} mm: what is smaller may be missing"));
    }
    (warnings, refusals)
}

fn sort(warn: bool, refuse: bool, text: String, warnings: &mut Vec<String>, refusals: &mut Vec<String>) {
    if refuse {
        refusals.push(text);
    } else if warn {
        warnings.push(text);
    }
}
