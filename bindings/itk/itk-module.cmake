# What ITK's build system asks of a module: its name, what it depends on, and what it is.
get_filename_component(_mrisynth_module_folder "${CMAKE_CURRENT_LIST_FILE}" PATH)
file(READ "${_mrisynth_module_folder}/README.md" DOCUMENTATION)

itk_module(MRISynth
  DEPENDS
    ITKCommon
  TEST_DEPENDS
    ITKTestKernel
    ITKIONIFTI
    ITKDistanceMap
    ITKImageGrid
  EXCLUDE_FROM_DEFAULT
  DESCRIPTION
    "${DOCUMENTATION}"
)
