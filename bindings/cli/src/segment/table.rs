//! A segmentation as a reader sees it: a table of volumes.

use mrisynth_evaluation::segmentation::reference::Filled;

use super::{NOTICE, Report, VolumeOf};
use crate::report::one_line;

/// The whole text, without a line break at its end.
pub fn of(report: &Report) -> String {
    let mut lines =
        vec![one_line(&report.output), row("ml", ["of labels", "of probabilities"].map(String::from))];
    let volumes = &report.volumes;
    for (name, VolumeOf { labelled_ml, probable_ml }) in [
        ("cerebrospinal fluid", &volumes.csf),
        ("grey matter", &volumes.grey_matter),
        ("white matter", &volumes.white_matter),
    ] {
        lines.push(row(name, [labelled_ml, probable_ml].map(|ml| format!("{ml:.1}"))));
    }
    lines.push(row("brain", [format!("{:.1}", report.brain_ml), String::new()]));
    if let Some(found) = &report.lesions_found {
        lines.push(row(
            &format!("lesions found: {}", found.count),
            [format!("{:.2}", found.ml), String::new()],
        ));
    }
    if let Some(filled) = report.lesions_filled {
        let which = match filled {
            Filled::Given => "given",
            Filled::Found => "found",
        };
        let ml = format!("{:.2}", report.lesions_filled_ml);
        lines.push(row(&format!("filled as healthy: {which}"), [ml, String::new()]));
    }
    lines.push(NOTICE.into());
    lines.join("\n")
}

fn row(name: &str, cells: [String; 2]) -> String {
    cells.iter().fold(format!("{name:<26}"), |line, cell| line + &format!("{cell:>18}")).trim_end().to_owned()
}
