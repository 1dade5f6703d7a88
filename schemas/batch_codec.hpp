// schemas/batch_codec.hpp -- a record's payload (Cap'n Proto, market.capnp) to and from market events.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "market/event.hpp"
#include "market/result.hpp"

namespace tapedeck::schemas {

/// A record's payload is at most this long; the codec refuses more on both sides.
constexpr std::size_t kMaxPayloadBytes = std::size_t{1} << 20;
/// ... and holds at most this many events.
constexpr std::size_t kMaxBatchEvents = 65'536;

/// Encodes batches; keeps its buffers between calls. Not thread safe.
class BatchEncoder {
public:
  BatchEncoder();
  ~BatchEncoder();
  BatchEncoder(BatchEncoder&&) noexcept;
  BatchEncoder& operator=(BatchEncoder&&) noexcept;
  /// Bytes are valid until the next call. `source_name` only where the batch holds the session event.
  /// Error `invalid` beyond the limits.
  [[nodiscard]] Result<std::span<const std::byte>> encode(market::SourceId source, std::string_view source_name,
                                                          std::span<const market::Event> events);

private:
  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
};

/// Reads one payload in place; the bytes must outlive the reader. open() checks everything once (sizes, counts,
/// kinds), so that next() cannot fail. Errors are `corrupt` and name the byte position.
class BatchReader {
public:
  [[nodiscard]] Result<void> open(std::span<const std::byte> payload);
  [[nodiscard]] market::SourceId source() const noexcept;
  [[nodiscard]] std::string_view source_name() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept;  ///< events in the payload
  /// Decodes the next events into `out`, returns how many: less than out.size() only at the end.
  [[nodiscard]] std::size_t next(std::span<market::Event> out) noexcept;

private:
  // The columns, as plain pointers into the payload; filled by open().
};

}  // namespace tapedeck::schemas
