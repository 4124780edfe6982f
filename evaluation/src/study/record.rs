//! A study's results as files for programs: one JSON object, and tables of values and of comparisons as CSV.

use serde::Serialize;
use serde_json::{Value, json};

use super::summary::{Options as Comparing, Summary};
use super::values::{Found, Values};
use super::{Case, Cohort, Results, measure};
use crate::Result;
use crate::pair::{Options, Settings};
use crate::report::text::csv;

/// What JSON says of the pairs that were not measured.
#[derive(Serialize)]
struct LeftOut {
    #[serde(flatten)]
    case: Value,
    fault: String,
}

/// Everything, as one JSON object: what was asked for, each pair's evaluation, and each cohort's summary.
///
/// # Errors
/// None that results give: they can always be written.
pub fn json(
    results: &Results,
    summaries: &[Summary],
    measuring: &Options,
    comparing: &Comparing,
) -> Result<Value> {
    let pair = |measured: &super::EvaluatedCase| {
        let mut pair = about(&measured.case);
        pair["evaluation"] = to_value(&measured.evaluation)?;
        Ok(pair)
    };
    let pairs: Vec<Value> = results.measured.iter().map(pair).collect::<Result<_>>()?;
    let left_out: Vec<LeftOut> = results
        .faults
        .iter()
        .map(|fault| LeftOut { case: about(&fault.case), fault: fault.fault.to_string() })
        .collect();
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "data_range": measuring.data_range,
        "normalize": measuring.normalize,
        "fit": measuring.fit,
        "settings": to_value(&Settings::of(measuring))?,
        "comparing": to_value(comparing)?,
        "pairs": pairs,
        "left_out": to_value(&left_out)?,
        "cohorts": to_value(&summaries)?,
    }))
}

fn to_value(of: &impl Serialize) -> Result<Value> {
    serde_json::to_value(of).map_err(|fault| mrisynth::Error::Internal(fault.to_string()).into())
}

fn about(case: &Case) -> Value {
    json!({
        "dataset": case.cohort.dataset,
        "translation": case.cohort.translation,
        "subject": case.subject,
        "method": case.method,
        "reference": case.files.reference.display().to_string(),
        "synthetic": case.files.synthetic.display().to_string(),
    })
}

/// The values, one a line: of every pair every measure that any pair has.
///
/// # Errors
/// None that results give.
pub fn values_csv(results: &Results) -> Result<String> {
    let values = Values::of(results)?;
    let has_any = |measure: &measure::Measure| values.each(measure).any(|(_, found)| found.value().is_some());
    let measures: Vec<_> = measure::all().into_iter().filter(has_any).collect();
    let heads = ["dataset", "translation", "subject", "method", "measure", "value", "undefined"];
    let mut records = vec![heads.map(String::from)];
    for measure in &measures {
        for (measured, found) in values.each(measure) {
            let case = &measured.case;
            let (value, reason) = match found {
                Found::Value(value) => (value.to_string(), String::new()),
                Found::Absent(reason) => (String::new(), reason),
            };
            let Cohort { dataset, translation } = &case.cohort;
            let fields = [dataset, translation, &case.subject, &case.method, &measure.key, &value, &reason];
            records.push(fields.map(String::clone));
        }
    }
    csv(&records)
}

/// The comparisons, a pair of methods a line.
///
/// # Errors
/// None that results give.
pub fn comparisons_csv(summaries: &[Summary]) -> Result<String> {
    let heads = [
        "dataset",
        "translation",
        "measure",
        "first",
        "second",
        "subjects",
        "test",
        "mean_difference",
        "low",
        "high",
        "cohen_d",
        "p",
        "p_paired_holm",
    ];
    let mut records = vec![heads.map(String::from)];
    let text = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    for summary in summaries {
        for compared in &summary.measures {
            let test = to_value(&compared.comparison.test)?;
            let test = test.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            for pair in &compared.comparison.pairs {
                let interval = pair.t_interval.value();
                let fields = [
                    &summary.cohort.dataset,
                    &summary.cohort.translation,
                    &compared.key,
                    &pair.first,
                    &pair.second,
                    &compared.comparison.subjects.len().to_string(),
                    &test,
                    &pair.mean_difference.to_string(),
                    &text(interval.map(|interval| interval.low)),
                    &text(interval.map(|interval| interval.high)),
                    &text(pair.cohen_d.value().copied()),
                    &text(pair.p.value().copied()),
                    &text(pair.p_paired.value().copied()),
                ];
                records.push(fields.map(String::clone));
            }
        }
    }
    csv(&records)
}
