// schemas/message_frame.hpp -- what every Cap'n Proto message of ours has in common. Inside schemas
// only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

namespace tapedeck::schemas {

/// The segment table of a message of one segment.
constexpr std::size_t kFrameBytes = 8;

/// Messages are one segment that fills the bytes exactly: says what else was found, empty if all is
/// well.
[[nodiscard]] inline std::string check_frame(std::span<const std::byte> bytes) {
  std::uint32_t head[2] = {0, 0};
  if (bytes.size() < kFrameBytes + 8 || bytes.size() % 8 != 0)
    return "a message of whole words expected, found " + std::to_string(bytes.size()) + " bytes";
  std::memcpy(head, bytes.data(), sizeof head);
  if (head[0] != 0) return "one segment expected, found " + std::to_string(head[0]) + " more";
  const std::size_t expected = kFrameBytes + std::size_t{head[1]} * 8;
  if (expected != bytes.size()) {
    return "a message of " + std::to_string(expected) + " bytes announced, found " +
           std::to_string(bytes.size());
  }
  return {};
}

/// `bytes` must be 8-byte aligned and whole words.
[[nodiscard]] inline kj::ArrayPtr<const ::capnp::word> words_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const ::capnp::word*>(bytes.data()), bytes.size() / 8};
}

/// No pointer is followed twice as often as honest bytes need it.
[[nodiscard]] inline ::capnp::ReaderOptions reader_options(std::size_t bytes) {
  ::capnp::ReaderOptions options;
  options.traversalLimitInWords = bytes / 8 * 2 + 64;
  options.nestingLimit = 8;
  return options;
}

[[nodiscard]] inline std::string describe(const kj::Exception& exception) {
  return exception.getDescription().cStr();
}

}  // namespace tapedeck::schemas
