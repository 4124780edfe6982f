# Fills in the templates beside it for an installed prefix. scripts/install.sh runs it:
#   cmake -DOUTPUT=PREFIX -DPACKAGE_VERSION=0.1.0 -DLIBRARY_VERSION=1.0.0 -DABI_VERSION=1 -P configure.cmake
cmake_minimum_required(VERSION 3.16)
include(CMakePackageConfigHelpers)

foreach(variable IN ITEMS OUTPUT PACKAGE_VERSION LIBRARY_VERSION ABI_VERSION)
  if(NOT ${variable})
    message(FATAL_ERROR "configure.cmake needs -D${variable}=...")
  endif()
endforeach()

# The paths in the package are relative to itself: the prefix may be moved.
configure_package_config_file(
  "${CMAKE_CURRENT_LIST_DIR}/MrisynthConfig.cmake.in" "${OUTPUT}/lib/cmake/Mrisynth/MrisynthConfig.cmake"
  INSTALL_DESTINATION lib/cmake/Mrisynth
  INSTALL_PREFIX "${OUTPUT}")
# While the version begins with 0, another minor version may differ, as cargo has it too.
write_basic_package_version_file(
  "${OUTPUT}/lib/cmake/Mrisynth/MrisynthConfigVersion.cmake"
  VERSION "${PACKAGE_VERSION}"
  COMPATIBILITY SameMinorVersion)
configure_file("${CMAKE_CURRENT_LIST_DIR}/mrisynth.pc.in" "${OUTPUT}/lib/pkgconfig/mrisynth.pc" @ONLY)
