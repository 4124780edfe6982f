//! Volumes of tissues from a label map, by a table of what its labels stand for.

use std::collections::BTreeMap;

use ndarray::{ArrayView3, Axis};
use rayon::prelude::*;
use serde::Serialize;

use super::difference::Difference;
use super::table::{LabelTable, Tissue};
use crate::extent::check_sizes;
use crate::{Error, Result};

/// Labels are whole numbers up to this; floats hold them exactly.
const LARGEST_LABEL: f32 = 65_535.0;

/// A volume that is measured: the sum of some tissues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Region {
    /// All that is inside the skull: SynthSeg's "total intracranial". From a map without the fluid around the brain, such as
    /// FreeSurfer's `aseg`, it is smaller than the skull's inside.
    Intracranial,
    /// Cortex of the cerebrum.
    CorticalGreyMatter,
    /// Nuclei.
    DeepGreyMatter,
    /// Cortex and nuclei of the cerebrum and cortex of the cerebellum.
    GreyMatter,
    /// White matter of the cerebrum, lesions included.
    WhiteMatter,
    /// Cortex of the cerebellum.
    CerebellarCortex,
    /// White matter of the cerebellum.
    CerebellarWhiteMatter,
    /// Brain stem.
    BrainStem,
    /// Cerebrospinal fluid, in the ventricles and outside.
    Csf,
    /// Ventricles with their choroid plexus.
    Ventricles,
    /// Cerebrospinal fluid outside the ventricles: label 24, SynthSeg's "csf". Only tables that tell ventricles apart have it.
    CsfOutsideVentricles,
}

impl Region {
    /// All regions, in the order of a table.
    pub const ALL: [Self; 11] = [
        Self::Intracranial,
        Self::CorticalGreyMatter,
        Self::DeepGreyMatter,
        Self::GreyMatter,
        Self::WhiteMatter,
        Self::CerebellarCortex,
        Self::CerebellarWhiteMatter,
        Self::BrainStem,
        Self::Csf,
        Self::Ventricles,
        Self::CsfOutsideVentricles,
    ];

    /// Its name as a key of tables and JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Intracranial => "intracranial",
            Self::CorticalGreyMatter => "cortical_grey_matter",
            Self::DeepGreyMatter => "deep_grey_matter",
            Self::GreyMatter => "grey_matter",
            Self::WhiteMatter => "white_matter",
            Self::CerebellarCortex => "cerebellar_cortex",
            Self::CerebellarWhiteMatter => "cerebellar_white_matter",
            Self::BrainStem => "brain_stem",
            Self::Csf => "csf",
            Self::Ventricles => "ventricles",
            Self::CsfOutsideVentricles => "csf_outside_ventricles",
        }
    }

    /// Whether a table's labels can tell it from other regions.
    fn is_known_to(self, table: &LabelTable) -> bool {
        let tells_ventricles = self != Self::CsfOutsideVentricles || table.has(|of| of == Tissue::Ventricle);
        tells_ventricles && table.has(|tissue| self.includes(tissue))
    }

    /// Whether the region includes this tissue.
    fn includes(self, tissue: Tissue) -> bool {
        match self {
            Self::Intracranial => tissue != Tissue::Extracranial,
            Self::CorticalGreyMatter => tissue == Tissue::CorticalGreyMatter,
            Self::DeepGreyMatter => tissue == Tissue::DeepGreyMatter,
            Self::GreyMatter => matches!(
                tissue,
                Tissue::CorticalGreyMatter
                    | Tissue::DeepGreyMatter
                    | Tissue::GreyMatter
                    | Tissue::CerebellarCortex
            ),
            Self::WhiteMatter => tissue == Tissue::WhiteMatter,
            Self::CerebellarCortex => tissue == Tissue::CerebellarCortex,
            Self::CerebellarWhiteMatter => tissue == Tissue::CerebellarWhiteMatter,
            Self::BrainStem => tissue == Tissue::BrainStem,
            Self::Csf => matches!(tissue, Tissue::Ventricle | Tissue::Fluid),
            Self::Ventricles => tissue == Tissue::Ventricle,
            Self::CsfOutsideVentricles => tissue == Tissue::Fluid,
        }
    }
}

