// feeds/sim_l3.hpp -- the synthetic session: a seeded day of a stock market as an ITCH 5.0
// BinaryFILE.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "feeds/byte_source.hpp"
#include "market/result.hpp"

namespace tapedeck::feeds {

/// Same options, same bytes, on every machine.
struct SimL3Options {
  std::uint64_t seed = 1;
  std::uint32_t symbols = 200;         ///< 1 to 10,000
  std::uint64_t messages = 2'000'000;  ///< exactly so many; at least 8 a symbol and 16
  std::uint32_t open_s =
      34'200;  ///< continuous trading from here, seconds since midnight; 21,600 or later
  std::uint32_t close_s = 57'600;  ///< to here; at least 60 s after the open, at most 82,800
};

/// From `seed=1,symbols=200,messages=2000000` (any of `seed`, `symbols`, `messages`, `open`,
/// `close`, in any order; an empty text gives the defaults). Error invalid, field `--input`.
[[nodiscard]] Result<SimL3Options> parse_sim_l3(const std::string& text);

/// `seed=…,symbols=…,messages=…`, with `open` and `close` where they are not the defaults.
[[nodiscard]] std::string canonical(const SimL3Options& options);

/// Error invalid, field `--input`, if a value is out of its range.
[[nodiscard]] Result<void> check(const SimL3Options& options);

/// The session's bytes, made as they are read. `options` must pass check().
[[nodiscard]] std::unique_ptr<ByteSource> sim_l3_bytes(const SimL3Options& options);

/// Writes the session to a file (gzip if its name ends in .gz): beside it first, then renamed, so
/// that a file of that name is always whole. Errors: invalid options; environment, with the path.
[[nodiscard]] Result<void> write_sim_l3(const std::string& path, const SimL3Options& options);

}  // namespace tapedeck::feeds
