//! Multiple sclerosis lesions: bright on T2w, and on T1w from hardly visible to black holes.

use rand::RngExt;
use rand_distr::StandardNormal;

use super::Random;
use super::anatomy::{Scene, gradient, unit};
use super::appearance::{Appearance, Contrast};
use super::field::{Field, index, mix, smooth_step};

/// How many places are tried for one lesion before it is given up.
const TRIES: usize = 4000;
/// Half the width of a lesion's soft border, in millimetres.
const SOFTNESS: f32 = 0.8;
/// How far, relative to its radius, the noise moves a lesion's outline.
const ROUGHNESS: f32 = 0.22;

/// Where a lesion likes to be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Site {
    Periventricular,
    Juxtacortical,
    Anywhere,
}

/// One ellipsoid, whose outline noise will disturb.
struct Lesion {
    centre: [f32; 3],
    /// Orthogonal directions of the axes.
    axes: [[f32; 3]; 3],
    /// Half lengths in millimetres.
    radii: [f32; 3],
    damage: Damage,
}

/// How far a lesion's brightness is from the mildest (0) to the most destructive (1), on each contrast.
#[derive(Clone, Copy)]
struct Damage {
    on_t1w: f32,
    on_t2w: f32,
}

impl Damage {
    fn random(random: &mut Random) -> Self {
        let on_t2w = random.random_range(0.1..1.0_f32);
        // Damage that T1w shows is seen on T2w too, but not the other way round.
        Self { on_t1w: on_t2w * random.random_range(0.0..1.0_f32), on_t2w }
    }
}

/// A number of lesions from 0 to 60, mostly small.
pub fn random_count(random: &mut Random) -> usize {
    if random.random_bool(0.15) { 0 } else { random.random_range(0.0..60.0_f32.ln()).exp().round() as usize }
}

/// A number of lesions from 5 to 80, more often small than large: somebody with multiple sclerosis has some.
pub fn random_count_of_patient(random: &mut Random) -> usize {
    random.random_range(5.0_f32.ln()..80.0_f32.ln()).exp().round() as usize
}

/// Adds about `count` lesions and, in some subjects, confluent caps at the ventricles. Returns the part of lesion in
/// each voxel.
pub fn add(scene: &mut Scene, appearance: &Appearance, count: usize, random: &mut Random) -> Field {
    let outline = Field::noise(scene.dims(), 2.5, random);
    let mut parts = Field::filled(scene.dims(), 0.0);
    if count > 0 && random.random_bool(0.4) {
        add_caps(scene, appearance, &mut parts, random);
    }
    for _ in 0..count {
        if let Some(lesion) = Lesion::random(scene, random) {
            lesion.draw(scene, appearance, &outline, &mut parts);
        }
    }
    parts
}

/// Confluent lesions along parts of the ventricles' wall.
fn add_caps(scene: &mut Scene, appearance: &Appearance, parts: &mut Field, random: &mut Random) {
    let thickness = random.random_range(1.0..4.0_f32);
    let damage = Damage::random(random);
    let patches = Field::noise(scene.dims(), 7.0, random);
    for at in 0..parts.values.len() {
        let distance = scene.ventricle_distance.values[at];
        if scene.white.values[at] > 0.0 && distance < 12.0 {
            let reach = thickness * (0.4 + patches.values[at]);
            let part = smooth_step(SOFTNESS, -SOFTNESS, distance - reach) * scene.white.values[at];
            paint(scene, appearance, at, part * (1.0 - parts.values[at]), damage);
            parts.values[at] = parts.values[at].max(part);
        }
    }
}

fn paint(scene: &mut Scene, appearance: &Appearance, at: usize, part: f32, damage: Damage) {
    let brightness = |contrast: &Contrast, damage: f32| mix(contrast.lesion[0], contrast.lesion[1], damage);
    let t1w = brightness(&appearance.t1w, damage.on_t1w);
    let t2w = brightness(&appearance.t2w, damage.on_t2w);
    scene.t1w.values[at] = mix(scene.t1w.values[at], t1w, part);
    scene.t2w.values[at] = mix(scene.t2w.values[at], t2w, part);
}

impl Lesion {
    /// A lesion at a place found by chance; `None` if none was found.
    fn random(scene: &Scene, random: &mut Random) -> Option<Self> {
        let site = match random.random_range(0..10) {
            0..5 => Site::Periventricular,
            5..8 => Site::Juxtacortical,
            _ => Site::Anywhere,
        };
        let centre = (0..TRIES)
            .map(|_| scene.dims().map(|length| random.random_range(0..length)))
            .find(|&at| fits(scene, at, site))?;
        let diameter = random.random_range(3.0_f32.ln()..15.0_f32.ln()).exp();
        // Large lesions are rare.
        let diameter = if random.random_bool(0.5) { diameter.min(6.0) } else { diameter };
        let mut radii = [0, 1, 2].map(|_| 0.5 * diameter * random.random_range(0.65..1.1_f32));
        let noise = [0, 1, 2].map(|_| random.sample::<f32, _>(StandardNormal));
        let first = if site == Site::Periventricular {
            // Along the medullary veins, which leave the ventricles at a right angle.
            radii[0] *= 1.5;
            let away = gradient(&scene.ventricle_distance, centre);
            unit([0, 1, 2].map(|axis| away[axis] + 0.25 * noise[axis]))
        } else {
            unit(noise)
        };
        let second = perpendicular(first);
        Some(Self {
            centre: centre.map(|p| p as f32 + random.random_range(-0.5..0.5_f32)),
            axes: [first, second, cross(first, second)],
            radii,
            damage: Damage::random(random),
        })
    }

