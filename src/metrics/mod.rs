//! PSNR, SSIM and MAE as the paper takes them: on each axial slice, averaged; over the whole slice and inside the brain.
//!
//! The one definition, used by training, validation and evaluation. Images are 0..1, so the data range is 1 where none is named.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, Zip};

use crate::prepare::normalize;
use crate::{Error, Result, Volume, memory};

pub mod ssim;

use ssim::Window;

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
        let brain = memory::mapped(reference.voxels(), |value| *value > 0.0);
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
    ssim::map(reference, image, Window::Uniform, 1.0)
}

/// Similarity over the whole of two images; SSIM is the mean of its map without a margin of half a window.
///
/// # Errors
/// Those of [`ssim_map`].
pub fn whole_slice(reference: ArrayView2<'_, f32>, image: ArrayView2<'_, f32>) -> Result<Similarity> {
    whole_slice_with_map(reference, image, &ssim_map(reference, image)?)
}

fn whole_slice_with_map(
    reference: ArrayView2<'_, f32>,
    image: ArrayView2<'_, f32>,
    map: &Array2<f64>,
) -> Result<Similarity> {
    let everywhere = Array2::from_elem(reference.dim(), true);
    let errors = Errors::inside(reference, image, everywhere.view())?;
    let ssim = ssim::mean(map, Window::Uniform).ok_or_else(nothing_to_compare)?;
    Ok(Similarity { psnr: psnr(errors.mean_squared), ssim, mae: errors.mean_absolute })
}

fn slice_inside_with_map(
    reference: ArrayView2<'_, f32>,
    image: ArrayView2<'_, f32>,
    inside: ArrayView2<'_, bool>,
    map: &Array2<f64>,
) -> Result<Similarity> {
    let errors = Errors::inside(reference, image, inside)?;
    let ssim = mean_inside(map.view(), inside)?;
    Ok(Similarity { psnr: psnr(errors.mean_squared), ssim, mae: errors.mean_absolute })
}

/// How far two images are apart in one region, averaged over its voxels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Errors {
    /// Mean squared error.
    pub mean_squared: f64,
    /// Mean absolute error.
    pub mean_absolute: f64,
}

impl Errors {
    /// Over the voxels where `inside` holds.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the images and the mask differ in size, or no voxel is inside.
    pub fn inside(
        reference: ArrayView2<'_, f32>,
        image: ArrayView2<'_, f32>,
        inside: ArrayView2<'_, bool>,
    ) -> Result<Self> {
        if reference.dim() != image.dim() || reference.dim() != inside.dim() {
            return Err(Error::InvalidArgument(format!(
                "images of {:?} and {:?} voxels and a mask of {:?} cannot be compared",
                reference.dim(),
                image.dim(),
                inside.dim()
            )));
        }
        let (mut squares, mut absolute, mut count) = (0.0, 0.0, 0_usize);
        Zip::from(reference).and(image).and(inside).for_each(|&reference, &image, &inside| {
            if inside {
                let difference = f64::from(reference) - f64::from(image);
                squares += difference * difference;
                absolute += difference.abs();
                count += 1;
            }
        });
        if count == 0 {
            return Err(nothing_to_compare());
        }
        Ok(Self { mean_squared: squares / count as f64, mean_absolute: absolute / count as f64 })
    }
}

/// The mean of a map over the voxels where `inside` holds.
///
/// # Errors
/// [`Error::InvalidArgument`] if the two differ in size, or no voxel is inside.
pub fn mean_inside(map: ArrayView2<'_, f64>, inside: ArrayView2<'_, bool>) -> Result<f64> {
    if map.dim() != inside.dim() {
        return Err(Error::InvalidArgument(format!(
            "a map of {:?} voxels and a mask of {:?}",
            map.dim(),
            inside.dim()
        )));
    }
    let (mut sum, mut count) = (0.0, 0_usize);
    Zip::from(map).and(inside).for_each(|value, inside| {
        if *inside {
            sum += value;
            count += 1;
        }
    });
    if count == 0 { Err(nothing_to_compare()) } else { Ok(sum / count as f64) }
}

