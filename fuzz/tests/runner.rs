//! The runner finds planted defects of every kind, saves the inputs that show them, and shows them again; what is sound passes.

use std::path::Path;
use std::process::{Command, Output};

fn runner(root: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mrisynth-fuzz"));
    command.arg("--root").arg(root).args(["--time-limit", "1"]).args(arguments);
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn every_kind_of_defect_is_found_saved_and_shown_again() {
    for (target, words) in [
        ("planted_panic", "planted"),
        ("planted_crash", "signal 6"),
        ("planted_overflow", "stack overflow"),
        ("planted_hang", "no end after 1 s"),
        ("planted_memory", "bytes of memory at once"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let found = runner(root.path(), &[target, "--seconds", "4", "--runs", "30000"]);
        assert_eq!(found.status.code(), Some(1), "{target}: {}", text(&found));
        assert!(text(&found).contains(words), "{target}: {}", text(&found));
        let saved: Vec<_> = std::fs::read_dir(root.path().join("regressions").join(target))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(saved.len(), 1, "one fault is saved once: {saved:?}");
        assert_eq!(std::fs::read(&saved[0]).unwrap()[0], b'S');
        let again = runner(root.path(), &[target, "--replay", saved[0].to_str().unwrap()]);
        assert_eq!(again.status.code(), Some(1), "{target}: {}", text(&again));
        assert!(text(&again).contains(words), "{target}: {}", text(&again));
        // What is sound passes.
        let sound = root.path().join("sound");
        std::fs::write(&sound, "s").unwrap();
        let fine = runner(root.path(), &[target, "--replay", sound.to_str().unwrap()]);
        assert_eq!(fine.status.code(), Some(0), "{target}: {}", text(&fine));
    }
}

#[test]
fn the_same_seed_makes_the_same_inputs() {
    let kept = |seed: &str| {
        let root = tempfile::tempdir().unwrap();
        let keep = root.path().join("kept");
        let arguments = ["model_card", "--runs", "3000", "--seed", seed, "--keep", keep.to_str().unwrap()];
        let output = runner(root.path(), &arguments);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        let names = std::fs::read_dir(keep.join("model_card")).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(kept("1"), kept("1"));
    assert_ne!(kept("1"), kept("2"));
}

#[test]
fn unknown_targets_are_told() {
    let output = runner(Path::new("."), &["nonsense"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("nifti_read"), "{}", text(&output));
}
