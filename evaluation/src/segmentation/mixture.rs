//! Three normal distributions fitted to a brain's intensities, with a Markov random field between neighbouring voxels and
//! spatial priors.
//!
//! The model is that of FAST (Zhang, Brady and Smith 2001, "Segmentation of brain MR images through a hidden Markov random
//! field model and the expectation-maximization algorithm", IEEE Transactions on Medical Imaging 20), but that neighbours
//! count by their probabilities (mean field) and not by their labels; spatial priors as in Van Leemput et al. 1999
//! ("Automated model-based tissue classification of MR images of the brain", the same journal, 18).

use mrisynth::prepare::{morphology, normalize};
use ndarray::{Array3, ArrayView3, s};
use rayon::prelude::*;

use super::model::{CLASSES, Densities, Gaussian, Model, PerClass, Sums};
use crate::{Error, Result};

/// Rounds in which neighbours do not count yet: until the classes are about where they belong.
const ROUNDS_ALONE: usize = 5;
/// The fit has converged when no mean and no deviation moves by more than this part of the range of intensities.
const SMALL_STEP: f64 = 1e-3;
/// The least standard deviation, as a part of the range of intensities: a class without any would have an infinite density.
const LEAST_DEVIATION: f64 = 0.005;
/// A class starts from the voxels in which its spatial prior is at least this.
const SURE: f32 = 0.8;
/// If these are fewer than this part of the brain, all classes start from thresholds.
const LEAST_SURE: f64 = 0.002;
/// Percentiles between which intensities are looked at for the start.
const RANGE_PERCENT: [f64; 2] = [0.5, 99.5];
/// Bins between them.
const BINS: usize = 128;
/// Proportions of classes of which nothing is known yet.
const EQUAL: [f64; CLASSES] = [1.0 / CLASSES as f64; CLASSES];
/// Voxels that one thread takes at a time. Sums are added up in the order of these parts, whatever thread took them.
const PART: usize = 1 << 14;

/// How a mixture is fitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    /// What a neighbour that is surely of one class adds to a voxel's log probability of that class.
    pub smoothness: f32,
    /// The part of a voxel's prior probability that comes from the spatial priors, 0 to 1; the rest from the classes'
    /// proportions in the whole brain.
    pub trust: f32,
    /// The most rounds of expectation and maximization.
    pub most_rounds: usize,
    /// The class, the first or the last, beyond whose mean every voxel is as on it. Else the widest class would get the
    /// voxels on the far side of the narrowest, such as a pallidum that is darker than white matter on T2w.
    pub outermost: usize,
}

/// A fitted mixture.
pub(super) struct Mixture {
    /// The classes, in the order of rising intensity.
    pub classes: [Gaussian; CLASSES],
    /// The probability of each class in each voxel of the brain.
    pub posteriors: Vec<PerClass>,
    /// Rounds that were done.
    pub rounds: usize,
    /// Whether the classes had come to rest by then.
    pub converged: bool,
}

/// Where the priors are sure, the outermost class and the one in the middle have these median intensities, which are not in the
/// order of the classes: the image is of another kind.
#[derive(Debug)]
pub(super) struct OutOfOrder {
    pub outermost: f64,
    pub middle: f64,
}

/// The voxels of a brain, i fastest, and which of them are neighbours.
pub(super) struct Brain {
    /// The index of each voxel.
    pub indices: Vec<[usize; 3]>,
    intensities: Vec<f32>,
    /// The place of each voxel in a box around the brain that has a layer of background on every side, i fastest.
    places: Vec<usize>,
    box_size: usize,
    /// The way from a place to its six neighbours, and what each counts: 1 on average, in inverse proportion to its distance.
    neighbours: [(isize, f32); 6],
    /// The lowest and the highest intensity but for outliers.
    range: [f32; 2],
}

