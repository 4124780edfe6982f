//! Voxels and where they lie: the one place that knows affines and orientations.
//!
//! A voxel index (i, j, k) has i fastest in memory. An [`Affine`] takes a voxel index to millimetres in RAS+ (x to the
//! patient's right, y to the front, z to the top), as NIfTI does. DICOM, ITK and the C interface speak LPS; the sign
//! change is [`Affine::from_lps`] and [`Affine::to_lps`], and nowhere else.

use glam::{DAffine3, DMat3, DVec3};
use ndarray::{Array3, ArrayView3, ArrayViewMut3, Axis, ShapeBuilder};
use rayon::prelude::*;

use crate::{Error, Result, memory};

/// Determinant of an affine's axes, relative to the product of their lengths, under which they are called coplanar.
const SINGULAR_BELOW: f64 = 1e-4;
/// Voxel sizes that a head scan can have, in millimetres.
const VOXEL_SIZE_RANGE: std::ops::RangeInclusive<f64> = 0.01..=100.0;

/// An invertible map from voxel indices to millimetres (RAS+).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine(DAffine3);

impl Affine {
    /// From the rows of a 4x4 matrix.
    ///
    /// # Errors
    /// [`Error::BadImage`] if an entry is not finite, the last row is not (0, 0, 0, 1), a voxel size is outside
    /// 0.01..=100 mm, or the axes are coplanar.
    pub fn from_rows(rows: [[f64; 4]; 4]) -> Result<Self> {
        if rows.iter().flatten().any(|entry| !entry.is_finite()) {
            return Err(Error::BadImage("the affine has an entry that is not a finite number".into()));
        }
        if rows[3] != [0.0, 0.0, 0.0, 1.0] {
            return Err(Error::BadImage(format!("the affine's last row is {:?}, not 0 0 0 1", rows[3])));
        }
        Self::checked(affine_from(&rows))
    }

    /// From a matrix that the maths already made, with the checks of [`Affine::from_rows`].
    fn checked(affine: DAffine3) -> Result<Self> {
        let sizes = column_lengths(&affine.matrix3);
        if let Some(size) = sizes.iter().find(|size| !VOXEL_SIZE_RANGE.contains(*size)) {
            return Err(Error::BadImage(format!(
                "a voxel of {size} mm: the affine must have voxels of 0.01 to 100 mm"
            )));
        }
        let volume = affine.matrix3.determinant().abs() / (sizes[0] * sizes[1] * sizes[2]);
        if volume < SINGULAR_BELOW {
            return Err(Error::BadImage("the affine is singular: its axes lie in one plane".into()));
        }
        Ok(Self(affine))
    }

    /// From the rows of a 4x4 matrix to LPS millimetres, as DICOM, ITK and the C interface have it.
    ///
    /// # Errors
    /// Those of [`Affine::from_rows`].
    pub fn from_lps(rows: [[f64; 4]; 4]) -> Result<Self> {
        Self::from_rows(flip_x_and_y(rows))
    }

    /// An axis-aligned RAS grid: voxel sizes and the position of voxel (0, 0, 0), both in millimetres.
    ///
    /// # Errors
    /// Those of [`Affine::from_rows`].
    pub fn from_sizes(sizes: [f64; 3], origin: [f64; 3]) -> Result<Self> {
        Self::from_rows([
            [sizes[0], 0.0, 0.0, origin[0]],
            [0.0, sizes[1], 0.0, origin[1]],
            [0.0, 0.0, sizes[2], origin[2]],
            [0.0, 0.0, 0.0, 1.0],
        ])
    }

    /// The axis-aligned grid of 1 mm, i to the left, j to the front, k to the top, whose voxel (0, 0, 0) lies at `origin`.
    pub(crate) fn left_anterior_superior(origin: [f64; 3]) -> Self {
        let matrix3 = DMat3::from_diagonal(DVec3::new(-1.0, 1.0, 1.0));
        Self(DAffine3 { matrix3, translation: DVec3::from_array(origin) })
    }

    /// The rows of the 4x4 matrix to RAS+ millimetres.
    pub fn rows(&self) -> [[f64; 4]; 4] {
        rows_of(&self.0)
    }

