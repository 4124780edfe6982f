//! The segmentations agree with their twin in NumPy, on the phantom. The numbers are what `benches/segmentation_twin.py` prints.

use mrisynth::Contrast;
use mrisynth::prepare::morphology::dice;

use super::lesions::{LesionOptions, Sequence};
use super::phantom::{self, FLAIR, T1W, T2W};
use super::tissue::{Tissue, TissueOptions, Tissues};
use super::{filling, lesions, tissue};

fn tissues(contrast: Contrast) -> Tissues {
    let appearance = if contrast == Contrast::T1w { T1W } else { T2W };
    let scan = phantom::image(appearance, true);
    let options = TissueOptions::of(contrast);
    tissue::segment(&scan, &phantom::brain(), contrast, Some(&phantom::priors()), &options).unwrap()
}

#[test]
fn the_phantom_is_the_twins() {
    let count = |mask: ndarray::Array3<bool>| mask.iter().filter(|inside| **inside).count();
    assert_eq!((count(phantom::brain()), count(phantom::lesions())), (82_000, 848));
}

#[test]
fn tissues_are_the_twins() {
    let expected = [
        (Contrast::T1w, 7, [114.416, 249.116, 328.734], [31.632, 22.740, 20.421], [13_778, 28_476, 39_746]),
        (Contrast::T2w, 10, [558.424, 331.478, 256.078], [66.129, 24.554, 22.229], [15_321, 27_111, 39_568]),
    ];
    for (contrast, rounds, means, deviations, voxels) in expected {
        let found = tissues(contrast);
        assert_eq!((found.rounds, found.converged), (rounds, true), "{contrast}");
        for tissue in Tissue::ALL {
            let (n, class) = (tissue.index(), found.intensities[tissue.index()]);
            assert!((class.mean / means[n] - 1.0).abs() < 1e-4, "{contrast} {tissue:?}: {class:?}");
            assert!((class.deviation / deviations[n] - 1.0).abs() < 1e-3, "{contrast} {tissue:?}: {class:?}");
            let count = found.labels.iter().filter(|label| **label == tissue as u8).count();
            // Single precision here, double there: a few voxels are on the fence.
            assert!(count.abs_diff(voxels[n]) <= 5, "{contrast} {tissue:?}: {count} voxels");
        }
    }
}

#[test]
fn lesions_are_the_twins() {
    let (tissues, priors) = (tissues(Contrast::T1w), phantom::priors());
    for (sequence, appearance, voxels, rounds, agreement) in
        [(Sequence::Flair, FLAIR, 987, 3, 0.921), (Sequence::T2w, T2W, 1035, 4, 0.9007)]
    {
        let image = phantom::image(appearance, true);
        let found =
            lesions::segment(&image, &tissues, &priors, sequence, &LesionOptions::of(sequence)).unwrap();
        assert_eq!((found.rounds, found.converged), (rounds, true), "{sequence:?}");
        let count = found.mask.iter().filter(|lesion| **lesion).count();
        assert!(count.abs_diff(voxels) <= 5, "{sequence:?}: {count} voxels");
        let dice = dice(&found.mask, &phantom::lesions());
        assert!((dice - agreement).abs() < 0.003, "{sequence:?}: Dice {dice}");
    }
}

#[test]
fn fillings_are_the_twins() {
    let (scan, mask) = (phantom::image(T1W, true), phantom::lesions());
    let white = tissues(Contrast::T1w).mask(Tissue::White);
    let filled = filling::fill(&scan, &mask, &white).unwrap();
    let values: Vec<f64> = filled
        .voxels()
        .iter()
        .zip(&mask)
        .filter(|(_, lesion)| **lesion)
        .map(|(value, _)| f64::from(*value))
        .collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    assert!((mean - 329.1041).abs() < 0.01, "{mean}");
    assert!((deviation - 1.7285).abs() < 0.01, "{deviation}");
}
