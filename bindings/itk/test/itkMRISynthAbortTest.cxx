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

using Milliseconds = std::chrono::duration<double, std::milli>;

/** Milliseconds from asking for the end, `delay` after the first progress, to the exception; negative if the work ended before. */
double
AbortAfter(FilterType * filter, const Milliseconds delay)
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
    milliseconds = Milliseconds(caught - asked).count();
  }
  if (asker.joinable())
  {
    const auto ended = Clock::now();
    asker.join();
    // Whoever asks in time is heard.
    MRISYNTH_CHECK(asked >= ended);
  }
  filter->RemoveObserver(onProgress);
  filter->RemoveObserver(onAbort);
  MRISYNTH_CHECK(aborts == (milliseconds < 0.0 ? 0 : 1));
  return milliseconds;
}

/** The milliseconds from the first progress to the end of a whole run. */
Milliseconds
WholeRun(FilterType * filter)
{
  Clock::time_point start;
  const auto        onProgress = filter->AddObserver(itk::ProgressEvent(), [&](const itk::EventObject &) {
    start = start == Clock::time_point() ? Clock::now() : start;
  });
  filter->Modified();
  filter->Update();
  filter->RemoveObserver(onProgress);
  return Clock::now() - start;
}

} // namespace

/** Usage: SCAN raw|prepared LIMIT PERCENT ...: the limit in milliseconds, and when to ask in per cent of a whole run. */
int
itkMRISynthAbortTest(int argc, char * argv[])
{
  if (argc < 5)
  {
    std::cerr << "usage: SCAN raw|prepared LIMIT PERCENT ..." << std::endl;
    return EXIT_FAILURE;
  }
  auto filter = FilterType::New();
  filter->SetInput(itk::ReadImage<ImageType>(argv[1]));
  filter->SetInputState(std::string(argv[2]) == "raw" ? itk::MRISynthImageFilterEnums::InputState::Raw
                                                      : itk::MRISynthImageFilterEnums::InputState::Prepared);
  filter->SetLogFunction([](mrisynth::LogLevel, const std::string &) {});
  const double limit = std::atof(argv[3]);
  Milliseconds whole = WholeRun(filter);
  for (int argument = 4; argument < argc; ++argument)
  {
    // Other work on the machine can make it slower, never quicker: one try of three has to do.
    double quickest = std::numeric_limits<double>::infinity();
    for (int tries = 0; tries < 3 && !(quickest <= limit) && whole.count() > 1.0;)
    {
      const Milliseconds delay = whole * std::atof(argv[argument]) / 100.0;
      filter->Modified();
      const double milliseconds = AbortAfter(filter, delay);
      std::cout << "asked after " << delay.count() << " ms, ended " << milliseconds << " ms later" << std::endl;
      if (milliseconds < 0.0)
      {
        // It had ended already: the first run was slower than this one.
        whole *= 0.7;
        continue;
      }
      quickest = std::min(quickest, milliseconds);
      ++tries;
    }
    MRISYNTH_CHECK(quickest <= limit);
  }

  // The filter is none the worse for it.
  const auto phantom = Phantom<ImageType>();
  auto       other = PhantomFilter<ImageType, ImageType>(phantom);
  MRISYNTH_CHECK(AbortAfter(other, Milliseconds(0)) >= 0.0);
  other->Update();
  auto fresh = PhantomFilter<ImageType, ImageType>(phantom);
  fresh->Update();
  MRISYNTH_CHECK(SameBytes<ImageType>(other->GetOutput(), fresh->GetOutput()));
  return Result();
}
