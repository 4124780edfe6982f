//! What the library allocates, counted: no call has more at once than the limit that it accepts, and a limit that is too
//! tight is an error before the work.

#![cfg(feature = "embedded-models")]

mod counting;
mod head;
mod onnx;

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use counting::{Counting, current, peak_over};
use flate2::Compression;
use flate2::write::GzEncoder;
use head::{Head, clinical_grid, noise, pose};
use mrisynth::model::{LoadOptions, Model};
use mrisynth::nifti::{Header, VoxelType, WriteOptions};
use mrisynth::prepare::{self, BiasCorrection, Coverage, correct_as_itk};
use mrisynth::synthesize::{InputState, Options, synthesize_prepared};
use mrisynth::{
    Affine, Contrast, Control, Error, Grid, Limits, Result, Volume, kernels, nifti, residual, synthesize,
};
use ndarray::{Array3, ShapeBuilder};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What the test itself has beside the call: its threads and texts.
const BESIDE: usize = 1 << 20;
/// A call is refused within this; a machine that does something else meanwhile must not fail the test.
const SOON: Duration = Duration::from_secs(2);

/// What the whole process allocates is counted, so there is one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call of the library, with its control.
type Call<'a> = &'a dyn Fn(&mut Control<'_>) -> Result<()>;

/// Whether a call goes on its way with this limit, on which it is stopped; else how much it says that it needs.
fn ask(call: Call<'_>, threads: usize, limit: u64) -> std::result::Result<(), u64> {
    let mut stop = |fraction| if fraction > 0.0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let mut control = Control {
        threads,
        memory_limit: Some(limit),
        progress: Some(&mut stop),
        accept_implausible: true,
        ..Control::default()
    };
    match call(&mut control) {
        Err(Error::Cancelled) => Ok(()),
        Err(Error::OutOfMemory(text)) => Err(needed(&text)),
        other => panic!("neither refused nor stopped: {other:?}"),
    }
}

/// The bytes that a refusal says are needed.
fn needed(text: &str) -> u64 {
    let number = text.split("needs up to ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("it does not say how much: {text}"))
}

/// The smallest limit that a call accepts. It is asked step by step, for what is needed first may be told first.
fn smallest_limit(call: Call<'_>, threads: usize) -> u64 {
    let mut limit = 1;
    while let Err(needed) = ask(call, threads, limit) {
        assert!(needed > limit);
        limit = needed;
    }
    assert!(ask(call, threads, limit - 1).is_err());
    limit
}

/// Checks a call by what is allocated beyond `before`, when there was neither model nor scan.
fn check(name: &str, call: Call<'_>, before: usize, threads: &[usize]) {
    for &threads in threads {
        let limit = smallest_limit(call, threads);
        let (start, held) = (Instant::now(), current().saturating_sub(before));
        let (refused, refusal) = peak_over(before, || ask(call, threads, limit / 2).is_err());
        assert!(refused && start.elapsed() < SOON, "{name}: refused after {:?}", start.elapsed());
        let (outcome, peak) = peak_over(before, || {
            let memory_limit = Some(limit);
            call(&mut Control { threads, memory_limit, accept_implausible: true, ..Control::default() })
        });
        outcome.unwrap();
        let [limit, peak, held, refusal] = [limit as usize, peak, held, refusal].map(mebibytes);
        eprintln!(
            "{name}, {threads} threads: limit {limit:.0} MiB, at most {peak:.0} MiB allocated, {held:.0} MiB before; \
             refused at {refusal:.0} MiB"
        );
        let beside = mebibytes(BESIDE);
        assert!(
            peak <= limit + beside,
            "{name}: {peak} MiB were allocated, and {limit} MiB accepted as a limit"
        );
        assert!(
            refusal <= limit / 2.0 + beside || refusal <= held + 24.0,
            "{name}: {refusal} MiB for a refusal"
        );
        // A bound that nobody reaches helps nobody.
        assert!(limit <= 4.0 * peak + 64.0, "{name}: {limit} MiB are asked for, and {peak} MiB used");
    }
}

fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn example() -> Volume {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/example_T2w.nii.gz");
    nifti::read(&path, &Limits::default()).unwrap().volume
}

fn model() -> Model {
    Model::embedded(Contrast::T2w, Contrast::T1w).unwrap()
}

/// A raw scan of a made-up head, and its brain.
fn head(grid: Grid) -> (Volume, Array3<bool>) {
    Head::new().scan(grid, &pose(), head::Contrast::T2w)
}

/// A grid with voxels of these sizes around the head.
fn grid(sizes: [f64; 3]) -> Grid {
    let extent = [220.0, 250.0, 190.0];
    let dims = [0, 1, 2].map(|axis| (extent[axis] / sizes[axis]) as usize);
    let origin = [0, 1, 2].map(|axis| [0.0, -18.0, 0.0][axis] - 0.5 * extent[axis]);
    Grid { dims, affine: Affine::from_sizes(sizes, origin).unwrap() }
}

#[test]
fn loading_keeps_the_limit_that_is_accepted() {
    let _alone = alone();
    let file = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/t1w-from-t2w.onnx")).unwrap();
    for (name, bytes) in
        [("default", file), ("one layer", onnx::middle_slice(3)), ("a window", onnx::places(256))]
    {
        let before = current() - bytes.len();
        let load = |limit| {
            Model::from_bytes(&bytes, &LoadOptions { memory_limit: Some(limit), ..LoadOptions::default() })
        };
        let mut limit = 1;
        while let Err(Error::OutOfMemory(text)) = load(limit) {
            assert!(needed(&text) > limit, "{text}");
            limit = needed(&text);
        }
        let (refused, refusal) = peak_over(before, || load(limit - 1).is_err());
        let (model, peak) = peak_over(before, || load(limit).unwrap());
        let kept = mebibytes(current() - before);
        let [limit, peak, refusal, said] =
            [limit as usize, peak, refusal, model.weight_bytes() as usize].map(mebibytes);
        eprintln!(
            "loading, {name}: limit {limit:.0} MiB, at most {peak:.0} MiB allocated, {kept:.0} MiB kept, of which \
             {said:.0} MiB are told; refused at {refusal:.0} MiB"
        );
        assert!(refused && peak <= limit + mebibytes(BESIDE) && kept <= said + mebibytes(bytes.len()) + 8.0);
        assert!(refusal <= 3.0 * mebibytes(bytes.len()) + mebibytes(BESIDE), "{refusal} MiB for a refusal");
    }
}

#[test]
fn prepared_scans_keep_the_limit_that_is_accepted() {
    let _alone = alone();
    let before = current();
    let (model, scan) = (model(), example());
    let synthesize = |output: Grid| {
        let (model, scan) = (&model, &scan);
        move |control: &mut Control<'_>| {
            synthesize(model, scan, &output, &Options::prepared(), control).map(drop)
        }
    };
    check("prepared", &synthesize(scan.grid()), before, &[1, 8]);
    // A finer grid to come back to, on which the result is the largest of all.
    check("onto 0.5 mm", &synthesize(grid([0.5; 3])), before, &[2]);
    let back = residual::embedded_back(&model).unwrap();
    let round_trip = |control: &mut Control<'_>| {
        residual::round_trip(&model, &back, &scan, &scan.grid(), &Options::prepared(), control).map(drop)
    };
    check("there and back", &round_trip, before, &[4]);
}

