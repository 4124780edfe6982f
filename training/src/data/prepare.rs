//! `prepare`: pairs of NIfTI scans to a store.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use indicatif::ProgressBar;
use mrisynth::prepare::normalize::Scale;
use mrisynth::prepare::{brain, resample, standard};
use mrisynth::{Control, Grid, Limits, Volume, Watch};
use ndarray::{Array3, ShapeBuilder};
use rayon::prelude::*;

use crate::data::pairs::{Pair, PairFiles, ReadOptions};
use crate::data::store::{Origin, StoreWriter, Subject};
use crate::data::studies;
use crate::error::Error;

/// Studies that are worked on at once; each needs up to a gigabyte while it is prepared.
const STUDIES_AT_ONCE: usize = 4;

/// Prepare pairs of scans and pack them into a store.
///
/// Raw scans are prepared by the library: the brain is found, the bias field corrected, T1w placed in MNI152 and T2w on T1w,
/// each interpolated once. What is stored is what a generator is fed.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("source").required(true)))]
pub struct Arguments {
    #[command(flatten)]
    studies: studies::Arguments,
    /// The store to write.
    #[arg(short, long)]
    output: PathBuf,
    /// Threads; default: one a core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

/// Does what the arguments say. The store appears when all studies are in it.
///
/// # Errors
/// [`Error::Data`] for a cohort with faults, [`Error::Study`] and [`Error::Library`] for scans that cannot be used,
/// [`Error::Io`].
pub fn run(arguments: Arguments) -> Result<(), Error> {
    let found = arguments.studies.find()?;
    found.notes.iter().for_each(|note| println!("{note}"));
    for files in &found.studies {
        let (t1w, t2w) = (files.t1w.display(), files.t2w.display());
        println!("{} (patient {}): {t1w}, {t2w}", files.id, files.patient);
    }
    let mut left_out: Vec<String> = found.incomplete.into_iter().map(|one| one.fault).collect();

    let mut writer = StoreWriter::create(&arguments.output)?;
    let threads = Control { threads: arguments.threads, ..Control::default() }.thread_count();
    let at_once = threads.min(STUDIES_AT_ONCE);
    let progress = ProgressBar::new(found.studies.len() as u64);
    let mut packed = 0;
    for studies in found.studies.chunks(at_once) {
        let each = arguments.studies.read_options((threads / studies.len()).max(1));
        for outcome in several(studies, &each, threads)? {
            progress.inc(1);
            match outcome {
                Ok((subject, notes)) => {
                    progress.suspend(|| notes.iter().for_each(|note| println!("{}: {note}", subject.id)));
                    writer.append(&subject)?;
                    packed += 1;
                }
                Err(fault) if arguments.studies.skip_refused && fault.is_about_one_study() => {
                    left_out.push(fault.to_string());
                }
                Err(fault) => return Err(fault),
            }
        }
    }
    progress.finish_and_clear();
    left_out.iter().for_each(|fault| println!("left out: {fault}"));
    if packed == 0 {
        return Err(Error::Data("no study is left: nothing was written".into()));
    }
    writer.finish()?;
    println!("packed {packed} of {} studies into {}", packed + left_out.len(), arguments.output.display());
    Ok(())
}

type Outcome = Result<(Subject, Vec<String>), Error>;

/// Some studies side by side, each as `each` says, on so many threads in all.
fn several(studies: &[PairFiles], each: &ReadOptions, threads: usize) -> Result<Vec<Outcome>, Error> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|fault| Error::Usage(format!("{threads} threads: {fault}")))?;
    Ok(pool.install(|| studies.par_iter().map(|files| subject(files, each)).collect()))
}

/// A study as it is stored, and what is to be said about it.
fn subject(files: &PairFiles, options: &ReadOptions) -> Outcome {
    let pair = files.read(options)?;
    let (t1w, t2w) = packed(&pair)?;
    let subject =
        Subject { id: files.id.clone(), patient: files.patient.clone(), origin: Origin::Real, t1w, t2w };
    Ok((subject, pair.notes))
}

/// Both contrasts as a generator will see them: the library's own grid, mask and normalization.
fn packed(pair: &Pair) -> Result<(Array3<u16>, Array3<u16>), Error> {
    let bounds = brain::bounding_box(&pair.brain).ok_or_else(|| Error::Data("no brain".into()))?;
    let grid = standard::grid_around(&pair.t1w.grid(), bounds, &Limits::default())?;
    let brain = resample::mask_onto(&pair.brain, &pair.t1w.grid(), &grid, &Watch::default())?;
    let [t1w, t2w] = &pair.scales;
    Ok((pack(&pair.t1w, pair, t1w, &grid, &brain)?, pack(&pair.t2w, pair, t2w, &grid, &brain)?))
}

fn pack(
    volume: &Volume,
    pair: &Pair,
    scale: &Scale,
    grid: &Grid,
    brain: &Array3<bool>,
) -> Result<Array3<u16>, mrisynth::Error> {
    let resampled = resample::brain_onto(volume, &pair.brain, grid, brain, &Watch::default())?;
    let mut packed = Array3::zeros(resampled.voxels().dim().f());
    ndarray::Zip::from(&mut packed).and(resampled.voxels()).and(brain).for_each(|packed, &voxel, &inside| {
        if inside {
            *packed = (scale.apply(voxel) * f32::from(u16::MAX)).round() as u16;
        }
    });
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mrisynth::Affine;
    use mrisynth::prepare::normalize;

    #[test]
    fn pairs_are_packed_in_ras_order_and_normalized() {
        // Stored left-posterior-superior: index 0 along i is the patient's right.
        let affine = Affine::from_rows([
            [-1.0, 0.0, 0.0, 20.0],
            [0.0, -1.0, 0.0, 25.0],
            [0.0, 0.0, 1.0, -15.0],
            [0.0, 0.0, 0.0, 1.0],
        ])
        .unwrap();
        let mut t1w = Volume::zeros(&Grid { dims: [40, 50, 30], affine }).unwrap();
        t1w.voxels_mut().slice_mut(ndarray::s![10..30, 10..40, 5..25]).fill(100.0);
        t1w.voxels_mut()[[10, 20, 12]] = 50.0; // the right-most column of the brain
        let mut t2w = t1w.clone();
        t2w.as_mut_slice().iter_mut().for_each(|value| *value *= 3.0);
        let brain = brain::mask(t1w.voxels());
        let scale = |volume| normalize::scale(volume, &brain, normalize::Scaling::Percentile).unwrap();
        let scales = [scale(&t1w), scale(&t2w)];
        let (a, b) = packed(&Pair { t1w, t2w, brain, lesions: None, scales, notes: Vec::new() }).unwrap();
        let margin = standard::MARGIN;
        assert_eq!(a.dim(), (20 + 2 * margin, 30 + 2 * margin, 20 + 2 * margin));
        assert_eq!(a, b);
        assert_eq!(a[[margin, margin, margin]], u16::MAX);
        assert_eq!(a[[margin - 1, margin, margin]], 0);
        // i 10 of 10..30 is the last along RAS x; j 20 of 10..40 the twentieth from the back; k 12 the eighth.
        assert_eq!(a[[margin + 19, margin + 19, margin + 7]], 32768);
    }
}
