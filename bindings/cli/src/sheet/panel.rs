//! One picture of a sheet: a slice, the contours on it, and the letters that say which side is which.

use mrisynth_picture::{Anchor, Canvas, Colour, Letters, Marks, WHITE};

use super::view::View;

/// A region whose edge is drawn: which places, in fractional voxel indices, are inside.
pub type Region<'a> = (&'a dyn Fn([f64; 3]) -> bool, Colour);

/// A slice to draw.
#[derive(Clone, Copy)]
pub struct Panel<'a> {
    pub view: View,
    pub slice: usize,
    /// What is written above it.
    pub title: &'a str,
    /// The colour of a place, in fractional voxel indices.
    pub colour: &'a dyn Fn([f64; 3]) -> Colour,
    pub contours: &'a [Region<'a>],
    /// A word burnt into the picture.
    pub burnt: Option<&'a str>,
}

/// Height of the line above a panel.
pub const TITLE_HEIGHT: u32 = 17;

impl Panel<'_> {
    /// Width and height of the picture in pixels.
    pub fn pixels(&self, pixels_per_millimetre: f64) -> [u32; 2] {
        self.view.millimetres().map(|length| ((length * pixels_per_millimetre).round() as u32).max(1))
    }

    /// Draws the panel with its top left corner, title included, at (x, y).
    pub fn draw(&self, canvas: &mut Canvas, (left, top): (i32, i32), pixels_per_millimetre: f64) {
        let title = [left, top].map(|place| place + 1);
        canvas.text((title[0], title[1]), Anchor::TopLeft, Letters::Small, WHITE, false, self.title);
        let top = top + TITLE_HEIGHT as i32;
        let [width, height] = self.pixels(pixels_per_millimetre);
        let place = |x: u32, y: u32| {
            let at = [x, y].map(|pixel| (f64::from(pixel) + 0.5) / pixels_per_millimetre);
            self.view.index(at, self.slice)
        };
        for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
            canvas.set(left + x as i32, top + y as i32, (self.colour)(place(x, y)));
        }
        for (region, colour) in self.contours {
            let inside: Vec<bool> = (0..height)
                .flat_map(|y| (0..width).map(move |x| (x, y)))
                .map(|(x, y)| region(place(x, y)))
                .collect();
            for (x, y) in edge(&inside, width, height) {
                canvas.set(left + x as i32, top + y as i32, *colour);
            }
        }
        Marks { letters: self.view.plane().letters(), burnt: self.burnt }.draw(
            canvas,
            (left, top),
            [width as i32, height as i32],
        );
    }
}

/// The pixels inside that touch one outside, or the picture's edge.
fn edge(inside: &[bool], width: u32, height: u32) -> Vec<(u32, u32)> {
    let at = |x: u32, y: u32| {
        x < width && y < height && inside.get((y * width + x) as usize).copied().unwrap_or(false)
    };
    let on_edge = |x: u32, y: u32| {
        let around = [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)];
        at(x, y) && around.into_iter().any(|(x, y)| !at(x, y))
    };
    (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).filter(|(x, y)| on_edge(*x, *y)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mrisynth_picture::{LETTER_COLOUR, SYNTHETIC_COLOUR};

    /// A volume of 40 x 50 x 10 voxels of 1 mm, and an axial view of it.
    fn drawn(panel: impl Fn(View) -> Canvas) -> Vec<[u8; 3]> {
        let affine = mrisynth::Affine::from_sizes([1.0; 3], [0.0; 3]).unwrap();
        let grid = mrisynth::Grid { dims: [40, 50, 10], affine };
        let view = View::new(&grid, &[(0, 39), (0, 49), (0, 9)], super::super::view::Plane::Axial);
        let mut reader =
            png::Decoder::new(std::io::Cursor::new(panel(view).to_png().unwrap())).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut bytes).unwrap();
        bytes.chunks(3).map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect()
    }

    #[test]
    fn a_word_is_burnt_in_and_contours_and_letters_are_drawn() {
        let count = |burnt: Option<&'static str>, colour: Colour| {
            let pixels = drawn(|view| {
                let inside = |index: [f64; 3]| index[0] > 19.5 && index[1] > 24.5;
                let contours: [Region<'_>; 1] = [(&inside, [1, 2, 3])];
                let colour = |_: [f64; 3]| [9; 3];
                let panel = Panel { view, slice: 5, title: "", colour: &colour, contours: &contours, burnt };
                assert_eq!(panel.pixels(2.0), [80, 100]);
                let mut canvas = Canvas::new(80, 100 + TITLE_HEIGHT);
                panel.draw(&mut canvas, (0, 0), 2.0);
                canvas
            });
            pixels.iter().filter(|pixel| **pixel == colour).count()
        };
        assert_eq!(count(None, SYNTHETIC_COLOUR), 0);
        assert!(count(Some("SYNTH"), SYNTHETIC_COLOUR) > 60);
        assert!(count(None, LETTER_COLOUR) > 40);
        // The edge of a quarter of 40 x 50 pixels, less what the letters hide.
        assert!((130..=2 * 40 + 2 * 50).contains(&count(None, [1, 2, 3])));
    }

    #[test]
    fn a_regions_edge_is_its_outermost_pixels() {
        // 4 x 3, with a block of 3 x 3 at the left edge.
        let inside: Vec<bool> = (0..12).map(|pixel| pixel % 4 < 3).collect();
        let mut found = edge(&inside, 4, 3);
        found.sort_unstable();
        assert_eq!(found, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2)]);
        assert!(edge(&[false; 12], 4, 3).is_empty());
    }
}
