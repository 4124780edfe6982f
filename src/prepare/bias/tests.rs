//! N4 against ITK: golden values on a phantom, SimpleITK's fields on real scans; and odd input.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::sharpen::{Bins, Deconvolution};
use super::*;
use crate::memory::in_memory_order;
use crate::{Affine, Limits, nifti};

const DIMS: [usize; 3] = [32, 28, 20];

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../tests/golden/n4_phantom.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

/// The phantom of the golden values: three shells of tissue under a smooth field, and the mask of all three.
fn phantom() -> (Volume, Array3<bool>) {
    let shape = (DIMS[0], DIMS[1], DIMS[2]).f();
    let squared_radius = |(i, j, k): (usize, usize, usize)| {
        let part = |index: usize, middle: f64, radius: f64| ((index as f64 - middle) / radius).powi(2);
        part(i, 15.5, 14.0) + part(j, 13.5, 12.0) + part(k, 9.5, 9.0)
    };
    let value = |index: (usize, usize, usize)| {
        let (i, j, k) = index;
        let texture = ((7 * i + 13 * j + 17 * k) % 11) as f64 - 5.0;
        let tissue = match squared_radius(index) {
            r if r <= 0.25 => 120.0 + texture,
            r if r <= 0.64 => 80.0 + texture,
            r if r <= 1.0 => 40.0 + texture,
            _ => 0.0,
        };
        let bias = 1.0 + 0.3 * (i as f64 / 31.0 - 0.5) - 0.2 * (j as f64 / 27.0 - 0.5)
            + 0.25 * (2.0 * k as f64 / 19.0 - 1.0).powi(2);
        ((tissue * bias * 4.0).round_ties_even() / 4.0) as f32
    };
    let affine = Affine::from_sizes([2.0, 2.0, 3.0], [0.0; 3]).unwrap();
    let scan = Volume::new(Array3::from_shape_fn(shape, value), affine).unwrap();
    (scan, Array3::from_shape_fn(shape, |index| squared_radius(index) <= 1.0))
}

fn estimated(scan: &Volume, mask: &Array3<bool>, options: &BiasOptions) -> BiasField {
    estimate(scan, mask, options, &Watch::default()).unwrap()
}

/// The largest difference from `points` (k, j, i, value each).
fn largest_difference(field: &Array3<f64>, points: &Value) -> f64 {
    let points: Vec<Vec<f64>> = points.as_array().unwrap().iter().map(numbers).collect();
    assert!(!points.is_empty());
    let difference = |point: &Vec<f64>| {
        let [k, j, i] = [0, 1, 2].map(|n: usize| point[n] as usize);
        (field[[i, j, k]] - point[3]).abs()
    };
    points.iter().map(difference).fold(0.0, f64::max)
}

#[test]
fn the_phantom_is_the_one_of_the_golden_values() {
    let (scan, mask) = phantom();
    let golden = golden();
    assert_eq!(scan.as_slice().iter().map(|v| f64::from(*v)).sum::<f64>(), golden["image_sum"]);
    assert_eq!(mask.iter().filter(|inside| **inside).count() as u64, golden["mask_count"]);
    let values = scan.voxels().mapv(f64::from);
    assert_eq!(largest_difference(&values, &golden["image_at"]), 0.0);
}

#[test]
fn each_part_gives_the_golden_values() {
    let (scan, mask) = phantom();
    let golden = &golden()["one_iteration"];
    let options = BiasOptions { levels: 1, iterations: 1, ..BiasOptions::itk_compatible(1) };

    let logs: Vec<f64> =
        scan.voxels().iter().zip(&mask).filter(|(_, m)| **m).map(|(v, _)| f64::from(*v).ln()).collect();
    let (low, high) = logs.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
    let bins = Bins::over(low, high, 200).unwrap();
    let mut histogram = vec![0.0; 200];
    logs.iter().for_each(|log| bins.add(*log, &mut histogram));
    assert_close(&histogram, &golden["histogram"]);

    let expected = Deconvolution::new(200, 0.15, 0.01).expected_values(&bins, &histogram);
    assert_close(&expected, &golden["expected_values"]);

    let field = estimated(&scan, &mask, &options);
    assert_close(&field.lattice.values, &golden["lattice_kji"]);
    let log = field.log_on_samples();
    assert!(largest_difference(&log, &golden["log_field_itk"]) < 1e-5);
    assert!(largest_difference(&log, &golden["log_field_float64"]) < 1e-9);
}

