//! Batches of patches or whole slices: each a pure function of (seed, step), drawn and augmented in parallel.

mod appearance;
mod geometry;
mod patients;
mod study;
mod transplant;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use mrisynth::Contrast;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::data::store::{Origin, Subject};
use crate::error::Error;
use appearance::Appearance;
use geometry::Geometry;
use patients::{Patients, check_weights};
pub use study::{Study, check_fits};
use transplant::Transplant;

/// The factor from stored integers to intensities 0..1.
const UNIT: f32 = 1.0 / 65535.0;
/// Sets the draws of an unpaired target apart from those of its source.
const TARGET_STREAM: u64 = 0x7467_7400;

/// What is shown of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A square patch of this edge around a brain pixel.
    Patch(usize),
    /// All of it, its volume's grid centred in a square window of this edge, zeros around.
    Whole(usize),
}

impl Framing {
    /// The edge of the square image in pixels.
    pub fn edge(self) -> usize {
        match self {
            Self::Patch(edge) | Self::Whole(edge) => edge,
        }
    }
}

/// How slices are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Draws {
    /// By chance: real or simulated, then a patient, then a study, then a slice, each with equal chances.
    Patients {
        /// The part of the draws that goes to real subjects, 0..=1.
        real_fraction: f64,
    },
    /// Every brain slice once, in an order drawn anew for each pass.
    Slices,
}

/// What is varied by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Augmentation {
    /// Nothing.
    None,
    /// Flip, rotation, scale, bending, slice distance and thickness.
    Geometry,
    /// Geometry, and the source's intensities: curve, scale, bias, blur, noise, motion, missing slices, left-over skull.
    All,
}

/// What a batch looks like.
#[derive(Clone, Debug)]
pub struct SampleConfig {
    /// The contrast that comes in.
    pub source: Contrast,
    /// The contrast to be synthesized.
    pub target: Contrast,
    /// Neighbouring axial slices of the source, an odd number.
    pub slices_in: usize,
    /// Patches or whole slices.
    pub framing: Framing,
    /// Images a batch.
    pub batch_size: usize,
    /// How slices are chosen.
    pub draws: Draws,
    /// What is varied by chance.
    pub augment: Augmentation,
    /// With [`Augmentation::All`], the part of the images whose intensities are varied, 0..=1; the others show the scanners as
    /// they are.
    pub varied_fraction: f64,
    /// The part of the paired images into which tissue of elsewhere in the head is put, 0..=1.
    pub transplanted_fraction: f64,
    /// With draws of patients, how often one is drawn beside the others of its kind, real or simulated; 1 where none is named.
    pub patient_weights: BTreeMap<String, f64>,
    /// Whether the target shows the source's slice, or another one.
    pub paired: bool,
    /// The seed of all draws.
    pub seed: u64,
}

/// Images in row-major order: a row is one position along j (posterior to anterior), a column along i (left to right).
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The step this batch belongs to.
    pub step: u64,
    /// `[batch, slices_in, edge, edge]`, 0..1, slices from inferior to superior.
    pub source: Vec<f32>,
    /// `[batch, 1, edge, edge]`, 0..1.
    pub target: Vec<f32>,
}

/// Draws batches.
pub struct Sampler {
    config: SampleConfig,
    studies: Vec<Study>,
    /// For real and for simulated subjects.
    patients: [Patients; 2],
    /// Study and slice number of every brain slice.
    slices: Vec<(usize, usize)>,
    /// The last orders that were drawn, for they are asked for again at once.
    orders: Mutex<Vec<Order>>,
}

/// The order in which a pass goes through all slices.
struct Order {
    seed: u64,
    pass: u64,
    places: Vec<usize>,
}

/// A slice to draw from.
#[derive(Clone, Copy)]
struct Place<'a> {
    study: &'a Study,
    slice: usize,
}

impl Sampler {
    /// Prepares `subjects` for drawing; those without a usable slice are left out.
    ///
    /// # Errors
    /// [`Error::Data`] if nothing is left to draw from, or a slice does not fit into the window.
    pub fn new(subjects: Vec<Subject>, config: SampleConfig) -> Result<Self, Error> {
        let mut groups: [BTreeMap<String, Vec<usize>>; 2] = Default::default();
        let mut studies: Vec<Study> = Vec::new();
        let prepared: Vec<_> = subjects
            .into_par_iter()
            .map(|subject| (subject.origin, subject.patient.clone(), Study::new(subject)))
            .collect();
        for (origin, patient, study) in prepared.into_iter().filter(|(_, _, study)| !study.slices.is_empty())
        {
            groups[usize::from(origin == Origin::Simulated)].entry(patient).or_default().push(studies.len());
            studies.push(study);
        }
        check_weights(&config.patient_weights, &groups)?;
        let patients = groups.map(|group| Patients::new(group, &config.patient_weights));
        let slices = studies
            .iter()
            .enumerate()
            .flat_map(|(number, study)| study.slices.iter().map(move |&slice| (number, slice)))
            .collect();
        let sampler = Self { config, studies, patients, slices, orders: Mutex::default() };
        sampler.check_groups()?;
        sampler.check_window()?;
        Ok(sampler)
    }

