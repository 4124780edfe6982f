//! The recipe of an extractor's training: a TOML file with defaults, checked before anything starts.

use std::path::{Path, PathBuf};

use mrisynth::digest;
use serde::{Deserialize, Serialize};

use super::network::NetworkConfig;
use crate::error::Error;
use crate::schedule::{Decay, LearningRate};

/// Everything that decides the outcome of a run, besides the label maps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Label maps of heads, or folders of them; relative paths start at the working folder.
    pub labels: Vec<PathBuf>,
    /// Steps in all.
    pub steps: u64,
    /// Crops a step.
    #[serde(default = "default_batch_size")]
    pub batch_size: usize,
    /// Sides of a crop in voxels of 2 mm, one drawn for each axis and step; multiples of 16.
    #[serde(default = "default_crop_sizes")]
    pub crop_sizes: Vec<usize>,
    /// Simulated heads at the first step.
    #[serde(default = "default_first_heads")]
    pub first_heads: u64,
    /// Steps after which another head is simulated.
    #[serde(default = "default_steps_per_head")]
    pub steps_per_head: u64,
    /// The newest heads that are drawn from.
    #[serde(default = "default_pool")]
    pub pool: u64,
    /// The highest learning rate, after the warm-up.
    #[serde(default = "default_learning_rate")]
    pub learning_rate: f64,
    /// The learning rate at the last step.
    #[serde(default = "default_final_learning_rate")]
    pub final_learning_rate: f64,
    /// Steps over which the learning rate rises from 0.
    #[serde(default = "default_warmup_steps")]
    pub warmup_steps: u64,
    /// The highest norm of all gradients together; 0 leaves them as they are.
    #[serde(default = "default_gradient_clip")]
    pub gradient_clip: f64,
    /// Decay of the moving average of the weights, which is what gets exported.
    #[serde(default = "default_ema_decay")]
    pub ema_decay: f64,
    /// Decides weights, heads and draws.
    #[serde(default)]
    pub seed: u64,
    /// Steps between checkpoints.
    #[serde(default = "default_checkpoint_every")]
    pub checkpoint_every: u64,
    /// Steps between lines of the log.
    #[serde(default = "default_log_every")]
    pub log_every: u64,
    /// The shape of the network.
    #[serde(default)]
    pub network: NetworkConfig,
}

fn default_batch_size() -> usize {
    2
}
fn default_crop_sizes() -> Vec<usize> {
    vec![64, 80, 96, 112]
}
fn default_first_heads() -> u64 {
    24
}
fn default_steps_per_head() -> u64 {
    3
}
fn default_pool() -> u64 {
    300
}
fn default_learning_rate() -> f64 {
    1e-3
}
fn default_final_learning_rate() -> f64 {
    1e-5
}
fn default_warmup_steps() -> u64 {
    50
}
fn default_gradient_clip() -> f64 {
    1.0
}
fn default_ema_decay() -> f64 {
    0.998
}
fn default_checkpoint_every() -> u64 {
    200
}
fn default_log_every() -> u64 {
    20
}

impl Recipe {
    /// Reads and checks the recipe at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Recipe`] with the fault.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let recipe: Self = toml::from_str(&text).map_err(|e| Error::recipe(path, e.to_string()))?;
        recipe.validate().map_err(|fault| Error::recipe(path, fault))?;
        Ok(recipe)
    }

    /// The recipe as TOML, with every default written out.
    ///
    /// # Errors
    /// [`Error::Recipe`] if it cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String, Error> {
        toml::to_string(self).map_err(|e| Error::recipe("brain", e.to_string()))
    }

    /// Names the first thing that cannot work.
    ///
    /// # Errors
    /// The fault.
    pub fn validate(&self) -> Result<(), String> {
        self.network.validate().map_err(|e| e.to_string())?;
        if self.labels.is_empty() {
            return Err("labels is empty".into());
        }
        let fits = |side: &usize| *side > 0 && side.is_multiple_of(16) && *side <= 256;
        if self.crop_sizes.is_empty() || !self.crop_sizes.iter().all(fits) {
            let sizes = &self.crop_sizes;
            return Err(format!("crop_sizes is {sizes:?}, they must be multiples of 16 up to 256"));
        }
        if !(1..=64).contains(&self.batch_size) {
            return Err(format!("batch_size is {}, it must be in 1..=64", self.batch_size));
        }
        for (name, value) in [
            ("steps", self.steps),
            ("first_heads", self.first_heads),
            ("steps_per_head", self.steps_per_head),
            ("pool", self.pool),
            ("checkpoint_every", self.checkpoint_every),
            ("log_every", self.log_every),
        ] {
            if value == 0 {
                return Err(format!("{name} is 0"));
            }
        }
        for (name, value, high) in [
            ("learning_rate", self.learning_rate, 1.0),
            ("final_learning_rate", self.final_learning_rate, self.learning_rate),
            ("gradient_clip", self.gradient_clip, 1e6),
            ("ema_decay", self.ema_decay, 0.999_999),
        ] {
            if !(0.0..=high).contains(&value) {
                return Err(format!("{name} is {value}, it must be in 0..={high}"));
            }
        }
        Ok(())
    }

    /// The learning rate of every step: up over the warm-up, then down by half a cosine.
    pub fn learning_rate(&self) -> LearningRate {
        let decay = Decay::Cosine { lowest: self.final_learning_rate, steps: self.steps };
        LearningRate { highest: self.learning_rate, warmup_steps: self.warmup_steps, decay }
    }

    /// The digest that ties checkpoints to this recipe.
    ///
    /// # Errors
    /// Those of [`Recipe::to_toml`].
    pub fn sha256(&self) -> Result<String, Error> {
        Ok(digest::sha256(self.to_toml()?.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_recipe_is_sound_and_mistakes_are_named() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/brain-extraction.toml");
        let recipe = Recipe::read(&path).unwrap();
        assert_eq!(toml::from_str::<Recipe>(&recipe.to_toml().unwrap()).unwrap(), recipe);
        let fault = Recipe { crop_sizes: vec![40], ..recipe.clone() }.validate().unwrap_err();
        assert!(fault.contains("crop_sizes"), "{fault}");
        assert!(Recipe { pool: 0, ..recipe.clone() }.validate().is_err());
        assert!(Recipe { final_learning_rate: 1.0, ..recipe }.validate().is_err());
    }
}
