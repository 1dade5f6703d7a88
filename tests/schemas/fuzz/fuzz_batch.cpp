// tests/schemas/fuzz/fuzz_batch.cpp -- any bytes: an error, or a batch that comes back from being
// encoded again.
#include <cstdlib>
#include <vector>

#include "schemas/batch_codec.hpp"

using namespace tapedeck;

namespace {

std::vector<market::Event> read(schemas::BatchReader& reader, std::size_t step) {
  std::vector<market::Event> events, some(step);
  while (const std::size_t n = reader.next(some))
    events.insert(events.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(n));
  return events;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static schemas::BatchReader reader;
  static schemas::BatchEncoder encoder;
  if (!reader.open(std::as_bytes(std::span(data, size)))) return 0;
  const std::vector<market::Event> events = read(reader, 1 + size % 300);
  if (events.size() != reader.size()) std::abort();
  const auto again = encoder.encode(reader.source(), reader.source_name(), events);
  if (!again) return 0;  // longer than a payload may be
  if (!reader.open(*again) || read(reader, 7) != events) std::abort();
  return 0;
}
