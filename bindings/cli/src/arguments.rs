//! The command line: every option once, with the help that goes with it.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand, value_parser};
use mrisynth::model::Contrast;
use mrisynth::nifti::VoxelType;
use mrisynth::prepare::{self, BiasCorrection, Coverage, normalize::Scaling};

use mrisynth_evaluation::study::summary as study;

use crate::evaluate;
use crate::exit;
use crate::memory_size;

const NOTICE: &str = "Research software, not a medical device. A synthetic image is an estimate.";

/// More threads than this are a slip of the finger.
const MAX_THREADS: i64 = 1024;

const EXAMPLES: &str = "\
Examples:
  mrisynth synthesize subject_T2w.nii.gz -o subject_T1w.nii.gz --to t1w
  mrisynth prepare subject_T2w.nii.gz -o prepared
  mrisynth segment prepared_T1w.nii.gz -o tissues.nii.gz
  mrisynth evaluate --reference real_T1w.nii.gz --synthetic synthetic_T1w.nii.gz
  mrisynth verify synthetic_T1w.nii.gz
  mrisynth model list
  mrisynth selftest";

const SYNTHESIZE_EXAMPLES: &str = "\
Examples:
  mrisynth synthesize subject_T2w.nii.gz -o subject_T1w.nii.gz --to t1w --qc subject.png
  mrisynth synthesize t1.nii -o t2.nii --to t2w --prepared --dtype int16 --threads 4
  mrisynth synthesize t2.nii.gz -o t1.nii.gz --to t1w --model own.onnx --json
  mrisynth synthesize t2.nii.gz -o t1.nii.gz --to t1w --residual t1_residual.nii.gz
  mrisynth synthesize dataset -o dataset/derivatives/mrisynth --to t1w";

const PREPARE_EXAMPLES: &str = "\
Examples:
  mrisynth prepare subject_T2w.nii.gz -o prepared --qc prepared.png
  mrisynth prepare subject_T1w.nii.gz -o prepared --mask brain.nii.gz --no-bias
  mrisynth prepare subject_T1w.nii.gz -o corrected --bias itk --bias-only
  mrisynth prepare dataset -o prepared";

const SEGMENT_EXAMPLES: &str = "\
Examples:
  mrisynth segment t1w.nii.gz -o tissues.nii.gz
  mrisynth segment t1w.nii.gz -o tissues.nii.gz --flair flair.nii.gz --lesions-output lesions.nii.gz
  mrisynth segment t1w.nii.gz -o tissues.nii.gz --mask brain.nii.gz --lesions expert.nii.gz --json
  mrisynth segment t2w.nii.gz -o tissues.nii.gz --contrast t2w";

const EVALUATE_EXAMPLES: &str = "\
Examples:
  mrisynth evaluate --reference real_T1w.nii.gz --synthetic synthetic_T1w.nii.gz --mask brain.nii.gz
  mrisynth evaluate --reference real.nii.gz --synthetic synthetic.nii.gz --lesions-reference real_lesions.nii.gz \
--lesions-synthetic synthetic_lesions.nii.gz --json result.json
  mrisynth evaluate --reference real.nii.gz --synthetic synthetic.nii.gz --labels-reference real_synthseg.nii.gz \
--labels-synthetic synthetic_synthseg.nii.gz --json -
  mrisynth evaluate --study study.csv --normalize -o results";

const LIST_EXAMPLES: &str = "\
Examples:
  mrisynth model list
  mrisynth model list --json";

const INFO_EXAMPLES: &str = "\
Examples:
  mrisynth model info t1w-from-t2w
  mrisynth model info --cpu
  mrisynth model info own.onnx --json";

const VERIFY_EXAMPLES: &str = "\
Examples:
  mrisynth verify subject_T1w.nii.gz
  mrisynth verify subject_T1w.nii.gz --input subject_T2w.nii.gz --json
  mrisynth verify subject_T1w.nii.gz --model own.onnx";

const SELFTEST_EXAMPLES: &str = "\
Examples:
  mrisynth selftest
  mrisynth selftest --json > acceptance.json";

const MODEL_VERIFY_EXAMPLES: &str = "\
Examples:
  mrisynth model verify own.onnx
  mrisynth model verify own.onnx --public-key maker.pub
  mrisynth model verify own.onnx --sha256 \"$(cut -d' ' -f1 own.onnx.sha256)\"";

