// tests/market/fold_tester.hpp -- a SymbolState with short ways to feed it and to look at what it
// said.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "market/snapshot.hpp"
#include "market/symbol_state.hpp"

namespace tapedeck::market {

constexpr SourceId kSource = 77;

inline Event event_at(EventKind kind, TimeNs time, Sequence sequence = 0) {
  Event event;
  event.kind = kind;
  event.time = event.feed_time = time;
  event.sequence = sequence;
  return event;
}
inline Event session_event(SourceId source = kSource, TimeNs time = 0, std::uint8_t code = 0) {
  Event event = event_at(EventKind::session, time);
  event.other = source;
  event.code = code;
  return event;
}
inline Event add_order(TimeNs time, OrderId id, Side side, Price price, Size size) {
  Event event = event_at(EventKind::add, time);
  event.id = id, event.side = side, event.price = price, event.size = size;
  return event;
}
inline Event take_order(EventKind kind, TimeNs time, OrderId id, Size size = 0,
                        std::uint64_t match = 0) {
  Event event = event_at(kind, time);
  event.id = id, event.size = size, event.other = match;
  return event;
}
inline Event set_level(TimeNs time, Side side, Price price, Size size) {
  Event event = event_at(EventKind::level, time);
  event.side = side, event.price = price, event.size = size;
  return event;
}
inline Event set_quote(TimeNs time, Side side, Price price, Size size) {
  Event event = set_level(time, side, price, size);
  event.kind = EventKind::quote;
  return event;
}
inline Event trade_of(TimeNs time, Price price, Size size, Side side = Side::none,
                      std::uint64_t id = 0) {
  Event event = set_level(time, side, price, size);
  event.kind = EventKind::trade;
  event.id = id;
  return event;
}
inline Event break_of(TimeNs time, std::uint64_t id) {
  Event event = event_at(EventKind::trade_break, time);
  event.id = id;
  return event;
}
inline Event with_sequence(Event event, Sequence sequence) {
  event.sequence = sequence;
  return event;
}
inline Event seen_at(Event event, TimeNs feed_time) {
  event.feed_time = feed_time;
  return event;
}

/// The same outputs in the same order, positions included.
inline bool same(const Outputs& one, const Outputs& two) {
  if (one.size() != two.size()) return false;
  for (std::size_t i = 0; i < one.size(); ++i) {
    if (!one[i].same_content(two[i]) || one[i].position != two[i].position) return false;
  }
  return true;
}

/// The defaults, with a short metric window and no alerts.
inline FoldSettings test_settings() {
  FoldSettings settings;
  settings.alerts = no_alerts();
  settings.metrics_window = kSecond;
  return settings;
}

class FoldTester {
public:
  /// With `started`, a session of kSource at time 0 is folded already.
  explicit FoldTester(FoldSettings settings = test_settings(), bool started = true,
                      std::uint8_t code = 0)
      : settings_(std::move(settings)), state("ABC", settings_) {
    if (started) apply({session_event(kSource, 0, code)});
  }
  FoldTester(const FoldTester&) = delete;
  FoldTester& operator=(const FoldTester&) = delete;

  void apply(std::vector<Event> events, SourceId source = kSource) {
    state.apply({source, "source", {0, offset_++, 0}, events}, outputs);
  }
  void mark(TimeNs feed_time, SourceId source = kSource) {
    state.advance({source, feed_time, {0, offset_++, 0}}, outputs);
  }
  template <class Body>
  [[nodiscard]] std::vector<Body> said() const {
    std::vector<Body> bodies;
    for (const Output& output : outputs) {
      if (const auto* body = std::get_if<Body>(&output.body)) bodies.push_back(*body);
    }
    return bodies;
  }
  [[nodiscard]] std::vector<Refused> refusals() const {
    std::vector<Refused> rules;
    for (const Refusal& refusal : said<Refusal>()) rules.push_back(refusal.rule);
    return rules;
  }
  [[nodiscard]] const FoldSettings& settings() const { return settings_; }

private:
  FoldSettings settings_;
  Offset offset_ = 1;

public:
  SymbolState state;
  Outputs outputs;
};

}  // namespace tapedeck::market
