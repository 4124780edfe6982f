// Makes the datasets of derived images, and writes them.
#include "derived.h"

#include "attributes.h"
#include "failure.h"

#include <gdcmFileMetaInformation.h>
#include <gdcmWriter.h>

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <set>
#include <vector>

namespace mrisynth_dicom {
namespace {

using gdcm::Tag;
using gdcm::VR;

/// What the synthetic value 1 is stored as. There is no RescaleSlope: MR images have none in DICOM, viewers that go by
/// that would show another window than those that do not, and intensities of MR have no unit anyway.
constexpr double stored_per_unit = 10000.0;
const char *const window_centre = "5000";
const char *const window_width = "10000";

/// What is kept as it is beside all of the patient's group: what identifies the study, the space that the image lies
/// in, and the scanner. All else is left out, private attributes among it, for it describes an acquisition that never
/// was: echo and repetition time, sequence, coil, contrast agent, protocol, window. docs/dicom.md has the reasons.
const std::vector<Tag> &kept() {
  static const std::vector<Tag> tags = {
      // Study and the space it is in time.
      Tag(0x0008, 0x0005), Tag(0x0008, 0x0020), Tag(0x0008, 0x0030), Tag(0x0008, 0x0050), Tag(0x0008, 0x0090),
      Tag(0x0008, 0x0201), Tag(0x0008, 0x1030), Tag(0x0008, 0x1032), Tag(0x0020, 0x000d), Tag(0x0020, 0x0010),
      // When the data that this was made of were acquired.
      Tag(0x0008, 0x0022), Tag(0x0008, 0x002a), Tag(0x0008, 0x0032), Tag(0x0020, 0x0012),
      // The scanner and its place, which the source came from. What made this image is contributing equipment.
      Tag(0x0008, 0x0070), Tag(0x0008, 0x0080), Tag(0x0008, 0x0081), Tag(0x0008, 0x1010), Tag(0x0008, 0x1040),
      Tag(0x0008, 0x1090), Tag(0x0018, 0x1000), Tag(0x0018, 0x1020),
      // What was scanned, and how it lay.
      Tag(0x0018, 0x0015), Tag(0x0018, 0x5100), Tag(0x0020, 0x0060),
      // Clinical trial and de-identification.
      Tag(0x0012, 0x0010), Tag(0x0012, 0x0020), Tag(0x0012, 0x0021), Tag(0x0012, 0x0030), Tag(0x0012, 0x0031),
      Tag(0x0012, 0x0040), Tag(0x0012, 0x0042), Tag(0x0012, 0x0050), Tag(0x0012, 0x0051), Tag(0x0012, 0x0060),
      Tag(0x0012, 0x0062), Tag(0x0012, 0x0063), Tag(0x0012, 0x0064), Tag(0x0028, 0x0303),
      // Frame of reference and plane, in the very words of the source.
      Tag(0x0018, 0x0050), Tag(0x0018, 0x0088), Tag(0x0020, 0x0032), Tag(0x0020, 0x0037), Tag(0x0020, 0x0052),
      Tag(0x0020, 0x1040), Tag(0x0020, 0x1041), Tag(0x0028, 0x0030),
      // What a lossy compression of the source did to it.
      Tag(0x0028, 0x2110), Tag(0x0028, 0x2112), Tag(0x0028, 0x2114)};
  return tags;
}

gdcm::DataSet kept_of(const gdcm::DataSet &source) {
  gdcm::DataSet dataset;
  for (const gdcm::DataElement &element : source.GetDES()) {
    // Group lengths are of the source, and are retired.
    const bool is_of_patient = element.GetTag().GetGroup() == 0x0010 && element.GetTag().GetElement() != 0;
    if (is_of_patient) dataset.Replace(element);
  }
  for (const Tag &tag : kept()) {
    if (source.FindDataElement(tag)) dataset.Replace(source.GetDataElement(tag));
  }
  return dataset;
}

/// Attributes that an image must have even if they are empty, where the source lacks them.
void fill_required(gdcm::DataSet &dataset) {
  const std::pair<Tag, VR::VRType> required[] = {
      {Tag(0x0008, 0x0020), VR::DA}, {Tag(0x0008, 0x0030), VR::TM}, {Tag(0x0008, 0x0050), VR::SH},
      {Tag(0x0008, 0x0070), VR::LO}, {Tag(0x0008, 0x0090), VR::PN}, {Tag(0x0010, 0x0010), VR::PN},
      {Tag(0x0010, 0x0020), VR::LO}, {Tag(0x0010, 0x0030), VR::DA}, {Tag(0x0010, 0x0040), VR::CS},
      {Tag(0x0018, 0x0050), VR::DS}, {Tag(0x0018, 0x5100), VR::CS}, {Tag(0x0020, 0x0010), VR::SH},
      {Tag(0x0020, 0x1040), VR::LO}};
  for (const auto &[tag, representation] : required) {
    if (!dataset.FindDataElement(tag)) set_text(dataset, tag, representation, "");
  }
}

/// One of DICOM's own codes.
gdcm::DataSet code(const std::string &value, const std::string &meaning) {
  gdcm::DataSet item;
  set_text(item, Tag(0x0008, 0x0100), VR::SH, value);
  set_text(item, Tag(0x0008, 0x0102), VR::SH, "DCM");
  set_text(item, Tag(0x0008, 0x0104), VR::LO, meaning);
  return item;
}

/// The source of one image: the slice that lies in the same place.
gdcm::DataSet reference_to(const Slice &source) {
  gdcm::DataSet item;
  set_text(item, Tag(0x0008, 0x1150), VR::UI, source.found.sop_class_uid);
  set_text(item, Tag(0x0008, 0x1155), VR::UI, source.sop_instance_uid);
  return item;
}

void refer_to(gdcm::DataSet &dataset, const Slice &source) {
  gdcm::DataSet item = reference_to(source);
  set_text(item, Tag(0x0028, 0x135a), VR::CS, "YES");
  set_item(item, Tag(0x0040, 0xa170), code("121322", "Source image for image processing operation"));
  set_item(dataset, Tag(0x0008, 0x2112), item);
  gdcm::DataSet series;
  set_text(series, tag::series_instance_uid, VR::UI, source.found.series_instance_uid);
  set_item(series, Tag(0x0008, 0x114a), reference_to(source));
  set_item(dataset, Tag(0x0008, 0x1115), series);
}

void set_pixels(gdcm::DataSet &dataset, const Slice &source, const float *voxels) {
  const std::size_t count = std::size_t(source.rows) * source.columns;
  std::vector<char> bytes;
  bytes.reserve(2 * count);
  for (std::size_t voxel = 0; voxel < count; ++voxel) {
    const auto stored = static_cast<std::uint16_t>(std::lround(stored_per_unit * static_cast<double>(voxels[voxel])));
    bytes.push_back(static_cast<char>(stored & 0xff));
    bytes.push_back(static_cast<char>(stored >> 8));
  }
  gdcm::DataElement element(tag::pixel_data);
  element.SetVR(VR::OW);
  element.SetByteValue(bytes.data(), static_cast<std::uint32_t>(bytes.size()));
  dataset.Replace(element);
  set_short(dataset, tag::samples_per_pixel, 1);
  set_text(dataset, tag::photometric_interpretation, VR::CS, "MONOCHROME2");
  set_short(dataset, tag::rows, source.rows);
  set_short(dataset, tag::columns, source.columns);
  set_short(dataset, Tag(0x0028, 0x0100), 16);
  set_short(dataset, Tag(0x0028, 0x0101), 16);
  set_short(dataset, Tag(0x0028, 0x0102), 15);
  set_short(dataset, Tag(0x0028, 0x0103), 0);
  set_text(dataset, Tag(0x0028, 0x1050), VR::DS, window_centre);
  set_text(dataset, Tag(0x0028, 0x1051), VR::DS, window_width);
}

/// What the source's own number times 100 and 1 gives, as scanners number what they derive; empty if that is no number
/// of DICOM's.
std::string derived_series_number(const gdcm::DataSet &source) {
  const auto number = numbers_of(source, tag::series_number, 1);
  const bool fits = number && std::abs((*number)[0]) < 20000000.0 && (*number)[0] >= 0.0;
  return fits ? std::to_string(100 * std::lround((*number)[0]) + 1) : "";
}

/// Seconds that the study's times are ahead of UTC, by its TimezoneOffsetFromUTC (+HHMM); nothing if it does not say.
std::optional<long> offset_from_utc(const gdcm::DataSet &source) {
  const auto text = text_of(source, tag::timezone_offset);
  if (!text || text->size() != 5 || ((*text)[0] != '+' && (*text)[0] != '-')) return std::nullopt;
  int digits = 0;
  const auto [end, fault] = std::from_chars(text->data() + 1, text->data() + 5, digits);
  if (fault != std::errc() || end != text->data() + 5) return std::nullopt;
  const long seconds = 3600L * (digits / 100) + 60L * (digits % 100);
  return (*text)[0] == '-' ? -seconds : seconds;
}

/// Now, in the time zone of the study, or of this machine if the study does not say.
std::tm now(const gdcm::DataSet &source) {
  std::time_t seconds = std::time(nullptr);
  std::tm result{};
  if (const auto offset = offset_from_utc(source)) {
    seconds += *offset;
    gmtime_r(&seconds, &result);
  } else {
    localtime_r(&seconds, &result);
  }
  return result;
}

std::string formatted(const std::tm &time, const char *format) {
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, format, &time));
}

}  // namespace

