//! All that the built-in segmentations make of one scan, from what there is of it: tissues, lesions, volumes.

use mrisynth::prepare::morphology::{self, Connectivity};
use mrisynth::prepare::register::Registration;
use mrisynth::{Contrast, Error as LibraryError, Grid, Volume, Watch, plausible};
use ndarray::{Array3, ShapeBuilder};
use serde::Serialize;

use super::lesions::{self, LesionOptions, Lesions, Sequence};
use super::priors::Priors;
use super::tissue::{self, TissueOptions, Tissues};
use crate::Result;
use crate::pair::grid;
use crate::pair::input::Input;
use crate::pair::plausible::Doubts;

/// What is written into the header of a label map or mask, and of one that was made of a synthetic scan.
pub const DESCRIPTION: &str = "reference segmentation by mrisynth, not for clinical use";
/// See [`DESCRIPTION`].
pub const DESCRIPTION_OF_SYNTHETIC: &str =
    "SYNTHETIC scan's reference segmentation by mrisynth, not for clinical use";

/// Everything that there may be of one scan: as files, or read.
#[derive(Clone, Debug, PartialEq)]
pub struct Scans<T> {
    /// The prepared scan whose tissues are segmented: brain-extracted (0 outside), no bias field.
    pub scan: T,
    /// The contrast of the scan.
    pub contrast: Contrast,
    /// The brain, on the scan's grid: what is not 0. Without it, the brain is where the scan is above 0, and what that
    /// encloses.
    pub mask: Option<T>,
    /// Lesions that are known, on the scan's grid: what is not 0. They are filled before tissues are segmented.
    pub lesions: Option<T>,
    /// An image, on the scan's grid, on which lesions are bright and are to be found. The scan must be T1w then.
    pub bright: Option<(Sequence, T)>,
}

impl<T> Scans<T> {
    /// A scan and nothing else.
    pub fn new(scan: T, contrast: Contrast) -> Self {
        Self { scan, contrast, mask: None, lesions: None, bright: None }
    }

    /// All that there is, in the order of the fields.
    pub fn parts(&self) -> impl Iterator<Item = &T> {
        std::iter::once(&self.scan).chain(self.beside())
    }

    /// What lies on the scan's grid.
    fn beside(&self) -> impl Iterator<Item = &T> {
        let bright = self.bright.as_ref().map(|(_, image)| image);
        [self.mask.as_ref(), self.lesions.as_ref(), bright].into_iter().flatten()
    }

    /// The same with each part changed, in the order of the fields.
    ///
    /// # Errors
    /// The first of the change.
    pub fn try_map<U, F>(
        self,
        mut change: impl FnMut(T) -> std::result::Result<U, F>,
    ) -> std::result::Result<Scans<U>, F> {
        Ok(Scans {
            scan: change(self.scan)?,
            contrast: self.contrast,
            mask: self.mask.map(&mut change).transpose()?,
            lesions: self.lesions.map(&mut change).transpose()?,
            bright: self.bright.map(|(sequence, image)| Ok((sequence, change(image)?))).transpose()?,
        })
    }

    /// Checks that what there is goes together, before anything is read.
    ///
    /// # Errors
    /// [`LibraryError::InvalidArgument`] if lesions are to be found with the tissues of a T2w scan.
    pub fn check(&self) -> Result<()> {
        if self.bright.is_some() && self.contrast != Contrast::T1w {
            let fault = "lesions are found with the tissues of a T1w scan, and this one is T2w";
            return Err(LibraryError::InvalidArgument(fault.into()).into());
        }
        Ok(())
    }
}

/// Where the brain was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BrainSource {
    /// From a mask.
    Mask,
    /// It is where the scan is above 0, and what that encloses.
    ScanAboveZero,
}

/// Which lesions were filled before tissues were segmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Filled {
    /// Those that were given.
    Given,
    /// Those that were found.
    Found,
}

/// What was made of a scan. Arrays are in RAS, as [`Input`] has its voxels: [`Segmentation::on`] brings them to the scan's own order.
#[derive(Clone, Debug)]
pub struct Segmentation {
    /// The tissues, with lesions filled if there are any.
    pub tissues: Tissues,
    /// The tissues of the scan as it is, by which lesions were found.
    pub unfilled: Tissues,
    /// The lesions that were found; none if there was no image to find them on.
    pub lesions: Option<Lesions>,
    /// Which lesions were filled; none if there are none.
    pub filled: Option<Filled>,
    /// The volume of the lesions that were filled, in millilitres.
    pub filled_ml: f64,
    /// The average brain's tissues, placed onto this one.
    pub priors: Priors,
    /// The brain.
    pub brain: Array3<bool>,
    /// Where it was taken from.
    pub brain_source: BrainSource,
    /// The grid of all these: the scan's, in RAS.
    pub grid: Grid,
    /// What is doubtful, one sentence each.
    pub warnings: Vec<String>,
}

