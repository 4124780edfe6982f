//! A study's tables, as the paper has them: methods across, measures of each cohort down.

use super::measure::Kind;
use super::summary::{Compared, REAL, Summary};
use super::values::Values;
use super::{Cohort, distinct};
use crate::measured::Measured;
use crate::report::table::{Best, Cell, Entry, Row, Table};
use crate::statistics::describe::Description;
use crate::statistics::equivalence::{Equivalence, Verdict};
use crate::statistics::significance::p_text;

/// What stars stand for.
pub const STARS: &str = "* p \u{2264} 0.05, ** p \u{2264} 0.01, *** p \u{2264} 0.001";

/// Which columns say where a row belongs: only those that any cohort needs.
struct Keys {
    dataset: bool,
    translation: bool,
}

impl Keys {
    fn of(summaries: &[Summary]) -> Self {
        let any =
            |name: fn(&Cohort) -> &String| summaries.iter().any(|summary| !name(&summary.cohort).is_empty());
        Self { dataset: any(|cohort| &cohort.dataset), translation: any(|cohort| &cohort.translation) }
    }

    fn heads(&self) -> Vec<String> {
        let heads =
            [(self.dataset, "Dataset"), (self.translation, "Translation"), (true, "N"), (true, "Metric")];
        heads.into_iter().filter(|(is_there, _)| *is_there).map(|(_, head)| head.to_owned()).collect()
    }

    fn of_row(&self, summary: &Summary, metric: &str) -> Vec<String> {
        let Cohort { dataset, translation } = &summary.cohort;
        let subjects = summary.subjects.len().to_string();
        let keys = [
            (self.dataset, dataset.clone()),
            (self.translation, translation.clone()),
            (true, subjects),
            (true, metric.to_owned()),
        ];
        keys.into_iter().filter(|(is_there, _)| *is_there).map(|(_, key)| key).collect()
    }
}

/// The table of all measures of a kind; none where nothing was measured.
pub fn of_kind(summaries: &[Summary], values: &Values<'_>, kind: Kind) -> Option<Table> {
    let keys = Keys::of(summaries);
    let mut columns = methods(summaries);
    if kind == Kind::Texture {
        columns.insert(0, REAL.into());
    }
    let mut rows = Vec::new();
    for summary in summaries {
        let measures = summary.measures.iter().filter(|compared| compared.measure.kind == kind);
        for compared in measures {
            let measure = &compared.measure;
            let entry = |column: &String| {
                let undefined = || values.reason(&summary.cohort, column, measure);
                let cell = mean(compared, column).unwrap_or_else(|| Cell::Undefined(undefined()));
                let stars = compared.stars(&summary.baseline, column).text();
                Entry { cell, stars: stars.into() }
            };
            let entries = columns.iter().map(entry).collect();
            rows.push(Row { keys: keys.of_row(summary, &measure.name), best: measure.best, entries });
        }
    }
    if rows.is_empty() {
        return None;
    }
    let caption = match kind {
        Kind::Fidelity => "Fidelity of synthetic images.",
        Kind::Sharpness => "Sharpness of synthetic images.",
        Kind::Lesions => "Lesions of synthetic images against those of real images.",
        Kind::Volumes => "Volumes of synthetic images less those of real images, in percent of the latter.",
        Kind::Texture => "Texture in the lesions of the real image and around them.",
    };
    let notes = vec![format!("{STARS}, against {}.", baselines(summaries))];
    Some(Table { caption: caption.into(), keys: keys.heads(), columns, rows, notes })
}

fn methods(summaries: &[Summary]) -> Vec<String> {
    distinct(summaries.iter().flat_map(|summary| summary.methods.iter().cloned()))
}

/// The methods that stars refer to, in words.
fn baselines(summaries: &[Summary]) -> String {
    let baselines = distinct(summaries.iter().map(|summary| summary.baseline.as_str()));
    match baselines.as_slice() {
        [one] => (*one).to_owned(),
        _ => "the first method of each cohort".into(),
    }
}

