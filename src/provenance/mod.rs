//! What goes with an image wherever it goes: whether it is synthetic, from what, by which model, and what its voxels are.
//!
//! The fields are those of a BIDS derivative's sidecar where BIDS has a name for them. Nothing in it tells the time, the
//! machine's name or what the scan's header says of a person, so that the same input gives the same bytes on machines with the
//! same instructions ([`Tier`]). [`verify()`] compares a file with it.

mod verify;

use std::path::Path;

use serde::Serialize;

use crate::kernels::Tier;
use crate::model::Model;
use crate::nifti::{VoxelType, voxels_sha256};
use crate::prepare::normalize::percentile;
use crate::prepare::{Record, Summary};
use crate::residual;
use crate::synthesize::{InputState, Options};
use crate::{Error, Result, Volume, digest, regular_file};

pub use verify::{Check, Evidence, Outcome, Verification, verify};

/// Says on every output what it must not be taken for.
pub const NOTICE: &str = "Synthetic image: an estimate made by a neural network, not acquired by a scanner. It may lack \
                          or invent findings. Research software, not a medical device; not for diagnosis.";

/// Says on every cycle residual what it must not be taken for.
pub const RESIDUAL_NOTICE: &str = "Absolute difference inside the brain, on a scale of 0 to 1, between the scan and what \
                                   a second model makes of the synthetic image. It is not the error of that image: a \
                                   low value does not prove it right, for both models can agree on a mistake; a high \
                                   one shows where to look.";

/// What the description in a header begins with if the image is synthetic, or made of a synthetic one.
const SYNTHETIC: &str = "SYNTHETIC";

/// Whether a header's description says that its image is synthetic.
pub fn says_synthetic(description: &str) -> bool {
    description.starts_with(SYNTHETIC)
}

/// Says on every image that is not synthetic, but made of a scan, what it must not be taken for.
pub const DERIVED_NOTICE: &str =
    "Made of a scan by software. Research software, not a medical device; not for diagnosis.";

/// An input of a synthesis, named so that it can be recognized without telling where it lay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The file's name, without its folder.
    pub name: String,
    /// SHA-256 of the file's bytes, in hexadecimal.
    pub sha256: String,
}

impl SourceFile {
    /// Names and hashes the file at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::InvalidArgument`] if it is no regular file, which could have no end.
    pub fn read(path: &Path) -> Result<Self> {
        let file = regular_file::open(path, Error::InvalidArgument)?;
        let sha256 = digest::sha256_of(file).map_err(|fault| Error::io(path, fault))?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name, sha256 })
    }
}

/// The origin of an image, ready to be written as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Provenance {
    synthetic: bool,
    /// None for what is no image of a contrast.
    #[serde(skip_serializing_if = "Option::is_none")]
    synthetic_contrast: Option<String>,
    description: String,
    sources: Vec<String>,
    /// Of the first source.
    #[serde(rename = "InputSHA256")]
    input_sha256: String,
    /// Of the other sources, in their order.
    #[serde(rename = "OtherSHA256", skip_serializing_if = "Vec::is_empty")]
    other_sha256: Vec<String>,
    generated_by: [Generator; 1],
    parameters: Parameters,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality_control: Option<QualityControl>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<StoredImage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cycle_residual: Option<CycleResidual>,
    notice: &'static str,
}

/// What came of the way back from a synthetic image.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct CycleResidual {
    median: f32,
    #[serde(rename = "Percentile95")]
    percentile_95: f32,
    factor: f32,
    offset: f32,
    /// The model of the way back.
    model: ModelIdentity,
    notice: &'static str,
}

/// The program that made an image, and its model.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Generator {
    name: &'static str,
    version: &'static str,
    #[serde(rename = "CPUTier")]
    cpu_tier: &'static str,
    /// None where no network of a model file was run.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<ModelIdentity>,
}

impl Generator {
    fn this_program(model: Option<&Model>) -> Self {
        let (name, version) = ("mrisynth", env!("CARGO_PKG_VERSION"));
        Self { name, version, cpu_tier: Tier::current_name(), model: model.map(ModelIdentity::of) }
    }
}

