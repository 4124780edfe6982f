//! CycleGAN: two generators and two discriminators that learn both directions from unpaired slices (Zhu et al. 2017).

use std::path::Path;

use burn::module::Module;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

use super::pool::ImagePool;
use super::trained::{Following, Trained};
use super::{DISCRIMINATOR, GENERATOR, SEED_STEP, tensors};
use crate::checkpoint::Checkpoint;
use crate::direction::Direction;
use crate::error::Error;
use crate::loss::CycleLossConfig;
use crate::network::Generator;
use crate::network::discriminator::Discriminator;
use crate::recipe::Recipe;
use crate::run::Learner;
use crate::sample::Batch;

/// The names of the figures of a step, in their order.
const FIGURES: [&str; 6] = ["loss", "cycle", "identity", "adversarial", "discriminator", "gradient_norm"];
/// The pools' files in a checkpoint.
const POOLS: [&str; 2] = ["target_pool.bin", "source_pool.bin"];

/// Both generators.
#[derive(Module, Debug)]
pub struct Generators<B: Backend> {
    /// From source to target.
    pub forward: Generator<B>,
    /// From target to source.
    pub backward: Generator<B>,
}

impl<B: Backend> Generators<B> {
    /// Generators that have learned nothing yet.
    ///
    /// # Errors
    /// [`Error::Network`] for an impossible shape.
    pub fn init(recipe: &Recipe, device: &B::Device) -> Result<Self, Error> {
        let network = |seed| recipe.network.init::<B>(recipe.arithmetic, seed, device);
        Ok(Self { forward: network(recipe.seed)?, backward: network(recipe.seed ^ (2 * SEED_STEP))? })
    }

    /// Each generator with its direction; the forward one goes `direction`.
    pub fn with_directions(self, direction: Direction) -> Vec<(Direction, Generator<B>)> {
        vec![(direction, self.forward), (direction.reversed(), self.backward)]
    }
}

/// Both discriminators.
#[derive(Module, Debug)]
pub struct Discriminators<B: Backend> {
    /// Judges images of the target contrast.
    pub of_target: Discriminator<B>,
    /// Judges images of the source contrast.
    pub of_source: Discriminator<B>,
}

impl<B: Backend> Discriminators<B> {
    fn init(recipe: &Recipe, device: &B::Device) -> Self {
        let network = |seed| recipe.discriminator.init::<B>(1, recipe.arithmetic, seed, device);
        Self {
            of_target: network(recipe.seed ^ SEED_STEP),
            of_source: network(recipe.seed ^ (3 * SEED_STEP)),
        }
    }

    fn iterate(self) -> Self {
        Self { of_target: self.of_target.iterate(), of_source: self.of_source.iterate() }
    }
}

/// All four networks in training.
pub struct CycleGan<B: AutodiffBackend> {
    recipe: Recipe,
    losses: CycleLossConfig,
    device: B::Device,
    generators: Trained<B, Generators<B>>,
    discriminators: Trained<B, Discriminators<B>>,
    /// Earlier synthetic targets, and sources.
    pools: [ImagePool<B::InnerBackend>; 2],
}

/// What the generators made of a batch.
struct Synthesized<B: AutodiffBackend> {
    target: Tensor<B, 4>,
    source: Tensor<B, 4>,
}

impl<B: AutodiffBackend> CycleGan<B> {
    /// Networks that have learned nothing yet.
    ///
    /// # Errors
    /// [`Error::Network`] for an impossible shape; [`Error::Usage`] for a recipe of another method.
    pub fn new(recipe: &Recipe, device: &B::Device) -> Result<Self, Error> {
        let losses =
            recipe.cycle_losses.ok_or_else(|| Error::Usage("the recipe has no [cycle_losses]".into()))?;
        let following = Following {
            beta_1: recipe.beta_1,
            gradient_clip: recipe.gradient_clip,
            ema_decay: recipe.ema_decay,
        };
        let opposing = Following { gradient_clip: 0.0, ema_decay: 0.0, ..following };
        let pool = |number: u64| ImagePool::new(losses.pool_size, recipe.seed.wrapping_add(number));
        Ok(Self {
            recipe: recipe.clone(),
            losses,
            device: device.clone(),
            generators: Trained::new(Generators::init(recipe, device)?, following, device),
            discriminators: Trained::new(Discriminators::init(recipe, device), opposing, device),
            pools: [pool(0), pool(1)],
        })
    }

