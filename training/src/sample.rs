//! Batches of patches: each a pure function of (seed, step), drawn and augmented in parallel ahead of the trainer.

mod appearance;
mod geometry;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use mrisynth::Contrast;
use ndarray::{Array3, ShapeBuilder};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;
use rayon::prelude::*;

use crate::error::Error;
use crate::store::{Origin, Subject};
use appearance::Appearance;
use geometry::Geometry;

/// A slice is drawn from when at least this part of it is brain.
const MINIMUM_BRAIN: f64 = 0.02;
/// Batches that wait for the trainer.
const AHEAD: usize = 3;
/// The factor from stored integers to intensities 0..1.
const UNIT: f32 = 1.0 / 65535.0;

/// What a batch looks like.
#[derive(Clone, Debug)]
pub struct SampleConfig {
    /// The contrast that comes in.
    pub source: Contrast,
    /// The contrast to be synthesized.
    pub target: Contrast,
    /// Neighbouring axial slices of the source, an odd number.
    pub slices_in: usize,
    /// Edge of the square patches, in pixels.
    pub patch_size: usize,
    /// Patches a batch.
    pub batch_size: usize,
    /// The part of the draws that goes to real subjects, 0..=1.
    pub real_fraction: f64,
    /// Whether to vary geometry and intensities.
    pub augment: bool,
    /// The seed of all draws.
    pub seed: u64,
}

/// Patches in row-major order: a row is one position along j (posterior to anterior), a column along i (left to right).
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The step this batch belongs to.
    pub step: u64,
    /// `[batch, slices_in, patch, patch]`, 0..1, slices from inferior to superior.
    pub source: Vec<f32>,
    /// `[batch, 1, patch, patch]`, 0..1.
    pub target: Vec<f32>,
}

/// The subjects in the form that draws need: slices contiguous, brain slices known.
struct Study {
    source: Array3<u16>,
    target: Array3<u16>,
    slices: Vec<usize>,
}

/// Draws batches.
pub struct Sampler {
    config: SampleConfig,
    studies: Vec<Study>,
    /// For real and for simulated subjects, the studies of each patient.
    patients: [Vec<Vec<usize>>; 2],
}

impl Sampler {
    /// Prepares `subjects` for drawing; those without a usable slice are left out.
    pub fn new(subjects: Vec<Subject>, config: SampleConfig) -> Result<Self, Error> {
        let mut groups: [BTreeMap<String, Vec<usize>>; 2] = Default::default();
        let mut studies = Vec::new();
        let prepared: Vec<_> = subjects.into_par_iter().map(|subject| prepare(subject, &config)).collect();
        for (origin, patient, study) in prepared {
            if study.slices.is_empty() {
                continue;
            }
            groups[usize::from(origin == Origin::Simulated)].entry(patient).or_default().push(studies.len());
            studies.push(study);
        }
        let patients = groups.map(|group| group.into_values().collect::<Vec<_>>());
        let sampler = Self { config, studies, patients };
        sampler.check_groups()?;
        Ok(sampler)
    }

    fn check_groups(&self) -> Result<(), Error> {
        let fraction = self.config.real_fraction;
        for (index, name, wanted) in [(0, "real", fraction > 0.0), (1, "simulated", fraction < 1.0)] {
            if wanted && self.patients[index].is_empty() {
                return Err(Error::Data(format!(
                    "real_fraction is {fraction}, but the stores hold no {name} subject with brain in it"
                )));
            }
        }
        Ok(())
    }

    /// The batch of `step`; the same bytes for every number of threads.
    pub fn batch(&self, step: u64) -> Batch {
        let area = self.config.patch_size.pow(2);
        let mut source = vec![0.0; self.config.batch_size * self.config.slices_in * area];
        let mut target = vec![0.0; self.config.batch_size * area];
        source
            .par_chunks_mut(self.config.slices_in * area)
            .zip(target.par_chunks_mut(area))
            .enumerate()
            .for_each(|(index, (source, target))| self.fill(step, index, source, target));
        Batch { step, source, target }
    }

    fn fill(&self, step: u64, index: usize, source: &mut [f32], target: &mut [f32]) {
        let seed = mix(mix(mix(self.config.seed) ^ step) ^ index as u64);
        let random = &mut Pcg64::seed_from_u64(seed);
        let (study, slice) = self.draw_slice(random);
        let centre = draw_centre(study, slice, random);
        let geometry = if self.config.augment {
            Geometry::random(centre, slice, random)
        } else {
            Geometry::identity(centre, slice)
        };
        geometry.extract(study, self.config.slices_in, self.config.patch_size, source, target);
        if self.config.augment {
            Appearance::random(random).apply(source, self.config.patch_size, random);
        }
    }

    fn draw_slice(&self, random: &mut Pcg64) -> (&Study, usize) {
        let simulated = !random.random_bool(self.config.real_fraction);
        let patients = &self.patients[usize::from(simulated)];
        let studies = &patients[random.random_range(0..patients.len())];
        let study = &self.studies[studies[random.random_range(0..studies.len())]];
        let slice = study.slices[random.random_range(0..study.slices.len())];
        (study, slice)
    }
}

