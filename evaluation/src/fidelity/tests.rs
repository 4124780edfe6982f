//! Tests of fidelity: scikit-image's and NumPy's values, and what must hold for any images.

use ndarray::{Array2, Array3, Axis, ShapeBuilder, s, stack};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::golden::{self, assert_near, images, number};

/// A volume whose axial slices are this image, its columns along i and its rows along j.
fn volume<T: Clone + Copy>(image: &Array2<T>, slices: usize) -> Array3<T> {
    let (rows, columns) = image.dim();
    Array3::from_shape_fn((columns, rows, slices).f(), |(i, j, _)| image[[j, i]])
}

fn of_golden_images(slices: usize) -> Fidelity {
    let (reference, synthetic, brain) = images();
    let [reference, synthetic] = [reference, synthetic].map(|image| volume(&image, slices));
    measure(reference.view(), synthetic.view(), volume(&brain, slices).view(), 1.0).unwrap()
}

/// scikit-image 0.26 and NumPy 2.3, as `image_quality.json` of the shared files has them.
#[test]
fn agrees_with_scikit_image_and_numpy() {
    let Fidelity { slices, whole, brain, .. } = of_golden_images(3);
    assert_eq!(slices, 3);
    assert_near(whole.psnr, 29.379_709_786_678_99);
    assert_near(whole.ssim, 0.986_062_975_601_636_9);
    assert_near(whole.ssim_gaussian, 0.982_679_387_030_062_2);
    assert_near(whole.mae, 0.027_761_728_174_603_16);
    assert_near(whole.laplacian_energy_reference, 0.124_973_131_613_756_6);
    assert_near(whole.laplacian_energy_synthetic, 0.111_889_082_597_619_08);
    assert_near(*whole.laplacian_energy_ratio.value().unwrap(), 0.895_305_104_007_673_9);
    assert_near(whole.gradient_mae, 0.017_817_086_284_789_996);
    assert_near(brain.psnr, 29.306_571_840_822_98);
    assert_near(brain.ssim, 0.985_915_766_887_675_6);
    assert_near(brain.mae, 0.028_059_297_035_566_227);
    // SciPy 1.17 and scikit-image 0.26, on the images as float64, m being the mask of the brain:
    // structural_similarity(a, b, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    // full=True)[1][m].mean(); (scipy.ndimage.laplace(a)[m]**2).mean(); g = lambda a: numpy.hypot(*numpy.gradient(a));
    // abs(g(a) - g(b))[m].mean()
    assert_near(brain.ssim_gaussian, 0.982_175_516_164_032_5);
    assert_near(brain.laplacian_energy_reference, 0.148_569_850_872_425_16);
    assert_near(brain.laplacian_energy_synthetic, 0.130_577_616_268_342_74);
    assert_near(brain.gradient_mae, 0.018_082_183_354_110_08);
}

#[test]
fn agrees_with_the_shared_values() {
    let Some(file) = golden::read("image_quality.json") else { return };
    let Fidelity { whole, brain, .. } = of_golden_images(1);
    for (found, pointer) in [
        (whole.psnr, "/psnr_datarange1"),
        (whole.ssim, "/ssim_default_win7_uniform_sampcov"),
        (whole.ssim_gaussian, "/ssim_wang_gauss1.5_popcov"),
        (whole.mae, "/mae"),
        (whole.laplacian_energy_reference, "/lap4_reflect/gt_mean_sq"),
        (whole.laplacian_energy_synthetic, "/lap4_reflect/pred_mean_sq"),
        (*whole.laplacian_energy_ratio.value().unwrap(), "/lap4_reflect/ratio_mean_sq"),
        (whole.gradient_mae, "/gradmae_central_magnitude"),
        (brain.psnr, "/masked_psnr_dr1"),
        (brain.mae, "/masked_mae"),
        (brain.ssim, "/ssim_default_map_mean_in_mask"),
    ] {
        assert_near(found, number(&file, pointer));
    }
}

#[test]
fn slices_with_little_brain_are_left_out() {
    let (reference, synthetic, brain) = images();
    let mut volumes = [reference, synthetic].map(|image| volume(&image, 4));
    let mut brain = volume(&brain, 4);
    // 38 of 1920 voxels are less than 2 %, 39 are more.
    for (slice, voxels) in [(1, 38), (2, 39)] {
        brain.index_axis_mut(Axis(2), slice).fill(false);
        for n in 0..voxels {
            brain[[n % 40, n / 40, slice]] = true;
        }
    }
    // What is left out must not count, whatever it holds.
    volumes[0].index_axis_mut(Axis(2), 1).fill(1000.0);
    let slices = of_slices(volumes[0].view(), volumes[1].view(), brain.view(), 1.0).unwrap();
    assert_eq!(slices.iter().map(|slice| slice.slice).collect::<Vec<_>>(), [0, 2, 3]);
    let Fidelity { whole, .. } = measure(volumes[0].view(), volumes[1].view(), brain.view(), 1.0).unwrap();
    assert_near(whole.psnr, 29.379_709_786_678_99);
}

#[test]
fn averages_are_over_slices() {
    let (reference, synthetic, brain) = images();
    let brain = volume(&brain, 2);
    let real = volume(&reference, 2);
    // One slice is the real one itself.
    let mut other = volume(&synthetic, 2);
    other.index_axis_mut(Axis(2), 0).assign(&real.index_axis(Axis(2), 0));
    let Fidelity { whole, .. } = measure(real.view(), other.view(), brain.view(), 1.0).unwrap();
    assert_near(whole.psnr, (120.0 + 29.379_709_786_678_99) / 2.0);
    assert_near(whole.ssim, (1.0 + 0.986_062_975_601_636_9) / 2.0);
    assert_near(whole.mae, 0.027_761_728_174_603_16 / 2.0);
    assert_near(*whole.laplacian_energy_ratio.value().unwrap(), (1.0 + 0.895_305_104_007_673_9) / 2.0);
}

