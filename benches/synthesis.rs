//! How long the stages of a synthesis take, on a phantom the size of a head.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use mrisynth::nifti::{Header, VoxelType, WriteOptions};
use mrisynth::prepare::{brain, resample, standard};
use mrisynth::synthesize::Options;
use mrisynth::{Affine, Contrast, Control, Grid, Limits, Model, Volume, Watch, nifti, synthesize};
use ndarray::Array3;

/// Half lengths of the phantom's brain in millimetres.
const RADII: [f64; 3] = [70.0, 88.0, 60.0];

/// A brain-extracted scan: an ellipsoid with a smooth pattern in it, in the middle of the field of view.
fn phantom(dims: [usize; 3], voxel: f64) -> Volume {
    let origin = dims.map(|length| -0.5 * voxel * (length - 1) as f64);
    let affine = Affine::from_sizes([voxel; 3], origin).unwrap();
    let value = |(i, j, k)| {
        let at = affine.to_millimetres([i as f64, j as f64, k as f64]);
        let distance: f64 = (0..3).map(|axis| (at[axis] / RADII[axis]).powi(2)).sum();
        let pattern: f64 = at.iter().map(|x| (x / 7.0).sin()).sum();
        if distance < 1.0 { (500.0 + 100.0 * pattern) as f32 } else { 0.0 }
    };
    Volume::new(Array3::from_shape_fn((dims[0], dims[1], dims[2]), value), affine).unwrap()
}

/// A scan with a single slice of brain, which the walk gives to the network as 224 rows of 192 voxels, margins included.
fn single_slice() -> Volume {
    let dims = [192 - 2 * standard::MARGIN, 224 - 2 * standard::MARGIN, 33];
    let affine = Affine::from_sizes([1.0; 3], [0.0; 3]).unwrap();
    let value = |(i, j, k)| if k == 16 { 1.0 + ((i + 2 * j) % 17) as f32 } else { 0.0 };
    Volume::new(Array3::from_shape_fn((dims[0], dims[1], dims[2]), value), affine).unwrap()
}

fn model() -> Model {
    Model::embedded(Contrast::T2w, Contrast::T1w).unwrap()
}

fn run(model: &Model, scan: &Volume, threads: usize) -> Volume {
    // A single slice is no plausible brain.
    let mut control = Control { accept_implausible: true, threads, ..Control::default() };
    synthesize(model, scan, &scan.grid(), &Options::prepared(), &mut control).unwrap()
}

fn preparation(criterion: &mut Criterion) {
    let fine = phantom([182, 218, 182], 1.0);
    criterion.bench_function("brain mask, 1 mm", |bencher| {
        bencher.iter(|| brain::mask(black_box(fine.voxels())));
    });
    let coarse = phantom([91, 109, 91], 2.0);
    let mask = brain::mask(coarse.voxels());
    let bounds = brain::bounding_box(&mask).unwrap();
    let grid: Grid = standard::grid_around(&coarse.grid(), bounds, &Limits::default()).unwrap();
    let watch = Watch::default();
    criterion.bench_function("to standard, 2 mm to 1 mm", |bencher| {
        bencher.iter(|| {
            let there = resample::mask_onto(&mask, &coarse.grid(), &grid, &watch).unwrap();
            let volume = resample::brain_onto(black_box(&coarse), &mask, &grid, &there, &watch).unwrap();
            (volume, there)
        });
    });
}

fn network(criterion: &mut Criterion) {
    let model = model();
    let scan = single_slice();
    criterion.bench_function("one slice of 192x224, 1 thread", |bencher| {
        bencher.iter(|| run(&model, black_box(&scan), 1));
    });
}

fn whole(criterion: &mut Criterion) {
    let model = model();
    let scan = phantom([182, 218, 182], 1.0);
    for threads in [1, 2] {
        criterion.bench_function(&format!("whole scan, 1 mm, {threads} threads"), |bencher| {
            bencher.iter(|| run(&model, black_box(&scan), threads));
        });
    }
    criterion.bench_function("loading of the embedded model", |bencher| {
        bencher.iter(self::model);
    });
}

fn files(criterion: &mut Criterion) {
    let scan = phantom([182, 218, 182], 1.0);
    let header = Header::for_grid(&scan.grid());
    let options = WriteOptions {
        voxel_type: VoxelType::Float32,
        description: "phantom",
        extension: None,
        overwrite: true,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("phantom.nii.gz");
    criterion.bench_function("write and read .nii.gz, 182x218x182", |bencher| {
        bencher.iter(|| {
            nifti::write(&path, black_box(&scan), &header, &options).unwrap();
            nifti::read(&path, &Limits::default()).unwrap()
        });
    });
}

criterion_group! {
    name = stages;
    // The slowest stages take seconds: ten samples of each are enough.
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1));
    targets = preparation, network, whole, files
}
criterion_main!(stages);
