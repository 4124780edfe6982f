//! Box plots with every value as a point.

use plotters::element::{Circle, PathElement, Rectangle};
use plotters::style::Color;

use super::columns::{Chart, Columns};
use super::{Comparison, INK, Svg, bounds, colour_of, drawable, fault, widened};
use crate::statistics::describe::quantile_of_sorted;
use crate::statistics::sample::sorted;
use crate::{Error, Result};

/// Half the width of a box, of the caps of its whiskers and of the band of points, in columns.
const HALF: f64 = 0.30;
const CAP: f64 = 0.14;
const BAND: f64 = 0.20;
/// Whiskers reach to the farthest value within so many interquartile ranges of the box (Tukey).
const REACH: f64 = 1.5;
/// The golden ratio's fraction: its multiples, modulo 1, spread points evenly for any number of them.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// The boxes of one measure.
#[derive(Clone, Debug, PartialEq)]
pub struct BoxPlot {
    /// What is written above it.
    pub title: String,
    /// The measure with its unit, such as `HD95 (mm)`.
    pub up: String,
    /// A box for each method, from left to right.
    pub groups: Vec<Group>,
    /// Which of them differ.
    pub comparisons: Vec<Comparison>,
}

/// The values of one method.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The method.
    pub name: String,
    /// One value a subject; a group may be empty.
    pub values: Vec<f64>,
}

/// The five numbers of a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Where the lower whisker ends: the least value within 1.5 interquartile ranges of the box.
    pub low: f64,
    /// The quartiles, interpolated linearly between values (Hyndman and Fan 1996, type 7, NumPy's default).
    pub quartiles: [f64; 3],
    /// Where the upper whisker ends.
    pub high: f64,
}

impl Summary {
    /// Of finite values; none of no values.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.is_empty() {
            return None;
        }
        let sorted = sorted(values);
        let quartiles = [0.25, 0.5, 0.75].map(|share| quantile_of_sorted(&sorted, share));
        let reach = REACH * (quartiles[2] - quartiles[0]);
        let near = |value: &f64| quartiles[0] - reach <= *value && *value <= quartiles[2] + reach;
        let within = bounds(sorted.iter().copied().filter(near)).unwrap_or((quartiles[0], quartiles[2]));
        // An interpolated quartile may lie beyond every value that is near.
        Some(Self { low: within.0.min(quartiles[0]), quartiles, high: within.1.max(quartiles[2]) })
    }
}

impl BoxPlot {
    /// Draws the boxes.
    ///
    /// # Errors
    /// [`Error::Invalid`] without values, for numbers that cannot be drawn, and for a comparison with a group that is not
    /// there.
    pub fn draw(&self) -> Result<Svg> {
        let mut all = Vec::new();
        for group in &self.groups {
            for value in &group.values {
                all.push(drawable(&self.title, "value", &group.name, *value)?);
            }
        }
        let Some(range) = bounds(all) else {
            return Err(Error::Invalid(format!("the plot {:?} has no values", self.title)));
        };
        let names = self.groups.iter().map(|group| group.name.as_str()).collect();
        let range = widened(range, 0.06);
        let columns =
            Columns { title: &self.title, up: &self.up, names, comparisons: &self.comparisons, range };
        columns.draw(|chart| {
            self.groups.iter().enumerate().try_for_each(|(column, group)| draw_group(chart, column, group))
        })
    }
}

fn draw_group(chart: &mut Chart<'_, '_>, column: usize, group: &Group) -> Result<()> {
    let Some(summary) = Summary::of(&group.values) else {
        return Ok(());
    };
    let (middle, colour) = (column as f64 + 0.5, colour_of(column));
    let [lower, median, upper] = summary.quartiles;
    let corners = [(middle - HALF, lower), (middle + HALF, upper)];
    chart.draw_series([Rectangle::new(corners, colour.mix(0.25).filled())]).map_err(fault)?;
    chart.draw_series([Rectangle::new(corners, colour.stroke_width(2))]).map_err(fault)?;
    let across = |half: f64, at: f64| [(middle - half, at), (middle + half, at)];
    let thin = [
        [(middle, summary.low), (middle, lower)],
        [(middle, upper), (middle, summary.high)],
        across(CAP, summary.low),
        across(CAP, summary.high),
    ];
    chart.draw_series(thin.map(|line| PathElement::new(line, INK))).map_err(fault)?;
    chart.draw_series([PathElement::new(across(HALF, median), INK.stroke_width(3))]).map_err(fault)?;
    let points = group.values.iter().enumerate().map(|(index, value)| {
        let aside = 2.0 * (((index + 1) as f64 * GOLDEN).fract() - 0.5) * BAND;
        Circle::new((middle + aside, *value), 3, colour.filled())
    });
    chart.draw_series(points).map_err(fault)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{elements, filled};
    use super::*;

    fn plot() -> BoxPlot {
        let group = |name: &str, values: &[f64]| Group { name: name.into(), values: values.to_vec() };
        BoxPlot {
            title: "lesions".into(),
            up: "HD95 (mm)".into(),
            groups: vec![
                group("a", &[1.0, 2.0, 3.0, 4.0, 20.0]),
                group("b", &[5.0; 4]),
                group("none & nothing", &[]),
            ],
            comparisons: vec![],
        }
    }

    #[test]
    fn the_summary_is_tukeys() {
        // numpy.percentile([1, 2, 3, 4, 20], [25, 50, 75]) is 2, 3, 4; the whiskers end within 2 - 3 and 4 + 3.
        let summary = Summary::of(&[20.0, 1.0, 3.0, 2.0, 4.0]).unwrap();
        assert_eq!(summary, Summary { low: 1.0, quartiles: [2.0, 3.0, 4.0], high: 4.0 });
        // numpy.percentile([1, 2, 3, 10], [25, 50, 75]) is 1.75, 2.5, 4.75; the upper limit 9.25 leaves out 10.
        let summary = Summary::of(&[1.0, 2.0, 3.0, 10.0]).unwrap();
        assert_eq!(summary, Summary { low: 1.0, quartiles: [1.75, 2.5, 4.75], high: 4.75 });
        assert_eq!(Summary::of(&[7.0]).unwrap(), Summary { low: 7.0, quartiles: [7.0; 3], high: 7.0 });
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn every_value_is_a_point_and_every_group_a_box() {
        let svg = plot().draw().unwrap();
        assert_eq!(filled(&svg, "circle", "#0072B2").len(), 5);
        assert_eq!(filled(&svg, "circle", "#D55E00").len(), 4);
        assert_eq!(elements(&svg, "circle").len(), 9);
        assert_eq!(filled(&svg, "rect", "#0072B2").len(), 1);
        assert_eq!(svg, plot().draw().unwrap());
        // Higher values lie higher.
        let heights: Vec<f64> =
            filled(&svg, "circle", "#0072B2").iter().map(|point| point["cy"].parse().unwrap()).collect();
        assert!(heights.windows(2).all(|pair| pair[0] > pair[1]), "{heights:?}");
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let mut bad = plot();
        bad.groups[0].values[1] = f64::NEG_INFINITY;
        assert!(bad.draw().unwrap_err().to_string().contains("the value of \"a\" is -inf"));
        bad.groups.iter_mut().for_each(|group| group.values.clear());
        assert!(bad.draw().unwrap_err().to_string().contains("no values"));
    }
}
