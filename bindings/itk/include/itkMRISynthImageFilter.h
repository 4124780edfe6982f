// The ITK filter that synthesizes the missing T1w or T2w brain MRI contrast, over mrisynth.hpp.
#ifndef itkMRISynthImageFilter_h
#define itkMRISynthImageFilter_h

#include "itkImageToImageFilter.h"

#include "mrisynth.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

namespace itk
{

/** \class MRISynthImageFilterEnums
 * \brief The enumerations of MRISynthImageFilter.
 * \ingroup MRISynth
 */
class MRISynthImageFilterEnums
{
public:
  /** How much of the preparation of a scan was done already. */
  enum class InputState : uint8_t
  {
    /** As it left the scanner. */
    Raw,
    /** Bias-corrected, brain-extracted (background 0) and aligned to MNI152. */
    Prepared
  };

  /** Contrasts that a default model can be asked for. */
  enum class Contrast : uint8_t
  {
    T1w,
    T2w
  };
};

inline std::ostream &
operator<<(std::ostream & out, const MRISynthImageFilterEnums::InputState value)
{
  return out << (value == MRISynthImageFilterEnums::InputState::Raw ? "Raw" : "Prepared");
}

inline std::ostream &
operator<<(std::ostream & out, const MRISynthImageFilterEnums::Contrast value)
{
  return out << (value == MRISynthImageFilterEnums::Contrast::T1w ? "T1w" : "T2w");
}

/** \class MRISynthExceptionObject
 * \brief What the library refuses or fails in: its message, and its status for programs that tell failures apart.
 * \ingroup MRISynth
 */
class MRISynthExceptionObject : public ExceptionObject
{
public:
  MRISynthExceptionObject(const char *        file,
                          unsigned int        line,
                          const std::string & description,
                          const std::string & location,
                          mrisynth::Status    status)
    : ExceptionObject(file, line, description, location)
    , m_Status(status)
  {}

  const char *
  GetNameOfClass() const override
  {
    return "MRISynthExceptionObject";
  }

  mrisynth::Status
  GetStatus() const
  {
    return m_Status;
  }

private:
  mrisynth::Status m_Status;
};

/** \class MRISynthImageFilter
 * \brief Synthesizes the missing T1w or T2w brain MRI contrast from the one at hand.
 *
 * Research software, not a medical device. The output is synthetic: an estimate of an image that was never acquired.
 * It says so in its MetaDataDictionary (see below); base no diagnosis on it.
 *
 * The input is a 3-D scalar image of float, double, unsigned char, short or unsigned short; the output is on the same
 * grid, and its type may be another of these. Floats take 0 to 1, unsigned char 0 to 255, short and unsigned short 0 to
 * 1000; 0 is background. Both buffers are used in place: nothing is copied. Points are LPS millimetres, as they are in
 * ITK and in the library; origin, spacing, direction and the start index of the regions are the input's.
 *
 * The model is the last one that was named: SetModel() (one that is loaded already, which filters may share),
 * SetModelFromMemory(), SetModelFileName(), or, to begin with and after UseDefaultModel(), the one inside the library
 * from SourceContrast to TargetContrast. A model is loaded once and kept until another one is named; what becomes of
 * its file meanwhile is not noticed.
 *
 * The result is the same, byte for byte, for any number of threads. The library is given NumberOfWorkUnits threads, but
 * no more than the MaximumNumberOfThreads of the filter's MultiThreader; by default that is one for each core. (In the
 * library 0 stands for all cores; ITK takes 0 work units for 1.)
 *
 * The whole image is computed at once, whatever region is asked for. Progress events come from the thread that calls
 * Update(), at least every 100 ms, with a progress that never falls; AbortGenerateData is looked at after each, and
 * makes Update() throw ProcessAborted. What the library refuses or fails in is an MRISynthExceptionObject, an
 * ExceptionObject with the library's message and status; the output's buffer then holds nothing of use.
 *
 * What the library has to say in passing comes, on the thread that calls Update(), to the function of SetLogFunction().
 * Without one, warnings go the way of itkWarningMacro and the rest that of itkDebugMacro. Neither the library nor the
 * filter writes to stdout or stderr; ITK's OutputWindow shows warnings there unless the application says otherwise.
 *
 * The output's MetaDataDictionary gets strings that say SYNTHETIC: `ITK_FileNotes`; `aux_file`, the only text that ITK
 * writes into the header of a NIfTI file; and the DICOM entries `0008|0008` (Image Type), `0008|103e` (Series
 * Description) and `0008|2111` (Derivation Description).
 *
 * \ingroup MRISynth
 */
template <typename TInputImage, typename TOutputImage = Image<float, 3>>
class ITK_TEMPLATE_EXPORT MRISynthImageFilter : public ImageToImageFilter<TInputImage, TOutputImage>
{
public:
  ITK_DISALLOW_COPY_AND_MOVE(MRISynthImageFilter);

  using Self = MRISynthImageFilter;
  using Superclass = ImageToImageFilter<TInputImage, TOutputImage>;
  using Pointer = SmartPointer<Self>;
  using ConstPointer = SmartPointer<const Self>;

