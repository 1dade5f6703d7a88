// schemas/state_message.hpp -- to and from bytes, the same for every message of state.capnp. Inside
// schemas only.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>
#include <schemas/state.capnp.h>

#include "market/output.hpp"
#include "market/result.hpp"
#include "schemas/message_frame.hpp"

namespace tapedeck::schemas {

constexpr std::uint16_t kStateVersion = 1;
/// No text in a state is longer.
constexpr std::size_t kMaxTextBytes = 4096;
/// Patterns of alerts, and alerts in a pattern.
constexpr std::size_t kMaxPatterns = 16, kMaxSteps = 16;

inline Error state_fault(std::string_view what, std::size_t byte, std::string_view fault) {
  return {ErrorCode::corrupt,
          std::string(what) + ", byte " + std::to_string(byte) + ": " + std::string(fault),
          {}};
}

/// `fill` gets the root's builder; `bytes` is more than all lists and texts take.
template <class Root, class Fill>
std::string write_message(std::size_t bytes, Fill&& fill) {
  ::capnp::MallocMessageBuilder message(static_cast<unsigned>(bytes / 8 + 256));
  fill(message.initRoot<Root>());
  const auto segments = message.getSegmentsForOutput();
  if (segments.size() != 1) throw std::logic_error("a state's message has more than one segment");
  const auto segment = segments[0].asBytes();
  const std::uint64_t table = std::uint64_t{segments[0].size()} << 32;
  std::string out(reinterpret_cast<const char*>(&table), sizeof table);
  out.append(reinterpret_cast<const char*>(segment.begin()), segment.size());
  return out;
}

/// What `take(root, fault)` makes of the message; `fault(at, text)` gives an error that says where.
template <class Root, class Value, class Take>
Result<Value> read_message(std::string_view what, std::span<const std::byte> bytes, Take&& take) {
  const auto refuse = [what](std::size_t byte, std::string_view text) {
    return tl::unexpected(state_fault(what, byte, text));
  };
  if (const std::string frame = check_frame(bytes); !frame.empty()) return refuse(0, frame);
  std::vector<std::uint64_t> aligned;
  if (reinterpret_cast<std::uintptr_t>(bytes.data()) % 8 != 0) {
    aligned.resize(bytes.size() / 8);
    std::memcpy(aligned.data(), bytes.data(), bytes.size());
    bytes = std::as_bytes(std::span(aligned));
  }
  try {
    ::capnp::FlatArrayMessageReader message(words_of(bytes), reader_options(bytes.size()));
    const auto root = message.getRoot<Root>();
    if (root.getVersion() != kStateVersion) {
      return refuse(kFrameBytes, "format version " + std::to_string(root.getVersion()) +
                                     ", expected " + std::to_string(kStateVersion));
    }
    const auto fault = [&](const void* at, std::string_view text) {
      const auto* const byte = static_cast<const std::byte*>(at);
      return refuse(byte == nullptr ? kFrameBytes : static_cast<std::size_t>(byte - bytes.data()),
                    text);
    };
    return take(root, fault);
  } catch (const kj::Exception& exception) {
    return refuse(kFrameBytes, describe(exception));
  }
}

template <class Builder>
void put_text(Builder&& init, std::string_view text) {
  if (!text.empty()) init(::capnp::Text::Reader(text.data(), text.size()));
}

[[nodiscard]] inline std::string text_of(::capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

template <class List>
[[nodiscard]] auto vector_of(List list) {
  std::vector<std::decay_t<decltype(list[0])>> values;
  values.reserve(list.size());
  for (const auto value : list) values.push_back(value);
  return values;
}

[[nodiscard]] inline market::Int128 wide(std::int64_t high, std::uint64_t low) {
  return static_cast<market::Int128>(market::UInt128{static_cast<std::uint64_t>(high)} << 64 | low);
}
[[nodiscard]] inline std::int64_t high_of(market::Int128 value) {
  return static_cast<std::int64_t>(value >> 64);
}
[[nodiscard]] inline std::uint64_t low_of(market::Int128 value) {
  return static_cast<std::uint64_t>(value);
}

/// In settings_codec.cpp; a snapshot holds one, too.
void put_metrics(wire::MetricsRow::Builder to, const market::MetricsRow& row);
/// None where it holds a metric that nobody knows.
[[nodiscard]] std::optional<market::MetricsRow> take_metrics(wire::MetricsRow::Reader from);

}  // namespace tapedeck::schemas
