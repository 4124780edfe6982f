//! White-matter lesions on FLAIR or T2w, with the help of T1w: a reference that needs no other tool.
//!
//! A lesion is what is clearly brighter than it should be where it lies. What a voxel should be is told by its surroundings:
//! the more of them are white matter on T1w, and the likelier the average brain has white matter there, the more its
//! intensity should be white matter's and not grey matter's. Outliers in terms of that expectation are candidates, as in Van
//! Leemput et al. 2001 ("Automated segmentation of multiple sclerosis lesions by model outlier detection", IEEE Transactions
//! on Medical Imaging 20); as in Schmidt et al. 2012 ("An automated tool for detection of FLAIR-hyperintense white-matter
//! lesions in multiple sclerosis", NeuroImage 59) they are kept where their cores stand out, and grow: lesions are dark on
//! T1w like grey matter, so once found they count as white matter in their surroundings, and these are judged anew. So that
//! large ones can be found at all, that growth starts from what is too bright for grey matter where the average brain has
//! white.

use mrisynth::prepare::morphology::{self, Connectivity};
use mrisynth::prepare::normalize;
use mrisynth::{Contrast, Volume};
use ndarray::{Array3, ShapeBuilder};
use serde::Serialize;

use super::around::{Around, Part};
use super::priors::Priors;
use super::tissue::{Tissue, Tissues};
use crate::{Error, Result};

/// The standard deviations, in millimetres, of the Gaussians that average an image against its noise, white matter around a
/// voxel, and fluid around it.
const NOISE_SIGMA: f64 = 0.7;
const WHITE_SIGMA: f64 = 2.5;
const FLUID_SIGMA: f64 = 1.5;
/// A voxel tells how bright a tissue is if it is that tissue with at least this probability.
const SURE: f32 = 0.9;
/// The fewest voxels that can tell it.
const LEAST_SURE: usize = 20;
/// The median absolute deviation of a normal distribution times this is its standard deviation.
const DEVIATIONS: f32 = 1.4826;
/// Cortex differs from lobe to lobe and is brightest around the insula and the cingulate gyrus: grey matter is expected so
/// many deviations above its median, and spreads by so many.
const GREY_SHIFT: f32 = 1.0;
const GREY_SPREAD: f32 = 1.5;
/// Where fluid is bright, on T2w, voxels beside it are partly fluid. That which the surroundings hold counts so much, as more
/// brightness and as more spread.
const FLUID_SHIFT: f32 = 2.0;
const FLUID_SPREAD: f32 = 1.0;
/// What is by so many deviations brighter than grey matter should be, where the average brain has white matter with at least
/// this probability, counts as white matter in the first round.
const START: f32 = 0.7;
const START_PRIOR: f32 = 0.5;
/// A tissue's least spread, as a part of the brain's range of intensities.
const LEAST_SPREAD: f32 = 0.005;
/// What is fluid on T1w with a larger probability is no lesion.
const MOST_FLUID: f32 = 0.5;
/// The score of what cannot be a lesion.
const NONE: f32 = -9.0;

/// An image on which lesions are bright.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Sequence {
    /// T2-weighted with suppressed fluid.
    Flair,
    /// T2-weighted. Fluid is as bright as lesions are, or brighter, so that fewer lesions are found.
    T2w,
}

impl Sequence {
    /// The contrast that it is one of; none for FLAIR.
    pub(super) fn contrast(self) -> Option<Contrast> {
        match self {
            Self::Flair => None,
            Self::T2w => Some(Contrast::T2w),
        }
    }
}

/// How lesions are segmented. The defaults were chosen on one patient (`docs/evaluation-segmentation.md`).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LesionOptions {
    /// A lesion has a voxel that is brighter than expected by more than so many standard deviations.
    pub core: f32,
    /// It reaches as far as voxels are brighter by more than so many.
    pub edge: f32,
    /// The least volume of a lesion in cubic millimetres.
    pub smallest: f64,
    /// The most rounds of growth, 1 for none.
    pub most_rounds: usize,
}