#[test]
fn raw_scans_keep_the_limit_that_is_accepted() {
    let _alone = alone();
    let before = current();
    let model = model();
    for (name, grid) in
        [("clinical", clinical_grid(8.0)), ("coarse", grid([4.0; 3])), ("fine", grid([1.0; 3]))]
    {
        let (scan, _) = head(grid);
        let synthesize = |control: &mut Control<'_>| {
            synthesize(&model, &scan, &scan.grid(), &Options::default(), control).map(drop)
        };
        check(&format!("raw, {name}"), &synthesize, before, if name == "clinical" { &[4] } else { &[1] });
    }
    let (scan, _) = head(clinical_grid(8.0));
    let back = residual::embedded_back(&model).unwrap();
    let round_trip = |control: &mut Control<'_>| {
        residual::round_trip(&model, &back, &scan, &scan.grid(), &Options::default(), control).map(drop)
    };
    check("raw, there and back", &round_trip, before, &[2]);
    drop(back);
    let prepared = prepare::prepare(&scan, &prepare::Options::default(), &mut Control::default()).unwrap();
    let again =
        |control: &mut Control<'_>| synthesize_prepared(&model, &prepared, &scan.grid(), control).map(drop);
    check("prepared here", &again, before, &[2]);
}

#[test]
fn preparing_keeps_the_limit_that_is_accepted() {
    let _alone = alone();
    // Every third voxel: the worst that a mask can be for what looks at its surface.
    let scattered = |dims: (usize, usize, usize)| {
        let mut mask = Array3::from_elem(dims.f(), false);
        mask.indexed_iter_mut().for_each(|((i, j, k), inside)| *inside = (i + j + k) % 3 == 0);
        mask
    };
    for (name, grid) in
        [("clinical", clinical_grid(8.0)), ("coarse", grid([4.0; 3])), ("fine", grid([1.0; 3]))]
    {
        let before = current();
        let (scan, _) = head(grid);
        let dims = scan.voxels().dim();
        let check_options = |what: &str, options: &prepare::Options| {
            let prepare = |control: &mut Control<'_>| prepare::prepare(&scan, options, control).map(drop);
            check(&format!("prepare, {name}, {what}"), &prepare, before, &[2]);
        };
        check_options("as it is", &prepare::Options::default());
        let options = prepare::Options {
            coverage: Coverage::WholeHead,
            bias: BiasCorrection::Itk,
            ..Default::default()
        };
        check_options("whole head", &options);
        let options =
            prepare::Options { mask: Some(head(grid).1), bias: BiasCorrection::Skip, ..Default::default() };
        check_options("with a mask", &options);
        drop(options);
        if name == "clinical" {
            check_options(
                "with a scattered mask",
                &prepare::Options { mask: Some(scattered(dims)), ..Default::default() },
            );
        }
        let correct = |control: &mut Control<'_>| correct_as_itk(&scan, control).map(drop);
        check(&format!("bias only, {name}"), &correct, before, &[2]);
    }
}

