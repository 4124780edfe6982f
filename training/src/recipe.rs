//! The recipe of a training run: a TOML file with defaults, checked before anything starts.

use std::path::{Path, PathBuf};

use mrisynth::Contrast;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::loss::LossConfig;
use crate::network::{NetworkConfig, SIZE_MULTIPLE};
use crate::sample::SampleConfig;

/// How the learning rate goes down after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Half a cosine down to `final_learning_rate` at the last step.
    #[default]
    Cosine,
    /// Not at all.
    Constant,
}

/// Everything that decides the outcome of a run, besides the stores' contents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Names the generator, for example `t1w-from-t2w`.
    pub name: String,
    /// The contrast that comes in.
    pub source: Contrast,
    /// The contrast to be synthesized.
    pub target: Contrast,
    /// Stores of subjects; relative paths start at the working folder.
    pub stores: Vec<PathBuf>,
    /// The part of the draws that goes to real subjects, 0..=1.
    #[serde(default = "default_real_fraction")]
    pub real_fraction: f64,
    /// Edge of the square patches, in pixels, a multiple of 16.
    #[serde(default = "default_patch_size")]
    pub patch_size: usize,
    /// Patches a step.
    #[serde(default = "default_batch_size")]
    pub batch_size: usize,
    /// Whether to vary geometry and intensities.
    #[serde(default = "default_augment")]
    pub augment: bool,
    /// Steps in all.
    pub steps: u64,
    /// The highest learning rate, after the warm-up.
    #[serde(default = "default_learning_rate")]
    pub learning_rate: f64,
    /// The learning rate at the last step of a cosine.
    #[serde(default = "default_final_learning_rate")]
    pub final_learning_rate: f64,
    /// Steps over which the learning rate rises from 0.
    #[serde(default = "default_warmup_steps")]
    pub warmup_steps: u64,
    /// How the learning rate goes down.
    #[serde(default)]
    pub schedule: Schedule,
    /// The highest norm of all gradients together; 0 leaves them as they are.
    #[serde(default = "default_gradient_clip")]
    pub gradient_clip: f64,
    /// Decay of the moving average of the weights, which is what gets exported; 0 exports the weights themselves.
    #[serde(default = "default_ema_decay")]
    pub ema_decay: f64,
    /// Decides weights and draws.
    #[serde(default)]
    pub seed: u64,
    /// Steps between checkpoints.
    #[serde(default = "default_checkpoint_every")]
    pub checkpoint_every: u64,
    /// Steps between lines of the log.
    #[serde(default = "default_log_every")]
    pub log_every: u64,
    /// The shape of the generator.
    #[serde(default)]
    pub network: NetworkConfig,
    /// How much each loss counts.
    #[serde(default)]
    pub losses: LossConfig,
}

fn default_real_fraction() -> f64 {
    0.5
}
fn default_patch_size() -> usize {
    128
}
fn default_batch_size() -> usize {
    8
}
fn default_augment() -> bool {
    true
}
fn default_learning_rate() -> f64 {
    5e-4
}
fn default_final_learning_rate() -> f64 {
    1e-5
}
fn default_warmup_steps() -> u64 {
    200
}
fn default_gradient_clip() -> f64 {
    1.0
}
fn default_ema_decay() -> f64 {
    0.999
}
fn default_checkpoint_every() -> u64 {
    500
}
fn default_log_every() -> u64 {
    50
}

