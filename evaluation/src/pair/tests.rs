use ndarray::{Array3, Axis, s};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::golden::{assert_near, images};
use crate::threads::run_on;
use crate::volumes::labels::Region;
use mrisynth::Affine;
use mrisynth::Volume;

const DIMS: (usize, usize, usize) = (24, 28, 16);
const SIZES: [f64; 3] = [1.0, 1.5, 2.0];

fn affine() -> Affine {
    Affine::from_sizes(SIZES, [-10.0, -20.0, -15.0]).unwrap()
}

fn input(name: &str, value: impl Fn(usize, usize, usize) -> f32) -> Input {
    let voxels = Array3::from_shape_fn(DIMS, |(i, j, k)| value(i, j, k));
    Input::new(name, Volume::new(voxels, affine()).unwrap())
}

/// A box, the same from each of its sides so that no test depends on which is which.
fn in_brain(i: usize, j: usize, k: usize) -> bool {
    (4..20).contains(&i) && (4..24).contains(&j) && (2..14).contains(&k)
}

fn real(i: usize, j: usize, k: usize) -> f32 {
    if in_brain(i, j, k) { 0.3 + ((7 * i + 3 * j + 5 * k + i * j) % 61) as f32 / 100.0 } else { 0.0 }
}

fn synthetic(i: usize, j: usize, k: usize) -> f32 {
    if in_brain(i, j, k) { 0.9 * real(i, j, k) + 0.02 + ((i * i + j * k) % 13) as f32 / 400.0 } else { 0.0 }
}

fn cube(at: [usize; 3], width: usize) -> impl Fn(usize, usize, usize) -> f32 {
    move |i, j, k| {
        let inside = [i, j, k].iter().zip(at).all(|(index, first)| (first..first + width).contains(index));
        f32::from(inside)
    }
}

fn label(i: usize, j: usize, k: usize) -> f32 {
    if !in_brain(i, j, k) { 0.0 } else { [2.0, 3.0, 24.0][(i / 2 + j / 3 + k) % 3] }
}

/// Everything that there may be: two lesions in the real image, of which the synthetic one has one, a voxel further on.
fn whole_pair() -> Pair<Input> {
    let (first, second) = (cube([8, 8, 6], 3), cube([14, 15, 9], 2));
    Pair {
        reference: input("real.nii", real),
        synthetic: input("synthetic.nii", synthetic),
        mask: Some(input("mask.nii", |i, j, k| f32::from(in_brain(i, j, k)))),
        lesions_reference: Some(input("lesions.nii", |i, j, k| first(i, j, k) + second(i, j, k))),
        lesions_synthetic: Some(input("found.nii", cube([9, 8, 6], 3))),
        labels_reference: Some(input("labels.nii", label)),
        labels_synthetic: Some(input(
            "synthetic labels.nii",
            |i, j, k| if k == 2 { 0.0 } else { label(i, j, k) },
        )),
    }
}

fn pair_of(
    reference: impl Fn(usize, usize, usize) -> f32,
    synthetic: impl Fn(usize, usize, usize) -> f32,
) -> Pair<Input> {
    Pair::new(input("real.nii", reference), input("synthetic.nii", synthetic))
}

fn options() -> Options {
    Options::for_range(1.0).unwrap()
}

fn evaluated(pair: &Pair<Input>) -> Evaluation {
    evaluate(pair, &options()).unwrap()
}

fn fault(pair: &Pair<Input>) -> String {
    evaluate(pair, &options()).unwrap_err().to_string()
}

/// Checks that every `null` has its note, and every note its `null`.
#[track_caller]
fn check_notes(evaluation: &Evaluation) {
    fn nulls(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::Null => found.push(path.to_owned()),
            Value::Object(object) => {
                for (key, value) in object {
                    nulls(value, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, found);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| nulls(value, path, found)),
            _ => {}
        }
    }
    let mut without_value = Vec::new();
    nulls(&serde_json::to_value(evaluation).unwrap(), "", &mut without_value);
    without_value.sort();
    let noted: Vec<_> = evaluation.notes.iter().map(|(key, _)| key.to_owned()).collect();
    assert_eq!(without_value, noted);
    assert!(evaluation.notes.iter().all(|(_, reason)| !reason.is_empty()));
}

