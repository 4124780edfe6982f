//! PSNR, SSIM and MAE as the paper takes them: on each axial slice, averaged; over the whole slice and inside the brain.
//!
//! The one definition, used by training, validation and evaluation. Images are 0..1, so the data range is always 1.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, s};

use crate::prepare::normalize;
use crate::{Error, Result, Volume};

/// Width of SSIM's uniform window, as scikit-image's `structural_similarity` has it by default.
const WINDOW: usize = 7;
/// SSIM's constants (Wang et al. 2004, "Image quality assessment: from error visibility to structural similarity").
const C1: f64 = 0.01 * 0.01;
const C2: f64 = 0.03 * 0.03;
/// A mean squared error that is called none, so that PSNR stays finite (120 dB).
const LEAST_SQUARED_ERROR: f64 = 1e-12;
/// Slices with a smaller share of brain are left out of averages.
pub const LEAST_BRAIN_SHARE: f64 = 0.02;

/// Three measures of one region.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Similarity {
    /// Peak signal-to-noise ratio in dB, the peak being 1.
    pub psnr: f64,
    /// Structural similarity, -1..1.
    pub ssim: f64,
    /// Mean absolute error, 0..1.
    pub mae: f64,
}

/// How alike two volumes are: averages over axial slices with at least 2 % brain.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Score {
    /// Slices that counted.
    pub slices: usize,
    /// Over whole slices, background included.
    pub whole: Similarity,
    /// Inside the brain.
    pub brain: Similarity,
}

/// A synthetic volume's scores against the real one: as it is, and as a tool sees it that normalizes its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Scores {
    /// The synthetic volume as it is.
    pub direct: Score,
    /// After the one factor and offset that bring it nearest to the real one inside the brain.
    pub fitted: Score,
}

impl Scores {
    /// Scores a synthetic volume against the real, brain-extracted one.
    ///
    /// # Errors
    /// Those of [`score`].
    pub fn of(reference: &Volume, synthetic: &Volume) -> Result<Self> {
        // Where the real scan has signal, so that no metric may see an invented background.
        let brain = reference.voxels().mapv(|value| value > 0.0);
        let score = |fit| score(reference, synthetic, &brain, fit);
        Ok(Self { direct: score(false)?, fitted: score(true)? })
    }
}

/// Peak signal-to-noise ratio in dB of a mean squared error, the peak being 1.
pub fn psnr(mean_squared_error: f64) -> f64 {
    -10.0 * mean_squared_error.max(LEAST_SQUARED_ERROR).log10()
}

/// The map of structural similarity of two images: uniform 7 x 7 windows mirrored at the edges (edge voxel repeated),
/// sample covariance, data range 1 (scikit-image's `structural_similarity(full=True)`).
///
/// # Errors
/// [`Error::InvalidArgument`] if the images differ in size or are smaller than the window.
pub fn ssim_map(reference: ArrayView2<'_, f32>, image: ArrayView2<'_, f32>) -> Result<Array2<f64>> {
    let (rows, columns) = reference.dim();
    if reference.dim() != image.dim() || rows < WINDOW || columns < WINDOW {
        return Err(Error::InvalidArgument(format!(
            "SSIM of {:?} and {:?} voxels: both must be of one size, at least {WINDOW} x {WINDOW}",
            reference.dim(),
            image.dim()
        )));
    }
    let x = reference.mapv(f64::from);
    let y = image.mapv(f64::from);
    let (mean_x, mean_y) = (window_mean(&x), window_mean(&y));
    let (mean_xx, mean_yy, mean_xy) =
        (window_mean(&(&x * &x)), window_mean(&(&y * &y)), window_mean(&(&x * &y)));
    let samples = (WINDOW * WINDOW) as f64;
    let unbiased = samples / (samples - 1.0);
    let map = Array2::from_shape_fn((rows, columns), |at| {
        let (mx, my) = (mean_x[at], mean_y[at]);
        let variances = unbiased * (mean_xx[at] - mx * mx + mean_yy[at] - my * my);
        let covariance = unbiased * (mean_xy[at] - mx * my);
        (2.0 * mx * my + C1) * (2.0 * covariance + C2) / ((mx * mx + my * my + C1) * (variances + C2))
    });
    Ok(map)
}

