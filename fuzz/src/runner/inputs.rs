//! What a worker leaves for its supervisor: the input at hand, written before it is run, and what was wrong.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Bytes before the input: the run's number, inputs taken before it, and the input's length.
const HEADER_BYTES: usize = 24;

/// The worker's files in a folder.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
}

impl Files {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The input at hand.
    pub fn current(&self) -> PathBuf {
        self.folder.join("current")
    }

    /// What was wrong, in words.
    pub fn fault(&self) -> PathBuf {
        self.folder.join("fault")
    }

    /// What the worker and all under it have printed.
    pub fn printed(&self) -> PathBuf {
        self.folder.join("printed")
    }

    /// What was done, after an end without fault.
    pub fn summary(&self) -> PathBuf {
        self.folder.join("summary")
    }

    /// Inputs that reach something new.
    pub fn kept(&self) -> PathBuf {
        self.folder.join("kept")
    }

    /// Inputs that end a worker, which the next one must leave out.
    pub fn faulty(&self) -> PathBuf {
        self.folder.join("faulty")
    }

    /// For the files that targets make.
    pub fn scratch(&self) -> PathBuf {
        self.folder.join("scratch")
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// Those of making them.
    pub fn make_folders(&self) -> io::Result<()> {
        [self.kept(), self.faulty(), self.scratch()].iter().try_for_each(fs::create_dir_all)
    }
}

/// Writes the input at hand: one write for each.
pub struct CurrentInput {
    file: File,
    bytes: Vec<u8>,
}

impl CurrentInput {
    /// # Errors
    /// Those of making the file.
    pub fn new(files: &Files) -> io::Result<Self> {
        Ok(Self { file: File::create(files.current())?, bytes: Vec::new() })
    }

    /// # Errors
    /// Those of writing.
    pub fn write(&mut self, run: u64, taken: u64, input: &[u8]) -> io::Result<()> {
        use std::os::unix::fs::FileExt;
        self.bytes.clear();
        for number in [run, taken, input.len() as u64] {
            self.bytes.extend(number.to_le_bytes());
        }
        self.bytes.extend(input);
        self.file.write_all_at(&self.bytes, 0)
    }
}

/// The input that a worker was at.
#[derive(Debug, Default)]
pub struct LastInput {
    pub run: u64,
    pub taken: u64,
    pub input: Vec<u8>,
}

impl LastInput {
    /// What is there; zeros and nothing where the worker never came to an input.
    pub fn read(files: &Files) -> Self {
        let bytes = fs::read(files.current()).unwrap_or_default();
        let number = |at: usize| -> Option<u64> {
            Some(u64::from_le_bytes(bytes.get(8 * at..8 * at + 8)?.try_into().ok()?))
        };
        let read = || {
            let input = bytes.get(HEADER_BYTES..)?.get(..number(2)? as usize)?.to_vec();
            Some(Self { run: number(0)?, taken: number(1)?, input })
        };
        read().unwrap_or_default()
    }
}

/// What a worker has done.
#[derive(Debug, Default, serde::Deserialize, serde::Serialize)]
pub struct Summary {
    pub runs: u64,
    pub taken: u64,
    pub inputs: usize,
    pub edges: usize,
    pub is_guided: bool,
    pub slowest_seconds: f64,
}
