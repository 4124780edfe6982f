//! Where tissues are likely in a scan: the average brain's maps, placed onto it by an affine registration.
//!
//! The maps are made by `scripts/make-priors.py`; `priors/NOTICE` says where they come from.

use std::io::Read;
use std::sync::OnceLock;

use flate2::read::GzDecoder;
use mrisynth::prepare::{register, resample};
use mrisynth::{Affine, Error as LibraryError, Grid, Volume, Watch};
use ndarray::{Array3, Array4, Axis, ShapeBuilder};

use super::model::CLASSES;
use super::tissue::Tissue;
use crate::{Error, Result};

const MAPS: &[u8] = include_bytes!("priors/tissue-3mm.nii.gz");
/// Bytes of a NIfTI-1 header before its voxels.
const HEADER_BYTES: usize = 352;
/// Voxels of the maps: along the patient's axes (RAS), then grey and white matter.
const DIMS: [usize; 4] = [66, 78, 63, 2];
/// The maps' voxel size, and where the first voxel's centre lies, in millimetres.
const VOXEL: f64 = 3.0;
const ORIGIN: [f64; 3] = [-97.0, -133.0, -71.0];
/// A brain that overlaps with the placed average brain by less (Dice's coefficient) is not where the maps are.
const LEAST_OVERLAP: f64 = 0.8;

/// The probability of each tissue in each voxel of a scan, whatever its intensity.
#[derive(Clone, Debug)]
pub struct Priors {
    grey: Volume,
    white: Volume,
    registration: Option<register::Registration>,
}

impl Priors {
    /// Registers the average brain to a scan, T1w or T2w, whose brain mask is `brain`.
    ///
    /// # Errors
    /// [`Error::Library`] if the mask is empty or of another shape, or the scan is constant in it;
    /// [`LibraryError::Refused`] if the average brain does not fit.
    pub fn placed(scan: &Volume, brain: &Array3<bool>, watch: &Watch) -> Result<Self> {
        let registration = register::to_template(scan, brain, &watch.stage(0.0, 0.9))?;
        if registration.overlap < LEAST_OVERLAP {
            return Err(Error::Library(LibraryError::Refused(format!(
                "the average brain overlaps with this one with a Dice coefficient of {:.2} only, not {LEAST_OVERLAP}: \
                 there are no priors for its tissues",
                registration.overlap
            ))));
        }
        let priors = Self::by(registration, &scan.grid())?;
        watch.advance(1.0)?;
        Ok(priors)
    }

    /// By a registration that is known already, on a grid of the same scan.
    ///
    /// # Errors
    /// [`Error::Library`] if the memory cannot be had, or the transform shrinks or shears beyond reason.
    pub fn by(registration: register::Registration, grid: &Grid) -> Result<Self> {
        let [grey, white] = maps()?;
        let onto = |map: &Volume| -> Result<Volume> {
            let affine = map.affine().then(&registration.transform)?;
            Ok(resample::linear_onto(&Volume::new(map.voxels().to_owned(), affine)?, grid)?)
        };
        Ok(Self { grey: onto(grey)?, white: onto(white)?, registration: Some(registration) })
    }

    /// The caller's own maps on the scan's grid, the probabilities of grey and of white matter, 0 to 1; outside of that range
    /// they are clipped.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the maps differ in size or hold what is not a finite number.
    pub fn of_maps(grey: Volume, white: Volume) -> Result<Self> {
        if grey.dims() != white.dims() {
            return Err(Error::Invalid(format!(
                "priors of grey matter with {:?} voxels and of white matter with {:?}",
                grey.dims(),
                white.dims()
            )));
        }
        if [&grey, &white].iter().any(|map| map.as_slice().iter().any(|value| !value.is_finite())) {
            return Err(Error::Invalid("a prior probability that is not a finite number".into()));
        }
        Ok(Self { grey, white, registration: None })
    }

    /// How the average brain was placed; none for the caller's own maps.
    pub fn registration(&self) -> Option<&register::Registration> {
        self.registration.as_ref()
    }

    /// Voxels along i, j, k.
    pub fn dims(&self) -> [usize; 3] {
        self.grey.dims()
    }

    /// The probability of each tissue in a voxel, by [`Tissue::index`]; they sum to 1. What is neither grey nor white matter
    /// is fluid.
    pub fn at(&self, index: [usize; 3]) -> [f32; CLASSES] {
        let [grey, white] = [&self.grey, &self.white].map(|map| map.voxels()[index].clamp(0.0, 1.0));
        let sum = (grey + white).max(1.0);
        let mut at = [0.0; CLASSES];
        at[Tissue::Grey.index()] = grey / sum;
        at[Tissue::White.index()] = white / sum;
        at[Tissue::Fluid.index()] = 1.0 - (grey + white) / sum;
        at
    }
}

/// Grey and white matter of the average brain, 0 to 1, in MNI152's millimetres.
fn maps() -> Result<&'static [Volume; 2]> {
    static VOLUMES: OnceLock<Option<[Volume; 2]>> = OnceLock::new();
    VOLUMES.get_or_init(read).as_ref().ok_or_else(|| {
        Error::Library(LibraryError::Internal("the priors inside the program are damaged".into()))
    })
}

