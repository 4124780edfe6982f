//! Writes a made-up raw T2w scan of a head: what to try raw input with where there is no scan at hand.
//!
//! `cargo run --release --example made_up_head -- head_T2w.nii.gz`
//!
//! The average brain inside the library in a skull of formulas, on a clinic's oblique grid. It shows that software runs; it says
//! nothing of how good a model is.

#[path = "../tests/head/mod.rs"]
mod head;

use std::path::PathBuf;

use head::{Contrast, Head, clinical_grid, pose};
use mrisynth::nifti::{self, Header, VoxelType, WriteOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [output] = &arguments[..] else {
        return Err("usage: made_up_head OUTPUT".into());
    };
    let (scan, _) = Head::new().scan(clinical_grid(8.0), &pose(), Contrast::T2w);
    let write = WriteOptions {
        voxel_type: VoxelType::Float32,
        description: "SIMULATED T2w, made up",
        extension: None,
        overwrite: true,
    };
    nifti::write(output, &scan, &Header::for_grid(&scan.grid()), &write)?;
    Ok(())
}
