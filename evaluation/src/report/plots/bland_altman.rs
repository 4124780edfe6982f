//! Bland-Altman plots: how far synthetic volumes agree with real ones, a panel for each method on common axes.

use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::IntoDrawingArea;
use plotters::element::{Circle, PathElement, Rectangle, Text};
use plotters::series::DashedLineSeries;
use plotters::style::text_anchor::{HPos, VPos};
use plotters::style::{Color, IntoFont, RGBColor, WHITE};
use serde::Serialize;

use super::columns::{self, Area, style};
use super::{GRID, INK, LETTERS, Svg, bounds, colour_of, drawable, fault, widened};
use crate::report::text;
use crate::statistics::distributions::t_quantile;
use crate::statistics::sample;
use crate::{Error, Result};

/// Limits of agreement lie so many standard deviations from the mean difference: 95 % of a normal distribution.
const LIMIT: f64 = 1.96;
/// The share of Student's t distribution below the upper end of a 95 % interval.
const UPPER: f64 = 0.975;
/// Width and height of a panel in pixels, and how many stand side by side.
const PANEL: (u32, u32) = (400, 320);
const PANELS_ACROSS: usize = 3;
const TITLE: u32 = 34;
/// Pixels to the right of a panel, for its numbers.
const NUMBERS: u32 = 84;
/// Bands closer than this many pixels have their numbers pushed apart.
const LINE: i32 = 34;

/// A number with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Where its interval begins and ends.
    pub interval: (f64, f64),
}

/// How far two measurements of the same subjects agree.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// The mean of synthetic less real, with Student's t interval.
    pub mean: Estimate,
    /// The sample's standard deviation of the differences.
    pub standard_deviation: f64,
    /// The lower limit of agreement: the mean less 1.96 standard deviations.
    pub lower: Estimate,
    /// The upper limit of agreement.
    pub upper: Estimate,
}

impl Agreement {
    /// Of pairs (real, synthetic).
    ///
    /// With d the differences, n their number, s their standard deviation and t the 0.975 quantile of Student's distribution
    /// with n - 1 degrees of freedom: the mean's interval is d +/- t s / sqrt(n), and that of a limit d +/- 1.96 s is
    /// +/- t s sqrt(1/n + 1.96^2 / (2 (n - 1))) (Bland and Altman, Statistical Methods in Medical Research 1999, 8:135-160,
    /// section 2.1).
    ///
    /// # Errors
    /// [`Error::Invalid`] for fewer than two pairs or numbers that are not finite.
    pub fn of(pairs: &[(f64, f64)]) -> Result<Self> {
        let count = pairs.len() as f64;
        if pairs.len() < 2 {
            return Err(Error::Invalid(format!(
                "limits of agreement need two subjects or more; there are {}",
                pairs.len()
            )));
        }
        let differences: Vec<f64> = pairs.iter().map(|(real, synthetic)| synthetic - real).collect();
        if let Some(bad) = differences.iter().find(|difference| !difference.is_finite()) {
            return Err(Error::Invalid(format!("limits of agreement of a difference of {bad}")));
        }
        let (mean, variance) = (sample::mean(&differences), sample::variance(&differences));
        let t = t_quantile(UPPER, count - 1.0);
        let estimate = |value: f64, squared_error: f64| {
            let half = t * squared_error.sqrt();
            Estimate { value, interval: (value - half, value + half) }
        };
        let of_limit = variance * (1.0 / count + LIMIT * LIMIT / (2.0 * (count - 1.0)));
        let deviation = variance.sqrt();
        Ok(Self {
            mean: estimate(mean, variance / count),
            standard_deviation: deviation,
            lower: estimate(mean - LIMIT * deviation, of_limit),
            upper: estimate(mean + LIMIT * deviation, of_limit),
        })
    }

