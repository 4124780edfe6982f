//! Volumes of tissues from a label map, by a table of labels: FreeSurfer's, which SynthSeg uses too, or a tool's own.

use std::collections::BTreeMap;

use ndarray::{ArrayView3, Axis};
use rayon::prelude::*;
use serde::Serialize;

use super::difference::Difference;
use crate::extent::check_sizes;
use crate::{Error, Result};

/// Labels are whole numbers up to this; floats hold them exactly.
const LARGEST_LABEL: f32 = 65_535.0;

/// What a label stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tissue {
    /// Grey matter of the cerebral cortex.
    CorticalGreyMatter,
    /// Grey matter of nuclei: thalamus, caudate, putamen, pallidum, accumbens, hippocampus, amygdala and ventral
    /// diencephalon, which FreeSurfer sums up as subcortical grey matter.
    DeepGreyMatter,
    /// Grey matter, where a tool does not tell cortex from nuclei.
    GreyMatter,
    /// White matter of the cerebrum with its lesions, the corpus callosum, the fornix and the optic chiasm.
    WhiteMatter,
    /// Cortex of the cerebellum.
    CerebellarCortex,
    /// White matter of the cerebellum.
    CerebellarWhiteMatter,
    /// Brain stem.
    BrainStem,
    /// Ventricles with their choroid plexus.
    Ventricle,
    /// Cerebrospinal fluid outside the ventricles, or all of it where a tool does not tell both apart.
    Fluid,
    /// What is inside the skull and none of the others: vessels, undetermined tissue.
    OtherIntracranial,
    /// Known not to be inside the skull: bone, skin, eyes.
    Extracranial,
}

impl Tissue {
    /// The tissue with this name in a table.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "cortical_grey_matter" => Self::CorticalGreyMatter,
            "deep_grey_matter" => Self::DeepGreyMatter,
            "grey_matter" => Self::GreyMatter,
            "white_matter" => Self::WhiteMatter,
            "cerebellar_cortex" => Self::CerebellarCortex,
            "cerebellar_white_matter" => Self::CerebellarWhiteMatter,
            "brain_stem" => Self::BrainStem,
            "ventricles" => Self::Ventricle,
            "csf" => Self::Fluid,
            "other_intracranial" => Self::OtherIntracranial,
            "extracranial" => Self::Extracranial,
            _ => return None,
        })
    }
}

/// The names that [`LabelTable::parse`] knows.
const TISSUE_NAMES: &str = "cortical_grey_matter, deep_grey_matter, grey_matter, white_matter, cerebellar_cortex, \
                            cerebellar_white_matter, brain_stem, ventricles, csf, other_intracranial, extracranial";

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
    /// Cerebrospinal fluid outside the ventricles: label 24, SynthSeg's "csf".
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

/// What one label stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Structure {
    /// Its name, with its side.
    pub name: String,
    /// The tissue that it counts as.
    pub tissue: Tissue,
}

/// What each label of a tool stands for. Label 0 is background and in no table.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelTable(BTreeMap<u16, Structure>);

impl LabelTable {
    /// FreeSurfer's labels (`FreeSurferColorLUT.txt`) as its `aseg`, `aparc+aseg` and `wmparc` maps, SynthSeg with and
    /// without parcellation, WMH-SynthSeg and SAMSEG have them; 500 to 530 are the head around the brain of SynthSeg's own
    /// training maps.
    pub fn freesurfer() -> Self {
        use Tissue::{CorticalGreyMatter, Extracranial, WhiteMatter};
        let mut table = BTreeMap::new();
        let mut add = |label: u16, name: String, tissue| table.insert(label, Structure { name, tissue });
        for &(label, name, tissue) in MIDLINE {
            add(label, name.into(), tissue);
        }
        for &(left, right, name, tissue) in PAIRS {
            add(left, format!("left {name}"), tissue);
            add(right, format!("right {name}"), tissue);
        }
        for (side, cortex, white) in [("left", 1000, 3000), ("right", 2000, 4000)] {
            for (gyrus, name) in (0_u16..).zip(GYRI) {
                let tissue = if name == "corpus callosum" { WhiteMatter } else { CorticalGreyMatter };
                add(cortex + gyrus, format!("{side} cortex: {name}"), tissue);
                add(white + gyrus, format!("{side} white matter: {name}"), WhiteMatter);
            }
        }
        for label in 500..=530 {
            add(label, format!("head tissue {label}"), Extracranial);
        }
        Self(table)
    }

    /// The labels of three tissue classes as FSL's FAST has them: 1 fluid, 2 grey matter, 3 white matter.
    pub fn three_classes() -> Self {
        let classes = [
            (1, "cerebrospinal fluid", Tissue::Fluid),
            (2, "grey matter", Tissue::GreyMatter),
            (3, "white matter", Tissue::WhiteMatter),
        ];
        Self(classes.map(|(label, name, tissue)| (label, Structure { name: name.into(), tissue })).into())
    }

