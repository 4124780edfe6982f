//! Pictures to look at, as PNG files: a canvas, pages of strips below each other, the marks and the feet of a head's picture.
//!
//! Shared by the commands `mrisynth` (contact sheets) and `mrisynth-train` (sample sheets), and by the evaluation's reports.

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod canvas;
mod foot;
mod marks;
mod page;
mod shades;

pub use canvas::{Anchor, Canvas, Colour, Letters, WHITE};
pub use foot::{FOOT_HEIGHT, heat_bar, synthetic_word};
pub use marks::{LETTER_COLOUR, Marks, SYNTHETIC_COLOUR};
pub use page::{GAP, Page};
pub use shades::{DISTINCT_COLOURS, NOT_FINITE, NOTE_COLOUR, grey, heat};
