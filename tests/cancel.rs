//! A wish to stop that comes at any time is heard soon: within a quarter of a second, on a raw and on a prepared scan.

#![cfg(feature = "embedded-models")]

mod head;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use head::{Contrast, Head, clinical_grid, pose};
use mrisynth::synthesize::Options;
use mrisynth::{Control, Error, Limits, Model, Volume, nifti, synthesize};

/// How long users may have to wait.
const LIMIT: Duration = Duration::from_millis(250);
/// A machine that does something else meanwhile must not fail the test: the best of these counts.
const ATTEMPTS: usize = 4;
/// When the wish comes, as parts of the time that the whole work takes.
const MOMENTS: [f64; 5] = [0.05, 0.27, 0.5, 0.7, 0.9];

fn model() -> Model {
    Model::embedded(mrisynth::Contrast::T2w, mrisynth::Contrast::T1w).unwrap()
}

/// How long the whole work takes.
fn time_whole(model: &Model, scan: &Volume, options: &Options) -> Duration {
    let start = Instant::now();
    synthesize(model, scan, &scan.grid(), options, &mut Control::default()).unwrap();
    start.elapsed()
}

/// How long after a wish, which comes `delay` after the start, the call returns. None if it was done before.
fn time_to_stop(model: &Model, scan: &Volume, options: &Options, delay: Duration) -> Option<Duration> {
    let wish = AtomicBool::new(false);
    thread::scope(|threads| {
        let wished_at = threads.spawn(|| {
            thread::sleep(delay);
            wish.store(true, Ordering::Relaxed);
            Instant::now()
        });
        let mut progress = |_| match wish.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let control = &mut Control { progress: Some(&mut progress), ..Control::default() };
        let outcome = synthesize(model, scan, &scan.grid(), options, control);
        let returned_at = Instant::now();
        let waited = returned_at.saturating_duration_since(wished_at.join().unwrap());
        match outcome {
            Ok(_) => None,
            Err(fault) => {
                assert!(matches!(fault, Error::Cancelled), "{fault}");
                Some(waited)
            }
        }
    })
}

fn stops_soon_at_any_time(scan: &Volume, options: &Options) {
    let model = model();
    let whole = time_whole(&model, scan, options);
    let mut stopped = 0;
    for moment in MOMENTS {
        let attempts = (0..ATTEMPTS).map(|_| time_to_stop(&model, scan, options, whole.mul_f64(moment)));
        let mut waits = Vec::new();
        for wait in attempts.map_while(|wait| wait) {
            waits.push(wait);
            if wait <= LIMIT {
                break;
            }
        }
        stopped += usize::from(!waits.is_empty());
        assert!(waits.is_empty() || waits.iter().min() <= Some(&LIMIT), "at {moment} of the work: {waits:?}");
    }
    assert!(stopped >= MOMENTS.len() / 2, "most calls were over before they could be stopped: {stopped}");
}

#[test]
fn work_on_a_raw_scan_stops_soon() {
    let (scan, _) = Head::new().scan(clinical_grid(8.0), &pose(), Contrast::T2w);
    stops_soon_at_any_time(&scan, &Options::default());
}

#[test]
fn work_on_a_prepared_scan_stops_soon() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/example_T2w.nii.gz");
    let scan = nifti::read(&path, &Limits::default()).unwrap().volume;
    stops_soon_at_any_time(&scan, &Options::prepared());
}
