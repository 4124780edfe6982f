//! Which patients a run trains on, which it is watched with, and which are kept for the end.

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64;
use serde::{Deserialize, Serialize};

use crate::data::store::Subject;
use crate::error::Error;

/// How far the shares' sum may be from 1.
const TOLERANCE: f64 = 1e-6;

/// Shares of the patients; all studies of a patient go the same way.
///
/// The defaults are the paper's: 0.8, 0.1 and 0.1 with seed 42 (section 2.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Split {
    /// Share for training.
    pub train: f64,
    /// Share for choosing among checkpoints.
    pub validation: f64,
    /// Share for the scores that are reported.
    pub test: f64,
    /// Decides who goes where.
    pub seed: u64,
}

impl Default for Split {
    fn default() -> Self {
        Self { train: 0.8, validation: 0.1, test: 0.1, seed: 42 }
    }
}

/// One of the three parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Weights are learned from these patients.
    Train,
    /// Checkpoints are chosen with these.
    Validation,
    /// Scores are reported of these.
    Test,
}

impl Split {
    /// Names the first share that makes no sense.
    ///
    /// # Errors
    /// The fault.
    pub fn validate(&self) -> Result<(), String> {
        let shares = [("train", self.train), ("validation", self.validation), ("test", self.test)];
        for (name, share) in shares {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("split.{name} is {share}, it must be in 0..=1"));
            }
        }
        let sum: f64 = shares.iter().map(|(_, share)| share).sum();
        if (sum - 1.0).abs() > TOLERANCE {
            return Err(format!("the shares of split sum to {sum}, not to 1"));
        }
        if self.train == 0.0 {
            return Err("split.train is 0: nothing would be learned".into());
        }
        Ok(())
    }

    /// The part of every patient: a share is rounded to whole patients, but is one patient at least unless it is 0.
    ///
    /// # Errors
    /// [`Error::Data`] if there are too few patients for every part to have one.
    pub fn assign<'a>(
        &self,
        patients: impl IntoIterator<Item = &'a str>,
    ) -> Result<BTreeMap<String, Part>, Error> {
        let unique: BTreeSet<&str> = patients.into_iter().collect();
        let mut shuffled: Vec<&str> = unique.into_iter().collect();
        shuffled.shuffle(&mut Pcg64::seed_from_u64(self.seed));
        let count = shuffled.len();
        let share = |share: f64| {
            let rounded = (share * count as f64).round() as usize;
            if share > 0.0 { rounded.max(1) } else { 0 }
        };
        let (validation, test) = (share(self.validation), share(self.test));
        if validation + test >= count {
            return Err(Error::Data(format!(
                "{count} patients are too few to split into training, {validation} for validation and {test} for testing"
            )));
        }
        let part = |place: usize| match place {
            place if place < validation => Part::Validation,
            place if place < validation + test => Part::Test,
            _ => Part::Train,
        };
        Ok(shuffled.into_iter().enumerate().map(|(place, name)| (name.to_owned(), part(place))).collect())
    }
}

/// The subjects of all parts, in the order of training, validation and test.
///
/// # Errors
/// Those of [`Split::assign`].
pub fn parted(subjects: Vec<Subject>, split: &Split) -> Result<[Vec<Subject>; 3], Error> {
    let parts = split.assign(subjects.iter().map(|subject| subject.patient.as_str()))?;
    let mut all = <[Vec<Subject>; 3]>::default();
    for subject in subjects {
        if let Some(part) = parts.get(&subject.patient) {
            all[*part as usize].push(subject);
        }
    }
    Ok(all)
}

/// The subjects of one part.
///
/// # Errors
/// Those of [`Split::assign`].
pub fn subjects_of(subjects: Vec<Subject>, split: &Split, part: Part) -> Result<Vec<Subject>, Error> {
    let mut all = parted(subjects, split)?;
    Ok(std::mem::take(&mut all[part as usize]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::store::Origin;
    use crate::sample::tests::ball;

    fn counts(split: &Split, patients: usize) -> [usize; 3] {
        let names: Vec<String> = (0..patients).map(|n| format!("p{n:03}")).collect();
        let parts = split.assign(names.iter().map(String::as_str)).unwrap();
        [Part::Train, Part::Validation, Part::Test]
            .map(|wanted| parts.values().filter(|part| **part == wanted).count())
    }

    #[test]
    fn the_papers_shares_are_kept() {
        assert_eq!(counts(&Split::default(), 1113), [891, 111, 111]);
        assert_eq!(counts(&Split::default(), 22), [18, 2, 2]);
        assert_eq!(counts(&Split::default(), 3), [1, 1, 1]);
        assert_eq!(counts(&Split { train: 1.0, validation: 0.0, test: 0.0, seed: 1 }, 5), [5, 0, 0]);
        assert!(Split::default().assign(["a", "b"]).is_err());
    }

    #[test]
    fn the_seed_decides_and_the_order_of_names_does_not() {
        let (forth, back) = (["a", "b", "c", "d", "e"], ["e", "d", "c", "b", "a"]);
        let split = Split::default();
        assert_eq!(split.assign(forth).unwrap(), split.assign(back).unwrap());
        let names: Vec<String> = (0..40).map(|n| n.to_string()).collect();
        let of_seed = |seed| Split { seed, ..split }.assign(names.iter().map(String::as_str)).unwrap();
        assert_ne!(of_seed(1), of_seed(2));
    }

    #[test]
    fn studies_of_one_patient_stay_together() {
        let subjects: Vec<Subject> = (0..12)
            .map(|n| Subject { patient: format!("p{}", n / 2), ..ball(&n.to_string(), Origin::Real) })
            .collect();
        let mut seen = Vec::new();
        for part in [Part::Train, Part::Validation, Part::Test] {
            let ids: Vec<String> = subjects_of(subjects.clone(), &Split::default(), part)
                .unwrap()
                .into_iter()
                .map(|subject| subject.id)
                .collect();
            assert_eq!(ids.len() % 2, 0);
            seen.extend(ids);
        }
        seen.sort();
        let mut all: Vec<String> = (0..12).map(|n| n.to_string()).collect();
        all.sort();
        assert_eq!(seen, all);
    }

    #[test]
    fn impossible_shares_are_refused() {
        assert!(Split::default().validate().is_ok());
        assert!(Split { train: 0.9, ..Split::default() }.validate().is_err());
        assert!(Split { train: -0.1, validation: 0.6, test: 0.5, seed: 1 }.validate().is_err());
        assert!(Split { train: 0.0, validation: 0.5, test: 0.5, seed: 1 }.validate().is_err());
    }
}
