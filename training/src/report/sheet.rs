//! The sample sheet: what the networks make of some slices, as one PNG file to look at.

use mrisynth_picture::{
    Anchor, Canvas, Colour, FOOT_HEIGHT, GAP, Letters, Marks, NOT_FINITE, NOTE_COLOUR, Page, WHITE, grey,
    heat, heat_bar, synthetic_word,
};
use ndarray::ArrayView2;

use crate::error::Error;

/// Pictures are enlarged, by a whole number, to about so many pixels along their longer side.
const LARGE: usize = 256;
/// The line above a picture.
const CAPTION_HEIGHT: u32 = 17;
/// The largest sheet that is drawn, in pixels.
const MAXIMUM_PIXELS: u64 = 1 << 26;
/// The narrowest sheet, so that a title has room.
const LEAST_WIDTH: u32 = 400;

/// What a picture shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content {
    /// What a scanner has seen, in grey.
    Acquired,
    /// What a network made, in grey, with the word SYNTHETIC below.
    Synthetic,
    /// A difference, from black by red and yellow to white, which is `full` and more; a bar below says so.
    Difference {
        /// What is white.
        full: f32,
    },
}

/// An axial slice with its caption.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// What it is, such as `real T1w`.
    pub caption: &'a str,
    /// 0..1; rows from back to front, columns from left to right.
    pub pixels: ArrayView2<'a, f32>,
    /// What it shows.
    pub content: Content,
}

/// How a sheet is set.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    /// The first line.
    pub title: &'a str,
    /// A line below it, where there is more to say.
    pub note: Option<&'a str>,
    /// Pictures are enlarged, by a whole number, to about so many pixels along their longer side.
    pub longer_side: usize,
}

impl Layout<'_> {
    fn zoom(&self, picture: &Picture<'_>) -> u32 {
        let longer = picture.pixels.nrows().max(picture.pixels.ncols()).max(1);
        // Rounded to the nearest whole number.
        ((self.longer_side + longer / 2) / longer).max(1) as u32
    }

    /// Width and height of a picture on the sheet, caption and foot not included.
    fn size(&self, picture: &Picture<'_>) -> [u32; 2] {
        let zoom = self.zoom(picture);
        [picture.pixels.ncols(), picture.pixels.nrows()].map(|length| length as u32 * zoom)
    }

    fn row_width(&self, row: &[Picture<'_>]) -> u64 {
        u64::from(GAP) + row.iter().map(|picture| u64::from(self.size(picture)[0] + GAP)).sum::<u64>()
    }

    fn row_height(&self, row: &[Picture<'_>]) -> u32 {
        let has_foot = row.iter().any(|picture| picture.content != Content::Acquired);
        let foot = if has_foot { FOOT_HEIGHT } else { 0 };
        row.iter().map(|picture| self.size(picture)[1]).max().unwrap_or(0) + CAPTION_HEIGHT + foot + GAP
    }

    fn draw(&self, picture: &Picture<'_>, strip: &mut Canvas, left: u32) {
        let ([width, height], zoom) = (self.size(picture), self.zoom(picture));
        let room = (width / Letters::Small.size()[0]) as usize;
        let caption: String = picture.caption.chars().take(room).collect();
        strip.text((left as i32, 2), Anchor::TopLeft, Letters::Small, WHITE, false, &caption);
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            let colour = picture.colour((x / zoom) as usize, (y / zoom) as usize);
            strip.set((left + x) as i32, (CAPTION_HEIGHT + y) as i32, colour);
        }
        let marks = Marks { letters: ["R", "L", "A"], burnt: None };
        marks.draw(strip, (left as i32, CAPTION_HEIGHT as i32), [width as i32, height as i32]);
        let foot = (left, CAPTION_HEIGHT + height + 1);
        match picture.content {
            Content::Acquired => {}
            Content::Synthetic => synthetic_word(strip, foot, width),
            Content::Difference { full } => heat_bar(strip, foot, width, &format!("{full}")),
        }
    }
}