/// What stands below the options of every command.
fn after_help(examples: &str) -> String {
    format!("{examples}\n\n{}\n{NOTICE}", exit::table())
}

/// Synthesizes the missing T1w or T2w brain MRI contrast from the one at hand.
#[derive(Debug, Parser)]
#[command(name = "mrisynth", version, after_help = after_help(EXAMPLES))]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prepare raw scans: bias field, brain, place in MNI152, intensities
    #[command(after_help = after_help(PREPARE_EXAMPLES))]
    Prepare(PrepareArguments),
    /// Synthesize the other contrast of raw or prepared scans
    #[command(after_help = after_help(SYNTHESIZE_EXAMPLES))]
    Synthesize(SynthesizeArguments),
    /// Segment a prepared scan: fluid, grey and white matter, and lesions, for evaluate where there are no other masks
    #[command(after_help = after_help(SEGMENT_EXAMPLES))]
    Segment(SegmentArguments),
    /// Measure how near synthetic images are to real ones, a pair or a study: fidelity, lesions, texture, volumes
    #[command(after_help = after_help(EVALUATE_EXAMPLES))]
    Evaluate(EvaluateArguments),
    /// Check that an image is what its record says, and perhaps its scan and its model
    #[command(after_help = after_help(VERIFY_EXAMPLES))]
    Verify(VerifyArguments),
    /// Check this installation: the whole road on a made-up scan, compared with results from where it was built
    #[command(after_help = after_help(SELFTEST_EXAMPLES))]
    Selftest(SelftestArguments),
    /// List, show or verify models
    #[command(after_help = after_help(LIST_EXAMPLES))]
    Model {
        #[command(subcommand)]
        command: ModelCommand,
    },
}

impl Command {
    /// True if results and errors are to be JSON on standard output.
    pub fn wants_json(&self) -> bool {
        match self {
            Self::Prepare(arguments) => arguments.run.json,
            Self::Synthesize(arguments) => arguments.run.json,
            Self::Segment(arguments) => arguments.json,
            Self::Evaluate(arguments) => evaluate::wants_json(arguments),
            Self::Verify(arguments) => arguments.json,
            Self::Selftest(arguments) => arguments.json,
            Self::Model { command: ModelCommand::List { json } | ModelCommand::Info { json, .. } } => *json,
            Self::Model { command: ModelCommand::Verify { .. } } => false,
        }
    }
}

/// How a run goes, whatever it makes.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Threads to work on; 0: as many as the machine has cores. The result is the same for any number
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u16).range(..=MAX_THREADS))]
    pub threads: u16,
    /// Replace files that exist
    #[arg(long)]
    pub force: bool,
    /// In a batch: leave out scans whose results exist
    #[arg(long, conflicts_with = "force")]
    pub skip_existing: bool,
    /// Print JSON, also for an error: one object, or for a batch an array with one for each scan
    #[arg(long)]
    pub json: bool,
    /// Warn where a scan that does not look like what it should be would be refused
    #[arg(long)]
    pub accept_implausible: bool,
    /// Memory that the work may have at once, in bytes or as 500MB, 2GiB; no limit if not given
    #[arg(long, value_name = "BYTES", value_parser = memory_size::parse)]
    pub memory_limit: Option<u64>,
    /// Print errors only
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say what is being done; -vv for more
    #[arg(short, long, action = ArgAction::Count)]
    pub verbose: u8,
}

/// What is done to a raw scan, and how it is shown.
#[derive(Debug, Args)]
pub struct PreparationArguments {
    /// Leave the bias field as it is
    #[arg(long, conflicts_with = "bias")]
    pub no_bias: bool,
    /// Where N4 finds the bias field: in the brain, or in the head as ITK's filter does
    #[arg(long, value_name = "WHERE", default_value = "brain", value_parser = bias_parser())]
    pub bias: BiasCorrection,
    /// The brain on the scan's grid (not 0: brain), instead of finding it
    #[arg(long, value_name = "FILE")]
    pub mask: Option<PathBuf>,
    /// Draw a contact sheet for a look at each step; in a batch a folder for them
    #[arg(long, value_name = "FILE.png")]
    pub qc: Option<PathBuf>,
}

