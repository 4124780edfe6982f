//! The curves of a run: losses, learning rate and validation figures against steps, from its two logs.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::Error;
use crate::report::plot::{self, Panel, Series};

/// Where a line of a log is.
const STEP: &str = "step";
const LEARNING_RATE: &str = "learning_rate";
const SPEED: &str = "steps_per_second";
const DIRECTION: &str = "direction";
/// Figures of validation that are drawn first, in this order, with their titles and units.
const MEASURES: [(&str, &str, &str); 3] = [
    ("psnr", "validation PSNR", "dB"),
    ("ssim", "validation SSIM", "SSIM"),
    ("mae", "validation MAE", "MAE (images are 0..1)"),
];

/// Lines by name, in the order of their names.
type Lines = BTreeMap<String, Vec<(f64, f64)>>;

/// Draws the logs' curves as one SVG picture.
///
/// `log` holds lines `{"step", figures..., "learning_rate", "steps_per_second"}`, `validation` lines `{"step", "direction",
/// figures...}`; either may be empty. Every figure is drawn, whatever its name. What is no such line is left out: a killed run may
/// end in the middle of one.
///
/// # Errors
/// Those of [`plot::draw`].
pub fn draw(log: &str, validation: &str) -> Result<String, Error> {
    plot::draw("Training", &panels(log, validation))
}

fn panels(log: &str, validation: &str) -> Vec<Panel> {
    let (mut losses, mut rate, mut speed) = (Lines::new(), Lines::new(), Lines::new());
    for (step, line) in lines(log) {
        for (name, value) in figures(&line) {
            let lines = match name {
                LEARNING_RATE => &mut rate,
                SPEED => &mut speed,
                _ => &mut losses,
            };
            lines.entry(name.replace('_', " ")).or_default().push((step, value));
        }
    }
    let mut panels = vec![
        panel("losses", "mean since the line before", losses),
        panel("learning rate", "learning rate", rate),
    ];
    panels.extend(validation_panels(validation));
    panels.push(panel("speed", "steps per second", speed));
    let points = panels.iter().flat_map(|panel| &panel.series).flat_map(|line| &line.points);
    let last = points.map(|point| point.0).fold(0.0, f64::max);
    panels.iter_mut().for_each(|panel| panel.span = Some((0.0, last)));
    panels
}

/// A panel for each figure, a line in it for each direction.
fn validation_panels(validation: &str) -> Vec<Panel> {
    let mut measures: BTreeMap<String, Lines> = BTreeMap::new();
    for (step, line) in lines(validation) {
        let direction = line.get(DIRECTION).and_then(Value::as_str).unwrap_or("model").to_owned();
        for (name, value) in figures(&line).filter(|(name, _)| *name != "epoch") {
            let lines = measures.entry(name.to_owned()).or_default();
            lines.entry(direction.clone()).or_default().push((step, value));
        }
    }
    let mut panels: Vec<Panel> = MEASURES
        .iter()
        .map(|(name, title, unit)| panel(title, unit, measures.remove(*name).unwrap_or_default()))
        .collect();
    panels
        .extend(measures.into_iter().map(|(name, lines)| panel(&format!("validation {name}"), &name, lines)));
    // Their changes are read as differences, not as factors.
    panels.iter_mut().for_each(|panel| panel.may_be_logarithmic = false);
    panels
}

/// The objects of a log that have a step.
fn lines(log: &str) -> impl Iterator<Item = (f64, Map<String, Value>)> {
    log.lines().filter_map(|line| {
        let line: Map<String, Value> = serde_json::from_str(line).ok()?;
        let step = line.get(STEP)?.as_f64()?;
        Some((step, line))
    })
}

fn figures(line: &Map<String, Value>) -> impl Iterator<Item = (&str, f64)> {
    line.iter()
        .filter(|(name, _)| *name != STEP)
        .filter_map(|(name, value)| Some((name.as_str(), value.as_f64()?)))
}

fn panel(title: &str, up: &str, lines: Lines) -> Panel {
    let series = lines.into_iter().map(|(name, points)| Series { name, points }).collect();
    Panel {
        title: title.into(),
        across: "step".into(),
        up: up.into(),
        series,
        span: None,
        may_be_logarithmic: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"{"step":50,"loss":0.5,"cycle_l1":0.2,"learning_rate":0.0002,"steps_per_second":3.5}
{"step":100,"loss":0.25,"cycle_l1":0.1,"learning_rate":0.0002,"steps_per_second":3.5}
not a line
{"loss":1.0}
{"step":150,"loss":null,"cyc"#;
    const VALIDATION: &str = r#"{"step":100,"epoch":1,"direction":"t2w-t1w","psnr":20.5,"ssim":0.8,"mae":0.05,"laplacian":3}
{"step":100,"epoch":1,"direction":"t1w-t2w","psnr":21.5,"ssim":0.7,"mae":0.04,"laplacian":4}"#;

    #[test]
    fn every_figure_of_the_logs_is_drawn_and_torn_lines_are_not() {
        let panels = panels(LOG, VALIDATION);
        let titles: Vec<&str> = panels.iter().map(|panel| panel.title.as_str()).collect();
        let expected = [
            "losses",
            "learning rate",
            "validation PSNR",
            "validation SSIM",
            "validation MAE",
            "validation laplacian",
            "speed",
        ];
        assert_eq!(titles, expected);
        let names = |n: usize| panels[n].series.iter().map(|line| line.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names(0), ["cycle l1", "loss"]);
        assert_eq!(panels[0].series[1].points, [(50.0, 0.5), (100.0, 0.25)]);
        assert_eq!(names(2), ["t1w-t2w", "t2w-t1w"]);
        assert_eq!(panels[3].series[1].points, [(100.0, 0.8)]);
        let svg = draw(LOG, VALIDATION).unwrap();
        for word in ["validation PSNR", "t2w-t1w", "cycle l1"] {
            assert!(svg.contains(word), "{word}");
        }
    }

    #[test]
    fn empty_logs_give_a_picture_that_says_so() {
        let svg = draw("", "").unwrap();
        assert!(svg.contains("losses: nothing yet") && svg.contains("validation SSIM: nothing yet"));
        assert_eq!(draw("", "").unwrap(), draw("\n\n{}\n", "[]\n").unwrap());
    }
}
