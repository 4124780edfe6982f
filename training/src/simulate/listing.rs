//! The list that goes with a simulated cohort: one line of CSV a subject, with everything that was chosen for it.

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::protocol::{Geometry, Maker, Orientation, Protocol, Scan};
use super::signal::{Sequence, Timing};
use super::tissue::FieldStrength;
use crate::data::store;
use crate::error::Error;

/// Columns of a subject.
const SUBJECT: &str = "id,patient,cohort,label_map,origin,maker,field_strength_t";
/// Columns of each contrast, after its name and an underscore.
const SCAN: [&str; 18] = [
    "sequence",
    "repetition_time_ms",
    "echo_time_ms",
    "equivalent_echo_time_ms",
    "inversion_time_ms",
    "flip_angle_deg",
    "echo_spacing_ms",
    "echoes",
    "orientation",
    "slice_thickness_mm",
    "slice_gap_mm",
    "phase_field_of_view_mm",
    "read_field_of_view_mm",
    "phase_matrix",
    "read_matrix",
    "phase_voxel_mm",
    "read_voxel_mm",
    "signal_to_noise",
];
/// Columns of the lesions.
const LESIONS: &str = "lesion_count,lesion_volume_ml";

/// What is listed of one subject.
pub struct Line<'a> {
    pub id: &'a str,
    pub patient: &'a str,
    pub cohort: &'a str,
    /// The label map's file name.
    pub label_map: &'a str,
    pub protocol: &'a Protocol,
    /// Of T1w and T2w.
    pub signal_to_noise: [f32; 2],
    /// Parts of the lesion mask that hang together and have at least 3 voxels.
    pub lesion_count: usize,
    /// In millilitres.
    pub lesion_volume: f32,
}

/// Writes a list one subject at a time; nothing appears under the final name before [`Listing::finish`].
pub struct Listing {
    path: PathBuf,
    file: NamedTempFile,
}

impl Listing {
    /// Starts the list that belongs to a store: `cohort.store` has `cohort.protocols.csv`.
    ///
    /// # Errors
    /// [`Error::Io`] if its folder cannot be written to.
    pub fn beside(store: &Path) -> Result<Self, Error> {
        let mut path = store.to_owned();
        if path.extension().is_some_and(|extension| extension == "store") {
            path.set_extension("");
        }
        path.as_mut_os_string().push(".protocols.csv");
        let file = store::temporary_in(store::folder_of(&path)).map_err(|fault| Error::io(&path, fault))?;
        let mut listing = Self { path, file };
        listing.write(&header())?;
        Ok(listing)
    }

    /// Adds a subject.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written.
    pub fn append(&mut self, line: &str) -> Result<(), Error> {
        self.write(line)
    }

    /// Gives the list its final name, over an older list.
    ///
    /// # Errors
    /// [`Error::Io`] if that fails.
    pub fn finish(mut self) -> Result<(), Error> {
        self.file.flush().map_err(|fault| Error::io(&self.path, fault))?;
        self.file.persist(&self.path).map_err(|fault| Error::io(&self.path, fault.error))?;
        Ok(())
    }

    fn write(&mut self, line: &str) -> Result<(), Error> {
        writeln!(self.file, "{line}").map_err(|fault| Error::io(&self.path, fault))
    }
}

fn header() -> String {
    let scan = |contrast: &str| SCAN.map(|column| format!("{contrast}_{column}")).join(",");
    [SUBJECT.to_owned(), scan("t1w"), scan("t2w"), LESIONS.to_owned()].join(",")
}

impl Line<'_> {
    /// The line of CSV, without its end.
    pub fn to_csv(&self) -> String {
        let maker = match self.protocol.maker {
            Maker::Siemens => "Siemens",
            Maker::Ge => "GE",
        };
        let strength = match self.protocol.strength {
            FieldStrength::Tesla1p5 => "1.5",
            FieldStrength::Tesla3 => "3",
        };
        let mut fields: Vec<String> =
            [self.id, self.patient, self.cohort, self.label_map, "simulated", maker, strength]
                .map(quoted)
                .into();
        fields.extend(scan_fields(&self.protocol.t1w, self.signal_to_noise[0]));
        fields.extend(scan_fields(&self.protocol.t2w, self.signal_to_noise[1]));
        fields.push(self.lesion_count.to_string());
        fields.push(number(self.lesion_volume));
        fields.join(",")
    }
}

