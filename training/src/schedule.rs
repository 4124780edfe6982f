//! The learning rate of every step.

use serde::{Deserialize, Serialize};

/// How the learning rate goes down after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Half a cosine down to the final learning rate at the last step.
    Cosine,
    /// Not at all.
    Constant,
    /// Once, by a factor, at the start of an epoch.
    Drop,
}

/// The course of a learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRate {
    /// The highest one, reached after the warm-up.
    pub highest: f64,
    /// Steps over which it rises from 0, by the same amount each.
    pub warmup_steps: u64,
    /// How it goes on.
    pub decay: Decay,
}

/// How a learning rate goes down, with its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// Half a cosine to `lowest` at step `steps`.
    Cosine {
        /// The rate at the end.
        lowest: f64,
        /// Steps in all, the warm-up included.
        steps: u64,
    },
    /// Not at all.
    Constant,
    /// By `factor` from step `step` on.
    Drop {
        /// The first step with the lower rate.
        step: u64,
        /// What the rate is multiplied by.
        factor: f64,
    },
}

impl LearningRate {
    /// The learning rate of `step`, counted from 0.
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.highest * (step + 1) as f64 / self.warmup_steps as f64;
        }
        match self.decay {
            Decay::Constant => self.highest,
            Decay::Drop { step: drop, factor } => self.highest * if step < drop { 1.0 } else { factor },
            Decay::Cosine { lowest, steps } => {
                let all = steps.saturating_sub(self.warmup_steps).max(1) as f64;
                let done = ((step - self.warmup_steps) as f64 / all).min(1.0);
                let height = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
                lowest + height * (self.highest - lowest)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(rate: f64, expected: f64) {
        assert!((rate - expected).abs() < 1e-12, "{rate} {expected}");
    }

    #[test]
    fn it_warms_up_and_follows_a_cosine() {
        let decay = Decay::Cosine { lowest: 1e-5, steps: 1000 };
        let rate = LearningRate { highest: 5e-4, warmup_steps: 200, decay };
        close(rate.at(0), 5e-4 / 200.0);
        close(rate.at(199), 5e-4);
        close(rate.at(200), 5e-4);
        close(rate.at(400), 1e-5 + (5e-4 - 1e-5) * (0.5 + 0.125_f64.sqrt()));
        close(rate.at(600), (5e-4 + 1e-5) / 2.0);
        close(rate.at(1000), 1e-5);
        close(rate.at(5000), 1e-5);
    }

    #[test]
    fn the_papers_rate_is_a_tenth_from_epoch_100_on() {
        let steps_an_epoch = 37;
        let decay = Decay::Drop { step: 100 * steps_an_epoch, factor: 0.1 };
        let rate = LearningRate { highest: 2e-4, warmup_steps: 0, decay };
        close(rate.at(0), 2e-4);
        close(rate.at(100 * steps_an_epoch - 1), 2e-4);
        close(rate.at(100 * steps_an_epoch), 2e-5);
        close(rate.at(200 * steps_an_epoch), 2e-5);
        close(LearningRate { decay: Decay::Constant, ..rate }.at(1_000_000), 2e-4);
    }
}
