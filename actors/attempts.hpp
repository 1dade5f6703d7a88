// actors/attempts.hpp -- which events and due items killed the fold, how often, and how: durable,
// so that a crash of the process counts too.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "market/quarantine.hpp"
#include "market/result.hpp"

namespace tapedeck::actors {

/// At this many attempts an item is quarantined.
constexpr std::size_t kPoisonAttempts = 3;

/// An item that killed its symbol's fold kPoisonAttempts times or more.
struct Poison {
  market::FoldItem item;
  std::vector<std::string> errors;  ///< of each attempt
};

/// A line of the file: `SYMBOL partition:offset:index kind width time source error`, kind 0 for an
/// event, or `SYMBOL partition:offset passed`. Symbols are escaped as in a URL. Async-signal-safe;
/// returns the bytes written to `line`.
constexpr std::size_t kMaxAttemptLine = 1024;
std::size_t format_attempt(char (&line)[kMaxAttemptLine], std::string_view symbol,
                           const market::FoldItem& item, std::string_view error) noexcept;

/// Thread safe. Lines are appended to a file, where there is one, with one write each: a crash
/// loses none, a power loss the last ones, which accuses nobody wrongly.
class Attempts {
public:
  /// Nothing is kept beyond the process.
  Attempts() = default;
  /// Reads the file, leaves out what was settled, and goes on appending to it. A torn last line is
  /// none. Error `environment` names the file.
  [[nodiscard]] static Result<std::shared_ptr<Attempts>> open(const std::string& path);
  ~Attempts();
  Attempts(const Attempts&) = delete;
  Attempts& operator=(const Attempts&) = delete;

  void add(std::string_view symbol, const market::FoldItem& item, std::string_view error);
  /// The symbol has folded everything below `offset`: what killed it there did not again. What is
  /// still held against it all the same: items of `but`, which are put through later.
  void passed(std::string_view symbol, market::Offset offset,
              std::span<const market::FoldItem> but = {});
  /// The item is quarantined.
  void settled(std::string_view symbol, const market::FoldItem& item);

  [[nodiscard]] bool accused(std::string_view symbol) const;
  [[nodiscard]] std::optional<Poison> poison(std::string_view symbol) const;
  [[nodiscard]] std::vector<std::string> accused_symbols() const;
  /// To append to from a signal handler; -1: there is no file.
  [[nodiscard]] int descriptor() const noexcept { return descriptor_; }

private:
  using Items = std::map<market::FoldItem, std::vector<std::string>>;
  void take_line(std::string_view line);
  void append(std::string_view line) const;
  void append_all(std::string_view symbol, const market::FoldItem& item,
                  const std::vector<std::string>& errors) const;

  mutable std::mutex mutex_;
  std::map<std::string, Items, std::less<>> symbols_;
  int descriptor_ = -1;
};

}  // namespace tapedeck::actors