    fn lines(&self) -> [(Estimate, &'static str); 3] {
        [(self.upper, "+1.96 SD"), (self.mean, "mean"), (self.lower, "\u{2212}1.96 SD")]
    }
}

/// A Bland-Altman plot of one volume.
#[derive(Clone, Debug, PartialEq)]
pub struct BlandAltman {
    /// What is written above it.
    pub title: String,
    /// The unit of the values, such as `ml`.
    pub unit: String,
    /// A panel for each method.
    pub methods: Vec<Method>,
}

/// The volumes by one method.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// The method.
    pub name: String,
    /// Of each subject: of the real image, of the synthetic one.
    pub pairs: Vec<(f64, f64)>,
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// From where to where both axes go.
type Ranges = ((f64, f64), (f64, f64));

impl BlandAltman {
    /// Draws, for each method, the differences over the means, their mean and limits of agreement as lines, and the 95 %
    /// intervals of these as bands.
    ///
    /// # Errors
    /// [`Error::Invalid`] without methods, for a method with fewer than two subjects, and for numbers that cannot be drawn.
    pub fn draw(&self) -> Result<Svg> {
        let mut agreements = Vec::new();
        for method in &self.methods {
            for (real, synthetic) in &method.pairs {
                drawable(&self.title, "real volume", &method.name, *real)?;
                drawable(&self.title, "synthetic volume", &method.name, *synthetic)?;
            }
            let of_method = |fault| match fault {
                Error::Invalid(text) => {
                    Error::Invalid(format!("the plot {:?}, {}: {text}", self.title, method.name))
                }
                other => other,
            };
            agreements.push(Agreement::of(&method.pairs).map_err(of_method)?);
        }
        let Some(ranges) = self.ranges(&agreements) else {
            return Err(Error::Invalid(format!("the plot {:?} has no methods", self.title)));
        };
        let across = self.methods.len().min(PANELS_ACROSS);
        let down = self.methods.len().div_ceil(across);
        let size = (PANEL.0 * across as u32, TITLE + PANEL.1 * down as u32);
        let mut svg = String::new();
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).map_err(fault)?;
        let (head, body) = root.split_vertically(TITLE);
        columns::title(&head, &self.title, size.0)?;
        let areas = body.split_evenly((down, across));
        for (index, (area, (method, agreement))) in
            areas.iter().zip(self.methods.iter().zip(&agreements)).enumerate()
        {
            self.draw_panel(area, method, agreement, colour_of(index), ranges)?;
        }
        root.present().map_err(fault)?;
        drop((root, head, body, areas));
        Ok(Svg(svg))
    }

    /// Common to all panels, so that they can be compared; none without methods.
    fn ranges(&self, agreements: &[Agreement]) -> Option<Ranges> {
        let pairs = || self.methods.iter().flat_map(|method| &method.pairs);
        let ends = |of: &Agreement| [of.lower.interval.0, of.upper.interval.1];
        let across = bounds(pairs().map(|(real, synthetic)| (real + synthetic) / 2.0))?;
        let differences = pairs().map(|(real, synthetic)| synthetic - real);
        let up = bounds(differences.chain(agreements.iter().flat_map(ends)).chain([0.0]))?;
        Some((widened(across, 0.08), widened(up, 0.06)))
    }

    fn draw_panel(
        &self,
        area: &Area<'_>,
        method: &Method,
        agreement: &Agreement,
        colour: RGBColor,
        (across, up): Ranges,
    ) -> Result<()> {
        let name = text::lines(&method.name, 40, 1).into_iter().next().unwrap_or_default();
        let mut chart = ChartBuilder::on(area)
            .caption(name, (LETTERS, 16).into_font().color(&INK))
            .margin(8)
            .margin_right(NUMBERS)
            .x_label_area_size(42)
            .y_label_area_size(62)
            .build_cartesian_2d(across.0..across.1, up.0..up.1)
            .map_err(fault)?;
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(WHITE)
            .axis_style(INK)
            .x_labels(5)
            .y_labels(7)
            .x_desc(text::clean(&format!("mean of real and synthetic ({})", self.unit)))
            .y_desc(text::clean(&format!("synthetic \u{2212} real ({})", self.unit)))
            .x_label_formatter(&|value| text::short(*value, 5))
            .y_label_formatter(&|value| text::short(*value, 4))
            .label_style((LETTERS, 15).into_font().color(&INK))
            .draw()
            .map_err(fault)?;
        draw_lines(&mut chart, agreement, across, colour)?;
        let point = |(real, synthetic): &(f64, f64)| {
            Circle::new(((real + synthetic) / 2.0, synthetic - real), 4, colour.mix(0.8).filled())
        };
        chart.draw_series(method.pairs.iter().map(point)).map_err(fault)?;
        write_numbers(area, &chart, agreement)
    }
}

fn draw_lines(
    chart: &mut Chart<'_, '_>,
    agreement: &Agreement,
    across: (f64, f64),
    colour: RGBColor,
) -> Result<()> {
    for (estimate, name) in agreement.lines() {
        let (low, high) = estimate.interval;
        let shade = if name == "mean" { colour.mix(0.25) } else { INK.mix(0.10) };
        let band = Rectangle::new([(across.0, low), (across.1, high)], shade.filled());
        chart.draw_series([band]).map_err(fault)?;
        let line = [(across.0, estimate.value), (across.1, estimate.value)];
        if name == "mean" {
            chart.draw_series([PathElement::new(line, INK.stroke_width(2))]).map_err(fault)?;
        } else {
            let dashes = DashedLineSeries::new(line, 7, 4, INK.stroke_width(1));
            chart.draw_series(dashes).map_err(fault)?;
        }
    }
    let zero = DashedLineSeries::new([(across.0, 0.0), (across.1, 0.0)], 1, 3, INK.stroke_width(1));
    chart.draw_series(zero).map_err(fault)?;
    Ok(())
}

