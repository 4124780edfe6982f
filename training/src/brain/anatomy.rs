//! A head to simulate from: the tissue of each voxel, and how far it lies from the brain's surface.

use std::path::Path;

use mrisynth::{Limits, Volume};

use crate::error::Error;
use crate::simulate::distance::distance_to;
use crate::simulate::field::{Field, index};
use crate::simulate::labels::{bounding_box, in_ras_order};
use crate::simulate::tissue::{TISSUES, Tissue};

/// Classes of tissue: those of [`Tissue`], then those of the head around the brain.
pub const CLASSES: usize = OTHER as usize + HEAD_LABELS.len() + 1;
/// Air.
pub const AIR: u8 = Tissue::Background as u8;
/// Fat under the skin.
pub const FAT: u8 = TISSUES as u8;
/// Muscle and what else the maps do not tell apart.
pub const SOFT: u8 = FAT + 1;
/// Skin.
pub const SKIN: u8 = FAT + 2;
/// Compact bone.
pub const BONE: u8 = FAT + 3;
/// Marrow between two layers of compact bone.
pub const MARROW: u8 = FAT + 4;
/// The first class of the remaining labels of the head; the last class is for labels that nobody knows.
pub const OTHER: u8 = FAT + 5;

/// Labels of the head with a class of their own, from [`OTHER`] on.
const HEAD_LABELS: [i32; 8] = [502, 506, 508, 509, 512, 514, 516, 530];
/// The label of soft tissue around the skull.
const SOFT_LABEL: i32 = 507;
/// The label of skin.
const SKIN_LABEL: i32 = 511;
/// The label of bone.
const BONE_LABEL: i32 = 515;
/// The label of the fluid around the brain, with the meninges.
const FLUID_LABEL: i32 = 24;
/// Soft tissue so near to the skin is fat, in millimetres.
const FAT_DEPTH: f32 = 4.5;
/// Bone farther than this from other tissue is marrow, in voxels.
const MARROW_DEPTH: f32 = 1.6;
/// Sulci and cisterns narrower than twice this belong to the brain, in millimetres.
const CLOSING_RADIUS: f32 = 6.0;
/// Standard deviation in millimetres of the smoothing of the brain's surface.
const SURFACE_SMOOTHING: f32 = 0.8;
/// A map with less brain than this, in cubic millimetres, is not a whole brain's.
const SMALLEST_BRAIN: f32 = 5e5;
/// Air around the head that is kept, in voxels.
const MARGIN: usize = 3;
/// Heights are stored in so many steps a millimetre.
const STEPS: f32 = 10.0;

/// A head on a grid along the patient's axes.
pub struct Anatomy {
    /// Voxels along x (to the right), y (to the front) and z (to the top).
    pub dims: [usize; 3],
    /// Voxel sizes in millimetres.
    pub sizes: [f32; 3],
    /// The class of each voxel, i fastest.
    pub classes: Vec<u8>,
    /// First and last voxel of the brain along each axis.
    pub brain: ([usize; 3], [usize; 3]),
    /// Above the surface of the closed brain, in tenths of millimetres up to 12.7, negative inside.
    heights: Vec<i8>,
}