impl Picture<'_> {
    /// The colour of a voxel, counted from the top left of the picture.
    fn colour(&self, across: usize, down: usize) -> Colour {
        let (rows, columns) = self.pixels.dim();
        // Front up, and the patient's right on the left: both axes are turned round.
        let value = rows.checked_sub(down + 1).zip(columns.checked_sub(across + 1));
        match (value.and_then(|(row, column)| self.pixels.get((row, column))), self.content) {
            (Some(value), Content::Difference { full }) => heat(value / full),
            (Some(value), _) => grey(*value),
            (None, _) => NOT_FINITE,
        }
    }
}

/// Draws rows of pictures below a title, as a PNG file; a row is one subject's slice.
///
/// Pictures are in radiological convention: the patient's right on the left, the front up. Values beyond 0..1 are clipped,
/// what is no number is magenta.
///
/// # Errors
/// [`Error::Data`] if the sheet would be larger than any screen.
pub fn draw(title: &str, rows: &[Vec<Picture<'_>>]) -> Result<Vec<u8>, Error> {
    draw_as(&Layout { title, note: None, longer_side: LARGE }, rows)
}

/// Draws rows of pictures in a layout of one's own; like [`draw`] otherwise.
///
/// # Errors
/// Those of [`draw`].
pub fn draw_as(layout: &Layout<'_>, rows: &[Vec<Picture<'_>>]) -> Result<Vec<u8>, Error> {
    let width = rows.iter().map(|row| layout.row_width(row)).max().unwrap_or(0).max(u64::from(LEAST_WIDTH));
    let height: u64 = rows.iter().map(|row| u64::from(layout.row_height(row))).sum();
    if width.saturating_mul(height) > MAXIMUM_PIXELS {
        return Err(Error::Data(format!("a sheet of {width} x {height} pixels is too large to draw")));
    }
    let mut page = Page::new(width as u32);
    page.text(Letters::Large, WHITE, layout.title);
    let convention = "Radiological convention: the patient's right (R) is on the left of a picture.";
    for note in layout.note.into_iter().chain([convention]) {
        page.text(Letters::Small, NOTE_COLOUR, note);
    }
    for row in rows {
        let mut strip = Canvas::new(width as u32, layout.row_height(row));
        let mut left = GAP;
        for picture in row {
            layout.draw(picture, &mut strip, left);
            left += layout.size(picture)[0] + GAP;
        }
        page.strip(strip);
    }
    Ok(page.finish().to_png()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mrisynth_picture::SYNTHETIC_COLOUR;
    use ndarray::Array2;

    /// Width, height, and the pixels of a PNG file.
    fn decoded(file: &[u8]) -> (u32, u32, Vec<Colour>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut bytes).unwrap();
        (frame.width, frame.height, bytes.chunks(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect())
    }

    /// Where the sheet has this colour: the middle, as fractions of the picture that starts at `left`.
    fn middle_of(file: &[u8], colour: Colour) -> (f64, f64) {
        let (width, _, pixels) = decoded(file);
        let at: Vec<usize> = (0..pixels.len()).filter(|&at| pixels[at] == colour).collect();
        let mean = |value: &dyn Fn(usize) -> usize| {
            at.iter().map(|&at| value(at) as f64).sum::<f64>() / at.len() as f64
        };
        (mean(&|at| at % width as usize), mean(&|at| at / width as usize))
    }

    #[test]
    fn the_patients_right_is_on_the_left_and_the_front_is_up() {
        // One voxel in the front (last rows) on the right (last columns), one in the back on the left.
        let mut pixels = Array2::zeros((64, 64));
        pixels[[60, 56]] = 0.2;
        pixels[[8, 12]] = 0.6;
        let picture = Picture { caption: "", pixels: pixels.view(), content: Content::Acquired };
        let file = draw("", &[vec![picture]]).unwrap();
        let (right_front, left_back) = (middle_of(&file, [51; 3]), middle_of(&file, [153; 3]));
        // Enlarged by 4: 44 voxels across and 52 down lie between them.
        assert_eq!(left_back.0 - right_front.0, 4.0 * 44.0);
        assert_eq!(left_back.1 - right_front.1, 4.0 * 52.0);
    }

    #[test]
    fn only_what_networks_made_is_marked() {
        let pixels = Array2::from_elem((100, 100), 0.5);
        let picture = |content| Picture { caption: "T1w", pixels: pixels.view(), content };
        let marked = |row: Vec<Picture<'_>>| {
            let (width, _, pixels) = decoded(&draw("epoch 1", &[row]).unwrap());
            let of = |at: &usize| pixels[*at] == SYNTHETIC_COLOUR;
            let at: Vec<usize> = (0..pixels.len()).filter(of).map(|at| at % width as usize).collect();
            (at.len(), at.into_iter().min().unwrap_or(0))
        };
        assert_eq!(marked(vec![picture(Content::Acquired), picture(Content::Acquired)]).0, 0);
        let (count, first) = marked(vec![picture(Content::Acquired), picture(Content::Synthetic)]);
        assert!(count > 100 && first > 300, "{count} from column {first}");
    }

    #[test]
    fn the_word_hides_nothing_of_the_picture() {
        let pixels = Array2::from_elem((100, 100), 0.2);
        let count = |content| {
            let file = draw("", &[vec![Picture { caption: "", pixels: pixels.view(), content }]]).unwrap();
            decoded(&file).2.iter().filter(|pixel| **pixel == [51; 3]).count()
        };
        assert_eq!(count(Content::Acquired), count(Content::Synthetic));
    }

    #[test]
    fn differences_have_the_colours_that_their_bar_explains() {
        let (third, beyond) = (Array2::from_elem((64, 64), 0.1), Array2::from_elem((64, 64), 0.5));
        let shown = |pixels: &Array2<f32>, is_it: fn(&Colour) -> bool| {
            let content = Content::Difference { full: 0.3 };
            let file = draw("", &[vec![Picture { caption: "", pixels: pixels.view(), content }]]).unwrap();
            decoded(&file).2.iter().filter(|pixel| is_it(pixel)).count()
        };
        assert!(shown(&third, |colour| *colour == [255, 0, 0]) > 240 * 240);
        assert!(shown(&beyond, |colour| *colour == WHITE) > 240 * 240);
        // The bar's own red, and orange.
        let reddish = |colour: &Colour| colour[0] > 200 && colour[1] < 200 && colour[2] == 0;
        assert!(shown(&beyond, reddish) > 100);
        assert_eq!([heat(0.0), heat(2.0 / 3.0), heat(1.0)], [[0; 3], [255, 255, 0], WHITE]);
    }

    #[test]
    fn what_is_no_number_shows_and_odd_sheets_are_drawn() {
        let bad = Array2::from_elem((256, 256), f32::NAN);
        let file = draw("", &[vec![Picture { caption: "", pixels: bad.view(), content: Content::Acquired }]])
            .unwrap();
        assert!(decoded(&file).2.iter().filter(|pixel| **pixel == NOT_FINITE).count() > 250 * 250);
        let empty = Array2::zeros((0, 3));
        let strange = Picture { caption: "\u{3b1}", pixels: empty.view(), content: Content::Synthetic };
        for rows in [vec![], vec![vec![]], vec![vec![strange], vec![]]] {
            assert_eq!(decoded(&draw("a long title ".repeat(20).as_str(), &rows).unwrap()).0, LEAST_WIDTH);
        }
        let wide = Array2::zeros((300, 20_000));
        let picture = Picture { caption: "", pixels: wide.view(), content: Content::Acquired };
        assert!(draw("", &[vec![picture; 20]]).is_err());
    }
}
