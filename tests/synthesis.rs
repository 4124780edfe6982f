//! The walk through a volume: geometry, determinism, refusals, progress; with networks whose result is known.

mod onnx;

use std::ops::ControlFlow;
use std::sync::Mutex;

use mrisynth::control::LogLevel;
use mrisynth::model::{LoadOptions, Model};
use mrisynth::synthesize::Options;
use mrisynth::{Affine, Control, Error, Grid, Result, Volume, synthesize};
use ndarray::Array3;

/// Synthesizes from a prepared volume onto `output`. A brain of known values in all orientations is no plausible one.
fn walk(model: &Model, volume: &Volume, output: &Grid, control: &mut Control<'_>) -> Result<Volume> {
    control.accept_implausible = true;
    synthesize(model, volume, output, &Options::prepared(), control)
}

fn identity() -> Model {
    Model::from_bytes(&onnx::middle_slice(3), &LoadOptions::default()).unwrap()
}

/// A lopsided brain of known values: an ellipsoid with a different slope along each axis and a marked left side.
fn anatomy([x, y, z]: [f64; 3]) -> f32 {
    let inside = (x / 60.0).powi(2) + (y / 75.0).powi(2) + (z / 55.0).powi(2) < 1.0;
    let mark = if (x + 30.0).powi(2) + (y - 20.0).powi(2) + (z - 10.0).powi(2) < 150.0 { 0.3 } else { 0.0 };
    if inside { (0.35 + 0.002 * x + 0.0015 * y + 0.001 * z + mark) as f32 } else { 0.0 }
}

fn sampled(dims: [usize; 3], affine: Affine) -> Volume {
    let shape = (dims[0], dims[1], dims[2]);
    let value = |(i, j, k)| anatomy(affine.to_millimetres([i as f64, j as f64, k as f64]));
    Volume::new(Array3::from_shape_fn(shape, value), affine).unwrap()
}

/// A volume that covers the brain, its voxel axis `order[r]` along patient axis r, pointing the other way where `signs` says.
fn oriented(order: [usize; 3], signs: [bool; 3], voxel: [f64; 3]) -> Volume {
    let half = [68.0, 84.0, 63.0];
    let mut dims = [0; 3];
    let mut rows = [[0.0; 4]; 4];
    rows[3][3] = 1.0;
    for row in 0..3 {
        let steps = (2.0 * half[row] / voxel[row]).round();
        dims[order[row]] = steps as usize + 1;
        let sign = if signs[row] { -1.0 } else { 1.0 };
        rows[row][order[row]] = sign * voxel[row];
        rows[row][3] = -sign * half[row];
    }
    sampled(dims, Affine::from_rows(rows).unwrap())
}

fn orientations() -> impl Iterator<Item = ([usize; 3], [bool; 3])> {
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    let signs = (0..8).map(|bits| [bits & 1 == 1, bits & 2 == 2, bits & 4 == 4]);
    orders.into_iter().flat_map(move |order| signs.clone().map(move |signs| (order, signs)))
}

/// The value that the whole walk turns into 1: `anatomy`'s 99.5th percentile, as the walk finds it.
fn scale_of(volume: &Volume) -> f32 {
    let mut inside: Vec<f32> = volume.as_slice().iter().copied().filter(|value| *value != 0.0).collect();
    inside.sort_by(f32::total_cmp);
    let rank = 0.995 * (inside.len() - 1) as f64;
    let (below, part) = (rank.floor() as usize, (rank - rank.floor()) as f32);
    inside[below] + part * (inside[(below + 1).min(inside.len() - 1)] - inside[below])
}

#[test]
fn all_48_orientations_of_a_volume_give_the_same_anatomy_back() {
    let model = identity();
    let mut count = 0;
    for (order, signs) in orientations() {
        let volume = oriented(order, signs, [2.0; 3]);
        let result = walk(&model, &volume, &volume.grid(), &mut Control::default()).unwrap();
        assert_eq!(result.grid(), volume.grid());
        let scale = scale_of(&volume);
        let mut error = 0.0_f64;
        for (synthetic, original) in result.as_slice().iter().zip(volume.as_slice()) {
            assert_eq!(*synthetic == 0.0, *original == 0.0, "{order:?} {signs:?}: the mask moved");
            error += f64::from((synthetic - (original / scale).min(1.0)).abs());
        }
        error /= result.as_slice().iter().filter(|value| **value > 0.0).count() as f64;
        // Voxels of 2 mm pass through 1 mm slices and back: only the mark's edge is not smooth.
        assert!(error < 0.01, "{order:?} {signs:?}: mean error {error}");
        count += 1;
    }
    assert_eq!(count, 48);
}

