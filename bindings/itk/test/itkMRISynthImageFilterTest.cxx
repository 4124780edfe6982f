// One scan through the filter: its bytes are those that the command makes, and its geometry survives a NIfTI file.
#include "itkImageFileReader.h"
#include "itkImageFileWriter.h"
#include "itkMRISynthPhantom.h"
#include "itkMetaDataObject.h"
#include "itkTestingMacros.h"

using namespace itk::MRISynthTest;

namespace
{

/** The mean of the absolute differences of two images of the same size. */
template <typename TImage>
double
MeanDifference(const TImage * one, const TImage * other)
{
  const auto count = one->GetBufferedRegion().GetNumberOfPixels();
  double     sum = 0.0;
  for (std::size_t voxel = 0; voxel < count; ++voxel)
  {
    sum += std::abs(one->GetBufferPointer()[voxel] - other->GetBufferPointer()[voxel]);
  }
  return sum / static_cast<double>(count);
}

} // namespace

/** Usage: SCAN EXPECTED OUTPUT raw|prepared same|similar. EXPECTED is what the command made of SCAN, a T2w scan, as
 * floats.
 *
 * `similar`, for oblique scans: ITK's reader turns the matrix of a NIfTI file into direction cosines and spacings,
 * whose product is that matrix only to seven digits. The registration of a raw scan starts from it, so the images are
 * the same to the eye only. */
int
itkMRISynthImageFilterTest(int argc, char * argv[])
{
  if (argc != 6)
  {
    std::cerr << "usage: SCAN EXPECTED OUTPUT raw|prepared same|similar" << std::endl;
    return EXIT_FAILURE;
  }
  using ImageType = itk::Image<float, 3>;
  using FilterType = itk::MRISynthImageFilter<ImageType, ImageType>;
  using Enums = itk::MRISynthImageFilterEnums;
  const bool isPrepared = std::string(argv[4]) == "prepared";
  const bool isTheSame = std::string(argv[5]) == "same";

  auto filter = FilterType::New();
  ITK_EXERCISE_BASIC_OBJECT_METHODS(filter, MRISynthImageFilter, ImageToImageFilter);
  filter->SetInput(itk::ReadImage<ImageType>(argv[1]));
  filter->SetInputState(isPrepared ? Enums::InputState::Prepared : Enums::InputState::Raw);
  std::vector<std::string> warnings;
  filter->SetLogFunction([&](const mrisynth::LogLevel level, const std::string & line) {
    if (level <= mrisynth::LogLevel::warning)
    {
      warnings.push_back(line);
    }
  });
  Silence silence;
  filter->Update();
  MRISYNTH_CHECK(silence.End() == 0);
  for (const auto & warning : warnings)
  {
    std::cout << "warning: " << warning << std::endl;
  }

  const ImageType * output = filter->GetOutput();
  MRISYNTH_CHECK(SameGeometry(output, filter->GetInput()));
  const auto expected = itk::ReadImage<ImageType>(argv[2]);
  MRISYNTH_CHECK(CornerDistance(output, expected.GetPointer()) < 1e-3);
  const double difference = MeanDifference(output, expected.GetPointer());
  std::cout << "mean difference from the command's: " << difference << std::endl;
  MRISYNTH_CHECK(isTheSame ? SameBytes(output, expected.GetPointer()) : difference < 0.005);

  // NIfTI's own limits: floats for the geometry, and ITK's choice of codes. The voxels and where they lie must come
  // back.
  itk::WriteImage(output, argv[3]);
  const auto written = itk::ReadImage<ImageType>(argv[3]);
  MRISYNTH_CHECK(SameBytes(output, written.GetPointer()));
  MRISYNTH_CHECK(CornerDistance(output, written.GetPointer()) < 1e-3);
  std::string note;
  MRISYNTH_CHECK(itk::ExposeMetaData<std::string>(written->GetMetaDataDictionary(), "aux_file", note));
  MRISYNTH_CHECK(note == "SYNTHETIC T1w");
  return Result();
}
