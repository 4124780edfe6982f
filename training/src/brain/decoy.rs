//! Things that are no head: limbs, boxes and noise, from which the extractor learns to find no brain.

use rand::RngExt;
use rand_distr::StandardNormal;

use super::anatomy::{AIR, BONE, FAT, MARROW, SKIN, SOFT};
use super::contrast::Contrast;
use super::head::{DIMS, Scene, millimetres};
use crate::simulate::Random;
use crate::simulate::deform::{product, rotation};
use crate::simulate::field::Field;

/// An ellipsoid, or a box, in millimetres around the grid's centre.
struct Body {
    axes: [[f32; 3]; 3],
    centre: [f32; 3],
    half: [f32; 3],
    boxed: bool,
}

impl Body {
    /// With half axes up to `largest`, its centre up to `farthest` from the grid's.
    fn random(smallest: f32, largest: f32, farthest: f32, random: &mut Random) -> Self {
        let mut axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        for axis in 0..3 {
            axes = product(&rotation(axis, random.random_range(-1.0..1.0)), &axes);
        }
        Self {
            axes,
            centre: [0; 3].map(|_| random.random_range(-farthest..=farthest)),
            half: [0; 3].map(|_| random.random_range(smallest..largest)),
            boxed: random.random_bool(0.25),
        }
    }

    /// A long one, somewhere near the middle.
    fn random_bone(random: &mut Random) -> Self {
        let farthest = random.random_range(0.0..45.0);
        let mut bone = Self::random(8.0, 45.0, farthest, random);
        bone.half[random.random_range(0..3)] *= random.random_range(1.0..4.0_f32);
        bone
    }

    /// How deep a place lies under the surface, about in millimetres; negative outside.
    fn depth(&self, place: [f32; 3]) -> f32 {
        let part = [0, 1, 2].map(|row| {
            let along: f32 =
                (0..3).map(|axis| self.axes[row][axis] * (place[axis] - self.centre[axis])).sum();
            along.abs() / self.half[row]
        });
        let radius = if self.boxed {
            part.into_iter().fold(0.0, f32::max)
        } else {
            part.iter().map(|x| x * x).sum::<f32>().sqrt()
        };
        let shortest = self.half.into_iter().fold(f32::INFINITY, f32::min);
        (1.0 - radius) * shortest
    }
}

/// A body of soft tissue under fat and skin with some bones, or of one noisy substance.
pub(super) fn paint(contrast: &Contrast, random: &mut Random) -> Scene {
    let plain = random.random_bool(0.5);
    let mut body = Body::random(30.0, if plain { 220.0 } else { 130.0 }, 20.0, random);
    body.boxed |= plain && random.random_bool(0.4);
    let bones = if plain { 0 } else { random.random_range(0..4) };
    let bones: Vec<Body> = (0..bones).map(|_| Body::random_bone(random)).collect();
    let fat = random.random_range(0.0..14.0_f32);
    let shell = random.random_range(2.0..7.0_f32);
    let texture = Field::noise(DIMS, random.random_range(1.2..9.0), random);
    let strength = random.random_range(0.0..0.5_f32);
    let noise = random.random_range(0.0..if plain { 1.5 } else { 0.4_f32 });
    let count: usize = DIMS.iter().product();
    let mut scene = Scene {
        image: Field::filled(DIMS, 0.0),
        // Nowhere near a brain.
        heights: vec![i8::MAX; count],
        air: vec![false; count],
        face: vec![false; count],
    };
    for at in 0..count {
        let place = millimetres([at % DIMS[0], at / DIMS[0] % DIMS[1], at / DIMS[0] / DIMS[1]]);
        let depth = body.depth(place);
        let in_bone = bones.iter().map(|bone| bone.depth(place)).fold(f32::NEG_INFINITY, f32::max);
        let class = match depth {
            d if d < 0.0 => AIR,
            _ if plain => SOFT,
            d if d < 2.0 => SKIN,
            d if d < 2.0 + fat => FAT,
            _ if in_bone > shell => MARROW,
            _ if in_bone > 0.0 => BONE,
            _ => SOFT,
        };
        let noisy: f32 = random.sample(StandardNormal);
        let rough = if class == AIR { 0.0 } else { strength * texture.values[at] + noise * noisy };
        scene.image.values[at] = (contrast.means[usize::from(class)] * (1.0 + rough)).max(0.0);
        scene.air[at] = class == AIR;
    }
    scene
}