    /// The rows of the 4x4 matrix to LPS millimetres.
    pub fn to_lps(&self) -> [[f64; 4]; 4] {
        flip_x_and_y(self.rows())
    }

    /// Millimetres of a (fractional) voxel index.
    pub fn to_millimetres(&self, index: [f64; 3]) -> [f64; 3] {
        self.0.transform_point3(DVec3::from_array(index)).to_array()
    }

    /// Voxel sizes along i, j, k in millimetres.
    pub fn voxel_sizes(&self) -> [f64; 3] {
        column_lengths(&self.0.matrix3)
    }

    /// The map from voxel indices of this grid to (fractional) voxel indices of `other`.
    pub fn to_indices_of(&self, other: &Self) -> IndexMap {
        IndexMap(other.0.inverse() * self.0)
    }

    /// For each patient axis (right, front, top), the voxel axis nearest to it and whether that axis points the other
    /// way. Every voxel axis is named once.
    pub fn nearest_axes(&self) -> [(usize, bool); 3] {
        let sizes = self.voxel_sizes();
        let cosine = |row: usize, axis: usize| self.0.matrix3.col(axis)[row] / sizes[axis];
        let score = |axes: &[usize; 3]| -> f64 { (0..3).map(|row| cosine(row, axes[row]).abs()).sum() };
        let mut best = AXIS_ORDERS[0];
        for order in &AXIS_ORDERS[1..] {
            // A tie (45 degrees) keeps the earlier order, so that the choice does not hang on rounding.
            if score(order) > score(&best) + 1e-9 {
                best = *order;
            }
        }
        [0, 1, 2].map(|row| (best[row], cosine(row, best[row]) < 0.0))
    }

    /// The largest angle in degrees between a patient axis and the voxel axis nearest to it.
    pub fn obliqueness_degrees(&self) -> f64 {
        let sizes = self.voxel_sizes();
        let axes = self.nearest_axes();
        let smallest_cosine = (0..3)
            .map(|row| (self.0.matrix3.col(axes[row].0)[row] / sizes[axes[row].0]).abs())
            .fold(1.0, f64::min);
        smallest_cosine.clamp(0.0, 1.0).acos().to_degrees()
    }

    /// The affine of the same voxels of a volume of `dims` after its axes were put in this order, those turned round for
    /// which `true` stands there.
    fn reordered(&self, axes: [(usize, bool); 3], dims: [usize; 3]) -> Self {
        let mut first = [0.0; 3];
        for (axis, _) in axes.into_iter().filter(|(_, turned)| *turned) {
            first[axis] = dims[axis] as f64 - 1.0;
        }
        let columns = axes.map(|(axis, turned)| {
            let column = self.0.matrix3.col(axis);
            if turned { DVec3::ZERO - column } else { column }
        });
        let matrix3 = DMat3::from_cols(columns[0], columns[1], columns[2]);
        Self(DAffine3 { matrix3, translation: self.0.transform_point3(DVec3::from_array(first)) })
    }

    /// This affine, and then `transform`: where the voxels lie in the space that the transform leads to.
    ///
    /// # Errors
    /// Those of [`Affine::from_rows`], if the transform shrinks or shears beyond reason.
    pub fn then(&self, transform: &Transform) -> Result<Self> {
        Self::checked(transform.0 * self.0)
    }

    /// This grid with its origin moved to the voxel index `start`.
    #[must_use]
    pub fn cropped_at(&self, start: [f64; 3]) -> Self {
        let translation = self.0.transform_point3(DVec3::from_array(start));
        Self(DAffine3 { matrix3: self.0.matrix3, translation })
    }
}

/// An invertible affine map from millimetres (RAS+) of one space to millimetres of another: what a registration finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Transform(DAffine3);

impl Transform {
    /// Leaves every point where it is.
    pub const IDENTITY: Self = Self(DAffine3::IDENTITY);