impl Brain {
    /// From an image, its brain and the voxel sizes in millimetres.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the sizes differ, the brain is empty, or its intensities are not finite or all the same.
    pub fn of(image: ArrayView3<'_, f32>, mask: &Array3<bool>, sizes: [f64; 3]) -> Result<Self> {
        if image.dim() != mask.dim() {
            let (image, mask) = (image.dim(), mask.dim());
            return Err(Error::Invalid(format!(
                "an image of {image:?} voxels with a brain mask of {mask:?}"
            )));
        }
        let (low, high) = morphology::bounding_box(mask)
            .ok_or_else(|| Error::Invalid("the brain mask is empty: there is no tissue to segment".into()))?;
        let dims = [0, 1, 2].map(|axis| high[axis] - low[axis] + 3);
        let part = s![low[0]..=high[0], low[1]..=high[1], low[2]..=high[2]];
        let (mut indices, mut intensities, mut places) = (Vec::new(), Vec::new(), Vec::new());
        // Transposed, so that i runs fastest.
        let inside = mask.slice(part);
        for ((k, j, i), _) in inside.t().indexed_iter().filter(|(_, inside)| **inside) {
            let index = [i + low[0], j + low[1], k + low[2]];
            indices.push(index);
            intensities.push(image[index]);
            places.push(i + 1 + dims[0] * (j + 1 + dims[1] * (k + 1)));
        }
        if let Some(at) = intensities.iter().position(|value| !value.is_finite()) {
            return Err(Error::Invalid(format!(
                "voxel {:?} of the brain is not a finite number",
                indices[at]
            )));
        }
        let range = range_of(&intensities)?;
        let mean_nearness = sizes.iter().map(|size| 1.0 / size).sum::<f64>() / 3.0;
        let steps = [1, dims[0], dims[0] * dims[1]].map(|step| step as isize);
        let neighbour =
            |axis: usize, sign: isize| (sign * steps[axis], (1.0 / sizes[axis] / mean_nearness) as f32);
        let neighbours = std::array::from_fn(|n| neighbour(n / 2, if n % 2 == 0 { -1 } else { 1 }));
        Ok(Self { indices, intensities, places, box_size: dims.iter().product(), neighbours, range })
    }

    /// Fits the mixture. `priors`, where there are some, are the probabilities of the classes in each voxel; they sum to 1.
    ///
    /// # Errors
    /// [`OutOfOrder`] if by the priors the outermost class and the one in the middle have each other's place.
    pub fn fit(
        &self,
        priors: Option<&[PerClass]>,
        settings: &Settings,
    ) -> std::result::Result<Mixture, OutOfOrder> {
        let mut model = self.start(priors, settings.outermost)?;
        let mut field = vec![PerClass::default(); self.box_size];
        let mut posteriors = vec![PerClass::default(); self.places.len()];
        let (mut rounds, mut converged) = (0, false);
        while rounds < settings.most_rounds && !converged {
            let smoothness = if rounds < ROUNDS_ALONE { 0.0 } else { settings.smoothness };
            let sums =
                self.expect(&model, priors, &field, Settings { smoothness, ..*settings }, &mut posteriors);
            self.places.iter().zip(&posteriors).for_each(|(&place, posterior)| field[place] = *posterior);
            let next = self.maximize(&sums, &model);
            rounds += 1;
            converged = rounds > ROUNDS_ALONE + 1 && next.distance(&model) <= SMALL_STEP * self.extent();
            model = next;
        }
        Ok(Mixture { classes: model.classes, posteriors, rounds, converged })
    }

    fn extent(&self) -> f64 {
        f64::from(self.range[1]) - f64::from(self.range[0])
    }

    /// The probability of each class in each voxel under a model, into `posteriors`; what the next model is made of.
    fn expect(
        &self,
        model: &Model,
        priors: Option<&[PerClass]>,
        field: &[PerClass],
        settings: Settings,
        posteriors: &mut [PerClass],
    ) -> Sums {
        let densities =
            Densities::of(model, if priors.is_some() { settings.trust } else { 0.0 }, settings.outermost);
        let parts = posteriors.par_chunks_mut(PART).enumerate().map(|(part, posteriors)| {
            let mut sums = Sums::default();
            for (voxel, posterior) in (part * PART..).zip(posteriors) {
                let prior = priors.map_or_else(PerClass::default, |priors| priors[voxel]);
                let around =
                    if settings.smoothness > 0.0 { self.around(field, voxel) } else { [0.0; CLASSES] };
                let intensity = self.intensities[voxel];
                *posterior =
                    densities.posterior(intensity, prior, around.map(|sum| settings.smoothness * sum));
                if densities.tells(intensity) {
                    sums.add(intensity, posterior);
                }
            }
            sums
        });
        // Collected first: a parallel sum would add in an order that depends on the threads.
        parts.collect::<Vec<_>>().iter().fold(Sums::default(), Sums::plus)
    }

    /// The sum of the neighbours' probabilities. None comes from the background.
    fn around(&self, field: &[PerClass], voxel: usize) -> PerClass {
        let mut sum = PerClass::default();
        for (step, weight) in self.neighbours {
            // The layer around the box keeps this within it.
            let neighbour = &field[self.places[voxel].wrapping_add_signed(step)];
            (0..CLASSES).for_each(|class| sum[class] += weight * neighbour[class]);
        }
        sum
    }

