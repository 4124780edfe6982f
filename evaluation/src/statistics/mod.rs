//! Statistics for repeated measures.
//!
//! Nothing here is ever not a number: what the values do not define is an [`Undefined`] with the reason.

pub mod adjust;
pub mod anova;
pub mod bootstrap;
pub mod dagostino;
pub mod describe;
mod distributions;
pub mod effect;
pub mod equivalence;
pub mod friedman;
pub mod kruskal;
pub mod mean_ranks;
pub mod paired_t;
mod ranks;
pub mod repeated_anova;
mod sample;
pub mod shapiro_wilk;
pub mod studentized_range;
pub mod tukey;
pub mod undefined;
pub mod wilcoxon;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod testing;

pub use undefined::{Outcome, Undefined};

/// All pairs of `count` things, the first one's first: (0, 1), (0, 2), ..., (1, 2), ...
fn pairs(count: usize) -> Vec<(usize, usize)> {
    (0..count).flat_map(|first| (first + 1..count).map(move |second| (first, second))).collect()
}
