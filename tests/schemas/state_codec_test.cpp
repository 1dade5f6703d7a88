// tests/schemas/state_codec_test.cpp -- snapshots, outputs, settings and marks survive the way to
// bytes and back; bad bytes are refused.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <string>

#include "schemas/state_codec.hpp"
#include "tests/schemas/random_state.hpp"

using namespace tapedeck;
using namespace tapedeck::schemas;

namespace {

constexpr std::uint64_t kSeed = 20260102;

std::span<const std::byte> view(const std::string& bytes) {
  return std::as_bytes(std::span(bytes.data(), bytes.size()));
}

bool equal(const market::Output& a, const market::Output& b) {
  return a.time == b.time && a.source == b.source && a.trust == b.trust &&
         a.position == b.position && a.body == b.body;
}

/// A decoder and an encoding for it; gives the error's text, or none if the bytes were taken.
struct Decoder {
  std::string name;
  std::string bytes;
  std::function<std::string(std::span<const std::byte>)> error;
};

template <class Decode>
auto error_of(Decode decode) {
  return [decode](std::span<const std::byte> bytes) -> std::string {
    const auto decoded = decode(bytes);
    if (decoded) return {};
    CHECK(decoded.error().code == ErrorCode::corrupt);
    CHECK(decoded.error().message.find("byte ") != std::string::npos);
    return decoded.error().message;
  };
}

std::vector<market::Output> any_outputs(test::Random& random, std::size_t count) {
  std::vector<market::Output> outputs;
  for (std::size_t i = 0; i < count; ++i) outputs.push_back(test::any_output(random, i));
  return outputs;
}

std::string block_of(const std::vector<market::Output>& outputs) {
  std::vector<const market::Output*> all;
  for (const auto& output : outputs) all.push_back(&output);
  return encode_block(all);
}

std::vector<Decoder> decoders() {
  test::Random random(kSeed);
  std::vector<Decoder> all = {
      {"snapshot", encode(test::any_snapshot(random, 5)), error_of(decode_snapshot)},
      {"settings", encode(test::any_settings(random)), error_of(decode_settings)},
      {"mark", encode(test::any_mark(random)), error_of(decode_mark)}};
  all.push_back({"block", block_of(any_outputs(random, 9)), error_of(decode_block)});
  return all;
}

}  // namespace

TEST_CASE("a snapshot comes back with every field", "[state]") {
  INFO("seed " << kSeed);
  test::Random random(kSeed);
  for (int round = 0; round < 200; ++round) {
    const market::SymbolSnapshot snapshot = test::any_snapshot(random, 1 + test::below(random, 60));
    const std::string bytes = encode(snapshot);
    const auto decoded = decode_snapshot(view(bytes));
    if (!decoded) FAIL(decoded.error().message);
    REQUIRE(*decoded == snapshot);
  }
  CHECK(*decode_snapshot(view(encode(market::SymbolSnapshot{}))) == market::SymbolSnapshot{});
}

TEST_CASE("a book of 3,000 orders takes at most 13 bytes an order", "[state]") {
  test::Random random(kSeed);
  const market::SymbolSnapshot snapshot = test::plausible_snapshot(random, 3000);
  const std::string bytes = encode(snapshot);
  CHECK(*decode_snapshot(view(bytes)) == snapshot);
  CHECK(bytes.size() <= 3000 * 13);
}

TEST_CASE("blocks of outputs come back with every field, joined ones in their order", "[state]") {
  INFO("seed " << kSeed);
  test::Random random(kSeed);
  for (int round = 0; round < 100; ++round) {
    std::string bytes;
    std::vector<market::Output> expected;
    for (auto blocks = 1 + test::below(random, 3); blocks > 0; --blocks) {
      const auto outputs = any_outputs(random, test::below(random, 30));
      bytes += block_of(outputs);
      expected.insert(expected.end(), outputs.begin(), outputs.end());
    }
    const auto decoded = decode_block(view(bytes));
    REQUIRE(decoded);
    REQUIRE(std::ranges::equal(*decoded, expected, equal));
  }
}

TEST_CASE("settings and marks come back with every field", "[state]") {
  INFO("seed " << kSeed);
  test::Random random(kSeed);
  for (int round = 0; round < 100; ++round) {
    const market::FoldSettings settings = test::any_settings(random);
    CHECK(*decode_settings(view(encode(settings))) == settings);
    const MarkPayload mark = test::any_mark(random);
    CHECK(*decode_mark(view(encode(mark))) == mark);
  }
  CHECK(*decode_settings(view(encode(market::FoldSettings{}))) == market::FoldSettings{});
  CHECK(*decode_mark(view(encode(MarkPayload{}))) == MarkPayload{});
}

TEST_CASE("a state cut off at any byte, or with bytes after it, is an error", "[state]") {
  for (const Decoder& decoder : decoders()) {
    INFO(decoder.name);
    CHECK(decoder.error(view(decoder.bytes)).empty());
    for (std::size_t size = 0; size < decoder.bytes.size(); ++size)
      CHECK_FALSE(decoder.error(view(decoder.bytes).first(size)).empty());
    CHECK_FALSE(decoder.error(view(decoder.bytes + std::string(8, '\0'))).empty());
  }
}

TEST_CASE("no flipped bit and no foreign word crashes a decoder", "[state]") {
  INFO("seed " << kSeed);
  test::Random random(kSeed);
  for (const Decoder& decoder : decoders()) {
    std::string changed = decoder.bytes;
    for (std::size_t bit = 0; bit < changed.size() * 8; ++bit) {
      changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ 1 << bit % 8);
      (void)decoder.error(view(changed));
      changed[bit / 8] = decoder.bytes[bit / 8];
    }
    for (std::size_t word = 0; word < changed.size() / 8; ++word) {
      for (int round = 0; round < 30; ++round) {
        const std::uint64_t value = test::weird(random);
        std::memcpy(changed.data() + word * 8, &value, 8);
        (void)decoder.error(view(changed));
      }
      std::memcpy(changed.data() + word * 8, decoder.bytes.data() + word * 8, 8);
    }
  }
}

TEST_CASE("random bytes are no state", "[state]") {
  INFO("seed " << kSeed);
  test::Random random(kSeed);
  const std::vector<Decoder> all = decoders();
  for (int round = 0; round < 1000; ++round) {
    std::string bytes(8 * test::below(random, 60), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random());
    if (bytes.size() >= 8 && round % 2 == 0) {  // a table that fits, then nonsense
      const std::uint64_t table = std::uint64_t{bytes.size() / 8 - 1} << 32;
      std::memcpy(bytes.data(), &table, 8);
    }
    for (const Decoder& decoder : all) (void)decoder.error(view(bytes));
  }
}

TEST_CASE("a state need not be aligned", "[state]") {
  for (const Decoder& decoder : decoders()) {
    const std::string shifted = "x" + decoder.bytes;
    CHECK(decoder.error(view(shifted).subspan(1)).empty());
  }
}

TEST_CASE("values that no encoder writes are refused by name", "[state]") {
  market::SymbolSnapshot snapshot;
  snapshot.trust = market::Trust::recovering;
  CHECK(error_of(decode_snapshot)(view(encode(snapshot))).find("trust") != std::string::npos);
  snapshot.trust = market::Trust::clean;
  snapshot.crossing = 3;
  CHECK(error_of(decode_snapshot)(view(encode(snapshot))).find("crossing") != std::string::npos);
  market::FoldSettings settings;
  settings.candle_widths.resize(17);
  CHECK(error_of(decode_settings)(view(encode(settings))).find("widths") != std::string::npos);
}