    fn draw(&self, scene: &mut Scene, appearance: &Appearance, outline: &Field, parts: &mut Field) {
        let dims = scene.dims();
        let reach = self.radii.iter().fold(0.0_f32, |a, &b| a.max(b)) * (1.0 + 3.0 * ROUGHNESS) + 2.0;
        let low = [0, 1, 2].map(|axis| (self.centre[axis] - reach).max(0.0) as usize);
        let high = [0, 1, 2].map(|axis| ((self.centre[axis] + reach) as usize + 1).min(dims[axis]));
        let smallest = self.radii.iter().fold(f32::INFINITY, |a, &b| a.min(b));
        let border = SOFTNESS / smallest;
        for k in low[2]..high[2] {
            for j in low[1]..high[1] {
                for i in low[0]..high[0] {
                    let at = index(dims, [i, j, k]);
                    let radius = self.radius([i, j, k]) + ROUGHNESS * outline.values[at];
                    // Grey matter is spared for the most part.
                    let tissue = (scene.white.values[at] + 0.25 * scene.grey.values[at]).min(1.0);
                    let part = smooth_step(1.0 + border, 1.0 - border, radius) * tissue;
                    if part > 0.0 {
                        // Destruction is worst in the middle.
                        let core = 1.0 - 0.3 * radius.clamp(0.0, 1.0);
                        let damage = Damage { on_t1w: self.damage.on_t1w * core, ..self.damage };
                        paint(scene, appearance, at, part, damage);
                        parts.values[at] = parts.values[at].max(part);
                    }
                }
            }
        }
    }

    /// Distance from the centre in units of the radii.
    fn radius(&self, at: [usize; 3]) -> f32 {
        let away = [0, 1, 2].map(|axis| at[axis] as f32 - self.centre[axis]);
        let along = |axis: usize| {
            let length: f32 = (0..3).map(|c| self.axes[axis][c] * away[c]).sum();
            (length / self.radii[axis]).powi(2)
        };
        (along(0) + along(1) + along(2)).sqrt()
    }
}

fn fits(scene: &Scene, at: [usize; 3], site: Site) -> bool {
    let dims = scene.dims();
    let here = index(dims, at);
    if scene.white.values[here] < 0.9 {
        return false;
    }
    match site {
        Site::Periventricular => scene.ventricle_distance.values[here] < 7.0,
        Site::Juxtacortical => scene.ventricle_distance.values[here] > 12.0 && touches_grey_matter(scene, at),
        Site::Anywhere => true,
    }
}

/// True if grey matter is 3 voxels away along an axis.
fn touches_grey_matter(scene: &Scene, at: [usize; 3]) -> bool {
    let dims = scene.dims();
    (0..3).any(|axis| {
        let (mut before, mut after) = (at, at);
        before[axis] = at[axis].saturating_sub(3);
        after[axis] = (at[axis] + 3).min(dims[axis] - 1);
        scene.grey.values[index(dims, before)] > 0.5 || scene.grey.values[index(dims, after)] > 0.5
    })
}

/// A direction at a right angle to `v`.
fn perpendicular(v: [f32; 3]) -> [f32; 3] {
    let helper = if v[0].abs() < 0.8 { [1.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0] };
    unit(cross(v, helper))
}

fn cross(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn white_scene(appearance: &Appearance) -> Scene {
        let dims = [40, 40, 40];
        let mut distance = Field::filled(dims, 0.0);
        for (at, value) in distance.values.iter_mut().enumerate() {
            *value = (at % 40) as f32;
        }
        Scene {
            t1w: Field::filled(dims, appearance.t1w.white_matter()),
            t2w: Field::filled(dims, appearance.t2w.white_matter()),
            inside: vec![true; 64000],
            white: Field::filled(dims, 1.0),
            grey: Field::filled(dims, 0.0),
            ventricle_distance: distance,
        }
    }

    #[test]
    fn lesions_are_bright_on_t2w_and_dark_on_t1w() {
        let mut found = 0;
        for seed in 0..20 {
            let mut random = Random::new(seed, 0);
            let appearance = Appearance::random(&mut random);
            let mut scene = white_scene(&appearance);
            let parts = add(&mut scene, &appearance, 20, &mut random);
            let voxels: Vec<usize> = (0..parts.values.len()).filter(|&at| parts.values[at] > 0.9).collect();
            if voxels.is_empty() {
                continue;
            }
            found += 1;
            let mean =
                |field: &Field| voxels.iter().map(|&at| field.values[at]).sum::<f32>() / voxels.len() as f32;
            assert!(mean(&scene.t2w) > 1.1 * appearance.t2w.white_matter());
            assert!(mean(&scene.t1w) < 1.02 * appearance.t1w.white_matter());
        }
        assert!(found > 8, "{found}");
    }

    #[test]
    fn axes_are_orthogonal() {
        let first = unit([0.3, -0.9, 0.2]);
        let second = perpendicular(first);
        let dot: f32 = (0..3).map(|axis| first[axis] * second[axis]).sum();
        assert!(dot.abs() < 1e-6);
    }
}
