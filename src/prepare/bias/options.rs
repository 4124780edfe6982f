//! What can be chosen about a bias correction.

use serde::Serialize;

use crate::{Error, Result};

/// Control points along an axis at the last level that are still allowed: with more, the field follows anatomy.
const MAX_CONTROL_POINTS: usize = 67;
/// Bins of a histogram that are still allowed.
const MAX_BINS: usize = 1 << 16;

/// How sparsely a scan is sampled for the estimate: the field is smooth, so a few thousand voxels are enough.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shrink {
    /// Every so many voxels along i, j, k (never more than the axis has), as ITK's and ANTs' shrink factor.
    Factor([usize; 3]),
    /// As many voxels along each axis as come nearest to so many millimetres: thick slices are not thinned out further.
    Millimetres(f64),
}

/// Where on the scan a field lies that was fitted to every so many voxels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldPlacement {
    /// Where the voxels lie: the B-spline's domain is the scan, and samples are fitted at their positions in it.
    WhereVoxelsLie,
    /// As ITK and ANTs: the domain is the shrunk grid, and it is stretched over the whole scan. A field of 9 slices, every
    /// fourth of 39, is drawn out over 38 voxels instead of 32.
    StretchedAsItk,
}

/// How it is measured whether a level has converged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConvergenceMeasure {
    /// The coefficient of variation over the samples of the ratio of two iterations' fields.
    Exact,
    /// The same with ITK's rounding: its running mean is a single-precision number that stops to follow as samples grow in
    /// number, which makes the measure too large by some percent, and so decides in which iteration a level ends.
    AsItk,
}

/// What can be chosen about N4. The default is this library's; [`BiasOptions::itk_compatible`] is ITK's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BiasOptions {
    /// How sparsely the scan is sampled.
    pub shrink: Shrink,
    /// Where the field lies on the scan.
    pub placement: FieldPlacement,
    /// Whether [`super::BiasField::on_scan`] keeps to the range that the field has inside the mask. ITK does not; beyond
    /// the mask its field is an extrapolation without limits.
    pub limited_to_mask: bool,
    /// Levels of the B-spline; each doubles its spans along each axis.
    pub levels: usize,
    /// Iterations at most on each level.
    pub iterations: usize,
    /// A level ends when the ratio of two iterations' fields has a coefficient of variation of at most this.
    pub threshold: f64,
    /// How that is measured.
    pub convergence: ConvergenceMeasure,
    /// Bins of the histogram of logarithmic intensities.
    pub bins: usize,
    /// Full width at half maximum of the Gaussian that is taken out of the histogram, in logarithmic intensity.
    pub fwhm: f64,
    /// Wiener's noise term of that.
    pub noise: f64,
    /// Control points along each axis at the first level; at least 4.
    pub control_points: usize,
}

impl Default for BiasOptions {
    fn default() -> Self {
        Self {
            shrink: Shrink::Millimetres(4.0),
            placement: FieldPlacement::WhereVoxelsLie,
            limited_to_mask: true,
            convergence: ConvergenceMeasure::Exact,
            ..Self::itk_compatible(4)
        }
    }
}

impl BiasOptions {
    /// What `itk::N4BiasFieldCorrectionImageFilter` does after `itk::ShrinkImageFilter` with one factor for all axes: 4
    /// levels of up to 50 iterations, convergence threshold 0.001, 200 bins, FWHM 0.15, noise 0.01, 4 control points.
    pub fn itk_compatible(shrink: usize) -> Self {
        Self {
            shrink: Shrink::Factor([shrink; 3]),
            placement: FieldPlacement::StretchedAsItk,
            limited_to_mask: false,
            levels: 4,
            iterations: 50,
            threshold: 1e-3,
            convergence: ConvergenceMeasure::AsItk,
            bins: 200,
            fwhm: 0.15,
            noise: 0.01,
            control_points: 4,
        }
    }

    /// # Errors
    /// [`Error::InvalidArgument`] naming the first option that is out of range.
    pub(super) fn check(&self) -> Result<()> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let shrinks = match self.shrink {
            Shrink::Factor(factors) => factors.iter().all(|factor| *factor > 0),
            Shrink::Millimetres(millimetres) => positive(millimetres),
        };
        let points = self.last_control_points();
        let faults = [
            (!shrinks, "the shrink factor must be positive".into()),
            (self.levels == 0, "at least one level is needed".into()),
            (self.control_points < 4, "a cubic B-spline needs 4 control points along each axis".into()),
            (
                points.is_none_or(|points| points > MAX_CONTROL_POINTS),
                format!("the last level has over {MAX_CONTROL_POINTS} control points along an axis"),
            ),
            (
                !(2..=MAX_BINS).contains(&self.bins),
                format!("{} bins: there must be 2 to {MAX_BINS}", self.bins),
            ),
            (!positive(self.fwhm), "the full width at half maximum must be positive".into()),
            (!positive(self.noise), "the noise term must be positive".into()),
            (
                self.threshold.is_nan() || self.threshold < 0.0,
                "the convergence threshold must not be negative".into(),
            ),
        ];
        let fault = faults.into_iter().find(|(wrong, _)| *wrong);
        fault.map_or(Ok(()), |(_, text)| Err(Error::InvalidArgument(format!("bias correction: {text}"))))
    }

    /// Control points along an axis at the last level; none if there are senselessly many.
    fn last_control_points(&self) -> Option<usize> {
        let doublings = u32::try_from(self.levels.saturating_sub(1)).ok()?;
        let spans = self.control_points.saturating_sub(3).checked_mul(2_usize.checked_pow(doublings)?)?;
        spans.checked_add(3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senseless_options_are_refused_by_name() {
        let good = BiasOptions::default;
        assert!(good().check().is_ok());
        let bad = [
            (BiasOptions { shrink: Shrink::Factor([1, 0, 1]), ..good() }, "shrink"),
            (BiasOptions { shrink: Shrink::Millimetres(f64::NAN), ..good() }, "shrink"),
            (BiasOptions { levels: 0, ..good() }, "level"),
            (BiasOptions { levels: 300, ..good() }, "control points"),
            (BiasOptions { control_points: 3, ..good() }, "control points"),
            (BiasOptions { control_points: usize::MAX, ..good() }, "control points"),
            (BiasOptions { bins: 1, ..good() }, "bins"),
            (BiasOptions { fwhm: 0.0, ..good() }, "width"),
            (BiasOptions { noise: f64::INFINITY, ..good() }, "noise"),
            (BiasOptions { threshold: f64::NAN, ..good() }, "threshold"),
        ];
        for (options, word) in bad {
            let text = options.check().unwrap_err().to_string();
            assert!(text.contains(word), "{text}");
        }
    }
}
