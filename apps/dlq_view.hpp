// apps/dlq_view.hpp -- a dead letter as it is answered.
#pragma once

#include "api/backend.hpp"
#include "replay/dead_letters.hpp"

namespace tapedeck::apps {

[[nodiscard]] inline api::DeadLetter view_of(const replay::DeadLetter& letter) {
  using Kind = replay::DeadLetter::Kind;
  constexpr const char* kKinds[] = {"recorder", "refused", "quarantined"};
  api::DeadLetter view;
  view.id = letter.id;
  view.kind = kKinds[static_cast<std::size_t>(letter.kind)];
  view.symbol = letter.symbol;
  view.errors = letter.errors;
  view.state = "kept";
  if (letter.raw) {
    view.reason = letter.raw->reason, view.source = letter.raw->source;
    view.byte_offset = letter.raw->byte_offset, view.bytes = letter.raw->bytes;
    return view;
  }
  view.position = letter.item->position;
  view.reason = market::name(letter.refusal->rule);
  view.event = letter.refusal->event;
  if (letter.kind == Kind::quarantined) {
    const bool released = letter.released_at != replay::kNotReleased;
    view.state = released ? "released" : "quarantined";
    if (released)
      view.released_at = market::Position{letter.item->position.partition, letter.released_at, 0};
  }
  return view;
}

}  // namespace tapedeck::apps
