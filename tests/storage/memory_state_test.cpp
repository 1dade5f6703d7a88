#include <catch2/catch.hpp>

#include "storage/memory_state_store.hpp"
#include "tests/storage/state_fixture.hpp"

namespace tapedeck::storage::test {
namespace {

class MemoryStateFixture final : public StateFixture {
public:
  StateStore& store() override { return store_; }
  StateReader& reader() override { return store_; }
  ControlStore& control() override { return control_; }

private:
  MemoryStateStore store_;
  MemoryControlStore control_;
};

}  // namespace

std::vector<std::string> state_variants() { return {"memory"}; }
std::unique_ptr<StateFixture> make_state(const std::string&) {
  return std::make_unique<MemoryStateFixture>();
}

TEST_CASE("a damaged snapshot is named, and the one before it can be had") {
  MemoryStateStore store;
  REQUIRE(store.write(
      {{make_snapshot("A", 2, 10, 1, "one"), make_snapshot("A", 2, 20, 2, "two")}, {}, {}, {}}));
  store.damage({2, "A", 20});
  const auto bad = store.newest_snapshot("A", 2, 30);
  REQUIRE_FALSE(bad);
  CHECK(bad.error().code == ErrorCode::corrupt);
  CHECK_THAT(bad.error().message, Catch::Contains("A at 2:20"));
  CHECK(store.newest_snapshot("A", 2, 19).value()->bytes == "one");
  CHECK(store.verify().error().code == ErrorCode::corrupt);
}

}  // namespace tapedeck::storage::test
