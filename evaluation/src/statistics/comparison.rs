//! Methods compared on the same subjects: each described, tests chosen and made, all pairs, and the choice in words.

use std::fmt;

use serde::Serialize;

use super::adjust::holm;
use super::bootstrap::{self, Resampling};
use super::choose::{Test, choose};
use super::describe::{Description, Interval, check_confidence, median, t_interval};
use super::effect::{cohen_d, cohen_d_z, hedges_g};
use super::normality::{Normality, normality};
use super::paired_t::{PairedT, paired_t};
use super::sample::{self, Differences};
use super::significance::Stars;
use super::table::{Complete, LeftOut, Table};
use super::undefined::{Outcome, Undefined};
use super::wilcoxon::{Wilcoxon, wilcoxon};
use super::words;
use crate::{Error, Result};

/// What a comparison is made with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// p-values up to this are significant; inside 0..1.
    pub significance: f64,
    /// The confidence of all intervals; inside 0..1.
    pub confidence: f64,
    /// How samples are drawn for bootstrap intervals.
    pub resampling: Resampling,
}

impl Default for Settings {
    /// The paper's level of 0.05, intervals of 95 %, and 10 000 bootstrap samples with seed 0.
    fn default() -> Self {
        Self { significance: 0.05, confidence: 0.95, resampling: Resampling { count: 10_000, seed: 0 } }
    }
}

/// One method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Its name.
    pub method: String,
    /// All its values.
    pub available: Outcome<Description>,
    /// Its values of the subjects that are compared: those that every method has a value of.
    pub compared: Outcome<Description>,
    /// The normality of the values that are compared.
    pub normality: Outcome<Normality>,
}

/// A test of paired values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "test", rename_all = "snake_case")]
pub enum PairedTest {
    /// The paired t-test, beside an analysis of variance.
    PairedT(PairedT),
    /// Wilcoxon's signed-rank test, after Friedman's test.
    Wilcoxon(Wilcoxon),
}

impl PairedTest {
    /// Its p, not adjusted.
    fn p(&self) -> f64 {
        match self {
            Self::PairedT(test) => test.p,
            Self::Wilcoxon(test) => test.p,
        }
    }
}

/// Two methods, compared on the same subjects; differences are first - second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// The first method.
    pub first: String,
    /// The second method.
    pub second: String,
    /// The mean difference.
    pub mean_difference: f64,
    /// The median difference.
    pub median_difference: f64,
    /// The mean difference's interval by the t distribution, of this pair alone.
    pub t_interval: Outcome<Interval>,
    /// The same by the bootstrap, subjects being drawn.
    pub bootstrap_interval: Outcome<Interval>,
    /// Cohen's d with the pooled standard deviation.
    pub cohen_d: Outcome<f64>,
    /// The same without its bias in small samples.
    pub hedges_g: Outcome<f64>,
    /// Cohen's d_z, of the differences.
    pub cohen_d_z: Outcome<f64>,
    /// p of the chosen test or of its comparison of pairs: Tukey's, or Wilcoxon's adjusted by Holm.
    pub p: Outcome<f64>,
    /// The stars of that p.
    pub stars: Stars,
    /// The test of this pair alone that goes with the choice, not adjusted.
    pub paired_test: Outcome<PairedTest>,
    /// Its p, adjusted by Holm for all pairs.
    pub p_paired: Outcome<f64>,
}

/// Methods compared on the same subjects. As text it is what was chosen, why, and what was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// What it was made with.
    pub settings: Settings,
    /// All methods of the table.
    pub groups: Vec<Group>,
    /// The methods that are compared: those with any value.
    pub methods: Vec<String>,
    /// The methods that have none.
    pub methods_left_out: Vec<String>,
    /// The subjects that are compared: those with a value of each of these methods.
    pub subjects: Vec<String>,
    /// The subjects that are not.
    pub left_out: Vec<LeftOut>,
    /// The test that was chosen.
    pub test: Test,
    /// All pairs of compared methods: (0, 1), (0, 2), ..., (1, 2), ...; none where no subject has a value of each.
    pub pairs: Vec<Pair>,
    /// What was chosen, why, and what was found: a sentence each.
    pub explanation: Vec<String>,
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.explanation.join("\n"))
    }
}

