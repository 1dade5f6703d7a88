// tests/feeds/unzip.hpp -- the files of a zip archive (stored or deflated), for the real data.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/feeds/feed_support.hpp"

namespace tapedeck::test {

/// The archive in `directory` whose name holds `word`; empty if none.
inline std::string find_zip(const std::string& directory, const std::string& word) {
  if (directory.empty()) return {};
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".zip") && name.find(word) != name.npos) return entry.path().string();
  }
  std::cerr << "\n*** ABSENT: an archive of " << word << " in " << directory << " ***\n";
  return {};
}

/// Writes the archive's files into `directory`, names without their folders.
inline void unzip(const std::string& path, const std::string& directory) {
  const auto bytes = read_file(path);
  const auto number = [&](std::size_t at, std::size_t size) {
    if (at + size > bytes.size()) throw std::runtime_error(path + ": not a whole zip file");
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value |= std::uint32_t{bytes[at + i]} << (8 * i);
    return value;
  };
  if (bytes.size() < 22) throw std::runtime_error(path + ": no zip file");
  std::size_t end = bytes.size() - 22;
  while (number(end, 4) != 0x06054b50) --end;  // end of central directory
  std::size_t at = number(end + 16, 4);
  for (std::uint32_t left = number(end + 10, 2); left > 0; --left) {
    const std::uint32_t method = number(at + 10, 2), packed = number(at + 20, 4),
                        size = number(at + 24, 4);
    const std::uint32_t name_size = number(at + 28, 2), local = number(at + 42, 4);
    const std::string name(reinterpret_cast<const char*>(bytes.data()) + at + 46, name_size);
    at += 46 + name_size + number(at + 30, 2) + number(at + 32, 2);
    if (name.ends_with('/')) continue;
    const std::uint8_t* data =
        bytes.data() + local + 30 + number(local + 26, 2) + number(local + 28, 2);
    std::vector<std::uint8_t> plain(size);
    if (method == 0) {
      std::memcpy(plain.data(), data, size);
    } else {
      z_stream stream{};
      inflateInit2(&stream, -15);
      stream.next_in = const_cast<Bytef*>(data);
      stream.avail_in = packed;
      stream.next_out = plain.data();
      stream.avail_out = size;
      const int code = inflate(&stream, Z_FINISH);
      inflateEnd(&stream);
      if (code != Z_STREAM_END) throw std::runtime_error(path + ": cannot inflate " + name);
    }
    write_file(directory + "/" + std::filesystem::path(name).filename().string(), plain);
  }
}

}  // namespace tapedeck::test
