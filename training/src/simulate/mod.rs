//! Simulates pairs of T1w and T2w images from label maps of brains: anatomy, contrast, lesions and acquisition.
//!
//! Subject n of a seed is always the same, however many subjects and threads there are.

mod anatomy;
mod appearance;
pub(crate) mod deform;
mod degrade;
pub(crate) mod distance;
pub(crate) mod example;
pub(crate) mod field;
pub(crate) mod labels;
mod lesions;
mod phantom;
mod signal;
pub(crate) mod tissue;

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use mrisynth::nifti::VoxelType;
use mrisynth::{Affine, Volume};
use ndarray::{Array3, ShapeBuilder};
use rand_pcg::Pcg64;
use rayon::prelude::*;

use crate::error::Error;
use crate::store::{Origin, StoreWriter, Subject};
use anatomy::Texture;
use appearance::Appearance;
use deform::Warp;
use degrade::Acquisition;
use field::{Field, index};
use labels::LabelMap;

/// The generator of all random numbers; its state is the seed and its stream the subject.
pub(crate) type Random = Pcg64;

/// Background voxels around the brain in a stored subject.
const STORED_MARGIN: usize = 4;
/// The percentile inside the brain that becomes intensity 1.
const WHITE_PERCENTILE: f64 = 0.995;

/// Simulate pairs of contrasts from label maps of brains.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Label maps with FreeSurfer's labels (NIfTI), or folders of them
    #[arg(long, required_unless_present = "example", num_args = 1.., value_name = "PATH")]
    labels: Vec<PathBuf>,
    /// The store to write
    #[arg(long, required_unless_present = "example", value_name = "STORE")]
    output: Option<PathBuf>,
    /// Number of subjects
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    subjects: u32,
    /// Seed of all random numbers
    #[arg(long)]
    seed: u64,
    /// First part of the subjects' and patients' names
    #[arg(long, default_value = "sim", value_name = "PREFIX")]
    patient_prefix: String,
    /// Subjects at the same time; all processors by default
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Also write each pair to this folder as NIfTI, to look at
    #[arg(long, value_name = "FOLDER")]
    nifti: Option<PathBuf>,
    /// Instead of a store, write a small example from a phantom: PREFIX_T1w.nii.gz, PREFIX_T2w.nii.gz and
    /// PREFIX_lesions.nii.gz
    #[arg(long, value_name = "PREFIX", conflicts_with_all = ["labels", "output", "nifti", "subjects"])]
    example: Option<PathBuf>,
}

/// Simulates the subjects and writes their store, or writes the example.
///
/// # Errors
/// A label map that cannot be read or holds no brain, and whatever keeps the output from being written.
pub fn run(arguments: Arguments) -> Result<(), Error> {
    match (&arguments.example, &arguments.output) {
        (Some(prefix), _) => example::write(prefix, arguments.seed),
        (None, Some(output)) => write_store(&arguments, output),
        (None, None) => Err(Error::Usage("--output names no store".into())),
    }
}

