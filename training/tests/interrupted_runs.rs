//! Runs of the command that are killed or find a full disk: nothing is lost, and what is resumed ends as a straight run does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use mrisynth_training::data::store::{Origin, StoreWriter, Subject};
use ndarray::Array3;

const STEPS: u64 = 30;

/// A ball of brain whose T2w is one minus its T1w.
fn subject(number: usize) -> Subject {
    let t1w = Array3::from_shape_fn((24, 24, 12), |(i, j, k)| {
        let square = |x: usize, centre: f32| (x as f32 - centre).powi(2);
        let inside = square(i, 11.5) + square(j, 11.5) + 4.0 * square(k, 5.5) < 100.0;
        if inside { (20_000 + 1000 * ((i * (number + 2) + j + k) % 20)) as u16 } else { 0 }
    });
    Subject {
        id: format!("s{number}"),
        patient: format!("p{number}"),
        origin: Origin::Simulated,
        t2w: t1w.mapv(|value| if value > 0 { u16::MAX - value } else { 0 }),
        t1w,
    }
}

/// A folder with a store and a recipe of a small CycleGAN.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("cohort.store");
    let mut writer = StoreWriter::create(&store).unwrap();
    (0..4).for_each(|number| writer.append(&subject(number)).unwrap());
    writer.finish().unwrap();
    let recipe = format!(
        "method = 'cyclegan'\nsource = 't2w'\ntarget = 't1w'\nstores = ['{}']\nwindow = 32\nsteps = {STEPS}\n\
         epoch_steps = 4\ncheckpoint_every = 1\nlog_every = 1\nvalidation_slices = 1\n\
         [cycle_losses]\npool_size = 3\n[network]\nwidths = [16, 32, 32]\nresidual_blocks = 1\n\
         [discriminator]\nwidths = [8, 16]\nspectral_normalization = true\n",
        store.display()
    );
    std::fs::write(folder.path().join("recipe.toml"), recipe).unwrap();
    folder
}

fn command(folder: &Path, run: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mrisynth-train"));
    command
        .args(["train", "--threads", "1", "--recipe"])
        .arg(folder.join("recipe.toml"))
        .arg("--output")
        .arg(folder.join(run))
        .args(more);
    command
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The bytes of both exported generators.
fn exported(folder: &Path, run: &str) -> Vec<Vec<u8>> {
    let models = folder.join(format!("{run}-models"));
    std::fs::create_dir(&models).unwrap();
    let mut export = Command::new(env!("CARGO_BIN_EXE_mrisynth-train"));
    export.args(["export", "--float32", "--checkpoint", "newest", "--run"]).arg(folder.join(run));
    succeed(export.arg("--output").arg(&models));
    let names = ["t1w-from-t2w.onnx", "t2w-from-t1w.onnx"];
    names.map(|name| std::fs::read(models.join(name)).unwrap()).into()
}

fn checkpoints(folder: &Path, run: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder.join(run).join("checkpoints")) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_run_killed_anywhere_ends_as_a_straight_one() {
    let folder = workplace();
    let folder = folder.path();
    succeed(&mut command(folder, "straight", &[]));
    let mut kills = 0;
    for wait in [2, 3, 5, 7] {
        let mut child = command(folder, "killed", &["--resume"]).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(120);
        let seen = checkpoints(folder, "killed");
        // Some checkpoints later, and then at any moment, perhaps in the middle of a write.
        while checkpoints(folder, "killed") == seen && Instant::now() < until {
            sleep(Duration::from_millis(wait));
        }
        sleep(Duration::from_millis(37 * wait));
        if child.try_wait().unwrap().is_none() {
            kills += 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(kills > 0, "the run was over before it could be killed");
    let output = succeed(&mut command(folder, "killed", &["--resume"]));
    assert!(String::from_utf8_lossy(&output.stdout).contains(&format!("step {STEPS}: complete")));
    assert_eq!(exported(folder, "straight"), exported(folder, "killed"));
    let validation = |run: &str| std::fs::read_to_string(folder.join(run).join("validation.jsonl")).unwrap();
    assert_eq!(validation("straight"), validation("killed"));
    let steps = |run: &str| -> Vec<u64> {
        let log = std::fs::read_to_string(folder.join(run).join("log.jsonl")).unwrap();
        log.lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(steps("killed"), (1..=STEPS).collect::<Vec<_>>());
    assert!(checkpoints(folder, "killed").iter().all(|path| !path.to_string_lossy().contains("unfinished")));
}

/// A limit on the size of files stands for a disk that fills up: writes fail in the middle of a file.
#[cfg(unix)]
#[test]
fn a_full_disk_at_a_checkpoint_is_an_error_and_the_last_good_checkpoint_is_kept() {
    let folder = workplace();
    let folder = folder.path();
    succeed(&mut command(folder, "full", &["--time-limit", "0"]));
    let before = checkpoints(folder, "full");
    assert_eq!(before.len(), 1);
    let limited = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 40; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_mrisynth-train"))
        .args(command(folder, "full", &["--resume"]).get_args())
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&limited.stderr);
    assert!(!limited.status.success());
    assert!(message.contains("checkpoints") && message.contains(".mpk"), "{message}");
    assert_eq!(checkpoints(folder, "full"), before);
    succeed(&mut command(folder, "full", &["--resume"]));
    succeed(&mut command(folder, "straight", &[]));
    assert_eq!(exported(folder, "straight"), exported(folder, "full"));
}
