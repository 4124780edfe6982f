//! A small example scan with its truth, from the phantom: what a project may ship, since it shows nobody.

use std::path::{Path, PathBuf};

use mrisynth::nifti::{Header, VoxelType, WriteOptions};
use mrisynth::{Affine, Volume};
use ndarray::{Array3, ShapeBuilder};
use rand::RngExt;

use super::appearance::Appearance;
use super::deform::Warp;
use super::degrade::Acquisition;
use super::field::{Field, index};
use super::labels::bounding_box;
use super::person::Group;
use super::{Finished, Plan, Random, phantom, simulate_with};
use crate::error::Error;

/// Voxels of the simulation for one voxel of the example, along each axis.
const REDUCTION: usize = 2;
/// Background voxels around the brain.
const MARGIN: usize = 4;

/// Both contrasts of a phantom on one 2 mm grid, and the lesions in it.
pub struct Example {
    /// T1-weighted, 0 to 1.
    pub t1w: Volume,
    /// T2-weighted, 0 to 1.
    pub t2w: Volume,
    /// 1 in lesions.
    pub lesions: Volume,
}

/// An example, always the same for a seed.
///
/// # Errors
/// None that a seed could cause; those of [`Volume::new`].
pub fn small_example(seed: u64) -> Result<Example, mrisynth::Error> {
    let mut random = Random::new(u128::from(seed), 0);
    let labels = phantom::label_map(&mut random);
    let centre = [0, 1, 2].map(|axis| phantom::ORIGIN[axis] - 0.5 + 0.5 * labels.extent()[axis]);
    let appearance = Appearance::clear(&mut random);
    let acquisitions = [Acquisition::fine(), Acquisition::fine()];
    let count = random.random_range(12..20);
    let plan = Plan { group: Group::ANY, appearance, lesion_count: count, acquisitions };
    let finished = simulate_with(labels, Warp::gentle, &plan, &mut random);
    reduced(&finished, centre)
}

/// Writes `PREFIX_T1w.nii.gz`, `PREFIX_T2w.nii.gz` and `PREFIX_lesions.nii.gz`.
///
/// # Errors
/// [`Error::Data`] naming the file that could not be written.
pub fn write(prefix: &Path, seed: u64) -> Result<(), Error> {
    let example = small_example(seed).map_err(|fault| Error::Data(format!("example: {fault}")))?;
    for (name, volume, voxel_type) in [
        ("T1w", &example.t1w, VoxelType::Int16),
        ("T2w", &example.t2w, VoxelType::Int16),
        ("lesions", &example.lesions, VoxelType::Float32),
    ] {
        let mut path = prefix.as_os_str().to_owned();
        path.push(format!("_{name}.nii.gz"));
        write_volume(&PathBuf::from(path), volume, voxel_type)?;
    }
    Ok(())
}

/// Writes a simulated volume, over an older one.
pub fn write_volume(path: &Path, volume: &Volume, voxel_type: VoxelType) -> Result<(), Error> {
    let options = WriteOptions { voxel_type, description: "simulated", extension: None, overwrite: true };
    mrisynth::nifti::write(path, volume, &Header::for_grid(&volume.grid()), &options)
        .map_err(|fault| Error::Data(fault.to_string()))
}

/// Averaged to the coarser grid and cropped; the middle of the fine grid is at `centre`, in millimetres.
fn reduced(finished: &Finished, centre: [f32; 3]) -> Result<Example, mrisynth::Error> {
    let fine = finished.t1w.dims;
    let dims = fine.map(|length| length / REDUCTION);
    let mask = Field {
        dims: fine,
        values: finished.inside.iter().map(|&inside| f32::from(u8::from(inside))).collect(),
    };
    let mask = averaged(&mask, dims);
    let inside = |at: usize| mask.values[at] >= 0.5;
    let (low, high) = bounding_box(dims, inside).unwrap_or(([0; 3], dims.map(|length| length - 1)));
    let size = REDUCTION as f64;
    let origin = [0, 1, 2].map(|axis| {
        let first = (low[axis] as f64 - MARGIN as f64 + 0.5) * size;
        f64::from(centre[axis]) + first - 0.5 * fine[axis] as f64
    });
    let affine = Affine::from_sizes([size; 3], origin)?;
    let volume = |image: &Field, value: &dyn Fn(f32, f32) -> f32| {
        let averages = averaged(image, dims);
        let shape = [0, 1, 2].map(|axis| high[axis] - low[axis] + 1 + 2 * MARGIN);
        let voxels = Array3::from_shape_fn((shape[0], shape[1], shape[2]).f(), |(i, j, k)| {
            let at = [0, 1, 2].map(|axis| ([i, j, k][axis] + low[axis]).wrapping_sub(MARGIN));
            let exists = (0..3).all(|axis| at[axis] < dims[axis]);
            let at = if exists { index(dims, at) } else { return 0.0 };
            if inside(at) { value(averages.values[at], mask.values[at]) } else { 0.0 }
        });
        Volume::new(voxels, affine)
    };
    // At the rim, the average is that of the voxels inside.
    let brightness = |average: f32, part: f32| (average / part).min(1.0);
    Ok(Example {
        t1w: volume(&finished.t1w, &brightness)?,
        t2w: volume(&finished.t2w, &brightness)?,
        lesions: volume(&finished.lesions, &|average, _| f32::from(u8::from(average > 0.5)))?,
    })
}

fn averaged(image: &Field, dims: [usize; 3]) -> Field {
    let mut result = Field::filled(dims, 0.0);
    let weight = 1.0 / (REDUCTION * REDUCTION * REDUCTION) as f32;
    for k in 0..dims[2] * REDUCTION {
        for j in 0..dims[1] * REDUCTION {
            for i in 0..dims[0] * REDUCTION {
                let to = index(dims, [i / REDUCTION, j / REDUCTION, k / REDUCTION]);
                result.values[to] += weight * image.values[index(image.dims, [i, j, k])];
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_small_and_has_lesions_that_both_contrasts_show() {
        let example = small_example(1).unwrap();
        assert!(example.t1w.grid().len() < 1_000_000);
        assert_eq!(example.t1w.grid(), example.t2w.grid());
        let mean = |image: &Volume, chosen: &dyn Fn(f32, f32) -> bool| {
            let pairs = image.as_slice().iter().zip(example.lesions.as_slice()).zip(example.t1w.as_slice());
            let values: Vec<f32> = pairs
                .filter(|((_, lesion), t1w)| chosen(**lesion, **t1w))
                .map(|((value, _), _)| *value)
                .collect();
            values.iter().sum::<f32>() / values.len() as f32
        };
        let is_lesion = |lesion: f32, _: f32| lesion > 0.5;
        let is_white_matter = |lesion: f32, t1w: f32| lesion == 0.0 && t1w > 0.8;
        assert!(mean(&example.t2w, &is_lesion) > 1.2 * mean(&example.t2w, &is_white_matter));
        assert!(mean(&example.t1w, &is_lesion) < 0.95 * mean(&example.t1w, &is_white_matter));
    }
}
