//! Every large allocation of a run through the C interface fails once: the call then says so, and the process goes on and does
//! its work the next time.
//!
//! This program runs itself again, as the process that a failing allocation would end.

#![cfg(all(feature = "capi", feature = "embedded-models", target_os = "linux"))]

mod counting;
mod head;

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::path::Path;
use std::process::Command;

use counting::{Counting, fail_after, stop_failing};
use head::{Head, pose};
use mrisynth::{Affine, Grid, Limits, Volume, nifti};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// As `include/mrisynth.h` has them.
#[repr(C)]
#[derive(Clone, Copy)]
struct Image {
    struct_size: u32,
    dtype: u32,
    data: *mut c_void,
    dims: [u64; 3],
    strides: [i64; 3],
    index_to_lps: [f64; 16],
}

#[repr(C)]
struct Options {
    struct_size: u32,
    num_threads: u32,
    input_state: u32,
    accept_implausible: u32,
    memory_limit: u64,
    progress: *const c_void,
    log: *const c_void,
    user_data: *mut c_void,
}

const OK: i32 = 0;
const OUT_OF_MEMORY: i32 = 6;
const FLOAT: u32 = 5;
const T1W: u32 = 1;
const T2W: u32 = 2;

unsafe extern "C" {
    fn mrisynth_model_default(source: u32, target: u32, model: *mut *mut c_void) -> i32;
    fn mrisynth_model_from_memory(bytes: *const c_void, size: usize, model: *mut *mut c_void) -> i32;
    fn mrisynth_model_free(model: *mut c_void);
    fn mrisynth_synthesize(
        model: *const c_void,
        inputs: *const *const Image,
        n_inputs: usize,
        output: *const Image,
        options: *const Options,
    ) -> i32;
}

const BAD_MODEL: i32 = 3;
const INTERNAL: i32 = 9;

/// What a run came to.
#[derive(Debug, PartialEq)]
struct Run {
    /// Of each call.
    statuses: Vec<i32>,
    /// The result, if there is one.
    result: Vec<f32>,
}

/// A scan as a caller has it.
struct Scan {
    voxels: Vec<f32>,
    grid: Grid,
    is_raw: bool,
}

impl Scan {
    fn of(volume: &Volume, is_raw: bool) -> Self {
        Self { voxels: volume.as_slice().to_vec(), grid: volume.grid(), is_raw }
    }

    /// A few slices of the example, for runs that are soon through.
    fn small() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/example_T2w.nii.gz");
        let whole = nifti::read(&path, &Limits::default()).unwrap().volume;
        let mut few = whole.clone();
        few.voxels_mut().slice_mut(ndarray::s![.., .., ..38]).fill(0.0);
        few.voxels_mut().slice_mut(ndarray::s![.., .., 42..]).fill(0.0);
        Self::of(&few, false)
    }

    fn raw() -> Self {
        let affine = Affine::from_sizes([3.5, 3.5, 4.0], [-110.0, -140.0, -95.0]).unwrap();
        let grid = Grid { dims: [63, 71, 48], affine };
        Self::of(&Head::new().scan(grid, &pose(), head::Contrast::T2w).0, true)
    }

    fn image(&self, data: *mut f32) -> Image {
        Image {
            struct_size: size_of::<Image>() as u32,
            dtype: FLOAT,
            data: data.cast(),
            dims: self.grid.dims.map(|length| length as u64),
            strides: [0; 3],
            index_to_lps: self.grid.affine.to_lps().concat().try_into().unwrap(),
        }
    }

    /// Loads a model, synthesizes with it and frees it, by the C interface, while the allocation of `large` bytes or more that
    /// comes after `number` others fails. Says how many were asked for.
    fn run_failing(&self, model_file: Option<&[u8]>, number: i64, large: usize) -> (Run, i64) {
        let mut result = vec![f32::NAN; self.voxels.len()];
        fail_after(number, large, false);
        let statuses = self.call(model_file, &mut result);
        let asked = stop_failing(number);
        if statuses.last() != Some(&OK) {
            assert!(
                result.iter().all(|value| value.is_nan()),
                "the output of a call that failed was touched"
            );
            result.clear();
        }
        (Run { statuses, result }, asked)
    }

    /// The statuses of loading a model and of synthesizing with it.
    fn call(&self, model_file: Option<&[u8]>, result: &mut [f32]) -> Vec<i32> {
        let mut model = std::ptr::null_mut();
        // SAFETY: the pointers are those of living values.
        let loaded = unsafe {
            match model_file {
                Some(bytes) => mrisynth_model_from_memory(bytes.as_ptr().cast(), bytes.len(), &raw mut model),
                None => mrisynth_model_default(T2W, T1W, &raw mut model),
            }
        };
        if loaded != OK {
            assert!(model.is_null());
            return vec![loaded];
        }
        let options = Options {
            struct_size: size_of::<Options>() as u32,
            num_threads: 2,
            input_state: u32::from(!self.is_raw),
            accept_implausible: 1,
            memory_limit: 0,
            progress: std::ptr::null(),
            log: std::ptr::null(),
            user_data: std::ptr::null_mut(),
        };
        let input = self.image(self.voxels.as_ptr().cast_mut());
        let output = self.image(result.as_mut_ptr());
        // SAFETY: buffers and structs are what they say they are, and the model is a living one, which is freed once.
        let synthesized = unsafe {
            let inputs = [&raw const input];
            let status =
                mrisynth_synthesize(model, inputs.as_ptr(), 1, &raw const output, &raw const options);
            mrisynth_model_free(model);
            status
        };
        vec![loaded, synthesized]
    }
}

