//! The cohorts of the paper, as far as its protocols tell: streamlined ones of healthy people, and clinical multiple
//! sclerosis.
//!
//! "The paper" is the study that this project repeats, section 2.2; its numbers are taken as they are. Where it is silent, the
//! numbers are published ones or typical clinical ones, as said at each.

use rand::RngExt;
use rand::seq::IndexedRandom;

use super::appearance::{Appearance, lowest_t1w_angle};
use super::degrade::{Acquisition, Quality};
use super::person::Group;
use super::protocol::{Geometry, Maker, Orientation, Protocol, Scan};
use super::signal::{Mprage, Sequence, TurboSpinEcho};
use super::tissue::{FieldStrength, Tissue, relaxation};
use super::{Plan, Random, lesions};

/// A cohort whose protocols are imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Cohort {
    /// Healthy young adults, one 3 T protocol of 0.7 mm (like the paper's HCP data)
    #[value(name = "streamlined-0.7mm")]
    Streamlined0p7mm,
    /// Healthy people of 60 to 70, one protocol of 1 mm (T1w) and 3 mm slices (T2w) at 1.5 T and 3 T (like its PPMI data)
    #[value(name = "streamlined-1mm")]
    Streamlined1mm,
    /// Multiple sclerosis, a protocol for each subject (like its clinical data)
    ClinicalMs,
}

impl Cohort {
    /// The cohort's name, also the beginning of its subjects' names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Streamlined0p7mm => "streamlined-0.7mm",
            Self::Streamlined1mm => "streamlined-1mm",
            Self::ClinicalMs => "clinical-ms",
        }
    }

    /// Draws a protocol, and what it shows of a member of the cohort.
    pub fn draw(self, random: &mut Random) -> (Protocol, Plan) {
        let protocol = self.protocol(random);
        let (group, lesion_count) = match self {
            Self::Streamlined0p7mm => (Group::YOUNG, 0),
            Self::Streamlined1mm => (Group::OLDER, 0),
            Self::ClinicalMs => (Group::MULTIPLE_SCLEROSIS, lesions::random_count_of_patient(random)),
        };
        let Protocol { strength, t1w, t2w, .. } = &protocol;
        let sequences = [t1w.sequence, t2w.sequence];
        let appearance = Appearance::from_sequences(*strength, &sequences, &group.spread, random);
        let quality = self.quality(*strength);
        let acquisitions = [t1w, t2w].map(|scan| Acquisition::of_scan(&scan.geometry, &quality, random));
        (protocol, Plan { group, appearance, lesion_count, acquisitions })
    }

    fn protocol(self, random: &mut Random) -> Protocol {
        match self {
            Self::Streamlined0p7mm => streamlined_0p7mm(),
            Self::Streamlined1mm => streamlined_1mm(random_strength(random)),
            Self::ClinicalMs => clinical(random),
        }
    }

    /// Noise and bias: the signal grows with the field (Edelstein et al. 1986, MRM 3:604), and so does the inhomogeneity
    /// of the transmitted one, of which a bias correction leaves more. The ranges are this project's choice.
    fn quality(self, strength: FieldStrength) -> Quality {
        let (signal_to_noise, bias) = match (self, strength) {
            (Self::Streamlined0p7mm, _) => (40.0..55.0, 0.01..0.03),
            (Self::Streamlined1mm, FieldStrength::Tesla3) => (36.0..50.0, 0.01..0.035),
            (Self::Streamlined1mm, FieldStrength::Tesla1p5) => (20.0..30.0, 0.005..0.02),
            (Self::ClinicalMs, FieldStrength::Tesla3) => (28.0..65.0, 0.01..0.045),
            (Self::ClinicalMs, FieldStrength::Tesla1p5) => (18.0..36.0, 0.005..0.025),
        };
        let sharpened = if self == Self::ClinicalMs { 0.3 } else { 0.0 };
        Quality { signal_to_noise, bias, sharpened }
    }
}

