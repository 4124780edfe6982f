//! The supervisor: starts workers, one after the other until the time is over, and saves the inputs that end them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use mrisynth::digest;
use mrisynth_fuzz::{Target, files};

use crate::arguments::Arguments;
use crate::inputs::{Files, LastInput, Summary};
use crate::work::TOLD;

/// Letters of a fault that go into a file's name.
const MOST_NAME_LETTERS: usize = 60;

/// Fuzzes targets, some at a time, and prints what came of it; returns the number of faults.
///
/// # Errors
/// Those of starting workers and of files.
pub fn fuzz(targets: &[&'static Target], arguments: &Arguments) -> io::Result<usize> {
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.clamp(1, targets.len()) {
            scope.spawn(|| {
                while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = fuzz_one(target, arguments);
                    outcomes.lock().expect("no thread panics").push(outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().expect("no thread panics");
    outcomes.into_iter().sum()
}

/// Runs inputs once each, and prints which break a promise; returns their number.
///
/// # Errors
/// Those of starting workers and of files.
pub fn replay(target: &'static Target, arguments: &Arguments) -> io::Result<usize> {
    let mut faults = 0;
    for path in &arguments.replay {
        let folder = files::new_folder()?;
        let files = Files::new(folder.path());
        files.make_folders()?;
        let mut command = worker(target, &files, arguments)?;
        let status = command.arg("--replay").arg(path).status()?;
        if status.success() {
            println!("{}: fine", path.display());
        } else {
            faults += 1;
            println!("{}: {}", path.display(), describe(&files, status));
        }
    }
    Ok(faults)
}

fn fuzz_one(target: &'static Target, arguments: &Arguments) -> io::Result<usize> {
    let folder = files::new_folder()?;
    let mut fuzzing = Fuzzing {
        target,
        arguments,
        files: Files::new(folder.path()),
        faults: BTreeSet::new(),
        deaths: 0,
        first_run: 0,
        taken: 0,
    };
    fuzzing.files.make_folders()?;
    let start = Instant::now();
    let summary = loop {
        let left = arguments.seconds - start.elapsed().as_secs_f64();
        if let Some(summary) = fuzzing.run_worker(left)? {
            break summary;
        }
        if left <= 0.0 {
            break Summary::default();
        }
    };
    fuzzing.keep()?;
    fuzzing.print(&summary, start.elapsed().as_secs_f64());
    Ok(fuzzing.faults.len())
}

/// A command for a worker.
fn worker(target: &Target, files: &Files, arguments: &Arguments) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(target.name).arg("--worker").arg(files.scratch().parent().unwrap_or(Path::new(".")));
    command.arg("--root").arg(&arguments.root);
    command.args(["--time-limit", &arguments.time_limit.to_string()]);
    command.args(["--seed", &arguments.seed.to_string(), "--runs", &arguments.runs.to_string()]);
    if let Some(corpus) = &arguments.corpus {
        command.arg("--corpus").arg(corpus);
    }
    // One thread, so that the same input takes the same way.
    command.env("RAYON_NUM_THREADS", "1").env(files::SCRATCH_VARIABLE, files.scratch());
    let printed = File::create(files.printed())?;
    command.stdin(Stdio::null()).stdout(printed.try_clone()?).stderr(printed);
    Ok(command)
}

/// One target's fuzzing.
struct Fuzzing<'a> {
    target: &'static Target,
    arguments: &'a Arguments,
    files: Files,
    /// What was wrong, without numbers: each is saved once.
    faults: BTreeSet<String>,
    /// Workers that an input has ended.
    deaths: usize,
    first_run: u64,
    /// Inputs that were taken by workers that have ended.
    taken: u64,
}

impl Fuzzing<'_> {
    /// Runs a worker for so long; none if an input has ended it.
    fn run_worker(&mut self, seconds: f64) -> io::Result<Option<Summary>> {
        let mut command = worker(self.target, &self.files, self.arguments)?;
        command.args(["--seconds", &seconds.max(0.0).to_string()]);
        command.args(["--first-run", &self.first_run.to_string()]);
        let status = command.status()?;
        if status.success() {
            return Ok(Some(serde_json::from_slice(&fs::read(self.files.summary())?)?));
        }
        self.save(status)?;
        Ok(None)
    }

    /// Saves the input that has ended a worker, and goes on behind it.
    fn save(&mut self, status: ExitStatus) -> io::Result<()> {
        let last = LastInput::read(&self.files);
        let fault = describe(&self.files, status);
        if last.input.is_empty() && last.run == 0 && status.code() != Some(TOLD) && self.deaths > 0 {
            // It has not come to an input: nothing would be different the next time.
            return Err(io::Error::other(format!("{}: a worker cannot work: {fault}", self.target.name)));
        }
        self.deaths += 1;
        self.first_run = last.run + 1;
        self.taken += last.taken;
        let hash = &digest::sha256(&last.input)[..8];
        fs::write(self.files.faulty().join(hash), &last.input)?;
        let _ = fs::remove_file(self.files.fault());
        if self.faults.insert(without_numbers(&fault)) {
            let folder = self.arguments.root.join("regressions").join(self.target.name);
            fs::create_dir_all(&folder)?;
            let path = folder.join(format!("{}-{hash}", name_of(&fault)));
            fs::write(&path, &last.input)?;
            println!("{}: FAULT {fault}\n  saved as {}", self.target.name, path.display());
        }
        Ok(())
    }

    /// Copies the inputs that reach something new to where the user wants them.
    fn keep(&self) -> io::Result<()> {
        let Some(folder) = &self.arguments.keep else { return Ok(()) };
        let folder: PathBuf = folder.join(self.target.name);
        fs::create_dir_all(&folder)?;
        for (_, bytes) in files::read_all(&self.files.kept())? {
            fs::write(folder.join(&digest::sha256(&bytes)[..16]), bytes)?;
        }
        Ok(())
    }

    fn print(&self, summary: &Summary, seconds: f64) {
        let Summary { inputs, edges, is_guided, slowest_seconds, .. } = summary;
        let runs = summary.runs.max(self.first_run);
        let guided = if *is_guided { format!("{edges} edges") } else { "blind".into() };
        println!(
            "{}: {runs} runs in {seconds:.0} s, {} taken, {inputs} inputs, {guided}, slowest {slowest_seconds:.2} s, \
             {} faults in {} runs",
            self.target.name,
            self.taken + summary.taken,
            self.faults.len(),
            self.deaths,
        );
    }
}

/// What has ended a worker, in words.
fn describe(files: &Files, status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    if status.code() == Some(TOLD) {
        return fs::read_to_string(files.fault()).unwrap_or_else(|fault| format!("a fault: {fault}"));
    }
    let printed = fs::read(files.printed()).unwrap_or_default();
    let printed = String::from_utf8_lossy(&printed);
    let last = printed.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    match status.signal() {
        Some(signal) => format!("signal {signal}: {last}"),
        None => format!("{status}: {last}"),
    }
}

/// The same for faults that differ in numbers alone.
fn without_numbers(fault: &str) -> String {
    let mut kept = String::new();
    for letter in fault.chars() {
        let letter = if letter.is_ascii_digit() { '#' } else { letter };
        if !(letter == '#' && kept.ends_with('#')) {
            kept.push(letter);
        }
    }
    kept
}

/// A file's name for a fault: its last line's words.
fn name_of(fault: &str) -> String {
    let line = fault.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("fault").to_ascii_lowercase();
    let words = line.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut name = words.collect::<Vec<_>>().join("-");
    name.truncate(MOST_NAME_LETTERS);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_one_whatever_their_numbers() {
        assert_eq!(without_numbers("index 12 of 7"), without_numbers("index 3 of 100"));
        assert_ne!(without_numbers("index 12 of 7"), without_numbers("index 12 in 7"));
    }

    #[test]
    fn names_are_words_of_the_last_line() {
        assert_eq!(name_of("panicked at a/b.rs:3:4:\nindex out of bounds: 7\n"), "index-out-of-bounds-7");
        assert_eq!(name_of(""), "fault");
    }
}
