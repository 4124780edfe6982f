//! What the two real contrasts of a brain say of its tissue: where white matter and fluid are, and how bright.

use mrisynth::prepare::{distance, normalize};
use ndarray::{Array3, ArrayView3, ShapeBuilder};

/// Voxels nearer to the brain's surface than this, in millimetres, tell nothing: they are part brain, part background.
const LEAST_DEPTH: f32 = 3.0;
/// White matter is among the voxels that are brighter in T1w than in T2w by the most: so many percent of the brain.
const WHITE_PERCENT: f64 = 30.0;
/// Fluid is among those that are brighter in T2w than in T1w by the most: so many percent of the brain.
const FLUID_PERCENT: f64 = 2.0;
/// Bins of a histogram over 0..1.
const BINS: usize = 100;
/// What smooths a histogram.
const KERNEL: [f64; 5] = [1.0, 2.0, 3.0, 2.0, 1.0];
/// A mode reaches so many of its half widths at half maximum to both sides: for a normal distribution, 2.4 standard
/// deviations.
const HALF_WIDTHS: f64 = 2.0;

/// For each voxel, the distance in millimetres to the nearest voxel centre where `mask` is `value`; at most 1000.
pub fn distance_to(mask: &Array3<bool>, value: bool, sizes: [f32; 3]) -> Array3<f32> {
    let (ni, nj, nk) = mask.dim();
    let is_there = |at: usize| mask[[at % ni, at / ni % nj, at / ni / nj]] == value;
    let distances = distance::distance_to([ni, nj, nk], sizes, is_there);
    Array3::from_shape_fn((ni, nj, nk).f(), |(i, j, k)| distances[i + ni * (j + nj * k)])
}

/// Voxels that are surely of one tissue, where contrasts agree; most voxels are in neither mask.
#[derive(Clone, Debug)]
pub struct Tissue {
    /// White matter.
    pub white: Array3<bool>,
    /// Cerebrospinal fluid.
    pub fluid: Array3<bool>,
}

impl Tissue {
    /// From both real contrasts (0..1), at least 3 mm below the brain's surface: white matter is the 30 % of voxels with the
    /// largest T1w - T2w, fluid the 2 % with the largest T2w - T1w. None if the brain is too small.
    pub fn of(
        t1w: ArrayView3<'_, f32>,
        t2w: ArrayView3<'_, f32>,
        brain: &Array3<bool>,
        sizes: [f32; 3],
    ) -> Option<Self> {
        let deep = distance_to(brain, false, sizes).mapv(|depth| depth >= LEAST_DEPTH);
        let difference = &t2w - &t1w;
        let inside = difference.iter().zip(&deep).filter(|(_, deep)| **deep);
        let mut values: Vec<f32> = inside.map(|(value, _)| *value).collect();
        let white = normalize::percentile(&mut values, WHITE_PERCENT)?;
        let fluid = normalize::percentile(&mut values, 100.0 - FLUID_PERCENT)?;
        let there = |test: &dyn Fn(f32) -> bool| {
            ndarray::Zip::from(&difference).and(&deep).map_collect(|&value, &deep| deep && test(value))
        };
        Some(Self { white: there(&|value| value <= white), fluid: there(&|value| value >= fluid) })
    }

    /// How bright both are in an image.
    pub fn levels(&self, image: ArrayView3<'_, f32>) -> Option<Levels> {
        Some(Levels { white: median(image, &self.white)?, fluid: median(image, &self.fluid)? })
    }
}

/// How bright white matter and fluid are in an image.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Levels {
    /// White matter.
    pub white: f32,
    /// Cerebrospinal fluid.
    pub fluid: f32,
}

impl Levels {
    /// Where a brightness lies on the way from white matter (0) to fluid (1).
    pub fn towards_fluid(&self, value: f64) -> f64 {
        (value - f64::from(self.white)) / f64::from(self.fluid - self.white)
    }
}

fn median(image: ArrayView3<'_, f32>, mask: &Array3<bool>) -> Option<f32> {
    let inside = image.iter().zip(mask).filter(|(_, inside)| **inside);
    normalize::percentile(&mut inside.map(|(value, _)| *value).collect::<Vec<f32>>(), 50.0)
}

/// The intensities of the most frequent tissue among some voxels.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Mode {
    /// The darkest.
    pub low: f64,
    /// The brightest.
    pub high: f64,
}

