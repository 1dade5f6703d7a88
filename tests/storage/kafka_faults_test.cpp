// What may happen to a topic behind the tape's back: each is an error that says so, and nothing is
// skipped.
#include <signal.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "storage/errors.hpp"
#include "storage/kafka_tape.hpp"
#include "storage/partition.hpp"
#include "storage/verify.hpp"
#include "tests/storage/kafka_admin.hpp"
#include "tests/storage/kafka_broker.hpp"
#include "tests/storage/tape_fixture.hpp"

namespace tapedeck::storage::test {
namespace {

using Catch::Contains;

KafkaAdmin admin() { return KafkaAdmin(shared_broker()); }

/// A tape with some records, written and closed.
KafkaOptions recorded_tape(std::uint32_t partitions, int appends = 5) {
  const auto options = new_tape(partitions);
  const auto writer = open_kafka_writer(options).value();
  for (int i = 1; i <= appends; ++i) {
    append(*writer, {make_record("A", static_cast<std::uint64_t>(i))},
           {{0, make_mark("source", i)}});
  }
  return options;
}

std::vector<std::uint64_t> ids(const TapeReader& reader, const std::string& symbol) {
  std::vector<std::uint64_t> found;
  const auto block = reader.read_symbol(symbol, 0, 1'000'000, {}).value();
  for (const auto& record : block->records) found.push_back(id_of(record));
  return found;
}

}  // namespace

TEST_CASE(
    "a record of somebody else is named by topic, partition and offset, those before it are read") {
  const auto options = recorded_tape(1);
  const auto offset = admin().produce(options.topic, 0, "A", "{\"price\": 1}");
  const auto reader = open_kafka_reader(options).value();
  const auto good = reader->read(0, 0, {}).value();
  CHECK(good->records.size() == 10);
  const auto bad = reader->read(0, static_cast<Offset>(offset), {});
  REQUIRE_FALSE(bad);
  CHECK(bad.error().code == ErrorCode::corrupt);
  CHECK_THAT(bad.error().message, Contains(options.topic + "[0]:" + std::to_string(offset)));
  CHECK_THAT(bad.error().message, Contains("not one of tapedeck's"));
  CHECK_FALSE(reader->symbols());
}

TEST_CASE("a topic whose settings lose records is refused, with the setting") {
  auto options = new_tape(2);
  const auto [setting, value] =
      GENERATE(table<std::string, std::string>({{"cleanup.policy", "compact"},
                                                {"retention.ms", "60000"},
                                                {"retention.bytes", "1000000"},
                                                {"max.message.bytes", "1000"}}));
  CAPTURE(setting);
  std::map<std::string, std::string> settings{{"retention.ms", "-1"},
                                              {"max.message.bytes", "4000000"}};
  settings[setting] = value;
  admin().make_topic(options.topic, 2, settings);
  for (const auto& error : {open_kafka_writer(options).error(), open_kafka_reader(options).error(),
                            create_kafka_topics(options).error()}) {
    CHECK(error.code == ErrorCode::conflict);
    CHECK(error.field == setting);
    CHECK_THAT(error.message, Contains(value) && Contains(options.topic));
  }
}

TEST_CASE("no reader jumps over what retention has cut, opened before the cut or after it") {
  const auto options = recorded_tape(1);
  const auto before = open_kafka_reader(options).value();
  CHECK(before->read(0, 0, {}).value()->records.size() == 10);
  admin().delete_records(options.topic, 0, 4);
  const auto after = open_kafka_reader(options).value();
  for (const auto* reader : {before.get(), after.get()}) {
    const auto cut = reader->read(0, 0, {});
    REQUIRE_FALSE(cut);
    CHECK(cut.error().code == ErrorCode::environment);
    CHECK(cut.error().field == kLostField);
    CHECK_THAT(cut.error().message, Contains(options.topic + "[0]:0") && Contains("retention") &&
                                        Contains("tapedeck tape copy"));
    CHECK(reader->read(0, 6, {}).value()->records.front().offset == 6);
    CHECK(reader->end(0).value() == before->end(0).value());
  }
  CHECK_FALSE(after->symbols());
}

TEST_CASE("a cut as far as what was read is no loss: new records are read, none is missed") {
  TempDir dir;
  auto options = recorded_tape(1, 2);  // record, mark, mark of the transaction, twice
  options.state = dir.path();
  CHECK(ids(*open_kafka_reader(options).value(), "A").size() == 2);
  admin().delete_records(options.topic, 0, 3);
  CHECK(open_kafka_reader(options).value()->read(0, 2, {}).value()->records.front().offset == 3);
  CHECK_FALSE(open_kafka_reader(options).value()->read(0, 1, {}));
  admin().delete_records(options.topic, 0, 6);
  const auto reader = open_kafka_reader(options).value();
  CHECK(reader->end(0).value() == 5);
  CHECK(reader->read(0, 5, {}).value()->records.empty());
  const auto writer = open_kafka_writer(options).value();
  append(*writer, {make_record("A", 9)});
  for (int i = 0; i < 100 && reader->end(0).value() == 5; ++i) CHECK(reader->refresh());
  CHECK(reader->read(0, 5, {}).value()->records.front().offset == 6);
}

TEST_CASE("partitions that were added to a tape's topic are a conflict") {
  auto options = recorded_tape(2);
  admin().add_partitions(options.topic, 3);
  options.partitions = 0;
  const auto error = open_kafka_reader(options).error();
  CHECK(error.code == ErrorCode::conflict);
  CHECK(error.field == "partitions");
  CHECK_THAT(error.message, Contains("3 partitions") && Contains("made with 2"));
  CHECK(open_kafka_writer(options).error().code == ErrorCode::conflict);
}

TEST_CASE("a topic that is deleted, or made anew, under a reader is an error") {
  auto options = recorded_tape(1, 8);
  const auto reader = open_kafka_reader(options).value();
  admin().delete_topic(options.topic);
  if (GENERATE(false, true)) admin().make_topic(options.topic, 1, {{"retention.ms", "-1"}});
  std::optional<Error> error;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!error && std::chrono::steady_clock::now() < give_up) {
    if (const auto refreshed = reader->refresh(); !refreshed) error = refreshed.error();
  }
  REQUIRE(error);
  CHECK(error->code == ErrorCode::environment);
  CHECK_THAT(error->message, Contains(options.topic));
}