impl PreparationArguments {
    /// As the library has them, without the mask.
    pub fn options(&self) -> prepare::Options {
        let bias = if self.no_bias { BiasCorrection::Skip } else { self.bias.clone() };
        prepare::Options { bias, ..prepare::Options::default() }
    }
}

#[derive(Debug, Args)]
pub struct PrepareArguments {
    /// The raw scan: NIfTI-1 or NIfTI-2 (.nii, .nii.gz, .hdr or .img); or a folder of scans or BIDS dataset
    pub input: PathBuf,
    /// The folder for the results; made if it is missing
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    #[command(flatten)]
    pub preparation: PreparationArguments,
    /// Correct the bias field and do nothing else
    #[arg(long, conflicts_with_all = ["no_bias", "mask", "qc", "whole_head", "scaling"])]
    pub bias_only: bool,
    /// Keep all of the head in the standard image, not only the brain
    #[arg(long)]
    pub whole_head: bool,
    /// What becomes 1: the brain's 99.5th percentile, or minmax: its minimum becomes 0 and its maximum 1
    #[arg(long, value_name = "HOW", default_value = "percentile", value_parser = scaling_parser())]
    pub scaling: Scaling,
    #[command(flatten)]
    pub run: RunArguments,
}

impl PrepareArguments {
    /// As the library has them, without the mask.
    pub fn options(&self) -> prepare::Options {
        let coverage = if self.whole_head { Coverage::WholeHead } else { Coverage::Brain };
        prepare::Options { coverage, scaling: self.scaling, ..self.preparation.options() }
    }
}

#[derive(Debug, Args)]
pub struct SynthesizeArguments {
    /// The scan: NIfTI-1 or NIfTI-2 (.nii, .nii.gz, .hdr or .img); or a folder of scans or BIDS dataset
    pub input: PathBuf,
    /// Where to write the synthetic image (.nii or .nii.gz), its .json beside it; or a folder for both
    #[arg(short, long)]
    pub output: PathBuf,
    /// The contrast to synthesize
    #[arg(long, value_name = "CONTRAST", ignore_case = true, value_parser = contrast_parser())]
    pub to: Contrast,
    /// The scan is bias-corrected, brain-extracted (background 0) and aligned to MNI152
    #[arg(long, conflicts_with_all = ["no_bias", "bias", "mask"])]
    pub prepared: bool,
    #[command(flatten)]
    pub preparation: PreparationArguments,
    /// A model file to use instead of the embedded model
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Who must have signed the model files that are given: a public key of minisign, or the file with it. The signature of FILE
    /// is in FILE.minisig
    #[arg(long, value_name = "KEY|FILE", requires = "model")]
    pub public_key: Option<String>,
    /// Go back from the synthetic image too, and write a map of what is lost of the scan; in a batch a folder for them. A
    /// place to look at where it is high, no proof where it is low
    #[arg(long, value_name = "FILE")]
    pub residual: Option<PathBuf>,
    /// A model file for the way back instead of the embedded model
    #[arg(long, value_name = "FILE", requires = "residual")]
    pub residual_model: Option<PathBuf>,
    /// Voxel type of the output; integers are scaled so that 0 to 1 stays readable
    #[arg(long, value_name = "TYPE", default_value = "float32", value_parser = voxel_type_parser())]
    pub dtype: VoxelType,
    #[command(flatten)]
    pub run: RunArguments,
}

#[derive(Debug, Args)]
pub struct VerifyArguments {
    /// An image that mrisynth wrote as NIfTI
    pub file: PathBuf,
    /// The scan that it was made of; if not given, the file of the recorded name in the same folder, if there is one
    #[arg(long, value_name = "SCAN")]
    pub input: Option<PathBuf>,
    /// The model file that made it; if not given, the embedded model of the recorded name
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Print one JSON object, also for an error
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SelftestArguments {
    /// Threads to work on; 0: as many as the machine has cores
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u16).range(..=MAX_THREADS))]
    pub threads: u16,
    /// Print one JSON object, also for an error
    #[arg(long)]
    pub json: bool,
    /// For developers: make the results the reference that is in this folder
    #[arg(long, value_name = "FOLDER", hide = true)]
    pub write_reference: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("bright").args(["flair", "t2w"]))]
