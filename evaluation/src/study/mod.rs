//! A study: many subjects, several methods, each a pair of images; evaluated side by side and compared.

pub mod bids;
mod figures;
pub mod list;
pub mod measure;
pub mod page;
pub mod record;
pub mod summary;
pub mod tables;
pub mod values;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use mrisynth::Limits;
use rayon::prelude::*;
use serde::Serialize;

use crate::pair::input::check_files;
use crate::pair::{self, Evaluation, Options, Pair};
use crate::{Error, Result};

/// What is compared within: subjects of one dataset, translated one way. Either name may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cohort {
    /// The dataset, such as `HCP`.
    pub dataset: String,
    /// What was synthesized from what, such as `T2w to T1w`.
    pub translation: String,
}

impl Cohort {
    /// Both names, as far as they are not empty.
    pub fn name(&self) -> String {
        let names = [&self.dataset, &self.translation].map(String::as_str);
        names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(", ")
    }
}

/// One subject's image by one method.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Where it belongs.
    pub cohort: Cohort,
    /// The subject; those of one name are compared with each other.
    pub subject: String,
    /// What made the synthetic image.
    pub method: String,
    /// The files.
    pub files: Pair<PathBuf>,
}

impl Case {
    /// What it is called in messages.
    pub fn name(&self) -> String {
        let cohort = self.cohort.name();
        let of = if cohort.is_empty() { String::new() } else { format!(" ({cohort})") };
        format!("{}, {}{of}", self.subject, self.method)
    }
}

/// All pairs that are compared with each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    cases: Vec<Case>,
}

impl Study {
    /// A study of these pairs.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is none, a subject or method has no name, or one subject has two images of one method in one
    /// cohort.
    pub fn new(cases: Vec<Case>) -> Result<Self> {
        if cases.is_empty() {
            return Err(Error::Invalid("a study without a pair of images".into()));
        }
        let mut seen = BTreeSet::new();
        for case in &cases {
            if case.subject.is_empty() || case.method.is_empty() {
                return Err(Error::Invalid(format!(
                    "subject {:?}, method {:?}: neither may be empty",
                    case.subject, case.method
                )));
            }
            if !seen.insert((&case.cohort, &case.subject, &case.method)) {
                return Err(Error::Invalid(format!("{} is there twice", case.name())));
            }
        }
        Ok(Self { cases })
    }

    /// Its pairs.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }

    /// Every file of it, each once.
    pub fn files(&self) -> BTreeSet<&Path> {
        self.cases.iter().flat_map(|case| case.files.parts()).map(PathBuf::as_path).collect()
    }

    /// Checks that all files are there, before any is read.
    ///
    /// # Errors
    /// One that names all that are missing.
    pub fn check_files(&self) -> Result<()> {
        check_files(self.files().into_iter())
    }

    /// Evaluates every pair, several at once on the current pool; the result is the same for any number of threads. `done` is
    /// told of each pair that is through.
    ///
    /// # Errors
    /// Those of [`Study::check_files`] and of [`Options`] out of range. What is wrong with a pair is no error: it is one of the
    /// result's faults.
    pub fn evaluate(&self, options: &Options, done: &(dyn Fn(&Case) + Sync)) -> Result<Results> {
        self.check_files()?;
        let evaluate = |case: &Case| {
            let evaluation = case.files.clone().read(&Limits::default());
            let evaluation = evaluation.and_then(|pair| pair::evaluate(&pair, options));
            done(case);
            evaluation
        };
        let evaluations: Vec<_> = self.cases.par_iter().map(evaluate).collect();
        let mut results = Results::default();
        for (case, evaluation) in self.cases.iter().zip(evaluations) {
            match evaluation {
                Ok(evaluation) => results.measured.push(EvaluatedCase { case: case.clone(), evaluation }),
                Err(fault) => results.faults.push(Fault { case: case.clone(), fault }),
            }
        }
        Ok(results)
    }
}

/// A pair that was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluatedCase {
    /// Which.
    pub case: Case,
    /// What was found.
    pub evaluation: Evaluation,
}

/// A pair that was not.
#[derive(Debug)]
pub struct Fault {
    /// Which.
    pub case: Case,
    /// Why.
    pub fault: Error,
}

/// What became of a study's pairs, both in its order.
#[derive(Debug, Default)]
pub struct Results {
    /// Those that were measured.
    pub measured: Vec<EvaluatedCase>,
    /// Those that were not.
    pub faults: Vec<Fault>,
}

impl Results {
    /// The cohorts with a measured pair, in the order of the first of each.
    pub fn cohorts(&self) -> Vec<&Cohort> {
        distinct(self.measured.iter().map(|measured| &measured.case.cohort))
    }

    /// The measured pairs of a cohort.
    pub fn of<'a>(&'a self, cohort: &'a Cohort) -> impl Iterator<Item = &'a EvaluatedCase> + Clone {
        self.measured.iter().filter(move |measured| measured.case.cohort == *cohort)
    }

    /// The subjects with a measured pair of a cohort, in their order.
    pub fn subjects(&self, cohort: &Cohort) -> Vec<&str> {
        let of_cohort = self.measured.iter().filter(|measured| measured.case.cohort == *cohort);
        distinct(of_cohort.map(|measured| measured.case.subject.as_str()))
    }

    /// The methods that any pair was measured of, in their order.
    pub fn methods(&self) -> Vec<&str> {
        distinct(self.measured.iter().map(|measured| measured.case.method.as_str()))
    }
}

/// Each once, in the order of first appearance.
pub(crate) fn distinct<T: PartialEq>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for item in items {
        if !distinct.contains(&item) {
            distinct.push(item);
        }
    }
    distinct
}

#[cfg(test)]
mod tests;