    /// From the rows of a 4x4 matrix between RAS+ millimetres.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if an entry is not finite, the last row is not (0, 0, 0, 1), or the matrix is singular.
    pub fn from_rows(rows: [[f64; 4]; 4]) -> Result<Self> {
        let affine = affine_from(&rows);
        let invertible = affine.matrix3.determinant().abs() > SINGULAR_BELOW;
        if rows.iter().flatten().all(|entry| entry.is_finite())
            && rows[3] == [0.0, 0.0, 0.0, 1.0]
            && invertible
        {
            return Ok(Self(affine));
        }
        Err(Error::InvalidArgument(format!("{rows:?} is not an invertible affine transform")))
    }

    /// From the rows of a 4x4 matrix between LPS millimetres, as ITK has it.
    ///
    /// # Errors
    /// Those of [`Transform::from_rows`].
    pub fn from_lps(rows: [[f64; 4]; 4]) -> Result<Self> {
        Self::from_rows(change_handedness(rows))
    }

    /// The rows of the 4x4 matrix between RAS+ millimetres.
    pub fn rows(&self) -> [[f64; 4]; 4] {
        rows_of(&self.0)
    }

    /// The rows of the 4x4 matrix between LPS millimetres.
    pub fn to_lps(&self) -> [[f64; 4]; 4] {
        change_handedness(self.rows())
    }

    /// Where a point of the first space lies in the second, in millimetres.
    pub fn apply(&self, point: [f64; 3]) -> [f64; 3] {
        self.0.transform_point3(DVec3::from_array(point)).to_array()
    }

    /// The way back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        Self(self.0.inverse())
    }

    /// This transform, and then `next`.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        Self(next.0 * self.0)
    }
}

/// The six orders in which three voxel axes can be named.
const AXIS_ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

/// A map from voxel indices of one grid to fractional voxel indices of another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IndexMap(DAffine3);

impl IndexMap {
    /// The fractional index in the other grid.
    pub fn apply(&self, index: [f64; 3]) -> [f64; 3] {
        self.0.transform_point3(DVec3::from_array(index)).to_array()
    }

    /// What one step along axis `axis` of this grid adds to the index in the other.
    pub fn step(&self, axis: usize) -> [f64; 3] {
        self.0.matrix3.col(axis).to_array()
    }
}

fn column_lengths(matrix: &DMat3) -> [f64; 3] {
    [matrix.col(0).length(), matrix.col(1).length(), matrix.col(2).length()]
}

fn affine_from(rows: &[[f64; 4]; 4]) -> DAffine3 {
    let column = |j: usize| DVec3::new(rows[0][j], rows[1][j], rows[2][j]);
    DAffine3 { matrix3: DMat3::from_cols(column(0), column(1), column(2)), translation: column(3) }
}

fn rows_of(affine: &DAffine3) -> [[f64; 4]; 4] {
    let (m, t) = (affine.matrix3, affine.translation);
    let row = |r: usize| [m.col(0)[r], m.col(1)[r], m.col(2)[r], t[r]];
    [row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]]
}

/// A map between RAS+ spaces as one between LPS spaces, or back.
fn change_handedness(rows: [[f64; 4]; 4]) -> [[f64; 4]; 4] {
    let mut rows = flip_x_and_y(rows);
    for row in &mut rows {
        row[0] = 0.0 - row[0];
        row[1] = 0.0 - row[1];
    }
    rows
}

fn flip_x_and_y(mut rows: [[f64; 4]; 4]) -> [[f64; 4]; 4] {
    for entry in rows[..2].iter_mut().flatten() {
        // Not `-0.0`, which some tools print.
        *entry = 0.0 - *entry;
    }
    rows
}

/// The voxel grid of a volume: how many voxels, and where they lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// Voxels along i, j, k; each at least 1.
    pub dims: [usize; 3],
    /// From voxel index to millimetres.
    pub affine: Affine,
}

impl Grid {
    /// How far, in millimetres, the corners of two grids may lie apart that are called one: rounding, not another place.
    pub const SAME_PLACE_WITHIN: f64 = 0.01;

    /// The largest distances between the corners of two grids of equal dimensions along each patient axis (right, front,
    /// top), in millimetres.
    pub fn corners_apart(&self, other: &Self) -> [f64; 3] {
        let mut largest = [0.0_f64; 3];
        for corner in 0..8_usize {
            let index = [0, 1, 2]
                .map(|axis| if corner >> axis & 1 == 1 { self.dims[axis] as f64 - 1.0 } else { 0.0 });
            let (a, b) = (self.affine.to_millimetres(index), other.affine.to_millimetres(index));
            for axis in 0..3 {
                largest[axis] = largest[axis].max((a[axis] - b[axis]).abs());
            }
        }
        largest
    }

