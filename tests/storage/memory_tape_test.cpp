#include "storage/memory_tape.hpp"

#include <catch2/catch.hpp>

#include "tests/storage/tape_fixture.hpp"

namespace tapedeck::storage::test {
namespace {

class MemoryFixture final : public TapeFixture {
public:
  explicit MemoryFixture(std::uint32_t partitions) : tape_(partitions) {}
  TapeWriter& writer() override { return tape_; }
  TapeReader& reader() override { return tape_; }

private:
  MemoryTape tape_;
};

}  // namespace

std::vector<std::string> tape_variants() { return {"memory"}; }
std::unique_ptr<TapeFixture> make_tape(const std::string&, std::uint32_t partitions) {
  return std::make_unique<MemoryFixture>(partitions);
}

TEST_CASE("a damaged record of a memory tape is noticed, those before it are read") {
  MemoryTape tape(1);
  append(tape, {make_record("A", 1), make_record("B", 2), make_record("A", 3)});
  tape.damage(0, 2);
  CHECK(tape.read(0, 0, {}).value()->records.size() == 2);
  const auto bad = tape.read(0, 2, {});
  REQUIRE_FALSE(bad);
  CHECK(bad.error().code == ErrorCode::corrupt);
  CHECK_THAT(bad.error().message, Catch::Contains("0:2"));
  CHECK_FALSE(tape.read_symbol("A", 0, 10, {}));
  CHECK(tape.read_symbol("B", 0, 10, {}));
}

}  // namespace tapedeck::storage::test
