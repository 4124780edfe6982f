// Reads the command line of mrisynth-dicom.
#include "arguments.h"

#include "failure.h"

#include <charconv>
#include <vector>

namespace mrisynth_dicom {
namespace {

[[noreturn]] void misused(const std::string &what) {
  throw Failure(ExitCode::usage, what + "; see mrisynth-dicom --help");
}

mrisynth::Contrast contrast_of(const std::string &name) {
  if (name == "t1w") return mrisynth::Contrast::T1w;
  if (name == "t2w") return mrisynth::Contrast::T2w;
  misused("--to is t1w or t2w, not '" + name + "'");
}

std::uint32_t count_of(const std::string &text) {
  std::uint32_t count = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (fault != std::errc() || end != text.data() + text.size()) misused("--threads is a number, not '" + text + "'");
  return count;
}

}  // namespace

Arguments parse_arguments(int argc, char **argv) {
  Arguments arguments;
  std::vector<std::string> folders;
  bool has_target = false, only_folders = false;
  for (int at = 1; at < argc; ++at) {
    std::string name = argv[at];
    if (only_folders || name.empty() || name[0] != '-') {
      folders.push_back(name);
      continue;
    }
    std::optional<std::string> given;
    if (const auto equals = name.find('='); equals != std::string::npos) {
      given = name.substr(equals + 1);
      name.erase(equals);
    }
    const auto value = [&] {
      if (given) return *given;
      if (at + 1 == argc) misused(name + " wants a value");
      return std::string(argv[++at]);
    };
    const auto flag = [&] {
      if (given) misused(name + " takes no value");
      return true;
    };
    if (name == "--") only_folders = flag();
    else if (name == "-h" || name == "--help") arguments.help = flag();
    else if (name == "-V" || name == "--version") arguments.version = flag();
    else if (name == "--to") arguments.target = contrast_of(value()), has_target = true;
    else if (name == "--series") arguments.series = value();
    else if (name == "--model") arguments.model = value();
    else if (name == "--threads") arguments.threads = count_of(value());
    else if (name == "--accept-implausible") arguments.accept_implausible = flag();
    else misused("there is no option " + name);
  }
  if (arguments.help || arguments.version) return arguments;
  if (!has_target) misused("--to t1w or --to t2w is missing");
  if (folders.size() != 2) misused("two folders are wanted, the input's and the output's");
  arguments.input = folders[0];
  arguments.output = folders[1];
  if (arguments.input.empty() || arguments.output.empty()) misused("a folder's name is empty");
  return arguments;
}

std::string help_text() {
  return R"(Synthesizes the missing T1w or T2w brain MRI contrast of a DICOM series as a derived series.

Research software, not a medical device. A synthetic image is an estimate: it may lack or invent findings, and is not
for diagnosis. The derived series says so.

Usage: mrisynth-dicom --to t1w|t2w [OPTIONS] INPUT_FOLDER OUTPUT_FOLDER

INPUT_FOLDER holds one raw MR series of single-frame images, in files of any names, in subfolders too. OUTPUT_FOLDER is
made; it must not exist, or be empty. Either the whole series is written or nothing.

Options:
  --to t1w|t2w          the contrast to synthesize; the series must be of the other
  --series UID          the series to read, by its Series Instance UID, where there are several
  --model FILE          a model file instead of the one inside
  --threads N           threads to work on; 0, the default: as many as the machine has cores
  --accept-implausible  warn where a series that does not look like a head of the right contrast would be refused
  -h, --help            print this
  -V, --version         print the version

Exit codes:
   0  OK                the work is done
   2  USAGE             the command line could not be understood
  11  INVALID_ARGUMENT  an argument is out of range or contradicts another
  12  IO                a file could not be read or written, or the output exists
  13  BAD_MODEL         not a model that this version runs, or a damaged one
  14  BAD_IMAGE         damaged files, or slices that make no whole volume
  15  UNSUPPORTED       not a single-frame greyscale MR series
  16  OUT_OF_MEMORY     no memory
  17  CANCELLED         interrupted
  18  REFUSED           not what the model was made for (see --accept-implausible)
  19  INTERNAL          a defect: please report it
)";
}

}  // namespace mrisynth_dicom
