//! Trains the extractor: steps, log, checkpoints and exact resumption.

use std::fs;
use std::path::Path;
use std::time::Instant;

use burn::module::{AutodiffModule, Module};
use burn::optim::{GradientsParams, Optimizer};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};

use super::network::Network;
use super::pool::{Batch, Pool, Prefetch};
use super::recipe::Recipe;
use crate::checkpoint::{self, Checkpoint};
use crate::error::Error;
use crate::journal::Journal;
use crate::train::{AVERAGE, GENERATOR, OPTIMIZER, Optimizing, Options, Outcome, RECIPE, adam, pack, unpack};
use crate::{average, gradient};

/// The names of the figures of a step: the loss, the mean error near the surface in millimetres, the Dice coefficient of
/// the regions under the surface, and the gradients' norm.
const FIGURES: [&str; 4] = ["loss", "surface_error_mm", "dice", "gradient_norm"];
/// Below this error, relative to the network's unit, the loss is quadratic.
const QUADRATIC_BELOW: f32 = 0.1;
/// Heights up to this, relative to the network's unit, count as near the surface.
const NEAR: f32 = 0.4;

/// An extractor in training.
struct Trainer<'a, B: AutodiffBackend> {
    recipe: &'a Recipe,
    device: B::Device,
    network: Network<B>,
    optimizer: Optimizing<B, Network<B>>,
    average: Network<B::InnerBackend>,
    /// Steps done.
    step: u64,
}

/// Trains on the heads of `pool` as the recipe says; writes recipe, log and checkpoints into the folder `run`.
///
/// # Errors
/// Whatever keeps the run from going on: a folder that holds another run, a full disk, a loss that is no number.
pub fn train<B: AutodiffBackend>(
    recipe: &Recipe,
    pool: Pool,
    run: &Path,
    options: &Options,
    device: &B::Device,
) -> Result<Outcome, Error> {
    let began = Instant::now();
    let mut trainer = Trainer::<B>::new(recipe, device)?;
    trainer.take_up(run, options)?;
    let mut batches = Prefetch::start(pool, trainer.step..recipe.steps)?;
    let mut journal = Journal::<B::InnerBackend>::open(run, &FIGURES, trainer.step, recipe.steps)?;
    while trainer.step < recipe.steps {
        journal.add(trainer.advance(batches.receive()?));
        let time_up = options.time_limit.is_some_and(|limit| began.elapsed() >= limit);
        let last = time_up || trainer.step == recipe.steps;
        let save = last || trainer.step.is_multiple_of(recipe.checkpoint_every);
        if save || trainer.step.is_multiple_of(recipe.log_every) {
            // Reading the figures also proves them finite, so that no bad weights are saved.
            journal.write(trainer.step, recipe.learning_rate_at(trainer.step - 1))?;
        }
        if save {
            trainer.save(run)?;
        }
        if last {
            break;
        }
    }
    journal.finish();
    Ok(Outcome { step: trainer.step, complete: trainer.step == recipe.steps })
}

/// Loads the moving average of the newest weights of a run. Also returns the steps done.
///
/// # Errors
/// [`Error::Checkpoint`] if there is none or it is damaged.
pub fn load<B: Backend>(run: &Path, device: &B::Device) -> Result<(Recipe, Network<B>, u64), Error> {
    let recipe = Recipe::read(&run.join(RECIPE))?;
    let mut checkpoint =
        checkpoint::latest(run)?.ok_or_else(|| Error::checkpoint(run, "this run has no checkpoint yet"))?;
    let network = recipe.network.init::<B>(recipe.seed, device)?;
    let network = network.load_record(unpack::<B, _>(&mut checkpoint, AVERAGE, device)?);
    Ok((recipe, network, checkpoint.state.step))
}

