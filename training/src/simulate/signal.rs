//! Signal equations: how bright a tissue is for a pulse sequence and its timing.
//!
//! All times are milliseconds, flip angles degrees; a signal of 1 is that of fully relaxed fluid without decay.

use super::tissue::Relaxation;

/// Timing of a magnetization-prepared rapid gradient echo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mprage {
    /// From one inversion to the next.
    pub repetition_time: f32,
    /// From the inversion to the centre of k-space.
    pub inversion_time: f32,
    /// Of each gradient echo.
    pub echo_time: f32,
    /// Between the excitations of one train.
    pub echo_spacing: f32,
    /// Excitations after each inversion; the centre of k-space is acquired half-way.
    pub excitations: f32,
    /// Of each excitation.
    pub flip_angle: f32,
}

/// Timing of a turbo spin echo: one excitation of 90 degrees, then a train of refocused echoes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TurboSpinEcho {
    /// From one excitation to the next.
    pub repetition_time: f32,
    /// From the excitation to the echo at the centre of k-space, as the scanner states it.
    pub echo_time: f32,
    /// The echo time of a spin echo with the same T2 contrast: `echo_time` where refocusing pulses turn by 180 degrees,
    /// less where smaller angles keep magnetization along the field for a part of the time.
    pub equivalent_echo_time: f32,
    /// From one echo to the next.
    pub echo_spacing: f32,
    /// Echoes of the train.
    pub echoes: u16,
    /// Whether the refocusing angle varies inside the train, as in 3D sequences (SPACE, CUBE).
    pub variable_angles: bool,
}

/// The numbers by which protocols describe a sequence; milliseconds and degrees, `None` where a sequence has no such
/// number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    pub repetition_time: f32,
    pub echo_time: f32,
    /// See [`TurboSpinEcho::equivalent_echo_time`].
    pub equivalent_echo_time: f32,
    pub inversion_time: Option<f32>,
    /// Of the excitation.
    pub flip_angle: f32,
    pub echo_spacing: Option<f32>,
    /// Echoes of one train.
    pub echoes: Option<f32>,
}

/// A pulse sequence with its timing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sequence {
    /// Magnetization-prepared rapid gradient echo.
    Mprage(Mprage),
    /// Spoiled gradient echo (FSPGR, FLASH) in its steady state; milliseconds and degrees.
    SpoiledGradientEcho { repetition_time: f32, echo_time: f32, flip_angle: f32 },
    /// Spin echo; milliseconds.
    SpinEcho { repetition_time: f32, echo_time: f32 },
    /// Turbo spin echo, also with variable refocusing angles (SPACE, CUBE).
    TurboSpinEcho(TurboSpinEcho),
}

impl Sequence {
    /// The numbers of its protocol.
    pub fn timing(&self) -> Timing {
        let plain = |repetition_time, echo_time, flip_angle| Timing {
            repetition_time,
            echo_time,
            equivalent_echo_time: echo_time,
            inversion_time: None,
            flip_angle,
            echo_spacing: None,
            echoes: None,
        };
        match *self {
            Self::Mprage(timing) => Timing {
                inversion_time: Some(timing.inversion_time),
                echo_spacing: Some(timing.echo_spacing),
                echoes: Some(timing.excitations),
                ..plain(timing.repetition_time, timing.echo_time, timing.flip_angle)
            },
            Self::SpoiledGradientEcho { repetition_time, echo_time, flip_angle } => {
                plain(repetition_time, echo_time, flip_angle)
            }
            Self::SpinEcho { repetition_time, echo_time } => plain(repetition_time, echo_time, 90.0),
            Self::TurboSpinEcho(timing) => Timing {
                equivalent_echo_time: timing.equivalent_echo_time,
                echo_spacing: Some(timing.echo_spacing),
                echoes: Some(f32::from(timing.echoes)),
                ..plain(timing.repetition_time, timing.echo_time, 90.0)
            },
        }
    }

