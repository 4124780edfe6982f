// mrisynth-dicom: synthesizes the missing contrast of a DICOM series as a derived series.
#include "arguments.h"
#include "attributes.h"
#include "derived.h"
#include "failure.h"
#include "output_folder.h"
#include "series.h"
#include "synthesis.h"
#include "volume_grid.h"

#include <gdcmTrace.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cmath>
#include <iostream>
#include <new>
#include <set>
#include <string>
#include <vector>

namespace mrisynth_dicom {
namespace {

std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may set it");

extern "C" void interrupt(int) { interrupted = true; }

void go_on() {
  if (interrupted) throw Failure(ExitCode::cancelled, "cancelled");
}

void warn(const std::string &line) { std::cerr << "mrisynth-dicom: warning: " << line << std::endl; }

/// A synthetic image of a synthetic image is of no use to anybody.
void refuse_synthetic(const std::vector<Slice> &slices, const Arguments &arguments) {
  for (const Slice &slice : slices) {
    const auto values = values_of(text_of(slice.found.dataset(), tag::image_type).value_or(""));
    if (std::find(values.begin(), values.end(), "SYNTHETIC") == values.end()) continue;
    const std::string fault = slice.found.path.string() + ": the series is SYNTHETIC itself";
    if (!arguments.accept_implausible) throw Failure(ExitCode::refused, fault);
    warn(fault);
    return;
  }
}

/// Those of the source, so that images can be told to belong together, or from 1 on where it has not one for each.
std::vector<int> instance_numbers(const std::vector<Slice> &slices) {
  std::vector<int> numbers;
  std::set<int> different;
  for (const Slice &slice : slices) {
    const auto number = numbers_of(slice.found.dataset(), tag::instance_number, 1);
    const bool fits = number && std::abs((*number)[0]) < 1e9;
    numbers.push_back(fits ? static_cast<int>((*number)[0]) : 0);
    if (fits) different.insert(numbers.back());
  }
  if (different.size() != slices.size()) {
    for (std::size_t at = 0; at < numbers.size(); ++at) numbers[at] = static_cast<int>(at) + 1;
  }
  return numbers;
}

std::string file_name(std::size_t at) {
  const std::string number = std::to_string(at + 1);
  return "IM" + std::string(number.size() < 6 ? 6 - number.size() : 0, '0') + number + ".dcm";
}

void run(const Arguments &arguments) {
  OutputFolder output(arguments.output, arguments.input);
  std::vector<Slice> slices = read_series(arguments.input, arguments.series);
  go_on();
  const ModelPointer model = load_model(arguments);
  refuse_synthetic(slices, arguments);
  const double step = sort_and_measure(slices);
  const Scan scan = read_scan(slices, step);
  go_on();
  const auto synthetic = synthesize(scan.volume, model, arguments, warn, [] { return interrupted.load(); });
  DerivedSeries series(*model, slices[0], scan.is_lossy);
  const std::vector<int> numbers = instance_numbers(slices);
  const std::size_t voxels = std::size_t(slices[0].rows) * slices[0].columns;
  for (std::size_t at = 0; at < slices.size(); ++at) {
    go_on();
    const float *first = synthetic->GetBufferPointer() + at * voxels;
    series.write(slices[at], numbers[at], first, output.staging() / file_name(at));
  }
  output.publish();
  std::cout << arguments.output.string() << ": synthetic " << model->info("target").value_or("?") << " by "
            << model->info("name").value_or("?") << " " << model->info("version").value_or("?") << ", " << slices.size()
            << " images, series " << series.series_instance_uid() << std::endl;
}

void start(int argc, char **argv) {
  // What these libraries have to say is told as errors of our own.
  gdcm::Trace::DebugOff();
  gdcm::Trace::WarningOff();
  gdcm::Trace::ErrorOff();
  itk::Object::GlobalWarningDisplayOff();
  std::signal(SIGINT, interrupt);
  std::signal(SIGTERM, interrupt);
  std::signal(SIGHUP, interrupt);
  const Arguments arguments = parse_arguments(argc, argv);
  if (arguments.help) std::cout << help_text();
  else if (arguments.version) std::cout << "mrisynth-dicom " << mrisynth::version() << std::endl;
  else run(arguments);
}

int report(ExitCode code, const std::string &message) {
  std::cerr << "mrisynth-dicom: error: " << message << std::endl;
  return static_cast<int>(code);
}

/// Every way to end has its exit code.
int ending_of(int argc, char **argv) {
  try {
    start(argc, argv);
    return static_cast<int>(ExitCode::ok);
  } catch (const Failure &failure) {
    return report(failure.code(), failure.what());
  } catch (const mrisynth::Error &error) {
    return report(exit_code_of(error.status()), error.what());
  } catch (const std::filesystem::filesystem_error &error) {
    return report(ExitCode::io, error.path1().string() + ": " + error.code().message());
  } catch (const std::bad_alloc &) {
    return report(ExitCode::out_of_memory, "out of memory");
  } catch (const std::exception &error) {
    return report(ExitCode::internal, error.what());
  }
}

}  // namespace
}  // namespace mrisynth_dicom

int main(int argc, char **argv) { return mrisynth_dicom::ending_of(argc, argv); }