    /// Number of voxels.
    pub fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// True if an axis has no voxel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A three-dimensional image: float voxels with i fastest in memory, and their place in space.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    voxels: Array3<f32>,
    affine: Affine,
}

impl Volume {
    /// From voxels (any memory order; brought to i fastest) and their affine.
    ///
    /// # Errors
    /// [`Error::BadImage`] if an axis has no voxel.
    pub fn new(voxels: Array3<f32>, affine: Affine) -> Result<Self> {
        if voxels.is_empty() {
            return Err(Error::BadImage(format!("an image of {:?} voxels", voxels.dim())));
        }
        let voxels = if voxels.t().is_standard_layout() {
            voxels
        } else {
            let mut ordered = memory::in_memory_order(voxels.dim(), 0.0);
            ordered.assign(&voxels);
            ordered
        };
        Ok(Self { voxels, affine })
    }

    /// A volume of zeros on `grid`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if its memory cannot be had, [`Error::BadImage`] if an axis has no voxel.
    pub fn zeros(grid: &Grid) -> Result<Self> {
        let mut data = Vec::new();
        data.try_reserve_exact(grid.len())
            .map_err(|fault| Error::OutOfMemory(format!("an image of {:?} voxels: {fault}", grid.dims)))?;
        data.resize(grid.len(), 0.0);
        let shape = (grid.dims[0], grid.dims[1], grid.dims[2]).f();
        let voxels =
            Array3::from_shape_vec(shape, data).map_err(|fault| Error::Internal(fault.to_string()))?;
        Self::new(voxels, grid.affine)
    }

    /// A copy, unlike `clone` without the end of the process where there is no memory for it.
    pub(crate) fn copy(&self) -> Self {
        Self { voxels: memory::mapped(self.voxels(), |value| *value), affine: self.affine }
    }