    fn check_groups(&self) -> Result<(), Error> {
        let Draws::Patients { real_fraction } = self.config.draws else {
            return if self.slices.is_empty() {
                Err(Error::Data("no slice shows brain".into()))
            } else {
                Ok(())
            };
        };
        for (index, name, wanted) in [(0, "real", real_fraction > 0.0), (1, "simulated", real_fraction < 1.0)]
        {
            if wanted && self.patients[index].studies.is_empty() {
                return Err(Error::Data(format!(
                    "real_fraction is {real_fraction}, but there is no {name} subject with brain in it to train on"
                )));
            }
        }
        Ok(())
    }

    fn check_window(&self) -> Result<(), Error> {
        let Framing::Whole(edge) = self.config.framing else { return Ok(()) };
        self.studies.iter().try_for_each(|study| check_fits(study, edge))
    }

    /// Brain slices in all.
    pub fn slices(&self) -> u64 {
        self.slices.len() as u64
    }

    /// The batch of `step`; the same bytes for every number of threads.
    pub fn batch(&self, step: u64) -> Batch {
        let area = self.config.framing.edge().pow(2);
        let mut source = vec![0.0; self.config.batch_size * self.config.slices_in * area];
        let mut target = vec![0.0; self.config.batch_size * area];
        let places = self.places(step);
        source
            .par_chunks_mut(self.config.slices_in * area)
            .zip(target.par_chunks_mut(area))
            .zip(places)
            .for_each(|((source, target), (place, other, mut random))| {
                self.fill(place, other, &mut random, source, target);
            });
        Batch { step, source, target }
    }

    /// The places of a batch's sources and targets, with the random numbers for all else.
    fn places(&self, step: u64) -> Vec<(Place<'_>, Option<Place<'_>>, Pcg64)> {
        (0..self.config.batch_size as u64)
            .map(|index| {
                let mut random = self.random(step, index, 0);
                let place = self.place(step, index, 0, &mut random);
                let other = (!self.config.paired).then(|| {
                    let mut random = self.random(step, index, TARGET_STREAM);
                    self.place(step, index, TARGET_STREAM, &mut random)
                });
                (place, other, random)
            })
            .collect()
    }

    fn random(&self, step: u64, index: u64, stream: u64) -> Pcg64 {
        Pcg64::seed_from_u64(mix(mix(mix(self.config.seed ^ stream) ^ step) ^ index))
    }

