//! Disks that fail while the command reads and writes, and a command that is killed: what is there afterwards are whole files.
//!
//! strace makes any one of the command's calls to the system fail, or kills the command in its place. Full disks are made with a
//! small file system in memory.

#![cfg(target_os = "linux")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Output, Stdio};

use common::{Outcome, Workplace, write_volume};
use mrisynth::{Affine, Grid, Volume};

/// The results of [`SYNTHESIZE`].
const RESULTS: [&str; 2] = ["out.json", "out.nii.gz"];
const SYNTHESIZE: &str =
    "synthesize scan.nii.gz -o out.nii.gz --to t1w --prepared --accept-implausible --threads 1 -q";
/// What files hold that were there before.
const OLD: &str = "old";

/// A scan that is quick to work on.
fn with_tiny_scan() -> Workplace {
    let workplace = Workplace::new();
    let affine = Affine::from_sizes([4.0; 3], [-24.0, -46.0, -10.0]).unwrap();
    let mut volume = Volume::zeros(&Grid { dims: [12, 14, 10], affine }).unwrap();
    for ((i, j, k), voxel) in volume.voxels_mut().indexed_iter_mut() {
        let inside = (4..8).contains(&i) && (4..9).contains(&j) && (3..7).contains(&k);
        *voxel = if inside { 100.0 + ((7 * i + 5 * j + 3 * k) % 40) as f32 } else { 0.0 };
    }
    write_volume(&workplace.path("scan.nii.gz"), &volume);
    workplace
}

fn is_temporary(name: &str) -> bool {
    name.starts_with(".mrisynth-")
}

/// Everything in a workplace by its name, but what is hidden and temporary.
fn contents(workplace: &Workplace) -> BTreeMap<String, Vec<u8>> {
    let names = workplace.files().into_iter().filter(|name| !is_temporary(name));
    names.map(|name| (name.clone(), workplace.bytes(&name))).collect()
}

fn has_temporary(workplace: &Workplace) -> bool {
    workplace.files().iter().any(|name| is_temporary(name))
}

/// A workplace before a run with results of an earlier one or without, and what is there after it.
struct Case {
    workplace: Workplace,
    arguments: String,
    before: BTreeMap<String, Vec<u8>>,
    after: BTreeMap<String, Vec<u8>>,
}

impl Case {
    fn new(arguments: &str, overwrites: bool) -> Self {
        let workplace = with_tiny_scan();
        let arguments = if overwrites { format!("{arguments} --force") } else { arguments.to_owned() };
        workplace.run(arguments.split_whitespace()).succeeded();
        let after = contents(&workplace);
        let mut case = Self { workplace, arguments, before: BTreeMap::new(), after };
        if overwrites {
            let results = RESULTS.map(|name| (name.to_owned(), OLD.as_bytes().to_vec()));
            case.before.extend(results);
        }
        case.before.insert("scan.nii.gz".into(), case.workplace.bytes("scan.nii.gz"));
        case.reset();
        case
    }

    fn reset(&self) {
        for name in RESULTS {
            let _ = fs::remove_file(self.workplace.path(name));
        }
        self.before.iter().for_each(|(name, bytes)| fs::write(self.workplace.path(name), bytes).unwrap());
    }

    /// Runs the command, of whose `number`th call of `call` in each thread `what` becomes.
    fn run_with(&self, call: &str, number: usize, what: &str) -> Injected {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o"]).arg(log.path());
        command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:{what}:when={number}")]);
        command.arg(env!("CARGO_BIN_EXE_mrisynth")).args(self.arguments.split_whitespace());
        let output = command.current_dir(self.workplace.path("")).output().unwrap();
        let log = fs::read_to_string(log.path()).unwrap();
        let struck = output.status.code().is_none() || log.contains("(INJECTED)");
        Injected { output, struck, log }
    }

    /// Checks that the next run does its work, and takes away what this one left.
    fn check_next_run(&self, what: &str) {
        let arguments = format!("{} --force", self.arguments.replace(" --force", ""));
        let outcome = self.workplace.run(arguments.split_whitespace());
        assert_eq!(outcome.code(), 0, "after {what}: {}", outcome.stderr());
        assert_eq!(contents(&self.workplace), self.after, "after {what}");
        assert!(!has_temporary(&self.workplace), "after {what}: {:?}", self.workplace.files());
    }
}

/// How a run ended in which a call failed.
struct Injected {
    output: Output,
    /// Whether there was such a call.
    struck: bool,
    log: String,
}

