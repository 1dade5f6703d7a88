#include "replay/verify.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <tuple>

#include "replay/recovery.hpp"

namespace tapedeck::replay {

namespace {

using Rows = std::map<std::string, std::vector<storage::DigestRow>, std::less<>>;

/// But for those before the start of a trimmed tape, and those that are of older rules.
Result<Rows> recorded_digests(const storage::TapeReader& tape, const storage::StateReader& state,
                              const FoldRules& rules) {
  Rows rows;
  for (Partition p = 0; p < tape.partitions(); ++p) {
    const auto symbols = state.symbols(p);
    if (!symbols) return tl::unexpected(symbols.error());
    const auto start = tape.start(p);
    if (!start) return tl::unexpected(start.error());
    for (const auto& symbol : *symbols) {
      auto digests = state.digests(symbol, p);
      if (!digests) return tl::unexpected(digests.error());
      const auto upto = usable_upto(state, rules, p, symbol);
      if (!upto) return tl::unexpected(upto.error());
      std::erase_if(*digests,
                    [&](const auto& row) { return row.key.next < *start || *upto < row.key.next; });
      if (!digests->empty()) rows.emplace(symbol, std::move(*digests));
    }
  }
  return rows;
}

/// Compares the digests of one symbol as its refold passes their offsets.
struct Comparison {
  const std::vector<storage::DigestRow>* rows = nullptr;
  std::size_t compared = 0;
  std::vector<DigestMismatch> mismatches;

  void pass(const SymbolFold& fold, Offset next_record) {
    for (; compared < rows->size() && (*rows)[compared].key.next <= next_record; ++compared) {
      const auto& row = (*rows)[compared];
      const auto digest = fold.state().digest();
      const auto events = fold.state().counts().folded;
      if (digest == row.digest && events == row.events) continue;
      mismatches.push_back({row.key, row.digest, digest, row.events, events});
    }
  }
};

Result<void> check_snapshots(const storage::StateReader& state, const Rows& rows,
                             const FoldRules& rules, Verified& verified) {
  for (const auto& [symbol, digests] : rows) {
    const auto stored_rows = state.snapshots(symbol, digests.front().key.partition);
    if (!stored_rows) return tl::unexpected(stored_rows.error());
    const auto upto = usable_upto(state, rules, digests.front().key.partition, symbol);
    if (!upto) return tl::unexpected(upto.error());
    for (const auto& row : *stored_rows) {
      if (row.key.next > *upto) break;
      const auto stored = state.newest_snapshot(symbol, row.key.partition, row.key.next);
      if (!stored || !*stored) {
        if (!stored && stored.error().code != ErrorCode::corrupt)
          return tl::unexpected(stored.error());
        verified.bad_snapshots.push_back(stored ? "snapshot of " + symbol + " is gone"
                                                : stored.error().message);
        continue;
      }
      ++verified.snapshots;
      if (const auto fold = SymbolFold::restore(**stored, rules); !fold) {
        verified.bad_snapshots.push_back(fold.error().message);
      }
    }
  }
  return {};
}

}  // namespace

Result<Verified> verify(const storage::TapeReader& tape, const storage::StateReader& state,
                        const FoldRules& rules, std::uint32_t threads,
                        const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  const auto rows = recorded_digests(tape, state, rules);
  if (!rows) return tl::unexpected(rows.error());
  if (rows->empty()) {
    return fail(ErrorCode::not_found,
                "no digest is recorded for this tape, so there is nothing to compare with: run "
                "`tapedeck tape index`");
  }
  std::map<std::string, Comparison, std::less<>> comparisons;
  for (const auto& [symbol, digests] : *rows) comparisons[symbol].rows = &digests;
  RefoldOptions options;
  options.threads = threads;
  options.marks = false;
  RefoldListener listener;
  listener.before = [&](const SymbolFold& fold, Offset next_record) {
    const auto found = comparisons.find(fold.state().symbol());
    if (found != comparisons.end()) found->second.pass(fold, next_record);
  };
  listener.progress = progress;
  const auto refolded = refold(tape, rules, options, listener);
  if (!refolded) return tl::unexpected(refolded.error());
  Verified verified;
  verified.events = refolded->counts.read;
  verified.symbols = refolded->symbols.size();
  for (auto& [symbol, comparison] : comparisons) {
    verified.digests += comparison.compared;
    for (auto i = comparison.compared; i < comparison.rows->size(); ++i) {  // beyond the tape's end
      const auto& row = (*comparison.rows)[i];
      verified.mismatches.push_back({row.key, row.digest, {}, row.events, 0});
    }
    std::ranges::move(comparison.mismatches, std::back_inserter(verified.mismatches));
  }
  if (auto checked = check_snapshots(state, *rows, rules, verified); !checked) {
    return tl::unexpected(checked.error());
  }
  return verified;
}

namespace {

/// Walks one symbol's events on a tape, one event at a time.
class EventWalk {
public:
  EventWalk(const storage::TapeReader& tape, std::string symbol, Offset from)
      : tape_(tape), symbol_(std::move(symbol)), from_(from) {}

