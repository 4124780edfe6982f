//! How much of a brain is missing, told by its flat faces: a brain ends in points, and a cut through it in a plane.

use ndarray::Array3;

use crate::Result;
use crate::prepare::register::template;

/// How far inside its outermost voxel layer, in voxels of 1 mm, a brain's end is looked at: a few voxels that stick out of a
/// plane must not hide it.
const DEPTH: usize = 2;
/// The shares of a brain that are warned of and refused when they are missing.
const WARN: f64 = 0.05;
const REFUSE: f64 = 0.2;
/// An end that lacks less than this is not named.
const LEAST: f64 = 0.03;
/// The low and the high end of each axis.
const ENDS: [[&str; 2]; 3] = [["left", "right"], ["back", "front"], ["bottom", "top"]];

/// What seems to be missing of a brain.
#[derive(Debug, PartialEq)]
pub(super) struct Cut {
    share: f64,
    ends: Vec<&'static str>,
}

impl Cut {
    /// Of a brain on a grid of 1 mm along the patient's axes. From the sizes of its end faces, and how much of the standard
    /// brain lies beyond a face of that size.
    pub(super) fn of(brain: &Array3<bool>) -> Result<Self> {
        let standard = profiles(&template::brain()?.voxels().mapv(|value| value > 0.0));
        let mut cut = Self { share: 0.0, ends: Vec::new() };
        for ((profile, standard), names) in profiles(brain).iter().zip(&standard).zip(ENDS) {
            for (name, reversed) in names.into_iter().zip([false, true]) {
                let share = share_beyond(&in_direction(standard, reversed), face(profile, reversed));
                cut.share += share;
                if share >= LEAST {
                    cut.ends.push(name);
                }
            }
        }
        Ok(cut)
    }

    /// Whether it is worth a warning.
    pub(super) fn is_noticeable(&self) -> bool {
        self.share >= WARN
    }

    /// Whether there is too little left.
    pub(super) fn is_heavy(&self) -> bool {
        self.share >= REFUSE
    }

    pub(super) fn text(&self) -> String {
        format!(
            "field of view: the brain ends in a flat face ({}), as if about {:.0} % of it or more were cut off",
            self.ends.join(", "),
            100.0 * self.share
        )
    }
}

/// For each axis, the voxels of each slice across it, from the brain's first slice to its last.
fn profiles(brain: &Array3<bool>) -> [Vec<u32>; 3] {
    let (ni, nj, nk) = brain.dim();
    let mut counts = [vec![0; ni], vec![0; nj], vec![0; nk]];
    for ((i, j, k), _) in brain.indexed_iter().filter(|(_, inside)| **inside) {
        let [along_i, along_j, along_k] = &mut counts;
        along_i[i] += 1;
        along_j[j] += 1;
        along_k[k] += 1;
    }
    counts.map(|counts| {
        let first = counts.iter().position(|count| *count > 0).unwrap_or(0);
        let last = counts.iter().rposition(|count| *count > 0).unwrap_or(0);
        counts[first..=last.max(first)].to_vec()
    })
}

fn in_direction(profile: &[u32], reversed: bool) -> Vec<u32> {
    if reversed { profile.iter().rev().copied().collect() } else { profile.to_vec() }
}

/// The size of an end's face, 1 being the largest slice.
fn face(profile: &[u32], reversed: bool) -> f64 {
    let largest = profile.iter().copied().max().unwrap_or(0);
    let at_depth = in_direction(profile, reversed).get(DEPTH).copied().unwrap_or(largest);
    f64::from(at_depth) / f64::from(largest.max(1))
}

/// The share of a whole brain that lies before its first slice of this size.
fn share_beyond(whole: &[u32], face: f64) -> f64 {
    let largest = f64::from(whole.iter().copied().max().unwrap_or(0));
    let total: u32 = whole.iter().sum();
    let before: u32 = whole.iter().take_while(|count| f64::from(**count) < face * largest).sum();
    f64::from(before) / f64::from(total.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::s;

    fn standard_without(cut: impl Fn(&mut Array3<bool>)) -> Cut {
        let mut brain = template::brain_mask().unwrap().slice(s![..;-1, .., ..]).to_owned();
        cut(&mut brain);
        Cut::of(&brain).unwrap()
    }

    #[test]
    fn a_whole_brain_is_not_cut() {
        let whole = standard_without(|_| ());
        assert!(whole.share < 0.02 && !whole.is_noticeable(), "{whole:?}");
    }

    #[test]
    fn what_is_missing_is_told_with_its_side() {
        let top = standard_without(|brain| brain.slice_mut(s![.., .., 78..]).fill(false));
        assert!(top.is_heavy() && top.ends == ["top"], "{top:?}");
        let left = standard_without(|brain| brain.slice_mut(s![..91, .., ..]).fill(false));
        assert!(left.is_heavy() && left.ends == ["left"], "{left:?}");
        let slab = standard_without(|brain| {
            brain.slice_mut(s![.., .., ..50]).fill(false);
            brain.slice_mut(s![.., .., 110..]).fill(false);
        });
        assert!(slab.is_heavy() && slab.ends == ["bottom", "top"], "{slab:?}");
    }

    #[test]
    fn a_missing_tenth_is_estimated_and_warned_of() {
        let full = template::brain_mask().unwrap().iter().filter(|inside| **inside).count() as f64;
        for last in [120, 124] {
            let mut left = 0;
            let cut = standard_without(|brain| brain.slice_mut(s![.., .., last..]).fill(false));
            template::brain_mask().unwrap().indexed_iter().for_each(|((_, _, k), inside)| {
                left += usize::from(*inside && k < last);
            });
            let missing = 1.0 - left as f64 / full;
            assert!((cut.share - missing).abs() < 0.03, "{missing}: {cut:?}");
            assert!(cut.is_noticeable() && !cut.is_heavy(), "{missing}: {cut:?}");
        }
    }
}
