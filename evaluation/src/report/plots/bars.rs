//! Bars with their intervals: the means of several methods, as the paper's Figure 4 has them.

use plotters::element::{PathElement, Rectangle};
use plotters::style::{Color, RGBColor};

use super::columns::{Chart, Columns};
use super::{Comparison, INK, REAL_COLOUR, Svg, bounds, colour_of, drawable, fault, widened};
use crate::{Error, Result};

/// Half the width of a bar, and of the caps of its interval, in columns.
const HALF: f64 = 0.32;
const CAP: f64 = 0.10;

/// The bars of one measure.
#[derive(Clone, Debug, PartialEq)]
pub struct BarChart {
    /// What is written above it.
    pub title: String,
    /// The measure with its unit, such as `PSNR (dB)`.
    pub up: String,
    /// A bar for each method, from left to right.
    pub bars: Vec<Bar>,
    /// Which of them differ.
    pub comparisons: Vec<Comparison>,
}

/// A bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// The method.
    pub name: String,
    /// How high it is.
    pub mean: f64,
    /// Where its interval begins and ends, if there is one.
    pub interval: Option<(f64, f64)>,
    /// Whether it is the real image's own value and no method's: it is grey, and takes no method's colour.
    pub is_real: bool,
}

impl BarChart {
    /// Draws the bars from 0, so that their lengths can be compared.
    ///
    /// # Errors
    /// [`Error::Invalid`] without bars, for numbers that cannot be drawn, for an interval that does not hold its mean, and for
    /// a comparison with a bar that is not there.
    pub fn draw(&self) -> Result<Svg> {
        let mut ends = vec![0.0];
        for bar in &self.bars {
            ends.push(drawable(&self.title, "mean", &bar.name, bar.mean)?);
            if let Some((low, high)) = bar.interval {
                ends.push(drawable(&self.title, "interval", &bar.name, low)?);
                ends.push(drawable(&self.title, "interval", &bar.name, high)?);
                if !(low <= bar.mean && bar.mean <= high) {
                    return Err(Error::Invalid(format!(
                        "the plot {:?}: the interval {low} to {high} of {:?} does not hold its mean, {}",
                        self.title, bar.name, bar.mean
                    )));
                }
            }
        }
        let Some((low, high)) = bounds(ends).filter(|_| !self.bars.is_empty()) else {
            return Err(Error::Invalid(format!("the plot {:?} has no bars", self.title)));
        };
        let wide = widened((low, high), 0.06);
        let range =
            (if low < 0.0 { wide.0 } else { 0.0 }, if high > 0.0 || low == 0.0 { wide.1 } else { 0.0 });
        let names = self.bars.iter().map(|bar| bar.name.as_str()).collect();
        let columns =
            Columns { title: &self.title, up: &self.up, names, comparisons: &self.comparisons, range };
        columns.draw(|chart| {
            let line = [(0.0, 0.0), (self.bars.len() as f64, 0.0)];
            for (column, bar) in self.bars.iter().enumerate() {
                let method = self.bars[..column].iter().filter(|bar| !bar.is_real).count();
                draw_bar(chart, column, bar, if bar.is_real { REAL_COLOUR } else { colour_of(method) })?;
            }
            chart.draw_series([PathElement::new(line, INK)]).map_err(fault).map(|_| ())
        })
    }
}