DerivedSeries::DerivedSeries(const mrisynth::Model &model, const Slice &first, bool is_lossy) : is_lossy_(is_lossy) {
  // UIDs of random numbers need no root of one's own.
  gdcm::UIDGenerator::SetRoot("2.25");
  const gdcm::DataSet &source = first.found.dataset();
  const auto info = [&](const char *key) { return plain(model.info(key).value_or("?"), 64); };
  target_ = info("target");
  derivation_ = plain("SYNTHETIC " + target_ + ", not acquired: made from " + info("source") + " by mrisynth " +
                          mrisynth::version() + " with the model " + info("name") + " " + info("version") +
                          " (SHA-256 " + info("sha256") + "). Pixel value 10000 stands for the synthetic value 1. " +
                          "Research software, not a medical device: an estimate, not for diagnosis.",
                      1024);
  series_number_ = derived_series_number(source);
  const std::string of_series = plain(text_of(source, tag::series_number).value_or(""), 12);
  series_description_ = plain("SYNTHETIC " + target_ + " (mrisynth, not for diagnosis)" +
                                  (of_series.empty() ? "" : " of series " + of_series),
                              64);
  series_instance_uid_ = new_uid();
  const std::tm time = now(source);
  date_ = formatted(time, "%Y%m%d");
  time_ = formatted(time, "%H%M%S");
}