fn prepare(subject: Subject, config: &SampleConfig) -> (Origin, String, Study) {
    let slices = brain_slices(&subject);
    let t1w = slice_major(subject.t1w);
    let t2w = slice_major(subject.t2w);
    let (source, target) = match config.source {
        Contrast::T1w => (t1w, t2w),
        Contrast::T2w => (t2w, t1w),
    };
    let study = Study { source, target, slices };
    (subject.origin, subject.patient, study)
}

/// The same volume with i fastest in memory, so that an axial slice is contiguous.
fn slice_major(volume: Array3<u16>) -> Array3<u16> {
    if volume.t().is_standard_layout() {
        return volume;
    }
    let mut copy = Array3::zeros(volume.raw_dim().f());
    copy.assign(&volume);
    copy
}

fn brain_slices(subject: &Subject) -> Vec<usize> {
    let (ni, nj, nk) = subject.t1w.dim();
    let mut counts = vec![0usize; nk];
    for ((_, _, k), &t1w) in subject.t1w.indexed_iter() {
        counts[k] += usize::from(t1w > 0);
    }
    let enough = (MINIMUM_BRAIN * (ni * nj) as f64).max(1.0);
    (0..nk).filter(|&k| counts[k] as f64 >= enough).collect()
}

/// A brain pixel of `slice`, or the middle of the slice where chance finds none.
fn draw_centre(study: &Study, slice: usize, random: &mut Pcg64) -> [f32; 2] {
    let (ni, nj, _) = study.source.dim();
    for _ in 0..64 {
        let (i, j) = (random.random_range(0..ni), random.random_range(0..nj));
        if study.source[[i, j, slice]] > 0 {
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

/// Draws batches on a thread of its own, in the order of steps.
pub struct Prefetch {
    receiver: Option<Receiver<Batch>>,
    thread: Option<JoinHandle<()>>,
}

impl Prefetch {
    /// Starts drawing the batches of `steps`.
    pub fn start(sampler: Arc<Sampler>, steps: std::ops::Range<u64>) -> Result<Self, Error> {
        let (sender, receiver): (SyncSender<Batch>, _) = sync_channel(AHEAD);
        let thread = std::thread::Builder::new()
            .name("prefetch".into())
            .spawn(move || {
                for step in steps {
                    if sender.send(sampler.batch(step)).is_err() {
                        return;
                    }
                }
            })
            .map_err(|e| Error::Data(format!("cannot start the prefetch thread: {e}")))?;
        Ok(Self { receiver: Some(receiver), thread: Some(thread) })
    }

    /// The next batch; an error when drawing has ended or failed.
    pub fn receive(&mut self) -> Result<Batch, Error> {
        self.receiver
            .as_ref()
            .and_then(|receiver| receiver.recv().ok())
            .ok_or_else(|| Error::Data("the prefetch thread has ended".into()))
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        // The thread ends at its next send once nobody listens.
        self.receiver = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
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
            patch_size: 32,
            batch_size: 4,
            real_fraction: 0.5,
            augment: true,
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
    fn without_augmentation_a_patch_is_a_copy() {
        let plain = SampleConfig { augment: false, ..config() };
        let sampler = Sampler::new(subjects(), plain).unwrap();
        let batch = sampler.batch(0);
        let area = 32 * 32;
        for sample in 0..4 {
            let middle = &batch.source[(sample * 3 + 1) * area..(sample * 3 + 2) * area];
            let target = &batch.target[sample * area..(sample + 1) * area];
            for (s, t) in middle.iter().zip(target) {
                assert!((*s == 0.0 && *t == 0.0) || (s + t - 1.0).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn the_share_of_real_subjects_is_kept() {
        let mut real = ball("a", Origin::Real);
        real.t1w.mapv_inplace(|v| v.min(1));
        let plain = SampleConfig { augment: false, real_fraction: 0.25, batch_size: 50, ..config() };
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

    #[test]
    fn a_missing_group_is_an_error() {
        let only_real = vec![ball("a", Origin::Real)];
        assert!(Sampler::new(only_real.clone(), config()).is_err());
        let all_real = SampleConfig { real_fraction: 1.0, ..config() };
        assert!(Sampler::new(only_real, all_real).is_ok());
    }

    #[test]
    fn prefetching_keeps_the_order_and_ends() {
        let sampler = Arc::new(Sampler::new(subjects(), config()).unwrap());
        let mut prefetch = Prefetch::start(Arc::clone(&sampler), 7..9).unwrap();
        assert_eq!(prefetch.receive().unwrap(), sampler.batch(7));
        assert_eq!(prefetch.receive().unwrap(), sampler.batch(8));
        assert!(prefetch.receive().is_err());
        drop(Prefetch::start(sampler, 0..1_000_000).unwrap());
    }
}
