//! From a raw scan to standard space and back: bias correction, brain extraction, registration, normalization.
//!
//! [`prepare`] runs the stages in this order: the brain is found first (the network that finds it is used to uneven
//! coils), so that the bias field follows the brain and not the scalp, and so that nothing but brain is registered.

mod aligned;
mod around;
pub mod bias;
pub mod brain;
pub mod distance;
pub mod extract;
mod extractor;
pub mod lattice;
pub mod morphology;
pub mod normalize;
pub mod register;
pub mod resample;
mod smooth;
pub mod standard;
mod surface;

mod doubts;
mod record;

use ndarray::Array3;

use crate::control::{Adviser, Control, LogLevel};
use crate::guard::catch_panics;
use crate::{Error, Grid, Result, Transform, Volume, Watch, needs, plausible};
use bias::BiasOptions;
use normalize::{Scale, Scaling};
use register::{Registration, template};

pub use record::{Record, Summary};

/// How the bias field is found.
#[derive(Clone, Debug, PartialEq)]
pub enum BiasCorrection {
    /// Not at all: the scan is even already.
    Skip,
    /// N4 inside the brain, evaluated where each voxel lies.
    Brain,
    /// N4 inside the head, as the Insight Toolkit's filter does it: for comparisons.
    Itk,
}

/// What the standard image shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coverage {
    /// The brain; 0 outside.
    #[default]
    Brain,
    /// All of the head that the scan shows, on the brain's scale and clipped to 0..1.
    WholeHead,
}

/// What is done to a raw scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How the bias field is found.
    pub bias: BiasCorrection,
    /// The brain on the scan's grid, where the caller knows it; else it is found here.
    pub mask: Option<Array3<bool>>,
    /// What the standard image shows.
    pub coverage: Coverage,
    /// Which intensities become 0 and 1.
    pub scaling: Scaling,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bias: BiasCorrection::Brain,
            mask: None,
            coverage: Coverage::default(),
            scaling: Scaling::default(),
        }
    }
}

/// A raw scan, prepared, with what is needed to come back to it.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The scan divided by the bias field, on its own grid.
    pub corrected: Volume,
    /// The bias field on the scan's grid: multiplicative, around 1.
    pub bias: Volume,
    /// The brain on the scan's grid.
    pub mask: Array3<bool>,
    /// The corrected scan on the MNI152 grid (182 x 218 x 182 voxels of 1 mm), 0..1.
    pub standard: Volume,
    /// The brain on the MNI152 grid, where the scan shows it.
    pub standard_mask: Array3<bool>,
    /// From millimetres of MNI152 to millimetres of the scan.
    pub standard_to_scan: Transform,
    /// Which intensities of the corrected scan became 0 and 1.
    pub scale: Scale,
    /// Every parameter and what was found, for a file beside the results.
    pub record: Record,
}

/// Parts of the whole preparation that the stages take, as fractions of its time.
mod part {
    pub const EXTRACTION: (f32, f32) = (0.0, 0.3);
    pub const BIAS: (f32, f32) = (0.3, 0.6);
    pub const REGISTRATION: (f32, f32) = (0.6, 0.85);
    pub const STANDARD: (f32, f32) = (0.85, 1.0);
}

/// Prepares a raw scan of a head, T1w or T2w.
///
/// # Errors
/// [`Error::BadImage`] for voxels or geometry that cannot be a head scan, or a mask that is not on the scan's grid;
/// [`Error::Refused`], with the stage and the reason, for a scan that does not look like a head, or whose brain cannot
/// be found or placed; [`Error::OutOfMemory`]; [`Error::Cancelled`].
pub fn prepare(scan: &Volume, options: &Options, control: &mut Control<'_>) -> Result<Prepared> {
    catch_panics(|| control.run(|watch, adviser| run_checked(scan, options, watch, adviser)))
}

/// A scan and its bias field.
#[derive(Clone, Debug)]
pub struct Corrected {
    /// The scan divided by the field.
    pub corrected: Volume,
    /// The field on the scan's grid: multiplicative, around 1.
    pub bias: Volume,
}

/// Corrects a scan's bias field as the Insight Toolkit does, in the head that Otsu's threshold finds, and does nothing
/// else to it.
///
/// # Errors
/// [`Error::BadImage`] for voxels or geometry that cannot be a head scan; [`Error::OutOfMemory`]; [`Error::Cancelled`].
pub fn correct_as_itk(scan: &Volume, control: &mut Control<'_>) -> Result<Corrected> {
    catch_panics(|| {
        control.run(|watch, adviser| {
            plausible::check_image(scan)?;
            let grid = scan.grid();
            let options = BiasOptions::itk_compatible(ITK_SHRINK);
            let correction = needs_of_correction(&grid, &options);
            adviser
                .check_memory(4 * needs::voxels(&grid), needs::FIXED + needs::voxels(&grid) + correction)?;
            let field =
                bias_field(scan, &bias::otsu_mask(scan), &BiasCorrection::Itk, &watch.stage(0.0, 0.9))?;
            let bias = field.on_scan(&watch.stage(0.9, 1.0))?;
            Ok(Corrected { corrected: divided(scan, &bias)?, bias })
        })
    })
}

