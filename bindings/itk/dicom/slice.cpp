// Reads the files of a series, and refuses those that are no plain MR image.
#include "slice.h"

#include "attributes.h"
#include "failure.h"

#include <gdcmFileExplicitFilter.h>
#include <gdcmImageReader.h>
#include <gdcmReader.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

namespace mrisynth_dicom {
namespace {

const char *const mr_image_storage = "1.2.840.10008.5.1.4.1.1.4";
const char *const enhanced_mr_image_storage = "1.2.840.10008.5.1.4.1.1.4.1";

[[noreturn]] void fail(ExitCode code, const std::filesystem::path &path, const std::string &fault) {
  throw Failure(code, path.string() + ": " + fault);
}

/// Whether the file says that it is DICOM: `DICM` after 128 bytes of anything.
bool is_dicom(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ExitCode::io, path, "cannot be read");
  char start[132];
  file.read(start, sizeof start);
  return file.gcount() == sizeof start && std::memcmp(start + 128, "DICM", 4) == 0;
}

std::uint32_t little_endian(const unsigned char *bytes) {
  return bytes[0] | bytes[1] << 8 | bytes[2] << 16 | static_cast<std::uint32_t>(bytes[3]) << 24;
}

/// Whether compressed pixels, a list of items with their lengths, go on to the mark at their end.
bool reaches_last_item(const std::filesystem::path &path, std::uintmax_t start) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(start));
  unsigned char head[8];
  while (file.read(reinterpret_cast<char *>(head), sizeof head)) {
    const std::uint32_t mark = little_endian(head);
    if (mark == 0xe0ddfffe) return true;
    if (mark != 0xe000fffe) return false;
    file.seekg(little_endian(head + 4), std::ios::cur);
  }
  return false;
}

/// GDCM reads a file that ends among its pixels as if it went on with zeros; how much there is of it tells. A deflated
/// file is whole, or it cannot be inflated.
std::uintmax_t pixel_bytes(const gdcm::Reader &reader, const std::filesystem::path &path) {
  const gdcm::TransferSyntax &syntax = reader.GetFile().GetHeader().GetDataSetTransferSyntax();
  const std::uintmax_t size = std::filesystem::file_size(path), start = reader.GetStreamCurrentPosition();
  if (syntax == gdcm::TransferSyntax::DeflatedExplicitVRLittleEndian) return std::numeric_limits<std::uintmax_t>::max();
  if (!syntax.IsEncapsulated()) return start <= size ? size - start : 0;
  return reaches_last_item(path, start) ? std::numeric_limits<std::uintmax_t>::max() : 0;
}

std::vector<double> numbers(const Found &found, const gdcm::Tag &attribute, std::size_t count) {
  const auto values = numbers_of(found.dataset(), attribute, count);
  if (!values) fail(ExitCode::bad_image, found.path, name_of(attribute) + " is missing or malformed");
  return *values;
}

std::uint16_t dimension(const Found &found, const gdcm::Tag &attribute) {
  const auto value = short_of(found.dataset(), attribute);
  if (!value || *value == 0) fail(ExitCode::bad_image, found.path, name_of(attribute) + " is missing or malformed");
  return *value;
}

std::string uid(const Found &found, const gdcm::Tag &attribute) {
  const auto value = text_of(found.dataset(), attribute);
  if (!value) fail(ExitCode::bad_image, found.path, name_of(attribute) + " is missing");
  return *value;
}

void check_kind(const Found &found) {
  const auto unsupported = [&](const std::string &fault) { fail(ExitCode::unsupported, found.path, fault); };
  if (found.sop_class_uid == enhanced_mr_image_storage) {
    unsupported("multi-frame (Enhanced MR): only single-frame images are read");
  }
  const auto frames = text_of(found.dataset(), tag::number_of_frames);
  if (frames && *frames != "1") unsupported("multi-frame: only single-frame images are read");
  if (found.modality != "MR" || found.sop_class_uid != mr_image_storage) unsupported("not an MR image");
  const auto samples = short_of(found.dataset(), tag::samples_per_pixel);
  if (samples != 1) unsupported("a colour image: only greyscale ones are read");
  const auto interpretation = text_of(found.dataset(), tag::photometric_interpretation);
  if (interpretation != "MONOCHROME2") unsupported("its PhotometricInterpretation is not MONOCHROME2");
}

/// The two unit vectors of the image's plane.
void read_orientation(Slice &slice) {
  const auto values = numbers(slice.found, tag::image_orientation, 6);
  slice.along_row = {values[0], values[1], values[2]};
  slice.down_column = {values[3], values[4], values[5]};
  // Files hold few digits, so unit vectors are so only about.
  const double tolerance = 1e-3;
  const auto is_unit = [&](const Vector &vector) { return std::abs(std::sqrt(dot(vector, vector)) - 1.0) < tolerance; };
  if (!is_unit(slice.along_row) || !is_unit(slice.down_column) ||
      std::abs(dot(slice.along_row, slice.down_column)) > tolerance) {
    fail(ExitCode::bad_image, slice.found.path, "ImageOrientationPatient is no pair of perpendicular unit vectors");
  }
}

