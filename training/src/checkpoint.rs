//! Checkpoints of a run: whole folders under `checkpoints/`, each file with its SHA-256, the last two kept.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;

const KEPT: usize = 2;
const PREFIX: &str = "step-";
const STATE: &str = "state.json";

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// The recipe's digest.
    pub recipe_sha256: String,
    /// Digest of every file beside this one.
    pub files: BTreeMap<String, String>,
}

/// One checkpoint, read and verified.
#[derive(Debug)]
pub struct Checkpoint {
    /// Its folder, for messages.
    pub path: PathBuf,
    /// What it says of itself.
    pub state: State,
    files: BTreeMap<String, Vec<u8>>,
}

impl Checkpoint {
    /// Takes the contents of the file `name` out.
    pub fn take(&mut self, name: &str) -> Result<Vec<u8>, Error> {
        self.files.remove(name).ok_or_else(|| Error::checkpoint(&self.path, format!("{name} is missing")))
    }

    /// Whether the file `name` is there.
    pub fn holds(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }
}

/// Writes a checkpoint of `files` under the folder of the run and removes all but the last two.
pub fn save(run: &Path, step: u64, recipe_sha256: &str, files: &[(&str, Vec<u8>)]) -> Result<(), Error> {
    let folder = folder_of(run);
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    let last = folder.join(format!("{PREFIX}{step:010}"));
    if last.exists() {
        return Ok(());
    }
    let temporary = tempfile::Builder::new()
        .prefix(".unfinished-")
        .tempdir_in(&folder)
        .map_err(|e| Error::io(&folder, e))?;
    for (name, bytes) in files {
        write_synced(&temporary.path().join(name), bytes)?;
    }
    let state = State {
        step,
        recipe_sha256: recipe_sha256.into(),
        files: files.iter().map(|(name, bytes)| ((*name).to_owned(), digest(bytes))).collect(),
    };
    let text =
        serde_json::to_vec_pretty(&state).map_err(|e| Error::checkpoint(&last, format!("{STATE}: {e}")))?;
    write_synced(&temporary.path().join(STATE), &text)?;
    fs::rename(temporary.keep(), &last).map_err(|e| Error::io(&last, e))?;
    prune(&folder)
}

/// Reads the newest checkpoint of the run, or none where there is none yet.
pub fn latest(run: &Path) -> Result<Option<Checkpoint>, Error> {
    match list(&folder_of(run))?.pop() {
        Some(path) => read(path).map(Some),
        None => Ok(None),
    }
}

fn read(path: PathBuf) -> Result<Checkpoint, Error> {
    let text = fs::read(path.join(STATE)).map_err(|e| Error::io(path.join(STATE), e))?;
    let state: State =
        serde_json::from_slice(&text).map_err(|e| Error::checkpoint(&path, format!("{STATE}: {e}")))?;
    let mut files = BTreeMap::new();
    for (name, expected) in &state.files {
        if Path::new(name).components().count() != 1 || name.starts_with('.') {
            return Err(Error::checkpoint(&path, format!("{name} is no file name")));
        }
        let bytes = fs::read(path.join(name)).map_err(|e| Error::io(path.join(name), e))?;
        if digest(&bytes) != *expected {
            return Err(Error::checkpoint(
                &path,
                format!("{name} does not match its SHA-256; remove this folder to go back one checkpoint"),
            ));
        }
        files.insert(name.clone(), bytes);
    }
    Ok(Checkpoint { path, state, files })
}

fn folder_of(run: &Path) -> PathBuf {
    run.join("checkpoints")
}

/// The finished checkpoints, oldest first.
fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(folder, e)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| Error::io(folder, e))?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn prune(folder: &Path) -> Result<(), Error> {
    let mut found = list(folder)?;
    let old = found.len().saturating_sub(KEPT);
    for path in found.drain(..old) {
        fs::remove_dir_all(&path).map_err(|e| Error::io(&path, e))?;
    }
    Ok(())
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    File::create(path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .map_err(|e| Error::io(path, e))
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_two_are_kept_and_the_newest_is_read() {
        let run = tempfile::tempdir().unwrap();
        assert!(latest(run.path()).unwrap().is_none());
        for step in [9, 10, 11] {
            save(run.path(), step, "r", &[("model", vec![step as u8; 3])]).unwrap();
        }
        assert_eq!(list(&folder_of(run.path())).unwrap().len(), 2);
        let mut newest = latest(run.path()).unwrap().unwrap();
        assert_eq!(newest.state.step, 11);
        assert_eq!(newest.take("model").unwrap(), [11; 3]);
        assert!(newest.take("model").is_err());
    }

    #[test]
    fn a_changed_file_is_noticed() {
        let run = tempfile::tempdir().unwrap();
        save(run.path(), 1, "r", &[("model", vec![1, 2, 3])]).unwrap();
        let path = latest(run.path()).unwrap().unwrap().path;
        fs::write(path.join("model"), [1, 2, 4]).unwrap();
        let message = latest(run.path()).unwrap_err().to_string();
        assert!(message.contains("model does not match"), "{message}");
    }
}
