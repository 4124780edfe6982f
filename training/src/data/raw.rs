//! A study as it left the scanner, on one grid: the library's own preparation of each scan, and the T2w scan registered to
//! the T1w scan.

use mrisynth::prepare::morphology::largest_component;
use mrisynth::prepare::normalize::Scale;
use mrisynth::prepare::register::{self, template};
use mrisynth::prepare::{self, Prepared, resample};
use mrisynth::{Control, Grid, Transform, Volume, Watch};
use ndarray::{Array3, Zip};

use crate::data::agreement::{self, Motion};
use crate::data::pairs::{Pair, PairFiles, ReadOptions, grids_differ, not_zero};
use crate::error::Error;

/// Intensities that are on the generator's scale already.
const UNIT: Scale = Scale { low: 0.0, high: 1.0 };

/// Both scans of a study on the MNI152 grid, 0..1, as a generator is fed them.
///
/// Each scan is prepared by itself and scaled as at inference. The T1w scan is placed in MNI152; the T2w scan follows it by
/// a rigid transform, and is interpolated once like the T1w scan. The brain is what is brain in both scans.
///
/// # Errors
/// [`Error::Library`] with the file if a scan is refused; [`Error::Study`] if the two do not go together.
pub(crate) fn pair(
    files: &PairFiles,
    scans: [&Volume; 2],
    lesions: Option<&Volume>,
    options: &ReadOptions,
) -> Result<Pair, Error> {
    let lesions = lesions.map(|mask| Mask::of(files, mask, scans)).transpose()?;
    let prepared = |scan: &Volume, path| {
        let ReadOptions { threads, accept_implausible } = *options;
        let mut control = Control { threads, accept_implausible, ..Control::default() };
        prepare::prepare(scan, &prepare::Options::default(), &mut control)
            .map_err(|fault| fault.in_file(path))
    };
    let (t1w, t2w) = (prepared(scans[0], &files.t1w)?, prepared(scans[1], &files.t2w)?);
    let mut notes = Vec::new();
    for (scan, path) in [(&t1w, &files.t1w), (&t2w, &files.t2w)] {
        let warnings = scan.record.warnings().iter();
        notes.extend(warnings.map(|warning| format!("warning: {}: {warning}", path.display())));
    }
    let watch = Watch::default();
    let found = register::rigid(&t1w.corrected, &t1w.mask, &t2w.corrected, Some(&t2w.mask), &watch)?;
    let motion = Motion::of(&found.transform, &t1w.standard_to_scan);
    notes.push(format!(
        "T2w lies {:.1} degrees and {:.1} mm from T1w; brains overlap by a Dice of {:.3}, similarity {:.3}",
        motion.degrees, motion.millimetres, found.overlap, found.similarity
    ));
    let mut doubts = agreement::doubts_about_study(&found, &motion);
    doubts.extend(agreement::doubts_about_contrasts(&t1w.standard, &t2w.standard)?);
    let refusal = |text| {
        let (one, other) = (files.t1w.display(), files.t2w.display());
        Error::study(&files.id, format!("{one} and {other}: {text}"))
    };
    notes.extend(options.refuse_or_note(doubts, refusal)?);
    let mut pair = joined(&t1w, &t2w, &found.transform)?;
    let millilitres = pair.brain.iter().filter(|inside| **inside).count() / 1000;
    notes.push(format!("{millilitres} ml of MNI152 are brain in both scans"));
    pair.notes = notes;
    pair.lesions = lesions.map(|mask| mask.on_standard_grid(&t1w, &found.transform)).transpose()?;
    Ok(pair)
}

/// A mask on the grid of one of the scans.
struct Mask {
    inside: Array3<bool>,
    grid: Grid,
    /// Whether the scan is the T2w one.
    on_t2w: bool,
}

impl Mask {
    fn of(files: &PairFiles, mask: &Volume, [t1w, t2w]: [&Volume; 2]) -> Result<Self, Error> {
        let on_t2w = grids_differ(mask, t1w).is_some();
        if let Some(what) = on_t2w.then(|| grids_differ(mask, t2w)).flatten() {
            let fault = format!("the lesions lie on the grid of neither scan: {what}");
            return Err(Error::study(&files.id, fault));
        }
        Ok(Self { inside: not_zero(mask), grid: mask.grid(), on_t2w })
    }