impl Anatomy {
    /// Reads a label map of a head with FreeSurfer's labels.
    ///
    /// # Errors
    /// [`Error::Data`] naming the file, if it cannot be read or holds no whole brain.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let image = mrisynth::nifti::read(path, &Limits::default())
            .map_err(|fault| Error::Data(format!("label map: {fault}")))?;
        Self::of_volume(&image.volume)
            .map_err(|fault| Error::Data(format!("label map {}: {fault}", path.display())))
    }

    /// From a volume of labels.
    ///
    /// # Errors
    /// The fault, if its voxels have an unsuitable size or it holds no whole brain.
    pub fn of_volume(volume: &Volume) -> Result<Self, String> {
        let (voxels, sizes) = in_ras_order(volume)?;
        let (low, high) = {
            let dims = [0, 1, 2].map(|axis| voxels.shape()[axis]);
            let labels: Vec<f32> = voxels.t().iter().copied().collect();
            bounding_box(dims, |at| labels[at] >= 0.5).ok_or("it has no label")?
        };
        let dims = [0, 1, 2].map(|axis| high[axis] - low[axis] + 1 + 2 * MARGIN);
        let mut labels = vec![0; dims.iter().product()];
        for ([i, j, k], label) in box_of(low, high).map(|at| (at, voxels[at])) {
            let to = [0, 1, 2].map(|axis| [i, j, k][axis] - low[axis] + MARGIN);
            labels[index(dims, to)] = label.round() as i32;
        }
        let is_brain = |at: usize| is_brain(labels[at]);
        let voxel: f32 = sizes.iter().product();
        let millilitres = (0..labels.len()).filter(|&at| is_brain(at)).count() as f32 * voxel / 1000.0;
        if millilitres < SMALLEST_BRAIN / 1000.0 {
            return Err(format!("{millilitres:.0} ml of brain labels, less than a whole brain has"));
        }
        let brain = bounding_box(dims, is_brain).ok_or("it has no brain label")?;
        let heights = heights_of(dims, sizes, is_brain);
        Ok(Self { dims, sizes, classes: classes_of(&labels, dims, sizes), brain, heights })
    }

    /// The middle of the brain's bounding box, in voxels.
    pub fn brain_centre(&self) -> [f32; 3] {
        let (low, high) = self.brain;
        [0, 1, 2].map(|axis| 0.5 * (low[axis] + high[axis]) as f32)
    }

    /// The class of the voxel nearest to a fractional index; air outside.
    pub fn class_at(&self, at: [f32; 3]) -> u8 {
        let nearest = at.map(|position| (position + 0.5).floor());
        let inside = (0..3).all(|axis| nearest[axis] >= 0.0 && nearest[axis] < self.dims[axis] as f32);
        if inside { self.classes[index(self.dims, nearest.map(|n| n as usize))] } else { AIR }
    }

    /// The height above the brain's surface at a fractional index, by linear interpolation, in millimetres of this map;
    /// outside the map, that of the nearest face.
    pub fn height_at(&self, at: [f32; 3]) -> f32 {
        let mut low = [0; 3];
        let mut part = [0.0; 3];
        for axis in 0..3 {
            let last = self.dims[axis] - 2;
            let inside = at[axis].clamp(0.0, last as f32);
            low[axis] = (inside as usize).min(last);
            part[axis] = inside - low[axis] as f32;
        }
        let base = index(self.dims, low);
        let (row, slice) = (self.dims[0], self.dims[0] * self.dims[1]);
        let value = |at: usize| f32::from(self.heights[at]);
        let along_i = |at: usize| value(at) + (value(at + 1) - value(at)) * part[0];
        let along_j = |at: usize| along_i(at) + (along_i(at + row) - along_i(at)) * part[1];
        let height = along_j(base) + (along_j(base + slice) - along_j(base)) * part[2];
        height / STEPS
    }
}

/// All indices of a box, the first axis fastest.
fn box_of(low: [usize; 3], high: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
    (low[2]..=high[2])
        .flat_map(move |k| (low[1]..=high[1]).flat_map(move |j| (low[0]..=high[0]).map(move |i| [i, j, k])))
}

fn is_brain(label: i32) -> bool {
    Tissue::of_label(label).is_some()
}

/// The heights above the surface of the brain closed by a ball.
fn heights_of(dims: [usize; 3], sizes: [f32; 3], is_brain: impl Fn(usize) -> bool + Sync) -> Vec<i8> {
    let to_brain = distance_to(dims, sizes, is_brain);
    let to_far = distance_to(dims, sizes, |at| to_brain.values[at] > CLOSING_RADIUS);
    let height = |at: usize| match to_far.values[at] {
        0.0 => to_brain.values[at],
        far => CLOSING_RADIUS - far,
    };
    let field = Field { dims, values: (0..to_far.values.len()).map(height).collect() };
    let smooth = field.blurred(sizes.map(|size| SURFACE_SMOOTHING / size));
    smooth.values.into_iter().map(|height| (STEPS * height).round().clamp(-127.0, 127.0) as i8).collect()
}

