//! Slices of a volume as a radiographer looks at them: the patient's right on the left of the picture, true to scale.

use mrisynth::{Grid, Volume};

/// The planes of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    Axial,
    Coronal,
    Sagittal,
}

/// Patient axes, as [`mrisynth::Affine::nearest_axes`] orders them.
const RIGHT: usize = 0;
const FRONT: usize = 1;
const TOP: usize = 2;

impl Plane {
    /// The patient axes that run across the picture, down it and into it. All run against their names: the picture's right
    /// is the patient's left, or back; its bottom is the back, or the bottom.
    fn axes(self) -> [usize; 3] {
        match self {
            Self::Axial => [RIGHT, FRONT, TOP],
            Self::Coronal => [RIGHT, TOP, FRONT],
            Self::Sagittal => [FRONT, TOP, RIGHT],
        }
    }

    /// What lies to the left, to the right and at the top of the picture: right, left, anterior, posterior, superior.
    pub fn letters(self) -> [&'static str; 3] {
        match self {
            Self::Axial => ["R", "L", "A"],
            Self::Coronal => ["R", "L", "S"],
            Self::Sagittal => ["A", "P", "S"],
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Axial => "axial",
            Self::Coronal => "coronal",
            Self::Sagittal => "sagittal",
        }
    }
}

/// First and last voxel along each axis of what is shown.
pub type Bounds = [(usize, usize); 3];

/// A direction of the picture along a voxel axis.
#[derive(Clone, Copy, Debug)]
struct Direction {
    axis: usize,
    /// True if indices rise along it.
    forward: bool,
    size: f64,
    first: f64,
    last: f64,
}

impl Direction {
    fn length(&self) -> f64 {
        (self.last - self.first + 1.0) * self.size
    }

    /// The fractional index at a distance from the picture's edge.
    fn index(&self, millimetres: f64) -> f64 {
        let steps = millimetres / self.size;
        if self.forward { self.first - 0.5 + steps } else { self.last + 0.5 - steps }
    }
}

/// How a plane through a grid lies in a picture. Planes are those of the voxels, which may be oblique to the patient.
#[derive(Clone, Copy, Debug)]
pub struct View {
    plane: Plane,
    across: Direction,
    down: Direction,
    into: Direction,
}

impl View {
    /// A view of the part of a grid within `bounds`.
    pub fn new(grid: &Grid, bounds: &Bounds, plane: Plane) -> Self {
        let (nearest, sizes) = (grid.affine.nearest_axes(), grid.affine.voxel_sizes());
        let [across, down, into] = plane.axes().map(|patient_axis| {
            let (axis, against) = nearest[patient_axis];
            let (first, last) = bounds[axis];
            Direction { axis, forward: against, size: sizes[axis], first: first as f64, last: last as f64 }
        });
        Self { plane, across, down, into }
    }

    pub fn plane(&self) -> Plane {
        self.plane
    }

    /// Width and height of the picture in millimetres.
    pub fn millimetres(&self) -> [f64; 2] {
        [self.across.length(), self.down.length()]
    }

    /// The voxel axis along which slices follow each other.
    pub fn through(&self) -> usize {
        self.into.axis
    }

    /// The slice at a fraction of the way from the patient's left, back or bottom, within bounds.
    pub fn slice_at(&self, fraction: f64, (first, last): (usize, usize)) -> usize {
        // Directions run towards left, back and bottom.
        let fraction = if self.into.forward { 1.0 - fraction } else { fraction };
        let slices = (last - first + 1) as f64;
        first + ((fraction * slices) as usize).min(last - first)
    }

    /// The fractional index that the picture shows at a distance from its left and its top.
    pub fn index(&self, [x, y]: [f64; 2], slice: usize) -> [f64; 3] {
        let mut index = [0.0; 3];
        index[self.across.axis] = self.across.index(x);
        index[self.down.axis] = self.down.index(y);
        index[self.into.axis] = slice as f64;
        index
    }
}

/// The value at a fractional index, interpolated linearly; beyond the outermost voxels' centres theirs.
pub fn interpolated(volume: &Volume, index: [f64; 3]) -> f32 {
    let dims = volume.dims();
    let split = [0, 1, 2].map(|axis| {
        let place = index[axis].clamp(0.0, dims[axis] as f64 - 1.0);
        let below = (place.floor() as usize).min(dims[axis] - 1);
        (below, (below + 1).min(dims[axis] - 1), place - below as f64)
    });
    let voxels = volume.voxels();
    let mut sum = 0.0;
    for corner in 0..8_usize {
        let upper = |axis: usize| corner >> axis & 1 == 1;
        let weight: f64 =
            (0..3).map(|axis| if upper(axis) { split[axis].2 } else { 1.0 - split[axis].2 }).product();
        if weight > 0.0 {
            let at = [0, 1, 2].map(|axis| if upper(axis) { split[axis].1 } else { split[axis].0 });
            sum += weight * f64::from(voxels[at]);
        }
    }
    sum as f32
}

