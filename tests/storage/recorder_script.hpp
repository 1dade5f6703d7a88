// tests/storage/recorder_script.hpp -- a seeded source for recorder tests, and what must be on the
// tape after it.
#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "market/feed_batch.hpp"
#include "schemas/batch_codec.hpp"
#include "storage/tape.hpp"

namespace tapedeck::testing {

using market::Event;
using market::EventKind;
using market::FeedBatch;

using EventsBySymbol = std::map<std::string, std::vector<Event>>;

/// One message: events of one symbol, or one event of each symbol named so far.
struct ScriptMessage {
  std::vector<market::FeedEvent> events;
  std::vector<std::string> new_symbols;
  std::vector<market::FeedDeadLetter> dead_letters;
};

struct Script {
  std::vector<ScriptMessage> messages;
  std::vector<std::string> symbols;
  market::TimeNs start = 1'340'285'400'000'000'000;

  /// `poll` messages a batch, from the start of the source, as a feed gives them.
  template <class Take>
  void feed(std::size_t poll, Take&& take) const {
    std::size_t next = 0;
    FeedBatch batch;
    batch.feed_time = start;
    do {
      batch.clear();
      for (std::size_t i = 0; i < poll && next < messages.size(); ++i, ++next) {
        const ScriptMessage& message = messages[next];
        batch.events.insert(batch.events.end(), message.events.begin(), message.events.end());
        batch.new_symbols.insert(batch.new_symbols.end(), message.new_symbols.begin(),
                                 message.new_symbols.end());
        batch.dead_letters.insert(batch.dead_letters.end(), message.dead_letters.begin(),
                                  message.dead_letters.end());
        for (const auto& event : message.events)
          batch.feed_time = std::max(batch.feed_time, event.event.feed_time);
      }
      batch.messages = next;
      batch.bytes = next * 40;
      batch.end = next == messages.size();
      if (!take(static_cast<const FeedBatch&>(batch))) return;
    } while (!batch.end);
  }

  /// What belongs on the tape: a session event, then the symbol's events.
  EventsBySymbol expected(const std::string& source, market::Sequencing sequencing) const {
    EventsBySymbol all;
    for (const ScriptMessage& message : messages) {
      for (const auto& [index, event] : message.events) {
        auto& events = all[symbols[index]];
        if (events.empty()) {
          Event session;
          session.kind = EventKind::session;
          session.time = event.time, session.feed_time = event.feed_time,
          session.receive_time = event.receive_time;
          session.sequence = event.sequence, session.flags = market::kMore;
          session.other = market::source_id(source),
          session.code = static_cast<std::uint8_t>(sequencing);
          events.push_back(session);
        }
        events.push_back(event);
      }
    }
    return all;
  }
};

struct ScriptShape {
  std::size_t symbols = 12, messages = 3'000;
  bool market_wide = true, dead_letters = true;
  market::Sequencing sequencing = market::Sequencing::message_number;
};

inline Script make_script(std::uint64_t seed, const ScriptShape& shape) {
  std::mt19937_64 random(seed);
  Script script;
  market::TimeNs feed_time = script.start;
  std::map<market::SymbolIndex, std::uint64_t> own_sequence;
  for (std::size_t n = 1; n <= shape.messages; ++n) {
    ScriptMessage message;
    const auto time = feed_time + static_cast<market::TimeNs>(random() % 2'000'000) - 300'000;
    feed_time = std::max(feed_time, time);
    auto event = [&](market::SymbolIndex symbol, EventKind kind, std::uint64_t sequence) {
      Event made;
      made.time = time, made.feed_time = feed_time, made.sequence = sequence, made.kind = kind;
      made.id = n, made.price = static_cast<market::Price>(random() % 100'000), made.size = 100;
      made.side = random() % 2 ? market::Side::bid : market::Side::ask;
      message.events.push_back({symbol, made});
    };
    const auto roll = random() % 100;
    if (shape.dead_letters && roll == 0) {
      message.dead_letters.push_back({n * 40, "unknown type", "x" + std::to_string(n)});
    } else if (shape.market_wide && roll == 1) {
      for (market::SymbolIndex s = 0; s < script.symbols.size(); ++s)
        event(s, EventKind::status, n);
    } else {
      auto symbol =
          static_cast<market::SymbolIndex>(random() % shape.symbols * (random() % 100) / 100);
      if (symbol >= script.symbols.size()) {
        symbol = static_cast<market::SymbolIndex>(script.symbols.size());
        script.symbols.push_back("S" + std::to_string(symbol));
        message.new_symbols.push_back(script.symbols.back());
      }
      // A venue may send a message twice: the recorder keeps both, the fold tells them apart.
      const bool again = shape.sequencing == market::Sequencing::per_symbol && roll == 2;
      const auto own = again ? own_sequence[symbol] : ++own_sequence[symbol];
      const auto sequence = shape.sequencing == market::Sequencing::message_number ? n : own;
      const auto parts = roll < 10 ? 1 + random() % 4 : 1;
      for (std::uint64_t i = 0; i < parts; ++i) event(symbol, EventKind::add, sequence);
      for (std::size_t i = 0; i + 1 < message.events.size(); ++i)
        message.events[i].event.flags |= market::kMore;
    }
    script.messages.push_back(std::move(message));
  }
  return script;
}

/// Reads a whole partition, record by record.
template <class Visit>
void for_each_record(const storage::TapeReader& tape, storage::Partition partition, Visit&& visit) {
  for (storage::Offset from = 0;;) {
    auto block = tape.read(partition, from, {});
    if (!block || (*block)->records.empty()) return;
    for (const auto& record : (*block)->records) visit(record);
    from = (*block)->records.back().offset + 1;
  }
}

inline std::vector<Event> events_of(const storage::Record& record) {
  schemas::BatchReader reader;
  if (!reader.open(record.payload)) return {};
  std::vector<Event> events(reader.size());
  events.resize(reader.next(events));
  return events;
}

/// Every symbol's events in the order of the tape; of one source, or of all.
inline EventsBySymbol events_on(const storage::TapeReader& tape, market::SourceId source = 0) {
  EventsBySymbol all;
  for (storage::Partition p = 0; p < tape.partitions(); ++p)
    for_each_record(tape, p, [&](const storage::Record& record) {
      if (record.kind != storage::RecordKind::events) return;
      schemas::BatchReader reader;
      if (!reader.open(record.payload) || (source != 0 && reader.source() != source)) return;
      auto events = events_of(record);
      auto& into = all[std::string(record.symbol)];
      into.insert(into.end(), events.begin(), events.end());
    });
  return all;
}

}  // namespace tapedeck::testing