fn nothing_to_compare() -> Error {
    Error::InvalidArgument("a region without a voxel to compare".into())
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
        if !holds_brain(inside, brain.len()) {
            continue;
        }
        let map = ssim_map(real, synthetic)?;
        add(&mut total.whole, whole_slice_with_map(real, synthetic, &map)?);
        add(&mut total.brain, slice_inside_with_map(real, synthetic, brain, &map)?);
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

/// Whether a slice of `voxels` with this many of them in the brain counts.
pub fn holds_brain(in_brain: usize, voxels: usize) -> bool {
    in_brain > 0 && in_brain as f64 >= LEAST_BRAIN_SHARE * voxels as f64
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
///
/// # Panics
/// If the three differ in size.
pub fn line_fit(from: ArrayView3<'_, f32>, to: ArrayView3<'_, f32>, brain: &Array3<bool>) -> (f32, f32) {
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
        let map = ssim_map(reference.view(), image.view()).unwrap();
        let inside = slice_inside_with_map(reference.view(), image.view(), brain.view(), &map).unwrap();
        assert_near(inside.psnr, 29.306_571_840_822_98);
        assert_near(inside.mae, 0.028_059_297_035_566_227);
        assert_near(inside.ssim, 0.985_915_766_887_675_6);
    }

    #[test]
    fn the_gaussian_window_agrees_with_scikit_image() {
        let (reference, image, _) = formula_images();
        let map = ssim::map(reference.view(), image.view(), Window::Gaussian, 1.0).unwrap();
        assert_near(ssim::mean(&map, Window::Gaussian).unwrap(), 0.982_679_387_030_062_2);
    }

    #[test]
    fn ssim_knows_the_data_range() {
        // As many times the values, as many times the range: the same similarity.
        let (reference, image, _) = formula_images();
        let scaled = |image: &Array2<f32>| image.mapv(|value| 255.0 * value);
        for window in [Window::Uniform, Window::Gaussian] {
            let map = ssim::map(reference.view(), image.view(), window, 1.0).unwrap();
            let of_bytes =
                ssim::map(scaled(&reference).view(), scaled(&image).view(), window, 255.0).unwrap();
            assert!(map.iter().zip(&of_bytes).all(|(a, b)| (a - b).abs() < 1e-5));
        }
        for range in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(ssim::map(reference.view(), image.view(), Window::Uniform, range).is_err());
        }
    }

    #[test]
    fn images_too_small_or_unlike_are_refused() {
        let small = Array2::<f32>::zeros((7, 7));
        let map = ssim_map(small.view(), small.view()).unwrap();
        assert_eq!(ssim::mean(&map, Window::Uniform), Some(1.0));
        assert_eq!(ssim::mean(&map, Window::Gaussian), None);
        assert!(ssim::map(small.view(), small.view(), Window::Gaussian, 1.0).is_err());
        let other = Array2::<f32>::zeros((7, 8));
        let nowhere = Array2::from_elem((7, 7), false);
        assert!(ssim_map(small.view(), other.view()).is_err());
        assert!(Errors::inside(small.view(), other.view(), nowhere.view()).is_err());
        assert!(Errors::inside(small.view(), small.view(), nowhere.view()).is_err());
        assert!(mean_inside(map.view(), nowhere.view()).is_err());
        assert!(mean_inside(map.slice(ndarray::s![..3, ..]), nowhere.view()).is_err());
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
        brain.slice_mut(ndarray::s![.., .., 3..6]).fill(true);
        brain[[5, 5, 8]] = true;
        assert_eq!(score(&real, &real, &brain, false).unwrap().slices, 3);
        brain.fill(false);
        assert!(score(&real, &real, &brain, false).is_err());
    }
}
