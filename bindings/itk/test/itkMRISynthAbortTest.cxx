// AbortGenerateData ends an update with ProcessAborted within 250 ms, and the filter works afterwards.
#include "itkCommand.h"
#include "itkImageFileReader.h"
#include "itkMRISynthPhantom.h"

#include <chrono>
#include <thread>

using namespace itk::MRISynthTest;

namespace
{

using ImageType = itk::Image<float, 3>;
using FilterType = itk::MRISynthImageFilter<ImageType, ImageType>;
using Clock = std::chrono::steady_clock;

/** Milliseconds from asking for the end, `delay` after the first progress, to the exception; negative without one. */
double
AbortAfter(FilterType * filter, const std::chrono::milliseconds delay)
{
  Clock::time_point asked;
  std::thread       asker;
  bool              isAsked = false;
  int               aborts = 0;
  const auto        onProgress = filter->AddObserver(itk::ProgressEvent(), [&](const itk::EventObject &) {
    // Not before the library is at work: ITK lowers the flag when an update begins.
    if (!isAsked)
    {
      isAsked = true;
      asker = std::thread([&] {
        std::this_thread::sleep_for(delay);
        asked = Clock::now();
        filter->AbortGenerateDataOn();
      });
    }
  });
  const auto onAbort = filter->AddObserver(itk::AbortEvent(), [&](const itk::EventObject &) { ++aborts; });
  double     milliseconds = -1.0;
  try
  {
    filter->Update();
  }
  catch (const itk::ProcessAborted &)
  {
    const auto caught = Clock::now();
    asker.join();
    milliseconds = std::chrono::duration<double, std::milli>(caught - asked).count();
  }
  if (asker.joinable())
  {
    asker.join();
  }
  filter->RemoveObserver(onProgress);
  filter->RemoveObserver(onAbort);
  MRISYNTH_CHECK(aborts == (milliseconds < 0.0 ? 0 : 1));
  return milliseconds;
}

} // namespace

/** Usage: SCAN raw|prepared LIMIT DELAY ..., all in milliseconds. */
int
itkMRISynthAbortTest(int argc, char * argv[])
{
  if (argc < 5)
  {
    std::cerr << "usage: SCAN raw|prepared LIMIT DELAY ..." << std::endl;
    return EXIT_FAILURE;
  }
  auto filter = FilterType::New();
  filter->SetInput(itk::ReadImage<ImageType>(argv[1]));
  filter->SetInputState(std::string(argv[2]) == "raw" ? itk::MRISynthImageFilterEnums::InputState::Raw
                                                      : itk::MRISynthImageFilterEnums::InputState::Prepared);
  filter->SetLogFunction([](mrisynth::LogLevel, const std::string &) {});
  const double limit = std::atof(argv[3]);
  for (int argument = 4; argument < argc; ++argument)
  {
    // Other work on the machine can make it slower, never quicker: one try of three has to do.
    double quickest = std::numeric_limits<double>::infinity();
    for (int tries = 0; tries < 3 && !(quickest <= limit); ++tries)
    {
      const double milliseconds = AbortAfter(filter, std::chrono::milliseconds(std::atoi(argv[argument])));
      std::cout << "asked after " << argv[argument] << " ms, ended " << milliseconds << " ms later" << std::endl;
      MRISYNTH_CHECK(milliseconds >= 0.0);
      quickest = std::min(quickest, milliseconds);
    }
    MRISYNTH_CHECK(quickest <= limit);
  }

  // The filter is none the worse for it.
  const auto phantom = Phantom<ImageType>();
  auto       other = PhantomFilter<ImageType, ImageType>(phantom);
  MRISYNTH_CHECK(AbortAfter(other, std::chrono::milliseconds(0)) >= 0.0);
  other->Update();
  auto fresh = PhantomFilter<ImageType, ImageType>(phantom);
  fresh->Update();
  MRISYNTH_CHECK(SameBytes<ImageType>(other->GetOutput(), fresh->GetOutput()));
  return Result();
}
