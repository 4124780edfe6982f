// Reads files in a process of its own first: GDCM, where it is built with its assertions as Debian's is, ends the
// process that it reads some damaged files in.
#ifndef MRISYNTH_DICOM_TRIAL_H
#define MRISYNTH_DICOM_TRIAL_H

#include <filesystem>
#include <functional>
#include <vector>

namespace mrisynth_dicom {

/// Calls `read` with each file in a child process, whose output and exceptions are dropped: the same call here will
/// throw them again. Throws Failure, with the file, if one of them ends the child.
void try_reading(const std::vector<std::filesystem::path> &files,
                 const std::function<void(const std::filesystem::path &)> &read);

}  // namespace mrisynth_dicom

#endif  // MRISYNTH_DICOM_TRIAL_H
