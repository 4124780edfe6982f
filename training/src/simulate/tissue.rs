//! Tissues of the brain and their relaxation times and proton densities at 1.5 T and 3 T.

/// What a voxel of a label map consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tissue {
    /// Everything outside the head's fluid: skull and scalp, and outside a mask in the end.
    Background = 0,
    /// Cerebral white matter, corpus callosum and optic chiasm.
    WhiteMatter,
    /// Cerebral cortex.
    Cortex,
    /// White matter of the cerebellum.
    CerebellarWhiteMatter,
    /// Cortex of the cerebellum.
    CerebellarCortex,
    /// Ventricles.
    Ventricle,
    /// The cerebrospinal fluid of sulci and cisterns, inside the brain's hull.
    Fluid,
    /// Fluid around the brain's hull, which a brain extraction removes.
    OuterFluid,
    /// Thalamus.
    Thalamus,
    /// Caudate and accumbens nuclei.
    Caudate,
    /// Putamen.
    Putamen,
    /// Globus pallidus.
    Pallidum,
    /// Hippocampus and amygdala.
    Hippocampus,
    /// Brain stem.
    BrainStem,
    /// Ventral diencephalon (with substantia nigra and red nucleus).
    VentralDiencephalon,
    /// Choroid plexus.
    Choroid,
    /// Membranes and vessels at the brain's surface.
    Membrane,
}

/// Number of tissues.
pub const TISSUES: usize = 17;

impl Tissue {
    /// All tissues, in the order of their numbers.
    pub const ALL: [Self; TISSUES] = [
        Self::Background,
        Self::WhiteMatter,
        Self::Cortex,
        Self::CerebellarWhiteMatter,
        Self::CerebellarCortex,
        Self::Ventricle,
        Self::Fluid,
        Self::OuterFluid,
        Self::Thalamus,
        Self::Caudate,
        Self::Putamen,
        Self::Pallidum,
        Self::Hippocampus,
        Self::BrainStem,
        Self::VentralDiencephalon,
        Self::Choroid,
        Self::Membrane,
    ];

    /// The tissue of a FreeSurfer label of the brain; `None` for the rest of the head and unknown labels.
    pub fn of_label(label: i32) -> Option<Self> {
        Some(match label {
            // 25 and 57 are lesions, 77 to 79 hypointensities: lesions are made anew.
            2 | 41 | 25 | 57 | 77..=79 | 85 | 250..=255 => Self::WhiteMatter,
            3 | 42 | 19 | 20 | 55 | 56 | 1000..=1035 | 2000..=2035 => Self::Cortex,
            7 | 46 => Self::CerebellarWhiteMatter,
            8 | 47 => Self::CerebellarCortex,
            4 | 5 | 14 | 15 | 43 | 44 | 72 => Self::Ventricle,
            30 | 62 => Self::Fluid,
            10 | 49 | 9 | 48 => Self::Thalamus,
            11 | 26 | 50 | 58 => Self::Caudate,
            12 | 51 => Self::Putamen,
            13 | 52 => Self::Pallidum,
            17 | 18 | 53 | 54 => Self::Hippocampus,
            16 => Self::BrainStem,
            28 | 60 => Self::VentralDiencephalon,
            29 | 31 | 61 | 63 | 136 | 137 | 163 | 164 => Self::Choroid,
            _ => return None,
        })
    }

    /// True for fluid, inside or outside the hull.
    pub fn is_fluid(self) -> bool {
        matches!(self, Self::Ventricle | Self::Fluid | Self::OuterFluid)
    }
}

/// Strength of the scanner's main field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldStrength {
    /// 1.5 tesla.
    Tesla1p5,
    /// 3 tesla.
    Tesla3,
}

/// What decides a tissue's signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Relaxation {
    /// Longitudinal relaxation time in milliseconds.
    pub t1: f32,
    /// Transverse relaxation time in milliseconds.
    pub t2: f32,
    /// Transverse relaxation time with the field's inhomogeneity, in milliseconds.
    pub t2_star: f32,
    /// Proton density relative to fluid.
    pub density: f32,
}

