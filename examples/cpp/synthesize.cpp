// Synthesizes the missing contrast of a scan: NIfTI in, NIfTI out, with progress, and Ctrl-C to cancel.
//
//   synthesize INPUT OUTPUT t1w-from-t2w|t2w-from-t1w [--prepared]
//
// INPUT is a raw scan as it left the scanner or, with --prepared, one that is bias-corrected, brain-extracted
// (background 0) and aligned to MNI152. OUTPUT is a new file in the same place in space. Ends with 0 when it is
// written, 2 for wrong arguments, and 10 more than the library's status for what failed, as the command mrisynth does.
#include "scan_file.hpp"

#include <mrisynth.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace {

volatile std::sig_atomic_t interrupted = 0;

extern "C" void on_interrupt(int) { interrupted = 1; }

struct Arguments {
  std::string input, output;
  mrisynth::Contrast source, target;
  mrisynth::InputState input_state;
};

[[noreturn]] void show_usage() {
  std::fputs("usage: synthesize INPUT OUTPUT t1w-from-t2w|t2w-from-t1w [--prepared]\n", stderr);
  std::exit(2);
}

Arguments parse(const std::vector<std::string> &words) {
  using mrisynth::Contrast, mrisynth::InputState;
  const bool prepared = words.size() == 4 && words[3] == "--prepared";
  if (words.size() != 3 && !prepared) show_usage();
  const bool to_t1w = words[2] == "t1w-from-t2w";
  if (!to_t1w && words[2] != "t2w-from-t1w") show_usage();
  return {words[0], words[1], to_t1w ? Contrast::T2w : Contrast::T1w, to_t1w ? Contrast::T1w : Contrast::T2w,
          prepared ? InputState::prepared : InputState::raw};
}

/// Shows each new percent. The library asks here several times a second whether to go on.
bool show_progress(float fraction) {
  static int shown = -1;
  const int percent = static_cast<int>(100 * fraction);
  if (percent != shown) std::fprintf(stderr, "\r%3d %%%s", percent, percent == 100 ? "\n" : "");
  shown = percent;
  return !interrupted;
}

/// Shows what a user should know. It may be called on another thread, for which std::fprintf is made.
void show_warning(mrisynth::LogLevel level, std::string_view line) {
  if (level > mrisynth::LogLevel::warning) return;
  std::fprintf(stderr, "\rwarning: %.*s\n", static_cast<int>(line.size()), line.data());
}

void run(const Arguments &arguments) {
  check_new_image(arguments.output);
  const Scan scan = read_scan(arguments.input);
  if (scan.header->sform_code <= 0 && scan.header->qform_code <= 0)
    show_warning(mrisynth::LogLevel::warning,
                 "the scan says nothing of where it lies: its axes are taken to point right, front and up");

  // The model that is inside the library; Model::load() takes one from a file.
  const auto model = mrisynth::Model::embedded(arguments.source, arguments.target);

  mrisynth::Options options;
  options.input_state = arguments.input_state;
  options.progress = show_progress;
  options.log = show_warning;

  // The output lies where the scan lies, in a buffer of its own.
  std::vector<float> synthetic(scan.voxels.size());
  try {
    model.synthesize({scan.voxels, scan.geometry}, {synthetic, scan.geometry}, options);
  } catch (const mrisynth::Error &error) {
    throw mrisynth::Error(error.status(), arguments.input + ": " + error.what());
  }

  const std::string description =
      "SYNTHETIC " + model.info("target").value_or("") + " by mrisynth " + mrisynth::version();
  write_synthetic(arguments.output, synthetic, scan, description);
}

/// Says on a line of its own, over the progress, what went wrong, and gives the exit code for it.
int fail(const char *what, mrisynth::Status status) {
  std::fprintf(stderr, "\rsynthesize: error: %s\n", what);
  return 10 + static_cast<int>(status);
}

}  // namespace

int main(int argc, char **argv) {
  const Arguments arguments = parse(std::vector<std::string>(argv + 1, argv + argc));
  std::signal(SIGINT, on_interrupt);
  try {
    run(arguments);
    return EXIT_SUCCESS;
  } catch (const mrisynth::Error &error) {
    return fail(error.what(), error.status());
  } catch (const std::bad_alloc &) {
    return fail("out of memory", mrisynth::Status::out_of_memory);
  } catch (const std::exception &error) {
    return fail(error.what(), mrisynth::Status::internal);
  }
}
