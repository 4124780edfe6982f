//! From which contrast to which a generator goes.

use std::fmt;

use mrisynth::Contrast;

/// From which contrast to which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Direction {
    /// The contrast that comes in.
    pub source: Contrast,
    /// The contrast that comes out.
    pub target: Contrast,
}

impl Direction {
    /// The way back.
    pub fn reversed(self) -> Self {
        Self { source: self.target, target: self.source }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = format!("{}-from-{}", self.target, self.source);
        formatter.write_str(&name.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_have_the_names_of_models() {
        let direction = Direction { source: Contrast::T2w, target: Contrast::T1w };
        assert_eq!(direction.to_string(), "t1w-from-t2w");
        assert_eq!(direction.reversed().to_string(), "t2w-from-t1w");
    }
}