#[test]
fn constant_images_have_a_word_for_what_is_undefined() {
    let flat = Array3::from_elem((12, 12, 2), 0.5_f32);
    let brain = Array3::from_elem((12, 12, 2), true);
    let fidelity = measure(flat.view(), flat.view(), brain.view(), 1.0).unwrap();
    assert_eq!((fidelity.whole.psnr, fidelity.whole.ssim, fidelity.whole.mae), (120.0, 1.0, 0.0));
    assert!(fidelity.brain.laplacian_energy_ratio.reason().is_some());
    let text = serde_json::to_value(fidelity).unwrap();
    assert_eq!(
        text["whole"]["laplacian_energy_ratio"]["undefined"],
        json!("the real image has no edge: its Laplacian is 0")
    );
    assert_eq!(text["whole"]["gradient_mae"], json!(0.0));
}

#[test]
fn bad_input_is_refused() {
    let (reference, _, brain) = images();
    let (real, brain) = (volume(&reference, 2), volume(&brain, 2));
    let fault = |synthetic: &Array3<f32>, brain: &Array3<bool>, range| {
        measure(real.view(), synthetic.view(), brain.view(), range).unwrap_err().to_string()
    };
    let other = real.slice(s![..39, .., ..]).to_owned();
    assert!(fault(&other, &brain, 1.0).contains("axis i by 1 (40 and 39)"));
    assert!(fault(&real, &brain.slice(s![.., .., ..1]).to_owned(), 1.0).contains("the brain mask"));
    let mut broken = real.clone();
    broken[[1, 2, 0]] = f32::NAN;
    assert!(fault(&broken, &brain, 1.0).contains("the first (NaN) at voxel (1, 2, 0)"));
    assert!(fault(&real, &brain, 0.0).contains("data range"));
    assert!(fault(&real, &Array3::from_elem(brain.dim(), false), 1.0).contains("2 % brain"));
    let small = Array3::<f32>::zeros((10, 20, 1));
    let all = Array3::from_elem(small.dim(), true);
    assert!(
        measure(small.view(), small.view(), all.view(), 1.0).unwrap_err().to_string().contains("11 x 11")
    );
}

#[test]
fn memory_order_and_threads_do_not_matter() {
    let (reference, synthetic, brain) = images();
    let [real, other] = [reference, synthetic].map(|image| volume(&image, 5));
    let brain = volume(&brain, 5);
    let here = measure(real.view(), other.view(), brain.view(), 1.0).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(pool.install(|| measure(real.view(), other.view(), brain.view(), 1.0).unwrap()), here);
    // k fastest in memory.
    let [real, other] = [real, other]
        .map(|image| stack(Axis(2), &slices_of(&image)).unwrap().as_standard_layout().to_owned());
    let fidelity = measure(real.view(), other.view(), brain.view(), 1.0).unwrap();
    assert_near(fidelity.whole.psnr, here.whole.psnr);
    assert_near(fidelity.brain.ssim_gaussian, here.brain.ssim_gaussian);
}

fn slices_of(image: &Array3<f32>) -> Vec<ArrayView2<'_, f32>> {
    image.axis_iter(Axis(2)).collect()
}

fn random_volume() -> impl Strategy<Value = Array3<f32>> {
    prop::collection::vec(0.0_f32..1.0, 12 * 13 * 2)
        .prop_map(|values| Array3::from_shape_vec((12, 13, 2).f(), values).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn errors_and_similarity_are_symmetric(a in random_volume(), b in random_volume()) {
        let all = Array3::from_elem(a.dim(), true);
        let there = measure(a.view(), b.view(), all.view(), 1.0).unwrap();
        let back = measure(b.view(), a.view(), all.view(), 1.0).unwrap();
        prop_assert_eq!(there.whole.psnr, back.whole.psnr);
        prop_assert_eq!(there.whole.mae, back.whole.mae);
        prop_assert!((there.whole.ssim - back.whole.ssim).abs() < 1e-12);
        prop_assert!((there.whole.gradient_mae - back.whole.gradient_mae).abs() < 1e-12);
        let ratios = there.whole.laplacian_energy_ratio.value().unwrap() * back.whole.laplacian_energy_ratio.value().unwrap();
        prop_assert!((ratios - 1.0).abs() < 1e-12);
        prop_assert!(there.whole.ssim.abs() <= 1.0 && there.whole.ssim_gaussian.abs() <= 1.0);
    }

    #[test]
    fn what_is_relative_to_the_data_range_scales_with_it(a in random_volume(), b in random_volume(), power in -3_i32..4) {
        let scale = 4.0_f32.powi(power);
        let all = Array3::from_elem(a.dim(), true);
        let one = measure(a.view(), b.view(), all.view(), 1.0).unwrap().brain;
        let [a, b] = [a, b].map(|image| image.mapv(|value| scale * value));
        let other = measure(a.view(), b.view(), all.view(), f64::from(scale)).unwrap().brain;
        prop_assert!((one.psnr - other.psnr).abs() < 1e-9);
        prop_assert!((one.ssim - other.ssim).abs() < 1e-9);
        prop_assert!((one.ssim_gaussian - other.ssim_gaussian).abs() < 1e-9);
        prop_assert!((one.mae * f64::from(scale) - other.mae).abs() < 1e-9 * other.mae);
    }
}
