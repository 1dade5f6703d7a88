// Inputs: files and their compression, dates, names of feeds and sources.
#include <zlib.h>
#include <zstd.h>

#include <catch2/catch.hpp>

#include "feeds/feed.hpp"
#include "feeds/itch_writer.hpp"
#include "feeds/session_time.hpp"
#include "tests/feeds/feed_support.hpp"

namespace tapedeck::test {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes gzip(const Bytes& plain) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  Bytes packed(deflateBound(&stream, plain.size()) + 64);
  stream.next_in = const_cast<Bytef*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = packed.data();
  stream.avail_out = static_cast<uInt>(packed.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

Bytes zstd(const Bytes& plain) {
  Bytes packed(ZSTD_compressBound(plain.size()));
  packed.resize(ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), 3));
  return packed;
}

/// Reads with uneven capacities.
Result<Bytes> read_all(const std::string& path, Bytes& all) {
  auto source = feeds::open_bytes(path);
  if (!source) return tl::unexpected(source.error());
  Bytes buffer(300'000);
  for (std::size_t capacity = 1;; capacity = capacity * 3 % 299'993 + 1) {
    const auto got = (*source)->read(buffer.data(), capacity);
    if (!got) return tl::unexpected(got.error());
    if (*got == 0) return all;
    all.insert(all.end(), buffer.begin(), buffer.begin() + static_cast<long>(*got));
  }
}

Bytes sample(std::size_t size) {
  Bytes bytes(size);
  std::uint32_t x = 1;
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>((x = x * 1664525 + 1013904223) >> 29);
  return bytes;
}

TEST_CASE("plain, gzip and zstd files give the same bytes", "[input]") {
  const TempDir dir;
  const Bytes plain = sample(3'000'000);
  Bytes members;
  for (const std::size_t at : {0, 1'000'000, 2'000'000}) {
    const Bytes part = gzip(Bytes(plain.begin() + static_cast<long>(at),
                                  plain.begin() + static_cast<long>(at + 1'000'000)));
    members.insert(members.end(), part.begin(), part.end());
  }
  Bytes padded = gzip(plain);
  padded.resize(padded.size() + 512);
  const std::vector<std::pair<std::string, Bytes>> files = {
      {"a.bin", plain}, {"a.gz", gzip(plain)},  {"b.gz", members},
      {"c.gz", padded}, {"a.zst", zstd(plain)}, {"named-otherwise", gzip(plain)}};
  for (const auto& [name, bytes] : files) {
    INFO(name);
    write_file(dir / name, bytes);
    Bytes all;
    REQUIRE(read_all(dir / name, all));
    CHECK(all == plain);
  }
}

TEST_CASE("damage in compressed data is told with its place, after all before it", "[input][bad]") {
  const TempDir dir;
  const Bytes plain = sample(2'000'000);
  for (const std::string extension : {".gz", ".zst"}) {
    INFO(extension);
    const Bytes whole = extension == ".gz" ? gzip(plain) : zstd(plain);
    Bytes cut(whole.begin(), whole.begin() + static_cast<long>(whole.size() / 2));
    write_file(dir / ("cut" + extension), cut);
    Bytes all;
    auto result = read_all(dir / ("cut" + extension), all);
    REQUIRE_FALSE(result);
    CHECK(result.error().code == ErrorCode::corrupt);
    CHECK_THAT(result.error().message, Catch::Contains("cut" + extension) &&
                                           Catch::Contains("byte " + std::to_string(cut.size())));
    CHECK(all.size() > plain.size() / 4);
    CHECK(std::equal(all.begin(), all.end(), plain.begin()));

    Bytes damaged = whole;
    damaged.resize(damaged.size() + 20, 0x55);  // no member, no frame
    write_file(dir / ("tail" + extension), damaged);
    all.clear();
    result = read_all(dir / ("tail" + extension), all);
    REQUIRE_FALSE(result);
    CHECK(result.error().code == ErrorCode::corrupt);
    CHECK(all == plain);

    write_file(dir / ("text" + extension), std::string("this is no compressed file"));
    all.clear();
    result = read_all(dir / ("text" + extension), all);
    REQUIRE_FALSE(result);
    CHECK(result.error().code == ErrorCode::corrupt);
    write_file(dir / ("empty" + extension), std::string());
    CHECK_FALSE(read_all(dir / ("empty" + extension), all));
  }
}

TEST_CASE("a damaged gzip ITCH file delivers every message before the damage", "[input][bad]") {
  const TempDir dir;
  Bytes bytes;
  feeds::ItchWriter write(bytes);
  write.directory({1, 1}, "ACME", 100);
  for (std::uint64_t i = 1; i <= 50'000; ++i)
    write.add({1, i}, i * 0x9e3779b97f4a7c15, true, 100, "ACME", 1000);
  Bytes packed = gzip(bytes);
  packed.resize(packed.size() - 20'000);
  write_file(dir / "x.itch.gz", packed);
  auto feed = feeds::open_feed("itch", {dir / "x.itch.gz", "2024-01-02", "America/New_York"});
  REQUIRE(feed);
  const Everything all = drain(**feed);
  CHECK_THAT(all.error,
             Catch::Contains("gzip data damaged at byte " + std::to_string(packed.size())));
  CHECK(all.events.size() > 30'000);
  CHECK(all.events.size() == all.messages);
  CHECK(all.dead_letters.empty());
}

TEST_CASE("inputs that cannot be read are named", "[input][bad]") {
  const TempDir dir;
  const auto error_of = [&](const std::string& path) {
    auto feed = feeds::open_feed("itch", {path, "2024-01-02", "America/New_York"});
    REQUIRE_FALSE(feed);
    CHECK_THAT(feed.error().message, Catch::Contains(path));
    CHECK(feed.error().field == "--input");
    const auto name = feeds::source_name("itch", {path, "2024-01-02", "America/New_York"});
    REQUIRE_FALSE(name);
    CHECK(name.error().code == feed.error().code);
    return feed.error().code;
  };
  CHECK(error_of(dir / "nothing.itch") == ErrorCode::environment);
  CHECK(error_of(dir.path()) == ErrorCode::invalid);
  CHECK(error_of("/dev/null") == ErrorCode::invalid);
}

TEST_CASE("an empty file ends at once", "[input]") {
  const TempDir dir;
  write_file(dir / "e.itch", std::string());
  auto feed = feeds::open_feed("itch", {dir / "e.itch", "2024-01-02", "America/New_York"});
  REQUIRE(feed);
  const Everything all = drain(**feed);
  CHECK(all.ended);
  CHECK(all.messages == 0);
}

TEST_CASE("a source is named by feed, date and content", "[input]") {
  const TempDir dir;
  write_file(dir / "a.itch", std::string("abc"));
  write_file(dir / "b.itch", std::string("abc"));
  write_file(dir / "c.itch", std::string("abd"));
  const auto name = [&](const std::string& file) {
    return *feeds::source_name("itch", {dir / file, "2012-06-21", "America/New_York"});
  };
  CHECK(name("a.itch") == "itch:2012-06-21:78af5f94892f3950");  // XXH3-64 of "abc"
  CHECK(name("b.itch") == name("a.itch"));
  CHECK(name("c.itch") != name("a.itch"));
}

TEST_CASE("feed, date and time zone must be right", "[input][bad]") {
  const auto field = [](const std::string& feed, const std::string& date, const std::string& zone) {
    const auto opened = feeds::open_feed(feed, {"x", date, zone});
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == ErrorCode::invalid);
    const auto named = feeds::source_name(feed, {"x", date, zone});
    REQUIRE_FALSE(named);
    CHECK(named.error().field == opened.error().field);
    return opened.error().field;
  };
  CHECK(field("morse", "2012-06-21", "America/New_York") == "--feed");
  for (const std::string date :
       {"", "2012", "2012-13-01", "2012-02-30", "2012-6-21", "21.06.2012", "2012-06-21Z"}) {
    CHECK(field("itch", date, "America/New_York") == "--date");
    CHECK(field("lobster", date, "America/New_York") == "--date");
  }
  CHECK(field("itch", "2012-06-21", "Mars/Olympus") == "--timezone");
  CHECK(field("itch", "2012-06-21", "") == "--timezone");
}

TEST_CASE("midnight is the zone's own, on days of clock changes too", "[input][time]") {
  const auto hours = [](const std::string& date, const std::string& zone) {
    return *feeds::local_midnight(date, zone) / (3600 * market::kSecond);
  };
  CHECK(hours("1970-01-01", "UTC") == 0);
  CHECK(hours("1970-01-02", "America/New_York") == 24 + 5);
  CHECK(hours("2012-06-21", "America/New_York") * 3600 == 1'340'251'200);  // 04:00 UTC
  CHECK(hours("2024-03-10", "America/New_York") - hours("2024-03-09", "America/New_York") == 24);
  CHECK(hours("2024-03-11", "America/New_York") - hours("2024-03-10", "America/New_York") == 23);
  CHECK(hours("2024-11-04", "America/New_York") - hours("2024-11-03", "America/New_York") == 25);
}

}  // namespace
}  // namespace tapedeck::test
