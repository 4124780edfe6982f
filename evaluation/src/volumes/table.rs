//! What the labels of a segmentation tool stand for: FreeSurfer's table, which SynthSeg uses too, or a tool's own.

use std::collections::BTreeMap;

use crate::{Error, Result};

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
    /// The names that tables have for tissues.
    const NAMES: [(&'static str, Self); 11] = [
        ("cortical_grey_matter", Self::CorticalGreyMatter),
        ("deep_grey_matter", Self::DeepGreyMatter),
        ("grey_matter", Self::GreyMatter),
        ("white_matter", Self::WhiteMatter),
        ("cerebellar_cortex", Self::CerebellarCortex),
        ("cerebellar_white_matter", Self::CerebellarWhiteMatter),
        ("brain_stem", Self::BrainStem),
        ("ventricles", Self::Ventricle),
        ("csf", Self::Fluid),
        ("other_intracranial", Self::OtherIntracranial),
        ("extracranial", Self::Extracranial),
    ];

    /// The tissue with this name in a table.
    fn named(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, tissue)| tissue)
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
            let tissue = Tissue::named(word).ok_or_else(|| {
                fault(format!(
                    "'{word}' is no tissue; there are {}",
                    Tissue::NAMES.map(|(name, _)| name).join(", ")
                ))
            })?;
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

    /// Whether the table has a tissue for which this holds.
    pub fn has(&self, holds: impl Fn(Tissue) -> bool) -> bool {
        self.0.values().any(|structure| holds(structure.tissue))
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// SynthSeg's `labels table.txt`, and label 24, which its version 2 added.
    pub const SYNTHSEG: [u16; 32] = [
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
        // The message names every tissue, and each name is read.
        let message = LabelTable::parse("4 bone").unwrap_err().to_string();
        for (name, tissue) in Tissue::NAMES {
            assert!(message.contains(name));
            assert_eq!(LabelTable::parse(&format!("1 {name}")).unwrap().get(1).unwrap().tissue, tissue);
        }
    }
}
