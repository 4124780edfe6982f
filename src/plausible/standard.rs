//! Does a standard scan show what the model reads: a whole brain, the right way up, in the right contrast?

use ndarray::Array3;

use super::{contrast, cut::Cut};
use crate::model::Card;
use crate::prepare::register::rough;
use crate::{Error, Result, Transform, Volume, Watch};

/// How far, in degrees, a scan that is called aligned may be turned against the axes of MNI152: what is warned of and what is
/// refused.
const WARN_TILT: f64 = 25.0;
const REFUSE_TILT: f64 = 50.0;
/// Dice's coefficient of the brain with MNI152's, turned and scaled as a whole to lie over it: at least 0.81 in whole brains
/// that were looked at, at most 0.74 in halves.
const LEAST_OVERLAP: f64 = 0.75;

/// What needs a look, and what is refused.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    pub(crate) warnings: Vec<String>,
    pub(crate) refusals: Vec<String>,
}

/// About a scan whose place in MNI152 the registration has found and judged: only its contrast is in doubt.
///
/// # Errors
/// [`Error::Internal`] if the build carries a damaged template.
pub(crate) fn doubts_about_placed(
    scan: &Volume,
    brain: &Array3<bool>,
    standard_to_scan: &Transform,
    card: &Card,
) -> Result<Doubts> {
    let refusals = contrast::doubt(scan, brain, standard_to_scan, card)?.into_iter().collect();
    Ok(Doubts { refusals, ..Doubts::default() })
}

/// About a scan that is said to be aligned with MNI152, in voxels of 1 mm along its axes.
///
/// # Errors
/// [`Error::OutOfMemory`], [`Error::Cancelled`], [`Error::Internal`].
pub(crate) fn doubts_about_unplaced(
    scan: &Volume,
    brain: &Array3<bool>,
    card: &Card,
    watch: &Watch,
) -> Result<Doubts> {
    let mut doubts = Doubts::default();
    let cut = Cut::of(brain)?;
    if cut.is_heavy() {
        // What is left is too little to be placed.
        doubts.refusals.push(cut.text());
        return Ok(doubts);
    }
    if cut.is_noticeable() {
        doubts.warnings.push(cut.text());
    }
    let placement = match rough::roughly(scan, brain, watch) {
        Err(Error::BadImage(text)) => {
            doubts.refusals.push(format!("contrast: {text}"));
            return Ok(doubts);
        }
        other => other?,
    };
    if let Some(orientation) = &placement.better_orientation {
        doubts.refusals.push(format!(
            "orientation: {orientation}: a prepared scan must be aligned with MNI152, and its header must say so"
        ));
    } else if placement.tilt > WARN_TILT {
        let text =
            format!("orientation: the brain is turned by {:.0} degrees against MNI152", placement.tilt);
        if placement.tilt > REFUSE_TILT { &mut doubts.refusals } else { &mut doubts.warnings }.push(text);
    }
    if placement.overlap < LEAST_OVERLAP {
        doubts.refusals.push(format!(
            "field of view: what is not background overlaps the brain of MNI152 with a Dice of only {:.2}: is it a whole brain?",
            placement.overlap
        ));
    }
    doubts.refusals.extend(contrast::doubt(scan, brain, &placement.transform, card)?);
    Ok(doubts)
}