fn read() -> Option<[Volume; 2]> {
    let mut bytes = Vec::new();
    GzDecoder::new(MAPS).read_to_end(&mut bytes).ok()?;
    let voxels = bytes.get(HEADER_BYTES..)?.to_vec();
    let maps = Array4::from_shape_vec((DIMS[0], DIMS[1], DIMS[2], DIMS[3]).f(), voxels).ok()?;
    let affine = Affine::from_sizes([VOXEL; 3], ORIGIN).ok()?;
    let map = |number: usize| {
        let share = maps.index_axis(Axis(3), number).mapv(|value| f32::from(value) / 255.0);
        Volume::new(share, affine).ok()
    };
    Some([map(0)?, map(1)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use mrisynth::Transform;
    use mrisynth::digest::sha256;
    use mrisynth::prepare::register::template;

    fn sum(map: &Volume) -> f64 {
        map.as_slice().iter().copied().map(f64::from).sum()
    }

    #[test]
    fn the_file_is_the_one_that_the_script_made() {
        assert_eq!(sha256(MAPS), "beeac7c2ae25f399ea20698ce861575fb8d5a6872e157195ce6b6f2296053974");
    }

    #[test]
    fn the_maps_are_a_brains() {
        let [grey, white] = maps().unwrap();
        // Litres of the maps of 1 mm that these were made of, with NumPy: 1.008 and 0.670.
        let litre = VOXEL.powi(3) / 1e6;
        assert!((sum(grey) * litre - 1.008).abs() < 0.01, "{}", sum(grey) * litre);
        assert!((sum(white) * litre - 0.670).abs() < 0.01, "{}", sum(white) * litre);
        // The centrum semiovale on both sides, the caudate nucleus, and a lateral ventricle.
        let at = |map: &Volume, millimetres: [f64; 3]| {
            let index = [0, 1, 2].map(|axis| ((millimetres[axis] - ORIGIN[axis]) / VOXEL).round() as usize);
            map.voxels()[index]
        };
        assert!(at(white, [-27.0, -20.0, 34.0]) > 0.9 && at(white, [27.0, -20.0, 34.0]) > 0.9);
        assert!(at(grey, [12.0, 14.0, 10.0]) > 0.7, "{}", at(grey, [12.0, 14.0, 10.0]));
        assert!(at(grey, [7.0, 2.0, 18.0]) + at(white, [7.0, 2.0, 18.0]) < 0.4);
    }

    #[test]
    fn priors_go_where_the_brain_is() {
        // The average brain, smaller and elsewhere.
        let transform = Transform::from_rows([
            [0.85, 0.05, 0.0, 9.0],
            [-0.05, 0.88, 0.03, -12.0],
            [0.0, -0.02, 0.8, 20.0],
            [0.0, 0.0, 0.0, 1.0],
        ])
        .unwrap();
        let standard = template::brain().unwrap();
        let affine = standard.affine().then(&transform).unwrap();
        let scan = Volume::new(standard.voxels().to_owned(), affine).unwrap();
        let brain = scan.voxels().mapv(|value| value > 0.0);
        let placed = Priors::placed(&scan, &brain, &Watch::default()).unwrap();
        let registration = placed.registration().unwrap();
        assert!(registration.overlap > 0.97, "{registration:?}");
        // As they would be with the transform that is known.
        let known =
            Priors::by(register::Registration { transform, ..registration.clone() }, &scan.grid()).unwrap();
        let (mut difference, mut count) = (0.0, 0);
        for ((i, j, k), _) in brain.indexed_iter().filter(|(_, inside)| **inside) {
            let (placed, known) = (placed.at([i, j, k]), known.at([i, j, k]));
            assert!((placed.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            difference += placed.iter().zip(known).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>();
            count += 1;
        }
        assert!(difference / f64::from(count) < 0.05, "{}", difference / f64::from(count));
        // Outside all is fluid.
        assert_eq!(placed.at([0, 0, 0]), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn what_is_no_brain_has_no_priors() {
        // Two plates, far apart.
        let affine = Affine::from_sizes([3.0; 3], [-90.0; 3]).unwrap();
        let mut scan = Volume::zeros(&Grid { dims: [60, 60, 60], affine }).unwrap();
        for ((i, j, k), voxel) in scan.voxels_mut().indexed_iter_mut() {
            if (5..55).contains(&i) && (5..55).contains(&j) && (k.abs_diff(8) < 3 || k.abs_diff(52) < 3) {
                *voxel = 100.0 + ((3 * i + 5 * j + 7 * k) % 40) as f32;
            }
        }
        let brain = scan.voxels().mapv(|value| value > 0.0);
        let fault = Priors::placed(&scan, &brain, &Watch::default()).unwrap_err().to_string();
        assert!(fault.contains("overlaps"), "{fault}");
    }

    #[test]
    fn maps_of_the_callers_own_are_checked() {
        let affine = Affine::from_sizes([1.0; 3], [0.0; 3]).unwrap();
        let map = |value: f32| Volume::new(Array3::from_elem((2, 2, 2), value), affine).unwrap();
        let priors = Priors::of_maps(map(0.9), map(0.6)).unwrap();
        let at = priors.at([0, 0, 0]);
        assert!(at[0].abs() < 1e-6 && (at[1] - 0.6).abs() < 1e-6 && (at[2] - 0.4).abs() < 1e-6, "{at:?}");
        assert!(priors.registration().is_none());
        let other = Volume::new(Array3::zeros((2, 2, 3)), affine).unwrap();
        assert!(Priors::of_maps(map(0.5), other).unwrap_err().to_string().contains("[2, 2, 3]"));
        assert!(Priors::of_maps(map(0.5), map(f32::NAN)).is_err());
    }
}
