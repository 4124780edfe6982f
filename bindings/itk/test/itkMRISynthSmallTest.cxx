// A little of everything on a very small phantom, for valgrind, which is slow: an image, an abort and a failure.
#include "itkCommand.h"
#include "itkMRISynthPhantom.h"

using namespace itk::MRISynthTest;

int
itkMRISynthSmallTest(int, char *[])
{
  using ImageType = itk::Image<unsigned short, 3>;
  const auto phantom = Phantom<ImageType>({ { 1, -2, 3 } }, 0.4);
  auto       filter = PhantomFilter<ImageType, ImageType>(phantom);
  filter->SetNumberOfWorkUnits(2);
  const auto tag = filter->AddObserver(itk::ProgressEvent(), [&](const itk::EventObject &) {
    if (filter->GetProgress() > 0.3f)
    {
      filter->AbortGenerateDataOn();
    }
  });
  bool       isAborted = false;
  try
  {
    filter->Update();
  }
  catch (const itk::ProcessAborted &)
  {
    isAborted = true;
  }
  MRISYNTH_CHECK(isAborted);
  filter->RemoveObserver(tag);
  filter->Update();
  MRISYNTH_CHECK(SameGeometry(filter->GetOutput(), phantom.GetPointer()));

  filter->AcceptImplausibleOff();
  bool isRefused = false;
  try
  {
    filter->Update();
  }
  catch (const itk::MRISynthExceptionObject & exception)
  {
    isRefused = exception.GetStatus() == mrisynth::Status::refused;
  }
  MRISYNTH_CHECK(isRefused);
  return Result();
}
