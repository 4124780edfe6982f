//! Plots of lines against one quantity, several panels a picture, as SVG.

use mrisynth_picture::{Colour, DISTINCT_COLOURS};
use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::coord::Shift;
use plotters::coord::combinators::IntoLogRange;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement};
use plotters::series::LineSeries;
use plotters::style::{BLACK, Color, IntoFont, RGBColor, ShapeStyle, WHITE};

use crate::error::Error;

/// Width and height of a panel in pixels.
const PANEL: (u32, u32) = (640, 340);
/// Panels side by side.
const COLUMNS: usize = 2;
const TITLE_HEIGHT: u32 = 36;
/// Points that a line has at most; longer ones are drawn as means of neighbours.
const MAXIMUM_POINTS: usize = 500;
/// Lines of no more points than this get a dot at each.
const DOTTED: usize = 40;
/// Positive values that spread by more than this factor get a logarithmic axis where a panel allows it.
const WIDE_SPREAD: f64 = 50.0;
/// The colour of a line after those that differ most.
const LAST_COLOUR: Colour = [90, 90, 90];

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// Across and up, finite, in the order in which they are joined.
    pub points: Vec<(f64, f64)>,
}

/// Lines on common axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// What is written above it.
    pub title: String,
    /// The quantity across, with its unit.
    pub across: String,
    /// The quantity up, with its unit.
    pub up: String,
    /// The lines; those without points are left out.
    pub series: Vec<Series>,
    /// From where to where the axis across goes; where it is not given, as far as the lines do.
    pub span: Option<(f64, f64)>,
    /// Whether values of many magnitudes may be drawn on a logarithmic axis.
    pub may_be_logarithmic: bool,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws the panels below a title, two side by side, as SVG.
///
/// # Errors
/// None that is known; the drawing library's are handed on.
pub fn draw(title: &str, panels: &[Panel]) -> Result<String, Error> {
    let rows = panels.len().div_ceil(COLUMNS);
    let size = (PANEL.0 * COLUMNS as u32, TITLE_HEIGHT + PANEL.1 * rows as u32);
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    root.fill(&WHITE).map_err(fault)?;
    let (head, body) = root.split_vertically(TITLE_HEIGHT);
    head.titled(title, ("sans-serif", 22)).map_err(fault)?;
    if rows > 0 {
        for (area, panel) in body.split_evenly((rows, COLUMNS)).iter().zip(panels) {
            draw_panel(area, panel)?;
        }
    }
    root.present().map_err(fault)?;
    drop((root, head, body));
    Ok(svg)
}

fn fault(fault: impl std::fmt::Display) -> Error {
    mrisynth::Error::Internal(format!("a plot could not be drawn: {fault}")).into()
}

fn draw_panel(area: &Area<'_>, panel: &Panel) -> Result<(), Error> {
    let series: Vec<Series> =
        panel.series.iter().map(thinned).filter(|series| !series.points.is_empty()).collect();
    let across = bounds(series.iter().flat_map(|series| &series.points).map(|point| point.0));
    let up = bounds(series.iter().flat_map(|series| &series.points).map(|point| point.1));
    let (Some(across), Some(up)) = (across, up) else {
        area.titled(&format!("{}: nothing yet", panel.title), ("sans-serif", 16)).map_err(fault)?;
        return Ok(());
    };
    let across = widened(panel.span.unwrap_or(across), 0.0);
    if panel.may_be_logarithmic && up.0 > 0.0 && up.1 / up.0 > WIDE_SPREAD {
        let corner = free_corner(&series, across, (up.0.ln(), up.1.ln()), f64::ln);
        draw_chart(area, panel, &series, (across, (up.0 / 1.1..up.1 * 1.1).log_scale()), corner)
    } else {
        let (low, high) = widened(up, 0.05);
        let corner = free_corner(&series, across, (low, high), |value| value);
        draw_chart(area, panel, &series, (across, low..high), corner)
    }
}

fn draw_chart<Y>(
    area: &Area<'_>,
    panel: &Panel,
    series: &[Series],
    (across, up): ((f64, f64), Y),
    legend: SeriesLabelPosition,
) -> Result<(), Error>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.title, ("sans-serif", 16))
        .margin(10)
        .margin_right(26)
        .x_label_area_size(38)
        .y_label_area_size(66)
        .build_cartesian_2d(across.0..across.1, up)
        .map_err(fault)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc(panel.across.as_str())
        .y_desc(panel.up.as_str())
        .x_labels(6)
        .y_labels(7)
        .x_label_formatter(&|value| label(*value))
        .y_label_formatter(&|value| label(*value))
        .label_style(("sans-serif", 12).into_font())
        .draw()
        .map_err(fault)?;
    let colours = DISTINCT_COLOURS.into_iter().chain([LAST_COLOUR]).cycle();
    for (series, [red, green, blue]) in series.iter().zip(colours) {
        let colour = RGBColor(red, green, blue);
        let style = ShapeStyle::from(colour).stroke_width(2);
        chart
            .draw_series(LineSeries::new(series.points.iter().copied(), style))
            .map_err(fault)?
            .label(&series.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
        if series.points.len() <= DOTTED {
            let dot = |point: &(f64, f64)| Circle::new(*point, 3, colour.filled());
            chart.draw_series(series.points.iter().map(dot)).map_err(fault)?;
        }
    }
    // One line needs no legend if the axis says what it is.
    if let [only] = series
        && only.name == panel.up
    {
        return Ok(());
    }
    chart
        .configure_series_labels()
        .position(legend)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 12))
        .draw()
        .map_err(fault)
}

