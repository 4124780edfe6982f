// Forks, reads, and looks how that ended.
#include "trial.h"

#include "failure.h"

#include <cerrno>
#include <exception>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace mrisynth_dicom {
namespace {

[[noreturn]] void fail_with_errno(const char *what) {
  throw Failure(ExitCode::io, std::string(what) + ": " + std::generic_category().message(errno));
}

/// Tells which file is next, reads it, and so on. Never returns.
[[noreturn]] void read_all(const std::vector<std::filesystem::path> &files,
                           const std::function<void(const std::filesystem::path &)> &read, int told) {
  const int nowhere = open("/dev/null", O_WRONLY);
  dup2(nowhere, STDOUT_FILENO);
  dup2(nowhere, STDERR_FILENO);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  for (std::size_t at = 0; at < files.size(); ++at) {
    if (write(told, &at, sizeof at) != sizeof at) _exit(1);
    try {
      read(files[at]);
    } catch (const std::exception &) {
      // Thrown again, and told, where it counts.
    }
  }
  _exit(0);
}

/// The last file that the child told of.
std::size_t last_told(int told) {
  std::size_t last = 0, at = 0;
  for (;;) {
    const ssize_t count = ::read(told, &at, sizeof at);
    if (count == sizeof at) last = at;
    else if (count == 0 || errno != EINTR) return last;
  }
}

}  // namespace

void try_reading(const std::vector<std::filesystem::path> &files,
                 const std::function<void(const std::filesystem::path &)> &read) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) fail_with_errno("a pipe");
  const pid_t child = fork();
  if (child < 0) fail_with_errno("a process");
  if (child == 0) read_all(files, read, ends[1]);
  close(ends[1]);
  const std::size_t last = last_told(ends[0]);
  close(ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  throw Failure(ExitCode::bad_image, files[last].string() + ": damaged: it cannot be read as DICOM");
}

}  // namespace mrisynth_dicom
