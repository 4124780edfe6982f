//! Files that break readers, through the command: a result or a documented error, never a crash or half a file.

#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Outcome, Workplace, repository};

/// Address space that a run may have, in kilobytes: more than it may use, and a bound on it.
const ADDRESS_SPACE: u32 = 1_000_000;
/// Names the folder of odd files where it is not beside the repository.
const FOLDER_VARIABLE: &str = "MRISYNTH_ODD_FILES";

fn odd_folder() -> Option<PathBuf> {
    let beside = || repository().parent().map(|parent| parent.join("shared").join("data").join("odd"));
    std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from).or_else(beside).filter(|folder| folder.is_dir())
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

/// How a run may take its input: as a prepared scan, and as a raw one.
const STATES: [&[&str]; 2] = [&["--prepared"], &[]];

fn run_within_bounds(workplace: &Workplace, input: &Path, options: &[&str]) -> Outcome {
    let script = format!("ulimit -v {ADDRESS_SPACE}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_mrisynth"), "synthesize"]).arg(input);
    command.args(["-o", "out.nii.gz", "--to", "t1w", "--threads", "1"]).args(options);
    Outcome(command.current_dir(workplace.path("")).output().unwrap())
}

#[test]
fn every_odd_file_is_a_result_or_a_documented_error() {
    let Some(folder) = odd_folder() else {
        eprintln!(
            "SKIPPED: there are no odd files here; set {FOLDER_VARIABLE} to their folder to run this test"
        );
        return;
    };
    let files = files_below(&folder);
    assert!(!files.is_empty());
    // Each run has one thread, so as many files are tried at once as there are cores.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for files in files.chunks(files.len().div_ceil(cores)) {
            scope.spawn(move || {
                for (file, state) in files.iter().flat_map(|file| STATES.map(|state| (file, state))) {
                    check_twice(file, state);
                }
            });
        }
    });
}

/// What is refused goes through the whole of the work where the user insists.
fn check_twice(file: &Path, state: &[&str]) {
    if check(file, state) == 18 {
        let insisting = [state, &["--accept-implausible"]].concat();
        assert_ne!(check(file, &insisting), 18, "{}", file.display());
    }
}

/// Runs the command on `file` and checks how it ended; returns its exit code.
fn check(file: &Path, options: &[&str]) -> i32 {
    let workplace = Workplace::new();
    let outcome = run_within_bounds(&workplace, file, options);
    let name = file.file_name().unwrap().to_str().unwrap();
    let (code, stderr) = (outcome.code(), outcome.stderr());
    let last = stderr.lines().last().unwrap_or_default();
    eprintln!("{code:>3}  {name}  {options:?}  {last}");
    if code == 0 {
        assert_eq!(workplace.files(), ["out.json", "out.nii.gz"], "{name}");
        return code;
    }
    assert!((11..=18).contains(&code), "{name}: exit code {code}: {stderr}");
    // The other file of a pair may be the one at fault.
    let stem = name.split('.').next().unwrap();
    assert!(last.starts_with("mrisynth: error: ") && last.contains(stem), "{name}: {stderr}");
    assert_eq!(outcome.stdout(), "", "{name}");
    assert_eq!(workplace.files(), [""; 0], "{name} left files behind");
    code
}
