// schemas/batch_open.cpp -- checks a record's payload, once, so that reading it only computes.
#include <algorithm>
#include <cstring>

#include <capnp/serialize.h>
#include <kj/exception.h>
#include <schemas/market.capnp.h>

#include "schemas/batch_codec.hpp"
#include "schemas/batch_format.hpp"
#include "schemas/message_frame.hpp"

namespace tapedeck::schemas {
namespace {

using namespace format;

using Entries = std::array<std::uint32_t, kLanes>;

Entries count_entries(std::span<const std::uint8_t> kinds) {
  Entries entries{};
  for (std::size_t begin = 0; begin < kinds.size(); begin += 255) {  // a byte lane holds 255
    const std::size_t end = std::min(kinds.size(), begin + 255);
    std::uint64_t lanes = 0;
    for (std::size_t i = begin; i < end; ++i) lanes += kLanesOf[kinds[i]];
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      entries[lane] += static_cast<std::uint32_t>(lanes >> (8 * lane) & 0xff);
  }
  return entries;
}

[[nodiscard]] bool valid_kind(std::uint8_t byte) {
  return (kLanesOf[byte] >> (8 * kInvalidLane)) == 0;
}

}  // namespace

/// Checks a payload and points the reader's cursor at it.
struct BatchReader::Opener {
  BatchReader& reader;
  std::span<const std::byte> bytes;
  Entries entries{};

  [[nodiscard]] tl::unexpected<Error> corrupt(const void* at, const std::string& what) const {
    const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
    return corrupt_at(static_cast<std::size_t>(static_cast<const std::byte*>(at) - begin), what);
  }
  [[nodiscard]] tl::unexpected<Error> corrupt_at(std::size_t byte, const std::string& what) const {
    return fail(ErrorCode::corrupt, "batch, byte " + std::to_string(byte) + ": " + what);
  }

  [[nodiscard]] Result<void> open() {
    if (bytes.size() > kMaxPayloadBytes) {
      return corrupt_at(kMaxPayloadBytes, "payload of " + std::to_string(bytes.size()) +
                                              " bytes, at most " +
                                              std::to_string(kMaxPayloadBytes));
    }
    if (const auto frame = check_frame(bytes); !frame.empty()) return corrupt_at(0, frame);
    try {
      ::capnp::FlatArrayMessageReader message(words_of(bytes), reader_options(bytes.size()));
      return read(message.getRoot<wire::Batch>());
    } catch (const kj::Exception& exception) {
      return corrupt_at(kFrameBytes, describe(exception));
    }
  }

private:
  [[nodiscard]] Result<void> read(wire::Batch::Reader batch) {
    if (batch.getVersion() != kVersion) {
      return corrupt_at(kFrameBytes, "format version " + std::to_string(batch.getVersion()) +
                                         ", expected " + std::to_string(kVersion));
    }
    const std::uint32_t count = batch.getCount();
    const ::capnp::Data::Reader kinds = batch.getKinds();
    if (count == 0 || count > kMaxBatchEvents || kinds.size() != count) {
      return corrupt(where(kinds), std::to_string(count) + " events with " +
                                       std::to_string(kinds.size()) + " kinds");
    }
    if (auto checked = check_kinds({kinds.begin(), count}); !checked) return checked;
    const ::capnp::Text::Reader name = batch.getSourceName();
    if (name.size() > kMaxSourceNameBytes) {
      return corrupt(name.begin(), "source name of " + std::to_string(name.size()) + " bytes");
    }
    reader.count_ = count;
    reader.full_ = batch.getFull();
    reader.received_ = batch.getReceived();
    reader.price_unit_ = batch.getPriceUnit();
    reader.source_ = batch.getSource();
    reader.source_name_ = {name.begin(), name.size()};
    if (auto placed = place_columns(batch); !placed) return placed;
    start_cursor(batch, kinds.begin());
    return take_patches(batch.getPatches());
  }

  /// The root's place stands for a list that is absent.
  [[nodiscard]] const void* where(::capnp::Data::Reader list) const {
    return list.size() != 0 ? static_cast<const void*>(list.begin()) : bytes.data() + kFrameBytes;
  }

  [[nodiscard]] Result<void> check_kinds(std::span<const std::uint8_t> kinds) {
    entries = count_entries(kinds);
    if (entries[kInvalidLane] != 0) {
      const std::uint8_t* at = kinds.data();
      while (valid_kind(*at)) ++at;
      return corrupt(at, "unknown kind or side " + std::to_string(*at));
    }
    if ((kinds.back() & kMoreBit) != 0)
      return corrupt(&kinds.back(), "the last event says that its message goes on");
    return {};
  }

