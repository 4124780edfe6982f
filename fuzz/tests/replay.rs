//! Every input that is committed goes through its target without a fault, and the seeds are those that the program writes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mrisynth_fuzz::{TARGETS, files};

/// Bytes of all committed inputs together, at most.
const MOST_BYTES: usize = 1 << 20;
/// Inputs are small, and so is the time for each: far below this.
const MOST_TIME: Duration = Duration::from_secs(10);

fn folder(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind).join(target)
}

#[test]
fn corpus_and_regressions_break_no_promise() {
    for target in &TARGETS {
        let corpus = files::read_all(&folder("corpus", target.name)).unwrap();
        assert!(!corpus.is_empty(), "{} has no inputs", target.name);
        let regressions = files::read_all(&folder("regressions", target.name)).unwrap();
        for (name, bytes) in corpus.iter().chain(&regressions) {
            let start = Instant::now();
            // A fault's message comes after this line.
            println!("{}: {name}", target.name);
            (target.run)(bytes);
            assert!(start.elapsed() < MOST_TIME, "{name} takes {:?}", start.elapsed());
        }
    }
}

#[test]
fn the_seeds_are_committed() {
    for target in &TARGETS {
        let corpus = files::read_all(&folder("corpus", target.name)).unwrap();
        for seed in (target.seeds)() {
            assert!(
                corpus.contains(&seed),
                "corpus/{}/{} is another: write it with `mrisynth-fuzz seeds`",
                target.name,
                seed.0
            );
        }
    }
}

#[test]
fn committed_inputs_are_small_and_belong_to_a_target() {
    let mut bytes = 0;
    for kind in ["corpus", "regressions"] {
        let Ok(folders) = std::fs::read_dir(folder(kind, "")) else { continue };
        for entry in folders {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(TARGETS.iter().any(|target| target.name == name), "{} is no target", path.display());
            bytes += files::read_all(&path).unwrap().iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
        }
    }
    assert!(bytes < MOST_BYTES, "{bytes} bytes");
}
