//! The command on a signal: it ends at once, says so, and leaves whole results or none.
#![cfg(unix)]

mod common;
#[path = "../../../tests/head/mod.rs"]
mod head;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{Outcome, Workplace, write_volume};
use head::{Contrast, Head, clinical_grid, pose};

/// What users may have to wait after Ctrl-C.
const LIMIT: Duration = Duration::from_millis(250);
const CANCELLED: i32 = 17;

fn start(workplace: &Workplace, arguments: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_mrisynth"))
        .args(arguments.split_whitespace())
        .current_dir(workplace.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Sends the signal, and says how the command ended and how long it took.
fn interrupt(child: Child, signal: &str) -> (Outcome, Duration) {
    let sent = Instant::now();
    let kill = format!("kill -{signal} {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    (Outcome(output), sent.elapsed())
}

/// True from when the command handles signals: the system shows which of them a process catches.
fn catches_signals(child: &Child) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    // SIGINT is signal 2, so bit 1.
    caught.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).is_ok_and(|mask| mask & 0b10 != 0))
}

fn wait_until(what: impl Fn() -> bool) {
    let since = Instant::now();
    while !what() {
        assert!(since.elapsed() < Duration::from_secs(60), "it does not come");
        sleep(Duration::from_millis(5));
    }
}

fn has_staging_folder(folder: &Path) -> bool {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.into_iter().any(|name| name.to_string_lossy().starts_with(".mrisynth-"))
}

#[test]
#[cfg(target_os = "linux")]
fn every_signal_ends_the_work_on_a_raw_scan_at_once() {
    let workplace = Workplace::new();
    let (scan, _) = Head::new().scan(clinical_grid(8.0), &pose(), Contrast::T2w);
    write_volume(&workplace.path("scan.nii.gz"), &scan);
    let before = workplace.files();
    for (command, signal) in [
        ("synthesize scan.nii.gz -o out.nii.gz --to t1w", "INT"),
        ("synthesize scan.nii.gz -o out.nii.gz --to t1w --json", "TERM"),
        ("prepare scan.nii.gz -o prepared", "HUP"),
    ] {
        // The best of three: a machine that does something else meanwhile must not fail the test.
        let attempts = [300, 600, 900].map(|milliseconds| {
            let child = start(&workplace, command);
            wait_until(|| catches_signals(&child));
            sleep(Duration::from_millis(milliseconds));
            let (outcome, took) = interrupt(child, signal);
            assert_eq!(outcome.code(), CANCELLED, "{command}: {}", outcome.stderr());
            assert_eq!(outcome.stderr().lines().last(), Some("mrisynth: error: cancelled"));
            if command.contains("--json") {
                assert_eq!(outcome.json()["error"]["status"], "CANCELLED");
            }
            assert_eq!(workplace.files(), before, "{command}");
            took
        });
        assert!(attempts.iter().min() <= Some(&LIMIT), "{command}: {attempts:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn results_that_are_being_written_vanish_or_are_whole() {
    let workplace = Workplace::with_scan();
    let before = workplace.files();
    let arguments = "synthesize scan.nii.gz --prepared -o out.nii.gz --to t1w --qc out.png --force";
    let mut whole = before.clone();
    whole.extend(["out.json", "out.nii.gz", "out.png"].map(String::from));
    whole.sort();
    for delay in [0, 1, 2, 4, 8, 16, 32] {
        let child = start(&workplace, arguments);
        wait_until(|| has_staging_folder(&workplace.path("")) || workplace.files() == whole);
        sleep(Duration::from_millis(delay));
        let (outcome, _) = interrupt(child, "INT");
        let files = workplace.files();
        match outcome.code() {
            CANCELLED => assert!(files == before || files == whole, "{delay} ms: {files:?}"),
            code => assert_eq!((code, &files), (0, &whole), "{delay} ms: {}", outcome.stderr()),
        }
        whole.iter().filter(|name| !before.contains(name)).for_each(|name| {
            let _ = std::fs::remove_file(workplace.path(name));
        });
    }
}