fn classes_of(labels: &[i32], dims: [usize; 3], sizes: [f32; 3]) -> Vec<u8> {
    let to_skin = distance_to(dims, sizes, |at| labels[at] == SKIN_LABEL);
    let to_edge = distance_to(dims, sizes, |at| labels[at] != BONE_LABEL);
    let marrow_depth = MARROW_DEPTH * sizes.into_iter().fold(0.0, f32::max);
    let class = |at: usize| match labels[at] {
        0 => AIR,
        FLUID_LABEL => Tissue::OuterFluid as u8,
        SOFT_LABEL if to_skin.values[at] <= FAT_DEPTH => FAT,
        SOFT_LABEL => SOFT,
        SKIN_LABEL => SKIN,
        BONE_LABEL if to_edge.values[at] > marrow_depth => MARROW,
        BONE_LABEL => BONE,
        label => match (Tissue::of_label(label), HEAD_LABELS.iter().position(|&known| known == label)) {
            (Some(tissue), _) => tissue as u8,
            (None, Some(position)) => OTHER + position as u8,
            (None, None) => OTHER + HEAD_LABELS.len() as u8,
        },
    };
    (0..labels.len()).map(class).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use mrisynth::Affine;
    use ndarray::Array3;

    /// Radii in millimetres of a spherical head: white matter, cortex, fluid, bone, soft tissue and skin end here.
    const SHELLS: [(f32, f32); 6] =
        [(45.0, 2.0), (52.0, 3.0), (56.0, 24.0), (64.0, 515.0), (74.0, 507.0), (77.0, 511.0)];

    /// A head of nested spheres on a grid of 2 mm.
    pub(crate) fn spherical_head() -> Anatomy {
        let voxels = Array3::from_shape_fn((84, 84, 84), |(i, j, k)| {
            let radius =
                [i, j, k].map(|at| 2.0 * (at as f32 - 41.5)).iter().map(|v| v * v).sum::<f32>().sqrt();
            SHELLS.iter().find(|(end, _)| radius < *end).map_or(0.0, |(_, label)| *label)
        });
        let volume = Volume::new(voxels, Affine::from_sizes([2.0; 3], [0.0; 3]).unwrap()).unwrap();
        Anatomy::of_volume(&volume).unwrap()
    }

    #[test]
    fn heights_are_distances_from_the_brain() {
        let head = spherical_head();
        let centre = head.brain_centre();
        let at = |radius: f32| head.height_at([centre[0] + radius / 2.0, centre[1], centre[2]]);
        for radius in [46.0, 50.0, 52.0, 55.0, 60.0] {
            assert!((at(radius) - (radius - 52.0)).abs() < 1.5, "{radius}: {}", at(radius));
        }
        assert_eq!(at(0.0), -12.7);
        assert_eq!(at(70.0), 12.7);
    }

    #[test]
    fn the_head_has_fat_and_marrow() {
        let head = spherical_head();
        let centre = head.brain_centre();
        let at = |radius: f32| head.class_at([centre[0], centre[1] + radius / 2.0, centre[2]]);
        let found = [0.0, 54.0, 57.0, 60.0, 63.0, 66.0, 73.0, 75.0, 90.0].map(at);
        let (white, fluid) = (Tissue::WhiteMatter as u8, Tissue::OuterFluid as u8);
        assert_eq!(found, [white, fluid, BONE, MARROW, BONE, SOFT, FAT, SKIN, AIR]);
    }

    #[test]
    fn a_ball_without_a_brain_is_refused() {
        let volume = Volume::new(
            Array3::from_elem((20, 20, 20), 507.0),
            Affine::from_sizes([2.0; 3], [0.0; 3]).unwrap(),
        );
        assert!(Anatomy::of_volume(&volume.unwrap()).is_err_and(|fault| fault.contains("brain")));
    }
}