/// The volume of one label.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelVolume {
    /// The label.
    pub label: u16,
    /// What it stands for; none for a label that the table does not have.
    pub name: Option<String>,
    /// Its volume in millilitres.
    pub ml: f64,
}

/// Volumes from one label map.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Volumes {
    /// Millilitres of each region that the table has tissue of.
    pub regions_ml: BTreeMap<Region, f64>,
    /// Labels of the map that the table has, rising.
    pub structures: Vec<LabelVolume>,
    /// Labels of the map that the table does not have, rising; they are in no region.
    pub unknown: Vec<LabelVolume>,
}

/// Volumes from a label map with voxels of these sizes in millimetres. Label 0 is background.
///
/// # Errors
/// [`Error::Invalid`] if a voxel is not a whole number from 0 to 65535, a voxel size is not 0.01 to 100 mm, or the map holds no
/// label of the table.
pub fn volumes(labels: ArrayView3<'_, f32>, sizes: [f64; 3], table: &LabelTable) -> Result<Volumes> {
    check_sizes(sizes)?;
    let voxel_ml = sizes.iter().product::<f64>() / 1000.0;
    let counts = count_labels(labels)?;
    let volume = |(label, count): (u16, u64)| LabelVolume {
        label,
        name: table.get(label).map(|structure| structure.name.clone()),
        ml: count as f64 * voxel_ml,
    };
    let (structures, unknown): (Vec<_>, Vec<_>) =
        counts.into_iter().map(volume).partition(|v| v.name.is_some());
    if structures.is_empty() {
        let found: Vec<String> = unknown.iter().take(10).map(|volume| volume.label.to_string()).collect();
        return Err(Error::Invalid(match found.is_empty() {
            true => "the label map is empty: every voxel is 0".into(),
            false => format!("the label map has no label of the table; it has {}", found.join(", ")),
        }));
    }
    let of_region = |region: Region| {
        let inside =
            |volume: &&LabelVolume| table.get(volume.label).is_some_and(|s| region.includes(s.tissue));
        // An empty sum of floats would be -0.
        structures.iter().filter(inside).fold(0.0, |sum, volume| sum + volume.ml)
    };
    let regions = Region::ALL.into_iter().filter(|region| region.is_known_to(table));
    let regions_ml = regions.map(|region| (region, of_region(region))).collect();
    Ok(Volumes { regions_ml, structures, unknown })
}

/// Differences between the real image's volumes and the synthetic one's, of each region that both have.
pub fn differences(reference: &Volumes, synthetic: &Volumes) -> BTreeMap<Region, Difference> {
    let of_both = |(&region, &reference): (&Region, &f64)| {
        let synthetic = synthetic.regions_ml.get(&region)?;
        Some((region, Difference::between(reference, *synthetic)))
    };
    reference.regions_ml.iter().filter_map(of_both).collect()
}

/// How many voxels each label has, background left out.
fn count_labels(labels: ArrayView3<'_, f32>) -> Result<BTreeMap<u16, u64>> {
    let of_slice = |k: usize| {
        let mut counts = BTreeMap::<u16, u64>::new();
        // Neighbours mostly have one label, so runs are counted.
        let (mut run_label, mut run) = (0, 0_u64);
        for &value in labels.index_axis(Axis(2), k).t() {
            let label = label_of(value)?;
            if label != run_label {
                *counts.entry(run_label).or_default() += run;
                (run_label, run) = (label, 0);
            }
            run += 1;
        }
        *counts.entry(run_label).or_default() += run;
        Ok(counts)
    };
    let slices = (0..labels.dim().2).into_par_iter().map(of_slice).collect::<Result<Vec<_>>>()?;
    let mut all = BTreeMap::<u16, u64>::new();
    for (label, count) in slices.into_iter().flatten().filter(|(label, count)| *label > 0 && *count > 0) {
        *all.entry(label).or_default() += count;
    }
    Ok(all)
}

