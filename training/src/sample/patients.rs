//! People to draw from, each as often as weights say.

use std::collections::BTreeMap;

use rand::RngExt;
use rand_pcg::Pcg64;

use crate::error::Error;

/// People to draw from.
#[derive(Default)]
pub(super) struct Patients {
    /// The studies of each.
    pub(super) studies: Vec<Vec<usize>>,
    /// The sum of the weights of each and those before.
    shares: Vec<f64>,
}

impl Patients {
    pub(super) fn new(groups: BTreeMap<String, Vec<usize>>, weights: &BTreeMap<String, f64>) -> Self {
        let mut patients = Self::default();
        for (patient, studies) in groups {
            let before = patients.shares.last().copied().unwrap_or(0.0);
            patients.shares.push(before + weights.get(&patient).copied().unwrap_or(1.0));
            patients.studies.push(studies);
        }
        patients
    }

    /// The studies of a patient drawn by weight.
    pub(super) fn draw(&self, random: &mut Pcg64) -> &[usize] {
        let total = self.shares.last().copied().unwrap_or(0.0);
        let drawn = random.random::<f64>() * total;
        let number = self.shares.partition_point(|&share| share <= drawn);
        self.studies.get(number).or(self.studies.last()).map_or(&[], Vec::as_slice)
    }
}

/// Refuses weights of patients who are not there, and kinds of patients who weigh nothing together.
pub(super) fn check_weights(
    weights: &BTreeMap<String, f64>,
    groups: &[BTreeMap<String, Vec<usize>>; 2],
) -> Result<(), Error> {
    if let Some(patient) =
        weights.keys().find(|patient| groups.iter().all(|group| !group.contains_key(*patient)))
    {
        return Err(Error::Data(format!(
            "patient_weights names {patient}, who is not among those to train on"
        )));
    }
    for group in groups.iter().filter(|group| !group.is_empty()) {
        if group.keys().all(|patient| weights.get(patient) == Some(&0.0)) {
            let names: Vec<_> = group.keys().cloned().collect();
            return Err(Error::Data(format!("patient_weights gives 0 to all of {}", names.join(", "))));
        }
    }
    Ok(())
}
