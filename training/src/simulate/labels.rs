//! Label maps: from a FreeSurfer-style file to tissues on a cropped RAS grid, with the fluid inside the brain's hull.

use std::path::{Path, PathBuf};

use mrisynth::{Limits, Volume};
use ndarray::ArrayView3;
use rand::RngExt;

use super::Random;
use super::distance::distance_to;
use super::field::{Field, index};
use super::person::Group;
use super::tissue::Tissue;
use crate::error::Error;

/// Voxel sizes of a label map that are fine enough for cortex, in millimetres.
const VOXEL_SIZES: std::ops::RangeInclusive<f64> = 0.4..=2.0;
/// Room around the brain for its hull and the fluid outside, in millimetres.
const MARGIN: f32 = 9.0;
/// A map with less brain than this, in cubic millimetres, is not a whole brain's.
const SMALLEST_BRAIN: f64 = 5e5;

/// Tissues on a grid in RAS order, cropped to the brain with some margin.
#[derive(Clone, Debug)]
pub struct LabelMap {
    /// Voxels along x (to the right), y (to the front) and z (to the top).
    pub dims: [usize; 3],
    /// Voxel sizes in millimetres.
    pub sizes: [f32; 3],
    /// A [`Tissue`] for each voxel, i fastest.
    pub tissues: Vec<Tissue>,
}

/// The label maps named by `paths`: files as they are, and the `.nii` and `.nii.gz` files of folders in order of name.
///
/// # Errors
/// [`Error::Io`] for a folder that cannot be read, [`Error::Usage`] if there is no label map at all.
pub fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            found.extend(files_of(path)?);
        } else {
            found.push(path.clone());
        }
    }
    if found.is_empty() {
        return Err(Error::Usage("--labels names no label map (.nii or .nii.gz)".into()));
    }
    Ok(found)
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(folder).map_err(|fault| Error::io(folder, fault))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|fault| Error::io(folder, fault))?.path();
        let name = path.to_string_lossy();
        if name.ends_with(".nii") || name.ends_with(".nii.gz") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// The voxels of a label map along the patient's axes (right, front, top), and their sizes in millimetres.
///
/// # Errors
/// The fault, if the voxels are too coarse or too fine.
pub(crate) fn in_ras_order(volume: &Volume) -> Result<(ArrayView3<'_, f32>, [f32; 3]), String> {
    let sizes = volume.affine().voxel_sizes();
    if let Some(size) = sizes.iter().find(|size| !VOXEL_SIZES.contains(size)) {
        return Err(format!("voxels of {size} mm; a label map needs 0.4 to 2 mm"));
    }
    let axes = volume.affine().nearest_axes();
    let mut voxels = volume.voxels().permuted_axes(axes.map(|(axis, _)| axis));
    for (axis, (_, reversed)) in axes.into_iter().enumerate() {
        if reversed {
            voxels.invert_axis(ndarray::Axis(axis));
        }
    }
    Ok((voxels, axes.map(|(axis, _)| sizes[axis] as f32)))
}

