//! Trains generators as a recipe says: splits the subjects, and sets the method going on the training part.

use std::path::Path;

use burn::tensor::backend::AutodiffBackend;

use crate::data::split::parted;
use crate::data::store::Subject;
use crate::error::Error;
use crate::method::Generators;
use crate::method::cyclegan::CycleGan;
use crate::method::paired::Paired;
use crate::recipe::{Length, Method, Recipe};
use crate::run::{Course, Learner, Options, Outcome, drive};
use crate::sample::{Batch, Sampler};
use crate::validation::Validation;

/// Subjects of the training part that sample images show where there is no validation part.
const SHOWN: usize = 3;

/// Trains on `subjects` as the recipe says; writes everything into the folder `run`.
///
/// # Errors
/// Data that do not suffice, and those of [`drive`].
pub fn train<B: AutodiffBackend>(
    recipe: &Recipe,
    subjects: Vec<Subject>,
    run: &Path,
    options: &Options,
    device: &B::Device,
) -> Result<Outcome, Error> {
    let [learned, mut watched, _] = parted(subjects, &recipe.split)?;
    let held_out = !watched.is_empty();
    if !held_out {
        watched = learned.iter().take(SHOWN).cloned().collect();
    }
    let sampler = Sampler::new(learned, recipe.sample_config())?;
    let length = recipe.length(sampler.slices());
    println!(
        "{} slices to learn from, {} subjects to validate with; {} steps, {} an epoch",
        sampler.slices(),
        if held_out { watched.len() } else { 0 },
        length.steps,
        length.epoch_steps
    );
    let mut validation =
        Validation::<B::InnerBackend>::new(recipe, watched, held_out, length.epoch_steps, run, device)?;
    let job = Job { recipe, sampler, length, run, options };
    match recipe.method {
        Method::CycleGan => job.go::<B, _>(CycleGan::new(recipe, device)?, &mut validation),
        Method::Supervised | Method::Pix2Pix => job.go::<B, _>(Paired::new(recipe, device)?, &mut validation),
    }
}

/// A training, but for the networks.
struct Job<'a> {
    recipe: &'a Recipe,
    sampler: Sampler,
    length: Length,
    run: &'a Path,
    options: &'a Options,
}

impl Job<'_> {
    fn go<B: AutodiffBackend, L: Learner<B, Batch = Batch> + Generators<B::InnerBackend>>(
        self,
        mut learner: L,
        validation: &mut Validation<B::InnerBackend>,
    ) -> Result<Outcome, Error> {
        let course = Course {
            recipe: self.recipe.to_toml()?,
            recipe_sha256: self.recipe.sha256()?,
            steps: self.length.steps,
            learning_rate: self.recipe.learning_rate(self.length),
            checkpoint_every: self.recipe.checkpoint_every,
            log_every: self.recipe.log_every,
        };
        let sampler = self.sampler;
        let draw = move |step| sampler.batch(step);
        drive::<B, L>(&mut learner, &course, draw, validation, self.run, self.options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Shelf;
    use crate::data::store::Origin;
    use crate::method::{Choice, load};
    use crate::recipe::tests::of_text;
    use crate::sample::tests::ball;
    use burn::backend::{Autodiff, Flex};

    fn cohort() -> Vec<Subject> {
        (0..4).map(|n| ball(&format!("p{n}"), Origin::Simulated)).collect()
    }

    #[test]
    fn a_whole_run_leaves_its_log_sheets_curves_and_best_checkpoint() {
        for (method, more) in [
            ("cyclegan", "[network]\nwidths = [4, 8]\nresidual_blocks = 1\n"),
            ("pix2pix", "[network]\nwidths = [4, 8]\n"),
        ] {
            let recipe = of_text(&format!(
                "method = '{method}'\nsource = 't2w'\ntarget = 't1w'\nstores = ['x']\nwindow = 48\nsteps = 6\n\
                 epoch_steps = 2\nlog_every = 1\nvalidation_slices = 2\n{more}[discriminator]\nwidths = [4, 8]\n"
            ));
            let folder = tempfile::tempdir().unwrap();
            let run = folder.path();
            let device = Default::default();
            let outcome =
                train::<Autodiff<Flex>>(&recipe, cohort(), run, &Options::default(), &device).unwrap();
            assert!(outcome.complete);
            for name in
                ["log.jsonl", "validation.jsonl", "curves.svg", "sheets/epoch-0003.png", "recipe.toml"]
            {
                assert!(run.join(name).is_file(), "{method}: {name}");
            }
            let best = Shelf::best(run).latest().unwrap().unwrap();
            let text = std::fs::read_to_string(run.join("validation.jsonl")).unwrap();
            let directions = if method == "cyclegan" { 2 } else { 1 };
            let scores: Vec<f64> = text
                .lines()
                .map(|line| {
                    serde_json::from_str::<serde_json::Value>(line).unwrap()["ssim"].as_f64().unwrap()
                })
                .collect();
            assert_eq!(scores.len(), 3 * directions);
            let means: Vec<f64> =
                scores.chunks(directions).map(|both| both.iter().sum::<f64>() / directions as f64).collect();
            let highest = means.iter().fold(f64::MIN, |a, &b| a.max(b));
            assert!((best.state.validation_ssim.unwrap() - highest).abs() < 1e-12);
            let loaded = load::<Flex>(run, Some(Choice::Best), &device).unwrap();
            assert_eq!((loaded.generators.len(), loaded.step), (directions, best.state.step));
            assert_eq!(load::<Flex>(run, Some(Choice::Newest), &device).unwrap().step, 6);
        }
    }

    #[test]
    fn too_few_patients_are_an_error() {
        let recipe = of_text(
            "method = 'supervised'\nsource = 't2w'\ntarget = 't1w'\nstores = ['x']\nsteps = 6\nreal_fraction = 0.0\n",
        );
        let run = tempfile::tempdir().unwrap();
        let subjects = cohort().into_iter().take(2).collect();
        let fault =
            train::<Autodiff<Flex>>(&recipe, subjects, run.path(), &Options::default(), &Default::default())
                .unwrap_err();
        assert!(fault.to_string().contains("too few"), "{fault}");
    }
}
