//! Where each voxel of a simulated head comes from in its label map: a random affine, a smooth deformation, and
//! ventricles that are sometimes enlarged.

use rand::RngExt;

use super::Random;
use super::field::{Field, index};
use super::labels::LabelMap;
use super::person::Group;
use super::pose;

/// Random displacements are drawn on a coarser grid of this many millimetres.
const COARSE_STEP: usize = 3;
/// Largest mean displacement relative to the width of its structures: above about a third, the map folds.
const STEEPEST: f32 = 0.10;
/// Width of the broad displacements, in millimetres.
const BROAD_SPACING: f32 = 50.0;
/// How fast the push of enlarged ventricles fades, in millimetres.
const PUSH_REACH: f32 = 9.0;

/// A linear map, by rows.
pub(crate) type Matrix = [[f32; 3]; 3];

/// A map from voxels of a 1 mm RAS grid to millimetres in a label map.
pub struct Warp {
    /// Voxels of the grid, 1 mm each.
    pub dims: [usize; 3],
    /// From millimetres around the grid's centre to millimetres around the label map's centre.
    matrix: Matrix,
    label_centre: [f32; 3],
    displacement: [Field; 3],
    push: Option<Push>,
}

/// Enlarged ventricles: places near them are taken from nearer to them.
struct Push {
    millimetres: f32,
    /// Smoothed distance to the ventricles on the label map's grid.
    distance: Field,
    sizes: [f32; 3],
}

impl Warp {
    /// A random warp of `labels` to a head of `group`; `ventricle_distance` is that of
    /// [`LabelMap::ventricle_distance`].
    pub fn random(labels: &LabelMap, ventricle_distance: &Field, group: &Group, random: &mut Random) -> Self {
        let push = random.random_bool(group.enlarged).then(|| Push {
            millimetres: random.random_range(group.enlargement.clone()),
            distance: ventricle_distance.clone().blurred([1.5; 3]),
            sizes: labels.sizes,
        });
        let spacing = random.random_range(12.0..30.0_f32);
        let local = STEEPEST * spacing * random.random_range(0.3..1.0_f32);
        let broad = random.random_range(0.5..2.5_f32);
        let mut forward = random_affine(group, random);
        if group.upright
            && let Some(upright) = pose::upright(labels)
        {
            forward = product(&forward, &upright);
        }
        let displacement = Displacement { spacing, local, broad };
        Self { push, ..Self::new(labels, &forward, &displacement, random) }
    }

    /// Small irregularities, so that the two sides differ; nothing moves far.
    pub fn gentle(labels: &LabelMap, _: &Field, _: &Group, random: &mut Random) -> Self {
        let unchanged = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        Self::new(labels, &unchanged, &Displacement { spacing: 14.0, local: 1.2, broad: 1.5 }, random)
    }

    fn new(labels: &LabelMap, forward: &Matrix, size: &Displacement, random: &mut Random) -> Self {
        let extent = labels.extent();
        let dims = forward.map(|row| {
            let length: f32 = (0..3).map(|axis| row[axis].abs() * extent[axis]).sum();
            length.ceil() as usize
        });
        let coarse = dims.map(|length| length.div_ceil(COARSE_STEP) + 1);
        let displacement = [0, 1, 2].map(|_| {
            let fine = Field::noise(coarse, size.spacing / COARSE_STEP as f32, random);
            let mut field = Field::noise(coarse, BROAD_SPACING / COARSE_STEP as f32, random);
            for (value, detail) in field.values.iter_mut().zip(fine.values) {
                *value = size.broad * *value + size.local * detail;
            }
            field
        });
        let label_centre = extent.map(|length| 0.5 * length);
        Self { dims, matrix: inverse(forward), label_centre, displacement, push: None }
    }

    /// Millimetres from the label map's corner that voxel `at` shows.
    pub fn source(&self, at: [usize; 3]) -> [f32; 3] {
        let coarse = at.map(|position| position as f32 / COARSE_STEP as f32);
        let moved = [0, 1, 2].map(|axis| {
            at[axis] as f32 + 0.5 - 0.5 * self.dims[axis] as f32 + self.displacement[axis].sample(coarse)
        });
        let place = [0, 1, 2].map(|row| {
            let along: f32 = (0..3).map(|axis| self.matrix[row][axis] * moved[axis]).sum();
            self.label_centre[row] + along
        });
        self.push.as_ref().map_or(place, |push| push.apply(place))
    }
}