#[test]
fn one_millimetre_voxels_are_copied_exactly_in_any_orientation() {
    let model = identity();
    for (order, signs) in [([0, 1, 2], [false; 3]), ([2, 0, 1], [true, false, true]), ([1, 2, 0], [true; 3])]
    {
        let volume = oriented(order, signs, [1.0; 3]);
        let result = walk(&model, &volume, &volume.grid(), &mut Control::default()).unwrap();
        let scale = scale_of(&volume);
        for (synthetic, original) in result.as_slice().iter().zip(volume.as_slice()) {
            assert!((synthetic - (original / scale).clamp(0.0, 1.0)).abs() < 1e-6, "{synthetic} {original}");
        }
    }
}

#[test]
fn slices_and_neighbours_reach_the_network_in_axial_ras_order() {
    // A network that shows the slice above, moved one voxel to the left and two to the back.
    let model = Model::from_bytes(&onnx::shifted(3, 2, [2, 1]), &LoadOptions::default()).unwrap();
    for (order, signs) in
        [([0, 1, 2], [false; 3]), ([2, 1, 0], [true, false, false]), ([1, 0, 2], [false, true, true])]
    {
        let volume = oriented(order, signs, [1.0; 3]);
        let result = walk(&model, &volume, &volume.grid(), &mut Control::default()).unwrap();
        let (scale, affine) = (scale_of(&volume), *volume.affine());
        let mut compared = 0;
        for ((i, j, k), synthetic) in result.voxels().indexed_iter() {
            let [x, y, z] = affine.to_millimetres([i as f64, j as f64, k as f64]);
            let expected = anatomy([x + 1.0, y + 2.0, z + 1.0]);
            if anatomy([x, y, z]) > 0.0 && expected > 0.0 {
                assert!((synthetic - (expected / scale).min(1.0)).abs() < 1e-5, "{:?}", [x, y, z]);
                compared += 1;
            }
        }
        assert!(compared > 500_000);
    }
}

#[test]
fn a_brain_lies_in_the_middle_of_a_window_that_the_card_fixes() {
    let volume = oriented([0, 1, 2], [false; 3], [1.0; 3]);
    let voxels = volume.voxels();
    let inside: Vec<_> =
        voxels.indexed_iter().filter(|(_, value)| **value != 0.0).map(|(at, _)| at).collect();
    let (first_i, last_i) =
        (inside.iter().map(|at| at.0).min().unwrap(), inside.iter().map(|at| at.0).max().unwrap());
    let (first_j, last_j) =
        (inside.iter().map(|at| at.1).min().unwrap(), inside.iter().map(|at| at.1).max().unwrap());
    // Eight voxels are kept around the brain.
    let (width, height) = (last_i - first_i + 17, last_j - first_j + 17);
    let window = height + 11;
    let model = Model::from_bytes(&onnx::places(window), &LoadOptions::default()).unwrap();
    let result = walk(&model, &volume, &volume.grid(), &mut Control::default()).unwrap();
    for (i, j, k) in inside {
        let row = j - first_j + 8 + (window - height) / 2;
        let column = i - first_i + 8 + (window - width) / 2;
        let expected = (row * window + column) as f32 / (window * window) as f32;
        assert!((result.voxels()[[i, j, k]] - expected).abs() < 1e-6, "{:?}", [i, j, k]);
    }
    let small = Model::from_bytes(&onnx::places(height - 1), &LoadOptions::default()).unwrap();
    let refusal = walk(&small, &volume, &volume.grid(), &mut Control::default()).unwrap_err();
    assert!(matches!(&refusal, Error::Unsupported(text) if text.contains("window")), "{refusal}");
    let exact = Model::from_bytes(&onnx::places(height), &LoadOptions::default()).unwrap();
    assert!(walk(&exact, &volume, &volume.grid(), &mut Control::default()).is_ok());
}