/// Figures to look at before an image is used. Intensities are those of voxels that are not 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct QualityControl {
    nonzero_millilitres: f64,
    #[serde(rename = "Percentile5")]
    percentile_5: Option<f32>,
    median: Option<f32>,
    #[serde(rename = "Percentile95")]
    percentile_95: Option<f32>,
    /// What the user was warned of.
    warnings: Vec<String>,
}

impl QualityControl {
    fn of(volume: &Volume, warnings: &[String]) -> Self {
        let mut inside: Vec<f32> = volume.as_slice().iter().copied().filter(|value| *value != 0.0).collect();
        let voxel: f64 = volume.affine().voxel_sizes().iter().product();
        Self {
            nonzero_millilitres: inside.len() as f64 * voxel / 1000.0,
            percentile_5: percentile(&mut inside, 5.0),
            median: percentile(&mut inside, 50.0),
            percentile_95: percentile(&mut inside, 95.0),
            warnings: warnings.to_vec(),
        }
    }
}

/// What the file's voxels are and where they lie.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StoredImage {
    dims: [usize; 3],
    /// Row-major, voxel index to LPS millimetres.
    #[serde(rename = "IndexToLPS")]
    index_to_lps: Vec<f64>,
    voxel_type: &'static str,
    #[serde(rename = "VoxelsSHA256")]
    voxels_sha256: String,
}

impl StoredImage {
    fn of(volume: &Volume, voxel_type: VoxelType) -> Self {
        Self {
            dims: volume.dims(),
            index_to_lps: volume.affine().to_lps().as_flattened().to_vec(),
            voxel_type: voxel_type.name(),
            voxels_sha256: voxels_sha256(volume, voxel_type),
        }
    }
}

/// Which model it was, under the keys of its card.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct ModelIdentity {
    name: String,
    version: String,
    sha256: String,
    license: Option<String>,
}

impl ModelIdentity {
    fn of(model: &Model) -> Self {
        let card = model.card();
        Self {
            name: card.name.clone(),
            version: card.version.clone(),
            sha256: model.sha256().to_owned(),
            license: card.get("license").map(str::to_owned),
        }
    }
}

/// The options that a result can depend on; the number of threads is none of them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Parameters {
    #[serde(skip_serializing_if = "Option::is_none")]
    source_contrast: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_state: Option<&'static str>,
    accept_implausible: bool,
    /// How a raw scan was prepared.
    #[serde(skip_serializing_if = "Option::is_none")]
    preparation: Option<Summary>,
}

impl Provenance {
    /// The origin of what `model` makes of `source` with `options`.
    pub fn new(model: &Model, source: SourceFile, options: &Options, accept_implausible: bool) -> Self {
        let card = model.card();
        let input_state = match options.input_state {
            InputState::Raw => "raw",
            InputState::Prepared => "prepared",
        };
        Self {
            synthetic: true,
            synthetic_contrast: Some(card.target.to_string()),
            description: format!("SYNTHETIC {} by mrisynth {}", card.target, env!("CARGO_PKG_VERSION")),
            sources: vec![source.name],
            input_sha256: source.sha256,
            other_sha256: Vec::new(),
            generated_by: [Generator::this_program(Some(model))],
            parameters: Parameters {
                source_contrast: Some(card.source.to_string()),
                input_state: Some(input_state),
                accept_implausible,
                preparation: None,
            },
            quality_control: None,
            image: None,
            cycle_residual: None,
            notice: NOTICE,
        }
    }

    /// The origin of an image that is made of `source`, and perhaps of `others`, but shows no other contrast. What is made of a
    /// synthetic image is called synthetic too. `description` is for the header, 79 bytes at most.
    pub fn derived(
        description: String,
        source: SourceFile,
        others: Vec<SourceFile>,
        of_synthetic: bool,
        accept_implausible: bool,
    ) -> Self {
        let (mut sources, mut other_sha256) = (vec![source.name], Vec::new());
        for SourceFile { name, sha256 } in others {
            sources.push(name);
            other_sha256.push(sha256);
        }
        Self {
            synthetic: of_synthetic,
            synthetic_contrast: None,
            description,
            sources,
            input_sha256: source.sha256,
            other_sha256,
            generated_by: [Generator::this_program(None)],
            parameters: Parameters {
                source_contrast: None,
                input_state: None,
                accept_implausible,
                preparation: None,
            },
            quality_control: None,
            image: None,
            cycle_residual: None,
            notice: if of_synthetic { NOTICE } else { DERIVED_NOTICE },
        }
    }

