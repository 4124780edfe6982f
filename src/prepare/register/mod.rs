//! Where the standard brain lies in a scan, and where one scan of a study lies in another.
//!
//! The pose is found by mutual information (see `metric`), which asks only that one image's intensities tell something of
//! the other's: any contrast fits the T1w template. A search over turns and shifts finds where to start, for headers
//! place a head up to tens of degrees and millimetres off; then the best starts climb (see `optimize`), from smooth images
//! and few degrees of freedom to sharp images and all.

mod level;
mod metric;
mod optimize;
mod orientation;
mod pose;
pub mod rough;
mod samples;
mod search;
pub mod template;

use glam::{DMat3, DVec3};
use ndarray::Array3;
use serde::Serialize;

use crate::{Result, Transform, Volume, Watch};
use level::{Level, Outside, reduced};
use metric::likeness;
use pose::{Freedom, Pose};
use samples::points;
use search::{Problem, Shifts, Stage};

/// About the voxel size, in millimetres, at which images are registered.
pub(super) const VOXEL: f64 = 2.0;
/// How far beyond the template's brain a scan is compared with it, in millimetres, at the coarse, middle and fine scale:
/// so far that the brain's edge counts as much as what is inside.
const REACH: [f64; 3] = [30.0; 3];
/// The same for two scans of one head: at first its outline leads, in the end only the brain and what touches it.
const RIGID_REACH: [f64; 3] = [30.0, 15.0, 5.0];
/// The points and the smoothness, in millimetres, by which the fit of a result is told.
const FIT_SPACING: f64 = 4.0;
const FIT_SIGMA: f64 = 1.0;

/// A transform that a registration found, and what is needed to doubt it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Registration {
    /// From millimetres of the fixed space (the standard space) to those of the moving one (the scan).
    #[serde(skip)]
    pub transform: Transform,
    /// How much the images tell of each other where both are brain: twice their mutual information over the sum of their
    /// entropies, 0 (nothing) to 1.
    pub similarity: f64,
    /// How well the brains cover each other: Dice's coefficient, 0 to 1.
    pub overlap: f64,
    /// The share of the fixed brain that lies in the moving image's field of view, 0 to 1.
    pub in_view: f64,
    /// By how much lengths along the fixed space's x, y and z are stretched; all 1 for a rigid transform.
    pub stretch: [f64; 3],
    /// Set if the images are more alike after a quarter or half turn than as the headers place them: how the patient
    /// seems to lie in the axes that the moving image's header names. Left and right cannot be told apart so.
    pub better_orientation: Option<String>,
}

/// Registers a scan of any contrast to the standard space, MNI152 at 1 mm: an affine transform (12 parameters) from the
/// standard space to the scan. `brain` is the brain mask on the scan's grid.
///
/// # Errors
/// [`crate::Error::BadImage`] if the mask is empty or of another shape, or the scan is constant in it;
/// [`crate::Error::Cancelled`].
pub fn to_template(scan: &Volume, brain: &Array3<bool>, watch: &Watch) -> Result<Registration> {
    let standard = template::brain()?;
    let mask = standard.voxels().mapv(|value| value > 0.0);
    let fixed = reduced(standard, Some(&mask), Outside::Blank, VOXEL)?;
    let moving = reduced(scan, Some(brain), Outside::Blank, VOXEL)?;
    let (from, to) = (Mass::of(&fixed.inside), Mass::of(&moving.inside));
    let scale = (to.volume / from.volume).cbrt().clamp(0.75, 1.25);
    let pose =
        Pose { centre: from.middle, matrix: DMat3::from_diagonal(DVec3::splat(scale)), middle: to.middle };
    let problem = Problem { fixed, moving, centre: from.middle, reach: REACH };
    register(&problem, &[(pose, Shifts::Upright)], Freedom::Affine, watch)
}

