//! There and back: pairs of networks whose residual is known, and what the walk promises of it.

mod onnx;

use std::ops::ControlFlow;

use mrisynth::model::{LoadOptions, Model};
use mrisynth::residual::{RoundTrip, Summary, embedded_back, round_trip};
use mrisynth::synthesize::Options;
use mrisynth::{Affine, Contrast, Control, Error, Grid, Result, Volume, synthesize};
use ndarray::Array3;
use prost::Message;
use tract_onnx::pb::ModelProto;

fn model(proto: &ModelProto) -> Model {
    Model::from_bytes(&proto.encode_to_vec(), &LoadOptions::default()).unwrap()
}

fn there(proto: &ModelProto) -> Model {
    model(proto)
}

fn back(proto: ModelProto) -> Model {
    model(&onnx::for_the_way_back(proto))
}

/// What is not tested here must not refuse a phantom.
fn control<'a>() -> Control<'a> {
    Control { accept_implausible: true, ..Control::default() }
}

fn trip(there: &Model, back: &Model, scan: &Volume) -> Result<RoundTrip> {
    round_trip(there, back, scan, &scan.grid(), &Options::prepared(), &mut control())
}

/// The place and size of a bright mark in the brain.
const MARK: ([f64; 3], f64) = ([-25.0, 15.0, 8.0], 12.0);

fn is_in_mark(position: [f64; 3]) -> bool {
    (0..3).map(|axis| (position[axis] - MARK.0[axis]).powi(2)).sum::<f64>() < MARK.1.powi(2)
}

/// An ellipsoid of 0.95 litres in arbitrary units, sloping along every axis, with the mark brightest.
fn brain([x, y, z]: [f64; 3]) -> f32 {
    let inside = (x / 58.0).powi(2) + (y / 74.0).powi(2) + (z / 53.0).powi(2) < 1.0;
    let mark = if is_in_mark([x, y, z]) { 300.0 } else { 0.0 };
    if inside { (400.0 + x + 1.5 * y + 0.5 * z + mark) as f32 } else { 0.0 }
}

/// The brain in voxels of these sizes along the patient's axes.
fn scan(sizes: [f64; 3]) -> Volume {
    let half = [60.0, 76.0, 55.0];
    let dims = [0, 1, 2].map(|axis| (2.0 * half[axis] / sizes[axis]).round() as usize + 1);
    let affine = Affine::from_sizes(sizes, half.map(|length| -length)).unwrap();
    let value = |(i, j, k)| brain(affine.to_millimetres([i as f64, j as f64, k as f64]));
    Volume::new(Array3::from_shape_fn((dims[0], dims[1], dims[2]), value), affine).unwrap()
}

/// A percentile of sorted values, interpolated between ranks.
fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let rank = percent / 100.0 * (sorted.len() - 1) as f64;
    let below = rank.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (rank - below as f64)
}

/// The scan as the generators read it: 1 is the brain's 99.5th percentile, and more is cut off.
fn normalized(scan: &Volume) -> Vec<f64> {
    let values = || scan.as_slice().iter().map(|value| f64::from(*value));
    let mut inside: Vec<_> = values().filter(|value| *value > 0.0).collect();
    inside.sort_by(f64::total_cmp);
    let top = percentile(&inside, 99.5);
    values().map(|value| (value / top).min(1.0)).collect()
}

/// Checks every voxel of a map of 1 mm, and its summary, against the differences that there must be; none outside.
fn check(trip: &RoundTrip, expected: &[Option<f64>]) {
    let map = trip.residual.map.as_slice();
    for (found, expected) in map.iter().zip(expected) {
        let expected = expected.unwrap_or(0.0);
        assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} instead of {expected}");
    }
    let mut inside: Vec<f64> = expected.iter().copied().flatten().collect();
    inside.sort_by(f64::total_cmp);
    let Summary { median, percentile_95, .. } = trip.residual.summary;
    for (found, percent) in [(median, 50.0), (percentile_95, 95.0)] {
        assert!((f64::from(found) - percentile(&inside, percent)).abs() < 1e-5, "{percent}: {found}");
    }
}