    fn place(&self, step: u64, index: u64, stream: u64, random: &mut Pcg64) -> Place<'_> {
        match self.config.draws {
            Draws::Patients { real_fraction } => self.draw_slice(real_fraction, random),
            Draws::Slices => {
                let drawn = step * self.config.batch_size as u64 + index;
                let (pass, at) = (drawn / self.slices(), drawn % self.slices());
                let (study, slice) = self.slices[self.in_order(stream, pass, at as usize)];
                Place { study: &self.studies[study], slice }
            }
        }
    }

    /// The slice that comes at place `at` of a pass.
    fn in_order(&self, stream: u64, pass: u64, at: usize) -> usize {
        const REMEMBERED: usize = 4;
        let seed = mix(self.config.seed ^ stream);
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(order) = orders.iter().find(|order| order.seed == seed && order.pass == pass) {
            return order.places[at];
        }
        let mut places: Vec<usize> = (0..self.slices.len()).collect();
        places.shuffle(&mut Pcg64::seed_from_u64(mix(seed ^ pass)));
        let found = places[at];
        if orders.len() == REMEMBERED {
            orders.remove(0);
        }
        orders.push(Order { seed, pass, places });
        found
    }

    fn draw_slice(&self, real_fraction: f64, random: &mut Pcg64) -> Place<'_> {
        let simulated = !random.random_bool(real_fraction);
        let studies = self.patients[usize::from(simulated)].draw(random);
        let study = &self.studies[studies[random.random_range(0..studies.len())]];
        let slice = study.slices[random.random_range(0..study.slices.len())];
        Place { study, slice }
    }

    /// Fills a source and its target, or another slice's target.
    fn fill(
        &self,
        place: Place<'_>,
        other: Option<Place<'_>>,
        random: &mut Pcg64,
        source: &mut [f32],
        target: &mut [f32],
    ) {
        let (config, edge) = (&self.config, self.config.framing.edge());
        let geometry = self.geometry(place, random);
        geometry.extract(place.study.image(config.source), config.slices_in, edge, source);
        let (shown, thin) = match other {
            Some(other) => (other, self.geometry(other, random).thin()),
            None => (place, geometry.clone().thin()),
        };
        thin.extract(shown.study.image(config.target), 1, edge, target);
        if config.paired {
            // No chance is drawn where there is none, so that recipes without transplants keep their batches.
            if config.transplanted_fraction > 0.0 && random.random_bool(config.transplanted_fraction) {
                self.transplant(place, &geometry, random, source, target);
            }
            // An unpaired target is another generator's source, and those come as the library scales them.
            let top = shown.study.top(config.target);
            target.iter_mut().for_each(|value| *value = (*value / top).min(1.0));
        }
        if config.augment == Augmentation::All && random.random_bool(config.varied_fraction) {
            Appearance::random(random).apply(source, edge, random);
        }
    }

    /// Puts tissue of elsewhere in the same head into a source and its target.
    fn transplant(
        &self,
        place: Place<'_>,
        geometry: &Geometry,
        random: &mut Pcg64,
        source: &mut [f32],
        target: &mut [f32],
    ) {
        let (config, edge) = (&self.config, self.config.framing.edge());
        let transplant = Transplant::random(edge, random);
        let (voxel, donor) = transplant::draw_donor(place.study, random);
        let geometry = geometry.showing(voxel, donor.slice, transplant.centre(), edge);
        let mut pixels = vec![0.0; source.len()];
        geometry.extract(place.study.image(config.source), config.slices_in, edge, &mut pixels);
        transplant.apply(source, &pixels, edge);
        let mut pixels = vec![0.0; target.len()];
        geometry.thin().extract(place.study.image(config.target), 1, edge, &mut pixels);
        transplant.apply(target, &pixels, edge);
    }

    fn geometry(&self, place: Place<'_>, random: &mut Pcg64) -> Geometry {
        let still = match self.config.framing {
            Framing::Patch(_) => Geometry::identity(draw_centre(place, random), place.slice),
            Framing::Whole(edge) => Geometry::whole(place.study.dims(), edge, place.slice),
        };
        if self.config.augment == Augmentation::None { still } else { still.varied(random) }
    }
}

/// A brain pixel of a slice, or the middle of the slice where chance finds none.
fn draw_centre(place: Place<'_>, random: &mut Pcg64) -> [f32; 2] {
    let image = place.study.image(Contrast::T1w);
    let (ni, nj, _) = image.dim();
    for _ in 0..64 {
        let (i, j) = (random.random_range(0..ni), random.random_range(0..nj));
        if image[[i, j, place.slice]] > 0 {
            return [i as f32, j as f32];
        }
    }
    [(ni / 2) as f32, (nj / 2) as f32]
}

/// SplitMix64's finalizer: neighbouring seeds give unrelated streams.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
pub(crate) mod tests {
    use ndarray::Array3;

    use super::*;

    /// A ball of brain whose T2w is one minus its T1w, with an intensity that depends on all three axes.
    pub(crate) fn ball(id: &str, origin: Origin) -> Subject {
        let n = 40;
        let brain = |i: usize, j: usize, k: usize| {
            let square = |x: usize| (x as f32 - 20.0).powi(2);
            square(i) + square(j) + square(k) < 15.0 * 15.0
        };
        let t1w = Array3::from_shape_fn((n, n, n), |(i, j, k)| {
            let value = (i * 900 + (j * 7 + k * 3) % 11 * 1500 + 3000) as u16;
            if brain(i, j, k) { value } else { 0 }
        });
        Subject {
            id: id.into(),
            patient: id.into(),
            origin,
            t2w: t1w.mapv(|v| if v > 0 { 65535 - v } else { 0 }),
            t1w,
        }
    }

    pub(crate) fn config() -> SampleConfig {
        SampleConfig {
            source: Contrast::T1w,
            target: Contrast::T2w,
            slices_in: 3,
            framing: Framing::Patch(32),
            batch_size: 4,
            draws: Draws::Patients { real_fraction: 0.5 },
            augment: Augmentation::All,
            varied_fraction: 1.0,
            transplanted_fraction: 0.0,
            patient_weights: BTreeMap::new(),
            paired: true,
            seed: 5,
        }
    }

    fn subjects() -> Vec<Subject> {
        vec![ball("a", Origin::Real), ball("b", Origin::Simulated)]
    }

