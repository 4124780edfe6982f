//! Pictures to look at, as PNG files: a canvas, pages of strips below each other, the marks and the feet of a head's picture.
//!
//! Shared by the commands `mrisynth` (contact sheets) and `mrisynth-train` (sample sheets), and by the evaluation's reports.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
// Nothing that a caller or a file brings may panic; where one of these is shown to be unreachable, it says why.
#![cfg_attr(
    not(test),
    warn(
        clippy::expect_used,
        clippy::panic,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

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
