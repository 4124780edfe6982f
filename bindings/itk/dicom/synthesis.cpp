// Reads a scan's voxels and has the other contrast made of them.
#include "synthesis.h"

#include "failure.h"
#include "trial.h"
#include "volume_grid.h"

#include <itkCommand.h>

#include <algorithm>

namespace mrisynth_dicom {
namespace {

mrisynth::Contrast other(mrisynth::Contrast contrast) {
  return contrast == mrisynth::Contrast::T1w ? mrisynth::Contrast::T2w : mrisynth::Contrast::T1w;
}

Volume::Pointer empty_volume(const std::vector<Slice> &slices, double step) {
  const Slice &first = slices[0];
  const Vector normal = normal_of(first);
  auto volume = Volume::New();
  Volume::DirectionType direction;
  Volume::PointType origin;
  for (unsigned int row = 0; row < 3; ++row) {
    direction[row][0] = first.along_row[row];
    direction[row][1] = first.down_column[row];
    direction[row][2] = normal[row];
    origin[row] = first.position[row];
  }
  const double spacing[3] = {first.column_spacing, first.row_spacing, step};
  volume->SetRegions(Volume::SizeType{{first.columns, first.rows, slices.size()}});
  volume->SetSpacing(spacing);
  volume->SetDirection(direction);
  volume->SetOrigin(origin);
  volume->Allocate();
  return volume;
}

}  // namespace

ModelPointer load_model(const Arguments &arguments) {
  const auto model = std::make_shared<const mrisynth::Model>(
      arguments.model.empty() ? mrisynth::Model::embedded(other(arguments.target), arguments.target)
                              : mrisynth::Model::load(arguments.model));
  const std::string wanted = arguments.target == mrisynth::Contrast::T1w ? "T1w" : "T2w";
  const std::string made = model->info("target").value_or("?");
  if (made != wanted) {
    throw Failure(ExitCode::invalid_argument,
                  arguments.model + ": the model makes " + made + ", and --to asks for " + wanted);
  }
  return model;
}

Scan read_scan(const std::vector<Slice> &slices, double step) {
  std::vector<std::filesystem::path> files;
  for (const Slice &slice : slices) files.push_back(slice.found.path);
  std::size_t at = 0;
  try_reading(files, [&](const std::filesystem::path &) { read_pixels(slices[at++]); });
  Scan scan;
  scan.volume = empty_volume(slices, step);
  float *next = scan.volume->GetBufferPointer();
  for (const Slice &slice : slices) {
    const Pixels pixels = read_pixels(slice);
    next = std::copy(pixels.values.begin(), pixels.values.end(), next);
    scan.is_lossy = scan.is_lossy || pixels.is_lossy;
  }
  return scan;
}

Volume::Pointer synthesize(const Volume *scan, const ModelPointer &model, const Arguments &arguments,
                           const std::function<void(const std::string &)> &warn,
                           const std::function<bool()> &is_cancelled) {
  auto filter = itk::MRISynthImageFilter<Volume, Volume>::New();
  filter->SetInput(scan);
  filter->SetModel(model);
  filter->SetAcceptImplausible(arguments.accept_implausible);
  // 0 leaves it at ITK's default, all cores.
  if (arguments.threads > 0) filter->SetNumberOfWorkUnits(arguments.threads);
  filter->SetLogFunction([&](mrisynth::LogLevel level, const std::string &line) {
    if (level <= mrisynth::LogLevel::warning) warn(line);
  });
  filter->AddObserver(itk::ProgressEvent(), [&](const itk::EventObject &) {
    if (is_cancelled()) filter->AbortGenerateDataOn();
  });
  try {
    filter->Update();
  } catch (const itk::ProcessAborted &) {
    throw Failure(ExitCode::cancelled, "cancelled");
  } catch (const itk::MRISynthExceptionObject &fault) {
    const std::string words = fault.GetDescription(), from = "mrisynth: ";
    throw Failure(exit_code_of(fault.GetStatus()),
                  arguments.input.string() + ": " + (words.find(from) == 0 ? words.substr(from.size()) : words));
  }
  return filter->GetOutput();
}

}  // namespace mrisynth_dicom
