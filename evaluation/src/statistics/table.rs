//! What was measured of every subject with every method, and which subjects have it all.

use std::collections::HashSet;

use serde::Serialize;

use crate::{Error, Result};

/// Magnitudes of values whose differences, and what is computed of these, are representable and above rounding.
const MAGNITUDES: std::ops::RangeInclusive<f64> = 1e-40..=1e40;

/// One measure of subjects (rows) by methods (columns); values may be missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    subjects: Vec<String>,
    methods: Vec<String>,
    rows: Vec<Vec<Option<f64>>>,
}

/// A subject that is left out of comparisons, because they need every method's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// The subject.
    pub subject: String,
    /// The methods that there is no value of.
    pub missing: Vec<String>,
}

/// The part of a table that has no gaps.
pub(super) struct Complete {
    /// The methods that have any value.
    pub methods: Vec<String>,
    /// The subjects that have a value of each of these.
    pub subjects: Vec<String>,
    /// Each method's values, of these subjects in this order.
    pub columns: Vec<Vec<f64>>,
    /// The other subjects.
    pub left_out: Vec<LeftOut>,
    /// The other methods.
    pub methods_left_out: Vec<String>,
}

impl Table {
    /// A table of `rows[subject][method]`, in any unit; `None` where there is no value: an undefined measure, a missing file.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the rows do not fit the names, a name is empty or there twice, or a value is not finite or its
    /// magnitude neither 0 nor within 1e-40..=1e40.
    pub fn new(subjects: Vec<String>, methods: Vec<String>, rows: Vec<Vec<Option<f64>>>) -> Result<Self> {
        check_names("subject", &subjects)?;
        check_names("method", &methods)?;
        if rows.len() != subjects.len() {
            let text = format!("there are {} subjects, and values of {}", subjects.len(), rows.len());
            return Err(Error::Invalid(text));
        }
        for (subject, row) in subjects.iter().zip(&rows) {
            if row.len() != methods.len() {
                let text = format!("{subject} has {} values of {} methods", row.len(), methods.len());
                return Err(Error::Invalid(text));
            }
            for (method, value) in methods.iter().zip(row) {
                if let Some(value) = value.filter(|value| *value != 0.0 && !MAGNITUDES.contains(&value.abs()))
                {
                    let text = format!(
                        "{subject} has a value of {method} that is no number to compute with: {value}"
                    );
                    return Err(Error::Invalid(text));
                }
            }
        }
        Ok(Self { subjects, methods, rows })
    }

    /// The names of the subjects.
    pub fn subjects(&self) -> &[String] {
        &self.subjects
    }

    /// The names of the methods.
    pub fn methods(&self) -> &[String] {
        &self.methods
    }

    /// The values that there are of the method at `place`; none beyond the last method.
    pub fn available(&self, place: usize) -> Vec<f64> {
        self.rows.iter().filter_map(|row| row.get(place).copied().flatten()).collect()
    }

    /// The methods that have any value, and the subjects that have a value of each of these.
    pub(super) fn complete(&self) -> Complete {
        let (used, empty): (Vec<usize>, Vec<usize>) =
            (0..self.methods.len()).partition(|method| self.rows.iter().any(|row| row[*method].is_some()));
        let names = |places: &[usize]| places.iter().map(|at| self.methods[*at].clone()).collect::<Vec<_>>();
        let mut complete = Complete {
            methods: names(&used),
            subjects: Vec::new(),
            columns: vec![Vec::new(); used.len()],
            left_out: Vec::new(),
            methods_left_out: names(&empty),
        };
        for (subject, row) in self.subjects.iter().zip(&self.rows) {
            let missing: Vec<usize> = used.iter().copied().filter(|method| row[*method].is_none()).collect();
            if missing.is_empty() {
                complete.subjects.push(subject.clone());
                let values = used.iter().filter_map(|method| row[*method]);
                complete.columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
            } else {
                complete.left_out.push(LeftOut { subject: subject.clone(), missing: names(&missing) });
            }
        }
        complete
    }
}

/// Refuses names that do not tell things apart.
fn check_names(what: &str, names: &[String]) -> Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        if name.trim().is_empty() {
            return Err(Error::Invalid(format!("a {what} has no name")));
        }
        if !seen.insert(name) {
            return Err(Error::Invalid(format!("the {what} {name} is there twice")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn gaps_are_named() {
        let rows = vec![
            vec![Some(1.0), None, Some(2.0), None],
            vec![Some(3.0), Some(4.0), Some(5.0), None],
            vec![None, None, Some(6.0), None],
        ];
        let table = Table::new(names(&["s1", "s2", "s3"]), names(&["a", "b", "c", "d"]), rows).unwrap();
        assert_eq!(table.available(0), [1.0, 3.0]);
        assert!(table.available(3).is_empty() && table.available(9).is_empty());
        let complete = table.complete();
        assert_eq!(complete.methods, ["a", "b", "c"]);
        assert_eq!(complete.methods_left_out, ["d"]);
        assert_eq!(complete.subjects, ["s2"]);
        assert_eq!(complete.columns, [[3.0], [4.0], [5.0]]);
        let left_out: Vec<(&str, Vec<String>)> =
            complete.left_out.iter().map(|out| (out.subject.as_str(), out.missing.clone())).collect();
        assert_eq!(left_out, [("s1", names(&["b"])), ("s3", names(&["a", "b"]))]);
    }

    #[test]
    fn faults_are_named() {
        let fault = |subjects: &[&str], methods: &[&str], rows: &[&[f64]]| {
            let rows = rows.iter().map(|row| row.iter().copied().map(Some).collect()).collect();
            Table::new(names(subjects), names(methods), rows).unwrap_err().to_string()
        };
        assert_eq!(fault(&["s", "s"], &["a"], &[&[1.0], &[2.0]]), "the subject s is there twice");
        assert_eq!(fault(&["s"], &[" "], &[&[1.0]]), "a method has no name");
        assert_eq!(fault(&["s"], &["a"], &[]), "there are 1 subjects, and values of 0");
        assert_eq!(fault(&["s"], &["a"], &[&[1.0, 2.0]]), "s has 2 values of 1 methods");
        let infinite = fault(&["s"], &["a", "b"], &[&[1.0, f64::INFINITY]]);
        assert_eq!(infinite, "s has a value of b that is no number to compute with: inf");
    }
}
