//! Results that some inputs leave undefined: a value, or the reason why there is none.

use serde::Serialize;

/// A value, or why it is not defined: a phrase for a reader, or what can be written as one. As JSON, the value itself or
/// `{"undefined": "..."}`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Measured<T, Reason = &'static str> {
    /// The value.
    Value(T),
    /// There is none.
    Undefined {
        /// Why.
        undefined: Reason,
    },
}

impl<T, Reason> Measured<T, Reason> {
    /// None, for this reason.
    pub fn undefined(reason: Reason) -> Self {
        Self::Undefined { undefined: reason }
    }

    /// The value, if there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Undefined { .. } => None,
        }
    }

    /// Why there is no value, if there is none.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Value(_) => None,
            Self::Undefined { undefined } => Some(undefined),
        }
    }

    /// The same with the value changed.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Measured<U, Reason> {
        match self {
            Self::Value(value) => Measured::Value(change(value)),
            Self::Undefined { undefined } => Measured::Undefined { undefined },
        }
    }
}

impl<T, Reason> From<Result<T, Reason>> for Measured<T, Reason> {
    fn from(result: Result<T, Reason>) -> Self {
        match result {
            Ok(value) => Self::Value(value),
            Err(undefined) => Self::Undefined { undefined },
        }
    }
}

impl Measured<f64> {
    /// A quotient, undefined for this reason if the divisor is 0.
    pub(crate) fn quotient(dividend: f64, divisor: f64, undefined: &'static str) -> Self {
        if divisor == 0.0 { Self::Undefined { undefined } } else { Self::Value(dividend / divisor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_holds_the_value_or_the_reason() {
        let quotient = |divisor| Measured::quotient(1.0, divisor, "nothing there");
        assert_eq!(serde_json::to_string(&quotient(2.0)).unwrap(), "0.5");
        assert_eq!(serde_json::to_string(&quotient(0.0)).unwrap(), r#"{"undefined":"nothing there"}"#);
        assert_eq!(quotient(2.0).value(), Some(&0.5));
        assert_eq!(quotient(0.0).reason(), Some(&"nothing there"));
        assert_eq!(quotient(0.0).map(|value| value + 1.0).value(), None);
    }
}
