// Where the slices of a series lie: sorted, and proven to be one volume.
#ifndef MRISYNTH_DICOM_VOLUME_GRID_H
#define MRISYNTH_DICOM_VOLUME_GRID_H

#include "slice.h"

#include <vector>

namespace mrisynth_dicom {

/// Sorts the slices along the normal of their planes, and returns the millimetres between them. Throws Failure, with
/// the files and their fault, unless they are parallel, evenly spaced, none missing or twice, and stacked at right
/// angles.
double sort_and_measure(std::vector<Slice> &slices);

/// Along a row, down a column, and across the slices in their order.
Vector normal_of(const Slice &slice);

}  // namespace mrisynth_dicom

#endif  // MRISYNTH_DICOM_VOLUME_GRID_H
