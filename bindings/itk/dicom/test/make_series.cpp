// Writes a volume as an MR series of nobody, as a scanner would: one file a slice, under names in no order.
#include "attributes.h"

#include <gdcmFileMetaInformation.h>
#include <gdcmUIDGenerator.h>
#include <gdcmWriter.h>
#include <itkImageFileReader.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>

namespace {

using gdcm::Tag;
using gdcm::VR;
using mrisynth_dicom::set_item;
using mrisynth_dicom::set_short;
using mrisynth_dicom::set_text;
using Volume = itk::Image<float, 3>;

struct Series {
  std::string study_uid;
  std::string series_uid;
  std::string frame_uid;
  gdcm::UIDGenerator generator;
};

/// A decimal string has room for 16 characters.
std::string decimal(double number, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, number);
  return text;
}

std::string position_of(const Volume *volume, long slice) {
  const auto point = volume->TransformIndexToPhysicalPoint<double>(Volume::IndexType{{0, 0, slice}});
  return decimal(point[0], 8) + "\\" + decimal(point[1], 8) + "\\" + decimal(point[2], 8);
}

std::string orientation_of(const Volume *volume) {
  std::string text;
  for (unsigned int axis = 0; axis < 2; ++axis) {
    for (unsigned int row = 0; row < 3; ++row) {
      text += (text.empty() ? "" : "\\") + decimal(volume->GetDirection()[row][axis], 10);
    }
  }
  return text;
}

/// A name with letters beyond ASCII in Latin-1, and much of what a scanner writes that must not come through.
void describe(gdcm::DataSet &dataset) {
  set_text(dataset, Tag(0x0008, 0x0005), VR::CS, "ISO_IR 100");
  set_text(dataset, Tag(0x0010, 0x0010), VR::PN, "M\xfcller^J\xf6rg");
  set_text(dataset, Tag(0x0010, 0x0020), VR::LO, "NOBODY-1");
  set_text(dataset, Tag(0x0010, 0x0030), VR::DA, "19700101");
  set_text(dataset, Tag(0x0010, 0x0040), VR::CS, "O");
  set_text(dataset, Tag(0x0010, 0x1010), VR::AS, "050Y");
  set_text(dataset, Tag(0x0008, 0x0020), VR::DA, "20200102");
  set_text(dataset, Tag(0x0008, 0x0030), VR::TM, "101500");
  set_text(dataset, Tag(0x0008, 0x0021), VR::DA, "20200102");
  set_text(dataset, Tag(0x0008, 0x0031), VR::TM, "102000");
  set_text(dataset, Tag(0x0008, 0x0022), VR::DA, "20200102");
  set_text(dataset, Tag(0x0008, 0x0032), VR::TM, "102030.5");
  set_text(dataset, Tag(0x0008, 0x0050), VR::SH, "A-77");
  set_text(dataset, Tag(0x0008, 0x0201), VR::SH, "+0130");
  set_text(dataset, Tag(0x0008, 0x0090), VR::PN, "");
  set_text(dataset, Tag(0x0020, 0x0010), VR::SH, "S1");
  set_text(dataset, Tag(0x0008, 0x1030), VR::LO, "Kopf \xfc" "bersicht");
  set_text(dataset, Tag(0x0008, 0x103e), VR::LO, "t2_tse_tra");
  set_text(dataset, Tag(0x0018, 0x1030), VR::LO, "t2_tse_tra_protocol");
  set_text(dataset, Tag(0x0008, 0x0070), VR::LO, "Maker of Scanners");
  set_text(dataset, Tag(0x0008, 0x1090), VR::LO, "Tube 3");
  set_text(dataset, Tag(0x0018, 0x0015), VR::CS, "HEAD");
  set_text(dataset, Tag(0x0018, 0x5100), VR::CS, "HFS");
  set_text(dataset, Tag(0x0020, 0x1040), VR::LO, "");
  set_text(dataset, Tag(0x0018, 0x0020), VR::CS, "SE");
  set_text(dataset, Tag(0x0018, 0x0021), VR::CS, "SK");
  set_text(dataset, Tag(0x0018, 0x0022), VR::CS, "");
  set_text(dataset, Tag(0x0018, 0x0023), VR::CS, "2D");
  set_text(dataset, Tag(0x0018, 0x0080), VR::DS, "4500");
  set_text(dataset, Tag(0x0018, 0x0081), VR::DS, "95");
  set_text(dataset, Tag(0x0018, 0x0091), VR::IS, "15");
  set_text(dataset, Tag(0x0018, 0x0087), VR::DS, "3");
  set_text(dataset, Tag(0x0028, 0x1050), VR::DS, "120");
  set_text(dataset, Tag(0x0028, 0x1051), VR::DS, "250");
  set_text(dataset, Tag(0x0051, 0x0010), VR::LO, "MAKER PRIVATE");
  set_text(dataset, Tag(0x0051, 0x1008), VR::LO, "M\xfcller again");
}