/// The paper's HCP protocol: MPRAGE TR/TE 2400/2.14 ms and SPACE 3200/565 ms, 0.7 mm slices, field of view 224 mm, matrix
/// 256 x 320. HCP's voxels are cubes of 0.7 mm, so the 256 are those of a field of 179.2 mm.
///
/// From HCP's own protocol (Glasser et al. 2013, NeuroImage 80:105; 3 T imaging protocol of the young adults' study): TI 1000
/// ms, flip angle 8 degrees, echo spacing 7.6 ms, 256 excitations; SPACE with a train of about 1105 ms.
/// SPACE's small refocusing angles keep magnetization along the field, so that a TE of 565 ms has the T2 contrast of a
/// spin echo at about 100 ms (Busse et al. 2006, MRM 55:1030; Mugler 2014, JMRI 39:745).
fn streamlined_0p7mm() -> Protocol {
    let geometry = Geometry::with_square_voxels(Orientation::Sagittal, 0.7, 224.0, [256, 320]);
    let t1w = Sequence::Mprage(Mprage {
        repetition_time: 2400.0,
        inversion_time: 1000.0,
        echo_time: 2.14,
        echo_spacing: 7.6,
        excitations: 256.0,
        flip_angle: 8.0,
    });
    let t2w = Sequence::TurboSpinEcho(TurboSpinEcho {
        repetition_time: 3200.0,
        echo_time: 565.0,
        equivalent_echo_time: 100.0,
        echo_spacing: 3.53,
        echoes: 314,
        variable_angles: true,
    });
    Protocol {
        maker: Maker::Siemens,
        strength: FieldStrength::Tesla3,
        t1w: Scan { sequence: t1w, geometry },
        t2w: Scan { sequence: t2w, geometry },
    }
}

/// The paper's PPMI protocol: MPRAGE TR/TE 3000/2.98 ms with 1 mm slices, turbo spin echo 3000/101 ms with 3 mm slices, field
/// of view 256 mm, matrix 240 x 256 (voxels of 1 mm).
///
/// TI 900 ms and flip angle 9 degrees are those of the MPRAGE of the Alzheimer's Disease Neuroimaging Initiative on
/// Siemens scanners (Jack et al. 2008, JMRI 27:685), which PPMI's follows; echo spacings, the numbers of excitations and
/// echoes and the refocusing angle (150 degrees) are typical ones (101 ms is the ninth echo at 11.2 ms).
fn streamlined_1mm(strength: FieldStrength) -> Protocol {
    let t1w = Sequence::Mprage(Mprage {
        repetition_time: 3000.0,
        inversion_time: 900.0,
        echo_time: 2.98,
        echo_spacing: 7.1,
        excitations: 176.0,
        flip_angle: 9.0,
    });
    let t2w = Sequence::TurboSpinEcho(TurboSpinEcho {
        repetition_time: 3000.0,
        echo_time: 101.0,
        equivalent_echo_time: equivalent_echo_time(101.0, 150.0),
        echo_spacing: 11.2,
        echoes: 17,
        variable_angles: false,
    });
    let geometry =
        |orientation, thickness| Geometry::with_square_voxels(orientation, thickness, 256.0, [240, 256]);
    Protocol {
        maker: Maker::Siemens,
        strength,
        t1w: Scan { sequence: t1w, geometry: geometry(Orientation::Sagittal, 1.0) },
        t2w: Scan { sequence: t2w, geometry: geometry(Orientation::Axial, 3.0) },
    }
}

/// A protocol inside the paper's ranges for multiple sclerosis: MPRAGE (Siemens) or FSPGR (GE) with TR 4.3 to 2490 ms, TE 2.08
/// to 33.96 ms, slices of 1 to 3 mm and matrices of 192 x 256 to 512 x 512; (turbo) spin echo with TR 2970 to 11470 ms, TE
/// 83 to 122.9 ms, slices of 3 mm and matrices of 256 x 256 to 512 x 512.
fn clinical(random: &mut Random) -> Protocol {
    let maker = if random.random_bool(0.5) { Maker::Siemens } else { Maker::Ge };
    let strength = random_strength(random);
    let t1w = match maker {
        _ if random.random_bool(0.12) => spin_echo_t1w(maker, random),
        Maker::Siemens => clinical_mprage(random),
        Maker::Ge => clinical_gradient_echo(strength, random),
    };
    Protocol { maker, strength, t1w, t2w: clinical_t2w(maker, random) }
}

/// 3 T in six of ten; the paper gives no numbers.
fn random_strength(random: &mut Random) -> FieldStrength {
    if random.random_bool(0.6) { FieldStrength::Tesla3 } else { FieldStrength::Tesla1p5 }
}

