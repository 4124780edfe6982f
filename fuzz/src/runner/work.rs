//! A worker: makes inputs, runs the target on them, and keeps those that reach something new, until its time is over or an input
//! breaks a promise.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::HashSet;
use std::io;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, process, thread};

use mrisynth_fuzz::{Random, Target, files, targets};

use crate::allocator;
use crate::arguments::Arguments;
use crate::coverage::Coverage;
use crate::inputs::{CurrentInput, Files, Summary};

/// A worker ends with this code when it has told what was wrong.
pub const TOLD: i32 = 70;
/// How many times as long as it may work a run may sleep.
const SLEEP_FACTOR: f64 = 6.0;
/// How often the time of a run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Runs without instrumentation of which one is kept, so that changes pile up at all.
const BLIND_KEPT: usize = 500;
/// Inputs that count as found last.
const LAST: usize = 32;
/// Inputs that are kept in memory.
const MOST_INPUTS: usize = 20_000;

/// The number of the run at hand, from 1; 0: there is none.
static RUN_AT_HAND: AtomicU64 = AtomicU64::new(0);
/// The last panic.
static PANIC: Mutex<String> = Mutex::new(String::new());
/// Whether anything but the engine has panicked.
static HAS_PANICKED: AtomicBool = AtomicBool::new(false);

/// Does the work. A fault ends the process with [`TOLD`], or however it does.
///
/// # Errors
/// Those of reading inputs and writing to `folder`.
pub fn run(target: &'static Target, folder: &Path, arguments: &Arguments) -> io::Result<()> {
    let files = Files::new(folder);
    listen();
    let start = Instant::now();
    watch(files.clone(), arguments.time_limit);
    let mut worker = Worker::new(target, files, start, arguments)?;
    worker.run_given(arguments)?;
    if arguments.replay.is_empty() {
        worker.fuzz(arguments)?;
    }
    worker.summarize()
}

/// Notes panics, also those that the library catches: these are defects too, unless the engine panics on a model's file.
fn listen() {
    // The library puts its own hook over the one that is there, once: this one must come over that.
    targets::call_library();
    panic::set_hook(Box::new(|info| {
        let is_engines = is_engines(info);
        let mut last = PANIC.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_engines || last.is_empty() {
            let backtrace = Backtrace::capture();
            let is_there = backtrace.status() == BacktraceStatus::Captured;
            *last = if is_there { format!("{backtrace}\n{info}") } else { info.to_string() };
        }
        if !is_engines {
            HAS_PANICKED.store(true, Ordering::Relaxed);
        }
    }));
}

/// Whether it was the engine that panicked, or what the engine called: of its functions and ours, the innermost is the engine's.
fn is_engines(info: &PanicHookInfo<'_>) -> bool {
    if info.location().is_some_and(|place| place.file().contains("/tract-")) {
        return true;
    }
    let backtrace = Backtrace::force_capture().to_string();
    // The first frames of ours are those of this hook.
    let mut callers = backtrace.lines().skip_while(|line| !line.contains("panicking")).filter_map(|line| {
        let is_ours = line.contains("mrisynth");
        (is_ours || line.contains("tract_")).then_some(!is_ours)
    });
    callers.next().unwrap_or(false)
}

/// Ends the process if a run does not end: if it has worked for as long as one may, or slept for [`SLEEP_FACTOR`] times as long. On a
/// machine with much else to do, and in a process that was stopped for a while, the clock on the wall tells nothing of a run.
fn watch(files: Files, time_limit: f64) {
    thread::spawn(move || {
        let (mut watched, mut looks, mut work_before) = (0, 0_u32, 0.0);
        loop {
            thread::sleep(LOOK_EVERY);
            let run = RUN_AT_HAND.load(Ordering::Relaxed);
            if run != watched {
                (watched, looks, work_before) = (run, 0, seconds_of_work().unwrap_or_default());
                continue;
            }
            looks += 1;
            let slept = f64::from(looks) * LOOK_EVERY.as_secs_f64();
            let worked = seconds_of_work().map_or(slept, |work| work - work_before);
            if run > 0 && (worked > time_limit || slept > SLEEP_FACTOR * time_limit) {
                tell(&files, &format!("no end after {time_limit} s"));
            }
        }
    });
}

/// Seconds that all threads of this process have worked, where the system tells.
fn seconds_of_work() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The command's name, in parentheses, may have anything in it; work in the program and in the system are the 12th and 13th
    // behind it, in hundredths of a second.
    let (_, fields) = text.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Some(ticks.collect::<Result<Vec<_>, _>>().ok()?.iter().sum::<f64>() / 100.0)
}

/// Writes what was wrong, and ends the process.
fn tell(files: &Files, fault: &str) -> ! {
    // If it cannot be written, the code tells that there was something.
    let _ = fs::write(files.fault(), fault);
    process::exit(TOLD)
}

