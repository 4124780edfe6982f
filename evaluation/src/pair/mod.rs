//! One real image and one synthetic one, with what masks and label maps there are: everything measured.

pub(crate) mod grid;
pub mod input;
pub mod measures;
pub mod notes;
pub(crate) mod plausible;

use mrisynth::{Error, metrics};
use ndarray::{Array3, ArrayView3, CowArray, Ix3};
use serde::Serialize;

use crate::texture::glcm::Levels;
use crate::volumes::labels;
use crate::volumes::table::LabelTable;
use crate::{Result, fidelity, lesions, texture};
pub use input::{Input, Pair};
use measures::{FidelityMeasures, LesionMeasures, TextureMeasures, Volumes};
use notes::Notes;
use plausible::Doubts;

/// Grey levels of textures.
const GREY_LEVELS: usize = 32;

/// Data ranges that images can have.
const DATA_RANGES: std::ops::RangeInclusive<f64> = 1e-6..=1e9;

/// How a pair is evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The range of intensities that PSNR and SSIM are relative to; grey levels of textures reach from 0 to it.
    pub data_range: f64,
    /// Whether both images are first brought to 0..1: the real one's 99.5th percentile inside the brain becomes 1, both are
    /// clipped, and what is not brain becomes 0 (`mrisynth::metrics::on_one_scale`). The data range is 1 then.
    pub normalize: bool,
    /// Whether the synthetic image is first mapped by the one factor and offset that bring it nearest to the real one inside
    /// the brain (least squares, `mrisynth::metrics::line_fit`), and clipped to 0 and the data range there: what a tool sees
    /// that normalizes its input, and what training calls fitted. What is not brain stays as it is.
    pub fit: bool,
    /// How lesions are compared.
    pub lesions: lesions::Settings,
    /// How textures are taken.
    pub texture: texture::Settings,
    /// What labels stand for.
    pub label_table: LabelTable,
    /// Warn where a pair would be refused that cannot be what it is taken for.
    pub accept_implausible: bool,
}

impl Options {
    /// The defaults for images of this data range: no fit, FreeSurfer's labels, textures of 32 grey levels from 0 to the range.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] if the range is not within 1e-6..=1e9.
    pub fn for_range(data_range: f64) -> Result<Self> {
        if !DATA_RANGES.contains(&data_range) {
            return Err(crate::Error::Invalid(format!(
                "a data range of {data_range}: it must be 0.000001 to 1000000000"
            )));
        }
        let levels = Levels::new(GREY_LEVELS, 0.0, data_range as f32)?;
        Ok(Self {
            data_range,
            normalize: false,
            fit: false,
            lesions: lesions::Settings::default(),
            texture: texture::Settings { levels, ..texture::Settings::default() },
            label_table: LabelTable::freesurfer(),
            accept_implausible: false,
        })
    }
}

/// Where the brain is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BrainSource {
    /// From a mask.
    Mask,
    /// It is where the real image is above 0.
    ReferenceAboveZero,
}

/// By what lesions and textures were measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Slices with a smaller share of brain are left out.
    pub least_brain_share: f64,
    /// How lesions were compared.
    pub lesions: lesions::Settings,
    /// How textures were taken.
    pub texture: texture::Settings,
}

impl Settings {
    /// Those of these options.
    pub fn of(options: &Options) -> Self {
        Self {
            least_brain_share: metrics::LEAST_BRAIN_SHARE,
            lesions: options.lesions.clone(),
            texture: options.texture.clone(),
        }
    }
}

