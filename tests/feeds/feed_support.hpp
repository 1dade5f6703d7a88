// tests/feeds/feed_support.hpp -- feeds over bytes held in memory, temporary directories, real
// data.
#pragma once

#include <stdlib.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "feeds/itch_feed.hpp"
#include "memory_source.hpp"

namespace tapedeck::test {

/// All that a feed says until it ends or fails.
struct Everything {
  std::vector<market::FeedEvent> events;
  std::vector<std::string> symbols;
  std::vector<market::FeedDeadLetter> dead_letters;
  std::uint64_t messages = 0, bytes = 0;
  market::TimeNs feed_time = 0;
  bool ended = false;
  std::string error;
};

inline Everything drain(feeds::Feed& feed, std::size_t max_events = 1000) {
  Everything all;
  market::FeedBatch batch;
  while (!all.ended && all.error.empty()) {
    if (auto polled = feed.poll(batch, max_events); !polled) {
      all.error = polled.error().message;
      break;
    }
    all.events.insert(all.events.end(), batch.events.begin(), batch.events.end());
    all.symbols.insert(all.symbols.end(), batch.new_symbols.begin(), batch.new_symbols.end());
    all.dead_letters.insert(all.dead_letters.end(), batch.dead_letters.begin(),
                            batch.dead_letters.end());
    all.messages = batch.messages, all.bytes = batch.bytes, all.feed_time = batch.feed_time;
    all.ended = batch.end;
  }
  return all;
}

inline Everything drain_itch(std::vector<std::uint8_t> bytes, std::size_t max_events = 1000,
                             std::size_t piece = 1 << 20) {
  feeds::ItchFeed feed("memory", std::make_unique<MemorySource>(std::move(bytes), piece), 0);
  return drain(feed, max_events);
}

/// A directory of its own, removed at the end.
class TempDir {
public:
  TempDir() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "tapedeck-feeds-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr)
      throw std::runtime_error("mkdtemp failed for " + pattern);
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  [[nodiscard]] std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }
  [[nodiscard]] std::string path() const { return path_.string(); }

private:
  std::filesystem::path path_;
};

template <class Bytes>
void write_file(const std::string& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

inline std::vector<std::uint8_t> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// Path of a file of the real data beside the checkout; empty, and said so loudly, if it is not
/// there.
inline std::string real_data(const std::string& name) {
  const std::string path = std::string(TAPEDECK_DATA_DIR) + "/" + name;
  if (std::filesystem::exists(path)) return path;
  std::cerr << "\n*** ABSENT: " << path << ": this test checks nothing without it ***\n";
  return {};
}

}  // namespace tapedeck::test
