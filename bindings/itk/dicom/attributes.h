// Attributes of DICOM datasets as text and numbers, read and written.
#ifndef MRISYNTH_DICOM_ATTRIBUTES_H
#define MRISYNTH_DICOM_ATTRIBUTES_H

#include <gdcmDataSet.h>
#include <gdcmTag.h>
#include <gdcmVR.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mrisynth_dicom {

namespace tag {

inline const gdcm::Tag specific_character_set(0x0008, 0x0005);
inline const gdcm::Tag image_type(0x0008, 0x0008);
inline const gdcm::Tag sop_class_uid(0x0008, 0x0016);
inline const gdcm::Tag sop_instance_uid(0x0008, 0x0018);
inline const gdcm::Tag modality(0x0008, 0x0060);
inline const gdcm::Tag timezone_offset(0x0008, 0x0201);
inline const gdcm::Tag patient_id(0x0010, 0x0020);
inline const gdcm::Tag study_instance_uid(0x0020, 0x000d);
inline const gdcm::Tag series_instance_uid(0x0020, 0x000e);
inline const gdcm::Tag series_number(0x0020, 0x0011);
inline const gdcm::Tag instance_number(0x0020, 0x0013);
inline const gdcm::Tag image_position(0x0020, 0x0032);
inline const gdcm::Tag image_orientation(0x0020, 0x0037);
inline const gdcm::Tag frame_of_reference_uid(0x0020, 0x0052);
inline const gdcm::Tag samples_per_pixel(0x0028, 0x0002);
inline const gdcm::Tag photometric_interpretation(0x0028, 0x0004);
inline const gdcm::Tag number_of_frames(0x0028, 0x0008);
inline const gdcm::Tag rows(0x0028, 0x0010);
inline const gdcm::Tag columns(0x0028, 0x0011);
inline const gdcm::Tag pixel_spacing(0x0028, 0x0030);
inline const gdcm::Tag bits_allocated(0x0028, 0x0100);
inline const gdcm::Tag rescale_intercept(0x0028, 0x1052);
inline const gdcm::Tag rescale_slope(0x0028, 0x1053);
inline const gdcm::Tag lossy_image_compression(0x0028, 0x2110);
inline const gdcm::Tag pixel_data(0x7fe0, 0x0010);

}  // namespace tag

/// The name of an attribute as error messages have it.
std::string name_of(const gdcm::Tag &attribute);

/// The value as it is stored, without the padding at its end; nothing if there is none or it is empty.
std::optional<std::string> text_of(const gdcm::DataSet &dataset, const gdcm::Tag &attribute);

/// What stands between backslashes, without spaces around it.
std::vector<std::string> values_of(const std::string &text);

/// The numbers of a decimal or integer string; nothing if it has another count of them or is no such string.
std::optional<std::vector<double>> numbers_of(const gdcm::DataSet &dataset, const gdcm::Tag &attribute,
                                              std::size_t count);

/// A 16-bit number.
std::optional<std::uint16_t> short_of(const gdcm::DataSet &dataset, const gdcm::Tag &attribute);

/// Sets an attribute to a text, padded to an even length.
void set_text(gdcm::DataSet &dataset, const gdcm::Tag &attribute, gdcm::VR::VRType representation, std::string text);

/// Sets an attribute to a 16-bit number.
void set_short(gdcm::DataSet &dataset, const gdcm::Tag &attribute, std::uint16_t value);

/// Sets an attribute to a sequence of one item.
void set_item(gdcm::DataSet &dataset, const gdcm::Tag &attribute, const gdcm::DataSet &item);

/// Printable ASCII without backslashes, which every character set of DICOM holds, cut to so many characters.
std::string plain(const std::string &text, std::size_t longest);

}  // namespace mrisynth_dicom

#endif  // MRISYNTH_DICOM_ATTRIBUTES_H