    /// The model that makes the posteriors likeliest; a class that no voxel belongs to stays what it was.
    fn maximize(&self, sums: &Sums, before: &Model) -> Model {
        let total: f64 = sums.weight.iter().sum();
        let mut model = before.clone();
        for class in 0..CLASSES {
            let weight = sums.weight[class];
            if weight > 1.0 {
                model.proportions[class] = weight / total;
                let mean = sums.first[class] / weight;
                let variance = (sums.second[class] / weight - mean * mean).max(0.0);
                let deviation = variance.sqrt().max(LEAST_DEVIATION * self.extent());
                model.classes[class] = Gaussian { mean, deviation };
            }
        }
        // The order of intensities is what tells the classes apart.
        model.classes.sort_by(|a, b| a.mean.total_cmp(&b.mean));
        model
    }

    /// The model to start from: the voxels that are surely of one class by the priors, or else three ranges of intensity.
    fn start(&self, priors: Option<&[PerClass]>, outermost: usize) -> std::result::Result<Model, OutOfOrder> {
        match priors {
            Some(priors) => self.start_from(priors, outermost),
            None => Ok(self.start_from_thresholds()),
        }
    }

    fn start_from(&self, priors: &[PerClass], outermost: usize) -> std::result::Result<Model, OutOfOrder> {
        let middle = CLASSES / 2;
        let (Some(next), Some(last)) =
            (self.sure(priors, middle, |_| true), self.sure(priors, outermost, |_| true))
        else {
            return Ok(self.start_from_thresholds());
        };
        if (last.mean > next.mean) != (outermost > middle) || last.mean == next.mean {
            return Err(OutOfOrder { outermost: last.mean, middle: next.mean });
        }
        // The rim of the brain, where fluid is likely, may be partly background: that is dark, which fluid on T2w is not.
        let beyond = |intensity: f32| (f64::from(intensity) < next.mean) == (outermost > middle);
        let Some(first) = self.sure(priors, CLASSES - 1 - outermost, beyond) else {
            return Ok(self.start_from_thresholds());
        };
        let mut classes = [first, next, last];
        classes.sort_by(|a, b| a.mean.total_cmp(&b.mean));
        Ok(Model { classes, proportions: EQUAL })
    }

    /// The intensities that `counts` holds for of the voxels that are surely of one class; none if these are too few.
    fn sure(&self, priors: &[PerClass], class: usize, counts: impl Fn(f32) -> bool) -> Option<Gaussian> {
        let sure = self.intensities.iter().zip(priors);
        let sure = sure.filter(|(intensity, prior)| prior[class] >= SURE && counts(**intensity));
        let mut sure: Vec<f32> = sure.map(|(intensity, _)| *intensity).collect();
        if sure.len() < (LEAST_SURE * self.intensities.len() as f64).max(8.0) as usize {
            return None;
        }
        let mut percentile = |percent| normalize::percentile(&mut sure, percent).map(f64::from);
        let (mean, low, high) = (percentile(50.0)?, percentile(25.0)?, percentile(75.0)?);
        // The quartiles of a normal distribution are 1.349 standard deviations apart.
        let deviation = ((high - low) / 1.349).max(LEAST_DEVIATION * self.extent());
        Some(Gaussian { mean, deviation })
    }

    /// The two thresholds with the largest variance between classes (Otsu 1979, "A threshold selection method from gray-level
    /// histograms", IEEE Transactions on Systems, Man, and Cybernetics 9), of all pairs on a histogram.
    fn start_from_thresholds(&self) -> Model {
        let [low, high] = self.range;
        let width = self.extent() / BINS as f64;
        // Sums of the counts and of counts times intensity below each bin.
        let (mut count, mut sum) = ([0.0; BINS + 1], [0.0; BINS + 1]);
        for &intensity in &self.intensities {
            let value = f64::from(intensity.clamp(low, high)) - f64::from(low);
            let bin = ((value / width) as usize).min(BINS - 1);
            count[bin + 1] += 1.0;
            sum[bin + 1] += value;
        }
        for bin in 0..BINS {
            count[bin + 1] += count[bin];
            sum[bin + 1] += sum[bin];
        }
        let mean = |from: usize, to: usize| (sum[to] - sum[from]) / (count[to] - count[from]);
        let between = |from: usize, to: usize| {
            let many = count[to] - count[from];
            if many > 0.0 { many * mean(from, to).powi(2) } else { 0.0 }
        };
        let (mut best, mut cuts) = (f64::NEG_INFINITY, [0, BINS / 3, 2 * BINS / 3, BINS]);
        for first in 1..BINS {
            for second in first + 1..BINS {
                let spread = between(0, first) + between(first, second) + between(second, BINS);
                if spread > best {
                    (best, cuts) = (spread, [0, first, second, BINS]);
                }
            }
        }
        let class = |class: usize| {
            let (from, to) = (cuts[class], cuts[class + 1]);
            let empty = count[to] <= count[from];
            let middle = if empty { (from + to) as f64 * width / 2.0 } else { mean(from, to) };
            // Of a uniform distribution.
            let deviation = (to - from) as f64 * width / 12.0_f64.sqrt();
            Gaussian {
                mean: f64::from(low) + middle,
                deviation: deviation.max(LEAST_DEVIATION * self.extent()),
            }
        };
        Model { classes: [class(0), class(1), class(2)], proportions: EQUAL }
    }
}

