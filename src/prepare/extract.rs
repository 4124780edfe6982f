//! Stand-in until the branch `brain` is merged.
use ndarray::Array3;

use crate::{Result, Volume, Watch};

/// Stand-in.
pub struct Extraction {
    /// Brain.
    pub mask: Array3<bool>,
    /// Stripped.
    pub already_stripped: bool,
}

/// Stand-in.
///
/// # Errors
/// None.
pub fn extract(scan: &Volume, _watch: &Watch) -> Result<Extraction> {
    Ok(Extraction { mask: super::brain::mask(scan.voxels()), already_stripped: true })
}