pub struct SegmentArguments {
    /// The prepared scan, brain-extracted (background 0) and without a bias field: NIfTI-1 or NIfTI-2 (.nii, .nii.gz, .hdr or
    /// .img)
    pub scan: PathBuf,
    /// Where to write the tissues (.nii or .nii.gz): 1 fluid, 2 grey matter, 3 white matter, 0 outside
    #[arg(short, long, value_name = "LABELS")]
    pub output: PathBuf,
    /// The contrast of the scan
    #[arg(long, default_value = "t1w", ignore_case = true, value_parser = contrast_parser())]
    pub contrast: Contrast,
    /// The brain on the scan's grid (not 0: brain); if not given, the brain is where the scan is above 0
    #[arg(long, value_name = "BRAIN")]
    pub mask: Option<PathBuf>,
    /// Lesions on the scan's grid (not 0: lesion) that are filled before the tissues are segmented
    #[arg(long, value_name = "MASK")]
    pub lesions: Option<PathBuf>,
    /// A FLAIR image on the scan's grid to find lesions on; without --lesions, those that are found are filled
    #[arg(long, value_name = "FILE")]
    pub flair: Option<PathBuf>,
    /// A T2w image on the scan's grid to find lesions on, where there is no FLAIR image
    #[arg(long, value_name = "FILE")]
    pub t2w: Option<PathBuf>,
    /// Where to write the mask of the lesions that are found on the FLAIR or T2w image (.nii or .nii.gz)
    #[arg(long, value_name = "LESIONS", requires = "bright")]
    pub lesions_output: Option<PathBuf>,
    /// Print one JSON object, also for an error
    #[arg(long)]
    pub json: bool,
    /// Threads to work on; 0: as many as the machine has cores. The result is the same for any number
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u16).range(..=MAX_THREADS))]
    pub threads: u16,
    /// Replace files that exist
    #[arg(long)]
    pub force: bool,
    /// Warn where a scan that does not look prepared or of its contrast, or a mask that is none, would be refused
    #[arg(long)]
    pub accept_implausible: bool,
    /// Print errors only
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct EvaluateArguments {
    /// The real image: NIfTI-1 or NIfTI-2 (.nii, .nii.gz, .hdr or .img)
    #[arg(long, value_name = "FILE", required_unless_present = "study", requires = "synthetic")]
    pub reference: Option<PathBuf>,
    /// The synthetic image, on the real one's grid
    #[arg(long, value_name = "FILE", required_unless_present = "study", requires = "reference")]
    pub synthetic: Option<PathBuf>,
    /// The brain on the images' grid (not 0: brain); if not given, the brain is where the real image is above 0
    #[arg(long, value_name = "FILE")]
    pub mask: Option<PathBuf>,
    /// Lesions of the real image on its grid (not 0: lesion); textures are taken in and around them
    #[arg(long, value_name = "FILE")]
    pub lesions_reference: Option<PathBuf>,
    /// Lesions of the synthetic image on its grid (not 0: lesion)
    #[arg(long, value_name = "FILE", requires = "lesions_reference")]
    pub lesions_synthetic: Option<PathBuf>,
    /// Label map of the real image, on any grid, for volumes
    #[arg(long, value_name = "FILE", requires = "labels_synthetic")]
    pub labels_reference: Option<PathBuf>,
    /// Label map of the synthetic image, on any grid
    #[arg(long, value_name = "FILE", requires = "labels_reference")]
    pub labels_synthetic: Option<PathBuf>,
    /// What labels stand for: freesurfer (SynthSeg too), three-classes (1 fluid, 2 grey, 3 white matter), or a file with a
    /// label, a tissue and a name a line
    #[arg(long, value_name = "TABLE", default_value = evaluate::FREESURFER)]
    pub label_table: PathBuf,
    /// Many pairs: a CSV file with the columns subject, method, reference, synthetic, and perhaps dataset, translation, mask,
    /// lesions_reference, lesions_synthetic, labels_reference, labels_synthetic; or a BIDS dataset, whose derivatives are the
    /// methods
    #[arg(long, value_name = "LIST.csv|DATASET", requires = "output", conflicts_with_all = PAIR)]
    pub study: Option<PathBuf>,
    /// For a study: the folder that gets report.html, study.json, values.csv and comparisons.csv
    #[arg(short, long, value_name = "FOLDER", requires = "study")]
    pub output: Option<PathBuf>,
    /// For a BIDS dataset: the folder of its derivatives with the real images, if these are not the dataset's own
    #[arg(long, value_name = "NAME", requires = "study")]
    pub reference_derivative: Option<String>,
    /// For a study: the method that the stars of tables refer to; the first if not given
    #[arg(long, value_name = "METHOD", requires = "study")]
    pub baseline: Option<String>,
    /// For a study: volumes are equivalent within this many percent
    #[arg(long, value_name = "PERCENT", default_value_t = study::Options::default().equivalence_margin_percent, requires = "study")]
    pub equivalence_margin: f64,
    /// For a study: leave out pairs that cannot be measured, and name them in the report
    #[arg(long, requires = "study")]
    pub skip_refused: bool,
    /// The range of intensities that PSNR and SSIM are relative to
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub data_range: f64,
    /// First bring both images to 0..1: the real one's 99.5th percentile inside the brain becomes 1, what is not brain 0
    #[arg(long, conflicts_with = "data_range")]
    pub normalize: bool,
    /// First bring the synthetic image nearest to the real one inside the brain by one factor and one offset
    #[arg(long)]
    pub fit: bool,
    /// Write the results to a file as JSON, or with - to standard output, also an error; if not given, print a table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Threads to work on; 0: as many as the machine has cores. The result is the same for any number
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = value_parser!(u16).range(..=MAX_THREADS))]
    pub threads: u16,
    /// Replace a file that exists
    #[arg(long)]
    pub force: bool,
    /// Warn where images far outside the data range, or masks that are none, would be refused
    #[arg(long)]
    pub accept_implausible: bool,
    /// Print errors and, without --json, the table only
    #[arg(short, long)]
    pub quiet: bool,
}