  using InputImageType = TInputImage;
  using OutputImageType = TOutputImage;
  using InputPixelType = typename TInputImage::PixelType;
  using OutputPixelType = typename TOutputImage::PixelType;

  using InputStateEnum = MRISynthImageFilterEnums::InputState;
  using ContrastEnum = MRISynthImageFilterEnums::Contrast;

  static_assert(TInputImage::ImageDimension == 3 && TOutputImage::ImageDimension == 3,
                "mrisynth synthesizes from 3-D images to 3-D images");

  // itkNewMacro(Self) in its three parts: ITK 5.2's own ends with one semicolon too many for -Wpedantic.
  itkSimpleNewMacro(Self);
  itkCreateAnotherMacro(Self);
  itkCloneMacro(Self);
  itkTypeMacro(MRISynthImageFilter, ImageToImageFilter);

  /** How much of the preparation was done already; Raw to begin with. */
  itkSetEnumMacro(InputState, InputStateEnum);
  itkGetEnumMacro(InputState, InputStateEnum);

  /** The contrasts that the default model leads from and to; T2w and T1w to begin with. They do not change a model that
   * was named otherwise: its card says what it is for. */
  void
  SetSourceContrast(ContrastEnum contrast);
  itkGetEnumMacro(SourceContrast, ContrastEnum);
  void
  SetTargetContrast(ContrastEnum contrast);
  itkGetEnumMacro(TargetContrast, ContrastEnum);

  /** Warn where an input that does not look like what the model was made for would be refused. */
  itkSetMacro(AcceptImplausible, bool);
  itkGetConstMacro(AcceptImplausible, bool);
  itkBooleanMacro(AcceptImplausible);

  /** Bytes that the library may have allocated at once; 0, to begin with: no limit. */
  itkSetMacro(MemoryLimit, uint64_t);
  itkGetConstMacro(MemoryLimit, uint64_t);

  /** A model file (ONNX), loaded by the next Update(); its path is UTF-8. Where a file of the same name with ".sha256"
   * added lies beside it, that SHA-256 is checked. Empty: the default model. */
  void
  SetModelFileName(const std::string & name);
  itkGetConstReferenceMacro(ModelFileName, std::string);

  /** A model file that is in memory. It is loaded at once, and nothing is kept of `bytes`. Throws ExceptionObject, and
   * leaves the filter as it was, if it is not a model that the library runs. */
  void
  SetModelFromMemory(const void * bytes, std::size_t size);

  /** Go back to the model inside the library. */
  void
  UseDefaultModel();

#ifndef ITK_WRAPPING_PARSER
  /** Called with the level and the text of each line that the library has to say. */
  using LogFunctionType = std::function<void(mrisynth::LogLevel level, const std::string & line)>;

  /** A model that is loaded already. */
  using ModelPointer = std::shared_ptr<const mrisynth::Model>;
  void
  SetModel(ModelPointer model);

  /** The model that is loaded, nullptr before the first Update() with a default model or file. */
  const ModelPointer &
  GetModel() const
  {
    return m_Model;
  }

  /** Nothing: itkWarningMacro and itkDebugMacro. What it throws comes out of Update(). It does not count as a
   * modification of the filter. */
  void
  SetLogFunction(LogFunctionType function)
  {
    m_LogFunction = std::move(function);
  }
#endif

protected:
  MRISynthImageFilter() = default;
  ~MRISynthImageFilter() override = default;

  void
  PrintSelf(std::ostream & os, Indent indent) const override;

  void
  GenerateInputRequestedRegion() override;

  void
  EnlargeOutputRequestedRegion(DataObject * output) override;

  void
  GenerateData() override;

private:
  using LogLine = std::pair<mrisynth::LogLevel, std::string>;

  /** Lines that worker threads left, until the thread of Update() passes them on. */
  struct Log
  {
    std::mutex           mutex;
    std::vector<LogLine> lines;
  };

  void
  NameModel(const std::string & fileName, ModelPointer model);

  void
  LoadModel();

  mrisynth::Options
  MakeOptions(Log & log);

  void
  PassOn(Log & log);

  void
  SayItIsSynthetic();

  template <typename TImage>
  static mrisynth::Geometry
  GeometryOf(const TImage & image);

  InputStateEnum  m_InputState{ InputStateEnum::Raw };
  ContrastEnum    m_SourceContrast{ ContrastEnum::T2w };
  ContrastEnum    m_TargetContrast{ ContrastEnum::T1w };
  bool            m_AcceptImplausible{ false };
  uint64_t        m_MemoryLimit{ 0 };
  std::string     m_ModelFileName;
  bool            m_ModelIsDefault{ true };
  ModelPointer    m_Model;
  LogFunctionType m_LogFunction;
};

} // namespace itk

#ifndef ITK_MANUAL_INSTANTIATION
#  include "itkMRISynthImageFilter.hxx"
#endif

#endif // itkMRISynthImageFilter_h
