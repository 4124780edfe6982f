//! Three normal distributions of intensity: the probability of each given a voxel, and the sums that they are estimated from.

/// Classes of a mixture.
pub(super) const CLASSES: usize = 3;
/// A number for each class, in the order of rising intensity.
pub(super) type PerClass = [f32; CLASSES];

/// An intensity that lies beyond the outermost class by more than this many of its deviations tells nothing of the tissue: iron,
/// flowing blood, voxels that are partly background.
const OUTLIER: f64 = 3.0;
/// No prior rules a class out altogether.
const LEAST_PRIOR: f32 = 1e-6;

/// A normal distribution of intensities.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Gaussian {
    /// Mean intensity.
    pub mean: f64,
    /// Standard deviation, positive.
    pub deviation: f64,
}

/// What is fitted.
#[derive(Clone)]
pub(super) struct Model {
    /// In the order of rising intensity.
    pub classes: [Gaussian; CLASSES],
    /// The part of the brain that each class has.
    pub proportions: [f64; CLASSES],
}

impl Model {
    /// The largest difference of a mean or a deviation.
    pub fn distance(&self, other: &Self) -> f64 {
        let pairs = self.classes.iter().zip(&other.classes);
        let steps = pairs.flat_map(|(a, b)| [(a.mean - b.mean).abs(), (a.deviation - b.deviation).abs()]);
        steps.fold(0.0, f64::max)
    }
}

/// A model, ready to be evaluated.
pub(super) struct Densities {
    means: PerClass,
    /// One over the deviations.
    inverse: PerClass,
    /// Minus the logarithms of the deviations.
    peaks: PerClass,
    /// What each class has of the prior without spatial priors.
    everywhere: PerClass,
    trust: f32,
    /// Intensities beyond these are taken for them.
    bounds: [f32; 2],
    /// Intensities beyond these tell nothing.
    limits: [f32; 2],
}

impl Densities {
    pub fn of(model: &Model, trust: f32, outermost: usize) -> Self {
        let each =
            |value: &dyn Fn(&Gaussian) -> f64| model.classes.each_ref().map(|class| value(class) as f32);
        let Gaussian { mean, deviation } = model.classes[outermost];
        let [mean, reach] = [mean as f32, (OUTLIER * deviation) as f32];
        let up_to = |reach| {
            if outermost == 0 { [mean - reach, f32::INFINITY] } else { [f32::NEG_INFINITY, mean + reach] }
        };
        Self {
            bounds: up_to(0.0),
            limits: up_to(reach),
            means: each(&|class| class.mean),
            inverse: each(&|class| 1.0 / class.deviation),
            peaks: each(&|class| -class.deviation.ln()),
            everywhere: model.proportions.map(|proportion| (1.0 - trust) * proportion as f32),
            trust,
        }
    }

    /// Whether an intensity says anything of the tissue.
    pub fn tells(&self, intensity: f32) -> bool {
        (self.limits[0]..=self.limits[1]).contains(&intensity)
    }

    /// The probability of each class, given the intensity, the spatial priors and what the neighbours say.
    pub fn posterior(&self, intensity: f32, prior: PerClass, around: PerClass) -> PerClass {
        let mut scores = around;
        if self.tells(intensity) {
            let intensity = intensity.max(self.bounds[0]).min(self.bounds[1]);
            for (class, score) in scores.iter_mut().enumerate() {
                let away = (intensity - self.means[class]) * self.inverse[class];
                *score += self.peaks[class] - 0.5 * away * away;
            }
        }
        let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut odds = scores.map(|score| (score - top).exp());
        for class in 0..CLASSES {
            odds[class] *= (self.everywhere[class] + self.trust * prior[class]).max(LEAST_PRIOR);
        }
        let total: f32 = odds.iter().sum();
        odds.map(|odd| odd / total)
    }
}

/// Sums over voxels of each class's posteriors, and of these times the intensity and its square.
#[derive(Default)]
pub(super) struct Sums {
    pub weight: [f64; CLASSES],
    pub first: [f64; CLASSES],
    pub second: [f64; CLASSES],
}

impl Sums {
    pub fn add(&mut self, intensity: f32, posterior: &PerClass) {
        let intensity = f64::from(intensity);
        for (class, weight) in posterior.iter().copied().map(f64::from).enumerate() {
            self.weight[class] += weight;
            self.first[class] += weight * intensity;
            self.second[class] += weight * intensity * intensity;
        }
    }

    pub fn plus(mut self, other: &Self) -> Self {
        for class in 0..CLASSES {
            self.weight[class] += other.weight[class];
            self.first[class] += other.first[class];
            self.second[class] += other.second[class];
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_posterior_is_prior_times_density_times_neighbours() {
        let classes = [(10.0, 4.0), (20.0, 3.0), (30.0, 2.0)];
        let classes = classes.map(|(mean, deviation)| Gaussian { mean, deviation });
        let model = Model { classes, proportions: [0.2, 0.3, 0.5] };
        let densities = Densities::of(&model, 0.25, 2);
        // scipy.stats.norm.pdf(17, [10, 20, 30], [4, 3, 2]) * (0.75 * numpy.array([.2, .3, .5]) + 0.25 * numpy.array([.1, .6,
        // .3])) * numpy.exp([.1, .2, .3]), over its sum.
        let expected = [0.101_463_14, 0.898_536_86, 1.97e-9];
        let found = densities.posterior(17.0, [0.1, 0.6, 0.3], [0.1, 0.2, 0.3]);
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} instead of {expected}");
        }
        // Between the outermost mean and three deviations beyond it, every voxel is as on the mean.
        let on_mean = densities.posterior(30.0, [0.1, 0.6, 0.3], [0.0; 3]);
        assert_eq!(densities.posterior(35.9, [0.1, 0.6, 0.3], [0.0; 3]), on_mean);
        // Further out, the intensity tells nothing.
        let beyond = densities.posterior(36.1, [0.1, 0.6, 0.3], [0.0; 3]);
        for (found, prior) in beyond.iter().zip([0.175, 0.375, 0.45]) {
            assert!((found - prior).abs() < 1e-6, "{beyond:?}");
        }
        // On the other side the first class has no bound.
        assert!(densities.posterior(-1000.0, [0.1, 0.6, 0.3], [0.0; 3])[0] > 0.999);
    }
}
