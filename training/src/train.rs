//! The training loop: steps, log, checkpoints and exact resumption.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::module::{AutodiffModule, Module};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{Adam, AdamConfig, GradientsParams, Optimizer};
use burn::record::{FullPrecisionSettings, NamedMpkBytesRecorder, Record, Recorder};
use burn::tensor::activation::relu;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};

use crate::checkpoint::{self, Checkpoint};
use crate::discriminator::{Discriminator, DiscriminatorConfig};
use crate::error::Error;
use crate::journal::Journal;
use crate::loss;
use crate::network::Network;
use crate::recipe::Recipe;
use crate::sample::{Batch, Prefetch, Sampler};
use crate::store::Subject;
use crate::{average, gradient};

/// The copy of the recipe in the folder of a run.
pub const RECIPE: &str = "recipe.toml";
/// The generator's weights in a checkpoint.
pub const GENERATOR: &str = "generator.mpk";
/// The moving average of the generator's weights in a checkpoint.
pub const AVERAGE: &str = "average.mpk";
/// The names of the figures of a step, in their order.
const FIGURES: [&str; 7] = ["loss", "l1", "ssim", "mse", "adversarial", "discriminator", "gradient_norm"];
pub(crate) const OPTIMIZER: &str = "optimizer.mpk";
const DISCRIMINATOR: &str = "discriminator.mpk";
const DISCRIMINATOR_OPTIMIZER: &str = "discriminator_optimizer.mpk";
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

pub(crate) type Optimizing<B, M> = OptimizerAdaptor<Adam, M, B>;

/// A generator in training.
struct Trainer<'a, B: AutodiffBackend> {
    recipe: &'a Recipe,
    device: B::Device,
    generator: Network<B>,
    optimizer: Optimizing<B, Network<B>>,
    average: Option<Network<B::InnerBackend>>,
    adversary: Option<Adversary<B>>,
    /// Steps done.
    step: u64,
}

struct Adversary<B: AutodiffBackend> {
    discriminator: Discriminator<B>,
    optimizer: Optimizing<B, Discriminator<B>>,
}

