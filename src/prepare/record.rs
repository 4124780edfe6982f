//! What was done to a scan, and what was found, for a file beside the results.

use ndarray::Array3;
use serde::Serialize;
use serde_json::Value;

use super::bias::BiasField;
use super::extract::Extraction;
use super::normalize::{Scale, Scaling};
use super::register::{Registration, template};
use super::{BiasCorrection, Coverage, Options};
use crate::volume::{Grid, Volume};
use crate::{Error, Result};

/// Every parameter of a preparation and what it found. Nothing in it tells the time or the machine.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    software: &'static str,
    version: &'static str,
    notice: &'static str,
    scan: GridRecord,
    parameters: Parameters,
    brain_extraction: Value,
    bias_correction: Value,
    registration: Value,
    /// Row-major, LPS millimetres: from a point of the standard space to the scan's.
    standard_to_scan_lps: Option<[f64; 16]>,
    standard: Option<GridRecord>,
    normalization: Option<Scale>,
    warnings: Vec<String>,
}

/// A [`Record`] in short, as a synthetic image carries it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Summary {
    bias_correction: &'static str,
    brain_mask: &'static str,
    #[serde(rename = "BrainMillilitres")]
    brain_ml: Option<f64>,
    #[serde(rename = "OverlapWithMNI152")]
    overlap: Option<f64>,
    #[serde(rename = "StandardToScanLPS")]
    standard_to_scan_lps: Option<[f64; 16]>,
    warnings: Vec<String>,
}

/// The grid of an image.
#[derive(Clone, Debug, Serialize)]
struct GridRecord {
    dims: [usize; 3],
    voxel_sizes_mm: [f64; 3],
    /// Row-major, voxel index to LPS millimetres.
    index_to_lps: [f64; 16],
}

impl GridRecord {
    fn of(grid: &Grid) -> Self {
        Self {
            dims: grid.dims,
            voxel_sizes_mm: grid.affine.voxel_sizes(),
            index_to_lps: row_major(grid.affine.to_lps()),
        }
    }
}

#[derive(Clone, Debug, Serialize)]
struct Parameters {
    bias_correction: &'static str,
    brain_mask: &'static str,
    coverage: &'static str,
    scaling: &'static str,
}

fn row_major(rows: [[f64; 4]; 4]) -> [f64; 16] {
    let mut numbers = [0.0; 16];
    numbers.iter_mut().zip(rows.iter().flatten()).for_each(|(number, entry)| *number = *entry);
    numbers
}

impl Record {
    /// The record of a preparation that begins.
    pub(super) fn new(scan: &Volume, options: &Options) -> Self {
        let parameters = Parameters {
            bias_correction: match options.bias {
                BiasCorrection::Skip => "none",
                BiasCorrection::Brain => "N4 inside the brain",
                BiasCorrection::Itk => "N4 inside the head, as ITK",
            },
            brain_mask: if options.mask.is_some() { "given" } else { "found" },
            coverage: match options.coverage {
                Coverage::Brain => "brain",
                Coverage::WholeHead => "whole head",
            },
            scaling: match options.scaling {
                Scaling::Percentile => "0 to the 99.5th percentile of the brain",
                Scaling::MinimumMaximum => "minimum to maximum of the brain",
            },
        };
        Self {
            software: "mrisynth",
            version: env!("CARGO_PKG_VERSION"),
            notice: "Research software, not a medical device.",
            scan: GridRecord::of(&scan.grid()),
            parameters,
            brain_extraction: Value::Null,
            bias_correction: Value::Null,
            registration: Value::Null,
            standard_to_scan_lps: None,
            standard: None,
            normalization: None,
            warnings: Vec::new(),
        }
    }

    /// What the extraction found.
    pub(super) fn extraction(&mut self, extraction: &Extraction) {
        self.brain_extraction = serde_json::json!({
            "already_stripped": extraction.already_stripped,
            "brain_ml": extraction.millilitres,
            "sharpness": extraction.sharpness,
            "cut_square_centimetres": extraction.cut_square_centimetres,
        });
    }

    /// The brain was given.
    pub(super) fn given_mask(&mut self, mask: &Array3<bool>, scan: &Volume) {
        self.brain_extraction = serde_json::json!({ "brain_ml": millilitres(mask, scan) });
    }

    /// What N4 found.
    ///
    /// # Errors
    /// [`Error::Internal`], which would be a defect.
    pub(super) fn bias(&mut self, field: &BiasField) -> Result<()> {
        self.bias_correction = serde_json::to_value(field.report()).map_err(not_json)?;
        Ok(())
    }

    /// What the registration found.
    ///
    /// # Errors
    /// [`Error::Internal`], which would be a defect.
    pub(super) fn registration(&mut self, registration: &Registration) -> Result<()> {
        self.registration = serde_json::to_value(registration).map_err(not_json)?;
        self.standard_to_scan_lps = Some(row_major(registration.transform.to_lps()));
        self.standard = Some(GridRecord::of(&template::standard_grid()));
        Ok(())
    }

    pub(super) fn scale(&mut self, scale: &Scale) {
        self.normalization = Some(*scale);
    }

    pub(super) fn warn(&mut self, warnings: Vec<String>) {
        self.warnings.extend(warnings);
    }

    /// The brain's volume in millilitres, once it is known.
    pub fn brain_ml(&self) -> Option<f64> {
        self.brain_extraction.get("brain_ml")?.as_f64()
    }

    /// Voxels in common (Dice) of the scan's brain and that of MNI152, once it is placed there.
    pub fn overlap(&self) -> Option<f64> {
        self.registration.get("overlap")?.as_f64()
    }

    /// What the result of a synthesis depends on and what was found, in short.
    pub fn summary(&self) -> Summary {
        Summary {
            bias_correction: self.parameters.bias_correction,
            brain_mask: self.parameters.brain_mask,
            brain_ml: self.brain_ml(),
            overlap: self.overlap(),
            standard_to_scan_lps: self.standard_to_scan_lps,
            warnings: self.warnings.clone(),
        }
    }

    /// What needs a look, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// JSON for a reader; ends in a newline.
    ///
    /// # Errors
    /// [`Error::Internal`], which would be a defect.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n").map_err(not_json)
    }
}

fn millilitres(mask: &Array3<bool>, scan: &Volume) -> f64 {
    let voxel: f64 = scan.affine().voxel_sizes().iter().product();
    mask.iter().filter(|inside| **inside).count() as f64 * voxel / 1000.0
}

fn not_json(fault: serde_json::Error) -> Error {
    Error::Internal(format!("the record could not be written as JSON: {fault}"))
}
