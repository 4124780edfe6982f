//! The measures that a study compares: their keys in an evaluation, their names in tables, and which value is better.

use crate::report::table::Best;
use crate::volumes::labels::Region;

/// What a measure is about; a section of the report each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// How near the images are.
    Fidelity,
    /// How sharp the synthetic image is.
    Sharpness,
    /// How alike the lesions are.
    Lesions,
    /// How much volumes differ.
    Volumes,
    /// Texture in and around lesions, beside that of the real image.
    Texture,
}

impl Kind {
    /// All kinds, in the report's order.
    pub const ALL: [Self; 5] = [Self::Fidelity, Self::Sharpness, Self::Lesions, Self::Volumes, Self::Texture];

    /// The heading of its section.
    pub fn title(self) -> &'static str {
        match self {
            Self::Fidelity => "Fidelity",
            Self::Sharpness => "Sharpness",
            Self::Lesions => "Lesions",
            Self::Volumes => "Volumes",
            Self::Texture => "Texture of lesions",
        }
    }
}

/// One measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// Its key in an evaluation as JSON, keys of objects in objects joined by dots.
    pub key: String,
    /// Its name with its unit.
    pub name: String,
    /// What it is about.
    pub kind: Kind,
    /// Which value is better.
    pub best: Best,
    /// So many decimals are shown.
    pub decimals: usize,
    /// The key of the real image's own value, which stands beside those of the methods.
    pub real_key: Option<String>,
    /// Whether it is drawn.
    pub is_drawn: bool,
}

impl Measure {
    fn new(key: &str, name: &str, kind: Kind, best: Best, decimals: usize, is_drawn: bool) -> Self {
        Self { key: key.into(), name: name.into(), kind, best, decimals, real_key: None, is_drawn }
    }
}

/// All measures, in the order of tables.
pub fn all() -> Vec<Measure> {
    let mut measures = images();
    measures.extend(lesions());
    measures.extend(Region::ALL.map(volume));
    measures.extend(textures());
    measures
}

/// Fidelity and sharpness: on whole slices and inside the brain.
fn images() -> Vec<Measure> {
    let measures = [
        ("psnr", "PSNR (dB)", Kind::Fidelity, Best::Highest, 2),
        ("ssim", "SSIM, 7 x 7 window", Kind::Fidelity, Best::Highest, 4),
        ("ssim_gaussian", "SSIM, Gaussian window", Kind::Fidelity, Best::Highest, 4),
        ("mae", "MAE", Kind::Fidelity, Best::Lowest, 4),
        (
            "laplacian_ratio",
            "Laplacian energy, ratio to the real image's",
            Kind::Sharpness,
            Best::Nearest(1.0),
            3,
        ),
        ("gradient_mae", "MAE of gradients", Kind::Sharpness, Best::Lowest, 4),
    ];
    let of = |(suffix, place): (&'static str, &'static str)| {
        measures.map(|(key, name, kind, best, decimals)| {
            let is_drawn = ["psnr", "ssim", "mae", "laplacian_ratio"].contains(&key);
            Measure::new(&format!("{key}{suffix}"), &format!("{name}{place}"), kind, best, decimals, is_drawn)
        })
    };
    [("", ""), ("_brain", ", inside the brain")].into_iter().flat_map(of).collect()
}

fn lesions() -> Vec<Measure> {
    [
        ("dice", "Dice", Best::Highest, 3, true),
        ("jaccard", "Jaccard", Best::Highest, 3, false),
        ("hd95", "HD95 (mm)", Best::Lowest, 2, true),
        ("assd", "Average surface distance (mm)", Best::Lowest, 2, false),
        ("lesion_f1", "Lesion-wise F1", Best::Highest, 3, true),
        ("lesion_precision", "Lesion-wise precision", Best::Highest, 3, false),
        ("lesion_sensitivity", "Lesion-wise sensitivity", Best::Highest, 3, false),
        ("lesion_f1_strict", "Lesion-wise F1, strict rule", Best::Highest, 3, false),
        ("lesion_count_agreement", "Lesion count agreement score", Best::Highest, 3, true),
        ("lesion_volume_difference_percent", "Lesion volume, difference (%)", Best::Nearest(0.0), 1, false),
    ]
    .into_iter()
    .map(|(key, name, best, decimals, drawn)| Measure::new(key, name, Kind::Lesions, best, decimals, drawn))
    .collect()
}

/// The difference of a region's volume.
fn volume(region: Region) -> Measure {
    let drawn = [
        Region::Intracranial,
        Region::CorticalGreyMatter,
        Region::GreyMatter,
        Region::WhiteMatter,
        Region::Csf,
    ];
    let key = format!("volumes.{}.difference_percent", region.key());
    let name = format!("{}, difference (%)", region_name(region));
    Measure::new(&key, &name, Kind::Volumes, Best::Nearest(0.0), 2, drawn.contains(&region))
}

/// A region's name for readers.
pub fn region_name(region: Region) -> &'static str {
    match region {
        Region::Intracranial => "Intracranial volume",
        Region::CorticalGreyMatter => "Cortical grey matter",
        Region::DeepGreyMatter => "Deep grey matter",
        Region::GreyMatter => "Grey matter",
        Region::WhiteMatter => "White matter",
        Region::CerebellarCortex => "Cerebellar cortex",
        Region::CerebellarWhiteMatter => "Cerebellar white matter",
        Region::BrainStem => "Brain stem",
        Region::Csf => "Cerebrospinal fluid",
        Region::Ventricles => "Ventricles",
        Region::CsfOutsideVentricles => "Fluid outside the ventricles",
    }
}

/// Textures of the synthetic image, with those of the real one beside them.
fn textures() -> Vec<Measure> {
    let places = [("", "in lesions"), ("_margin", "around lesions")];
    let of = |(suffix, place): (&'static str, &'static str)| {
        ["contrast", "dissimilarity"].map(|texture| Measure {
            real_key: Some(format!("glcm_{texture}{suffix}_reference")),
            ..Measure::new(
                &format!("glcm_{texture}{suffix}_synthetic"),
                &format!("GLCM {texture} {place}"),
                Kind::Texture,
                Best::Unmarked,
                3,
                true,
            )
        })
    };
    places.into_iter().flat_map(of).collect()
}
