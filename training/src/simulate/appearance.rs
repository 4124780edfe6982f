//! How bright each tissue is on both contrasts: from pulse sequences, or drawn in a plausible order.

use rand::RngExt;

use super::Random;
use super::signal::{Mprage, Sequence, ernst_angle};
use super::tissue::{FieldStrength, Relaxation, TISSUES, Tissue, relaxation};

/// The brightness of everything on one contrast, in arbitrary units.
#[derive(Clone, Debug, PartialEq)]
pub struct Contrast {
    /// Mean of each tissue.
    pub means: [f32; TISSUES],
    /// What each mean gains where both relaxation times are shorter by the texture's unit (more myelin).
    pub gains: [f32; TISSUES],
    /// Brightness of the mildest and of the most destructive lesion.
    pub lesion: [f32; 2],
}

/// Both contrasts of one subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Appearance {
    /// T1-weighted.
    pub t1w: Contrast,
    /// T2-weighted.
    pub t2w: Contrast,
}

/// How far a tissue's parameters of one head may be from the typical ones, as parts of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Of T1 and of T2.
    pub relaxation: f32,
    /// Of proton density.
    pub density: f32,
    /// Of T2* beyond that of T2.
    pub inhomogeneity: f32,
}

impl Spread {
    /// Covers the differences between heads and those between publications.
    pub const WIDE: Self = Self { relaxation: 0.08, density: 0.04, inhomogeneity: 0.1 };

    /// Covers the differences between healthy people of one age.
    pub const NARROW: Self = Self { relaxation: 0.03, density: 0.015, inhomogeneity: 0.05 };

    /// Covers the differences between people of different ages with a disease.
    pub const MEDIUM: Self = Self { relaxation: 0.05, density: 0.025, inhomogeneity: 0.08 };
}

impl Contrast {
    /// Brightness of white matter, the yardstick of noise.
    pub fn white_matter(&self) -> f32 {
        self.means[Tissue::WhiteMatter as usize]
    }

    /// Brightness of fluid.
    pub fn fluid(&self) -> f32 {
        self.means[Tissue::Fluid as usize]
    }
}

impl Appearance {
    /// From signal equations or from drawn means, each as often.
    pub fn random(random: &mut Random) -> Self {
        if random.random_bool(0.5) {
            let strength =
                if random.random_bool(0.6) { FieldStrength::Tesla3 } else { FieldStrength::Tesla1p5 };
            let white = relaxation(Tissue::WhiteMatter, strength);
            let sequences = [random_t1w_sequence(&white, random), random_t2w_sequence(random)];
            Self::from_sequences(strength, &sequences, &Spread::WIDE, random)
        } else {
            Self::from_priors(random)
        }
    }

    /// Of an MPRAGE and a turbo spin echo at 3 T.
    pub fn clear(random: &mut Random) -> Self {
        let t1w = Sequence::Mprage(Mprage {
            repetition_time: 2400.0,
            inversion_time: 1000.0,
            echo_time: 2.2,
            echo_spacing: 7.5,
            excitations: 176.0,
            flip_angle: 8.0,
        });
        let t2w = Sequence::SpinEcho { repetition_time: 5000.0, echo_time: 100.0 };
        Self::from_sequences(FieldStrength::Tesla3, &[t1w, t2w], &Spread::WIDE, random)
    }

    /// Tissue parameters with the subject's own deviation, seen by the sequences of T1w and T2w.
    pub fn from_sequences(
        strength: FieldStrength,
        [t1w, t2w]: &[Sequence; 2],
        spread: &Spread,
        random: &mut Random,
    ) -> Self {
        let mut tissues = Tissue::ALL.map(|tissue| jittered(&relaxation(tissue, strength), spread, random));
        // One fluid, wherever it is.
        for tissue in [Tissue::Ventricle, Tissue::OuterFluid] {
            tissues[tissue as usize] = tissues[Tissue::Fluid as usize];
        }
        let texture = random.random_range(0.02..0.05_f32);
        let white = tissues[Tissue::WhiteMatter as usize];
        let lesions = [scaled(&white, 1.12, 1.5, 1.05), scaled(&white, 2.5, 2.7, 1.25)];
        let contrast = |signal: &dyn Fn(&Relaxation) -> f32| Contrast {
            means: tissues.map(|tissue| signal(&tissue)),
            gains: Tissue::ALL.map(|tissue| {
                let parameters = &tissues[tissue as usize];
                let change = if tissue.is_fluid() { 0.2 * texture } else { texture };
                let shorter = scaled(parameters, 1.0 - change, 1.0 - change, 1.0);
                signal(&shorter) - signal(parameters)
            }),
            lesion: lesions.map(|lesion| signal(&lesion)),
        };
        Self { t1w: contrast(&|tissue| t1w.signal(tissue)), t2w: contrast(&|tissue| t2w.signal(tissue)) }
    }

