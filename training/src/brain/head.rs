//! Simulates a scan of a head on a grid of 2 mm, and the distance of each voxel from the brain's surface.

use mrisynth::prepare::lattice;
use rand::RngExt;
use rand_distr::StandardNormal;

use super::anatomy::{AIR, Anatomy};
use super::contrast::Contrast;
use super::decoy;
use crate::simulate::Random;
use crate::simulate::deform::{inverse, product, rotation};
use crate::simulate::field::{Band, Field, index};
use crate::simulate::tissue::Tissue;

/// Voxels of a simulated scan along x, y and z.
pub const DIMS: [usize; 3] = [112, 128, 112];
/// Its voxel size in millimetres.
const SPACING: f32 = lattice::SPACING as f32;
/// The height of a voxel whose place relative to the brain no scan shows.
pub const UNKNOWN: i8 = i8::MIN;
/// Heights are stored in so many steps a millimetre.
pub const STEPS: f32 = 10.0;
/// The part of the scans that show no head.
const DECOYS: f64 = 0.22;
/// Displacements are drawn on a coarser grid of this many voxels.
const COARSE_STEP: usize = 4;
/// Parts of a voxel along each axis whose tissues are averaged.
const PARTS: usize = 2;
/// Standard deviation of a Gaussian relative to its full width at half maximum.
const DEVIATION_PER_WIDTH: f32 = 0.4247;
/// A defaced region and a rough strip of the brain end this far from the brain, in millimetres.
const DEFACED_ABOVE: f32 = 4.0;
/// The texture above which white matter is a lesion.
const LESION_TEXTURE: f32 = 2.2;

/// A scan, real or simulated, as the extractor is trained on.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Voxels along x, y and z.
    pub dims: [usize; 3],
    /// Intensities scaled as for the network, 0 to 255, i fastest.
    pub image: Vec<u8>,
    /// Heights above the brain's surface in tenths of millimetres, or [`UNKNOWN`].
    pub heights: Vec<i8>,
}

/// Where the voxels of the scan lie in the head.
struct Placement {
    /// From millimetres around the grid's centre to voxels of the label map.
    matrix: [[f32; 3]; 3],
    /// The label map's voxel at the grid's centre.
    centre: [f32; 3],
    shift: [f32; 3],
    displacement: [Field; 3],
    /// Millimetres of the scan for one of the label map.
    scale: f32,
}

/// The box outside which a scanner saw nothing, in millimetres around the grid's centre.
struct View {
    axes: [[f32; 3]; 3],
    centre: [f32; 3],
    half: [f32; 3],
}

/// What the voxels of a scan hold before a scanner sees it.
pub(super) struct Scene {
    pub(super) image: Field,
    pub(super) heights: Vec<i8>,
    /// Air alone.
    pub(super) air: Vec<bool>,
    /// In the region that a defacing blanks.
    pub(super) face: Vec<bool>,
}

/// One random scan of a random one of `anatomies`; sometimes one of something that is no head.
pub fn simulate(anatomies: &[Anatomy], random: &mut Random) -> Head {
    let mut scene = if random.random_bool(DECOYS) {
        decoy::paint(&Contrast::random(random), random)
    } else {
        let anatomy = &anatomies[random.random_range(0..anatomies.len())];
        let placement = Placement::random(anatomy, random);
        let contrast = Contrast::random(random);
        paint(anatomy, &placement, &contrast, random)
    };
    if random.random_bool(0.85) {
        shade(&mut scene.image, random);
    }
    acquire(&mut scene.image, random);
    blank(&mut scene, random);
    finish(scene, random)
}