/// All stages, on the threads of the current pool, after a check that there is the memory for them.
pub(crate) fn run_checked(
    scan: &Volume,
    options: &Options,
    watch: &Watch,
    adviser: &Adviser<'_>,
) -> Result<Prepared> {
    adviser.check_memory(held(&scan.grid(), options), needs_of(&scan.grid(), options))?;
    run(scan, options, watch, adviser)
}

/// All stages, on the threads of the current pool.
pub(crate) fn run(
    scan: &Volume,
    options: &Options,
    watch: &Watch,
    adviser: &Adviser<'_>,
) -> Result<Prepared> {
    adviser.timed("checks", || plausible::check_image(scan))?;
    let stage = |(from, to)| watch.stage(from, to);
    let mut record = Record::new(scan, options);

    let found =
        adviser.timed("brain extraction", || brain_of(scan, options, &stage(part::EXTRACTION), &mut record));
    let (mask, mut doubts) = in_stage("brain extraction", found)?;
    doubts.extend(doubts::of_brain(scan, &mask));
    record.warn(in_stage("brain extraction", adviser.refuse_or_warn(doubts))?);
    if !mask.iter().any(|inside| *inside) {
        // Nothing can be done without a brain, whatever the caller accepts.
        return Err(Error::BadImage("brain extraction: no brain was found".into()));
    }

    let even =
        adviser.timed("bias correction", || corrected(scan, &mask, options, &stage(part::BIAS), &mut record));
    let (corrected, bias) = in_stage("bias correction", even)?;

    let registered = adviser
        .timed("registration", || register::to_template(&corrected, &mask, &stage(part::REGISTRATION)));
    let registration = in_stage("registration", registered)?;
    record.registration(&registration)?;
    let (warnings, refusals) = doubts::of_registration(scan, &registration);
    record.warn(in_stage("registration", adviser.refuse_or_warn(refusals))?);
    warnings.iter().for_each(|warning| adviser.log(LogLevel::Warning, warning));
    record.warn(warnings);

    let scale = adviser.timed("normalization", || normalize::scale(&corrected, &mask, options.scaling));
    let scale = in_stage("normalization", scale)?;
    record.scale(&scale);
    let watch = stage(part::STANDARD);
    let (standard, standard_mask) = adviser.timed("resampling", || {
        to_standard(&corrected, &mask, &registration, scale, options.coverage, &watch)
    })?;
    watch.advance(1.0)?;
    let standard_to_scan = registration.transform;
    Ok(Prepared { corrected, bias, mask, standard, standard_mask, standard_to_scan, scale, record })
}

/// The fault with the stage that found it, unless it says so already.
fn in_stage<T>(stage: &str, outcome: Result<T>) -> Result<T> {
    outcome.map_err(|fault| match fault {
        Error::BadImage(text) => Error::BadImage(format!("{stage}: {text}")),
        Error::Refused(text) => Error::Refused(format!("{stage}: {text}")),
        other => other,
    })
}

/// The brain, and why the network's view of it is not to be trusted.
fn brain_of(
    scan: &Volume,
    options: &Options,
    watch: &Watch,
    record: &mut Record,
) -> Result<(Array3<bool>, Vec<String>)> {
    let Some(mask) = &options.mask else {
        let extraction = extract::extract(scan, watch)?;
        record.extraction(&extraction);
        let doubts = doubts::of_extraction(&extraction);
        return Ok((extraction.mask, doubts));
    };
    if mask.dim() != scan.voxels().dim() {
        return Err(Error::BadImage(format!(
            "a mask of {:?} voxels for a scan of {:?}",
            mask.dim(),
            scan.voxels().dim()
        )));
    }
    if !mask.iter().any(|inside| *inside) {
        return Err(Error::BadImage("the mask is empty".into()));
    }
    // As every mask of this library lies in memory.
    let mut ordered = crate::memory::in_memory_order(mask.dim(), false);
    ordered.assign(mask);
    record.given_mask(&ordered, scan);
    watch.advance(1.0)?;
    Ok((ordered, Vec::new()))
}

