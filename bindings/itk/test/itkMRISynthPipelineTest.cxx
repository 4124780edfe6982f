// The filter in a pipeline: progress, re-execution, requested regions, models from everywhere.
#include "itkCommand.h"
#include "itkMRISynthPhantom.h"
#include "itkMetaDataObject.h"
#include "itkStreamingImageFilter.h"

#include <fstream>
#include <iterator>
#include <vector>

using namespace itk::MRISynthTest;

namespace
{

using ImageType = itk::Image<float, 3>;
using FilterType = itk::MRISynthImageFilter<ImageType, ImageType>;

/** Counts the executions of a filter, and keeps its progress. */
struct Observed
{
  explicit Observed(FilterType * filter)
  {
    filter->AddObserver(itk::StartEvent(), [this](const itk::EventObject &) {
      ++executions;
      progress.clear();
    });
    filter->AddObserver(itk::ProgressEvent(), [this, filter](const itk::EventObject &) {
      progress.push_back(filter->GetProgress());
    });
  }

  int                executions{ 0 };
  std::vector<float> progress;
};

ImageType::Pointer
Copy(FilterType * filter)
{
  auto copy = ImageType::New();
  copy->Graft(filter->GetOutput());
  copy->DisconnectPipeline();
  filter->GetOutput()->ReleaseData();
  return copy;
}

void
CheckProgress(const std::vector<float> & progress)
{
  MRISYNTH_CHECK(progress.size() > 4);
  MRISYNTH_CHECK(std::is_sorted(progress.begin(), progress.end()));
  MRISYNTH_CHECK(!progress.empty() && progress.front() >= 0.0f && progress.back() == 1.0f);
}

void
CheckReexecution(FilterType * filter, ImageType * phantom, Observed & observed)
{
  const auto model = filter->GetModel();
  MRISYNTH_CHECK(model != nullptr);
  filter->Update();
  MRISYNTH_CHECK(observed.executions == 1); // Nothing has changed.
  filter->SetInputState(filter->GetInputState());
  filter->UseDefaultModel();
  filter->Update();
  MRISYNTH_CHECK(observed.executions == 1); // Set to what it was.
  phantom->Modified();
  filter->Update();
  MRISYNTH_CHECK(observed.executions == 2);
  MRISYNTH_CHECK(filter->GetModel() == model); // Kept between updates.
  filter->SetNumberOfWorkUnits(1);
  filter->Update();
  MRISYNTH_CHECK(observed.executions == 3);
  MRISYNTH_CHECK(filter->GetModel() == model);
}

void
CheckRequestedRegions(const ImageType * phantom, const ImageType * expected)
{
  auto     filter = PhantomFilter<ImageType, ImageType>(phantom);
  Observed observed(filter);
  filter->SetModel(SharedModel());
  // A part is asked for: all of it is made.
  ImageType::RegionType part({ { 10, 20, 5 } }, { { 8, 9, 3 } });
  filter->GetOutput()->SetRequestedRegion(part);
  filter->Update();
  MRISYNTH_CHECK(filter->GetOutput()->GetBufferedRegion() == phantom->GetLargestPossibleRegion());
  MRISYNTH_CHECK(SameBytes<ImageType>(filter->GetOutput(), expected));
  // Pieces are asked for one after the other: it is made once.
  auto streaming = itk::StreamingImageFilter<ImageType, ImageType>::New();
  streaming->SetInput(filter->GetOutput());
  streaming->SetNumberOfStreamDivisions(4);
  streaming->Update();
  MRISYNTH_CHECK(observed.executions == 1);
  MRISYNTH_CHECK(SameBytes<ImageType>(streaming->GetOutput(), expected));
}

void
CheckModels(const char * fileName, const ImageType * phantom, const ImageType * expected)
{
  auto filter = PhantomFilter<ImageType, ImageType>(phantom);
  filter->SetModelFileName(fileName);
  MRISYNTH_CHECK(filter->GetModel() == nullptr);
  filter->Update();
  const auto fromFile = filter->GetModel();
  MRISYNTH_CHECK(fromFile && fromFile->info("target") == std::string("T1w"));
  MRISYNTH_CHECK(SameBytes<ImageType>(filter->GetOutput(), expected));
  // Contrasts choose the default model, and no other.
  filter->SetSourceContrast(itk::MRISynthImageFilterEnums::Contrast::T1w);
  MRISYNTH_CHECK(filter->GetModel() == fromFile);

  std::ifstream           file(fileName, std::ios::binary);
  const std::vector<char> bytes{ std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>() };
  filter->SetModelFromMemory(bytes.data(), bytes.size());
  MRISYNTH_CHECK(filter->GetModel() != nullptr && filter->GetModel() != fromFile);
  MRISYNTH_CHECK(filter->GetModelFileName().empty());
  filter->Update();
  MRISYNTH_CHECK(SameBytes<ImageType>(filter->GetOutput(), expected));

  // One model for two filters.
  auto other = PhantomFilter<ImageType, ImageType>(phantom);
  other->SetModel(filter->GetModel());
  other->Update();
  MRISYNTH_CHECK(other->GetModel() == filter->GetModel());
  MRISYNTH_CHECK(SameBytes<ImageType>(other->GetOutput(), expected));

  // Back to the default, now of the other direction: another model, and another image.
  filter->SetTargetContrast(itk::MRISynthImageFilterEnums::Contrast::T2w);
  filter->UseDefaultModel();
  MRISYNTH_CHECK(filter->GetModel() == nullptr);
  filter->Update();
  MRISYNTH_CHECK(filter->GetModel()->info("target") == std::string("T2w"));
  MRISYNTH_CHECK(!SameBytes<ImageType>(filter->GetOutput(), expected));
}

void
CheckWords(const ImageType * output)
{
  const auto & dictionary = output->GetMetaDataDictionary();
  for (const char * key : { "ITK_FileNotes", "0008|103e", "0008|2111" })
  {
    std::string words;
    MRISYNTH_CHECK(itk::ExposeMetaData<std::string>(dictionary, key, words));
    MRISYNTH_CHECK(words.find("SYNTHETIC T1w by mrisynth " + mrisynth::version()) == 0);
  }
  std::string words;
  MRISYNTH_CHECK(itk::ExposeMetaData<std::string>(dictionary, "0008|0008", words) && words == "DERIVED\\SECONDARY");
  MRISYNTH_CHECK(itk::ExposeMetaData<std::string>(dictionary, "0008|2111", words));
  MRISYNTH_CHECK(words.find(SharedModel()->info("sha256").value()) != std::string::npos);
}

} // namespace

