// Scans in NIfTI files: their voxels and geometry to the library's, and synthetic images back to files.
#include "scan_file.hpp"

#include <znzlib.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <new>
#include <random>

namespace fs = std::filesystem;
using mrisynth::Error;
using mrisynth::Status;

namespace {

[[noreturn]] void fail(Status status, const std::string &path, const std::string &fault) {
  throw Error(status, path + ": " + fault);
}

// ---- reading --------------------------------------------------------------------------------------------------------

// What the library takes at most, asked before anything of that size is allocated.
constexpr std::int64_t longest_axis = 1024, most_voxels = 134217728;

void check_header(const nifti_image &header, const std::string &path) {
  if (header.nifti_type == NIFTI_FTYPE_ANALYZE)
    fail(Status::unsupported, path, "an Analyze file, which does not say where left and right are");
  for (int axis = 4; axis <= header.dim[0]; ++axis)
    if (header.dim[axis] > 1) fail(Status::bad_image, path, "more than one volume");
  for (const std::int64_t length : {header.nx, header.ny, header.nz})
    if (length < 1 || length > longest_axis) fail(Status::bad_image, path, "an axis must have 1 to 1024 voxels");
  if (header.nx * header.ny * header.nz > most_voxels) fail(Status::bad_image, path, "too many voxels");
}

Header read_header(const std::string &path) {
  std::error_code fault;
  if (!fs::is_regular_file(path, fault)) fail(Status::io, path, fault ? fault.message() : "not a regular file");
  Header header(nifti_image_read(path.c_str(), 0));
  if (!header) fail(Status::bad_image, path, "not a NIfTI file, or a damaged one");
  check_header(*header, path);
  return header;
}

/// The file's own bytes. niftilib could load them too, but it would turn what is not a number into 0 without a word.
std::vector<unsigned char> read_bytes(const nifti_image &header, const std::string &path) {
  std::vector<unsigned char> bytes(static_cast<std::size_t>(header.nvox) * static_cast<std::size_t>(header.nbyper));
  znzFile file = znzopen(header.iname, "rb", nifti_is_gzfile(header.iname));
  if (znz_isnull(file)) fail(Status::io, header.iname, "cannot be opened");
  const bool whole = znzseek(file, static_cast<znz_off_t>(header.iname_offset), SEEK_SET) >= 0 &&
                     znzread(bytes.data(), 1, bytes.size(), file) == bytes.size();
  znzclose(file);
  if (!whole) fail(Status::bad_image, path, "truncated or damaged: not all of its voxels can be read");
  if (header.swapsize > 1 && header.byteorder != nifti_short_order())
    nifti_swap_Nbytes(static_cast<std::int64_t>(bytes.size()) / header.swapsize, header.swapsize, bytes.data());
  return bytes;
}

/// Voxels as the file scales them, computed in double precision.
template <class Stored>
std::vector<float> scaled(const std::vector<unsigned char> &bytes, const nifti_image &header) {
  // A slope of 0 says that there is no scaling.
  const bool has_scaling = header.scl_slope != 0 && std::isfinite(header.scl_slope);
  std::vector<float> voxels(bytes.size() / sizeof(Stored));
  for (std::size_t n = 0; n < voxels.size(); ++n) {
    Stored stored;
    std::memcpy(&stored, bytes.data() + n * sizeof stored, sizeof stored);
    const double value = static_cast<double>(stored);
    voxels[n] = static_cast<float>(has_scaling ? value * header.scl_slope + header.scl_inter : value);
  }
  return voxels;
}

std::vector<float> read_voxels(const nifti_image &header, const std::string &path) {
  const std::vector<unsigned char> bytes = read_bytes(header, path);
  switch (header.datatype) {
    case DT_UINT8: return scaled<std::uint8_t>(bytes, header);
    case DT_INT8: return scaled<std::int8_t>(bytes, header);
    case DT_UINT16: return scaled<std::uint16_t>(bytes, header);
    case DT_INT16: return scaled<std::int16_t>(bytes, header);
    case DT_UINT32: return scaled<std::uint32_t>(bytes, header);
    case DT_INT32: return scaled<std::int32_t>(bytes, header);
    case DT_UINT64: return scaled<std::uint64_t>(bytes, header);
    case DT_INT64: return scaled<std::int64_t>(bytes, header);
    case DT_FLOAT32: return scaled<float>(bytes, header);
    case DT_FLOAT64: return scaled<double>(bytes, header);
    default:
      fail(Status::unsupported, path, std::string("voxels of type ") + nifti_datatype_string(header.datatype));
  }
}

double millimetres_per_unit(const nifti_image &header) {
  switch (header.xyz_units) {
    case NIFTI_UNITS_METER: return 1000;
    case NIFTI_UNITS_MICRON: return 0.001;
    default: return 1;
  }
}

/// From the sform if the file has one, else from its qform, which niftilib makes of voxel sizes alone if there is none
/// either. NIfTI's axes point right, front and up; LPS has left and back for the first two, and so their signs change.
mrisynth::Geometry geometry_of(const nifti_image &header) {
  const nifti_dmat44 &to_ras = header.sform_code > 0 ? header.sto_xyz : header.qto_xyz;
  mrisynth::Geometry geometry;
  geometry.dims = {static_cast<std::uint64_t>(header.nx), static_cast<std::uint64_t>(header.ny),
                   static_cast<std::uint64_t>(header.nz)};
  for (std::size_t row = 0; row < 3; ++row)
    for (std::size_t column = 0; column < 4; ++column)
      geometry.index_to_lps[4 * row + column] =
          (row < 2 ? -1 : 1) * millimetres_per_unit(header) * to_ras.m[row][column];
  return geometry;
}

// ---- writing --------------------------------------------------------------------------------------------------------

bool ends_with(const std::string &text, const std::string &end) {
  return text.size() > end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// A file beside the one to be, under a name that niftilib takes for NIfTI. It vanishes unless it is renamed.
class TemporaryFile {
public:
  explicit TemporaryFile(const fs::path &target) {
    const std::string end = ends_with(target.string(), ".gz") ? ".nii.gz" : ".nii";
    std::random_device random;
    const std::string name = ".mrisynth-" + std::to_string(random()) + std::to_string(random()) + end;
    path_ = target.parent_path() / name;
  }
  TemporaryFile(const TemporaryFile &) = delete;
  TemporaryFile &operator=(const TemporaryFile &) = delete;
  ~TemporaryFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
  }

  std::string path() const { return path_.string(); }

private:
  fs::path path_;
};

template <std::size_t size> void set_text(char (&field)[size], const std::string &text) {
  std::memset(field, 0, size);
  // Room for the NUL at the end stays.
  text.copy(field, size - 1);
}

/// The scan's header with its geometry (qform, sform, codes, units), for float voxels that are a scan no more.
Header synthetic_header(const nifti_image &scan, const std::string &description) {
  Header header(nifti_copy_nim_info(&scan));
  if (!header) throw std::bad_alloc();
  // One file. NIfTI-2, whose longer axes no scan has, is not written: not every version of niftilib can.
  header->nifti_type = NIFTI_FTYPE_NIFTI1_1;
  header->dim[0] = header->ndim = 3;
  header->datatype = DT_FLOAT32;
  nifti_datatype_sizes(header->datatype, &header->nbyper, &header->swapsize);
  header->scl_slope = 1;
  header->scl_inter = header->cal_min = header->cal_max = 0;
  header->intent_code = NIFTI_INTENT_NONE;
  header->intent_p1 = header->intent_p2 = header->intent_p3 = 0;
  // Where programs show one of them, it must not look like a scan.
  set_text(header->intent_name, "SYNTHETIC");
  set_text(header->descrip, description);
  set_text(header->aux_file, "");
  nifti_free_extensions(header.get());
  return header;
}

/// niftilib does not say whether writing went well: what was written is read again and compared.
void check_written(const std::string &written, const std::vector<float> &voxels, const std::string &path) {
  const Header header(nifti_image_read(written.c_str(), 0));
  const std::size_t size = voxels.size() * sizeof(float);
  const std::string fault = "could not be written whole; is the disk full?";
  if (!header || static_cast<std::size_t>(header->nvox) != voxels.size()) fail(Status::io, path, fault);
  try {
    const std::vector<unsigned char> bytes = read_bytes(*header, path);
    if (bytes.size() != size || std::memcmp(bytes.data(), voxels.data(), size) != 0) fail(Status::io, path, fault);
  } catch (const Error &) {
    fail(Status::io, path, fault);
  }
}

}  // namespace