    /// The generators' losses (Zhu et al. 2017, equations 1 to 3 and section 5.2): adversarial, cycle, identity.
    fn losses(&self, source: &Tensor<B, 4>, target: &Tensor<B, 4>) -> (Synthesized<B>, [Tensor<B, 1>; 3]) {
        let Generators { forward, backward } = &self.generators.module;
        let frozen = self.discriminators.module.clone().no_grad();
        let made =
            Synthesized { target: forward.forward(source.clone()), source: backward.forward(target.clone()) };
        let kind = self.losses.adversarial;
        let adversarial = kind.of_generator(frozen.of_target.forward(made.target.clone()))
            + kind.of_generator(frozen.of_source.forward(made.source.clone()));
        let cycle = absolute_error(backward.forward(made.target.clone()), source)
            + absolute_error(forward.forward(made.source.clone()), target);
        let identity = if self.losses.identity_weight > 0.0 {
            absolute_error(forward.forward(target.clone()), target)
                + absolute_error(backward.forward(source.clone()), source)
        } else {
            Tensor::zeros([1], &self.device)
        };
        (made, [adversarial, cycle, identity])
    }

    /// The discriminators' losses of acquired images and of synthetic ones out of the pools.
    fn judged(
        &mut self,
        step: u64,
        source: Tensor<B, 4>,
        target: Tensor<B, 4>,
        made: Synthesized<B>,
    ) -> Tensor<B, 1> {
        let [targets, sources] = &mut self.pools;
        let shown_target = Tensor::from_inner(targets.exchange(step, made.target.inner()));
        let shown_source = Tensor::from_inner(sources.exchange(step, made.source.inner()));
        let Discriminators { of_target, of_source } = &self.discriminators.module;
        let kind = self.losses.adversarial;
        kind.of_discriminator(of_target.forward(target), of_target.forward(shown_target))
            + kind.of_discriminator(of_source.forward(source), of_source.forward(shown_source))
    }
}

fn absolute_error<B: Backend>(image: Tensor<B, 4>, expected: &Tensor<B, 4>) -> Tensor<B, 1> {
    (image - expected.clone()).abs().mean()
}

impl<B: AutodiffBackend> Learner<B> for CycleGan<B> {
    type Batch = Batch;

    fn figures(&self) -> &'static [&'static str] {
        &FIGURES
    }

    fn advance(&mut self, step: u64, rate: f64, batch: Batch) -> Tensor<B::InnerBackend, 1> {
        let (source, target) = tensors(&self.recipe, batch, &self.device);
        self.discriminators.module = self.discriminators.module.clone().iterate();
        let (made, [adversarial, cycle, identity]) = self.losses(&source, &target);
        let total = adversarial.clone()
            + cycle.clone() * self.losses.cycle_weight
            + identity.clone() * self.losses.identity_weight;
        let loss = total.clone().inner();
        let norm = self.generators.learn(total, step, rate);
        let judged = self.judged(step, source, target, made);
        let value = judged.clone().inner();
        self.discriminators.learn(judged, step, rate);
        let [adversarial, cycle, identity] = [adversarial, cycle, identity].map(Tensor::inner);
        Tensor::cat(vec![loss, cycle, identity, adversarial, value, norm], 0)
    }

    fn files(&self, run: &Path) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
        let mut files = self.generators.files(run, GENERATOR)?;
        files.extend(self.discriminators.files(run, DISCRIMINATOR)?);
        files.extend(POOLS.into_iter().zip(&self.pools).map(|(name, pool)| (name, pool.to_bytes())));
        Ok(files)
    }

    fn restore(&mut self, found: &mut Checkpoint) -> Result<(), Error> {
        self.generators.restore(found, GENERATOR)?;
        self.discriminators.restore(found, DISCRIMINATOR)?;
        let edge = self.recipe.framing().edge();
        for (name, pool) in POOLS.into_iter().zip(&mut self.pools) {
            let bytes = found.take(name)?;
            pool.restore(&bytes, edge, &self.device)
                .map_err(|fault| Error::checkpoint(&found.path, format!("{name}: {fault}")))?;
        }
        Ok(())
    }
}