/// The voxel nearest to a fractional index, if it is one.
pub fn nearest(dims: [usize; 3], index: [f64; 3]) -> Option<[usize; 3]> {
    let rounded = index.map(f64::round);
    let inside = (0..3).all(|axis| rounded[axis] >= 0.0 && rounded[axis] < dims[axis] as f64);
    inside.then(|| rounded.map(|place| place as usize))
}

#[cfg(test)]
mod tests {
    use mrisynth::Affine;

    use super::*;

    /// Voxels of 1 x 2 x 3 mm whose axes run to the patient's `signs` of right, front and top.
    fn grid(signs: [f64; 3]) -> Grid {
        let rows = [
            [signs[0], 0.0, 0.0, 0.0],
            [0.0, 2.0 * signs[1], 0.0, 0.0],
            [0.0, 0.0, 3.0 * signs[2], 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ];
        Grid { dims: [10, 20, 30], affine: Affine::from_rows(rows).unwrap() }
    }

    const ALL: Bounds = [(0, 9), (0, 19), (0, 29)];

    #[test]
    fn the_patients_right_front_and_top_are_on_the_left_and_above() {
        for signs in [[1.0, 1.0, 1.0], [-1.0, 1.0, -1.0], [1.0, -1.0, 1.0]] {
            let grid = grid(signs);
            let place = |plane: Plane, at: [f64; 2]| {
                let view = View::new(&grid, &ALL, plane);
                grid.affine.to_millimetres(view.index(at, 5))
            };
            // Moving right in the picture leads to the left (x falls), moving down to the back or the bottom.
            for (plane, across, down) in
                [(Plane::Axial, 0, 1), (Plane::Coronal, 0, 2), (Plane::Sagittal, 1, 2)]
            {
                let (start, right, below) =
                    (place(plane, [1.0, 1.0]), place(plane, [3.0, 1.0]), place(plane, [1.0, 3.0]));
                assert!((start[across] - right[across] - 2.0).abs() < 1e-9, "{plane:?}");
                assert!((start[down] - below[down] - 2.0).abs() < 1e-9, "{plane:?}");
            }
        }
    }

    #[test]
    fn pictures_are_true_to_scale_whatever_the_voxels() {
        let view = |plane| View::new(&grid([1.0; 3]), &ALL, plane);
        assert_eq!(view(Plane::Axial).millimetres(), [10.0, 40.0]);
        assert_eq!(view(Plane::Coronal).millimetres(), [10.0, 90.0]);
        assert_eq!(view(Plane::Sagittal).millimetres(), [40.0, 90.0]);
        // Half a voxel from the edge is the first voxel's centre: here the last along each axis.
        assert_eq!(view(Plane::Sagittal).index([1.0, 1.5], 4), [4.0, 19.0, 29.0]);
    }

    #[test]
    fn slices_go_from_bottom_to_top() {
        for (signs, expected) in [([1.0; 3], [7, 22]), ([1.0, 1.0, -1.0], [22, 7])] {
            let view = View::new(&grid(signs), &ALL, Plane::Axial);
            assert_eq!([0.25, 0.75].map(|fraction| view.slice_at(fraction, (0, 29))), expected);
        }
    }

    #[test]
    fn interpolation_is_linear_and_ends_at_the_edge() {
        let mut volume = Volume::zeros(&grid([1.0; 3])).unwrap();
        for ((i, j, k), voxel) in volume.voxels_mut().indexed_iter_mut() {
            *voxel = (i + 100 * j + 10 * k) as f32;
        }
        assert_eq!(interpolated(&volume, [2.5, 3.25, 4.0]), 367.5);
        assert_eq!(interpolated(&volume, [-3.0, 0.0, 0.0]), 0.0);
        assert_eq!(interpolated(&volume, [9.5, 25.0, 29.4]), 2199.0);
        assert_eq!(nearest([10, 20, 30], [9.4, -0.4, 29.0]), Some([9, 0, 29]));
        assert_eq!(nearest([10, 20, 30], [9.6, 0.0, 0.0]), None);
    }
}