/// Standard deviations of random displacements, in millimetres.
struct Displacement {
    /// Width of the local structures.
    spacing: f32,
    local: f32,
    /// Of structures as wide as a lobe.
    broad: f32,
}

impl Push {
    fn apply(&self, place: [f32; 3]) -> [f32; 3] {
        let distance = &self.distance;
        let at = [0, 1, 2].map(|axis| place[axis] / self.sizes[axis] - 0.5);
        let outside = (0..3).any(|axis| at[axis] < 1.0 || at[axis] > distance.dims[axis] as f32 - 2.0);
        if outside {
            return place;
        }
        let centre = at.map(|position| position.round() as usize);
        let here = distance.sample(at);
        let strength = self.millimetres * (-here / PUSH_REACH).exp();
        [0, 1, 2].map(|axis| {
            let mut ends = [centre; 2];
            ends[0][axis] -= 1;
            ends[1][axis] += 1;
            let [before, after] = ends.map(|end| distance.values[index(distance.dims, end)]);
            let gradient = (after - before) / (2.0 * self.sizes[axis]);
            place[axis] - strength * gradient.clamp(-1.0, 1.0)
        })
    }
}

/// Rotation and size in the group's ranges, a little stretch and shear.
fn random_affine(group: &Group, random: &mut Random) -> Matrix {
    let size = random.random_range(group.size.clone());
    let mut matrix = [[0.0; 3]; 3];
    for (row, line) in matrix.iter_mut().enumerate() {
        for (column, entry) in line.iter_mut().enumerate() {
            *entry = if row == column {
                size * random.random_range(0.96..1.04_f32)
            } else {
                size * random.random_range(-0.03..0.03_f32)
            };
        }
    }
    for axis in 0..3 {
        let angle = random.random_range(-group.rotation..group.rotation).to_radians();
        matrix = product(&rotation(axis, angle), &matrix);
    }
    matrix
}

pub(crate) fn rotation(axis: usize, angle: f32) -> Matrix {
    let (first, second) = ((axis + 1) % 3, (axis + 2) % 3);
    let mut matrix = [[0.0; 3]; 3];
    matrix[axis][axis] = 1.0;
    matrix[first][first] = angle.cos();
    matrix[second][second] = angle.cos();
    matrix[first][second] = -angle.sin();
    matrix[second][first] = angle.sin();
    matrix
}

pub(crate) fn product(a: &Matrix, b: &Matrix) -> Matrix {
    [0, 1, 2].map(|row| [0, 1, 2].map(|column| (0..3).map(|k| a[row][k] * b[k][column]).sum()))
}

/// The inverse by the adjugate; the random affines are far from singular.
pub(crate) fn inverse(m: &Matrix) -> Matrix {
    let cofactor = |row: usize, column: usize| {
        let (r1, r2) = ((row + 1) % 3, (row + 2) % 3);
        let (c1, c2) = ((column + 1) % 3, (column + 2) % 3);
        m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
    };
    let determinant: f32 = (0..3).map(|column| m[0][column] * cofactor(0, column)).sum();
    [0, 1, 2].map(|row| [0, 1, 2].map(|column| cofactor(column, row) / determinant))
}

#[cfg(test)]
mod tests {
    use super::super::tissue::Tissue;
    use super::*;

    fn empty_map() -> LabelMap {
        LabelMap { dims: [40, 50, 60], sizes: [1.0; 3], tissues: vec![Tissue::Background; 40 * 50 * 60] }
    }

    #[test]
    fn the_inverse_undoes_an_affine() {
        let matrix = random_affine(&Group::ANY, &mut Random::new(5, 0));
        let unit = product(&inverse(&matrix), &matrix);
        for (row, line) in unit.iter().enumerate() {
            for (column, entry) in line.iter().enumerate() {
                assert!((entry - f32::from(u8::from(row == column))).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn random_warps_do_not_fold() {
        let map = empty_map();
        let distance = Field::filled(map.dims, 1000.0);
        for seed in 0..5 {
            let warp = Warp::random(&map, &distance, &Group::ANY, &mut Random::new(seed, 0));
            for axis in 0..3 {
                for position in 5..30 {
                    let mut at = [20; 3];
                    at[axis] = position;
                    let here = warp.source(at)[axis];
                    at[axis] += 1;
                    assert!(warp.source(at)[axis] - here > 0.3);
                }
            }
        }
    }
}