/// Which run, from which allocation on, of how many bytes: for the process that may end.
const TASK: &str = "MRISYNTH_TEST_FAILING";

/// Fails one allocation after the other, from the `first`, each in a run of its own; tells of each. `step` says how far to the
/// next.
fn fail_each(scan: &Scan, model_file: Option<&[u8]>, first: i64, step: i64, large: usize) {
    // What is made once and kept is made here.
    let (whole, _) = scan.run_failing(model_file, 0, usize::MAX);
    assert_eq!(whole.statuses, [OK, OK]);
    for number in (first..).step_by(step as usize) {
        println!("{number}");
        let (run, asked) = scan.run_failing(model_file, number, large);
        if asked <= number {
            println!("all {asked}");
            assert_eq!(run, whole);
            return;
        }
        let last = *run.statuses.last().unwrap();
        println!("{number} {last}");
        // A failing allocation that is not needed is as good.
        let allowed = [OUT_OF_MEMORY, INTERNAL, BAD_MODEL];
        assert!(allowed.contains(&last) || run == whole, "{number}: {:?}", run.statuses);
    }
}

/// Does nothing unless it was started to.
#[test]
fn the_process_that_may_end() {
    let Ok(task) = std::env::var(TASK) else { return };
    let [name, first, step, large] = task.split(' ').collect::<Vec<_>>()[..] else { panic!("{task}") };
    let number = |text: &str| text.parse::<i64>().unwrap();
    let scan = if name == "raw" { Scan::raw() } else { Scan::small() };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/t1w-from-t2w.onnx");
    let file = (name == "file").then(|| std::fs::read(file).unwrap());
    fail_each(&scan, file.as_deref(), number(first), number(step), number(large) as usize);
}

/// From this size on, no allocation of ours ends the process.
const LARGE: usize = 1 << 20;
/// Whose large allocations end the process, for they are made in a way that Rust lets nobody catch: those of the reader of ONNX
/// files, which copies each tensor, and those of the engine's own lists.
const ENDS_THERE: [&str; 3] = ["prost::", "tract_", "ndarray::"];

/// Fails every `step`th allocation of `large` bytes or more, and checks that the process goes on, but where that cannot be
/// helped. Says how often each status came, and how often the process ended.
fn check(name: &str, step: i64, large: usize) -> (BTreeMap<i32, usize>, BTreeMap<&'static str, usize>) {
    let (mut counts, mut ended) = (BTreeMap::new(), BTreeMap::new());
    let mut first = 0;
    loop {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "the_process_that_may_end", "--nocapture"]);
        command.env(TASK, format!("{name} {first} {step} {large}")).env("RUST_BACKTRACE", "1");
        let output = command.output().unwrap();
        let (text, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let mut last = first;
        for line in text.lines() {
            let numbers: Vec<i64> = line.split(' ').map_while(|word| word.parse().ok()).collect();
            last = numbers.first().copied().unwrap_or(last);
            if let [_, status] = numbers[..] {
                *counts.entry(status as i32).or_insert(0) += 1;
            }
        }
        if output.status.success() {
            let all = text.lines().rfind(|line| line.starts_with("all ")).unwrap();
            eprintln!("{name}, of {large} bytes or more: {all}; statuses {counts:?}, ended {ended:?}");
            return (counts, ended);
        }
        let is_end = stderr.contains("memory allocation of") && output.status.code().is_none();
        assert!(is_end, "allocation {last}: {:?}\n{text}\n{stderr}", output.status);
        // What called the allocator, up to the first function of ours.
        let frames = stderr.lines().skip_while(|line| !line.contains("handle_alloc_error"));
        let frames: Vec<_> = frames.take_while(|line| !line.contains("mrisynth::")).collect();
        let there = ENDS_THERE.iter().find(|there| frames.iter().any(|frame| frame.contains(*there)));
        let there = there.map_or("others", |there| there.trim_end_matches([':', '_']));
        assert!(there != "others" || large < LARGE, "{name}: the end at allocation {last}\n{stderr}");
        *ended.entry(there).or_insert(0) += 1;
        first = last + step;
    }
}

#[test]
fn a_prepared_scan_s_run_survives_every_allocation_of_a_mebibyte_that_fails() {
    let (statuses, ended) = check("small", 1, LARGE);
    assert!(statuses[&OUT_OF_MEMORY] > 20 && !statuses.contains_key(&INTERNAL), "{statuses:?}");
    // For the largest tensors of the model.
    assert!(ended.values().sum::<usize>() <= 10, "{ended:?}");
}

#[test]
fn a_model_file_s_loading_survives_every_allocation_of_a_mebibyte_that_fails() {
    let (statuses, ended) = check("file", 1, LARGE);
    assert!(statuses[&OUT_OF_MEMORY] > 20 && ended.values().sum::<usize>() <= 10, "{statuses:?} {ended:?}");
}

#[test]
fn most_smaller_allocations_that_fail_are_survived_too() {
    let (statuses, ended) = check("small", 9, 64 << 10);
    let (survived, ended) = (statuses.values().sum::<usize>(), ended.values().sum::<usize>());
    assert!(survived > 2 * ended, "{survived} {ended}");
}

#[test]
fn a_raw_scan_s_run_survives_allocations_of_a_mebibyte_that_fail() {
    let (statuses, _) = check("raw", 5, LARGE);
    assert!(statuses[&OUT_OF_MEMORY] > 5, "{statuses:?}");
}
