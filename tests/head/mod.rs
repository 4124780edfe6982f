//! Made-up heads: the average brain inside the library in a made-up skull, scanned from where and how a test says.

// Each test binary uses a part of this.
#![allow(dead_code)]

use mrisynth::prepare::distance::distance_to;
use mrisynth::prepare::register::template;
use mrisynth::{Affine, Grid, Transform, Volume};
use ndarray::{Array3, ShapeBuilder};

/// What a made-up scan shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contrast {
    /// White matter bright, fluid dark.
    T1w,
    /// Fluid bright, white matter dark.
    T2w,
}

/// A head in MNI152 millimetres, on voxels of 2 mm.
pub struct Head {
    /// 1..=255 in the brain, 0 outside.
    brain: &'static Volume,
    /// Millimetres outside of the brain.
    depth: Vec<f32>,
    grid: Grid,
}

impl Head {
    pub fn new() -> Self {
        let brain = template::brain().unwrap();
        // Room for the skull around the brain, and for a neck below it.
        let affine = Affine::from_sizes([2.0; 3], [-104.0, -140.0, -110.0]).unwrap();
        let grid = Grid { dims: [105, 125, 115], affine };
        let [ni, nj, _] = grid.dims;
        let is_brain = |at: usize| {
            let index = [at % ni, at / ni % nj, at / ni / nj].map(|i| i as f64);
            value_at(brain, grid.affine.to_millimetres(index)) > 0.0
        };
        let depth = distance_to(grid.dims, [2.0; 3], is_brain);
        Self { brain, depth, grid }
    }

    /// The intensity at a point, and whether it lies in the brain.
    fn at(&self, point: [f64; 3], contrast: Contrast) -> (f32, bool) {
        let value = value_at(self.brain, point);
        if value > 0.0 {
            return (if contrast == Contrast::T1w { value } else { 300.0 - value }, true);
        }
        let depth = self.depth_at(point);
        let is_neck = point[2] < -72.0 && (point[0] / 55.0).hypot((point[1] + 35.0) / 60.0) < 1.0;
        let (t1w, t2w) = match depth {
            _ if is_neck => (120.0, 70.0),
            d if d < 3.0 => (45.0, 280.0),
            d if d < 9.0 => (12.0, 12.0),
            d if d < 16.0 => (210.0, 130.0),
            _ => (0.0, 0.0),
        };
        (if contrast == Contrast::T1w { t1w } else { t2w }, false)
    }

    fn depth_at(&self, point: [f64; 3]) -> f32 {
        let origin = self.grid.affine.to_millimetres([0.0; 3]);
        let index = [0, 1, 2].map(|axis| ((point[axis] - origin[axis]) / 2.0).round());
        let dims = self.grid.dims;
        if (0..3).any(|axis| index[axis] < 0.0 || index[axis] >= dims[axis] as f64) {
            return f32::INFINITY;
        }
        let [i, j, k] = index.map(|i| i as usize);
        self.depth[i + dims[0] * (j + dims[1] * k)]
    }

    /// A scan of the head on `grid`, which lies where `standard_to_scan` leads to: with a coil that is up to a third
    /// brighter on one side, and with noise. The brain there comes with it.
    pub fn scan(
        &self,
        grid: Grid,
        standard_to_scan: &Transform,
        contrast: Contrast,
    ) -> (Volume, Array3<bool>) {
        let to_standard = standard_to_scan.inverse();
        let [ni, nj, nk] = grid.dims;
        let mut brain = Array3::from_elem((ni, nj, nk).f(), false);
        let mut volume = Volume::zeros(&grid).unwrap();
        for ((i, j, k), voxel) in volume.voxels_mut().indexed_iter_mut() {
            let point = to_standard.apply(grid.affine.to_millimetres([i as f64, j as f64, k as f64]));
            let (value, inside) = self.at(point, contrast);
            let coil = 1.0 + 0.15 * (point[0] / 70.0 + point[1] / 90.0) as f32;
            *voxel = (value * coil + noise([i, j, k])).max(0.0);
            brain[[i, j, k]] = inside;
        }
        (volume, brain)
    }
}

/// The nearest voxel's value; 0 out of view.
fn value_at(volume: &Volume, point: [f64; 3]) -> f32 {
    let origin = volume.affine().to_millimetres([0.0; 3]);
    let index = [0, 1, 2].map(|axis| ((point[axis] - origin[axis]) / 2.0).round());
    let dims = volume.dims();
    if (0..3).any(|axis| index[axis] < 0.0 || index[axis] >= dims[axis] as f64) {
        return 0.0;
    }
    volume.voxels()[index.map(|i| i as usize)]
}

/// A number of about -6 to 6 that is the same for a voxel each time.
pub fn noise([i, j, k]: [usize; 3]) -> f32 {
    let mut state = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        ^ (j as u64).wrapping_mul(0xC2B2_AE3D_27D4_EB4F)
        ^ (k as u64).wrapping_mul(0x1656_67B1_9E37_79F9);
    let mut sum = 0.0;
    for _ in 0..3 {
        state ^= state >> 33;
        state = state.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        state ^= state >> 29;
        sum += (state >> 40) as f32 / (1_u64 << 24) as f32 - 0.5;
    }
    4.0 * sum
}

/// A clinic's grid: voxels of 1 x 1 x 3.5 mm, stored from left to right, from front to back and from bottom to top, the
/// slices tilted by `tilt` degrees about the axis from ear to ear, around the head of [`Head`].
pub fn clinical_grid(tilt: f64) -> Grid {
    tilted_grid([220, 250, 54], [1.0, 1.0, 3.5], tilt)
}

/// The same head in voxels of 2 x 2 x 4 mm, for what is run many times.
pub fn coarse_grid(tilt: f64) -> Grid {
    tilted_grid([110, 125, 47], [2.0, 2.0, 4.0], tilt)
}

fn tilted_grid(dims: [usize; 3], sizes: [f64; 3], tilt: f64) -> Grid {
    let (sin, cos) = tilt.to_radians().sin_cos();
    let axes = [[-1.0, 0.0, 0.0], [0.0, -cos, -sin], [0.0, -sin, cos]];
    let centre = [0.0, -18.0, 0.0];
    let mut rows = [[0.0; 4]; 4];
    rows[3][3] = 1.0;
    for row in 0..3 {
        rows[row][3] = centre[row];
        for axis in 0..3 {
            rows[row][axis] = sizes[axis] * axes[axis][row];
            rows[row][3] -= rows[row][axis] * (dims[axis] as f64 - 1.0) / 2.0;
        }
    }
    Grid { dims, affine: Affine::from_rows(rows).unwrap() }
}

/// A head that is smaller than MNI152's, turned and moved: from MNI152 to the scanner.
pub fn pose() -> Transform {
    let (sin, cos) = 8_f64.to_radians().sin_cos();
    Transform::from_rows([
        [0.9 * cos, -0.88 * sin, 0.0, 6.0],
        [0.9 * sin, 0.88 * cos, 0.02, -9.0],
        [0.0, -0.03, 0.86, 12.0],
        [0.0, 0.0, 0.0, 1.0],
    ])
    .unwrap()
}
