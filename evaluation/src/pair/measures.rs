//! The results of one pair under their names: flat and stable, for tables over many pairs.

use std::collections::BTreeMap;

use serde::Serialize;

use super::notes::Notes;
use crate::fidelity::Fidelity;
use crate::lesions::Comparison;
use crate::lesions::sizes::SizeDistribution;
use crate::measured::Measured;
use crate::texture::{LesionTexture, RegionTexture};
use crate::volumes::difference::Difference;
use crate::volumes::labels::Region;

/// How near the images are: averages over axial slices, on whole slices and, by `_brain`, inside the brain.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FidelityMeasures {
    /// Axial slices that counted: those with at least 2 % brain.
    pub slices: usize,
    /// Peak signal-to-noise ratio in dB, at most 120.
    pub psnr: f64,
    /// Structural similarity by scikit-image's default window.
    pub ssim: f64,
    /// Structural similarity by Wang's Gaussian window.
    pub ssim_gaussian: f64,
    /// Mean absolute error, in units of intensity.
    pub mae: f64,
    /// The synthetic image's Laplacian energy over the real one's.
    pub laplacian_ratio: Option<f64>,
    /// Mean absolute difference of the gradients' magnitudes, in intensity per voxel.
    pub gradient_mae: f64,
    /// As `psnr`, inside the brain.
    pub psnr_brain: f64,
    /// As `ssim`, inside the brain.
    pub ssim_brain: f64,
    /// As `ssim_gaussian`, inside the brain.
    pub ssim_gaussian_brain: f64,
    /// As `mae`, inside the brain.
    pub mae_brain: f64,
    /// As `laplacian_ratio`, inside the brain.
    pub laplacian_ratio_brain: Option<f64>,
    /// As `gradient_mae`, inside the brain.
    pub gradient_mae_brain: f64,
}

impl FidelityMeasures {
    pub(super) fn of(fidelity: &Fidelity, notes: &mut Notes) -> Self {
        let Fidelity { slices, whole, brain, .. } = fidelity;
        Self {
            slices: *slices,
            psnr: whole.psnr,
            ssim: whole.ssim,
            ssim_gaussian: whole.ssim_gaussian,
            mae: whole.mae,
            laplacian_ratio: notes.value("laplacian_ratio", whole.laplacian_energy_ratio),
            gradient_mae: whole.gradient_mae,
            psnr_brain: brain.psnr,
            ssim_brain: brain.ssim,
            ssim_gaussian_brain: brain.ssim_gaussian,
            mae_brain: brain.mae,
            laplacian_ratio_brain: notes.value("laplacian_ratio_brain", brain.laplacian_energy_ratio),
            gradient_mae_brain: brain.gradient_mae,
        }
    }
}

/// How alike the lesion masks are; nothing where a mask was not given.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LesionMeasures {
    /// Dice's coefficient, 0..1; 1 for two empty masks.
    pub dice: Option<f64>,
    /// Jaccard's coefficient, 0..1; 1 for two empty masks.
    pub jaccard: Option<f64>,
    /// The 95th percentile of the pooled surface distances in millimetres (MedPy).
    pub hd95: Option<f64>,
    /// The larger of the two directed 95th percentiles in millimetres (MONAI).
    pub hd95_larger: Option<f64>,
    /// The Hausdorff distance in millimetres.
    pub hausdorff: Option<f64>,
    /// Average symmetric surface distance in millimetres, pooled (MedPy 0.5).
    pub assd: Option<f64>,
    /// The mean of the two directed average surface distances in millimetres (MedPy before 0.5).
    pub assd_directed: Option<f64>,
    /// Lesion-wise F1, 0..1.
    pub lesion_f1: Option<f64>,
    /// Share of the synthetic image's lesions that the real one has, 0..1.
    pub lesion_precision: Option<f64>,
    /// Share of the real image's lesions that the synthetic one has, 0..1.
    pub lesion_sensitivity: Option<f64>,
    /// As `lesion_f1`, by the strict rule.
    pub lesion_f1_strict: Option<f64>,
    /// As `lesion_precision`, by the strict rule.
    pub lesion_precision_strict: Option<f64>,
    /// As `lesion_sensitivity`, by the strict rule.
    pub lesion_sensitivity_strict: Option<f64>,
    /// Lesions of the real image.
    pub lesion_count_reference: Option<usize>,
    /// Lesions of the synthetic image.
    pub lesion_count_synthetic: Option<usize>,
    /// 1 less the difference of both counts over the larger one, 0..1.
    pub lesion_count_agreement: Option<f64>,
    /// Lesions of the real image of which the synthetic one has no voxel.
    pub failed_lesions: Option<usize>,
    /// Volume of the real image's lesions in millilitres.
    pub lesion_volume_reference_ml: Option<f64>,
    /// Volume of the synthetic image's lesions in millilitres.
    pub lesion_volume_synthetic_ml: Option<f64>,
    /// Synthetic less real, in millilitres.
    pub lesion_volume_difference_ml: Option<f64>,
    /// The same in percent of the real image's lesions.
    pub lesion_volume_difference_percent: Option<f64>,
    /// How many lesions of each size both have.
    pub lesion_sizes: Option<SizeDistribution>,
}

