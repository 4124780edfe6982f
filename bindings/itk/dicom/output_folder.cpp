// Writes into a hidden folder first, and renames it.
//
// The hidden folder is locked by its process as long as it lives, with the system's advisory locks, which end with the process
// however that ends. What can be locked was abandoned, and the next run that writes beside it removes it. Where the system has no
// locks for folders, nothing is removed.
#include "output_folder.h"

#include "failure.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace mrisynth_dicom {
namespace {

namespace fs = std::filesystem;

const std::string prefix = ".mrisynth-dicom-";
// What mkdtemp() puts letters and digits for.
const std::string random_letters = "XXXXXX";
// How often another name is tried, should another process take a folder for abandoned before it is locked.
constexpr int attempts = 100;

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

int open_folder(const fs::path &path) { return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC); }

// Whether `path` still leads to the open folder.
bool is_named(int folder, const fs::path &path) {
  struct stat opened, named;
  if (fstat(folder, &opened) != 0 || lstat(path.c_str(), &named) != 0) return false;
  return opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

// Locks a folder, and says whether it is this process's: not if another took it for abandoned. Where there are no locks, no
// process can take it for abandoned.
bool is_held(int folder, const fs::path &path) {
  if (flock(folder, LOCK_EX | LOCK_NB) == 0) return is_named(folder, path);
  return errno != EWOULDBLOCK;
}

bool is_staging(const fs::path &path) {
  const std::string name = path.filename().string();
  return name.size() == prefix.size() + random_letters.size() && name.compare(0, prefix.size(), prefix) == 0;
}

void remove_if_abandoned(const fs::path &path) {
  const int folder = open_folder(path);
  if (folder < 0) return;
  std::error_code ignored;
  // It may have been given its name since the parent was read; then that one stays.
  if (flock(folder, LOCK_EX | LOCK_NB) == 0 && is_named(folder, path)) fs::remove_all(path, ignored);
  close(folder);
}

// Removes what processes have left in `parent` that are no more. What cannot be removed stays: it is in nobody's way.
void remove_abandoned(const fs::path &parent) {
  std::error_code ignored;
  for (fs::directory_iterator entry(parent, ignored), end; !ignored && entry != end; entry.increment(ignored)) {
    if (is_staging(entry->path())) remove_if_abandoned(entry->path());
  }
}

// The folder that a path's last name is in.
fs::path parent_of(const fs::path &path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

bool lies_in(const fs::path &path, const fs::path &folder) {
  const fs::path relative = fs::weakly_canonical(path).lexically_relative(fs::weakly_canonical(folder));
  return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

OutputFolder::OutputFolder(const fs::path &target, const fs::path &input) : target_(target) {
  std::error_code ignored;
  // A slash at the end would hide the folder's own name.
  if (!target_.has_filename()) target_ = target_.parent_path();
  const fs::path parent = parent_of(target_);
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
  if (lock_ >= 0) close(lock_);
}

const fs::path &OutputFolder::staging() {
  if (!staging_.empty()) return staging_;
  const fs::path parent = parent_of(target_);
  remove_abandoned(parent);
  for (int attempt = 0; staging_.empty(); ++attempt) {
    if (attempt == attempts) fail(parent, "another process removes temporary folders as soon as they are made");
    make_staging(parent);
  }
  // mkdtemp() gives a folder to its owner alone; the result is like any folder that is made here.
  const mode_t mask = umask(0);
  umask(mask);
  if (chmod(staging_.c_str(), 0777 & ~mask) != 0) fail_with_errno(staging_);
  return staging_;
}

void OutputFolder::make_staging(const fs::path &parent) {
  std::string name = (parent / (prefix + random_letters)).string();
  if (!mkdtemp(name.data())) fail_with_errno(parent);
  const int folder = open_folder(name);
  if (folder >= 0 && is_held(folder, name)) {
    lock_ = folder;
    staging_ = name;
  } else if (folder >= 0) {
    close(folder);
  } else if (errno != ENOENT) {
    const std::string fault = std::generic_category().message(errno);
    rmdir(name.c_str());
    fail(name, fault);
  }
}

void OutputFolder::publish() {
  for (const auto &entry : fs::directory_iterator(staging())) flush(entry.path());
  flush(staging_);
  // Replaces an empty folder, and fails where something came into it meanwhile.
  if (std::rename(staging_.c_str(), target_.c_str()) != 0) fail_with_errno(target_);
  staging_.clear();
}

}  // namespace mrisynth_dicom
