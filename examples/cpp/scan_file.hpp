// Scans in NIfTI files, read and written with niftilib.
#ifndef MRISYNTH_EXAMPLE_SCAN_FILE_HPP
#define MRISYNTH_EXAMPLE_SCAN_FILE_HPP

#include <mrisynth.hpp>

#include <nifti2_io.h>

#include <memory>
#include <string>
#include <vector>

struct FreeHeader {
  void operator()(nifti_image *header) const noexcept { nifti_image_free(header); }
};
using Header = std::unique_ptr<nifti_image, FreeHeader>;

/// A scan as the library takes it, and the header of its file.
struct Scan {
  /// As the file scales them, i fastest.
  std::vector<float> voxels;
  mrisynth::Geometry geometry;
  Header header;
};

/// Reads a NIfTI-1 or NIfTI-2 file, gzipped or not. Throws mrisynth::Error, whose message names the file.
Scan read_scan(const std::string &path);

/// Throws mrisynth::Error if `path` is no place for a new image: before hours of work, not after.
void check_new_image(const std::string &path);

/// Writes a NIfTI-1 file that lies where `scan` lies, and whose header says that it is synthetic. It appears whole or
/// not at all; one that exists is not replaced. Throws mrisynth::Error, whose message names the file.
void write_synthetic(const std::string &path, const std::vector<float> &voxels, const Scan &scan,
                     const std::string &description);

#endif
