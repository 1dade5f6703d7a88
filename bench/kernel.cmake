# The fold alone, against a naive book in the same run.
find_package(benchmark QUIET)
if(benchmark_FOUND)
  add_executable(bench_kernel kernel_bench.cpp kernel_itch.cpp)
  tapedeck_flags(bench_kernel)
  target_link_libraries(bench_kernel PRIVATE market benchmark::benchmark)
endif()