impl Mode {
    /// The highest peak of the histogram of `values` (0..1, 100 bins, smoothed), with twice its half width at half maximum
    /// to either side; the half width is that of the steeper side, for at the other the next tissue may follow. None without
    /// values.
    pub fn of(values: &[f32]) -> Option<Self> {
        let mut counts = [0.0; BINS];
        for value in values.iter().filter(|value| (0.0..=1.0).contains(*value)) {
            counts[((*value as f64 * BINS as f64) as usize).min(BINS - 1)] += 1.0;
        }
        let at =
            |bin: isize| usize::try_from(bin).ok().and_then(|bin| counts.get(bin)).copied().unwrap_or(0.0);
        let smooth = |bin: usize| -> f64 {
            let reach = (KERNEL.len() / 2) as isize;
            KERNEL.iter().zip(-reach..).map(|(weight, step)| weight * at(bin as isize + step)).sum()
        };
        let heights: Vec<f64> = (0..BINS).map(smooth).collect();
        // The first of equals.
        let (peak, height) = heights
            .iter()
            .copied()
            .enumerate()
            .fold((0, 0.0), |best, (bin, height)| if height > best.1 { (bin, height) } else { best });
        if height <= 0.0 {
            return None;
        }
        let under_half = |bins: &mut dyn Iterator<Item = usize>| {
            let mut steps = 1;
            for bin in bins {
                if heights[bin] < height / 2.0 {
                    break;
                }
                steps += 1;
            }
            steps
        };
        let half_width = under_half(&mut (0..peak).rev()).min(under_half(&mut (peak + 1..BINS)));
        let (middle, reach) = (peak as f64 + 0.5, HALF_WIDTHS * half_width as f64);
        Some(Self { low: (middle - reach) / BINS as f64, high: (middle + reach) / BINS as f64 })
    }

    /// Whether an intensity belongs to it.
    pub fn contains(&self, value: f32) -> bool {
        (self.low..=self.high).contains(&f64::from(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_the_larger_of_two_tissues_with_its_spread() {
        // Triangles: white matter around 0.8 with a half width at half maximum of 0.05, grey around 0.55 with half as many.
        let triangle = |middle: f32, half: f32, count: usize| {
            (0..count).map(move |n| {
                let quantile = (n as f32 + 0.5) / count as f32;
                let from_edge = (2.0 * quantile.min(1.0 - quantile)).sqrt();
                let away = 2.0 * half * (1.0 - from_edge);
                middle + if quantile < 0.5 { -away } else { away }
            })
        };
        let values: Vec<f32> = triangle(0.8, 0.05, 8000).chain(triangle(0.55, 0.05, 4000)).collect();
        let mode = Mode::of(&values).unwrap();
        assert!((mode.low - 0.70).abs() < 0.025 && (mode.high - 0.90).abs() < 0.025, "{mode:?}");
        assert!(mode.contains(0.8) && !mode.contains(0.6) && !mode.contains(0.95));
        let one = Mode::of(&[0.5; 20]).unwrap();
        assert!(one.contains(0.5) && !one.contains(0.45) && !one.contains(0.56));
        assert_eq!(Mode::of(&[]), None);
        assert_eq!(Mode::of(&[f32::NAN, 2.0]), None);
    }

    #[test]
    fn the_tissues_of_a_phantom_are_found_and_measured() {
        // A box of white matter with a rim of grey, and fluid in its middle.
        let brain =
            Array3::from_shape_fn((40, 40, 40), |(i, j, k)| [i, j, k].iter().all(|n| (5..35).contains(n)));
        let of = |white: f32, grey: f32, fluid: f32| {
            Array3::from_shape_fn((40, 40, 40), |(i, j, k)| {
                let edge = [i, j, k].map(|n: usize| n.abs_diff(20)).into_iter().max().unwrap_or(0);
                match edge {
                    0..5 => fluid,
                    5..11 => white,
                    _ => grey,
                }
            })
        };
        let (t1w, t2w) = (of(0.9, 0.6, 0.1), of(0.3, 0.5, 1.0));
        let tissue = Tissue::of(t1w.view(), t2w.view(), &brain, [1.0; 3]).unwrap();
        assert_eq!(tissue.levels(t1w.view()).unwrap(), Levels { white: 0.9, fluid: 0.1 });
        let levels = tissue.levels(t2w.view()).unwrap();
        assert_eq!(levels, Levels { white: 0.3, fluid: 1.0 });
        assert!((levels.towards_fluid(0.65) - 0.5).abs() < 1e-6);
        // Nothing within 3 mm of the surface counts.
        assert!(!tissue.white[[6, 20, 20]] && tissue.white[[12, 20, 20]]);
        let none = Array3::from_elem((40, 40, 40), false);
        assert!(Tissue::of(t1w.view(), t2w.view(), &none, [1.0; 3]).is_none());
    }
}
