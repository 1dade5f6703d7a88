// api/stream_json.hpp -- what a fold tells, as messages of a stream: the same for a replay as live.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "api/stream.hpp"
#include "market/output.hpp"
#include "market/symbol_state.hpp"
#include "market/view.hpp"

namespace tapedeck::api {

/// Remembers what a stream's subscribers have seen of each symbol, and says what is new. One
/// thread.
class StreamEncoder {
public:
  /// `depth`: levels a side of the book; 0 is not allowed.
  StreamEncoder(StreamHub& hub, std::size_t depth) : hub_(hub), depth_(depth) {}

  void outputs(std::string_view symbol, const market::Outputs& outputs);
  /// The state after what was told: its book, if it changed, and its trust.
  void state(const market::SymbolState& state);
  /// Its candles that are open; as often as the caller likes.
  void open_candles(const market::SymbolState& state, const market::FoldSettings& settings);
  /// Data of a book_snapshot, from which on state() goes.
  [[nodiscard]] std::string snapshot(const market::SymbolState& state);
  /// All symbols begin anew.
  void forget() { seen_.clear(); }

private:
  StreamHub& hub_;
  std::size_t depth_;
  std::map<std::string, market::BookView, std::less<>> seen_;
};

/// Levels of `now` that differ from `before`, with size 0 those that are gone; empty: none do.
[[nodiscard]] std::string book_changes(const market::BookView& before, const market::BookView& now);

}  // namespace tapedeck::api
