# Finds libmrisynth, which the filter's header calls: whoever uses the module links it, and finds it again in the same
# place.
find_package(Mrisynth REQUIRED)
set(MRISynth_LIBRARIES Mrisynth::mrisynth)
get_target_property(MRISynth_SYSTEM_INCLUDE_DIRS Mrisynth::mrisynth INTERFACE_INCLUDE_DIRECTORIES)
set(MRISynth_EXPORT_CODE_INSTALL "
set(Mrisynth_DIR \"${Mrisynth_DIR}\")
find_package(Mrisynth REQUIRED)
")
set(MRISynth_EXPORT_CODE_BUILD "
if(NOT ITK_BINARY_DIR)
  set(Mrisynth_DIR \"${Mrisynth_DIR}\")
  find_package(Mrisynth REQUIRED)
endif()
")
