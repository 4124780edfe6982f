// One image of a series: what its file says of it, checked.
#ifndef MRISYNTH_DICOM_SLICE_H
#define MRISYNTH_DICOM_SLICE_H

#include <gdcmFile.h>
#include <gdcmSmartPointer.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace mrisynth_dicom {

using Vector = std::array<double, 3>;

inline double dot(const Vector &a, const Vector &b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

/// A DICOM file of a folder, of whatever kind.
struct Found {
  std::filesystem::path path;
  /// All attributes before the pixels, in explicit value representations.
  gdcm::SmartPointer<gdcm::File> file;
  std::string sop_class_uid;
  std::string modality;
  std::string series_instance_uid;
  /// Bytes that the file has for its pixels; no limit where they are compressed and whole.
  std::uintmax_t pixel_bytes = 0;

  const gdcm::DataSet &dataset() const { return file->GetDataSet(); }
};

/// Reads a file up to its pixels. Nothing if it is no DICOM file; throws Failure if it is a damaged one.
std::optional<Found> read_header(const std::filesystem::path &path);

/// A greyscale single-frame MR image whose place in space is known.
struct Slice {
  Found found;
  std::string sop_instance_uid;
  std::uint16_t rows = 0;
  std::uint16_t columns = 0;
  /// Millimetres between rows, and between columns.
  double row_spacing = 0.0;
  double column_spacing = 0.0;
  /// Unit vectors in LPS: along a row, and down a column.
  Vector along_row{};
  Vector down_column{};
  /// Millimetres in LPS of the centre of the first pixel.
  Vector position{};
  double rescale_slope = 1.0;
  double rescale_intercept = 0.0;
};

/// Throws Failure, with the file and its fault, unless it is one.
Slice slice_of(const Found &found);

/// The values of the pixels, rescaled, row by row.
struct Pixels {
  std::vector<float> values;
  /// Whether the file is compressed with a loss.
  bool is_lossy = false;
};

/// Throws Failure.
Pixels read_pixels(const Slice &slice);

}  // namespace mrisynth_dicom

#endif  // MRISYNTH_DICOM_SLICE_H
