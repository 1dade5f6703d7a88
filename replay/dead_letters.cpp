#include "replay/dead_letters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "replay/recovery.hpp"

namespace tapedeck::replay {

namespace {

/// Identities of refusals lie between these.
const std::string kLower(1, static_cast<char>(market::OutputKind::refusal));
const std::string kUpper(1, static_cast<char>(static_cast<int>(market::OutputKind::refusal) + 1));

market::FoldItem item_of(const market::Output& output, const market::Refusal& refusal) {
  market::FoldItem item{output.position, {}};
  if (refusal.rule == market::Refused::quarantined_due) {
    const auto& event = refusal.event;
    item.due = {output.source, static_cast<market::OutputKind>(event.code),
                static_cast<TimeNs>(event.other), event.time};
  }
  return item;
}

/// Everything one symbol's folds refused, by identity.
class Refusals {
public:
  Refusals(const storage::TapeReader& tape, const storage::StateReader* state,
           const FoldRules& rules)
      : tape_(tape), state_(state), rules_(rules) {}

  Result<void> stored(const std::string& symbol) {
    if (state_ == nullptr) return {};
    return state_->outputs(symbol, kLower, kUpper, [&](const market::Output& output) {
      found_.insert_or_assign(market::identity(output), output);
      return true;
    });
  }

  Result<void> newer(const std::string& symbol) {
    const auto partition = storage::partition_of(symbol, tape_.partitions());
    const auto cursor = state_ == nullptr ? Result<Offset>(0) : state_->cursor(partition);
    if (!cursor) return tl::unexpected(cursor.error());
    const auto last = tape_.last_of(symbol);
    if (!last) return tl::unexpected(last.error());
    if (!*last || (*last)->offset < *cursor) return {};
    auto restored = newest_good(tape_, state_, symbol, partition, *cursor, rules_);
    if (!restored) return tl::unexpected(restored.error());
    market::Outputs outputs;
    const auto done =
        catch_up(restored->fold, tape_, (*last)->offset + 1, Marks::merged, outputs, {}, state_);
    if (!done) return done;
    for (const auto& output : outputs) {
      if (output.kind() == market::OutputKind::refusal)
        found_.insert_or_assign(market::identity(output), output);
    }
    return {};
  }

  void hand_over(const std::string& symbol, std::vector<DeadLetter>& letters) {
    for (const auto& [identity, output] : std::exchange(found_, {})) {
      const auto& refusal = std::get<market::Refusal>(output.body);
      DeadLetter letter;
      letter.symbol = symbol;
      letter.item = item_of(output, refusal);
      letter.id = dead_letter_id(*letter.item);
      letter.refusal = refusal;
      letters.push_back(std::move(letter));
    }
  }

private:
  const storage::TapeReader& tape_;
  const storage::StateReader* state_;
  const FoldRules& rules_;
  std::map<std::string, market::Output> found_;
};

void mark_quarantined(std::vector<DeadLetter>& letters,
                      std::span<const schemas::ControlRecord> records) {
  const auto same = [](const market::FoldItem& a, const market::FoldItem& b) {
    return a.due || b.due ? a.due == b.due : a.position == b.position;
  };
  for (auto& letter : letters) {
    for (const auto& record : records) {
      if (record.symbol != letter.symbol || !same(record.item, *letter.item)) continue;
      if (record.kind == schemas::ControlRecord::Kind::settings) continue;
      const bool quarantine = record.kind == schemas::ControlRecord::Kind::quarantine;
      letter.kind = DeadLetter::Kind::quarantined;
      letter.item = record.item;
      letter.id = dead_letter_id(record.item);
      letter.released_at = quarantine ? kNotReleased : record.at;
      if (quarantine) letter.errors = record.errors;
    }
  }
}

}  // namespace

std::string dead_letter_id(const market::FoldItem& item) {
  const auto& at = item.position;
  const auto place = fmt::format("{}:{}:{}", at.partition, at.offset, at.index);
  if (!item.due) return place;
  return fmt::format("{}/{}/{}/{}", place, name(item.due->kind), item.due->width, item.due->time);
}

Result<std::vector<DeadLetter>> dead_letters(const storage::TapeReader& tape,
                                             const storage::StateReader* state,
                                             const FoldRules& rules,
                                             std::span<const schemas::ControlRecord> records,
                                             std::string_view symbol, bool fold) {
  std::vector<DeadLetter> recorders, letters;
  if (symbol.empty()) {
    auto raw = tape.dead_letters();
    if (!raw) return tl::unexpected(raw.error());
    for (auto& one : *raw) {
      DeadLetter letter;
      letter.kind = DeadLetter::Kind::recorder;
      letter.id = fmt::format("{}@{}", one.source, one.byte_offset);
      letter.raw = std::move(one);
      recorders.push_back(std::move(letter));
    }
  }
  auto symbols = tape.symbols();
  if (!symbols) return tl::unexpected(symbols.error());
  Refusals refusals(tape, state, rules);
  for (const auto& name : *symbols) {
    if (!symbol.empty() && name != symbol) continue;
    if (auto read = refusals.stored(name); !read) return tl::unexpected(read.error());
    if (fold) {
      if (auto folded = refusals.newer(name); !folded) return tl::unexpected(folded.error());
    }
    refusals.hand_over(name, letters);
  }
  mark_quarantined(letters, records);
  std::ranges::stable_sort(letters, {}, [](const auto& letter) { return *letter.item; });
  std::ranges::move(letters, std::back_inserter(recorders));
  return recorders;
}

}  // namespace tapedeck::replay