/// False where no process may trace another.
fn can_trace() -> bool {
    let outcome = Command::new("strace").args(["-f", "-qq", "-o/dev/null", "true"]).output();
    let works = outcome.is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("SKIPPED: strace is missing, or may not trace here: no call can be made to fail");
    }
    works
}

/// More calls than a run makes in one thread.
const MANY: usize = 1000;
const RENAME: &str = "rename,renameat,renameat2";
/// The calls that change what is on the disk.
const CHANGING: [&str; 8] =
    ["mkdir", "openat", "flock", "write", "fsync", "linkat", RENAME, "unlink,unlinkat,rmdir"];

#[test]
fn a_command_that_is_killed_at_any_call_leaves_whole_files() {
    if !can_trace() {
        return;
    }
    let (mut kills, mut mixed) = (0, 0);
    for overwrites in [false, true] {
        let case = Case::new(SYNTHESIZE, overwrites);
        for call in CHANGING {
            for number in 1..MANY {
                case.reset();
                let what = format!("{call} {number} killed, overwriting: {overwrites}");
                let run = case.run_with(call, number, "signal=KILL");
                let now = contents(&case.workplace);
                if !run.struck {
                    assert_eq!(now, case.after, "{what}: {}", run.log);
                    break;
                }
                kills += 1;
                // Each file is the old one or the new one.
                for (name, bytes) in &now {
                    let known = [case.before.get(name), case.after.get(name)];
                    assert!(known.contains(&Some(bytes)), "{what}: {name} is half written");
                }
                for name in RESULTS {
                    assert!(
                        now.contains_key(name) || !case.before.contains_key(name),
                        "{what}: {name} is lost"
                    );
                }
                // The sidecar goes first: a new image never lies there without its own.
                let is_new = |name: &str| now.get(name) == case.after.get(name);
                assert!(is_new("out.json") || !is_new("out.nii.gz"), "{what}");
                mixed += usize::from(is_new("out.json") && !is_new("out.nii.gz"));
                if has_temporary(&case.workplace) {
                    case.check_next_run(&what);
                }
            }
        }
    }
    eprintln!("killed at {kills} calls; {mixed} times between the sidecar and its image");
    assert!(kills > 50 && mixed > 0, "{kills} {mixed}");
}

#[test]
fn a_call_that_fails_is_an_error_that_leaves_all_as_it_was() {
    if !can_trace() {
        return;
    }
    let (mut faults, mut survived) = (0, 0);
    for (overwrites, call, error) in [
        (true, "mkdir", "ENOSPC"),
        (true, "openat", "EACCES"),
        (true, "read", "EIO"),
        (true, "statx", "EIO"),
        (true, "flock", "ENOLCK"),
        (true, "write", "EIO"),
        (false, "write", "ENOSPC"),
        (true, "fsync", "EIO"),
        (true, "linkat", "EACCES"),
        (true, RENAME, "EACCES"),
        (false, RENAME, "ENOSPC"),
        (true, "unlink,unlinkat,rmdir", "EROFS"),
    ] {
        let case = Case::new(SYNTHESIZE, overwrites);
        for number in 1..MANY {
            case.reset();
            let what = format!("{call} {number} fails with {error}, overwriting: {overwrites}");
            let run = case.run_with(call, number, &format!("error={error}"));
            let (now, outcome) = (contents(&case.workplace), Outcome(run.output));
            let code = outcome.code();
            if !run.struck {
                assert_eq!((code, &now), (0, &case.after), "{what}: {}", run.log);
                break;
            }
            faults += 1;
            if code == 0 {
                // It was not needed: where the system's configuration is looked for, or in cleaning up.
                survived += 1;
                assert_eq!(now, case.after, "{what}: {}", run.log);
            } else {
                // 127: the program could not even be loaded.
                assert!((11..=18).contains(&code) || code == 127, "{what}: {code}: {}", outcome.stderr());
                assert_eq!(now, case.before, "{what}: {}", outcome.stderr());
            }
            if has_temporary(&case.workplace) {
                // What could not be listed or removed is not lost from sight.
                assert!(
                    ["openat", "unlink,unlinkat,rmdir"].contains(&call),
                    "{what}: {:?}",
                    case.workplace.files()
                );
                case.check_next_run(&what);
            }
        }
    }
    eprintln!("{faults} calls failed, {survived} of which were not needed");
    assert!(faults > 80 && survived < faults, "{faults} {survived}");
}

