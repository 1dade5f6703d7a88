#include <catch2/catch.hpp>

#include "storage/kafka_tape.hpp"
#include "tests/storage/kafka_broker.hpp"
#include "tests/storage/tape_fixture.hpp"

namespace tapedeck::storage::test {
namespace {

class KafkaFixture final : public TapeFixture {
public:
  KafkaFixture(std::uint32_t partitions, bool second_reader) : options_(new_tape(partitions)) {
    options_.state = dir_.path();  // the reader's index stands beside the writer's
    writer_ = open_kafka_writer(options_).value();
    if (!second_reader) return;
    reader_ = open_kafka_reader(options_).value();
  }
  TapeWriter& writer() override { return *writer_; }
  TapeReader& reader() override { return reader_ ? *reader_ : writer_->reader(); }

private:
  TempDir dir_;
  KafkaOptions options_;
  std::unique_ptr<TapeWriter> writer_;
  std::unique_ptr<TapeReader> reader_;
};

}  // namespace

std::vector<std::string> tape_variants() { return {"kafka", "kafka, reader apart"}; }
std::unique_ptr<TapeFixture> make_tape(const std::string& variant, std::uint32_t partitions) {
  return std::make_unique<KafkaFixture>(partitions, variant == "kafka, reader apart");
}

}  // namespace tapedeck::storage::test
