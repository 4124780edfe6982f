//! The extractor's own subcommands.

use std::path::PathBuf;

use mrisynth::nifti::VoxelType;
use mrisynth::prepare::lattice;
use mrisynth::{Affine, Volume};
use ndarray::{Array3, ShapeBuilder};

use super::anatomy::Anatomy;
use super::head::{Head, STEPS};
use super::pool;
use crate::error::Error;
use crate::simulate::example::write_volume;
use crate::simulate::labels;

/// What heads to simulate.
#[derive(Debug, clap::Args)]
pub struct SimulateArguments {
    /// Label maps of heads (NIfTI), or folders of them
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    labels: Vec<PathBuf>,
    /// The folder to write to
    #[arg(long, value_name = "FOLDER")]
    output: PathBuf,
    /// Number of heads
    #[arg(long, default_value_t = 8)]
    heads: u64,
    /// Seed of all random numbers
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Writes the first heads of a seed as `head-N.nii.gz` (0 to 255) and `heights-N.nii.gz` (millimetres).
///
/// # Errors
/// Label maps that cannot be read, and whatever keeps the files from being written.
pub fn simulate(arguments: &SimulateArguments) -> Result<(), Error> {
    let folder = &arguments.output;
    std::fs::create_dir_all(folder).map_err(|fault| Error::io(folder, fault))?;
    let maps = labels::find(&arguments.labels)?;
    let anatomies = maps.iter().map(|path| Anatomy::read(path)).collect::<Result<Vec<_>, _>>()?;
    for number in 0..arguments.heads {
        let head = pool::head(&anatomies, arguments.seed, number);
        let image = head.image.iter().map(|&value| f32::from(value)).collect();
        let heights = head.heights.iter().map(|&steps| f32::from(steps) / STEPS).collect();
        write(&folder.join(format!("head-{number}.nii.gz")), &head, image)?;
        write(&folder.join(format!("heights-{number}.nii.gz")), &head, heights)?;
    }
    Ok(())
}

fn write(path: &std::path::Path, head: &Head, values: Vec<f32>) -> Result<(), Error> {
    let [ni, nj, nk] = head.dims;
    let voxels = Array3::from_shape_vec((ni, nj, nk).f(), values)
        .map_err(|fault| Error::Data(format!("{}: {fault}", path.display())))?;
    let corner = head.dims.map(|length| -0.5 * lattice::SPACING * length as f64);
    let volume = Volume::new(voxels, Affine::from_sizes([lattice::SPACING; 3], corner)?)?;
    write_volume(path, &volume, VoxelType::Float32)
}