#[test]
fn exact_inverses_leave_nothing_and_the_image_is_that_of_a_synthesis() {
    let scan = scan([1.0; 3]);
    let there = there(&onnx::line(3, -1.0, 1.0));
    let image = synthesize(&there, &scan, &scan.grid(), &Options::prepared(), &mut control()).unwrap();
    // A model that reads other neighbours, and one that gives another scale and offset.
    for (factor, offset, slices_in) in [(-1.0, 1.0, 1), (-0.6, 0.9, 5)] {
        let trip = trip(&there, &back(onnx::line(slices_in, factor, offset)), &scan).unwrap();
        assert_eq!(trip.synthetic, image);
        let nothing: Vec<_> = scan.as_slice().iter().map(|value| (*value > 0.0).then_some(0.0)).collect();
        check(&trip, &nothing);
        // x comes back as factor (1 - x) + offset.
        let summary = trip.residual.summary;
        assert!((summary.factor + 1.0 / factor).abs() < 1e-4, "{summary:?}");
        assert!((summary.offset - (factor + offset) / factor).abs() < 1e-4, "{summary:?}");
    }
}

#[test]
fn what_is_lost_on_the_way_shows_where_it_was() {
    let most = 0.8;
    let scan = scan([1.0; 3]);
    let trip = trip(&there(&onnx::cut_at(most)), &back(onnx::line(3, 1.0, 0.0)), &scan).unwrap();
    let input = normalized(&scan);
    let pairs: Vec<_> = input.iter().filter(|x| **x > 0.0).map(|x| (x.min(f64::from(most)), *x)).collect();
    // The line of least squares from what comes back to the scan.
    let count = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
    let (mean_y, mean_x) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let covariance = pairs.iter().map(|(y, x)| (y - mean_y) * (x - mean_x)).sum::<f64>();
    let factor = covariance / pairs.iter().map(|(y, _)| (y - mean_y).powi(2)).sum::<f64>();
    let fitted = |y: f64| (factor * (y - mean_y) + mean_x).clamp(0.0, 1.0);
    let difference = |x: &f64| (*x > 0.0).then(|| (fitted(x.min(f64::from(most))) - x).abs());
    let expected: Vec<_> = input.iter().map(difference).collect();
    check(&trip, &expected);

    let map = &trip.residual.map;
    let mean_where = |mark: bool| {
        let voxels = map.voxels();
        let position = |(i, j, k)| scan.affine().to_millimetres([i as f64, j as f64, k as f64]);
        let values = voxels.indexed_iter().filter(|(index, _)| scan.voxels()[*index] > 0.0);
        let values: Vec<_> = values
            .filter(|(index, _)| is_in_mark(position(*index)) == mark)
            .map(|(_, value)| *value)
            .collect();
        values.iter().sum::<f32>() / values.len() as f32
    };
    assert!(mean_where(true) > 10.0 * mean_where(false), "{} {}", mean_where(true), mean_where(false));
}

#[test]
fn a_contrast_that_comes_back_turned_round_is_no_agreement() {
    let scan = scan([1.0; 3]);
    let trip = trip(&there(&onnx::line(1, 1.0, 0.0)), &back(onnx::line(1, -1.0, 1.0)), &scan).unwrap();
    let input = normalized(&scan);
    let inside: Vec<f64> = input.iter().copied().filter(|x| *x > 0.0).collect();
    let mean = inside.iter().sum::<f64>() / inside.len() as f64;
    let expected: Vec<_> = input.iter().map(|x| (*x > 0.0).then(|| (mean - x).abs())).collect();
    check(&trip, &expected);
    assert_eq!(trip.residual.summary.factor, 0.0);
}

#[test]
fn a_model_that_does_not_lead_back_is_refused_before_the_work() {
    let scan = scan([2.0; 3]);
    let there = there(&onnx::line(1, -1.0, 1.0));
    let fault = trip(&there, &there, &scan).unwrap_err();
    assert!(matches!(&fault, Error::InvalidArgument(text) if text.contains("from T1w to T2w")), "{fault}");
    // A window in which the brain does not lie: found before the first slice.
    let mut narrow = onnx::convolution(1, 0, [0, 0]);
    onnx::set_card(&mut narrow, "window", Some("64"));
    let mut furthest = 0.0_f32;
    let mut note = |fraction| {
        furthest = fraction;
        ControlFlow::Continue(())
    };
    let control = &mut Control { progress: Some(&mut note), ..control() };
    let fault =
        round_trip(&there, &back(narrow), &scan, &scan.grid(), &Options::prepared(), control).unwrap_err();
    assert!(matches!(fault, Error::Unsupported(_)), "{fault}");
    assert_eq!(furthest, 0.0);
}

