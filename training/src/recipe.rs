//! The recipe of a training run: a TOML file over the defaults of its method, checked before anything starts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mrisynth::{Contrast, digest};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::data::split::Split;
use crate::direction::Direction;
use crate::error::Error;
use crate::loss::{CycleLossConfig, LossConfig};
use crate::network::GeneratorConfig;
use crate::network::discriminator::DiscriminatorConfig;
use crate::network::layers::Arithmetic;
use crate::sample::{Augmentation, Draws, Framing, SampleConfig};
use crate::schedule::{Decay, LearningRate, Schedule};

/// The largest edge of an image, in pixels.
const LARGEST_EDGE: usize = 1024;

/// How a generator learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// From pairs, by pixel-wise losses; with an adversary only if the recipe asks for one.
    Supervised,
    /// From unpaired slices, both directions at once (Zhu et al. 2017).
    CycleGan,
    /// From pairs, against a discriminator that sees the source (Isola et al. 2017).
    Pix2Pix,
}

impl Method {
    /// The defaults of its recipes, as TOML.
    fn defaults(self) -> &'static str {
        match self {
            Self::Supervised => include_str!("../recipes/defaults/supervised.toml"),
            Self::CycleGan => include_str!("../recipes/defaults/cyclegan.toml"),
            Self::Pix2Pix => include_str!("../recipes/defaults/pix2pix.toml"),
        }
    }
}

/// How slices are chosen; see [`Draws`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DrawKind {
    /// A patient, then a study, then a slice by chance.
    Patients,
    /// Every slice once a pass.
    Slices,
}

/// What is shown of a slice; see [`Framing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FramingKind {
    /// Patches of `patch_size`.
    Patch,
    /// Whole slices in a window of `window`.
    Whole,
}

/// Everything that decides the outcome of a run, besides the stores' contents.
///
/// Keys that a recipe leaves out have the values of `recipes/defaults/METHOD.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The first part of the models' names, before `t1w-from-t2w` or `t2w-from-t1w`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How the generator learns.
    pub method: Method,
    /// The contrast that comes in; for a CycleGAN, of the forward generator.
    pub source: Contrast,
    /// The contrast to be synthesized; for a CycleGAN, by the forward generator.
    pub target: Contrast,
    /// Stores of subjects; relative paths start at the working folder.
    pub stores: Vec<PathBuf>,
    /// Which patients are for what.
    pub split: Split,
    /// How slices are chosen.
    pub draws: DrawKind,
    /// With draws of patients, the part of the draws that goes to real subjects, 0..=1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real_fraction: Option<f64>,
    /// Patches or whole slices.
    pub framing: FramingKind,
    /// Edge of the square window of whole slices in voxels: in training for `framing = "whole"`, and wherever the model is run
    /// for networks with instance normalization, whose result depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
    /// Edge of the square patches in voxels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch_size: Option<usize>,
    /// Images a step.
    pub batch_size: usize,
    /// What is varied by chance.
    pub augment: Augmentation,
    /// With `augment = "all"`, the part of the images whose intensities are varied, 0..=1; all, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub varied_fraction: Option<f64>,
    /// The part of the images, 0..=1, into which tissue of elsewhere in the same head is put, in both contrasts; none, if left out.
    /// For paired methods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transplanted_fraction: Option<f64>,
    /// Steps in all; instead of `epochs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Epochs in all; instead of `steps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u64>,
    /// Steps of an epoch: from one look at the validation part to the next. As many as show every training slice once, if left
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch_steps: Option<u64>,
    /// The highest learning rate, after the warm-up.
    pub learning_rate: f64,
    /// How the learning rate goes down.
    pub schedule: Schedule,
    /// The learning rate at the last step of a cosine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_learning_rate: Option<f64>,
    /// The epoch, counted from 0, at whose start the learning rate drops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_epoch: Option<u64>,
    /// What the learning rate is multiplied by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drop_factor: Option<f64>,
    /// Steps over which the learning rate rises from 0.
    pub warmup_steps: u64,
    /// Adam's decay of the mean gradient.
    pub beta_1: f64,
    /// The highest norm of all gradients of a generator together; 0 leaves them as they are.
    pub gradient_clip: f64,
    /// Decay of the moving average of the generators' weights, which is what gets exported; 0 exports the weights themselves.
    pub ema_decay: f64,
    /// Decides weights and draws.
    pub seed: u64,
    /// Steps between checkpoints; there is one after every epoch too.
    pub checkpoint_every: u64,
    /// Steps between lines of the log.
    pub log_every: u64,
    /// Slices of each validation subject that are looked at after an epoch, evenly spaced; 0: all.
    pub validation_slices: usize,
    /// With draws of patients, how often one is drawn beside the others of its kind, real or simulated; 1 where none is named.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub patient_weights: BTreeMap<String, f64>,
    /// The shape of the generators.
    pub network: GeneratorConfig,
    /// The shape of the discriminators, where there are any.
    pub discriminator: DiscriminatorConfig,
    /// How convolutions are computed.
    pub arithmetic: Arithmetic,
    /// How much each loss counts, for methods that learn from pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub losses: Option<LossConfig>,
    /// How much each loss counts, for CycleGAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycle_losses: Option<CycleLossConfig>,
}