fn draw_bar(chart: &mut Chart<'_, '_>, column: usize, bar: &Bar, colour: RGBColor) -> Result<()> {
    let middle = column as f64 + 0.5;
    let corners = [(middle - HALF, 0.0), (middle + HALF, bar.mean)];
    chart.draw_series([Rectangle::new(corners, colour.filled())]).map_err(fault)?;
    if let Some((low, high)) = bar.interval {
        let lines = [
            [(middle, low), (middle, high)],
            [(middle - CAP, low), (middle + CAP, low)],
            [(middle - CAP, high), (middle + CAP, high)],
        ];
        let lines = lines.map(|line| PathElement::new(line, INK.stroke_width(2)));
        chart.draw_series(lines).map_err(fault)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{elements, filled, texts};
    use super::*;

    fn chart() -> BarChart {
        let bar = |name: &str, mean| Bar {
            name: name.into(),
            mean,
            interval: Some((mean - 1.0, mean + 1.0)),
            is_real: false,
        };
        let starred = |first, second, stars: &str| Comparison { first, second, stars: stars.into() };
        BarChart {
            title: "T2w to T1w".into(),
            up: "PSNR (dB)".into(),
            bars: vec![bar("CycleGAN", 20.0), bar("<script>", 10.0), bar("Pix2Pix", 30.0)],
            comparisons: vec![
                starred(0, 2, "***"),
                starred(0, 1, "*"),
                starred(2, 1, "**"),
                starred(0, 1, ""),
            ],
        }
    }

    fn attribute(element: &super::super::testing::Element, name: &str) -> f64 {
        element[name].parse().unwrap()
    }

    #[test]
    fn the_real_image_takes_no_methods_colour() {
        let mut chart = chart();
        chart.bars[0].is_real = true;
        let svg = chart.draw().unwrap();
        let left = |colour| attribute(&filled(&svg, "rect", colour)[0], "x");
        assert!(left("#6E6E6E") < left("#0072B2") && left("#0072B2") < left("#D55E00"));
        assert!(filled(&svg, "rect", "#009E73").is_empty());
    }

    #[test]
    fn bars_are_as_long_as_their_means() {
        let svg = chart().draw().unwrap();
        let lengths: Vec<f64> = ["#0072B2", "#D55E00", "#009E73"]
            .iter()
            .map(|colour| {
                let bars = filled(&svg, "rect", colour);
                assert_eq!(bars.len(), 1, "{colour}");
                attribute(&bars[0], "height")
            })
            .collect();
        assert!((lengths[0] / lengths[1] - 2.0).abs() < 0.05, "{lengths:?}");
        assert!((lengths[2] / lengths[1] - 3.0).abs() < 0.07, "{lengths:?}");
        assert!(texts(&svg).iter().any(|text| text == "PSNR (dB)"));
    }

    #[test]
    fn brackets_lie_above_the_values_and_do_not_cross() {
        let svg = chart().draw().unwrap();
        let stars = |text: &str| {
            let found: Vec<_> = elements(&svg, "text").into_iter().filter(|of| of["text"] == text).collect();
            assert_eq!(found.len(), 1, "{text}");
            (attribute(&found[0], "x"), attribute(&found[0], "y"))
        };
        let ([one, two, three], top) = (["*", "**", "***"].map(stars), filled(&svg, "rect", "#009E73"));
        assert_eq!(one.1, two.1, "neighbours share a level");
        assert_eq!(three.1, one.1 - 20.0, "the wide one lies above both");
        assert_eq!(three.0, (one.0 + two.0) / 2.0);
        assert!(one.1 < attribute(&top[0], "y"), "above the highest bar");
        // The bars do not shrink for the brackets.
        let plain = BarChart { comparisons: vec![], ..chart() }.draw().unwrap();
        let height = |svg| attribute(&filled(svg, "rect", "#009E73")[0], "height");
        assert!((height(&plain) - height(&svg)).abs() <= 1.0);
    }

    #[test]
    fn text_is_escaped_and_bytes_are_the_same() {
        let svg = chart().draw().unwrap();
        assert!(!svg.as_str().contains("<script") && texts(&svg).contains(&"<script>".to_owned()));
        assert_eq!(svg, chart().draw().unwrap());
        let mut odd = chart();
        odd.title = "\u{0}".repeat(300);
        assert!(!texts(&odd.draw().unwrap()).is_empty());
    }

    #[test]
    fn odd_values_are_drawn_or_refused_with_a_reason() {
        for means in [vec![0.0], vec![-1.0, 2.0], vec![-3.0, -2.0], vec![1e-30], vec![1e90], vec![1.0; 6]] {
            let bar = |mean: &f64| Bar { name: "a".into(), mean: *mean, interval: None, is_real: false };
            let chart = BarChart { bars: means.iter().map(bar).collect(), comparisons: vec![], ..chart() };
            let svg = chart.draw().unwrap();
            assert!(!svg.as_str().contains("NaN") && !svg.as_str().contains("inf"));
        }
        let fault = |change: fn(&mut BarChart)| {
            let mut chart = chart();
            change(&mut chart);
            chart.draw().unwrap_err().to_string()
        };
        assert!(fault(|chart| chart.bars[0].mean = f64::NAN).contains("the mean of \"CycleGAN\" is NaN"));
        assert!(fault(|chart| chart.bars[2].interval = Some((1.0, f64::INFINITY))).contains("inf"));
        assert!(fault(|chart| chart.bars[2].interval = Some((1.0, 2.0))).contains("does not hold its mean"));
        assert!(fault(|chart| chart.comparisons[0].second = 3).contains("cannot be compared"));
        assert!(fault(|chart| chart.bars.clear()).contains("no bars"));
    }
}