/// The lowest and the highest intensity but for outliers.
fn range_of(intensities: &[f32]) -> Result<[f32; 2]> {
    let mut values = intensities.to_vec();
    let inner = RANGE_PERCENT.map(|percent| normalize::percentile(&mut values, percent));
    let outer = [0.0, 100.0].map(|percent| normalize::percentile(&mut values, percent));
    // A brain of one tissue with a few voxels of another has no range but for these.
    for range in [inner, outer] {
        if let [Some(low), Some(high)] = range
            && high > low
        {
            return Ok([low, high]);
        }
    }
    Err(Error::Invalid("the brain has no two different intensities: its tissues cannot be told apart".into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::ShapeBuilder;

    const SETTINGS: Settings = Settings { smoothness: 0.1, trust: 0.5, most_rounds: 60, outermost: 2 };

    fn line(values: &[f32]) -> Brain {
        let image = Array3::from_shape_vec((values.len(), 1, 1).f(), values.to_vec()).unwrap();
        Brain::of(image.view(), &Array3::from_elem(image.dim(), true), [1.0; 3]).unwrap()
    }

    #[test]
    fn thresholds_start_where_scikit_image_sets_them() {
        // Three heaps of a formula.
        let values: Vec<f32> = (0..3000_u32)
            .map(|n| {
                let spread = (n * n % 101) as f32 / 101.0 - 0.5;
                [20.0, 50.0, 90.0][(n % 3) as usize] + 24.0 * spread
            })
            .collect();
        let model = line(&values).start(None, 2).unwrap();
        // With v the values: t = skimage.filters.threshold_multiotsu(numpy.clip(v, *numpy.percentile(v, [.5, 99.5])), 3, 128);
        // [v[numpy.digitize(v, t) == n].mean() for n in range(3)]
        for (class, mean) in model.classes.iter().zip(MULTIOTSU_MEANS) {
            assert!((class.mean - mean).abs() < 5e-3, "{:?}", model.classes);
        }
    }

    const MULTIOTSU_MEANS: [f64; 3] = [19.896_634, 49.876_673, 89.875_960];

    #[test]
    fn neighbours_count_by_their_distance() {
        let image = Array3::from_shape_fn((3, 3, 3), |(i, j, k)| (i + 3 * j + 9 * k) as f32);
        let brain = Brain::of(image.view(), &Array3::from_elem((3, 3, 3), true), [1.0, 1.0, 2.0]).unwrap();
        let mut field = vec![PerClass::default(); brain.box_size];
        // All neighbours of the middle are surely of the second class.
        brain.places.iter().for_each(|&place| field[place] = [0.0, 1.0, 0.0]);
        let middle = brain.indices.iter().position(|index| *index == [1, 1, 1]).unwrap();
        let around = brain.around(&field, middle);
        assert!((around[1] - 6.0).abs() < 1e-5 && around[0] == 0.0, "{around:?}");
        // A corner has three neighbours: 1, 1 and half of it, in proportion.
        let around = brain.around(&field, 0);
        assert!((around[1] - 3.0).abs() < 1e-5, "{around:?}");
        let weights: Vec<f32> = brain.neighbours.iter().map(|(_, weight)| *weight).collect();
        assert!((weights[0] / weights[4] - 2.0).abs() < 1e-5, "{weights:?}");
    }

    #[test]
    fn two_intensities_are_enough() {
        let values: Vec<f32> = (0..200).map(|n| if n % 4 == 0 { 1.0 } else { 2.0 }).collect();
        let mixture = line(&values).fit(None, &SETTINGS).unwrap();
        assert!(mixture.posteriors.iter().flatten().all(|probability| probability.is_finite()));
        assert!(mixture.classes.iter().all(|class| class.deviation > 0.0 && class.mean.is_finite()));
        // A single voxel of another intensity is a range as well.
        let values: Vec<f32> = (0..2000).map(|n| if n == 7 { 5.0 } else { 2.0 }).collect();
        let mixture = line(&values).fit(None, &SETTINGS).unwrap();
        assert!(mixture.posteriors.iter().flatten().all(|probability| probability.is_finite()));
    }
}
