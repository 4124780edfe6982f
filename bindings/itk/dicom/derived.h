// The images of the derived series: what they keep of their sources, and what they say of themselves.
#ifndef MRISYNTH_DICOM_DERIVED_H
#define MRISYNTH_DICOM_DERIVED_H

#include "slice.h"

#include <gdcmUIDGenerator.h>
#include <mrisynth.hpp>

#include <filesystem>
#include <string>

namespace mrisynth_dicom {

/// What is the same for every image of a derived series.
class DerivedSeries {
public:
  /// `first` is any slice of the source. `is_lossy`: some of its files were compressed with a loss.
  DerivedSeries(const mrisynth::Model &model, const Slice &first, bool is_lossy);

  /// Writes the image that belongs to `source`, of its rows times columns `voxels` from 0 to 1. Throws Failure.
  void write(const Slice &source, int instance_number, const float *voxels, const std::filesystem::path &path);

  const std::string &series_instance_uid() const noexcept { return series_instance_uid_; }

private:
  gdcm::DataSet dataset_of(const Slice &source, int instance_number, const float *voxels);
  void describe(gdcm::DataSet &dataset) const;
  void name_equipment(gdcm::DataSet &dataset) const;
  std::string new_uid();

  gdcm::UIDGenerator generator_;
  std::string target_;
  std::string derivation_;
  std::string series_description_;
  std::string series_instance_uid_;
  std::string series_number_;
  std::string date_;
  std::string time_;
  bool is_lossy_;
};

}  // namespace mrisynth_dicom

#endif  // MRISYNTH_DICOM_DERIVED_H