/// TI, flip angle and train of usual clinical protocols.
fn clinical_mprage(random: &mut Random) -> Scan {
    let echo_spacing = random.random_range(6.5..8.5_f32);
    let excitations = random.random_range(160.0..192.0_f32).round();
    let inversion_time = random.random_range(900.0..1100.0_f32);
    // The train ends before the next inversion.
    let shortest = (inversion_time + 0.5 * excitations * echo_spacing).max(1800.0);
    let sequence = Sequence::Mprage(Mprage {
        repetition_time: random.random_range(shortest..=2490.0),
        inversion_time,
        echo_time: random.random_range(2.08..3.6),
        echo_spacing,
        excitations,
        flip_angle: random.random_range(8.0..10.0),
    });
    let thickness = random.random_range(1.0..1.4);
    let (orientation, matrix) = if random.random_bool(0.7) {
        (Orientation::Sagittal, chosen(&[[240, 256], [256, 256], [512, 512]], random))
    } else {
        (Orientation::Axial, chosen(&[[192, 256], [256, 256], [512, 512]], random))
    };
    let read = random.random_range(240.0..256.0);
    Scan { sequence, geometry: Geometry::with_square_voxels(orientation, thickness, read, matrix) }
}

/// Without preparation, at flip angles above the Ernst angle, so that T1 decides.
fn clinical_gradient_echo(strength: FieldStrength, random: &mut Random) -> Scan {
    let repetition_time = random.random_range(4.3..12.0_f32);
    let lowest = lowest_t1w_angle(&relaxation(Tissue::WhiteMatter, strength), repetition_time);
    let sequence = Sequence::SpoiledGradientEcho {
        repetition_time,
        echo_time: random.random_range(2.08..(0.5 * repetition_time).clamp(2.1, 5.0)),
        flip_angle: random.random_range(lowest..lowest + 8.0),
    };
    let thickness =
        if random.random_bool(0.6) { random.random_range(1.0..1.6) } else { random.random_range(1.6..3.0) };
    let matrix = chosen(&[[192, 256], [256, 256], [512, 512]], random);
    let geometry = square_field(thickness, 0.0, random.random_range(220.0..256.0), matrix);
    Scan { sequence, geometry }
}

/// The long echo times of the paper's range belong to spin echoes: a gradient echo of 34 ms would be T2*-weighted. Even
/// here they end at 20 ms, since beyond, T2 makes mild lesions brighter than white matter.
fn spin_echo_t1w(maker: Maker, random: &mut Random) -> Scan {
    let echo_time = random.random_range(8.0..20.0_f32);
    // A long echo time leaves T1 contrast only if the repetition time is short.
    let longest = if echo_time > 15.0 { 450.0 } else { 650.0 };
    let sequence = Sequence::SpinEcho { repetition_time: random.random_range(400.0..longest), echo_time };
    Scan { sequence, geometry: clinical_slices(maker, &[[192, 256], [256, 256], [512, 512]], random) }
}

/// Trains of 8 to 12 ms an echo, up to twice as long as the echo time, and refocusing angles of 120 to 160 degrees, to
/// which the heating of tissue limits clinical sequences.
fn clinical_t2w(maker: Maker, random: &mut Random) -> Scan {
    let repetition_time = random.random_range(2970.0_f32.ln()..11470.0_f32.ln()).exp();
    let echo_time = random.random_range(83.0..122.9_f32);
    let echo_spacing = random.random_range(8.0..12.0_f32);
    let train = echo_time * random.random_range(1.4..2.0_f32);
    let sequence = Sequence::TurboSpinEcho(TurboSpinEcho {
        repetition_time,
        echo_time,
        equivalent_echo_time: equivalent_echo_time(echo_time, random.random_range(120.0..160.0)),
        echo_spacing,
        echoes: (train / echo_spacing).round() as u16,
        variable_angles: false,
    });
    // 336 x 384 and 392 x 488 are in the paper's figure 1.
    let matrices = [[256, 256], [336, 384], [392, 488], [512, 512]];
    Scan { sequence, geometry: clinical_slices(maker, &matrices, random) }
}

/// The echo time of a spin echo with the T2 contrast of a train whose refocusing pulses turn by `angle` degrees.
///
/// Such pulses keep a part of the magnetization along the field, where it does not decay by T2. That it is transverse
/// for sin^2(angle / 2) of the time is an approximation: the share that one such pulse refocuses.
fn equivalent_echo_time(echo_time: f32, angle: f32) -> f32 {
    echo_time * (0.5 * angle.to_radians()).sin().powi(2)
}

