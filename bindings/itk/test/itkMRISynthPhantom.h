// A made-up brain for quick tests, and what the tests share. Not a plausible brain: filters must accept it as it is.
#ifndef itkMRISynthPhantom_h
#define itkMRISynthPhantom_h

#include "itkImage.h"
#include "itkImageRegionIteratorWithIndex.h"
#include "itkMRISynthImageFilter.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <limits>
#include <memory>
#include <string>
#include <unistd.h>

namespace itk
{
namespace MRISynthTest
{

/** Tells, and makes the test fail at its end. */
inline int &
Failures()
{
  static int failures = 0;
  return failures;
}

#define MRISYNTH_CHECK(condition)                                                                                      \
  do                                                                                                                   \
  {                                                                                                                    \
    if (!(condition))                                                                                                  \
    {                                                                                                                  \
      std::cerr << __FILE__ << ':' << __LINE__ << ": not so: " #condition << std::endl;                                \
      ++itk::MRISynthTest::Failures();                                                                                 \
    }                                                                                                                  \
  } while (false)

inline int
Result()
{
  return Failures() == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/** Whole numbers up to 250, which every pixel type holds: fluid inside, white matter, cortex, background 0. The brain
 * is an ellipsoid in the middle of 72 x 84 x 28 voxels of 1.5 x 1.5 x 3 mm. */
inline double
PhantomValue(const double i, const double j, const double k)
{
  const double x = (i - 35.5) * 1.5 / 46.0;
  const double y = (j - 41.5) * 1.5 / 56.0;
  const double z = (k - 13.5) * 3.0 / 30.0;
  const double radius = std::sqrt(x * x + y * y + z * z);
  const double texture = std::fmod(i * 7 + j * 5 + k * 3, 11);
  if (radius >= 1.0)
  {
    return 0.0;
  }
  if (radius < 0.25)
  {
    return 230.0 + texture;
  }
  return (radius < 0.8 ? 90.0 : 140.0) + texture;
}

/** The phantom as a T2w image; its i runs to the patient's left, its j to the front. `start` is the index of its first
 * voxel, which lies in the same place whatever the index. `scale` makes it smaller. */
template <typename TImage>
typename TImage::Pointer
Phantom(const typename TImage::IndexType & start = { { 0, 0, 0 } }, const double scale = 1.0)
{
  auto                           image = TImage::New();
  typename TImage::SizeType      size = { { 72, 84, 28 } };
  typename TImage::DirectionType direction;
  direction.SetIdentity();
  direction[1][1] = -1.0;
  const double                 spacing[3] = { 1.5 * scale, 1.5 * scale, 3.0 * scale };
  const double                 first[3] = { -53.25 * scale, 62.25 * scale, -40.5 * scale };
  typename TImage::PointType   origin;
  typename TImage::SpacingType spacings;
  for (unsigned int axis = 0; axis < 3; ++axis)
  {
    spacings[axis] = spacing[axis];
    origin[axis] = first[axis] - direction[axis][axis] * spacing[axis] * start[axis];
  }
  image->SetRegions(typename TImage::RegionType(start, size));
  image->SetSpacing(spacings);
  image->SetOrigin(origin);
  image->SetDirection(direction);
  image->Allocate();
  ImageRegionIteratorWithIndex<TImage> voxel(image, image->GetBufferedRegion());
  for (; !voxel.IsAtEnd(); ++voxel)
  {
    const auto index = voxel.GetIndex() - start;
    voxel.Set(static_cast<typename TImage::PixelType>(PhantomValue(index[0], index[1], index[2])));
  }
  return image;
}

/** A filter that takes the phantom as it is. */
template <typename TInputImage, typename TOutputImage>
typename MRISynthImageFilter<TInputImage, TOutputImage>::Pointer
PhantomFilter(const TInputImage * input)
{
  auto filter = MRISynthImageFilter<TInputImage, TOutputImage>::New();
  filter->SetInput(input);
  filter->SetInputState(MRISynthImageFilterEnums::InputState::Prepared);
  filter->AcceptImplausibleOn();
  filter->SetLogFunction([](mrisynth::LogLevel, const std::string &) {});
  return filter;
}

/** The model from T2w to T1w, loaded once for all filters of a test. */
inline std::shared_ptr<const mrisynth::Model>
SharedModel()
{
  static const auto model = std::make_shared<const mrisynth::Model>(
    mrisynth::Model::embedded(mrisynth::Contrast::T2w, mrisynth::Contrast::T1w));
  return model;
}

/** Whether the pixels of two images are the same bytes. */
template <typename TImage>
bool
SameBytes(const TImage * one, const TImage * other)
{
  const auto size = one->GetBufferedRegion().GetSize();
  return size == other->GetBufferedRegion().GetSize() &&
         std::memcmp(one->GetBufferPointer(),
                     other->GetBufferPointer(),
                     one->GetBufferedRegion().GetNumberOfPixels() * sizeof(typename TImage::PixelType)) == 0;
}

/** The largest distance in millimetres between the same corner of two grids; infinite if their sizes differ. */
template <typename TImage, typename TOther>
double
CornerDistance(const TImage * one, const TOther * other)
{
  const auto region = one->GetLargestPossibleRegion();
  const auto otherRegion = other->GetLargestPossibleRegion();
  if (region.GetSize() != otherRegion.GetSize())
  {
    return std::numeric_limits<double>::infinity();
  }
  double largest = 0.0;
  for (unsigned int corner = 0; corner < 8; ++corner)
  {
    auto index = region.GetIndex();
    auto otherIndex = otherRegion.GetIndex();
    for (unsigned int axis = 0; axis < 3; ++axis)
    {
      const auto offset = (corner >> axis & 1) * (region.GetSize(axis) - 1);
      index[axis] += offset;
      otherIndex[axis] += offset;
    }
    const auto here = one->template TransformIndexToPhysicalPoint<double>(index);
    const auto there = other->template TransformIndexToPhysicalPoint<double>(otherIndex);
    largest = std::max(largest, here.EuclideanDistanceTo(there));
  }
  return largest;
}

/** Whether two images have the very same geometry, regions included. */
template <typename TImage, typename TOther>
bool
SameGeometry(const TImage * one, const TOther * other)
{
  return one->GetLargestPossibleRegion() == other->GetLargestPossibleRegion() &&
         one->GetOrigin() == other->GetOrigin() && one->GetSpacing() == other->GetSpacing() &&
         one->GetDirection() == other->GetDirection();
}

/** Catches what is written to stdout and stderr, by whomever, while it lives. */
class Silence
{
public:
  Silence()
    : m_File(std::tmpfile())
  {
    this->Flush();
    for (int stream = 1; stream <= 2; ++stream)
    {
      m_Kept[stream - 1] = dup(stream);
      dup2(fileno(m_File), stream);
    }
  }

  ~Silence() { this->End(); }

  /** Ends the catching, and says how many bytes there were. */
  long
  End()
  {
    if (!m_File)
    {
      return m_Bytes;
    }
    this->Flush();
    for (int stream = 1; stream <= 2; ++stream)
    {
      dup2(m_Kept[stream - 1], stream);
      close(m_Kept[stream - 1]);
    }
    std::fseek(m_File, 0, SEEK_END);
    m_Bytes = std::ftell(m_File);
    std::fclose(m_File);
    m_File = nullptr;
    return m_Bytes;
  }

private:
  static void
  Flush()
  {
    std::fflush(nullptr);
    std::cout.flush();
    std::cerr.flush();
  }

  std::FILE * m_File;
  int         m_Kept[2];
  long        m_Bytes{ 0 };
};

} // namespace MRISynthTest
} // namespace itk

#endif // itkMRISynthPhantom_h