/// All results of one pair. As JSON, measures are keys of one object, and `null` where `notes` says why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Voxels of the images from left to right, from back to front and from bottom to top.
    pub dims: [usize; 3],
    /// Their sizes in millimetres.
    pub voxel_sizes_mm: [f64; 3],
    /// Where the brain was taken from.
    pub brain: BrainSource,
    /// The brain's volume in millilitres.
    pub brain_ml: f64,
    /// The range of intensities that PSNR and SSIM are relative to.
    pub data_range: f64,
    /// Whether both images were first brought to 0..1.
    pub normalize: bool,
    /// Whether the synthetic image was first fitted to the real one.
    pub fit: bool,
    /// The fit's factor; 1 without a fit.
    pub fit_factor: f64,
    /// The fit's offset; 0 without a fit.
    pub fit_offset: f64,
    /// Fidelity and sharpness.
    #[serde(flatten)]
    pub fidelity: FidelityMeasures,
    /// Lesions.
    #[serde(flatten)]
    pub lesions: LesionMeasures,
    /// Texture in and around lesions.
    #[serde(flatten)]
    pub texture: TextureMeasures,
    /// Volumes by region; none without label maps.
    pub volumes: Option<Volumes>,
    /// Why measures are not there.
    pub notes: Notes,
    /// What is doubtful, one sentence each.
    pub warnings: Vec<String>,
    /// By what lesions and textures were measured.
    pub settings: Settings,
}

/// Evaluates a pair, on all threads of the current pool; the result is the same for any number.
///
/// # Errors
/// Those of files name them. [`Error::BadImage`] if grids differ (saying along which axis and by how much), a voxel is not a
/// finite number, there is no brain, or a label map is none; [`Error::InvalidArgument`] if lesions or labels of one image are
/// given that need those of the other; [`Error::Refused`] if the images are far outside the data range, a mask is none, or
/// the table of labels is not the map's. [`crate::Error::Invalid`] for options out of range.
pub fn evaluate(pair: &Pair<Input>, options: &Options) -> Result<Evaluation> {
    check_complete(pair)?;
    let mut doubts = Doubts::default();
    check_inputs(pair, &mut doubts)?;
    let (brain, source) = brain_of(pair, &mut doubts)?;
    let compared = Compared::of(pair, &brain, options)?;
    let [fit_factor, fit_offset] = compared.fit;
    let subject = Subject { pair, compared, brain, options };
    subject.check_range(&mut doubts);
    let mut notes = Notes::default();
    let volumes = volumes_of(pair, &options.label_table, &mut notes, &mut doubts)?;
    // All that may be refused is known before the long work.
    let warnings = doubts.settle(options.accept_implausible)?;
    let fidelity = subject.fidelity(&mut notes)?;
    let (lesions, texture) = (subject.lesions(&mut notes)?, subject.texture(&mut notes)?);
    let voxel_sizes_mm = pair.reference.volume.affine().voxel_sizes();
    let brain_voxels = subject.brain.iter().filter(|inside| **inside).count();
    Ok(Evaluation {
        dims: pair.reference.volume.dims(),
        voxel_sizes_mm,
        brain: source,
        brain_ml: brain_voxels as f64 * voxel_sizes_mm.iter().product::<f64>() / 1000.0,
        data_range: options.data_range,
        normalize: options.normalize,
        fit: options.fit,
        fit_factor,
        fit_offset,
        fidelity,
        lesions,
        texture,
        volumes,
        notes,
        warnings,
        settings: Settings::of(options),
    })
}

/// Refuses what cannot be compared for want of its counterpart.
fn check_complete<T>(pair: &Pair<T>) -> Result<()> {
    let fault = match (&pair.lesions_reference, &pair.lesions_synthetic) {
        (None, Some(_)) => "lesions of the synthetic image need those of the real one",
        _ if pair.labels_reference.is_some() != pair.labels_synthetic.is_some() => {
            "a label map of one image needs that of the other"
        }
        _ => return Ok(()),
    };
    Err(Error::InvalidArgument(fault.into()).into())
}

