//! What becomes of lesions: errors in them beside those of white matter around them, and the contrast of each.

use mrisynth::prepare::morphology::{self, Connectivity};
use ndarray::{Array3, ArrayView3, ShapeBuilder, s};
use serde::Serialize;

use super::tissue::{Mode, distance_to};

/// White matter around lesions is looked for at these distances in millimetres: nearer, voxels are part lesion.
const SHELL: std::ops::RangeInclusive<f32> = 2.0..=6.0;
/// The smallest lesion that is looked at by itself, in cubic millimetres: a ball of 3 mm, the least length that is called a
/// lesion of multiple sclerosis (Filippi et al. 2019, "Assessment of lesions on magnetic resonance imaging in multiple
/// sclerosis: practical guidelines", Brain 142).
pub const LEAST_VOLUME: f64 = 14.0;
/// Fewer voxels of white matter around a lesion give it no contrast.
const LEAST_SHELL: usize = 20;
/// A lesion is visible in the real image if its contrast is at least this, and at least one standard deviation of the white
/// matter around it.
const LEAST_CONTRAST: f64 = 0.02;
/// A visible lesion has vanished if less than this part of its contrast is left, or its sign is wrong.
pub const LEAST_RATIO: f64 = 0.25;

/// A study's images on one grid, 0..1 inside the brain.
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    /// The target as it was acquired.
    pub real: ArrayView3<'a, f32>,
    /// The target as it was synthesized.
    pub synthetic: ArrayView3<'a, f32>,
    /// The source, which helps to tell white matter.
    pub source: ArrayView3<'a, f32>,
    /// The brain.
    pub brain: &'a Array3<bool>,
    /// Voxel sizes in millimetres.
    pub sizes: [f32; 3],
}

/// What became of the lesions of a study.
#[derive(Clone, Debug, Serialize)]
pub struct Lesions {
    /// Mean absolute error in the lesions.
    pub error_in_lesions: f64,
    /// Mean absolute error in the white matter around them.
    pub error_in_white_matter: f64,
    /// The first over the second.
    pub error_ratio: f64,
    /// Mean absolute error in all of the brain 2 to 6 mm from them, grey matter and fluid included.
    pub error_around: f64,
    /// The error in the lesions over that.
    pub error_ratio_around: f64,
    /// Lesions of at least 14 cubic millimetres with enough white matter around them.
    pub measured: usize,
    /// Those of them that are visible in the real image.
    pub visible: usize,
    /// Those of the visible that have vanished.
    pub vanished: usize,
    /// The median of what is left of the visible lesions' contrast.
    pub median_ratio: Option<f64>,
    /// Pearson's correlation of the measured lesions' contrasts, real and synthetic; from three on.
    pub correlation: Option<f64>,
    /// The measured lesions, the largest first.
    pub each: Vec<Lesion>,
}

/// A lesion and its contrast: its mean less that of the white matter around it, so negative where it is dark.
#[derive(Clone, Debug, Serialize)]
pub struct Lesion {
    /// Its voxel nearest to its centre of mass.
    pub centre: [usize; 3],
    /// In cubic millimetres.
    pub volume: f64,
    /// Contrast in the real image.
    pub real: f64,
    /// Contrast in the synthetic image.
    pub synthetic: f64,
    /// What is left of it: synthetic over real.
    pub ratio: f64,
    /// One standard deviation of the real white matter around it.
    pub noise: f64,
    /// Whether the real image shows it.
    pub visible: bool,
    /// Whether the real image shows it and the synthetic image does not.
    pub vanished: bool,
}