/// The three numbers to the right of their lines, pushed apart from the middle one where the lines are close.
fn write_numbers(area: &Area<'_>, chart: &Chart<'_, '_>, agreement: &Agreement) -> Result<()> {
    let (left, top) = area.get_base_pixel();
    let right = chart.plotting_area().get_pixel_range().0.end - left + 5;
    let height = |value: f64| chart.backend_coord(&(0.0, value)).1 - top;
    let middle = height(agreement.mean.value);
    for (estimate, name) in agreement.lines() {
        let at = match name {
            "mean" => middle,
            _ if estimate.value >= agreement.mean.value && name.starts_with('+') => {
                height(estimate.value).min(middle - LINE)
            }
            _ => height(estimate.value).max(middle + LINE),
        };
        let write = |text: String, at: i32| {
            area.draw(&Text::new(text, (right, at), style(15, HPos::Left, VPos::Center))).map_err(fault)
        };
        write(name.to_owned(), at - 8)?;
        write(text::short(estimate.value, 4), at + 8)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{elements, texts};
    use super::*;

    /// Differences 1, 2, 3, 4, 5: mean 3, variance 2.5.
    fn pairs() -> Vec<(f64, f64)> {
        (1..=5).map(|n| (100.0 * f64::from(n), 101.0 * f64::from(n))).map(|(a, b)| (a, a + (b - a))).collect()
    }

    #[test]
    fn agreement_is_bland_and_altmans() {
        let agreement = Agreement::of(&pairs()).unwrap();
        // t of 0.975 with 4 degrees of freedom, from tables.
        let (t, s) = (2.776_445_105, 2.5_f64.sqrt());
        let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-8, "{found} {wanted}");
        near(agreement.mean.value, 3.0);
        near(agreement.standard_deviation, s);
        near(agreement.mean.interval.1, 3.0 + t * 0.5_f64.sqrt());
        near(agreement.upper.value, 3.0 + 1.96 * s);
        near(agreement.lower.value, 3.0 - 1.96 * s);
        // s^2 (1/5 + 1.96^2 / 8) = 0.5 + 1.2005.
        near(agreement.upper.interval.0, 3.0 + 1.96 * s - t * 1.7005_f64.sqrt());
        near(agreement.lower.interval.1, 3.0 - 1.96 * s + t * 1.7005_f64.sqrt());
    }

    #[test]
    fn one_subject_has_no_limits() {
        let fault = Agreement::of(&[(1.0, 2.0)]).unwrap_err().to_string();
        assert!(fault.contains("two subjects or more; there are 1"), "{fault}");
        assert!(Agreement::of(&[(1.0, 2.0), (f64::NAN, 1.0)]).is_err());
    }

    fn plot(methods: usize) -> BlandAltman {
        let method = |n: usize| Method { name: format!("<m{n}>"), pairs: pairs() };
        BlandAltman { title: "WM".into(), unit: "ml".into(), methods: (0..methods).map(method).collect() }
    }

    #[test]
    fn every_subject_is_a_point_and_every_number_is_written() {
        for methods in [1, 2, 4, 6] {
            let svg = plot(methods).draw().unwrap();
            assert_eq!(elements(&svg, "circle").len(), 5 * methods);
            let texts = texts(&svg);
            for text in ["mean", "3", "6.099", "\u{2212}0.09903", "synthetic \u{2212} real (ml)"] {
                assert!(texts.iter().filter(|found| *found == text).count() >= methods, "{text}: {texts:?}");
            }
            assert!(texts.contains(&"<m0>".to_owned()));
            assert_eq!(svg, plot(methods).draw().unwrap());
        }
    }

    #[test]
    fn equal_volumes_are_drawn_and_bad_ones_refused() {
        let mut plot = plot(1);
        plot.methods[0].pairs = vec![(5.0, 5.0); 3];
        assert!(!plot.draw().unwrap().as_str().contains("NaN"));
        plot.methods[0].pairs = vec![(5.0, 5.0)];
        assert!(plot.draw().unwrap_err().to_string().contains("<m0>: limits of agreement need two"));
        plot.methods[0].pairs[0].1 = f64::NAN;
        assert!(plot.draw().unwrap_err().to_string().contains("is NaN"));
        plot.methods.clear();
        assert!(plot.draw().is_err());
    }
}