/// Registers `moving` to `fixed`, two scans of one head in any contrasts, skull or not: a rigid transform from the fixed
/// scan's millimetres to the moving one's. The masks are of the brain, each on its scan's grid.
///
/// # Errors
/// Those of [`to_template`].
pub fn rigid(
    fixed: &Volume,
    fixed_mask: &Array3<bool>,
    moving: &Volume,
    moving_mask: Option<&Array3<bool>>,
    watch: &Watch,
) -> Result<Registration> {
    let fixed = reduced(fixed, Some(fixed_mask), Outside::Kept, VOXEL)?;
    let moving = reduced(moving, moving_mask, Outside::Kept, VOXEL)?;
    let middle = Mass::of(&fixed.inside).middle;
    let (shift, shifts) = match moving_mask {
        Some(_) => (Mass::of(&moving.inside).middle - middle, Shifts::Upright),
        None => (Mass::of(&moving.image).middle - Mass::of(&fixed.image).middle, Shifts::Around),
    };
    let header = Pose { centre: middle, matrix: DMat3::IDENTITY, middle };
    let centred = Pose { middle: middle + shift, ..header };
    let problem = Problem { fixed, moving, centre: middle, reach: RIGID_REACH };
    register(&problem, &[(header, Shifts::Here), (centred, shifts)], Freedom::Rigid, watch)
}

fn register(
    problem: &Problem,
    starts: &[(Pose, Shifts)],
    freedom: Freedom,
    watch: &Watch,
) -> Result<Registration> {
    watch.advance(0.1)?;
    let coarse = Stage::coarse(problem);
    let pose = search::find(problem, &coarse, starts, freedom, watch)?;
    let better_orientation = orientation::better(&coarse, &pose, freedom, watch)?;
    watch.advance(0.95)?;
    let fit = Fit::of(problem, &pose, watch)?;
    watch.advance(1.0)?;
    Ok(Registration {
        transform: pose.transform()?,
        similarity: fit.similarity,
        overlap: fit.overlap,
        in_view: fit.in_view,
        stretch: [0, 1, 2].map(|axis| pose.matrix.col(axis).length()),
        better_orientation,
    })
}

/// How well two images fit where both are brain.
struct Fit {
    similarity: f64,
    overlap: f64,
    in_view: f64,
}

impl Fit {
    fn of(problem: &Problem, pose: &Pose, watch: &Watch) -> Result<Self> {
        let (fixed, moving) = (&problem.fixed, &problem.moving);
        let points = points(fixed, problem.centre, FIT_SPACING, FIT_SIGMA, 0.0);
        let inside = Level::smoothed(&moving.inside, 0.0);
        let (both, in_view) = points.inside(&inside, pose);
        let similarity = likeness(&both, &Level::smoothed(&moving.image, FIT_SIGMA), pose, watch)?.share;
        let shared = both.len() as f64 / points.len().max(1) as f64;
        let ratio = Mass::of(&moving.inside).volume
            / pose.matrix.determinant().abs()
            / Mass::of(&fixed.inside).volume;
        Ok(Self { similarity, overlap: 2.0 * shared / (1.0 + ratio), in_view })
    }
}

/// How much of something there is, and where its middle lies.
struct Mass {
    middle: DVec3,
    /// In cubic millimetres, of where the volume is 1.
    volume: f64,
}

impl Mass {
    fn of(volume: &Volume) -> Self {
        let [ni, nj, _] = volume.dims();
        let (mut sum, mut total) = (DVec3::ZERO, 0.0);
        for (n, value) in volume.as_slice().iter().enumerate().filter(|(_, value)| **value > 0.0) {
            let value = f64::from(*value);
            sum += value * DVec3::new((n % ni) as f64, (n / ni % nj) as f64, (n / (ni * nj)) as f64);
            total += value;
        }
        let [x, y, z] = volume.affine().voxel_sizes();
        let middle = DVec3::from_array(volume.affine().to_millimetres((sum / total).to_array()));
        Self { middle, volume: total * x * y * z }
    }
}

#[cfg(test)]
mod tests;
