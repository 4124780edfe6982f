//! A look at the validation part after every epoch: scores, a sheet of sample images, and the curves so far.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use mrisynth::Contrast;
use mrisynth::metrics::{self, Similarity};
use ndarray::{Array2, s};
use serde_json::{Value, json};

use crate::data::store;
use crate::data::store::Subject;
use crate::direction::Direction;
use crate::error::Error;
use crate::journal::{LOG, drop_lines_after};
use crate::method::Generators;
use crate::network::Generator;
use crate::recipe::Recipe;
use crate::report::curves;
use crate::report::sheet::{self, Content, Picture};
use crate::run::Observer;
use crate::sample::{Study, check_fits};

/// The validation scores in the folder of a run: one JSON object a line, for each epoch and direction.
pub const VALIDATION_LOG: &str = "validation.jsonl";
/// The folder of the sample images in the folder of a run.
pub const SHEETS: &str = "sheets";
/// The curves in the folder of a run.
pub const CURVES: &str = "curves.svg";
/// Slices that go through a network at once.
const SLICES_AT_ONCE: usize = 4;
/// Where the slices of a sheet lie, as parts of a brain's height.
const SHOWN_HEIGHTS: [f64; 3] = [0.35, 0.5, 0.65];

/// Looks at generators in training.
pub struct Validation<B: Backend> {
    recipe: Recipe,
    studies: Vec<Study>,
    /// Whether the studies are held out, so that scores mean something.
    held_out: bool,
    /// The edge of the window that slices are run in.
    window: usize,
    epoch_steps: u64,
    run: PathBuf,
    device: B::Device,
    backend: PhantomData<B>,
}

/// Two-dimensional images: rows from back to front, columns from left to right.
type Image = Array2<f32>;

impl<B: Backend> Validation<B> {
    /// Of the subjects of the validation part, or of some of the training part where `held_out` is false: then there are
    /// sample images only.
    ///
    /// # Errors
    /// [`Error::Data`] if a slice does not fit into the recipe's window.
    pub fn new(
        recipe: &Recipe,
        subjects: Vec<Subject>,
        held_out: bool,
        epoch_steps: u64,
        run: &Path,
        device: &B::Device,
    ) -> Result<Self, Error> {
        let studies: Vec<Study> =
            subjects.into_iter().map(Study::new).filter(|study| !study.slices.is_empty()).collect();
        let largest = studies.iter().flat_map(|study| study.dims().into_iter().take(2)).max().unwrap_or(1);
        let window =
            recipe.window.unwrap_or_else(|| largest.next_multiple_of(recipe.network.size_multiple()));
        studies.iter().try_for_each(|study| check_fits(study, window))?;
        Ok(Self {
            recipe: recipe.clone(),
            studies,
            held_out,
            window,
            epoch_steps,
            run: run.to_owned(),
            device: device.clone(),
            backend: PhantomData,
        })
    }

    /// Mean similarity over whole slices: of a study's slices first, then of the studies.
    fn score(&self, generator: &Generator<B>, direction: Direction) -> Result<Similarity, Error> {
        let mut sum = Similarity::default();
        for study in &self.studies {
            let slices = spread(&study.slices, self.recipe.validation_slices);
            let synthetic = self.synthesize(generator, direction, study, &slices);
            let mut of_study = Similarity::default();
            for (slice, image) in slices.iter().zip(&synthetic) {
                let real = self.acquired(study, direction.target, *slice);
                add(&mut of_study, metrics::whole_slice(real.view(), image.view())?, slices.len());
            }
            add(&mut sum, of_study, self.studies.len());
        }
        Ok(sum)
    }

    /// The synthetic slices as the library would give them: clipped to 0..1, and 0 outside the brain.
    fn synthesize(
        &self,
        generator: &Generator<B>,
        direction: Direction,
        study: &Study,
        slices: &[usize],
    ) -> Vec<Image> {
        let slices_in = self.recipe.network.slices_in();
        let source = |slice: usize| study.whole_slices(direction.source, slice, slices_in, self.window);
        let mut images = Vec::with_capacity(slices.len());
        for some in slices.chunks(SLICES_AT_ONCE) {
            let pixels = some.iter().flat_map(|&slice| source(slice)).collect();
            for (image, &slice) in self.run_network(generator, pixels, some.len()).into_iter().zip(some) {
                let mut image = self.cropped(&image, study);
                let masks = [Contrast::T1w, Contrast::T2w].map(|c| self.acquired(study, c, slice));
                image.zip_mut_with(&(&masks[0] + &masks[1]), |value, inside| {
                    *value = if *inside > 0.0 { value.clamp(0.0, 1.0) } else { 0.0 };
                });
                images.push(image);
            }
        }
        images
    }

