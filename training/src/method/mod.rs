//! The methods by which generators learn, and what they have in common.

pub mod cyclegan;
pub mod paired;
pub mod pool;
pub mod trained;

use std::path::Path;

use crate::checkpoint::Shelf;
use crate::direction::Direction;
use crate::error::Error;
use crate::network::Generator;
use crate::recipe::{Method, Recipe};
use crate::run::{RECIPE, unpack};
use crate::sample::Batch;
use burn::module::Module;
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Tensor, TensorData};
use trained::Files;

/// The files of the generators in a checkpoint.
pub const GENERATOR: Files =
    Files { weights: "generator.mpk", optimizer: "optimizer.mpk", average: "average.mpk" };
/// The files of the discriminators in a checkpoint.
const DISCRIMINATOR: Files = Files {
    weights: "discriminator.mpk",
    optimizer: "discriminator_optimizer.mpk",
    average: "discriminator_average.mpk",
};
/// Sets the weights of further networks apart from those of the first.
const SEED_STEP: u64 = 1;

/// Generators of one or of both directions, as they would be exported: the moving average where there is one.
pub trait Generators<B: Backend> {
    /// Each generator with its direction.
    fn generators(&self) -> Vec<(Direction, Generator<B>)>;
}

/// Which checkpoint of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Choice {
    /// The one with the best structural similarity on the validation part.
    Best,
    /// The newest one.
    Newest,
}

/// The generators of a run.
pub struct Loaded<B: Backend> {
    /// How they were trained.
    pub recipe: Recipe,
    /// One for each direction.
    pub generators: Vec<(Direction, Generator<B>)>,
    /// Steps of training.
    pub step: u64,
}

/// Loads the generators of a run: of the best checkpoint or the newest; without a choice, the best if there is one.
///
/// # Errors
/// [`Error::Checkpoint`] if there is none or it is damaged.
pub fn load<B: Backend>(run: &Path, choice: Option<Choice>, device: &B::Device) -> Result<Loaded<B>, Error> {
    let recipe = Recipe::read(&run.join(RECIPE))?;
    let (best, newest) = (Shelf::best(run), Shelf::newest(run));
    let found = match choice {
        Some(Choice::Best) => best.latest()?,
        Some(Choice::Newest) => newest.latest()?,
        None => best.latest()?.map_or_else(|| newest.latest(), |found| Ok(Some(found)))?,
    };
    let mut found = found.ok_or_else(|| Error::checkpoint(run, "this run has no such checkpoint yet"))?;
    let file = if found.holds(GENERATOR.average) { GENERATOR.average } else { GENERATOR.weights };
    let generators = match recipe.method {
        Method::CycleGan => {
            let both = cyclegan::Generators::init(&recipe, device)?;
            let both = both.load_record(unpack::<B, _>(&mut found, file, device)?);
            both.with_directions(recipe.direction())
        }
        Method::Supervised | Method::Pix2Pix => {
            let one = recipe.network.init::<B>(recipe.arithmetic, recipe.seed, device)?;
            vec![(recipe.direction(), one.load_record(unpack::<B, _>(&mut found, file, device)?))]
        }
    };
    Ok(Loaded { recipe, generators, step: found.state.step })
}

/// A batch on the device: source `[n, slices_in, edge, edge]` and target `[n, 1, edge, edge]`.
fn tensors<B: AutodiffBackend>(
    recipe: &Recipe,
    batch: Batch,
    device: &B::Device,
) -> (Tensor<B, 4>, Tensor<B, 4>) {
    let (n, edge) = (recipe.batch_size, recipe.framing().edge());
    let source = TensorData::new(batch.source, [n, recipe.network.slices_in(), edge, edge]);
    let target = TensorData::new(batch.target, [n, 1, edge, edge]);
    (Tensor::from_data(source, device), Tensor::from_data(target, device))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::store::Origin;
    use crate::run::{Course, Learner, Options, Unobserved, drive};
    use crate::sample::Sampler;
    use crate::sample::tests::ball;
    use burn::backend::{Autodiff, Flex};
    use std::time::Duration;

    type B = Autodiff<Flex>;

    /// The batches that a recipe draws of two made-up subjects.
    pub(super) fn batches(recipe: &Recipe) -> impl FnMut(u64) -> Batch + Send + 'static {
        let subjects = vec![ball("a", Origin::Real), ball("b", Origin::Simulated)];
        let sampler = Sampler::new(subjects, recipe.sample_config()).unwrap();
        move |step| sampler.batch(step)
    }

    /// A figure of each of the first steps.
    pub(super) fn losses_of<L: Learner<B, Batch = Batch>>(
        learner: &mut L,
        recipe: &Recipe,
        steps: usize,
        figure: &str,
    ) -> Vec<f32> {
        let place = learner.figures().iter().position(|name| *name == figure).unwrap();
        let mut draw = batches(recipe);
        (0..steps as u64)
            .map(|step| {
                let figures = learner.advance(step, recipe.learning_rate, draw(step));
                figures.into_data().to_vec::<f32>().unwrap()[place]
            })
            .collect()
    }

    /// Proves that a run of four steps, each of which is stopped and resumed, ends with the files of a straight one.
    pub(super) fn exactly_resumed<L: Learner<B, Batch = Batch>>(recipe: &Recipe, new: impl Fn() -> L) {
        let course = Course {
            recipe: recipe.to_toml().unwrap(),
            recipe_sha256: recipe.sha256().unwrap(),
            steps: 4,
            learning_rate: recipe.learning_rate(recipe.length(1)),
            checkpoint_every: 100,
            log_every: 2,
        };
        let folder = tempfile::tempdir().unwrap();
        let go = |name: &str, options: &Options| {
            let run = folder.path().join(name);
            drive::<B, _>(&mut new(), &course, batches(recipe), &mut Unobserved, &run, options).unwrap()
        };
        assert!(go("straight", &Options::default()).complete);
        let one = Options { resume: true, time_limit: Some(Duration::ZERO), ..Options::default() };
        for step in 1..=4 {
            assert_eq!(go("stopped", &one).step, step);
        }
        let read = |name: &str| Shelf::newest(&folder.path().join(name)).latest().unwrap().unwrap();
        let (straight, stopped) = (read("straight"), read("stopped"));
        // Parameters have random identities, so it is their values that are compared.
        let weights = |name: &str| {
            let loaded = load::<Flex>(&folder.path().join(name), Some(Choice::Newest), &Default::default());
            let mut collected = Values(Vec::new());
            loaded.unwrap().generators.iter().for_each(|(_, network)| network.visit(&mut collected));
            collected.0
        };
        assert_eq!(straight.state.step, stopped.state.step);
        assert!(!weights("straight").is_empty());
        assert_eq!(weights("straight"), weights("stopped"));
    }

    struct Values(Vec<f32>);

    impl burn::module::ModuleVisitor<Flex> for Values {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<Flex, D>>) {
            self.0.extend(param.val().into_data().to_vec::<f32>().unwrap());
        }
    }
}