impl Recipe {
    /// Reads and checks the recipe at `path`.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let recipe: Self = toml::from_str(&text).map_err(|e| Error::recipe(path, e.to_string()))?;
        recipe.validate().map_err(|fault| Error::recipe(path, fault))?;
        Ok(recipe)
    }

    /// The recipe as TOML, with every default written out.
    pub fn to_toml(&self) -> Result<String, Error> {
        toml::to_string(self).map_err(|e| Error::recipe(&self.name, e.to_string()))
    }

    /// Names the first thing that cannot work.
    pub fn validate(&self) -> Result<(), String> {
        if self.name.trim().is_empty() {
            return Err("name is empty".into());
        }
        if self.source == self.target {
            return Err(format!("source and target are both {}", self.source));
        }
        if self.stores.is_empty() {
            return Err("stores is empty".into());
        }
        self.network.validate().map_err(|e| e.to_string())?;
        self.losses.validate()?;
        self.validate_sizes()?;
        self.validate_rates()
    }

    fn validate_sizes(&self) -> Result<(), String> {
        let patch = self.patch_size;
        if patch == 0 || !patch.is_multiple_of(SIZE_MULTIPLE) || patch > 512 {
            return Err(format!("patch_size is {patch}, it must be a multiple of {SIZE_MULTIPLE} up to 512"));
        }
        if self.losses.adversarial_weight > 0.0 && patch < 80 {
            return Err(format!("patch_size is {patch}, the discriminator needs 80 or more"));
        }
        if !(1..=256).contains(&self.batch_size) {
            return Err(format!("batch_size is {}, it must be in 1..=256", self.batch_size));
        }
        for (name, value) in [
            ("steps", self.steps),
            ("checkpoint_every", self.checkpoint_every),
            ("log_every", self.log_every),
        ] {
            if value == 0 {
                return Err(format!("{name} is 0"));
            }
        }
        Ok(())
    }

    fn validate_rates(&self) -> Result<(), String> {
        let within = |name: &str, value: f64, low: f64, high: f64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(format!("{name} is {value}, it must be in {low}..={high}"))
            }
        };
        within("real_fraction", self.real_fraction, 0.0, 1.0)?;
        within("learning_rate", self.learning_rate, 1e-12, 1.0)?;
        within("final_learning_rate", self.final_learning_rate, 0.0, self.learning_rate)?;
        within("gradient_clip", self.gradient_clip, 0.0, 1e6)?;
        within("ema_decay", self.ema_decay, 0.0, 0.999_999)
    }

    /// The learning rate of `step`, counted from 0.
    pub fn learning_rate_at(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return self.learning_rate * (step + 1) as f64 / self.warmup_steps as f64;
        }
        match self.schedule {
            Schedule::Constant => self.learning_rate,
            Schedule::Cosine => {
                let all = self.steps.saturating_sub(self.warmup_steps).max(1) as f64;
                let done = ((step - self.warmup_steps) as f64 / all).min(1.0);
                let height = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
                self.final_learning_rate + height * (self.learning_rate - self.final_learning_rate)
            }
        }
    }

    /// SHA-256 of all that decides the weights; how often is logged or saved does not count.
    pub fn sha256(&self) -> Result<String, Error> {
        let canonical = Self { checkpoint_every: 1, log_every: 1, ..self.clone() };
        let text = canonical.to_toml()?;
        Ok(Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// What the sampler needs to know.
    pub fn sample_config(&self) -> SampleConfig {
        SampleConfig {
            source: self.source,
            target: self.target,
            slices_in: self.network.slices_in,
            patch_size: self.patch_size,
            batch_size: self.batch_size,
            real_fraction: self.real_fraction,
            augment: self.augment,
            seed: self.seed,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const SMALLEST: &str = "name = 'a'\nsource = 't2w'\ntarget = 't1w'\nstores = ['x']\nsteps = 1000\n";

    pub(crate) fn smallest() -> Recipe {
        toml::from_str(SMALLEST).unwrap()
    }

    #[test]
    fn the_recipes_of_this_crate_are_valid_and_come_back() {
        for name in ["t1w-from-t2w", "t2w-from-t1w"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
            let recipe = Recipe::read(&folder.join(format!("{name}.toml"))).unwrap();
            assert_eq!(recipe.name, name);
            let again: Recipe = toml::from_str(&recipe.to_toml().unwrap()).unwrap();
            assert_eq!(recipe, again);
        }
    }

    #[test]
    fn unknown_keys_and_impossible_values_are_refused() {
        assert!(smallest().validate().is_ok());
        assert!(toml::from_str::<Recipe>(&format!("{SMALLEST}patchsize = 3\n")).is_err());
        for line in [
            "patch_size = 100",
            "patch_size = 0",
            "batch_size = 0",
            "real_fraction = 1.5",
            "learning_rate = -1.0",
            "final_learning_rate = 1.0",
            "log_every = 0",
            "network.slices_in = 4",
            "losses.l1_weight = -1.0",
        ] {
            let recipe: Recipe = toml::from_str(&format!("{SMALLEST}{line}\n")).unwrap();
            assert!(recipe.validate().is_err(), "{line}");
        }
        let same = Recipe { target: Contrast::T2w, ..smallest() };
        assert!(same.validate().is_err());
    }

    #[test]
    fn the_learning_rate_warms_up_and_goes_down() {
        let recipe = smallest();
        assert!((recipe.learning_rate_at(0) - 5e-4 / 200.0).abs() < 1e-12);
        assert!((recipe.learning_rate_at(200) - 5e-4).abs() < 1e-12);
        let middle = recipe.learning_rate_at(600);
        assert!((middle - (5e-4 + 1e-5) / 2.0).abs() < 1e-9);
        assert!((recipe.learning_rate_at(1000) - 1e-5).abs() < 1e-12);
    }

    #[test]
    fn the_digest_sees_what_matters() {
        let digest = |recipe: &Recipe| recipe.sha256().unwrap();
        let often = Recipe { log_every: 7, ..smallest() };
        assert_eq!(digest(&smallest()), digest(&often));
        let other = Recipe { seed: 7, ..smallest() };
        assert_ne!(digest(&smallest()), digest(&other));
    }
}
