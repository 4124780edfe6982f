//! Is this input what the models were made for? Hard faults are errors; doubts can be overruled by the caller.

mod contrast;
mod cut;
mod standard;

use ndarray::Array3;

use crate::model::Contrast;
use crate::{Error, Result, Transform, Volume};

pub(crate) use standard::{Doubts, doubts_about_placed, doubts_about_unplaced};

/// Brain volumes in millilitres between that of an infant and the largest adult one, cerebrospinal fluid included.
const BRAIN_MILLILITRES: std::ops::RangeInclusive<f64> = 300.0..=2600.0;
/// A brain that ends because the field of view does touches the volume's faces with more of its voxels than this share.
const MAX_SHARE_ON_FACES: f64 = 0.02;
/// The thinnest slab, in millimetres, that can be called a brain scan.
const MIN_EXTENT: f64 = 30.0;
/// A brain-extracted scan is background outside a brain: over this share of non-zero voxels it is not one.
const MAX_BRAIN_SHARE: f64 = 0.75;

/// Faults that no caller can overrule: voxels or geometry from which nothing can be synthesized.
///
/// # Errors
/// [`Error::BadImage`] with the fault.
pub fn check_image(volume: &Volume) -> Result<()> {
    let voxels = volume.as_slice();
    let not_finite = voxels.iter().filter(|value| !value.is_finite()).count();
    if not_finite > 0 {
        let all = voxels.len();
        return Err(Error::BadImage(format!(
            "{not_finite} of {all} voxels are not finite numbers (NaN or infinite)"
        )));
    }
    let (dims, sizes) = (volume.dims(), volume.affine().voxel_sizes());
    for axis in 0..3 {
        if dims[axis] < 2 {
            return Err(Error::BadImage(format!("dimensions {dims:?}: a single slice is not a brain scan")));
        }
        let extent = dims[axis] as f64 * sizes[axis];
        if extent < MIN_EXTENT {
            return Err(Error::BadImage(format!(
                "the scan is only {extent:.1} mm long along axis {} (voxels {dims:?} of {sizes:.2?} mm)",
                ["i", "j", "k"][axis]
            )));
        }
    }
    let first = voxels.first().copied().unwrap_or(0.0);
    if voxels.iter().all(|&value| value == first) {
        return Err(Error::BadImage(format!("constant: every voxel is {first}")));
    }
    Ok(())
}

/// Why a mask cannot be that of a brain; empty if it can.
pub fn doubts_about_brain(volume: &Volume, brain: &Array3<bool>) -> Vec<String> {
    let inside = brain.iter().filter(|inside| **inside).count();
    let millilitres = inside as f64 * volume.affine().voxel_sizes().iter().product::<f64>() / 1000.0;
    if BRAIN_MILLILITRES.contains(&millilitres) {
        return Vec::new();
    }
    vec![format!(
        "what looks like a brain measures {millilitres:.0} ml, which no brain does: is this a head?"
    )]
}

/// Why a scan that is called prepared does not look so: empty if it does.
pub fn doubts_about_prepared(volume: &Volume, brain: &Array3<bool>) -> Vec<String> {
    let inside = brain.iter().filter(|inside| **inside).count();
    let share = inside as f64 / brain.len() as f64;
    let sizes = volume.affine().voxel_sizes();
    let millilitres = inside as f64 * sizes.iter().product::<f64>() / 1000.0;
    let mut doubts = Vec::new();
    if share > MAX_BRAIN_SHARE {
        doubts.push(format!(
            "{:.0} % of the voxels are not background: it does not look brain-extracted (background must be 0)",
            100.0 * share
        ));
    } else if !BRAIN_MILLILITRES.contains(&millilitres) {
        doubts.push(format!("what is not background measures {millilitres:.0} ml, which no brain does"));
    }
    let on_faces = share_on_faces(brain, inside);
    if share <= MAX_BRAIN_SHARE && on_faces > MAX_SHARE_ON_FACES {
        doubts.push(format!(
            "the field of view cuts the brain: {:.1} % of its voxels lie on the volume's faces",
            100.0 * on_faces
        ));
    }
    doubts
}

