//! Slice panels: axial slices of the real and the synthetic image and the error between them, as one PNG file.

use mrisynth_picture::{
    Anchor, Canvas, FOOT_HEIGHT, GAP, Letters, Marks, NOT_FINITE, NOTE_COLOUR, Page, WHITE, grey, heat,
    heat_bar, synthetic_word,
};
use ndarray::{ArrayView2, ArrayView3, Axis};

use crate::{Error, Result};

/// Where slices lie, as parts of the brain's height from below.
pub const HEIGHTS: [f64; 4] = [0.30, 0.45, 0.60, 0.75];
/// Errors from this share of the white intensity on are white.
pub const FULL_ERROR: f32 = 0.3;
/// Pixels along the longer side of a slice.
const LONGER_SIDE: f64 = 256.0;
/// The line above a slice.
const CAPTION: u32 = 17;
/// The largest panel, in pixels.
const LARGEST: u64 = 1 << 26;

/// A PNG file made by this module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Png(Vec<u8>);

impl Png {
    /// The file.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The two images of one person, of one size, with axes to the right, to the front and up (RAS).
#[derive(Clone, Copy, Debug)]
pub struct Images<'a> {
    /// The real image.
    pub real: ArrayView3<'a, f32>,
    /// The synthetic one.
    pub synthetic: ArrayView3<'a, f32>,
    /// Where the brain is.
    pub brain: ArrayView3<'a, bool>,
    /// The lengths of a voxel in millimetres.
    pub spacing: [f64; 3],
    /// What is drawn white; 0 is black.
    pub white: f32,
}

/// What a slice of a panel shows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Content {
    Real,
    Synthetic,
    /// The absolute difference, white from this on.
    Error(f32),
}

/// Draws four axial slices between the brain's lower and upper end, each as real, synthetic and absolute error. Patients face
/// up and their right is on the left (radiological convention); synthetic slices are marked so below, intensities beyond 0 and
/// white are clipped, what is no number is magenta.
///
/// # Errors
/// [`Error::Invalid`] for images of different sizes, without brain, of senseless voxels or white, and for a panel larger than
/// any screen.
pub fn draw(title: &str, images: &Images<'_>) -> Result<Png> {
    check(images)?;
    let slices = slices(images)?;
    let [width, height] = slice_size(images);
    let across = 3 * (width + GAP) + GAP;
    if u64::from(across) * u64::from(height + CAPTION + FOOT_HEIGHT) * slices.len() as u64 > LARGEST {
        return Err(Error::Invalid(format!("a panel of slices of {width} x {height} pixels is too large")));
    }
    let mut page = Page::new(across);
    page.text(Letters::Large, WHITE, title);
    let note =
        "Radiological convention: the patient's right (R) is on the left of a picture. Error: absolute.";
    page.text(Letters::Small, NOTE_COLOUR, note);
    for slice in slices {
        page.strip(strip(images, slice, [width, height]));
    }
    Ok(Png(page.finish().to_png()?))
}

fn check(images: &Images<'_>) -> Result<()> {
    let (real, synthetic, brain) = (images.real.shape(), images.synthetic.shape(), images.brain.shape());
    if real != synthetic || real != brain {
        return Err(Error::Invalid(format!(
            "a panel of images of different sizes: real {real:?}, synthetic {synthetic:?}, brain {brain:?}"
        )));
    }
    if !images.spacing.iter().all(|length| (1e-3..1e3).contains(length)) {
        return Err(Error::Invalid(format!("a panel of voxels of {:?} mm", images.spacing)));
    }
    if !(images.white.is_finite() && images.white > 0.0) {
        return Err(Error::Invalid(format!("a panel whose white is {}", images.white)));
    }
    Ok(())
}

/// The indices of the slices that are shown, rising, none twice.
fn slices(images: &Images<'_>) -> Result<Vec<usize>> {
    let planes = images.brain.axis_iter(Axis(2)).enumerate();
    let brain: Vec<usize> =
        planes.filter(|(_, plane)| plane.iter().any(|brain| *brain)).map(|(index, _)| index).collect();
    let (Some(low), Some(high)) = (brain.first(), brain.last()) else {
        return Err(Error::Invalid("a panel without brain".into()));
    };
    let mut slices = HEIGHTS.map(|height| low + ((high - low) as f64 * height).round() as usize).to_vec();
    slices.dedup();
    Ok(slices)
}

/// Width and height of a slice in pixels; voxels that are no cubes keep their shape.
fn slice_size(images: &Images<'_>) -> [u32; 2] {
    let (columns, rows, _) = images.real.dim();
    let lengths = [columns as f64 * images.spacing[0], rows as f64 * images.spacing[1]];
    let zoom = LONGER_SIDE / lengths[0].max(lengths[1]);
    lengths.map(|length| ((length * zoom).round() as u32).max(1))
}

fn strip(images: &Images<'_>, slice: usize, size: [u32; 2]) -> Canvas {
    let mut strip = Canvas::new(3 * (size[0] + GAP) + GAP, size[1] + CAPTION + FOOT_HEIGHT + GAP);
    let real = images.real.index_axis(Axis(2), slice);
    let synthetic = images.synthetic.index_axis(Axis(2), slice);
    let error = (&synthetic - &real).mapv(f32::abs);
    let cells = [
        (format!("real, slice {slice}"), real, Content::Real),
        ("synthetic".to_owned(), synthetic, Content::Synthetic),
        ("error".to_owned(), error.view(), Content::Error(FULL_ERROR * images.white)),
    ];
    for (place, (caption, pixels, content)) in cells.into_iter().enumerate() {
        let left = GAP + place as u32 * (size[0] + GAP);
        let room = (size[0] / Letters::Small.size()[0]) as usize;
        let caption: String = caption.chars().take(room).collect();
        strip.text((left as i32, 2), Anchor::TopLeft, Letters::Small, WHITE, false, &caption);
        draw_slice(&mut strip, left, size, pixels, content, images.white);
        let foot = (left, CAPTION + size[1] + 1);
        match content {
            Content::Real => {}
            Content::Synthetic => synthetic_word(&mut strip, foot, size[0]),
            Content::Error(full) => {
                heat_bar(&mut strip, foot, size[0], &super::text::short(f64::from(full), 3));
            }
        }
    }
    strip
}

