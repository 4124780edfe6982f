//! Batches for the extractor: crops of simulated heads, each a pure function of (seed, step), made ahead of the trainer.
//!
//! Heads are numbered; head n of a seed is always the same. At a step, the newest `pool` heads are drawn from, and every
//! few steps there is one more, so that no head is seen too often and none has to be kept on a disk.

use std::collections::VecDeque;
use std::ops::Range;

use mrisynth::prepare::lattice;
use rand::RngExt;
use rand::seq::IndexedRandom;
use rayon::prelude::*;

use super::anatomy::Anatomy;
use super::head::{self, Head, STEPS, UNKNOWN};
use super::recipe::Recipe;
use crate::error::Error;
use crate::simulate::Random;

/// The stream of random numbers of step 0; those below are heads'.
const FIRST_STEP_STREAM: u128 = 1 << 64;
/// Distances in millimetres over which the loss's weight falls.
const SURFACE_WIDTH: f32 = 4.0;
/// The loss's weight far from the surface, relative to the one on it.
const FAR_WEIGHT: f32 = 0.12;

/// Crops as the network reads them; all vectors are `[batch, 8, d, h, w]`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The lattice of one crop: d, h, w.
    pub lattice: [usize; 3],
    /// Intensities, 0..1.
    pub input: Vec<f32>,
    /// Heights above the surface, relative to [`lattice::UNIT`], -1..1.
    pub target: Vec<f32>,
    /// What each voxel counts in the loss.
    pub weight: Vec<f32>,
}

/// Simulates heads and cuts batches out of them.
pub struct Pool {
    anatomies: Vec<Anatomy>,
    recipe: Recipe,
    heads: VecDeque<Head>,
    /// The number of the first of `heads`.
    first: u64,
}

impl Pool {
    /// A pool of heads with the given anatomies; nothing is simulated yet.
    pub fn new(anatomies: Vec<Anatomy>, recipe: Recipe) -> Self {
        Self { anatomies, recipe, heads: VecDeque::new(), first: 0 }
    }

    /// Numbers of the heads that `step` draws from.
    fn window(&self, step: u64) -> Range<u64> {
        let end = self.recipe.first_heads + step / self.recipe.steps_per_head;
        end.saturating_sub(self.recipe.pool)..end
    }

    /// Drops heads that are too old, and simulates those that are missing.
    fn turn_to(&mut self, step: u64) {
        let window = self.window(step);
        if window.start >= self.first + self.heads.len() as u64 || window.start < self.first {
            self.heads.clear();
            self.first = window.start;
        }
        while self.first < window.start && self.heads.pop_front().is_some() {
            self.first += 1;
        }
        let missing = self.first + self.heads.len() as u64..window.end;
        let (anatomies, seed) = (&self.anatomies, self.recipe.seed);
        self.heads.par_extend(missing.into_par_iter().map(|number| head(anatomies, seed, number)));
    }

    /// The batch of `step`.
    pub fn batch(&mut self, step: u64) -> Batch {
        self.turn_to(step);
        let stream = FIRST_STEP_STREAM + u128::from(step);
        let mut random = Random::new(u128::from(self.recipe.seed), stream);
        let fallback = lattice::SIZE_MULTIPLE;
        let dims = [0; 3].map(|_| *self.recipe.crop_sizes.choose(&mut random).unwrap_or(&fallback));
        let mut batch = Batch {
            lattice: [dims[2] / 2, dims[1] / 2, dims[0] / 2],
            input: Vec::new(),
            target: Vec::new(),
            weight: Vec::new(),
        };
        for _ in 0..self.recipe.batch_size {
            let head = &self.heads[random.random_range(0..self.heads.len())];
            let crop = Crop::random(head, dims, &mut random);
            batch.input.extend(lattice::split(&crop.input, dims));
            batch.target.extend(lattice::split(&crop.target, dims));
            batch.weight.extend(lattice::split(&crop.weight, dims));
        }
        batch
    }
}

/// A part of a head, and what lies beyond as empty.
struct Crop {
    input: Vec<f32>,
    target: Vec<f32>,
    weight: Vec<f32>,
}

