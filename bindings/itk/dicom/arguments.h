// The command line of mrisynth-dicom.
#ifndef MRISYNTH_DICOM_ARGUMENTS_H
#define MRISYNTH_DICOM_ARGUMENTS_H

#include <mrisynth.hpp>

#include <filesystem>
#include <optional>
#include <string>

namespace mrisynth_dicom {

struct Arguments {
  bool help = false;
  bool version = false;
  std::filesystem::path input;
  std::filesystem::path output;
  mrisynth::Contrast target = mrisynth::Contrast::T1w;
  /// SeriesInstanceUID; empty: the one that is there.
  std::string series;
  /// Empty: the model inside the library.
  std::string model;
  /// 0: as many as the machine has cores.
  std::uint32_t threads = 0;
  bool accept_implausible = false;
};

/// Throws Failure (usage) with what is wrong.
Arguments parse_arguments(int argc, char **argv);

/// What --help prints.
std::string help_text();

}  // namespace mrisynth_dicom

#endif  // MRISYNTH_DICOM_ARGUMENTS_H
