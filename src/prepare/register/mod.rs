//! Stand-in until the branch `register` is merged.
use ndarray::Array3;

use crate::{Result, Transform, Volume, Watch};

/// Stand-in.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Registration {
    /// Fixed to moving.
    #[serde(skip)]
    pub transform: Transform,
    /// Similarity.
    pub similarity: f64,
    /// Overlap.
    pub overlap: f64,
    /// Orientation.
    pub better_orientation: Option<String>,
}

/// Stand-in.
///
/// # Errors
/// None.
pub fn to_template(_scan: &Volume, _brain: &Array3<bool>, _watch: &Watch) -> Result<Registration> {
    Ok(Registration {
        transform: Transform::IDENTITY,
        similarity: 1.0,
        overlap: 1.0,
        better_orientation: None,
    })
}

/// Stand-in.
pub mod template {
    use crate::{Affine, Grid, Result};

    /// Stand-in.
    ///
    /// # Errors
    /// None.
    pub fn brain() -> Result<&'static ndarray::Array3<bool>> {
        static BRAIN: std::sync::OnceLock<ndarray::Array3<bool>> = std::sync::OnceLock::new();
        Ok(BRAIN.get_or_init(|| ndarray::Array3::from_elem((182, 218, 182), true)))
    }

    /// Stand-in.
    ///
    /// # Errors
    /// None.
    pub fn standard_grid() -> Result<Grid> {
        let rows =
            [[-1.0, 0.0, 0.0, 90.0], [0.0, 1.0, 0.0, -126.0], [0.0, 0.0, 1.0, -72.0], [0.0, 0.0, 0.0, 1.0]];
        Ok(Grid { dims: [182, 218, 182], affine: Affine::from_rows(rows)? })
    }
}