fn assert_close(found: &[f64], golden: &Value) {
    let golden = numbers(golden);
    assert_eq!(found.len(), golden.len());
    for (found, golden) in found.iter().zip(golden) {
        assert!((found - golden).abs() < 1e-5, "{found} for {golden}");
    }
}

#[test]
fn levels_give_the_golden_values() {
    let (scan, mask) = phantom();
    let options = BiasOptions { levels: 2, iterations: 1, ..BiasOptions::itk_compatible(1) };
    let log = estimated(&scan, &mask, &options).log_on_samples();
    let golden = golden();
    assert!(largest_difference(&log, &golden["two_levels_of_one_iteration"]["log_field_itk"]) < 1e-5);

    let field = estimated(&scan, &mask, &BiasOptions::itk_compatible(1));
    let golden = &golden["four_levels_of_50_iterations"];
    assert!(largest_difference(&field.log_on_samples(), &golden["log_field_itk"]) < 1e-5);
    let history = numbers(&golden["level_iteration_convergence_itk"]);
    for (level, report) in field.report().levels.iter().enumerate() {
        let mut of_level = history.chunks_exact(3).filter(|entry| entry[0] == level as f64);
        let last = of_level.next_back().unwrap();
        assert_eq!(report.iterations as f64, last[1]);
        assert!((report.convergence - last[2]).abs() < 1e-5);
    }
    assert_eq!(field.report().samples, 6352);
}

#[test]
fn the_same_bytes_for_any_number_of_threads() {
    let (scan, mask) = phantom();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| estimated(&scan, &mask, &BiasOptions::default()).on_scan(&Watch::default()).unwrap())
    };
    let one = run(1);
    assert_eq!(one, run(2));
    assert_eq!(one, run(7));
}

#[test]
fn a_known_field_is_taken_out() {
    let (scan, mask) = phantom();
    let options = BiasOptions { threshold: 1e-4, ..BiasOptions::default() };
    let field = estimated(&scan, &mask, &options).on_scan(&Watch::default()).unwrap();
    let truth = |(i, j, k): (usize, usize, usize)| {
        1.0 + 0.3 * (i as f64 / 31.0 - 0.5) - 0.2 * (j as f64 / 27.0 - 0.5)
            + 0.25 * (2.0 * k as f64 / 19.0 - 1.0).powi(2)
    };
    let (mut ratios, mut truths) = (Vec::new(), Vec::new());
    for (index, inside) in mask.indexed_iter() {
        if *inside {
            ratios.push((f64::from(field.voxels()[index]) / truth(index)).ln());
            truths.push(truth(index).ln());
        }
    }
    let (left, before) = (deviation(&ratios), deviation(&truths));
    assert!(left < 0.35 * before, "{left} of {before} is left");
}

fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

#[test]
fn the_field_lies_where_the_voxels_lie() {
    let (scan, mask) = phantom();
    let unlimited =
        BiasOptions { limited_to_mask: false, shrink: Shrink::Factor([3, 1, 4]), ..BiasOptions::default() };
    let fields = |options: &BiasOptions| {
        let field = estimated(&scan, &mask, options);
        (field.on_scan(&Watch::default()).unwrap(), field.log_on_samples())
    };
    let same = |a: f32, b: f64| (f64::from(a) - b.exp()).abs() < 1e-6;

    // 32 voxels, every third from index 2: 10 samples; 20 voxels, every fourth from index 2: 5 samples.
    let (on_scan, samples) = fields(&unlimited);
    assert_eq!(samples.dim(), (10, 28, 5));
    for ((i, j, k), value) in samples.indexed_iter() {
        assert!(same(on_scan.voxels()[[2 + 3 * i, j, 2 + 4 * k]], *value), "{i} {j} {k}");
    }

    // ITK draws the samples out over the scan: the corners are the samples' corners, wherever these were taken.
    let (on_scan, samples) =
        fields(&BiasOptions { placement: FieldPlacement::StretchedAsItk, ..unlimited.clone() });
    for (corner, sample) in [([0, 0, 0], [0, 0, 0]), ([31, 27, 19], [9, 27, 4]), ([31, 0, 19], [9, 0, 4])] {
        // The last position is drawn in by another fraction of a voxel on either grid.
        assert!((f64::from(on_scan.voxels()[corner]).ln() - samples[sample]).abs() < 1e-3);
    }
}

