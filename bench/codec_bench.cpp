// bench/codec_bench.cpp -- bytes and nanoseconds an event of the batch codec, for records as a bulk
// recording makes them.
//
//   bench_codec [FILE.itch [messages]]
//
// FILE is ITCH 5.0 with 2-byte lengths; without one, a seeded flow of 3,000 symbols. Events are
// grouped by symbol in chunks of half a million; bytes are given plain and as lz4 makes them in
// blocks of 64 KiB.
#include <lz4.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "schemas/batch_codec.hpp"

namespace {

using namespace tapedeck;
using market::Event;
using market::EventKind;
using market::Side;

constexpr std::size_t kChunk = 500'000;
constexpr std::size_t kBlock = 64 * 1024;
constexpr std::int64_t kMidnight = 1'340'251'200'000'000'000;

struct Flow {
  std::vector<std::pair<std::uint16_t, Event>> events;
};

std::uint64_t big_endian(const unsigned char* at, int bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < bytes; ++i) value = value << 8 | at[i];
  return value;
}

/// The order and trade messages; false for any other.
bool decode(const unsigned char* m, Event& e) {
  const auto u32 = [m](int at) { return static_cast<std::int64_t>(big_endian(m + at, 4)); };
  e.time = e.feed_time = kMidnight + static_cast<std::int64_t>(big_endian(m + 5, 6));
  e.id = big_endian(m + 11, 8);
  switch (m[0]) {
    case 'A':
    case 'F':
      e.kind = EventKind::add, e.side = m[19] == 'B' ? Side::bid : Side::ask;
      e.size = u32(20), e.price = u32(32);
      return true;
    case 'E':
      e.kind = EventKind::execute, e.size = u32(19), e.other = big_endian(m + 23, 8);
      return true;
    case 'C':
      e.kind = EventKind::execute_price, e.size = u32(19), e.other = big_endian(m + 23, 8);
      e.flags = m[31] == 'Y' ? market::kPrintable : 0, e.price = u32(32);
      return true;
    case 'X': e.kind = EventKind::reduce, e.size = u32(19); return true;
    case 'D': e.kind = EventKind::remove; return true;
    case 'U':
      e.kind = EventKind::replace, e.other = big_endian(m + 19, 8), e.size = u32(27),
      e.price = u32(31);
      return true;
    case 'P':
      e.kind = EventKind::trade, e.size = u32(20), e.price = u32(32), e.id = big_endian(m + 36, 8);
      return true;
    default: return false;
  }
}