impl LabelMap {
    /// Reads a label map with FreeSurfer's labels.
    ///
    /// # Errors
    /// [`Error::Data`] naming the file, if it cannot be read or holds no whole brain.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let image = mrisynth::nifti::read(path, &Limits::default())
            .map_err(|fault| Error::Data(format!("label map: {fault}")))?;
        Self::of_volume(&image.volume)
            .map_err(|fault| Error::Data(format!("label map {}: {fault}", path.display())))
    }

    fn of_volume(volume: &Volume) -> Result<Self, String> {
        let (voxels, sizes) = in_ras_order(volume)?;
        let (width, depth, height) = voxels.dim();
        // A cast takes NaN to 0 and what is too large to a label that is no tissue.
        let tissues = voxels.reversed_axes().into_iter().map(|&label| Tissue::of_label(label.round() as i32));
        let map = Self {
            dims: [width, depth, height],
            sizes,
            tissues: tissues.map(|tissue| tissue.unwrap_or(Tissue::Background)).collect(),
        };
        map.check_brain()?;
        map.cropped().ok_or_else(|| "it has no brain label".into())
    }

    fn check_brain(&self) -> Result<(), String> {
        let voxel: f64 = self.sizes.iter().map(|&size| f64::from(size)).product();
        let brain = self.tissues.iter().filter(|&&tissue| is_brain(tissue)).count() as f64 * voxel;
        if brain < SMALLEST_BRAIN {
            return Err(format!(
                "{:.0} ml of brain labels (FreeSurfer's numbers), less than the {:.0} ml of a whole brain",
                brain / 1000.0,
                SMALLEST_BRAIN / 1000.0
            ));
        }
        Ok(())
    }

    /// The brain's bounding box with [`MARGIN`], padded where the map ends earlier.
    fn cropped(&self) -> Option<Self> {
        let (low, high) = bounding_box(self.dims, |at| is_brain(self.tissues[at]))?;
        let margin = self.sizes.map(|size| (MARGIN / size).ceil() as usize);
        let dims = [0, 1, 2].map(|axis| high[axis] - low[axis] + 1 + 2 * margin[axis]);
        let mut tissues = vec![Tissue::Background; dims.iter().product()];
        for k in low[2]..=high[2] {
            for j in low[1]..=high[1] {
                for i in low[0]..=high[0] {
                    let to = [0, 1, 2].map(|axis| [i, j, k][axis] - low[axis] + margin[axis]);
                    tissues[index(dims, to)] = self.tissues[index(self.dims, [i, j, k])];
                }
            }
        }
        Some(Self { dims, sizes: self.sizes, tissues })
    }

    /// Fills the sulci and cisterns with fluid and gives the brain the rim that a brain extraction leaves.
    ///
    /// The hull is the brain closed by a ball of random radius. Fluid covers the gyri to one height; the extraction cuts
    /// at another, uneven one, so that in places it keeps some membrane, and in places it cuts at the cortex. What is
    /// enclosed in a slice is fluid too.
    pub fn fill_hull(&mut self, group: &Group, random: &mut Random) {
        let radius = random.random_range(group.closing.clone());
        let fluid_height = random.random_range(group.fluid_height.clone());
        let cut_height = random.random_range(group.cut_height.clone());
        let unevenness = random.random_range(0.3..0.8_f32);
        let to_brain = distance_to(self.dims, self.sizes, |at| is_brain(self.tissues[at]));
        let to_outside = distance_to(self.dims, self.sizes, |at| to_brain.values[at] > radius);
        let noise = [0, 1].map(|_| Field::noise(self.dims, 8.0, random));
        // Above the closed brain's surface, in millimetres.
        let height = |at: usize| radius - to_outside.values[at];
        // Only inside the dilated brain does the height mean anything.
        let is_below = |at: usize, level: f32, noise: &Field| {
            to_outside.values[at] > 0.0 && height(at) < level + unevenness * noise.values[at]
        };
        let is_kept = |at: usize| is_below(at, cut_height, &noise[0]);
        let is_wet = |at: usize| is_below(at, fluid_height, &noise[1]);
        let kept: Vec<bool> =
            (0..self.tissues.len()).map(|at| is_brain(self.tissues[at]) || is_kept(at)).collect();
        let mut hull = kept.clone();
        fill_enclosed(self.dims, &mut hull);
        for (at, tissue) in self.tissues.iter_mut().enumerate() {
            if is_brain(*tissue) {
                continue;
            }
            *tissue = match (hull[at], is_wet(at) || !kept[at]) {
                (true, true) => Tissue::Fluid,
                (true, false) => Tissue::Membrane,
                (false, _) if is_wet(at) => Tissue::OuterFluid,
                (false, _) => Tissue::Background,
            };
        }
    }

    /// Distance of each voxel to the ventricles in millimetres.
    pub fn ventricle_distance(&self) -> Field {
        distance_to(self.dims, self.sizes, |at| self.tissues[at] == Tissue::Ventricle)
    }

    /// Lengths of the grid in millimetres.
    pub fn extent(&self) -> [f32; 3] {
        [0, 1, 2].map(|axis| self.dims[axis] as f32 * self.sizes[axis])
    }
}

fn is_brain(tissue: Tissue) -> bool {
    !matches!(tissue, Tissue::Background | Tissue::OuterFluid)
}

/// Adds to the mask what it encloses inside several slices of any orientation.
fn fill_enclosed(dims: [usize; 3], mask: &mut [bool]) {
    let steps = [1, dims[0], dims[0] * dims[1]];
    let mut filled = mask.to_vec();
    for axis in 0..3 {
        let (first, second) = ((axis + 1) % 3, (axis + 2) % 3);
        let size = [dims[first], dims[second]];
        for slice in 0..dims[axis] {
            let place = |x: usize, y: usize| slice * steps[axis] + x * steps[first] + y * steps[second];
            let outside = reached_from_border(size, |x, y| !mask[place(x, y)]);
            for (at, _) in outside.iter().enumerate().filter(|(_, reached)| !**reached) {
                filled[place(at % size[0], at / size[0])] = true;
            }
        }
    }
    // What only a slice or two enclose is no part of the hull.
    let values = filled.iter().map(|&inside| f32::from(u8::from(inside))).collect();
    let smooth = Field { dims, values }.blurred([1.5; 3]);
    for (inside, part) in mask.iter_mut().zip(smooth.values) {
        *inside |= part > 0.55;
    }
}