fn check_inputs(pair: &Pair<Input>, doubts: &mut Doubts) -> Result<()> {
    for other in pair.on_grid() {
        grid::check(&pair.reference, other)?;
    }
    for part in pair.parts() {
        part.check_finite()?;
        doubts.about_file(part);
    }
    doubts.about_roles(&pair.reference);
    for mask in [&pair.mask, &pair.lesions_reference, &pair.lesions_synthetic].into_iter().flatten() {
        doubts.about_mask(mask);
    }
    Ok(())
}

fn brain_of(pair: &Pair<Input>, doubts: &mut Doubts) -> Result<(Array3<bool>, BrainSource)> {
    let (brain, source, of) = match &pair.mask {
        Some(mask) => (mask.mask(), BrainSource::Mask, mask),
        None => {
            let above_zero = pair.reference.volume.voxels().mapv(|value| value > 0.0);
            doubts.about_background(&pair.reference, &above_zero);
            (above_zero, BrainSource::ReferenceAboveZero, &pair.reference)
        }
    };
    if brain.iter().any(|inside| *inside) {
        return Ok((brain, source));
    }
    let fault = match source {
        BrainSource::Mask => "the mask is empty: there is no brain to measure in",
        BrainSource::ReferenceAboveZero => "no voxel is above 0: there is no brain to measure in",
    };
    Err(of.fault(Error::BadImage(fault.into())))
}

/// Both images as they are compared.
struct Compared<'a> {
    real: CowArray<'a, f32, Ix3>,
    synthetic: CowArray<'a, f32, Ix3>,
    /// Factor and offset of the fit; 1 and 0 without one.
    fit: [f64; 2],
}

impl<'a> Compared<'a> {
    fn of(pair: &'a Pair<Input>, brain: &Array3<bool>, options: &Options) -> Result<Self> {
        if options.normalize && options.data_range != 1.0 {
            let fault = format!("a data range of {}: normalized images have 1", options.data_range);
            return Err(crate::Error::Invalid(fault));
        }
        let (real, synthetic) = (&pair.reference.volume, &pair.synthetic.volume);
        let mut compared =
            Self { real: real.voxels().into(), synthetic: synthetic.voxels().into(), fit: [1.0, 0.0] };
        if options.normalize {
            let [real, synthetic] = metrics::on_one_scale(real, synthetic, brain, false)
                .map_err(|fault| pair.reference.fault(fault))?;
            (compared.real, compared.synthetic) = (real.into(), synthetic.into());
        }
        if options.fit {
            let from = synthetic.voxels();
            let (factor, offset) = metrics::line_fit(from, compared.real.view(), brain);
            if !(factor.is_finite() && offset.is_finite()) {
                let fault = format!("a fit with the factor {factor} and the offset {offset}");
                return Err(pair.synthetic.fault(Error::BadImage(fault)));
            }
            // From the image as it was: what normalizing would clip still counts.
            let fitted = compared.synthetic.view_mut();
            ndarray::Zip::from(fitted).and(from).and(brain).for_each(|fitted, &voxel, &inside| {
                if inside {
                    *fitted = (factor * voxel + offset).clamp(0.0, options.data_range as f32);
                }
            });
            compared.fit = [factor, offset].map(f64::from);
        }
        Ok(compared)
    }
}

/// Both images as they are compared, and the brain: for pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Images {
    /// The real image.
    pub real: Array3<f32>,
    /// The synthetic image.
    pub synthetic: Array3<f32>,
    /// The brain.
    pub brain: Array3<bool>,
    /// Sizes of voxels in millimetres.
    pub voxel_sizes_mm: [f64; 3],
}

/// The images of a pair as [`evaluate`] compares them.
///
/// # Errors
/// Those of [`evaluate`] that are about images, but for refusals.
pub fn images(pair: &Pair<Input>, options: &Options) -> Result<Images> {
    let mut doubts = Doubts::default();
    check_inputs(pair, &mut doubts)?;
    let (brain, _) = brain_of(pair, &mut doubts)?;
    let Compared { real, synthetic, .. } = Compared::of(pair, &brain, options)?;
    let (real, synthetic) = (real.into_owned(), synthetic.into_owned());
    Ok(Images { real, synthetic, brain, voxel_sizes_mm: pair.reference.volume.affine().voxel_sizes() })
}