/// Mean over the window around each voxel, the image mirrored at its edges.
fn window_mean(image: &Array2<f64>) -> Array2<f64> {
    let along = |image: &Array2<f64>, axis: Axis| {
        let mut means = Array2::zeros(image.dim());
        for (line, mut out) in image.lanes(axis).into_iter().zip(means.lanes_mut(axis)) {
            let length = line.len() as isize;
            let radius = (WINDOW / 2) as isize;
            for at in 0..length {
                let sum: f64 = (at - radius..=at + radius).map(|n| line[mirrored(n, length)]).sum();
                out[at as usize] = sum / WINDOW as f64;
            }
        }
        means
    };
    along(&along(image, Axis(0)), Axis(1))
}

/// The index that `n` falls on when the line is mirrored at its ends, each end voxel repeated (d c b a | a b c d | d c b a).
fn mirrored(n: isize, length: isize) -> usize {
    let folded = if n < 0 { -1 - n } else { n };
    (if folded >= length { 2 * length - 1 - folded } else { folded }) as usize
}

/// Similarity over the whole of two images; SSIM is the mean of its map without a margin of half a window.
///
/// # Errors
/// Those of [`ssim_map`].
pub fn whole_slice(reference: ArrayView2<'_, f32>, image: ArrayView2<'_, f32>) -> Result<Similarity> {
    let map = ssim_map(reference, image)?;
    let everywhere = Array2::from_elem(reference.dim(), true);
    let errors = errors_inside(reference, image, everywhere.view());
    Ok(Similarity { ssim: mean_without_margin(&map), ..errors })
}

fn mean_without_margin(map: &Array2<f64>) -> f64 {
    let margin = (WINDOW / 2) as isize;
    map.slice(s![margin..-margin, margin..-margin]).mean().unwrap_or(f64::NAN)
}

/// PSNR and MAE over the voxels where `inside` holds; SSIM is left 0.
fn errors_inside(
    reference: ArrayView2<'_, f32>,
    image: ArrayView2<'_, f32>,
    inside: ArrayView2<'_, bool>,
) -> Similarity {
    let (mut squares, mut absolute, mut count) = (0.0, 0.0, 0_usize);
    ndarray::Zip::from(reference).and(image).and(inside).for_each(|&reference, &image, &inside| {
        if inside {
            let difference = f64::from(reference) - f64::from(image);
            squares += difference * difference;
            absolute += difference.abs();
            count += 1;
        }
    });
    Similarity { psnr: psnr(squares / count as f64), ssim: 0.0, mae: absolute / count as f64 }
}

fn mean_inside(map: &Array2<f64>, inside: ArrayView2<'_, bool>) -> f64 {
    let (mut sum, mut count) = (0.0, 0_usize);
    for (value, _) in map.iter().zip(inside).filter(|(_, inside)| **inside) {
        sum += value;
        count += 1;
    }
    sum / count as f64
}

/// A real and a synthetic volume as they are compared, in this order: 0..1, and 0 outside the brain.
///
/// The reference is scaled so that the 99.5th percentile inside `brain` is 1; both are clipped to 0..1. With `fit`, the
/// synthetic volume is first mapped by the one factor and offset that bring it nearest to the reference inside the brain
/// (least squares): what a tool that normalizes its input sees.
///
/// # Errors
/// [`Error::InvalidArgument`] if the volumes or the mask differ in size; [`Error::BadImage`] if the reference has no
/// positive intensity in the brain.
pub fn on_one_scale(
    reference: &Volume,
    synthetic: &Volume,
    brain: &Array3<bool>,
    fit: bool,
) -> Result<[Array3<f32>; 2]> {
    if reference.dims() != synthetic.dims() || reference.voxels().dim() != brain.dim() {
        return Err(Error::InvalidArgument(format!(
            "volumes of {:?} and {:?} voxels cannot be compared",
            reference.dims(),
            synthetic.dims()
        )));
    }
    let top = normalize::top_intensity(reference, brain)?;
    let real = inside_brain(reference.voxels(), brain, |value| value / top);
    let (factor, offset) = if fit { line_fit(synthetic.voxels(), real.view(), brain) } else { (1.0, 0.0) };
    let synthetic = inside_brain(synthetic.voxels(), brain, |value| factor * value + offset);
    Ok([real, synthetic])
}

