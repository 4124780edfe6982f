// Geometry: oblique directions, regions that do not start at index 0, and axes in any order.
#include "itkMRISynthPhantom.h"
#include "itkPermuteAxesImageFilter.h"

#include <vector>

using namespace itk::MRISynthTest;

namespace
{

using ImageType = itk::Image<float, 3>;

/** A rotation about no axis of the grid. */
ImageType::DirectionType
Oblique()
{
  const double             a = 0.21, b = -0.13, c = 0.34;
  ImageType::DirectionType aboutX, aboutY, aboutZ;
  aboutX.SetIdentity();
  aboutY.SetIdentity();
  aboutZ.SetIdentity();
  aboutX[1][1] = aboutX[2][2] = std::cos(a);
  aboutX[2][1] = std::sin(a);
  aboutX[1][2] = -std::sin(a);
  aboutY[0][0] = aboutY[2][2] = std::cos(b);
  aboutY[0][2] = std::sin(b);
  aboutY[2][0] = -std::sin(b);
  aboutZ[0][0] = aboutZ[1][1] = std::cos(c);
  aboutZ[1][0] = std::sin(c);
  aboutZ[0][1] = -std::sin(c);
  return ImageType::DirectionType(aboutZ * aboutY * aboutX);
}

ImageType::Pointer
Synthesize(const ImageType * image)
{
  auto filter = PhantomFilter<ImageType, ImageType>(image);
  filter->SetModel(SharedModel());
  filter->Update();
  MRISYNTH_CHECK(SameGeometry(filter->GetOutput(), image));
  ImageType::Pointer output = filter->GetOutput();
  output->DisconnectPipeline();
  return output;
}

/** What the library makes of a packed buffer without ITK, where `index_to_lps` says that it lies. */
std::vector<float>
SynthesizeWithoutITK(const ImageType * image, const std::array<double, 16> & index_to_lps)
{
  const auto                size = image->GetBufferedRegion().GetSize();
  const mrisynth::Geometry  geometry{ { size[0], size[1], size[2] }, index_to_lps };
  std::vector<float>        voxels(size[0] * size[1] * size[2]);
  mrisynth::Options         options;
  options.input_state = mrisynth::InputState::prepared;
  options.accept_implausible = true;
  SharedModel()->synthesize({ image->GetBufferPointer(), geometry }, { voxels.data(), geometry }, options);
  return voxels;
}

bool
SameBytesAs(const ImageType * image, const std::vector<float> & voxels)
{
  return image->GetBufferedRegion().GetNumberOfPixels() == voxels.size() &&
         std::memcmp(image->GetBufferPointer(), voxels.data(), voxels.size() * sizeof(float)) == 0;
}

} // namespace

int
itkMRISynthGeometryTest(int, char *[])
{
  const auto phantom = Phantom<ImageType>();
  const auto straight = Synthesize(phantom);
  double     brightest = 0.0;
  for (std::size_t voxel = 0; voxel < straight->GetBufferedRegion().GetNumberOfPixels(); ++voxel)
  {
    brightest = std::max<double>(brightest, straight->GetBufferPointer()[voxel]);
  }
  MRISYNTH_CHECK(brightest > 0.1 && brightest <= 1.0);

  // The matrix of the phantom as the library's own tests write it down.
  const std::array<double, 16> matrix{ 1.5, 0, 0, -53.25, 0, -1.5, 0, 62.25, 0, 0, 3, -40.5, 0, 0, 0, 1 };
  MRISYNTH_CHECK(SameBytesAs(straight, SynthesizeWithoutITK(phantom, matrix)));

  // The same voxels in the same place, under other indices.
  const auto shifted = Phantom<ImageType>({ { 12, -7, 100 } });
  MRISYNTH_CHECK(CornerDistance(phantom.GetPointer(), shifted.GetPointer()) == 0.0);
  const auto fromShifted = Synthesize(shifted);
  MRISYNTH_CHECK(SameBytes(straight.GetPointer(), fromShifted.GetPointer()));
  MRISYNTH_CHECK(fromShifted->GetBufferedRegion().GetIndex() == shifted->GetBufferedRegion().GetIndex());

  // Oblique, and under other indices too: the matrix is worked out here from ITK's own points.
  const auto oblique = Phantom<ImageType>({ { 3, 5, -2 } });
  oblique->SetDirection(Oblique());
  const ImageType::IndexType start = oblique->GetBufferedRegion().GetIndex();
  std::array<double, 16>     lps{ 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };
  const auto                 first = oblique->TransformIndexToPhysicalPoint<double>(start);
  for (unsigned int row = 0; row < 3; ++row)
  {
    for (unsigned int axis = 0; axis < 3; ++axis)
    {
      lps[4 * row + axis] = Oblique()[row][axis] * oblique->GetSpacing()[axis];
    }
    lps[4 * row + 3] = first[row];
  }
  const auto fromOblique = Synthesize(oblique);
  MRISYNTH_CHECK(SameBytesAs(fromOblique, SynthesizeWithoutITK(oblique, lps)));
  // Slices through another plane: another image, or the direction went unheard.
  MRISYNTH_CHECK(!SameBytes(straight.GetPointer(), fromOblique.GetPointer()));

  // The same scan with its axes stored in another order gives the same image in that order.
  using PermuteType = itk::PermuteAxesImageFilter<ImageType>;
  PermuteType::PermuteOrderArrayType order;
  order[0] = 2;
  order[1] = 0;
  order[2] = 1;
  auto permutedInput = PermuteType::New();
  permutedInput->SetInput(phantom);
  permutedInput->SetOrder(order);
  permutedInput->Update();
  const auto fromPermuted = Synthesize(permutedInput->GetOutput());
  auto       expected = PermuteType::New();
  expected->SetInput(straight);
  expected->SetOrder(order);
  expected->Update();
  MRISYNTH_CHECK(CornerDistance(fromPermuted.GetPointer(), expected->GetOutput()) < 1e-9);
  const float * one = fromPermuted->GetBufferPointer();
  const float * other = expected->GetOutput()->GetBufferPointer();
  double        farthest = 0.0;
  for (std::size_t voxel = 0; voxel < fromPermuted->GetBufferedRegion().GetNumberOfPixels(); ++voxel)
  {
    farthest = std::max<double>(farthest, std::abs(one[voxel] - other[voxel]));
  }
  std::cout << "farthest voxel of the permuted scan: " << farthest << std::endl;
  MRISYNTH_CHECK(farthest < 1e-4);
  return Result();
}
