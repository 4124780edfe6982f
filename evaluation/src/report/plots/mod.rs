//! Plots as SVG: bars, boxes, Bland-Altman plots and lesion sizes; here is what they share.

pub mod bars;
pub mod bland_altman;
pub mod boxes;
mod columns;
pub mod lesion_sizes;

use mrisynth_picture::DISTINCT_COLOURS;
use plotters::style::RGBColor;

use crate::{Error, Result};

/// The colour of what is real, where synthetic things stand beside it.
const REAL_COLOUR: RGBColor = RGBColor(110, 110, 110);
/// The colour of text and of lines that are no data.
const INK: RGBColor = RGBColor(34, 34, 34);
/// The colour of lines behind the data.
const GRID: RGBColor = RGBColor(224, 224, 224);
/// The family of letters; readers have one.
const LETTERS: &str = "sans-serif";
/// Numbers of a size beyond this are no measures of anything, and scales would overflow.
const LARGEST: f64 = 1e100;

/// A plot, as one `svg` element, drawn by this module: every text in it is escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Svg(String);

impl Svg {
    /// The element.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Two columns whose values were compared by a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// One column, counted from 0.
    pub first: usize,
    /// The other.
    pub second: usize,
    /// What stands above the bracket between them, such as `**`; without it there is no bracket.
    pub stars: String,
}

/// The colour of the method with this number, counted from 0.
fn colour_of(method: usize) -> RGBColor {
    let [red, green, blue] = DISTINCT_COLOURS[method % DISTINCT_COLOURS.len()];
    RGBColor(red, green, blue)
}

fn fault(fault: impl std::fmt::Display) -> Error {
    mrisynth::Error::Internal(format!("a plot could not be drawn: {fault}")).into()
}

/// The number, if it can be drawn.
fn drawable(plot: &str, what: &str, of: &str, value: f64) -> Result<f64> {
    if value.is_finite() && value.abs() <= LARGEST {
        return Ok(value);
    }
    Err(Error::Invalid(format!("the plot {plot:?}: the {what} of {of:?} is {value}, which cannot be drawn")))
}

/// The range with so large a part of it added at each end; one that is no longer than a point gets a length.
fn widened((low, high): (f64, f64), part: f64) -> (f64, f64) {
    let length = high - low;
    let size = low.abs().max(high.abs());
    let room = if length > 1e-9 * size { part * length } else { (0.1 * size).max(1e-6) };
    (low - room, high + room)
}

/// The least and the largest.
fn bounds(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let values = values.into_iter().map(|value| (value, value));
    values.reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))
}

#[cfg(test)]
mod testing {
    //! What tests find in plots.

    use super::Svg;

    /// Attributes by name.
    pub type Element = std::collections::BTreeMap<String, String>;

    /// The elements of this name, and the text in them as `text`.
    pub fn elements(svg: &Svg, name: &str) -> Vec<Element> {
        let document = roxmltree::Document::parse(svg.as_str()).unwrap();
        let found =
            document.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", name)));
        found
            .map(|node| {
                let attributes = node.attributes().map(|of| (of.name().to_owned(), of.value().to_owned()));
                let text = ("text".to_owned(), node.text().unwrap_or("").trim().to_owned());
                attributes.chain([text]).collect()
            })
            .collect()
    }

    /// All texts.
    pub fn texts(svg: &Svg) -> Vec<String> {
        elements(svg, "text").into_iter().map(|text| text["text"].clone()).collect()
    }

    /// Elements of this name filled with this colour.
    pub fn filled(svg: &Svg, name: &str, colour: &str) -> Vec<Element> {
        elements(svg, name).into_iter().filter(|element| element["fill"] == colour).collect()
    }
}