/** Usage: MODEL, the default model from T2w to T1w as a file. */
int
itkMRISynthPipelineTest(int argc, char * argv[])
{
  if (argc != 2)
  {
    std::cerr << "usage: MODEL" << std::endl;
    return EXIT_FAILURE;
  }
  const auto phantom = Phantom<ImageType>();
  auto       filter = PhantomFilter<ImageType, ImageType>(phantom);
  Observed   observed(filter);
  Silence    silence;
  filter->Update();
  MRISYNTH_CHECK(silence.End() == 0);
  MRISYNTH_CHECK(observed.executions == 1);
  CheckProgress(observed.progress);
  CheckWords(filter->GetOutput());
  const auto expected = Copy(filter);
  filter->Update(); // The output was released: it is made again.
  MRISYNTH_CHECK(observed.executions == 2);
  MRISYNTH_CHECK(SameBytes<ImageType>(filter->GetOutput(), expected));

  auto again = PhantomFilter<ImageType, ImageType>(phantom);
  again->SetNumberOfWorkUnits(2);
  Observed observedAgain(again);
  again->Update();
  CheckReexecution(again, phantom, observedAgain);
  MRISYNTH_CHECK(SameBytes<ImageType>(again->GetOutput(), expected));

  CheckRequestedRegions(phantom, expected);
  CheckModels(argv[1], phantom, expected);
  return Result();
}
