//! Checkpoints of a run: whole folders, each file with its SHA-256; the newest are kept.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use mrisynth::digest::sha256;
use serde::{Deserialize, Serialize};

use crate::error::Error;

const PREFIX: &str = "step-";
const STATE: &str = "state.json";
/// The prefix of a folder whose writing was not finished.
const UNFINISHED: &str = ".unfinished-";

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// The recipe's digest.
    pub recipe_sha256: String,
    /// Mean structural similarity of the validation slices, if this checkpoint was judged by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_ssim: Option<f64>,
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

/// A folder of checkpoints.
#[derive(Clone, Debug)]
pub struct Shelf {
    folder: PathBuf,
    kept: usize,
}

impl Shelf {
    /// The newest two checkpoints of a run, to go on from: if one is damaged, there is another.
    pub fn newest(run: &Path) -> Self {
        Self { folder: run.join("checkpoints"), kept: 2 }
    }

    /// The one checkpoint of a run that scored best on the validation part.
    pub fn best(run: &Path) -> Self {
        Self { folder: run.join("best"), kept: 1 }
    }

    /// Writes a checkpoint of `files`, whole or not at all, and removes those that are too old.
    ///
    /// # Errors
    /// [`Error::Io`], for example on a full disk; all older checkpoints are there still.
    pub fn save(&self, judged: &Judged<'_>, files: &[(&str, Vec<u8>)]) -> Result<(), Error> {
        let folder = &self.folder;
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        self.remove_unfinished()?;
        let last = folder.join(format!("{PREFIX}{:010}", judged.step));
        if last.exists() {
            return Ok(());
        }
        let temporary = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempdir_in(folder)
            .map_err(|e| Error::io(folder, e))?;
        for (name, bytes) in files {
            write_synced(&temporary.path().join(name), bytes)?;
        }
        let state = State {
            step: judged.step,
            recipe_sha256: judged.recipe_sha256.into(),
            validation_ssim: judged.validation_ssim,
            files: files.iter().map(|(name, bytes)| ((*name).to_owned(), sha256(bytes))).collect(),
        };
        let text = serde_json::to_vec_pretty(&state)
            .map_err(|e| Error::checkpoint(&last, format!("{STATE}: {e}")))?;
        write_synced(&temporary.path().join(STATE), &text)?;
        fs::rename(temporary.path(), &last).map_err(|e| Error::io(&last, e))?;
        self.prune()
    }

    /// Reads the newest checkpoint, or none where there is none yet.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Checkpoint`] if it is damaged.
    pub fn latest(&self) -> Result<Option<Checkpoint>, Error> {
        match self.list()?.pop() {
            Some(path) => read(path).map(Some),
            None => Ok(None),
        }
    }

    /// The finished checkpoints, oldest first.
    fn list(&self) -> Result<Vec<PathBuf>, Error> {
        self.entries(PREFIX)
    }

    /// What a run that was killed has left.
    fn remove_unfinished(&self) -> Result<(), Error> {
        self.entries(UNFINISHED)?.iter().try_for_each(|path| remove(path))
    }

    fn entries(&self, prefix: &str) -> Result<Vec<PathBuf>, Error> {
        let folder = &self.folder;
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io(folder, e)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| Error::io(folder, e))?;
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }

    fn prune(&self) -> Result<(), Error> {
        let mut found = self.list()?;
        let old = found.len().saturating_sub(self.kept);
        found.drain(..old).try_for_each(|path| remove(&path))
    }
}

/// What a new checkpoint says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// Steps done.
    pub step: u64,
    /// The recipe's digest.
    pub recipe_sha256: &'a str,
    /// How well it did on the validation part, where that was looked at.
    pub validation_ssim: Option<f64>,
}

fn remove(folder: &Path) -> Result<(), Error> {
    fs::remove_dir_all(folder).map_err(|e| Error::io(folder, e))
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
        if sha256(&bytes) != *expected {
            return Err(Error::checkpoint(
                &path,
                format!("{name} does not match its SHA-256; remove this folder to go back one checkpoint"),
            ));
        }
        files.insert(name.clone(), bytes);
    }
    Ok(Checkpoint { path, state, files })
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    File::create(path)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .map_err(|e| Error::io(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn save(shelf: &Shelf, step: u64) {
        let judged = Judged { step, recipe_sha256: "r", validation_ssim: None };
        shelf.save(&judged, &[("model", vec![step as u8; 3])]).unwrap();
    }

    #[test]
    fn the_last_two_are_kept_and_the_newest_is_read() {
        let run = tempfile::tempdir().unwrap();
        let shelf = Shelf::newest(run.path());
        assert!(shelf.latest().unwrap().is_none());
        for step in [9, 10, 11] {
            save(&shelf, step);
        }
        assert_eq!(shelf.list().unwrap().len(), 2);
        let mut newest = shelf.latest().unwrap().unwrap();
        assert_eq!(newest.state.step, 11);
        assert_eq!(newest.take("model").unwrap(), [11; 3]);
        assert!(newest.take("model").is_err());
    }

    #[test]
    fn a_changed_file_is_noticed() {
        let run = tempfile::tempdir().unwrap();
        let shelf = Shelf::newest(run.path());
        save(&shelf, 1);
        let path = shelf.latest().unwrap().unwrap().path;
        fs::write(path.join("model"), [1, 2, 4]).unwrap();
        let message = shelf.latest().unwrap_err().to_string();
        assert!(message.contains("model does not match"), "{message}");
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_never_read() {
        let run = tempfile::tempdir().unwrap();
        let shelf = Shelf::best(run.path());
        save(&shelf, 1);
        let left = shelf.folder.join(format!("{UNFINISHED}abc"));
        fs::create_dir(&left).unwrap();
        fs::write(left.join("model"), [1]).unwrap();
        assert_eq!(shelf.latest().unwrap().unwrap().state.step, 1);
        save(&shelf, 2);
        assert!(!left.exists());
        assert_eq!(shelf.list().unwrap().len(), 1);
    }
}
