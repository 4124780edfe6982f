//! How long the stages of the preparation of a raw scan take, on phantoms.

#[path = "../tests/head/mod.rs"]
mod head;

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use head::{Contrast, Head, clinical_grid, pose};
use mrisynth::prepare::bias::{self, BiasOptions};
use mrisynth::prepare::register::{self, template};
use mrisynth::synthesize::{Options, synthesize};
use mrisynth::{Affine, Control, Model, Volume, Watch};
use ndarray::Array3;

/// A head of three shells under a smooth field, and its surroundings of 0.
fn phantom(dims: [usize; 3]) -> (Volume, Array3<bool>) {
    let fraction = |index: usize, axis: usize| 2.0 * index as f64 / (dims[axis] - 1) as f64 - 1.0;
    let value = |(i, j, k)| {
        let [x, y, z] = [fraction(i, 0), fraction(j, 1), fraction(k, 2)];
        let texture = ((7 * i + 13 * j + 17 * k) % 11) as f64 - 5.0;
        let tissue = match x * x + y * y + z * z {
            r if r < 0.3 => 120.0,
            r if r < 0.6 => 80.0,
            r if r < 0.9 => 40.0,
            _ => return 0.0,
        };
        ((tissue + texture) * (1.0 + 0.15 * x - 0.1 * y + 0.25 * z * z)) as f32
    };
    let voxels = Array3::from_shape_fn((dims[0], dims[1], dims[2]), value);
    let mask = voxels.mapv(|value| value > 0.0);
    (Volume::new(voxels, Affine::from_sizes([1.8, 1.8, 3.0], [0.0; 3]).unwrap()).unwrap(), mask)
}

fn bias_correction(criterion: &mut Criterion) {
    let (scan, mask) = phantom([128, 128, 40]);
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        for (name, options) in [("default", BiasOptions::default()), ("ITK", BiasOptions::itk_compatible(4))]
        {
            // Not one level ends early, so that the work is the same whatever converges.
            let options = BiasOptions { threshold: 0.0, ..options };
            criterion.bench_function(&format!("N4 ({name}), 128x128x40, {threads} threads"), |bencher| {
                bencher.iter(|| {
                    pool.install(|| {
                        let watch = Watch::default();
                        let field = bias::estimate(black_box(&scan), &mask, &options, &watch).unwrap();
                        field.on_scan(&watch).unwrap()
                    })
                });
            });
        }
    }
}

fn registration(criterion: &mut Criterion) {
    let brain = template::brain().unwrap();
    let mask = brain.voxels().mapv(|value| value > 0.0);
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        criterion.bench_function(&format!("affine to MNI152, 91x109x91, {threads} threads"), |bencher| {
            let watch = Watch::default();
            bencher.iter(|| pool.install(|| register::to_template(black_box(brain), &mask, &watch).unwrap()));
        });
    }
}

/// Prints the longest times from a wish to stop, at moments all over a synthesis from a raw head, to the end of the call. No
/// benchmark of a mean would show them.
fn cancellation(_: &mut Criterion) {
    let (scan, _) = Head::new().scan(clinical_grid(8.0), &pose(), Contrast::T2w);
    let model = Model::embedded(mrisynth::Contrast::T2w, mrisynth::Contrast::T1w).unwrap();
    let whole = seconds_after(&model, &scan, f64::INFINITY);
    for tenth in 0..10 {
        let wishes = (0..5).map(|step| whole * f64::from(5 * tenth + step) / 50.0);
        let longest = wishes.map(|wish| seconds_after(&model, &scan, wish)).fold(0.0, f64::max);
        println!("wish to stop at {tenth}0 % of the time: heard within {:.0} ms", 1000.0 * longest);
    }
}

/// Seconds from the wish to stop, `wish` seconds after the start, to the end of the call; of the whole call if there is none.
fn seconds_after(model: &Model, scan: &Volume, wish: f64) -> f64 {
    let start = Instant::now();
    let mut stop = |_: f32| {
        if start.elapsed().as_secs_f64() < wish { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let mut control = Control { progress: Some(&mut stop), ..Control::default() };
    // Where the machine is quicker this time, the call may end before the wish.
    let ended = synthesize(model, scan, &scan.grid(), &Options::default(), &mut control).is_ok();
    let elapsed = start.elapsed().as_secs_f64();
    if ended { if wish.is_finite() { 0.0 } else { elapsed } } else { elapsed - wish }
}

criterion_group! {
    name = stages;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1));
    targets = bias_correction, registration, cancellation
}
criterion_main!(stages);
