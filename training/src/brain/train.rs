//! Trains the extractor: steps, log, checkpoints and exact resumption.

use std::path::Path;

use burn::module::Module;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};

use super::network::Network;
use super::pool::{Batch, Pool};
use super::recipe::Recipe;
use crate::checkpoint::{Checkpoint, Shelf};
use crate::error::Error;
use crate::method::GENERATOR;
use crate::method::trained::{Following, Trained};
use crate::run::{Course, Learner, Options, Outcome, RECIPE, Unobserved, drive, unpack};

/// The names of the figures of a step: the loss, the mean error near the surface in millimetres, the Dice coefficient of
/// the regions under the surface, and the gradients' norm.
const FIGURES: [&str; 4] = ["loss", "surface_error_mm", "dice", "gradient_norm"];
/// Below this error, relative to the network's unit, the loss is quadratic.
const QUADRATIC_BELOW: f32 = 0.1;
/// Heights up to this, relative to the network's unit, count as near the surface.
const NEAR: f32 = 0.4;

/// An extractor in training.
struct Extractor<B: AutodiffBackend> {
    batch_size: usize,
    device: B::Device,
    network: Trained<B, Network<B>>,
}

/// Trains on the heads of `pool` as the recipe says; writes recipe, log and checkpoints into the folder `run`.
///
/// # Errors
/// Those of [`drive`].
pub fn train<B: AutodiffBackend>(
    recipe: &Recipe,
    mut pool: Pool,
    run: &Path,
    options: &Options,
    device: &B::Device,
) -> Result<Outcome, Error> {
    let course = Course {
        recipe: recipe.to_toml()?,
        recipe_sha256: recipe.sha256()?,
        steps: recipe.steps,
        learning_rate: recipe.learning_rate(),
        checkpoint_every: recipe.checkpoint_every,
        log_every: recipe.log_every,
    };
    let mut extractor = Extractor::<B>::new(recipe, device)?;
    drive::<B, _>(&mut extractor, &course, move |step| pool.batch(step), &mut Unobserved, run, options)
}

/// Loads the moving average of the newest weights of a run. Also returns the steps done.
///
/// # Errors
/// [`Error::Checkpoint`] if there is none or it is damaged.
pub fn load<B: Backend>(run: &Path, device: &B::Device) -> Result<(Recipe, Network<B>, u64), Error> {
    let recipe = Recipe::read(&run.join(RECIPE))?;
    let mut checkpoint = Shelf::newest(run)
        .latest()?
        .ok_or_else(|| Error::checkpoint(run, "this run has no checkpoint yet"))?;
    let network = recipe.network.init::<B>(recipe.seed, device)?;
    let network = network.load_record(unpack::<B, _>(&mut checkpoint, GENERATOR.average, device)?);
    Ok((recipe, network, checkpoint.state.step))
}

impl<B: AutodiffBackend> Extractor<B> {
    fn new(recipe: &Recipe, device: &B::Device) -> Result<Self, Error> {
        let network = recipe.network.init::<B>(recipe.seed, device)?;
        let following =
            Following { beta_1: 0.9, gradient_clip: recipe.gradient_clip, ema_decay: recipe.ema_decay };
        Ok(Self {
            batch_size: recipe.batch_size,
            device: device.clone(),
            network: Trained::new(network, following, device),
        })
    }
}

impl<B: AutodiffBackend> Learner<B> for Extractor<B> {
    type Batch = Batch;

    fn figures(&self) -> &'static [&'static str] {
        &FIGURES
    }

    fn advance(&mut self, step: u64, rate: f64, batch: Batch) -> Tensor<B::InnerBackend, 1> {
        let [d, h, w] = batch.lattice;
        let shape = [self.batch_size, 8, d, h, w];
        let tensor = |values| Tensor::<B, 5>::from_data(TensorData::new(values, shape), &self.device);
        let (target, weight) = (tensor(batch.target), tensor(batch.weight));
        let prediction = self.network.module.forward(tensor(batch.input));
        let loss = loss(prediction.clone(), target.clone(), weight.clone());
        let [error, dice] = figures(prediction.inner(), target.inner(), weight.inner());
        let value = loss.clone().inner();
        let norm = self.network.learn(loss, step, rate);
        Tensor::cat(vec![value, error, dice, norm], 0)
    }

    fn files(&self, run: &Path) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
        self.network.files(run, GENERATOR)
    }

    fn restore(&mut self, found: &mut Checkpoint) -> Result<(), Error> {
        self.network.restore(found, GENERATOR)
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
        assert_eq!(std::fs::read_to_string(straight.join(crate::journal::LOG)).unwrap().lines().count(), 2);
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
