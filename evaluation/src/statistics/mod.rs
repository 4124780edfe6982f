//! Statistics for repeated measures, and the choice between tests.
//!
//! [`compare`] takes a [`Table`] of one measure, subjects by methods, and does what the paper does with it: describes, tests
//! for normality, chooses between analysis of variance and ranks, compares pairs, and says in words what it chose and why.
//! Whether two methods are equivalent, which no such test can show, is for [`equivalence`](equivalence::equivalence). The tests
//! themselves are functions of slices.
//!
//! Nothing here is ever not a number: what the values do not define is an [`Undefined`] with the reason.

pub mod adjust;
pub mod anova;
pub mod bootstrap;
pub mod choose;
pub mod comparison;
pub mod dagostino;
pub mod describe;
pub(crate) mod distributions;
pub mod effect;
pub mod equivalence;
pub mod friedman;
pub mod kruskal;
pub mod mean_ranks;
pub mod normality;
pub mod paired_t;
mod ranks;
pub mod repeated_anova;
pub(crate) mod sample;
pub mod shapiro_wilk;
pub mod significance;
pub mod studentized_range;
pub mod table;
pub mod tukey;
pub mod undefined;
pub mod wilcoxon;
mod words;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use comparison::{Comparison, Group, Pair, Settings, compare};
pub use significance::{Stars, p_text};
pub use table::Table;
pub use undefined::{Outcome, Undefined};

/// All pairs of `count` things, the first one's first: (0, 1), (0, 2), ..., (1, 2), ...
fn pairs(count: usize) -> Vec<(usize, usize)> {
    (0..count).flat_map(|first| (first + 1..count).map(move |second| (first, second))).collect()
}
