// chaos/verdict.hpp -- what a run found, and the trace by which two runs of one seed are compared.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tapedeck::chaos {

/// The first broken promise of a run. Checks report here, since an exception out of a handler would
/// be taken for one more fault.
class Verdict {
public:
  void broken(std::string what) {
    if (!broken_) broken_ = std::move(what);
  }
  [[nodiscard]] const std::optional<std::string>& broken() const noexcept { return broken_; }

private:
  std::optional<std::string> broken_;
};

/// A hash over everything that happened, in order.
class Trace {
public:
  void add(std::uint64_t value) noexcept {
    hash_ = (hash_ ^ value) * 0x9e3779b97f4a7c15;
    hash_ ^= hash_ >> 29;
  }
  void add(std::string_view text) noexcept {
    for (const char c : text) add(static_cast<unsigned char>(c));
  }
  [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }

private:
  std::uint64_t hash_ = 0x7a9edecc;
};

}  // namespace tapedeck::chaos