fn label_of(value: f32) -> Result<u16> {
    if (0.0..=LARGEST_LABEL).contains(&value) && value.fract() == 0.0 {
        return Ok(value as u16);
    }
    Err(Error::Invalid(format!(
        "a voxel of the label map is {value}: labels are whole numbers from 0 to 65535 (was the map interpolated?)"
    )))
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::SYNTHSEG;
    use super::*;
    use ndarray::{Array3, s};
    use proptest::prelude::*;

    /// A map with as many voxels of each label.
    fn map(counts: &[(f32, usize)]) -> Array3<f32> {
        let mut labels = Array3::zeros((10, 10, 10));
        let values = counts.iter().flat_map(|(label, count)| std::iter::repeat_n(*label, *count));
        labels.iter_mut().zip(values).for_each(|(voxel, label)| *voxel = label);
        labels
    }

    #[test]
    fn regions_are_sums_of_their_labels() {
        let counts =
            [(2.0, 40), (41.0, 41), (77.0, 9), (3.0, 50), (42.0, 52), (1024.0, 5), (8.0, 7), (10.0, 6)];
        let fluids = [(4.0, 11), (14.0, 3), (24.0, 20), (16.0, 8), (30.0, 2), (507.0, 100), (999.0, 4)];
        let labels = map(&[counts.as_slice(), &fluids].concat());
        let volumes = volumes(labels.view(), [1.0, 2.0, 5.0], &LabelTable::freesurfer()).unwrap();
        for (region, voxels) in [
            (Region::Intracranial, 40 + 41 + 9 + 50 + 52 + 5 + 7 + 6 + 11 + 3 + 20 + 8 + 2),
            (Region::CorticalGreyMatter, 50 + 52 + 5),
            (Region::DeepGreyMatter, 6),
            (Region::GreyMatter, 50 + 52 + 5 + 7 + 6),
            (Region::WhiteMatter, 40 + 41 + 9),
            (Region::CerebellarCortex, 7),
            (Region::CerebellarWhiteMatter, 0),
            (Region::BrainStem, 8),
            (Region::Csf, 11 + 3 + 20),
            (Region::Ventricles, 11 + 3),
            (Region::CsfOutsideVentricles, 20),
        ] {
            let expected = f64::from(voxels) * 10.0 / 1000.0;
            assert!((volumes.regions_ml[&region] - expected).abs() < 1e-12, "{region:?}");
        }
        assert!(volumes.regions_ml[&Region::CerebellarWhiteMatter].is_sign_positive());
        assert_eq!(volumes.unknown, [LabelVolume { label: 999, name: None, ml: 0.04 }]);
        assert_eq!(volumes.structures[0].name.as_deref(), Some("left cerebral white matter"));
        let json = serde_json::to_value(&volumes).unwrap();
        assert!((json["regions_ml"]["cortical_grey_matter"].as_f64().unwrap() - 1.07).abs() < 1e-12);
    }

    #[test]
    fn keys_are_those_of_json() {
        for region in Region::ALL {
            assert_eq!(serde_json::to_value(region).unwrap(), region.key());
        }
    }

    #[test]
    fn differences_are_in_percent_of_the_real_image() {
        let table = LabelTable::freesurfer();
        let of = |white| volumes(map(&[(2.0, white), (3.0, 50)]).view(), [1.0; 3], &table).unwrap();
        let differences = differences(&of(200), &of(190));
        assert!((differences[&Region::WhiteMatter].percent.value().unwrap() + 5.0).abs() < 1e-9);
        assert!((differences[&Region::Intracranial].percent.value().unwrap() + 4.0).abs() < 1e-9);
        assert_eq!(differences[&Region::CorticalGreyMatter].percent.value(), Some(&0.0));
        assert_eq!(differences[&Region::BrainStem].percent.reason(), Some(&"the real image has none of it"));
        assert_eq!(differences.len(), Region::ALL.len());
    }

    #[test]
    fn regions_that_a_table_does_not_know_are_absent() {
        let labels = map(&[(1.0, 10), (2.0, 20), (3.0, 30)]);
        let volumes = volumes(labels.view(), [10.0; 3], &LabelTable::three_classes()).unwrap();
        let found: Vec<_> = volumes.regions_ml.into_iter().collect();
        let expected = [
            (Region::Intracranial, 60.0),
            (Region::GreyMatter, 20.0),
            (Region::WhiteMatter, 30.0),
            (Region::Csf, 10.0),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn maps_that_are_none_are_refused() {
        let fault = |labels: &Array3<f32>| {
            volumes(labels.view(), [1.0; 3], &LabelTable::freesurfer()).unwrap_err().to_string()
        };
        for value in [0.5, -1.0, 65_536.0, f32::NAN, f32::INFINITY] {
            assert!(fault(&map(&[(2.0, 5), (value, 1)])).contains("whole numbers"), "{value}");
        }
        assert!(fault(&map(&[])).contains("every voxel is 0"));
        assert!(fault(&map(&[(999.0, 1), (998.0, 1)])).contains("it has 998, 999"));
    }

    #[test]
    fn a_head_label_map_has_plausible_volumes() {
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/labels/head_01.nii.gz");
        let Ok(image) = mrisynth::nifti::read(&path, &mrisynth::Limits::default()) else {
            eprintln!("SKIPPED: {} cannot be read", path.display());
            return;
        };
        let volumes = volumes(image.volume.voxels(), [1.0; 3], &LabelTable::freesurfer()).unwrap();
        // Voxels by NumPy's `unique`: 3 and 42; 2, 41, 25, 57 and 85; 4, 5, 14, 15, 43, 44, 72, 136, 137, 163 and 164; 24.
        let ml = |region| volumes.regions_ml[&region];
        assert!((ml(Region::CorticalGreyMatter) - 401.954).abs() < 1e-9);
        assert!((ml(Region::WhiteMatter) - 443.459).abs() < 1e-9);
        assert!((ml(Region::Ventricles) - 48.586).abs() < 1e-9);
        assert!((ml(Region::CsfOutsideVentricles) - 416.650).abs() < 1e-9);
        assert!(volumes.unknown.is_empty(), "{:?}", volumes.unknown);
    }

    proptest! {
        #[test]
        fn volumes_scale_with_the_voxels_and_add_up(
            counts in prop::collection::vec((prop::sample::select(SYNTHSEG.to_vec()), 1_usize..40), 1..12),
            scale in 0.3_f64..4.0,
        ) {
            let counts: Vec<_> = counts.into_iter().map(|(label, count)| (f32::from(label), count)).collect();
            let labels = map(&counts);
            let table = LabelTable::freesurfer();
            let one = volumes(labels.view(), [1.0; 3], &table).unwrap();
            let other = volumes(labels.view(), [scale; 3], &table).unwrap();
            for (region, ml) in &one.regions_ml {
                prop_assert!((ml * scale.powi(3) - other.regions_ml[region]).abs() < 1e-9);
            }
            let voxels: usize = counts.iter().map(|(_, count)| count).sum();
            prop_assert!((one.regions_ml[&Region::Intracranial] - voxels as f64 / 1000.0).abs() < 1e-9);
            // In any order of memory.
            let turned = labels.slice(s![.., .., ..]).reversed_axes().as_standard_layout().to_owned();
            prop_assert_eq!(volumes(turned.view(), [1.0; 3], &table).unwrap(), one);
        }
    }
}