    /// Runs `count` inputs, `[count, slices_in, window, window]`.
    fn run_network(&self, generator: &Generator<B>, pixels: Vec<f32>, count: usize) -> Vec<Image> {
        let shape = [count, pixels.len() / (count * self.window * self.window), self.window, self.window];
        let input = Tensor::<B, 4>::from_data(TensorData::new(pixels, shape), &self.device);
        let values: Vec<f32> = generator.forward(input).into_data().iter::<f32>().collect();
        values
            .chunks(self.window * self.window)
            .map(|image| {
                Array2::from_shape_fn((self.window, self.window), |(j, i)| image[j * self.window + i])
            })
            .collect()
    }

    /// One contrast of a slice as it was acquired.
    fn acquired(&self, study: &Study, contrast: Contrast, slice: usize) -> Image {
        let pixels = study.whole_slices(contrast, slice, 1, self.window);
        let window = Array2::from_shape_fn((self.window, self.window), |(j, i)| pixels[j * self.window + i]);
        self.cropped(&window, study)
    }

    fn cropped(&self, window: &Image, study: &Study) -> Image {
        let [ni, nj, _] = study.dims();
        let [left, top] = [ni, nj].map(|size| (self.window - size) / 2);
        window.slice(s![top..top + nj, left..left + ni]).to_owned()
    }

    fn write_scores(&self, step: u64, scores: &[(Direction, Similarity)]) -> Result<(), Error> {
        let path = self.run.join(VALIDATION_LOG);
        // A run that was stopped after its last checkpoint takes this look a second time.
        drop_lines_after(&path, step - 1)?;
        let mut text = String::new();
        for (direction, score) in scores {
            let line = json!({
                "step": step, "epoch": self.epoch(step), "direction": direction.to_string(),
                "psnr": score.psnr, "ssim": score.ssim, "mae": score.mae,
            });
            text.push_str(&format!("{line}\n"));
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|e| Error::io(&path, e))
    }

    fn epoch(&self, step: u64) -> u64 {
        step.div_ceil(self.epoch_steps)
    }

    /// Source, real and synthetic images, and for both directions at once what comes back, of some slices.
    fn write_sheet(&self, step: u64, generators: &[(Direction, Generator<B>)]) -> Result<(), Error> {
        let mut rows: Vec<Vec<(String, Image, Content)>> = Vec::new();
        for (direction, generator) in generators {
            let back = generators.iter().find(|(other, _)| *other == direction.reversed());
            for (n, height) in SHOWN_HEIGHTS.into_iter().enumerate() {
                let Some(study) = self.studies.get(n % self.studies.len().max(1)) else { continue };
                let slice = study.slices[((study.slices.len() - 1) as f64 * height).round() as usize];
                let Some(synthetic) = self.synthesize(generator, *direction, study, &[slice]).pop() else {
                    continue;
                };
                let Direction { source, target } = *direction;
                let mut row = vec![
                    (format!("source {source}"), self.acquired(study, source, slice), Content::Acquired),
                    (format!("real {target}"), self.acquired(study, target, slice), Content::Acquired),
                ];
                let returned = back.map(|(_, back)| self.returned(back, &synthetic, study));
                row.push((format!("synthetic {target}"), synthetic, Content::Synthetic));
                if let Some(returned) = returned {
                    row.push((format!("reconstructed {source}"), returned, Content::Synthetic));
                }
                rows.push(row);
            }
        }
        let pictures: Vec<Vec<Picture<'_>>> = rows
            .iter()
            .map(|row| {
                row.iter()
                    .map(|(caption, image, content)| Picture {
                        caption,
                        pixels: image.view(),
                        content: *content,
                    })
                    .collect()
            })
            .collect();
        let kind = if self.held_out { "validation" } else { "training" };
        let title = format!(
            "{} {}, epoch {}, step {step}, {kind} part",
            self.recipe.name.as_deref().unwrap_or(""),
            self.recipe.method_name(),
            self.epoch(step)
        );
        let folder = self.run.join(SHEETS);
        fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
        let path = folder.join(format!("epoch-{:04}.png", self.epoch(step)));
        store::write_whole(&path, &sheet::draw(title.trim(), &pictures)?)
    }

