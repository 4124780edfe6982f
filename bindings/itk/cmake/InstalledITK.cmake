# Stands in for ITK's ITKModuleExternal where ITK is installed, as Debian's is: an installation lacks ITK's module
# macros, and ITK builds modules against its build tree only. What itk-module.cmake and test/CMakeLists.txt call is
# defined here with plain CMake, as far as this header-only module needs it, so that they are written once.
include(CTest)
include(GNUInstallDirs)

# Reads itk-module.cmake's call. Sets itk-module, and the lists of modules that it and its tests depend on.
macro(itk_module name)
  cmake_parse_arguments(_module "EXCLUDE_FROM_DEFAULT" "DESCRIPTION" "DEPENDS;TEST_DEPENDS" ${ARGN})
  set(itk-module ${name})
  set(${name}_DEPENDS ${_module_DEPENDS})
  set(${name}_TEST_DEPENDS ${_module_TEST_DEPENDS})
endmacro()

# The module itself: a folder of headers, and what they need.
macro(itk_module_impl)
  set(${itk-module}_ITK_DEPENDS ${${itk-module}_DEPENDS})
  if(BUILD_TESTING)
    list(APPEND ${itk-module}_ITK_DEPENDS ${${itk-module}_TEST_DEPENDS})
  endif()
  find_package(ITK REQUIRED COMPONENTS ${${itk-module}_ITK_DEPENDS})
  include(${ITK_USE_FILE})
  add_library(${itk-module} INTERFACE)
  target_include_directories(${itk-module} INTERFACE
    $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  # ITK's headers are not ours to warn of.
  target_include_directories(${itk-module} SYSTEM INTERFACE ${ITK_INCLUDE_DIRS})
  target_compile_features(${itk-module} INTERFACE cxx_std_17)
  target_link_libraries(${itk-module} INTERFACE ${${itk-module}_LIBRARIES} ${ITK_LIBRARIES})
  # Beside mrisynth.hpp, so that whoever links Mrisynth::mrisynth finds them.
  install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h" PATTERN "*.hxx")
endmacro()

macro(itk_module_test)
  set(${itk-module}-Test_LIBRARIES ${itk-module})
endmacro()

# One program of many tests, which takes the name of a test and its arguments, with ITK's own main function.
macro(CreateTestDriver kit libraries tests)
  set(CMAKE_TESTDRIVER_BEFORE_TESTMAIN "#include \"itkTestDriverBeforeTest.inc\"")
  set(CMAKE_TESTDRIVER_AFTER_TESTMAIN "#include \"itkTestDriverAfterTest.inc\"")
  create_test_sourcelist(_driver_sources ${kit}TestDriver.cxx ${tests}
    EXTRA_INCLUDE itkTestDriverIncludeRequiredIOFactories.h
    FUNCTION ProcessArgumentsAndRegisterRequiredFactories)
  add_executable(${kit}TestDriver ${_driver_sources})
  target_link_libraries(${kit}TestDriver PUBLIC ${libraries} ${ITKTestKernel_LIBRARIES})
endmacro()

function(itk_add_test)
  add_test(${ARGN})
  cmake_parse_arguments(_test "" "NAME" "" ${ARGN})
  set_property(TEST ${_test_NAME} PROPERTY LABELS ${itk-module})
endfunction()

include(${CMAKE_CURRENT_SOURCE_DIR}/itk-module.cmake)
itk_module_impl()
set(ITK_TEST_OUTPUT_DIR "${CMAKE_BINARY_DIR}/Testing/Temporary")
if(BUILD_TESTING)
  file(MAKE_DIRECTORY "${ITK_TEST_OUTPUT_DIR}")
  add_subdirectory(test)
endif()