    /// Voxels, index (i, j, k).
    pub fn voxels(&self) -> ArrayView3<'_, f32> {
        self.voxels.view()
    }

    /// Voxels to change, index (i, j, k).
    pub fn voxels_mut(&mut self) -> ArrayViewMut3<'_, f32> {
        self.voxels.view_mut()
    }

    /// Voxels in memory order, i fastest.
    pub fn as_slice(&self) -> &[f32] {
        self.voxels.as_slice_memory_order().unwrap_or(&[])
    }

    /// Voxels to change in memory order, i fastest.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        self.voxels.as_slice_memory_order_mut().unwrap_or(&mut [])
    }

    /// Replaces each voxel by `change` of it and the mask's value there, on all threads of the current pool.
    pub(crate) fn change_by_mask(&mut self, mask: &Array3<bool>, change: impl Fn(f32, bool) -> f32 + Sync) {
        // Masks are made by `in_memory_order`, so both slices run i fastest.
        let mask = mask.as_slice_memory_order().unwrap_or(&[]);
        let pairs = self.as_mut_slice().par_iter_mut().zip(mask);
        pairs.for_each(|(voxel, &inside)| *voxel = change(*voxel, inside));
    }

    /// From voxel index to millimetres.
    pub fn affine(&self) -> &Affine {
        &self.affine
    }

    /// Voxels along i, j, k.
    pub fn dims(&self) -> [usize; 3] {
        let (i, j, k) = self.voxels.dim();
        [i, j, k]
    }

    /// Dimensions and affine.
    pub fn grid(&self) -> Grid {
        Grid { dims: self.dims(), affine: self.affine }
    }

    /// The same image with its axes in the patient's order and directions (i to the right, j to the front, k to the top),
    /// as near as its axes come to these. Every voxel keeps its value and its place; nothing is interpolated.
    #[must_use]
    pub fn into_ras(self) -> Self {
        let axes = self.affine.nearest_axes();
        if axes == [(0, false), (1, false), (2, false)] {
            return self;
        }
        let mut turned = self.voxels.view().permuted_axes(axes.map(|(axis, _)| axis));
        for (axis, _) in axes.into_iter().enumerate().filter(|(_, (_, turned))| *turned) {
            turned.invert_axis(Axis(axis));
        }
        let mut voxels = memory::in_memory_order(turned.dim(), 0.0);
        voxels.assign(&turned);
        Self { voxels, affine: self.affine.reordered(axes, self.dims()) }
    }

    /// The way back from [`Volume::into_ras`]: voxels in the patient's order and directions, in those of `grid` again.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the grid has other dimensions than these voxels in any order that it names.
    pub fn back_onto(self, grid: &Grid) -> Result<Self> {
        let axes = grid.affine.nearest_axes();
        let (found, wanted) = (self.dims(), axes.map(|(axis, _)| grid.dims[axis]));
        if found != wanted {
            return Err(Error::InvalidArgument(format!("{found:?} voxels for a grid of {wanted:?}")));
        }
        let mut turned = self.voxels.view();
        let mut order = [0; 3];
        for (row, (axis, backwards)) in axes.into_iter().enumerate() {
            order[axis] = row;
            if backwards {
                turned.invert_axis(Axis(row));
            }
        }
        let turned = turned.permuted_axes(order);
        let mut voxels = memory::in_memory_order(turned.dim(), 0.0);
        voxels.assign(&turned);
        Ok(Self { voxels, affine: grid.affine })
    }

    /// The voxels, giving up their place in space.
    pub fn into_voxels(self) -> Array3<f32> {
        self.voxels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn signed_permutation(order: usize, signs: u8, sizes: [f64; 3], origin: [f64; 3]) -> Affine {
        let mut rows = [[0.0; 4]; 4];
        for (row, axis) in AXIS_ORDERS[order].into_iter().enumerate() {
            let sign = if signs >> row & 1 == 1 { -1.0 } else { 1.0 };
            rows[row][axis] = sign * sizes[axis];
            rows[row][3] = origin[row];
        }
        rows[3][3] = 1.0;
        Affine::from_rows(rows).unwrap()
    }

    #[test]
    fn nearest_axes_name_all_48_orientations() {
        for (order, axes) in AXIS_ORDERS.into_iter().enumerate() {
            for signs in 0..8_u8 {
                let affine = signed_permutation(order, signs, [0.7, 1.0, 3.0], [1.0, 2.0, 3.0]);
                let expected = [0, 1, 2].map(|row| (axes[row], signs >> row & 1 == 1));
                assert_eq!(affine.nearest_axes(), expected);
                assert!(affine.obliqueness_degrees() < 1e-6);
            }
        }
    }

    #[test]
    fn singular_and_senseless_affines_are_refused() {
        let plane = [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
        assert!(matches!(Affine::from_rows(plane), Err(Error::BadImage(_))));
        for size in [0.0, f64::NAN, f64::INFINITY, 1e-5, 1e5] {
            assert!(
                matches!(Affine::from_sizes([size, 1.0, 1.0], [0.0; 3]), Err(Error::BadImage(_))),
                "{size}"
            );
        }
        let mut perspective = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0; 4]];
        perspective[3] = [0.1, 0.0, 0.0, 1.0];
        assert!(Affine::from_rows(perspective).is_err());
    }

    #[test]
    fn lps_is_ras_with_two_signs_changed() {
        let affine = Affine::from_sizes([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]).unwrap();
        let lps = affine.to_lps();
        assert_eq!(lps[0], [-1.0, 0.0, 0.0, -10.0]);
        assert_eq!(lps[1], [0.0, -2.0, 0.0, -20.0]);
        assert_eq!(lps[2], [0.0, 0.0, 3.0, 30.0]);
        assert_eq!(Affine::from_lps(lps).unwrap(), affine);
    }

    #[test]
    fn transforms_follow_each_other_and_lead_back() {
        let rows =
            [[0.9, -0.1, 0.2, 4.0], [0.1, 1.1, 0.0, -3.0], [-0.2, 0.05, 2.0, 9.0], [0.0, 0.0, 0.0, 1.0]];
        let transform = Transform::from_rows(rows).unwrap();
        let point = [3.0, -5.0, 7.0];
        let there = transform.apply(point);
        let [x, y, z] = point;
        // The same point in LPS goes the same way.
        let lps = transform.to_lps();
        let in_lps = [-x, -y, z, 1.0];
        let lps_there = [0, 1, 2].map(|r| (0..4).map(|c| lps[r][c] * in_lps[c]).sum::<f64>());
        for (a, b) in [-there[0], -there[1], there[2]].into_iter().zip(lps_there) {
            assert!((a - b).abs() < 1e-12);
        }
        assert_eq!(Transform::from_lps(lps).unwrap(), transform);
        let back = transform.then(&transform.inverse()).apply(point);
        assert!(back.iter().zip(point).all(|(a, b)| (a - b).abs() < 1e-12));
        let affine = Affine::from_sizes([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]).unwrap();
        let direct = affine.then(&transform).unwrap().to_millimetres([1.0, 2.0, 3.0]);
        let in_steps = transform.apply(affine.to_millimetres([1.0, 2.0, 3.0]));
        assert!(direct.iter().zip(in_steps).all(|(a, b)| (a - b).abs() < 1e-9), "{direct:?} {in_steps:?}");
        assert!(Transform::from_rows([[0.0; 4]; 4]).is_err());
    }

    #[test]
    fn volumes_keep_their_voxels_in_any_memory_order() {
        let c_order = Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (i + 10 * j + 100 * k) as f32);
        let volume = Volume::new(c_order.clone(), Affine::from_sizes([1.0; 3], [0.0; 3]).unwrap()).unwrap();
        assert_eq!(volume.voxels(), c_order.view());
        assert_eq!(&volume.as_slice()[..3], &[0.0, 1.0, 10.0]);
    }

    #[test]
    fn every_orientation_can_be_brought_to_ras() {
        for order in 0..AXIS_ORDERS.len() {
            for signs in 0..8_u8 {
                let mut affine = signed_permutation(order, signs, [0.7, 1.0, 3.0], [1.0, 2.0, 3.0]);
                if signs == 5 {
                    // An oblique one too.
                    let turn = DMat3::from_rotation_x(0.2) * DMat3::from_rotation_z(-0.3);
                    affine = Affine(DAffine3::from_mat3(turn) * affine.0);
                }
                let value = |(i, j, k): (usize, usize, usize)| (i + 10 * j + 100 * k) as f32;
                let volume = Volume::new(Array3::from_shape_fn((2, 3, 4), value), affine).unwrap();
                let turned = volume.clone().into_ras();
                assert_eq!(turned.affine().nearest_axes(), [(0, false), (1, false), (2, false)]);
                assert_eq!(turned.clone().into_ras(), turned);
                assert_eq!(turned.clone().back_onto(&volume.grid()).unwrap(), volume);
                // Every value is where it was.
                let back = turned.affine().to_indices_of(&affine);
                for ((i, j, k), found) in turned.voxels().indexed_iter() {
                    let there = back.apply([i as f64, j as f64, k as f64]);
                    assert!(there.iter().all(|at| (at - at.round()).abs() < 1e-9), "{there:?}");
                    assert_eq!(*found, volume.voxels()[there.map(|at| at.round() as usize)]);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn index_maps_agree_with_millimetres(
            order in 0_usize..6, signs in 0_u8..8,
            sizes in prop::array::uniform3(0.3_f64..5.0), origin in prop::array::uniform3(-200.0_f64..200.0),
            index in prop::array::uniform3(-50.0_f64..300.0),
        ) {
            let from = signed_permutation(order, signs, sizes, origin);
            let to = Affine::from_rows([
                [0.9, -0.1, 0.2, 4.0], [0.1, 1.1, 0.0, -3.0], [-0.2, 0.05, 2.0, 9.0], [0.0, 0.0, 0.0, 1.0],
            ]).unwrap();
            let there = from.to_indices_of(&to).apply(index);
            let (a, b) = (from.to_millimetres(index), to.to_millimetres(there));
            for axis in 0..3 {
                prop_assert!((a[axis] - b[axis]).abs() < 1e-8);
            }
        }
    }
}
