//! The built-in segmentations on real patients, as `examples/reference_segmentation.rs` reports them. Phantoms cover the same
//! code where the shared data is absent.

use std::path::{Path, PathBuf};

use mrisynth::prepare::{morphology, normalize};
use mrisynth::{Contrast, Limits, Volume, Watch, nifti};
use mrisynth_evaluation::segmentation::lesions::{self, LesionOptions, Sequence};
use mrisynth_evaluation::segmentation::priors::Priors;
use mrisynth_evaluation::segmentation::tissue::{self, Tissue, TissueOptions, Tissues};
use ndarray::Array3;

/// Scans of open_ms whose lesions experts have drawn, or a loud note that they are not there.
fn open_ms() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/open_ms");
    if folder.join("test/cs_p26/lesions.nii.gz").is_file() {
        return Some(folder);
    }
    eprintln!("SKIPPED: {} is not there; nothing was segmented on real scans", folder.display());
    None
}

struct Patient {
    t1w: Volume,
    t2w: Volume,
    flair: Volume,
    expert: Array3<bool>,
    inside: Array3<bool>,
    priors: Priors,
}

impl Patient {
    fn read(folder: &Path) -> Self {
        let read = |name: &str| {
            nifti::read(&folder.join(format!("{name}.nii.gz")), &Limits::default()).unwrap().volume
        };
        let [t1w, t2w, flair] = ["T1", "T2", "FLAIR"].map(read);
        let expert = read("lesions").voxels().mapv(|value| value > 0.5);
        let inside = morphology::with_holes_filled(&t1w.voxels().mapv(|value| value > 0.0));
        let priors = Priors::placed(&t1w, &inside, &Watch::default()).unwrap();
        Self { t1w, t2w, flair, expert, inside, priors }
    }

    fn tissues(&self, contrast: Contrast) -> Tissues {
        let scan = if contrast == Contrast::T1w { &self.t1w } else { &self.t2w };
        let options = TissueOptions::of(contrast);
        let found = tissue::segment(scan, &self.inside, contrast, Some(&self.priors), &options).unwrap();
        assert!(found.converged);
        found
    }

    fn lesions(&self, image: &Volume, tissues: &Tissues, sequence: Sequence) -> Array3<bool> {
        let options = LesionOptions::of(sequence);
        let found = lesions::segment(image, tissues, &self.priors, sequence, &options).unwrap();
        assert!(found.converged);
        found.mask
    }
}

#[test]
fn tissues_and_lesions_are_found_as_documented() {
    let Some(folder) = open_ms() else { return };
    // Dice with the expert on FLAIR and on T2w; ml of fluid, grey and white matter on T1w and on T2w.
    for (name, flair, t2w, volumes, on_t2w) in [
        ("train/cs_p07", 0.570, 0.297, [175.6, 531.4, 427.3], [156.2, 569.9, 408.3]),
        ("test/cs_p26", 0.651, 0.451, [197.4, 491.2, 433.2], [174.9, 552.7, 394.2]),
    ] {
        let patient = Patient::read(&folder.join(name));
        let [t1w_tissues, t2w_tissues] =
            [Contrast::T1w, Contrast::T2w].map(|contrast| patient.tissues(contrast));
        for (tissues, documented) in [(&t1w_tissues, volumes), (&t2w_tissues, on_t2w)] {
            let found = tissues.volumes(patient.t1w.affine().voxel_sizes()).labelled;
            assert!(found.iter().zip(documented).all(|(a, b)| (a - b).abs() < 1.0), "{name}: {found:?}");
        }
        for (image, sequence, documented) in
            [(&patient.flair, Sequence::Flair, flair), (&patient.t2w, Sequence::T2w, t2w)]
        {
            let found = patient.lesions(image, &t1w_tissues, sequence);
            let dice = morphology::dice(&found, &patient.expert);
            assert!((dice - documented).abs() < 0.005, "{name} {sequence:?}: {dice}");
        }
    }
}

#[test]
fn a_real_brain_without_bright_spots_has_no_lesions() {
    let Some(folder) = open_ms() else { return };
    let patient = Patient::read(&folder.join("train/cs_p07"));
    let tissues = patient.tissues(Contrast::T1w);
    // A FLAIR image made of the tissues: each as bright as it is, and noise.
    let [grey, white] =
        [Tissue::Grey, Tissue::White].map(|tissue| median(&patient.flair, &tissues.mask(tissue)));
    let mut flair = Volume::zeros(&patient.flair.grid()).unwrap();
    for ((index, label), voxel) in tissues.labels.indexed_iter().zip(flair.voxels_mut()) {
        let wave =
            (12.9898 * index.0 as f64 + 78.233 * index.1 as f64 + 37.719 * index.2 as f64).sin() * 43758.5453;
        // Uniform, with a standard deviation of 7.
        let noise = 24.2 * (wave - wave.floor() - 0.5) as f32;
        *voxel = match label {
            2 => grey + noise,
            3 => white + noise,
            _ => 0.0,
        };
    }
    let found = patient.lesions(&flair, &tissues, Sequence::Flair);
    let voxels = found.iter().filter(|lesion| **lesion).count();
    assert!(voxels < 100, "{voxels}");
}

fn median(image: &Volume, mask: &Array3<bool>) -> f32 {
    let voxels = image.voxels();
    let inside = voxels.iter().zip(mask).filter(|(_, inside)| **inside);
    normalize::percentile(&mut inside.map(|(value, _)| *value).collect::<Vec<f32>>(), 50.0).unwrap()
}
