//! `mrisynth prepare`: a raw scan in, what each stage of its preparation made of it out.

use std::path::PathBuf;
use std::time::Instant;

use mrisynth::model::Contrast;
use mrisynth::nifti::{Header, Image, VoxelType};
use mrisynth::prepare::{BiasCorrection, Prepared, Record, correct_as_itk};
use mrisynth::provenance::{Provenance, SourceFile, says_synthetic};
use mrisynth::{Error, Result, Transform, Volume, prepare};
use ndarray::Array3;
use serde::Serialize;

use crate::arguments::PrepareArguments;
use crate::batch::{self, Item, Plan};
use crate::dataset::{Dataset, IS_SYNTHETIC, is_synthetic};
use crate::exit::{self, Ending};
use crate::names::ScanName;
use crate::output::{Kept, Outputs, Staging, sidecar_path, write_image};
use crate::report::{Console, one_line, print, print_json};
use crate::run::{
    IS_INPUT, IS_INPUTS_SIDECAR, IS_MASK, Task, check_input, check_single, name_of, on_threads, read_mask,
    read_scan, thread_count, verbosity, with_control,
};
use crate::sheet::{self, Subject};

const CORRECTED: &str = "corrected.nii.gz";
const BIAS: &str = "bias.nii.gz";
const MASK: &str = "mask.nii.gz";
const STANDARD: &str = "standard.nii.gz";
const TRANSFORM: &str = "standard_to_scan.txt";
const RECORD: &str = "prepare.json";
/// What is made of a scan, in the order in which it appears: where there is a record, the rest is there too.
const ALL: [&str; 6] = [CORRECTED, BIAS, MASK, STANDARD, TRANSFORM, RECORD];
/// What is made of a scan whose bias field alone is corrected.
const BIAS_ONLY: [&str; 2] = [BIAS, CORRECTED];

/// A result as `--json` shows it.
#[derive(Serialize)]
pub struct Success {
    input: String,
    output: String,
    files: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qc: Option<String>,
    brain_ml: Option<f64>,
    overlap: Option<f64>,
    dims: [usize; 3],
    threads: usize,
    seconds: f64,
    warnings: Vec<String>,
}

/// `prepare.json`: the library's record, and which file it is about.
#[derive(Serialize)]
struct RecordFile<'a> {
    /// Whether the scan was synthetic, and so is what was made of it.
    synthetic: bool,
    input: &'a str,
    input_sha256: &'a str,
    accept_implausible: bool,
    #[serde(flatten)]
    record: &'a Record,
}

/// Prepares as the arguments say, and prints the result.
///
/// # Errors
/// Any of the library's; then nothing was written.
pub fn run(arguments: &PrepareArguments) -> Result<Ending> {
    if arguments.bias_only && arguments.preparation.bias != BiasCorrection::Itk {
        return Err(Error::InvalidArgument("--bias-only needs --bias itk".into()));
    }
    if arguments.input.is_dir() {
        return run_batch(arguments);
    }
    let task = Task {
        input: arguments.input.clone(),
        output: arguments.output.clone(),
        sheet: arguments.preparation.qc.clone(),
        residual: None,
    };
    check_single(&task, &arguments.run)?;
    let console = Console::new(verbosity(&arguments.run));
    let outcome = prepare_scan(arguments, &task, &console);
    console.finish();
    let success = outcome?;
    if arguments.run.json {
        print_json(&success)?;
    } else if !arguments.run.quiet {
        print(&one_line(&success.to_line()))?;
    }
    Ok(exit::OK)
}

/// Prepares every scan of a folder, each into a folder of its own name.
fn run_batch(arguments: &PrepareArguments) -> Result<Ending> {
    let (folder, output, options) = (&arguments.input, &arguments.output, &arguments.preparation);
    batch::check_arguments(output, options.mask.as_deref(), &[options.qc.as_deref()])?;
    let dataset = Dataset::find(folder, &[Contrast::T1w, Contrast::T2w])?;
    let item = |scan: PathBuf| {
        let input = folder.join(&scan);
        let stem = ScanName::of(&scan).map_or_else(|| name_of(&scan), |name| name.stem);
        let results = output.join(scan.with_file_name(&stem));
        let last = results.join(if arguments.bias_only { CORRECTED } else { RECORD });
        let plan = if is_synthetic(&input) {
            Plan::Skip(IS_SYNTHETIC.into())
        } else {
            let sheet = options.qc.as_deref().map(|folder| batch::sheet_in(folder, &stem));
            Plan::of(Task { input, output: results, sheet, residual: None }, &last, &arguments.run)
        };
        Item { name: scan, plan }
    };
    let mut items: Vec<_> = dataset.scans.iter().cloned().map(item).collect();
    batch::refuse_collisions(&mut items, |task| task.output.clone());
    batch::run(items, &arguments.run, |task, console| prepare_scan(arguments, task, console))
}