#[test]
fn an_image_is_equal_to_itself() {
    let whole = whole_pair();
    let pair = Pair {
        synthetic: whole.reference.clone(),
        lesions_synthetic: whole.lesions_reference.clone(),
        labels_synthetic: whole.labels_reference.clone(),
        ..whole
    };
    let evaluation = evaluated(&pair);
    let FidelityMeasures { slices, psnr, ssim, ssim_gaussian, mae, gradient_mae, .. } = evaluation.fidelity;
    assert_eq!((slices, psnr, ssim, ssim_gaussian, mae, gradient_mae), (12, 120.0, 1.0, 1.0, 0.0, 0.0));
    assert_eq!(
        (evaluation.fidelity.psnr_brain, evaluation.fidelity.laplacian_ratio_brain),
        (120.0, Some(1.0))
    );
    let lesions = &evaluation.lesions;
    assert_eq!((lesions.dice, lesions.hd95, lesions.assd), (Some(1.0), Some(0.0), Some(0.0)));
    assert_eq!((lesions.lesion_f1, lesions.failed_lesions), (Some(1.0), Some(0)));
    let texture = evaluation.texture;
    assert_eq!(texture.glcm_contrast_reference, texture.glcm_contrast_synthetic);
    assert!(texture.glcm_contrast_reference.is_some_and(|contrast| contrast > 0.0));
    let volumes = evaluation.volumes.as_ref().unwrap();
    assert_eq!(volumes[&Region::WhiteMatter].difference_percent, Some(0.0));
    assert!(evaluation.warnings.is_empty(), "{:?}", evaluation.warnings);
    check_notes(&evaluation);
}

/// The images of `image_quality.json`, whose values scikit-image 0.26 and NumPy 2.3 gave, as every slice of a volume.
#[test]
fn figures_are_those_of_the_reference_tools() {
    let (reference, synthetic, brain) = images();
    let volume = |name: &str, slice: ndarray::Array2<f32>| {
        let voxels = Array3::from_shape_fn((40, 48, 3), |(i, j, _)| slice[[j, i]]);
        Input::new(name, Volume::new(voxels, affine()).unwrap())
    };
    let mask = volume("mask.nii", brain.mapv(f32::from));
    let pair = Pair {
        mask: Some(mask),
        ..Pair::new(volume("real.nii", reference), volume("synthetic.nii", synthetic))
    };
    let evaluation = evaluated(&pair);
    let found = evaluation.fidelity;
    assert_eq!((found.slices, evaluation.dims, evaluation.brain), (3, [40, 48, 3], BrainSource::Mask));
    assert_near(found.psnr, 29.379_709_786_678_99);
    assert_near(found.ssim, 0.986_062_975_601_636_9);
    assert_near(found.ssim_gaussian, 0.982_679_387_030_062_2);
    assert_near(found.mae, 0.027_761_728_174_603_16);
    assert_near(found.psnr_brain, 29.306_571_840_822_98);
    assert_near(found.ssim_brain, 0.985_915_766_887_675_6);
    assert_near(found.mae_brain, 0.028_059_297_035_566_227);
    let voxels = brain.iter().filter(|inside| **inside).count();
    assert_near(evaluation.brain_ml, 3.0 * voxels as f64 * 3.0 / 1000.0);
}