  /// The next event, or nothing at the end.
  Result<const market::Event*> next() {
    while (at_ == count_) {
      if (auto filled = fill(); !filled) return tl::unexpected(filled.error());
      if (count_ == 0) return static_cast<const market::Event*>(nullptr);
    }
    position_.index = index_++;
    return &chunk_[at_++];
  }
  [[nodiscard]] const market::Position& position() const { return position_; }

private:
  Result<void> fill() {
    at_ = 0;
    count_ = reading_ ? reader_.next(chunk_) : 0;
    while (count_ == 0) {
      if (block_ == nullptr || record_ == block_->records.size()) {
        const auto end = tape_.end(storage::partition_of(symbol_, tape_.partitions()));
        if (!end) return tl::unexpected(end.error());
        auto block = tape_.read_symbol(symbol_, from_, *end, {});
        if (!block) return tl::unexpected(block.error());
        block_ = *block, record_ = 0;
        if (block_->records.empty()) return {};
      }
      const auto& record = block_->records[record_++];
      from_ = record.offset + 1;
      position_ = {record.partition, record.offset, 0};
      index_ = 0;
      if (auto opened = reader_.open(record.payload); !opened) return opened;
      reading_ = true;
      count_ = reader_.next(chunk_);
    }
    return {};
  }

  const storage::TapeReader& tape_;
  std::string symbol_;
  storage::RecordBlockPtr block_;
  std::size_t record_ = 0, at_ = 0, count_ = 0;
  std::uint32_t index_ = 0;
  Offset from_;
  bool reading_ = false;
  schemas::BatchReader reader_;
  std::array<market::Event, 256> chunk_;
  market::Position position_;
};

bool same_fact(const market::Event& a, const market::Event& b) {
  const auto fields = [](const market::Event& e) {
    return std::tuple(e.time, e.feed_time, e.sequence, e.id, e.price, e.size, e.other, e.kind,
                      e.side, e.flags, e.code);
  };
  return fields(a) == fields(b);
}

Result<std::optional<Difference>> diff_symbol(const storage::TapeReader& left,
                                              const storage::TapeReader& right,
                                              const std::string& symbol) {
  // Where one of them was trimmed, its copy is walked from there on only.
  Offset from = 0;
  for (const auto* tape : {&left, &right}) {
    const auto start = tape->start(storage::partition_of(symbol, tape->partitions()));
    if (!start) return tl::unexpected(start.error());
    from = std::max(from, *start);
  }
  EventWalk a(left, symbol, from), b(right, symbol, from);
  for (std::uint64_t events = 0;; ++events) {
    const auto from_a = a.next();
    if (!from_a) return tl::unexpected(from_a.error());
    const auto from_b = b.next();
    if (!from_b) return tl::unexpected(from_b.error());
    if (*from_a == nullptr && *from_b == nullptr) return std::optional<Difference>();
    if (*from_a != nullptr && *from_b != nullptr && same_fact(**from_a, **from_b)) continue;
    Difference difference{symbol, events, {}, {}};
    if (*from_a != nullptr) difference.left = a.position();
    if (*from_b != nullptr) difference.right = b.position();
    return std::optional(difference);
  }
}

}  // namespace

Result<std::vector<Difference>> diff(const storage::TapeReader& left,
                                     const storage::TapeReader& right, const FoldRules& left_rules,
                                     const FoldRules& right_rules) {
  const auto a = refold(left, left_rules, {});
  if (!a) return tl::unexpected(a.error());
  const auto b = refold(right, right_rules, {});
  if (!b) return tl::unexpected(b.error());
  std::map<std::string, std::pair<market::Digest, market::Digest>> digests;
  for (const auto& [symbol, fold] : a->symbols) digests[symbol].first = fold.state().digest();
  for (const auto& [symbol, fold] : b->symbols) digests[symbol].second = fold.state().digest();
  std::vector<Difference> differences;
  for (const auto& [symbol, pair] : digests) {
    if (pair.first == pair.second) continue;
    const auto difference = diff_symbol(left, right, symbol);
    if (!difference) return tl::unexpected(difference.error());
    if (*difference) differences.push_back(**difference);
  }
  return differences;
}

}  // namespace tapedeck::replay
