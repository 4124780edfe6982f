//! Whether two images lie on one grid, and if not, along which axis they differ and by how much.

use mrisynth::{Error, Grid};

use super::input::Input;
use crate::Result;

/// The patient's axes, which those of the compared grids are nearest to.
const AXES: [&str; 3] = ["from left to right", "from back to front", "from bottom to top"];

/// A difference that moves no corner by more than this, in millimetres, is not named. Along one axis a corner is moved by
/// the origin, and for each of three axes by a spacing and a direction: seven parts. Where a corner is further away than
/// [`Grid::SAME_PLACE_WITHIN`], one of the parts is larger than this.
const PART_WITHIN: f64 = Grid::SAME_PLACE_WITHIN / 8.0;

/// Refuses two images whose voxels are not in the same places. Both have been brought to RAS, so that the order in which a
/// file stores its axes makes no difference.
pub(crate) fn check(one: &Input, other: &Input) -> Result<()> {
    let differences = differences(&one.volume.grid(), &other.volume.grid());
    if differences.is_empty() {
        return Ok(());
    }
    let fault = Error::BadImage(format!(
        "it is not on the grid of {}: {}",
        one.name.display(),
        differences.join("; ")
    ));
    Err(fault.in_file(&other.name).into())
}

/// What is different in the second grid, one phrase each; none if both are one.
fn differences(one: &Grid, other: &Grid) -> Vec<String> {
    if one.dims == other.dims
        && one.corners_apart(other).iter().all(|apart| *apart <= Grid::SAME_PLACE_WITHIN)
    {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (axis, name) in AXES.into_iter().enumerate() {
        let (a, b) = (one.dims[axis], other.dims[axis]);
        if a != b {
            let more = if b > a { "more" } else { "fewer" };
            found.push(format!("{name} {b} voxels instead of {a} ({} {more})", a.abs_diff(b)));
        }
    }
    let steps = one.dims.map(|voxels| voxels as f64);
    let (sizes, other_sizes) = (one.affine.voxel_sizes(), other.affine.voxel_sizes());
    for (axis, name) in AXES.into_iter().enumerate() {
        let (a, b) = (sizes[axis], other_sizes[axis]);
        if (b - a).abs() * steps[axis] > PART_WITHIN {
            found.push(format!("{name} a spacing of {b:.4} mm instead of {a:.4} ({:+.4} mm)", b - a));
        }
    }
    for (axis, name) in AXES.into_iter().enumerate() {
        let chord = chord(one, other, axis);
        if chord * sizes[axis] * steps[axis] > PART_WITHIN {
            let degrees = 2.0 * (0.5 * chord).min(1.0).asin().to_degrees();
            found.push(format!("{name} a direction {degrees:.3} degrees off"));
        }
    }
    let origins = [one, other].map(|grid| grid.affine.to_millimetres([0.0; 3]));
    for (axis, name) in AXES.into_iter().enumerate() {
        let (a, b) = (origins[0][axis], origins[1][axis]);
        if (b - a).abs() > PART_WITHIN {
            found.push(format!("{name} an origin at {b:.3} mm instead of {a:.3} ({:+.3} mm)", b - a));
        }
    }
    found
}

/// How far apart the ends of both grids' unit vectors along an axis are: 0 for one direction, 2 for opposite ones.
fn chord(one: &Grid, other: &Grid, axis: usize) -> f64 {
    let direction = |grid: &Grid| {
        let (rows, size) = (grid.affine.rows(), grid.affine.voxel_sizes()[axis]);
        [0, 1, 2].map(|row: usize| rows[row][axis] / size)
    };
    let (a, b) = (direction(one), direction(other));
    (0..3).map(|row| (a[row] - b[row]).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mrisynth::Affine;
    use proptest::prelude::*;

    fn grid(dims: [usize; 3], sizes: [f64; 3], origin: [f64; 3]) -> Grid {
        Grid { dims, affine: Affine::from_sizes(sizes, origin).unwrap() }
    }

    #[test]
    fn each_difference_names_its_axis_and_its_size() {
        let one = grid([10, 20, 30], [1.0, 1.0, 3.0], [-5.0, 0.0, 2.0]);
        assert!(differences(&one, &one).is_empty());
        assert!(differences(&one, &grid([10, 20, 30], [1.0, 1.0, 3.0], [-5.009, 0.0, 2.0])).is_empty());
        for (other, expected) in [
            (
                grid([10, 22, 29], [1.0, 1.0, 3.0], [-5.0, 0.0, 2.0]),
                "from back to front 22 voxels instead of 20 (2 more); from bottom to top 29 voxels instead of 30 (1 fewer)",
            ),
            (
                grid([10, 20, 30], [1.0, 1.0, 2.5], [-5.0, 0.0, 2.0]),
                "from bottom to top a spacing of 2.5000 mm instead of 3.0000 (-0.5000 mm)",
            ),
            (
                grid([10, 20, 30], [1.0, 1.0, 3.0], [-5.0, 1.5, 2.0]),
                "from back to front an origin at 1.500 mm instead of 0.000 (+1.500 mm)",
            ),
        ] {
            assert_eq!(differences(&one, &other).join("; "), expected);
        }
    }

    #[test]
    fn a_turn_is_told_in_degrees() {
        let one = grid([10, 20, 30], [1.0, 1.0, 3.0], [-5.0, 0.0, 2.0]);
        let (sine, cosine) = 2.0_f64.to_radians().sin_cos();
        let rows = [
            [cosine, -sine, 0.0, -5.0],
            [sine, cosine, 0.0, 0.0],
            [0.0, 0.0, 3.0, 2.0],
            [0.0, 0.0, 0.0, 1.0],
        ];
        let other = Grid { dims: one.dims, affine: Affine::from_rows(rows).unwrap() };
        assert_eq!(
            differences(&one, &other),
            [
                "from left to right a direction 2.000 degrees off",
                "from back to front a direction 2.000 degrees off"
            ]
        );
    }

    proptest! {
        /// However small the parts of a difference are, one is named where corners are apart.
        #[test]
        fn no_difference_goes_without_a_word(
            changes in prop::array::uniform12(-1.0_f64..1.0), scale in 1e-6_f64..1e-2,
        ) {
            let one = grid([91, 109, 45], [2.0, 2.0, 3.0], [-90.0, -126.0, -72.0]);
            let mut rows = one.affine.rows();
            for (n, change) in changes.into_iter().enumerate() {
                rows[n / 4][n % 4] += scale * change;
            }
            let other = Grid { dims: one.dims, affine: Affine::from_rows(rows).unwrap() };
            let apart = one.corners_apart(&other).into_iter().fold(0.0, f64::max);
            prop_assert_eq!(differences(&one, &other).is_empty(), apart <= Grid::SAME_PLACE_WITHIN);
        }
    }
}