impl Placement {
    fn random(anatomy: &Anatomy, random: &mut Random) -> Self {
        let widest = if random.random_bool(0.5) { 12.0 } else { 38.0_f32 };
        let size = random.random_range(0.82..1.2_f32);
        let mut forward = [[0.0; 3]; 3];
        for (row, line) in forward.iter_mut().enumerate() {
            for (column, entry) in line.iter_mut().enumerate() {
                *entry = if row == column {
                    size * random.random_range(0.92..1.08_f32)
                } else {
                    size * random.random_range(-0.05..0.05_f32)
                };
            }
        }
        if random.random_bool(0.5) {
            for line in &mut forward {
                line[0] = -line[0];
            }
        }
        for axis in 0..3 {
            let angle = random.random_range(-widest..widest).to_radians();
            forward = product(&rotation(axis, angle), &forward);
        }
        let farthest = if random.random_bool(0.6) { 12.0 } else { 45.0_f32 };
        let mut matrix = inverse(&forward);
        for (row, line) in matrix.iter_mut().enumerate() {
            for entry in line {
                *entry /= anatomy.sizes[row];
            }
        }
        let spacing = random.random_range(12.0..40.0_f32);
        let coarse = DIMS.map(|length| length.div_ceil(COARSE_STEP) + 1);
        let strength = 0.09 * spacing * random.random_range(0.2..1.0_f32);
        let knots = spacing / (SPACING * COARSE_STEP as f32);
        Self {
            matrix,
            centre: anatomy.brain_centre(),
            shift: [0; 3].map(|_| random.random_range(-farthest..farthest)),
            displacement: [0; 3].map(|_| {
                let mut field = Field::noise(coarse, knots.max(1.0), random);
                field.values.iter_mut().for_each(|value| *value *= strength);
                field
            }),
            scale: determinant(&forward).abs().cbrt(),
        }
    }

    /// The label map's (fractional) voxel that voxel `at` of the scan shows.
    fn source(&self, at: [usize; 3]) -> [f32; 3] {
        let coarse = at.map(|position| position as f32 / COARSE_STEP as f32);
        let place = millimetres(at);
        let moved =
            [0, 1, 2].map(|axis| place[axis] - self.shift[axis] + self.displacement[axis].sample(coarse));
        let turned = apply(&self.matrix, moved);
        [0, 1, 2].map(|axis| self.centre[axis] + turned[axis])
    }
}

/// Millimetres around the grid's centre.
pub(super) fn millimetres(at: [usize; 3]) -> [f32; 3] {
    [0, 1, 2].map(|axis| (at[axis] as f32 - 0.5 * (DIMS[axis] - 1) as f32) * SPACING)
}

fn apply(matrix: &[[f32; 3]; 3], point: [f32; 3]) -> [f32; 3] {
    [0, 1, 2].map(|row| (0..3).map(|axis| matrix[row][axis] * point[axis]).sum())
}

fn determinant(m: &[[f32; 3]; 3]) -> f32 {
    let minor = |a: usize, b: usize| m[1][a] * m[2][b] - m[1][b] * m[2][a];
    m[0][0] * minor(1, 2) - m[0][1] * minor(0, 2) + m[0][2] * minor(0, 1)
}

impl View {
    /// Slabs as clinics acquire them, sometimes oblique; often the whole grid.
    fn random(random: &mut Random) -> Self {
        let mut half = [1000.0; 3];
        let mut centre = [0.0; 3];
        if random.random_bool(0.7) {
            half[2] = 0.5 * random.random_range(110.0..220.0_f32);
            centre[2] = random.random_range(-25.0..25.0);
        }
        if random.random_bool(0.5) {
            half[0] = 0.5 * random.random_range(165.0..240.0_f32);
            half[1] = 0.5 * random.random_range(190.0..260.0_f32);
            centre[0] = random.random_range(-12.0..12.0);
            centre[1] = random.random_range(-15.0..15.0);
        }
        let mut axes = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        if random.random_bool(0.6) {
            for axis in 0..3 {
                axes = product(&rotation(axis, random.random_range(-18.0..18.0_f32).to_radians()), &axes);
            }
        }
        Self { axes, centre, half }
    }

    fn shows(&self, at: [usize; 3]) -> bool {
        let place = millimetres(at);
        let moved = [0, 1, 2].map(|axis| place[axis] - self.centre[axis]);
        let turned = apply(&self.axes, moved);
        (0..3).all(|axis| turned[axis].abs() <= self.half[axis])
    }
}

/// A plane in the label map before which a face is blanked: a point, and the direction to the front and below.
fn face_plane(anatomy: &Anatomy, random: &mut Random) -> ([f32; 3], [f32; 3]) {
    let (low, high) = anatomy.brain;
    let angle = random.random_range(10.0..65.0_f32).to_radians();
    let front = high[1] as f32 + random.random_range(-30.0..12.0_f32) / anatomy.sizes[1];
    let height = low[2] as f32 + random.random_range(5.0..55.0_f32) / anatomy.sizes[2];
    ([0.0, front, height], [0.0, angle.cos(), -angle.sin()])
}

