//! Sharpness of slices: the energy of their Laplacians, and how far their gradients are apart.

use ndarray::{Array2, ArrayView2};

/// The Laplacian of 4 neighbours: their sum less four times the voxel, in intensity per voxel squared. At the edges of the
/// slice the voxel itself stands for the neighbour that is missing (SciPy's `laplace`, whose `reflect` and `nearest` are
/// one for it).
pub fn laplacian(slice: ArrayView2<'_, f32>) -> Array2<f64> {
    let (rows, columns) = slice.dim();
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        let at = |row: usize, column: usize| f64::from(slice[[row, column]]);
        let vertical = at(row.saturating_sub(1), column) + at((row + 1).min(rows - 1), column);
        let horizontal = at(row, column.saturating_sub(1)) + at(row, (column + 1).min(columns - 1));
        vertical + horizontal - 4.0 * at(row, column)
    })
}

/// The gradient's magnitude, in intensity per voxel: central differences, one-sided ones at the edges of the slice (NumPy's
/// `gradient`); along an axis of one voxel it is 0.
pub fn gradient_magnitude(slice: ArrayView2<'_, f32>) -> Array2<f64> {
    let (rows, columns) = slice.dim();
    Array2::from_shape_fn((rows, columns), |(row, column)| {
        let along_rows = difference(row, rows, |row| slice[[row, column]]);
        let along_columns = difference(column, columns, |column| slice[[row, column]]);
        // Differences of floats have squares that doubles hold.
        (along_rows * along_rows + along_columns * along_columns).sqrt()
    })
}

/// The slope at `n` of a line of values, per step.
fn difference(n: usize, length: usize, value: impl Fn(usize) -> f32) -> f64 {
    let (before, after) = (n.saturating_sub(1), (n + 1).min(length - 1));
    match after - before {
        0 => 0.0,
        steps => (f64::from(value(after)) - f64::from(value(before))) / steps as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_single_voxel_spreads_to_its_neighbours() {
        let mut slice = Array2::<f32>::zeros((4, 5));
        slice[[0, 2]] = 1.0;
        let laplacian = laplacian(slice.view());
        // One neighbour is missing and mirrored, so the voxel counts for it.
        assert_eq!(laplacian[[0, 2]], -3.0);
        assert_eq!([laplacian[[0, 1]], laplacian[[0, 3]], laplacian[[1, 2]]], [1.0; 3]);
        assert_eq!(laplacian.iter().map(|value| value * value).sum::<f64>(), 12.0);
        let gradient = gradient_magnitude(slice.view());
        assert_eq!([gradient[[0, 1]], gradient[[0, 2]], gradient[[1, 2]]], [0.5, 1.0, 0.5]);
    }

    #[test]
    fn one_voxel_has_no_slope() {
        let slice = Array2::from_elem((1, 1), 3.0_f32);
        assert_eq!(laplacian(slice.view())[[0, 0]], 0.0);
        assert_eq!(gradient_magnitude(slice.view())[[0, 0]], 0.0);
    }

    proptest! {
        #[test]
        fn planes_have_one_gradient_and_no_laplacian_inside(
            right in -2.0_f32..2.0, up in -2.0_f32..2.0, rows in 3_usize..8, columns in 3_usize..8,
        ) {
            let plane = Array2::from_shape_fn((rows, columns), |(y, x)| right * x as f32 + up * y as f32);
            let magnitude = f64::from(right).hypot(f64::from(up));
            prop_assert!(gradient_magnitude(plane.view()).iter().all(|value| (value - magnitude).abs() < 1e-5));
            let laplacian = laplacian(plane.view());
            let inside = laplacian.slice(ndarray::s![1..rows - 1, 1..columns - 1]);
            prop_assert!(inside.iter().all(|value| value.abs() < 1e-4));
        }
    }
}