TEST_CASE("the newest recorder owns the tape: an older one is fenced") {
  const auto options = recorded_tape(1);
  const auto older = open_kafka_writer(options).value();
  append(*older, {make_record("A", 10)});
  const auto newer = open_kafka_writer(options).value();
  append(*newer, {make_record("A", 11)});
  for (int again = 0; again < 2; ++again) {
    const auto record = make_record("A", 12);
    const NewRecord view = record.view();
    const auto refused = older->append(std::span(&view, 1), {});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::conflict);
  }
  append(*newer, {make_record("A", 13)});
  CHECK(ids(newer->reader(), "A") == std::vector<std::uint64_t>{1, 2, 3, 4, 5, 10, 11, 13});
}

TEST_CASE("an index is brought forward from where it ended, and is of one topic") {
  TempDir dir;
  auto options = recorded_tape(1);
  options.state = dir.path();
  CHECK(ids(*open_kafka_reader(options).value(), "A").size() == 5);
  {
    const auto writer = open_kafka_writer(options).value();
    append(*writer, {make_record("A", 6), make_record("B", 7)}, {{0, make_mark("other", 6)}});
    // Another process of the same folder meanwhile: what is indexed, and what came since.
    const auto beside = open_kafka_reader(options).value();
    CHECK(ids(*beside, "A") == std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6});
    CHECK(beside->index("A", 0, 1'000'000).value().size() == 6);
    CHECK(beside->marks(0, 0, 1'000'000).value()->records.size() == 6);
    CHECK(beside->symbols().value() == std::vector<std::string>{"A", "B"});
    CHECK(beside->sources().value().size() == 2);
    CHECK(beside->last_mark(0).value() == make_mark("other", 6));
    CHECK(verify(*beside));
  }
  auto reader = open_kafka_reader(options).value();
  CHECK(ids(*reader, "A") == std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6});
  CHECK(reader->symbols().value() == std::vector<std::string>{"A", "B"});
  CHECK(reader->last_mark(0).value() == make_mark("other", 6));
  reader.reset();
  auto other = recorded_tape(1);
  other.state = dir.path();
  const auto error = open_kafka_reader(other).error();
  CHECK(error.code == ErrorCode::conflict);
  CHECK(error.field == "state");
}

TEST_CASE("of two engines that open a new tape the first one's settings are in force") {
  const auto options = recorded_tape(1);
  const auto one = open_kafka_control(options).value();
  const auto other = open_kafka_control(options).value();
  CHECK_FALSE(one->settings().value());
  market::FoldSettings first, second;
  first.kept_trades = 7;
  second.kept_trades = 8;
  CHECK(one->settle(first).value() == first);
  CHECK(other->settle(second).value() == first);
  CHECK(open_kafka_control(options).value()->settings().value() == first);
}

TEST_CASE("brokers that cannot be reached are the environment's error, and name themselves") {
  KafkaOptions options;
  options.brokers = "127.0.0.1:1";
  options.topic = "any";
  for (const auto& error :
       {open_kafka_reader(options).error(), create_kafka_topics(options).error()}) {
    CHECK(error.code == ErrorCode::environment);
    CHECK_THAT(error.message, Contains("127.0.0.1:1"));
  }
}

TEST_CASE(
    "a killed broker stops progress, and a restarted one goes on: nothing lost, nothing twice") {
  TempDir dir;
  const auto folder = dir.path() + "/broker";
  KafkaOptions options;
  options.brokers = kafka("start", folder);
  options.topic = new_topic();
  options.partitions = 1;
  const auto writer = open_kafka_writer(options).value();
  const auto reader = open_kafka_reader(options).value();
  std::vector<std::uint64_t> expected;
  for (std::uint64_t id = 1; id <= 20; ++id) {
    append(*writer, {make_record("A", id)});
    expected.push_back(id);
  }
  pid_t pid = 0;
  std::ifstream(folder + "/pid") >> pid;
  REQUIRE(pid > 1);
  REQUIRE(::kill(pid, SIGKILL) == 0);
  CHECK(reader->refresh());  // no news is no error
  CHECK(kafka("start", folder) == options.brokers);
  for (std::uint64_t id = 21; id <= 25; ++id) {
    append(*writer, {make_record("A", id)});
    expected.push_back(id);
  }
  for (int i = 0; i < 100 && reader->end(0).value() < writer->reader().end(0).value(); ++i)
    CHECK(reader->refresh());
  CHECK(ids(*reader, "A") == expected);
  kafka("stop", folder);
}

}  // namespace tapedeck::storage::test
