#include "bench/kernel_itch.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <stdexcept>

namespace tapedeck::bench {
namespace {

using market::Event;
using market::EventKind;
using market::Side;

[[nodiscard]] std::uint64_t big_endian(const unsigned char* bytes, unsigned count) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < count; ++i) value = value << 8 | bytes[i];
  return value;
}

[[nodiscard]] std::vector<unsigned char> read_file(const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file) throw std::runtime_error("cannot open " + path);
  std::vector<unsigned char> bytes;
  std::vector<unsigned char> buffer(1 << 20);
  while (const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
    bytes.insert(bytes.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(n));
  }
  return bytes;
}

/// False for messages that are no event of a symbol's book.
[[nodiscard]] bool decode(const unsigned char* m, Event& e) {
  e.id = big_endian(m + 11, 8);
  const auto side_at = [&] { return m[19] == 'B' ? Side::bid : Side::ask; };
  const auto size_at = [&](int at) { return static_cast<market::Size>(big_endian(m + at, 4)); };
  switch (m[0]) {
    case 'A':
    case 'F':
      e.kind = EventKind::add;
      e.side = side_at();
      e.size = size_at(20);
      e.price = size_at(32);
      return true;
    case 'E':
      e.kind = EventKind::execute;
      e.size = size_at(19);
      e.other = big_endian(m + 23, 8);
      return true;
    case 'C':
      e.kind = EventKind::execute_price;
      e.size = size_at(19);
      e.other = big_endian(m + 23, 8);
      e.flags = m[31] == 'Y' ? market::kPrintable : 0;
      e.price = size_at(32);
      return true;
    case 'X':
      e.kind = EventKind::reduce;
      e.size = size_at(19);
      return true;
    case 'D': e.kind = EventKind::remove; return true;
    case 'U':
      e.kind = EventKind::replace;
      e.other = big_endian(m + 19, 8);
      e.size = size_at(27);
      e.price = size_at(31);
      return true;
    case 'P':
      e.kind = EventKind::trade;
      e.size = size_at(20);
      e.price = size_at(32);
      e.id = big_endian(m + 36, 8);
      return true;
    default: return false;
  }
}

void group(const std::vector<Event>& events, const std::vector<std::uint32_t>& symbols,
           std::size_t chunk, Stream& stream) {
  stream.events.resize(events.size());
  std::vector<std::size_t> starts(stream.symbols + 1);
  for (std::size_t from = 0; from < events.size(); from += chunk) {
    const std::size_t to = std::min(events.size(), from + chunk);
    if (chunk == 1) {
      stream.events[from] = events[from];
      stream.runs.push_back({symbols[from], from, 1});
      continue;
    }
    std::fill(starts.begin(), starts.end(), 0);
    for (std::size_t i = from; i < to; ++i) ++starts[symbols[i] + 1];
    for (std::size_t s = 0; s < stream.symbols; ++s) {
      if (starts[s + 1] != 0) {
        stream.runs.push_back({static_cast<std::uint32_t>(s), from + starts[s], starts[s + 1]});
      }
      starts[s + 1] += starts[s];
    }
    for (std::size_t i = from; i < to; ++i) stream.events[from + starts[symbols[i]]++] = events[i];
  }
}

}  // namespace

Stream read_itch(const std::string& path, std::size_t chunk) {
  constexpr market::TimeNs midnight = 1'340'251'200'000'000'000;  // any day will do
  const std::vector<unsigned char> bytes = read_file(path);
  std::vector<Event> events;
  std::vector<std::uint32_t> symbols;
  std::vector<std::uint32_t> index(65'536, ~0U);
  Stream stream;
  market::TimeNs feed_time = 0;
  market::Sequence sequence = 0;
  for (std::size_t at = 0; at + 2 < bytes.size();) {
    const std::size_t length = big_endian(&bytes[at], 2);
    if (length < 11 || at + 2 + length > bytes.size())
      throw std::runtime_error("bad length in " + path);
    const unsigned char* message = &bytes[at + 2];
    at += 2 + length;
    ++sequence;
    Event event;
    if (!decode(message, event)) continue;
    event.time = midnight + static_cast<market::TimeNs>(big_endian(message + 5, 6));
    event.feed_time = feed_time = std::max(feed_time, event.time);
    event.sequence = sequence;
    std::uint32_t& symbol = index[big_endian(message + 1, 2)];
    if (symbol == ~0U) symbol = stream.symbols++;
    events.push_back(event);
    symbols.push_back(symbol);
  }
  group(events, symbols, chunk, stream);
  return stream;
}

}  // namespace tapedeck::bench