impl LesionOptions {
    /// The defaults for a sequence.
    pub fn of(sequence: Sequence) -> Self {
        let core = match sequence {
            Sequence::Flair => 4.5,
            Sequence::T2w => 3.0,
        };
        Self { core, edge: 2.0, smallest: 10.0, most_rounds: 20 }
    }
}

/// The lesions of a brain.
#[derive(Clone, Debug)]
pub struct Lesions {
    /// Their voxels.
    pub mask: Array3<bool>,
    /// By how many standard deviations each voxel is brighter than expected; -9 where no lesion can be, outside the brain
    /// above all.
    pub scores: Array3<f32>,
    /// Rounds that were done.
    pub rounds: usize,
    /// Whether the lesions had stopped growing by then.
    pub converged: bool,
}

/// Segments lesions on `bright`, a FLAIR or T2w image without a bias field. `tissues` are of the T1w image on the same grid;
/// `priors` are those of the same scan.
///
/// The result does not depend on the number of threads.
///
/// # Errors
/// [`Error::Invalid`] if grids differ, no voxel is surely white or grey matter, intensities are not finite or all the same, or
/// an option is out of range; [`Error::Library`] if the memory cannot be had.
pub fn segment(
    bright: &Volume,
    tissues: &Tissues,
    priors: &Priors,
    sequence: Sequence,
    options: &LesionOptions,
) -> Result<Lesions> {
    check(bright, tissues, priors, options)?;
    let scene = Scene::of(bright, tissues, priors, sequence)?;
    let smallest = (options.smallest / bright.affine().voxel_sizes().iter().product::<f64>()).ceil() as usize;
    let mut found = scene.start();
    let (mut scores, mut rounds, mut converged) = (scene.inside.clone(), 0, false);
    while rounds < options.most_rounds && !converged {
        scores = scene.scores(&found);
        let next = kept(&scores, options, smallest);
        rounds += 1;
        converged = next == found;
        found = next;
    }
    let shape = tissues.labels.dim().f();
    let (mut mask, mut of_all) = (Array3::from_elem(shape, false), Array3::from_elem(shape, NONE));
    let [ni, nj, _] = scores.dims();
    for (at, (&score, &found)) in scores.as_slice().iter().zip(&found).enumerate() {
        let index = scene.part.whole([at % ni, at / ni % nj, at / (ni * nj)]);
        (of_all[index], mask[index]) = (score, found);
    }
    Ok(Lesions { mask, scores: of_all, rounds, converged })
}

fn check(bright: &Volume, tissues: &Tissues, priors: &Priors, options: &LesionOptions) -> Result<()> {
    let (i, j, k) = tissues.labels.dim();
    for (name, dims) in [("an image", bright.dims()), ("priors", priors.dims())] {
        if dims != [i, j, k] {
            return Err(Error::Invalid(format!(
                "{name} of {dims:?} voxels with tissues of {:?}: lesions need them on one grid",
                [i, j, k]
            )));
        }
    }
    if !(options.edge > 0.0 && options.core >= options.edge && options.core.is_finite()) {
        return Err(Error::Invalid(format!(
            "a core of {} deviations and an edge of {}: the edge must be positive and at most the core",
            options.core, options.edge
        )));
    }
    if !(options.smallest >= 0.0 && options.smallest.is_finite()) || options.most_rounds == 0 {
        return Err(Error::Invalid(format!(
            "a least lesion of {} mm\u{b3} in {} rounds: the volume must be 0 or more, the rounds 1 or more",
            options.smallest, options.most_rounds
        )));
    }
    Ok(())
}

/// The median of a tissue's intensities, and their standard deviation as the median absolute deviation tells it.
#[derive(Clone, Copy)]
struct Level {
    middle: f32,
    spread: f32,
}

