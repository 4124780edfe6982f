// A folder that appears whole or not at all.
#ifndef MRISYNTH_DICOM_OUTPUT_FOLDER_H
#define MRISYNTH_DICOM_OUTPUT_FOLDER_H

#include <filesystem>

namespace mrisynth_dicom {

/// Files are written into a hidden folder beside the target, which takes the target's name at the end. Without that end
/// nothing is left of it; what a killed process left, the next run that writes beside it removes.
class OutputFolder {
public:
  /// Throws Failure if `target` exists and is not an empty folder, if its parent does not exist, or if it lies in
  /// `input`, where the next run would read it.
  OutputFolder(const std::filesystem::path &target, const std::filesystem::path &input);
  ~OutputFolder();
  OutputFolder(const OutputFolder &) = delete;
  OutputFolder &operator=(const OutputFolder &) = delete;

  /// Where to write. Made by the first call.
  const std::filesystem::path &staging();

  /// Brings what was written to stable storage, and gives it the target's name. Throws Failure.
  void publish();

private:
  // Makes `staging_`, unless another process takes it for abandoned before it is locked.
  void make_staging(const std::filesystem::path &parent);

  std::filesystem::path target_;
  std::filesystem::path staging_;
  // Open and locked as long as the staging folder is this process's.
  int lock_ = -1;
};

}  // namespace mrisynth_dicom

#endif  // MRISYNTH_DICOM_OUTPUT_FOLDER_H
