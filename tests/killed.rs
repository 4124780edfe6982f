//! Processes that are killed while they write: their files are whole, and what they leave beside them goes with the next.
//!
//! This program runs itself again, as the process that is killed.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use mrisynth::nifti::{self, Header, VoxelType, WriteOptions};
use mrisynth::{Affine, Grid, Volume, temporary, whole_file};

/// Where the process that is killed works.
const FOLDER: &str = "MRISYNTH_TEST_KILLED";
/// What it does there.
const WORK: &str = "MRISYNTH_TEST_WORK";
/// Volumes that it writes in turn, by what all of their voxels are.
const VALUES: [f32; 2] = [0.25, 0.75];

/// Starts the process, and waits until it works.
fn start(work: &str, folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_process_that_is_killed", "--nocapture"]);
    let mut child = command
        .env(FOLDER, folder)
        .env(WORK, work)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.map(Result::unwrap).find(|line| line.ends_with("working")).unwrap();
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn say_working() {
    println!("working");
    std::io::stdout().flush().unwrap();
}

/// Does nothing unless it was started to.
#[test]
fn the_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    match std::env::var(WORK).unwrap().as_str() {
        "waits" => {
            let _folder = temporary::Folder::new_in(&folder).unwrap();
            let _ = whole_file::write(&folder.join("waiting"), true, |out| {
                out.write_all(b"half")?;
                out.flush()?;
                say_working();
                loop {
                    sleep(Duration::from_secs(1));
                }
            });
        }
        name => {
            let path = folder.join(name);
            for value in VALUES.into_iter().cycle() {
                write_volume(&path, value);
                if value == VALUES[1] {
                    say_working();
                }
            }
        }
    }
}

fn write_volume(path: &Path, value: f32) {
    let grid = Grid { dims: [24, 25, 26], affine: Affine::from_sizes([1.0; 3], [0.0; 3]).unwrap() };
    let mut volume = Volume::zeros(&grid).unwrap();
    volume.as_mut_slice().fill(value);
    let options =
        WriteOptions { voxel_type: VoxelType::Float32, description: "", extension: None, overwrite: true };
    nifti::write(path, &volume, &Header::for_grid(&grid), &options).unwrap();
}

fn temporaries(folder: &Path) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with(".mrisynth-")).count()
}

#[test]
fn a_process_that_is_killed_leaves_the_old_file_or_the_new_one() {
    for (name, kills) in [("a.nii", 100), ("a.nii.gz", 100)] {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(name);
        let whole = VALUES.map(|value| {
            write_volume(&path, value);
            fs::read(&path).unwrap()
        });
        let (mut found, mut left) = ([0, 0], 0);
        for number in 0..kills {
            let child = start(name, place.path());
            // At other points each time: a write takes some milliseconds.
            sleep(Duration::from_micros(137 * number));
            kill(child);
            let bytes = fs::read(&path).unwrap();
            let which = whole.iter().position(|whole| *whole == bytes);
            found[which.unwrap_or_else(|| panic!("{name}: {} bytes, half written", bytes.len()))] += 1;
            // The next process removes what the last one left.
            assert!(temporaries(place.path()) <= 1);
            left += temporaries(place.path());
        }
        write_volume(&path, VALUES[0]);
        assert_eq!(temporaries(place.path()), 0);
        eprintln!("{name}: {kills} kills, {found:?} of each file, {left} times something was left");
        assert!(
            found.iter().all(|count| *count > 0) && left > 0,
            "the kills came at one point: {found:?} {left}"
        );
    }
}

#[test]
fn what_a_living_process_writes_is_left_alone_until_it_is_killed() {
    let place = tempfile::tempdir().unwrap();
    let children: Vec<Child> = (0..2).map(|_| start("waits", place.path())).collect();
    assert_eq!(temporaries(place.path()), 4, "a file and a folder of each");
    whole_file::write(&place.path().join("a"), false, |out| out.write_all(b"whole")).unwrap();
    drop(temporary::Folder::new_in(place.path()).unwrap());
    assert_eq!(temporaries(place.path()), 4);
    let mut children = children.into_iter();
    kill(children.next().unwrap());
    whole_file::write(&place.path().join("a"), true, |out| out.write_all(b"whole")).unwrap();
    assert_eq!(temporaries(place.path()), 2, "those of the other");
    kill(children.next().unwrap());
    drop(temporary::Folder::new_in(place.path()).unwrap());
    assert_eq!(temporaries(place.path()), 0);
    assert!(!place.path().join("waiting").exists());
}

/// strace lets every call for a lock fail, as on a file system that has none.
#[test]
fn where_there_are_no_locks_files_are_written_and_nothing_is_removed() {
    if std::env::var_os(FOLDER).is_some() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    kill(start("waits", place.path()));
    assert_eq!(temporaries(place.path()), 2);
    let mut command = Command::new("strace");
    command.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=flock",
        "-e",
        "inject=flock:error=EOPNOTSUPP",
    ]);
    command.arg(std::env::current_exe().unwrap()).args(["--exact", "writes_once"]);
    let output = command.env(FOLDER, place.path()).output();
    if !output.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: strace is missing, or may not trace here: {output:?}");
        return;
    }
    assert_eq!(fs::read(place.path().join("once")).unwrap(), b"once");
    assert_eq!(temporaries(place.path()), 2, "nobody knows whether their process lives");
}

/// Does nothing unless it was started to.
#[test]
fn writes_once() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    whole_file::write(&folder.join("once"), false, |out| out.write_all(b"once")).unwrap();
}