/// Averages the brightness of the tissues in every voxel.
fn paint(anatomy: &Anatomy, placement: &Placement, contrast: &Contrast, random: &mut Random) -> Scene {
    let count = DIMS.iter().product();
    let texture = Field::noise(DIMS, random.random_range(1.5..6.0), random);
    let lesions = random.random_bool(0.3).then(|| random.random_range(0.1..1.5_f32));
    let (face_point, face_normal) = face_plane(anatomy, random);
    let mut scene = Scene {
        image: Field::filled(DIMS, 0.0),
        heights: Vec::with_capacity(count),
        air: Vec::with_capacity(count),
        face: Vec::with_capacity(count),
    };
    let offsets = part_offsets(&placement.matrix);
    let mut at = 0;
    for k in 0..DIMS[2] {
        for j in 0..DIMS[1] {
            for i in 0..DIMS[0] {
                let source = placement.source([i, j, k]);
                let (mut mean, mut deviation, mut air) = (0.0, 0.0, 0);
                for offset in &offsets {
                    let class = anatomy.class_at([0, 1, 2].map(|axis| source[axis] + offset[axis]));
                    let texture = texture.values[at];
                    let class = usize::from(class);
                    let bright = match lesions {
                        Some(lesion) if class == Tissue::WhiteMatter as usize && texture > LESION_TEXTURE => {
                            lesion
                        }
                        _ => contrast.means[class],
                    };
                    mean += bright * (1.0 + contrast.textures[class] * texture);
                    deviation += contrast.deviations[class];
                    air += usize::from(class == usize::from(AIR));
                }
                let share = 1.0 / offsets.len() as f32;
                let noise: f32 = random.sample(StandardNormal);
                scene.image.values[at] = (share * (mean + deviation * noise)).max(0.0);
                let height = placement.scale * anatomy.height_at(source);
                let steps = (STEPS * height).round().clamp(f32::from(-i8::MAX), f32::from(i8::MAX));
                scene.heights.push(steps as i8);
                scene.air.push(air == offsets.len());
                let before: f32 =
                    (0..3).map(|axis| face_normal[axis] * (source[axis] - face_point[axis])).sum();
                scene.face.push(before > 0.0 && height > DEFACED_ABOVE);
                at += 1;
            }
        }
    }
    scene
}

/// The parts of a voxel, relative to its centre, in voxels of the label map.
fn part_offsets(matrix: &[[f32; 3]; 3]) -> Vec<[f32; 3]> {
    let place = |part: usize| SPACING * ((part as f32 + 0.5) / PARTS as f32 - 0.5);
    let parts = (0..PARTS.pow(3)).map(|n| [n % PARTS, n / PARTS % PARTS, n / PARTS / PARTS].map(place));
    parts.map(|offset| apply(matrix, offset)).collect()
}

/// Multiplies by a smooth field, as coils do.
fn shade(image: &mut Field, random: &mut Random) {
    let spacing = random.random_range(60.0..160.0_f32) / SPACING;
    let bias = Field::noise(DIMS, spacing, random);
    let strength = random.random_range(0.0..0.55_f32);
    for (value, bias) in image.values.iter_mut().zip(bias.values) {
        *value *= (strength * bias).clamp(-1.6, 1.6).exp();
    }
}