    /// Means drawn between the extremes of each contrast, in an order that clinical images show.
    fn from_priors(random: &mut Random) -> Self {
        let mut draw = |low: f32, high: f32| random.random_range(low..high);
        let t1_grey = draw(0.55, 0.85);
        let t1_fluid = t1_grey * draw(0.05, 0.4);
        let t2_grey = draw(0.28, 0.46);
        let t2_white = t2_grey * draw(0.68, 0.86);
        let [t1_skull, t2_skull] = [draw(0.05, 0.4), draw(0.05, 0.3)];
        let means = Tissue::ALL.map(|tissue| {
            let Some((t1_part, t2_part)) = between_grey_and_white(tissue) else {
                return match tissue {
                    Tissue::Background => [t1_skull, t2_skull],
                    Tissue::Membrane => [draw(0.3, 0.7), draw(0.05, 0.2)],
                    Tissue::Choroid => [t1_grey * draw(0.6, 1.0), draw(t2_grey, 0.9)],
                    _ => [t1_fluid, 1.0],
                };
            };
            let t1_part = t1_part + draw(-0.12, 0.12);
            let t2_part = t2_part + draw(-0.2, 0.2);
            [t1_grey + t1_part * (1.0 - t1_grey), t2_grey + t2_part * (t2_white - t2_grey)]
        });
        let [t1_texture, t2_texture] = [draw(0.012, 0.035), draw(0.015, 0.04)];
        let gain = |tissue: Tissue, texture: f32, mean: f32| {
            texture * mean * if tissue.is_fluid() { 0.2 } else { 1.0 }
        };
        let white = Tissue::WhiteMatter as usize;
        let lesion_on_t1w = [means[white][0] * draw(0.9, 1.0), t1_fluid + draw(0.1, 0.3) * (1.0 - t1_fluid)];
        let lesion_on_t2w = [t2_grey * draw(1.05, 1.3), draw(0.75, 0.98)];
        Self {
            t1w: Contrast {
                means: means.map(|[t1, _]| t1),
                gains: Tissue::ALL.map(|tissue| gain(tissue, t1_texture, means[tissue as usize][0])),
                lesion: lesion_on_t1w,
            },
            t2w: Contrast {
                means: means.map(|[_, t2]| t2),
                gains: Tissue::ALL.map(|tissue| -gain(tissue, t2_texture, means[tissue as usize][1])),
                lesion: lesion_on_t2w,
            },
        }
    }
}

/// Where a tissue lies between cortex (0) and white matter (1) on T1w and on T2w; `None` for what is no parenchyma.
fn between_grey_and_white(tissue: Tissue) -> Option<(f32, f32)> {
    Some(match tissue {
        Tissue::WhiteMatter => (1.0, 1.0),
        Tissue::Cortex => (0.0, 0.0),
        Tissue::CerebellarWhiteMatter => (0.95, 0.95),
        Tissue::CerebellarCortex => (0.05, 0.1),
        Tissue::Thalamus => (0.5, 0.7),
        Tissue::Caudate => (0.2, 0.5),
        Tissue::Putamen => (0.4, 0.9),
        Tissue::Pallidum => (0.8, 1.6),
        Tissue::Hippocampus => (0.03, 0.0),
        Tissue::BrainStem => (0.7, 0.75),
        Tissue::VentralDiencephalon => (0.8, 1.1),
        Tissue::Background
        | Tissue::Ventricle
        | Tissue::Fluid
        | Tissue::OuterFluid
        | Tissue::Choroid
        | Tissue::Membrane => {
            return None;
        }
    })
}

