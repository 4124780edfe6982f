//! Inputs to begin with, for each target: small files of every kind that the formats have, made here and nowhere else.

pub(crate) mod capi;
pub(crate) mod evaluation;
pub(crate) mod model;
pub(crate) mod nifti;
pub(crate) mod record;
pub(crate) mod text;
pub(crate) mod transforms;

use crate::Seed;

/// Seeds with their names.
fn named<const N: usize>(seeds: [(&str, Vec<u8>); N]) -> Vec<Seed> {
    seeds.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect()
}