fn draw_slice(
    strip: &mut Canvas,
    left: u32,
    [width, height]: [u32; 2],
    pixels: ArrayView2<'_, f32>,
    content: Content,
    white: f32,
) {
    let (columns, rows) = pixels.dim();
    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
        // Front up, and the patient's right on the left: both axes are turned round.
        let column = columns - 1 - x as usize * columns / width as usize;
        let row = rows - 1 - y as usize * rows / height as usize;
        let colour = match (pixels.get((column, row)), content) {
            (Some(value), Content::Error(full)) => heat(value / full),
            (Some(value), _) => grey(value / white),
            (None, _) => NOT_FINITE,
        };
        strip.set((left + x) as i32, (CAPTION + y) as i32, colour);
    }
    let marks = Marks { letters: ["R", "L", "A"], burnt: None };
    marks.draw(strip, (left as i32, CAPTION as i32), [width as i32, height as i32]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use mrisynth_picture::{Colour, SYNTHETIC_COLOUR};
    use ndarray::Array3;

    /// Width, and the pixels of a PNG file.
    fn decoded(file: &Png) -> (usize, Vec<Colour>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file.bytes())).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut bytes).unwrap();
        (frame.width as usize, bytes.chunks(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect())
    }

    fn drawn(change: impl Fn(&mut Array3<f32>), spacing: [f64; 3]) -> Result<Png> {
        let real = Array3::from_elem((64, 64, 11), 0.2_f32);
        let mut synthetic = real.clone();
        change(&mut synthetic);
        let brain = Array3::from_elem(real.dim(), true);
        let views = (real.view(), synthetic.view(), brain.view());
        let images = Images { real: views.0, synthetic: views.1, brain: views.2, spacing, white: 1.0 };
        draw("<x>", &images)
    }

    fn count(pixels: &[Colour], colour: Colour) -> usize {
        pixels.iter().filter(|pixel| **pixel == colour).count()
    }

    #[test]
    fn errors_are_coloured_and_the_synthetic_image_is_marked() {
        // An error of 0.1 is a third of what is white: pure red.
        let file = drawn(|image| image.fill(0.3), [1.0; 3]).unwrap();
        let (width, pixels) = decoded(&file);
        assert!(count(&pixels, [255, 0, 0]) > 4 * 250 * 250);
        assert!(count(&pixels, [51; 3]) > 4 * 250 * 250 && count(&pixels, [77; 3]) > 4 * 250 * 250);
        let marked: Vec<usize> =
            (0..pixels.len()).filter(|at| pixels[*at] == SYNTHETIC_COLOUR).map(|at| at % width).collect();
        assert!(marked.len() > 400 && marked.iter().all(|x| (272..528).contains(x)), "in the second column");
        assert_eq!(file, drawn(|image| image.fill(0.3), [1.0; 3]).unwrap());
    }

    #[test]
    fn the_patients_right_is_on_the_left_and_the_front_is_up() {
        let change = |image: &mut Array3<f32>| {
            // To the right, in front.
            image.slice_mut(ndarray::s![56..60, 50..54, ..]).fill(1.0);
            image.slice_mut(ndarray::s![.., .., 9..]).fill(0.2);
        };
        let (width, pixels) = decoded(&drawn(change, [1.0; 3]).unwrap());
        // Slices are enlarged by 4; below the head each strip is so high.
        let (strip, head) = (303, pixels.len() / width - 4 * 303);
        let in_square = |at: usize| {
            let (x, y) = (at % width, at / width);
            let inside = y >= head && (40..56).contains(&((y - head) % strip).wrapping_sub(17));
            inside && x >= 272 && (16..32).contains(&(x - 272))
        };
        let white = (0..pixels.len()).filter(|at| in_square(*at) && pixels[*at] == WHITE).count();
        assert_eq!(white, 4 * 16 * 16);
    }

    #[test]
    fn what_is_no_number_shows_and_bad_images_are_refused() {
        let (_, pixels) = decoded(&drawn(|image| image.fill(f32::NAN), [1.0; 3]).unwrap());
        assert!(count(&pixels, NOT_FINITE) > 8 * 250 * 250);
        assert!(drawn(|_| {}, [0.0, 1.0, 1.0]).is_err());
        let (flat, _) = decoded(&drawn(|_| {}, [1.0, 0.5, 1.0]).unwrap());
        assert_eq!(flat, 3 * 264 + 8, "twice as wide as high");
        let (real, brain) = (Array3::<f32>::zeros((4, 4, 2)), Array3::from_elem((4, 4, 2), false));
        let (real, brain) = (real.view(), brain.view());
        let images = Images { real, synthetic: real, brain, spacing: [1.0; 3], white: 1.0 };
        assert!(draw("", &images).unwrap_err().to_string().contains("without brain"));
        let other = Array3::zeros((4, 5, 2));
        let images = Images { synthetic: other.view(), ..images };
        assert!(draw("", &images).unwrap_err().to_string().contains("[4, 5, 2]"));
    }
}