/// A T1-weighted sequence with a clinical timing, checked against the white matter's T1 so that the image is T1-weighted.
fn random_t1w_sequence(white: &Relaxation, random: &mut Random) -> Sequence {
    match random.random_range(0..10) {
        0..5 => Sequence::Mprage(Mprage {
            repetition_time: random.random_range(2200.0..2600.0),
            inversion_time: random.random_range(850.0..1100.0),
            echo_time: random.random_range(2.0..3.5),
            echo_spacing: random.random_range(6.0..9.0),
            excitations: random.random_range(150.0..190.0),
            flip_angle: random.random_range(8.0..9.0),
        }),
        5..8 => {
            let repetition_time = random.random_range(4.3..30.0_f32);
            let lowest = lowest_t1w_angle(white, repetition_time);
            Sequence::SpoiledGradientEcho {
                repetition_time,
                echo_time: random.random_range(2.0..(0.5 * repetition_time).clamp(2.1, 10.0)),
                flip_angle: random.random_range(lowest..lowest.max(35.0) + 1.0),
            }
        }
        _ => Sequence::SpinEcho {
            repetition_time: random.random_range(400.0..700.0),
            echo_time: random.random_range(8.0..20.0),
        },
    }
}

/// The smallest flip angle, in degrees, at which a spoiled gradient echo is T1-weighted: at the Ernst angle and below,
/// proton density decides.
pub fn lowest_t1w_angle(white: &Relaxation, repetition_time: f32) -> f32 {
    (1.8 * ernst_angle(white.t1, repetition_time)).max(10.0)
}

/// A spin echo with a clinical T2-weighted timing.
fn random_t2w_sequence(random: &mut Random) -> Sequence {
    let repetition_time = random.random_range(2970.0_f32.ln()..11470.0_f32.ln()).exp();
    Sequence::SpinEcho { repetition_time, echo_time: random.random_range(83.0..123.0) }
}

fn jittered(tissue: &Relaxation, spread: &Spread, random: &mut Random) -> Relaxation {
    let mut factor = |part: f32| random.random_range(1.0 - part..1.0 + part);
    let (t1, t2, density) = (factor(spread.relaxation), factor(spread.relaxation), factor(spread.density));
    let t2_star = tissue.t2_star * t2 * factor(spread.inhomogeneity);
    Relaxation { t2_star, ..scaled(tissue, t1, t2, density) }
}

fn scaled(tissue: &Relaxation, t1: f32, t2: f32, density: f32) -> Relaxation {
    Relaxation {
        t1: tissue.t1 * t1,
        t2: tissue.t2 * t2,
        t2_star: tissue.t2_star * t2,
        density: (tissue.density * density).min(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_appearance_has_both_contrasts_the_right_way_round() {
        for seed in 0..300 {
            let Appearance { t1w, t2w } = Appearance::random(&mut Random::new(seed, 0));
            let grey = Tissue::Cortex as usize;
            assert!(t1w.fluid() < t1w.means[grey] && t1w.means[grey] < t1w.white_matter(), "{seed} {t1w:?}");
            assert!(t2w.fluid() > t2w.means[grey] && t2w.means[grey] > t2w.white_matter(), "{seed} {t2w:?}");
            assert!(t2w.lesion[0] > t2w.white_matter() && t2w.lesion[1] > t2w.means[grey], "{seed}");
            assert!(t1w.lesion[1] < 0.9 * t1w.white_matter() && t1w.lesion[0] < 1.1 * t1w.white_matter());
        }
    }

    #[test]
    fn more_myelin_is_brighter_on_t1w_and_darker_on_t2w() {
        for seed in 0..50 {
            let Appearance { t1w, t2w } = Appearance::random(&mut Random::new(seed, 0));
            let white = Tissue::WhiteMatter as usize;
            assert!(t1w.gains[white] > 0.0 && t2w.gains[white] < 0.0);
        }
    }
}
