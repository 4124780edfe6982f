// Writes into a hidden folder first, and renames it.
#include "output_folder.h"

#include "failure.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace mrisynth_dicom {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(const fs::path &path, const std::string &fault) {
  throw Failure(ExitCode::io, path.string() + ": " + fault);
}

[[noreturn]] void fail_with_errno(const fs::path &path) { fail(path, std::generic_category().message(errno)); }

void flush(const fs::path &path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail_with_errno(path);
  const int outcome = fsync(file);
  close(file);
  if (outcome != 0) fail_with_errno(path);
}

bool lies_in(const fs::path &path, const fs::path &folder) {
  const fs::path relative = fs::weakly_canonical(path).lexically_relative(fs::weakly_canonical(folder));
  return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

OutputFolder::OutputFolder(const fs::path &target, const fs::path &input) : target_(target) {
  std::error_code ignored;
  // A slash at the end would hide the folder's own name.
  if (!target_.has_filename()) target_ = target_.parent_path();
  const fs::path parent = target_.has_parent_path() ? target_.parent_path() : fs::path(".");
  if (!fs::is_directory(parent, ignored)) fail(parent, "there is no such folder to write into");
  if (lies_in(target_, input)) {
    throw Failure(ExitCode::invalid_argument, target_.string() + ": the output must not lie in the input's folder");
  }
  const auto status = fs::symlink_status(target_, ignored);
  if (!fs::exists(status)) return;
  if (!fs::is_directory(status) || !fs::is_empty(target_, ignored)) fail(target_, "it exists already");
}

OutputFolder::~OutputFolder() {
  std::error_code ignored;
  if (!staging_.empty()) fs::remove_all(staging_, ignored);
}

const fs::path &OutputFolder::staging() {
  if (!staging_.empty()) return staging_;
  std::string name = (target_.parent_path() / ".mrisynth-dicom-XXXXXX").string();
  if (!mkdtemp(name.data())) fail_with_errno(target_.parent_path());
  staging_ = name;
  // mkdtemp() gives a folder to its owner alone; the result is like any folder that is made here.
  const mode_t mask = umask(0);
  umask(mask);
  if (chmod(staging_.c_str(), 0777 & ~mask) != 0) fail_with_errno(staging_);
  return staging_;
}

void OutputFolder::publish() {
  for (const auto &entry : fs::directory_iterator(staging())) flush(entry.path());
  flush(staging_);
  // Replaces an empty folder, and fails where something came into it meanwhile.
  if (std::rename(staging_.c_str(), target_.c_str()) != 0) fail_with_errno(target_);
  staging_.clear();
}

}  // namespace mrisynth_dicom