#[test]
fn known_changes_have_the_values_of_their_formulas() {
    // A tenth more inside the brain: 320 of the 672 voxels of each of its 12 slices.
    let level = |value: f32| move |i, j, k| if in_brain(i, j, k) { value } else { 0.0 };
    let found = evaluated(&pair_of(level(0.5), level(0.6))).fidelity;
    let share = 320.0 / 672.0;
    assert_eq!(found.slices, 12);
    assert_near(found.mae_brain, f64::from(0.6_f32) - 0.5);
    assert_near(found.mae, share * (f64::from(0.6_f32) - 0.5));
    assert!((found.psnr_brain - 20.0).abs() < 1e-5);
    assert!((found.psnr - (20.0 - 10.0 * share.log10())).abs() < 1e-5);
    // The edge of the synthetic brain is higher by a fifth, and so is its Laplacian.
    assert!((found.laplacian_ratio.unwrap() - 1.44).abs() < 1e-5);
    // Everywhere alike: similarity of means alone.
    let mut pair = pair_of(|_, _, _| 0.5, |_, _, _| 0.6);
    pair.mask = whole_pair().mask;
    let evaluation = evaluated(&pair);
    let similarity = (2.0 * 0.5 * 0.6 + 1e-4) / (0.25 + 0.36 + 1e-4);
    let found = evaluation.fidelity;
    for ssim in [found.ssim, found.ssim_brain, found.ssim_gaussian, found.ssim_gaussian_brain] {
        assert!((ssim - similarity).abs() < 1e-5, "{ssim} instead of {similarity}");
    }
    // Without an edge there is no sharpness to compare.
    assert_eq!((found.laplacian_ratio, found.gradient_mae), (None, 0.0));
    let reason = "the real image has no edge: its Laplacian is 0";
    assert_eq!(evaluation.notes.get("laplacian_ratio"), Some(reason));
    assert_eq!(evaluation.notes.get("laplacian_ratio_brain"), Some(reason));
    check_notes(&evaluation);
}

#[test]
fn known_lesions_have_the_values_of_their_formulas() {
    let evaluation = evaluated(&whole_pair());
    let lesions = &evaluation.lesions;
    // 27 and 8 voxels of 3 mm3 against 27, of which 18 are common.
    assert_near(lesions.dice.unwrap(), 36.0 / 62.0);
    assert_near(lesions.jaccard.unwrap(), 18.0 / 44.0);
    assert_eq!((lesions.lesion_count_reference, lesions.lesion_count_synthetic), (Some(2), Some(1)));
    assert_eq!((lesions.failed_lesions, lesions.lesion_count_agreement), (Some(1), Some(0.5)));
    assert_eq!((lesions.lesion_precision, lesions.lesion_sensitivity), (Some(1.0), Some(0.5)));
    assert_near(lesions.lesion_f1.unwrap(), 2.0 / 3.0);
    assert_near(lesions.lesion_volume_reference_ml.unwrap(), 35.0 * 3.0 / 1000.0);
    assert_near(lesions.lesion_volume_synthetic_ml.unwrap(), 27.0 * 3.0 / 1000.0);
    assert_near(lesions.lesion_volume_difference_percent.unwrap(), 100.0 * (27.0 - 35.0) / 35.0);
    // From the far corner of the lost lesion to the nearest one of the found lesion: 4, 6 and 2 voxels.
    assert_near(lesions.hausdorff.unwrap(), (16.0 + 81.0 + 16.0_f64).sqrt());
    // The labels of one slice of 12 are missing.
    let volumes = evaluation.volumes.as_ref().unwrap();
    let all = volumes[&Region::Intracranial];
    assert_near(all.reference_ml, 16.0 * 20.0 * 12.0 * 3.0 / 1000.0);
    assert_near(all.difference_percent.unwrap(), -100.0 / 12.0);
    let reason = "the real image has none of it";
    assert_eq!(evaluation.notes.get("volumes.brain_stem.difference_percent"), Some(reason));
    check_notes(&evaluation);
}

