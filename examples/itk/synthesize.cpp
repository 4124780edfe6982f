// Synthesizes a T1w image from a T2w scan that is prepared already, in an ITK pipeline.
#include <itkCommand.h>
#include <itkImageFileReader.h>
#include <itkImageFileWriter.h>
#include <itkMRISynthImageFilter.h>

#include <iostream>

int main(int argc, char **argv) {
  if (argc != 3) {
    std::cerr << "usage: synthesize T2W OUTPUT" << std::endl;
    return 2;
  }
  using ImageType = itk::Image<float, 3>;
  try {
    auto filter = itk::MRISynthImageFilter<ImageType, ImageType>::New();
    filter->SetInput(itk::ReadImage<ImageType>(argv[1]));
    // Leave this out for a scan as it left the scanner.
    filter->SetInputState(itk::MRISynthImageFilterEnums::InputState::Prepared);
    filter->AddObserver(itk::ProgressEvent(), [&](const itk::EventObject &) {
      std::cerr << '\r' << static_cast<int>(100.0f * filter->GetProgress()) << " %" << std::flush;
    });
    filter->Update();
    itk::WriteImage(filter->GetOutput(), argv[2]);
    std::cerr << std::endl;
    std::cout << argv[2] << ": synthetic " << filter->GetModel()->info("target").value_or("?") << std::endl;
  } catch (const itk::ExceptionObject &fault) {
    std::cerr << fault.GetDescription() << std::endl;
    return 1;
  }
  return 0;
}
