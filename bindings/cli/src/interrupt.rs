//! Ends the command at once on Ctrl-C or when it is asked to terminate, with nothing half done left behind.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use mrisynth::{Error, temporary};

use crate::{exit, report};

/// The hidden folders that results are written to, which must not outlive the command.
static STAGED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// How often a folder is emptied into which threads may still write.
const ATTEMPTS: usize = 10;

/// Ends the command on SIGINT, SIGTERM and SIGHUP (and Ctrl-C on Windows) with an error of the table of exit codes, as JSON too
/// where that was asked for. Other threads need not notice: results are moved into place whole, or not at all.
pub fn watch(json: bool) {
    let watching = ctrlc::set_handler(move || {
        // Kept to the end: from here on nothing is published, nor does another failure speak.
        let staged = staged();
        staged.iter().for_each(|folder| remove(folder));
        let _ = report::failure(&Error::Cancelled, json);
        std::process::exit(exit::ending_of(&Error::Cancelled).code.into());
    });
    if let Err(fault) = watching {
        // The command works all the same; the system ends it on a signal.
        report::warning(&format!("signals are left to the system: {fault}"));
    }
}

/// Does what must not be cut in two, such as moving results into place. Must not be called within itself.
pub fn uninterrupted<T>(work: impl FnOnce() -> T) -> T {
    let _staged = staged();
    work()
}

/// A hidden folder, which vanishes with the command too.
#[derive(Debug)]
pub struct StagingFolder(temporary::Folder);

impl StagingFolder {
    /// Makes one in the folder `beside`, without those there that a killed command has left.
    ///
    /// # Errors
    /// Those of making a folder.
    pub fn new_in(beside: &Path) -> std::io::Result<Self> {
        let mut staged = staged();
        let folder = temporary::Folder::new_in(beside)?;
        staged.push(folder.path().to_owned());
        Ok(Self(folder))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for StagingFolder {
    fn drop(&mut self) {
        remove(self.path());
        staged().retain(|folder| folder != self.path());
    }
}

fn staged() -> MutexGuard<'static, Vec<PathBuf>> {
    STAGED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes a folder; a file that another thread makes meanwhile asks for another attempt.
fn remove(folder: &Path) {
    let _ = (0..ATTEMPTS).find(|_| temporary::remove_folder(folder).is_ok() || !folder.exists());
}
