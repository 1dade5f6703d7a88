// feeds/byte_source.hpp -- the bytes of an input file, uncompressed, one after the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "market/result.hpp"

namespace tapedeck::feeds {

/// A stream of bytes read once from its start. Not thread safe.
class ByteSource {
public:
  virtual ~ByteSource() = default;
  /// Reads up to `capacity` (> 0) bytes; 0 at the end. An error comes only after every byte before
  /// it was handed out: `corrupt` (compressed data, with the byte position in the file) or
  /// `environment` (the system cannot read).
  virtual Result<std::size_t> read(std::uint8_t* to, std::size_t capacity) = 0;
  /// All bytes that will come, 0 if unknown.
  [[nodiscard]] virtual std::uint64_t total_bytes() const = 0;
};

/// Opens a regular file. gzip (several members too) and zstd are recognised by name (`.gz`, `.zst`)
/// or by their first bytes. Errors name the path: `invalid` (a directory, not a file),
/// `environment` (not found, not readable).
[[nodiscard]] Result<std::unique_ptr<ByteSource>> open_bytes(const std::string& path);

/// XXH3-64 of the file's bytes as stored, in 16 lower-case hexadecimal digits. Errors as
/// open_bytes.
[[nodiscard]] Result<std::string> hash_file(const std::string& path);

}  // namespace tapedeck::feeds