impl Segmentation {
    /// The volume of a mask on its grid in millilitres.
    pub fn millilitres(&self, mask: &Array3<bool>) -> f64 {
        millilitres(mask, &self.grid)
    }

    /// Voxels of these as a volume on `own`, the scan's grid as its file stores it.
    ///
    /// # Errors
    /// [`LibraryError::InvalidArgument`] if that is no grid of this scan.
    pub fn on<T: Copy>(&self, own: &Grid, voxels: &Array3<T>, value: impl Fn(T) -> f32) -> Result<Volume> {
        Ok(Volume::new(voxels.mapv(value), self.grid.affine)?.back_onto(own)?)
    }

    /// How many lesions were found, by 26 neighbours; none if there was no image to find them on.
    pub fn lesion_count(&self) -> Option<usize> {
        self.lesions.as_ref().map(|found| morphology::components(&found.mask, Connectivity::Corners).len())
    }
}

/// Segments the tissues of a scan and, where there is an image that shows them, its lesions. What cannot be a prepared brain is
/// refused, or where `accept_implausible` is set warned of.
///
/// Runs on all threads of the current pool; the result is the same for any number.
///
/// # Errors
/// Those of files name them. Those of [`Scans::check`]; [`LibraryError::BadImage`] if grids differ (saying along which axis and by
/// how much), a voxel is not a finite number, or there is no brain; [`LibraryError::Refused`] if the scan is no prepared brain, a
/// mask is none, the average brain does not fit, the scan lies otherwise than its header says, or a scan is of another contrast
/// than it is taken for.
pub fn segment(scans: &Scans<Input>, accept_implausible: bool) -> Result<Segmentation> {
    scans.check()?;
    let mut doubts = Doubts::default();
    check_inputs(scans, &mut doubts)?;
    let (brain, brain_source) = brain_of(scans, &mut doubts)?;
    let given = given_lesions(scans, &brain, &mut doubts);
    // All that may be refused for its looks is known before the long work.
    let mut warnings = doubts.settle(accept_implausible)?;
    let (scan, contrast) = (scans.scan.volume(), scans.contrast);
    let about_scan = |fault| scans.scan.about(fault);

    let priors = Priors::placed(scan, &brain, &Watch::default()).map_err(about_scan)?;
    let mut placed = Doubts::default();
    about_place(scans, &brain, &priors, &mut placed)?;
    warnings.extend(placed.settle(accept_implausible)?);
    let options = TissueOptions::of(contrast);
    let unfilled = tissue::segment(scan, &brain, contrast, Some(&priors), &options).map_err(about_scan)?;
    let lesions = scans.bright.as_ref().map(|(sequence, image)| {
        lesions::segment(image.volume(), &unfilled, &priors, *sequence, &LesionOptions::of(*sequence))
            .map_err(|fault| image.about(fault))
    });
    let lesions = lesions.transpose()?;

    let to_fill = match (&given, &lesions) {
        (Some(given), _) => Some((given, Filled::Given)),
        (None, Some(found)) => Some((&found.mask, Filled::Found)),
        (None, None) => None,
    };
    let to_fill = to_fill.filter(|(mask, _)| mask.iter().any(|lesion| *lesion));
    let tissues = match to_fill {
        Some((mask, _)) => {
            tissue::segment_again(scan, &brain, contrast, Some(&priors), mask, &unfilled, &options)
                .map_err(about_scan)?
        }
        None => unfilled.clone(),
    };
    if !(tissues.converged && unfilled.converged) {
        warnings.push(format!("the tissues had not come to rest after {} rounds", options.most_rounds));
    }
    if let Some(found) = lesions.as_ref().filter(|found| !found.converged) {
        warnings.push(format!("the lesions had not stopped growing after {} rounds", found.rounds));
    }
    let grid = scan.grid();
    let (filled_ml, filled) =
        to_fill.map_or((0.0, None), |(mask, which)| (millilitres(mask, &grid), Some(which)));
    Ok(Segmentation {
        tissues,
        unfilled,
        lesions,
        filled,
        filled_ml,
        priors,
        brain,
        brain_source,
        grid,
        warnings,
    })
}

/// The part in the brain of the lesions that are known.
fn given_lesions(scans: &Scans<Input>, brain: &Array3<bool>, doubts: &mut Doubts) -> Option<Array3<bool>> {
    let file = scans.lesions.as_ref()?;
    let mut lesions = file.mask();
    let count = |mask: &Array3<bool>| mask.iter().filter(|inside| **inside).count();
    let all = count(&lesions);
    lesions.zip_mut_with(brain, |lesion, inside| *lesion &= inside);
    let outside = all - count(&lesions);
    if outside > 0 {
        doubts.warn(file, &format!("{outside} of its {all} voxels are outside the brain and do not count"));
    }
    Some(lesions)
}

