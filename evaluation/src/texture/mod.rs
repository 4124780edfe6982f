//! Texture of lesions, and of a margin around them, by grey-level co-occurrence matrices.
//!
//! The paper computes it with scikit-image around lesions and averages it per subject; levels, distances, angles and the
//! width of a margin it does not give. Here each lesion has one matrix for each distance and angle, which counts the pairs of
//! all its axial slices; a lesion's texture is the average over distances and angles, and a subject's the average over
//! lesions.

pub mod glcm;

use std::f64::consts::FRAC_PI_4;

use mrisynth::prepare::distance::distance_to;
use mrisynth::prepare::morphology::{self, Connectivity};
use ndarray::{Array3, ArrayView3, Axis, s};
use rayon::prelude::*;
use serde::Serialize;

use crate::extent::{check_finite, check_same, check_sizes};
use crate::measured::Measured;
use crate::{Error, Result};
use glcm::{Glcm, Levels, Offset, Texture};

/// A margin wider than this, in millimetres, is none around a lesion.
const WIDEST_MARGIN: f64 = 50.0;

/// What texture is taken by.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// How intensities become grey levels.
    pub levels: Levels,
    /// Distances of pairs in voxels, in the plane of the axial slice.
    pub distances: Vec<f64>,
    /// Angles of pairs in radians, from the direction of i towards that of j.
    pub angles: Vec<f64>,
    /// Whether each pair counts in both directions.
    pub symmetric: bool,
    /// Width of the margin around a lesion in millimetres, in space.
    pub margin_mm: f64,
    /// What makes voxels one lesion.
    pub connectivity: Connectivity,
}

impl Default for Settings {
    /// 32 levels from 0 to 1, neighbours (distance 1) at 0, 45, 90 and 135 degrees in both directions, a margin of 3 mm,
    /// lesions of 26 neighbours.
    fn default() -> Self {
        Self {
            levels: Levels::default(),
            distances: vec![1.0],
            angles: (0..4).map(|n| f64::from(n) * FRAC_PI_4).collect(),
            symmetric: true,
            margin_mm: 3.0,
            connectivity: Connectivity::Corners,
        }
    }
}

impl Settings {
    fn offsets(&self) -> Result<Vec<Offset>> {
        let pairs = self
            .distances
            .iter()
            .flat_map(|distance| self.angles.iter().map(move |angle| (*distance, *angle)));
        let offsets =
            pairs.map(|(distance, angle)| Offset::new(distance, angle)).collect::<Result<Vec<_>>>()?;
        if offsets.is_empty() {
            return Err(Error::Invalid("texture needs a distance and an angle".into()));
        }
        if !(0.0..=WIDEST_MARGIN).contains(&self.margin_mm) {
            return Err(Error::Invalid(format!(
                "a margin of {} mm: it must be 0 to {WIDEST_MARGIN} mm",
                self.margin_mm
            )));
        }
        Ok(offsets)
    }
}

/// The texture of one subject's lesions, or of the margins around them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RegionTexture {
    /// The average over lesions.
    pub texture: Texture,
    /// Lesions that it is the average of: those with pairs at every distance and angle.
    pub lesions: usize,
    /// All lesions.
    pub of: usize,
}

/// The texture in and around one subject's lesions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LesionTexture {
    /// Of pairs in one lesion.
    pub inside: Measured<RegionTexture>,
    /// Of pairs in the margin around one lesion.
    pub around: Measured<RegionTexture>,
}

/// The texture of an image in the lesions of a mask and in the margins around them: voxels that are no further away than the
/// margin's width, in no lesion, and in the brain. Voxel sizes are in millimetres. On all threads of the current pool.
///
/// # Errors
/// [`Error::Invalid`] if the arrays differ in size, the image has values that are not finite, a voxel size is not 0.01 to 100 mm, or
/// a setting is out of range.
pub fn of_lesions(
    image: ArrayView3<'_, f32>,
    lesions: ArrayView3<'_, bool>,
    brain: ArrayView3<'_, bool>,
    sizes: [f64; 3],
    settings: &Settings,
) -> Result<LesionTexture> {
    check_same(("the image", image.dim()), ("the lesion mask", lesions.dim()))?;
    check_same(("the image", image.dim()), ("the brain mask", brain.dim()))?;
    check_finite("the image", image)?;
    check_sizes(sizes)?;
    let subject = Subject { image, lesions, brain, sizes, settings, offsets: settings.offsets()? };
    let components = morphology::components(&lesions, settings.connectivity);
    let textures =
        components.par_iter().map(|lesion| subject.of_lesion(lesion)).collect::<Result<Vec<_>>>()?;
    let (inside, around): (Vec<_>, Vec<_>) = textures.into_iter().unzip();
    Ok(LesionTexture { inside: average(&inside), around: average(&around) })
}

