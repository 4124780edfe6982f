//! Where the fixed space lies in the moving one, and the numbers by which an optimizer moves it.

use glam::{DMat3, DVec3};

use crate::{Result, Transform};

/// A distance from the centre, in millimetres, at which one unit of a rotation, stretch or shear is one millimetre: the
/// root mean square distance of a brain's voxels from its centre, so that all parameters weigh alike.
const REACH: f64 = 55.0;

/// An affine map about a centre: a fixed point x goes to `matrix` (x - `centre`) + `middle`, all in millimetres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pose {
    pub(super) centre: DVec3,
    pub(super) matrix: DMat3,
    pub(super) middle: DVec3,
}

/// What may move: three rotations; these and one scale; or everything that an affine map has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freedom {
    Rigid,
    Similar,
    Affine,
}

impl Freedom {
    /// How many parameters it has, the three of the translation first. All are in millimetres (see [`REACH`]).
    pub(super) fn parameters(self) -> usize {
        match self {
            Self::Rigid => 6,
            Self::Similar => 7,
            Self::Affine => 12,
        }
    }
}

/// The derivative of a figure by a pose's matrix and middle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slope {
    pub(super) matrix: DMat3,
    pub(super) middle: DVec3,
}

impl Pose {
    pub(super) fn transform(&self) -> Result<Transform> {
        let offset = self.middle - self.matrix * self.centre;
        let row = |r: usize| {
            let row = self.matrix.row(r);
            [row.x, row.y, row.z, offset[r]]
        };
        Transform::from_rows([row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]])
    }

    /// This pose after `turn`, about the centre, of the fixed space.
    pub(super) fn turned(&self, turn: DMat3) -> Self {
        Self { matrix: self.matrix * turn, ..*self }
    }

    /// This pose with its middle moved by `offset` millimetres of the fixed space.
    pub(super) fn shifted(&self, offset: DVec3) -> Self {
        Self { middle: self.middle + self.matrix * offset, ..*self }
    }

    /// About how far apart two poses place a brain: the root mean square over points [`REACH`] from the centre.
    pub(super) fn distance(&self, other: &Self) -> f64 {
        let turned = self.matrix - other.matrix;
        let spread = REACH * REACH / 3.0 * inner(&turned, &turned);
        (self.middle.distance_squared(other.middle) + spread).sqrt()
    }

    /// This pose moved by `parameters`; all 0 leaves it.
    pub(super) fn moved(&self, freedom: Freedom, parameters: &[f64]) -> Self {
        let middle = self.middle + DVec3::from_slice(parameters);
        let rest = &parameters[3..];
        let matrix = match freedom {
            Freedom::Rigid => rotation(rest) * self.matrix,
            Freedom::Similar => rotation(rest) * self.matrix * (rest[3] / REACH).exp(),
            Freedom::Affine => self.matrix + DMat3::from_cols_slice(rest) * (1.0 / REACH),
        };
        Self { matrix, middle, ..*self }
    }

    /// The derivative by the parameters at `parameters`, of a figure that has `slope` at the pose moved by them.
    pub(super) fn gradient(&self, freedom: Freedom, parameters: &[f64], slope: &Slope) -> Vec<f64> {
        let mut gradient = slope.middle.to_array().to_vec();
        let rest = &parameters[3..];
        if freedom == Freedom::Affine {
            gradient.extend(slope.matrix.to_cols_array().map(|entry| entry / REACH));
            return gradient;
        }
        let scale = if freedom == Freedom::Similar { (rest[3] / REACH).exp() } else { 1.0 };
        for axis in 0..3 {
            gradient.push(inner(&slope.matrix, &(turning(rest, axis) * self.matrix)) * scale / REACH);
        }
        if freedom == Freedom::Similar {
            gradient.push(inner(&slope.matrix, &(rotation(rest) * self.matrix)) * scale / REACH);
        }
        gradient
    }
}

/// The sum of products of entries.
fn inner(a: &DMat3, b: &DMat3) -> f64 {
    (0..3).map(|column| a.col(column).dot(b.col(column))).sum()
}

/// The rotation by three angles (in units of 1/[`REACH`]) about x, then y, then z.
fn rotation(angles: &[f64]) -> DMat3 {
    about(2, angles) * about(1, angles) * about(0, angles)
}

/// The derivative of [`rotation`] by the angle about one axis.
fn turning(angles: &[f64], axis: usize) -> DMat3 {
    let factor = |of: usize| {
        let matrix = about(of, angles);
        if of == axis { generator(of) * matrix } else { matrix }
    };
    factor(2) * factor(1) * factor(0)
}

fn about(axis: usize, angles: &[f64]) -> DMat3 {
    let angle = angles[axis] / REACH;
    [DMat3::from_rotation_x, DMat3::from_rotation_y, DMat3::from_rotation_z][axis](angle)
}

/// The derivative of a rotation about an axis at angle 0: the cross product with that axis.
fn generator(axis: usize) -> DMat3 {
    let along = DVec3::AXES[axis];
    DMat3::from_cols(along.cross(DVec3::X), along.cross(DVec3::Y), along.cross(DVec3::Z))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_those_of_finite_differences() {
        let pose = Pose {
            centre: DVec3::new(1.0, -2.0, 3.0),
            matrix: DMat3::from_rotation_y(0.4) * 0.9,
            middle: DVec3::new(4.0, 5.0, -6.0),
        };
        let slope = Slope {
            matrix: DMat3::from_cols_array(&[1.0, -2.0, 0.5, 3.0, 0.7, -1.0, 2.0, 0.1, -0.3]),
            middle: DVec3::new(0.5, -0.25, 2.0),
        };
        let figure = |pose: Pose| inner(&slope.matrix, &pose.matrix) + slope.middle.dot(pose.middle);
        for freedom in [Freedom::Rigid, Freedom::Similar, Freedom::Affine] {
            let at: Vec<f64> = (0..freedom.parameters()).map(|n| 3.0 * (n as f64).sin()).collect();
            let gradient = pose.gradient(freedom, &at, &slope);
            assert_eq!(gradient.len(), at.len());
            for n in 0..at.len() {
                let along = |step: f64| {
                    let mut moved = at.clone();
                    moved[n] += step;
                    figure(pose.moved(freedom, &moved))
                };
                let difference = (along(1e-4) - along(-1e-4)) / 2e-4;
                assert!(
                    (difference - gradient[n]).abs() < 1e-6,
                    "{freedom:?} {n}: {difference} {}",
                    gradient[n]
                );
            }
        }
    }

    #[test]
    fn a_pose_is_its_transform() {
        let pose = Pose {
            centre: DVec3::new(1.0, -2.0, 3.0),
            matrix: DMat3::from_rotation_z(0.3),
            middle: DVec3::new(4.0, 5.0, -6.0),
        };
        let at = pose.transform().unwrap().apply([1.0, -2.0, 3.0]);
        assert!(at.iter().zip([4.0, 5.0, -6.0]).all(|(a, b)| (a - b).abs() < 1e-12));
        assert_eq!(pose.moved(Freedom::Rigid, &[0.0; 6]), pose);
    }
}