#[test]
fn oblique_thick_slices_keep_their_anatomy_where_it_lies() {
    let (sin, cos) = 12_f64.to_radians().sin_cos();
    let (x, y, z) = (0.8, 0.8, 4.0);
    let affine = Affine::from_rows([
        [x * cos, -y * sin, 0.0, -75.0 * cos + 90.0 * sin],
        [x * sin, y * cos, 0.0, -75.0 * sin - 90.0 * cos],
        [0.0, 0.0, z, -64.0],
        [0.0, 0.0, 0.0, 1.0],
    ])
    .unwrap();
    let volume = sampled([188, 225, 33], affine);
    let result = walk(&identity(), &volume, &volume.grid(), &mut Control::default()).unwrap();
    let scale = scale_of(&volume);
    let pairs: Vec<(f32, f32)> = result
        .as_slice()
        .iter()
        .zip(volume.as_slice())
        .filter(|(_, original)| **original > 0.0)
        .map(|(synthetic, original)| (*synthetic, (original / scale).min(1.0)))
        .collect();
    let error = pairs.iter().map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / pairs.len() as f64;
    assert!(error < 0.01, "mean error {error}");
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let model = Model::from_bytes(&onnx::shifted(3, 0, [1, 1]), &LoadOptions::default()).unwrap();
    let volume = oriented([1, 2, 0], [true, false, true], [1.5, 1.3, 2.5]);
    let run = |threads| {
        walk(&model, &volume, &volume.grid(), &mut Control { threads, ..Control::default() }).unwrap()
    };
    let alone = run(1);
    for threads in 2..=8 {
        assert_eq!(run(threads), alone, "{threads} threads");
    }
}

#[test]
fn another_output_grid_is_filled_where_it_sees_the_brain() {
    let volume = oriented([0, 1, 2], [false; 3], [2.0; 3]);
    let affine = Affine::from_sizes([1.0; 3], [-120.0, -20.0, -15.0]).unwrap();
    let output = Grid { dims: [200, 40, 30], affine };
    let result = walk(&identity(), &volume, &output, &mut Control::default()).unwrap();
    assert_eq!(result.grid(), output);
    assert_eq!(result.voxels()[[0, 20, 15]], 0.0);
    let scale = scale_of(&volume);
    let centre = result.voxels()[[120, 20, 15]];
    assert!((centre - anatomy([0.0; 3]) / scale).abs() < 0.01, "{centre}");
}

#[test]
fn progress_never_falls_ends_at_one_and_cancels() {
    let volume = oriented([0, 1, 2], [false; 3], [2.0; 3]);
    let model = identity();
    let mut fractions = Vec::new();
    let mut note = |fraction| {
        fractions.push(fraction);
        ControlFlow::Continue(())
    };
    walk(&model, &volume, &volume.grid(), &mut Control { progress: Some(&mut note), ..Control::default() })
        .unwrap();
    assert!(fractions.len() > 50 && fractions.windows(2).all(|pair| pair[0] <= pair[1]));
    assert_eq!(fractions.last(), Some(&1.0));
    for stop_at in [0.0, 0.05, 0.5, 0.95, 1.0] {
        let mut stop =
            |fraction| if fraction >= stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let control = &mut Control { progress: Some(&mut stop), ..Control::default() };
        let outcome = walk(&model, &volume, &volume.grid(), control);
        assert!(matches!(outcome, Err(Error::Cancelled)), "{stop_at}");
    }
}

#[test]
fn doubtful_scans_are_refused_unless_the_caller_insists() {
    let mut raw = oriented([0, 1, 2], [false; 3], [2.0; 3]);
    raw.as_mut_slice().iter_mut().for_each(|value| *value += 0.01);
    let model = identity();
    let outcome = synthesize(&model, &raw, &raw.grid(), &Options::prepared(), &mut Control::default());
    assert!(matches!(outcome, Err(Error::Refused(_))));
    let warnings = Mutex::new(Vec::new());
    let log = |level: LogLevel, text: &str| warnings.lock().unwrap().push((level, text.to_owned()));
    let mut control = Control { log: Some(&log), ..Control::default() };
    walk(&model, &raw, &raw.grid(), &mut control).unwrap();
    let warnings = warnings.into_inner().unwrap();
    assert!(
        warnings.iter().any(|(level, text)| *level == LogLevel::Warning && text.contains("brain-extracted"))
    );
}

#[test]
fn tight_memory_is_an_error_before_the_work() {
    let volume = oriented([0, 1, 2], [false; 3], [2.0; 3]);
    let model = identity();
    let tight = &mut Control { memory_limit: Some(1 << 20), ..Control::default() };
    assert!(matches!(walk(&model, &volume, &volume.grid(), tight), Err(Error::OutOfMemory(_))));
    let enough = &mut Control { memory_limit: Some(1 << 30), threads: 2, ..Control::default() };
    walk(&model, &volume, &volume.grid(), enough).unwrap();
}
