//! Where the standard brain about lies in a brain-extracted scan whose axes are said to be those of the standard space:
//! quick, and good enough to tell which way up a brain is and where its tissues are.

use glam::{DMat3, DVec3};
use ndarray::{Array3, s};

use super::level::{Outside, reduced};
use super::orientation;
use super::pose::{Freedom, Pose};
use super::search::{Problem, Stage};
use super::{Fit, Mass, template};
use crate::{Grid, Result, Transform, Volume, Watch};

/// About the voxel size, in millimetres, at which the images are compared.
pub(crate) const VOXEL: f64 = 4.0;
/// How far beyond the template's brain the scan is compared with it, in millimetres.
const REACH: f64 = 20.0;
/// Voxels of background around the scan: what lies outside of it counts as such, however the template is turned.
pub(crate) const BACKGROUND: usize = 12;
/// The turns that climb: those that fit best where they start.
const CONTENDERS: usize = 4;
/// How much more the images must tell of each other after a turn: at most 0.99 times as much after the wrong turn in 195 scans
/// as they should lie, and at least 1.2 times after the right one where they were turned over.
const CLEARLY: f64 = 1.1;
/// The least and the largest brain's length over the template's.
const SCALES: [f64; 2] = [0.5, 1.5];

/// Where the standard brain about lies in a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Placement {
    /// From millimetres of the standard space to those of the scan: a turn, a shift and one scale; after the quarter or half
    /// turn of `better_orientation` where there is one.
    pub transform: Transform,
    /// How far the brain is turned against the axes that the scan's header names, in degrees, leaving aside the turn of
    /// `better_orientation`.
    pub tilt: f64,
    /// See [`super::Registration::better_orientation`].
    pub better_orientation: Option<String>,
    /// See [`super::Registration::overlap`]; lower than after a full registration.
    pub overlap: f64,
}

/// Places the standard brain in a scan of any contrast. `brain` is the brain mask on the scan's grid.
///
/// # Errors
/// Those of [`super::to_template`].
pub fn roughly(scan: &Volume, brain: &Array3<bool>, watch: &Watch) -> Result<Placement> {
    let standard = template::brain()?;
    let mask = standard.voxels().mapv(|value| value > 0.0);
    let fixed = reduced(standard, Some(&mask), Outside::Blank, VOXEL)?;
    let mut moving = reduced(scan, Some(brain), Outside::Blank, VOXEL)?;
    moving.image = with_background(&moving.image)?;
    moving.inside = with_background(&moving.inside)?;
    let (from, to) = (Mass::of(&fixed.inside), Mass::of(&moving.inside));
    let scale = (to.volume / from.volume).cbrt().clamp(SCALES[0], SCALES[1]);
    let matrix = DMat3::from_diagonal(DVec3::splat(scale));
    let start = Pose { centre: from.middle, matrix, middle: to.middle };
    let problem = Problem { fixed, moving, centre: from.middle, reach: [REACH; 3] };

    let coarse = Stage::coarse(&problem);
    let (upright, here) = coarse.climb(&start, Freedom::Similar, watch)?;
    let (turned, there, description) =
        orientation::best_turn(&coarse, &start, Freedom::Similar, CONTENDERS, watch)?;
    let clearly = there > CLEARLY * here;
    let pose = if clearly { turned } else { upright };
    Ok(Placement {
        transform: pose.transform()?,
        tilt: degrees(&upright.matrix),
        better_orientation: clearly.then_some(description),
        overlap: Fit::of(&problem, &pose, watch)?.overlap,
    })
}

/// The angle of the rotation in a matrix that turns and scales.
fn degrees(matrix: &DMat3) -> f64 {
    let scale = matrix.determinant().abs().cbrt();
    let trace = matrix.x_axis.x + matrix.y_axis.y + matrix.z_axis.z;
    // The trace of a rotation is 1 + 2 cos(angle).
    ((trace / scale - 1.0) / 2.0).clamp(-1.0, 1.0).acos().to_degrees()
}

/// The volume with background, 0, all around it.
fn with_background(volume: &Volume) -> Result<Volume> {
    let dims = volume.dims();
    let grid = Grid {
        dims: dims.map(|length| length + 2 * BACKGROUND),
        affine: volume.affine().cropped_at([-(BACKGROUND as f64); 3]),
    };
    let mut padded = Volume::zeros(&grid)?;
    let [i, j, k] = dims.map(|length| BACKGROUND..BACKGROUND + length);
    padded.voxels_mut().slice_mut(s![i, j, k]).assign(&volume.voxels());
    Ok(padded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Affine;

    /// The standard brain by other axes: `to` tells which way the patient's right, front and top lie.
    fn laid(to: [[f64; 3]; 3]) -> (Volume, Array3<bool>) {
        let brain = template::brain().unwrap();
        let rows = brain.affine().rows();
        let row = |r: usize| [0, 1, 2, 3].map(|c| (0..3).map(|n| to[n][r] * rows[n][c]).sum());
        let affine = Affine::from_rows([row(0), row(1), row(2), rows[3]]).unwrap();
        // As T2w, so that nothing but what the images tell of each other can place them.
        let voxels = brain.voxels().mapv(|value| if value > 0.0 { 300.0 - value } else { 0.0 });
        let mask = brain.voxels().mapv(|value| value > 0.0);
        (Volume::new(voxels, affine).unwrap(), mask)
    }

    #[test]
    fn a_brain_the_right_way_up_is_placed_and_one_turned_over_is_told() {
        let (right, front, top) = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]);
        let minus = |axis: [f64; 3]| axis.map(|entry| -entry);
        let placed = |to| {
            let (scan, mask) = laid(to);
            roughly(&scan, &mask, &Watch::default()).unwrap()
        };
        let here = placed([right, front, top]);
        assert_eq!(here.better_orientation, None);
        assert!(here.overlap > 0.9 && here.tilt < 3.0, "{here:?}");
        let at = here.transform.apply([20.0, 30.0, 40.0]);
        assert!(at.iter().zip([20.0, 30.0, 40.0]).all(|(a, b)| (a - b).abs() < 2.0), "{at:?}");
        for (to, words) in [
            ([right, front, minus(top)], "top seems to be where the header says bottom"),
            ([right, minus(front), top], "the front where it says back"),
            ([right, minus(top), front], "top seems to be where the header says front"),
            ([front, minus(right), top], "the front where it says left"),
        ] {
            let told = placed(to).better_orientation.unwrap();
            assert!(told.contains(words), "{words}: {told}");
        }
    }
}
