//! Why results are not there: for each key without a value, the reason.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::measured::Measured;

/// A reason for every key whose value is `null`. Keys of objects in objects are joined by dots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Notes(BTreeMap<String, String>);

impl Notes {
    /// The value if there is one, else none, with the reason noted.
    pub(super) fn value<T>(&mut self, key: &str, measured: Measured<T>) -> Option<T> {
        match measured {
            Measured::Value(value) => Some(value),
            Measured::Undefined { undefined } => {
                self.add(key, undefined);
                None
            }
        }
    }

    /// Notes why the value of a key is not there.
    pub(super) fn add(&mut self, key: &str, reason: &str) {
        self.0.insert(key.to_owned(), reason.to_owned());
    }

    /// Notes the reason for each of the measures that is not there and has none yet.
    pub(super) fn explain(&mut self, measures: &impl Serialize, reason: &str) {
        // Structs of numbers are always JSON.
        if let Ok(Value::Object(measures)) = serde_json::to_value(measures) {
            for (key, _) in measures.into_iter().filter(|(_, value)| value.is_null()) {
                self.0.entry(key).or_insert_with(|| reason.to_owned());
            }
        }
    }

    /// Each key without a value, and why.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, reason)| (key.as_str(), reason.as_str()))
    }

    /// Why a key has no value, if it has none.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}