/// How long a run is, once its data are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Steps in all.
    pub steps: u64,
    /// Steps of an epoch.
    pub epoch_steps: u64,
}

impl Recipe {
    /// Reads and checks the recipe at `path`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Recipe`] with the first fault.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        Self::of_text(&text).map_err(|fault| Error::recipe(path, fault))
    }

    /// The recipe in `text`, checked.
    ///
    /// # Errors
    /// The first fault.
    pub fn of_text(text: &str) -> Result<Self, String> {
        let given: Table = toml::from_str(text).map_err(|e| e.to_string())?;
        let method = match given.get("method") {
            Some(method) => method.clone().try_into().map_err(|e: toml::de::Error| format!("method: {e}"))?,
            None => return Err("method is missing: supervised, cyclegan or pix2pix".into()),
        };
        let recipe: Self =
            completed(given, method)?.try_into().map_err(|e: toml::de::Error| e.to_string())?;
        recipe.validate()?;
        Ok(recipe)
    }

    /// The recipe as TOML, with every default written out.
    ///
    /// # Errors
    /// [`Error::Recipe`] if it cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String, Error> {
        toml::to_string(self).map_err(|e| Error::recipe("to be written", e.to_string()))
    }

    /// Names the first thing that cannot work.
    ///
    /// # Errors
    /// The fault.
    pub fn validate(&self) -> Result<(), String> {
        if self.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
            return Err("name is empty".into());
        }
        if self.source == self.target {
            return Err(format!("source and target are both {}", self.source));
        }
        if self.stores.is_empty() {
            return Err("stores is empty".into());
        }
        self.split.validate()?;
        self.network.validate().map_err(|e| e.to_string())?;
        self.discriminator.validate().map_err(|e| e.to_string())?;
        self.validate_losses()?;
        self.validate_frame()?;
        self.validate_length()?;
        self.validate_rates()
    }

    fn validate_losses(&self) -> Result<(), String> {
        match (self.method, &self.losses, &self.cycle_losses) {
            (Method::CycleGan, None, Some(cycle)) => {
                if self.network.slices_in() != 1 {
                    return Err(format!(
                        "network.slices_in is {}: a CycleGAN reads what it has written, so it takes 1 slice",
                        self.network.slices_in()
                    ));
                }
                cycle.validate()
            }
            (Method::CycleGan, _, _) => Err("a CycleGAN has [cycle_losses], and no [losses]".into()),
            (Method::Supervised | Method::Pix2Pix, Some(losses), None) => {
                if self.method == Method::Pix2Pix && losses.adversarial_weight == 0.0 {
                    return Err("losses.adversarial_weight is 0: Pix2Pix has an adversary".into());
                }
                losses.validate()
            }
            (Method::Supervised | Method::Pix2Pix, _, _) => {
                Err("this method has [losses], and no [cycle_losses]".into())
            }
        }
    }

    fn validate_frame(&self) -> Result<(), String> {
        let multiple = self.network.size_multiple();
        let fits = |name: &str, edge: Option<usize>, needed: bool| match edge {
            None if needed => Err(format!("{name} is missing")),
            Some(edge) if edge == 0 || edge > LARGEST_EDGE || !edge.is_multiple_of(multiple) => {
                Err(format!("{name} is {edge}, it must be a multiple of {multiple} up to {LARGEST_EDGE}"))
            }
            _ => Ok(()),
        };
        let whole = self.framing == FramingKind::Whole;
        fits("patch_size", self.patch_size, !whole)?;
        if whole || !self.network.is_local() {
            fits("window", self.window, true)?;
        } else {
            fits("window", self.window, false)?;
        }
        let (edge, smallest) = (self.framing().edge(), self.discriminator.smallest_size());
        if self.has_adversary() && edge < smallest {
            return Err(format!(
                "images of {edge} voxels are too small for the discriminator, which needs {smallest}"
            ));
        }
        if !(1..=256).contains(&self.batch_size) {
            return Err(format!("batch_size is {}, it must be in 1..=256", self.batch_size));
        }
        Ok(())
    }

    fn validate_length(&self) -> Result<(), String> {
        if self.steps.is_some() == self.epochs.is_some() {
            return Err("one of steps and epochs must be given".into());
        }
        for (name, value) in [
            ("steps", self.steps),
            ("epochs", self.epochs),
            ("epoch_steps", self.epoch_steps),
            ("checkpoint_every", Some(self.checkpoint_every)),
            ("log_every", Some(self.log_every)),
        ] {
            if value == Some(0) {
                return Err(format!("{name} is 0"));
            }
        }
        Ok(())
    }

    fn validate_rates(&self) -> Result<(), String> {
        let within = |name: &str, value: Option<f64>, low: f64, high: f64| match value {
            None => Err(format!("{name} is missing")),
            Some(value) if (low..=high).contains(&value) => Ok(()),
            Some(value) => Err(format!("{name} is {value}, it must be in {low}..={high}")),
        };
        if self.draws == DrawKind::Patients {
            within("real_fraction", self.real_fraction, 0.0, 1.0)?;
        }
        within("varied_fraction", Some(self.varied_fraction.unwrap_or(1.0)), 0.0, 1.0)?;
        within("transplanted_fraction", Some(self.transplanted_fraction.unwrap_or(0.0)), 0.0, 1.0)?;
        if self.method == Method::CycleGan && self.transplanted_fraction.is_some() {
            return Err(
                "transplanted_fraction is for paired methods: CycleGAN's images have no partners".into()
            );
        }
        for (patient, &weight) in &self.patient_weights {
            within(&format!("patient_weights.{patient}"), Some(weight), 0.0, 1e6)?;
        }
        within("learning_rate", Some(self.learning_rate), 1e-12, 1.0)?;
        match self.schedule {
            Schedule::Constant => {}
            Schedule::Cosine => {
                within("final_learning_rate", self.final_learning_rate, 0.0, self.learning_rate)?;
            }
            Schedule::Drop => {
                within("drop_factor", self.drop_factor, 0.0, 1.0)?;
                if self.drop_epoch.is_none() {
                    return Err("drop_epoch is missing".into());
                }
            }
        }
        within("beta_1", Some(self.beta_1), 0.0, 0.999)?;
        within("gradient_clip", Some(self.gradient_clip), 0.0, 1e6)?;
        within("ema_decay", Some(self.ema_decay), 0.0, 0.999_999)
    }

    /// Whether a discriminator takes part.
    pub fn has_adversary(&self) -> bool {
        self.method == Method::CycleGan
            || self.losses.as_ref().is_some_and(|losses| losses.adversarial_weight > 0.0)
    }

    /// The method as model cards name it: `cyclegan-sn` is a CycleGAN with spectral normalization.
    pub fn method_name(&self) -> &'static str {
        match self.method {
            Method::Supervised => "supervised",
            Method::Pix2Pix => "pix2pix",
            Method::CycleGan if self.discriminator.spectral_normalization => "cyclegan-sn",
            Method::CycleGan => "cyclegan",
        }
    }

    /// From `source` to `target`.
    pub fn direction(&self) -> Direction {
        Direction { source: self.source, target: self.target }
    }

    /// The names of the stores, without folders and endings.
    pub fn store_names(&self) -> String {
        let stems = self.stores.iter().filter_map(|store| store.file_stem());
        stems.map(|stem| stem.to_string_lossy()).collect::<Vec<_>>().join(", ")
    }

    /// The name of the model that goes this way.
    pub fn model_name(&self, direction: Direction) -> String {
        match &self.name {
            Some(name) => format!("{name}-{direction}"),
            None => direction.to_string(),
        }
    }

    /// What is shown of a slice.
    pub fn framing(&self) -> Framing {
        match self.framing {
            FramingKind::Patch => Framing::Patch(self.patch_size.unwrap_or_default()),
            FramingKind::Whole => Framing::Whole(self.window.unwrap_or_default()),
        }
    }

    /// The window that a model must be run in, if its result depends on it.
    pub fn model_window(&self) -> Option<usize> {
        if self.network.is_local() { None } else { self.window }
    }

    /// How long the run is with so many training slices.
    pub fn length(&self, slices: u64) -> Length {
        let epoch_steps = self.epoch_steps.unwrap_or_else(|| slices.div_ceil(self.batch_size as u64)).max(1);
        let steps = match (self.steps, self.epochs) {
            (Some(steps), _) => steps,
            (None, epochs) => epochs.unwrap_or(1).saturating_mul(epoch_steps),
        };
        Length { steps, epoch_steps }
    }

    /// The learning rate of every step of a run of this length.
    pub fn learning_rate(&self, length: Length) -> LearningRate {
        let decay = match self.schedule {
            Schedule::Constant => Decay::Constant,
            Schedule::Cosine => {
                Decay::Cosine { lowest: self.final_learning_rate.unwrap_or_default(), steps: length.steps }
            }
            Schedule::Drop => Decay::Drop {
                step: self.drop_epoch.unwrap_or_default().saturating_mul(length.epoch_steps),
                factor: self.drop_factor.unwrap_or(1.0),
            },
        };
        LearningRate { highest: self.learning_rate, warmup_steps: self.warmup_steps, decay }
    }

    /// SHA-256 of all that decides the weights; how often is logged or saved does not count.
    ///
    /// # Errors
    /// Those of [`Recipe::to_toml`].
    pub fn sha256(&self) -> Result<String, Error> {
        let canonical = Self { checkpoint_every: 1, log_every: 1, ..self.clone() };
        Ok(digest::sha256(canonical.to_toml()?.as_bytes()))
    }

    /// What the sampler needs to know.
    pub fn sample_config(&self) -> SampleConfig {
        SampleConfig {
            source: self.source,
            target: self.target,
            slices_in: self.network.slices_in(),
            framing: self.framing(),
            batch_size: self.batch_size,
            draws: match self.draws {
                DrawKind::Patients => {
                    Draws::Patients { real_fraction: self.real_fraction.unwrap_or_default() }
                }
                DrawKind::Slices => Draws::Slices,
            },
            augment: self.augment,
            varied_fraction: self.varied_fraction.unwrap_or(1.0),
            transplanted_fraction: self.transplanted_fraction.unwrap_or(0.0),
            patient_weights: self.patient_weights.clone(),
            paired: self.method != Method::CycleGan,
            seed: self.seed,
        }
    }
}