    /// A tool's own table: lines of a label, a tissue and a name, with spaces between; `#` starts a comment. Tissues are
    /// cortical_grey_matter, deep_grey_matter, grey_matter, white_matter, cerebellar_cortex, cerebellar_white_matter,
    /// brain_stem, ventricles, csf, other_intracranial and extracranial.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the line if it is none of these, if a label comes twice or is 0, or if there is no label.
    pub fn parse(text: &str) -> Result<Self> {
        let mut table = BTreeMap::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or("").trim();
            if line.is_empty() {
                continue;
            }
            let fault = |what: String| Error::Invalid(format!("table of labels, line {number}: {what}"));
            let mut words = line.split_whitespace();
            let label = words.next().and_then(|word| word.parse::<u16>().ok()).filter(|label| *label > 0);
            let label = label.ok_or_else(|| fault("it must start with a label, 1 to 65535".into()))?;
            let word = words.next().unwrap_or("");
            let tissue = Tissue::named(word)
                .ok_or_else(|| fault(format!("'{word}' is no tissue; there are {TISSUE_NAMES}")))?;
            let name = words.collect::<Vec<_>>().join(" ");
            let name = if name.is_empty() { word.replace('_', " ") } else { name };
            if table.insert(label, Structure { name, tissue }).is_some() {
                return Err(fault(format!("label {label} is there twice")));
            }
        }
        if table.is_empty() {
            return Err(Error::Invalid("the table of labels holds no label".into()));
        }
        Ok(Self(table))
    }

    /// What a label stands for, if the table has it.
    pub fn get(&self, label: u16) -> Option<&Structure> {
        self.0.get(&label)
    }

    /// All labels, rising, and what they stand for.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &Structure)> {
        self.0.iter().map(|(label, structure)| (*label, structure))
    }

    /// Whether the table has tissue of this region.
    fn has(&self, region: Region) -> bool {
        self.0.values().any(|structure| region.includes(structure.tissue))
    }
}

/// Labels without a side.
const MIDLINE: &[(u16, &str, Tissue)] = &[
    (14, "third ventricle", Tissue::Ventricle),
    (15, "fourth ventricle", Tissue::Ventricle),
    (16, "brain stem", Tissue::BrainStem),
    (24, "cerebrospinal fluid", Tissue::Fluid),
    (72, "fifth ventricle", Tissue::Ventricle),
    (77, "white matter hypointensities", Tissue::WhiteMatter),
    (80, "hypointensities outside white matter", Tissue::DeepGreyMatter),
    (85, "optic chiasm", Tissue::WhiteMatter),
    (86, "corpus callosum", Tissue::WhiteMatter),
    (165, "skull", Tissue::Extracranial),
    (192, "corpus callosum", Tissue::WhiteMatter),
    (250, "fornix", Tissue::WhiteMatter),
    (251, "corpus callosum, posterior", Tissue::WhiteMatter),
    (252, "corpus callosum, mid-posterior", Tissue::WhiteMatter),
    (253, "corpus callosum, central", Tissue::WhiteMatter),
    (254, "corpus callosum, mid-anterior", Tissue::WhiteMatter),
    (255, "corpus callosum, anterior", Tissue::WhiteMatter),
    (257, "fluid around the brain", Tissue::Fluid),
    (258, "head around the brain", Tissue::Extracranial),
    (259, "eye or skull", Tissue::Extracranial),
];

/// Labels of the left side and of the right side.
const PAIRS: &[(u16, u16, &str, Tissue)] = &[
    (2, 41, "cerebral white matter", Tissue::WhiteMatter),
    (3, 42, "cerebral cortex", Tissue::CorticalGreyMatter),
    (4, 43, "lateral ventricle", Tissue::Ventricle),
    (5, 44, "inferior lateral ventricle", Tissue::Ventricle),
    (7, 46, "cerebellar white matter", Tissue::CerebellarWhiteMatter),
    (8, 47, "cerebellar cortex", Tissue::CerebellarCortex),
    (9, 48, "thalamus", Tissue::DeepGreyMatter),
    (10, 49, "thalamus proper", Tissue::DeepGreyMatter),
    (11, 50, "caudate", Tissue::DeepGreyMatter),
    (12, 51, "putamen", Tissue::DeepGreyMatter),
    (13, 52, "pallidum", Tissue::DeepGreyMatter),
    (17, 53, "hippocampus", Tissue::DeepGreyMatter),
    (18, 54, "amygdala", Tissue::DeepGreyMatter),
    (19, 55, "insula", Tissue::CorticalGreyMatter),
    (20, 56, "operculum", Tissue::CorticalGreyMatter),
    (25, 57, "lesion", Tissue::WhiteMatter),
    (26, 58, "accumbens area", Tissue::DeepGreyMatter),
    (27, 59, "substantia nigra", Tissue::DeepGreyMatter),
    (28, 60, "ventral diencephalon", Tissue::DeepGreyMatter),
    (29, 61, "undetermined", Tissue::OtherIntracranial),
    (30, 62, "vessel", Tissue::OtherIntracranial),
    (31, 63, "choroid plexus", Tissue::Ventricle),
    (78, 79, "white matter hypointensities", Tissue::WhiteMatter),
    (81, 82, "hypointensities outside white matter", Tissue::DeepGreyMatter),
    // As SynthSeg's training maps have them; FreeSurfer's table names 136 and 137 caudate or putamen, which its maps lack.
    (136, 163, "choroid plexus of the lateral ventricle", Tissue::Ventricle),
    (137, 164, "choroid plexus of the inferior lateral ventricle", Tissue::Ventricle),
    (138, 139, "claustrum", Tissue::DeepGreyMatter),
    (5001, 5002, "white matter far from cortex", Tissue::WhiteMatter),
];