impl Crop {
    fn random(head: &Head, dims: [usize; 3], random: &mut Random) -> Self {
        let start = [0, 1, 2].map(|axis| {
            let room = head.dims[axis] as i64 - dims[axis] as i64;
            random.random_range(room.min(0)..=room.max(0))
        });
        let mirrored = random.random_bool(0.5);
        let gain = if random.random_bool(0.5) { random.random_range(0.6..1.6_f32) } else { 1.0 };
        let gamma = random.random_range(-0.25..0.25_f32).exp();
        let table: Vec<f32> =
            (0..=255_u8).map(|v| (gain * (f32::from(v) / 255.0).powf(gamma)).min(1.0)).collect();
        let count = dims.iter().product();
        let mut crop = Self { input: vec![0.0; count], target: vec![1.0; count], weight: vec![0.0; count] };
        for k in 0..dims[2] {
            for j in 0..dims[1] {
                for i in 0..dims[0] {
                    let place = [i, j, k];
                    let from = [0, 1, 2].map(|axis| place[axis] as i64 + start[axis]);
                    if (0..3).any(|axis| from[axis] < 0 || from[axis] >= head.dims[axis] as i64) {
                        continue;
                    }
                    let from = from.map(|position| position as usize);
                    let from = from[0] + head.dims[0] * (from[1] + head.dims[1] * from[2]);
                    let i = if mirrored { dims[0] - 1 - i } else { i };
                    let to = i + dims[0] * (j + dims[1] * k);
                    crop.input[to] = table[usize::from(head.image[from])];
                    if head.heights[from] != UNKNOWN {
                        let height = f32::from(head.heights[from]) / STEPS;
                        crop.target[to] = (height / lattice::UNIT).clamp(-1.0, 1.0);
                        crop.weight[to] = FAR_WEIGHT + (-(height / SURFACE_WIDTH).powi(2)).exp();
                    }
                }
            }
        }
        crop
    }
}

/// Reads the label maps of the recipe, in parallel.
///
/// # Errors
/// Those of [`Anatomy::read`], and if there is no map.
pub fn read_anatomies(recipe: &Recipe) -> Result<Vec<Anatomy>, Error> {
    let maps = crate::simulate::labels::find(&recipe.labels)?;
    maps.par_iter().map(|path| Anatomy::read(path)).collect()
}

/// Head `number` of `seed`.
pub fn head(anatomies: &[Anatomy], seed: u64, number: u64) -> Head {
    head::simulate(anatomies, &mut Random::new(u128::from(seed), u128::from(number)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::anatomy::tests::spherical_head;
    use super::*;

    pub(crate) fn small_recipe() -> Recipe {
        let text = "labels = [\"x\"]\nsteps = 4\nbatch_size = 1\ncrop_sizes = [32, 48]\nfirst_heads = 2\n\
            steps_per_head = 2\npool = 2\nwarmup_steps = 1\nlog_every = 2\n\
            [network]\nwidths = [4, 4, 6, 6]\n";
        toml::from_str(text).unwrap()
    }

    pub(crate) fn small_pool() -> Pool {
        Pool::new(vec![spherical_head()], small_recipe())
    }

    #[test]
    fn a_batch_depends_on_seed_and_step_alone() {
        let mut walked = small_pool();
        let batches: Vec<Batch> = (0..5).map(|step| walked.batch(step)).collect();
        assert_eq!(small_pool().batch(4), batches[4]);
        assert_ne!(batches[3], batches[4]);
    }

    #[test]
    fn batches_are_in_range_and_whole() {
        let mut pool = small_pool();
        for step in 0..4 {
            let batch = pool.batch(step);
            let count = 8 * batch.lattice.iter().product::<usize>();
            let all = [&batch.input, &batch.target, &batch.weight];
            assert!(all.iter().all(|values| values.len() == count));
            assert!(batch.input.iter().all(|value| (0.0..=1.0).contains(value)));
            assert!(batch.target.iter().all(|value| (-1.0..=1.0).contains(value)));
            assert!(batch.weight.iter().all(|value| (0.0..=1.0 + FAR_WEIGHT).contains(value)));
        }
    }

    #[test]
    fn the_window_grows_and_then_slides() {
        let pool = Pool::new(vec![], Recipe { first_heads: 3, steps_per_head: 2, pool: 4, ..small_recipe() });
        assert_eq!([0, 1, 2, 3, 4, 10].map(|step| pool.window(step)), [0..3, 0..3, 0..4, 0..4, 1..5, 4..8]);
    }
}