impl<'a, B: AutodiffBackend> Trainer<'a, B> {
    fn new(recipe: &'a Recipe, device: &B::Device) -> Result<Self, Error> {
        let network = recipe.network.init::<B>(recipe.seed, device)?;
        let average = network.valid();
        Ok(Self { recipe, device: device.clone(), network, optimizer: adam(0.9).init(), average, step: 0 })
    }

    fn take_up(&mut self, run: &Path, options: &Options) -> Result<(), Error> {
        fs::create_dir_all(run).map_err(|e| Error::io(run, e))?;
        match checkpoint::latest(run)? {
            Some(found) if options.resume => self.load(found, options.accept_changed_recipe)?,
            Some(found) => {
                return Err(Error::checkpoint(
                    found.path,
                    "the folder holds a run already; give --resume or another folder",
                ));
            }
            None => {}
        }
        let path = run.join(RECIPE);
        fs::write(&path, self.recipe.to_toml()?).map_err(|e| Error::io(&path, e))
    }

    /// Does one step; the figures, in the order of [`FIGURES`], stay on the device.
    fn advance(&mut self, batch: Batch) -> Tensor<B::InnerBackend, 1> {
        let rate = self.recipe.learning_rate_at(self.step);
        let [d, h, w] = batch.lattice;
        let shape = [self.recipe.batch_size, 8, d, h, w];
        let tensor = |values| Tensor::<B, 5>::from_data(TensorData::new(values, shape), &self.device);
        let (target, weight) = (tensor(batch.target), tensor(batch.weight));
        let prediction = self.network.forward(tensor(batch.input));
        let loss = loss(prediction.clone(), target.clone(), weight.clone());
        let figures = figures(prediction.inner(), target.inner(), weight.inner());
        let value = loss.clone().inner();
        let mut gradients = GradientsParams::from_grads(loss.backward(), &self.network);
        let clip = self.recipe.gradient_clip;
        let norm = gradient::clip::<B, _>(&self.network, &mut gradients, clip, &self.device);
        self.network = self.optimizer.step(rate, self.network.clone(), gradients);
        let latest = self.network.valid();
        self.average = average::update(self.average.clone(), &latest, self.recipe.ema_decay, self.step);
        self.step += 1;
        let [error, dice] = figures;
        Tensor::cat(vec![value, error, dice, norm], 0)
    }

    fn save(&self, run: &Path) -> Result<(), Error> {
        let files = [
            (GENERATOR, pack::<B, _>(run, self.network.clone().into_record())?),
            (OPTIMIZER, pack::<B, _>(run, self.optimizer.to_record())?),
            (AVERAGE, pack::<B::InnerBackend, _>(run, self.average.clone().into_record())?),
        ];
        checkpoint::save(run, self.step, &self.recipe.sha256()?, &files)
    }

    fn load(&mut self, mut found: Checkpoint, accept_changed_recipe: bool) -> Result<(), Error> {
        if found.state.recipe_sha256 != self.recipe.sha256()? && !accept_changed_recipe {
            return Err(Error::checkpoint(
                found.path,
                "made with another recipe; give --accept-changed-recipe to go on nevertheless",
            ));
        }
        let device = self.device.clone();
        let record = unpack::<B, _>(&mut found, GENERATOR, &device)?;
        self.network = self.network.clone().load_record(record);
        let record = unpack::<B, _>(&mut found, OPTIMIZER, &device)?;
        self.optimizer = self.optimizer.clone().load_record(record);
        let record = unpack::<B::InnerBackend, _>(&mut found, AVERAGE, &device)?;
        self.average = self.average.clone().load_record(record);
        self.step = found.state.step;
        Ok(())
    }
}

/// The weighted mean of a smooth L1 (Huber) loss, shape `[1]`.
fn loss<B: Backend>(prediction: Tensor<B, 5>, target: Tensor<B, 5>, weight: Tensor<B, 5>) -> Tensor<B, 1> {
    let error = (prediction - target).abs();
    let small = error.clone().clamp_max(QUADRATIC_BELOW);
    // Quadratic up to the bound, and a line of its slope from there on.
    let value = small.clone() * (error - small * 0.5) / QUADRATIC_BELOW;
    (value * weight.clone()).sum() / (weight.sum() + 1e-6)
}