/// Why a scan is not of the contrast that it is taken for (none: neither T1w nor T2w, as FLAIR is); none if it is, or if so
/// little of the brain is there that it cannot be told. `brain` lies on the scan's grid, the brain of MNI152 where
/// `standard_to_scan` leads to.
///
/// # Errors
/// [`Error::Internal`] if the build carries a damaged template.
pub fn doubt_about_contrast(
    scan: &Volume,
    brain: &Array3<bool>,
    standard_to_scan: &Transform,
    wanted: Option<Contrast>,
) -> Result<Option<String>> {
    let look = contrast::look_unlike(scan, brain, standard_to_scan, wanted)?;
    let name = wanted.map_or("FLAIR".to_owned(), |contrast| contrast.to_string());
    Ok(look.map(|look| format!("contrast: it looks {look}, not {name}: is it the right file?")))
}

fn share_on_faces(brain: &Array3<bool>, inside: usize) -> f64 {
    let (ni, nj, nk) = brain.dim();
    let on_face = |(i, j, k)| i == 0 || j == 0 || k == 0 || i == ni - 1 || j == nj - 1 || k == nk - 1;
    let count = brain.indexed_iter().filter(|(index, inside)| **inside && on_face(*index)).count();
    count as f64 / inside.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Affine, Grid, prepare};

    fn ellipsoid(dims: [usize; 3], voxel: f64, radii: [f64; 3]) -> Volume {
        let affine = Affine::from_sizes([voxel; 3], [0.0; 3]).unwrap();
        let mut volume = Volume::zeros(&Grid { dims, affine }).unwrap();
        for ((i, j, k), value) in volume.voxels_mut().indexed_iter_mut() {
            let index = [i, j, k];
            let distance: f64 = (0..3)
                .map(|a| ((index[a] as f64 + 0.5 - dims[a] as f64 / 2.0) * voxel / radii[a]).powi(2))
                .sum();
            *value = if distance < 1.0 { 1.0 + (i % 3) as f32 } else { 0.0 };
        }
        volume
    }

    fn doubts(volume: &Volume) -> Vec<String> {
        check_image(volume).unwrap();
        doubts_about_prepared(volume, &prepare::brain::mask(volume.voxels()))
    }

    #[test]
    fn a_brain_sized_ellipsoid_raises_no_doubt() {
        assert_eq!(doubts(&ellipsoid([60, 72, 60], 3.0, [65.0, 85.0, 60.0])), Vec::<String>::new());
    }

    #[test]
    fn unlikely_brains_raise_their_own_doubt() {
        let small = doubts(&ellipsoid([60, 72, 60], 1.0, [20.0, 25.0, 20.0]));
        assert!(small[0].contains("42 ml"), "{small:?}");
        let cut = doubts(&ellipsoid([60, 72, 24], 3.0, [65.0, 85.0, 60.0]));
        assert!(cut.iter().any(|doubt| doubt.contains("cuts the brain")), "{cut:?}");
        let mut raw = ellipsoid([60, 72, 60], 3.0, [65.0, 85.0, 60.0]);
        raw.as_mut_slice().iter_mut().for_each(|value| *value += 0.5);
        assert!(doubts(&raw)[0].contains("brain-extracted"));
    }

    #[test]
    fn what_cannot_be_a_scan_is_an_error() {
        let good = ellipsoid([60, 72, 60], 3.0, [65.0, 85.0, 60.0]);
        let mut holed = good.clone();
        holed.as_mut_slice()[5] = f32::NAN;
        let constant = Volume::zeros(&good.grid()).unwrap();
        let slice = ellipsoid([60, 72, 1], 3.0, [65.0, 85.0, 60.0]);
        let thin = ellipsoid([60, 72, 5], 3.0, [65.0, 85.0, 60.0]);
        for (volume, word) in
            [(holed, "finite"), (constant, "constant"), (slice, "single slice"), (thin, "15.0 mm")]
        {
            let fault = check_image(&volume).unwrap_err();
            assert!(matches!(&fault, Error::BadImage(text) if text.contains(word)), "{fault}");
        }
    }
}
