//! A study's list: a CSV file with a line for each subject and method.

use std::collections::HashMap;
use std::path::Path;

use mrisynth::regular_file;

use super::{Case, Cohort, Study};
use crate::pair::Pair;
use crate::{Error, Result};

/// Columns that a list must have.
pub const REQUIRED: [&str; 4] = ["subject", "method", "reference", "synthetic"];
/// Columns that it may have; their fields may be empty.
pub const OPTIONAL: [&str; 7] = [
    "dataset",
    "translation",
    "mask",
    "lesions_reference",
    "lesions_synthetic",
    "labels_reference",
    "labels_synthetic",
];
/// A list is not longer than this, in bytes.
const MAX_BYTES: u64 = 16 << 20;

/// Reads a list: a first line with the names of its columns in any order, the [`REQUIRED`] ones and perhaps the [`OPTIONAL`]
/// ones, then a pair a line. Files are relative to the list's folder.
///
/// # Errors
/// Those of reading the file; [`Error::Invalid`] with all faulty lines, in [`mrisynth::Error::InFile`].
pub fn read(path: &Path) -> Result<Study> {
    let text = regular_file::read_text(path, MAX_BYTES, mrisynth::Error::InvalidArgument)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let study = parse(&text, folder).and_then(Study::new);
    study.map_err(|fault| mrisynth::Error::from(fault).in_file(path).into())
}

fn parse(text: &str, folder: &Path) -> Result<Vec<Case>> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let unreadable = |fault: csv::Error| Error::Invalid(fault.to_string());
    let columns = columns(reader.headers().map_err(unreadable)?)?;
    let (mut cases, mut faults) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let record = record.map_err(unreadable)?;
        let line = record.position().map_or(0, csv::Position::line);
        let field =
            |name: &str| columns.get(name).and_then(|at| record.get(*at)).filter(|text| !text.is_empty());
        let missing: Vec<_> = REQUIRED.into_iter().filter(|name| field(name).is_none()).collect();
        if !missing.is_empty() {
            faults.push(format!("line {line} has no {}", missing.join(", no ")));
            continue;
        }
        let file = |name: &str| field(name).map(|name| folder.join(name));
        let text = |name: &str| field(name).unwrap_or_default().to_owned();
        cases.push(Case {
            cohort: Cohort { dataset: text("dataset"), translation: text("translation") },
            subject: text("subject"),
            method: text("method"),
            files: Pair {
                mask: file("mask"),
                lesions_reference: file("lesions_reference"),
                lesions_synthetic: file("lesions_synthetic"),
                labels_reference: file("labels_reference"),
                labels_synthetic: file("labels_synthetic"),
                ..Pair::new(file("reference").unwrap_or_default(), file("synthetic").unwrap_or_default())
            },
        });
    }
    if faults.is_empty() { Ok(cases) } else { Err(Error::Invalid(faults.join("; "))) }
}

/// Where the columns stand.
fn columns(heads: &csv::StringRecord) -> Result<HashMap<String, usize>> {
    let mut columns = HashMap::new();
    for (at, name) in heads.iter().enumerate() {
        if !REQUIRED.contains(&name) && !OPTIONAL.contains(&name) {
            return Err(Error::Invalid(format!(
                "the column {name:?} is none of {}, {}",
                REQUIRED.join(", "),
                OPTIONAL.join(", ")
            )));
        }
        if columns.insert(name.to_owned(), at).is_some() {
            return Err(Error::Invalid(format!("the column {name:?} is there twice")));
        }
    }
    let missing: Vec<_> = REQUIRED.into_iter().filter(|name| !columns.contains_key(*name)).collect();
    if missing.is_empty() {
        return Ok(columns);
    }
    Err(Error::Invalid(format!("the first line lacks {}", missing.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_may_stand_in_any_order_and_files_are_relative_to_the_list() {
        let text = "\u{feff}method, subject,synthetic,reference,mask,translation\n\
                    Pix2Pix,p1,s/1.nii,r.nii,,T2w to T1w\n\n\"A, B\",p1,2.nii,r.nii,/m.nii,\n";
        let cases = parse(text, Path::new("list")).unwrap();
        assert_eq!(cases.len(), 2);
        assert_eq!((cases[0].subject.as_str(), cases[1].method.as_str()), ("p1", "A, B"));
        assert_eq!(cases[0].cohort.name(), "T2w to T1w");
        assert_eq!(cases[0].files.synthetic, Path::new("list/s/1.nii"));
        assert_eq!(cases[0].files.mask, None);
        assert_eq!(cases[1].files.mask, Some("/m.nii".into()));
    }

    #[test]
    fn all_faulty_lines_are_told_at_once() {
        let fault = |text: &str| parse(text, Path::new("")).unwrap_err().to_string();
        let found = fault("subject,method,reference,synthetic\n,m,r,s\np,m,r,s\np,,r,\n");
        assert_eq!(found, "line 2 has no subject; line 4 has no method, no synthetic");
        assert_eq!(fault("subject,method,reference\n"), "the first line lacks synthetic");
        assert!(fault("subject,method,reference,synthetic,mask,mask\n").contains("twice"));
        assert!(fault("subject,method,reference,synthetic,age\n").contains("\"age\" is none of subject"));
        assert!(fault("subject,method,reference,synthetic\na,b\n").contains("found record with 2 fields"));
        assert!(fault("").contains("lacks subject, method, reference, synthetic"));
    }
}