/// Scores a synthetic volume against the real one, on one grid, both on the scale of [`on_one_scale`].
///
/// # Errors
/// Those of [`on_one_scale`]; [`Error::InvalidArgument`] if slices are smaller than SSIM's window, or none holds 2 % brain.
pub fn score(reference: &Volume, synthetic: &Volume, brain: &Array3<bool>, fit: bool) -> Result<Score> {
    let [real, synthetic] = on_one_scale(reference, synthetic, brain, fit)?;
    let axial = Axis(reference.affine().nearest_axes()[2].0);
    let mut total = Score::default();
    let slices = real.axis_iter(axial).zip(synthetic.axis_iter(axial)).zip(brain.axis_iter(axial));
    for ((real, synthetic), brain) in slices {
        let inside = brain.iter().filter(|inside| **inside).count();
        if (inside as f64) < LEAST_BRAIN_SHARE * brain.len() as f64 || inside == 0 {
            continue;
        }
        let map = ssim_map(real, synthetic)?;
        let everywhere = Array2::from_elem(brain.dim(), true);
        let whole = errors_inside(real, synthetic, everywhere.view());
        add(&mut total.whole, Similarity { ssim: mean_without_margin(&map), ..whole });
        let in_brain = errors_inside(real, synthetic, brain);
        add(&mut total.brain, Similarity { ssim: mean_inside(&map, brain), ..in_brain });
        total.slices += 1;
    }
    if total.slices == 0 {
        return Err(Error::InvalidArgument("no axial slice holds 2 % brain".into()));
    }
    for region in [&mut total.whole, &mut total.brain] {
        for value in [&mut region.psnr, &mut region.ssim, &mut region.mae] {
            *value /= total.slices as f64;
        }
    }
    Ok(total)
}

fn add(total: &mut Similarity, slice: Similarity) {
    total.psnr += slice.psnr;
    total.ssim += slice.ssim;
    total.mae += slice.mae;
}

fn inside_brain(
    voxels: ArrayView3<'_, f32>,
    brain: &Array3<bool>,
    scale: impl Fn(f32) -> f32,
) -> Array3<f32> {
    let mut image = Array3::zeros(voxels.dim());
    ndarray::Zip::from(&mut image).and(voxels).and(brain).for_each(|image, &voxel, &inside| {
        let value = scale(voxel);
        if inside && value.is_finite() {
            *image = value.clamp(0.0, 1.0);
        }
    });
    image
}