/// The mean error near the surface in millimetres, and the Dice coefficient of what lies under it, each of shape `[1]`.
fn figures<B: Backend>(
    prediction: Tensor<B, 5>,
    target: Tensor<B, 5>,
    weight: Tensor<B, 5>,
) -> [Tensor<B, 1>; 2] {
    let known = weight.greater_elem(0.0).float();
    let near = target.clone().abs().lower_elem(NEAR).float() * known.clone();
    let unit = f64::from(mrisynth::prepare::lattice::UNIT);
    let error = ((prediction.clone() - target.clone()).abs() * near.clone()).sum() / (near.sum() + 1e-6);
    let inside = |heights: Tensor<B, 5>| heights.lower_elem(0.0).float() * known.clone();
    let (found, wanted) = (inside(prediction), inside(target));
    let common = (found.clone() * wanted.clone()).sum();
    [error * unit, common * 2.0 / (found.sum() + wanted.sum() + 1e-6)]
}

#[cfg(test)]
mod tests {
    use super::super::pool::tests::{small_pool, small_recipe};
    use super::*;
    use burn::backend::{Autodiff, Flex};
    use std::time::Duration;

    type B = Autodiff<Flex>;

    fn weights(run: &Path) -> Vec<f32> {
        let (_, network, step) = load::<Flex>(run, &Default::default()).unwrap();
        assert_eq!(step, 4);
        network.head.weight.val().into_data().to_vec().unwrap()
    }

    #[test]
    fn a_stopped_and_resumed_run_equals_a_straight_one() {
        let folder = tempfile::tempdir().unwrap();
        let (recipe, device) = (small_recipe(), Default::default());
        let straight = folder.path().join("straight");
        let outcome = train::<B>(&recipe, small_pool(), &straight, &Options::default(), &device).unwrap();
        assert!(outcome.complete);
        assert_eq!(fs::read_to_string(straight.join(crate::journal::LOG)).unwrap().lines().count(), 2);
        let stopped = folder.path().join("stopped");
        let mut options = Options { resume: true, time_limit: Some(Duration::ZERO), ..Default::default() };
        let outcome = train::<B>(&recipe, small_pool(), &stopped, &options, &device).unwrap();
        assert_eq!((outcome.step, outcome.complete), (1, false));
        options.time_limit = None;
        train::<B>(&recipe, small_pool(), &stopped, &options, &device).unwrap();
        assert_eq!(weights(&straight), weights(&stopped));
        let again = train::<B>(&recipe, small_pool(), &straight, &Options::default(), &device);
        assert!(again.is_err_and(|fault| fault.to_string().contains("--resume")));
    }

    #[test]
    fn the_loss_is_hubers_weighted() {
        let tensor = |values: [f32; 2]| {
            Tensor::<Flex, 5>::from_data(
                TensorData::new(values.to_vec(), [1, 1, 1, 1, 2]),
                &Default::default(),
            )
        };
        let found =
            |weights| -> f32 { loss(tensor([0.05, 0.7]), tensor([0.0, 0.2]), tensor(weights)).into_scalar() };
        assert!((found([1.0, 0.0]) - 0.05 * 0.05 / 0.2).abs() < 1e-5);
        assert!((found([0.0, 2.0]) - (0.5 - 0.05)).abs() < 1e-5);
        let [error, dice] =
            figures(tensor([-0.1, 0.7]), tensor([-0.2, -0.5]), tensor([1.0, 1.0])).map(Tensor::into_scalar);
        assert!((error - 1.0).abs() < 1e-4 && (dice - 2.0 / 3.0).abs() < 1e-5, "{error} {dice}");
    }
}
