//! Columns side by side on one scale, with their names below and brackets with stars above: the frame of bars and boxes.

use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{PathElement, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, TextStyle, WHITE};

use super::{Comparison, GRID, INK, LETTERS, Svg, fault};
use crate::report::text;
use crate::{Error, Result};

/// Pixels for a column.
const COLUMN: u32 = 92;
/// The narrowest plot, so that a title has room.
const LEAST_WIDTH: u32 = 320;
/// Pixels for the values themselves.
const BODY: u32 = 230;
const TITLE: u32 = 30;
const MARGIN: u32 = 10;
const SCALE: u32 = 64;
/// Room above and below the names, and for a line of them.
const NAMES: u32 = 14;
const NAME_LINE: u32 = 15;
const MOST_LINES: usize = 3;
/// Pixels from one bracket to the next above it, and of its ends.
const LEVEL: u32 = 20;
const END: i32 = 5;
/// Pixels for a letter of a column's name and of a title.
const NAME_LETTER: u32 = 7;
const TITLE_LETTER: u32 = 8;

/// A chart whose column n is centred at n + 0.5.
pub(super) type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// What the frame says.
pub(super) struct Columns<'a> {
    pub title: &'a str,
    /// The quantity up, with its unit.
    pub up: &'a str,
    pub names: Vec<&'a str>,
    pub comparisons: &'a [Comparison],
    /// The values reach from here to there.
    pub range: (f64, f64),
}

impl Columns<'_> {
    /// Draws the frame, and into it what `values` draws.
    pub fn draw(&self, values: impl FnOnce(&mut Chart<'_, '_>) -> Result<()>) -> Result<Svg> {
        let brackets = self.brackets()?;
        let above = brackets.iter().map(|(level, _)| level + 1).max().unwrap_or(0) * LEVEL;
        let count = self.names.len();
        let width = (SCALE + 2 * MARGIN + COLUMN * count as u32).max(LEAST_WIDTH);
        let names: Vec<Vec<String>> =
            self.names.iter().map(|name| text::lines(name, letters(), MOST_LINES)).collect();
        let below = NAMES + NAME_LINE * names.iter().map(Vec::len).max().unwrap_or(0) as u32;
        let size = (width, TITLE + 2 * MARGIN + below + BODY + above);
        let (low, high) = self.range;
        // The brackets lie above the values, whose heights do not change with their number.
        let top = high + (high - low) * f64::from(above) / f64::from(BODY);
        let mut svg = String::new();
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).map_err(fault)?;
        title(&root, self.title, width)?;
        let mut chart = ChartBuilder::on(&root)
            .margin(MARGIN)
            .margin_top(MARGIN + TITLE)
            .x_label_area_size(below)
            .y_label_area_size(SCALE)
            .build_cartesian_2d(0.0..count as f64, low..top)
            .map_err(fault)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(0)
            .y_labels(7)
            .bold_line_style(GRID)
            .light_line_style(WHITE)
            .axis_style(INK)
            .y_desc(text::clean(self.up))
            .y_label_formatter(&|value| text::short(*value, 4))
            .label_style((LETTERS, 15).into_font().color(&INK))
            .draw()
            .map_err(fault)?;
        values(&mut chart)?;
        write_names(&root, &chart, &names)?;
        let data_top = chart.backend_coord(&(0.0, high)).1;
        for (level, comparison) in &brackets {
            let ends = [comparison.first, comparison.second].map(|column| centre(&chart, column));
            let (left, right) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
            bracket(&root, (left + 5, right - 5), data_top - (level * LEVEL) as i32, &comparison.stars)?;
        }
        root.present().map_err(fault)?;
        drop(chart);
        drop(root);
        Ok(Svg(svg))
    }

    /// The comparisons with stars, each with its level from below: short ones low, none across another.
    fn brackets(&self) -> Result<Vec<(u32, &Comparison)>> {
        let ends = |of: &Comparison| (of.first.min(of.second), of.first.max(of.second));
        let mut sorted: Vec<&Comparison> =
            self.comparisons.iter().filter(|of| !of.stars.is_empty()).collect();
        for comparison in &sorted {
            let (first, second) = ends(comparison);
            if first == second || second >= self.names.len() {
                return Err(Error::Invalid(format!(
                    "the plot {:?}: columns {first} and {second} of {} cannot be compared",
                    self.title,
                    self.names.len()
                )));
            }
        }
        sorted.sort_by_key(|of| (ends(of).1 - ends(of).0, ends(of)));
        let mut placed: Vec<(u32, &Comparison)> = Vec::new();
        for comparison in sorted {
            let (first, second) = ends(comparison);
            let crosses = |of: &Comparison| first < ends(of).1 && ends(of).0 < second;
            let highest = placed.iter().filter(|(_, of)| crosses(of)).map(|(level, _)| level + 1).max();
            placed.push((highest.unwrap_or(0), comparison));
        }
        Ok(placed)
    }
}

/// Letters of a line of a column's name.
fn letters() -> usize {
    (COLUMN / NAME_LETTER) as usize
}

fn write_names(root: &Area<'_>, chart: &Chart<'_, '_>, names: &[Vec<String>]) -> Result<()> {
    let bottom = chart.plotting_area().get_pixel_range().1.end;
    for (column, lines) in names.iter().enumerate() {
        for (line, part) in lines.iter().enumerate() {
            let place = (centre(chart, column), bottom + 8 + NAME_LINE as i32 * line as i32);
            root.draw(&Text::new(part.clone(), place, style(14, HPos::Center, VPos::Top))).map_err(fault)?;
        }
    }
    Ok(())
}

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Letters of so many pixels, and where they lie about their point.
pub(super) fn style(size: u32, across: HPos, up: VPos) -> TextStyle<'static> {
    (LETTERS, size).into_font().color(&INK).pos(Pos::new(across, up))
}

/// Writes the title of a plot of this width, cut where it is too long.
pub(super) fn title(root: &Area<'_>, title: &str, width: u32) -> Result<()> {
    let line = text::lines(title, (width / TITLE_LETTER) as usize, 1).into_iter().next().unwrap_or_default();
    let place = ((width / 2) as i32, MARGIN as i32);
    root.draw(&Text::new(line, place, style(19, HPos::Center, VPos::Top))).map_err(fault)
}

fn centre(chart: &Chart<'_, '_>, column: usize) -> i32 {
    chart.backend_coord(&(column as f64 + 0.5, 0.0)).0
}

fn bracket(root: &Area<'_>, (left, right): (i32, i32), height: i32, stars: &str) -> Result<()> {
    let path = [(left, height + END), (left, height), (right, height), (right, height + END)];
    root.draw(&PathElement::new(path, INK.stroke_width(1))).map_err(fault)?;
    let place = ((left + right) / 2, height + 2);
    root.draw(&Text::new(text::clean(stars), place, style(17, HPos::Center, VPos::Bottom))).map_err(fault)
}
