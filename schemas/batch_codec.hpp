// schemas/batch_codec.hpp -- a record's payload (Cap'n Proto, market.capnp) to and from market
// events.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
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
constexpr std::size_t kMaxSourceNameBytes = 1024;

/// Encodes batches; keeps its buffers between calls. Not thread safe.
class BatchEncoder {
public:
  BatchEncoder();
  ~BatchEncoder();
  BatchEncoder(BatchEncoder&&) noexcept;
  BatchEncoder& operator=(BatchEncoder&&) noexcept;
  /// Bytes are valid until the next call. `source_name` only where the batch holds the session
  /// event. Error `invalid` beyond the limits, and for what is no batch: no event, an unknown kind
  /// or side, a last event that says that another one of its message follows.
  [[nodiscard]] Result<std::span<const std::byte>> encode(market::SourceId source,
                                                          std::string_view source_name,
                                                          std::span<const market::Event> events);

private:
  struct Buffers;
  std::unique_ptr<Buffers> buffers_;
};

/// Reads one payload in place; the bytes must outlive the reader. open() checks everything once
/// (sizes, counts, kinds), so that next() cannot fail. Errors are `corrupt` and name the byte
/// position.
class BatchReader {
public:
  BatchReader() = default;
  BatchReader(BatchReader&&) noexcept = default;
  BatchReader& operator=(BatchReader&&) noexcept = default;
  BatchReader(const BatchReader&) = delete;
  BatchReader& operator=(const BatchReader&) = delete;
  ~BatchReader() = default;
  /// May be called again and again; after an error the reader holds no event.
  [[nodiscard]] Result<void> open(std::span<const std::byte> payload);
  [[nodiscard]] market::SourceId source() const noexcept;
  [[nodiscard]] std::string_view source_name() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept;  ///< events in the payload
  /// Decodes the next events into `out`, returns how many: less than out.size() only at the end.
  [[nodiscard]] std::size_t next(std::span<market::Event> out) noexcept;

private:
  struct Column {
    const std::uint8_t* next = nullptr;
    std::uint64_t mask = 0;   ///< of the entry's bits
    std::uint32_t width = 0;  ///< bytes an entry
    std::uint32_t sign = 0;   ///< 1: zigzag
  };
  struct Patch {
    std::uint32_t event = 0;
    std::uint32_t column = 0;
    std::uint64_t code = 0;
  };
  /// What decoding moves on.
  struct Cursor {
    std::array<Column, 12> columns;
    const std::uint8_t* kinds = nullptr;
    const Patch* patch = nullptr;  ///< next one; a last one beyond all events ends them
    std::uint64_t time = 0, sequence = 0, receive = 0, order = 0, match = 0, price = 0;
  };
  struct Decoder;  // batch_reader.cpp
  struct Opener;   // batch_reader.cpp

  Cursor cursor_;
  std::uint32_t count_ = 0;  ///< events
  std::uint32_t index_ = 0;  ///< next event
  std::uint64_t price_unit_ = 1;
  bool full_ = false, received_ = false, common_only_ = false;
  market::SourceId source_ = 0;
  std::string_view source_name_;
  std::vector<Patch> patches_;
  std::vector<std::uint64_t> aligned_;  ///< the payload, where it was not aligned
};

}  // namespace tapedeck::schemas
