//! The cycle residual: what is lost of a scan on the way to the other contrast and back, a map of where to look.
//!
//! The cycle is that of Zhu et al. 2017 ("Unpaired image-to-image translation using cycle-consistent adversarial
//! networks"), used to look at a result and not to train. A scan x is synthesized from, y = F(x), and a model for the
//! other direction takes the result back, G(y). The map is |a G(y) + b - x|.
//!
//! It does not measure the error of y, which only the real other contrast could. Two models can agree on a mistake: what F
//! invents G can take back, and then the residual is low where the image is wrong. A high residual says that y holds too
//! little of what the scan shows there, or that G fails; it is a place to look at.
//!
//! What is compared, and on which scale: all of it happens on the standard slices, in units where 1 is the scan's 99.5th
//! percentile inside the brain. y goes back as it is, for the scale that F was trained to give is by its card the one that
//! G reads. What returns has the contrast that G was trained to give, which need not be that of this scanner; the one
//! factor a and offset b that bring it nearest to x inside the brain (least squares) take that difference out, so that the
//! map is about structure. They are reported, for they take out a loss of contrast of the whole brain too. The factor is
//! never negative: a contrast that comes back turned round is no agreement.

use ndarray::Array3;
use serde::Serialize;

use crate::prepare::Prepared;
use crate::prepare::normalize::percentile;
use crate::synthesize::{Options, Outcome, walk, walk_prepared};
use crate::{Control, Error, Grid, Model, Result, Volume, Watch, memory, metrics};

/// What did not come back of a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Residual {
    /// Absolute differences: 0 to 1, 1 being the scan's 99.5th percentile inside the brain; 0 outside.
    pub map: Volume,
    /// The map in figures.
    pub summary: Summary,
}

/// A residual in figures: of the standard slices' voxels (1 mm) inside the brain, whatever grid the map is brought onto.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The median.
    pub median: f32,
    /// The 95th percentile.
    pub percentile_95: f32,
    /// By which factor, never negative, what came back was multiplied before it was compared.
    pub factor: f32,
    /// What was then added to it.
    pub offset: f32,
}

/// A synthetic image, and the residual of the way back from it.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundTrip {
    /// What [`crate::synthesize`] gives, byte for byte.
    pub synthetic: Volume,
    /// What the way back lost, on the same grid.
    pub residual: Residual,
}

/// The embedded model for the way back from what `model` synthesizes.
///
/// # Errors
/// Those of [`Model::embedded`]: [`Error::Unsupported`] if this build has none.
pub fn embedded_back(model: &Model) -> Result<Model> {
    Model::embedded(model.card().target, model.card().source)
}

/// Checks that `back` leads from what `model` synthesizes to what `model` reads.
///
/// # Errors
/// [`Error::InvalidArgument`].
pub fn check_back(model: &Model, back: &Model) -> Result<()> {
    let (there, back) = (model.card(), back.card());
    if (back.source, back.target) == (there.target, there.source) {
        return Ok(());
    }
    Err(Error::InvalidArgument(format!(
        "the way back from {} needs a model from {} to {}, and {} leads from {} to {}",
        there.name, there.target, there.source, back.name, back.source, back.target
    )))
}

/// Synthesizes as [`crate::synthesize`] does, and goes back with the model `back` for the residual. The scan is prepared
/// once, and the generators run one after the other on its slices: the synthetic image is checked by none of the refusals
/// that are made for scans.
///
/// # Errors
/// Those of [`crate::synthesize`] and [`check_back`].
pub fn round_trip(
    model: &Model,
    back: &Model,
    input: &Volume,
    output: &Grid,
    options: &Options,
    control: &mut Control<'_>,
) -> Result<RoundTrip> {
    check_back(model, back)?;
    walk(model, Some(back), input, output, options, control)?.try_into()
}

/// Synthesizes as [`crate::synthesize_prepared`] does; like [`round_trip`] otherwise.
///
/// # Errors
/// Those of [`round_trip`].
pub fn round_trip_prepared(
    model: &Model,
    back: &Model,
    prepared: &Prepared,
    output: &Grid,
    control: &mut Control<'_>,
) -> Result<RoundTrip> {
    check_back(model, back)?;
    walk_prepared(model, Some(back), prepared, output, control)?.try_into()
}

impl TryFrom<Outcome> for RoundTrip {
    type Error = Error;

    fn try_from(Outcome { synthetic, residual }: Outcome) -> Result<Self> {
        let residual = residual.ok_or_else(|| Error::Internal("there was no way back".into()))?;
        Ok(Self { synthetic, residual })
    }
}

/// What is missing of `scan` in `returned`, which gives its memory to the map. Both and `brain` lie on one grid, and are 0
/// outside the brain.
pub(crate) fn compare(
    scan: &Volume,
    mut returned: Volume,
    brain: &Array3<bool>,
    watch: &Watch,
) -> Result<Residual> {
    let (factor, offset) = fit(&returned, scan, brain);
    watch.check()?;
    ndarray::Zip::from(returned.voxels_mut()).and(scan.voxels()).and(brain).for_each(
        |returned, &scan, &inside| {
            let fitted = (factor * *returned + offset).clamp(0.0, 1.0);
            *returned = if inside { (fitted - scan).abs() } else { 0.0 };
        },
    );
    watch.check()?;
    let voxels = returned.voxels();
    let inside = voxels.iter().zip(brain).filter(|(_, inside)| **inside).map(|(value, _)| *value);
    let mut values = memory::gathered(inside);
    watch.check()?;
    let mut at = |percent| {
        percentile(&mut values, percent).ok_or_else(|| Error::BadImage("the scan shows no brain".into()))
    };
    let summary = Summary { median: at(50.0)?, percentile_95: at(95.0)?, factor, offset };
    Ok(Residual { map: returned, summary })
}

/// The factor, never negative, and offset that bring `returned` nearest to `scan` inside the brain (least squares).
fn fit(returned: &Volume, scan: &Volume, brain: &Array3<bool>) -> (f32, f32) {
    let (factor, offset) = metrics::line_fit(returned.voxels(), scan.voxels(), brain);
    if factor >= 0.0 {
        return (factor, offset);
    }
    // The least squares under that bound lie on it: then the best image is constant.
    let (mut sum, mut count) = (0.0, 0_usize);
    for (value, _) in scan.voxels().iter().zip(brain).filter(|(_, inside)| **inside) {
        sum += f64::from(*value);
        count += 1;
    }
    (0.0, (sum / count as f64) as f32)
}