#[test]
fn the_embedded_models_lead_back_from_each_other() {
    for (source, target) in Model::embedded_contrasts() {
        let card = embedded_back(&Model::embedded(source, target).unwrap()).unwrap().card().clone();
        assert_eq!((card.source, card.target), (target, source));
    }
    assert!(Model::embedded_contrasts().any(|pair| pair == (Contrast::T1w, Contrast::T2w)));
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let shifted = |shift| onnx::convolution(3, 0, shift);
    let (there, back) = (there(&shifted([1, 1])), back(shifted([0, 2])));
    let scan = scan([1.3, 1.5, 2.5]);
    let run = |threads| {
        let control = &mut Control { threads, ..control() };
        round_trip(&there, &back, &scan, &scan.grid(), &Options::prepared(), control).unwrap()
    };
    let alone = run(1);
    assert!(alone.residual.summary.median > 0.0);
    for threads in [2, 4, 7] {
        assert_eq!(run(threads), alone, "{threads} threads");
    }
}

#[test]
fn the_map_lies_on_the_output_and_its_figures_do_not_hang_on_it() {
    let scan = scan([2.0; 3]);
    let (there, back) = (there(&onnx::cut_at(0.8)), back(onnx::line(3, 1.0, 0.0)));
    let whole = trip(&there, &back, &scan).unwrap();
    let affine = Affine::from_sizes([1.0; 3], [-65.0, -5.0, 0.0]).unwrap();
    let output = Grid { dims: [130, 40, 20], affine };
    let part = round_trip(&there, &back, &scan, &output, &Options::prepared(), &mut control()).unwrap();
    assert_eq!((part.residual.map.grid(), part.synthetic.grid()), (output, output));
    assert_eq!(part.residual.summary, whole.residual.summary);
    for (residual, synthetic) in part.residual.map.as_slice().iter().zip(part.synthetic.as_slice()) {
        assert!((0.0..=1.0).contains(residual) && (*synthetic > 0.0 || *residual == 0.0));
    }
    // The middle of the mark, and a place far from it.
    assert!(part.residual.map.voxels()[[40, 20, 8]] > 0.1 && part.residual.map.voxels()[[85, 20, 8]] < 0.03);
}

#[test]
fn progress_never_falls_and_cancels_on_both_ways() {
    let scan = scan([2.0; 3]);
    let (there, back) = (there(&onnx::line(1, -1.0, 1.0)), back(onnx::line(1, -1.0, 1.0)));
    let run = |report: &mut dyn FnMut(f32) -> ControlFlow<()>| {
        let control = &mut Control { progress: Some(report), ..control() };
        round_trip(&there, &back, &scan, &scan.grid(), &Options::prepared(), control)
    };
    let mut fractions = Vec::new();
    let mut note = |fraction| {
        fractions.push(fraction);
        ControlFlow::Continue(())
    };
    run(&mut note).unwrap();
    assert!(fractions.windows(2).all(|pair| pair[0] <= pair[1]));
    assert_eq!(fractions.last(), Some(&1.0));
    let between = |low, high| fractions.iter().filter(|fraction| (low..high).contains(*fraction)).count();
    assert!(between(0.06, 0.5) > 30 && between(0.5, 0.94) > 30, "{fractions:?}");
    for stop_at in [0.3, 0.5, 0.7, 0.95] {
        let mut stop =
            |fraction| if fraction >= stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        assert!(matches!(run(&mut stop), Err(Error::Cancelled)), "{stop_at}");
    }
}

#[test]
fn the_way_back_counts_for_the_memory_limit() {
    let scan = scan([2.0; 3]);
    let (there, back) = (there(&onnx::line(1, -1.0, 1.0)), back(onnx::line(1, -1.0, 1.0)));
    let limited = |limit| Control { memory_limit: Some(limit), threads: 2, ..control() };
    let one_way = |limit| {
        synthesize(&there, &scan, &scan.grid(), &Options::prepared(), &mut limited(limit)).map(|_| ())
    };
    let both_ways = |limit| {
        round_trip(&there, &back, &scan, &scan.grid(), &Options::prepared(), &mut limited(limit)).map(|_| ())
    };
    // What is needed first is told first.
    let needed = |run: &dyn Fn(u64) -> Result<()>| -> u64 {
        let mut limit = 1 << 20;
        while let Err(Error::OutOfMemory(text)) = run(limit) {
            limit = text.split("up to ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        }
        limit
    };
    let (one, both) = (needed(&one_way), needed(&both_ways));
    // A float more for each voxel of the standard slices and of the output.
    assert!(both >= one + 4 * (scan.grid().len() as u64 + 110 * 140 * 100), "{one} {both}");
    assert!(one > 1 << 20 && one_way(one).is_ok() && both_ways(both).is_ok());
    assert!(matches!(both_ways(one), Err(Error::OutOfMemory(_))));
}