/// Typical values for an adult.
///
/// Rounded, and chosen inside the spread of the literature: T1 and T2 of white matter and cortex at 3 T after
/// Wansapura et al. 1999 (JMRI 9:531), at both fields after Stanisz et al. 2005 (MRM 54:507); T1 of the deep nuclei
/// at 3 T after Gelman et al. 2001 (MRM 45:71); all at 3 T against the review of Bojorquez et al. 2017 (MRI 35:69);
/// T2* of white matter, cortex, caudate and putamen after Peters et al. 2007 (MRI 25:748). Structures without a
/// measurement of their own take the neighbouring tissue's value, shifted as they look on clinical images. The
/// iron-rich nuclei (pallidum, putamen) have the shortest T2.
pub fn relaxation(tissue: Tissue, strength: FieldStrength) -> Relaxation {
    let (low, high, density) = match tissue {
        Tissue::Background => ([400.0, 40.0, 10.0], [500.0, 35.0, 8.0], 0.25),
        Tissue::WhiteMatter => ([650.0, 78.0, 66.0], [850.0, 74.0, 53.0], 0.70),
        Tissue::Cortex => ([1080.0, 98.0, 84.0], [1380.0, 95.0, 66.0], 0.82),
        Tissue::CerebellarWhiteMatter => ([670.0, 80.0, 64.0], [870.0, 76.0, 52.0], 0.71),
        Tissue::CerebellarCortex => ([1040.0, 96.0, 78.0], [1330.0, 92.0, 60.0], 0.82),
        Tissue::Ventricle | Tissue::Fluid | Tissue::OuterFluid => {
            ([4000.0, 1900.0, 1000.0], [4200.0, 1700.0, 700.0], 1.0)
        }
        Tissue::Thalamus => ([830.0, 82.0, 64.0], [1130.0, 77.0, 50.0], 0.77),
        Tissue::Caudate => ([1010.0, 90.0, 59.0], [1310.0, 84.0, 41.0], 0.81),
        Tissue::Putamen => ([920.0, 83.0, 55.0], [1210.0, 74.0, 32.0], 0.80),
        Tissue::Pallidum => ([740.0, 68.0, 40.0], [980.0, 58.0, 24.0], 0.73),
        Tissue::Hippocampus => ([1080.0, 100.0, 75.0], [1370.0, 97.0, 55.0], 0.83),
        Tissue::BrainStem => ([790.0, 83.0, 62.0], [1040.0, 78.0, 50.0], 0.74),
        Tissue::VentralDiencephalon => ([720.0, 76.0, 50.0], [950.0, 69.0, 38.0], 0.73),
        Tissue::Membrane => ([800.0, 35.0, 20.0], [950.0, 30.0, 15.0], 0.55),
        Tissue::Choroid => ([1300.0, 220.0, 90.0], [1600.0, 200.0, 70.0], 0.90),
    };
    let [t1, t2, t2_star] = match strength {
        FieldStrength::Tesla1p5 => low,
        FieldStrength::Tesla3 => high,
    };
    Relaxation { t1, t2, t2_star, density }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_order_agree() {
        for (number, tissue) in Tissue::ALL.into_iter().enumerate() {
            assert_eq!(tissue as usize, number);
        }
    }

    #[test]
    fn times_are_ordered_in_every_tissue() {
        for tissue in Tissue::ALL {
            for strength in [FieldStrength::Tesla1p5, FieldStrength::Tesla3] {
                let r = relaxation(tissue, strength);
                assert!(r.t1 > r.t2 && r.t2 > r.t2_star && r.t2_star > 0.0, "{tissue:?}");
                assert!((0.0..=1.0).contains(&r.density));
            }
        }
    }

    #[test]
    fn labels_of_the_head_outside_the_brain_are_no_tissue() {
        for label in [0, 24, 258, 502, 507, 530, -1] {
            assert_eq!(Tissue::of_label(label), None);
        }
        assert_eq!(Tissue::of_label(52), Some(Tissue::Pallidum));
    }
}