/// The open pixels of an image that are connected to an open pixel at its border.
fn reached_from_border(size: [usize; 2], is_open: impl Fn(usize, usize) -> bool) -> Vec<bool> {
    let [width, height] = size;
    let mut reached = vec![false; width * height];
    let sides = (0..height).flat_map(|y| [(0, y), (width - 1, y)]);
    let ends = (0..width).flat_map(|x| [(x, 0), (x, height - 1)]);
    let mut waiting: Vec<(usize, usize)> = sides.chain(ends).collect();
    while let Some((x, y)) = waiting.pop() {
        let at = x + y * width;
        if reached[at] || !is_open(x, y) {
            continue;
        }
        reached[at] = true;
        let neighbours = [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)];
        waiting.extend(neighbours.into_iter().filter(|&(x, y)| x < width && y < height));
    }
    reached
}

/// The first and last index along each axis of the voxels that `is_inside`; `None` if there is none.
pub fn bounding_box(dims: [usize; 3], is_inside: impl Fn(usize) -> bool) -> Option<([usize; 3], [usize; 3])> {
    let mut low = dims;
    let mut high = [0; 3];
    let mut at = 0;
    for k in 0..dims[2] {
        for j in 0..dims[1] {
            for i in 0..dims[0] {
                if is_inside(at) {
                    for (axis, position) in [i, j, k].into_iter().enumerate() {
                        low[axis] = low[axis].min(position);
                        high[axis] = high[axis].max(position);
                    }
                }
                at += 1;
            }
        }
    }
    (low[0] < dims[0]).then_some((low, high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mrisynth::Affine;
    use ndarray::Array3;

    /// A cube of brain in an otherwise empty left-inferior-anterior grid, with cortex on the patient's right.
    fn cube(affine_rows: [[f64; 4]; 4], side: usize) -> Volume {
        let mut voxels = Array3::zeros((100, 110, 120));
        for ((i, j, k), label) in voxels.indexed_iter_mut() {
            let inside = [i, j, k].iter().all(|&v| (8..8 + side).contains(&v));
            *label = if inside { if i == 8 { 42.0 } else { 2.0 } } else { 507.0 };
        }
        Volume::new(voxels, Affine::from_rows(affine_rows).unwrap()).unwrap()
    }

    const LIA: [[f64; 4]; 4] =
        [[-1.0, 0.0, 0.0, 50.0], [0.0, 0.0, 1.0, -50.0], [0.0, -1.0, 0.0, 50.0], [0.0, 0.0, 0.0, 1.0]];

    #[test]
    fn maps_are_brought_to_ras_and_cropped() {
        let map = LabelMap::of_volume(&cube(LIA, 84)).unwrap();
        let margin = MARGIN as usize;
        assert_eq!(map.dims, [84 + 2 * margin; 3]);
        let right = map.dims[0] - 1 - margin;
        assert_eq!(map.tissues[index(map.dims, [right, 40, 40])], Tissue::Cortex);
        assert_eq!(map.tissues[index(map.dims, [right - 1, 40, 40])], Tissue::WhiteMatter);
        assert_eq!(map.tissues[index(map.dims, [right + 1, 40, 40])], Tissue::Background);
    }

    #[test]
    fn maps_without_a_brain_are_refused() {
        let fault = LabelMap::of_volume(&cube(LIA, 5)).unwrap_err();
        assert!(fault.contains("brain labels"), "{fault}");
        let missing = LabelMap::read(Path::new("no/such/labels.nii.gz")).unwrap_err().to_string();
        assert!(missing.contains("no/such/labels.nii.gz"), "{missing}");
    }

    #[test]
    fn folders_without_maps_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(find(&[folder.path().to_owned()]).unwrap_err().to_string().contains("--labels"));
        assert!(find(&[folder.path().join("none.nii")]).is_ok());
    }

    #[test]
    fn what_a_tube_encloses_is_filled_and_what_a_ring_encloses_is_not() {
        let dims = [20; 3];
        let radius = |at: usize| ((at % 20) as f32 - 9.5).hypot((at / 20 % 20) as f32 - 9.5);
        let is_wall = |at: usize| (4.0..8.0).contains(&radius(at));
        let middle = index(dims, [9, 9, 10]);
        let mut tube: Vec<bool> = (0..8000).map(|at| is_wall(at) && (2..18).contains(&(at / 400))).collect();
        fill_enclosed(dims, &mut tube);
        assert!(tube[middle]);
        let mut ring: Vec<bool> = (0..8000).map(|at| is_wall(at) && at / 400 == 10).collect();
        fill_enclosed(dims, &mut ring);
        assert!(!ring[middle]);
    }

    #[test]
    fn the_hull_fills_a_sulcus_and_stays_near_the_brain() {
        let mut map = LabelMap::of_volume(&cube(LIA, 84)).unwrap();
        let slit = index(map.dims, [50, 50, 50]);
        map.tissues[slit] = Tissue::Background;
        map.fill_hull(&Group::ANY, &mut Random::new(1, 1));
        assert_eq!(map.tissues[slit], Tissue::Fluid);
        assert_eq!(map.tissues[0], Tissue::Background);
    }
}
