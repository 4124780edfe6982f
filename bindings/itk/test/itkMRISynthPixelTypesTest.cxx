// Every pixel type in and out: the same image, in the units that each type has.
#include "itkMRISynthPhantom.h"

using namespace itk::MRISynthTest;

namespace
{

using FloatImage = itk::Image<float, 3>;

template <typename TInput, typename TOutput>
typename itk::Image<TOutput, 3>::Pointer
Synthesize()
{
  const auto                              input = Phantom<itk::Image<TInput, 3>>();
  auto                                    filter = PhantomFilter<itk::Image<TInput, 3>, itk::Image<TOutput, 3>>(input);
  filter->SetModel(SharedModel());
  filter->Update();
  typename itk::Image<TOutput, 3>::Pointer output = filter->GetOutput();
  output->DisconnectPipeline();
  return output;
}

/** The phantom's values are whole numbers, so that every input type is the same image. */
template <typename TInput>
void
CheckInput(const FloatImage * expected)
{
  MRISYNTH_CHECK(SameBytes(Synthesize<TInput, float>().GetPointer(), expected));
}

/** `unit` is what 1 is in the type, 0 for floating point. Whole numbers are rounded half to even. */
template <typename TOutput>
void
CheckOutput(const FloatImage * expected, const double unit)
{
  const auto  output = Synthesize<float, TOutput>();
  std::size_t wrong = 0;
  for (std::size_t voxel = 0; voxel < expected->GetBufferedRegion().GetNumberOfPixels(); ++voxel)
  {
    const double value = expected->GetBufferPointer()[voxel];
    const double stored = unit > 0.0 ? std::nearbyint(value * unit) : value;
    // The product in float or in double may fall on either side of a half.
    const double fraction = value * unit - std::floor(value * unit);
    const double slack = unit > 0.0 && std::abs(fraction - 0.5) < 1e-3 ? 1.0 : 0.0;
    wrong += std::abs(static_cast<double>(output->GetBufferPointer()[voxel]) - stored) > slack;
  }
  MRISYNTH_CHECK(wrong == 0);
}

} // namespace

int
itkMRISynthPixelTypesTest(int, char *[])
{
  const auto expected = Synthesize<float, float>();
  CheckInput<double>(expected);
  CheckInput<unsigned char>(expected);
  CheckInput<short>(expected);
  CheckInput<unsigned short>(expected);
  CheckOutput<double>(expected, 0.0);
  CheckOutput<unsigned char>(expected, 255.0);
  CheckOutput<short>(expected, 1000.0);
  CheckOutput<unsigned short>(expected, 1000.0);
  return Result();
}
