//! The figures as a Markdown table and as JSON.

use std::path::Path;

use serde::Serialize;

use super::Arguments;
use crate::error::Error;

/// What was found of one variant.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    pub network: String,
    pub arithmetic: String,
    /// Nothing where the backend failed.
    pub steps_per_second: Option<f64>,
    /// Floating-point operations of a step; nothing where they are not known.
    pub operations: Option<u64>,
}

/// What was measured, and the table's head.
pub(super) fn heading(backend: &str, arguments: &Arguments) -> String {
    let Arguments { window, batch, divisor, rounds, recipe, .. } = arguments;
    let sizes = match recipe.is_empty() {
        true => format!("{window} x {window} voxels, batch {batch}, channels divided by {divisor}"),
        false => "whole steps of recipes".into(),
    };
    format!(
        "backend {backend}, {sizes}, medians of {rounds} rounds\n\n\
         | Network | Arithmetic | Steps/s | ms a step | TFLOP/s | of the peak |\n|---|---|---|---|---|---|"
    )
}

impl Line {
    /// A row of the table; the part of `peak` (TFLOP/s) where it is given.
    pub fn markdown(&self, peak: Option<f64>) -> String {
        let Self { network, arithmetic, .. } = self;
        let Some(rate) = self.steps_per_second else {
            return format!("| {network} | {arithmetic} | fails | | | |");
        };
        let teraflops = self.operations.map(|operations| rate * operations as f64 * 1e-12);
        let part = teraflops.zip(peak).map(|(teraflops, peak)| format!("{:.1} %", 100.0 * teraflops / peak));
        let (part, teraflops) = (part.unwrap_or_default(), teraflops.map(|t| format!("{t:.4}")));
        let teraflops = teraflops.unwrap_or_default();
        format!("| {network} | {arithmetic} | {rate:.3} | {:.1} | {teraflops} | {part} |", 1e3 / rate)
    }
}

/// Writes all lines.
pub(super) fn write_json(path: &Path, lines: &[Line]) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(lines).map_err(|e| Error::Data(e.to_string()))?;
    std::fs::write(path, text).map_err(|e| Error::io(path, e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_rate_time_and_the_part_of_the_peak() {
        let line = Line {
            network: "light".into(),
            arithmetic: "native float32".into(),
            steps_per_second: Some(4.0),
            operations: Some(500_000_000_000),
        };
        assert_eq!(line.markdown(Some(8.0)), "| light | native float32 | 4.000 | 250.0 | 2.0000 | 25.0 % |");
        assert!(line.markdown(None).ends_with("| 2.0000 |  |"));
        let whole = Line { operations: None, ..line.clone() };
        assert_eq!(whole.markdown(Some(8.0)), "| light | native float32 | 4.000 | 250.0 |  |  |");
        let failed = Line { steps_per_second: None, ..line };
        assert!(failed.markdown(Some(1.0)).contains("fails"));
    }
}