    /// What the other generator makes of a synthetic slice.
    fn returned(&self, back: &Generator<B>, synthetic: &Image, study: &Study) -> Image {
        let [ni, nj, _] = study.dims();
        let [left, top] = [ni, nj].map(|size| (self.window - size) / 2);
        let mut input = Array2::zeros((self.window, self.window));
        input.slice_mut(s![top..top + nj, left..left + ni]).assign(synthetic);
        let pixels = input.into_iter().collect();
        let image = self.run_network(back, pixels, 1).pop().unwrap_or_else(|| Array2::zeros((0, 0)));
        let mut image = self.cropped(&image, study);
        image.zip_mut_with(synthetic, |value, inside| {
            *value = if *inside > 0.0 { value.clamp(0.0, 1.0) } else { 0.0 };
        });
        image
    }

    fn write_curves(&self) -> Result<(), Error> {
        let read = |name: &str| fs::read_to_string(self.run.join(name)).unwrap_or_default();
        let picture = curves::draw(&read(LOG), &read(VALIDATION_LOG))?;
        store::write_whole(&self.run.join(CURVES), picture.as_bytes())
    }
}

impl<B: Backend, L: Generators<B>> Observer<L> for Validation<B> {
    fn interval(&self) -> u64 {
        self.epoch_steps
    }

    fn look(&mut self, step: u64, learner: &L) -> Result<Option<f64>, Error> {
        let generators = learner.generators();
        let mut mean = None;
        if self.held_out && !self.studies.is_empty() {
            let scores: Vec<(Direction, Similarity)> = generators
                .iter()
                .map(|(direction, generator)| Ok((*direction, self.score(generator, *direction)?)))
                .collect::<Result<_, Error>>()?;
            self.write_scores(step, &scores)?;
            mean = Some(scores.iter().map(|(_, score)| score.ssim).sum::<f64>() / scores.len() as f64);
        }
        self.write_sheet(step, &generators)?;
        self.write_curves()?;
        Ok(mean)
    }
}

/// What the log of a run says of the validation part after `step` steps, for one direction; `None` if nobody looked then.
///
/// # Errors
/// [`Error::Io`] if the log is there and cannot be read.
pub fn score_at(run: &Path, step: u64, direction: Direction) -> Result<Option<Similarity>, Error> {
    let path = run.join(VALIDATION_LOG);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(fault) => return Err(Error::io(&path, fault)),
    };
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let name = direction.to_string();
    Ok(lines.filter(|line| line["step"] == step && line["direction"] == name.as_str()).find_map(|line| {
        let figure = |name: &str| line[name].as_f64();
        Some(Similarity { psnr: figure("psnr")?, ssim: figure("ssim")?, mae: figure("mae")? })
    }))
}

/// `count` of the slices, evenly spaced; all for a count of 0.
fn spread(slices: &[usize], count: usize) -> Vec<usize> {
    if count == 0 || count >= slices.len() {
        return slices.to_vec();
    }
    (0..count).map(|n| slices[(2 * n + 1) * slices.len() / (2 * count)]).collect()
}