    /// This origin, with what the file of `volume` will hold: what [`verify()`] compares it with.
    #[must_use]
    pub fn of_image(mut self, volume: &Volume, voxel_type: VoxelType) -> Self {
        self.image = Some(StoredImage::of(volume, voxel_type));
        self
    }

    /// This origin, with figures of `volume` to look at, and what the user was warned of.
    #[must_use]
    pub fn with_quality_control(mut self, volume: &Volume, warnings: &[String]) -> Self {
        self.quality_control = Some(QualityControl::of(volume, warnings));
        self
    }

    /// This origin, with how the scan was prepared.
    #[must_use]
    pub fn with_preparation(mut self, record: &Record) -> Self {
        self.parameters.preparation = Some(record.summary());
        self
    }

    /// This origin, with what came of the way back from the image by the model `back`.
    #[must_use]
    pub fn with_residual(mut self, back: &Model, summary: &residual::Summary) -> Self {
        let residual::Summary { median, percentile_95, factor, offset } = *summary;
        let model = ModelIdentity::of(back);
        let notice = RESIDUAL_NOTICE;
        self.cycle_residual = Some(CycleResidual { median, percentile_95, factor, offset, model, notice });
        self
    }

    /// The origin of the map that goes with an image of this origin: it is no image of a contrast, and says so.
    #[must_use]
    pub fn of_residual(mut self) -> Self {
        (self.quality_control, self.image) = (None, None);
        if let Some(contrast) = self.synthetic_contrast.take() {
            let version = env!("CARGO_PKG_VERSION");
            self.description =
                format!("SYNTHETIC cycle residual of {contrast} by mrisynth {version}, not an error map");
        }
        self
    }

    /// One short line for an image header; 79 bytes at most, as NIfTI has room for.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// JSON on one line, for an extension of the image file.
    ///
    /// # Errors
    /// [`Error::Internal`], which would be a defect.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(not_json)
    }

    /// JSON for a reader, for a file beside the image; ends in a newline.
    ///
    /// # Errors
    /// [`Error::Internal`], which would be a defect.
    pub fn to_sidecar(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n").map_err(not_json)
    }
}

