//! Cerebrospinal fluid, grey matter and white matter of a T1w or T2w brain, by a mixture of three normal distributions.

use mrisynth::{Contrast, Error as LibraryError, Volume};
use ndarray::{Array3, ShapeBuilder};
use serde::Serialize;

use super::filling;
use super::mixture::{Brain, Mixture, OutOfOrder, Settings};
use super::model::{CLASSES, PerClass};
use super::priors::Priors;
use crate::{Error, Result};

pub use super::model::Gaussian;

/// A class of tissue; its number is its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[repr(u8)]
pub enum Tissue {
    /// Cerebrospinal fluid, label 1.
    Fluid = 1,
    /// Grey matter, label 2.
    Grey = 2,
    /// White matter, label 3.
    White = 3,
}

impl Tissue {
    /// All classes, in the order of their labels.
    pub const ALL: [Self; CLASSES] = [Self::Fluid, Self::Grey, Self::White];

    /// Its place in arrays of one entry for each class.
    pub fn index(self) -> usize {
        self as usize - 1
    }

    /// Its name in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fluid => "cerebrospinal fluid",
            Self::Grey => "grey matter",
            Self::White => "white matter",
        }
    }

    /// The classes in the order of rising intensity.
    fn by_intensity(contrast: Contrast) -> [Self; CLASSES] {
        match contrast {
            Contrast::T1w => Self::ALL,
            Contrast::T2w => [Self::White, Self::Grey, Self::Fluid],
        }
    }
}

/// How tissues are segmented.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TissueOptions {
    /// What each of the six neighbours that is surely of one class adds to a voxel's log probability of that class; 0: voxels
    /// are judged one by one.
    pub smoothness: f32,
    /// The part of a voxel's prior probability that comes from the spatial priors, 0 to 1; the rest from the classes'
    /// proportions in the whole brain. An affine registration does not bring every gyrus to its place.
    pub trust: f32,
    /// The most rounds of expectation and maximization.
    pub most_rounds: usize,
}

impl TissueOptions {
    /// The defaults for a contrast: on T2w, where grey and white matter are nearly alike, priors must tell more.
    pub fn of(contrast: Contrast) -> Self {
        let trust = match contrast {
            Contrast::T1w => 0.5,
            Contrast::T2w => 0.9,
        };
        Self { smoothness: 0.15, trust, most_rounds: 60 }
    }
}

/// The tissues of a brain.
#[derive(Clone, Debug)]
pub struct Tissues {
    /// The likeliest class of each voxel, by its label; 0 outside the brain.
    pub labels: Array3<u8>,
    /// The probability of each class in each voxel, 0 to 1; 0 outside the brain. Take them by [`Tissue::index`].
    pub probabilities: [Array3<f32>; CLASSES],
    /// The intensities of each class.
    pub intensities: [Gaussian; CLASSES],
    /// Rounds that were done.
    pub rounds: usize,
    /// Whether the classes had come to rest by then.
    pub converged: bool,
}

impl Tissues {
    /// The voxels of one class.
    pub fn mask(&self, tissue: Tissue) -> Array3<bool> {
        self.labels.mapv(|label| label == tissue as u8)
    }

    /// The volumes of the classes, of voxels with these sizes in millimetres.
    pub fn volumes(&self, sizes: [f64; 3]) -> Volumes {
        let millilitres = sizes.iter().product::<f64>() / 1000.0;
        let count = |tissue: Tissue| self.labels.iter().filter(|label| **label == tissue as u8).count();
        let sum =
            |tissue: Tissue| self.probabilities[tissue.index()].iter().copied().map(f64::from).sum::<f64>();
        Volumes {
            labelled: Tissue::ALL.map(|tissue| count(tissue) as f64 * millilitres),
            probable: Tissue::ALL.map(|tissue| sum(tissue) * millilitres),
        }
    }
}

/// Volumes in millilitres. Take them by [`Tissue::index`]; the sum is the brain mask's volume.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Volumes {
    /// Of the voxels with each label.
    pub labelled: [f64; CLASSES],
    /// The sums of the probabilities: a voxel of two tissues counts for both.
    pub probable: [f64; CLASSES],
}