std::string DerivedSeries::new_uid() {
  const char *uid = generator_.Generate();
  if (!uid) throw Failure(ExitCode::internal, "no new UID can be made");
  return uid;
}

void DerivedSeries::describe(gdcm::DataSet &dataset) const {
  set_text(dataset, tag::image_type, VR::CS, "DERIVED\\SECONDARY\\OTHER\\SYNTHETIC");
  set_text(dataset, Tag(0x0008, 0x2111), VR::ST, derivation_);
  set_text(dataset, Tag(0x0008, 0x103e), VR::LO, series_description_);
  set_text(dataset, Tag(0x0020, 0x4000), VR::LT, derivation_);
  set_text(dataset, Tag(0x0028, 0x0301), VR::CS, "NO");
  set_text(dataset, Tag(0x0028, 0x1055), VR::LO, "SYNTHETIC");
  if (is_lossy_) set_text(dataset, tag::lossy_image_compression, VR::CS, "01");
  // No pulse sequence made it. RM is DICOM's research mode; the rest are empty where DICOM asks for them.
  set_text(dataset, Tag(0x0018, 0x0020), VR::CS, "RM");
  set_text(dataset, Tag(0x0018, 0x0021), VR::CS, "NONE");
  set_text(dataset, Tag(0x0018, 0x0022), VR::CS, "");
  set_text(dataset, Tag(0x0018, 0x0023), VR::CS, "");
  set_text(dataset, Tag(0x0018, 0x0080), VR::DS, "");
  set_text(dataset, Tag(0x0018, 0x0081), VR::DS, "");
  set_text(dataset, Tag(0x0018, 0x0091), VR::IS, "");
}

void DerivedSeries::name_equipment(gdcm::DataSet &dataset) const {
  gdcm::DataSet item;
  set_item(item, Tag(0x0040, 0xa170), code("109102", "Processing Equipment"));
  set_text(item, Tag(0x0008, 0x0070), VR::LO, "mrisynth");
  set_text(item, Tag(0x0008, 0x1090), VR::LO, "mrisynth-dicom");
  set_text(item, Tag(0x0018, 0x1020), VR::LO, plain(mrisynth::version(), 64));
  set_text(item, Tag(0x0018, 0xa002), VR::DT, date_ + time_);
  set_text(item, Tag(0x0018, 0xa003), VR::ST, derivation_);
  set_item(dataset, Tag(0x0018, 0xa001), item);
}

gdcm::DataSet DerivedSeries::dataset_of(const Slice &source, int instance_number, const float *voxels) {
  gdcm::DataSet dataset = kept_of(source.found.dataset());
  fill_required(dataset);
  set_text(dataset, tag::sop_class_uid, VR::UI, source.found.sop_class_uid);
  set_text(dataset, tag::sop_instance_uid, VR::UI, new_uid());
  set_text(dataset, tag::modality, VR::CS, "MR");
  set_text(dataset, tag::series_instance_uid, VR::UI, series_instance_uid_);
  set_text(dataset, tag::series_number, VR::IS, series_number_);
  set_text(dataset, tag::instance_number, VR::IS, std::to_string(instance_number));
  for (const auto &[date, time] : {std::pair(Tag(0x0008, 0x0012), Tag(0x0008, 0x0013)),
                                   std::pair(Tag(0x0008, 0x0021), Tag(0x0008, 0x0031)),
                                   std::pair(Tag(0x0008, 0x0023), Tag(0x0008, 0x0033))}) {
    set_text(dataset, date, VR::DA, date_);
    set_text(dataset, time, VR::TM, time_);
  }
  describe(dataset);
  name_equipment(dataset);
  refer_to(dataset, source);
  set_pixels(dataset, source, voxels);
  return dataset;
}

void DerivedSeries::write(const Slice &source, int instance_number, const float *voxels,
                          const std::filesystem::path &path) {
  gdcm::Writer writer;
  gdcm::File &file = writer.GetFile();
  file.SetDataSet(dataset_of(source, instance_number, voxels));
  file.GetHeader().SetDataSetTransferSyntax(gdcm::TransferSyntax::ExplicitVRLittleEndian);
  writer.SetFileName(path.c_str());
  if (!writer.Write()) throw Failure(ExitCode::io, path.string() + ": cannot be written");
}

}  // namespace mrisynth_dicom
