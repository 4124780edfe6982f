//! Learning from pairs: pixel-wise losses, and where the recipe wants one an adversary (Pix2Pix; Isola et al. 2017).

use std::path::Path;

use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

use super::trained::{Following, Trained};
use super::{DISCRIMINATOR, GENERATOR, Generators, SEED_STEP, tensors};
use crate::checkpoint::Checkpoint;
use crate::direction::Direction;
use crate::error::Error;
use crate::loss::{self, LossConfig};
use crate::network::Generator;
use crate::network::discriminator::Discriminator;
use crate::recipe::Recipe;
use crate::run::Learner;
use crate::sample::Batch;

/// The names of the figures of a step, in their order.
const FIGURES: [&str; 7] = ["loss", "l1", "ssim", "mse", "adversarial", "discriminator", "gradient_norm"];

/// A generator in training, with its adversary if it has one.
pub struct Paired<B: AutodiffBackend> {
    recipe: Recipe,
    losses: LossConfig,
    device: B::Device,
    generator: Trained<B, Generator<B>>,
    adversary: Option<Trained<B, Discriminator<B>>>,
}

impl<B: AutodiffBackend> Paired<B> {
    /// A generator that has learned nothing yet.
    ///
    /// # Errors
    /// [`Error::Network`] for an impossible shape; [`Error::Usage`] for a recipe of another method.
    pub fn new(recipe: &Recipe, device: &B::Device) -> Result<Self, Error> {
        let losses =
            recipe.losses.clone().ok_or_else(|| Error::Usage("the recipe has no [losses]".into()))?;
        let following = Following {
            beta_1: recipe.beta_1,
            gradient_clip: recipe.gradient_clip,
            ema_decay: recipe.ema_decay,
        };
        let generator = recipe.network.init::<B>(recipe.arithmetic, recipe.seed, device)?;
        let adversary = recipe.has_adversary().then(|| {
            // It judges a target together with its source.
            let channels = recipe.network.slices_in() + 1;
            let seed = recipe.seed ^ SEED_STEP;
            let discriminator = recipe.discriminator.init::<B>(channels, recipe.arithmetic, seed, device);
            let following = Following { beta_1: 0.5, gradient_clip: 0.0, ema_decay: 0.0 };
            Trained::new(discriminator, following, device)
        });
        Ok(Self {
            recipe: recipe.clone(),
            losses,
            device: device.clone(),
            generator: Trained::new(generator, following, device),
            adversary,
        })
    }

    /// The generator's adversarial loss and the discriminator's, after which the discriminator has learned.
    fn oppose(
        &mut self,
        source: &Tensor<B, 4>,
        target: Tensor<B, 4>,
        prediction: &Tensor<B, 4>,
        (step, rate): (u64, f64),
    ) -> Option<(Tensor<B, 1>, Tensor<B::InnerBackend, 1>)> {
        let kind = self.losses.adversarial;
        let adversary = self.adversary.as_mut()?;
        adversary.module = adversary.module.clone().iterate();
        let together = |image: Tensor<B, 4>| Tensor::cat(vec![source.clone(), image], 1);
        let frozen = burn::module::Module::no_grad(adversary.module.clone());
        let deceived = kind.of_generator(frozen.forward(together(prediction.clone())));
        let real = adversary.module.forward(together(target));
        let fake = adversary.module.forward(together(prediction.clone().detach()));
        let judged = kind.of_discriminator(real, fake);
        let value = judged.clone().inner();
        adversary.learn(judged, step, rate);
        Some((deceived, value))
    }
}

impl<B: AutodiffBackend> Learner<B> for Paired<B> {
    type Batch = Batch;