  [[nodiscard]] std::uint32_t entries_of(std::size_t column) const {
    if (column < kCommonColumns) return reader.count_;
    if (reader.full_) return (kFullColumns >> column & 1) != 0 ? reader.count_ : 0;
    return entries[column - kCommonColumns];
  }

  [[nodiscard]] Result<void> place_columns(wire::Batch::Reader batch) {
    const ::capnp::Data::Reader columns = batch.getColumns();
    const std::uint64_t widths = batch.getWidths();
    std::size_t size = 0;
    for (std::size_t column = 0; column < kColumns; ++column) {
      const auto width = static_cast<std::uint32_t>(widths >> (4 * column) & 0xf);
      if (width > 8) {
        return corrupt_at(kFrameBytes, "column " + std::to_string(column) + " of " +
                                           std::to_string(width) + " bytes an entry, at most 8");
      }
      Column& to = reader.cursor_.columns[column];
      to.width = width;
      to.mask = width == 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * width)) - 1;
      to.sign = batch.getSigned() >> column & 1;
      size += std::size_t{width} * entries_of(column);
    }
    if (columns.size() != size + kPadding) {
      return corrupt(where(columns), "columns of " + std::to_string(columns.size()) +
                                         " bytes, expected " + std::to_string(size + kPadding));
    }
    const std::uint8_t* next = columns.begin();
    for (std::size_t column = 0; column < kColumns; ++column) {
      Column& to = reader.cursor_.columns[column];
      to.next = next;
      next += std::size_t{to.width} * entries_of(column);
    }
    return {};
  }

  void start_cursor(wire::Batch::Reader batch, const std::uint8_t* kinds) {
    Cursor& cursor = reader.cursor_;
    cursor.kinds = kinds;
    cursor.time = static_cast<std::uint64_t>(batch.getBaseTime());
    cursor.sequence = batch.getBaseSequence();
    cursor.receive = static_cast<std::uint64_t>(batch.getBaseReceive());
    cursor.order = batch.getBaseOrder();
    cursor.match = batch.getBaseMatch();
    cursor.price = static_cast<std::uint64_t>(batch.getBasePrice());
  }

  [[nodiscard]] Result<void> take_patches(::capnp::List<wire::Patch>::Reader list) {
    reader.patches_.clear();
    bool common = true;
    if (list.size() != 0) {
      // A list of empty structs takes no bytes: its size is no measure of the payload's.
      if (list.size() > bytes.size() / sizeof(Patch))
        return corrupt_at(kFrameBytes, std::to_string(list.size()) + " patches");
      std::uint64_t before = 0;
      for (const auto patch : list) {
        const Patch taken{patch.getEvent(), patch.getColumn(), patch.getCode()};
        const std::uint64_t order = (std::uint64_t{taken.event} << 8 | taken.column) + 1;
        if (order <= before || taken.event >= reader.count_ || !has_entry(taken)) {
          return corrupt_at(kFrameBytes, "patch " + std::to_string(reader.patches_.size()) +
                                             " of event " + std::to_string(taken.event) +
                                             ", column " + std::to_string(taken.column));
        }
        before = order;
        common = common && (taken.column < flags || taken.column >= kCommonColumns);
        reader.patches_.push_back(taken);
      }
    }
    reader.patches_.push_back({reader.count_, 0, 0});
    reader.cursor_.patch = reader.patches_.data();
    for (const format::Column column : {flags, feed_times, receives})
      common = common && reader.cursor_.columns[column].width == 0;
    reader.common_only_ = common && !reader.received_;
    return {};
  }

  [[nodiscard]] bool has_entry(const Patch& patch) const {
    if (patch.column < kCommonColumns) return true;
    if (patch.column >= kColumns) return false;
    const std::uint8_t kind = reader.cursor_.kinds[patch.event] & kKindMask;
    const std::uint16_t in = reader.full_ ? kFullColumns : kColumnsOf[kind];
    return (in >> patch.column & 1) != 0;
  }
};

Result<void> BatchReader::open(std::span<const std::byte> payload) {
  count_ = index_ = 0;
  source_ = 0;
  source_name_ = {};
  if (reinterpret_cast<std::uintptr_t>(payload.data()) % 8 != 0 &&
      payload.size() <= kMaxPayloadBytes) {
    aligned_.resize(payload.size() / 8 + 1);
    std::memcpy(aligned_.data(), payload.data(), payload.size());
    payload = std::as_bytes(std::span(aligned_)).first(payload.size());
  }
  Result<void> opened = Opener{*this, payload, {}}.open();
  if (!opened) count_ = 0, source_ = 0, source_name_ = {};
  return opened;
}

}  // namespace tapedeck::schemas