/// What lesions are looked for in: volumes of the brain's box.
struct Scene {
    part: Part,
    /// 1 in the brain, 0 outside.
    inside: Volume,
    /// What a voxel's surroundings in the brain are.
    surroundings: Around,
    /// The bright image, averaged against noise.
    image: Volume,
    /// The probability of white matter by T1w, and that by the average brain.
    white: Volume,
    white_prior: Volume,
    /// Fluid around each voxel, where that is brighter than grey matter.
    fluid_around: Option<Volume>,
    /// The probability of fluid by T1w.
    fluid: Volume,
    white_level: Level,
    grey_level: Level,
    fluid_level: Level,
}

impl Scene {
    fn of(bright: &Volume, tissues: &Tissues, priors: &Priors, sequence: Sequence) -> Result<Self> {
        let brain = tissues.labels.mapv(|label| label > 0);
        let part = Part::around(&brain, &bright.grid(), 0.0)
            .ok_or_else(|| Error::Invalid("no tissue: there is nothing to look for lesions in".into()))?;
        let voxels = bright.voxels();
        if let Some((index, _)) =
            brain.indexed_iter().find(|(index, inside)| **inside && !voxels[*index].is_finite())
        {
            return Err(Error::Invalid(format!("voxel {index:?} of the brain is not a finite number")));
        }
        let inside = part.volume(|index| f32::from(u8::from(brain[index])))?;
        let in_brain = |value: &dyn Fn([usize; 3]) -> f32| {
            part.volume(|index| if brain[index] { value(index) } else { 0.0 })
        };
        let probability = |tissue: Tissue| in_brain(&|index| tissues.probabilities[tissue.index()][index]);
        let (white, fluid) = (probability(Tissue::White)?, probability(Tissue::Fluid)?);
        let white_prior = in_brain(&|index| priors.at(index)[Tissue::White.index()])?;
        let unsmoothed = in_brain(&|index| voxels[index])?;
        let least = LEAST_SPREAD * range_of(&unsmoothed, &inside)?;
        let image = Around::of(inside.clone(), NOISE_SIGMA).mean(unsmoothed);

        let level = |tissue: Tissue, of: &Volume| level_of(&image, of, least, tissue);
        let white_level = level(Tissue::White, &white)?;
        let grey_level = level(Tissue::Grey, &probability(Tissue::Grey)?)?;
        // Without any fluid there is none to be mistaken for a lesion.
        let fluid_level = level(Tissue::Fluid, &fluid).unwrap_or(grey_level);
        let fluid_around = (sequence == Sequence::T2w && fluid_level.middle > grey_level.middle)
            .then(|| Around::of(inside.clone(), FLUID_SIGMA).mean(fluid.clone()));
        Ok(Self {
            part,
            surroundings: Around::of(inside.clone(), WHITE_SIGMA),
            inside,
            image,
            white,
            white_prior,
            fluid_around,
            fluid,
            white_level,
            grey_level,
            fluid_level,
        })
    }

    /// What is too bright for grey matter, where the average brain has white.
    fn start(&self) -> Vec<bool> {
        let likely = self.white_prior.as_slice().iter().map(|prior| *prior >= START_PRIOR);
        likely.enumerate().map(|(at, likely)| likely && self.score(at, 0.0) > START).collect()
    }

    /// The score of each voxel, if `lesions` are white matter.
    fn scores(&self, lesions: &[bool]) -> Volume {
        let mut white = self.white.clone();
        for (white, lesion) in white.as_mut_slice().iter_mut().zip(lesions) {
            if *lesion {
                *white = 1.0;
            }
        }
        let mut scores = self.surroundings.mean(white);
        for (at, score) in scores.as_mut_slice().iter_mut().enumerate() {
            *score = self.score(at, *score * self.white_prior.as_slice()[at].sqrt());
        }
        scores
    }