/// Segments the brain of a scan without a bias field. `brain` is the brain mask on the scan's grid; `priors` tell where
/// tissues are likely. Without priors nothing but the intensities and the neighbours count.
///
/// The result does not depend on the number of threads.
///
/// # Errors
/// [`Error::Invalid`] if the mask is empty or the grids differ, intensities in the brain are not finite or all the same, or
/// an option is out of range; [`LibraryError::Refused`] if, by the priors, white matter is darker than grey matter on T1w or
/// brighter on T2w.
pub fn segment(
    scan: &Volume,
    brain: &Array3<bool>,
    contrast: Contrast,
    priors: Option<&Priors>,
    options: &TissueOptions,
) -> Result<Tissues> {
    check(options)?;
    let voxels = Brain::of(scan.voxels(), brain, scan.affine().voxel_sizes())?;
    let order = Tissue::by_intensity(contrast);
    let priors = priors.map(|priors| priors_of(&voxels, priors, scan, order)).transpose()?;
    let settings = Settings {
        smoothness: options.smoothness,
        trust: options.trust,
        most_rounds: options.most_rounds,
        outermost: if order[0] == Tissue::White { 0 } else { CLASSES - 1 },
    };
    let mixture = voxels.fit(priors.as_deref(), &settings).map_err(|medians: OutOfOrder| {
        LibraryError::Refused(format!(
            "this is no {contrast} image: where tissues are known, the median of white matter is {:.3}, of grey matter {:.3}",
            medians.outermost, medians.middle
        ))
    })?;

    let shape = brain.dim().f();
    let mut labels = Array3::zeros(shape);
    let mut probabilities: [Array3<f32>; CLASSES] = std::array::from_fn(|_| Array3::zeros(shape));
    for (&index, posterior) in voxels.indices.iter().zip(&mixture.posteriors) {
        let mut likeliest = 0;
        for class in 0..CLASSES {
            probabilities[order[class].index()][index] = posterior[class];
            if posterior[class] > posterior[likeliest] {
                likeliest = class;
            }
        }
        labels[index] = order[likeliest] as u8;
    }
    let mut intensities = mixture.classes;
    order.iter().zip(mixture.classes).for_each(|(tissue, class)| intensities[tissue.index()] = class);
    let Mixture { rounds, converged, .. } = mixture;
    Ok(Tissues { labels, probabilities, intensities, rounds, converged })
}

/// Segments a scan as if its lesions were healthy white matter: they are filled ([`filling::fill`]) with the white matter that
/// a first segmentation finds, and the filled scan is segmented.
///
/// # Errors
/// Those of [`segment`] and of [`filling::fill`].
pub fn segment_filled(
    scan: &Volume,
    brain: &Array3<bool>,
    contrast: Contrast,
    priors: Option<&Priors>,
    lesions: &Array3<bool>,
    options: &TissueOptions,
) -> Result<Tissues> {
    let first = segment(scan, brain, contrast, priors, options)?;
    segment_again(scan, brain, contrast, priors, lesions, &first, options)
}

/// The second half of [`segment_filled`]: `first` is what [`segment`] made of the scan as it is.
///
/// # Errors
/// Those of [`segment_filled`].
pub fn segment_again(
    scan: &Volume,
    brain: &Array3<bool>,
    contrast: Contrast,
    priors: Option<&Priors>,
    lesions: &Array3<bool>,
    first: &Tissues,
    options: &TissueOptions,
) -> Result<Tissues> {
    let filled = filling::fill(scan, lesions, &first.mask(Tissue::White))?;
    segment(&filled, brain, contrast, priors, options)
}

fn check(options: &TissueOptions) -> Result<()> {
    if !(0.0..=10.0).contains(&options.smoothness) {
        return Err(Error::Invalid(format!("a smoothness of {}: it must be 0 to 10", options.smoothness)));
    }
    if !(0.0..=1.0).contains(&options.trust) {
        return Err(Error::Invalid(format!("a trust of {} in the priors: it must be 0 to 1", options.trust)));
    }
    if options.most_rounds == 0 {
        return Err(Error::Invalid("tissues cannot be fitted in 0 rounds".into()));
    }
    Ok(())
}