struct Worker {
    target: &'static Target,
    files: Files,
    start: Instant,
    current: CurrentInput,
    inputs: Vec<Vec<u8>>,
    /// Which of them the target has taken: it refuses most changes of what it has refused.
    taken: Vec<usize>,
    faulty: HashSet<Vec<u8>>,
    coverage: Coverage,
    is_guided: bool,
    /// The number of the run at hand.
    run: u64,
    slowest: Duration,
    /// Whether the last run's input was taken.
    was_taken: bool,
}

impl Worker {
    fn new(target: &'static Target, files: Files, start: Instant, arguments: &Arguments) -> io::Result<Self> {
        let faulty = files::read_all(&files.faulty())?.into_iter().map(|(_, bytes)| bytes).collect();
        Ok(Self {
            target,
            current: CurrentInput::new(&files)?,
            files,
            start,
            inputs: Vec::new(),
            taken: Vec::new(),
            faulty,
            coverage: Coverage::default(),
            is_guided: Coverage::is_there(),
            run: arguments.first_run,
            slowest: Duration::ZERO,
            was_taken: false,
        })
    }

    /// Runs the inputs that are there as they are: those of the project, and what a worker before this one has kept.
    fn run_given(&mut self, arguments: &Arguments) -> io::Result<()> {
        let name = self.target.name;
        let mut given = Vec::new();
        if arguments.replay.is_empty() {
            let corpus = arguments.corpus.clone().unwrap_or_else(|| arguments.root.join("corpus").join(name));
            for folder in [corpus, arguments.root.join("regressions").join(name), self.files.kept()] {
                given.extend(files::read_all(&folder)?.into_iter().map(|(_, bytes)| bytes));
            }
            if given.is_empty() {
                given.extend((self.target.seeds)().into_iter().map(|(_, bytes)| bytes));
            }
        }
        for path in &arguments.replay {
            given.push(fs::read(path)?);
        }
        for input in given {
            if !self.faulty.contains(&input) {
                self.try_input(&input)?;
                self.keep(input);
            }
        }
        Ok(())
    }

    /// Takes the input of the last run among those that others are made of.
    fn keep(&mut self, input: Vec<u8>) {
        if self.was_taken {
            self.taken.push(self.inputs.len());
        }
        self.inputs.push(input);
    }

    fn fuzz(&mut self, arguments: &Arguments) -> io::Result<()> {
        let deadline = Duration::from_secs_f64(arguments.seconds);
        while self.start.elapsed() < deadline && self.run < arguments.runs && !self.inputs.is_empty() {
            let mut random = Random::of_run(arguments.seed, self.run);
            let mut input = self.pick(&mut random).clone();
            let other = self.pick(&mut random);
            self.target.mutate(&mut input, other, &mut random);
            if self.faulty.contains(&input) {
                self.run += 1;
                continue;
            }
            let is_new = self.try_input(&input)?;
            let is_kept = if self.is_guided { is_new } else { random.once_in(BLIND_KEPT) };
            if is_kept && self.inputs.len() < MOST_INPUTS {
                fs::write(self.files.kept().join(format!("{:012}", self.run)), &input)?;
                self.keep(input);
            }
        }
        Ok(())
    }

    /// One of the inputs: half of the time one of those that were taken, and half of these times one that was found last.
    fn pick(&self, random: &mut Random) -> &Vec<u8> {
        let of_taken = random.once_in(2) && !self.taken.is_empty();
        let count = if of_taken { self.taken.len() } else { self.inputs.len() };
        let back = if random.once_in(2) { random.below(count) } else { random.below(count.min(LAST)) };
        let at = count - 1 - back;
        &self.inputs[if of_taken { self.taken[at] } else { at }]
    }

    /// Runs the target once; true if it has reached something new.
    fn try_input(&mut self, input: &[u8]) -> io::Result<bool> {
        let taken = targets::taken();
        self.current.write(self.run, taken, input)?;
        let began = Instant::now();
        RUN_AT_HAND.store(self.run + 1, Ordering::Relaxed);
        Coverage::reset();
        allocator::allow(self.target.most_memory);
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| (self.target.run)(input)));
        let refused = allocator::allow_all();
        let is_new = self.coverage.add();
        RUN_AT_HAND.store(0, Ordering::Relaxed);
        self.slowest = self.slowest.max(began.elapsed());
        if outcome.is_err() || HAS_PANICKED.load(Ordering::Relaxed) {
            tell(&self.files, &PANIC.lock().unwrap_or_else(PoisonError::into_inner));
        }
        if let Some(bytes) = refused {
            let most = self.target.most_memory;
            tell(&self.files, &format!("wanted {bytes} bytes of memory at once, over {most}"));
        }
        self.was_taken = targets::taken() > taken;
        self.run += 1;
        Ok(is_new)
    }

    fn summarize(&self) -> io::Result<()> {
        let summary = Summary {
            runs: self.run,
            taken: targets::taken(),
            inputs: self.inputs.len(),
            edges: self.coverage.edges(),
            is_guided: self.is_guided,
            slowest_seconds: self.slowest.as_secs_f64(),
        };
        fs::write(self.files.summary(), serde_json::to_vec(&summary)?)
    }
}