/// Adds one of `count` parts of a mean.
fn add(sum: &mut Similarity, part: Similarity, count: usize) {
    sum.psnr += part.psnr / count as f64;
    sum.ssim += part.ssim / count as f64;
    sum.mae += part.mae / count as f64;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::store::Origin;
    use crate::network::layers::Arithmetic;
    use crate::recipe::tests::of_text;
    use crate::sample::tests::ball;
    use burn::backend::Flex;

    /// Learners whose generators never change.
    struct Fixed(Vec<(Direction, Generator<Flex>)>);

    impl Generators<Flex> for Fixed {
        fn generators(&self) -> Vec<(Direction, Generator<Flex>)> {
            self.0.clone()
        }
    }

    fn recipe() -> Recipe {
        of_text(
            "method = 'cyclegan'\nsource = 't1w'\ntarget = 't2w'\nstores = ['x']\nwindow = 48\nepoch_steps = 10\n\
             [network]\nwidths = [4, 8]\nresidual_blocks = 0\n[discriminator]\nwidths = [4, 8]\n",
        )
    }

    fn fixed(recipe: &Recipe) -> Fixed {
        let network = |seed| recipe.network.init::<Flex>(Arithmetic::default(), seed, &Default::default());
        let direction = recipe.direction();
        Fixed(vec![(direction, network(1).unwrap()), (direction.reversed(), network(2).unwrap())])
    }

    #[test]
    fn a_look_leaves_scores_a_sheet_and_curves_and_taking_it_again_changes_nothing() {
        let run = tempfile::tempdir().unwrap();
        let recipe = recipe();
        let subjects = vec![ball("a", Origin::Real), ball("b", Origin::Simulated)];
        let mut validation =
            Validation::<Flex>::new(&recipe, subjects, true, 10, run.path(), &Default::default()).unwrap();
        let learner = fixed(&recipe);
        assert_eq!(Observer::<Fixed>::interval(&validation), 10);
        let first = validation.look(10, &learner).unwrap().unwrap();
        let second = validation.look(20, &learner).unwrap().unwrap();
        assert_eq!(first, second);
        let text = fs::read_to_string(run.path().join(VALIDATION_LOG)).unwrap();
        assert_eq!(text.lines().count(), 4);
        validation.look(20, &learner).unwrap();
        assert_eq!(fs::read_to_string(run.path().join(VALIDATION_LOG)).unwrap(), text);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let mean = (lines[0]["ssim"].as_f64().unwrap() + lines[1]["ssim"].as_f64().unwrap()) / 2.0;
        assert!((mean - first).abs() < 1e-12);
        let found = score_at(run.path(), 20, recipe.direction().reversed()).unwrap().unwrap();
        assert_eq!(Some(found.psnr), lines[3]["psnr"].as_f64());
        assert_eq!(score_at(run.path(), 15, recipe.direction()).unwrap(), None);
        assert_eq!((&lines[0]["direction"], &lines[2]["epoch"]), (&json!("t2w-from-t1w"), &json!(2)));
        for name in ["sheets/epoch-0001.png", "sheets/epoch-0002.png", CURVES] {
            assert!(run.path().join(name).metadata().unwrap().len() > 500, "{name}");
        }
    }

    #[test]
    fn scores_are_those_of_the_metrics_on_the_studys_own_grid() {
        let run = tempfile::tempdir().unwrap();
        let recipe = recipe();
        let validation = Validation::<Flex>::new(
            &recipe,
            vec![ball("a", Origin::Real)],
            true,
            1,
            run.path(),
            &Default::default(),
        )
        .unwrap();
        let study = &validation.studies[0];
        let real = validation.acquired(study, Contrast::T2w, 20);
        assert_eq!(real.dim(), (40, 40));
        let source = validation.acquired(study, Contrast::T1w, 20);
        // In the ball T2w is one minus T1w, and both are 0 outside.
        for (t1w, t2w) in source.iter().zip(&real) {
            assert!((*t1w == 0.0 && *t2w == 0.0) || (t1w + t2w - 1.0).abs() < 1e-4);
        }
        let generator = &fixed(&recipe).0[0].1;
        let synthetic = validation.synthesize(generator, recipe.direction(), study, &[20]).pop().unwrap();
        for (t1w, made) in source.iter().zip(&synthetic) {
            assert!((0.0..=1.0).contains(made) && (*t1w > 0.0 || *made == 0.0));
        }
    }

    #[test]
    fn slices_are_spread_evenly() {
        let slices: Vec<usize> = (10..30).collect();
        assert_eq!(spread(&slices, 4), [12, 17, 22, 27]);
        assert_eq!(spread(&slices, 0), slices);
        assert_eq!(spread(&slices, 50), slices);
    }
}
