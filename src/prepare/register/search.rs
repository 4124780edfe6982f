//! From where the headers place two images to where they fit: coarse search, then climbs, coarse to fine.

use glam::{DMat3, DVec3, EulerRot};
use rayon::prelude::*;

use super::level::{Level, Reduced};
use super::metric::{Samples, likeness, likeness_and_slope};
use super::optimize::{Climb, climb};
use super::pose::{Freedom, Pose};
use super::samples::points;
use crate::{Result, Watch};

/// Angles about each axis, in degrees, at which the search starts.
const ANGLES: [f64; 5] = [-36.0, -18.0, 0.0, 18.0, 36.0];
/// Starts that climb at the coarsest stage, and those of them that go on.
const CLIMBERS: usize = 8;
const FINALISTS: usize = 2;
/// Poses that place the brain's surroundings nearer to each other than this, in millimetres, are one start.
const NEAR: f64 = 12.0;
/// Starts that leave less of the fixed brain in the moving field of view are not looked at.
const LEAST_IN_VIEW: f64 = 0.4;

/// Two images and the points at which they are compared.
pub(super) struct Problem {
    pub(super) fixed: Reduced,
    pub(super) moving: Reduced,
    /// The middle of the fixed brain.
    pub(super) centre: DVec3,
    /// How far beyond the fixed brain the images are compared, in millimetres: at the coarse, middle and fine scale.
    pub(super) reach: [f64; 3],
}

/// One scale of the two images.
pub(super) struct Stage {
    samples: Samples,
    moving: Level,
    climb: Climb,
}

/// How a stage looks at the images: all in millimetres.
struct Scale {
    sigma: f64,
    spacing: f64,
    climb: Climb,
}

const COARSE: Scale =
    Scale { sigma: 4.0, spacing: 8.0, climb: Climb { iterations: 20, longest: [8.0, 3.0], shortest: 0.2 } };
const MIDDLE: Scale =
    Scale { sigma: 2.0, spacing: 5.0, climb: Climb { iterations: 30, longest: [4.0, 1.0], shortest: 0.1 } };
const FINE: Scale =
    Scale { sigma: 0.5, spacing: 3.5, climb: Climb { iterations: 50, longest: [2.0, 0.5], shortest: 0.02 } };

impl Stage {
    pub(super) fn coarse(problem: &Problem) -> Self {
        Self::new(problem, &COARSE, problem.reach[0])
    }

    fn new(problem: &Problem, scale: &Scale, reach: f64) -> Self {
        Self {
            samples: points(&problem.fixed, problem.centre, scale.spacing, scale.sigma, reach),
            moving: Level::smoothed(&problem.moving.image, scale.sigma),
            climb: scale.climb,
        }
    }

    /// The images' mutual information at `pose`.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`].
    pub(super) fn information(&self, pose: &Pose, watch: &Watch) -> Result<f64> {
        Ok(likeness(&self.samples, &self.moving, pose, watch)?.information)
    }

    /// Climbs from `pose`; the pose reached and its mutual information.
    ///
    /// # Errors
    /// [`crate::Error::Cancelled`].
    pub(super) fn climb(&self, pose: &Pose, freedom: Freedom, watch: &Watch) -> Result<(Pose, f64)> {
        let figure = |parameters: &[f64]| {
            let moved = pose.moved(freedom, parameters);
            let (likeness, slope) = likeness_and_slope(&self.samples, &self.moving, &moved, watch)?;
            Ok((likeness.information, pose.gradient(freedom, parameters, &slope)))
        };
        let summit = climb(self.climb, vec![0.0; freedom.parameters()], figure)?;
        Ok((pose.moved(freedom, &summit.at), summit.figure))
    }
}

/// Shifts around a pose, in millimetres of the fixed space, at which the search starts.
#[derive(Clone, Copy)]
pub(super) enum Shifts {
    /// None.
    Here,
    /// Up and down: a brain's middle is off along the spine if the scan or its mask cuts the brain.
    Upright,
    /// In all directions: the middle is that of heads with more or less neck.
    Around,
}

