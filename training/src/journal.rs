//! The journal of a run: a JSON line every few steps, and a progress bar on a terminal.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::error::Error;

/// The log in the folder of a run: one JSON object a line.
pub const LOG: &str = "log.jsonl";
/// Figures beside the progress bar.
const SHOWN: usize = 3;
/// Sums figures on the device between two lines of the log, for each reading makes the device wait.
pub struct Journal<B: Backend> {
    file: File,
    path: PathBuf,
    /// The names of the figures of a step, in their order.
    figures: &'static [&'static str],
    bar: ProgressBar,
    sum: Option<Tensor<B, 1>>,
    count: u64,
    since: Instant,
}

impl<B: Backend> Journal<B> {
    /// Opens the log of `run` for figures of these names, drops what lies after `step` (steps done) and shows `steps` in all.
    pub fn open(run: &Path, figures: &'static [&'static str], step: u64, steps: u64) -> Result<Self, Error> {
        let path = run.join(LOG);
        drop_lines_after(&path, step)?;
        let file =
            OpenOptions::new().create(true).append(true).open(&path).map_err(|e| Error::io(&path, e))?;
        let bar = ProgressBar::new(steps).with_position(step);
        if let Ok(style) =
            ProgressStyle::with_template("{bar:30} {pos}/{len} {per_sec} {eta_precise} {wide_msg}")
        {
            bar.set_style(style);
        }
        bar.reset_eta();
        Ok(Self { file, path, figures, bar, sum: None, count: 0, since: Instant::now() })
    }

    /// Adds the figures of one step, in the order of their names.
    pub fn add(&mut self, figures: Tensor<B, 1>) {
        self.sum = Some(match self.sum.take() {
            Some(sum) => sum + figures,
            None => figures,
        });
        self.count += 1;
        self.bar.inc(1);
    }

    /// Writes the means since the last line; an error where one of them is not finite.
    pub fn write(&mut self, step: u64, learning_rate: f64) -> Result<(), Error> {
        let Some(sum) = self.sum.take() else {
            return Ok(());
        };
        let means = sum / self.count as f64;
        let means: Vec<f32> = means.into_data().iter::<f32>().collect();
        if let Some(&loss) = means.iter().find(|mean| !mean.is_finite()) {
            return Err(Error::Diverged { step, loss });
        }
        let speed = self.count as f64 / self.since.elapsed().as_secs_f64().max(1e-9);
        let mut line = Map::new();
        line.insert("step".into(), json!(step));
        for (name, mean) in self.figures.iter().zip(&means) {
            line.insert((*name).into(), json!(mean));
        }
        line.insert("learning_rate".into(), json!(learning_rate));
        line.insert("steps_per_second".into(), json!(speed));
        writeln!(self.file, "{}", Value::Object(line)).map_err(|e| Error::io(&self.path, e))?;
        let shown = self.figures.iter().zip(&means).take(SHOWN);
        let shown: Vec<String> = shown.map(|(name, mean)| format!("{name} {mean:.4}")).collect();
        self.bar.set_message(shown.join(" "));
        self.count = 0;
        self.since = Instant::now();
        Ok(())
    }

    /// Leaves the bar as it is.
    pub fn finish(&self) {
        self.bar.abandon();
    }
}

/// Removes the lines of a log that belong to later steps, or are not whole.
pub(crate) fn drop_lines_after(path: &Path, step: u64) -> Result<(), Error> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io(path, e)),
    };
    let kept: String = text
        .lines()
        .filter(|line| {
            serde_json::from_str::<Value>(line)
                .ok()
                .and_then(|line| line["step"].as_u64())
                .is_some_and(|at| at <= step)
        })
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(path, kept).map_err(|e| Error::io(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;

    const FIGURES: [&str; 2] = ["loss", "l1"];

    #[test]
    fn lines_hold_means_and_the_future_is_dropped() {
        let run = tempfile::tempdir().unwrap();
        let figures = |value: f32| Tensor::<Flex, 1>::from_floats([value; 2], &Default::default());
        let mut journal = Journal::open(run.path(), &FIGURES, 0, 10).unwrap();
        journal.add(figures(1.0));
        journal.add(figures(2.0));
        journal.write(2, 0.1).unwrap();
        journal.add(figures(5.0));
        journal.write(3, 0.1).unwrap();
        Journal::<Flex>::open(run.path(), &FIGURES, 2, 10).unwrap();
        let text = fs::read_to_string(run.path().join(LOG)).unwrap();
        let line: Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!((&line["step"], &line["l1"]), (&json!(2), &json!(1.5)));
    }
}
