//! Stand-in until the branch `bias` is merged.
use ndarray::Array3;

use crate::{Result, Volume, Watch};

/// Stand-in.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct BiasOptions {}

impl BiasOptions {
    /// Stand-in.
    pub fn itk_compatible(_shrink: usize) -> Self {
        Self {}
    }
}

/// Stand-in.
pub struct BiasField {
    grid: crate::Grid,
}

/// Stand-in.
///
/// # Errors
/// None.
pub fn estimate(
    scan: &Volume,
    _mask: &Array3<bool>,
    _options: &BiasOptions,
    _watch: &Watch,
) -> Result<BiasField> {
    Ok(BiasField { grid: scan.grid() })
}

impl BiasField {
    /// Stand-in.
    pub fn summary(&self) -> BiasOptions {
        BiasOptions {}
    }

    /// Stand-in.
    ///
    /// # Errors
    /// None.
    pub fn on_scan(&self) -> Result<Volume> {
        let mut field = Volume::zeros(&self.grid)?;
        field.as_mut_slice().fill(1.0);
        Ok(field)
    }
}

/// Stand-in.
pub fn otsu_mask(scan: &Volume) -> Array3<bool> {
    scan.voxels().mapv(|v| v > 0.0)
}