    /// By the way that the scan's own voxels go.
    fn on_standard_grid(&self, t1w: &Prepared, rigid: &Transform) -> Result<Array3<bool>, Error> {
        let grid = template::standard_grid();
        let in_t1w = grid.affine.then(&t1w.standard_to_scan)?;
        let affine = if self.on_t2w { in_t1w.then(rigid)? } else { in_t1w };
        Ok(resample::mask_onto(&self.inside, &self.grid, &Grid { affine, ..grid }, &Watch::default())?)
    }
}

/// Both prepared scans on the MNI152 grid, where both are brain; `rigid` leads from the T1w scan to the T2w scan.
fn joined(t1w: &Prepared, t2w: &Prepared, rigid: &Transform) -> Result<Pair, Error> {
    let watch = Watch::default();
    let grid = template::standard_grid();
    let in_t2w = Grid { affine: grid.affine.then(&t1w.standard_to_scan)?.then(rigid)?, ..grid };
    let mut brain = resample::mask_onto(&t2w.mask, &t2w.corrected.grid(), &in_t2w, &watch)?;
    brain.zip_mut_with(&t1w.standard_mask, |inside, t1w| *inside &= *t1w);
    let brain = largest_component(&brain);
    let resampled = resample::brain_onto(&t2w.corrected, &t2w.mask, &in_t2w, &brain, &watch)?;
    let scaled = |mut volume: Volume, scale: Scale| {
        Zip::from(volume.voxels_mut())
            .and(&brain)
            .for_each(|voxel, &inside| *voxel = if inside { scale.apply(*voxel) } else { 0.0 });
        Volume::new(volume.into_voxels(), grid.affine)
    };
    let t2w = scaled(resampled, t2w.scale)?;
    let t1w = scaled(t1w.standard.clone(), UNIT)?;
    Ok(Pair { t1w, t2w, brain, lesions: None, scales: [UNIT; 2], notes: Vec::new() })
}

#[cfg(test)]
#[path = "../../../tests/head/mod.rs"]
mod head;

#[cfg(test)]
mod tests {
    use super::head::{Contrast, Head, clinical_grid, pose};
    use super::*;
    use crate::data::pairs::State;

    #[test]
    fn what_training_sees_is_what_a_generator_is_fed() {
        let (scan, _) = Head::new().scan(clinical_grid(6.0), &pose(), Contrast::T1w);
        let prepared =
            prepare::prepare(&scan, &prepare::Options::default(), &mut Control::default()).unwrap();
        let pair = joined(&prepared, &prepared, &Transform::IDENTITY).unwrap();
        assert_eq!(pair.brain, largest_component(&prepared.standard_mask));
        for (index, fed) in prepared.standard.voxels().indexed_iter() {
            let expected = if pair.brain[index] { *fed } else { 0.0 };
            assert_eq!(pair.t1w.voxels()[index], expected, "{index:?}");
            // By a way of its own: interpolated along the T1w scan's placement.
            assert_eq!(pair.t2w.voxels()[index], expected, "{index:?}");
        }

        // A mask goes the way of the scan's own brain.
        let files = PairFiles {
            id: "a".into(),
            patient: "a".into(),
            t1w: "t1.nii".into(),
            t2w: "t2.nii".into(),
            state: State::Raw,
            lesions: None,
        };
        let mask = prepared.mask.mapv(|inside| f32::from(u8::from(inside)));
        let mask = Volume::new(mask, *scan.affine()).unwrap();
        let small = Volume::zeros(&Grid { dims: [4; 3], affine: *scan.affine() }).unwrap();
        for (scans, on_t2w) in [([&scan, &small], false), ([&small, &scan], true)] {
            let mask = Mask::of(&files, &mask, scans).unwrap();
            assert_eq!(mask.on_t2w, on_t2w);
            let there = mask.on_standard_grid(&prepared, &Transform::IDENTITY).unwrap();
            assert_eq!(there, prepared.standard_mask);
        }
        let fault = Mask::of(&files, &mask, [&small, &small]).err().unwrap().to_string();
        assert!(fault.contains("neither scan"), "{fault}");
    }
}