template <class Stored> void append(std::vector<float> &values, const std::vector<char> &bytes, const Slice &slice) {
  for (std::size_t at = 0; at + sizeof(Stored) <= bytes.size(); at += sizeof(Stored)) {
    Stored stored;
    std::memcpy(&stored, bytes.data() + at, sizeof stored);
    values.push_back(static_cast<float>(stored * slice.rescale_slope + slice.rescale_intercept));
  }
}

}  // namespace

std::optional<Found> read_header(const std::filesystem::path &path) {
  if (!is_dicom(path)) return std::nullopt;
  gdcm::Reader reader;
  reader.SetFileName(path.c_str());
  bool is_read = false;
  try {
    // The pixels are skipped, so that the reader stands where they begin.
    is_read = reader.ReadUpToTag(tag::pixel_data, {tag::pixel_data});
  } catch (const std::exception &) {
    // Reported like any other file that cannot be read.
  }
  if (!is_read) fail(ExitCode::bad_image, path, "damaged: it cannot be read as DICOM");
  Found found;
  found.path = path;
  found.pixel_bytes = pixel_bytes(reader, path);
  // What is copied from files without value representations needs them.
  gdcm::FileExplicitFilter filter;
  filter.SetFile(reader.GetFile());
  if (!filter.Change()) fail(ExitCode::bad_image, path, "damaged: its attributes cannot be understood");
  const gdcm::DataSet &dataset = filter.GetFile().GetDataSet();
  found.file = &filter.GetFile();
  found.sop_class_uid = text_of(dataset, tag::sop_class_uid).value_or("");
  found.modality = text_of(dataset, tag::modality).value_or("");
  found.series_instance_uid = text_of(dataset, tag::series_instance_uid).value_or("");
  return found;
}

Slice slice_of(const Found &found) {
  check_kind(found);
  Slice slice;
  slice.found = found;
  slice.sop_instance_uid = uid(found, tag::sop_instance_uid);
  uid(found, tag::study_instance_uid);
  uid(found, tag::frame_of_reference_uid);
  slice.rows = dimension(found, tag::rows);
  slice.columns = dimension(found, tag::columns);
  const std::uintmax_t pixels = std::uintmax_t(slice.rows) * slice.columns;
  const auto bits = short_of(found.dataset(), tag::bits_allocated);
  if (!bits || *bits == 0) fail(ExitCode::bad_image, found.path, "BitsAllocated is missing or malformed");
  if (found.pixel_bytes < (pixels * *bits + 7) / 8) {
    fail(ExitCode::bad_image, found.path, "damaged: it ends before its pixels do");
  }
  const auto spacing = numbers(found, tag::pixel_spacing, 2);
  slice.row_spacing = spacing[0];
  slice.column_spacing = spacing[1];
  if (!(spacing[0] > 0.0 && spacing[1] > 0.0)) fail(ExitCode::bad_image, found.path, "PixelSpacing is not positive");
  read_orientation(slice);
  const auto position = numbers(found, tag::image_position, 3);
  slice.position = {position[0], position[1], position[2]};
  if (text_of(found.dataset(), tag::rescale_slope)) slice.rescale_slope = numbers(found, tag::rescale_slope, 1)[0];
  if (text_of(found.dataset(), tag::rescale_intercept)) {
    slice.rescale_intercept = numbers(found, tag::rescale_intercept, 1)[0];
  }
  if (slice.rescale_slope == 0.0) fail(ExitCode::bad_image, found.path, "RescaleSlope is 0");
  return slice;
}

Pixels read_pixels(const Slice &slice) {
  const auto damaged = [&](const char *fault) { fail(ExitCode::bad_image, slice.found.path, fault); };
  gdcm::ImageReader reader;
  reader.SetFileName(slice.found.path.c_str());
  std::vector<char> bytes;
  bool is_read = false;
  try {
    is_read = reader.Read();
    if (is_read) {
      bytes.resize(reader.GetImage().GetBufferLength());
      is_read = reader.GetImage().GetBuffer(bytes.data());
    }
  } catch (const std::exception &) {
    is_read = false;
  }
  if (!is_read) damaged("damaged: its pixels cannot be read");
  const gdcm::PixelFormat &format = reader.GetImage().GetPixelFormat();
  Pixels pixels;
  pixels.is_lossy = reader.GetImage().IsLossy();
  pixels.values.reserve(std::size_t(slice.rows) * slice.columns);
  switch (format.GetScalarType()) {
    case gdcm::PixelFormat::UINT8: append<std::uint8_t>(pixels.values, bytes, slice); break;
    case gdcm::PixelFormat::INT8: append<std::int8_t>(pixels.values, bytes, slice); break;
    case gdcm::PixelFormat::UINT12:
    case gdcm::PixelFormat::UINT16: append<std::uint16_t>(pixels.values, bytes, slice); break;
    case gdcm::PixelFormat::INT12:
    case gdcm::PixelFormat::INT16: append<std::int16_t>(pixels.values, bytes, slice); break;
    default: fail(ExitCode::unsupported, slice.found.path, "pixels of more than 16 bits");
  }
  if (pixels.values.size() != std::size_t(slice.rows) * slice.columns) {
    damaged("damaged: it has too few or too many pixels");
  }
  return pixels;
}

}  // namespace mrisynth_dicom