Flow read_itch(const char* path, std::size_t most) {
  std::ifstream file(path, std::ios::binary);
  Flow flow;
  unsigned char length[2], message[65'536];
  std::uint64_t number = 0;
  while (flow.events.size() < most && file.read(reinterpret_cast<char*>(length), 2)) {
    const auto size = static_cast<std::streamsize>(big_endian(length, 2));
    if (!file.read(reinterpret_cast<char*>(message), size)) break;
    Event event;
    event.sequence = ++number;
    if (decode(message, event))
      flow.events.emplace_back(static_cast<std::uint16_t>(big_endian(message + 1, 2)), event);
  }
  return flow;
}

Flow make_flow(std::size_t count) {
  std::mt19937_64 random(1);
  std::vector<std::vector<std::uint64_t>> live(3000);
  Flow flow;
  std::uint64_t time = 0, order = 0, match = 0;
  for (std::size_t i = 0; i < count; ++i) {
    time += random() % 40'000;
    const std::size_t symbol = random() % live.size();
    auto& orders = live[symbol];
    Event e;
    e.sequence = i + 1;
    e.time = e.feed_time = kMidnight + static_cast<std::int64_t>(time);
    e.side = random() % 2 ? Side::bid : Side::ask;
    e.size = static_cast<std::int64_t>(random() % 4 ? 100 : 1 + random() % 500);
    const auto ticks = static_cast<std::int64_t>(10'000 + symbol + random() % 60);
    if (orders.size() < 20 || random() % 2) {
      e.kind = EventKind::add, e.id = ++order, e.price = ticks * 100;
      orders.push_back(e.id);
    } else {
      const std::size_t pick =
          orders.size() - 1 - random() % std::min<std::size_t>(orders.size(), 40);
      e.kind = EventKind::remove, e.id = orders[pick], e.side = Side::none;
      orders.erase(orders.begin() + static_cast<std::ptrdiff_t>(pick));
      if (random() % 10 == 0) e.kind = EventKind::execute, e.other = ++match;
      if (e.kind == EventKind::remove) e.size = 0;
    }
    flow.events.emplace_back(static_cast<std::uint16_t>(symbol), e);
  }
  return flow;
}

/// One vector of events a record.
std::vector<std::vector<Event>> group(const Flow& flow) {
  std::vector<std::vector<Event>> records;
  std::vector<std::vector<Event>> by_symbol(65'536);
  for (std::size_t begin = 0; begin < flow.events.size(); begin += kChunk) {
    const std::size_t end = std::min(flow.events.size(), begin + kChunk);
    for (std::size_t i = begin; i < end; ++i)
      by_symbol[flow.events[i].first].push_back(flow.events[i].second);
    for (auto& events : by_symbol) {
      for (std::size_t at = 0; at < events.size(); at += 4096) {
        const auto from = events.begin() + static_cast<std::ptrdiff_t>(at);
        records.emplace_back(from, from + static_cast<std::ptrdiff_t>(
                                              std::min<std::size_t>(4096, events.size() - at)));
      }
      events.clear();
    }
  }
  return records;
}

/// Of this thread: what else the machine does counts less.
double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

double seconds(const std::function<void()>& work) {
  const double start = cpu_seconds();
  work();
  return cpu_seconds() - start;
}

std::size_t compressed(const std::string& all) {
  std::vector<char> out(static_cast<std::size_t>(LZ4_compressBound(kBlock)));
  std::size_t bytes = 0;
  for (std::size_t at = 0; at < all.size(); at += kBlock) {
    const int size = static_cast<int>(std::min(kBlock, all.size() - at));
    bytes += static_cast<std::size_t>(
        LZ4_compress_default(all.data() + at, out.data(), size, static_cast<int>(out.size())));
  }
  return bytes;
}

void measure(const std::vector<std::vector<Event>>& records, const char* what) {
  std::size_t events = 0;
  for (const auto& record : records) events += record.size();
  schemas::BatchEncoder encoder;
  std::string all;
  std::vector<std::pair<std::size_t, std::size_t>> places;
  double encode = 1e9, decode = 1e9, open = 1e9;
  for (int round = 0; round < 3; ++round) {
    encode = std::min(encode, seconds([&] {
                        for (const auto& record : records) {
                          if (!encoder.encode(7, "", record)) std::abort();
                        }
                      }));
  }
  for (const auto& record : records) {
    const auto payload = *encoder.encode(7, "", record);
    all.append((8 - all.size() % 8) % 8 + 16, '\0');
    places.emplace_back(all.size(), payload.size());
    all.append(reinterpret_cast<const char*>(payload.data()), payload.size());
  }
  schemas::BatchReader reader;
  std::vector<Event> out(4096);
  std::uint64_t sum = 0;
  const auto payload_of = [&](auto place) {
    return std::as_bytes(std::span(all.data() + place.first, place.second));
  };
  for (int round = 0; round < 3; ++round) {
    open = std::min(open, seconds([&] {
                      for (const auto& place : places) {
                        if (!reader.open(payload_of(place))) std::abort();
                        sum += reader.size();
                      }
                    }));
    decode = std::min(decode, seconds([&] {
                        for (const auto& place : places) {
                          if (!reader.open(payload_of(place))) std::abort();
                          while (const std::size_t n = reader.next(out)) sum += out[n - 1].id;
                        }
                      }));
  }
  const auto count = static_cast<double>(events);
  std::printf("%s: %zu events, %zu records\n", what, events, records.size());
  std::printf("  bytes an event: %.2f plain, %.2f lz4\n", static_cast<double>(all.size()) / count,
              static_cast<double>(compressed(all)) / count);
  std::printf("  ns an event: encode %.2f, open + decode %.2f; open %.0f ns a record (%llx)\n",
              encode / count * 1e9, decode / count * 1e9,
              open / static_cast<double>(records.size()) * 1e9,
              static_cast<unsigned long long>(sum & 0xf));
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t most = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 5'000'000;
  const Flow flow = argc > 1 ? read_itch(argv[1], most) : make_flow(most);
  measure(group(flow), "bulk records");
  std::vector<std::vector<Event>> live;
  for (std::size_t i = 0; i < std::min<std::size_t>(flow.events.size(), 500'000); ++i)
    live.push_back({flow.events[i].second});
  measure(live, "records of one event");
  return 0;
}
