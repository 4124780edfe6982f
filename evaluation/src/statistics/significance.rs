//! How p-values are shown: stars and text.

use serde::{Serialize, Serializer};

/// Stars, as the paper's figures have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stars {
    /// p > 0.05, or no p.
    None,
    /// p <= 0.05.
    One,
    /// p <= 0.01.
    Two,
    /// p <= 0.001.
    Three,
}

impl Stars {
    /// The stars of a p-value; of none, and of what is not a number, there are none.
    pub fn of(p: Option<f64>) -> Self {
        match p {
            Some(p) if p <= 0.001 => Self::Three,
            Some(p) if p <= 0.01 => Self::Two,
            Some(p) if p <= 0.05 => Self::One,
            _ => Self::None,
        }
    }

    /// `***`, `**`, `*` or nothing.
    pub fn text(self) -> &'static str {
        match self {
            Self::None => "",
            Self::One => "*",
            Self::Two => "**",
            Self::Three => "***",
        }
    }
}

impl Serialize for Stars {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

/// A p-value as a table shows it: with four decimals, and `< 0.001` below that.
pub fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("{p:.4}") }
}

/// A p-value as it follows "p " in a sentence: that of [`p_value`], with its equal sign.
pub fn p_text(p: f64) -> String {
    let value = p_value(p);
    if value.starts_with('<') { value } else { format!("= {value}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_have_the_papers_thresholds() {
        let of = |p| Stars::of(Some(p)).text();
        assert_eq!(
            [0.0, 0.001, 0.0011, 0.01, 0.011, 0.05, 0.051, 1.0].map(of),
            ["***", "***", "**", "**", "*", "*", "", ""]
        );
        assert_eq!(Stars::of(None), Stars::None);
        assert_eq!(Stars::of(Some(f64::NAN)), Stars::None);
        assert_eq!(serde_json::to_string(&Stars::Two).unwrap(), "\"**\"");
    }

    #[test]
    fn small_p_are_bounds() {
        assert_eq!(p_text(0.05041), "= 0.0504");
        assert_eq!(p_text(1e-9), "< 0.001");
        assert_eq!(p_text(0.001), "= 0.0010");
    }
}
