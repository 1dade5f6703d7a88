// market/emitter.hpp -- what every output carries beside its body, and the list it goes to.
#pragma once

#include "market/output.hpp"
#include "market/view.hpp"

namespace tapedeck::market {

/// Source, trust and instrument live here; position and list are those of the call that is under
/// way.
struct Emitter {
  SourceId source = 0;
  Trust trust = Trust::clean;
  Instrument instrument;
  Position position;
  Outputs* outputs = nullptr;

  [[nodiscard]] Scale scale() const noexcept {
    return {static_cast<std::int8_t>(instrument.price_exponent),
            static_cast<std::int8_t>(instrument.size_exponent)};
  }
  template <class Body>
  void say(TimeNs time, const Body& body) const {
    Output& output = outputs->emplace_back();
    output.time = time;
    output.source = source;
    output.trust = trust;
    output.position = position;
    output.body = body;
    output.scale = scale();
  }
};

/// `time` + `after`, never beyond kNever.
[[nodiscard]] constexpr TimeNs later(TimeNs time, TimeNs after) noexcept {
  return time > kNever - after ? kNever : time + after;
}
/// Start of the interval of `width` that holds `time`, aligned to the epoch.
[[nodiscard]] constexpr TimeNs interval_start(TimeNs time, TimeNs width) noexcept {
  const TimeNs rest = time % width;
  return rest < 0 ? time - rest - width : time - rest;
}
/// The same, aligned to `origin`.
[[nodiscard]] constexpr TimeNs interval_start(TimeNs time, TimeNs width, TimeNs origin) noexcept {
  return interval_start(time - origin, width) + origin;
}

}  // namespace tapedeck::market