/// Measures the lesions of a mask; none if there is no lesion in the brain, or no white matter around them.
///
/// White matter around lesions is what lies in the brain 2 to 6 mm from the nearest of them, at an intensity of the most
/// frequent tissue there ([`Mode`]) in both real contrasts: neither fluid nor grey matter, nor what lesions have blurred.
pub fn measure(images: &Images<'_>, mask: &Array3<bool>) -> Option<Lesions> {
    let mask = ndarray::Zip::from(mask).and(images.brain).map_collect(|lesion, brain| *lesion && *brain);
    let around = around(images, &mask);
    let white = white_matter(images, &around)?;
    let error = |place: &Array3<bool>| {
        let error = |index| f64::from((images.real[index] - images.synthetic[index]).abs());
        mean(places(place).map(error))
    };
    let (error_in_lesions, error_in_white_matter, error_around) =
        (error(&mask)?, error(&white)?, error(&around)?);
    let voxel: f64 = images.sizes.iter().map(|size| f64::from(*size)).product();
    let large = |voxels: &Vec<[usize; 3]>| voxels.len() as f64 * voxel >= LEAST_VOLUME;
    let components = morphology::components(&mask, Connectivity::Corners).into_iter().filter(large);
    let mut each: Vec<Lesion> =
        components.filter_map(|voxels| lesion(images, &voxels, &white, voxel)).collect();
    // Stable: of equals, the first in memory comes first.
    each.sort_by(|one, other| other.volume.total_cmp(&one.volume));
    let visible: Vec<f64> = each.iter().filter(|lesion| lesion.visible).map(|lesion| lesion.ratio).collect();
    Some(Lesions {
        error_in_lesions,
        error_in_white_matter,
        error_ratio: error_in_lesions / error_in_white_matter,
        error_around,
        error_ratio_around: error_in_lesions / error_around,
        measured: each.len(),
        visible: visible.len(),
        vanished: each.iter().filter(|lesion| lesion.vanished).count(),
        median_ratio: median(visible),
        correlation: correlation(&each),
        each,
    })
}

/// The brain 2 to 6 mm from the nearest lesion.
fn around(images: &Images<'_>, mask: &Array3<bool>) -> Array3<bool> {
    let distance = distance_to(mask, true, images.sizes);
    let mut shell = distance.mapv(|distance| SHELL.contains(&distance));
    shell.zip_mut_with(images.brain, |shell, brain| *shell &= brain);
    shell
}

/// The voxels of the shell that have an intensity of its most frequent tissue in both real contrasts.
fn white_matter(images: &Images<'_>, shell: &Array3<bool>) -> Option<Array3<bool>> {
    let mode =
        |image: ArrayView3<'_, f32>| Mode::of(&places(shell).map(|index| image[index]).collect::<Vec<f32>>());
    let (in_real, in_source) = (mode(images.real)?, mode(images.source)?);
    let mut white = shell.clone();
    for (index, inside) in white.indexed_iter_mut() {
        *inside &= in_real.contains(images.real[index]) && in_source.contains(images.source[index]);
    }
    Some(white)
}

/// None where there is too little white matter around it.
fn lesion(images: &Images<'_>, voxels: &[[usize; 3]], white: &Array3<bool>, voxel: f64) -> Option<Lesion> {
    let dims = images.real.dim();
    let (dims, reach) =
        ([dims.0, dims.1, dims.2], images.sizes.map(|size| (SHELL.end() / size).ceil() as usize));
    let along = |axis: usize| voxels.iter().map(move |index| index[axis]);
    let low = [0, 1, 2].map(|axis| along(axis).min().unwrap_or(0));
    let high = [0, 1, 2].map(|axis| along(axis).max().unwrap_or(0));
    let first = [0, 1, 2].map(|axis| low[axis].saturating_sub(reach[axis]));
    let end = [0, 1, 2].map(|axis| (high[axis] + reach[axis] + 1).min(dims[axis]));
    let mut own = Array3::from_elem((end[0] - first[0], end[1] - first[1], end[2] - first[2]).f(), false);
    for index in voxels {
        own[[0, 1, 2].map(|axis| index[axis] - first[axis])] = true;
    }
    let near = distance_to(&own, true, images.sizes);
    let white = white.slice(s![first[0]..end[0], first[1]..end[1], first[2]..end[2]]);
    let shell: Vec<[usize; 3]> = white
        .indexed_iter()
        .filter(|(index, white)| **white && SHELL.contains(&near[*index]))
        .map(|((i, j, k), _)| [i + first[0], j + first[1], k + first[2]])
        .collect();
    if shell.len() < LEAST_SHELL {
        return None;
    }
    let mean_of = |image: ArrayView3<'_, f32>, voxels: &[[usize; 3]]| {
        mean(voxels.iter().map(|index| f64::from(image[*index])))
    };
    let contrast = |image| Some(mean_of(image, voxels)? - mean_of(image, &shell)?);
    let (real, synthetic) = (contrast(images.real)?, contrast(images.synthetic)?);
    let level = mean_of(images.real, &shell)?;
    let noise = mean(shell.iter().map(|index| (f64::from(images.real[*index]) - level).powi(2)))?.sqrt();
    let (visible, ratio) = (real.abs() >= noise.max(LEAST_CONTRAST), synthetic / real);
    Some(Lesion {
        centre: centre(voxels),
        volume: voxels.len() as f64 * voxel,
        real,
        synthetic,
        ratio,
        noise,
        visible,
        vanished: visible && ratio < LEAST_RATIO,
    })
}

