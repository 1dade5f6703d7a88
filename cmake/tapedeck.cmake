# What every target shares: language level, warnings, ccache, and how tests are declared.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE OFF)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG -g1")

set(TAPEDECK_MARCH "" CACHE STRING "-march of the build; packages set a portable one (x86-64-v3)")
if(TAPEDECK_MARCH)
  add_compile_options(-march=${TAPEDECK_MARCH})
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

# tapedeck_folder(<name> [SOURCES ...] [LINKS ...]): the static target of a folder. Links are the dependency rule.
function(tapedeck_folder name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  tapedeck_flags(${name})
  target_link_libraries(${name} PUBLIC ${ARG_LINKS})
endfunction()

function(tapedeck_flags target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror)
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR})
endfunction()

# One object holds Catch2's main for all test programs.
function(tapedeck_catch_main)
  if(NOT TARGET catch_main)
    find_package(Catch2 2 REQUIRED)
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/catch_main.cpp
         CONTENT "#define CATCH_CONFIG_MAIN\n#include <catch2/catch.hpp>\n")
    add_library(catch_main STATIC ${CMAKE_BINARY_DIR}/catch_main.cpp)
    target_link_libraries(catch_main PUBLIC Catch2::Catch2)
  endif()
endfunction()

# tapedeck_test(<name> SOURCES ... LINKS ...): a Catch2 program, each case a ctest test.
function(tapedeck_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;LABELS" ${ARGN})
  tapedeck_catch_main()
  include(Catch)
  add_executable(${name} ${ARG_SOURCES})
  tapedeck_flags(${name})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} catch_main)
  catch_discover_tests(${name} TEST_PREFIX "${name}: " DISCOVERY_MODE PRE_TEST PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 600)
endfunction()