fn not_json(fault: serde_json::Error) -> Error {
    Error::Internal(format!("the provenance could not be written as JSON: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Provenance {
        let model = ModelIdentity {
            name: "t1w-from-t2w".into(),
            version: "1".into(),
            sha256: "ab".into(),
            license: None,
        };
        let generator = Generator { model: Some(model), ..Generator::this_program(None) };
        Provenance {
            synthetic: true,
            synthetic_contrast: Some("T1w".into()),
            description: "SYNTHETIC T1w by mrisynth 0.1.0".into(),
            sources: vec!["a \"quoted\"\nname.nii.gz".into()],
            input_sha256: "cd".into(),
            other_sha256: Vec::new(),
            generated_by: [generator],
            parameters: Parameters {
                source_contrast: Some("T2w".into()),
                input_state: Some("prepared"),
                accept_implausible: false,
                preparation: None,
            },
            quality_control: None,
            image: None,
            cycle_residual: None,
            notice: NOTICE,
        }
    }

    #[test]
    fn both_forms_hold_the_same_fields() {
        let line = example().to_json().unwrap();
        assert!(!line.contains('\n'), "{line}");
        let from_line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let from_sidecar: serde_json::Value = serde_json::from_str(&example().to_sidecar().unwrap()).unwrap();
        assert_eq!(from_line, from_sidecar);
        assert_eq!(from_line["Synthetic"], true);
        assert_eq!(from_line["SyntheticContrast"], "T1w");
        assert_eq!(from_line["InputSHA256"], "cd");
        assert_eq!(from_line["GeneratedBy"][0]["Model"]["sha256"], "ab");
        assert_eq!(from_line["GeneratedBy"][0]["CPUTier"], Tier::current_name());
        assert_eq!(from_line["Parameters"]["InputState"], "prepared");
        for key in ["CycleResidual", "OtherSHA256", "QualityControl", "Image"] {
            assert_eq!(from_line.get(key), None, "{key}");
        }
    }

    #[test]
    fn figures_are_those_of_voxels_that_are_not_zero() {
        let voxels = ndarray::Array3::from_shape_fn((3, 1, 1), |(i, _, _)| 0.5 * i as f32);
        let volume =
            Volume::new(voxels, crate::Affine::from_sizes([10.0, 10.0, 20.0], [0.0; 3]).unwrap()).unwrap();
        let origin =
            example().of_image(&volume, VoxelType::Uint8).with_quality_control(&volume, &["odd".into()]);
        let json: serde_json::Value = serde_json::from_str(&origin.to_json().unwrap()).unwrap();
        let figures = &json["QualityControl"];
        for (name, value) in
            [("NonzeroMillilitres", 4.0), ("Percentile5", 0.525), ("Median", 0.75), ("Percentile95", 0.975)]
        {
            assert!((figures[name].as_f64().unwrap() - value).abs() < 1e-6, "{name}: {figures}");
        }
        assert_eq!(figures["Warnings"], serde_json::json!(["odd"]));
        assert_eq!(json["Image"]["Dims"], serde_json::json!([3, 1, 1]));
        assert_eq!(json["Image"]["VoxelType"], "uint8");
        assert_eq!(json["Image"]["VoxelsSHA256"], digest::sha256(&[0, 128, 255]));
        assert_eq!(json["Image"]["IndexToLPS"][10], 20.0);
        // A map of another kind has its own.
        let map: serde_json::Value = serde_json::from_str(&origin.of_residual().to_json().unwrap()).unwrap();
        assert_eq!((map.get("Image"), map.get("QualityControl")), (None, None));
    }

    #[test]
    fn what_is_made_of_a_synthetic_image_is_called_synthetic() {
        let file = |name: &str| SourceFile { name: name.into(), sha256: name.repeat(2) };
        let of = |synthetic| {
            let (scan, mask) = (file("scan"), file("mask"));
            let origin = Provenance::derived("brain mask".into(), scan, vec![mask], synthetic, false);
            serde_json::from_str::<serde_json::Value>(&origin.to_json().unwrap()).unwrap()
        };
        let real = of(false);
        assert_eq!((&real["Synthetic"], &real["Notice"]), (&false.into(), &DERIVED_NOTICE.into()));
        assert_eq!(real["Sources"], serde_json::json!(["scan", "mask"]));
        assert_eq!((&real["InputSHA256"], &real["OtherSHA256"][0]), (&"scanscan".into(), &"maskmask".into()));
        assert_eq!(real["GeneratedBy"][0].get("Model"), None);
        assert_eq!((&of(true)["Synthetic"], &of(true)["Notice"]), (&true.into(), &NOTICE.into()));
    }

    #[test]
    fn a_residual_says_that_it_is_no_image_and_no_error_map() {
        let map = example().of_residual();
        let description = map.description();
        assert!(description.starts_with("SYNTHETIC ") && description.len() <= 79, "{description}");
        assert!(description.contains("cycle residual of T1w") && description.contains("not an error map"));
        let json: serde_json::Value = serde_json::from_str(&map.to_json().unwrap()).unwrap();
        assert_eq!((&json["Synthetic"], json.get("SyntheticContrast")), (&true.into(), None));
    }

    #[test]
    fn a_file_is_named_without_its_folder_and_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc.nii");
        std::fs::write(&path, "abc").unwrap();
        let source = SourceFile::read(&path).unwrap();
        assert_eq!(source.name, "abc.nii");
        // The example of FIPS 180-2.
        assert_eq!(source.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(matches!(SourceFile::read(&folder.path().join("none")), Err(Error::Io { .. })));
        assert!(matches!(SourceFile::read(folder.path()), Err(Error::InFile { .. })));
    }
}
