//! What goes with a synthetic image wherever it goes: that it is synthetic, from what, and by which model.
//!
//! The fields are those of a BIDS derivative's sidecar where BIDS has a name for them. Nothing in it tells the time or
//! the machine, so that the same input gives the same bytes.

use std::fs::File;
use std::path::Path;

use serde::Serialize;

use crate::model::Model;
use crate::prepare::{Record, Summary};
use crate::synthesize::{InputState, Options};
use crate::{Error, Result, digest};

/// Says on every output what it must not be taken for.
pub const NOTICE: &str = "Synthetic image: an estimate made by a neural network, not acquired by a scanner. It may lack \
                          or invent findings. Research software, not a medical device; not for diagnosis.";

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
    /// [`Error::Io`] if it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        let sha256 = File::open(path).and_then(digest::sha256_of).map_err(|fault| Error::io(path, fault))?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { name, sha256 })
    }
}

/// The origin of a synthetic image, ready to be written as JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Provenance {
    synthetic: bool,
    synthetic_contrast: String,
    description: String,
    sources: [String; 1],
    #[serde(rename = "InputSHA256")]
    input_sha256: String,
    generated_by: [Generator; 1],
    parameters: Parameters,
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
        let model = ModelIdentity {
            name: card.name.clone(),
            version: card.version.clone(),
            sha256: model.sha256().to_owned(),
            license: card.get("license").map(str::to_owned),
        };
        Self {
            synthetic: true,
            synthetic_contrast: card.target.to_string(),
            description: format!("SYNTHETIC {} by mrisynth {version}", card.target),
            sources: [source.name],
            input_sha256: source.sha256,
            generated_by: [Generator { name: "mrisynth", version, model }],
            parameters: Parameters {
                source_contrast: card.source.to_string(),
                input_state: match options.input_state {
                    InputState::Raw => "raw",
                    InputState::Prepared => "prepared",
                },
                accept_implausible,
                preparation: None,
            },
            notice: NOTICE,
        }
    }

    /// This origin, with how the scan was prepared.
    #[must_use]
    pub fn with_preparation(mut self, record: &Record) -> Self {
        self.parameters.preparation = Some(record.summary());
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
            synthetic_contrast: "T1w".into(),
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
