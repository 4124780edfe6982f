//! Two lesion masks compared: overlap, surface distances, lesions found and missed, counts and sizes.
//!
//! Masks may come from any segmentation; both lie on one grid.

pub mod counts;
pub mod detection;
pub mod sizes;
pub mod surface;

use mrisynth::prepare::morphology::{self, Connectivity};
use ndarray::{ArrayView3, Zip, s};
use serde::Serialize;

use crate::Result;
use crate::extent::{check_same, check_sizes};
use crate::measured::Measured;
use crate::volumes::difference::Difference;
use detection::{Detection, Matched, Rule};
use sizes::{Lesions, SizeBins, SizeDistribution};
use surface::{SurfaceDistances, surface_distances};

/// What measures of lesions are taken by.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// What makes a voxel one of a mask's surface.
    pub surface: Connectivity,
    /// What a lesion is, for counts and sizes too, and when it is found.
    pub rule: Rule,
    /// A second rule, stricter, for found and missed lesions alone.
    pub strict_rule: Rule,
    /// Sizes that lesions are sorted into.
    pub bins: SizeBins,
}

impl Default for Settings {
    /// MedPy's surface, the WMH challenge's rule, and Anima's as the strict one.
    fn default() -> Self {
        Self {
            surface: Connectivity::Faces,
            rule: Rule::WMH_CHALLENGE,
            strict_rule: Rule::ANIMA,
            bins: SizeBins::default(),
        }
    }
}

/// Lesions of the real image of which the synthetic image's mask has no voxel: n/N.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Lesions that are missed altogether.
    pub failed: usize,
    /// All lesions of the real image.
    pub of: usize,
}

/// One subject's lesion masks compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Twice the common voxels over the sum of both masks' (Dice 1945), 0..1; 1 for two empty masks.
    pub dice: f64,
    /// The common voxels over those of either mask (Jaccard), 0..1; 1 for two empty masks.
    pub jaccard: f64,
    /// Distances between the masks' surfaces; undefined if a mask is empty.
    pub distances: Measured<SurfaceDistances>,
    /// Lesions found and missed.
    pub detection: Detection,
    /// The same by the strict rule.
    pub strict_detection: Detection,
    /// Lesions missed altogether.
    pub failed: Failed,
    /// How well the numbers of lesions agree: [`counts::agreement`].
    pub count_agreement: f64,
    /// Lesions of the real image's mask.
    pub reference: Lesions,
    /// Lesions of the synthetic image's mask.
    pub synthetic: Lesions,
    /// The masks' volumes.
    pub volume: Difference,
    /// Lesions of each size.
    pub size_distribution: SizeDistribution,
}

/// Compares two lesion masks with voxels of these sizes in millimetres.
///
/// # Errors
/// [`crate::Error::Invalid`] if the masks differ in size, a voxel size is not 0.01 to 100 mm, the masks reach over more than 1 m,
/// or a number of a rule is out of range.
pub fn compare(
    reference: ArrayView3<'_, bool>,
    synthetic: ArrayView3<'_, bool>,
    sizes: [f64; 3],
    settings: &Settings,
) -> Result<Comparison> {
    check_same(("the real image's mask", reference.dim()), ("the synthetic image's mask", synthetic.dim()))?;
    check_sizes(sizes)?;
    let [reference, synthetic] = around_both(reference, synthetic);
    let matched = Matched::between(reference, synthetic, sizes, &settings.rule)?;
    let strict = Matched::between(reference, synthetic, sizes, &settings.strict_rule)?;
    let voxel_mm3 = sizes.iter().product();
    let first = Lesions::new(voxels(reference), &matched.reference, voxel_mm3);
    let second = Lesions::new(voxels(synthetic), &matched.synthetic, voxel_mm3);
    let dice = morphology::dice(&reference, &synthetic);
    Ok(Comparison {
        dice,
        jaccard: dice / (2.0 - dice),
        distances: surface_distances(reference, synthetic, sizes, settings.surface)?,
        detection: matched.detection(),
        strict_detection: strict.detection(),
        failed: Failed { failed: matched.failed(), of: first.count },
        count_agreement: counts::agreement(first.count, second.count),
        volume: Difference::between(first.volume_ml, second.volume_ml),
        size_distribution: SizeDistribution {
            reference: settings.bins.count(&first.volumes_mm3),
            synthetic: settings.bins.count(&second.volumes_mm3),
            lower_bounds_mm3: settings.bins.clone(),
        },
        reference: first,
        synthetic: second,
    })
}

/// The part of two masks of one size that holds both: the smallest box around them. What lies outside changes no measure.
fn around_both<'a>(first: ArrayView3<'a, bool>, second: ArrayView3<'a, bool>) -> [ArrayView3<'a, bool>; 2] {
    let boxes = [&first, &second].map(|mask| morphology::bounding_box(mask));
    let Some((low, high)) = boxes.into_iter().flatten().reduce(|(low, high), (other_low, other_high)| {
        let axes = [0, 1, 2];
        (axes.map(|axis| low[axis].min(other_low[axis])), axes.map(|axis| high[axis].max(other_high[axis])))
    }) else {
        return [first, second].map(|mask| mask.slice_move(s![..0, ..0, ..0]));
    };
    [first, second].map(|mask| mask.slice_move(s![low[0]..=high[0], low[1]..=high[1], low[2]..=high[2]]))
}

/// How many voxels a mask has.
fn voxels(mask: ArrayView3<'_, bool>) -> usize {
    let mut voxels = 0;
    Zip::from(mask).for_each(|inside| voxels += usize::from(*inside));
    voxels
}

#[cfg(test)]
pub(crate) mod tests;