/// Volumes need no grid: each map has its own voxels.
fn volumes_of(
    pair: &Pair<Input>,
    table: &LabelTable,
    notes: &mut Notes,
    doubts: &mut Doubts,
) -> Result<Option<Volumes>> {
    let (Some(reference), Some(synthetic)) = (&pair.labels_reference, &pair.labels_synthetic) else {
        notes.add("volumes", "no label maps were given");
        return Ok(None);
    };
    let mut volumes = |map: &Input| {
        let volumes = labels::volumes(map.volume.voxels(), map.volume.affine().voxel_sizes(), table);
        let volumes = volumes.map_err(|fault| map.about(fault))?;
        doubts.about_labels(map, &volumes);
        Ok::<_, crate::Error>(volumes)
    };
    let differences = labels::differences(&volumes(reference)?, &volumes(synthetic)?);
    Ok(Some(measures::volumes(&differences, notes)))
}

/// A pair that can be measured: finite, on one grid, with a brain.
struct Subject<'a> {
    pair: &'a Pair<Input>,
    compared: Compared<'a>,
    brain: Array3<bool>,
    options: &'a Options,
}

impl Subject<'_> {
    fn check_range(&self, doubts: &mut Doubts) {
        let Pair { reference, synthetic, .. } = self.pair;
        let (compared, range) = (&self.compared, self.options.data_range);
        doubts.about_range(reference, compared.real.view(), &self.brain, range, true);
        doubts.about_range(synthetic, compared.synthetic.view(), &self.brain, range, false);
    }

    fn fidelity(&self, notes: &mut Notes) -> Result<FidelityMeasures> {
        let Pair { reference, .. } = self.pair;
        let (real, synthetic) = (self.compared.real.view(), self.compared.synthetic.view());
        let fidelity = fidelity::measure(real, synthetic, self.brain.view(), self.options.data_range);
        // Faults of the brain are its mask's.
        let of = self.pair.mask.as_ref().unwrap_or(reference);
        Ok(FidelityMeasures::of(&fidelity.map_err(|fault| of.about(fault))?, notes))
    }

    fn lesions(&self, notes: &mut Notes) -> Result<LesionMeasures> {
        let (Some(reference), Some(synthetic)) = (&self.pair.lesions_reference, &self.pair.lesions_synthetic)
        else {
            let reason = match self.pair.lesions_reference {
                None => "no lesion masks were given",
                Some(_) => "no lesion mask of the synthetic image was given",
            };
            let measures = LesionMeasures::default();
            notes.explain(&measures, reason);
            return Ok(measures);
        };
        let (real, other) = (reference.mask(), synthetic.mask());
        let sizes = reference.volume.affine().voxel_sizes();
        let lesions = lesions::compare(real.view(), other.view(), sizes, &self.options.lesions)?;
        Ok(LesionMeasures::of(&lesions, notes))
    }

    /// Of both images in the real one's lesions, so that only the image differs.
    fn texture(&self, notes: &mut Notes) -> Result<TextureMeasures> {
        let Some(mask) = &self.pair.lesions_reference else {
            let measures = TextureMeasures::default();
            notes.explain(&measures, "no lesion mask of the real image was given");
            return Ok(measures);
        };
        let (lesions, sizes) = (mask.mask(), mask.volume.affine().voxel_sizes());
        let texture = |image: ArrayView3<'_, f32>| {
            let (lesions, brain) = (lesions.view(), self.brain.view());
            texture::of_lesions(image, lesions, brain, sizes, &self.options.texture)
        };
        let (reference, synthetic) =
            (texture(self.compared.real.view())?, texture(self.compared.synthetic.view())?);
        Ok(TextureMeasures::of(&reference, &synthetic, notes))
    }
}

#[cfg(test)]
mod tests;
