//! The built-in segmentations on the two patients of open_ms whose lesions experts have drawn: Dice's coefficients, volumes and
//! seconds, as `docs/evaluation-segmentation.md` has them.
//!
//!     cargo run --release -p mrisynth-evaluation --example reference_segmentation -- OPEN_MS [FOLDER]
//!
//! With FOLDER, lesion masks and label maps (1 fluid, 2 grey, 3 white matter) are written there.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mrisynth::nifti::{self, Header, VoxelType, WriteOptions};
use mrisynth::prepare::morphology;
use mrisynth::{Contrast, Grid, Limits};
use mrisynth_evaluation::pair::input::Input;
use mrisynth_evaluation::segmentation::lesions::{self, LesionOptions, Sequence};
use mrisynth_evaluation::segmentation::reference::{self, Scans, Segmentation};
use mrisynth_evaluation::segmentation::tissue::{self, Tissue, TissueOptions};
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
    let file = |image: &str| folder.join(format!("{image}.nii.gz"));
    let read = |image: &str| Input::read(&file(image), &Limits::default());
    let image = nifti::read(&file("T1"), &Limits::default())?;
    let (header, grid) = (image.header.clone(), image.volume.grid());
    let scans = Scans {
        lesions: Some(read("lesions")?),
        bright: Some((Sequence::Flair, read("FLAIR")?)),
        ..Scans::new(Input::of_image(file("T1"), image), Contrast::T1w)
    };
    let expert = scans.lesions.as_ref().map(|lesions| lesions.volume().voxels().mapv(|value| value != 0.0));
    let expert = expert.unwrap_or_default();
    let t2w = read("T2")?.volume().clone();
    let found = timed("tissues on T1w, lesions filled and on FLAIR", || reference::segment(&scans, false))?;
    let output = Output { folder: output, name: &name, header: &header, grid: &grid, found: &found };
    println!("{name}: brain {:.0} ml", found.millilitres(&found.brain));
    let on_t2w = timed("tissues on T2w", || {
        let options = TissueOptions::of(Contrast::T2w);
        tissue::segment(&t2w, &found.brain, Contrast::T2w, Some(&found.priors), &options)
    })?;
    println!("  {:32} {:>8} {:>8} {:>8}", "ml (of labels; of probabilities)", "fluid", "grey", "white");
    for (what, tissues) in
        [("T1w", &found.unfilled), ("T1w, lesions filled", &found.tissues), ("T2w", &on_t2w)]
    {
        let volumes = tissues.volumes(found.grid.affine.voxel_sizes());
        for (kind, [fluid, grey, white]) in [("", volumes.labelled), (" (probable)", volumes.probable)] {
            println!("  {:32} {fluid:8.1} {grey:8.1} {white:8.1}", format!("{what}{kind}"));
        }
    }
    let [fluid, grey, white] =
        Tissue::ALL.map(|tissue| morphology::dice(&found.unfilled.mask(tissue), &on_t2w.mask(tissue)));
    println!("  {:32} {fluid:8.3} {grey:8.3} {white:8.3}", "Dice of T1w and T2w");
    output.write("tissues-t1w", &found.unfilled.labels, f32::from)?;
    output.write("tissues-t2w", &on_t2w.labels, f32::from)?;

    println!("  lesions: {:.2} ml by the expert", found.millilitres(&expert));
    let on_t2w = timed("lesions on T2w and T1w", || {
        let options = LesionOptions::of(Sequence::T2w);
        Ok(lesions::segment(&t2w, &found.unfilled, &found.priors, Sequence::T2w, &options)?.mask)
    })?;
    let on_flair = found.lesions.as_ref().map(|lesions| &lesions.mask).ok_or("no lesions on FLAIR")?;
    for (what, mask) in [("FLAIR and T1w", on_flair), ("T2w and T1w", &on_t2w)] {
        let dice = morphology::dice(mask, &expert);
        println!("  {what}: {:.2} ml, Dice {dice:.3}", found.millilitres(mask));
        let file = format!("lesions-{}", what.to_lowercase().replace(" and ", "-"));
        output.write(&file, mask, |lesion| f32::from(u8::from(lesion)))?;
    }
    Ok(())
}

fn timed<T>(what: &str, work: impl FnOnce() -> mrisynth_evaluation::Result<T>) -> Result<T, Box<dyn Error>> {
    let start = Instant::now();
    let done = work()?;
    println!("  {what}: {:.1} s", start.elapsed().as_secs_f64());
    Ok(done)
}

struct Output<'a> {
    folder: Option<&'a Path>,
    name: &'a str,
    header: &'a Header,
    grid: &'a Grid,
    found: &'a Segmentation,
}

impl Output<'_> {
    fn write<T: Copy>(
        &self,
        what: &str,
        labels: &Array3<T>,
        value: impl Fn(T) -> f32,
    ) -> Result<(), Box<dyn Error>> {
        let Some(folder) = self.folder else { return Ok(()) };
        let options = WriteOptions {
            voxel_type: VoxelType::Label,
            description: reference::DESCRIPTION,
            extension: None,
            overwrite: true,
        };
        let volume = self.found.on(self.grid, labels, value)?;
        nifti::write(&folder.join(format!("{}-{what}.nii.gz", self.name)), &volume, self.header, &options)?;
        Ok(())
    }
}