/// Trains on `subjects` as the recipe says; writes recipe, log and checkpoints into the folder `run`.
pub fn train<B: AutodiffBackend>(
    recipe: &Recipe,
    subjects: Vec<Subject>,
    run: &Path,
    options: &Options,
    device: &B::Device,
) -> Result<Outcome, Error> {
    let began = Instant::now();
    let mut trainer = Trainer::<B>::new(recipe, device)?;
    prepare_run(&mut trainer, run, options)?;
    let sampler = Arc::new(Sampler::new(subjects, recipe.sample_config())?);
    let mut batches = Prefetch::start(sampler, trainer.step..recipe.steps)?;
    let mut journal = Journal::<B::InnerBackend>::open(run, &FIGURES, trainer.step, recipe.steps)?;
    while trainer.step < recipe.steps {
        let figures = trainer.advance(batches.receive()?);
        journal.add(figures);
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

/// Loads the newest weights of a run for use: the moving average where there is one. Also returns the steps done.
pub fn load_generator<B: Backend>(
    run: &Path,
    device: &B::Device,
) -> Result<(Recipe, Network<B>, u64), Error> {
    let recipe = Recipe::read(&run.join(RECIPE))?;
    let mut checkpoint =
        checkpoint::latest(run)?.ok_or_else(|| Error::checkpoint(run, "this run has no checkpoint yet"))?;
    let file = if checkpoint.holds(AVERAGE) { AVERAGE } else { GENERATOR };
    let network = recipe.network.init::<B>(recipe.seed, device)?;
    let network = network.load_record(unpack::<B, _>(&mut checkpoint, file, device)?);
    Ok((recipe, network, checkpoint.state.step))
}

fn prepare_run<B: AutodiffBackend>(
    trainer: &mut Trainer<B>,
    run: &Path,
    options: &Options,
) -> Result<(), Error> {
    fs::create_dir_all(run).map_err(|e| Error::io(run, e))?;
    match checkpoint::latest(run)? {
        Some(found) if options.resume => trainer.load(found, options.accept_changed_recipe)?,
        Some(found) => {
            return Err(Error::checkpoint(
                found.path,
                "the folder holds a run already; give --resume or another folder",
            ));
        }
        None => {}
    }
    let path = run.join(RECIPE);
    fs::write(&path, trainer.recipe.to_toml()?).map_err(|e| Error::io(&path, e))
}

impl<'a, B: AutodiffBackend> Trainer<'a, B> {
    fn new(recipe: &'a Recipe, device: &B::Device) -> Result<Self, Error> {
        let generator = recipe.network.init::<B>(recipe.seed, device)?;
        Ok(Self {
            recipe,
            device: device.clone(),
            average: (recipe.ema_decay > 0.0).then(|| generator.valid()),
            generator,
            optimizer: adam(0.9).init(),
            adversary: (recipe.losses.adversarial_weight > 0.0).then(|| Adversary {
                discriminator: DiscriminatorConfig::default().init(
                    recipe.network.slices_in,
                    recipe.seed ^ 1,
                    device,
                ),
                optimizer: adam(0.5).init(),
            }),
            step: 0,
        })
    }

    /// Does one step; the figures, in the order of [`FIGURES`], stay on the device.
    fn advance(&mut self, batch: Batch) -> Tensor<B::InnerBackend, 1> {
        let rate = self.recipe.learning_rate_at(self.step);
        let (source, target) = self.tensors(batch);
        let losses = &self.recipe.losses;
        let weights = loss::brain_weights(&source, &target, losses.background_weight);
        let prediction = self.generator.forward(source.clone());
        let parts = loss::parts(prediction.clone(), target.clone(), weights);
        let mut total = parts.total(losses);
        let zero = || Tensor::<B::InnerBackend, 1>::zeros([1], &self.device);
        let (mut adversarial, mut judged) = (zero(), zero());
        if let Some(adversary) = &mut self.adversary {
            let deceived = adversary.deceived(source.clone(), prediction.clone());
            total = total + deceived.clone() * losses.adversarial_weight;
            adversarial = deceived.inner();
            judged = adversary.improve(source, target, prediction.detach(), rate);
        }
        let loss = total.clone().inner();
        let mut gradients = GradientsParams::from_grads(total.backward(), &self.generator);
        let clip = self.recipe.gradient_clip;
        let norm = gradient::clip::<B, _>(&self.generator, &mut gradients, clip, &self.device);
        self.generator = self.optimizer.step(rate, self.generator.clone(), gradients);
        self.average = self.average.take().map(|average| {
            let latest = self.generator.valid();
            average::update(average, &latest, self.recipe.ema_decay, self.step)
        });
        self.step += 1;
        let figures =
            vec![loss, parts.l1.inner(), parts.ssim.inner(), parts.mse.inner(), adversarial, judged, norm];
        Tensor::cat(figures, 0)
    }

    fn tensors(&self, batch: Batch) -> (Tensor<B, 4>, Tensor<B, 4>) {
        let (n, size) = (self.recipe.batch_size, self.recipe.patch_size);
        let shape = [n, self.recipe.network.slices_in, size, size];
        let source = TensorData::new(batch.source, shape);
        let target = TensorData::new(batch.target, [n, 1, size, size]);
        (Tensor::from_data(source, &self.device), Tensor::from_data(target, &self.device))
    }

    fn save(&self, run: &Path) -> Result<(), Error> {
        let mut files = vec![
            (GENERATOR, pack::<B, _>(run, self.generator.clone().into_record())?),
            (OPTIMIZER, pack::<B, _>(run, self.optimizer.to_record())?),
        ];
        if let Some(average) = &self.average {
            let record = average.clone().into_record();
            files.push((AVERAGE, pack::<B::InnerBackend, _>(run, record)?));
        }
        if let Some(adversary) = &self.adversary {
            let record = adversary.discriminator.clone().into_record();
            files.push((DISCRIMINATOR, pack::<B, _>(run, record)?));
            let record = adversary.optimizer.to_record();
            files.push((DISCRIMINATOR_OPTIMIZER, pack::<B, _>(run, record)?));
        }
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
        self.generator = self.generator.clone().load_record(record);
        let record = unpack::<B, _>(&mut found, OPTIMIZER, &device)?;
        self.optimizer = self.optimizer.clone().load_record(record);
        if self.average.is_some() {
            self.average = Some(self.generator.valid());
            if found.holds(AVERAGE) {
                let record = unpack::<B::InnerBackend, _>(&mut found, AVERAGE, &device)?;
                self.average = Some(self.generator.valid().load_record(record));
            }
        }
        if let Some(adversary) = &mut self.adversary
            && found.holds(DISCRIMINATOR)
        {
            let record = unpack::<B, _>(&mut found, DISCRIMINATOR, &device)?;
            adversary.discriminator = adversary.discriminator.clone().load_record(record);
            let record = unpack::<B, _>(&mut found, DISCRIMINATOR_OPTIMIZER, &device)?;
            adversary.optimizer = adversary.optimizer.clone().load_record(record);
        }
        self.step = found.state.step;
        Ok(())
    }
}

impl<B: AutodiffBackend> Adversary<B> {
    /// The generator's hinge loss: low where its pairs are taken for acquired ones.
    fn deceived(&self, source: Tensor<B, 4>, prediction: Tensor<B, 4>) -> Tensor<B, 1> {
        let frozen = self.discriminator.clone().no_grad();
        frozen.forward(source, prediction).mean().neg()
    }

    /// One step of the discriminator; returns its hinge loss.
    fn improve(
        &mut self,
        source: Tensor<B, 4>,
        target: Tensor<B, 4>,
        prediction: Tensor<B, 4>,
        rate: f64,
    ) -> Tensor<B::InnerBackend, 1> {
        let real = self.discriminator.forward(source.clone(), target);
        let fake = self.discriminator.forward(source, prediction);
        let loss = relu(real.neg() + 1.0).mean() + relu(fake + 1.0).mean();
        let value = loss.clone().inner();
        let gradients = GradientsParams::from_grads(loss.backward(), &self.discriminator);
        self.discriminator = self.optimizer.step(rate, self.discriminator.clone(), gradients);
        value
    }
}

/// Adam with the usual epsilon; `beta_1` is 0.9, or 0.5 against an adversary.
pub(crate) fn adam(beta_1: f32) -> AdamConfig {
    AdamConfig::new().with_beta_1(beta_1).with_epsilon(1e-8)
}

pub(crate) fn pack<B: Backend, R: Record<B>>(run: &Path, record: R) -> Result<Vec<u8>, Error> {
    let recorder = NamedMpkBytesRecorder::<FullPrecisionSettings>::default();
    Recorder::<B>::record(&recorder, record, ())
        .map_err(|e| Error::checkpoint(run, format!("cannot be packed: {e}")))
}

pub(crate) fn unpack<B: Backend, R: Record<B>>(
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
    use crate::network::NetworkConfig;
    use crate::recipe::tests::smallest;
    use crate::sample::tests::ball;
    use crate::store::Origin;
    use burn::backend::{Autodiff, Flex};

    type B = Autodiff<Flex>;

    fn recipe() -> Recipe {
        Recipe {
            steps: 6,
            warmup_steps: 2,
            batch_size: 2,
            patch_size: 32,
            checkpoint_every: 100,
            log_every: 2,
            network: NetworkConfig { slices_in: 1, widths: [4, 4, 8, 8], residual_blocks: 1 },
            ..smallest()
        }
    }

    fn run_with(recipe: &Recipe, run: &Path, options: &Options) -> Result<Outcome, Error> {
        let subjects = vec![ball("a", Origin::Real), ball("b", Origin::Simulated)];
        train::<B>(recipe, subjects, run, options, &Default::default())
    }

    fn generator(run: &Path) -> Vec<u8> {
        let mut found = checkpoint::latest(run).unwrap().unwrap();
        let device = Default::default();
        let record = unpack::<Flex, _>(&mut found, GENERATOR, &device).unwrap();
        let network = recipe().network.init::<Flex>(0, &device).unwrap();
        weights(&network.load_record(record))
    }

    fn weights(network: &Network<Flex>) -> Vec<u8> {
        let layers = [&network.stem, &network.up[0], &network.head];
        layers.iter().flat_map(|layer| layer.weight.val().into_data().as_bytes().to_vec()).collect()
    }

    fn resumption_is_exact(recipe: &Recipe) {
        let folder = tempfile::tempdir().unwrap();
        let straight = folder.path().join("straight");
        run_with(recipe, &straight, &Options::default()).unwrap();
        let stopped = folder.path().join("stopped");
        let one_step = Options { resume: true, time_limit: Some(Duration::ZERO), ..Default::default() };
        for step in 1..=3 {
            let outcome = run_with(recipe, &stopped, &one_step).unwrap();
            assert_eq!((outcome.step, outcome.complete), (step, false));
        }
        let resume = Options { resume: true, ..Default::default() };
        assert!(run_with(recipe, &stopped, &resume).unwrap().complete);
        assert_eq!(generator(&straight), generator(&stopped));
        let average = |run: &Path| {
            let network = load_generator::<Flex>(run, &Default::default()).unwrap().1;
            weights(&network)
        };
        assert_eq!(average(&straight), average(&stopped));
        assert_ne!(average(&straight), generator(&straight));
    }

    #[test]
    fn a_stopped_and_resumed_run_equals_a_straight_one() {
        resumption_is_exact(&recipe());
    }

    #[test]
    fn so_it_does_with_an_adversary() {
        let mut recipe = recipe();
        recipe.losses.adversarial_weight = 0.1;
        recipe.steps = 4;
        recipe.batch_size = 1;
        recipe.patch_size = 80;
        resumption_is_exact(&recipe);
    }

    #[test]
    fn the_loss_falls_on_a_simple_mapping() {
        let mut recipe = recipe();
        recipe.steps = 150;
        recipe.log_every = 25;
        recipe.learning_rate = 5e-3;
        recipe.augment = false;
        let folder = tempfile::tempdir().unwrap();
        run_with(&recipe, folder.path(), &Options::default()).unwrap();
        let log = fs::read_to_string(folder.path().join(crate::journal::LOG)).unwrap();
        let losses: Vec<f64> = log
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| line["l1"].as_f64().unwrap())
            .collect();
        assert_eq!(losses.len(), 6);
        assert!(losses[5] < 0.4 * losses[0], "{losses:?}");
    }

    #[test]
    fn a_run_is_not_overwritten_and_not_mixed_with_another_recipe() {
        let folder = tempfile::tempdir().unwrap();
        let recipe = recipe();
        let options = Options::default();
        run_with(&recipe, folder.path(), &options).unwrap();
        assert!(run_with(&recipe, folder.path(), &options).is_err());
        let other = Recipe { steps: 7, ..recipe };
        let mut options = Options { resume: true, ..options };
        let message = run_with(&other, folder.path(), &options).unwrap_err();
        assert!(message.to_string().contains("another recipe"), "{message}");
        options.accept_changed_recipe = true;
        assert_eq!(run_with(&other, folder.path(), &options).unwrap().step, 7);
    }

    #[test]
    fn a_diverging_run_stops_and_keeps_the_last_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let mut recipe = recipe();
        recipe.checkpoint_every = 1;
        recipe.log_every = 1;
        let one = Options { time_limit: Some(Duration::ZERO), ..Default::default() };
        run_with(&recipe, folder.path(), &one).unwrap();
        let mut trainer = Trainer::<B>::new(&recipe, &Default::default()).unwrap();
        let mut journal = Journal::<Flex>::open(folder.path(), &FIGURES, 1, 6).unwrap();
        trainer.generator.head.weight = trainer.generator.head.weight.map(|w| w * f32::NAN);
        let subjects = vec![ball("a", Origin::Real), ball("b", Origin::Simulated)];
        let sampler = Sampler::new(subjects, recipe.sample_config()).unwrap();
        journal.add(trainer.advance(sampler.batch(1)));
        let error = journal.write(2, 1e-4).unwrap_err();
        assert!(matches!(error, Error::Diverged { step: 2, .. }), "{error}");
        let left = checkpoint::latest(folder.path()).unwrap().unwrap();
        assert_eq!(left.state.step, 1);
    }
}