#[test]
fn empty_masks_and_missing_ones_have_reasons() {
    let empty = || Some(input("empty.nii", |_, _, _| 0.0));
    let both = evaluated(&Pair { lesions_reference: empty(), lesions_synthetic: empty(), ..whole_pair() });
    assert_eq!((both.lesions.dice, both.lesions.lesion_f1), (Some(1.0), Some(1.0)));
    assert_eq!((both.lesions.hd95, both.lesions.lesion_sensitivity), (None, None));
    assert_eq!(both.notes.get("hd95"), Some("both masks are empty"));
    assert_eq!(both.notes.get("glcm_contrast_synthetic"), Some("there is no lesion"));
    let one = evaluated(&Pair { lesions_synthetic: empty(), ..whole_pair() });
    assert_eq!((one.lesions.dice, one.lesions.lesion_f1), (Some(0.0), Some(0.0)));
    assert_eq!((one.lesions.failed_lesions, one.lesions.lesion_sensitivity), (Some(2), Some(0.0)));
    assert_eq!(one.notes.get("assd"), Some("the synthetic image's mask is empty"));
    let alone = evaluated(&Pair { lesions_synthetic: None, ..whole_pair() });
    assert!(alone.lesions.dice.is_none() && alone.texture.glcm_contrast_synthetic.is_some());
    assert_eq!(alone.notes.get("dice"), Some("no lesion mask of the synthetic image was given"));
    let nothing = evaluated(&pair_of(real, synthetic));
    assert_eq!(nothing.notes.get("lesion_sizes"), Some("no lesion masks were given"));
    assert_eq!(nothing.notes.get("volumes"), Some("no label maps were given"));
    for evaluation in [&both, &one, &alone, &nothing] {
        check_notes(evaluation);
    }
    // Keys are the same whatever there is.
    let keys = |evaluation: &Evaluation| match serde_json::to_value(evaluation).unwrap() {
        Value::Object(object) => object.into_iter().map(|(key, _)| key).collect::<Vec<_>>(),
        other => panic!("{other}"),
    };
    assert_eq!(keys(&nothing), keys(&evaluated(&whole_pair())));
}

#[test]
fn a_brain_is_needed() {
    let empty = Some(input("empty.nii", |_, _, _| 0.0));
    let found = fault(&Pair { mask: empty, ..whole_pair() });
    assert_eq!(found, "empty.nii: bad image: the mask is empty: there is no brain to measure in");
    assert!(
        fault(&pair_of(|_, _, _| 0.0, synthetic)).starts_with("real.nii: bad image: no voxel is above 0")
    );
    let speck = Some(input("speck.nii", cube([5, 5, 5], 1)));
    assert_eq!(
        fault(&Pair { mask: speck, ..whole_pair() }),
        "speck.nii: bad image: no axial slice holds 2 % brain"
    );
}

/// The same voxels at the same places, stored in another order.
fn stored(input: &Input, order: [usize; 3], turned: [bool; 3]) -> Input {
    let rows = input.volume.affine().rows();
    let dims = input.volume.dims();
    let mut voxels = input.volume.voxels().permuted_axes(order);
    let mut stored = [[0.0; 4]; 4];
    for row in 0..3 {
        stored[row][3] = rows[row][3];
        for axis in 0..3 {
            let sign = if turned[axis] { -1.0 } else { 1.0 };
            stored[row][axis] = sign * rows[row][order[axis]];
            if turned[axis] {
                stored[row][3] += rows[row][order[axis]] * (dims[order[axis]] - 1) as f64;
            }
        }
    }
    stored[3][3] = 1.0;
    (0..3).filter(|axis| turned[*axis]).for_each(|axis| voxels.invert_axis(Axis(axis)));
    let volume = Volume::new(voxels.to_owned(), Affine::from_rows(stored).unwrap()).unwrap();
    assert_eq!(volume.voxels(), voxels);
    Input::new(input.name.clone(), volume)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Each part in an order of its own.
    #[test]
    fn the_order_of_storage_changes_nothing(
        orders in prop::array::uniform7(prop::sample::select(vec![
            [0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0],
        ])),
        turned in prop::array::uniform7(any::<[bool; 3]>()),
    ) {
        let pair = whole_pair();
        let mut ways = orders.into_iter().zip(turned);
        let mut stored = |part: &Input| {
            let (order, turned) = ways.next().unwrap();
            stored(part, order, turned)
        };
        let other = Pair {
            reference: stored(&pair.reference),
            synthetic: stored(&pair.synthetic),
            mask: pair.mask.as_ref().map(&mut stored),
            lesions_reference: pair.lesions_reference.as_ref().map(&mut stored),
            lesions_synthetic: pair.lesions_synthetic.as_ref().map(&mut stored),
            labels_reference: pair.labels_reference.as_ref().map(&mut stored),
            labels_synthetic: pair.labels_synthetic.as_ref().map(&mut stored),
        };
        prop_assert_eq!(evaluated(&other), evaluated(&pair));
    }
}