    /// By how many standard deviations a voxel is brighter than expected, if so much of it should be white matter.
    fn score(&self, at: usize, whiteness: f32) -> f32 {
        if self.inside.as_slice()[at] == 0.0 || self.fluid.as_slice()[at] > MOST_FLUID {
            return NONE;
        }
        let fluid = self.fluid_around.as_ref().map_or(0.0, |fluid| fluid.as_slice()[at]);
        let expected = self.expected(whiteness, fluid);
        (self.image.as_slice()[at] - expected.middle) / expected.spread
    }

    /// What is expected where so much should be white matter, and so much around is fluid.
    fn expected(&self, whiteness: f32, fluid: f32) -> Level {
        let (white, grey) = (&self.white_level, &self.grey_level);
        let mix = |white: f32, grey: f32| whiteness * white + (1.0 - whiteness) * grey;
        let step = self.fluid_level.middle - grey.middle;
        Level {
            middle: mix(white.middle, grey.middle + GREY_SHIFT * grey.spread) + FLUID_SHIFT * fluid * step,
            spread: mix(white.spread, GREY_SPREAD * grey.spread)
                + FLUID_SPREAD * fluid * self.fluid_level.spread,
        }
    }
}

/// The range of an image inside the brain.
fn range_of(image: &Volume, inside: &Volume) -> Result<f32> {
    let values = image.as_slice().iter().zip(inside.as_slice()).filter(|(_, inside)| **inside > 0.0);
    let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), (value, _)| {
        (low.min(*value), high.max(*value))
    });
    if high > low {
        return Ok(high - low);
    }
    Err(Error::Invalid("the bright image is constant in the brain: it shows no lesions".into()))
}

fn level_of(image: &Volume, probability: &Volume, least: f32, tissue: Tissue) -> Result<Level> {
    let sure = image.as_slice().iter().zip(probability.as_slice()).filter(|(_, sure)| **sure >= SURE);
    let mut values: Vec<f32> = sure.map(|(value, _)| *value).collect();
    if values.len() < LEAST_SURE {
        return Err(Error::Invalid(format!(
            "{} voxels are surely {} on T1w: too few to tell how bright it is",
            values.len(),
            tissue.name()
        )));
    }
    let median = |values: &mut [f32]| normalize::percentile(values, 50.0).unwrap_or(0.0);
    let middle = median(&mut values);
    values.iter_mut().for_each(|value| *value = (*value - middle).abs());
    Ok(Level { middle, spread: (DEVIATIONS * median(&mut values)).max(least) })
}