fn write_store(arguments: &Arguments, output: &Path) -> Result<(), Error> {
    let maps = labels::find(&arguments.labels)?;
    if let Some(folder) = &arguments.nifti {
        std::fs::create_dir_all(folder).map_err(|fault| Error::io(folder, fault))?;
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.threads.map_or(0, usize::from))
        .build()
        .map_err(|fault| Error::Usage(format!("--threads: {fault}")))?;
    let mut writer = StoreWriter::create(output)?;
    let progress = ProgressBar::new(u64::from(arguments.subjects));
    let numbers: Vec<u32> = (0..arguments.subjects).collect();
    // One batch at a time keeps the order of the store and bounds the memory.
    for batch in numbers.chunks(pool.current_num_threads()) {
        let subjects: Result<Vec<Subject>, Error> = pool.install(|| {
            batch.par_iter().map(|&number| simulate_numbered(arguments, &maps, number)).collect()
        });
        for subject in subjects? {
            if let Some(folder) = &arguments.nifti {
                write_nifti(folder, &subject)?;
            }
            writer.append(&subject)?;
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    writer.finish()
}

fn simulate_numbered(arguments: &Arguments, maps: &[PathBuf], number: u32) -> Result<Subject, Error> {
    let path = &maps[number as usize % maps.len()];
    let mut random = Random::new(u128::from(arguments.seed), u128::from(number));
    let pair = simulate(LabelMap::read(path)?, &mut random);
    // Subjects of one label map share their anatomy, so they count as one patient.
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_end_matches(".gz").trim_end_matches(".nii");
    let [t1w, t2w] = pair.stored();
    Ok(Subject {
        id: format!("{}-{number:04}", arguments.patient_prefix),
        patient: format!("{}-{name}", arguments.patient_prefix),
        origin: Origin::Simulated,
        t1w,
        t2w,
    })
}

/// Both contrasts of one head on a 1 mm RAS grid, intensities 0 to 1 inside the mask.
struct Finished {
    t1w: Field,
    t2w: Field,
    inside: Vec<bool>,
    /// Part of lesion in each voxel.
    lesions: Field,
}

/// Simulates one subject with the anatomy of `labels`.
fn simulate(labels: LabelMap, random: &mut Random) -> Finished {
    let appearance = Appearance::random(random);
    let lesion_count = lesions::random_count(random);
    let acquisitions = [Acquisition::random_t1w(random), Acquisition::random_t2w(random)];
    simulate_with(labels, Warp::random, appearance, lesion_count, acquisitions, random)
}

/// Simulates one subject whose contrasts, number of lesions and acquisitions (of T1w and T2w) are given.
fn simulate_with(
    mut labels: LabelMap,
    warp: impl Fn(&LabelMap, &Field, &mut Random) -> Warp,
    appearance: Appearance,
    lesion_count: usize,
    acquisitions: [Acquisition; 2],
    random: &mut Random,
) -> Finished {
    labels.fill_hull(random);
    let ventricle_distance = labels.ventricle_distance();
    let warp = warp(&labels, &ventricle_distance, random);
    let texture = Texture::random(warp.dims, random);
    let mut scene = anatomy::paint(&labels, &ventricle_distance, &warp, &appearance, &texture);
    anatomy::add_perivascular_spaces(&mut scene, &appearance, random);
    let lesions = lesions::add(&mut scene, &appearance, lesion_count, random);
    let t1w = acquisitions[0].apply(scene.t1w, appearance.t1w.white_matter(), random);
    let t2w = acquisitions[1].apply(scene.t2w, appearance.t2w.white_matter(), random);
    let inside = scene.inside;
    Finished { t1w: normalized(t1w, &inside), t2w: normalized(t2w, &inside), inside, lesions }
}

/// Divided by the percentile inside the mask and clipped to 1; 0 outside.
fn normalized(mut image: Field, inside: &[bool]) -> Field {
    let mut values: Vec<f32> =
        image.values.iter().zip(inside).filter(|(_, inside)| **inside).map(|(value, _)| *value).collect();
    let rank = (values.len() as f64 * WHITE_PERCENTILE) as usize;
    let white = if values.is_empty() {
        1.0
    } else {
        let rank = rank.min(values.len() - 1);
        *values.select_nth_unstable_by(rank, f32::total_cmp).1
    };
    for (value, &inside) in image.values.iter_mut().zip(inside) {
        *value = if inside { (*value / white.max(f32::MIN_POSITIVE)).clamp(0.0, 1.0) } else { 0.0 };
    }
    image
}

impl Finished {
    /// T1w and T2w as a store holds them, cropped to the brain with a margin.
    fn stored(&self) -> [Array3<u16>; 2] {
        let dims = self.t1w.dims;
        let (low, high) = labels::bounding_box(dims, |at| self.inside[at])
            .unwrap_or(([0; 3], dims.map(|length| length - 1)));
        let size = [0, 1, 2].map(|axis| high[axis] - low[axis] + 1 + 2 * STORED_MARGIN);
        [&self.t1w, &self.t2w].map(|image| {
            let mut stored = Array3::zeros((size[0], size[1], size[2]).f());
            for k in low[2]..=high[2] {
                for j in low[1]..=high[1] {
                    for i in low[0]..=high[0] {
                        let at = index(dims, [i, j, k]);
                        if self.inside[at] {
                            let to = [0, 1, 2].map(|axis| [i, j, k][axis] - low[axis] + STORED_MARGIN);
                            // Only background may be 0.
                            stored[to] = ((image.values[at] * 65535.0).round() as u16).max(1);
                        }
                    }
                }
            }
            stored
        })
    }
}

fn write_nifti(folder: &Path, subject: &Subject) -> Result<(), Error> {
    for (name, stored) in [("T1w", &subject.t1w), ("T2w", &subject.t2w)] {
        let centre = [0, 1, 2].map(|axis| -0.5 * stored.shape()[axis] as f64);
        let path = folder.join(format!("{}_{name}.nii.gz", subject.id));
        let voxels = stored.mapv(|value| f32::from(value) / 65535.0);
        let volume = Affine::from_sizes([1.0; 3], centre)
            .and_then(|affine| Volume::new(voxels, affine))
            .map_err(|fault| Error::Data(format!("{}: {fault}", path.display())))?;
        example::write_volume(&path, &volume, VoxelType::Int16)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tissue::Tissue;

    /// A sphere with FreeSurfer's labels, large enough for a brain, as a file of 2 mm voxels.
    fn write_label_map(path: &Path) {
        let voxels = Array3::from_shape_fn((60, 60, 60), |(i, j, k)| {
            match [i, j, k].map(|v| v as f32 - 29.5).iter().map(|v| v * v).sum::<f32>().sqrt() {
                r if r < 4.0 => 4.0,
                r if r < 22.0 => 2.0,
                r if r < 26.0 => 3.0,
                _ => 0.0,
            }
        });
        let volume = Volume::new(voxels, Affine::from_sizes([2.0; 3], [0.0; 3]).unwrap()).unwrap();
        example::write_volume(path, &volume, VoxelType::Float32).unwrap();
    }

    fn arguments(folder: &Path, output: &str, threads: u16) -> Arguments {
        Arguments {
            labels: vec![folder.join("labels.nii.gz")],
            output: Some(folder.join(output)),
            subjects: 2,
            seed: 11,
            patient_prefix: "sim".into(),
            threads: Some(threads),
            nifti: None,
            example: None,
        }
    }

    #[test]
    fn stores_are_the_same_for_any_number_of_threads() {
        let folder = tempfile::tempdir().unwrap();
        write_label_map(&folder.path().join("labels.nii.gz"));
        run(arguments(folder.path(), "one.store", 1)).unwrap();
        run(arguments(folder.path(), "two.store", 2)).unwrap();
        let bytes = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        assert!(bytes("one.store") == bytes("two.store"));
        let subjects = crate::store::read(folder.path().join("one.store")).unwrap();
        assert_eq!(subjects.len(), 2);
        assert_eq!(subjects[1].id, "sim-0001");
        assert_eq!(subjects[1].patient, "sim-labels");
    }

    #[test]
    fn a_missing_label_map_is_named_and_leaves_no_store() {
        let folder = tempfile::tempdir().unwrap();
        let message = run(arguments(folder.path(), "a.store", 1)).unwrap_err().to_string();
        assert!(message.contains("labels.nii.gz"), "{message}");
        assert!(!folder.path().join("a.store").exists());
    }

    /// Shells of fluid, white matter and cortex around a ventricle, 44 mm wide.
    fn tiny_brain() -> LabelMap {
        let dims = [62; 3];
        let mut tissues = vec![Tissue::Background; 62 * 62 * 62];
        for (at, tissue) in tissues.iter_mut().enumerate() {
            let position = [at % 62, at / 62 % 62, at / 62 / 62].map(|v| v as f32 - 30.5);
            let radius = position.iter().map(|v| v * v).sum::<f32>().sqrt();
            *tissue = match radius {
                r if r < 6.0 => Tissue::Ventricle,
                r if r < 18.0 => Tissue::WhiteMatter,
                r if r < 22.0 => Tissue::Cortex,
                _ => Tissue::Background,
            };
        }
        LabelMap { dims, sizes: [1.0; 3], tissues }
    }

    #[test]
    fn a_subject_depends_on_its_seed_and_number_alone() {
        let subject = |seed, number| simulate(tiny_brain(), &mut Random::new(seed, number)).stored();
        assert_eq!(subject(1, 2), subject(1, 2));
        assert_ne!(subject(1, 2), subject(1, 3));
        assert_ne!(subject(1, 2), subject(2, 2));
    }

    #[test]
    fn stored_subjects_have_a_background_of_0_and_a_normalized_brain() {
        for seed in 0..3 {
            let stored = simulate(tiny_brain(), &mut Random::new(seed, 0)).stored();
            for image in &stored {
                let margin = STORED_MARGIN;
                let (width, depth, height) = image.dim();
                let brain = image.slice(ndarray::s![
                    margin..width - margin,
                    margin..depth - margin,
                    margin..height - margin
                ]);
                let nonzero = image.iter().filter(|&&value| value > 0).count();
                assert_eq!(nonzero, brain.iter().filter(|&&value| value > 0).count());
                let saturated = image.iter().filter(|&&value| value == u16::MAX).count() as f64;
                assert!((0.004..0.006).contains(&(saturated / nonzero as f64)));
            }
            let zeros = |image: &Array3<u16>| image.mapv(|value| value == 0);
            assert_eq!(zeros(&stored[0]), zeros(&stored[1]));
        }
    }

    #[test]
    fn the_contrasts_are_the_right_way_round() {
        for seed in 0..4 {
            let [t1w, t2w] = simulate(tiny_brain(), &mut Random::new(seed, 7)).stored();
            let ventricle = [0, 1, 2].map(|axis| t1w.shape()[axis] / 2);
            let mut white = ventricle;
            white[0] += 11;
            assert!(t1w[ventricle] < t1w[white], "{seed}");
            assert!(t2w[ventricle] > t2w[white], "{seed}");
        }
    }
}
