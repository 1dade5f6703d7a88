#include "storage/snapshot_set.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <set>

using namespace tapedeck;
using namespace tapedeck::storage;

namespace {

const std::string kPrefix = set_prefix("market", "engines", 3);

StoredSnapshot snapshot(const std::string& symbol, Offset next, std::size_t bytes,
                        std::mt19937_64& random) {
  StoredSnapshot made;
  made.key = {3, symbol, next};
  made.max_event_time = static_cast<TimeNs>(next) * 10;
  made.events = next;
  made.digest = {random(), random()};
  for (std::size_t i = 0; i < bytes; ++i) made.bytes += static_cast<char>(random());
  return made;
}

/// What an engine publishes, checkpoint after checkpoint, and the compacted topic it goes to.
struct Topic {
  std::vector<SetRecord> log;
  SetEntries entries;
  std::map<std::string, StoredSnapshot> newest;
  Checkpoint checkpoint;
  std::vector<std::size_t> transactions;  ///< where each ends in the log

  void publish(const std::vector<StoredSnapshot>& changed, Offset next) {
    for (const auto& one : changed) {
      for (auto& record : encode_chunks(kPrefix, one, entries[one.key.symbol]))
        log.push_back(std::move(record));
      entries[one.key.symbol] = entry_of(one);
      newest[one.key.symbol] = one;
    }
    checkpoint = {};
    checkpoint.partition = 3;
    checkpoint.next = next;
    checkpoint.events = 2 * next;
    checkpoint.feed_times = {{7, static_cast<TimeNs>(next)}};
    log.push_back(encode_manifest(kPrefix, checkpoint, entries));
    transactions.push_back(log.size());
  }

  /// As compaction leaves it: of each key the last record.
  [[nodiscard]] std::vector<SetRecord> compacted() const {
    std::set<std::string> seen;
    std::vector<SetRecord> kept;
    for (auto record = log.rbegin(); record != log.rend(); ++record) {
      if (seen.insert(record->key).second) kept.push_back(*record);
    }
    return {kept.rbegin(), kept.rend()};
  }
};

Result<std::optional<SnapshotSet>> read(const std::vector<SetRecord>& records,
                                        Offset committed = kNoOffset) {
  SetReader reader(kPrefix);
  for (const auto& record : records) reader.take(record.key, record.value);
  return reader.finish(3, committed);
}

Topic published(std::mt19937_64& random) {
  Topic topic;
  topic.publish({snapshot("AAPL", 90, 100, random), snapshot("MSFT", 100, 0, random),
                 snapshot("A/B/0", 100, 3 * kSetChunkBytes + 5, random)},
                100);
  topic.publish({snapshot("AAPL", 200, 100, random), snapshot("NEW", 150, 10, random)}, 200);
  topic.publish({snapshot("A/B/0", 300, kSetChunkBytes, random)}, 300);
  return topic;
}

void check_is(const Topic& topic, const Result<std::optional<SnapshotSet>>& found) {
  REQUIRE(found);
  REQUIRE(*found);
  CHECK((*found)->checkpoint == topic.checkpoint);
  CHECK((*found)->entries == topic.entries);
  REQUIRE((*found)->snapshots.size() == topic.newest.size());
  for (const auto& one : (*found)->snapshots) {
    const auto& wanted = topic.newest.at(one.key.symbol);
    CHECK((one.key.next == wanted.key.next && one.bytes == wanted.bytes));
    CHECK((one.events == wanted.events && one.max_event_time == wanted.max_event_time));
    CHECK(one.digest == wanted.digest);
  }
}

}  // namespace

TEST_CASE("the newest set is read, from the whole log and from a compacted one", "[snapshots]") {
  std::mt19937_64 random(1);
  const auto topic = published(random);
  check_is(topic, read(topic.log));
  check_is(topic, read(topic.compacted()));
  CHECK_FALSE(read({})->has_value());
  SetReader other(set_prefix("market", "engines", 30));
  for (const auto& record : topic.log) other.take(record.key, record.value);
  CHECK_FALSE(other.finish(30, kNoOffset)->has_value());
}

TEST_CASE("a set past what is committed is never used", "[snapshots]") {
  std::mt19937_64 random(1);
  const auto topic = published(random);
  CHECK(read(topic.log, 300)->has_value());
  for (const Offset committed : {Offset{299}, Offset{0}}) {
    const auto found = read(topic.log, committed);
    REQUIRE_FALSE(found);
    CHECK(found.error().code == ErrorCode::conflict);
  }
}

TEST_CASE("a set that lacks any record is never used", "[snapshots]") {
  std::mt19937_64 random(1);
  const auto topic = published(random);
  const auto records = topic.compacted();
  for (std::size_t lost = 0; lost < records.size(); ++lost) {
    if (records[lost].value.empty()) continue;  // takes away what is not there
    auto rest = records;
    rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(lost));
    INFO(records[lost].key);
    const auto found = read(rest);
    CHECK((!found || !*found));
  }
}

TEST_CASE("a set with a damaged bit is never used", "[snapshots]") {
  std::mt19937_64 random(1);
  const auto topic = published(random);
  const auto records = topic.compacted();
  for (std::size_t bad = 0; bad < records.size(); ++bad) {
    if (records[bad].value.empty()) continue;
    auto damaged = records;
    auto& byte = damaged[bad].value[random() % damaged[bad].value.size()];
    byte = static_cast<char>(byte ^ (1 << (random() % 8)));
    INFO(records[bad].key);
    CHECK_FALSE(read(damaged));
  }
}

TEST_CASE("a mixture of two sets is never used", "[snapshots]") {
  std::mt19937_64 random(1);
  const auto topic = published(random);
  // Beginnings of the log that end within a transaction: a reader of committed records never sees
  // them, and would not take them.
  for (std::size_t end = 1; end < topic.log.size(); ++end) {
    const std::vector<SetRecord> head(topic.log.begin(),
                                      topic.log.begin() + static_cast<std::ptrdiff_t>(end));
    const auto found = read(head);
    INFO(end);
    const bool whole = std::ranges::find(topic.transactions, end) != topic.transactions.end();
    CHECK((found && *found) == whole);
  }
}

TEST_CASE("a set that was taken while a symbol was down is never used", "[snapshots]") {
  std::mt19937_64 random(1);
  auto topic = published(random);
  topic.checkpoint.behind = {{"AAPL", 120}};
  topic.log.push_back(encode_manifest(kPrefix, topic.checkpoint, topic.entries));
  CHECK_FALSE(read(topic.log));
}
