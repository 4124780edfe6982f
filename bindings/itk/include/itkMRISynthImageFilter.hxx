// What MRISynthImageFilter does: hands ITK's buffers and geometry to the library, and the library's words to ITK.
#ifndef itkMRISynthImageFilter_hxx
#define itkMRISynthImageFilter_hxx

#include "itkMetaDataObject.h"

#include <algorithm>

namespace itk
{
namespace MRISynthDetail
{

/** The library's failure as ITK has it. */
[[noreturn]] inline void
Rethrow(const mrisynth::Error & error, const std::string & location, const char * file, unsigned int line)
{
  if (error.status() == mrisynth::Status::cancelled)
  {
    ProcessAborted aborted(file, line);
    aborted.SetLocation(location);
    throw aborted;
  }
  throw MRISynthExceptionObject(file, line, std::string("mrisynth: ") + error.what(), location, error.status());
}

inline mrisynth::Contrast
ContrastOf(const MRISynthImageFilterEnums::Contrast contrast)
{
  return contrast == MRISynthImageFilterEnums::Contrast::T1w ? mrisynth::Contrast::T1w : mrisynth::Contrast::T2w;
}

} // namespace MRISynthDetail

template <typename TInputImage, typename TOutputImage>
void
MRISynthImageFilter<TInputImage, TOutputImage>::NameModel(const std::string & fileName, ModelPointer model)
{
  m_ModelIsDefault = fileName.empty() && !model;
  m_ModelFileName = fileName;
  m_Model = std::move(model);
  this->Modified();
}

template <typename TInputImage, typename TOutputImage>
void
MRISynthImageFilter<TInputImage, TOutputImage>::SetModelFileName(const std::string & name)
{
  const bool isTheSame = name.empty() ? m_ModelIsDefault : name == m_ModelFileName;
  if (!isTheSame)
  {
    this->NameModel(name, nullptr);
  }
}

template <typename TInputImage, typename TOutputImage>
void
MRISynthImageFilter<TInputImage, TOutputImage>::SetModelFromMemory(const void * bytes, std::size_t size)
{
  try
  {
    this->SetModel(std::make_shared<const mrisynth::Model>(mrisynth::Model::from_memory(bytes, size)));
  }
  catch (const mrisynth::Error & error)
  {
    MRISynthDetail::Rethrow(error, "MRISynthImageFilter::SetModelFromMemory()", __FILE__, __LINE__);
  }
}

template <typename TInputImage, typename TOutputImage>
void
MRISynthImageFilter<TInputImage, TOutputImage>::SetModel(ModelPointer model)
{
  this->NameModel(std::string(), std::move(model));
}

template <typename TInputImage, typename TOutputImage>
void
MRISynthImageFilter<TInputImage, TOutputImage>::UseDefaultModel()
{
  this->SetModelFileName(std::string());
}

template <typename TInputImage, typename TOutputImage>
void
MRISynthImageFilter<TInputImage, TOutputImage>::SetSourceContrast(const ContrastEnum contrast)
{
  if (m_SourceContrast == contrast)
  {
    return;
  }
  m_SourceContrast = contrast;
  if (m_ModelIsDefault)
  {
    this->NameModel(std::string(), nullptr);
  }
}

template <typename TInputImage, typename TOutputImage>
void
MRISynthImageFilter<TInputImage, TOutputImage>::SetTargetContrast(const ContrastEnum contrast)
{
  if (m_TargetContrast == contrast)
  {
    return;
  }
  m_TargetContrast = contrast;
  if (m_ModelIsDefault)
  {
    this->NameModel(std::string(), nullptr);
  }
}

template <typename TInputImage, typename TOutputImage>
void
MRISynthImageFilter<TInputImage, TOutputImage>::GenerateInputRequestedRegion()
{
  Superclass::GenerateInputRequestedRegion();
  if (auto * input = const_cast<TInputImage *>(this->GetInput()))
  {
    input->SetRequestedRegionToLargestPossibleRegion();
  }
}

template <typename TInputImage, typename TOutputImage>
void
MRISynthImageFilter<TInputImage, TOutputImage>::EnlargeOutputRequestedRegion(DataObject * output)
{
  Superclass::EnlargeOutputRequestedRegion(output);
  output->SetRequestedRegionToLargestPossibleRegion();
}

template <typename TInputImage, typename TOutputImage>
void
MRISynthImageFilter<TInputImage, TOutputImage>::GenerateData()
{
  const TInputImage * input = this->GetInput();
  this->AllocateOutputs();
  TOutputImage * output = this->GetOutput();
  Log            log;
  try
  {
    this->LoadModel();
    m_Model->synthesize({ input->GetBufferPointer(), Self::GeometryOf(*input) },
                        { output->GetBufferPointer(), Self::GeometryOf(*output) },
                        this->MakeOptions(log));
  }
  catch (const mrisynth::Error & error)
  {
    this->PassOn(log);
    MRISynthDetail::Rethrow(error, "MRISynthImageFilter::GenerateData()", __FILE__, __LINE__);
  }
  this->PassOn(log);
  this->SayItIsSynthetic();
}

template <typename TInputImage, typename TOutputImage>
void
MRISynthImageFilter<TInputImage, TOutputImage>::LoadModel()
{
  if (m_Model)
  {
    return;
  }
  m_Model = std::make_shared<const mrisynth::Model>(
    m_ModelIsDefault ? mrisynth::Model::embedded(MRISynthDetail::ContrastOf(m_SourceContrast),
                                                 MRISynthDetail::ContrastOf(m_TargetContrast))
                     : mrisynth::Model::load(m_ModelFileName));
}

template <typename TInputImage, typename TOutputImage>
mrisynth::Options
MRISynthImageFilter<TInputImage, TOutputImage>::MakeOptions(Log & log)
{
  mrisynth::Options options;
  // ITK cuts work into more pieces than it has threads; the library wants threads.
  options.num_threads =
    std::min(this->GetNumberOfWorkUnits(), this->GetMultiThreader()->GetMaximumNumberOfThreads());
  options.input_state =
    m_InputState == InputStateEnum::Raw ? mrisynth::InputState::raw : mrisynth::InputState::prepared;
  options.accept_implausible = m_AcceptImplausible;
  options.memory_limit = m_MemoryLimit;
  // The library calls this on the thread of Update(), so that observers may do what they do with any other filter.
  options.progress = [this, &log](const float fraction) {
    this->PassOn(log);
    this->UpdateProgress(fraction);
    return !this->GetAbortGenerateData();
  };
  options.log = [&log](const mrisynth::LogLevel level, const std::string_view line) {
    const std::lock_guard<std::mutex> lock(log.mutex);
    log.lines.emplace_back(level, line);
  };
  return options;
}

template <typename TInputImage, typename TOutputImage>
void
MRISynthImageFilter<TInputImage, TOutputImage>::PassOn(Log & log)
{
  std::vector<LogLine> lines;
  {
    const std::lock_guard<std::mutex> lock(log.mutex);
    lines.swap(log.lines);
  }
  for (const auto & line : lines)
  {
    if (m_LogFunction)
    {
      m_LogFunction(line.first, line.second);
    }
    else if (line.first <= mrisynth::LogLevel::warning)
    {
      itkWarningMacro("mrisynth: " << line.second);
    }
    else
    {
      itkDebugMacro("mrisynth: " << line.second);
    }
  }
}

template <typename TInputImage, typename TOutputImage>
void
MRISynthImageFilter<TInputImage, TOutputImage>::SayItIsSynthetic()
{
  const auto info = [this](const char * key) { return m_Model->info(key).value_or(std::string("?")); };
  const std::string made = "SYNTHETIC " + info("target") + " by mrisynth " + mrisynth::version();
  MetaDataDictionary & dictionary = this->GetOutput()->GetMetaDataDictionary();
  EncapsulateMetaData<std::string>(dictionary, "ITK_FileNotes", made);
  // The one string of a NIfTI header that ITK writes; it has room for 23 characters.
  EncapsulateMetaData<std::string>(dictionary, "aux_file", "SYNTHETIC " + info("target").substr(0, 13));
  EncapsulateMetaData<std::string>(dictionary, "0008|0008", "DERIVED\\SECONDARY");
  EncapsulateMetaData<std::string>(dictionary, "0008|103e", made);
  EncapsulateMetaData<std::string>(dictionary,
                                   "0008|2111",
                                   made + ", from " + info("source") + ", with the model " + info("name") + " " +
                                     info("version") + " (SHA-256 " + info("sha256") +
                                     "). Research software, not a medical device: not for diagnosis.");
}

template <typename TInputImage, typename TOutputImage>
template <typename TImage>
mrisynth::Geometry
MRISynthImageFilter<TInputImage, TOutputImage>::GeometryOf(const TImage & image)
{
  const auto &       region = image.GetBufferedRegion();
  const auto         first = image.template TransformIndexToPhysicalPoint<double>(region.GetIndex());
  const auto &       direction = image.GetDirection();
  const auto &       spacing = image.GetSpacing();
  mrisynth::Geometry geometry;
  for (unsigned int row = 0; row < 3; ++row)
  {
    geometry.dims[row] = region.GetSize(row);
    for (unsigned int axis = 0; axis < 3; ++axis)
    {
      geometry.index_to_lps[4 * row + axis] = direction[row][axis] * spacing[axis];
    }
    // The origin is that of index 0, which the buffer need not begin with.
    geometry.index_to_lps[4 * row + 3] = first[row];
  }
  return geometry;
}

template <typename TInputImage, typename TOutputImage>
void
MRISynthImageFilter<TInputImage, TOutputImage>::PrintSelf(std::ostream & os, Indent indent) const
{
  Superclass::PrintSelf(os, indent);
  os << indent << "InputState: " << m_InputState << std::endl;
  os << indent << "SourceContrast: " << m_SourceContrast << std::endl;
  os << indent << "TargetContrast: " << m_TargetContrast << std::endl;
  os << indent << "AcceptImplausible: " << (m_AcceptImplausible ? "On" : "Off") << std::endl;
  os << indent << "MemoryLimit: " << m_MemoryLimit << std::endl;
  os << indent << "ModelFileName: " << m_ModelFileName << std::endl;
  os << indent << "ModelIsDefault: " << (m_ModelIsDefault ? "Yes" : "No") << std::endl;
  os << indent << "Model: ";
  if (m_Model)
  {
    os << m_Model->info("name").value_or("?") << " " << m_Model->info("version").value_or("?") << std::endl;
  }
  else
  {
    os << "(not loaded)" << std::endl;
  }
}

} // namespace itk

#endif // itkMRISynthImageFilter_hxx
