#include "storage/row_state_store.hpp"

#include <algorithm>
#include <limits>

#include "schemas/state_codec.hpp"
#include "storage/frame.hpp"
#include "storage/output_blocks.hpp"
#include "storage/state_rows.hpp"

namespace tapedeck::storage {
namespace {

constexpr std::size_t kAllSymbols = std::numeric_limits<std::size_t>::max();
constexpr std::string_view kWriteKey = "last write of outputs";

tl::unexpected<Error> damaged(const std::string& what) {
  return fail(ErrorCode::corrupt,
              "state: " + what + " is damaged: its checksum does not match its bytes");
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// How messages name any row.
std::string describe(Family family, std::string_view key) {
  if (family == Family::meta) return "the row '" + std::string(key.substr(0, key.find('\0'))) + "'";
  if (family == Family::checkpoints && key.size() == 12) {
    return "the checkpoint " + at(read_key32(key), read_key64(key.substr(4)));
  }
  if (family == Family::outputs)
    return "an output of " + std::string(key.substr(0, key.find('\0')));
  const auto parsed = parse_snapshot_key(key);
  const std::string kind = family == Family::digests ? "the digest of " : "the snapshot of ";
  return kind + (parsed ? describe(*parsed) : "an unreadable key");
}

std::optional<DigestRow> digest_row(std::string_view key, std::string_view sealed, bool& kept) {
  auto parsed = parse_snapshot_key(key);
  const auto bytes = unseal(key, sealed);
  const auto value = bytes ? decode_digest(*bytes) : std::nullopt;
  if (!parsed || !value) return std::nullopt;
  kept = value->kept;
  return DigestRow{std::move(*parsed), value->max_event_time, value->events, value->digest};
}

std::string digest_value(const DigestRow& row, std::string_view key, bool kept) {
  return seal(key, encode(DigestValue{row.max_event_time, row.events, row.digest, kept}));
}

bool good_symbol(std::string_view symbol) {
  return !symbol.empty() && symbol.size() <= kMaxSymbolBytes && symbol.find('\0') == symbol.npos;
}

Result<void> check_symbols(const StateStore::Batch& batch) {
  const auto refuse = [](std::string_view symbol) {
    return fail(ErrorCode::invalid,
                "a symbol is 1 to " + std::to_string(kMaxSymbolBytes) +
                    " bytes without a zero; found '" + std::string(symbol) + "'",
                "symbol");
  };
  for (const auto& snapshot : batch.snapshots) {
    if (!good_symbol(snapshot.key.symbol)) return refuse(snapshot.key.symbol);
  }
  for (const auto& some : batch.outputs) {
    if (!good_symbol(some.symbol)) return refuse(some.symbol);
  }
  return {};
}

/// Of one symbol's snapshots (ascending): those that the policy of StateStore::thin does not want.
std::vector<DigestRow> unwanted(const std::vector<DigestRow>& rows, TimeNs keep_after,
                                const std::vector<Checkpoint>& kept) {
  constexpr TimeNs kHour = 3600 * market::kSecond;
  const auto hour = [](const DigestRow& row) {
    return row.max_event_time / kHour - (row.max_event_time % kHour < 0 ? 1 : 0);
  };
  std::vector<bool> wanted(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const bool last_of_hour = i + 1 == rows.size() || rows[i + 1].max_event_time > keep_after ||
                              hour(rows[i + 1]) != hour(rows[i]);
    wanted[i] = rows[i].max_event_time > keep_after || last_of_hour;
  }
  const auto want_newest_before = [&](Offset at_most) {
    for (std::size_t i = rows.size(); i-- > 0;) {
      if (rows[i].key.next > at_most) continue;
      wanted[i] = true;
      return;
    }
  };
  for (const auto& checkpoint : kept) {
    want_newest_before(checkpoint.next);
    for (const auto& behind : checkpoint.behind) {
      if (!rows.empty() && behind.symbol == rows.front().key.symbol)
        want_newest_before(behind.next);
    }
  }
  std::vector<DigestRow> all;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (!wanted[i]) all.push_back(rows[i]);
  }
  return all;
}

}  // namespace

RowStateStore::RowStateStore(std::unique_ptr<Rows> rows) : rows_(std::move(rows)) {}

Result<std::optional<DigestRow>> RowStateStore::newest_row(std::string_view symbol,
                                                           Partition partition,
                                                           Offset at_most) const {
  std::optional<DigestRow> newest;
  std::optional<Error> error;
  const auto lower = snapshot_key(partition, symbol, 0);
  const auto upper = snapshot_key(partition, symbol, at_most) + '\0';
  auto scanned = rows_->scan(Family::digests, lower, upper, true,
                             [&](std::string_view key, std::string_view value) {
                               bool kept = false;
                               newest = digest_row(key, value, kept);
                               if (!newest) error = damaged(describe(Family::digests, key)).value();
                               if (!kept && newest) newest.reset();
                               return !error && !newest;
                             });
  if (!scanned) return tl::unexpected(std::move(scanned.error()));
  if (error) return tl::unexpected(std::move(*error));
  return newest;
}

Result<std::optional<StoredSnapshot>> RowStateStore::newest_snapshot(std::string_view symbol,
                                                                     Partition partition,
                                                                     Offset at_most) const {
  while (true) {
    auto row = newest_row(symbol, partition, at_most);
    if (!row) return tl::unexpected(std::move(row.error()));
    if (!*row) return std::optional<StoredSnapshot>{};
    const auto key = snapshot_key(partition, symbol, (*row)->key.next);
    auto sealed = rows_->get(Family::snapshots, key);
    if (!sealed) {
      sealed.error().message =
          "the snapshot of " + describe((*row)->key) + " cannot be read: " + sealed.error().message;
      return tl::unexpected(std::move(sealed.error()));
    }
    if (!*sealed) {
      // Thinned since its row was read, or beside a writer not yet visible; else it is lost, and
      // the caller is told.
      auto again = newest_row(symbol, partition, at_most);
      if (!again) return tl::unexpected(std::move(again.error()));
      const Offset next = (*row)->key.next;
      if (!*again || (*again)->key.next != next) continue;
      if (!rows_->may_lag()) {
        return fail(ErrorCode::corrupt,
                    "state: the snapshot of " + describe((*row)->key) + " is missing");
      }
      if (next == 0) return std::optional<StoredSnapshot>{};
      at_most = next - 1;
      continue;
    }
    auto bytes = unseal(key, **sealed);
    if (!bytes) return damaged("the snapshot of " + describe((*row)->key));
    StoredSnapshot snapshot{
        std::move((*row)->key), (*row)->max_event_time, (*row)->events, (*row)->digest, {}};
    snapshot.bytes.assign(*bytes);
    return std::optional(std::move(snapshot));
  }
}

Result<std::vector<DigestRow>> RowStateStore::digest_rows(std::string_view symbol,
                                                          Partition partition,
                                                          bool only_kept) const {
  std::vector<DigestRow> all;
  std::optional<Error> error;
  const auto prefix = symbol_prefix(partition, symbol);
  auto scanned = rows_->scan(Family::digests, prefix, after_prefix(prefix), false,
                             [&](std::string_view key, std::string_view value) {
                               bool kept = false;
                               auto row = digest_row(key, value, kept);
                               if (!row) error = damaged(describe(Family::digests, key)).value();
                               if (row && (kept || !only_kept)) all.push_back(std::move(*row));
                               return !error;
                             });
  if (!scanned) return tl::unexpected(std::move(scanned.error()));
  if (error) return tl::unexpected(std::move(*error));
  return all;
}

Result<std::vector<DigestRow>> RowStateStore::snapshots(std::string_view symbol,
                                                        Partition partition) const {
  return digest_rows(symbol, partition, true);
}

Result<std::vector<DigestRow>> RowStateStore::digests(std::string_view symbol,
                                                      Partition partition) const {
  return digest_rows(symbol, partition, false);
}

Result<std::vector<std::string>> RowStateStore::symbols(Partition partition) const {
  return symbols_after({}, partition, kAllSymbols);
}

Result<std::vector<std::string>> RowStateStore::symbols_after(std::string_view symbol,
                                                              Partition partition,
                                                              std::size_t most) const {
  std::vector<std::string> all;
  std::string first;
  append_be32(first, partition);
  const std::string upper = after_prefix(first);
  std::string lower = symbol.empty() ? first : after_prefix(symbol_prefix(partition, symbol));
  // Each scan finds one symbol, the next begins behind all of its rows.
  for (bool found = true; found && all.size() < most;) {
    found = false;
    auto scanned = rows_->scan(Family::digests, lower, upper, false,
                               [&](std::string_view key, std::string_view) {
                                 if (auto parsed = parse_snapshot_key(key))
                                   all.push_back(std::move(parsed->symbol));
                                 lower = after_prefix(std::string(key.substr(0, key.size() - 8)));
                                 found = true;
                                 return false;
                               });
    if (!scanned) return tl::unexpected(std::move(scanned.error()));
  }
  return all;
}

Result<std::vector<Checkpoint>> RowStateStore::checkpoints(Partition partition) const {
  std::vector<Checkpoint> all;
  std::optional<Error> error;
  std::string lower;
  append_be32(lower, partition);
  auto scanned = rows_->scan(Family::checkpoints, lower, after_prefix(lower), true,
                             [&](std::string_view key, std::string_view value) {
                               const auto bytes = unseal(key, value);
                               auto checkpoint = bytes ? decode_checkpoint(*bytes) : std::nullopt;
                               if (!checkpoint || key.size() != 12) {
                                 error = damaged(describe(Family::checkpoints, key)).value();
                                 return false;
                               }
                               checkpoint->partition = partition;
                               checkpoint->next = read_key64(key.substr(4));
                               all.push_back(std::move(*checkpoint));
                               return true;
                             });
  if (!scanned) return tl::unexpected(std::move(scanned.error()));
  if (error) return tl::unexpected(std::move(*error));
  return all;
}

Result<std::uint64_t> RowStateStore::number(std::string_view key, const std::string& what) const {
  const auto sealed = rows_->get(Family::meta, key);
  if (!sealed) return tl::unexpected(sealed.error());
  if (!*sealed) return std::uint64_t{0};
  const auto bytes = unseal(key, **sealed);
  if (!bytes || bytes->size() != 8) return damaged(what);
  return read_key64(*bytes);
}

Result<Offset> RowStateStore::cursor(Partition partition) const {
  return number(cursor_key(partition), "the cursor of partition " + std::to_string(partition));
}

Result<std::uint64_t> RowStateStore::rules_met(Partition partition) const {
  return number(rules_key(partition),
                "how many control records partition " + std::to_string(partition) + " has met");
}

Result<void> RowStateStore::outputs(std::string_view symbol, std::string_view lower,
                                    std::string_view upper,
                                    const std::function<bool(const market::Output&)>& visit) const {
  std::optional<Error> error;
  bool go_on = true;
  OutputMerge merge(symbol, lower, upper);
  const auto take = [&](std::string_view key, std::string_view value) {
    const auto bytes = unseal(key, value);
    const auto taken = bytes ? merge.take(key, *bytes, visit)
                             : Result<bool>(damaged(describe(Family::outputs, key)));
    if (!taken) error = taken.error();
    go_on = taken && *taken;
    return go_on;
  };
  auto scanned = rows_->scan(Family::outputs, merge.first_key(), merge.last_key(), false, take);
  if (!scanned) return scanned;
  if (error) return tl::unexpected(std::move(*error));
  if (go_on) merge.finish(visit);
  return {};
}

Result<std::uint64_t> RowStateStore::verify_family(Family family) const {
  std::uint64_t count = 0;
  std::optional<Error> error;
  std::string last = "before the first row";
  auto scanned =
      rows_->scan(family, {}, {}, false, [&](std::string_view key, std::string_view sealed) {
        const auto bytes = unseal(key, sealed);
        if (!bytes) error = damaged(describe(family, key)).value();
        bool kept = false;
        if (bytes && family == Family::digests && !digest_row(key, sealed, kept)) {
          error = damaged(describe(family, key)).value();
        }
        if (kept) {
          const auto snapshot = rows_->get(Family::snapshots, key);
          if (snapshot && !*snapshot && !rows_->may_lag()) {
            error = Error{ErrorCode::corrupt,
                          "state: " + describe(Family::snapshots, key) + " is missing",
                          {}};
          }
        }
        if (bytes && family == Family::outputs) {
          if (const auto output = schemas::decode_block(bytes_of(*bytes)); !output) {
            error = Error{ErrorCode::corrupt,
                          "state: " + describe(family, key) + ": " + output.error().message,
                          {}};
          }
        }
        last = "after " + describe(family, key);
        ++count;
        return !error;
      });
  if (!scanned) {
    scanned.error().message += ", " + last;
    return tl::unexpected(std::move(scanned.error()));
  }
  if (error) return tl::unexpected(std::move(*error));
  return count;
}

Result<std::uint64_t> RowStateStore::verify() const {
  std::uint64_t count = 0;
  for (std::size_t family = 0; family < kFamilies; ++family) {
    const auto some = verify_family(static_cast<Family>(family));
    if (!some) return some;
    count += *some;
  }
  return count;
}

Result<std::uint64_t> RowStateStore::snapshot_bytes() const {
  return rows_->stored_bytes(Family::snapshots);
}

Result<void> RowStateStore::refresh() { return rows_->refresh(); }

Result<void> RowStateStore::sync() { return rows_->sync(); }

Result<void> RowStateStore::forget(const Forget& one, std::vector<RowChange>& changes) const {
  const auto rows = digests(one.symbol, one.partition);
  if (!rows) return tl::unexpected(rows.error());
  for (const auto& row : *rows) {
    if (row.key.next <= one.next) continue;
    const auto gone = snapshot_key(one.partition, one.symbol, row.key.next);
    changes.push_back({Family::digests, gone, {}});
    changes.push_back({Family::snapshots, gone, {}});
  }
  const auto stored = checkpoints(one.partition);
  if (!stored) return tl::unexpected(stored.error());
  for (const auto& checkpoint : *stored) {
    if (checkpoint.next > one.next)
      changes.push_back({Family::checkpoints, checkpoint_key(one.partition, checkpoint.next), {}});
  }
  return forget_outputs(one, changes);
}

/// An earlier version of the same identity, emitted before, is the newest then.
Result<void> RowStateStore::forget_outputs(const Forget& one,
                                           std::vector<RowChange>& changes) const {
  const auto spoken = cursor(one.partition);
  if (!spoken) return tl::unexpected(spoken.error());
  const auto from = std::max(one.said_from, *spoken);
  const auto end = number(outputs_end_key(one.partition), "the end of the outputs");
  if (!end) return tl::unexpected(end.error());
  if (*end <= from) return {};
  std::optional<Error> error;
  const auto visit = [&](std::string_view key, std::string_view value) {
    const auto bytes = unseal(key, value);
    auto outputs = bytes ? schemas::decode_block(bytes_of(*bytes))
                         : Result<market::Outputs>(damaged(describe(Family::outputs, key)));
    if (!outputs) {
      error = outputs.error();
      return false;
    }
    std::vector<const market::Output*> kept;
    for (const auto& output : *outputs) {
      if (output.position.offset < from) kept.push_back(&output);
    }
    if (kept.size() == outputs->size()) return true;
    const auto rest = kept.empty() ? std::optional<std::string>()
                                   : std::optional(seal(key, schemas::encode_block(kept)));
    changes.push_back({Family::outputs, std::string(key), rest});
    return true;
  };
  const auto prefix = output_key(one.symbol, {});
  auto scanned = rows_->scan(Family::outputs, prefix, after_prefix(prefix), false, visit);
  if (error) return tl::unexpected(std::move(*error));
  return scanned;
}

Result<void> RowStateStore::write(const Batch& batch) {
  if (auto ok = check_symbols(batch); !ok) return ok;
  std::vector<RowChange> changes;
  changes.reserve(batch.snapshots.size() * 2 + batch.outputs.size() + 2);
  for (const auto& one : batch.forget) {
    if (auto gone = forget(one, changes); !gone) return gone;
  }
  for (const auto& snapshot : batch.snapshots) {
    auto key = snapshot_key(snapshot.key.partition, snapshot.key.symbol, snapshot.key.next);
    changes.push_back({Family::digests, key,
                       seal(key, encode(DigestValue{snapshot.max_event_time, snapshot.events,
                                                    snapshot.digest, true}))});
    auto value = seal(key, snapshot.bytes);
    changes.push_back({Family::snapshots, std::move(key), std::move(value)});
  }
  if (batch.checkpoint) {
    auto key = checkpoint_key(batch.checkpoint->partition, batch.checkpoint->next);
    auto value = seal(key, encode(*batch.checkpoint));
    changes.push_back({Family::checkpoints, std::move(key), std::move(value)});
  }
  const auto put_number = [&changes](std::string key, std::uint64_t number) {
    std::string bytes;
    append_be64(bytes, number);
    auto value = seal(key, bytes);
    changes.push_back({Family::meta, std::move(key), std::move(value)});
  };
  if (batch.cursor) put_number(cursor_key(batch.cursor->first), batch.cursor->second);
  if (batch.rules_met) put_number(rules_key(batch.rules_met->first), batch.rules_met->second);
  std::lock_guard lock(write_mutex_);
  if (batch.cursor && !batch.outputs.empty()) {
    const auto end = std::ranges::max(batch.outputs, {}, &EncodedOutputs::end).end;
    const auto key = outputs_end_key(batch.cursor->first);
    const auto known = number(key, "the end of the outputs");
    if (!known) return tl::unexpected(known.error());
    if (end > std::max(*known, batch.cursor->second)) put_number(key, end);
  }
  if (!batch.outputs.empty()) {
    const auto write = next_write();
    if (!write) return tl::unexpected(write.error());
    append_output_blocks(batch.outputs, *write, changes);
    put_number(std::string(kWriteKey), *write);
  }
  // A write that fails may have taken effect all the same: its number is looked up again then.
  const auto last = std::exchange(last_write_, std::nullopt);
  if (auto written = rows_->write(changes); !written) return written;
  last_write_ = batch.outputs.empty() ? last : last.value_or(0) + 1;
  return {};
}

/// Writes are numbered, so that of two outputs with one identity the later is known.
Result<std::uint64_t> RowStateStore::next_write() {
  if (!last_write_) {
    const auto last = number(kWriteKey, "the number of the last write");
    if (!last) return last;
    last_write_ = *last;  // not before it is known: a number used twice would replace other outputs
  }
  return *last_write_ + 1;
}

Result<std::uint64_t> RowStateStore::thin(Partition partition, TimeNs keep_after, std::size_t keep,
                                          Offset committed) {
  std::lock_guard lock(write_mutex_);
  auto stored = checkpoints(partition);
  if (!stored) return tl::unexpected(std::move(stored.error()));
  const auto spoken = cursor(partition);
  if (!spoken) return tl::unexpected(spoken.error());
  std::vector<RowChange> changes;
  std::vector<Checkpoint> kept;
  for (auto& checkpoint : *stored) {
    const bool below = checkpoint.next <= std::min(*spoken, committed);
    if (below && keep == 0) {
      changes.push_back({Family::checkpoints, checkpoint_key(partition, checkpoint.next), {}});
      continue;
    }
    keep -= below ? 1 : 0;
    kept.push_back(std::move(checkpoint));
  }
  std::string& thinned_to = thinned_to_[partition];
  auto some = symbols_after(thinned_to, partition, kThinnedAtOnce);
  if (!some) return tl::unexpected(some.error());
  std::uint64_t removed = 0;
  for (const auto& symbol : *some) {
    const auto rows = snapshots(symbol, partition);
    if (!rows) return tl::unexpected(rows.error());
    for (const auto& row : unwanted(*rows, keep_after, kept)) {
      const auto key = snapshot_key(partition, symbol, row.key.next);
      changes.push_back({Family::digests, key, digest_value(row, key, false)});
      changes.push_back({Family::snapshots, key, {}});
      ++removed;
    }
  }
  if (auto ok = rows_->write(changes); !ok) return tl::unexpected(ok.error());
  thinned_to = some->size() < kThinnedAtOnce ? std::string() : some->back();
  return removed;
}

}  // namespace tapedeck::storage
