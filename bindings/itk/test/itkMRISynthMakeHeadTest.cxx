// Makes a raw scan of nobody: the library's average brain in a made-up skull, as a clinic's scanner would see it. A
// head like that of the Rust tests (tests/head/mod.rs), for where no real scan is at hand.
#include "itkImageFileReader.h"
#include "itkImageFileWriter.h"
#include "itkImageRegionIteratorWithIndex.h"
#include "itkSignedMaurerDistanceMapImageFilter.h"
#include "itkBinaryThresholdImageFilter.h"

#include <cmath>
#include <cstdint>
#include <iostream>

namespace
{

using ByteImage = itk::Image<unsigned char, 3>;
using FloatImage = itk::Image<float, 3>;
using ShortImage = itk::Image<short, 3>;
using PointType = FloatImage::PointType;

/** The nearest voxel's value, `outside` out of view. */
template <typename TImage>
double
ValueAt(const TImage * image, const PointType & point, const double outside)
{
  typename TImage::IndexType index;
  return image->TransformPhysicalPointToIndex(point, index) ? image->GetPixel(index) : outside;
}

/** The average brain on voxels of 2 mm, with room for the skull around it and for a neck below it; LPS millimetres of
 * MNI152. */
ByteImage::Pointer
RoomyBrain(const char * fileName)
{
  const auto brain = itk::ReadImage<ByteImage>(fileName);
  auto       roomy = ByteImage::New();
  roomy->SetRegions(ByteImage::SizeType{ { 105, 125, 115 } });
  roomy->SetSpacing(brain->GetSpacing());
  roomy->SetDirection(brain->GetDirection());
  // 7 voxels more on every side, and 19 below.
  roomy->SetOrigin(brain->TransformIndexToPhysicalPoint<double>(ByteImage::IndexType{ { -7, -8, -19 } }));
  roomy->Allocate(true);
  itk::ImageRegionIteratorWithIndex<ByteImage> voxel(roomy, roomy->GetBufferedRegion());
  for (; !voxel.IsAtEnd(); ++voxel)
  {
    const auto point = roomy->TransformIndexToPhysicalPoint<double>(voxel.GetIndex());
    voxel.Set(static_cast<unsigned char>(ValueAt(brain.GetPointer(), point, 0.0)));
  }
  return roomy;
}

/** Millimetres outside of the brain. */
FloatImage::Pointer
DepthOf(const ByteImage * brain)
{
  auto inside = itk::BinaryThresholdImageFilter<ByteImage, ByteImage>::New();
  inside->SetInput(brain);
  inside->SetLowerThreshold(1);
  inside->SetInsideValue(1);
  auto distance = itk::SignedMaurerDistanceMapImageFilter<ByteImage, FloatImage>::New();
  distance->SetInput(inside->GetOutput());
  distance->SquaredDistanceOff();
  distance->UseImageSpacingOn();
  distance->Update();
  return distance->GetOutput();
}

/** The intensity at a point of MNI152. */
double
IntensityAt(const ByteImage * brain, const FloatImage * depths, const PointType & lps, const bool isT1w)
{
  const double value = ValueAt(brain, lps, 0.0);
  if (value > 0.0)
  {
    return isT1w ? value : 300.0 - value;
  }
  const double depth = ValueAt(depths, lps, 1000.0);
  if (lps[2] < -72.0 && std::hypot(lps[0] / 55.0, (-lps[1] + 35.0) / 60.0) < 1.0)
  {
    return isT1w ? 120.0 : 70.0;
  }
  if (depth < 3.0)
  {
    return isT1w ? 45.0 : 280.0;
  }
  if (depth < 9.0)
  {
    return 12.0;
  }
  if (depth < 16.0)
  {
    return isT1w ? 210.0 : 130.0;
  }
  return 0.0;
}

/** A number of about -6 to 6 that is the same for a voxel each time. */
double
Noise(const ShortImage::IndexType & index)
{
  std::uint64_t state = static_cast<std::uint64_t>(index[0]) * 0x9E3779B97F4A7C15ULL ^
                        static_cast<std::uint64_t>(index[1]) * 0xC2B2AE3D27D4EB4FULL ^
                        static_cast<std::uint64_t>(index[2]) * 0x165667B19E3779F9ULL;
  double sum = 0.0;
  for (int round = 0; round < 3; ++round)
  {
    state ^= state >> 33;
    state *= 0xFF51AFD7ED558CCDULL;
    state ^= state >> 29;
    sum += static_cast<double>(state >> 40) / (1 << 24) - 0.5;
  }
  return 4.0 * sum;
}

/** A clinic's grid of 1 x 1 x 3.5 mm: columns to the left, rows to the back, slices upwards, tilted about the axis from
 * ear to ear and turned a little about the others, so that no axis is the patient's. */
ShortImage::Pointer
ClinicalScan()
{
  const double              tilt = 8.0 * 3.14159265358979323846 / 180.0;
  const double              turn = 4.0 * 3.14159265358979323846 / 180.0;
  ShortImage::DirectionType aboutEars, aboutNeck;
  aboutEars.SetIdentity();
  aboutNeck.SetIdentity();
  aboutEars[1][1] = aboutEars[2][2] = std::cos(tilt);
  aboutEars[2][1] = std::sin(tilt);
  aboutEars[1][2] = -std::sin(tilt);
  aboutNeck[0][0] = aboutNeck[1][1] = std::cos(turn);
  aboutNeck[1][0] = std::sin(turn);
  aboutNeck[0][1] = -std::sin(turn);
  const ShortImage::DirectionType direction(aboutNeck * aboutEars);
  const double                    spacing[3] = { 1.0, 1.0, 3.5 };
  const ShortImage::SizeType      size = { { 220, 250, 54 } };
  const double                    centre[3] = { 0.0, 18.0, 0.0 };
  ShortImage::PointType           origin;
  for (unsigned int row = 0; row < 3; ++row)
  {
    origin[row] = centre[row];
    for (unsigned int axis = 0; axis < 3; ++axis)
    {
      origin[row] -= direction[row][axis] * spacing[axis] * (size[axis] - 1.0) / 2.0;
    }
  }
  auto scan = ShortImage::New();
  scan->SetRegions(size);
  scan->SetSpacing(spacing);
  scan->SetOrigin(origin);
  scan->SetDirection(direction);
  scan->Allocate();
  return scan;
}

/** From a point in the scanner to one of MNI152: the head is smaller than the average, turned and moved. */
PointType
ToStandard(const PointType & lps)
{
  const double angle = 8.0 * 3.14159265358979323846 / 180.0;
  // The inverse of: turn and shrink, then move. Millimetres to the left and to the back, as everywhere in ITK.
  const double x = lps[0] + 6.0, y = lps[1] - 9.0, z = lps[2] - 12.0;
  PointType    standard;
  standard[0] = (std::cos(angle) * x + std::sin(angle) * y) / 0.9;
  standard[1] = (-std::sin(angle) * x + std::cos(angle) * y) / 0.88;
  standard[2] = z / 0.86;
  return standard;
}

} // namespace

