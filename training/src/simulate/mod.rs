//! Simulates pairs of T1w and T2w images from label maps of brains: anatomy, contrast, lesions and acquisition.
//!
//! Subject n of a seed is always the same, however many subjects and threads there are.

mod anatomy;
mod appearance;
mod cohort;
pub(crate) mod deform;
mod degrade;
pub(crate) mod distance;
pub(crate) mod example;
pub(crate) mod field;
pub(crate) mod labels;
mod lesions;
mod listing;
mod person;
mod phantom;
mod pose;
mod protocol;
mod signal;
pub(crate) mod tissue;

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use mrisynth::nifti::VoxelType;
use mrisynth::prepare::morphology;
use mrisynth::{Affine, Volume};
use ndarray::{Array3, ShapeBuilder};
use rand_pcg::Pcg64;
use rayon::prelude::*;

use crate::data::store::{Origin, StoreWriter, Subject};
use crate::error::Error;
use anatomy::Texture;
use appearance::Appearance;
use cohort::Cohort;
use deform::Warp;
use degrade::Acquisition;
use field::{Field, index};
use labels::LabelMap;
use listing::{Line, Listing};
use person::Group;
use protocol::Protocol;

/// The generator of all random numbers; its state is the seed and its stream the subject.
pub(crate) type Random = Pcg64;