fn average(textures: &[Option<Texture>]) -> Measured<RegionTexture> {
    if textures.is_empty() {
        return Measured::undefined("there is no lesion");
    }
    let defined: Vec<Texture> = textures.iter().flatten().copied().collect();
    match Texture::average(&defined) {
        Some(texture) => {
            Measured::Value(RegionTexture { texture, lesions: defined.len(), of: textures.len() })
        }
        None => Measured::undefined("no lesion is large enough for pairs at every distance and angle"),
    }
}

/// One subject's image and masks, and how texture is taken.
struct Subject<'a> {
    image: ArrayView3<'a, f32>,
    lesions: ArrayView3<'a, bool>,
    brain: ArrayView3<'a, bool>,
    sizes: [f64; 3],
    settings: &'a Settings,
    offsets: Vec<Offset>,
}

impl Subject<'_> {
    /// The textures in and around a lesion, where defined.
    fn of_lesion(&self, lesion: &[[usize; 3]]) -> Result<(Option<Texture>, Option<Texture>)> {
        let (low, high) = self.box_around(lesion);
        let part = s![low[0]..high[0], low[1]..high[1], low[2]..high[2]];
        let levels = self.image.slice(part).mapv(|intensity| self.settings.levels.of(intensity));
        let mut inside = Array3::from_elem(levels.dim(), false);
        for voxel in lesion {
            inside[[0, 1, 2].map(|axis| voxel[axis] - low[axis])] = true;
        }
        let mut around = self.within_margin(&inside);
        ndarray::Zip::from(&mut around)
            .and(self.lesions.slice(part))
            .and(self.brain.slice(part))
            .for_each(|around, &lesion, &brain| *around &= brain && !lesion);
        Ok((self.texture(&levels, &inside)?, self.texture(&levels, &around)?))
    }

    /// The box that holds the lesion and its margin: its first index along each axis, and the one after its last.
    fn box_around(&self, lesion: &[[usize; 3]]) -> ([usize; 3], [usize; 3]) {
        let dims = <[usize; 3]>::from(self.image.dim());
        let (mut low, mut high) = (dims, [0; 3]);
        for axis in 0..3 {
            let margin = (self.settings.margin_mm / self.sizes[axis]).floor() as usize;
            let indices = || lesion.iter().map(|voxel| voxel[axis]);
            low[axis] = indices().min().unwrap_or(0).saturating_sub(margin);
            high[axis] = (indices().max().unwrap_or(0).saturating_add(margin)).min(dims[axis] - 1) + 1;
        }
        (low, high)
    }

    /// The voxels that are no further from the lesion than the margin's width, the lesion's own included.
    fn within_margin(&self, lesion: &Array3<bool>) -> Array3<bool> {
        let (ni, nj, nk) = lesion.dim();
        let index = |at: usize| [at % ni, at / ni % nj, at / ni / nj];
        let distances = distance_to([ni, nj, nk], self.sizes.map(|size| size as f32), |at| lesion[index(at)]);
        // Distances are floats; the width itself counts as within.
        let width = (self.settings.margin_mm * (1.0 + 1e-6)) as f32;
        Array3::from_shape_fn(lesion.dim(), |(i, j, k)| distances[i + ni * (j + nj * k)] <= width)
    }

    /// The average over the offsets of the texture of a region; none if there is an offset without a pair.
    fn texture(&self, levels: &Array3<u8>, region: &Array3<bool>) -> Result<Option<Texture>> {
        let mut textures = Vec::with_capacity(self.offsets.len());
        for &offset in &self.offsets {
            let mut matrix = Glcm::new(offset, &self.settings.levels);
            for (levels, region) in levels.axis_iter(Axis(2)).zip(region.axis_iter(Axis(2))) {
                // Rows of j and columns of i.
                matrix.add(levels.reversed_axes(), region.reversed_axes())?;
            }
            let matrix = if self.settings.symmetric { matrix.symmetric() } else { matrix };
            match matrix.texture().value() {
                Some(texture) => textures.push(*texture),
                None => return Ok(None),
            }
        }
        Ok(Texture::average(&textures))
    }
}

#[cfg(test)]
mod tests;