/// The mean over all subjects with a value.
fn mean(compared: &Compared, column: &str) -> Option<Cell> {
    let group = compared.comparison.groups.iter().find(|group| group.method == column)?;
    let Description { count, mean, standard_deviation, t_interval, .. } = group.available.value()?;
    Some(Cell::Mean {
        mean: *mean,
        deviation: standard_deviation.value().copied(),
        interval: t_interval.value().map(|interval| (interval.low, interval.high)),
        count: *count,
        decimals: compared.measure.decimals,
    })
}

/// Lesions of all subjects together; none where there were no lesion masks.
pub fn of_lesion_totals(summaries: &[Summary]) -> Option<Table> {
    let keys = Keys::of(summaries);
    let columns = methods(summaries);
    let mut rows = Vec::new();
    for summary in summaries.iter().filter(|summary| !summary.lesions.is_empty()) {
        let mut row = |name: &str, best, cell: &dyn Fn(&super::summary::LesionTotals) -> Cell| {
            let of = |method: &String| {
                let totals = summary.lesions.iter().find(|totals| totals.method == *method);
                let none = || Cell::Undefined("no lesion masks of this method were given".into());
                Entry::from(totals.map_or_else(none, cell))
            };
            let entries = columns.iter().map(of).collect();
            rows.push(Row { keys: keys.of_row(summary, name), best, entries });
        };
        let count = |count: usize| Cell::Number { value: count as f64, decimals: 0 };
        row("Failed lesions (n/N)", Best::Lowest, &|totals| Cell::Share {
            part: totals.failed,
            whole: totals.reference,
        });
        row("Count variance ratio", Best::Nearest(1.0), &|totals| match totals.count_variance_ratio {
            Measured::Value(value) => Cell::Number { value, decimals: 3 },
            Measured::Undefined { undefined } => Cell::Undefined(undefined.into()),
        });
        row("Lesions of real images", Best::Unmarked, &|totals| count(totals.reference));
        row("Lesions of synthetic images", Best::Unmarked, &|totals| count(totals.synthetic));
    }
    let caption = "Lesions of all subjects together.".into();
    (!rows.is_empty()).then(|| Table { caption, keys: keys.heads(), columns, rows, notes: vec![] })
}

/// Whether volumes are equivalent; none without label maps.
pub fn of_equivalence(summaries: &[Summary]) -> Option<Table> {
    let keys = Keys::of(summaries);
    let columns = methods(summaries);
    let mut rows = Vec::new();
    for summary in summaries {
        let regions = distinct(summary.volumes.iter().map(|volume| volume.region));
        for region in regions {
            let of = |method: &String| {
                let mut volumes = summary.volumes.iter();
                let found = volumes.find(|volume| volume.region == region && volume.method == *method);
                Entry::from(match found.map(|volume| &volume.equivalence) {
                    Some(Measured::Value(equivalence)) => Cell::Text(in_words(equivalence)),
                    Some(Measured::Undefined { undefined }) => Cell::Undefined(undefined.to_string()),
                    None => Cell::Undefined("no label maps of this method were given".into()),
                })
            };
            let entries = columns.iter().map(of).collect();
            let name = super::measure::region_name(region);
            rows.push(Row { keys: keys.of_row(summary, name), best: Best::Unmarked, entries });
        }
    }
    let margin = summaries.iter().flat_map(|summary| &summary.volumes).find_map(|volume| {
        let equivalence = volume.equivalence.value()?;
        Some(format!(
            "Two one-sided t-tests of the differences in percent; equivalent within \u{b1}{} %.",
            equivalence.margins.high
        ))
    });
    let caption = "Equivalence of volumes.".into();
    let notes = margin.into_iter().collect();
    (!rows.is_empty()).then(|| Table { caption, keys: keys.heads(), columns, rows, notes })
}

fn in_words(equivalence: &Equivalence) -> String {
    let verdict = match equivalence.verdict {
        Verdict::Equivalent => "equivalent",
        Verdict::NotEquivalent => "not equivalent",
        Verdict::Inconclusive => "inconclusive",
    };
    let interval = equivalence.interval;
    format!("{verdict}, p {} [{:.2}, {:.2}]", p_text(equivalence.p), interval.low, interval.high)
}
