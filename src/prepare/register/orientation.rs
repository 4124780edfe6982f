//! Whether the images fit better after quarter and half turns: then a header names the wrong axes.
//!
//! A brain is so nearly its own mirror image that left and right cannot be told apart by fit. So only proper turns are
//! tried, and a header with one axis reversed shows as a half turn.

use glam::{DMat3, DVec3};
use rayon::prelude::*;

use super::pose::{Freedom, Pose};
use super::search::Stage;
use crate::{Result, Watch};

/// How much more the images must tell of each other after a turn. Of a brain turned by 180 degrees the outline still fits.
const CLEARLY: f64 = 1.05;
const NAMES: [[&str; 2]; 3] = [["right", "left"], ["front", "back"], ["top", "bottom"]];

/// How the patient seems to lie, if that fits clearly better than `pose`.
///
/// # Errors
/// [`crate::Error::Cancelled`].
pub(super) fn better(coarse: &Stage, pose: &Pose, freedom: Freedom, watch: &Watch) -> Result<Option<String>> {
    let freedom = if freedom == Freedom::Affine { Freedom::Similar } else { freedom };
    let (_, here) = coarse.climb(pose, freedom, watch)?;
    let (_, there, description) = best_turn(coarse, pose, freedom, usize::MAX, watch)?;
    Ok((there > CLEARLY * here).then_some(description))
}

/// The pose that fits best after a quarter or half turn and a climb, how well it fits, and how the patient then lies.
/// Only so many turns climb, those that fit best where they start.
///
/// # Errors
/// [`crate::Error::Cancelled`].
pub(super) fn best_turn(
    coarse: &Stage,
    pose: &Pose,
    freedom: Freedom,
    contenders: usize,
    watch: &Watch,
) -> Result<(Pose, f64, String)> {
    let mut turns = turns();
    if contenders < turns.len() {
        let rate = |turn: &DMat3| Ok((coarse.information(&pose.turned(*turn), watch)?, *turn));
        let mut rated = turns.par_iter().map(rate).collect::<Result<Vec<_>>>()?;
        rated.sort_by(|a, b| b.0.total_cmp(&a.0));
        turns = rated.into_iter().take(contenders).map(|(_, turn)| turn).collect();
    }
    let climb = |turn: &DMat3| coarse.climb(&pose.turned(*turn), freedom, watch);
    let turned = turns.par_iter().map(climb).collect::<Result<Vec<_>>>()?;
    let best = turns.iter().zip(turned).max_by(|a, b| a.1.1.total_cmp(&b.1.1));
    Ok(best.map_or((*pose, 0.0, String::new()), |(turn, (pose, there))| (pose, there, description(turn))))
}

/// The 23 rotations of a cube that are not the identity.
fn turns() -> Vec<DMat3> {
    let axes = DVec3::AXES;
    let signed = |n: usize| if n < 3 { axes[n] } else { -axes[n - 3] };
    let pairs = (0..36).map(|n| (signed(n / 6), signed(n % 6))).filter(|(x, y)| x.dot(*y) == 0.0);
    let rotations = pairs.map(|(x, y)| DMat3::from_cols(x, y, x.cross(y)));
    rotations.filter(|rotation| *rotation != DMat3::IDENTITY).collect()
}

/// Where the patient's top and front lie in the header's axes.
fn description(turn: &DMat3) -> String {
    let named = |direction: DVec3| {
        let axis = (0..3).find(|axis| direction[*axis].abs() > 0.5).unwrap_or(0);
        NAMES[axis][usize::from(direction[axis] < 0.0)]
    };
    let (top, front) = (named(turn.col(2)), named(turn.col(1)));
    format!("the patient's top seems to be where the header says {top}, the front where it says {front}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_those_of_a_cube_and_have_names() {
        let turns = turns();
        assert_eq!(turns.len(), 23);
        assert!(turns.iter().all(|turn| (turn.determinant() - 1.0).abs() < 1e-12));
        let upside_down = DMat3::from_cols(DVec3::NEG_X, DVec3::Y, DVec3::NEG_Z);
        let text =
            "the patient's top seems to be where the header says bottom, the front where it says front";
        assert_eq!(description(&upside_down), text);
    }
}
