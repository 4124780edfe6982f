//! Devices, pipes, sockets, folders, dangling links and locked files where the command reads or writes a file: a documented
//! error that names them, soon, with nothing written or lost.

#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{Outcome, Workplace, model_file};

/// Nobody waits longer for an error; a machine that does much else meanwhile must not fail the test.
const SOON: Duration = Duration::from_secs(60);

/// A name, and how what has it is made.
type Made = (&'static str, fn(&Path));

/// What is no file that can be read: its name, and how it is made. All lie in the folder `odd`.
const ODD: [Made; 8] = [
    ("folder", |path| fs::create_dir(path).unwrap()),
    ("dangling", |path| symlink("nowhere", path).unwrap()),
    ("pipe", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
    ("socket", |path| drop(UnixListener::bind(path).unwrap())),
    ("zero", |path| symlink("/dev/zero", path).unwrap()),
    ("full", |path| symlink("/dev/full", path).unwrap()),
    ("null", |path| symlink("/dev/null", path).unwrap()),
    ("locked", |path| {
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    }),
];

/// Every place of the command line where a file is read, as ODD; `scan` is a good one.
const INPUTS: [&str; 24] = [
    "synthesize ODD -o out.nii --to t1w --prepared",
    "synthesize ODD -o out.nii --to t1w",
    "synthesize scan.nii.gz -o out.nii --to t1w --mask ODD",
    "synthesize scan.nii.gz -o out.nii --to t1w --prepared --model ODD",
    "synthesize scan.nii.gz -o out.nii --to t1w --prepared --residual r.nii --residual-model ODD",
    "prepare ODD -o out",
    "prepare ODD -o out --bias itk --bias-only",
    "prepare scan.nii.gz -o out --mask ODD",
    "segment ODD -o out.nii",
    "segment scan.nii.gz -o out.nii --mask ODD",
    "segment scan.nii.gz -o out.nii --lesions ODD",
    "segment scan.nii.gz -o out.nii --flair ODD",
    "segment scan.nii.gz -o out.nii --t2w ODD",
    "evaluate --reference ODD --synthetic scan.nii.gz",
    "evaluate --reference scan.nii.gz --synthetic ODD",
    "evaluate --reference scan.nii.gz --synthetic scan.nii.gz --mask ODD",
    "evaluate --reference scan.nii.gz --synthetic scan.nii.gz --lesions-reference ODD",
    "evaluate --reference scan.nii.gz --synthetic scan.nii.gz --lesions-reference scan.nii.gz --lesions-synthetic ODD",
    "evaluate --reference scan.nii.gz --synthetic scan.nii.gz --labels-reference ODD --labels-synthetic scan.nii.gz",
    "evaluate --reference scan.nii.gz --synthetic scan.nii.gz --label-table ODD",
    "evaluate --study ODD -o results",
    "model info ODD",
    "model verify ODD",
    "model verify beside.onnx",
];

/// The command in a workplace, as a user that file permissions hold for: root without its power over them.
fn command(workplace: &Workplace, arguments: &str) -> Command {
    let is_root =
        Path::new("/proc/self").metadata().is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let binary = env!("CARGO_BIN_EXE_mrisynth");
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-dac_override,-dac_read_search", binary]);
        command
    } else {
        Command::new(binary)
    };
    command.args(arguments.split_whitespace()).current_dir(workplace.path(""));
    command
}

/// Runs it; `None` if it hangs.
fn run(workplace: &Workplace, arguments: &str) -> Option<Outcome> {
    let mut child =
        command(workplace, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > SOON {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        sleep(Duration::from_millis(5));
    }
    Some(Outcome(child.wait_with_output().unwrap()))
}

fn workplace_with(odd: &str, make: fn(&Path)) -> Workplace {
    let workplace = Workplace::with_scan();
    fs::create_dir(workplace.path("odd")).unwrap();
    make(&workplace.path("odd").join(odd));
    // Beside a model, in place of the file with its SHA-256.
    symlink(model_file("t1w-from-t2w.onnx"), workplace.path("beside.onnx")).unwrap();
    symlink(Path::new("odd").join(odd), workplace.path("beside.onnx.sha256")).unwrap();
    workplace
}

#[test]
fn what_is_no_file_is_a_soon_told_error_wherever_one_is_read() {
    for (odd, make) in ODD {
        let workplace = workplace_with(odd, make);
        let before = workplace.files();
        for input in INPUTS {
            if odd == "dangling" && input.ends_with("beside.onnx") {
                // As if there were no such file.
                continue;
            }
            let arguments = input.replace("ODD", &format!("odd/{odd}"));
            let Some(outcome) = run(&workplace, &arguments) else { panic!("{arguments}: it hangs") };
            let (code, stderr) = (outcome.code(), outcome.stderr());
            let last = stderr.lines().last().unwrap_or_default();
            assert!((11..=14).contains(&code), "{arguments}: {code}: {stderr}");
            let name = if input.contains("ODD") { odd } else { "beside.onnx.sha256" };
            assert!(last.starts_with("mrisynth: error: ") && last.contains(name), "{arguments}: {stderr}");
            assert_eq!(outcome.stdout(), "", "{arguments}");
            assert_eq!(workplace.files(), before, "{arguments}");
        }
    }
}

/// Every place of the command line where a file is written, as OUT.
const OUTPUTS: [&str; 7] = [
    "synthesize scan.nii.gz -o OUT.nii --to t1w --prepared",
    "synthesize scan.nii.gz -o out.nii --to t1w --prepared --residual OUT.nii",
    "synthesize scan.nii.gz -o out.nii --to t1w --prepared --qc OUT.png",
    "prepare scan.nii.gz -o out --qc OUT.png",
    "segment scan.nii.gz -o OUT.nii",
    "segment scan.nii.gz -o out.nii --t2w scan.nii.gz --lesions-output OUT.nii",
    "evaluate --reference scan.nii.gz --synthetic scan.nii.gz --json OUT.json",
];

/// What must not be replaced by a result, even where that is asked for.
const NEVER_REPLACED: [Made; 4] = [
    ODD[0],
    ODD[2],
    ODD[3],
    // A device with a name of its own; only root can make one.
    ("device", |path| {
        let made = Command::new("mknod").arg(path).args(["c", "1", "7"]).stderr(Stdio::null()).status();
        if !made.is_ok_and(|status| status.success()) {
            eprintln!("SKIPPED: no device can be made here; a pipe takes its place");
            ODD[2].1(path);
        }
    }),
];

#[test]
fn no_result_takes_the_place_of_what_is_no_file() {
    for (odd, make) in NEVER_REPLACED {
        for output in OUTPUTS {
            if odd == "folder" && output.contains("-o OUT.nii --to") {
                // Results may go into a folder, whatever it is called.
                continue;
            }
            let workplace = Workplace::with_scan();
            let ending =
                ["nii", "png", "json"].into_iter().find(|ending| output.contains(&format!("OUT.{ending}")));
            let name = format!("{odd}.{}", ending.unwrap());
            make(&workplace.path(&name));
            let kind =
                |workplace: &Workplace| fs::symlink_metadata(workplace.path(&name)).unwrap().file_type();
            let (before, is) = (workplace.files(), kind(&workplace));
            let arguments = output.replace("OUT", odd) + " --force";
            let Some(outcome) = run(&workplace, &arguments) else { panic!("{arguments}: it hangs") };
            assert_eq!(outcome.code(), 11, "{arguments}: {}", outcome.stderr());
            assert!(outcome.stderr().contains(&name), "{arguments}: {}", outcome.stderr());
            assert_eq!(workplace.files(), before, "{arguments}");
            assert_eq!(kind(&workplace), is, "{arguments}");
            assert!(
                !kind(&workplace).is_file()
                    && (is.is_dir() || is.is_fifo() || is.is_socket() || is.is_char_device())
            );
        }
    }
}

#[test]
fn a_folder_that_nobody_may_write_to_is_told_before_the_work_and_stays_empty() {
    let workplace = Workplace::with_scan();
    let locked = workplace.path("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    for output in
        OUTPUTS.into_iter().chain(["prepare scan.nii.gz -o locked", "prepare scan.nii.gz -o locked/new"])
    {
        let arguments = output.replace("OUT", "locked/out");
        let Some(outcome) = run(&workplace, &arguments) else { panic!("{arguments}: it hangs") };
        let outcome = outcome.failed(12, "locked");
        assert!(outcome.stderr().contains("ermission denied"), "{arguments}: {}", outcome.stderr());
        assert_eq!(fs::read_dir(&locked).unwrap().count(), 0);
        assert_eq!(workplace.files(), ["locked", "scan.nii.gz"], "{arguments}");
    }
}

#[test]
fn permission_that_is_lost_meanwhile_leaves_nothing() {
    let workplace = Workplace::with_scan();
    fs::create_dir(workplace.path("results")).unwrap();
    let arguments = "synthesize scan.nii.gz -o results/out.nii --to t1w --prepared -vv";
    let child = command(&workplace, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The check of the places is through when the work begins; long before the results are written.
    sleep(Duration::from_millis(300));
    fs::set_permissions(workplace.path("results"), fs::Permissions::from_mode(0o555)).unwrap();
    let outcome = Outcome(child.wait_with_output().unwrap());
    if outcome.code() == 0 {
        eprintln!("SKIPPED: the work was done before the permission was taken");
        return;
    }
    outcome.failed(12, "results/out");
    assert_eq!(fs::read_dir(workplace.path("results")).unwrap().count(), 0);
}

#[test]
fn output_that_nobody_can_take_is_an_error_and_no_panic() {
    let workplace = Workplace::with_scan();
    for arguments in ["model list", "model list --json", "model info t1w-from-t2w"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(&workplace, arguments).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let outcome = Outcome(output);
        assert_eq!(outcome.code(), 12, "{arguments}: {}", outcome.stderr());
        assert!(outcome.stderr().contains("No space left"), "{arguments}: {}", outcome.stderr());
    }
}
