//! What was measured, as tables, plots, pictures and one self-contained HTML page.
//!
//! Functions of plain data to text or bytes; who calls them writes the files. The same data give the same bytes.

pub mod page;
pub mod panel;
pub mod plots;
pub mod table;
pub(crate) mod text;

pub use page::{Block, Page, Provenance, Section};
pub use panel::Png;
pub use plots::Svg;
pub use table::{Cell, Entry, Row, Table};
