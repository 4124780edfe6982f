//! Writes a made-up raw T2w scan of a head: what to try raw input with where there is no scan at hand.
//!
//! `cargo run --release --example made_up_head -- head_T2w.nii.gz [--small]`
//!
//! With `--small` on fewer voxels and in integers, 0 to 1: the scan of the command's self-test.
//!
//! The average brain inside the library in a skull of formulas, on a clinic's oblique grid. It shows that software runs; it says
//! nothing of how good a model is.

#[path = "../tests/head/mod.rs"]
mod head;

use std::path::PathBuf;

use head::{Contrast, Head, clinical_grid, coarse_grid, pose};
use mrisynth::nifti::{self, Header, VoxelType, WriteOptions};

/// No intensity of the small scan is higher.
const MAXIMUM: f32 = 500.0;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (output, small) = match &arguments[..] {
        [output] => (output, false),
        [output, flag] if flag.as_os_str() == "--small" => (output, true),
        _ => return Err("usage: made_up_head OUTPUT [--small]".into()),
    };
    let grid = if small { coarse_grid(8.0) } else { clinical_grid(8.0) };
    let (mut scan, _) = Head::new().scan(grid, &pose(), Contrast::T2w);
    if small {
        scan.as_mut_slice().iter_mut().for_each(|value| *value /= MAXIMUM);
    }
    let write = WriteOptions {
        voxel_type: if small { VoxelType::Int16 } else { VoxelType::Float32 },
        description: "SIMULATED T2w, made up",
        extension: None,
        overwrite: true,
    };
    nifti::write(output, &scan, &Header::for_grid(&scan.grid()), &write)?;
    Ok(())
}