impl Success {
    fn to_line(&self) -> String {
        let files = self.files.join(", ");
        let brain = self.brain_ml.map(|ml| format!("; brain {ml:.0} ml")).unwrap_or_default();
        let overlap = self.overlap.map(|dice| format!(", Dice with MNI152 {dice:.2}")).unwrap_or_default();
        format!("{}: {files} in {:.1} s{brain}{overlap}", self.output, self.seconds)
    }
}

/// Prepares one scan and writes the results into the task's folder.
///
/// # Errors
/// Any of the library's; then nothing was written.
pub fn prepare_scan(arguments: &PrepareArguments, task: &Task, console: &Console) -> Result<Success> {
    let start = Instant::now();
    check_input(&task.input)?;
    let names = if arguments.bias_only { &BIAS_ONLY[..] } else { &ALL[..] };
    let outputs = Outputs::check(places(task, names), &kept(arguments, task), arguments.run.force)?;
    let image = read_scan(&task.input, &arguments.run, console)?;
    let source = SourceFile::read(&task.input)?;
    let results = Results { arguments, task, console, image: &image, source, outputs: &outputs };
    let record = if arguments.bias_only {
        results.write_corrected()?;
        None
    } else {
        Some(results.write_prepared()?)
    };
    Ok(Success {
        input: task.input.display().to_string(),
        output: task.output.display().to_string(),
        files: names.iter().map(ToString::to_string).collect(),
        qc: task.sheet.as_ref().map(|sheet| sheet.display().to_string()),
        brain_ml: record.as_ref().and_then(Record::brain_ml),
        overlap: record.as_ref().and_then(Record::overlap),
        dims: image.volume.dims(),
        threads: thread_count(arguments.run.threads),
        seconds: start.elapsed().as_secs_f64(),
        warnings: console.warnings(),
    })
}

/// Where the results go.
fn places(task: &Task, names: &[&str]) -> Vec<PathBuf> {
    task.sheet.iter().cloned().chain(names.iter().map(|name| task.output.join(name))).collect()
}

fn kept(arguments: &PrepareArguments, task: &Task) -> Vec<Kept> {
    let input = [(task.input.clone(), IS_INPUT), (sidecar_path(&task.input), IS_INPUTS_SIDECAR)];
    let mask = arguments.preparation.mask.iter().map(|mask| (mask.clone(), IS_MASK));
    input.into_iter().chain(mask).collect()
}

/// What is made of one scan, and where it goes.
struct Results<'a> {
    arguments: &'a PrepareArguments,
    task: &'a Task,
    console: &'a Console,
    image: &'a Image,
    source: SourceFile,
    outputs: &'a Outputs,
}

