//! The loop around any training: steps, log, checkpoints, a look every epoch, and exact resumption.

use std::any::Any;
use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::time::{Duration, Instant};

use burn::module::AutodiffModule;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{Adam, AdamConfig};
use burn::record::{FullPrecisionSettings, NamedMpkBytesRecorder, Record, Recorder};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

use crate::checkpoint::{Checkpoint, Judged, Shelf};
use crate::error::Error;
use crate::journal::Journal;
use crate::prefetch::Prefetch;
use crate::schedule::LearningRate;

/// The copy of the recipe in the folder of a run.
pub const RECIPE: &str = "recipe.toml";
/// Batches that wait for the trainer.
const AHEAD: usize = 4;

/// How to run, besides the recipe.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Go on from the newest checkpoint of the folder.
    pub resume: bool,
    /// Go on although the recipe has changed since.
    pub accept_changed_recipe: bool,
    /// Stop with a checkpoint after this time.
    pub time_limit: Option<Duration>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Steps done in all.
    pub step: u64,
    /// Whether all steps of the recipe are done.
    pub complete: bool,
}

/// Adam for a module.
pub type Optimizing<B, M> = OptimizerAdaptor<Adam, M, B>;

/// Networks in training, with all that has to be kept to go on.
pub trait Learner<B: AutodiffBackend> {
    /// What one step learns from.
    type Batch: Send + 'static;

    /// The names of a step's figures, in their order.
    fn figures(&self) -> &'static [&'static str];

    /// Does one step, counted from 0, at a learning rate; the figures stay on the device.
    fn advance(&mut self, step: u64, rate: f64, batch: Self::Batch) -> Tensor<B::InnerBackend, 1>;

    /// The files of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] with `run` if a record cannot be packed.
    fn files(&self, run: &Path) -> Result<Vec<(&'static str, Vec<u8>)>, Error>;

    /// Takes the files of a checkpoint up.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if one is missing or does not fit.
    fn restore(&mut self, found: &mut Checkpoint) -> Result<(), Error>;
}

/// Looks at a learner every so often, without changing it.
pub trait Observer<L> {
    /// Steps from one look to the next.
    fn interval(&self) -> u64;

    /// Looks after `step` steps; the score, if there is one, decides which checkpoint is the best.
    ///
    /// # Errors
    /// Whatever keeps the look from being taken or written down.
    fn look(&mut self, step: u64, learner: &L) -> Result<Option<f64>, Error>;
}

/// Nobody looks.
pub struct Unobserved;

impl<L> Observer<L> for Unobserved {
    fn interval(&self) -> u64 {
        u64::MAX
    }

    fn look(&mut self, _step: u64, _learner: &L) -> Result<Option<f64>, Error> {
        Ok(None)
    }
}

/// What the loop needs to know of a recipe.
#[derive(Clone, Debug)]
pub struct Course {
    /// The recipe with all its defaults, for the folder of the run.
    pub recipe: String,
    /// The recipe's digest, which ties checkpoints to it.
    pub recipe_sha256: String,
    /// Steps in all.
    pub steps: u64,
    /// The learning rate of every step.
    pub learning_rate: LearningRate,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Steps between lines of the log.
    pub log_every: u64,
}

/// Trains `learner` on what `draw` gives for each step; writes recipe, log and checkpoints into the folder `run`.
///
/// A run that was stopped or killed and resumed equals one that was not.
///
/// # Errors
/// A folder that holds another run, a full disk, a loss that is no number, a device out of memory: each leaves the last good
/// checkpoint as it is.
pub fn drive<B: AutodiffBackend, L: Learner<B>>(
    learner: &mut L,
    course: &Course,
    draw: impl FnMut(u64) -> L::Batch + Send + 'static,
    observer: &mut impl Observer<L>,
    run: &Path,
    options: &Options,
) -> Result<Outcome, Error> {
    let began = Instant::now();
    let newest = Shelf::newest(run);
    let mut step = take_up::<B, L>(learner, course, run, options)?;
    let mut best = Best::of(run)?;
    let mut batches = Prefetch::start(step..course.steps, AHEAD, draw)?;
    let mut journal = Journal::<B::InnerBackend>::open(run, learner.figures(), step, course.steps)?;
    while step < course.steps {
        let batch = batches.receive()?;
        let rate = course.learning_rate.at(step);
        let figures = caught(step, || learner.advance(step, rate, batch))?;
        step += 1;
        journal.add(figures);
        let time_up = options.time_limit.is_some_and(|limit| began.elapsed() >= limit);
        let last = time_up || step == course.steps;
        let look = step.is_multiple_of(observer.interval()) || step == course.steps;
        let save = last || look || step.is_multiple_of(course.checkpoint_every);
        if save || step.is_multiple_of(course.log_every) {
            // Reading the figures also proves them finite, so that no bad weights are saved.
            caught(step, || journal.write(step, rate))??;
        }
        let score = if look { caught(step, || observer.look(step, learner))?? } else { None };
        if save {
            let files = learner.files(run)?;
            let judged = Judged { step, recipe_sha256: &course.recipe_sha256, validation_ssim: None };
            if let Some(score) = score {
                best.offer(score, &judged, &files)?;
            }
            newest.save(&judged, &files)?;
        }
        if last {
            break;
        }
    }
    journal.finish();
    Ok(Outcome { step, complete: step == course.steps })
}