fn corrected(
    scan: &Volume,
    brain: &Array3<bool>,
    options: &Options,
    watch: &Watch,
    record: &mut Record,
) -> Result<(Volume, Volume)> {
    if options.bias == BiasCorrection::Skip {
        let mut even = Volume::zeros(&scan.grid())?;
        even.as_mut_slice().fill(1.0);
        return Ok((scan.copy(), even));
    }
    let head = (options.bias == BiasCorrection::Itk).then(|| bias::otsu_mask(scan));
    let field = bias_field(scan, head.as_ref().unwrap_or(brain), &options.bias, &watch.stage(0.0, 0.8))?;
    record.bias(&field)?;
    let bias = field.on_scan(&watch.stage(0.8, 1.0))?;
    Ok((divided(scan, &bias)?, bias))
}

/// The Insight Toolkit's users shrink by 4 along each axis.
const ITK_SHRINK: usize = 4;

fn bias_field(
    scan: &Volume,
    mask: &Array3<bool>,
    how: &BiasCorrection,
    watch: &Watch,
) -> Result<bias::BiasField> {
    let itk = || BiasOptions::itk_compatible(ITK_SHRINK);
    let options = if *how == BiasCorrection::Itk { itk() } else { BiasOptions::default() };
    bias::estimate(scan, mask, &options, watch)
}

fn divided(scan: &Volume, bias: &Volume) -> Result<Volume> {
    let mut corrected = Volume::zeros(&scan.grid())?;
    let quotients = scan.as_slice().iter().zip(bias.as_slice()).map(|(value, field)| value / field);
    corrected.as_mut_slice().iter_mut().zip(quotients).for_each(|(voxel, quotient)| *voxel = quotient);
    Ok(corrected)
}

/// The corrected scan on the MNI152 grid, and the brain there.
fn to_standard(
    corrected: &Volume,
    mask: &Array3<bool>,
    registration: &Registration,
    scale: Scale,
    coverage: Coverage,
    watch: &Watch,
) -> Result<(Volume, Array3<bool>)> {
    let grid = template::standard_grid();
    let in_scan = Grid { affine: grid.affine.then(&registration.transform)?, ..grid };
    let brain = resample::mask_onto(mask, &corrected.grid(), &in_scan, watch)?;
    watch.advance(0.3)?;
    let resampled = match coverage {
        Coverage::Brain => resample::brain_onto(corrected, mask, &in_scan, &brain, watch)?,
        Coverage::WholeHead => resample::volume_onto(corrected, &in_scan, watch)?,
    };
    watch.advance(0.9)?;
    let mut standard = Volume::new(resampled.into_voxels(), grid.affine)?;
    let whole = coverage == Coverage::WholeHead;
    standard.change_by_mask(&brain, |value, inside| if whole || inside { scale.apply(value) } else { 0.0 });
    Ok((standard, brain))
}

/// Bytes of a scan and of the caller's mask.
pub(crate) fn held(scan: &Grid, options: &Options) -> u64 {
    (4 + u64::from(options.mask.is_some())) * needs::voxels(scan)
}

/// An upper bound on the bytes that preparing a scan of this grid has allocated at once, the scan not included.
pub(crate) fn needs_of(scan: &Grid, options: &Options) -> u64 {
    let voxels = needs::voxels(scan);
    let extraction = if options.mask.is_some() { voxels } else { extract::needs_of(scan) };
    let correction = match options.bias {
        BiasCorrection::Skip => 8 * voxels,
        BiasCorrection::Brain => needs_of_correction(scan, &BiasOptions::default()),
        BiasCorrection::Itk => voxels + needs_of_correction(scan, &BiasOptions::itk_compatible(ITK_SHRINK)),
    };
    // From here on there are the corrected scan, its field and the mask.
    let registration = needs::placed(scan, register::VOXEL, 0);
    // The brain's intensities.
    let normalization = 4 * voxels;
    let standard = template::standard_grid();
    let resampling =
        needs::mask_onto(scan, &standard).max(needs::voxels(&standard) + needs::brain_onto(scan, &standard));
    let later = 9 * voxels + registration.max(normalization).max(resampling);
    needs::FIXED + extraction.max(voxels + correction).max(later)
}

/// The samples that a field is fitted to, or the field with the corrected scan.
fn needs_of_correction(scan: &Grid, options: &BiasOptions) -> u64 {
    bias::needs_of_samples(scan, options).max(8 * needs::voxels(scan))
}

/// What is left beside the scan once it is prepared: the corrected scan, its field and mask; the standard image and its mask.
pub(crate) fn kept(scan: &Grid) -> u64 {
    9 * needs::voxels(scan) + 5 * needs::voxels(&template::standard_grid())
}