void set_pixels(gdcm::DataSet &dataset, const Volume *volume, long slice) {
  const auto size = volume->GetLargestPossibleRegion().GetSize();
  const std::size_t count = size[0] * size[1];
  std::vector<std::int16_t> stored(count);
  for (std::size_t at = 0; at < count; ++at) {
    stored[at] = static_cast<std::int16_t>(volume->GetBufferPointer()[static_cast<std::size_t>(slice) * count + at]);
  }
  gdcm::DataElement element(Tag(0x7fe0, 0x0010));
  element.SetVR(VR::OW);
  element.SetByteValue(reinterpret_cast<const char *>(stored.data()), static_cast<std::uint32_t>(2 * count));
  dataset.Replace(element);
  set_short(dataset, Tag(0x0028, 0x0002), 1);
  set_text(dataset, Tag(0x0028, 0x0004), VR::CS, "MONOCHROME2");
  set_short(dataset, Tag(0x0028, 0x0010), static_cast<std::uint16_t>(size[1]));
  set_short(dataset, Tag(0x0028, 0x0011), static_cast<std::uint16_t>(size[0]));
  set_short(dataset, Tag(0x0028, 0x0100), 16);
  set_short(dataset, Tag(0x0028, 0x0101), 16);
  set_short(dataset, Tag(0x0028, 0x0102), 15);
  set_short(dataset, Tag(0x0028, 0x0103), 1);
}

gdcm::DataSet dataset_of(Series &series, const Volume *volume, long slice, long instance) {
  gdcm::DataSet dataset;
  describe(dataset);
  const auto spacing = volume->GetSpacing();
  set_text(dataset, Tag(0x0008, 0x0008), VR::CS, "ORIGINAL\\PRIMARY\\M\\ND");
  set_text(dataset, Tag(0x0008, 0x0016), VR::UI, "1.2.840.10008.5.1.4.1.1.4");
  set_text(dataset, Tag(0x0008, 0x0018), VR::UI, series.generator.Generate());
  set_text(dataset, Tag(0x0008, 0x0060), VR::CS, "MR");
  set_text(dataset, Tag(0x0020, 0x000d), VR::UI, series.study_uid);
  set_text(dataset, Tag(0x0020, 0x000e), VR::UI, series.series_uid);
  set_text(dataset, Tag(0x0020, 0x0011), VR::IS, "5");
  set_text(dataset, Tag(0x0020, 0x0013), VR::IS, std::to_string(instance));
  set_text(dataset, Tag(0x0020, 0x0052), VR::UI, series.frame_uid);
  set_text(dataset, Tag(0x0020, 0x0032), VR::DS, position_of(volume, slice));
  set_text(dataset, Tag(0x0020, 0x0037), VR::DS, orientation_of(volume));
  set_text(dataset, Tag(0x0028, 0x0030), VR::DS, decimal(spacing[1], 8) + "\\" + decimal(spacing[0], 8));
  set_text(dataset, Tag(0x0018, 0x0050), VR::DS, decimal(spacing[2] * 0.9, 4));
  set_text(dataset, Tag(0x0018, 0x0088), VR::DS, decimal(spacing[2], 4));
  set_text(dataset, Tag(0x0020, 0x1041), VR::DS, decimal(static_cast<double>(slice) * spacing[2], 4));
  set_pixels(dataset, volume, slice);
  return dataset;
}

void write_series(const char *scan, const std::filesystem::path &folder) {
  const auto volume = itk::ReadImage<Volume>(scan);
  const long count = static_cast<long>(volume->GetLargestPossibleRegion().GetSize(2));
  gdcm::UIDGenerator::SetRoot("2.25");
  Series series;
  series.study_uid = series.generator.Generate();
  series.series_uid = series.generator.Generate();
  series.frame_uid = series.generator.Generate();
  std::filesystem::create_directories(folder / "deeper");
  for (long slice = 0; slice < count; ++slice) {
    // Instances are numbered from the top, and names follow neither.
    const long shuffled = (slice * 37 + 11) % count;
    const auto place = shuffled % 3 == 0 ? folder / "deeper" : folder;
    gdcm::Writer writer;
    writer.GetFile().SetDataSet(dataset_of(series, volume, slice, count - slice));
    writer.GetFile().GetHeader().SetDataSetTransferSyntax(gdcm::TransferSyntax::ExplicitVRLittleEndian);
    const std::string name = (place / ("z" + std::to_string(1000 + shuffled))).string();
    if (std::filesystem::exists(name)) throw std::runtime_error(name + ": it exists already");
    writer.SetFileName(name.c_str());
    if (!writer.Write()) throw std::runtime_error(name + ": cannot be written");
  }
}

}  // namespace

/// Usage: make_series SCAN FOLDER.
int main(int argc, char **argv) {
  if (argc != 3) {
    std::cerr << "usage: make_series SCAN FOLDER" << std::endl;
    return 2;
  }
  try {
    write_series(argv[1], argv[2]);
  } catch (const std::exception &fault) {
    std::cerr << fault.what() << std::endl;
    return 1;
  }
  return 0;
}