impl Shifts {
    fn offsets(self) -> Vec<DVec3> {
        let (across, along): (&[f64], &[f64]) = match self {
            Self::Here => (&[0.0], &[0.0]),
            Self::Upright => (&[0.0], &[-12.0, 0.0, 12.0]),
            Self::Around => (&[-15.0, 0.0, 15.0], &[-30.0, -15.0, 0.0, 15.0, 30.0]),
        };
        let at = |n: usize| {
            let x = across[n % across.len()];
            let y = across[n / across.len() % across.len()];
            DVec3::new(x, y, along[n / (across.len() * across.len())])
        };
        (0..across.len() * across.len() * along.len()).map(at).collect()
    }
}

/// The pose at which the images tell most of each other, from the best of many starts around `starts`.
///
/// # Errors
/// [`crate::Error::Cancelled`].
pub(super) fn find(
    problem: &Problem,
    coarse: &Stage,
    starts: &[(Pose, Shifts)],
    freedom: Freedom,
    watch: &Watch,
) -> Result<Pose> {
    let before_all = if freedom == Freedom::Affine { Freedom::Similar } else { freedom };
    let candidates = best_starts(coarse, starts, watch)?;
    watch.advance(0.3)?;
    let climb = |pose: &Pose| coarse.climb(pose, before_all, watch);
    let mut climbed = candidates.par_iter().map(climb).collect::<Result<Vec<_>>>()?;
    climbed.sort_by(|a, b| b.1.total_cmp(&a.1));
    climbed.truncate(FINALISTS);
    watch.advance(0.4)?;

    let middle = Stage::new(problem, &MIDDLE, problem.reach[1]);
    let climb = |(pose, _): &(Pose, f64)| middle.climb(pose, freedom, watch);
    let mut climbed = climbed.iter().map(climb).collect::<Result<Vec<_>>>()?;
    climbed.sort_by(|a, b| b.1.total_cmp(&a.1));
    watch.advance(0.6)?;

    let pose = climbed.first().map_or(starts[0].0, |(pose, _)| *pose);
    let fine = Stage::new(problem, &FINE, problem.reach[2]);
    let (pose, _) = fine.climb(&pose, freedom, watch)?;
    watch.advance(0.85)?;
    Ok(pose)
}

/// The most promising poses around `starts` that differ from each other, best first.
fn best_starts(coarse: &Stage, starts: &[(Pose, Shifts)], watch: &Watch) -> Result<Vec<Pose>> {
    let turns = turns();
    let around = |(pose, shifts): &(Pose, Shifts)| {
        let shifted: Vec<Pose> = shifts.offsets().into_iter().map(|offset| pose.shifted(offset)).collect();
        turns.iter().flat_map(|turn| shifted.iter().map(|pose| pose.turned(*turn))).collect::<Vec<_>>()
    };
    let poses: Vec<Pose> = starts.iter().flat_map(around).collect();
    let rated = |pose: &Pose| -> Result<(f64, Pose)> {
        let likeness = likeness(&coarse.samples, &coarse.moving, pose, watch)?;
        Ok((if likeness.in_view < LEAST_IN_VIEW { 0.0 } else { likeness.information }, *pose))
    };
    let mut rated = poses.par_iter().map(rated).collect::<Result<Vec<_>>>()?;
    rated.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut chosen: Vec<Pose> = Vec::new();
    for (_, pose) in rated {
        if chosen.iter().all(|other| pose.distance(other) > NEAR) {
            chosen.push(pose);
            if chosen.len() == CLIMBERS {
                break;
            }
        }
    }
    Ok(chosen)
}

fn turns() -> Vec<DMat3> {
    let angle = |n: usize| ANGLES[n % ANGLES.len()].to_radians();
    let of = |n: usize| DMat3::from_euler(EulerRot::ZYX, angle(n), angle(n / 5), angle(n / 25));
    (0..ANGLES.len().pow(3)).map(of).collect()
}