impl LesionMeasures {
    pub(super) fn of(lesions: &Comparison, notes: &mut Notes) -> Self {
        let distances = lesions.distances;
        let (found, strict) = (&lesions.detection, &lesions.strict_detection);
        Self {
            dice: Some(lesions.dice),
            jaccard: Some(lesions.jaccard),
            hd95: notes.value("hd95", distances.map(|distances| distances.hd95)),
            hd95_larger: notes
                .value("hd95_larger", distances.map(|distances| distances.hd95_larger_directed)),
            hausdorff: notes.value("hausdorff", distances.map(|distances| distances.hausdorff)),
            assd: notes.value("assd", distances.map(|distances| distances.average)),
            assd_directed: notes
                .value("assd_directed", distances.map(|distances| distances.average_of_directed)),
            lesion_f1: Some(found.f1),
            lesion_precision: notes.value("lesion_precision", found.precision),
            lesion_sensitivity: notes.value("lesion_sensitivity", found.sensitivity),
            lesion_f1_strict: Some(strict.f1),
            lesion_precision_strict: notes.value("lesion_precision_strict", strict.precision),
            lesion_sensitivity_strict: notes.value("lesion_sensitivity_strict", strict.sensitivity),
            lesion_count_reference: Some(lesions.reference.count),
            lesion_count_synthetic: Some(lesions.synthetic.count),
            lesion_count_agreement: Some(lesions.count_agreement),
            failed_lesions: Some(lesions.failed.failed),
            lesion_volume_reference_ml: Some(lesions.volume.reference_ml),
            lesion_volume_synthetic_ml: Some(lesions.volume.synthetic_ml),
            lesion_volume_difference_ml: Some(lesions.volume.difference_ml),
            lesion_volume_difference_percent: notes
                .value("lesion_volume_difference_percent", lesions.volume.percent),
            lesion_sizes: Some(lesions.size_distribution.clone()),
        }
    }
}

/// The texture of both images in the same places: in the lesions of the real image's mask and in the margins around them;
/// nothing where that mask was not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TextureMeasures {
    /// Contrast of the real image in the lesions.
    pub glcm_contrast_reference: Option<f64>,
    /// Contrast of the synthetic image in the lesions.
    pub glcm_contrast_synthetic: Option<f64>,
    /// Dissimilarity of the real image in the lesions.
    pub glcm_dissimilarity_reference: Option<f64>,
    /// Dissimilarity of the synthetic image in the lesions.
    pub glcm_dissimilarity_synthetic: Option<f64>,
    /// Contrast of the real image around the lesions.
    pub glcm_contrast_margin_reference: Option<f64>,
    /// Contrast of the synthetic image around the lesions.
    pub glcm_contrast_margin_synthetic: Option<f64>,
    /// Dissimilarity of the real image around the lesions.
    pub glcm_dissimilarity_margin_reference: Option<f64>,
    /// Dissimilarity of the synthetic image around the lesions.
    pub glcm_dissimilarity_margin_synthetic: Option<f64>,
    /// Lesions that the texture in lesions is averaged over: those large enough for a pair at every distance and angle.
    pub glcm_lesions: Option<usize>,
    /// Lesions that the texture around lesions is averaged over.
    pub glcm_margins: Option<usize>,
}

impl TextureMeasures {
    pub(super) fn of(reference: &LesionTexture, synthetic: &LesionTexture, notes: &mut Notes) -> Self {
        let contrast = |region: Measured<RegionTexture>| region.map(|region| region.texture.contrast);
        let dissimilarity =
            |region: Measured<RegionTexture>| region.map(|region| region.texture.dissimilarity);
        let count = |region: Measured<RegionTexture>| region.map(|region| region.lesions);
        let mut value = |key: &str, measured: Measured<f64>| notes.value(key, measured);
        Self {
            glcm_contrast_reference: value("glcm_contrast_reference", contrast(reference.inside)),
            glcm_contrast_synthetic: value("glcm_contrast_synthetic", contrast(synthetic.inside)),
            glcm_dissimilarity_reference: value(
                "glcm_dissimilarity_reference",
                dissimilarity(reference.inside),
            ),
            glcm_dissimilarity_synthetic: value(
                "glcm_dissimilarity_synthetic",
                dissimilarity(synthetic.inside),
            ),
            glcm_contrast_margin_reference: value(
                "glcm_contrast_margin_reference",
                contrast(reference.around),
            ),
            glcm_contrast_margin_synthetic: value(
                "glcm_contrast_margin_synthetic",
                contrast(synthetic.around),
            ),
            glcm_dissimilarity_margin_reference: value(
                "glcm_dissimilarity_margin_reference",
                dissimilarity(reference.around),
            ),
            glcm_dissimilarity_margin_synthetic: value(
                "glcm_dissimilarity_margin_synthetic",
                dissimilarity(synthetic.around),
            ),
            glcm_lesions: notes.value("glcm_lesions", count(reference.inside)),
            glcm_margins: notes.value("glcm_margins", count(reference.around)),
        }
    }
}

/// One region's volume in both images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct VolumeMeasures {
    /// Millilitres in the real image.
    pub reference_ml: f64,
    /// Millilitres in the synthetic image.
    pub synthetic_ml: f64,
    /// Synthetic less real, in millilitres.
    pub difference_ml: f64,
    /// The same in percent of the real image's volume.
    pub difference_percent: Option<f64>,
}

/// Volumes by region.
pub type Volumes = BTreeMap<Region, VolumeMeasures>;

pub(super) fn volumes(differences: &BTreeMap<Region, Difference>, notes: &mut Notes) -> Volumes {
    let of_region = |(region, difference): (&Region, &Difference)| {
        let key = format!("volumes.{}.difference_percent", region.key());
        let measures = VolumeMeasures {
            reference_ml: difference.reference_ml,
            synthetic_ml: difference.synthetic_ml,
            difference_ml: difference.difference_ml,
            difference_percent: notes.value(&key, difference.percent),
        };
        (*region, measures)
    };
    differences.iter().map(of_region).collect()
}