/// Starts anew or goes on from the newest checkpoint; returns the steps done.
fn take_up<B: AutodiffBackend, L: Learner<B>>(
    learner: &mut L,
    course: &Course,
    run: &Path,
    options: &Options,
) -> Result<u64, Error> {
    fs::create_dir_all(run).map_err(|e| Error::io(run, e))?;
    let mut step = 0;
    if let Some(mut found) = Shelf::newest(run).latest()? {
        if !options.resume {
            return Err(Error::checkpoint(
                found.path,
                "the folder holds a run already; give --resume or another folder",
            ));
        }
        if found.state.recipe_sha256 != course.recipe_sha256 && !options.accept_changed_recipe {
            return Err(Error::checkpoint(
                found.path,
                "made with another recipe; give --accept-changed-recipe to go on nevertheless",
            ));
        }
        learner.restore(&mut found)?;
        step = found.state.step;
    }
    let path = run.join(RECIPE);
    fs::write(&path, &course.recipe).map_err(|e| Error::io(&path, e))?;
    Ok(step)
}

/// The best checkpoint so far.
struct Best {
    shelf: Shelf,
    score: f64,
}

impl Best {
    fn of(run: &Path) -> Result<Self, Error> {
        let shelf = Shelf::best(run);
        let score = shelf.latest()?.and_then(|found| found.state.validation_ssim);
        Ok(Self { shelf, score: score.unwrap_or(f64::NEG_INFINITY) })
    }

    fn offer(&mut self, score: f64, judged: &Judged<'_>, files: &[(&str, Vec<u8>)]) -> Result<(), Error> {
        if score <= self.score {
            return Ok(());
        }
        self.shelf.save(&Judged { validation_ssim: Some(score), ..*judged }, files)?;
        self.score = score;
        Ok(())
    }
}

/// A backend that runs out of memory panics: its message becomes an error.
fn caught<T>(step: u64, work: impl FnOnce() -> T) -> Result<T, Error> {
    // What the panic leaves half-done is never looked at again: the run ends.
    panic::catch_unwind(AssertUnwindSafe(work))
        .map_err(|payload| Error::Device { step, fault: message(payload.as_ref()) })
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it gave no reason").to_owned()
}

/// Adam with the usual epsilon; `beta_1` is 0.9, or 0.5 against an adversary.
pub fn adam<B: AutodiffBackend, M: AutodiffModule<B>>(beta_1: f64) -> Optimizing<B, M> {
    AdamConfig::new().with_beta_1(beta_1 as f32).with_epsilon(1e-8).init()
}

/// A record as the bytes of a file.
///
/// # Errors
/// [`Error::Checkpoint`] with `run` if it cannot be packed.
pub fn pack<B: Backend, R: Record<B>>(run: &Path, record: R) -> Result<Vec<u8>, Error> {
    let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
    Recorder::<B>::record(&recorder, record, ())
        .map_err(|e| Error::checkpoint(run, format!("cannot be packed: {e}")))
}

