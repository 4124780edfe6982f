// What cannot be done is an ExceptionObject with the library's words and a location, and nothing is printed.
#include "itkCommand.h"
#include "itkMRISynthPhantom.h"

#include <vector>

using namespace itk::MRISynthTest;

namespace
{

using ImageType = itk::Image<float, 3>;
using FilterType = itk::MRISynthImageFilter<ImageType, ImageType>;

/** What the exception of `call` says; empty if there was none, or none of ITK's. */
template <typename TCall>
std::string
DescriptionOf(const TCall & call)
{
  std::string  description, location;
  unsigned int line = 0;
  Silence      silence;
  try
  {
    call();
  }
  catch (const itk::ExceptionObject & exception)
  {
    description = exception.GetDescription();
    location = exception.GetLocation();
    line = exception.GetLine();
  }
  MRISYNTH_CHECK(silence.End() == 0);
  MRISYNTH_CHECK(location.find("MRISynthImageFilter") == 0);
  MRISYNTH_CHECK(line > 0);
  std::cout << "thrown: " << description << std::endl;
  return description;
}

bool
Contains(const std::string & text, const std::string & part)
{
  return text.find(part) != std::string::npos;
}

void
CheckBadModels(const ImageType * phantom)
{
  auto filter = PhantomFilter<ImageType, ImageType>(phantom);
  filter->SetModelFileName("there/is/none.onnx");
  MRISYNTH_CHECK(Contains(DescriptionOf([&] { filter->Update(); }), "there/is/none.onnx"));
  const std::string junk = "this is no model";
  MRISYNTH_CHECK(Contains(DescriptionOf([&] { filter->SetModelFromMemory(junk.data(), junk.size()); }), "model"));
  // What failed has changed nothing.
  MRISYNTH_CHECK(filter->GetModelFileName() == "there/is/none.onnx");
  filter->UseDefaultModel();
  filter->SetSourceContrast(itk::MRISynthImageFilterEnums::Contrast::T1w);
  MRISYNTH_CHECK(Contains(DescriptionOf([&] { filter->Update(); }), "nothing to synthesize"));
  filter->SetSourceContrast(itk::MRISynthImageFilterEnums::Contrast::T2w);
  filter->Update();
}

void
CheckBadImages(ImageType * phantom)
{
  auto refused = PhantomFilter<ImageType, ImageType>(phantom);
  refused->AcceptImplausibleOff();
  MRISYNTH_CHECK(Contains(DescriptionOf([&] { refused->Update(); }), "refused"));

  auto constant = ImageType::New();
  constant->SetRegions(phantom->GetLargestPossibleRegion());
  constant->Allocate();
  constant->FillBuffer(7.0f);
  auto ofConstant = PhantomFilter<ImageType, ImageType>(constant);
  MRISYNTH_CHECK(Contains(DescriptionOf([&] { ofConstant->Update(); }), "bad image"));

  auto tight = PhantomFilter<ImageType, ImageType>(phantom);
  tight->SetMemoryLimit(1000000);
  MRISYNTH_CHECK(Contains(DescriptionOf([&] { tight->Update(); }), "memory"));
  // Programs tell failures apart by the library's status.
  try
  {
    tight->Update();
  }
  catch (const itk::MRISynthExceptionObject & exception)
  {
    MRISYNTH_CHECK(exception.GetStatus() == mrisynth::Status::out_of_memory);
    tight->SetMemoryLimit(0);
  }
  MRISYNTH_CHECK(tight->GetMemoryLimit() == 0);
}

void
CheckObserversThatThrow(const ImageType * phantom)
{
  auto       filter = PhantomFilter<ImageType, ImageType>(phantom);
  const auto tag = filter->AddObserver(itk::ProgressEvent(), [](const itk::EventObject &) {
    throw std::runtime_error("enough of this");
  });
  std::string words;
  try
  {
    filter->Update();
  }
  catch (const std::runtime_error & thrown)
  {
    words = thrown.what();
  }
  MRISYNTH_CHECK(words == "enough of this");
  filter->RemoveObserver(tag);
  filter->Update();
}

void
CheckLog(const ImageType * phantom)
{
  // The phantom is accepted with warnings: to the function, and to no stream.
  auto                     filter = PhantomFilter<ImageType, ImageType>(phantom);
  std::vector<std::string> warnings;
  filter->SetLogFunction([&](const mrisynth::LogLevel level, const std::string & line) {
    if (level == mrisynth::LogLevel::warning)
    {
      warnings.push_back(line);
    }
  });
  Silence silence;
  filter->Update();
  MRISYNTH_CHECK(silence.End() == 0);
  MRISYNTH_CHECK(!warnings.empty());

  // Without a function they go ITK's way, which the application may turn off.
  filter->SetLogFunction(nullptr);
  filter->Modified();
  Silence loud;
  filter->Update();
  MRISYNTH_CHECK(loud.End() > 0);
  itk::Object::GlobalWarningDisplayOff();
  filter->Modified();
  Silence quiet;
  filter->Update();
  MRISYNTH_CHECK(quiet.End() == 0);
  itk::Object::GlobalWarningDisplayOn();
}

} // namespace

int
itkMRISynthExceptionsTest(int, char *[])
{
  const auto phantom = Phantom<ImageType>();
  CheckBadModels(phantom);
  CheckBadImages(phantom);
  CheckObserversThatThrow(phantom);
  CheckLog(phantom);
  return Result();
}
