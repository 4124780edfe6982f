// Writes a scan with a header that every program reads alike, digit for digit: its axes turned onto the patient's, and
// its origin and spacings rounded to what a float holds. The voxels are the scan's own.
#include "itkImageFileReader.h"
#include "itkImageFileWriter.h"

#include <cmath>
#include <iostream>

/** Usage: SCAN OUTPUT. */
int
itkMRISynthStraightenTest(int argc, char * argv[])
{
  if (argc != 3)
  {
    std::cerr << "usage: SCAN OUTPUT" << std::endl;
    return EXIT_FAILURE;
  }
  using ImageType = itk::Image<float, 3>;
  const auto                     image = itk::ReadImage<ImageType>(argv[1]);
  ImageType::DirectionType       direction;
  const ImageType::DirectionType oblique = image->GetDirection();
  auto                           spacing = image->GetSpacing();
  auto                           origin = image->GetOrigin();
  for (unsigned int row = 0; row < 3; ++row)
  {
    for (unsigned int axis = 0; axis < 3; ++axis)
    {
      direction[row][axis] = std::round(oblique[row][axis]);
    }
    spacing[row] = std::round(spacing[row] * 64.0) / 64.0;
    origin[row] = std::round(origin[row] * 64.0) / 64.0;
  }
  image->SetDirection(direction);
  image->SetSpacing(spacing);
  image->SetOrigin(origin);
  itk::WriteImage(image.GetPointer(), argv[2], true);
  return EXIT_SUCCESS;
}