    #[test]
    fn a_batch_depends_on_seed_and_step_but_not_on_threads() {
        let sampler = Sampler::new(subjects(), config()).unwrap();
        let many = sampler.batch(3);
        let one =
            rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| sampler.batch(3));
        assert_eq!(many, one);
        assert_ne!(many.source, sampler.batch(4).source);
        let other = SampleConfig { seed: 6, ..config() };
        let other = Sampler::new(subjects(), other).unwrap();
        assert_ne!(many.source, other.batch(3).source);
    }

    #[test]
    fn values_stay_in_range_and_background_agrees() {
        let sampler = Sampler::new(subjects(), config()).unwrap();
        for step in 0..20 {
            let batch = sampler.batch(step);
            let all = batch.source.iter().chain(&batch.target);
            assert!(all.clone().all(|v| (0.0..=1.0).contains(v)));
            assert!(all.clone().any(|&v| v > 0.0));
        }
    }

    #[test]
    fn transplants_keep_partners_partners() {
        let with = |transplanted_fraction: f64| {
            let config = SampleConfig { augment: Augmentation::None, transplanted_fraction, ..config() };
            Sampler::new(subjects(), config).unwrap()
        };
        let (sampler, plain) = (with(1.0), with(0.0));
        let area = 32 * 32;
        let mut changed = 0;
        for step in 0..10 {
            let batch = sampler.batch(step);
            for (sample, target) in batch.target.chunks(area).enumerate() {
                let middle = &batch.source[(sample * 3 + 1) * area..(sample * 3 + 2) * area];
                for (s, t) in middle.iter().zip(target).filter(|(s, _)| **s > 0.0) {
                    // Of both subjects T2w is one minus T1w, and tops are alike.
                    let expected = ((1.0 - s) / sampler.studies[0].top(Contrast::T2w)).min(1.0);
                    assert!((t - expected).abs() < 1e-4, "{s} {t}");
                }
            }
            let before = plain.batch(step);
            changed +=
                batch.source.iter().zip(&before.source).filter(|(a, b)| (*a - *b).abs() > 0.01).count();
        }
        assert!(changed > 1000, "{changed}");
    }

    #[test]
    fn without_augmentation_a_patch_is_a_copy_and_a_target_scaled() {
        let plain = SampleConfig { augment: Augmentation::None, ..config() };
        let sampler = Sampler::new(subjects(), plain).unwrap();
        let batch = sampler.batch(0);
        let area = 32 * 32;
        let top = sampler.studies[0].top(Contrast::T2w);
        assert!((0.5..0.96).contains(&top), "{top}");
        for sample in 0..4 {
            let middle = &batch.source[(sample * 3 + 1) * area..(sample * 3 + 2) * area];
            let target = &batch.target[sample * area..(sample + 1) * area];
            for (s, t) in middle.iter().zip(target) {
                let copied = (1.0 - s) / top;
                assert!((*s == 0.0 && *t == 0.0) || (t - copied.min(1.0)).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn the_share_of_real_subjects_is_kept() {
        let mut real = ball("a", Origin::Real);
        real.t1w.mapv_inplace(|v| v.min(1));
        let plain = SampleConfig {
            augment: Augmentation::None,
            draws: Draws::Patients { real_fraction: 0.25 },
            batch_size: 50,
            ..config()
        };
        let sampler = Sampler::new(vec![real, ball("b", Origin::Simulated)], plain).unwrap();
        let real = (0..8)
            .flat_map(|step| {
                let batch = sampler.batch(step);
                batch
                    .source
                    .chunks(3 * 1024)
                    .map(|sample| sample.iter().all(|v| *v <= UNIT))
                    .collect::<Vec<_>>()
            })
            .filter(|dark| *dark)
            .count();
        assert!((60..140).contains(&real), "{real} of 400");
    }

    /// The part of 400 unvaried images that come from the dark one of two real patients.
    fn share_of_dark(weights: &[(&str, f64)]) -> Result<f64, Error> {
        let mut dark = ball("dark", Origin::Real);
        dark.t1w.mapv_inplace(|v| v.min(1));
        let config = SampleConfig {
            augment: Augmentation::None,
            draws: Draws::Patients { real_fraction: 1.0 },
            patient_weights: weights.iter().map(|(patient, weight)| ((*patient).into(), *weight)).collect(),
            batch_size: 400,
            ..config()
        };
        let batch = Sampler::new(vec![dark, ball("b", Origin::Real)], config)?.batch(0);
        let dark = batch.source.chunks(3 * 1024).filter(|image| image.iter().all(|v| *v <= UNIT)).count();
        Ok(dark as f64 / 400.0)
    }

    #[test]
    fn patients_are_drawn_by_their_weight() {
        for (weights, expected) in [(&[][..], 0.5), (&[("dark", 3.0)][..], 0.75), (&[("b", 0.0)][..], 1.0)] {
            let share = share_of_dark(weights).unwrap();
            assert!((share - expected).abs() < 0.08, "{weights:?}: {share}");
        }
        for (weights, word) in
            [(&[("c", 2.0)][..], "not among"), (&[("dark", 0.0), ("b", 0.0)][..], "gives 0 to all")]
        {
            let fault = share_of_dark(weights).unwrap_err().to_string();
            assert!(fault.contains(word), "{fault}");
        }
    }

    #[test]
    fn a_part_of_the_images_keeps_its_intensities() {
        // One flat brain: only what varies intensities makes others of it.
        let mut flat = ball("a", Origin::Real);
        flat.t1w.mapv_inplace(|v| v.min(30_000));
        let unvaried = |varied_fraction: f64| {
            let draws = Draws::Patients { real_fraction: 1.0 };
            let config = SampleConfig { draws, varied_fraction, batch_size: 200, ..config() };
            let batch = Sampler::new(vec![flat.clone()], config).unwrap().batch(0);
            let top = 30_000.0 * UNIT + 1e-6;
            batch.source.chunks(3 * 1024).filter(|image| image.iter().all(|v| *v <= top)).count()
        };
        assert_eq!(unvaried(0.0), 200);
        assert!((80..195).contains(&unvaried(0.5)), "{}", unvaried(0.5));
        assert!(unvaried(1.0) < unvaried(0.5));
    }

    #[test]
    fn a_missing_group_is_an_error() {
        let only_real = vec![ball("a", Origin::Real)];
        assert!(Sampler::new(only_real.clone(), config()).is_err());
        let all_real = SampleConfig { draws: Draws::Patients { real_fraction: 1.0 }, ..config() };
        assert!(Sampler::new(only_real, all_real).is_ok());
    }

    #[test]
    fn every_slice_comes_once_a_pass() {
        // Flat slices whose intensity is their number.
        let mut subject = ball("a", Origin::Simulated);
        for ((_, _, k), voxel) in subject.t1w.indexed_iter_mut() {
            *voxel = if *voxel > 0 { 1000 * k as u16 } else { 0 };
        }
        let config = SampleConfig {
            slices_in: 1,
            framing: Framing::Whole(48),
            batch_size: 1,
            draws: Draws::Slices,
            augment: Augmentation::None,
            ..config()
        };
        let sampler = Sampler::new(vec![subject], config).unwrap();
        let count = sampler.slices();
        let pass = |number: u64| -> Vec<u32> {
            let steps = number * count..(number + 1) * count;
            steps
                .map(|step| {
                    let batch = sampler.batch(step);
                    (batch.source.iter().fold(0.0_f32, |a, &b| a.max(b)) * 65.535).round() as u32
                })
                .collect()
        };
        let (first, second) = (pass(0), pass(1));
        assert_ne!(first, second);
        for mut order in [first, second] {
            order.sort_unstable();
            order.dedup();
            assert_eq!(order.len() as u64, count);
        }
    }

    #[test]
    fn a_whole_slice_is_centred_and_a_large_one_refused() {
        let study = Study::new(ball("a", Origin::Real));
        let pixels = study.whole_slices(Contrast::T1w, 20, 1, 49);
        for j in 0..40 {
            for i in 0..40 {
                let expected = f32::from(study.image(Contrast::T1w)[[i, j, 20]]) * UNIT;
                assert!((pixels[(j + 4) * 49 + i + 4] - expected).abs() < 1e-6);
            }
        }
        assert!(pixels[..4 * 49].iter().all(|&value| value == 0.0));
        let whole = SampleConfig { framing: Framing::Whole(32), ..config() };
        let fault = Sampler::new(subjects(), whole).err().unwrap().to_string();
        assert!(fault.contains("do not fit"), "{fault}");
    }

    #[test]
    fn an_unpaired_target_shows_another_slice() {
        let unpaired = SampleConfig { paired: false, augment: Augmentation::None, slices_in: 1, ..config() };
        let sampler = Sampler::new(subjects(), unpaired).unwrap();
        let batch = sampler.batch(0);
        let complements =
            batch.source.iter().zip(&batch.target).filter(|(s, t)| (*s + *t - 1.0).abs() < 1e-4);
        assert!(complements.count() < batch.source.len() / 20);
        assert_eq!(batch, sampler.batch(0));
    }
}
