//! The command line: what `module.xml` describes, and the arguments that every module of Slicer's execution model has.

use std::path::PathBuf;

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use mrisynth::model::Contrast;
use mrisynth::synthesize::InputState;

/// Synthesizes the missing T1w or T2w brain MRI contrast from the one at hand, as a command-line module of 3D Slicer.
///
/// Research software, not a medical device. A synthetic image is an estimate: it may lack or invent findings, and is not for
/// diagnosis. `--xml` as the first argument prints the module's description for Slicer.
#[derive(Debug, Parser)]
#[command(name = "mrisynth-slicer-cli", version)]
pub struct Arguments {
    /// The scan: NRRD (.nrrd) or NIfTI (.nii, .nii.gz, .hdr or .img)
    pub input: PathBuf,
    /// Where to write the synthetic image (.nrrd, .nii or .nii.gz); a file that exists is replaced
    pub output: PathBuf,
    /// The contrast to synthesize; the scan must be of the other
    #[arg(long, value_name = "CONTRAST", default_value = "T1w", ignore_case = true, value_parser = contrast_parser())]
    pub to: Contrast,
    /// raw: as it left the scanner. prepared: bias-corrected, brain-extracted (background 0) and aligned to MNI152
    #[arg(long, default_value = "raw", value_parser = state_parser())]
    pub state: InputState,
    /// Threads to work on; 0: as many as the machine has cores. The result is the same for any number
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=1024))]
    pub threads: u16,
    /// Warn where a scan that does not look like what it should be would be refused
    #[arg(long = "acceptImplausible", alias = "accept-implausible")]
    pub accept_implausible: bool,
    /// A model file to use instead of the embedded model
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Where to write the simple results: one a line, as `name = value`
    #[arg(long = "returnparameterfile", value_name = "FILE")]
    pub return_parameter_file: Option<PathBuf>,
    /// Memory of the calling program for progress. It can be reached by modules that are loaded into that program only: here
    /// it is taken and not used
    #[arg(long = "processinformationaddress", value_name = "ADDRESS")]
    pub process_information_address: Option<String>,
    /// Print the arguments as they were understood
    #[arg(long)]
    pub echo: bool,
}

fn contrast_parser() -> impl TypedValueParser<Value = Contrast> {
    PossibleValuesParser::new(["T1w", "T2w"]).try_map(|name| name.parse::<Contrast>())
}

fn state_parser() -> impl TypedValueParser<Value = InputState> {
    PossibleValuesParser::new(["raw", "prepared"]).map(|name| match name.as_str() {
        "prepared" => InputState::Prepared,
        _ => InputState::Raw,
    })
}

impl Arguments {
    /// The arguments as modules of Slicer's execution model echo them.
    pub fn echoed(&self) -> String {
        let state = match self.state {
            InputState::Raw => "raw",
            InputState::Prepared => "prepared",
        };
        let model = self.model.as_ref().map(|model| model.display().to_string()).unwrap_or_default();
        let lines = [
            ("inputVolume", self.input.display().to_string()),
            ("outputVolume", self.output.display().to_string()),
            ("to", self.to.to_string()),
            ("state", state.to_owned()),
            ("threads", self.threads.to_string()),
            ("acceptImplausible", self.accept_implausible.to_string()),
            ("model", model),
        ];
        let lines: String = lines.map(|(name, value)| format!("    {name}: {value}\n")).concat();
        format!("Command Line Arguments\n{lines}")
    }
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
    fn every_parameter_of_the_description_is_an_argument() {
        let command = Arguments::command();
        let description = include_str!("module.xml");
        let texts = |tag: &str| -> Vec<String> {
            let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
            let parts = description.split(open.as_str()).skip(1);
            parts.map(|part| part.split(close.as_str()).next().unwrap().to_owned()).collect()
        };
        let flags = texts("longflag");
        assert_eq!(flags, ["to", "state", "threads", "acceptImplausible", "model"]);
        for flag in flags {
            assert!(command.get_arguments().any(|argument| argument.get_long() == Some(&flag)), "{flag}");
        }
        assert_eq!(texts("index"), ["0", "1"]);
        let arguments = Arguments::try_parse_from(["mrisynth-slicer-cli", "a.nrrd", "b.nrrd"]).unwrap();
        assert_eq!(
            texts("default"),
            [
                arguments.to.to_string().as_str(),
                "raw",
                arguments.threads.to_string().as_str(),
                arguments.accept_implausible.to_string().as_str(),
                "",
                "",
            ]
        );
        assert_eq!(arguments.state, InputState::Raw);
    }
}