#[test]
fn scans_that_show_no_head_keep_the_limit_too() {
    let _alone = alone();
    let before = current();
    let model = model();
    let mut scan = Volume::zeros(&clinical_grid(8.0)).unwrap();
    // Nothing but noise: a mask of it is as ragged as can be.
    let voxels = scan.voxels_mut();
    for ((i, j, k), voxel) in
        voxels.into_iter().zip(0..).map(|(voxel, at)| ((at % 220, at / 220 % 250, at / 55_000), voxel))
    {
        *voxel = noise([i, j, k]).max(0.0);
    }
    for input_state in [InputState::Raw, InputState::Prepared] {
        let options = Options { input_state, ..Options::default() };
        let call = |control: &mut Control<'_>| {
            match synthesize(&model, &scan, &scan.grid(), &options, control) {
                // Where no brain can be found.
                Err(Error::BadImage(_) | Error::Refused(_)) => Ok(()),
                other => other.map(drop),
            }
        };
        check(&format!("noise, {input_state:?}"), &call, before, &[2]);
    }
}

#[test]
fn other_models_keep_the_limit_that_is_accepted() {
    let _alone = alone();
    let before = current();
    let scan = example();
    for (name, bytes) in [("one layer", onnx::middle_slice(3)), ("a window", onnx::places(256))] {
        let model = Model::from_bytes(&bytes, &LoadOptions::default()).unwrap();
        let synthesize = |control: &mut Control<'_>| {
            synthesize(&model, &scan, &scan.grid(), &Options::prepared(), control).map(drop)
        };
        check(name, &synthesize, before, &[2]);
    }
}

/// Small files that unpack to a gibibyte, in every place where a file may be packed.
#[test]
fn bombs_are_refused_before_memory_or_time_is_spent() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let packed = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    // Members follow each other as if they were one.
    let bomb = packed(&vec![0; 16 << 20]).repeat(64);
    let volume = Volume::zeros(&grid([40.0; 3])).unwrap();
    let options =
        WriteOptions { voxel_type: VoxelType::Uint8, description: "", extension: None, overwrite: true };
    let plain = folder.path().join("plain.nii");
    nifti::write(&plain, &volume, &Header::for_grid(&volume.grid()), &options).unwrap();
    let image = std::fs::read(&plain).unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = image.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let file = |name: &str, start: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, [&packed(start)[..], &bomb].concat()).unwrap();
        path
    };
    // Dimensions that are too large, extensions that are too long, a bomb for a header, and one behind a whole image.
    let dims: Vec<u8> = [3_i16, 1024, 1024, 1024].iter().flat_map(|length| length.to_le_bytes()).collect();
    let long = file("long.nii.gz", &with(108, &1e9_f32.to_le_bytes()));
    let (large, header) = (file("large.nii.gz", &with(40, &dims)), file("header.nii.gz", &[]));
    let behind = file("behind.nii.gz", &image);
    let (start, before) = (Instant::now(), current());
    let (_, peak) = peak_over(before, || {
        let read = |path: &Path| nifti::read(path, &Limits::default());
        let kind = |path: &Path| format!("{:?}", read(path).unwrap_err().kind());
        assert!(kind(&long).starts_with("OutOfMemory") && kind(&large).starts_with("OutOfMemory"));
        assert!(kind(&header).starts_with("BadImage"), "{}", kind(&header));
        assert_eq!(read(&behind).unwrap().volume, volume);
        let model = Model::open(&header, &LoadOptions::default()).unwrap_err();
        assert!(matches!(model.kind(), Error::BadModel(_)), "{model}");
    });
    let took = start.elapsed();
    eprintln!("bombs of {} kB: {:.1} MiB, {took:.1?}", bomb.len() >> 10, mebibytes(peak));
    assert!(peak < 8 << 20 && took < 5 * SOON, "{peak} bytes, {took:?}");
}

/// The kernels' variable is read once, so this program runs itself again without them.
#[test]
fn the_engine_alone_keeps_the_limit_too() {
    let _alone = alone();
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "models_for_the_engine_alone", "--nocapture"]);
    let output = command.env(kernels::VARIABLE, "none").output().unwrap();
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
}

/// Does nothing unless it was started to.
#[test]
fn models_for_the_engine_alone() {
    if std::env::var_os(kernels::VARIABLE).is_none_or(|tier| tier != "none") {
        return;
    }
    let before = current();
    let (model, scan) = (model(), example());
    let synthesize = |control: &mut Control<'_>| {
        synthesize(&model, &scan, &scan.grid(), &Options::prepared(), control).map(drop)
    };
    check("the engine alone", &synthesize, before, &[1, 4]);
}
