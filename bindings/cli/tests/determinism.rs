//! The same scan gives the same bytes: for any number of threads, in any process, each time it is run, and from the library.

mod common;
#[path = "../../../tests/head/mod.rs"]
mod head;

use std::path::Path;

use common::{Workplace, phantom, write_volume};
use head::{Head, coarse_grid, pose};
use mrisynth::synthesize::Options;
use mrisynth::{Contrast, Control, Limits, Model, Volume, nifti, synthesize};

/// One thread, each number up to eight, and one thread once more: as many processes, two of them alike.
const THREADS: [usize; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 1];

fn read(path: &Path) -> Volume {
    nifti::read(path, &Limits::default()).unwrap().volume
}

/// What the command writes for `scan.nii.gz` must be the same for each number of threads, and the library must make the same
/// image twice, with few threads and with many.
fn check(workplace: &Workplace, flags: &str, options: &Options) {
    let written = |threads: usize| {
        let arguments =
            format!("synthesize scan.nii.gz -o out.nii.gz --to t1w --force --threads {threads} {flags}");
        workplace.run(arguments.split_whitespace()).succeeded();
        (workplace.bytes("out.nii.gz"), workplace.bytes("out.json"))
    };
    let first = written(THREADS[0]);
    for threads in &THREADS[1..] {
        let other = written(*threads);
        assert!(first.0 == other.0, "{threads} threads write other image bytes");
        assert!(first.1 == other.1, "{threads} threads write another sidecar");
    }
    let (scan, image) = (read(&workplace.path("scan.nii.gz")), read(&workplace.path("out.nii.gz")));
    assert!(image.as_slice().iter().any(|value| *value > 0.5), "the image shows a brain");
    let model = Model::embedded(Contrast::T2w, Contrast::T1w).unwrap();
    for threads in [1, 5] {
        let mut control = Control { threads, ..Control::default() };
        let made = synthesize(&model, &scan, &scan.grid(), options, &mut control).unwrap();
        let same = made.as_slice().iter().zip(image.as_slice()).all(|(a, b)| a.to_bits() == b.to_bits());
        assert!(same, "the library with {threads} threads makes another image than the command");
    }
}

#[test]
fn a_prepared_scan_gives_the_same_bytes_for_any_number_of_threads_and_in_any_process() {
    let workplace = Workplace::new();
    write_volume(&workplace.path("scan.nii.gz"), &phantom());
    check(&workplace, "--prepared", &Options::prepared());
}

#[test]
fn a_raw_scan_gives_the_same_bytes_for_any_number_of_threads_and_in_any_process() {
    let workplace = Workplace::new();
    let (scan, _) = Head::new().scan(coarse_grid(8.0), &pose(), head::Contrast::T2w);
    write_volume(&workplace.path("scan.nii.gz"), &scan);
    check(&workplace, "", &Options::default());
}
