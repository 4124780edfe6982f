//! `prepare`: pairs of NIfTI scans to a store.

use std::path::PathBuf;

use clap::Args;
use indicatif::{ParallelProgressIterator, ProgressBar};
use mrisynth::prepare::{brain, normalize, resample, standard};
use mrisynth::{Grid, Limits, Volume, Watch};
use ndarray::{Array3, ShapeBuilder};
use rayon::prelude::*;

use crate::error::Error;
use crate::pairs::{self, Pair, PairFiles};
use crate::store::{Origin, StoreWriter, Subject};

/// Pack pairs of prepared scans into a store.
///
/// The scans of a study are bias-corrected, brain-extracted (background 0) and lie on one grid, in about MNI orientation.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The list of studies: a CSV file with the columns id, patient, t1w, t2w; paths are relative to it.
    #[arg(long)]
    pairs: PathBuf,
    /// Take these patients only; repeatable.
    #[arg(long = "patient")]
    patients: Vec<String>,
    /// The store to write.
    #[arg(short, long)]
    output: PathBuf,
}

/// Does what the arguments say.
pub fn run(arguments: Arguments) -> Result<(), Error> {
    let list = chosen(pairs::read_list(&arguments.pairs)?, &arguments.patients)?;
    let progress = ProgressBar::new(list.len() as u64);
    let subjects: Vec<Subject> =
        list.par_iter().progress_with(progress).map(subject).collect::<Result<_, _>>()?;
    let mut writer = StoreWriter::create(&arguments.output)?;
    for subject in &subjects {
        writer.append(subject)?;
    }
    writer.finish()?;
    println!("{} studies packed into {}", subjects.len(), arguments.output.display());
    Ok(())
}

/// The studies of the chosen patients; of all where none is chosen.
pub(crate) fn chosen(list: Vec<PairFiles>, patients: &[String]) -> Result<Vec<PairFiles>, Error> {
    if let Some(unknown) = patients.iter().find(|name| list.iter().all(|pair| pair.patient != **name)) {
        return Err(Error::Data(format!("the list has no patient {unknown}")));
    }
    let wanted = |pair: &PairFiles| patients.is_empty() || patients.contains(&pair.patient);
    Ok(list.into_iter().filter(wanted).collect())
}

fn subject(files: &PairFiles) -> Result<Subject, Error> {
    let pair = files.read()?;
    let (t1w, t2w) = packed(&pair)?;
    Ok(Subject { id: files.id.clone(), patient: files.patient.clone(), origin: Origin::Real, t1w, t2w })
}

/// Both contrasts as a generator will see them: the library's own grid, mask and normalization.
fn packed(pair: &Pair) -> Result<(Array3<u16>, Array3<u16>), Error> {
    let bounds = brain::bounding_box(&pair.brain).ok_or_else(|| Error::Data("no brain".into()))?;
    let grid = standard::grid_around(&pair.t1w, bounds, Limits::default().max_axis)?;
    let brain = resample::mask_onto(&pair.brain, &pair.t1w.grid(), &grid, &Watch::default())?;
    Ok((pack(&pair.t1w, pair, &grid, &brain)?, pack(&pair.t2w, pair, &grid, &brain)?))
}

fn pack(
    volume: &Volume,
    pair: &Pair,
    grid: &Grid,
    brain: &Array3<bool>,
) -> Result<Array3<u16>, mrisynth::Error> {
    let top = normalize::top_intensity(volume, &pair.brain)?;
    let resampled = resample::brain_onto(volume, &pair.brain, grid, brain, &Watch::default())?;
    let mut packed = Array3::zeros(resampled.voxels().dim().f());
    ndarray::Zip::from(&mut packed).and(resampled.voxels()).and(brain).for_each(|packed, &voxel, &inside| {
        if inside {
            *packed = ((voxel / top).clamp(0.0, 1.0) * f32::from(u16::MAX)).round() as u16;
        }
    });
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mrisynth::Affine;

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
        let (a, b) = packed(&Pair { t1w, t2w, brain }).unwrap();
        let margin = standard::MARGIN;
        assert_eq!(a.dim(), (20 + 2 * margin, 30 + 2 * margin, 20 + 2 * margin));
        assert_eq!(a, b);
        assert_eq!(a[[margin, margin, margin]], u16::MAX);
        assert_eq!(a[[margin - 1, margin, margin]], 0);
        // i 10 of 10..30 is the last along RAS x; j 20 of 10..40 the twentieth from the back; k 12 the eighth.
        assert_eq!(a[[margin + 19, margin + 19, margin + 7]], 32768);
    }
}
