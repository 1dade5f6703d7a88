#include "storage/rocksdb_state.hpp"

#include <rocksdb/db.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/storage/state_fixture.hpp"
#include "tests/storage/tape_fixture.hpp"

namespace tapedeck::storage::test {
namespace {

namespace fs = std::filesystem;

class RocksdbStateFixture final : public StateFixture {
public:
  RocksdbStateFixture(bool second_reader, bool small_buffers) {
    StateOptions options;
    if (small_buffers) options.write_buffers_bytes = std::size_t{64} << 10;
    store_ = open_state_store(dir_.path(), options).value();
    if (second_reader) reader_ = open_state_reader(dir_.path()).value();
    control_ = open_control_store(dir_.path()).value();
  }
  StateStore& store() override { return *store_; }
  StateReader& reader() override { return reader_ ? *reader_ : *store_; }
  ControlStore& control() override { return *control_; }

private:
  TempDir dir_;
  std::unique_ptr<StateStore> store_;
  std::unique_ptr<StateReader> reader_;
  std::unique_ptr<ControlStore> control_;
};

/// Rewrites one row with `change` applied, through RocksDB itself: its own checksums are content
/// with it.
void tamper(const std::string& folder, const std::string& family,
            const std::function<void(std::string&)>& change, const std::string& key = {}) {
  rocksdb::Options options;
  std::vector<std::string> names;
  REQUIRE(rocksdb::DB::ListColumnFamilies(options, folder, &names).ok());
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (const auto& name : names)
    descriptors.emplace_back(name, rocksdb::ColumnFamilyOptions(options));
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  REQUIRE(rocksdb::DB::Open(options, folder, descriptors, &handles, &db).ok());
  for (auto* handle : handles) {
    if (handle->GetName() == family) {
      std::unique_ptr<rocksdb::Iterator> it(db->NewIterator({}, handle));
      key.empty() ? it->SeekToLast() : it->Seek(key);
      REQUIRE(it->Valid());
      auto value = it->value().ToString();
      change(value);
      REQUIRE(db->Put({}, handle, it->key(), value).ok());
    }
  }
  for (auto* handle : handles) REQUIRE(db->DestroyColumnFamilyHandle(handle).ok());
  delete db;
}

StateStore::Batch small_batch() {
  return {
      {make_snapshot("A", 2, 10, 1, "one"), make_snapshot("A", 2, 20, 2, std::string(5000, 'x'))},
      encoded({make_candle("A", market::kSecond, 5, 1)}),
      Checkpoint{2, 20, {}, {}, 5},
      {{2, 20}}};
}

}  // namespace

std::vector<std::string> state_variants() {
  return {"rocksdb", "rocksdb, reader apart", "rocksdb, flushing often"};
}
std::unique_ptr<StateFixture> make_state(const std::string& variant) {
  return std::make_unique<RocksdbStateFixture>(variant != "rocksdb",
                                               variant == "rocksdb, flushing often");
}

TEST_CASE("state survives closing, and a reader sees what a writer adds") {
  TempDir dir;
  CHECK(open_state_reader(dir.path()).error().code == ErrorCode::not_found);
  auto store = open_state_store(dir.path()).value();
  REQUIRE(store->write(small_batch()));
  store.reset();
  auto reader = open_state_reader(dir.path()).value();
  CHECK(reader->newest_snapshot("A", 2, 15).value()->bytes == "one");
  CHECK(reader->cursor(2).value() == 20);
  CHECK(reader->snapshot_bytes().value() > 0);
  store = open_state_store(dir.path()).value();
  REQUIRE(store->write({{make_snapshot("A", 2, 30, 3, "three")}, {}, {}, {}}));
  REQUIRE(reader->refresh());
  CHECK(reader->newest_snapshot("A", 2, 99).value()->bytes == "three");
  CHECK(reader->verify().value() == store->verify().value());
}

TEST_CASE("an output written after a restart replaces the one from before") {
  TempDir dir;
  for (market::Price close : {1, 2, 3}) {
    REQUIRE(open_state_store(dir.path())
                .value()
                ->write({{}, encoded({make_candle("A", market::kSecond, 5, close)}), {}, {}}));
  }
  std::vector<market::Price> closes;
  const auto reader = open_state_reader(dir.path()).value();
  REQUIRE(reader->outputs("A", {}, {}, [&](const market::Output& output) {
    closes.push_back(std::get<market::Candle>(output.body).close);
    return true;
  }));
  CHECK(closes == std::vector<market::Price>{3});
}

TEST_CASE("a second owner of state or control is refused with the folder's name") {
  TempDir dir;
  const auto store = open_state_store(dir.path()).value();
  const auto control = open_control_store(dir.path()).value();
  const auto second = open_state_store(dir.path());
  REQUIRE_FALSE(second);
  CHECK(second.error().code == ErrorCode::conflict);
  CHECK_THAT(second.error().message, Catch::Contains(dir.path() + "/state"));
  CHECK(open_control_store(dir.path()).error().code == ErrorCode::conflict);
}

TEST_CASE("a changed byte in any stored row is named, though RocksDB itself sees nothing wrong") {
  const auto [family, name] = GENERATE(table<std::string, std::string>({{"snapshots", "A at 2:20"},
                                                                        {"digests", "A at 2:20"},
                                                                        {"checkpoints", "2:20"},
                                                                        {"outputs", "output of A"},
                                                                        {"default", ""}}));
  CAPTURE(family);
  TempDir dir;
  REQUIRE(open_state_store(dir.path()).value()->write(small_batch()));
  const auto good = open_state_reader(dir.path()).value()->verify();
  REQUIRE(good);
  CHECK(*good == 8);  // two snapshots with their digests, checkpoint, block of outputs, cursor,
                      // number of the write
  if (family == "default") {
    tamper(
        dir.path() + "/state", family, [](std::string& value) { value[0] ^= 1; }, "format");
    const auto reader = open_state_reader(dir.path());
    REQUIRE_FALSE(reader);
    CHECK_THAT(reader.error().message, Catch::Contains("delete " + dir.path() + "/state"));
    return;
  }
  tamper(dir.path() + "/state", family, [](std::string& value) { value.back() ^= 1; });
  const auto reader = open_state_reader(dir.path()).value();
  const auto verified = reader->verify();
  REQUIRE_FALSE(verified);
  CHECK(verified.error().code == ErrorCode::corrupt);
  CHECK_THAT(verified.error().message, Catch::Contains(name));
  if (family == "snapshots") CHECK_FALSE(reader->newest_snapshot("A", 2, 99));
  if (family == "snapshots") CHECK(reader->newest_snapshot("A", 2, 19).value()->bytes == "one");
  if (family == "checkpoints") CHECK(reader->checkpoints(2).error().code == ErrorCode::corrupt);
}

TEST_CASE("a damaged file of state is an error that says which snapshot cannot be read") {
  TempDir dir;
  {
    auto store = open_state_store(dir.path()).value();
    StateStore::Batch batch;
    std::string bytes;
    for (unsigned i = 0; i < 100'000; ++i) bytes += static_cast<char>(i * i % 251);
    for (Offset next = 1; next <= 20; ++next)
      batch.snapshots.push_back(make_snapshot("A", 0, next, 1, bytes));
    REQUIRE(store->write(batch));
  }
  fs::path largest;
  for (const auto& entry : fs::directory_iterator(dir.path() + "/state")) {
    if (entry.path().extension() != ".sst") continue;
    if (largest.empty() || entry.file_size() > fs::file_size(largest)) largest = entry.path();
  }
  std::fstream file(largest, std::ios::in | std::ios::out | std::ios::binary);
  const auto middle = static_cast<std::streamoff>(fs::file_size(largest) / 2);
  file.seekg(middle);
  const char byte = static_cast<char>(file.get() ^ 0x10);
  file.seekp(middle);
  file.put(byte);
  file.close();
  const auto reader = open_state_reader(dir.path()).value();
  std::vector<Offset> bad;
  for (Offset next = 1; next <= 20; ++next) {
    const auto snapshot = reader->newest_snapshot("A", 0, next);
    if (snapshot) continue;
    bad.push_back(next);
    CHECK(snapshot.error().code == ErrorCode::corrupt);
    CHECK_THAT(snapshot.error().message, Catch::Contains("A at 0:" + std::to_string(next)));
  }
  CHECK(bad.size() == 1);
  CHECK(reader->verify().error().code == ErrorCode::corrupt);
}

TEST_CASE("fold settings are read beside the engine that stored them") {
  TempDir dir;
  CHECK(open_control_reader(dir.path()).error().code == ErrorCode::not_found);
  auto control = open_control_store(dir.path()).value();
  auto reader = open_control_reader(dir.path()).value();
  CHECK_FALSE(reader->settings().value());
  market::FoldSettings settings;
  settings.kept_trades = 9;
  REQUIRE(control->settle(settings));
  CHECK(reader->settings().value() == settings);
  CHECK(reader->settle({}).value() == settings);
  control.reset();
  CHECK(open_control_store(dir.path()).value()->settle({}).value() == settings);
}

}  // namespace tapedeck::storage::test
