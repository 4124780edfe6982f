//! Says for each scan whether the model inside the library that makes the other contrast of it would take it, without
//! synthesizing: one line a scan, `accepted` or `refused` and why.
//!
//! `cargo run --release --example check_input -- t1w prepared examples/data/example_T1w.nii.gz`

use std::ops::ControlFlow;
use std::path::Path;

use mrisynth::synthesize::{InputState, Options, synthesize};
use mrisynth::{Contrast, Control, Error, Limits, Model, nifti};

/// By this fraction of the work the preparation of a raw scan and the checks are over, and the slices are not.
const AFTER_CHECKS: [f32; 2] = [0.05, 0.42];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [contrast, state, scans @ ..] = &arguments[..] else {
        return Err("usage: check_input t1w|t2w raw|prepared SCAN...".into());
    };
    let source: Contrast = contrast.parse()?;
    let target = if source == Contrast::T1w { Contrast::T2w } else { Contrast::T1w };
    let (input_state, enough) = match state.as_str() {
        "raw" => (InputState::Raw, AFTER_CHECKS[1]),
        "prepared" => (InputState::Prepared, AFTER_CHECKS[0]),
        other => return Err(format!("{other}: must be raw or prepared").into()),
    };
    let model = Model::embedded(source, target)?;
    let options = Options { input_state, ..Options::default() };
    for path in scans {
        let scan = nifti::read(Path::new(path), &Limits::default())?.volume;
        let mut stop = |done| if done >= enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let mut control = Control { progress: Some(&mut stop), ..Control::default() };
        match synthesize(&model, &scan, &scan.grid(), &options, &mut control) {
            Ok(_) | Err(Error::Cancelled) => println!("accepted\t{path}"),
            Err(fault) => println!("refused\t{path}\t{fault}"),
        }
    }
    Ok(())
}
