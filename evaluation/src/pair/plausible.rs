//! Whether the images of a pair can be what they are taken for: on the scale that the data range says, and masks that are
//! masks. A wrong scale gives no error but a wrong figure, and mostly one that is too good.

use mrisynth::{Error, prepare::normalize};
use ndarray::{Array3, ArrayView3};

use super::input::Input;
use crate::Result;
use crate::volumes::labels::Volumes;

/// The brain's percentiles that stand for its darkest and brightest intensities.
const BOTTOM_PERCENT: f64 = 0.5;
const TOP_PERCENT: f64 = 99.5;
/// The brain's brightest intensity is within these shares of the data range; beyond the first pair the scale is wrong,
/// beyond the second it is worth a look.
const TOP_POSSIBLE: [f64; 2] = [0.1, 2.0];
const TOP_USUAL: [f64; 2] = [0.4, 1.25];
/// The darkest one is not below these shares of it.
const BOTTOM_POSSIBLE: f64 = -0.5;
const BOTTOM_USUAL: f64 = -0.05;
/// A brain-extracted image is background outside a brain: over this share of voxels above 0 it is not one.
const MAX_BRAIN_SHARE: f64 = 0.75;

/// What speaks against a pair.
#[derive(Debug, Default)]
pub(crate) struct Doubts {
    /// What makes figures wrong; a caller may insist.
    refusals: Vec<String>,
    /// What needs a look.
    warnings: Vec<String>,
}

impl Doubts {
    /// The warnings, among them what would be refused if the caller did not insist.
    pub(crate) fn settle(self, insists: bool) -> Result<Vec<String>> {
        if !insists && !self.refusals.is_empty() {
            return Err(Error::Refused(self.refusals.join("; ")).into());
        }
        let accepted = self.refusals.into_iter().map(|doubt| format!("accepted as asked: {doubt}"));
        Ok(accepted.chain(self.warnings).collect())
    }

    /// What needs a look.
    pub(crate) fn warn(&mut self, input: &Input, what: &str) {
        self.warnings.push(format!("{}: {what}", input.name.display()));
    }

    /// What would make the result wrong.
    pub(crate) fn refuse(&mut self, input: &Input, what: &str) {
        self.refusals.push(format!("{}: {what}", input.name.display()));
    }

    /// What was found doubtful when the file was read.
    pub(crate) fn about_file(&mut self, input: &Input) {
        input.warnings.iter().for_each(|warning| self.warn(input, warning));
    }

    /// What the header of the real image says.
    pub(super) fn about_roles(&mut self, reference: &Input) {
        if reference.says_synthetic {
            self.warn(reference, "this is the real image, but its header says that it is synthetic");
        }
    }

    /// Whether the intensities inside the brain are on the scale that the data range says. A synthetic image may be dark:
    /// that is a failure to be measured. A real one that is so is on another scale.
    pub(super) fn about_range(
        &mut self,
        input: &Input,
        voxels: ArrayView3<'_, f32>,
        brain: &Array3<bool>,
        data_range: f64,
        is_real: bool,
    ) {
        let mut inside: Vec<f32> =
            voxels.iter().zip(brain).filter(|(_, inside)| **inside).map(|(value, _)| *value).collect();
        let mut percentile = |percent| normalize::percentile(&mut inside, percent).map_or(0.0, f64::from);
        let (bottom, top) = (percentile(BOTTOM_PERCENT), percentile(TOP_PERCENT));
        let found = format!(
            "its brain has intensities of {bottom:.4} to {top:.4} (percentiles {BOTTOM_PERCENT} and {TOP_PERCENT}), but \
             the data range is {data_range}"
        );
        let outside = |[least, most]: [f64; 2], darkest: f64| {
            let too_dark = is_real && top < least * data_range;
            too_dark || top > most * data_range || bottom < darkest * data_range
        };
        if outside(TOP_POSSIBLE, BOTTOM_POSSIBLE) {
            self.refuse(
                input,
                &format!("{found}: give the range that it has, or an image that is on its scale"),
            );
        } else if outside(TOP_USUAL, BOTTOM_USUAL) {
            self.warn(input, &found);
        }
    }

    /// Whether a brain that is where the real image is above 0 can be one.
    pub(super) fn about_background(&mut self, reference: &Input, brain: &Array3<bool>) {
        let share = brain.iter().filter(|inside| **inside).count() as f64 / brain.len() as f64;
        if share > MAX_BRAIN_SHARE {
            let percent = 100.0 * share;
            let what = format!(
                "{percent:.0} % of it is above 0, which counts as brain: a mask of the brain is missing"
            );
            self.warn(reference, &what);
        }
    }

    /// Whether a mask has two values, as masks do, and none between 0 and 1, as maps of probabilities do.
    pub(crate) fn about_mask(&mut self, mask: &Input) {
        let (mut first, mut others, mut fractions) = (0.0_f32, 0_usize, 0_usize);
        for &value in mask.volume.as_slice().iter().filter(|value| **value != 0.0) {
            if first == 0.0 {
                first = value;
            }
            others += usize::from(value != first);
            // A mask of bytes with a scale factor may have something like 0.999.
            fractions += usize::from(value.fract().abs().min(1.0 - value.fract().abs()) > 0.01);
        }
        if fractions > 0 && others > 0 {
            let what = format!(
                "{fractions} voxels of this mask have fractions, as in a map of probabilities or after interpolation, and \
                 what is not 0 would count: threshold it first"
            );
            self.refuse(mask, &what);
        } else if others > 0 {
            self.warn(mask, "this mask has more values than 0 and one other: all that is not 0 counts");
        }
    }

    /// Whether the table of labels is the map's.
    pub(super) fn about_labels(&mut self, labels: &Input, volumes: &Volumes) {
        let unknown: Vec<u16> = volumes.unknown.iter().map(|volume| volume.label).collect();
        let known_are_classes = volumes.structures.iter().all(|volume| volume.label <= 3);
        if unknown == [1] && known_are_classes {
            let what = "its labels are 1 to 3, as those of three tissue classes, and 1 is not in the table of labels: \
                        name the table";
            self.refuse(labels, what);
        } else if !unknown.is_empty() {
            let ml: f64 = volumes.unknown.iter().map(|volume| volume.ml).sum();
            let shown: Vec<String> = unknown.iter().take(10).map(ToString::to_string).collect();
            let more = if unknown.len() > shown.len() { ", ..." } else { "" };
            let what = format!(
                "{ml:.1} ml have labels that the table does not have and are in no volume: {}{more}",
                shown.join(", ")
            );
            self.warn(labels, &what);
        }
    }
}
