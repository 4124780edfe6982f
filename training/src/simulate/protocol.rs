//! Imaging protocols: a scanner and, for each contrast, a pulse sequence and the geometry of its slices and voxels.

use super::signal::Sequence;
use super::tissue::FieldStrength;

/// Who made a scanner; it decides which sequences there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Siemens: MPRAGE; rectangular fields of view with square voxels.
    Siemens,
    /// GE: FSPGR; square fields of view.
    Ge,
}

/// The plane of the slices, and with it the directions of encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orientation {
    /// Phase from front to back, read from foot to head.
    Sagittal,
    /// Phase from side to side, read from front to back.
    Axial,
}

/// Voxels of a scan. All lengths are millimetres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Geometry {
    /// The plane of the slices.
    pub orientation: Orientation,
    /// Full width at half maximum of a slice's profile.
    pub thickness: f32,
    /// Between the edges of neighbouring slices.
    pub gap: f32,
    /// In the directions of phase and read.
    pub field_of_view: [f32; 2],
    /// Voxels in the directions of phase and read.
    pub matrix: [u16; 2],
}

/// A sequence and its geometry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scan {
    /// Decides the contrast.
    pub sequence: Sequence,
    /// Decides the resolution.
    pub geometry: Geometry,
}

/// Both contrasts of one examination.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Protocol {
    /// The scanner's maker.
    pub maker: Maker,
    /// The scanner's field.
    pub strength: FieldStrength,
    /// The T1-weighted scan.
    pub t1w: Scan,
    /// The T2-weighted scan.
    pub t2w: Scan,
}

impl Orientation {
    /// The axis of the patient across the slices: 0 to the right, 1 to the front, 2 to the top.
    pub fn axis(self) -> usize {
        match self {
            Self::Sagittal => 0,
            Self::Axial => 2,
        }
    }

    /// The axes of phase and read.
    fn in_plane(self) -> [usize; 2] {
        match self {
            Self::Sagittal => [1, 2],
            Self::Axial => [0, 1],
        }
    }
}

impl Geometry {
    /// The same voxel size in both directions of the plane: the field of view is smaller where the matrix is. No gap.
    pub fn with_square_voxels(
        orientation: Orientation,
        thickness: f32,
        read_field_of_view: f32,
        matrix: [u16; 2],
    ) -> Self {
        let size = read_field_of_view / f32::from(matrix[1]);
        let field_of_view = [size * f32::from(matrix[0]), read_field_of_view];
        Self { orientation, thickness, gap: 0.0, field_of_view, matrix }
    }

    /// Sizes of a voxel inside the slice, in the directions of phase and read: field of view over matrix.
    pub fn in_plane_sizes(&self) -> [f32; 2] {
        [0, 1].map(|direction| self.field_of_view[direction] / f32::from(self.matrix[direction]))
    }

    /// Sizes of a voxel along the patient's axes (right, front, top); across the slices their thickness.
    pub fn voxel_sizes(&self) -> [f32; 3] {
        let mut sizes = [self.thickness; 3];
        for (axis, size) in self.orientation.in_plane().into_iter().zip(self.in_plane_sizes()) {
            sizes[axis] = size;
        }
        sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voxels_are_fields_of_view_over_matrices_along_the_patients_axes() {
        let geometry = Geometry {
            orientation: Orientation::Axial,
            thickness: 3.0,
            gap: 0.3,
            field_of_view: [256.0, 240.0],
            matrix: [192, 480],
        };
        assert_eq!(geometry.voxel_sizes(), [256.0 / 192.0, 0.5, 3.0]);
        let square = Geometry::with_square_voxels(Orientation::Sagittal, 1.0, 256.0, [240, 256]);
        assert_eq!(square.voxel_sizes(), [1.0; 3]);
        assert_eq!(square.field_of_view, [240.0, 256.0]);
        assert_eq!(square.orientation.axis(), 0);
    }
}
