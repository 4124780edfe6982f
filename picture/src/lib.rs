//! Pictures to look at, as PNG files: a canvas, pages of strips below each other, and the marks of a head's picture.
//!
//! Shared by the commands `mrisynth` (contact sheets) and `mrisynth-train` (sample sheets).

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod canvas;
mod marks;
mod page;

pub use canvas::{Anchor, Canvas, Colour, Letters, WHITE};
pub use marks::{LETTER_COLOUR, Marks, SYNTHETIC_COLOUR};
pub use page::{GAP, Page};