/// Background voxels around the brain in a stored subject.
const STORED_MARGIN: usize = 4;
/// Voxels of 1 mm of the smallest lesion that is counted.
const SMALLEST_LESION: usize = 3;
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
    /// Imitate the protocols of one of the paper's cohorts, and list them in a CSV file beside the store; without it,
    /// contrasts and resolutions are drawn from wide ranges
    #[arg(long, value_enum)]
    cohort: Option<Cohort>,
    /// First part of the subjects' and patients' names; by default "sim", or the cohort's name
    #[arg(long, value_name = "PREFIX")]
    patient_prefix: Option<String>,
    /// Subjects at the same time; all processors by default
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Also write each pair and its lesion mask to this folder as NIfTI, to look at
    #[arg(long, value_name = "FOLDER")]
    nifti: Option<PathBuf>,
    /// Instead of a store, write a small example from a phantom: PREFIX_T1w.nii.gz, PREFIX_T2w.nii.gz and
    /// PREFIX_lesions.nii.gz
    #[arg(long, value_name = "PREFIX", conflicts_with_all = ["labels", "output", "nifti", "subjects", "cohort"])]
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
    let mut listing = arguments.cohort.map(|_| Listing::beside(output)).transpose()?;
    let progress = ProgressBar::new(u64::from(arguments.subjects));
    let numbers: Vec<u32> = (0..arguments.subjects).collect();
    // One batch at a time keeps the order of the store and bounds the memory.
    for batch in numbers.chunks(pool.current_num_threads()) {
        let simulated: Result<Vec<Simulated>, Error> = pool.install(|| {
            batch.par_iter().map(|&number| simulate_numbered(arguments, &maps, number)).collect()
        });
        for Simulated { subject, lesions, line } in simulated? {
            if let Some(folder) = &arguments.nifti {
                write_nifti(folder, &subject, &lesions)?;
            }
            if let (Some(listing), Some(line)) = (&mut listing, line) {
                listing.append(&line)?;
            }
            writer.append(&subject)?;
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    writer.finish()?;
    listing.map_or(Ok(()), Listing::finish)
}

/// A subject as it is stored, and what is known of it beyond that.
struct Simulated {
    subject: Subject,
    /// On the stored grid.
    lesions: Array3<bool>,
    /// Of the cohort's list.
    line: Option<String>,
}

fn simulate_numbered(arguments: &Arguments, maps: &[PathBuf], number: u32) -> Result<Simulated, Error> {
    let path = &maps[number as usize % maps.len()];
    let labels = LabelMap::read(path)?;
    let mut random = Random::new(u128::from(arguments.seed), u128::from(number));
    let (protocol, plan) = match arguments.cohort {
        Some(cohort) => {
            let (protocol, plan) = cohort.draw(&mut random);
            (Some((cohort, protocol)), plan)
        }
        None => (None, Plan::random(&mut random)),
    };
    let finished = simulate_with(labels, Warp::random, &plan, &mut random);
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let prefix = arguments.patient_prefix.as_deref();
    let prefix = prefix.unwrap_or_else(|| arguments.cohort.map_or("sim", Cohort::name));
    let [t1w, t2w] = finished.stored();
    let subject = Subject {
        id: format!("{prefix}-{number:04}"),
        // Subjects of one label map share their anatomy, so they count as one patient.
        patient: format!("{prefix}-{}", file.trim_end_matches(".gz").trim_end_matches(".nii")),
        origin: Origin::Simulated,
        t1w,
        t2w,
    };
    let lesions = finished.stored_lesions();
    let line = protocol.map(|(cohort, protocol)| line(cohort, &protocol, &plan, &subject, &file, &lesions));
    Ok(Simulated { subject, lesions, line })
}

/// What the cohort's list says of a subject.
fn line(
    cohort: Cohort,
    protocol: &Protocol,
    plan: &Plan,
    subject: &Subject,
    label_map: &str,
    lesions: &Array3<bool>,
) -> String {
    let voxels = lesions.iter().filter(|&&lesion| lesion).count();
    let line = Line {
        id: &subject.id,
        patient: &subject.patient,
        cohort: cohort.name(),
        label_map,
        protocol,
        signal_to_noise: [0, 1].map(|contrast: usize| plan.acquisitions[contrast].signal_to_noise()),
        lesion_count: morphology::component_count(lesions, SMALLEST_LESION),
        // Voxels of 1 mm.
        lesion_volume: voxels as f32 / 1000.0,
    };
    line.to_csv()
}

/// What is chosen for a subject before its head is drawn.
struct Plan {
    /// What kind of head.
    group: Group,
    appearance: Appearance,
    /// How many lesions are tried.
    lesion_count: usize,
    /// Of T1w and T2w.
    acquisitions: [Acquisition; 2],
}

impl Plan {
    /// From wide ranges.
    fn random(random: &mut Random) -> Self {
        Self {
            group: Group::ANY,
            appearance: Appearance::random(random),
            lesion_count: lesions::random_count(random),
            acquisitions: [Acquisition::random_t1w(random), Acquisition::random_t2w(random)],
        }
    }
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
fn simulate_with(
    mut labels: LabelMap,
    warp: impl Fn(&LabelMap, &Field, &Group, &mut Random) -> Warp,
    plan: &Plan,
    random: &mut Random,
) -> Finished {
    let Plan { group, appearance, lesion_count, acquisitions } = plan;
    labels.fill_hull(group, random);
    let ventricle_distance = labels.ventricle_distance();
    let warp = warp(&labels, &ventricle_distance, group, random);
    let texture = Texture::random(warp.dims, group, random);
    let mut scene = anatomy::paint(&labels, &ventricle_distance, &warp, appearance, &texture);
    anatomy::add_perivascular_spaces(&mut scene, appearance, group, random);
    let lesions = lesions::add(&mut scene, appearance, *lesion_count, random);
    let dims = scene.dims();
    let t1w = acquisitions[0].apply(scene.t1w, appearance.t1w.white_matter(), random);
    let t2w = acquisitions[1].apply(scene.t2w, appearance.t2w.white_matter(), random);
    let inside = if group.one_piece { largest_part(dims, scene.inside) } else { scene.inside };
    Finished { t1w: normalized(t1w, &inside), t2w: normalized(t2w, &inside), inside, lesions }
}

/// The largest part of a mask that hangs together.
fn largest_part(dims: [usize; 3], mask: Vec<bool>) -> Vec<bool> {
    // i is fastest in a field and last in a standard array; a component does not mind the order of the axes.
    let shape = (dims[2], dims[1], dims[0]);
    match Array3::from_shape_vec(shape, mask) {
        Ok(mask) => morphology::largest_component(&mask).iter().copied().collect(),
        Err(_) => Vec::new(),
    }
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
        [&self.t1w, &self.t2w].map(|image| {
            // Only background may be 0.
            self.cropped(|at| ((image.values[at] * 65535.0).round() as u16).max(1))
        })
    }

    /// Where there is more lesion than other tissue, on the grid of [`Finished::stored`].
    fn stored_lesions(&self) -> Array3<bool> {
        self.cropped(|at| self.lesions.values[at] > 0.5)
    }

    /// A value for each voxel of the brain, and the default around it.
    fn cropped<T: Clone + Default>(&self, value: impl Fn(usize) -> T) -> Array3<T> {
        let dims = self.t1w.dims;
        let (low, high) = labels::bounding_box(dims, |at| self.inside[at])
            .unwrap_or(([0; 3], dims.map(|length| length - 1)));
        let size = [0, 1, 2].map(|axis| high[axis] - low[axis] + 1 + 2 * STORED_MARGIN);
        let mut stored = Array3::from_elem((size[0], size[1], size[2]).f(), T::default());
        for k in low[2]..=high[2] {
            for j in low[1]..=high[1] {
                for i in low[0]..=high[0] {
                    let at = index(dims, [i, j, k]);
                    if self.inside[at] {
                        let to = [0, 1, 2].map(|axis| [i, j, k][axis] - low[axis] + STORED_MARGIN);
                        stored[to] = value(at);
                    }
                }
            }
        }
        stored
    }
}

fn write_nifti(folder: &Path, subject: &Subject, lesions: &Array3<bool>) -> Result<(), Error> {
    let image = |stored: &Array3<u16>| stored.mapv(|value| f32::from(value) / 65535.0);
    let mask = lesions.mapv(|lesion| f32::from(u8::from(lesion)));
    for (name, voxels, voxel_type) in [
        ("T1w", image(&subject.t1w), VoxelType::Int16),
        ("T2w", image(&subject.t2w), VoxelType::Int16),
        ("lesions", mask, VoxelType::Float32),
    ] {
        let centre = [0, 1, 2].map(|axis| -0.5 * voxels.shape()[axis] as f64);
        let path = folder.join(format!("{}_{name}.nii.gz", subject.id));
        let volume = Affine::from_sizes([1.0; 3], centre)
            .and_then(|affine| Volume::new(voxels, affine))
            .map_err(|fault| Error::Data(format!("{}: {fault}", path.display())))?;
        example::write_volume(&path, &volume, voxel_type)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;
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
            cohort: None,
            patient_prefix: None,
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
        let subjects = crate::data::store::read(folder.path().join("one.store")).unwrap();
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

    /// Simulates one subject with the anatomy of `labels`, from wide ranges.
    fn simulate(labels: LabelMap, random: &mut Random) -> Finished {
        let plan = Plan::random(random);
        simulate_with(labels, Warp::random, &plan, random)
    }

    fn simulate_cohort(cohort: Cohort, seed: u128) -> Finished {
        let mut random = Random::new(seed, 3);
        let (_, plan) = cohort.draw(&mut random);
        simulate_with(tiny_brain(), Warp::random, &plan, &mut random)
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

    fn assert_contrasts([t1w, t2w]: [Array3<u16>; 2], which: &str) {
        let ventricle = [0, 1, 2].map(|axis| t1w.shape()[axis] / 2);
        let mut white = ventricle;
        white[0] += 11;
        assert!(t1w[ventricle] < t1w[white], "{which}");
        assert!(t2w[ventricle] > t2w[white], "{which}");
    }

    #[test]
    fn the_contrasts_are_the_right_way_round() {
        for seed in 0..4 {
            let stored = simulate(tiny_brain(), &mut Random::new(seed, 7)).stored();
            assert_contrasts(stored, &seed.to_string());
            for cohort in Cohort::value_variants() {
                assert_contrasts(simulate_cohort(*cohort, seed).stored(), cohort.name());
            }
        }
    }

    #[test]
    fn only_the_clinical_cohort_has_lesions() {
        let lesions =
            |cohort| (0..4).map(|seed| simulate_cohort(cohort, seed).stored_lesions()).collect::<Vec<_>>();
        for cohort in [Cohort::Streamlined0p7mm, Cohort::Streamlined1mm] {
            assert!(lesions(cohort).iter().flatten().all(|lesion| !lesion));
        }
        assert!(lesions(Cohort::ClinicalMs).iter().flatten().any(|lesion| *lesion));
    }

    #[test]
    fn a_cohort_has_a_list_and_masks_and_is_the_same_for_any_number_of_threads() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        write_label_map(&path("labels.nii.gz"));
        for (output, threads) in [("one.store", 1), ("two.store", 2)] {
            run(Arguments {
                cohort: Some(Cohort::ClinicalMs),
                nifti: Some(path("nifti")),
                ..arguments(folder.path(), output, threads)
            })
            .unwrap();
        }
        let bytes = |name: &str| std::fs::read(path(name)).unwrap();
        assert!(bytes("one.store") == bytes("two.store"));
        assert!(bytes("one.protocols.csv") == bytes("two.protocols.csv"));
        let subjects = crate::data::store::read(path("one.store")).unwrap();
        let list = String::from_utf8(bytes("one.protocols.csv")).unwrap();
        let lines: Vec<&str> = list.lines().skip(1).collect();
        assert_eq!(lines.len(), subjects.len());
        for (subject, line) in subjects.iter().zip(lines) {
            assert_eq!(subject.origin, Origin::Simulated);
            assert!(subject.id.starts_with("clinical-ms-000"), "{}", subject.id);
            assert_eq!(subject.patient, "clinical-ms-labels");
            let begin = format!("{},clinical-ms-labels,clinical-ms,labels.nii.gz,simulated,", subject.id);
            assert!(line.starts_with(&begin), "{line}");
            let mask = path("nifti").join(format!("{}_lesions.nii.gz", subject.id));
            let mask = mrisynth::nifti::read(&mask, &mrisynth::Limits::default()).unwrap().volume;
            assert_eq!(mask.voxels().dim(), subject.t1w.dim());
            let volume = mask.as_slice().iter().sum::<f32>() / 1000.0;
            let listed: f32 = line.rsplit(',').next().unwrap().parse().unwrap();
            assert!((volume - listed).abs() < 1e-3, "{volume} {listed}");
        }
    }

    #[test]
    fn unknown_cohorts_are_refused_with_the_known_ones() {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            arguments: Arguments,
        }
        let parse = |cohort| {
            let line = ["simulate", "--labels", "a", "--output", "b", "--seed", "1", "--cohort", cohort];
            <Line as clap::Parser>::try_parse_from(line)
        };
        assert_eq!(parse("streamlined-1mm").unwrap().arguments.cohort, Some(Cohort::Streamlined1mm));
        let message = parse("streamlined-2mm").unwrap_err().to_string();
        assert!(message.contains("streamlined-2mm") && message.contains("clinical-ms"), "{message}");
    }
}