    fn figures(&self) -> &'static [&'static str] {
        &FIGURES
    }

    fn advance(&mut self, step: u64, rate: f64, batch: Batch) -> Tensor<B::InnerBackend, 1> {
        let (source, target) = tensors(&self.recipe, batch, &self.device);
        let weights = loss::brain_weights(&source, &target, self.losses.background_weight);
        let prediction = self.generator.module.forward(source.clone());
        let parts = loss::parts(prediction.clone(), target.clone(), weights);
        let mut total = parts.total(&self.losses);
        let zero = || Tensor::<B::InnerBackend, 1>::zeros([1], &self.device);
        let (mut adversarial, mut judged) = (zero(), zero());
        if let Some((deceived, value)) = self.oppose(&source, target, &prediction, (step, rate)) {
            total = total + deceived.clone() * self.losses.adversarial_weight;
            (adversarial, judged) = (deceived.inner(), value);
        }
        let loss = total.clone().inner();
        let norm = self.generator.learn(total, step, rate);
        let [l1, ssim, mse] = [parts.l1, parts.ssim, parts.mse].map(Tensor::inner);
        Tensor::cat(vec![loss, l1, ssim, mse, adversarial, judged, norm], 0)
    }

    fn files(&self, run: &Path) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
        let mut files = self.generator.files(run, GENERATOR)?;
        if let Some(adversary) = &self.adversary {
            files.extend(adversary.files(run, DISCRIMINATOR)?);
        }
        Ok(files)
    }

    fn restore(&mut self, found: &mut Checkpoint) -> Result<(), Error> {
        self.generator.restore(found, GENERATOR)?;
        match &mut self.adversary {
            // A recipe that has got its adversary since starts it anew.
            Some(adversary) if found.holds(DISCRIMINATOR.weights) => adversary.restore(found, DISCRIMINATOR),
            _ => Ok(()),
        }
    }
}

impl<B: AutodiffBackend> Generators<B::InnerBackend> for Paired<B> {
    fn generators(&self) -> Vec<(Direction, Generator<B::InnerBackend>)> {
        vec![(self.recipe.direction(), self.generator.exported())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::tests::{batches, exactly_resumed, losses_of};
    use crate::recipe::tests::of_text;
    use burn::backend::{Autodiff, Flex};

    type B = Autodiff<Flex>;

    const SMALL: &str = "source = 't1w'\ntarget = 't2w'\nstores = ['x']\nsteps = 4\naugment = 'none'\n";

    fn supervised() -> Recipe {
        of_text(&format!(
            "method = 'supervised'\n{SMALL}batch_size = 2\npatch_size = 32\nwarmup_steps = 0\n\
             learning_rate = 5e-3\n[network]\nslices_in = 1\nwidths = [4, 4, 8, 8]\nresidual_blocks = 1\n"
        ))
    }

    fn pix2pix() -> Recipe {
        of_text(&format!(
            "method = 'pix2pix'\n{SMALL}window = 48\nlearning_rate = 2e-3\n\
             [network]\nwidths = [4, 8, 8]\n[discriminator]\nwidths = [4, 8]\nspectral_normalization = true\n"
        ))
    }

    #[test]
    fn a_stopped_and_resumed_run_equals_a_straight_one() {
        for recipe in [supervised(), pix2pix()] {
            exactly_resumed(&recipe, || Paired::<B>::new(&recipe, &Default::default()).unwrap());
        }
    }

    #[test]
    fn the_loss_falls_on_a_simple_mapping() {
        for (recipe, steps) in [(supervised(), 150), (pix2pix(), 120)] {
            let mut learner = Paired::<B>::new(&recipe, &Default::default()).unwrap();
            let l1 = losses_of(&mut learner, &recipe, steps, "l1");
            let (early, late) = (l1[..10].iter().sum::<f32>(), l1[steps - 10..].iter().sum::<f32>());
            assert!(late < 0.5 * early, "{}: {early} {late}", recipe.method_name());
        }
    }

    #[test]
    fn the_adversary_learns_and_is_not_taught_by_the_generator() {
        let recipe = pix2pix();
        let mut learner = Paired::<B>::new(&recipe, &Default::default()).unwrap();
        let weights =
            |learner: &Paired<B>| learner.adversary.as_ref().unwrap().files(Path::new(""), DISCRIMINATOR);
        let before = weights(&learner).unwrap();
        let batch = batches(&recipe)(0);
        // At a rate of 0 nothing may change but the spectral norms' vectors, which the weights' file holds too.
        learner.advance(0, 1e-2, batch);
        assert_ne!(before[0].1, weights(&learner).unwrap()[0].1);
    }
}