impl Results<'_> {
    /// Corrects the bias field, and nothing else.
    fn write_corrected(&self) -> Result<()> {
        let (run, scan) = (&self.arguments.run, &self.image.volume);
        let done = with_control(run, self.console, (0.0, 1.0), |control| correct_as_itk(scan, control))
            .map_err(|fault| fault.in_file(&self.task.input))?;
        self.timed_writing(|| {
            let staging = self.outputs.stage()?;
            self.write_pair(&staging, &done.corrected, &done.bias)?;
            staging.publish()
        })
    }

    fn timed_writing(&self, write: impl FnOnce() -> Result<()> + Send) -> Result<()> {
        self.console.timed("writing", || on_threads(&self.arguments.run, write))
    }

    fn write_prepared(&self) -> Result<Record> {
        let (run, scan) = (&self.arguments.run, &self.image.volume);
        let mask = self.arguments.preparation.mask.as_deref();
        let mask = mask.map(|mask| read_mask(mask, &scan.grid())).transpose()?;
        let options = prepare::Options { mask, ..self.arguments.options() };
        let prepared =
            with_control(run, self.console, (0.0, 1.0), |control| prepare(scan, &options, control))
                .map_err(|fault| fault.in_file(&self.task.input))?;
        self.timed_writing(|| self.publish(&prepared))?;
        Ok(prepared.record)
    }

    fn publish(&self, prepared: &Prepared) -> Result<()> {
        let (scan, staging) = (&self.image.volume, self.outputs.stage()?);
        self.write_pair(&staging, &prepared.corrected, &prepared.bias)?;
        let mask = as_volume(&prepared.mask, scan)?;
        self.write_image(&staging, MASK, &mask, &self.image.header, VoxelType::Label, "brain mask")?;
        let header = Header::for_grid(&prepared.standard.grid()).in_mni152();
        let description = "prepared scan on the MNI152 grid";
        let voxel_type = VoxelType::Float32;
        self.write_image(&staging, STANDARD, &prepared.standard, &header, voxel_type, description)?;
        self.write_text(&staging, TRANSFORM, &itk_transform(&prepared.standard_to_scan))?;
        self.write_text(&staging, RECORD, &self.record_file(&prepared.record)?)?;
        if let Some(sheet) = &self.task.sheet {
            staging.write_bytes(sheet, &self.sheet(prepared)?)?;
        }
        staging.publish()
    }

    fn sheet(&self, prepared: &Prepared) -> Result<Vec<u8>> {
        sheet::draw(&Subject {
            name: &name_of(&self.task.input),
            scan: &self.image.volume,
            prepared: Some(prepared),
            synthetic: None,
            residual: None,
            warnings: &self.console.warnings(),
        })
    }

    fn write_pair(&self, staging: &Staging<'_>, corrected: &Volume, bias: &Volume) -> Result<()> {
        let header = &self.image.header;
        let float = VoxelType::Float32;
        self.write_image(staging, BIAS, bias, header, float, "multiplicative bias field")?;
        self.write_image(staging, CORRECTED, corrected, header, float, "bias-corrected scan")
    }

    fn write_image(
        &self,
        staging: &Staging<'_>,
        name: &str,
        volume: &Volume,
        header: &Header,
        voxel_type: VoxelType,
        what: &str,
    ) -> Result<()> {
        let origin = Provenance::derived(
            self.description(what),
            self.source.clone(),
            Vec::new(),
            self.is_synthetic(),
            self.arguments.run.accept_implausible,
        );
        let origin = origin.of_image(volume, voxel_type);
        write_image(staging, &self.task.output.join(name), volume, header, &origin, voxel_type)
    }

    /// What is prepared of a synthetic image says so too.
    fn description(&self, what: &str) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let of = if self.is_synthetic() { "SYNTHETIC: " } else { "" };
        format!("{of}{what} by mrisynth {version}")
    }

    fn is_synthetic(&self) -> bool {
        says_synthetic(self.image.header.description())
    }

    fn write_text(&self, staging: &Staging<'_>, name: &str, text: &str) -> Result<()> {
        staging.write_bytes(&self.task.output.join(name), text.as_bytes())
    }

    fn record_file(&self, record: &Record) -> Result<String> {
        let file = RecordFile {
            synthetic: self.is_synthetic(),
            input: &self.source.name,
            input_sha256: &self.source.sha256,
            accept_implausible: self.arguments.run.accept_implausible,
            record,
        };
        let text = serde_json::to_string_pretty(&file);
        text.map(|text| text + "\n").map_err(|fault| Error::Internal(fault.to_string()))
    }
}

/// A mask as an image of 0 and 1.
fn as_volume(mask: &Array3<bool>, scan: &Volume) -> Result<Volume> {
    Volume::new(mask.mapv(|inside| if inside { 1.0 } else { 0.0 }), *scan.affine())
}

/// A transform file as ITK reads and writes it: the matrix row by row and then the translation, between LPS millimetres,
/// about the origin (`itkTxtTransformIO.cxx`, `itkMatrixOffsetTransformBase.h`).
fn itk_transform(transform: &Transform) -> String {
    let rows = transform.to_lps();
    let matrix = rows[..3].iter().flat_map(|row| &row[..3]);
    let translation = rows[..3].iter().map(|row| &row[3]);
    // The shortest digits that read back as the same numbers.
    let parameters: Vec<_> = matrix.chain(translation).map(ToString::to_string).collect();
    format!(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\nParameters: {}\n\
         FixedParameters: 0 0 0\n",
        parameters.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transform_is_written_as_itk_has_it() {
        let rows =
            [[0.5, 0.25, 0.0, 10.0], [0.0, 1.0, -0.125, 20.5], [0.0, 0.0, 2.0, -1e-7], [0.0, 0.0, 0.0, 1.0]];
        let text = itk_transform(&Transform::from_lps(rows).unwrap());
        assert_eq!(
            text,
            "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n\
             Parameters: 0.5 0.25 0 0 1 -0.125 0 0 2 10 20.5 -0.0000001\nFixedParameters: 0 0 0\n"
        );
    }
}
