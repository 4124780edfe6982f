//! `docs/soup/requirements.md` names tests that exist, and every promise has one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Rows of the tables: identifier, and what shows it.
fn requirements() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(root().join("docs/soup/requirements.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| R-"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 3, "{row}");
        let names = cells[2].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (cells[0].trim().to_owned(), names)
    })
    .collect()
}

/// What is wrong with the place of a test, if anything.
fn fault(place: &str) -> Option<String> {
    let (path, test) = place.split_once("::").map_or((place, None), |(path, test)| (path, Some(test)));
    let Ok(text) = fs::read_to_string(root().join(path)) else { return Some(format!("there is no {path}")) };
    let Some(test) = test else {
        return (!path.starts_with("scripts/")).then(|| format!("{path} is no script"));
    };
    let Some(at) = text.find(&format!("fn {test}(")) else { return Some(format!("{path} has no {test}")) };
    // Attributes, and perhaps a comment, stand right above; proptest's functions begin within a macro.
    let above = text[..at].trim_end().rsplit("\n\n").next().unwrap_or_default();
    (!above.contains("#[test]")).then(|| format!("{test} of {path} is no test"))
}

#[test]
fn every_requirement_is_shown_by_tests_that_exist() {
    let requirements = requirements();
    let identifiers: BTreeSet<_> = requirements.iter().map(|(identifier, _)| identifier).collect();
    assert_eq!(identifiers.len(), requirements.len(), "an identifier is used twice");
    assert!(requirements.len() >= 30);
    let faults: Vec<_> = requirements
        .iter()
        .flat_map(|(identifier, places)| {
            let none = places.is_empty().then(|| format!("{identifier}: nothing shows it"));
            places
                .iter()
                .filter_map(|place| fault(place))
                .map(move |fault| format!("{identifier}: {fault}"))
                .chain(none)
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_hazards_name_requirements_that_exist() {
    let known: BTreeSet<_> = requirements().into_iter().map(|(identifier, _)| identifier).collect();
    let text = fs::read_to_string(root().join("docs/soup/hazards.md")).unwrap();
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let named = text
        .split(|c: char| !letters(c))
        .filter(|word| word.starts_with("R-") && word.ends_with(|last: char| last.is_ascii_digit()));
    let unknown: Vec<_> = named.filter(|word| !known.contains(*word)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn what_does_not_exist_is_noticed() {
    assert!(fault("tests/none.rs::nothing").is_some());
    assert!(fault("tests/traceability.rs::nothing").is_some());
    assert!(fault("tests/traceability.rs::root").is_some());
    assert!(fault("README.md").is_some());
    assert_eq!(fault("tests/traceability.rs::what_does_not_exist_is_noticed"), None);
}
