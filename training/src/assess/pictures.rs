//! Sheets to look at: slices of a study, its largest lesions, and implants.

use mrisynth::prepare::morphology;
use ndarray::{Array2, Array3, s};

use super::Assessment;
use super::images::Images;
use super::implants::{Tested, axial};
use crate::error::Error;
use crate::report::sheet::{self, Content, Layout, Picture};

/// Where the slices lie, as parts of the brain's height from below.
const HEIGHTS: [f64; 5] = [0.25, 0.40, 0.52, 0.64, 0.78];
/// Absolute errors from this on are white.
const FULL_ERROR: f32 = 0.3;
/// Pixels along the longer side of a slice, and of a crop.
const SLICE_SIDE: usize = 370;
const CROP_SIDE: usize = 300;
/// The largest lesions are shown, so many of them, in crops of so many millimetres.
const LESIONS_SHOWN: usize = 6;
const CROP: usize = 50;

/// A caption, what is below it, and what that shows.
type Cell = (String, Array2<f32>, Content);

/// Axial slices at five heights: the source, the real and the synthetic target, and the absolute error.
///
/// # Errors
/// Those of [`sheet::draw_as`].
pub fn slices(assessment: &Assessment, images: &Images) -> Result<Vec<u8>, Error> {
    let score = &assessment.score.fitted;
    let note = format!(
        "Synthetic after the one factor and offset that fit best. Inside the brain {:.2} dB, SSIM {:.3}. Error: absolute.",
        score.brain.psnr, score.brain.ssim
    );
    let Some((low, high)) = morphology::bounding_box(&images.brain) else {
        return Err(Error::Data("no brain to draw".into()));
    };
    let rows = HEIGHTS.map(|height| {
        let slice = low[2] + ((high[2] - low[2]) as f64 * height).round() as usize;
        row(assessment, images, slice, |image| axial(image, slice))
    });
    draw(&format!("{}: {}", assessment.study, assessment.direction()), &note, SLICE_SIDE, &rows)
}

/// The largest lesions, each in the middle of its crop: the source, the real and the synthetic target, and the error. None
/// without lesions.
///
/// # Errors
/// Those of [`sheet::draw_as`].
pub fn lesions(assessment: &Assessment, images: &Images) -> Result<Option<Vec<u8>>, Error> {
    let Some(lesions) = assessment.lesions.as_ref().filter(|lesions| !lesions.each.is_empty()) else {
        return Ok(None);
    };
    let rows: Vec<Vec<Cell>> = lesions
        .each
        .iter()
        .take(LESIONS_SHOWN)
        .map(|lesion| {
            let [_, _, slice] = lesion.centre;
            let mut cells = row(assessment, images, slice, |image| crop(image, lesion.centre));
            if let [source, real, synthetic, _] = &mut cells[..] {
                source.0 = format!("{}, {:.0} mm3", source.0, lesion.volume);
                real.0 = format!("{}, contrast {:+.2}", real.0, lesion.real);
                let vanished = if lesion.vanished { " VANISHED" } else { "" };
                synthetic.0 = format!("synthetic, {:+.2}{vanished}", lesion.synthetic);
            }
            cells
        })
        .collect();
    let note = "The largest lesions, each in the middle of its crop; contrast: its mean less that of white matter around it.";
    let title = format!("{}: {}, lesions", assessment.study, assessment.direction());
    draw(&title, note, CROP_SIDE, &rows).map(Some)
}

/// Each implant in its slice: the source with it, what is made of the scan without and with it, and the change. None
/// without implants.
///
/// # Errors
/// Those of [`sheet::draw_as`].
pub fn implants(assessment: &Assessment, tested: &[Tested]) -> Result<Option<Vec<u8>>, Error> {
    if tested.is_empty() {
        return Ok(None);
    }
    let rows: Vec<Vec<Cell>> = tested
        .iter()
        .map(|one| {
            let finding = &one.finding;
            let shown = if finding.shown { "shown" } else { "NOT SHOWN" };
            let place = finding.place;
            let change = (&one.after - &one.before).mapv(f32::abs);
            vec![
                (format!("{}, {}", finding.kind.name(), place.name), one.source.clone(), Content::Acquired),
                ("synthetic without it".into(), one.before.clone(), Content::Synthetic),
                (format!("with it: {shown}"), one.after.clone(), Content::Synthetic),
                ("change".into(), change, Content::Difference { full: FULL_ERROR }),
            ]
        })
        .collect();
    let note = "Made-up masses, cavities and missing parts in the scan that the model is given.";
    let title = format!("{}: {}, implants", assessment.study, assessment.direction());
    draw(&title, note, CROP_SIDE, &rows).map(Some)
}

fn row(
    assessment: &Assessment,
    images: &Images,
    slice: usize,
    view: impl Fn(&Array3<f32>) -> Array2<f32>,
) -> Vec<Cell> {
    let millimetres = images.grid.affine.to_millimetres([0.0, 0.0, slice as f64])[2];
    let error = (&view(&images.synthetic) - &view(&images.real)).mapv(f32::abs);
    let (source, target) = (assessment.source, assessment.target);
    vec![
        (format!("{source}, z = {millimetres:.0} mm"), view(&images.source), Content::Acquired),
        (format!("real {target}"), view(&images.real), Content::Acquired),
        (format!("synthetic {target}"), view(&images.synthetic), Content::Synthetic),
        ("error".into(), error, Content::Difference { full: FULL_ERROR }),
    ]
}

/// A square of an axial slice around a voxel, moved where the image ends.
fn crop(image: &Array3<f32>, centre: [usize; 3]) -> Array2<f32> {
    let slice = axial(image, centre[2]);
    let (rows, columns) = slice.dim();
    let along = |centre: usize, length: usize| {
        let start = centre.saturating_sub(CROP / 2).min(length.saturating_sub(CROP));
        start..(start + CROP).min(length)
    };
    slice.slice(s![along(centre[1], rows), along(centre[0], columns)]).to_owned()
}

fn draw(title: &str, note: &str, longer_side: usize, rows: &[Vec<Cell>]) -> Result<Vec<u8>, Error> {
    let rows: Vec<Vec<Picture<'_>>> = rows.iter().map(|row| row.iter().map(picture).collect()).collect();
    sheet::draw_as(&Layout { title, note: Some(note), longer_side }, &rows)
}

fn picture((caption, image, content): &Cell) -> Picture<'_> {
    Picture { caption, pixels: image.view(), content: *content }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crop_has_its_voxel_in_the_middle_unless_the_image_ends() {
        let image = Array3::from_shape_fn((80, 90, 4), |(i, j, k)| (i + 100 * j + 10_000 * k) as f32);
        let cropped = crop(&image, [40, 50, 2]);
        assert_eq!(cropped.dim(), (CROP, CROP));
        assert_eq!(cropped[[CROP / 2, CROP / 2]], image[[40, 50, 2]]);
        assert_eq!(crop(&image, [2, 89, 0])[[CROP - 1, 2]], image[[2, 89, 0]]);
        let small = Array3::zeros((10, 20, 1));
        assert_eq!(crop(&small, [9, 19, 0]).dim(), (20, 10));
    }
}