/// The voxel nearest to the centre of mass; of equally near ones, the first.
fn centre(voxels: &[[usize; 3]]) -> [usize; 3] {
    let along =
        |axis: usize| voxels.iter().map(|index| index[axis] as f64).sum::<f64>() / voxels.len() as f64;
    let mass = [0, 1, 2].map(along);
    let away = |index: &[usize; 3]| (0..3).map(|axis| (index[axis] as f64 - mass[axis]).powi(2)).sum::<f64>();
    let nearest = voxels.iter().min_by(|one, other| away(one).total_cmp(&away(other)));
    nearest.copied().unwrap_or_default()
}

fn places(mask: &Array3<bool>) -> impl Iterator<Item = (usize, usize, usize)> + '_ {
    mask.indexed_iter().filter(|(_, inside)| **inside).map(|(index, _)| index)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some((values[last / 2] + values[last.div_ceil(2)]) / 2.0)
}

fn correlation(each: &[Lesion]) -> Option<f64> {
    if each.len() < 3 {
        return None;
    }
    let mean_real = mean(each.iter().map(|lesion| lesion.real))?;
    let mean_synthetic = mean(each.iter().map(|lesion| lesion.synthetic))?;
    let sum = |product: fn(f64, f64) -> f64| -> f64 {
        each.iter().map(|l| product(l.real - mean_real, l.synthetic - mean_synthetic)).sum()
    };
    let spread = (sum(|x, _| x * x) * sum(|_, y| y * y)).sqrt();
    (spread > 0.0).then(|| sum(|x, y| x * y) / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: (usize, usize, usize) = (60, 60, 40);
    /// Four cubes of 3 mm, the second touching the third at a corner, and one voxel alone.
    const CORNERS: [[usize; 3]; 4] = [[10, 10, 10], [30, 30, 20], [33, 33, 23], [45, 12, 28]];

    fn in_cube(n: usize, index: [usize; 3]) -> bool {
        (0..3).all(|axis| (CORNERS[n][axis]..CORNERS[n][axis] + 3).contains(&index[axis]))
    }

    fn mask() -> Array3<bool> {
        let mut mask = Array3::from_shape_fn(SHAPE, |(i, j, k)| (0..4).any(|n| in_cube(n, [i, j, k])));
        mask[[50, 50, 10]] = true;
        mask
    }

    /// White matter of 0.8 with cubes of these intensities, and noise of 0.01 of both signs; fluid on one side.
    fn image(white: f32, noise: f32, cubes: [f32; 4]) -> Array3<f32> {
        Array3::from_shape_fn(SHAPE, |(i, j, k)| {
            let sign = if (i + j + k) % 2 == 0 { 1.0 } else { -1.0 };
            match (0..4).find(|n| in_cube(*n, [i, j, k])) {
                Some(n) => cubes[n],
                // Right beside the first cube.
                None if i < 8 => 0.1,
                None => white + noise * sign,
            }
        })
    }

    fn measured(real: &Array3<f32>, synthetic: &Array3<f32>) -> Lesions {
        let brain = Array3::from_elem(SHAPE, true);
        let source = image(0.3, 0.0, [0.5; 4]);
        let images = Images {
            real: real.view(),
            synthetic: synthetic.view(),
            source: source.view(),
            brain: &brain,
            sizes: [1.0; 3],
        };
        measure(&images, &mask()).unwrap()
    }

    #[test]
    fn errors_and_contrasts_are_those_of_the_phantom() {
        // The second and the third cube are one lesion. The lone voxel is too small, and is of white matter.
        let real = image(0.8, 0.01, [0.5, 0.6, 0.6, 0.805]);
        let synthetic = image(0.78, 0.0, [0.6, 0.8, 0.8, 0.78]);
        let lesions = measured(&real, &synthetic);
        let near =
            |found: f64, expected: f64| assert!((found - expected).abs() < 1e-3, "{found}, not {expected}");
        // 27 voxels with an error of 0.1, 54 of 0.2, 27 of 0.025, one of 0.03 or 0.01.
        let lone = f64::from((real[[50, 50, 10]] - 0.78).abs());
        near(lesions.error_in_lesions, (27.0 * 0.1 + 54.0 * 0.2 + 27.0 * 0.025 + lone) / 109.0);
        // Half of white matter is off by 0.03, half by 0.01; fluid does not count.
        near(lesions.error_in_white_matter, 0.02);
        near(lesions.error_ratio, lesions.error_in_lesions / lesions.error_in_white_matter);
        // The fluid beside the first cube is the same in both images.
        assert!(lesions.error_around < 0.02 && lesions.error_around > 0.015, "{}", lesions.error_around);
        let [large, first, last] = &lesions.each[..] else { panic!("{:?}", lesions.each) };
        assert_eq!((large.volume, first.volume, last.volume), (54.0, 27.0, 27.0));
        assert_eq!((large.centre, first.centre), ([32, 32, 22], [11, 11, 11]));
        near(first.real, -0.3);
        near(first.synthetic, -0.18);
        near(first.ratio, 0.6);
        near(first.noise, 0.01);
        assert!(first.visible && !first.vanished);
        // Brighter than white matter in the synthetic image: the sign is wrong.
        near(large.synthetic, 0.02);
        assert!(large.visible && large.vanished);
        // What the real image does not show cannot vanish.
        assert!(!last.visible && !last.vanished);
        assert_eq!((lesions.measured, lesions.visible, lesions.vanished), (3, 2, 1));
        near(lesions.median_ratio.unwrap(), (0.6 - 0.1) / 2.0);
    }

    #[test]
    fn contrasts_that_are_scaled_are_correlated_and_ones_that_are_a_quarter_left_have_not_vanished() {
        let real = image(0.8, 0.0, [0.4, 0.5, 0.5, 0.6]);
        let synthetic =
            image(0.8, 0.0, [0.8 - 0.4 * 0.26, 0.8 - 0.3 * 0.26, 0.8 - 0.3 * 0.26, 0.8 - 0.2 * 0.24]);
        let lesions = measured(&real, &synthetic);
        assert_eq!((lesions.visible, lesions.vanished), (3, 1));
        assert!((lesions.each[1].ratio - 0.26).abs() < 1e-3 && lesions.correlation.unwrap() > 0.99);
        let itself = measured(&real, &real);
        assert!((itself.correlation.unwrap() - 1.0).abs() < 1e-9);
        assert_eq!((itself.vanished, itself.median_ratio), (0, Some(1.0)));
    }

    #[test]
    fn a_mask_without_lesions_is_not_measured() {
        let image = image(0.8, 0.0, [0.5; 4]);
        let (brain, none) = (Array3::from_elem(SHAPE, true), Array3::from_elem(SHAPE, false));
        let view = image.view();
        let images = Images { real: view, synthetic: view, source: view, brain: &brain, sizes: [1.0; 3] };
        assert!(measure(&images, &none).is_none());
        assert!(measure(&Images { brain: &none, ..images }, &mask()).is_none());
    }
}