/// What a study's list says of each pair, and no option may say again.
const PAIR: [&str; 7] = [
    "reference",
    "synthetic",
    "mask",
    "lesions_reference",
    "lesions_synthetic",
    "labels_reference",
    "labels_synthetic",
];

#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// List the embedded models
    #[command(after_help = after_help(LIST_EXAMPLES))]
    List {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show a model's card: contrasts, training data, licence, measurements
    #[command(after_help = after_help(INFO_EXAMPLES))]
    Info {
        /// The name of an embedded model, or a model file
        #[arg(value_name = "NAME|FILE", required_unless_present = "cpu")]
        model: Option<PathBuf>,
        /// Show the instructions that networks run with on this processor, and those that it has
        #[arg(long)]
        cpu: bool,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Load a model file with every check, without using it
    #[command(after_help = after_help(MODEL_VERIFY_EXAMPLES))]
    Verify {
        /// The model file
        file: PathBuf,
        /// The SHA-256 that the file must have
        #[arg(long, value_name = "HEX", value_parser = parse_sha256)]
        sha256: Option<String>,
        /// Who must have signed the file: a public key of minisign, or the file with it
        #[arg(long, value_name = "KEY|FILE")]
        public_key: Option<String>,
        /// The signature, if it is not in FILE.minisig
        #[arg(long, value_name = "FILE.minisig", requires = "public_key")]
        signature: Option<PathBuf>,
    },
}

fn contrast_parser() -> impl TypedValueParser<Value = Contrast> {
    PossibleValuesParser::new(["t1w", "t2w"]).try_map(|name| name.parse::<Contrast>())
}

fn bias_parser() -> impl TypedValueParser<Value = BiasCorrection> {
    PossibleValuesParser::new(["brain", "itk"]).map(|name| match name.as_str() {
        "itk" => BiasCorrection::Itk,
        _ => BiasCorrection::Brain,
    })
}

fn scaling_parser() -> impl TypedValueParser<Value = Scaling> {
    PossibleValuesParser::new(["percentile", "minmax"]).map(|name| match name.as_str() {
        "minmax" => Scaling::MinimumMaximum,
        _ => Scaling::Percentile,
    })
}

fn voxel_type_parser() -> impl TypedValueParser<Value = VoxelType> {
    PossibleValuesParser::new(["float32", "int16", "uint16", "uint8", "float64"])
        .try_map(|name| VoxelType::named(&name).ok_or("no voxel type"))
}

fn parse_sha256(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("a SHA-256 has 64 hexadecimal digits".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_sha256_has_64_digits() {
        assert_eq!(parse_sha256(&"AB".repeat(32)), Ok("ab".repeat(32)));
        assert!(parse_sha256("ab").is_err());
        assert!(parse_sha256(&"é".repeat(32)).is_err());
    }
}