Scan read_scan(const std::string &path) {
  Header header = read_header(path);
  std::vector<float> voxels = read_voxels(*header, path);
  const mrisynth::Geometry geometry = geometry_of(*header);
  return {std::move(voxels), geometry, std::move(header)};
}

void check_new_image(const std::string &path) {
  if (!ends_with(path, ".nii") && !ends_with(path, ".nii.gz"))
    fail(Status::invalid_argument, path, "the output's name must end in .nii or .nii.gz");
  std::error_code fault;
  if (fs::exists(fs::symlink_status(path, fault))) fail(Status::io, path, "exists already, and is not replaced");
  const fs::path folder = fs::path(path).parent_path();
  if (!folder.empty() && !fs::is_directory(folder, fault)) fail(Status::io, path, "its folder does not exist");
}

void write_synthetic(const std::string &path, const std::vector<float> &voxels, const Scan &scan,
                     const std::string &description) {
  const TemporaryFile temporary(path);
  Header header = synthetic_header(*scan.header, description);
  if (nifti_set_filenames(header.get(), temporary.path().c_str(), 0, 1) != 0)
    fail(Status::io, path, "no name for a NIfTI file");
  // niftilib only reads them, and would free them with the header.
  header->data = const_cast<float *>(voxels.data());
  nifti_image_write(header.get());
  header->data = nullptr;
  check_written(temporary.path(), voxels, path);
  check_new_image(path);
  std::error_code fault;
  fs::rename(temporary.path(), path, fault);
  if (fault) fail(Status::io, path, fault.message());
}
