//! A study's values by key: one measured pair a row, and why a value is not there.

use serde_json::Value;

use super::measure::{self, Measure};
use super::summary::REAL;
use super::{Cohort, EvaluatedCase, Results, distinct};
use crate::statistics::Table;
use crate::{Error, Result};

/// All measured pairs with their values.
#[derive(Debug)]
pub struct Values<'a> {
    rows: Vec<(&'a EvaluatedCase, Value)>,
}

/// One subject's value by one method.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// It.
    Value(f64),
    /// Why there is none.
    Absent(String),
}

impl Found {
    /// The value, if there is one.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(*value),
            Self::Absent(_) => None,
        }
    }
}

impl<'a> Values<'a> {
    /// Of a study's results.
    ///
    /// # Errors
    /// None that an evaluation gives: evaluations can always be written as JSON.
    pub fn of(results: &'a Results) -> Result<Self> {
        let of = |measured: &'a EvaluatedCase| {
            let json = serde_json::to_value(&measured.evaluation)
                .map_err(|fault| mrisynth::Error::Internal(fault.to_string()))?;
            Ok((measured, json))
        };
        Ok(Self { rows: results.measured.iter().map(of).collect::<Result<_>>()? })
    }

    fn of_cohort<'b>(
        &'b self,
        cohort: &'b Cohort,
    ) -> impl Iterator<Item = &'b (&'a EvaluatedCase, Value)> + Clone {
        self.rows.iter().filter(move |(measured, _)| measured.case.cohort == *cohort)
    }

    /// The measures that any subject of the cohort has a value of.
    pub fn measures(&self, cohort: &Cohort) -> Vec<Measure> {
        let has =
            |measure: &Measure| self.of_cohort(cohort).any(|(_, json)| number(json, &measure.key).is_some());
        measure::all().into_iter().filter(has).collect()
    }

    /// The cohort's methods, in the study's order.
    pub fn methods(&self, cohort: &Cohort) -> Vec<String> {
        distinct(self.of_cohort(cohort).map(|(measured, _)| measured.case.method.clone()))
    }

    /// The cohort's subjects, in the study's order.
    pub fn subjects(&self, cohort: &Cohort) -> Vec<String> {
        distinct(self.of_cohort(cohort).map(|(measured, _)| measured.case.subject.clone()))
    }

    /// The measure's table, subjects by methods; the real image's column comes first where it has one.
    ///
    /// # Errors
    /// [`Error::Invalid`] for values that statistics cannot be computed of.
    pub fn table(&self, cohort: &Cohort, measure: &Measure) -> Result<Table> {
        let (subjects, methods) = (self.subjects(cohort), self.methods(cohort));
        let value = |subject: &String, method: &String| {
            let row = self.row(cohort, subject, method)?;
            number(row, &measure.key)
        };
        let of_real = |subject: &String| {
            let key = measure.real_key.as_ref()?;
            methods.iter().find_map(|method| number(self.row(cohort, subject, method)?, key))
        };
        let real = measure.real_key.iter().map(|_| REAL.to_owned());
        let rows = subjects.iter().map(|subject| {
            let real = measure.real_key.iter().map(|_| of_real(subject));
            real.chain(methods.iter().map(|method| value(subject, method))).collect()
        });
        let rows = rows.collect();
        Table::new(subjects.clone(), real.chain(methods.iter().cloned()).collect(), rows)
            .map_err(|fault| Error::Invalid(format!("{}: {fault}", measure.name)))
    }

    fn row(&self, cohort: &Cohort, subject: &str, method: &str) -> Option<&Value> {
        let is = |(measured, _): &&(&EvaluatedCase, Value)| {
            let case = &measured.case;
            case.cohort == *cohort && case.subject == subject && case.method == method
        };
        self.rows.iter().find(is).map(|(_, json)| json)
    }

    /// Every pair with what was found of a measure.
    pub fn each(&self, measure: &Measure) -> impl Iterator<Item = (&'a EvaluatedCase, Found)> {
        self.rows.iter().map(|(measured, json)| (*measured, found(json, &measure.key)))
    }

    /// Why the cohort's method has no value of a measure: the reason of its first subject.
    pub fn reason(&self, cohort: &Cohort, method: &str, measure: &Measure) -> String {
        let mut rows = self.of_cohort(cohort).filter(|(measured, _)| measured.case.method == method);
        match rows.next().map(|(_, json)| found(json, &measure.key)) {
            Some(Found::Absent(reason)) => reason,
            Some(Found::Value(_)) => "some subjects have no value".into(),
            None => "no image of this method was measured".into(),
        }
    }
}

/// The number under a key with dots.
fn number(json: &Value, key: &str) -> Option<f64> {
    key.split('.').try_fold(json, |json, key| json.get(key))?.as_f64()
}

fn found(json: &Value, key: &str) -> Found {
    if let Some(value) = number(json, key) {
        return Found::Value(value);
    }
    let note = |key: &str| json.get("notes")?.get(key)?.as_str();
    let whole = key.split('.').next().unwrap_or(key);
    let reason = note(key).or_else(|| note(whole)).unwrap_or("the label maps have no such region");
    Found::Absent(reason.to_owned())
}
