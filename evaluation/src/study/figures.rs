//! A study's plots, as the paper has them: bars, boxes, agreement of volumes, lesions by size.

use super::distinct;
use super::measure::Kind;
use super::summary::{Compared, Summary};
use super::values::Values;
use crate::Result;
use crate::report::Svg;
use crate::report::plots::Comparison;
use crate::report::plots::bars::{Bar, BarChart};
use crate::report::plots::bland_altman::{BlandAltman, Method};
use crate::report::plots::boxes::{BoxPlot, Group};
use crate::report::plots::lesion_sizes::{Counts, LesionSizes};

/// Bars of the drawn measures of a kind.
pub fn bars(summary: &Summary, kind: Kind) -> Result<Vec<Svg>> {
    drawn(summary, kind).map(|compared| bar_chart(summary, compared)).collect()
}

fn bar_chart(summary: &Summary, compared: &Compared) -> Result<Svg> {
    let groups =
        compared.comparison.groups.iter().filter_map(|group| Some((group, group.available.value()?)));
    let (names, bars): (Vec<&str>, Vec<Bar>) = groups
        .map(|(group, description)| {
            let interval = description.t_interval.value().map(|interval| (interval.low, interval.high));
            (group.method.as_str(), Bar { name: group.method.clone(), mean: description.mean, interval })
        })
        .unzip();
    let comparisons = comparisons(compared, &names);
    BarChart { title: title(summary), up: compared.measure.name.clone(), bars, comparisons }.draw()
}

/// Box plots of the drawn measures of a kind.
pub fn boxes(summary: &Summary, values: &Values<'_>, kind: Kind) -> Result<Vec<Svg>> {
    let draw = |compared: &Compared| {
        let table = values.table(&summary.cohort, &compared.measure)?;
        let groups = table.methods().iter().enumerate();
        let groups: Vec<Group> =
            groups.map(|(at, name)| Group { name: name.clone(), values: table.available(at) }).collect();
        let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        let comparisons = comparisons(compared, &names);
        BoxPlot { title: title(summary), up: compared.measure.name.clone(), groups, comparisons }.draw()
    };
    drawn(summary, kind).map(draw).collect()
}

fn drawn(summary: &Summary, kind: Kind) -> impl Iterator<Item = &Compared> {
    summary.measures.iter().filter(move |compared| compared.measure.kind == kind && compared.measure.is_drawn)
}

/// Differences of two columns that are significant, by the columns' places.
fn comparisons(compared: &Compared, names: &[&str]) -> Vec<Comparison> {
    let place = |name: &str| names.iter().position(|of| *of == name);
    let pairs = compared.comparison.pairs.iter();
    let comparison = |pair: &crate::statistics::Pair| {
        let (first, second) = (place(&pair.first)?, place(&pair.second)?);
        Some(Comparison { first, second, stars: pair.stars.text().into() })
    };
    pairs.filter_map(comparison).collect()
}

fn title(summary: &Summary) -> String {
    let subjects = match summary.subjects.len() {
        1 => "1 subject".into(),
        count => format!("{count} subjects"),
    };
    match summary.cohort.name() {
        name if name.is_empty() => subjects,
        name => format!("{name}: {subjects}"),
    }
}

/// Lesions by size, of all subjects together; none without lesion masks.
pub fn lesion_sizes(summary: &Summary) -> Result<Option<Svg>> {
    let Some(first) = summary.lesions.first() else { return Ok(None) };
    // Real images' lesions are shown once: those of the method with most subjects.
    let real = summary.lesions.iter().max_by_key(|totals| totals.subjects).unwrap_or(first);
    let counts = summary.lesions.iter().filter(|totals| totals.subjects == real.subjects);
    let plot = LesionSizes {
        title: title(summary),
        bins: first.sizes.lower_bounds_mm3.clone(),
        real: real.sizes.reference.clone(),
        synthetic: counts
            .map(|totals| Counts { name: totals.method.clone(), counts: totals.sizes.synthetic.clone() })
            .collect(),
    };
    plot.draw().map(Some)
}

/// Agreement of volumes, a plot each region, of the methods with two subjects or more.
pub fn agreement(summary: &Summary) -> Result<Vec<Svg>> {
    let mut plots = Vec::new();
    for region in distinct(summary.volumes.iter().map(|volume| volume.region)) {
        let volumes = summary.volumes.iter().filter(|volume| volume.region == region);
        let methods = volumes.filter(|volume| volume.agreement.is_some());
        let methods: Vec<Method> = methods
            .map(|volume| Method { name: volume.method.clone(), pairs: volume.pairs_ml.clone() })
            .collect();
        if !methods.is_empty() {
            let title = super::measure::region_name(region).to_owned();
            plots.push(BlandAltman { title, unit: "ml".into(), methods }.draw()?);
        }
    }
    Ok(plots)
}