/// Slices, blur and noise.
fn acquire(image: &mut Field, random: &mut Random) {
    let blur = random.random_range(0.0..0.8_f32);
    let mut blurs = [blur; 3];
    let thick = random.random_bool(0.65);
    let axis = if random.random_bool(0.7) { 2 } else { random.random_range(0..3) };
    let noise = if random.random_bool(0.85) { random.random_range(0.0..0.3_f32).powi(2) } else { 0.0 };
    if !thick {
        blurs[axis] += random.random_range(0.0..0.5_f32);
        *image = image.clone().blurred(blurs);
        add_noise(image, noise, random);
        return;
    }
    blurs[axis] = 0.0;
    let thickness = random.random_range(2.2..8.0_f32) / SPACING;
    let step = thickness * random.random_range(1.0..1.2_f32);
    let length = image.dims[axis];
    let first = random.random_range(0.0..step);
    let count = ((length as f32 - 1.0 - first) / step).floor().max(0.0) as usize + 1;
    let positions: Vec<f32> = (0..count).map(|slice| first + slice as f32 * step).collect();
    let profile = DEVIATION_PER_WIDTH * thickness;
    *image = Band::slices(length, &positions, profile).apply(&image.clone().blurred(blurs), axis);
    add_noise(image, noise, random);
    *image = Band::between_slices(count, length, first, step).apply(image, axis);
    image.values.iter_mut().for_each(|value| *value = value.max(0.0));
}

/// The magnitude of the signal with complex Gaussian noise (Gudbjartsson and Patz 1995, MRM 34:910).
fn add_noise(image: &mut Field, deviation: f32, random: &mut Random) {
    for value in &mut image.values {
        let (real, imaginary): (f32, f32) = (random.sample(StandardNormal), random.sample(StandardNormal));
        *value = (*value + deviation * real).hypot(deviation * imaginary);
    }
}

/// Zeros as tools and scanners leave them: around the head, in the face, around the brain, out of view.
fn blank(scene: &mut Scene, random: &mut Random) {
    let background = random.random_bool(0.5);
    let defaced = random.random_bool(0.4);
    let stripped = random.random_bool(0.12).then(|| random.random_range(-1.0..3.0_f32));
    let rough = random.random_range(0.1..1.2_f32);
    let uneven = stripped.map(|_| Field::noise(DIMS, 5.0, random));
    for (at, value) in scene.image.values.iter_mut().enumerate() {
        let cut = match (stripped, &uneven) {
            (Some(level), Some(uneven)) => {
                f32::from(scene.heights[at]) / STEPS > level + rough * uneven.values[at]
            }
            _ => false,
        };
        if cut || background && scene.air[at] || defaced && scene.face[at] {
            *value = 0.0;
        }
    }
    let view = View::random(random);
    for k in 0..DIMS[2] {
        for j in 0..DIMS[1] {
            for i in 0..DIMS[0] {
                if !view.shows([i, j, k]) {
                    let at = index(DIMS, [i, j, k]);
                    scene.image.values[at] = 0.0;
                    scene.heights[at] = UNKNOWN;
                }
            }
        }
    }
}

fn finish(mut scene: Scene, random: &mut Random) -> Head {
    let gamma = random.random_range(-0.4..0.4_f32).exp();
    lattice::scale(&mut scene.image.values);
    let image = scene.image.values.iter().map(|value| (255.0 * value.powf(gamma)).round() as u8).collect();
    Head { dims: DIMS, image, heights: scene.heights }
}

#[cfg(test)]
mod tests {
    use super::super::anatomy::tests::spherical_head;
    use super::*;

    #[test]
    fn a_head_depends_on_its_random_numbers_alone_and_shows_a_brain() {
        let anatomies = [spherical_head()];
        let head = |number| simulate(&anatomies, &mut Random::new(4, number));
        assert_eq!(head(0), head(0));
        let mut volumes = Vec::new();
        for number in 0..4 {
            let head = head(number);
            assert_ne!(head, self::simulate(&anatomies, &mut Random::new(5, number)));
            let brain = head.heights.iter().filter(|&&height| height != UNKNOWN && height < 0).count();
            volumes.push(brain as f32 * SPACING.powi(3) / 1000.0);
            let dark = head.image.iter().zip(&head.heights).filter(|(_, height)| **height == UNKNOWN);
            assert!(dark.into_iter().all(|(value, _)| *value == 0));
            // Even where all but the brain is removed.
            assert!(head.image.iter().filter(|&&value| value > 0).count() >= brain / 2);
        }
        // A ball of 52 mm has 589 ml, scaled by 0.82 to 1.2 along each axis, some of it out of view; and a few show no
        // head.
        let heads = volumes.iter().filter(|&&volume| volume > 0.0);
        assert!(heads.clone().all(|volume| (50.0..1300.0).contains(volume)), "{volumes:?}");
        assert!(heads.count() > 1);
    }
}