/// What hangs together (26 neighbours) above the edge, has a core, and is not too small.
fn kept(scores: &Volume, options: &LesionOptions, smallest: usize) -> Vec<bool> {
    let candidates = scores.voxels().mapv(|score| score > options.edge);
    let [ni, nj, nk] = scores.dims();
    let mut kept = vec![false; ni * nj * nk];
    for component in morphology::components(&candidates, Connectivity::Corners) {
        let has_core = component.iter().any(|&index| scores.voxels()[index] > options.core);
        if has_core && component.len() >= smallest {
            component.iter().for_each(|[i, j, k]| kept[i + ni * (j + nj * k)] = true);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segmentation::phantom::{self, FLAIR, T1W, T2W};
    use crate::segmentation::tissue::{self, TissueOptions};
    use mrisynth::prepare::morphology::{components, dice};

    fn tissues(with_lesions: bool) -> Tissues {
        let options = TissueOptions::of(Contrast::T1w);
        let scan = phantom::image(T1W, with_lesions);
        tissue::segment(&scan, &phantom::brain(), Contrast::T1w, Some(&phantom::priors()), &options).unwrap()
    }

    fn found(sequence: Sequence, with_lesions: bool, options: &LesionOptions) -> Lesions {
        let appearance = if sequence == Sequence::Flair { FLAIR } else { T2W };
        let image = phantom::image(appearance, with_lesions);
        segment(&image, &tissues(with_lesions), &phantom::priors(), sequence, options).unwrap()
    }

    #[test]
    fn a_phantoms_lesions_are_found() {
        for (sequence, least) in [(Sequence::Flair, 0.9), (Sequence::T2w, 0.85)] {
            let found = found(sequence, true, &LesionOptions::of(sequence));
            assert!(found.converged);
            let agreement = dice(&found.mask, &phantom::lesions());
            assert!(agreement > least, "{sequence:?}: {agreement}");
            assert_eq!(
                components(&found.mask, Connectivity::Corners).len(),
                phantom::LESIONS.len(),
                "{sequence:?}"
            );
        }
    }

    #[test]
    fn a_healthy_phantom_has_no_lesions() {
        for sequence in [Sequence::Flair, Sequence::T2w] {
            let found = found(sequence, false, &LesionOptions::of(sequence));
            let count = found.mask.iter().filter(|lesion| **lesion).count();
            assert_eq!(count, 0, "{sequence:?}");
            assert!(found.converged);
        }
    }

    #[test]
    fn scores_are_those_of_the_mask() {
        let options = LesionOptions::of(Sequence::Flair);
        let found = found(Sequence::Flair, true, &options);
        for ((lesion, score), inside) in found.mask.iter().zip(&found.scores).zip(&phantom::brain()) {
            assert!(!lesion || *score > options.edge);
            assert!(*inside || *score == NONE);
        }
    }

    #[test]
    fn stricter_options_find_less() {
        let options = LesionOptions::of(Sequence::Flair);
        let count = |options: &LesionOptions| {
            components(&found(Sequence::Flair, true, options).mask, Connectivity::Corners).len()
        };
        // The smallest lesion has 0.27 ml.
        assert_eq!(count(&LesionOptions { smallest: 400.0, ..options }), 2);
        assert_eq!(count(&LesionOptions { smallest: 1e5, ..options }), 0);
        assert_eq!(count(&LesionOptions { core: 100.0, ..options }), 0);
    }

    #[test]
    fn threads_do_not_matter() {
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| found(Sequence::T2w, true, &LesionOptions::of(Sequence::T2w)))
        };
        let (one, four) = (with(1), with(4));
        assert_eq!((one.mask, one.scores), (four.mask, four.scores));
    }

    #[test]
    fn bad_input_is_named() {
        let (image, tissues, priors) = (phantom::image(FLAIR, true), tissues(true), phantom::priors());
        let options = LesionOptions::of(Sequence::Flair);
        let fault = |image: &Volume, tissues: &Tissues, options: &LesionOptions| {
            segment(image, tissues, &priors, Sequence::Flair, options).unwrap_err().to_string()
        };
        let small = Volume::new(Array3::zeros((4, 5, 6)), *image.affine()).unwrap();
        assert!(fault(&small, &tissues, &options).contains("[4, 5, 6]"));
        for options in [
            LesionOptions { edge: 0.0, ..options },
            LesionOptions { core: 1.0, ..options },
            LesionOptions { core: f32::NAN, ..options },
        ] {
            assert!(fault(&image, &tissues, &options).contains("edge"));
        }
        assert!(fault(&image, &tissues, &LesionOptions { most_rounds: 0, ..options }).contains("rounds"));
        assert!(
            fault(&image, &tissues, &LesionOptions { smallest: f64::NAN, ..options })
                .contains("least lesion")
        );
        assert!(fault(&phantom::volume(|_| 3.0), &tissues, &options).contains("constant"));
        let mut broken = image.clone();
        broken.voxels_mut()[[30, 36, 24]] = f32::INFINITY;
        assert!(fault(&broken, &tissues, &options).contains("(30, 36, 24)"));
        let mut none = tissues.clone();
        none.labels.fill(0);
        assert!(fault(&image, &none, &options).contains("no tissue"));
        let mut unsure = tissues.clone();
        unsure.probabilities[Tissue::White.index()].fill(0.5);
        assert!(fault(&image, &unsure, &options).contains("0 voxels are surely white matter"));
    }
}
