//! Lesion sizes as a histogram: how many lesions of each size are in real images and in synthetic ones.

use plotters::backend::SVGBackend;
use plotters::chart::ChartBuilder;
use plotters::drawing::IntoDrawingArea;
use plotters::element::{Rectangle, Text};
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, IntoFont, RGBColor, WHITE};

use super::columns::{self, Area, style};
use super::{GRID, INK, LETTERS, REAL_COLOUR, Svg, colour_of, fault};
use crate::lesions::sizes::SizeBins;
use crate::report::text;
use crate::{Error, Result};

const SIZE: (u32, u32) = (820, 380);
const TITLE: u32 = 40;
/// Height of a line of the legend.
const LEGEND: u32 = 22;
/// The share of a bin that its bars fill.
const FILLED: f64 = 0.84;
/// Where the legend begins, and pixels for a letter of it and for a colour.
const LEFT: i32 = 70;
const LETTER: i32 = 8;
const SWATCH: i32 = 30;
/// Letters of a name in the legend.
const NAME_LETTERS: usize = 40;

/// Lesions of each size.
#[derive(Clone, Debug, PartialEq)]
pub struct LesionSizes {
    /// What is written above it.
    pub title: String,
    /// The bins; those of [`SizeBins::default`] are of equal width on a logarithmic scale, two a decade.
    pub bins: SizeBins,
    /// Lesions of the real images in each bin.
    pub real: Vec<usize>,
    /// Lesions of each method's synthetic images.
    pub synthetic: Vec<Counts>,
}

/// One method's lesions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The method.
    pub name: String,
    /// In each bin.
    pub counts: Vec<usize>,
}

impl LesionSizes {
    /// Draws bins of equal width, in each a bar for the real images and one for each method.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a count is missing or there is one too many.
    pub fn draw(&self) -> Result<Svg> {
        let bounds = self.bins.lower_bounds_mm3();
        let mut series: Vec<(&str, &[usize], RGBColor)> = vec![("real", &self.real, REAL_COLOUR)];
        let synthetic = self.synthetic.iter().enumerate();
        series.extend(synthetic.map(|(method, of)| (of.name.as_str(), &of.counts[..], colour_of(method))));
        if let Some((name, counts, _)) = series.iter().find(|(_, counts, _)| counts.len() != bounds.len()) {
            return Err(Error::Invalid(format!(
                "the plot {:?}: {name:?} has {} counts for {} sizes",
                self.title,
                counts.len(),
                bounds.len()
            )));
        }
        let names: Vec<(String, RGBColor)> =
            series.iter().map(|(name, _, colour)| (legend_name(name), *colour)).collect();
        let legend = legend_places(&names);
        let lines = legend.last().map_or(1, |(_, line)| line + 1);
        let head_height = TITLE + LEGEND * lines;
        let mut svg = String::new();
        let root = SVGBackend::with_string(&mut svg, (SIZE.0, SIZE.1 + head_height)).into_drawing_area();
        root.fill(&WHITE).map_err(fault)?;
        let (head, body) = root.split_vertically(head_height);
        columns::title(&head, &self.title, SIZE.0)?;
        draw_legend(&head, &names, &legend)?;
        draw_bars(&body, bounds, &series)?;
        root.present().map_err(fault)?;
        drop((root, head, body));
        Ok(Svg(svg))
    }
}

fn legend_name(name: &str) -> String {
    text::lines(name, NAME_LETTERS, 1).into_iter().next().unwrap_or_default()
}

/// Across in pixels, and the line.
fn legend_places(names: &[(String, RGBColor)]) -> Vec<(i32, u32)> {
    let (mut across, mut line) = (LEFT, 0);
    names
        .iter()
        .map(|(name, _)| {
            let width = SWATCH + LETTER * name.chars().count() as i32;
            if across > LEFT && across + width > SIZE.0 as i32 {
                (across, line) = (LEFT, line + 1);
            }
            let place = (across, line);
            across += width;
            place
        })
        .collect()
}

fn draw_legend(head: &Area<'_>, names: &[(String, RGBColor)], places: &[(i32, u32)]) -> Result<()> {
    for ((name, colour), (across, line)) in names.iter().zip(places) {
        let up = (TITLE + LEGEND * line) as i32;
        let swatch = Rectangle::new([(*across, up), (across + 12, up + 12)], colour.filled());
        head.draw(&swatch).map_err(fault)?;
        let place = (across + 17, up + 6);
        head.draw(&Text::new(name.clone(), place, style(16, HPos::Left, VPos::Center))).map_err(fault)?;
    }
    Ok(())
}

