// tests/feeds/memory_source.hpp -- bytes held in memory, as an input.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "feeds/byte_source.hpp"

namespace tapedeck::test {

/// Hands out bytes in pieces of at most `piece`; then ends, or fails with `error`.
class MemorySource final : public feeds::ByteSource {
public:
  explicit MemorySource(std::vector<std::uint8_t> bytes, std::size_t piece = 1 << 20)
      : bytes_(std::move(bytes)), piece_(piece) {}
  void fail_at_end(Error error) { error_ = std::move(error), fails_ = true; }

  Result<std::size_t> read(std::uint8_t* to, std::size_t capacity) override {
    const std::size_t size = std::min({capacity, piece_, bytes_.size() - taken_});
    if (size == 0 && fails_) return tl::unexpected(error_);
    if (size > 0) std::memcpy(to, bytes_.data() + taken_, size);
    taken_ += size;
    return size;
  }
  [[nodiscard]] std::uint64_t total_bytes() const override { return bytes_.size(); }

private:
  std::vector<std::uint8_t> bytes_;
  std::size_t piece_, taken_ = 0;
  Error error_;
  bool fails_ = false;
};

}  // namespace tapedeck::test