/// The spatial priors of each voxel, in the order of rising intensity.
fn priors_of(
    brain: &Brain,
    priors: &Priors,
    scan: &Volume,
    order: [Tissue; CLASSES],
) -> Result<Vec<PerClass>> {
    if priors.dims() != scan.dims() {
        let (priors, scan) = (priors.dims(), scan.dims());
        return Err(Error::Invalid(format!("priors of {priors:?} voxels for a scan of {scan:?}")));
    }
    let of = |index: &[usize; 3]| order.map(|tissue| priors.at(*index)[tissue.index()]);
    Ok(brain.indices.iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segmentation::phantom::{self, Appearance, T1W, T2W};

    fn segmented(appearance: Appearance, priors: Option<&Priors>, smoothness: f32) -> Tissues {
        let contrast = if appearance.fluid < appearance.white { Contrast::T1w } else { Contrast::T2w };
        let options = TissueOptions { smoothness, ..TissueOptions::of(contrast) };
        segment(&phantom::image(appearance, false), &phantom::brain(), contrast, priors, &options).unwrap()
    }

    #[test]
    fn a_phantoms_volumes_come_back() {
        let priors = phantom::priors();
        // Percent by which the volumes of fluid, and of grey and white matter, may be wrong. The fluid is a thin layer: half its
        // voxels are partly grey matter, and on T2w, where fluid is brighter by far than all else, they count as fluid.
        for (appearance, priors, fluid, parenchyma) in [
            (T1W, None, 3.0, 3.0),
            (T1W, Some(&priors), 7.0, 2.0),
            (T2W, None, 13.0, 4.0),
            (T2W, Some(&priors), 20.0, 6.0),
        ] {
            let found = segmented(appearance, priors, 0.15);
            assert!(found.converged);
            let volumes = found.volumes(phantom::SIZES);
            let whole = phantom::brain().iter().filter(|inside| **inside).count() as f64 * 0.0045;
            for found in [volumes.labelled, volumes.probable] {
                let known = phantom::volumes();
                for (n, allowed) in [fluid, parenchyma, parenchyma].into_iter().enumerate() {
                    let percent = 100.0 * (found[n] / known[n] - 1.0);
                    assert!(percent.abs() < allowed, "{percent:.1} %: {found:.1?} instead of {known:.1?}");
                }
                assert!((found.iter().sum::<f64>() - whole).abs() < 1e-3);
            }
        }
    }

    #[test]
    fn intensities_come_back() {
        let found = segmented(T1W, None, 0.15);
        for (tissue, mean) in Tissue::ALL.into_iter().zip([100.0, 250.0, 330.0]) {
            let class = found.intensities[tissue.index()];
            assert!((class.mean - mean).abs() < 16.0, "{tissue:?}: {class:?}");
        }
        let white = found.intensities[Tissue::White.index()];
        assert!((white.mean - 330.0).abs() < 2.0 && (white.deviation - 20.0).abs() < 1.0, "{white:?}");
    }

    #[test]
    fn probabilities_are_those_of_the_labels() {
        let found = segmented(T2W, Some(&phantom::priors()), 0.15);
        for ((index, label), inside) in found.labels.indexed_iter().zip(&phantom::brain()) {
            let all = Tissue::ALL.map(|tissue| found.probabilities[tissue.index()][index]);
            let sum: f32 = all.iter().sum();
            if *inside {
                assert!((sum - 1.0).abs() < 1e-5, "{all:?}");
                let most = all.iter().copied().fold(0.0, f32::max);
                assert_eq!(all[usize::from(*label) - 1], most);
            } else {
                assert_eq!((sum, *label), (0.0, 0));
            }
        }
    }

    /// Voxels without any neighbour of their own label.
    fn isolated(labels: &Array3<u8>) -> usize {
        let alone = |&((i, j, k), label): &((usize, usize, usize), &u8)| {
            let beside = [(0, i), (1, j), (2, k)].into_iter().flat_map(|(axis, at)| {
                [at.checked_sub(1), Some(at + 1)].into_iter().flatten().map(move |to| (axis, to))
            });
            let neighbour = |(axis, to): (usize, usize)| {
                let mut index = [i, j, k];
                index[axis] = to;
                labels.get(index).copied()
            };
            *label > 0 && beside.map(neighbour).all(|other| other != Some(*label))
        };
        labels.indexed_iter().filter(alone).count()
    }

    #[test]
    fn neighbours_lower_the_number_of_isolated_voxels() {
        let noisy = Appearance { noise: 40.0, ..T1W };
        let counts =
            [0.0, 0.1, 0.2, 0.4].map(|smoothness| isolated(&segmented(noisy, None, smoothness).labels));
        assert!(counts[0] > 400, "{counts:?}");
        assert!(counts.is_sorted_by(|a, b| a > b), "{counts:?}");
    }

    #[test]
    fn the_far_side_of_white_matter_is_not_fluid() {
        // A pallidum on T2w: much darker than white matter, in the middle of it.
        let mut scan = phantom::image(T2W, false);
        let dark: Vec<_> = scan.voxels().indexed_iter().map(|(index, _)| index).filter(in_a_ball).collect();
        assert!(dark.len() > 50);
        for below in [60.0, 120.0] {
            dark.iter().for_each(|&index| scan.voxels_mut()[index] = 255.0 - below);
            let options = TissueOptions::of(Contrast::T2w);
            for priors in [None, Some(&phantom::priors())] {
                let found = segment(&scan, &phantom::brain(), Contrast::T2w, priors, &options).unwrap();
                assert!(dark.iter().all(|&index| found.labels[index] == Tissue::White as u8), "{below}");
            }
        }
    }

    fn in_a_ball((i, j, k): &(usize, usize, usize)) -> bool {
        i.abs_diff(42).pow(2) + j.abs_diff(36).pow(2) + k.abs_diff(24).pow(2) < 9
    }

    #[test]
    fn threads_do_not_matter() {
        let scan = phantom::image(T1W, true);
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let options = TissueOptions::of(Contrast::T1w);
            pool.install(|| segment(&scan, &phantom::brain(), Contrast::T1w, None, &options).unwrap())
        };
        let (one, four) = (with(1), with(4));
        assert_eq!(one.labels, four.labels);
        assert_eq!(one.probabilities, four.probabilities);
        assert_eq!(one.intensities, four.intensities);
    }

    #[test]
    fn filled_lesions_do_not_shrink_white_matter() {
        let (scan, brain) = (phantom::image(T1W, true), phantom::brain());
        let options = TissueOptions::of(Contrast::T1w);
        let priors = phantom::priors();
        let white = |tissues: Tissues| tissues.volumes(phantom::SIZES).labelled[Tissue::White.index()];
        let plain = white(segment(&scan, &brain, Contrast::T1w, Some(&priors), &options).unwrap());
        let lesions = phantom::lesions();
        let filled = segment_filled(&scan, &brain, Contrast::T1w, Some(&priors), &lesions, &options).unwrap();
        let filled = white(filled);
        let healthy = white(segmented(T1W, Some(&priors), options.smoothness));
        // The lesions have 3.8 ml.
        assert!(healthy - plain > 2.0, "{plain} {healthy}");
        assert!((healthy - filled).abs() < 0.2, "{filled} {healthy}");
    }

    #[test]
    fn bad_input_is_named() {
        let (scan, brain, contrast) = (phantom::image(T1W, false), phantom::brain(), Contrast::T1w);
        let options = TissueOptions::of(contrast);
        let fault = |scan: &Volume, brain: &Array3<bool>, options: &TissueOptions| {
            segment(scan, brain, contrast, None, options).unwrap_err().to_string()
        };
        let nowhere = Array3::from_elem(brain.dim(), false);
        assert!(fault(&scan, &nowhere, &options).contains("empty"));
        let elsewhere = Array3::from_elem((3, 3, 3), true);
        assert!(fault(&scan, &elsewhere, &options).contains("(60, 72, 48)"));
        let constant = phantom::volume(|_| 7.0);
        assert!(fault(&constant, &brain, &options).contains("no two different intensities"));
        let mut broken = scan.clone();
        broken.voxels_mut()[[30, 36, 24]] = f32::NAN;
        assert!(fault(&broken, &brain, &options).contains("[30, 36, 24]"));
        for (options, word) in [
            (TissueOptions { smoothness: -1.0, ..options }, "smoothness"),
            (TissueOptions { trust: f32::NAN, ..options }, "trust"),
            (TissueOptions { most_rounds: 0, ..options }, "rounds"),
        ] {
            assert!(fault(&scan, &brain, &options).contains(word));
        }
        let t2w = phantom::image(T2W, false);
        let wrong =
            segment(&t2w, &brain, contrast, Some(&phantom::priors()), &options).unwrap_err().to_string();
        assert!(wrong.contains("no T1w image") && wrong.contains("white matter is 25"), "{wrong}");
        let small = Volume::new(Array3::zeros((4, 4, 4)), *scan.affine()).unwrap();
        let priors = Priors::of_maps(small.clone(), small).unwrap();
        let fault = segment(&scan, &brain, contrast, Some(&priors), &options).unwrap_err().to_string();
        assert!(fault.contains("[4, 4, 4]"), "{fault}");
    }
}