/// Axial slices of 3 mm, in half of the protocols with a gap of a tenth.
fn clinical_slices(maker: Maker, matrices: &[[u16; 2]], random: &mut Random) -> Geometry {
    let gap = if random.random_bool(0.5) { 0.3 } else { 0.0 };
    let read = random.random_range(220.0..250.0);
    let matrix = chosen(matrices, random);
    match maker {
        Maker::Siemens => {
            Geometry { gap, ..Geometry::with_square_voxels(Orientation::Axial, 3.0, read, matrix) }
        }
        Maker::Ge => square_field(3.0, gap, read, matrix),
    }
}

/// Axial slices whose field of view is a square, whatever the matrix.
fn square_field(thickness: f32, gap: f32, field_of_view: f32, matrix: [u16; 2]) -> Geometry {
    Geometry { orientation: Orientation::Axial, thickness, gap, field_of_view: [field_of_view; 2], matrix }
}

/// One of several matrices.
fn chosen(matrices: &[[u16; 2]], random: &mut Random) -> [u16; 2] {
    matrices.choose(random).copied().unwrap_or([256, 256])
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use clap::ValueEnum;

    use super::*;

    /// Section 2.2 of the paper, one contrast of one cohort.
    struct Published {
        cohort: Cohort,
        scan: fn(&Protocol) -> &Scan,
        repetition_time: RangeInclusive<f32>,
        echo_time: RangeInclusive<f32>,
        thickness: RangeInclusive<f32>,
        /// Of the read direction; `None` where the paper gives none.
        field_of_view: Option<f32>,
        smallest_matrix: [u16; 2],
        largest_matrix: [u16; 2],
    }

    fn published() -> [Published; 6] {
        use Cohort::{ClinicalMs, Streamlined0p7mm, Streamlined1mm};
        let one = |cohort, scan, tr, te, thickness, fov, matrix| Published {
            cohort,
            scan,
            repetition_time: tr..=tr,
            echo_time: te..=te,
            thickness: thickness..=thickness,
            field_of_view: Some(fov),
            smallest_matrix: matrix,
            largest_matrix: matrix,
        };
        [
            one(Streamlined0p7mm, |p| &p.t1w, 2400.0, 2.14, 0.7, 224.0, [256, 320]),
            one(Streamlined0p7mm, |p| &p.t2w, 3200.0, 565.0, 0.7, 224.0, [256, 320]),
            one(Streamlined1mm, |p| &p.t1w, 3000.0, 2.98, 1.0, 256.0, [240, 256]),
            one(Streamlined1mm, |p| &p.t2w, 3000.0, 101.0, 3.0, 256.0, [240, 256]),
            Published {
                cohort: ClinicalMs,
                scan: |p| &p.t1w,
                repetition_time: 4.3..=2490.0,
                echo_time: 2.08..=33.96,
                thickness: 1.0..=3.0,
                field_of_view: None,
                smallest_matrix: [192, 256],
                largest_matrix: [512, 512],
            },
            Published {
                cohort: ClinicalMs,
                scan: |p| &p.t2w,
                repetition_time: 2970.0..=11470.0,
                echo_time: 83.0..=122.9,
                thickness: 3.0..=3.0,
                field_of_view: None,
                smallest_matrix: [256, 256],
                largest_matrix: [512, 512],
            },
        ]
    }

    fn drawn(cohort: Cohort) -> impl Iterator<Item = (Protocol, Plan)> {
        (0..400).map(move |number| cohort.draw(&mut Random::new(5, number)))
    }

    #[test]
    fn protocols_lie_in_the_ranges_of_the_paper() {
        for row in published() {
            for (protocol, _) in drawn(row.cohort) {
                let Scan { sequence, geometry } = (row.scan)(&protocol);
                let timing = sequence.timing();
                assert!(row.repetition_time.contains(&timing.repetition_time), "{protocol:?}");
                assert!(row.echo_time.contains(&timing.echo_time), "{protocol:?}");
                assert!(row.thickness.contains(&geometry.thickness), "{protocol:?}");
                assert!(row.field_of_view.is_none_or(|fov| fov == geometry.field_of_view[1]), "{protocol:?}");
                for direction in [0, 1] {
                    let range = row.smallest_matrix[direction]..=row.largest_matrix[direction];
                    assert!(range.contains(&geometry.matrix[direction]), "{protocol:?}");
                }
            }
        }
    }

    #[test]
    fn timings_can_be_played_out() {
        for cohort in Cohort::value_variants() {
            for (protocol, _) in drawn(*cohort) {
                for scan in [protocol.t1w, protocol.t2w] {
                    match scan.sequence {
                        Sequence::Mprage(timing) => {
                            let half = 0.5 * timing.excitations * timing.echo_spacing;
                            assert!(timing.inversion_time >= half, "{timing:?}");
                            assert!(timing.inversion_time + half <= timing.repetition_time, "{timing:?}");
                            assert!(timing.echo_time < timing.echo_spacing);
                        }
                        Sequence::TurboSpinEcho(timing) => {
                            let train = timing.echo_spacing * f32::from(timing.echoes);
                            assert!(
                                (timing.echo_time..timing.repetition_time).contains(&train),
                                "{timing:?}"
                            );
                        }
                        Sequence::SpoiledGradientEcho { repetition_time, echo_time, .. }
                        | Sequence::SpinEcho { repetition_time, echo_time } => {
                            assert!(echo_time < 0.6 * repetition_time, "{scan:?}");
                        }
                    }
                    let [phase, read] = scan.geometry.in_plane_sizes();
                    assert!((0.4..1.4).contains(&phase) && (0.4..1.1).contains(&read), "{scan:?}");
                }
            }
        }
    }

    #[test]
    fn contrasts_are_the_right_way_round_in_every_cohort() {
        for cohort in Cohort::value_variants() {
            for (protocol, plan) in drawn(*cohort) {
                let Appearance { t1w, t2w } = plan.appearance;
                let grey = Tissue::Cortex as usize;
                assert!(t1w.fluid() < 0.9 * t1w.means[grey], "{protocol:?}");
                assert!(t1w.means[grey] < 0.95 * t1w.white_matter(), "{protocol:?} {t1w:?}");
                assert!(t1w.lesion[0] < 1.08 * t1w.white_matter(), "{protocol:?} {t1w:?}");
                assert!(t1w.lesion[1] < 0.85 * t1w.white_matter(), "{protocol:?} {t1w:?}");
                assert!(
                    t2w.lesion[0] > t2w.white_matter() && t2w.lesion[1] > t2w.means[grey],
                    "{protocol:?}"
                );
                assert!(t2w.fluid() > 1.3 * t2w.means[grey], "{protocol:?} {t2w:?}");
                assert!(t2w.means[grey] > 1.05 * t2w.white_matter(), "{protocol:?}");
            }
        }
    }

    #[test]
    fn streamlined_cohorts_have_one_protocol_and_no_lesions() {
        for cohort in [Cohort::Streamlined0p7mm, Cohort::Streamlined1mm] {
            let (first, _) = cohort.draw(&mut Random::new(0, 0));
            let mut strengths = Vec::new();
            for (protocol, plan) in drawn(cohort) {
                assert_eq!((protocol.t1w, protocol.t2w), (first.t1w, first.t2w));
                assert_eq!(plan.lesion_count, 0);
                if !strengths.contains(&protocol.strength) {
                    strengths.push(protocol.strength);
                }
            }
            assert_eq!(strengths.len(), if cohort == Cohort::Streamlined0p7mm { 1 } else { 2 });
        }
    }

    #[test]
    fn the_clinical_cohort_varies_and_has_lesions() {
        let drawn: Vec<_> = drawn(Cohort::ClinicalMs).collect();
        assert!(drawn.iter().all(|(_, plan)| plan.lesion_count >= 5));
        let share = |is: &dyn Fn(&Protocol) -> bool| {
            drawn.iter().filter(|(protocol, _)| is(protocol)).count() as f32 / drawn.len() as f32
        };
        assert!((0.2..0.8).contains(&share(&|p| p.maker == Maker::Ge)));
        assert!((0.2..0.8).contains(&share(&|p| p.strength == FieldStrength::Tesla3)));
        assert!((0.2..0.8).contains(&share(&|p| matches!(p.t1w.sequence, Sequence::Mprage(_)))));
        assert!((0.03..0.3).contains(&share(&|p| matches!(p.t1w.sequence, Sequence::SpinEcho { .. }))));
        assert!((0.1..0.9).contains(&share(&|p| p.t1w.geometry.thickness > 1.4)));
        assert!((0.1..0.9).contains(&share(&|p| p.t2w.geometry.matrix == [256, 256])));
        assert!((0.2..0.8).contains(&share(&|p| p.t2w.sequence.timing().repetition_time > 6000.0)));
    }

    #[test]
    fn names_are_those_of_the_command_line() {
        for cohort in Cohort::value_variants() {
            let value = cohort.to_possible_value().unwrap();
            assert_eq!(value.get_name(), cohort.name());
        }
    }
}