/** Usage: BRAIN t1w|t2w OUTPUT. BRAIN is the average brain at 2 mm that the library carries. */
int
itkMRISynthMakeHeadTest(int argc, char * argv[])
{
  if (argc != 4)
  {
    std::cerr << "usage: BRAIN t1w|t2w OUTPUT" << std::endl;
    return EXIT_FAILURE;
  }
  const auto brain = RoomyBrain(argv[1]);
  const auto depths = DepthOf(brain);
  const bool isT1w = std::string(argv[2]) == "t1w";
  const auto scan = ClinicalScan();
  itk::ImageRegionIteratorWithIndex<ShortImage> voxel(scan, scan->GetBufferedRegion());
  for (; !voxel.IsAtEnd(); ++voxel)
  {
    const auto   point = ToStandard(scan->TransformIndexToPhysicalPoint<double>(voxel.GetIndex()));
    const double coil = 1.0 - 0.15 * (point[0] / 70.0 + point[1] / 90.0);
    const double value = IntensityAt(brain, depths, point, isT1w) * coil + Noise(voxel.GetIndex());
    voxel.Set(static_cast<short>(std::lround(std::max(value, 0.0))));
  }
  itk::WriteImage(scan.GetPointer(), argv[3], true);
  return EXIT_SUCCESS;
}