/// Gyri of the Desikan-Killiany atlas, whose numbers are added to 1000 and 2000 (cortex, left and right) and to 3000 and
/// 4000 (white matter).
const GYRI: [&str; 36] = [
    "unknown",
    "banks of the superior temporal sulcus",
    "caudal anterior cingulate",
    "caudal middle frontal",
    "corpus callosum",
    "cuneus",
    "entorhinal",
    "fusiform",
    "inferior parietal",
    "inferior temporal",
    "isthmus cingulate",
    "lateral occipital",
    "lateral orbitofrontal",
    "lingual",
    "medial orbitofrontal",
    "middle temporal",
    "parahippocampal",
    "paracentral",
    "pars opercularis",
    "pars orbitalis",
    "pars triangularis",
    "pericalcarine",
    "postcentral",
    "posterior cingulate",
    "precentral",
    "precuneus",
    "rostral anterior cingulate",
    "rostral middle frontal",
    "superior frontal",
    "superior parietal",
    "superior temporal",
    "supramarginal",
    "frontal pole",
    "temporal pole",
    "transverse temporal",
    "insula",
];

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
    let regions = Region::ALL.into_iter().filter(|region| table.has(*region));
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
    use super::*;
    use ndarray::{Array3, s};
    use proptest::prelude::*;

    /// SynthSeg's `labels table.txt`, and label 24, which its version 2 added.
    const SYNTHSEG: [u16; 32] = [
        2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 26, 28, 41, 42, 43, 44, 46, 47, 49, 50, 51,
        52, 53, 54, 58, 60,
    ];

    #[test]
    fn the_table_has_all_labels_of_synthseg_on_both_sides() {
        let table = LabelTable::freesurfer();
        let parcels = (1..=35).filter(|n| *n != 4).flat_map(|n| [1000 + n, 2000 + n]);
        for label in SYNTHSEG.into_iter().chain(parcels) {
            let structure = table.get(label).unwrap_or_else(|| panic!("label {label}"));
            assert_ne!(structure.tissue, Tissue::Extracranial);
        }
        assert_eq!(table.get(1035).unwrap().name, "left cortex: insula");
        assert_eq!(table.get(2028).unwrap().name, "right cortex: superior frontal");
        assert_eq!(table.get(3024).unwrap().tissue, Tissue::WhiteMatter);
        assert!(table.get(0).is_none() && table.get(999).is_none());
        // Left and right stand for one tissue.
        for &(left, right, ..) in PAIRS {
            assert_eq!(table.get(left).unwrap().tissue, table.get(right).unwrap().tissue);
        }
        let names = MIDLINE.len() + 2 * PAIRS.len() + 4 * GYRI.len() + 31;
        assert_eq!(table.iter().count(), names, "a label comes twice");
    }

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
        assert_eq!(differences[&Region::BrainStem].percent.reason(), Some("the real image has none of it"));
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
            (Region::CsfOutsideVentricles, 10.0),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn tables_of_tools_are_read() {
        let table =
            LabelTable::parse("# mine\n 7 cortical_grey_matter  my cortex # good\n\n9\tcsf\n").unwrap();
        let structure = |name: &str, tissue| Structure { name: name.into(), tissue };
        assert_eq!(table.get(7), Some(&structure("my cortex", Tissue::CorticalGreyMatter)));
        assert_eq!(table.get(9), Some(&structure("csf", Tissue::Fluid)));
        for (text, fault) in [
            ("", "no label"),
            ("1 csf\nx csf", "line 2: it must start"),
            ("0 csf", "line 1: it must start"),
            ("70000 csf", "line 1: it must start"),
            ("4 bone", "'bone' is no tissue"),
            ("4", "'' is no tissue"),
            ("4 csf\n4 csf", "line 2: label 4 is there twice"),
        ] {
            let found = LabelTable::parse(text).unwrap_err().to_string();
            assert!(found.contains(fault), "{found}");
        }
        // Every name of the message is one.
        assert!(TISSUE_NAMES.split(", ").all(|name| Tissue::named(name).is_some()));
        assert_eq!(TISSUE_NAMES.split(", ").count(), 11);
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