fn scan_fields(scan: &Scan, signal_to_noise: f32) -> [String; SCAN.len()] {
    let Timing { repetition_time, echo_time, equivalent_echo_time, .. } = scan.sequence.timing();
    let Timing { inversion_time, flip_angle, echo_spacing, echoes, .. } = scan.sequence.timing();
    let Geometry { thickness, gap, field_of_view, matrix, orientation } = scan.geometry;
    let [phase_voxel, read_voxel] = scan.geometry.in_plane_sizes();
    let if_any = |value: Option<f32>| value.map(number).unwrap_or_default();
    [
        sequence_name(&scan.sequence).into(),
        number(repetition_time),
        number(echo_time),
        number(equivalent_echo_time),
        if_any(inversion_time),
        number(flip_angle),
        if_any(echo_spacing),
        if_any(echoes),
        orientation_name(orientation).into(),
        number(thickness),
        number(gap),
        number(field_of_view[0]),
        number(field_of_view[1]),
        matrix[0].to_string(),
        matrix[1].to_string(),
        number(phase_voxel),
        number(read_voxel),
        number(signal_to_noise),
    ]
}

fn sequence_name(sequence: &Sequence) -> &'static str {
    match sequence {
        Sequence::Mprage(_) => "MPRAGE",
        Sequence::SpoiledGradientEcho { .. } => "FSPGR",
        Sequence::SpinEcho { .. } => "SE",
        Sequence::TurboSpinEcho(timing) if timing.variable_angles => "SPACE",
        Sequence::TurboSpinEcho(_) => "TSE",
    }
}

fn orientation_name(orientation: Orientation) -> &'static str {
    match orientation {
        Orientation::Sagittal => "sagittal",
        Orientation::Axial => "axial",
    }
}

/// With at most three decimals.
fn number(value: f32) -> String {
    ((f64::from(value) * 1000.0).round() / 1000.0).to_string()
}

/// In quotation marks where the text needs them (RFC 4180).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Random;
    use super::super::cohort::Cohort;
    use super::*;

    #[test]
    fn a_list_is_named_after_its_store() {
        let folder = tempfile::tempdir().unwrap();
        for (store, list) in [
            ("a-0.7mm.store", "a-0.7mm.protocols.csv"),
            ("a-0.7mm", "a-0.7mm.protocols.csv"),
            ("b", "b.protocols.csv"),
        ] {
            Listing::beside(&folder.path().join(store)).unwrap().finish().unwrap();
            let text = std::fs::read_to_string(folder.path().join(list)).unwrap();
            assert_eq!(text.trim_end(), header());
            std::fs::remove_file(folder.path().join(list)).unwrap();
        }
        assert!(Listing::beside(&folder.path().join("none/c.store")).is_err());
    }

    #[test]
    fn a_line_has_the_fields_that_the_header_names() {
        let (protocol, _) = Cohort::Streamlined0p7mm.draw(&mut Random::new(1, 0));
        let line = Line {
            id: "streamlined-0.7mm-0000",
            patient: "streamlined-0.7mm-a, \"b\"",
            cohort: "streamlined-0.7mm",
            label_map: "ab.nii.gz",
            protocol: &protocol,
            signal_to_noise: [30.0, 31.5],
            lesion_count: 2,
            lesion_volume: 1.23456,
        };
        let line = line.to_csv();
        let line = line.strip_prefix("streamlined-0.7mm-0000,\"streamlined-0.7mm-a, \"\"b\"\"\",").unwrap();
        let fields: Vec<&str> = line.split(',').collect();
        let header = header();
        let columns: Vec<&str> = header.split(',').skip(2).collect();
        assert_eq!(fields.len(), columns.len());
        let field = |column: &str| fields[columns.iter().position(|c| *c == column).unwrap()];
        assert_eq!(field("field_strength_t"), "3");
        assert_eq!(field("t1w_sequence"), "MPRAGE");
        assert_eq!(field("t1w_echo_time_ms"), "2.14");
        assert_eq!(field("t1w_inversion_time_ms"), "1000");
        assert_eq!(field("t2w_sequence"), "SPACE");
        assert_eq!(field("t2w_equivalent_echo_time_ms"), "100");
        assert_eq!(field("t2w_inversion_time_ms"), "");
        assert_eq!(field("t2w_read_voxel_mm"), "0.7");
        assert_eq!(field("lesion_volume_ml"), "1.235");
    }
}
