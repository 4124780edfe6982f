//! What stands below a picture: the word where it is synthetic, the bar that explains the colours of an error.

use crate::shades::{NOTE_COLOUR, heat};
use crate::{Anchor, Canvas, Letters, SYNTHETIC_COLOUR};

/// How much room the foot of a picture takes, in pixels.
pub const FOOT_HEIGHT: u32 = 22;
/// How high the bar is, and how far below the foot's top it begins.
const BAR_HEIGHT: u32 = 10;
const BAR_TOP: u32 = 4;

/// Writes SYNTHETIC below what no scanner has seen: not in the picture, where it would hide what lies at the back. The foot's
/// top left corner is at (left, top).
pub fn synthetic_word(canvas: &mut Canvas, (left, top): (u32, u32), width: u32) {
    let word = "SYNTHETIC";
    let room = width >= Letters::Large.size()[0] * word.len() as u32;
    let letters = if room { Letters::Large } else { Letters::Small };
    let place = ((left + width / 2) as i32, top as i32);
    canvas.text(place, Anchor::TopCentre, letters, SYNTHETIC_COLOUR, true, word);
}

/// Draws what the colours of an error mean: a bar of [`heat`] from 0 to `full`, which is a number.
pub fn heat_bar(canvas: &mut Canvas, (left, top): (u32, u32), width: u32, full: &str) {
    let letter = Letters::Small.size()[0];
    let (start, end) = (2 * letter, width.saturating_sub((full.chars().count() as u32 + 1) * letter));
    let top = top + BAR_TOP;
    let middle = (top + BAR_HEIGHT / 2) as i32;
    canvas.text((left as i32, middle), Anchor::MiddleLeft, Letters::Small, NOTE_COLOUR, false, "0");
    let at_right = (left + width).saturating_sub(1) as i32;
    canvas.text((at_right, middle), Anchor::MiddleRight, Letters::Small, NOTE_COLOUR, false, full);
    for x in start..end {
        let colour = heat((x - start) as f32 / (end - start) as f32);
        (0..BAR_HEIGHT).for_each(|y| canvas.set((left + x) as i32, (top + y) as i32, colour));
    }
}
