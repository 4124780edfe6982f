//! What goes with a synthetic image wherever it goes: that it is synthetic, from what, and by which model.
//!
//! The fields are those of a BIDS derivative's sidecar where BIDS has a name for them. Nothing in it tells the time or
//! the machine, so that the same input gives the same bytes.

use std::path::Path;

use serde::Serialize;

use crate::model::Model;
use crate::prepare::{Record, Summary};
use crate::residual;
use crate::synthesize::{InputState, Options};
use crate::{Error, Result, digest, regular_file};

/// Says on every output what it must not be taken for.
pub const NOTICE: &str = "Synthetic image: an estimate made by a neural network, not acquired by a scanner. It may lack \
                          or invent findings. Research software, not a medical device; not for diagnosis.";

/// Says on every cycle residual what it must not be taken for.
pub const RESIDUAL_NOTICE: &str = "Absolute difference inside the brain, on a scale of 0 to 1, between the scan and what \
                                   a second model makes of the synthetic image. It is not the error of that image: a \
                                   low value does not prove it right, for both models can agree on a mistake; a high \
                                   one shows where to look.";

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
    /// [`Error::Io`] if it cannot be read, [`Error::InvalidArgument`] if it is no regular file.
    pub fn read(path: &Path) -> Result<Self> {
        let file = regular_file::open(path, Error::InvalidArgument)?;
        let sha256 = digest::sha256_of(file).map_err(|fault| Error::io(path, fault))?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name, sha256 })
    }
}

/// The origin of a synthetic image, ready to be written as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Provenance {
    synthetic: bool,
    /// None for what is no image of a contrast.
    #[serde(skip_serializing_if = "Option::is_none")]
    synthetic_contrast: Option<String>,
    description: String,
    sources: [String; 1],
    #[serde(rename = "InputSHA256")]
    input_sha256: String,
    generated_by: [Generator; 1],
    parameters: Parameters,
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
    model: ModelIdentity,
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
    source_contrast: String,
    input_state: &'static str,
    accept_implausible: bool,
    /// How a raw scan was prepared.
    #[serde(skip_serializing_if = "Option::is_none")]
    preparation: Option<Summary>,
}

impl Provenance {
    /// The origin of what `model` makes of `source` with `options`.
    pub fn new(model: &Model, source: SourceFile, options: &Options, accept_implausible: bool) -> Self {
        let card = model.card();
        let version = env!("CARGO_PKG_VERSION");
        Self {
            synthetic: true,
            synthetic_contrast: Some(card.target.to_string()),
            description: format!("SYNTHETIC {} by mrisynth {version}", card.target),
            sources: [source.name],
            input_sha256: source.sha256,
            generated_by: [Generator { name: "mrisynth", version, model: ModelIdentity::of(model) }],
            parameters: Parameters {
                source_contrast: card.source.to_string(),
                input_state: match options.input_state {
                    InputState::Raw => "raw",
                    InputState::Prepared => "prepared",
                },
                accept_implausible,
                preparation: None,
            },
            cycle_residual: None,
            notice: NOTICE,
        }
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
        Provenance {
            synthetic: true,
            synthetic_contrast: Some("T1w".into()),
            description: "SYNTHETIC T1w by mrisynth 0.1.0".into(),
            sources: ["a \"quoted\"\nname.nii.gz".into()],
            input_sha256: "cd".into(),
            generated_by: [Generator { name: "mrisynth", version: "0.1.0", model }],
            parameters: Parameters {
                source_contrast: "T2w".into(),
                input_state: "prepared",
                accept_implausible: false,
                preparation: None,
            },
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
        assert_eq!(from_line["Parameters"]["InputState"], "prepared");
        assert_eq!(from_line.get("CycleResidual"), None);
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
    }
}