#[test]
fn a_field_keeps_to_its_range_in_the_mask() {
    let (scan, mask) = phantom();
    let mut corner = mask.clone();
    corner.indexed_iter_mut().for_each(|((i, _, _), inside)| *inside &= i < 12);
    let field = estimated(&scan, &corner, &BiasOptions::default());
    let [low, high] = field.report().field_range.map(|value| value as f32);
    let on_scan = field.on_scan(&Watch::default()).unwrap();
    assert!(on_scan.as_slice().iter().all(|value| (low..=high).contains(value)));
    assert!(high / low < 1.5, "{low} {high}");
}

#[test]
fn unusable_input_is_refused() {
    let (scan, mask) = phantom();
    let fault = |scan: &Volume, mask: &Array3<bool>, options: &BiasOptions| {
        estimate(scan, mask, options, &Watch::default()).unwrap_err()
    };
    let default = BiasOptions::default();
    let empty = in_memory_order(mask.dim(), false);
    assert!(matches!(fault(&scan, &empty, &default), Error::BadImage(_)));
    let other = in_memory_order((32, 28, 19), true);
    assert!(matches!(fault(&scan, &other, &default), Error::BadImage(_)));
    let mut negative = scan.clone();
    negative.as_mut_slice().iter_mut().for_each(|value| *value = -*value);
    assert!(matches!(fault(&negative, &mask, &default), Error::BadImage(_)));
    let none = BiasOptions { levels: 0, ..default.clone() };
    assert!(matches!(fault(&scan, &mask, &none), Error::InvalidArgument(_)));
    let watch = Watch::default();
    watch.cancel();
    assert!(matches!(estimate(&scan, &mask, &default, &watch), Err(Error::Cancelled)));
}

#[test]
fn constant_tiny_and_thin_scans_give_finite_fields() {
    let affine = Affine::from_sizes([1.0; 3], [0.0; 3]).unwrap();
    for shape in [(1, 1, 1), (2, 2, 2), (1, 30, 30), (30, 1, 1), (9, 9, 3)] {
        for constant in [true, false] {
            let value = |(i, j, k)| if constant { 5.0 } else { ((i * 7 + j * 3 + k) % 5) as f32 };
            let scan = Volume::new(Array3::from_shape_fn(shape.f(), value), affine).unwrap();
            let mask = in_memory_order(shape, true);
            for options in
                [BiasOptions::default(), BiasOptions::itk_compatible(1), BiasOptions::itk_compatible(4)]
            {
                // A single voxel that happens to be 0 is nothing to work with, and is refused.
                let Ok(field) = estimate(&scan, &mask, &options, &Watch::default()) else {
                    assert!(!constant);
                    continue;
                };
                let field = field.on_scan(&Watch::default()).unwrap();
                assert!(field.as_slice().iter().all(|v| v.is_finite() && *v > 0.0), "{shape:?} {options:?}");
                assert!(!constant || field.as_slice().iter().all(|v| *v == 1.0));
            }
        }
    }
}

