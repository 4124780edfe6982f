//! Checks of arrays that are compared: one size, voxels that can be, finite values.

use ndarray::ArrayView3;

use crate::{Error, Result};

/// An array's size, in the order of its axes i, j, k.
pub(crate) type Extent = (usize, usize, usize);

/// Refuses two arrays that differ in size, saying along which axes and by how much.
pub(crate) fn check_same(first: (&str, Extent), second: (&str, Extent)) -> Result<()> {
    let [a, b] = [first.1, second.1].map(|(i, j, k)| [i, j, k]);
    let differences: Vec<String> = ["i", "j", "k"]
        .into_iter()
        .zip(a.into_iter().zip(b))
        .filter(|(_, (a, b))| a != b)
        .map(|(axis, (a, b))| format!("axis {axis} by {} ({a} and {b})", a.abs_diff(b)))
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{} and {} differ in their numbers of voxels: {}",
        first.0,
        second.0,
        differences.join(", ")
    )))
}

/// Voxel sizes that a head scan can have, in millimetres: those of `mrisynth::Affine`.
const SIZES: std::ops::RangeInclusive<f64> = 0.01..=100.0;

/// Refuses voxel sizes in millimetres that a head scan cannot have.
pub(crate) fn check_sizes(sizes: [f64; 3]) -> Result<()> {
    match sizes.into_iter().find(|size| !SIZES.contains(size)) {
        Some(size) => Err(Error::Invalid(format!("a voxel of {size} mm: sizes must be 0.01 to 100 mm"))),
        None => Ok(()),
    }
}

/// Refuses images with values that are not finite, saying how many and where the first is.
pub(crate) fn check_finite(name: &str, image: ArrayView3<'_, f32>) -> Result<()> {
    // The sum is finite only if all values are; where it is not, they are looked at one by one.
    if image.sum().is_finite() {
        return Ok(());
    }
    let mut faults = image.indexed_iter().filter(|(_, value)| !value.is_finite());
    match faults.next() {
        None => Ok(()),
        Some((at, value)) => Err(Error::Invalid(format!(
            "{name} has {} values that are not finite numbers, the first ({value}) at voxel {at:?}",
            1 + faults.count()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn differences_are_named_by_axis() {
        assert!(check_same(("the mask", (3, 4, 5)), ("the image", (3, 4, 5))).is_ok());
        let fault = check_same(("the mask", (3, 4, 5)), ("the image", (3, 6, 4))).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "the mask and the image differ in their numbers of voxels: axis j by 2 (4 and 6), axis k by 1 (5 and 4)"
        );
    }

    #[test]
    fn values_and_sizes_are_checked() {
        let mut image = Array3::from_elem((2, 3, 4), f32::MAX);
        assert!(check_finite("the image", image.view()).is_ok());
        image[[1, 2, 0]] = f32::NAN;
        image[[1, 2, 3]] = f32::INFINITY;
        let fault = check_finite("the image", image.view()).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "the image has 2 values that are not finite numbers, the first (NaN) at voxel (1, 2, 0)"
        );
        assert!(check_sizes([1.0, 0.5, 3.0]).is_ok());
        for size in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(check_sizes([1.0, size, 1.0]).is_err());
        }
    }
}
