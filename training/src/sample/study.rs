//! A subject as slices are drawn from it.

use mrisynth::Contrast;
use mrisynth::prepare::normalize::{TOP_PERCENTILE, percentile};
use ndarray::{Array3, ShapeBuilder};

use super::UNIT;
use super::geometry::Geometry;
use crate::data::store::Subject;
use crate::error::Error;

/// A slice is drawn from when at least this part of it is brain.
const MINIMUM_BRAIN: f64 = 0.02;

/// A subject in the form that draws need: slices contiguous, brain slices known.
pub struct Study {
    /// Names the study.
    pub id: String,
    t1w: Array3<u16>,
    t2w: Array3<u16>,
    /// The 99.5th percentiles of the brain in T1w and T2w, which a synthetic image is to call 1. A scan that was prepared by itself
    /// was scaled within its own, wider brain, where skull and vessels can be brighter.
    tops: [f32; 2],
    /// Slices with enough brain, from inferior to superior.
    pub slices: Vec<usize>,
}

impl Study {
    /// Takes a subject over.
    pub fn new(subject: Subject) -> Self {
        let slices = brain_slices(&subject);
        let tops = [top(&subject.t1w), top(&subject.t2w)];
        Self { id: subject.id, tops, t1w: slice_major(subject.t1w), t2w: slice_major(subject.t2w), slices }
    }

    /// Voxels along i, j, k.
    pub fn dims(&self) -> [usize; 3] {
        self.t1w.dim().into()
    }

    /// One contrast, i fastest.
    pub fn image(&self, contrast: Contrast) -> &Array3<u16> {
        match contrast {
            Contrast::T1w => &self.t1w,
            Contrast::T2w => &self.t2w,
        }
    }

    /// What the intensities of a contrast are divided by where it is to be synthesized.
    pub(super) fn top(&self, contrast: Contrast) -> f32 {
        match contrast {
            Contrast::T1w => self.tops[0],
            Contrast::T2w => self.tops[1],
        }
    }

    /// Slice `k` and its neighbours of a contrast, `[slices_in, edge, edge]`, centred in the window; nothing is varied.
    pub fn whole_slices(&self, contrast: Contrast, k: usize, slices_in: usize, edge: usize) -> Vec<f32> {
        let mut pixels = vec![0.0; slices_in * edge * edge];
        Geometry::whole(self.dims(), edge, k).extract(self.image(contrast), slices_in, edge, &mut pixels);
        pixels
    }
}

/// Refuses a study whose slices are larger than the window.
///
/// # Errors
/// [`Error::Data`] naming the study.
pub fn check_fits(study: &Study, edge: usize) -> Result<(), Error> {
    let [ni, nj, _] = study.dims();
    if ni.max(nj) <= edge {
        return Ok(());
    }
    Err(Error::Data(format!(
        "{}: its slices have {ni} x {nj} voxels and do not fit into the window of {edge} x {edge}",
        study.id
    )))
}

/// The same volume with i fastest in memory, so that an axial slice is contiguous.
fn slice_major(volume: Array3<u16>) -> Array3<u16> {
    if volume.t().is_standard_layout() {
        return volume;
    }
    let mut copy = Array3::zeros(volume.raw_dim().f());
    copy.assign(&volume);
    copy
}

/// The 99.5th percentile of what is not background, 0..=1; 1 where there is nothing else.
fn top(volume: &Array3<u16>) -> f32 {
    let mut brain: Vec<f32> =
        volume.iter().filter(|&&value| value > 0).map(|&value| f32::from(value) * UNIT).collect();
    percentile(&mut brain, TOP_PERCENTILE).unwrap_or(1.0)
}

fn brain_slices(subject: &Subject) -> Vec<usize> {
    let (ni, nj, nk) = subject.t1w.dim();
    let mut counts = vec![0usize; nk];
    for ((_, _, k), &t1w) in subject.t1w.indexed_iter() {
        counts[k] += usize::from(t1w > 0);
    }
    let enough = (MINIMUM_BRAIN * (ni * nj) as f64).max(1.0);
    (0..nk).filter(|&k| counts[k] as f64 >= enough).collect()
}
