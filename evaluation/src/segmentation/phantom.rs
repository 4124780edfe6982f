//! A brain made of shells by a formula, for tests; `benches/segmentation_twin.py` makes the same one.

use mrisynth::{Affine, Grid, Volume};
use ndarray::{Array3, ShapeBuilder};

use super::priors::Priors;

const DIMS: [usize; 3] = [60, 72, 48];
pub const SIZES: [f64; 3] = [1.5, 1.5, 2.0];
/// Semi-axes of the brain in millimetres; the shells' radii are parts of them.
const SEMI_AXES: [f64; 3] = [40.0, 50.0, 44.0];
const VENTRICLE: f64 = 0.25;
const WHITE: f64 = 0.8;
const GREY: f64 = 0.95;
/// The middle and the radius of each lesion in millimetres. The last is so large that its middle sees no white matter.
pub const LESIONS: [([f64; 3], f64); 3] =
    [([18.0, 10.0, 0.0], 5.0), ([-20.0, -12.0, 8.0], 4.0), ([0.0, 28.0, -4.0], 9.0)];

/// How bright tissues are in an image, and its noise.
#[derive(Clone, Copy)]
pub struct Appearance {
    pub fluid: f64,
    pub grey: f64,
    pub white: f64,
    pub lesion: f64,
    /// Standard deviation.
    pub noise: f64,
    pub seed: u32,
}

pub const T1W: Appearance =
    Appearance { fluid: 100.0, grey: 250.0, white: 330.0, lesion: 255.0, noise: 20.0, seed: 1 };
pub const T2W: Appearance =
    Appearance { fluid: 600.0, grey: 330.0, white: 255.0, lesion: 420.0, noise: 22.0, seed: 2 };
pub const FLAIR: Appearance =
    Appearance { fluid: 40.0, grey: 96.0, white: 84.0, lesion: 118.0, noise: 6.0, seed: 3 };

/// Volumes of fluid, grey and white matter in ml, lesions counted as white matter.
pub fn volumes() -> [f64; 3] {
    let whole = 4.0 / 3.0 * std::f64::consts::PI * SEMI_AXES.iter().product::<f64>() / 1000.0;
    let white = WHITE.powi(3) - VENTRICLE.powi(3);
    let grey = GREY.powi(3) - WHITE.powi(3);
    [whole * (1.0 - grey - white), whole * grey, whole * white]
}

pub fn grid() -> Grid {
    let origin = [0, 1, 2].map(|axis| -centre(axis));
    Grid { dims: DIMS, affine: Affine::from_sizes(SIZES, origin).unwrap() }
}

fn centre(axis: usize) -> f64 {
    (DIMS[axis] as f64 - 1.0) / 2.0 * SIZES[axis]
}

fn array<T>(value: impl Fn([usize; 3]) -> T) -> Array3<T> {
    Array3::from_shape_fn((DIMS[0], DIMS[1], DIMS[2]).f(), |(i, j, k)| value([i, j, k]))
}

pub fn volume(value: impl Fn([usize; 3]) -> f64) -> Volume {
    Volume::new(array(|index| value(index) as f32), grid().affine).unwrap()
}

/// Millimetres from the brain's middle of a voxel's centre, or of a point beside it.
fn point(index: [usize; 3], shift: [f64; 3]) -> [f64; 3] {
    [0, 1, 2].map(|axis| (index[axis] as f64 + shift[axis]) * SIZES[axis] - centre(axis))
}

/// 1 on the brain's surface.
pub fn radius(point: [f64; 3]) -> f64 {
    (0..3).map(|axis| (point[axis] / SEMI_AXES[axis]).powi(2)).sum::<f64>().sqrt()
}

pub fn radius_of(index: [usize; 3]) -> f64 {
    radius(point(index, [0.0; 3]))
}

fn in_lesion(point: [f64; 3]) -> bool {
    LESIONS.iter().any(|(centre, size)| {
        (0..3).map(|axis| (point[axis] - centre[axis]).powi(2)).sum::<f64>() < size * size
    })
}

pub fn brain() -> Array3<bool> {
    array(|index| radius_of(index) < 1.0)
}

pub fn lesions() -> Array3<bool> {
    array(|index| in_lesion(point(index, [0.0; 3])))
}

/// Four uniform numbers added up, with a variance of 1.
fn noise([i, j, k]: [usize; 3], seed: u32) -> f64 {
    let wave = |n: u32| {
        let phase = 12.9898 * i as f64 + 78.233 * j as f64 + 37.719 * k as f64 + f64::from(4 * seed + n);
        let wave = phase.sin() * 43758.5453;
        wave - wave.floor() - 0.5
    };
    (0..4).map(wave).sum::<f64>() * 3.0_f64.sqrt()
}

/// An image of the brain: each voxel is the mean of eight points in it, and noise.
pub fn image(appearance: Appearance, with_lesions: bool) -> Volume {
    let at = |point: [f64; 3]| match radius(point) {
        _ if with_lesions && in_lesion(point) => appearance.lesion,
        r if r < VENTRICLE => appearance.fluid,
        r if r < WHITE => appearance.white,
        r if r < GREY => appearance.grey,
        _ => appearance.fluid,
    };
    volume(|index| {
        if radius_of(index) >= 1.0 {
            return 0.0;
        }
        let shift = |corner: usize| [0, 1, 2].map(|axis| if corner >> axis & 1 == 1 { 0.25 } else { -0.25 });
        let mean = (0..8).map(|corner| at(point(index, shift(corner)))).sum::<f64>() / 8.0;
        mean + appearance.noise * noise(index, appearance.seed)
    })
}

/// Where tissues are likely: the shells, blurred.
pub fn priors() -> Priors {
    let step = |x: f64| 1.0 / (1.0 + (-x / 0.02).exp());
    let grey = volume(|index| step(radius_of(index) - WHITE) * step(GREY - radius_of(index)));
    let white = volume(|index| step(WHITE - radius_of(index)) * step(radius_of(index) - VENTRICLE));
    Priors::of_maps(grey, white).unwrap()
}
