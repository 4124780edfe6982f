//! Paints both contrasts of a warped label map, with partial volume at borders and texture inside tissues.

use rand::RngExt;
use rand_distr::StandardNormal;

use super::Random;
use super::appearance::Appearance;
use super::deform::Warp;
use super::field::{Field, index, mix};
use super::labels::LabelMap;
use super::person::Group;
use super::tissue::{TISSUES, Tissue};

/// Noise-free images of one head on a 1 mm RAS grid, and what later steps need to know of its anatomy.
pub struct Scene {
    /// T1-weighted brightness.
    pub t1w: Field,
    /// T2-weighted brightness.
    pub t2w: Field,
    /// What a brain extraction keeps.
    pub inside: Vec<bool>,
    /// Part of cerebral and cerebellar white matter in each voxel.
    pub white: Field,
    /// Part of grey matter in each voxel.
    pub grey: Field,
    /// Distance to the ventricles, in millimetres.
    pub ventricle_distance: Field,
}

impl Scene {
    /// Voxels along i, j, k.
    pub fn dims(&self) -> [usize; 3] {
        self.t1w.dims
    }
}

/// Smooth variation inside tissues, most of it shared by both contrasts.
pub struct Texture {
    /// More or less myelin, in units of the appearance's gains.
    myelin: Field,
    /// Factors of each contrast alone.
    own: [Field; 2],
    /// How much less myelin there is at the ventricles' wall.
    halo: f32,
    /// Change of myelin from the ventricles to 30 mm away.
    slope: f32,
    /// Part of vessels and membranes in the fluid between gyri.
    vessels: Field,
    /// Part of cortex in that fluid: sulci are narrower than a voxel of a label map.
    narrowness: f32,
}

impl Texture {
    /// Structures of four scales, from 2 mm to regions of the brain.
    pub fn random(dims: [usize; 3], group: &Group, random: &mut Random) -> Self {
        let mut myelin = Field::filled(dims, 0.0);
        for (spacing, deviation) in [(1.6, 0.5), (3.5, 0.5), (9.0, 0.5), (24.0, 0.6)] {
            let weight = deviation * random.random_range(0.5..1.4_f32);
            let noise = Field::noise(dims, spacing, random);
            for (value, detail) in myelin.values.iter_mut().zip(noise.values) {
                *value += weight * detail;
            }
        }
        let own = [0, 1].map(|_| {
            let strength = random.random_range(0.003..0.012_f32);
            let mut factors = Field::noise(dims, 3.0, random);
            for value in &mut factors.values {
                *value = 1.0 + strength * *value;
            }
            factors
        });
        let density = random.random_range(group.vessels.clone());
        let mut vessels = Field::noise(dims, 2.2, random);
        for value in &mut vessels.values {
            *value = (density * (0.6 + 0.7 * *value)).clamp(0.0, 0.9);
        }
        Self {
            myelin,
            own,
            halo: random.random_range(group.halo.clone()),
            slope: random.random_range(-0.7..0.7),
            vessels,
            narrowness: random.random_range(group.narrowness.clone()),
        }
    }

    /// Replaces a part of the fluid between gyri.
    fn crowd_sulci(&self, at: usize, parts: &mut [f32; TISSUES]) {
        let fluid = parts[Tissue::Fluid as usize];
        let vessels = self.vessels.values[at] * fluid;
        let cortex = self.narrowness * (fluid - vessels);
        parts[Tissue::Fluid as usize] = fluid - vessels - cortex;
        parts[Tissue::Membrane as usize] += vessels;
        parts[Tissue::Cortex as usize] += cortex;
    }
}

