// Compares a derived series with its source and with what the command makes, as ITK's own reader of series sees them.
#include "attributes.h"

#include <gdcmReader.h>
#include <itkGDCMImageIO.h>
#include <itkGDCMSeriesFileNames.h>
#include <itkImageFileReader.h>
#include <itkImageSeriesReader.h>

#include <cmath>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>

namespace {

using gdcm::Tag;
using mrisynth_dicom::name_of;
using mrisynth_dicom::text_of;
using Volume = itk::Image<float, 3>;
using Reader = itk::ImageSeriesReader<Volume>;

int failures = 0;

void check(bool is_so, const std::string &what) {
  if (is_so) return;
  std::cerr << "not so: " << what << std::endl;
  ++failures;
}

Volume::Pointer read_series(const char *folder) {
  auto names = itk::GDCMSeriesFileNames::New();
  names->RecursiveOn();
  names->SetDirectory(folder);
  const auto series = names->GetSeriesUIDs();
  check(series.size() == 1, std::string(folder) + " holds one series");
  auto reader = Reader::New();
  reader->SetImageIO(itk::GDCMImageIO::New());
  reader->SetFileNames(names->GetFileNames(series.at(0)));
  reader->Update();
  return reader->GetOutput();
}

/// The datasets of a folder, by their SOP Instance UID.
std::map<std::string, gdcm::DataSet> datasets_of(const char *folder) {
  std::map<std::string, gdcm::DataSet> datasets;
  for (const auto &entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    gdcm::Reader reader;
    reader.SetFileName(entry.path().c_str());
    check(reader.Read(), entry.path().string() + " can be read");
    const gdcm::DataSet &dataset = reader.GetFile().GetDataSet();
    const auto uid = text_of(dataset, Tag(0x0008, 0x0018)).value_or("");
    check(datasets.emplace(uid, dataset).second, uid + " is there once");
  }
  return datasets;
}

gdcm::DataSet only_item(const gdcm::DataSet &dataset, const Tag &tag) {
  const auto sequence = dataset.GetDataElement(tag).GetValueAsSQ();
  check(sequence && sequence->GetNumberOfItems() == 1, name_of(tag) + " has one item");
  return sequence && sequence->GetNumberOfItems() > 0 ? sequence->GetItem(1).GetNestedDataSet() : gdcm::DataSet();
}

/// What must be the source's to the letter, and what must be gone.
void compare_attributes(const gdcm::DataSet &derived, const gdcm::DataSet &source) {
  const Tag same[] = {Tag(0x0008, 0x0005), Tag(0x0008, 0x0020), Tag(0x0008, 0x0050), Tag(0x0008, 0x0070),
                      Tag(0x0010, 0x0010), Tag(0x0010, 0x0020), Tag(0x0010, 0x0030), Tag(0x0010, 0x1010),
                      Tag(0x0018, 0x0050), Tag(0x0018, 0x5100), Tag(0x0020, 0x000d), Tag(0x0020, 0x0010),
                      Tag(0x0020, 0x0013), Tag(0x0020, 0x0032), Tag(0x0020, 0x0037), Tag(0x0020, 0x0052),
                      Tag(0x0020, 0x1041), Tag(0x0028, 0x0030)};
  for (const Tag &tag : same) check(text_of(derived, tag) == text_of(source, tag), name_of(tag) + " is the source's");
  const Tag gone[] = {Tag(0x0018, 0x0081), Tag(0x0018, 0x0080), Tag(0x0018, 0x0087), Tag(0x0018, 0x1030),
                      Tag(0x0051, 0x1008)};
  for (const Tag &tag : gone) check(!text_of(derived, tag), tag.PrintAsPipeSeparatedString() + " is empty or gone");
  for (const auto &element : derived.GetDES()) {
    check(!element.GetTag().IsPrivate(), element.GetTag().PrintAsPipeSeparatedString() + " is not private");
  }
  for (const Tag &tag : {Tag(0x0008, 0x0018), Tag(0x0020, 0x000e)}) {
    check(text_of(derived, tag) != text_of(source, tag), name_of(tag) + " is new");
  }
}

void compare_datasets(const char *source_folder, const char *derived_folder) {
  const auto sources = datasets_of(source_folder), derived = datasets_of(derived_folder);
  check(sources.size() == derived.size(), "there are as many images as in the source");
  std::set<std::string> used, series;
  for (const auto &[uid, dataset] : derived) {
    const gdcm::DataSet item = only_item(dataset, Tag(0x0008, 0x2112));
    const auto reference = text_of(item, Tag(0x0008, 0x1155)).value_or("");
    const auto source = sources.find(reference);
    check(source != sources.end(), "the source image of " + uid + " is in the source");
    if (source == sources.end()) continue;
    used.insert(reference);
    series.insert(text_of(dataset, Tag(0x0020, 0x000e)).value_or(""));
    compare_attributes(dataset, source->second);
    check(text_of(dataset, Tag(0x0008, 0x0008)) == "DERIVED\\SECONDARY\\OTHER\\SYNTHETIC", "ImageType");
    const auto description = text_of(dataset, Tag(0x0008, 0x103e)).value_or("");
    check(description.find("SYNTHETIC T1w") == 0 && description.size() <= 64, "SeriesDescription");
    const auto derivation = text_of(dataset, Tag(0x0008, 0x2111)).value_or("");
    check(derivation.find("SYNTHETIC T1w") == 0, "DerivationDescription says what it is");
    check(derivation.find("SHA-256") != std::string::npos, "DerivationDescription names the model");
    only_item(dataset, Tag(0x0018, 0xa001));
  }
  check(used.size() == sources.size(), "every source image is named once");
  check(series.size() == 1, "there is one series");
}

/// Voxel by voxel, by the points where they lie: the expected image may be stored in another order.
void compare_voxels(const Volume *derived, const Volume *expected, bool is_the_same) {
  const auto size = derived->GetLargestPossibleRegion().GetSize();
  double sum = 0.0, brightest = 0.0;
  std::size_t different = 0, outside = 0;
  for (itk::SizeValueType k = 0; k < size[2]; ++k) {
    for (itk::SizeValueType j = 0; j < size[1]; ++j) {
      for (itk::SizeValueType i = 0; i < size[0]; ++i) {
        const Volume::IndexType index{{static_cast<long>(i), static_cast<long>(j), static_cast<long>(k)}};
        Volume::IndexType there;
        if (!expected->TransformPhysicalPointToIndex(derived->TransformIndexToPhysicalPoint<double>(index), there)) {
          ++outside;
          continue;
        }
        const double stored = derived->GetPixel(index), wanted = 10000.0 * expected->GetPixel(there);
        different += stored != std::round(wanted);
        sum += std::abs(stored - wanted) / 10000.0;
        brightest = std::max(brightest, stored);
      }
    }
  }
  const double mean = sum / static_cast<double>(size[0] * size[1] * size[2]);
  std::cout << "voxels that differ: " << different << ", mean difference: " << mean << std::endl;
  check(outside == 0, "every voxel lies in the expected image");
  check(brightest > 5000.0 && brightest <= 10000.0, "there is an image, of 0 to 1");
  check(is_the_same ? different == 0 : mean < 0.005, "the voxels are those that are expected");
}

}  // namespace

/// Usage: check_derived SOURCE_FOLDER DERIVED_FOLDER EXPECTED same|similar. EXPECTED is what the command makes of the
/// same scan.
int main(int argc, char **argv) {
  if (argc != 5) {
    std::cerr << "usage: check_derived SOURCE_FOLDER DERIVED_FOLDER EXPECTED same|similar" << std::endl;
    return 2;
  }
  try {
    const auto source = read_series(argv[1]), derived = read_series(argv[2]);
    check(source->GetLargestPossibleRegion() == derived->GetLargestPossibleRegion(), "the size is the source's");
    check(source->GetOrigin() == derived->GetOrigin(), "the origin is the source's");
    check(source->GetSpacing() == derived->GetSpacing(), "the spacing is the source's");
    check(source->GetDirection() == derived->GetDirection(), "the direction is the source's");
    compare_datasets(argv[1], argv[2]);
    compare_voxels(derived, itk::ReadImage<Volume>(argv[3]), std::string(argv[4]) == "same");
  } catch (const std::exception &fault) {
    std::cerr << fault.what() << std::endl;
    return 1;
  }
  return failures == 0 ? 0 : 1;
}
