# What every target shares: language level, warnings, ccache, and how tests are declared.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE OFF)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG -g1")

option(TAPEDECK_TESTS "Build the tests (needs Catch2)" ON)
option(TAPEDECK_UNITY "Compile a folder's sources together: cheaper from scratch, dearer after a change" OFF)
# What such a build optimises a little: where tests spend their time.
set(TAPEDECK_HOT market feeds schemas storage replay)
set(TAPEDECK_SANITIZED "" CACHE PATH
    "Build directory of preset asan: its unit and simulation tests are tests here too, label sanitized")
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
  tapedeck_unity(${name})
  if(TAPEDECK_UNITY AND name IN_LIST TAPEDECK_HOT)
    target_compile_options(${name} PRIVATE -O1)
  endif()
  target_link_libraries(${name} PUBLIC ${ARG_LINKS})
endfunction()

function(tapedeck_unity target)
  if(TAPEDECK_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
  endif()
endfunction()

function(tapedeck_flags target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # False alarms of gcc 12 in inlined std::string and std::vector code.
    target_compile_options(${target} PRIVATE -Wno-restrict -Wno-error=stringop-overflow -Wno-error=array-bounds
                           -Wno-error=maybe-uninitialized)
  elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    target_compile_options(${target} PRIVATE -Wno-gnu-statement-expression)  # macros of librdkafka
  endif()
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

# tapedeck_test(<name> SOURCES ... LINKS ... [LABELS ...] [FIXTURES ...]): a Catch2 program, each case a ctest test; label
# `unit` unless told. TAPEDECK_SOURCE_DIR is the checkout, for data files.
function(tapedeck_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;LABELS;FIXTURES" ${ARGN})
  tapedeck_catch_main()
  include("${Catch2_DIR}/Catch.cmake")
  add_executable(${name} ${ARG_SOURCES})
  tapedeck_flags(${name})
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} catch_main)
  target_compile_definitions(${name} PRIVATE TAPEDECK_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  # Assertions need no optimiser: test code builds at -O1, the folders it links as they are built anyway.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  list(JOIN ARG_LABELS "," labels)  # one string: `ctest -L` searches in it
  set(fixtures)
  if(ARG_FIXTURES)
    set(fixtures FIXTURES_REQUIRED ${ARG_FIXTURES})
  endif()
  catch_discover_tests(${name} TEST_PREFIX "${name}:" DISCOVERY_MODE PRE_TEST
                       PROPERTIES LABELS "${labels}" TIMEOUT 600 ${fixtures})
  tapedeck_sanitized(${name} ${ARG_LABELS})
endfunction()

# Unit and simulation tests are what the sanitizers look at: target sanitized_tests of preset asan builds them, and a build
# that was told of it runs each program as one test. They take some ten times as long there, so: fewer seeds, and no whole
# days of real data.
add_custom_target(sanitized_tests)
function(tapedeck_sanitized name)
  if(NOT "unit" IN_LIST ARGN AND NOT "sim" IN_LIST ARGN)
    return()
  endif()
  add_dependencies(sanitized_tests ${name})
  if(TAPEDECK_SANITIZED)
    file(RELATIVE_PATH folder ${CMAKE_BINARY_DIR} ${CMAKE_CURRENT_BINARY_DIR})
    add_test(NAME sanitized:${name} COMMAND ${TAPEDECK_SANITIZED}/${folder}/${name} ~[real]~[.]
             WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
    set_tests_properties(sanitized:${name} PROPERTIES LABELS sanitized TIMEOUT 1200 ENVIRONMENT
      "TAPEDECK_SIM_RUNS=10;ASAN_OPTIONS=detect_stack_use_after_return=1;UBSAN_OPTIONS=print_stacktrace=1")
  endif()
endfunction()