/// The record in the file `name` of a checkpoint.
///
/// # Errors
/// [`Error::Checkpoint`] if it is missing or does not fit.
pub fn unpack<B: Backend, R: Record<B>>(
    checkpoint: &mut Checkpoint,
    name: &str,
    device: &B::Device,
) -> Result<R, Error> {
    let bytes = checkpoint.take(name)?;
    let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
    Recorder::<B>::load(&recorder, bytes, device)
        .map_err(|e| Error::checkpoint(&checkpoint.path, format!("{name}: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Decay;
    use burn::backend::{Autodiff, Flex};

    type B = Autodiff<Flex>;

    /// Adds what it is given to its one number.
    struct Counter {
        sum: f32,
        panics_at: u64,
    }

    impl Learner<B> for Counter {
        type Batch = f32;

        fn figures(&self) -> &'static [&'static str] {
            &["loss"]
        }

        fn advance(&mut self, step: u64, rate: f64, batch: f32) -> Tensor<Flex, 1> {
            assert!(step != self.panics_at, "out of memory: 12 GiB wanted");
            self.sum += rate as f32 * batch;
            Tensor::from_floats([self.sum], &Default::default())
        }

        fn files(&self, _run: &Path) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
            Ok(vec![("sum", self.sum.to_le_bytes().to_vec())])
        }

        fn restore(&mut self, found: &mut Checkpoint) -> Result<(), Error> {
            let bytes = found.take("sum")?;
            self.sum = f32::from_le_bytes(bytes.try_into().unwrap());
            Ok(())
        }
    }

    /// Scores rise and then fall.
    struct Peak(u64);

    impl Observer<Counter> for Peak {
        fn interval(&self) -> u64 {
            2
        }

        fn look(&mut self, step: u64, _learner: &Counter) -> Result<Option<f64>, Error> {
            Ok(Some(-(step as f64 - self.0 as f64).abs()))
        }
    }

    fn course() -> Course {
        Course {
            recipe: "a = 1".into(),
            recipe_sha256: "digest".into(),
            steps: 10,
            learning_rate: LearningRate { highest: 1.0, warmup_steps: 0, decay: Decay::Constant },
            checkpoint_every: 3,
            log_every: 1,
        }
    }

    fn go(run: &Path, course: &Course, options: &Options, panics_at: u64) -> Result<(Outcome, f32), Error> {
        let mut counter = Counter { sum: 0.0, panics_at };
        let draw = |step: u64| if step == 8 { f32::NAN } else { step as f32 };
        let outcome = drive::<B, _>(&mut counter, course, draw, &mut Peak(4), run, options)?;
        Ok((outcome, counter.sum))
    }

    #[test]
    fn a_run_resumes_where_it_stopped_and_keeps_its_best_and_its_log() {
        let run = tempfile::tempdir().unwrap();
        let short = Course { steps: 8, ..course() };
        let one = Options { resume: true, time_limit: Some(Duration::ZERO), ..Options::default() };
        for done in 1..=5 {
            let (outcome, _) = go(run.path(), &short, &one, u64::MAX).unwrap();
            assert_eq!(outcome, Outcome { step: done, complete: false });
        }
        let resume = Options { resume: true, ..Options::default() };
        let (outcome, sum) = go(run.path(), &short, &resume, u64::MAX).unwrap();
        assert_eq!((outcome.complete, sum), (true, 28.0));
        let best = Shelf::best(run.path()).latest().unwrap().unwrap();
        assert_eq!((best.state.step, best.state.validation_ssim), (4, Some(0.0)));
        let log = fs::read_to_string(run.path().join(crate::journal::LOG)).unwrap();
        let steps: Vec<u64> = log
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64().unwrap())
            .collect();
        assert_eq!(steps, [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_loss_that_is_no_number_stops_the_run_and_the_last_checkpoint_stays() {
        let run = tempfile::tempdir().unwrap();
        let fault = go(run.path(), &course(), &Options::default(), u64::MAX).unwrap_err();
        assert!(matches!(fault, Error::Diverged { step: 9, .. }), "{fault}");
        assert_eq!(Shelf::newest(run.path()).latest().unwrap().unwrap().state.step, 8);
    }

    #[test]
    fn a_device_out_of_memory_is_an_error_and_the_last_checkpoint_stays() {
        let run = tempfile::tempdir().unwrap();
        let fault = go(run.path(), &course(), &Options::default(), 5).unwrap_err().to_string();
        assert!(fault.contains("12 GiB wanted") && fault.contains("batch_size"), "{fault}");
        assert_eq!(Shelf::newest(run.path()).latest().unwrap().unwrap().state.step, 4);
    }

    #[test]
    fn a_run_is_not_overwritten_and_not_mixed_with_another_recipe() {
        let run = tempfile::tempdir().unwrap();
        let short = Course { steps: 4, ..course() };
        go(run.path(), &short, &Options::default(), u64::MAX).unwrap();
        let fault = go(run.path(), &short, &Options::default(), u64::MAX).unwrap_err().to_string();
        assert!(fault.contains("--resume"), "{fault}");
        let other = Course { recipe_sha256: "other".into(), steps: 6, ..course() };
        let mut options = Options { resume: true, ..Options::default() };
        let fault = go(run.path(), &other, &options, u64::MAX).unwrap_err().to_string();
        assert!(fault.contains("another recipe"), "{fault}");
        options.accept_changed_recipe = true;
        assert_eq!(go(run.path(), &other, &options, u64::MAX).unwrap().1, 15.0);
    }

    #[test]
    fn a_full_disk_keeps_the_last_checkpoint() {
        // A file where the folder of checkpoints should be: nothing can be written there.
        let run = tempfile::tempdir().unwrap();
        let one = Options { time_limit: Some(Duration::ZERO), ..Options::default() };
        fs::write(run.path().join("best"), "in the way").unwrap();
        assert!(go(run.path(), &course(), &one, u64::MAX).is_err());
        fs::remove_file(run.path().join("best")).unwrap();
        go(run.path(), &course(), &one, u64::MAX).unwrap();
        assert_eq!(Shelf::newest(run.path()).latest().unwrap().unwrap().state.step, 1);
    }
}
