// Finds the one MR series of a folder.
#ifndef MRISYNTH_DICOM_SERIES_H
#define MRISYNTH_DICOM_SERIES_H

#include "slice.h"

#include <filesystem>
#include <string>
#include <vector>

namespace mrisynth_dicom {

/// The slices of the series with that UID, or of the only MR series where it is empty, in no order. Throws Failure: a
/// list of the series where there are several.
std::vector<Slice> read_series(const std::filesystem::path &folder, const std::string &uid);

}  // namespace mrisynth_dicom

#endif  // MRISYNTH_DICOM_SERIES_H
