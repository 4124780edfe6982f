// From the slices of a series to the synthetic volume on the same grid, by the ITK filter.
#ifndef MRISYNTH_DICOM_SYNTHESIS_H
#define MRISYNTH_DICOM_SYNTHESIS_H

#include "arguments.h"
#include "slice.h"

#include <itkImage.h>
#include <itkMRISynthImageFilter.h>

#include <functional>
#include <string>
#include <vector>

namespace mrisynth_dicom {

using Volume = itk::Image<float, 3>;
using ModelPointer = itk::MRISynthImageFilter<Volume, Volume>::ModelPointer;

/// The model that the arguments name. Throws mrisynth::Error, or Failure if it makes the wrong contrast.
ModelPointer load_model(const Arguments &arguments);

struct Scan {
  Volume::Pointer volume;
  /// Whether any file is compressed with a loss.
  bool is_lossy = false;
};

/// The voxels of sorted slices that are `step` millimetres apart.
Scan read_scan(const std::vector<Slice> &slices, double step);

/// Calls `warn` with each warning. Throws Failure; with ExitCode::cancelled soon after `is_cancelled` says so.
Volume::Pointer synthesize(const Volume *scan, const ModelPointer &model, const Arguments &arguments,
                           const std::function<void(const std::string &)> &warn,
                           const std::function<bool()> &is_cancelled);

}  // namespace mrisynth_dicom

#endif  // MRISYNTH_DICOM_SYNTHESIS_H
