//! The built-in segmentations on the two patients of open_ms whose lesions experts have drawn: Dice's coefficients, volumes and
//! seconds, as `docs/evaluation-segmentation.md` has them.
//!
//!     cargo run --release -p mrisynth-evaluation --example reference_segmentation -- ../shared/data/open_ms [FOLDER]
//!
//! With FOLDER, lesion masks and label maps (1 fluid, 2 grey, 3 white matter) are written there.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mrisynth::nifti::{self, Header, VoxelType, WriteOptions};
use mrisynth::prepare::{brain, morphology};
use mrisynth::{Contrast, Limits, Volume, Watch};
use mrisynth_evaluation::segmentation::lesions::{self, LesionOptions, Sequence};
use mrisynth_evaluation::segmentation::priors::Priors;
use mrisynth_evaluation::segmentation::tissue::{self, Tissue, TissueOptions, Tissues};
use ndarray::Array3;

/// The thresholds were chosen on the first; the second is for testing.
const PATIENTS: [&str; 2] = ["train/cs_p07", "test/cs_p26"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let data = arguments.next().ok_or("the folder of open_ms is missing")?;
    let output = arguments.next();
    if let Some(folder) = &output {
        std::fs::create_dir_all(folder)?;
    }
    for patient in PATIENTS {
        evaluate(&data.join(patient), output.as_deref())?;
    }
    Ok(())
}

fn evaluate(folder: &Path, output: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let read = |image: &str| nifti::read(&folder.join(format!("{image}.nii.gz")), &Limits::default());
    let (t1w, t2w, flair) = (read("T1")?, read("T2")?.volume, read("FLAIR")?.volume);
    let (header, t1w) = (t1w.header, t1w.volume);
    let expert = read("lesions")?.volume.voxels().mapv(|value| value > 0.5);
    let inside = brain::mask(t1w.voxels());
    let sizes = t1w.affine().voxel_sizes();
    let output = Output { folder: output, name: &name, header: &header };

    println!("{name}: brain {:.0} ml", millilitres(&inside, &t1w));
    let priors = timed("priors placed", || Priors::placed(&t1w, &inside, &Watch::default()))?;
    let segment = |scan: &Volume, contrast: Contrast| {
        timed(&format!("tissues on {contrast}"), || {
            tissue::segment(scan, &inside, contrast, Some(&priors), &TissueOptions::of(contrast))
        })
    };
    let tissues = segment(&t1w, Contrast::T1w)?;
    let on_t2w = segment(&t2w, Contrast::T2w)?;
    let filled = timed("tissues on T1w, lesions filled", || {
        let options = TissueOptions::of(Contrast::T1w);
        tissue::segment_filled(&t1w, &inside, Contrast::T1w, Some(&priors), &expert, &options)
    })?;
    println!("  {:32} {:>8} {:>8} {:>8}", "ml (of labels; of probabilities)", "fluid", "grey", "white");
    for (what, tissues) in [("T1w", &tissues), ("T1w, lesions filled", &filled), ("T2w", &on_t2w)] {
        let volumes = tissues.volumes(sizes);
        for (kind, [fluid, grey, white]) in [("", volumes.labelled), (" (probable)", volumes.probable)] {
            println!("  {:32} {fluid:8.1} {grey:8.1} {white:8.1}", format!("{what}{kind}"));
        }
    }
    let [fluid, grey, white] =
        Tissue::ALL.map(|tissue| morphology::dice(&tissues.mask(tissue), &on_t2w.mask(tissue)));
    println!("  {:32} {fluid:8.3} {grey:8.3} {white:8.3}", "Dice of T1w and T2w");
    output.write("tissues-t1w", &t1w, tissues.labels.mapv(f32::from))?;
    output.write("tissues-t2w", &t1w, on_t2w.labels.mapv(f32::from))?;

    println!("  lesions: {:.2} ml by the expert", millilitres(&expert, &t1w));
    for (sequence, what, image) in
        [(Sequence::Flair, "FLAIR and T1w", &flair), (Sequence::T2w, "T2w and T1w", &t2w)]
    {
        let found = timed(&format!("lesions on {what}"), || of(image, &tissues, &priors, sequence))?;
        let dice = morphology::dice(&found, &expert);
        println!("  {what}: {:.2} ml, Dice {dice:.3}", millilitres(&found, &t1w));
        let file = format!("lesions-{}", what.to_lowercase().replace(" and ", "-"));
        output.write(&file, &t1w, found.mapv(|lesion| f32::from(u8::from(lesion))))?;
    }
    Ok(())
}

fn of(
    image: &Volume,
    tissues: &Tissues,
    priors: &Priors,
    sequence: Sequence,
) -> mrisynth_evaluation::Result<Array3<bool>> {
    Ok(lesions::segment(image, tissues, priors, sequence, &LesionOptions::of(sequence))?.mask)
}

fn timed<T>(what: &str, work: impl FnOnce() -> mrisynth_evaluation::Result<T>) -> Result<T, Box<dyn Error>> {
    let start = Instant::now();
    let done = work()?;
    println!("  {what}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(done)
}

fn millilitres(mask: &Array3<bool>, volume: &Volume) -> f64 {
    let voxel: f64 = volume.affine().voxel_sizes().iter().product();
    mask.iter().filter(|inside| **inside).count() as f64 * voxel / 1000.0
}

struct Output<'a> {
    folder: Option<&'a Path>,
    name: &'a str,
    header: &'a Header,
}

impl Output<'_> {
    fn write(&self, what: &str, place: &Volume, labels: Array3<f32>) -> Result<(), Box<dyn Error>> {
        let Some(folder) = self.folder else { return Ok(()) };
        let options = WriteOptions {
            voxel_type: VoxelType::Label,
            description: "mrisynth reference segmentation",
            extension: None,
            overwrite: true,
        };
        let volume = Volume::new(labels, *place.affine())?;
        nifti::write(&folder.join(format!("{}-{what}.nii.gz", self.name)), &volume, self.header, &options)?;
        Ok(())
    }
}