/// What can be told where the average brain lies: whether the scan lies as its header says, and the contrasts.
fn about_place(
    scans: &Scans<Input>,
    brain: &Array3<bool>,
    priors: &Priors,
    doubts: &mut Doubts,
) -> Result<()> {
    let Some(Registration { transform, better_orientation, .. }) = priors.registration() else {
        return Ok(());
    };
    if let Some(orientation) = better_orientation {
        doubts.refuse(&scans.scan, &format!("orientation: {orientation}: its header must say so"));
    }
    let bright = scans.bright.as_ref().map(|(sequence, image)| (image, sequence.contrast()));
    for (image, contrast) in [(&scans.scan, Some(scans.contrast))].into_iter().chain(bright) {
        let doubt = plausible::doubt_about_contrast(image.volume(), brain, transform, contrast)?;
        doubt.iter().for_each(|doubt| doubts.refuse(image, doubt));
    }
    Ok(())
}

fn check_inputs(scans: &Scans<Input>, doubts: &mut Doubts) -> Result<()> {
    for other in scans.beside() {
        grid::check(&scans.scan, other)?;
    }
    for part in scans.parts() {
        part.check_finite()?;
        doubts.about_file(part);
    }
    plausible::check_image(scans.scan.volume()).map_err(|fault| scans.scan.fault(fault))?;
    for mask in [&scans.mask, &scans.lesions].into_iter().flatten() {
        doubts.about_mask(mask);
    }
    Ok(())
}

fn brain_of(scans: &Scans<Input>, doubts: &mut Doubts) -> Result<(Array3<bool>, BrainSource)> {
    let scan = &scans.scan;
    let (brain, source, of) = match &scans.mask {
        Some(mask) => (mask.mask(), BrainSource::Mask, mask),
        None => {
            let above_zero = in_memory_order(scan.volume(), |value| value > 0.0);
            (morphology::with_holes_filled(&above_zero), BrainSource::ScanAboveZero, scan)
        }
    };
    if !brain.iter().any(|inside| *inside) {
        let fault = match source {
            BrainSource::Mask => "the mask is empty: there is no brain to segment",
            BrainSource::ScanAboveZero => "no voxel is above 0: there is no brain to segment",
        };
        return Err(of.fault(LibraryError::BadImage(fault.into())));
    }
    let found = match source {
        BrainSource::Mask => plausible::doubts_about_brain(scan.volume(), &brain),
        BrainSource::ScanAboveZero => plausible::doubts_about_prepared(scan.volume(), &brain),
    };
    found.iter().for_each(|doubt| doubts.refuse(of, doubt));
    Ok((brain, source))
}

fn in_memory_order(volume: &Volume, value: impl Fn(f32) -> bool) -> Array3<bool> {
    let voxels = volume.voxels();
    Array3::from_shape_fn(voxels.dim().f(), |index| value(voxels[index]))
}

fn millilitres(mask: &Array3<bool>, grid: &Grid) -> f64 {
    let voxel_mm3: f64 = grid.affine.voxel_sizes().iter().product();
    mask.iter().filter(|inside| **inside).count() as f64 * voxel_mm3 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lesions_need_the_tissues_of_t1w() {
        let bright = Some((Sequence::Flair, 2));
        assert!(Scans { bright, ..Scans::new(1, Contrast::T1w) }.check().is_ok());
        let fault = Scans { bright, ..Scans::new(1, Contrast::T2w) }.check().unwrap_err().to_string();
        assert!(fault.contains("T1w"), "{fault}");
    }

    #[test]
    fn parts_come_in_the_order_of_the_fields() {
        let scans =
            Scans { lesions: Some(3), bright: Some((Sequence::T2w, 4)), ..Scans::new(1, Contrast::T1w) };
        assert_eq!(scans.parts().copied().collect::<Vec<_>>(), [1, 3, 4]);
        let mut seen = Vec::new();
        let mapped = scans.try_map(|part| {
            seen.push(part);
            Ok::<_, ()>(10 * part)
        });
        let mapped = mapped.unwrap();
        assert_eq!(
            (seen, mapped.lesions, mapped.bright),
            (vec![1, 3, 4], Some(30), Some((Sequence::T2w, 40)))
        );
    }

    #[test]
    fn descriptions_fit_into_headers() {
        assert!(DESCRIPTION.len() < 80 && DESCRIPTION_OF_SYNTHETIC.len() < 80);
    }
}