#[test]
fn a_call_that_is_interrupted_is_made_again() {
    if !can_trace() {
        return;
    }
    let case = Case::new(SYNTHESIZE, true);
    let mut interrupts = 0;
    for call in ["read", "write", "openat", "fsync"] {
        for number in 1..MANY {
            case.reset();
            let run = case.run_with(call, number, "error=EINTR");
            if !run.struck {
                break;
            }
            interrupts += 1;
            let outcome = Outcome(run.output);
            // The loader of programs makes no call again, and ends before the program begins.
            if outcome.code() != 127 {
                assert_eq!(outcome.code(), 0, "{call} {number}: {}", outcome.stderr());
                assert_eq!(contents(&case.workplace), case.after, "{call} {number}");
            }
        }
    }
    assert!(interrupts > 20, "{interrupts}");
}

/// Runs a script in a folder `disk` of the workplace that is a file system of so many kilobytes; `None` where none can be
/// made. What is on it vanishes with the script.
fn on_a_small_disk(workplace: &Workplace, kilobytes: usize, script: &str) -> Option<String> {
    fs::create_dir_all(workplace.path("disk")).unwrap();
    let script = format!("mount -t tmpfs -o size={kilobytes}k tmpfs disk || exit 99\n{script}");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-uc", &script]);
    let output =
        command.env("MRISYNTH", env!("CARGO_BIN_EXE_mrisynth")).current_dir(workplace.path("")).output();
    match output {
        Ok(output) if output.status.success() => Some(String::from_utf8(output.stdout).unwrap()),
        other => {
            eprintln!("SKIPPED: no file system can be mounted here: {other:?}");
            None
        }
    }
}

#[test]
fn a_disk_that_is_full_at_any_point_leaves_all_as_it_was() {
    let workplace = with_tiny_scan();
    let arguments = SYNTHESIZE.replace("-o out.nii.gz", "-o disk/out.nii --dtype float64");
    let (mut full, mut done) = (0, false);
    for kilobytes in (8..).step_by(4) {
        // The script tells the code, the error, and what is there: for the sidecar its first letter.
        let script = format!(
            "printf old > disk/out.nii; printf old > disk/out.json\n\"$MRISYNTH\" {arguments} --force 2> error\n\
             echo $?; tail -n 1 error; ls -A disk; cmp -s disk/out.nii whole && echo whole; cat disk/out.json | head -c 1"
        );
        // What it is to be.
        if full == 0 {
            let to = arguments.replace("disk/out.nii", "whole.nii");
            workplace.run(to.split_whitespace()).succeeded();
            fs::rename(workplace.path("whole.nii"), workplace.path("whole")).unwrap();
        }
        let Some(told) = on_a_small_disk(&workplace, kilobytes, &script) else { return };
        let lines: Vec<&str> = told.lines().collect();
        if lines[0] == "0" {
            assert_eq!(&lines[1..], ["out.json", "out.nii", "whole", "{"], "{kilobytes} kB");
            done = true;
            break;
        }
        full += 1;
        assert_eq!(lines[0], "12", "{kilobytes} kB: {told}");
        assert!(
            lines[1].contains("disk/out") && lines[1].contains("No space left"),
            "{kilobytes} kB: {told}"
        );
        assert_eq!(&lines[2..], ["out.json", "out.nii", "o"], "{kilobytes} kB");
    }
    assert!(done && full > 3, "{full}");
}

#[test]
fn a_disk_without_room_for_the_example_leaves_nothing() {
    let workplace = Workplace::new();
    let example = common::repository().join("examples/data/example_T2w.nii.gz");
    let script = format!(
        "\"$MRISYNTH\" synthesize '{}' -o disk/out.nii.gz --to t1w --prepared -q 2> error\n\
         echo $?; tail -n 1 error; ls -A disk",
        example.display()
    );
    let Some(told) = on_a_small_disk(&workplace, 64, &script) else { return };
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2, "12"), "{told}");
    assert!(lines[1].contains("disk/out.nii.gz") && lines[1].contains("No space left"), "{told}");
}

#[test]
fn files_that_may_not_grow_are_an_error_or_the_end_but_never_half_a_result() {
    let case = Case::new(&format!("{SYNTHESIZE} --dtype float64"), true);
    for (trap, ending) in [("trap '' XFSZ;", Some(12)), ("", None)] {
        case.reset();
        let script = format!("{trap} ulimit -f 1; exec \"$0\" {}", case.arguments);
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_mrisynth")]).current_dir(case.workplace.path(""));
        let output = command.stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
        // Without a trap the system ends the command with a signal.
        assert_eq!(output.status.code(), ending, "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(contents(&case.workplace), case.before);
        case.check_next_run("ulimit -f");
    }
}