#[test]
fn slices_are_axial() {
    // One slice is wrong, and by the axes of the array, not of the patient, it would be a part of each.
    let wrong = |i, j, k| if k == 7 { 0.0 } else { real(i, j, k) };
    let found = evaluated(&pair_of(real, wrong)).fidelity;
    assert_eq!((found.slices, found.psnr_brain > 110.0), (12, true), "{found:?}");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let on = |threads| run_on(threads, || evaluate(&whole_pair(), &options())).unwrap();
    assert_eq!(on(1), on(2));
    assert_eq!(on(1), on(5));
}

#[test]
fn grids_that_differ_are_refused_with_both_names() {
    let pair = whole_pair();
    let mut other = whole_pair();
    let smaller = pair.synthetic.volume.voxels().slice(s![.., .., ..14]).to_owned();
    other.synthetic = Input::new("smaller.nii", Volume::new(smaller, affine()).unwrap());
    assert_eq!(
        fault(&other),
        "smaller.nii: bad image: it is not on the grid of real.nii: from bottom to top 14 voxels instead of 16 (2 fewer)"
    );
    let moved = |part: &Input| {
        let affine = Affine::from_sizes(SIZES, [-10.0, -20.0, -14.5]).unwrap();
        Some(Input::new("moved.nii", Volume::new(part.volume.voxels().to_owned(), affine).unwrap()))
    };
    let expected = "moved.nii: bad image: it is not on the grid of real.nii: from bottom to top an origin at -14.500 mm \
                    instead of -15.000 (+0.500 mm)";
    assert_eq!(fault(&Pair { mask: moved(pair.mask.as_ref().unwrap()), ..whole_pair() }), expected);
    for lesions in [&pair.lesions_reference, &pair.lesions_synthetic] {
        let lesions = moved(lesions.as_ref().unwrap());
        assert_eq!(fault(&Pair { lesions_synthetic: lesions.clone(), ..whole_pair() }), expected);
        assert_eq!(fault(&Pair { lesions_reference: lesions, ..whole_pair() }), expected);
    }
    // Volumes have a grid of their own.
    let labels_synthetic = moved(pair.labels_synthetic.as_ref().unwrap());
    assert_eq!(evaluated(&Pair { labels_synthetic, ..whole_pair() }), evaluated(&pair));
}

#[test]
fn values_that_are_not_finite_are_refused() {
    for value in [f32::NAN, f32::INFINITY] {
        let broken = |i, j, k| if (i, j, k) == (9, 9, 9) { value } else { real(i, j, k) };
        let mut pair = pair_of(real, synthetic);
        pair.synthetic = input("broken.nii", broken);
        assert_eq!(fault(&pair), "broken.nii: bad image: 1 of its voxels is no finite number");
        let pair = Pair { lesions_synthetic: Some(input("broken.nii", broken)), ..whole_pair() };
        assert_eq!(fault(&pair), "broken.nii: bad image: 1 of its voxels is no finite number");
    }
}

/// That this is refused, for a reason with `part`, and accepted where the caller insists, with a warning.
#[track_caller]
fn check_refused(pair: &Pair<Input>, options: &Options, part: &str) {
    let fault = evaluate(pair, options).unwrap_err();
    let crate::Error::Library(Error::Refused(reason)) = &fault else { panic!("{fault}") };
    assert!(reason.contains(part), "{part:?} is not in {reason:?}");
    let evaluation = evaluate(pair, &Options { accept_implausible: true, ..options.clone() }).unwrap();
    let warning = evaluation.warnings.iter().find(|warning| warning.starts_with("accepted as asked: "));
    assert!(warning.is_some_and(|warning| warning.contains(part)), "{:?}", evaluation.warnings);
}

