//! Phantoms, and runs of the real command.

// Each test binary uses a part of this.
#![allow(dead_code)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mrisynth::nifti::{self, Header, VoxelType, WriteOptions};
use mrisynth::prepare::register::template;
use mrisynth::{Affine, Contrast, Grid, Volume};
use serde_json::Value;
use tempfile::TempDir;

/// Voxels of the phantom.
pub const DIMS: [usize; 3] = [60, 72, 54];
const VOXEL_SIZE: f64 = 2.5;
/// The phantom's length over that of the average brain: 0.87 litres.
const SCALE: f64 = 0.75;
/// The middle of the phantom, and of the average brain, in millimetres.
const CENTRE: [f64; 3] = [0.0, -18.0, 10.0];
const MIDDLE: [f64; 3] = [0.0, -18.0, 6.0];

/// A folder that vanishes, and the command run in it.
pub struct Workplace {
    folder: TempDir,
}

impl Workplace {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A workplace with a T2w phantom `scan.nii.gz` in it.
    pub fn with_scan() -> Self {
        Self::with_scan_in(Contrast::T2w)
    }

    /// A workplace with a phantom `scan.nii.gz` of this contrast in it.
    pub fn with_scan_in(contrast: Contrast) -> Self {
        let workplace = Self::new();
        write_volume(&workplace.path("scan.nii.gz"), &phantom_in(contrast));
        workplace
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Outcome {
        self.run_in([("", ""); 0], arguments)
    }

    /// The same with these environment variables.
    pub fn run_in<S: AsRef<OsStr>>(
        &self,
        environment: impl IntoIterator<Item = (&'static str, &'static str)>,
        arguments: impl IntoIterator<Item = S>,
    ) -> Outcome {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mrisynth"));
        command.args(arguments).envs(environment).current_dir(self.folder.path());
        Outcome(command.output().unwrap())
    }

    /// Runs `mrisynth synthesize scan.nii.gz --prepared` with more arguments, parted by spaces.
    pub fn synthesize(&self, arguments: &str) -> Outcome {
        let fixed = ["synthesize", "scan.nii.gz", "--prepared"];
        self.run(fixed.into_iter().chain(arguments.split_whitespace()))
    }

    /// Names of all files in the folder, hidden ones included, in order.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&self.bytes(name)).unwrap()
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }
}

/// How a run of the command ended.
pub struct Outcome(pub Output);

impl Outcome {
    pub fn code(&self) -> i32 {
        self.0.status.code().unwrap_or_else(|| panic!("killed: {:?}, {}", self.0.status, self.stderr()))
    }

    pub fn stdout(&self) -> &str {
        std::str::from_utf8(&self.0.stdout).unwrap()
    }

    pub fn stderr(&self) -> &str {
        std::str::from_utf8(&self.0.stderr).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(self.stdout()).unwrap()
    }

    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code(), 0, "{}", self.stderr());
        self
    }

    /// Checks the exit code, that nothing went to standard output, and that the last line on standard error is an
    /// error with `part` in it.
    #[track_caller]
    pub fn failed(self, code: i32, part: &str) -> Self {
        assert_eq!(self.code(), code, "{}", self.stderr());
        assert_eq!(self.stdout(), "");
        let last = self.stderr().lines().last().unwrap_or_default();
        assert!(last.starts_with("mrisynth: error: ") && last.contains(part), "{part:?} is not in {last:?}");
        self
    }
}

/// The average brain inside the library, made small, as a T2w scan: bright fluid, dark white matter, background 0.
pub fn phantom() -> Volume {
    phantom_in(Contrast::T2w)
}

/// The same in either contrast.
pub fn phantom_in(contrast: Contrast) -> Volume {
    let brain = template::brain().unwrap();
    let (first, size) = (brain.affine().to_millimetres([0.0; 3]), brain.affine().voxel_sizes());
    let origin = [0, 1, 2].map(|axis| CENTRE[axis] - VOXEL_SIZE * (DIMS[axis] as f64 - 1.0) / 2.0);
    let affine = Affine::from_sizes([VOXEL_SIZE; 3], origin).unwrap();
    let mut volume = Volume::zeros(&Grid { dims: DIMS, affine }).unwrap();
    for ((i, j, k), voxel) in volume.voxels_mut().indexed_iter_mut() {
        let position = affine.to_millimetres([i as f64, j as f64, k as f64]);
        let index = [0, 1, 2].map(|axis| {
            let there = MIDDLE[axis] + (position[axis] - CENTRE[axis]) / SCALE;
            ((there - first[axis]) / size[axis]).round()
        });
        let inside = index.iter().all(|at| *at >= 0.0);
        let value = brain.voxels().get(index.map(|at| at as usize)).copied().filter(|_| inside);
        *voxel = match value.unwrap_or(0.0) {
            0.0 => 0.0,
            value if contrast == Contrast::T1w => 3.0 * value,
            value => 1000.0 - 3.0 * value,
        };
    }
    volume
}

pub fn write_volume(path: &Path, volume: &Volume) {
    let options = WriteOptions {
        voxel_type: VoxelType::Float32,
        description: "phantom",
        extension: None,
        overwrite: true,
    };
    nifti::write(path, volume, &Header::for_grid(&volume.grid()), &options).unwrap();
}

/// A default model's file.
pub fn model_file(name: &str) -> PathBuf {
    repository().join("models").join(name)
}

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
