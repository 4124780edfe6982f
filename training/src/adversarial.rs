//! What a discriminator and the generator that it judges want: least squares or hinge.

use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use burn::tensor::backend::Backend;
use serde::{Deserialize, Serialize};

/// The form of the adversarial losses; scores are unbounded, high for images that look acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdversarialLoss {
    /// Squared distance from 1 (acquired) and 0 (synthetic): Mao et al. 2017, as CycleGAN has it (Zhu et al. 2017, 7.1).
    LeastSquares,
    /// max(0, 1 - score) and max(0, 1 + score) for the discriminator, -score for the generator: Lim and Ye 2017.
    Hinge,
}

impl AdversarialLoss {
    /// The generator's loss, shape `[1]`, from the scores of its images.
    pub fn of_generator<B: Backend>(self, synthetic: Tensor<B, 4>) -> Tensor<B, 1> {
        match self {
            Self::LeastSquares => (synthetic - 1.0).square().mean(),
            Self::Hinge => synthetic.mean().neg(),
        }
    }

    /// The discriminator's loss, shape `[1]`: half the sum of those of acquired and of synthetic images.
    ///
    /// Half, so that it learns at half the generator's rate (Isola et al. 2017, section 3.3).
    pub fn of_discriminator<B: Backend>(
        self,
        acquired: Tensor<B, 4>,
        synthetic: Tensor<B, 4>,
    ) -> Tensor<B, 1> {
        let sum = match self {
            Self::LeastSquares => (acquired - 1.0).square().mean() + synthetic.square().mean(),
            Self::Hinge => relu(acquired.neg() + 1.0).mean() + relu(synthetic + 1.0).mean(),
        };
        sum * 0.5
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Autodiff, Flex};
    use burn::tensor::TensorData;

    fn scores<B: Backend>(values: [f32; 3]) -> Tensor<B, 4> {
        Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, 1, 3]), &Default::default())
    }

    fn losses(kind: AdversarialLoss) -> (f32, f32) {
        let (acquired, synthetic) = ([2.0, 0.5, -1.0], [-2.0, 0.5, 1.0]);
        let judged = kind.of_discriminator::<Flex>(scores(acquired), scores(synthetic)).into_scalar();
        (kind.of_generator::<Flex>(scores(synthetic)).into_scalar(), judged)
    }

    #[test]
    fn the_losses_are_the_papers_formulas() {
        let (generator, discriminator) = losses(AdversarialLoss::LeastSquares);
        assert!((generator - (9.0 + 0.25 + 0.0) / 3.0).abs() < 1e-6);
        let (acquired, synthetic) = (1.0 + 0.25 + 4.0, 4.0 + 0.25 + 1.0);
        assert!((discriminator - 0.5 * (acquired + synthetic) / 3.0).abs() < 1e-6);
        let (generator, discriminator) = losses(AdversarialLoss::Hinge);
        assert!((generator - 0.5 / 3.0).abs() < 1e-6);
        let (acquired, synthetic) = (0.0 + 0.5 + 2.0, 0.0 + 1.5 + 2.0);
        assert!((discriminator - 0.5 * (acquired + synthetic) / 3.0).abs() < 1e-6);
    }

    #[test]
    fn gradients_match_finite_differences() {
        type A = Autodiff<Flex>;
        for kind in [AdversarialLoss::LeastSquares, AdversarialLoss::Hinge] {
            let (acquired, synthetic) = ([2.0, 0.5, -1.5], [-2.0, 0.5, 1.5]);
            let leaf = scores::<A>(synthetic).require_grad();
            let both = |leaf: Tensor<A, 4>| {
                kind.of_generator(leaf.clone()) * 3.0 + kind.of_discriminator(scores(acquired), leaf)
            };
            let gradients = both(leaf.clone()).backward();
            let gradient: Vec<f32> = leaf.grad(&gradients).unwrap().into_data().to_vec().unwrap();
            for at in 0..3 {
                let moved = |by: f32| {
                    let mut values = synthetic;
                    values[at] += by;
                    both(scores(values)).into_scalar()
                };
                let slope = (moved(0.01) - moved(-0.01)) / 0.02;
                assert!((slope - gradient[at]).abs() < 1e-3, "{kind:?} {at}: {slope} {}", gradient[at]);
            }
        }
    }
}