fn draw_bars(body: &Area<'_>, bounds: &[f64], series: &[(&str, &[usize], RGBColor)]) -> Result<()> {
    let most = series.iter().flat_map(|(_, counts, _)| *counts).max().copied().unwrap_or(0).max(1);
    let mut chart = ChartBuilder::on(body)
        .margin(10)
        .x_label_area_size(58)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..bounds.len() as f64, 0.0..most as f64 * 1.05)
        .map_err(fault)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_labels(if most < 6 { most + 1 } else { 7 })
        .bold_line_style(GRID)
        .light_line_style(WHITE)
        .axis_style(INK)
        .y_desc("number of lesions")
        .y_label_formatter(&|value| text::short(*value, 4))
        .label_style((LETTERS, 15).into_font().color(&INK))
        .draw()
        .map_err(fault)?;
    let width = FILLED / series.len() as f64;
    for (index, (_, counts, colour)) in series.iter().enumerate() {
        let bars = counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(bin, count)| {
            let left = bin as f64 + (1.0 - FILLED) / 2.0 + width * index as f64;
            Rectangle::new([(left, 0.0), (left + width, *count as f64)], colour.filled())
        });
        chart.draw_series(bars).map_err(fault)?;
    }
    let (left, top) = body.get_base_pixel();
    let bottom = chart.plotting_area().get_pixel_range().1.end - top;
    let write = |at: f64, down: i32, text: String| {
        let place = (chart.backend_coord(&(at, 0.0)).0 - left, bottom + down);
        body.draw(&Text::new(text, place, style(15, HPos::Center, VPos::Top))).map_err(fault)
    };
    for (bin, bound) in bounds.iter().enumerate() {
        let name = match bounds.get(bin + 1) {
            Some(next) => format!("{} to < {}", text::short(*bound, 4), text::short(*next, 4)),
            None => format!("\u{2265} {}", text::short(*bound, 4)),
        };
        write(bin as f64 + 0.5, 8, name)?;
    }
    write(bounds.len() as f64 / 2.0, 32, "lesion volume (mm\u{b3})".into())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{filled, texts};
    use super::*;

    fn plot() -> LesionSizes {
        LesionSizes {
            title: "sizes".into(),
            bins: SizeBins::new(vec![0.0, 10.0, 100.0]).unwrap(),
            real: vec![4, 8, 2],
            synthetic: vec![
                Counts { name: "<b>".into(), counts: vec![0, 8, 4] },
                Counts { name: "Pix2Pix".into(), counts: vec![1, 1, 1] },
            ],
        }
    }

    #[test]
    fn bars_are_as_high_as_the_counts() {
        let svg = plot().draw().unwrap();
        let heights = |colour: &str| -> Vec<f64> {
            // The first is the legend's.
            filled(&svg, "rect", colour).iter().skip(1).map(|bar| bar["height"].parse().unwrap()).collect()
        };
        let (real, first) = (heights("#6E6E6E"), heights("#0072B2"));
        assert_eq!((real.len(), first.len(), heights("#D55E00").len()), (3, 2, 3));
        assert!((real[1] / real[0] - 2.0).abs() < 0.03 && (real[0] / real[2] - 2.0).abs() < 0.05, "{real:?}");
        assert!((real[1] - first[0]).abs() <= 1.0 && (real[0] - first[1]).abs() <= 1.0);
        let texts = texts(&svg);
        for text in ["0 to < 10", "10 to < 100", "\u{2265} 100", "<b>", "real", "lesion volume (mm\u{b3})"] {
            assert!(texts.iter().any(|found| found == text), "{text}: {texts:?}");
        }
        assert_eq!(svg, plot().draw().unwrap());
    }

    #[test]
    fn counts_must_fit_the_bins_and_may_be_none() {
        let mut plot = plot();
        plot.real = vec![0; 3];
        plot.synthetic.iter_mut().for_each(|of| of.counts = vec![0; 3]);
        assert!(!plot.draw().unwrap().as_str().contains("NaN"));
        plot.synthetic[1].counts.pop();
        assert!(plot.draw().unwrap_err().to_string().contains("\"Pix2Pix\" has 2 counts for 3 sizes"));
    }
}