#[test]
fn images_on_another_scale_are_refused() {
    let times = |factor: f32, value: fn(usize, usize, usize) -> f32| move |i, j, k| factor * value(i, j, k);
    check_refused(
        &pair_of(times(1000.0, real), synthetic),
        &options(),
        "real.nii: its brain has intensities of 3",
    );
    check_refused(
        &pair_of(real, times(255.0, synthetic)),
        &options(),
        "synthetic.nii: its brain has intensities of",
    );
    check_refused(&pair_of(real, synthetic), &Options::for_range(255.0).unwrap(), "the data range is 255");
    let standard_scores = |i, j, k| if in_brain(i, j, k) { 4.0 * (real(i, j, k) - 0.6) } else { 0.0 };
    check_refused(
        &pair_of(real, standard_scores),
        &options(),
        "synthetic.nii: its brain has intensities of -1",
    );
    // As many times the values, as many times the range: the same similarity.
    let one = evaluated(&pair_of(real, synthetic)).fidelity;
    let bytes = pair_of(times(256.0, real), times(256.0, synthetic));
    let bytes = evaluate(&bytes, &Options::for_range(256.0).unwrap()).unwrap().fidelity;
    assert_near(bytes.psnr_brain, one.psnr_brain);
    assert_near(bytes.ssim_gaussian, one.ssim_gaussian);
    assert_near(bytes.mae, 256.0 * one.mae);
    // A synthetic image that is black is a failure to be measured; one that is a little bright needs a look.
    let black = evaluated(&pair_of(real, |_, _, _| 0.0));
    assert!(black.fidelity.psnr_brain < 10.0 && black.warnings.is_empty(), "{black:?}");
    let bright = evaluated(&pair_of(real, times(1.6, synthetic)));
    assert!(bright.warnings.iter().any(|warning| warning.contains("synthetic.nii: its brain has")));
    for range in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-7, 1e10] {
        assert!(Options::for_range(range).is_err(), "{range}");
    }
}

#[test]
fn masks_and_labels_that_are_none_are_refused() {
    let map = || {
        Some(input(
            "map.nii",
            |i, j, k| if in_brain(i, j, k) { ((i + j + k) % 10) as f32 / 10.0 } else { 0.0 },
        ))
    };
    check_refused(
        &Pair { lesions_synthetic: map(), ..whole_pair() },
        &options(),
        "map.nii: 3456 voxels of this mask",
    );
    check_refused(&Pair { mask: map(), ..whole_pair() }, &options(), "threshold it first");
    // Any one value makes a mask; two are worth a word.
    let valued = |value: f32| Some(input("found.nii", move |i, j, k| value * cube([9, 8, 6], 3)(i, j, k)));
    for value in [255.0, 0.004] {
        let other = evaluated(&Pair { lesions_synthetic: valued(value), ..whole_pair() });
        assert_eq!(other, evaluated(&whole_pair()));
    }
    let classes =
        input(
            "classes.nii",
            |i, j, k| if cube([9, 8, 6], 3)(i, j, k) > 0.0 { 1.0 + (i % 2) as f32 } else { 0.0 },
        );
    let evaluation = evaluated(&Pair { lesions_synthetic: Some(classes), ..whole_pair() });
    assert!(evaluation.warnings[0].starts_with("classes.nii: this mask has more values"));

    let classes = || {
        Some(input("classes.nii", |i, j, k| if in_brain(i, j, k) { (1 + (i + j) % 3) as f32 } else { 0.0 }))
    };
    let pair = Pair { labels_reference: classes(), labels_synthetic: classes(), ..whole_pair() };
    check_refused(&pair, &options(), "classes.nii: its labels are 1 to 3");
    let three = Options { label_table: LabelTable::three_classes(), ..options() };
    let volumes = evaluate(&pair, &three).unwrap().volumes.unwrap();
    assert!(volumes[&Region::Csf].reference_ml > 0.0);
    let unknown = input("unknown.nii", |i, j, k| if i == 10 { 999.0 } else { label(i, j, k) });
    let evaluation = evaluated(&Pair { labels_synthetic: Some(unknown), ..whole_pair() });
    assert!(
        evaluation.warnings.iter().any(|warning| warning.ends_with("in no volume: 999")),
        "{evaluation:?}"
    );
    let none = Some(input("none.nii", |_, _, _| 0.0));
    let found = fault(&Pair { labels_synthetic: none, ..whole_pair() });
    assert_eq!(found, "none.nii: bad image: the label map is empty: every voxel is 0");
}

