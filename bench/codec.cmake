# The batch codec alone: bytes and nanoseconds an event.
find_library(LZ4_LIBRARY lz4)
if(LZ4_LIBRARY)
  add_executable(bench_codec codec_bench.cpp)
  tapedeck_flags(bench_codec)
  target_link_libraries(bench_codec PRIVATE schemas ${LZ4_LIBRARY})
endif()