impl<B: AutodiffBackend> super::Generators<B::InnerBackend> for CycleGan<B> {
    fn generators(&self) -> Vec<(Direction, Generator<B::InnerBackend>)> {
        self.generators.exported().with_directions(self.recipe.direction())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::tests::{batches, exactly_resumed, losses_of};
    use crate::recipe::tests::of_text;
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::TensorData;

    type B = Autodiff<Flex>;

    fn recipe(more: &str) -> Recipe {
        of_text(&format!(
            "method = 'cyclegan'\nsource = 't1w'\ntarget = 't2w'\nstores = ['x']\nsteps = 4\nwindow = 48\n\
             cycle_losses = {{ pool_size = 2 }}\nlearning_rate = 2e-3\n{more}\n\
             [network]\nwidths = [4, 8, 8]\nresidual_blocks = 1\n[discriminator]\nwidths = [4, 8]\n"
        ))
    }

    #[test]
    fn a_stopped_and_resumed_run_equals_a_straight_one_with_and_without_spectral_normalization() {
        for normalized in [false, true] {
            let mut recipe = recipe("ema_decay = 0.9");
            recipe.discriminator.spectral_normalization = normalized;
            exactly_resumed(&recipe, || CycleGan::<B>::new(&recipe, &Default::default()).unwrap());
        }
    }

    #[test]
    fn the_cycle_closes_better_and_better() {
        let recipe = recipe("");
        let mut learner = CycleGan::<B>::new(&recipe, &Default::default()).unwrap();
        let cycle = losses_of(&mut learner, &recipe, 80, "cycle");
        let (early, late) = (cycle[..10].iter().sum::<f32>(), cycle[70..].iter().sum::<f32>());
        assert!(late < 0.6 * early, "{early} {late}");
    }

    #[test]
    fn the_losses_are_zhus() {
        // Both images constant: the losses follow from three constants that the networks give.
        let recipe = recipe("");
        let learner = CycleGan::<B>::new(&recipe, &Default::default()).unwrap();
        let image = |seed: usize| {
            let values = (0..48 * 48).map(|n| ((n * 31 + seed * 17) % 101) as f32 / 101.0).collect();
            Tensor::<B, 4>::from_data(TensorData::new::<f32, _>(values, [1, 1, 48, 48]), &Default::default())
        };
        let (source, target) = (image(1), image(2));
        let (_, losses) = learner.losses(&source, &target);
        let [adversarial, cycle, identity] = losses.map(|loss| loss.into_scalar());
        let Generators { forward, backward } = &learner.generators.module;
        let Discriminators { of_target, of_source } = &learner.discriminators.module;
        let values = |tensor: Tensor<B, 4>| -> Vec<f32> { tensor.into_data().to_vec().unwrap() };
        let distance = |a: Tensor<B, 4>, b: &Tensor<B, 4>| -> f32 {
            let (a, b) = (values(a), values(b.clone()));
            a.iter().zip(&b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32
        };
        let to_one = |scores: Tensor<B, 4>| -> f32 {
            let scores = values(scores);
            scores.iter().map(|score| (score - 1.0).powi(2)).sum::<f32>() / scores.len() as f32
        };
        let (made_target, made_source) = (forward.forward(source.clone()), backward.forward(target.clone()));
        let expected = [
            to_one(of_target.forward(made_target.clone())) + to_one(of_source.forward(made_source.clone())),
            distance(backward.forward(made_target), &source)
                + distance(forward.forward(made_source), &target),
            distance(forward.forward(target.clone()), &target)
                + distance(backward.forward(source.clone()), &source),
        ];
        for (found, expected) in [adversarial, cycle, identity].into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4 * expected.max(1.0), "{found} {expected}");
        }
    }

    #[test]
    fn the_generators_do_not_teach_the_discriminators() {
        // Only their own loss may move the discriminators, and only with their own rate.
        let recipe = recipe("");
        let mut learner = CycleGan::<B>::new(&recipe, &Default::default()).unwrap();
        let (source, target) = tensors::<B>(&recipe, batches(&recipe)(0), &Default::default());
        let (_, [adversarial, ..]) = learner.losses(&source, &target);
        let gradients = adversarial.backward();
        let reached = burn::optim::GradientsParams::from_grads(gradients, &learner.discriminators.module);
        assert!(reached.is_empty());
        let before = learner.discriminators.files(Path::new(""), DISCRIMINATOR).unwrap();
        learner.advance(0, 1e-2, batches(&recipe)(0));
        assert_ne!(before[0].1, learner.discriminators.files(Path::new(""), DISCRIMINATOR).unwrap()[0].1);
    }
}