#[test]
fn what_looks_mistaken_is_warned_of() {
    let mut pair = pair_of(|i, j, k| real(i, j, k) + 0.01, synthetic);
    pair.reference.says_synthetic = true;
    pair.synthetic.warnings.push("no sform".into());
    let warnings = evaluated(&pair).warnings;
    assert_eq!(warnings[0], "synthetic.nii: no sform");
    assert!(warnings[1].starts_with("real.nii: this is the real image, but its header says"), "{warnings:?}");
    assert_eq!(
        warnings[2],
        "real.nii: 100 % of it is above 0, which counts as brain: a mask of the brain is missing"
    );
    let whole = whole_pair();
    for incomplete in [
        Pair { lesions_reference: None, ..whole.clone() },
        Pair { labels_reference: None, ..whole.clone() },
        Pair { labels_synthetic: None, ..whole },
    ] {
        let fault = evaluate(&incomplete, &options()).unwrap_err();
        assert!(matches!(fault, crate::Error::Library(Error::InvalidArgument(_))), "{fault}");
    }
}

#[test]
fn a_fit_undoes_one_factor_and_one_offset() {
    let faded = |i, j, k| if in_brain(i, j, k) { 0.5 * real(i, j, k) + 0.2 } else { 0.0 };
    let fit = Options { fit: true, ..options() };
    let evaluation = evaluate(&pair_of(real, faded), &fit).unwrap();
    assert!((evaluation.fit_factor - 2.0).abs() < 1e-4 && (evaluation.fit_offset + 0.4).abs() < 1e-4);
    assert!(evaluation.fit && evaluation.fidelity.psnr_brain > 100.0 && evaluation.fidelity.psnr > 100.0);
    let direct = evaluated(&pair_of(real, faded));
    assert_eq!((direct.fit, direct.fit_factor, direct.fit_offset), (false, 1.0, 0.0));
    assert!(direct.fidelity.psnr_brain < 25.0);
    // On another scale altogether, which without a fit is refused.
    let raw = |i, j, k| 800.0 * synthetic(i, j, k);
    let of_raw = evaluate(&pair_of(real, raw), &fit).unwrap().fidelity;
    let of_scaled = evaluate(&pair_of(real, synthetic), &fit).unwrap().fidelity;
    assert!((of_raw.psnr_brain - of_scaled.psnr_brain).abs() < 1e-3);
    // A constant image fits best as the mean.
    let constant = evaluate(&pair_of(real, |_, _, _| 0.25), &fit).unwrap();
    assert_eq!(constant.fit_factor, 0.0);
    check_notes(&constant);
}

/// On images that are on one scale already, the fit is that of `mrisynth::metrics::score`, as training sees it.
#[test]
fn a_fit_is_that_of_training() {
    let mut pair = pair_of(real, synthetic);
    let brain = pair.reference.volume.voxels().mapv(|value| value > 0.0);
    let top = mrisynth::prepare::normalize::top_intensity(&pair.reference.volume, &brain).unwrap();
    pair.reference.volume.as_mut_slice().iter_mut().for_each(|value| *value = (*value / top).min(1.0));
    for fit in [false, true] {
        let score = metrics::score(&pair.reference.volume, &pair.synthetic.volume, &brain, fit).unwrap();
        let found = evaluate(&pair, &Options { fit, ..options() }).unwrap().fidelity;
        assert_eq!(found.slices, score.slices);
        for (found, expected) in [
            (found.psnr, score.whole.psnr),
            (found.ssim, score.whole.ssim),
            (found.mae, score.whole.mae),
            (found.psnr_brain, score.brain.psnr),
            (found.ssim_brain, score.brain.ssim),
            (found.mae_brain, score.brain.mae),
        ] {
            assert!((found - expected).abs() < 1e-6 * expected, "{found} instead of {expected}");
        }
    }
}