/// What was given, over the defaults of the method.
fn completed(given: Table, method: Method) -> Result<Table, String> {
    let mut table: Table = toml::from_str(method.defaults()).map_err(|e| format!("defaults: {e}"))?;
    // A length in the one unit replaces a default in the other.
    if given.contains_key("steps") {
        table.remove("epochs");
    }
    overlay(&mut table, given);
    Ok(table)
}

/// Puts `given` over `table`, key by key; a table that names its kind replaces another kind's as a whole.
fn overlay(table: &mut Table, given: Table) {
    for (key, value) in given {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => {
                let other_kind = above.get("kind").is_some_and(|kind| below.get("kind") != Some(kind));
                if other_kind {
                    *below = above;
                } else {
                    overlay(below, above);
                }
            }
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const SUPERVISED: &str =
        "method = 'supervised'\nsource = 't2w'\ntarget = 't1w'\nstores = ['x']\nsteps = 1000\n";
    const CYCLEGAN: &str = "method = 'cyclegan'\nsource = 't2w'\ntarget = 't1w'\nstores = ['x']\n";

    pub(crate) fn of_text(text: &str) -> Recipe {
        Recipe::of_text(text).unwrap()
    }

    pub(crate) fn smallest() -> Recipe {
        of_text(SUPERVISED)
    }

    fn recipes() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes")
    }

    #[test]
    fn every_recipe_of_this_crate_is_valid_and_comes_back() {
        let files = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut read = 0;
        for path in files(recipes()).chain(files(recipes().join("reduced"))) {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if path.is_dir() || name == "brain-extraction" {
                continue;
            }
            let recipe = Recipe::read(&path).unwrap_or_else(|fault| panic!("{fault}"));
            assert_eq!(Recipe::of_text(&recipe.to_toml().unwrap()).unwrap(), recipe, "{name}");
            read += 1;
        }
        assert!(read >= 2 + 9 + 3, "{read}");
    }

    #[test]
    fn the_nine_recipes_are_the_papers() {
        for method in ["cyclegan", "cyclegan-sn", "pix2pix"] {
            for cohort in ["streamlined-0.7mm", "streamlined-1mm", "clinical-ms"] {
                let recipe = Recipe::read(&recipes().join(format!("{method}-{cohort}.toml"))).unwrap();
                assert_eq!(recipe.method_name(), method);
                assert_eq!(recipe.name.as_deref(), Some(format!("{method}-{cohort}").as_str()));
                assert_eq!((recipe.epochs, recipe.batch_size), (Some(200), 1));
                assert_eq!(recipe.split, Split::default());
                assert_eq!(recipe.framing(), Framing::Whole(256));
                let length = recipe.length(70);
                assert_eq!(length, Length { steps: 14_000, epoch_steps: 70 });
                let rate = recipe.learning_rate(length);
                let (early, late) = (rate.at(99 * 70 + 69), rate.at(100 * 70));
                let expected = if method == "pix2pix" { (1e-4, 1e-4) } else { (2e-4, 2e-5) };
                assert!((early - expected.0).abs() < 1e-12 && (late - expected.1).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn unknown_keys_and_impossible_values_are_refused() {
        assert!(Recipe::of_text("source = 't1w'").unwrap_err().contains("method is missing"));
        for (base, line, word) in [
            (SUPERVISED, "patchsize = 3", "patchsize"),
            (SUPERVISED, "network.width = 3", "width"),
            (SUPERVISED, "losses.l2_weight = 3", "l2_weight"),
            (SUPERVISED, "discriminator.spectral = true", "spectral"),
            (SUPERVISED, "arithmetic.precision = 'float8'", "float8"),
            (SUPERVISED, "patch_size = 100", "multiple of 16"),
            (SUPERVISED, "patch_size = 0", "patch_size is 0"),
            (SUPERVISED, "batch_size = 0", "batch_size"),
            (SUPERVISED, "real_fraction = 1.5", "real_fraction"),
            (SUPERVISED, "varied_fraction = 1.5", "varied_fraction"),
            (SUPERVISED, "transplanted_fraction = -0.5", "transplanted_fraction"),
            (CYCLEGAN, "transplanted_fraction = 0.5", "transplanted_fraction"),
            (SUPERVISED, "patient_weights = { p1 = -1.0 }", "patient_weights.p1"),
            (SUPERVISED, "learning_rate = -1.0", "learning_rate"),
            (SUPERVISED, "final_learning_rate = 1.0", "final_learning_rate"),
            (SUPERVISED, "log_every = 0", "log_every"),
            (SUPERVISED, "epochs = 3", "one of steps and epochs"),
            (SUPERVISED, "network.slices_in = 4", "slices_in"),
            (SUPERVISED, "losses.l1_weight = -1.0", "l1_weight"),
            (
                SUPERVISED,
                "cycle_losses = { cycle_weight = 1, identity_weight = 0, adversarial = 'hinge', pool_size = 0 }",
                "no [cycle_losses]",
            ),
            (SUPERVISED, "split.test = 0.5", "sum to"),
            (SUPERVISED, "network = { kind = 'residual' }", "window is missing"),
            (CYCLEGAN, "network.slices_in = 3", "slices_in"),
            (CYCLEGAN, "losses = { l1_weight = 1.0 }", "in `losses`"),
            (CYCLEGAN, "window = 250", "window"),
            (CYCLEGAN, "window = 16", "too small for the discriminator"),
            (CYCLEGAN, "network.residual_blocks = 1000", "1000"),
            (CYCLEGAN, "drop_factor = 2.0", "drop_factor"),
            (CYCLEGAN, "target = 't2w'", "duplicate key"),
        ] {
            let fault = Recipe::of_text(&format!("{base}{line}\n")).err().unwrap_or_default();
            assert!(fault.contains(word), "{line}: {fault:?}");
        }
        let same = Recipe { target: Contrast::T2w, ..smallest() };
        assert!(same.validate().is_err());
    }

    #[test]
    fn a_method_completes_what_a_recipe_leaves_out() {
        let recipe = of_text(CYCLEGAN);
        assert_eq!((recipe.epochs, recipe.steps), (Some(200), None));
        assert_eq!(recipe.model_window(), Some(256));
        assert_eq!(recipe.method_name(), "cyclegan");
        let recipe =
            of_text(&format!("{CYCLEGAN}steps = 5\nnetwork = {{ kind = 'light', slices_in = 1 }}\n"));
        assert_eq!((recipe.epochs, recipe.steps), (None, Some(5)));
        assert_eq!((recipe.network.size_multiple(), recipe.model_window()), (16, None));
        let recipe = of_text(&format!("{CYCLEGAN}[discriminator]\nspectral_normalization = true\n"));
        assert_eq!(recipe.method_name(), "cyclegan-sn");
        assert_eq!(recipe.model_name(recipe.direction()), "t1w-from-t2w");
        assert!(Recipe { name: Some(" ".into()), ..recipe }.validate().is_err());
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
