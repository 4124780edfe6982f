// How a run can end: the exit codes of the command `mrisynth`, and the exception that carries one to main().
#ifndef MRISYNTH_DICOM_FAILURE_H
#define MRISYNTH_DICOM_FAILURE_H

#include <mrisynth.hpp>

#include <stdexcept>
#include <string>

namespace mrisynth_dicom {

/// Those from 11 are 10 more than the library's status codes. They never change their meaning.
enum class ExitCode {
  ok = 0,
  usage = 2,
  invalid_argument = 11,
  io = 12,
  bad_model = 13,
  bad_image = 14,
  unsupported = 15,
  out_of_memory = 16,
  cancelled = 17,
  refused = 18,
  internal = 19,
};

/// How a run ends that the library ended with this status.
inline ExitCode exit_code_of(mrisynth::Status status) {
  return static_cast<ExitCode>(static_cast<int>(status) + 10);
}

/// Why nothing was written. Messages name files and faults, and hold nothing of what a file says of the patient.
class Failure : public std::runtime_error {
public:
  Failure(ExitCode code, const std::string &message) : std::runtime_error(message), code_(code) {}

  ExitCode code() const noexcept { return code_; }

private:
  ExitCode code_;
};

}  // namespace mrisynth_dicom

#endif  // MRISYNTH_DICOM_FAILURE_H
