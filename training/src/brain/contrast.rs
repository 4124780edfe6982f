//! Random brightness of every class of tissue: like T1w, T2w or FLAIR images, or like nothing that was ever acquired.

use rand::RngExt;

use super::anatomy::{AIR, BONE, CLASSES, FAT, MARROW, OTHER, SKIN, SOFT};
use crate::simulate::Random;
use crate::simulate::tissue::Tissue;

/// Brightness of each class.
pub struct Contrast {
    /// Mean brightness; white matter or cortex are about 0.5 to 1.
    pub means: [f32; CLASSES],
    /// Standard deviation of independent noise in the tissue.
    pub deviations: [f32; CLASSES],
    /// How strongly a smooth random texture changes the brightness.
    pub textures: [f32; CLASSES],
}

/// Cortex-like tissues, from the darkest to the brightest in T1w: how far they are from cortex to white matter.
const GRAY: [(Tissue, f32); 9] = [
    (Tissue::Cortex, 0.0),
    (Tissue::CerebellarCortex, 0.1),
    (Tissue::Hippocampus, 0.1),
    (Tissue::Caudate, 0.15),
    (Tissue::Putamen, 0.3),
    (Tissue::Thalamus, 0.5),
    (Tissue::VentralDiencephalon, 0.7),
    (Tissue::Pallidum, 0.7),
    (Tissue::BrainStem, 0.8),
];

impl Contrast {
    /// A random one.
    pub fn random(random: &mut Random) -> Self {
        let means = match random.random_range(0..20) {
            0..6 => like_t1w(random),
            6..11 => like_t2w(random),
            11..13 => like_flair(random),
            _ => like_nothing(random),
        };
        let mut contrast = Self { means, deviations: [0.0; CLASSES], textures: [0.0; CLASSES] };
        let noisy = random.random_range(0.0..0.08);
        for class in 0..CLASSES {
            let around = class >= usize::from(FAT);
            contrast.deviations[class] = random.random_range(0.0..=noisy);
            contrast.textures[class] = random.random_range(0.0..if around { 0.35 } else { 0.10 });
        }
        contrast
    }
}

fn set(means: &mut [f32; CLASSES], class: u8, value: f32) {
    means[usize::from(class)] = value;
}

/// Gray matter between `cortex` and `white`, with some disorder.
fn brain(means: &mut [f32; CLASSES], cortex: f32, white: f32, fluid: f32, random: &mut Random) {
    let vary = |random: &mut Random| random.random_range(0.93..1.07_f32);
    for (tissue, part) in GRAY {
        set(means, tissue as u8, (cortex + part * (white - cortex)) * vary(random));
    }
    set(means, Tissue::WhiteMatter as u8, white);
    set(means, Tissue::CerebellarWhiteMatter as u8, white * vary(random));
    set(means, Tissue::Choroid as u8, 0.5 * (cortex + fluid) * vary(random));
    set(means, Tissue::Ventricle as u8, fluid);
    // Meninges, vessels and pulsation make the fluid around the brain different.
    set(means, Tissue::OuterFluid as u8, fluid * random.random_range(0.6..1.2_f32));
    set(means, Tissue::Fluid as u8, random.random_range(0.0..1.2));
}

/// The head around the brain; each range relative to `white`.
fn head(means: &mut [f32; CLASSES], unit: f32, ranges: [(f32, f32); 6], random: &mut Random) {
    for (class, (low, high)) in [FAT, SOFT, SKIN, BONE, MARROW, AIR].into_iter().zip(ranges) {
        set(means, class, unit * random.random_range(low..high));
    }
    for class in OTHER..CLASSES as u8 {
        set(means, class, unit * random.random_range(0.02..1.3));
    }
}

fn like_t1w(random: &mut Random) -> [f32; CLASSES] {
    let mut means = [0.0; CLASSES];
    let white = random.random_range(0.7..1.0);
    let cortex = white * random.random_range(0.55..0.97_f32);
    let fluid = white * random.random_range(0.05..0.55_f32);
    brain(&mut means, cortex, white, fluid, random);
    let ranges = [(0.7, 2.6), (0.3, 0.9), (0.3, 1.8), (0.01, 0.25), (0.1, 1.6), (0.0, 0.04)];
    head(&mut means, white, ranges, random);
    means
}

fn like_t2w(random: &mut Random) -> [f32; CLASSES] {
    let mut means = [0.0; CLASSES];
    let cortex = random.random_range(0.4..0.75);
    let white = cortex * random.random_range(0.5..0.95_f32);
    let fluid = random.random_range(0.8..1.5);
    brain(&mut means, cortex, white, fluid, random);
    let ranges = [(0.3, 2.2), (0.1, 0.6), (0.2, 1.3), (0.01, 0.25), (0.1, 1.2), (0.0, 0.04)];
    head(&mut means, cortex, ranges, random);
    means
}

fn like_flair(random: &mut Random) -> [f32; CLASSES] {
    let mut means = [0.0; CLASSES];
    let cortex = random.random_range(0.6..1.0);
    let white = cortex * random.random_range(0.55..0.97_f32);
    let fluid = cortex * random.random_range(0.02..0.4_f32);
    brain(&mut means, cortex, white, fluid, random);
    let ranges = [(0.3, 1.8), (0.1, 0.7), (0.2, 1.2), (0.01, 0.25), (0.1, 1.2), (0.0, 0.04)];
    head(&mut means, cortex, ranges, random);
    means
}

fn like_nothing(random: &mut Random) -> [f32; CLASSES] {
    let mut means = [0.0; CLASSES];
    for mean in &mut means {
        *mean = random.random_range(0.0..1.0);
    }
    let [cortex, white, fluid] = [0; 3].map(|_| random.random_range(0.05..1.0));
    brain(&mut means, cortex, white, fluid, random);
    if random.random_bool(0.4) {
        set(&mut means, Tissue::OuterFluid as u8, random.random_range(0.0..1.0));
    }
    if random.random_bool(0.9) {
        set(&mut means, AIR, random.random_range(0.0..0.06));
    }
    if random.random_bool(0.6) {
        set(&mut means, BONE, random.random_range(0.0..0.25));
    }
    means
}
