//! Reads a T2w scan, synthesizes its T1w contrast with the model inside the library, and writes it.
//!
//! `cargo run --release --example synthesize -- examples/data/example_T2w.nii.gz synthetic_T1w.nii.gz --prepared`

use std::ops::ControlFlow;
use std::path::Path;

use mrisynth::nifti::{self, VoxelType, WriteOptions};
use mrisynth::synthesize::{Options, synthesize};
use mrisynth::{Contrast, Control, Limits, Model};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let (input, output, options) = match &arguments[..] {
        [input, output] => (input, output, Options::default()),
        // For a scan that is bias-corrected and brain-extracted (background 0), with axes about those of MNI152.
        [input, output, state] if state == "--prepared" => (input, output, Options::prepared()),
        _ => return Err("usage: synthesize INPUT OUTPUT [--prepared]".into()),
    };

    let scan = nifti::read(Path::new(input), &Limits::default())?;
    for warning in &scan.warnings {
        eprintln!("warning: {warning}");
    }

    let model = Model::embedded(Contrast::T2w, Contrast::T1w)?;
    let mut progress = |fraction: f32| {
        eprint!("\r{:3.0} %", 100.0 * fraction);
        ControlFlow::Continue(())
    };
    let mut control = Control { progress: Some(&mut progress), ..Control::default() };
    // The result may lie on any grid; here it is the scan's own.
    let synthetic = synthesize(&model, &scan.volume, &scan.volume.grid(), &options, &mut control)?;
    eprintln!();

    let write = WriteOptions {
        voxel_type: VoxelType::Float32,
        description: "SYNTHETIC T1w, not for diagnosis",
        extension: None,
        overwrite: false,
    };
    nifti::write(Path::new(output), &synthetic, &scan.header, &write)?;
    Ok(())
}
