# What every target of petrel shares: compiler launcher, warnings, sanitizers, and three functions, one per kind of target.

find_program(CCACHE ccache)
if(CCACHE)
  # Paths relative to the source: a second clone finds what the first has compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${CCACHE})
endif()

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
if(PETREL_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()

add_library(petrel_options INTERFACE)
target_include_directories(petrel_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(petrel_options INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror)
target_link_libraries(petrel_options INTERFACE Threads::Threads)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 takes intrusive lists that unlink themselves for escaping addresses.
  target_compile_options(petrel_options INTERFACE -Wno-dangling-pointer)
endif()
if(PETREL_SANITIZE)
  target_compile_options(petrel_options INTERFACE -fsanitize=${PETREL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(petrel_options INTERFACE -fsanitize=${PETREL_SANITIZE})
endif()

# petrel_library(NAME sources... LINK targets...): target petrel_NAME from the sources in the calling folder. Files named
# *_test.cpp beside them become the target NAME_test. A folder of headers alone becomes an INTERFACE target.
function(petrel_library name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  if(ARG_UNPARSED_ARGUMENTS)
    add_library(petrel_${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
    target_link_libraries(petrel_${name} PUBLIC petrel_options ${ARG_LINK})
  else()
    add_library(petrel_${name} INTERFACE)
    target_link_libraries(petrel_${name} INTERFACE petrel_options ${ARG_LINK})
  endif()
  petrel_tests(${name})
endfunction()

# petrel_tests(NAME LINK more...): one test program from the *_test.cpp files of the calling folder.
function(petrel_tests name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cpp)
  if(PETREL_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE petrel_${name} ${ARG_LINK} GTest::gmock GTest::gtest_main)
    target_precompile_headers(${name}_test PRIVATE <gtest/gtest.h> <gmock/gmock.h> <string> <vector> <map>)
    add_test(NAME ${name} COMMAND ${name}_test)
  endif()
endfunction()