/// Paints `labels` as `warp` places them.
pub fn paint(
    labels: &LabelMap,
    ventricle_distance: &Field,
    warp: &Warp,
    appearance: &Appearance,
    texture: &Texture,
) -> Scene {
    let dims = warp.dims;
    let empty = || Field::filled(dims, 0.0);
    let mut scene = Scene {
        t1w: Field::filled(dims, appearance.t1w.means[0]),
        t2w: Field::filled(dims, appearance.t2w.means[0]),
        inside: vec![false; dims.iter().product()],
        white: empty(),
        grey: empty(),
        ventricle_distance: empty(),
    };
    for k in 0..dims[2] {
        for j in 0..dims[1] {
            for i in 0..dims[0] {
                let at = index(dims, [i, j, k]);
                let place = warp.source([i, j, k]);
                let position = [0, 1, 2].map(|axis| place[axis] / labels.sizes[axis] - 0.5);
                let Some(mut parts) = tissue_parts(labels, position) else { continue };
                let distance = ventricle_distance.sample(position);
                scene.ventricle_distance.values[at] = distance;
                let white = part_of(&parts, is_white);
                scene.white.values[at] = white;
                scene.grey.values[at] = part_of(&parts, is_grey);
                scene.inside[at] = part_of(&parts, is_inside) > 0.5;
                texture.crowd_sulci(at, &mut parts);
                let regional =
                    texture.slope * (distance / 30.0).min(1.5) - texture.halo * (-distance / 3.0).exp();
                let myelin = texture.myelin.values[at] + white * regional;
                for ((image, contrast), own) in [&mut scene.t1w, &mut scene.t2w]
                    .into_iter()
                    .zip([&appearance.t1w, &appearance.t2w])
                    .zip(&texture.own)
                {
                    let tissue = |number: usize| contrast.means[number] + myelin * contrast.gains[number];
                    let sum: f32 = (0..TISSUES).map(|number| parts[number] * tissue(number)).sum();
                    image.values[at] = (sum * own.values[at]).max(0.0);
                }
            }
        }
    }
    scene
}

fn is_white(tissue: Tissue) -> bool {
    matches!(tissue, Tissue::WhiteMatter | Tissue::CerebellarWhiteMatter)
}

fn is_grey(tissue: Tissue) -> bool {
    matches!(
        tissue,
        Tissue::Cortex
            | Tissue::CerebellarCortex
            | Tissue::Thalamus
            | Tissue::Caudate
            | Tissue::Putamen
            | Tissue::Hippocampus
    )
}

fn is_inside(tissue: Tissue) -> bool {
    !matches!(tissue, Tissue::Background | Tissue::OuterFluid)
}

fn part_of(parts: &[f32; TISSUES], chosen: impl Fn(Tissue) -> bool) -> f32 {
    Tissue::ALL.into_iter().filter(|&tissue| chosen(tissue)).map(|tissue| parts[tissue as usize]).sum()
}

/// The part of each tissue at a fractional voxel index, smoothed by a quadratic B-spline, so that voxel borders leave
/// no staircase; `None` where there is only background.
fn tissue_parts(labels: &LabelMap, position: [f32; 3]) -> Option<[f32; TISSUES]> {
    let dims = labels.dims;
    let inside = (0..3).all(|axis| position[axis] >= 1.0 && position[axis] < dims[axis] as f32 - 2.0);
    if !inside {
        return None;
    }
    let centre = position.map(|p| p.round() as usize);
    let weights = [0, 1, 2].map(|axis| quadratic_b_spline(position[axis] - centre[axis] as f32));
    let mut parts = [0.0; TISSUES];
    for (c, weight_k) in weights[2].into_iter().enumerate() {
        for (b, weight_j) in weights[1].into_iter().enumerate() {
            let start = index(dims, [centre[0] - 1, centre[1] + b - 1, centre[2] + c - 1]);
            for (tissue, weight_i) in labels.tissues[start..start + 3].iter().zip(weights[0]) {
                parts[*tissue as usize] += weight_i * weight_j * weight_k;
            }
        }
    }
    (parts[Tissue::Background as usize] < 0.999).then_some(parts)
}

/// Weights of the three values around a position `t` (-0.5 to 0.5) off the middle one.
fn quadratic_b_spline(t: f32) -> [f32; 3] {
    [0.5 * (0.5 - t) * (0.5 - t), 0.75 - t * t, 0.5 * (0.5 + t) * (0.5 + t)]
}