/// The corner in which the fewest points lie, so that the legend hides little; the upper right one where all are as good.
fn free_corner(
    series: &[Series],
    across: (f64, f64),
    up: (f64, f64),
    scale: impl Fn(f64) -> f64,
) -> SeriesLabelPosition {
    let part = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
    let corners = [
        (SeriesLabelPosition::UpperRight, true, true),
        (SeriesLabelPosition::LowerRight, true, false),
        (SeriesLabelPosition::UpperLeft, false, true),
        (SeriesLabelPosition::LowerLeft, false, false),
    ];
    let points = || series.iter().flat_map(|series| &series.points);
    let count = |right: bool, upper: bool| {
        let within = |point: &&(f64, f64)| {
            let (x, y) = (part(point.0, across), part(scale(point.1), up));
            (if right { 1.0 - x } else { x }) < 0.3 && (if upper { 1.0 - y } else { y }) < 0.4
        };
        points().filter(within).count()
    };
    let best = corners.into_iter().min_by_key(|(_, right, upper)| count(*right, *upper));
    best.map_or(SeriesLabelPosition::UpperRight, |(corner, ..)| corner)
}

/// The line with at most so many points: each the mean of as many neighbours as the others, the last perhaps of fewer.
fn thinned(series: &Series) -> Series {
    let block = series.points.len().div_ceil(MAXIMUM_POINTS).max(1);
    let mean = |points: &[(f64, f64)]| {
        let (x, y) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (x / points.len() as f64, y / points.len() as f64)
    };
    Series { name: series.name.clone(), points: series.points.chunks(block).map(mean).collect() }
}

/// The least and the largest.
fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.filter(|value| value.is_finite()).map(|value| (value, value));
    finite.reduce(|(low, high), (value, _)| (low.min(value), high.max(value)))
}

/// The range with so large a part of it added at each end; one that is no longer than a point gets a length.
fn widened((low, high): (f64, f64), part: f64) -> (f64, f64) {
    let length = high - low;
    let room = if length > 1e-9 * low.abs().max(high.abs()) && length.is_finite() {
        part * length
    } else {
        0.1 * low.abs().clamp(1e-6, 1e300)
    };
    (low - room, high + room)
}

/// A number at an axis: short, as a reader would write it.
fn label(value: f64) -> String {
    let size = value.abs();
    if size < 1e-12 {
        return "0".into();
    }
    if !(1e-3..1e7).contains(&size) {
        return format!("{value:.1e}");
    }
    let (value, unit) = match size {
        1e6.. => (value / 1e6, "M"),
        1e4.. => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let decimals = (3.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(series: Vec<Series>) -> Panel {
        Panel {
            title: "losses".into(),
            across: "step".into(),
            up: "loss".into(),
            series,
            span: None,
            may_be_logarithmic: true,
        }
    }

    fn line(points: Vec<(f64, f64)>) -> Series {
        Series { name: "<a & b>".into(), points }
    }

    #[test]
    fn every_kind_of_line_gives_sound_svg() {
        for points in [
            vec![],
            vec![(5.0, 0.25)],
            vec![(0.0, 0.0), (1.0, 0.0)],
            vec![(1.0, 1e-4), (2.0, 1e3)],
            vec![(1.0, -1e300), (2.0, 1e300)],
            vec![(1.0, 1.0), (2.0, 1.0 + 1e-15)],
            (0..100_000).map(|n| (f64::from(n), f64::from(n).sin())).collect(),
        ] {
            let svg = draw("<t>", &[panel(vec![line(points)]), panel(vec![])]).unwrap();
            assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
            assert!(!svg.contains("<t>") && !svg.contains("<a & b>"), "text is escaped");
            assert!(!svg.contains("NaN") && !svg.contains("inf"));
            assert!(svg.len() < 100_000);
        }
        assert!(draw("", &[]).unwrap().starts_with("<svg"));
    }

    #[test]
    fn long_lines_become_means_of_neighbours() {
        let series = line((0..2001).map(|n| (f64::from(n), 2.0 * f64::from(n))).collect());
        let thinned = thinned(&series);
        assert_eq!(thinned.points.len(), 401);
        assert_eq!(thinned.points[0], (2.0, 4.0));
        assert_eq!(thinned.points[400], (2000.0, 4000.0));
        let short = line(vec![(1.0, 2.0), (3.0, 4.0)]);
        assert_eq!(super::thinned(&short), short);
    }

    #[test]
    fn the_legend_goes_where_nothing_is() {
        let corner = |points| free_corner(&[line(points)], (0.0, 1.0), (0.0, 1.0), |value| value);
        let rising = vec![(0.1, 0.1), (0.5, 0.5), (0.9, 0.9)];
        assert!(matches!(corner(rising), SeriesLabelPosition::LowerRight));
        let falling = vec![(0.1, 0.9), (0.5, 0.5), (0.9, 0.1)];
        assert!(matches!(corner(falling), SeriesLabelPosition::UpperRight));
        assert!(matches!(corner(vec![]), SeriesLabelPosition::UpperRight));
    }

    #[test]
    fn numbers_at_axes_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.85, "0.85"),
            (0.8512, "0.8512"),
            (26.5, "26.5"),
            (2e-4, "2.0e-4"),
            (1500.0, "1500"),
            (20_000.0, "20k"),
            (1_250_000.0, "1.25M"),
            (-3.0, "-3"),
            (100.0, "100"),
        ] {
            assert_eq!(label(value), text);
        }
    }
}