    /// The brightness of a tissue.
    pub fn signal(&self, tissue: &Relaxation) -> f32 {
        match *self {
            Self::Mprage(ref timing) => mprage(tissue, timing),
            Self::SpoiledGradientEcho { repetition_time, echo_time, flip_angle } => {
                spoiled_gradient_echo(tissue, repetition_time, echo_time, flip_angle)
            }
            Self::SpinEcho { repetition_time, echo_time } => spin_echo(tissue, repetition_time, echo_time),
            Self::TurboSpinEcho(ref timing) => turbo_spin_echo(tissue, timing),
        }
    }
}

/// Spin echo with a 90 degree excitation: PD (1 - exp(-TR/T1)) exp(-TE/T2).
///
/// For TE much shorter than TR; see Bernstein, King and Zhou 2004, Handbook of MRI Pulse Sequences, section 14.3.
pub fn spin_echo(tissue: &Relaxation, repetition_time: f32, echo_time: f32) -> f32 {
    tissue.density * recovery(repetition_time, tissue.t1) * (-echo_time / tissue.t2).exp()
}

/// Turbo spin echo: PD (1 - exp(-(TR - ETL ESP)/T1)) exp(-TE/T2) where refocusing is complete.
///
/// The train of ETL echoes, ESP apart, holds the longitudinal magnetization near 0, so that it recovers only in what is
/// left of TR (Bernstein, King and Zhou 2004, section 16.4). This is what darkens fluid in long trains. A spin echo is
/// the limit of a train that takes no time. With smaller refocusing angles, the equivalent echo time stands for TE,
/// and the train counts as long as the magnetization is transverse: the same part of it as of the echo time.
pub fn turbo_spin_echo(tissue: &Relaxation, timing: &TurboSpinEcho) -> f32 {
    let transverse = timing.equivalent_echo_time / timing.echo_time;
    let train = transverse * f32::from(timing.echoes) * timing.echo_spacing;
    spin_echo(tissue, (timing.repetition_time - train).max(0.0), timing.equivalent_echo_time)
}

/// Spoiled gradient echo in its steady state:
/// PD sin(a) (1 - E1) / (1 - cos(a) E1) exp(-TE/T2*), E1 = exp(-TR/T1).
///
/// Ernst and Anderson 1966 (Rev. Sci. Instrum. 37:93); Bernstein, King and Zhou 2004, section 14.1.
pub fn spoiled_gradient_echo(
    tissue: &Relaxation,
    repetition_time: f32,
    echo_time: f32,
    flip_angle: f32,
) -> f32 {
    let angle = flip_angle.to_radians();
    let e1 = (-repetition_time / tissue.t1).exp();
    let steady = angle.sin() * (1.0 - e1) / (1.0 - angle.cos() * e1);
    tissue.density * steady * (-echo_time / tissue.t2_star).exp()
}

/// The flip angle in degrees that gives the most signal at a repetition time: cos(a) = exp(-TR/T1) (Ernst angle).
pub fn ernst_angle(t1: f32, repetition_time: f32) -> f32 {
    (-repetition_time / t1).exp().acos().to_degrees()
}

/// Magnetization-prepared rapid gradient echo: the magnitude at the centre of k-space in the periodic steady state.
///
/// Follows the longitudinal magnetization through inversion, free recovery, the train of excitations (in which it
/// tends to M0* with the time constant T1*, 1/T1* = 1/T1 - ln(cos a)/tau; Deichmann and Haase 1992, J. Magn. Reson.
/// 96:608) and free recovery, and closes the circle; compare Wang et al. 2014 (PLoS ONE 9:e96899).
pub fn mprage(tissue: &Relaxation, timing: &Mprage) -> f32 {
    let angle = timing.flip_angle.to_radians();
    let half_train = 0.5 * timing.excitations * timing.echo_spacing;
    let before = (timing.inversion_time - half_train).max(0.0);
    let after = (timing.repetition_time - before - 2.0 * half_train).max(0.0);
    let shortened = 1.0 / (1.0 / tissue.t1 - angle.cos().ln() / timing.echo_spacing);
    let driven = recovery(timing.echo_spacing, tissue.t1) / recovery(timing.echo_spacing, shortened);

    let until_train = Step::towards(1.0, before, tissue.t1);
    let to_centre = until_train.then(Step::towards(driven, half_train, shortened));
    let whole = to_centre
        .then(Step::towards(driven, half_train, shortened))
        .then(Step::towards(1.0, after, tissue.t1));
    // The inversion turns m into -m, so the steady state before it solves m = whole(-m).
    let steady = whole.offset / (1.0 + whole.factor);
    let at_centre = to_centre.offset - to_centre.factor * steady;
    tissue.density * at_centre.abs() * angle.sin() * (-timing.echo_time / tissue.t2_star).exp()
}

