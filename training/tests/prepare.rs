//! Pairs of scans through the real command: raw and prepared ones, good and bad ones.

#[path = "../../tests/head/mod.rs"]
mod head;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use head::{Contrast, Head, clinical_grid, pose};
use mrisynth::nifti::{self, Header, VoxelType, WriteOptions};
use mrisynth::prepare::resample::linear_onto;
use mrisynth::{Affine, Grid, Limits, Transform, Volume};
use mrisynth_training::data::store::{self, Subject};
use ndarray::{Array3, s};
use tempfile::TempDir;

/// A folder that vanishes, and the command run in it.
struct Workplace(TempDir);

impl Workplace {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, volume: &Volume) {
        self.write_described(name, volume, "");
    }

    fn write_described(&self, name: &str, volume: &Volume, description: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let options =
            WriteOptions { voxel_type: VoxelType::Float32, description, extension: None, overwrite: true };
        nifti::write(&path, volume, &Header::for_grid(&volume.grid()), &options).unwrap();
    }

    fn run(&self, arguments: &str) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mrisynth-train"));
        command.args(arguments.split_whitespace()).current_dir(self.0.path());
        Outcome(command.output().unwrap())
    }

    /// Runs `prepare` with output `x.store`, which must fail, say all of `words`, and leave no file.
    #[track_caller]
    fn refuses(&self, arguments: &str, words: &[&str]) {
        let before = self.files();
        let outcome = self.run(&format!("prepare {arguments} -o x.store"));
        let text = outcome.stderr();
        assert_eq!(outcome.0.status.code(), Some(1), "{arguments}: {text}");
        for word in words {
            assert!(text.contains(word), "{arguments}: no {word:?} in {text}");
        }
        assert_eq!(self.files(), before, "{arguments}");
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

struct Outcome(Output);

impl Outcome {
    fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    #[track_caller]
    fn succeeded(self) -> Self {
        assert!(self.0.status.success(), "{}", self.stderr());
        self
    }
}

/// A prepared scan of a made-up brain: an ellipsoid of 0.8 l with two ventricles, background 0.
fn phantom(white: f32, fluid: f32) -> Volume {
    let affine = Affine::from_sizes([2.5; 3], [-74.0, -107.0, -40.0]).unwrap();
    let mut volume = Volume::zeros(&Grid { dims: [60, 72, 40], affine }).unwrap();
    for ((i, j, k), voxel) in volume.voxels_mut().indexed_iter_mut() {
        let place = [i, j, k].map(|index| index as f32 * 2.5);
        let square = |axis: usize, centre: f32, radius: f32| ((place[axis] - centre) / radius).powi(2);
        let inside = square(0, 74.0, 58.0) + square(1, 89.0, 75.0) + square(2, 49.0, 44.0) < 1.0;
        let ventricle = square(0, 74.0, 18.0) + square(1, 95.0, 30.0) + square(2, 55.0, 12.0) < 1.0;
        if inside {
            *voxel = if ventricle { fluid } else { white + (i + 2 * j + 3 * k) as f32 % 7.0 };
        }
    }
    volume
}

fn phantoms() -> [Volume; 2] {
    [phantom(100.0, 20.0), phantom(40.0, 160.0)]
}

/// How much two stored contrasts tell of each other where both are brain, T2w moved by some voxels.
fn mutual_information(subject: &Subject, shift: [isize; 3]) -> f64 {
    const BINS: usize = 32;
    let bin = |value: u16| usize::from(value) * BINS / 65536;
    let (mut joint, mut count) = (vec![0.0_f64; BINS * BINS], 0.0);
    for ((i, j, k), &t1w) in subject.t1w.indexed_iter() {
        // An index below 0 becomes one that is out of range.
        let from = [0, 1, 2].map(|axis| [i, j, k][axis].wrapping_add_signed(-shift[axis]));
        let t2w = subject.t2w.get(from).copied().unwrap_or(0);
        if t1w > 0 && t2w > 0 {
            joint[bin(t1w) * BINS + bin(t2w)] += 1.0;
            count += 1.0;
        }
    }
    let entropy = |counts: &mut dyn Iterator<Item = f64>| -> f64 {
        counts.filter(|c| *c > 0.0).map(|c| -(c / count) * (c / count).ln()).sum()
    };
    let row = |r: usize| joint[r * BINS..(r + 1) * BINS].iter().sum::<f64>();
    let column = |c: usize| joint.iter().skip(c).step_by(BINS).sum::<f64>();
    entropy(&mut (0..BINS).map(row)) + entropy(&mut (0..BINS).map(column))
        - entropy(&mut joint.iter().copied())
}

/// Checks that T1w and T2w tell more of each other as they lie than moved by 1 or 2 mm along any axis.
#[track_caller]
fn assert_aligned(subject: &Subject) {
    let aligned = mutual_information(subject, [0; 3]);
    for axis in 0..3 {
        for by in [-2, -1, 1, 2] {
            let mut shift = [0; 3];
            shift[axis] = by;
            let moved = mutual_information(subject, shift);
            assert!(moved < aligned, "{}: {moved} moved by {shift:?}, {aligned} as it lies", subject.id);
        }
    }
}

/// The best correlation of a stored T1w (of every seventh voxel along each axis) with `expected`, a volume in RAS order of which
/// it is a part: its place is searched.
fn best_correlation(stored: &Array3<u16>, expected: &Volume) -> f64 {
    let dims = expected.dims();
    let voxels = expected.voxels();
    let places: Vec<_> = stored
        .slice(s![..;7, ..;7, ..;7])
        .indexed_iter()
        .filter(|(_, value)| **value > 0)
        .map(|((i, j, k), value)| ([7 * i, 7 * j, 7 * k], f64::from(*value)))
        .collect();
    let correlation = |offset: [usize; 3]| {
        let mut sums = [0.0; 6];
        for (index, value) in &places {
            let at = [0, 1, 2].map(|axis| index[axis] + offset[axis]);
            let Some(other) = voxels.get(at).map(|v| f64::from(*v)) else { continue };
            for (sum, term) in
                sums.iter_mut().zip([1.0, *value, other, value * value, other * other, value * other])
            {
                *sum += term;
            }
        }
        let [n, a, b, aa, bb, ab] = sums;
        (ab - a * b / n) / ((aa - a * a / n) * (bb - b * b / n)).sqrt()
    };
    let room = |axis: usize| dims[axis].saturating_sub(stored.shape()[axis]);
    let mut best = -1.0_f64;
    for i in 0..=room(0) {
        for j in 0..=room(1) {
            for k in 0..=room(2) {
                best = best.max(correlation([i, j, k]));
            }
        }
    }
    best
}

fn mirrored(stored: &Array3<u16>) -> Array3<u16> {
    stored.slice(s![..;-1, .., ..]).to_owned()
}

/// MNI152's grid in RAS order, with a rim on all sides.
fn wide_standard_grid() -> Grid {
    let affine = Affine::from_sizes([1.0; 3], [-103.0, -138.0, -84.0]).unwrap();
    Grid { dims: [206, 242, 206], affine }
}

/// From the place of the patient in the T1w scan to that in the T2w scan.
fn motion() -> Transform {
    let (sin, cos) = 4_f64.to_radians().sin_cos();
    Transform::from_rows([
        [cos, 0.0, sin, 3.0],
        [0.0, 1.0, 0.0, -4.0],
        [-sin, 0.0, cos, 2.0],
        [0.0, 0.0, 0.0, 1.0],
    ])
    .unwrap()
}

#[test]
fn raw_scans_of_a_study_are_stored_aligned_and_not_mirrored() {
    let workplace = Workplace::new();
    let head = Head::new();
    let (mut t1w, _) = head.scan(clinical_grid(8.0), &pose(), Contrast::T1w);
    let (mut t2w, _) = head.scan(clinical_grid(-3.0), &pose().then(&motion()), Contrast::T2w);
    // A dark mark in the left half of the head, in both scans.
    for (scan, to_scan) in [(&mut t1w, pose()), (&mut t2w, pose().then(&motion()))] {
        let (affine, place) = (*scan.affine(), to_scan.apply([-30.0, 10.0, 20.0]));
        for ((i, j, k), voxel) in scan.voxels_mut().indexed_iter_mut() {
            let point = affine.to_millimetres([i as f64, j as f64, k as f64]);
            let away = (0..3).map(|axis| (point[axis] - place[axis]).powi(2)).sum::<f64>().sqrt();
            *voxel = if away < 10.0 { 1.0 } else { *voxel };
        }
    }
    workplace.write("cohort/p3_s1/T1W.nii.gz", &t1w);
    workplace.write("cohort/p3_s1/T2W.nii.gz", &t2w);
    let said = workplace.run("prepare --folder cohort -o a.store --threads 1").succeeded().stdout();
    assert!(said.contains("p3_s1 (patient p3): cohort/p3_s1/T1W.nii.gz, "), "{said}");
    let subjects = store::read(workplace.path("a.store")).unwrap();
    let [subject] = subjects.as_slice() else { panic!("{} subjects", subjects.len()) };
    assert_eq!((subject.id.as_str(), subject.patient.as_str()), ("p3_s1", "p3"));
    assert_aligned(subject);
    // One brain for both.
    let differs = subject.t1w.iter().zip(&subject.t2w).filter(|(a, b)| (**a > 0) != (**b > 0)).count();
    let brain = subject.t1w.iter().filter(|value| **value > 0).count();
    assert!(differs * 100 < brain, "{differs} of {brain}");
    // The mark lies where the first index is low: at the patient's left.
    let dark = |value: u16| (1..8000).contains(&value);
    let middle = subject.t1w.dim().0 / 2;
    let (mut left, mut right) = (0, 0);
    for ((i, j, k), &value) in subject.t1w.indexed_iter() {
        if dark(value) && dark(subject.t2w[[i, j, k]]) {
            *(if i < middle { &mut left } else { &mut right }) += 1;
        }
    }
    assert!(left > 1000 && left > 4 * right, "dark voxels: {left} on the left, {right} on the right");

    // Any number of threads stores the same bytes.
    workplace.run("prepare --folder cohort -o b.store --threads 2").succeeded();
    let bytes = |name| fs::read(workplace.path(name)).unwrap();
    assert!(bytes("a.store") == bytes("b.store"));

    // The same scans with their contrasts mixed up.
    let list = "id,patient,t1w,t2w\nx,x,cohort/p3_s1/T2W.nii.gz,cohort/p3_s1/T1W.nii.gz\n";
    fs::write(workplace.path("swapped.csv"), list).unwrap();
    workplace.refuses("--pairs swapped.csv", &["study x", "p3_s1/T2W.nii.gz", "looks like a T2w scan"]);
}

#[test]
fn the_scans_of_a_real_study_are_stored_aligned_and_not_mirrored() {
    let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"));
    let study = shared.join("data/open_ms/train/long_p01_s1");
    let reference = shared.join("reference/p01_T1W/affine_4x4_lps.json");
    if !study.is_dir() || !reference.is_file() {
        eprintln!("SKIPPED: {} is not there; nothing was tested on real scans", shared.display());
        return;
    }
    let workplace = Workplace::new();
    let said = workplace.run(&format!("prepare --folder {} -o real.store", study.display())).succeeded();
    assert!(said.stdout().contains("long_p01_s1 (patient long_p01)"), "{}", said.stdout());
    let subjects = store::read(workplace.path("real.store")).unwrap();
    assert_eq!(subjects.len(), 1);
    assert_aligned(&subjects[0]);

    // The scan as ANTs' affine places it in MNI152.
    let json: serde_json::Value = serde_json::from_slice(&fs::read(reference).unwrap()).unwrap();
    let rows: [[f64; 4]; 4] =
        serde_json::from_value(json["ants_Affine_lps_fixed_to_moving"].clone()).unwrap();
    let scan = nifti::read(&study.join("T1W.nii.gz"), &Limits::default()).unwrap().volume;
    let grid = wide_standard_grid();
    let affine = grid.affine.then(&Transform::from_lps(rows).unwrap()).unwrap();
    let expected = linear_onto(&scan, &Grid { affine, ..grid }).unwrap();
    let right = best_correlation(&subjects[0].t1w, &expected);
    let wrong = best_correlation(&mirrored(&subjects[0].t1w), &expected);
    assert!(right > 0.7 && wrong < right - 0.1, "correlation {right}, mirrored {wrong}");
}

#[test]
fn prepared_pairs_of_a_bids_dataset_are_packed_and_scored() {
    let workplace = Workplace::new();
    let [t1w, t2w] = phantoms();
    workplace.write("bids/sub-01/anat/sub-01_run-1_T1w.nii.gz", &t1w);
    workplace.write("bids/sub-01/anat/sub-01_run-2_T1w.nii.gz", &t1w);
    workplace.write("bids/sub-01/anat/sub-01_T2w.nii.gz", &t2w);
    workplace.write("bids/sub-02/ses-a/anat/sub-02_ses-a_T1w.nii", &t1w);
    workplace.write("bids/sub-02/ses-a/anat/sub-02_ses-a_T2w.nii", &t2w);
    workplace.write("bids/derivatives/x/sub-01/anat/sub-01_T1w.nii", &t1w);
    let said = workplace.run("prepare --bids bids --prepared -o x.store").succeeded().stdout();
    let first = "sub-01: 2 T1w scans; bids/sub-01/anat/sub-01_run-1_T1w.nii.gz is taken";
    assert!(said.contains(first) && said.contains("packed 2 of 2 studies"), "{said}");
    let subjects = store::read(workplace.path("x.store")).unwrap();
    let names: Vec<_> = subjects.iter().map(|s| (s.id.as_str(), s.patient.as_str())).collect();
    assert_eq!(names, [("sub-01", "sub-01"), ("sub-02_ses-a", "sub-02")]);
    assert_eq!(subjects[0].t1w.iter().max(), Some(&u16::MAX));

    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/t1w-from-t2w.onnx");
    let validate = format!("validate --model {model} --json --threads 1");
    let stored = workplace.run(&format!("{validate} --store x.store --patient sub-02")).succeeded();
    let stored: serde_json::Value = serde_json::from_str(&stored.stdout()).unwrap();
    assert_eq!(stored.as_array().unwrap().len(), 1);
    assert_eq!(stored[0]["id"], "sub-02_ses-a");
    assert!(stored[0]["direct"]["brain"]["psnr"].as_f64().unwrap() > 0.0, "{stored}");
    let scanned = workplace.run(&format!("{validate} --bids bids --prepared --patient sub-02")).succeeded();
    let scanned: serde_json::Value = serde_json::from_str(&scanned.stdout()).unwrap();
    let difference = ["direct", "fitted"].map(|fit| {
        let ssim = |scores: &serde_json::Value| scores[0][fit]["brain"]["ssim"].as_f64().unwrap();
        (ssim(&stored) - ssim(&scanned)).abs()
    });
    // One on voxels of 1 mm, the other on the scan's.
    assert!(difference.iter().all(|difference| *difference < 0.2), "{stored} {scanned}");
    let unknown = workplace.run(&format!("{validate} --store x.store --patient sub-03"));
    assert!(!unknown.0.status.success() && unknown.stderr().contains("no patient sub-03"));
}

#[test]
fn faults_in_a_cohort_are_told_and_nothing_is_written() {
    let workplace = Workplace::new();
    let [t1w, t2w] = phantoms();
    workplace.write("single/a_T1w.nii", &t1w);
    workplace.write("single/b_T1w.nii", &t1w);
    workplace.write("single/b_T2w.nii", &t2w);
    workplace.refuses("--folder single", &["a: no T2w scan goes with single/a_T1w.nii"]);
    workplace.refuses("--folder single --patient c", &["no patient c"]);
    workplace.write("bids/sub-1/anat/sub-1_T2w.nii", &t2w);
    workplace.refuses("--bids bids", &["sub-1: no T1w scan goes with bids/sub-1/anat/sub-1_T2w.nii"]);
    workplace.refuses("--bids bids --skip-refused", &["no study has both contrasts", "sub-1"]);

    fs::create_dir(workplace.path("empty")).unwrap();
    workplace.refuses("--folder empty", &["empty: ", "NAME_T1w.nii.gz"]);
    workplace.refuses("--bids empty", &["empty: ", "sub-*"]);
    workplace.refuses("--folder none", &["none: "]);
    workplace.refuses("--bids single/a_T1w.nii", &["a_T1w.nii: "]);
    workplace.refuses("--pairs empty", &["empty"]);
    let list = "id,patient,t1w,t2w\nb,b,single/b_T1w.nii,single/b_T2w.nii\nb,c,c,d\n";
    fs::write(workplace.path("twice.csv"), list).unwrap();
    workplace.refuses("--pairs twice.csv", &["twice.csv, line 3: b is there already"]);
    fs::write(workplace.path("away.csv"), "id,patient,t1w,t2w\nb,b,single/b_T1w.nii,away.nii\n").unwrap();
    workplace.refuses("--pairs away.csv --skip-refused", &["away.nii: "]);

    let usage = workplace.run("prepare -o x.store");
    assert!(usage.stderr().contains("--folder"), "{}", usage.stderr());
    assert!(!workplace.run("prepare --pairs twice.csv --bids bids -o x.store").0.status.success());
    let nowhere = workplace.run("prepare --folder single --skip-refused --prepared -o none/x.store");
    assert!(!nowhere.0.status.success() && nowhere.stderr().contains("none/x.store"));
}

#[test]
fn faults_in_a_scan_are_told_with_its_file_and_nothing_is_written() {
    let [t1w, t2w] = phantoms();
    let with_t2w = |scan: &Volume, description: &str| {
        let workplace = Workplace::new();
        workplace.write("c/a_T1w.nii", &t1w);
        workplace.write_described("c/a_T2w.nii", scan, description);
        workplace
    };
    let mut holed = t2w.clone();
    holed.voxels_mut()[[30, 30, 20]] = f32::NAN;
    let holed = with_t2w(&holed, "");
    holed.refuses("--folder c --prepared", &["c/a_T2w.nii: ", "1 of 172800 voxels are not finite"]);
    holed.refuses("--folder c", &["c/a_T2w.nii: ", "not finite"]);

    let cut = with_t2w(&t2w, "");
    let bytes = fs::read(cut.path("c/a_T2w.nii")).unwrap();
    fs::write(cut.path("c/a_T2w.nii"), &bytes[..bytes.len() / 2]).unwrap();
    cut.refuses("--folder c --prepared", &["c/a_T2w.nii: "]);
    cut.refuses("--folder c", &["c/a_T2w.nii: "]);

    let mut rows = t2w.affine().rows();
    rows[1][3] += 0.5;
    let moved = Volume::new(t2w.voxels().to_owned(), Affine::from_rows(rows).unwrap()).unwrap();
    let words = ["study a: c/a_T1w.nii and c/a_T2w.nii must lie on one grid", "0.50 mm apart"];
    with_t2w(&moved, "").refuses("--folder c --prepared", &words);
    let small = Volume::new(t2w.voxels().slice(s![1.., .., ..]).to_owned(), *t2w.affine()).unwrap();
    with_t2w(&small, "").refuses("--folder c --prepared", &["one grid: [60, 72, 40] and [59, 72, 40]"]);

    let mut head = t2w.clone();
    head.as_mut_slice().iter_mut().for_each(|voxel| *voxel += 1.0);
    let head = with_t2w(&head, "");
    head.refuses("--folder c --prepared", &["c/a_T2w.nii: refused: ", "brain-extracted"]);
    let said = head.run("prepare --folder c --prepared --accept-implausible -o y.store").succeeded().stdout();
    assert!(said.contains("a: accepted as asked: ") && said.contains("brain-extracted"), "{said}");
    let made = with_t2w(&t2w, "SYNTHETIC T2w by mrisynth 0.1.0");
    made.refuses("--folder c --prepared", &["c/a_T2w.nii is synthetic"]);
    // Too dull inside for a brain: what the library says about a raw scan comes through.
    with_t2w(&t2w, "").refuses("--folder c", &["c/a_T1w.nii: refused: registration: "]);
}

#[test]
fn refused_studies_are_left_out_where_that_is_wished() {
    let workplace = Workplace::new();
    let [t1w, t2w] = phantoms();
    for name in ["a", "b"] {
        workplace.write(&format!("c/{name}_T1w.nii"), &t1w);
        workplace.write(&format!("c/{name}_T2w.nii"), &t2w);
    }
    workplace.write("c/d_T1w.nii", &t1w);
    let mut holed = t2w.clone();
    holed.voxels_mut()[[30, 30, 20]] = f32::INFINITY;
    workplace.write("c/a_T2w.nii", &holed);
    let outcome = workplace.run("prepare --folder c --prepared --skip-refused -o x.store").succeeded();
    let said = outcome.stdout();
    for line in [
        "left out: d: no T2w scan goes with c/d_T1w.nii",
        "left out: c/a_T2w.nii: bad image: 1 of 172800 voxels are not finite",
        "packed 1 of 3 studies into x.store",
    ] {
        assert!(said.contains(line), "no {line:?} in {said}");
    }
    let ids: Vec<_> = store::read(workplace.path("x.store")).unwrap().into_iter().map(|s| s.id).collect();
    assert_eq!(ids, ["b"]);
    fs::remove_file(workplace.path("x.store")).unwrap();
    workplace.refuses("--folder c --prepared --skip-refused --patient a", &["no study is left"]);
}