#[test]
fn values_without_a_logarithm_do_not_matter() {
    let (scan, mask) = phantom();
    let clean = estimated(&scan, &mask, &BiasOptions::default());
    let mut dirty = scan.clone();
    // Outside the mask anything goes.
    let outside = mask.iter().zip(dirty.voxels_mut()).filter(|(inside, _)| !**inside);
    outside.enumerate().for_each(|(n, (_, value))| *value = [f32::NAN, f32::INFINITY, -1.0][n % 3]);
    assert_eq!(estimated(&dirty, &mask, &BiasOptions::default()).lattice, clean.lattice);
    // Inside, they are as if outside.
    let everywhere = in_memory_order(mask.dim(), true);
    let all_positive = dirty.clone();
    let wide = estimate(&all_positive, &everywhere, &BiasOptions::default(), &Watch::default()).unwrap();
    assert_eq!(wide.lattice, clean.lattice);
}

fn shared() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    if folder.join("reference").is_dir() {
        return Some(folder);
    }
    eprintln!("SKIPPED: {} is absent, so N4 is not compared on real scans", folder.display());
    None
}

fn read(path: &Path) -> Volume {
    nifti::read(path, &Limits::default()).unwrap().volume
}

fn mask_of(volume: &Volume) -> Array3<bool> {
    volume.voxels().mapv(|value| value != 0.0)
}

/// The reference's folder and the raw scan that it is of.
const RAW: [(&str, &str); 7] = [
    ("p01_T1W", "train/long_p01_s1/T1W"),
    ("p01_T2W", "train/long_p01_s1/T2W"),
    ("p01s2_T1W", "train/long_p01_s2/T1W"),
    ("p04s1_T1W", "test/long_p04_s1/T1W"),
    ("p12_T1W", "train/long_p12_s1/T1W"),
    ("p12_T2W", "train/long_p12_s1/T2W"),
    ("p12s2_T1W", "train/long_p12_s2/T1W"),
];

#[test]
fn fields_of_real_scans_are_simple_itks() {
    let Some(shared) = shared() else { return };
    for (name, scan) in RAW {
        let reference = shared.join("reference").join(name);
        if !reference.join("shrunk_logbias.nii.gz").exists() {
            continue;
        }
        let expected = read(&reference.join("shrunk_logbias.nii.gz"));
        // On the grid that ITK has shrunk, with the mask of that.
        let mask = mask_of(&read(&reference.join("shrunk_mask.nii.gz")));
        let shrunk =
            estimated(&read(&reference.join("shrunk.nii.gz")), &mask, &BiasOptions::itk_compatible(1));
        assert_same_field(name, &shrunk, &expected);
        // From the raw scan, where rounding has not led ITK to other samples of it.
        let scan = read(&shared.join("data/open_ms").join(scan).with_extension("nii.gz"));
        let otsu = otsu_mask(&scan);
        assert_eq!(otsu, mask_of(&read(&reference.join("otsu_mask.nii.gz"))), "{name}");
        let raw = estimated(&scan, &otsu, &BiasOptions::itk_compatible(4));
        if raw.report().samples == shrunk.report().samples {
            assert_eq!(raw.lattice, shrunk.lattice, "{name}");
        } else {
            eprintln!("{name}: ITK has sampled other voxels of this oblique scan");
        }
    }
}

fn assert_same_field(name: &str, found: &BiasField, expected: &Volume) {
    let (log, expected) = (found.log_on_samples(), expected.voxels().mapv(f64::from));
    let largest = log.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let r = correlation(&log, &expected);
    let iterations: Vec<usize> = found.report().levels.iter().map(|level| level.iterations).collect();
    eprintln!("{name}: 1 - r = {:.1e}, largest difference {largest:.1e}, iterations {iterations:?}", 1.0 - r);
    assert!(largest <= 1e-3 && r >= 0.9999, "{name}: r {r}, largest difference {largest}");
}

fn correlation(a: &Array3<f64>, b: &Array3<f64>) -> f64 {
    let (mean_a, mean_b) = (a.mean().unwrap(), b.mean().unwrap());
    let product = |x: &Array3<f64>, mx: f64, y: &Array3<f64>, my: f64| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - mx) * (y - my)).sum()
    };
    product(a, mean_a, b, mean_b) / (product(a, mean_a, a, mean_a) * product(b, mean_b, b, mean_b)).sqrt()
}