/// Compares the methods of a table, choosing tests as the [paper](super::choose) does. Values should be one a subject and method:
/// averages over slices or lesions, which are no independent measurements.
///
/// # Errors
/// [`Error::Invalid`] if a setting is outside its range. What the table does not allow is no error: it is said in the result.
pub fn compare(table: &Table, settings: Settings) -> Result<Comparison> {
    check(settings)?;
    let complete = table.complete();
    let normalities: Vec<Outcome<Normality>> =
        complete.columns.iter().map(|column| normality(column).into()).collect();
    let test = choose(&complete, &normalities, settings.significance, settings.confidence);
    let mut comparison = Comparison {
        settings,
        groups: groups(table, &complete, &normalities, settings),
        pairs: pairs(&complete, &test, settings)?,
        methods: complete.methods,
        methods_left_out: complete.methods_left_out,
        subjects: complete.subjects,
        left_out: complete.left_out,
        test,
        explanation: Vec::new(),
    };
    comparison.explanation = words::explain(&comparison);
    Ok(comparison)
}

/// Refuses settings outside their ranges.
fn check(settings: Settings) -> Result<()> {
    check_confidence(settings.confidence)?;
    if !(settings.significance > 0.0 && settings.significance < 1.0) {
        let text = format!("a level of significance must be inside 0..1, and is {}", settings.significance);
        return Err(Error::Invalid(text));
    }
    bootstrap::check(settings.resampling)?;
    Ok(())
}

/// Describes all methods of the table.
fn groups(
    table: &Table,
    complete: &Complete,
    normalities: &[Outcome<Normality>],
    settings: Settings,
) -> Vec<Group> {
    let describe = |values: &[f64]| Description::of(values, settings.confidence, settings.resampling).into();
    let none = Undefined::TooFew { found: 0, least: 1 };
    let group = |(place, method): (usize, &String)| {
        let compared = complete.methods.iter().position(|name| name == method);
        Group {
            method: method.clone(),
            available: describe(&table.available(place)),
            compared: compared.map_or_else(|| Err(none.clone()).into(), |at| describe(&complete.columns[at])),
            normality: compared.map_or_else(|| Err(none.clone()).into(), |at| normalities[at].clone()),
        }
    };
    table.methods().iter().enumerate().map(group).collect()
}

/// Compares all pairs of methods.
fn pairs(complete: &Complete, test: &Test, settings: Settings) -> Result<Vec<Pair>> {
    if complete.subjects.is_empty() {
        return Ok(Vec::new());
    }
    let places = super::pairs(complete.methods.len());
    let tests: Vec<Outcome<PairedTest>> = places
        .iter()
        .map(|(first, second)| {
            paired_test(test, &complete.columns[*first], &complete.columns[*second], settings)
        })
        .collect();
    let adjusted = adjust(&tests)?;
    let pair = |(at, (first, second)): (usize, (usize, usize))| {
        let p = match test {
            Test::Anova { tukey, .. } => Outcome::Value(tukey[at].p),
            _ => adjusted[at].clone(),
        };
        let (a, b) = (&complete.columns[first], &complete.columns[second]);
        let differences = Differences::of(a, b, 1)?.values;
        Ok(Pair {
            first: complete.methods[first].clone(),
            second: complete.methods[second].clone(),
            mean_difference: sample::mean(&differences),
            median_difference: median(&differences)?,
            t_interval: t_interval(&differences, settings.confidence).into(),
            bootstrap_interval: bootstrap::mean_interval(
                &differences,
                settings.confidence,
                settings.resampling,
            )
            .into(),
            cohen_d: cohen_d(a, b).into(),
            hedges_g: hedges_g(a, b).into(),
            cohen_d_z: cohen_d_z(a, b).into(),
            stars: Stars::of(p.value().copied()),
            p,
            paired_test: tests[at].clone(),
            p_paired: adjusted[at].clone(),
        })
    };
    places.into_iter().enumerate().map(pair).collect()
}

/// The paired test that goes with the chosen test.
fn paired_test(test: &Test, first: &[f64], second: &[f64], settings: Settings) -> Outcome<PairedTest> {
    match test {
        Test::Absent { reason } => Err(Undefined::Untested(reason.clone())),
        Test::PairedT { .. } | Test::Anova { .. } => {
            paired_t(first, second, settings.confidence).map(PairedTest::PairedT)
        }
        Test::Wilcoxon { .. } | Test::Friedman { .. } => wilcoxon(first, second).map(PairedTest::Wilcoxon),
    }
    .into()
}

/// Adjusts the p-values of all pairs by Holm. A pair without a test counts as one, so that the others are not judged too boldly.
fn adjust(tests: &[Outcome<PairedTest>]) -> Result<Vec<Outcome<f64>>> {
    let p: Vec<f64> = tests.iter().map(|test| test.value().map_or(1.0, PairedTest::p)).collect();
    let adjusted = holm(&p)?;
    Ok(tests
        .iter()
        .zip(adjusted)
        .map(|(test, p)| test.reason().map_or(Ok(p), |reason| Err(reason.clone())).into())
        .collect())
}
