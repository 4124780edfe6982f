# Stands in for a build of Slicer, which no package has: enough for the extension's CMake files to be configured, built and
# installed as they are in one. It checks what they hand over.
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/check-metadata.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/nothing.cmake")
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR lib/Slicer/qt-scripted-modules)
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR ${Slicer_QTSCRIPTEDMODULES_LIB_DIR})
set(Slicer_CLIMODULES_BIN_DIR lib/Slicer/cli-modules)
set(Slicer_INSTALL_CLIMODULES_BIN_DIR ${Slicer_CLIMODULES_BIN_DIR})