/// Draws perivascular spaces: short, thin tubes of fluid in white matter and putamen that run towards the ventricles.
pub fn add_perivascular_spaces(
    scene: &mut Scene,
    appearance: &Appearance,
    group: &Group,
    random: &mut Random,
) {
    let count = random.random_range(group.perivascular_spaces.clone());
    let mut fluid = Field::filled(scene.dims(), 0.0);
    for _ in 0..count {
        let Some(start) = random_white_voxel(scene, random) else { break };
        draw_tube(scene, start, &mut fluid, random);
    }
    for at in 0..fluid.values.len() {
        let part = fluid.values[at] * scene.white.values[at];
        scene.t1w.values[at] = mix(scene.t1w.values[at], appearance.t1w.fluid(), part);
        scene.t2w.values[at] = mix(scene.t2w.values[at], appearance.t2w.fluid(), part);
    }
}

fn random_white_voxel(scene: &Scene, random: &mut Random) -> Option<[usize; 3]> {
    const TRIES: usize = 3000;
    (0..TRIES)
        .map(|_| scene.dims().map(|length| random.random_range(0..length)))
        .find(|&at| scene.white.values[index(scene.dims(), at)] > 0.9)
}

fn draw_tube(scene: &Scene, start: [usize; 3], fluid: &mut Field, random: &mut Random) {
    const STEP: f32 = 0.5;
    let length = random.random_range(1.0..10.0_f32);
    let radius = random.random_range(0.35..0.6_f32);
    let part = random.random_range(0.1..0.5_f32);
    let mut position = start.map(|p| p as f32);
    let towards = gradient(&scene.ventricle_distance, start);
    let direction = unit(towards.map(|g| {
        let deviation: f32 = random.sample(StandardNormal);
        g + 0.3 * deviation
    }));
    for _ in 0..(length / STEP) as usize {
        splat(fluid, position, radius, part);
        for axis in 0..3 {
            position[axis] -= STEP * direction[axis];
        }
    }
}

/// Raises the field around `centre` to a Gaussian of this height.
fn splat(field: &mut Field, centre: [f32; 3], deviation: f32, height: f32) {
    let nearest = centre.map(|p| p.round());
    if (0..3).any(|axis| nearest[axis] < 1.0 || nearest[axis] > field.dims[axis] as f32 - 2.0) {
        return;
    }
    let base = nearest.map(|p| p as usize - 1);
    for offset in 0..27 {
        let at = [base[0] + offset % 3, base[1] + offset / 3 % 3, base[2] + offset / 9];
        let away: f32 = (0..3).map(|axis| (at[axis] as f32 - centre[axis]).powi(2)).sum();
        let value = &mut field.values[index(field.dims, at)];
        *value = value.max(height * (-0.5 * away / (deviation * deviation)).exp());
    }
}

/// Change of the field per voxel, by central differences.
pub fn gradient(field: &Field, at: [usize; 3]) -> [f32; 3] {
    [0, 1, 2].map(|axis| {
        let (mut before, mut after) = (at, at);
        before[axis] = at[axis].saturating_sub(1);
        after[axis] = (at[axis] + 1).min(field.dims[axis] - 1);
        0.5 * (field.values[index(field.dims, after)] - field.values[index(field.dims, before)])
    })
}

/// The direction of a vector; of the null vector, the first axis.
pub fn unit(vector: [f32; 3]) -> [f32; 3] {
    let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
    if length > 1e-6 { vector.map(|v| v / length) } else { [1.0, 0.0, 0.0] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spline_weights_sum_to_1() {
        for t in [-0.5, -0.2, 0.0, 0.4] {
            let sum: f32 = quadratic_b_spline(t).iter().sum();
            assert!((sum - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn a_border_has_both_tissues() {
        let dims = [8, 8, 8];
        let tissues = (0..512).map(|at| if at % 8 < 4 { Tissue::Cortex } else { Tissue::WhiteMatter });
        let map = LabelMap { dims, sizes: [1.0; 3], tissues: tissues.collect() };
        let parts = tissue_parts(&map, [3.5, 4.0, 4.0]).unwrap();
        assert!((parts[Tissue::Cortex as usize] - 0.5).abs() < 1e-5);
        assert!((parts[Tissue::WhiteMatter as usize] - 0.5).abs() < 1e-5);
        assert!(tissue_parts(&map, [0.2, 4.0, 4.0]).is_none());
    }
}
