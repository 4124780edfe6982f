//! What every picture of a head carries: the letters that say which side is which, and a word where it is synthetic.

use crate::{Anchor, Canvas, Colour, Letters};

/// The colour of the word burnt into every picture of what no scanner has seen.
pub const SYNTHETIC_COLOUR: Colour = [255, 80, 80];
/// The colour of the letters at a picture's edges.
pub const LETTER_COLOUR: Colour = [120, 220, 255];

/// The marks of one picture.
#[derive(Clone, Copy, Debug)]
pub struct Marks<'a> {
    /// What lies to the left, to the right and at the top of the picture.
    pub letters: [&'a str; 3],
    /// A word burnt into the picture.
    pub burnt: Option<&'a str>,
}

impl Marks<'_> {
    /// Draws the marks onto the picture whose top left corner is at (left, top).
    pub fn draw(&self, canvas: &mut Canvas, (left, top): (i32, i32), [width, height]: [i32; 2]) {
        let [at_left, at_right, above] = self.letters;
        let (middle, centre) = (top + height / 2, left + width / 2);
        let mut write = |place, anchor, text| {
            canvas.text(place, anchor, Letters::Medium, LETTER_COLOUR, true, text);
        };
        write((left, middle), Anchor::MiddleLeft, at_left);
        write((left + width - 1, middle), Anchor::MiddleRight, at_right);
        write((centre, top), Anchor::TopCentre, above);
        if let Some(word) = self.burnt {
            let room = |letters: Letters| width as u32 >= letters.size()[0] * word.len() as u32;
            let letters = if room(Letters::Large) { Letters::Large } else { Letters::Small };
            let place = (centre, top + height - 1);
            canvas.text(place, Anchor::BottomCentre, letters, SYNTHETIC_COLOUR, true, word);
        }
    }
}