/// Factor and offset that bring `from` nearest to `to` inside the brain (least squares).
pub(crate) fn line_fit(
    from: ArrayView3<'_, f32>,
    to: ArrayView3<'_, f32>,
    brain: &Array3<bool>,
) -> (f32, f32) {
    let (mut n, mut x, mut y, mut xx, mut xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    ndarray::Zip::from(from).and(to).and(brain).for_each(|&from, &to, &inside| {
        if inside && from.is_finite() {
            let (from, to) = (f64::from(from), f64::from(to));
            n += 1.0;
            x += from;
            y += to;
            xx += from * from;
            xy += from * to;
        }
    });
    let spread = n * xx - x * x;
    if spread <= 0.0 {
        // A constant image: the best line is the mean.
        return (0.0, (y / n) as f32);
    }
    let factor = (n * xy - x * y) / spread;
    (factor as f32, ((y - factor * x) / n) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Affine;

    /// Images that a formula makes, with values that scikit-image 0.26 and NumPy 2.3 gave for them.
    fn formula_images() -> (Array2<f32>, Array2<f32>, Array2<bool>) {
        let (rows, columns) = (48, 40);
        let pattern = |y: usize, x: usize| {
            (((3 * y * y + 5 * x * x + 2 * x * y + 7 * x + 13 * y) % 251) as f64) / 250.0
        };
        let real = |y: usize, x: usize| {
            0.5 * ((x + 2 * y) % 64) as f64 / 63.0 + 0.5 * ((x / 5 + y / 6) % 3) as f64 / 2.0
        };
        let reference = Array2::from_shape_fn((rows, columns), |(y, x)| real(y, x) as f32);
        let image = Array2::from_shape_fn((rows, columns), |(y, x)| {
            (0.9 * real(y, x) + 0.05 + 0.08 * (pattern(y, x) - 0.5)).clamp(0.0, 1.0) as f32
        });
        let brain = Array2::from_shape_fn((rows, columns), |(y, x)| {
            let (y, x) = (y as f64 - 24.0, x as f64 - 20.0);
            4.0 * x * x + 3.0 * y * y <= 1500.0
        });
        (reference, image, brain)
    }

    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6 * expected.abs().max(1.0), "{found} instead of {expected}");
    }

    #[test]
    fn whole_slices_agree_with_scikit_image() {
        let (reference, image, _) = formula_images();
        let similarity = whole_slice(reference.view(), image.view()).unwrap();
        assert_near(similarity.psnr, 29.379_709_786_678_99);
        assert_near(similarity.ssim, 0.986_062_975_601_636_9);
        assert_near(similarity.mae, 0.027_761_728_174_603_16);
        let map = ssim_map(reference.view(), image.view()).unwrap();
        for (at, value) in [((0, 0), 0.823_559_199_937_509_6), ((24, 20), 0.978_061_588_671_324_5)] {
            assert_near(map[at], value);
        }
        assert_near(map[[47, 39]], 0.981_221_227_597_575_9);
    }

    #[test]
    fn the_brain_alone_agrees_with_scikit_image() {
        let (reference, image, brain) = formula_images();
        let errors = errors_inside(reference.view(), image.view(), brain.view());
        assert_near(errors.psnr, 29.306_571_840_822_98);
        assert_near(errors.mae, 0.028_059_297_035_566_227);
        let map = ssim_map(reference.view(), image.view()).unwrap();
        assert_near(mean_inside(&map, brain.view()), 0.985_915_766_887_675_6);
    }

    fn volume_of(value: impl Fn(usize, usize, usize) -> f32) -> Volume {
        let voxels = Array3::from_shape_fn((20, 24, 10), |(i, j, k)| value(i, j, k));
        Volume::new(voxels, Affine::from_sizes([1.0; 3], [0.0; 3]).unwrap()).unwrap()
    }

    #[test]
    fn a_fit_undoes_scale_and_offset_and_nothing_else() {
        let real = volume_of(|i, j, k| 1.0 + ((i * 7 + j * 3 + k * 5) % 40) as f32);
        let brain = Array3::from_elem((20, 24, 10), true);
        let top = normalize::top_intensity(&real, &brain).unwrap();
        let rescaled = volume_of(|i, j, k| 0.25 + 0.5 * (real.voxels()[[i, j, k]] / top).min(1.0));
        let fitted = score(&real, &rescaled, &brain, true).unwrap();
        assert!(fitted.brain.psnr > 100.0 && fitted.brain.ssim > 0.999_999, "{fitted:?}");
        assert_eq!(fitted.slices, 10);
        let taken_as_it_is = score(&real, &rescaled, &brain, false).unwrap();
        assert!(taken_as_it_is.brain.psnr < 20.0, "{taken_as_it_is:?}");
    }

    #[test]
    fn slices_with_little_brain_do_not_count() {
        let real = volume_of(|i, j, k| (1 + i + j + k) as f32);
        let mut brain = Array3::from_elem((20, 24, 10), false);
        brain.slice_mut(s![.., .., 3..6]).fill(true);
        brain[[5, 5, 8]] = true;
        assert_eq!(score(&real, &real, &brain, false).unwrap().slices, 3);
        brain.fill(false);
        assert!(score(&real, &real, &brain, false).is_err());
    }
}