/// The part of the magnetization that is back after `time`: 1 - exp(-time/t1).
fn recovery(time: f32, t1: f32) -> f32 {
    -(-time / t1).exp_m1()
}

/// A change of the longitudinal magnetization m to `factor * m + offset`.
#[derive(Clone, Copy)]
struct Step {
    factor: f32,
    offset: f32,
}

impl Step {
    fn towards(limit: f32, time: f32, constant: f32) -> Self {
        Self { factor: (-time / constant).exp(), offset: limit * recovery(time, constant) }
    }

    fn then(self, next: Self) -> Self {
        Self { factor: next.factor * self.factor, offset: next.factor * self.offset + next.offset }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tissue::{FieldStrength, Tissue, relaxation};
    use super::*;

    const TISSUE: Relaxation = Relaxation { t1: 900.0, t2: 80.0, t2_star: 50.0, density: 0.8 };
    const TIMING: Mprage = Mprage {
        repetition_time: 2400.0,
        inversion_time: 1000.0,
        echo_time: 2.5,
        echo_spacing: 7.0,
        excitations: 176.0,
        flip_angle: 8.0,
    };

    fn close(a: f32, b: f32) -> bool {
        (a - b).abs() < 1e-4 * b.abs().max(1e-3)
    }

    #[test]
    fn spin_echo_has_its_limits() {
        assert!(close(spin_echo(&TISSUE, 1e9, 0.0), TISSUE.density));
        assert!(close(spin_echo(&TISSUE, 1e9, TISSUE.t2), TISSUE.density / std::f32::consts::E));
        assert!(close(spin_echo(&TISSUE, 900.0 * std::f32::consts::LN_2, 0.0), 0.4));
        assert_eq!(spin_echo(&TISSUE, 0.0, 0.0), 0.0);
    }

    #[test]
    fn a_turbo_spin_echo_whose_train_takes_no_time_is_a_spin_echo() {
        let timing = TurboSpinEcho {
            repetition_time: 3000.0,
            echo_time: 100.0,
            equivalent_echo_time: 100.0,
            echo_spacing: 1e-6,
            echoes: 1,
            variable_angles: false,
        };
        assert!(close(turbo_spin_echo(&TISSUE, &timing), spin_echo(&TISSUE, 3000.0, 100.0)));
        // With a long train, the recovery is that of a shorter repetition.
        let long = TurboSpinEcho { echo_spacing: 10.0, echoes: 50, ..timing };
        assert!(close(turbo_spin_echo(&TISSUE, &long), spin_echo(&TISSUE, 2500.0, 100.0)));
        // Transverse for half of the time: half of the train, half of the echo time.
        let half = TurboSpinEcho { equivalent_echo_time: 50.0, ..long };
        assert!(close(turbo_spin_echo(&TISSUE, &half), spin_echo(&TISSUE, 2750.0, 50.0)));
        // A train as long as the repetition leaves nothing, and never less.
        let endless = TurboSpinEcho { echoes: 400, ..long };
        assert_eq!(turbo_spin_echo(&TISSUE, &endless), 0.0);
    }

    #[test]
    fn a_turbo_spin_echo_agrees_with_a_simulation_pulse_by_pulse() {
        let (spacing, echoes, repetition) = (10.0, 16, 3000.0);
        let relax = |m: f32, time: f32| 1.0 + (m - 1.0) * (-time / TISSUE.t1).exp();
        // The excitation leaves no longitudinal magnetization; each refocusing pulse turns it over.
        let mut m = 0.0;
        for _ in 0..echoes {
            m = relax(-relax(m, 0.5 * spacing), 0.5 * spacing);
        }
        m = relax(m, repetition - spacing * echoes as f32);
        let expected = 0.8 * m * (-100.0 / TISSUE.t2).exp();
        let timing = TurboSpinEcho {
            repetition_time: repetition,
            echo_time: 100.0,
            equivalent_echo_time: 100.0,
            echo_spacing: spacing,
            echoes: echoes as u16,
            variable_angles: false,
        };
        let signal = turbo_spin_echo(&TISSUE, &timing);
        assert!((signal / expected - 1.0).abs() < 0.01, "{signal} {expected}");
    }

    #[test]
    fn gradient_echo_has_its_limits() {
        let saturated = spoiled_gradient_echo(&TISSUE, 500.0, 0.0, 90.0);
        assert!(close(saturated, 0.8 * (1.0 - (-500.0_f32 / 900.0).exp())));
        let relaxed = spoiled_gradient_echo(&TISSUE, 1e9, TISSUE.t2_star, 30.0);
        assert!(close(relaxed, 0.8 * 0.5 / std::f32::consts::E));
    }

    #[test]
    fn the_ernst_angle_gives_the_most_signal() {
        let best = ernst_angle(TISSUE.t1, 10.0);
        let signal = |angle: f32| spoiled_gradient_echo(&TISSUE, 10.0, 3.0, angle);
        assert!(signal(best) > signal(best - 0.5) && signal(best) > signal(best + 0.5));
    }

    #[test]
    fn mprage_with_a_tiny_flip_angle_is_inversion_recovery() {
        let timing = Mprage { flip_angle: 0.05, echo_time: 0.0, ..TIMING };
        let inversion = (-timing.inversion_time / TISSUE.t1).exp();
        let repetition = (-timing.repetition_time / TISSUE.t1).exp();
        let expected = 0.8 * (1.0 - 2.0 * inversion + repetition) / (1.0 + repetition);
        let signal = mprage(&TISSUE, &timing) / timing.flip_angle.to_radians().sin();
        assert!((signal - expected.abs()).abs() < 1e-3, "{signal} {expected}");
    }

    #[test]
    fn mprage_agrees_with_a_simulation_pulse_by_pulse() {
        let angle = TIMING.flip_angle.to_radians();
        let relax = |m: f32, time: f32| 1.0 + (m - 1.0) * (-time / TISSUE.t1).exp();
        let before = TIMING.inversion_time - 88.0 * TIMING.echo_spacing;
        let after = TIMING.repetition_time - before - 176.0 * TIMING.echo_spacing;
        let (mut m, mut centre) = (1.0, 0.0);
        for _ in 0..10 {
            m = relax(-m, before);
            for pulse in 0..176 {
                centre = if pulse == 88 { m } else { centre };
                m = relax(m * angle.cos(), TIMING.echo_spacing);
            }
            m = relax(m, after);
        }
        let expected = 0.8 * centre.abs() * angle.sin() * (-TIMING.echo_time / TISSUE.t2_star).exp();
        let signal = mprage(&TISSUE, &TIMING);
        assert!((signal / expected - 1.0).abs() < 0.02, "{signal} {expected}");
    }

    #[test]
    fn tissues_are_ordered_on_both_contrasts_at_both_fields() {
        for strength in [FieldStrength::Tesla1p5, FieldStrength::Tesla3] {
            let order = [Tissue::Fluid, Tissue::Cortex, Tissue::WhiteMatter].map(|t| relaxation(t, strength));
            let t2w = order.map(|t| spin_echo(&t, 4500.0, 100.0));
            assert!(t2w[0] > t2w[1] && t2w[1] > t2w[2], "{t2w:?}");
            let t1w = order.map(|t| mprage(&t, &TIMING));
            assert!(t1w[0] < t1w[1] && t1w[1] < t1w[2], "{t1w:?}");
        }
    }
}
