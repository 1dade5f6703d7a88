#include "storage/rocksdb_tape.hpp"

#include <catch2/catch.hpp>

#include "tests/storage/tape_fixture.hpp"

namespace tapedeck::storage::test {
namespace {

class RocksdbFixture final : public TapeFixture {
public:
  RocksdbFixture(std::uint32_t partitions, bool second_reader, bool small_buffers) {
    WriterOptions options;
    options.partitions = partitions;
    if (small_buffers) options.write_buffer_bytes = options.write_buffers_bytes = 64 << 10;
    writer_ = open_tape_writer(dir_.path(), options).value();
    if (second_reader) reader_ = open_tape_reader(dir_.path()).value();
  }
  TapeWriter& writer() override { return *writer_; }
  TapeReader& reader() override { return reader_ ? *reader_ : writer_->reader(); }

private:
  TempDir dir_;
  std::unique_ptr<TapeWriter> writer_;
  std::unique_ptr<TapeReader> reader_;
};

}  // namespace

std::vector<std::string> tape_variants() {
  return {"rocksdb", "rocksdb, reader apart", "rocksdb, flushing often"};
}
std::unique_ptr<TapeFixture> make_tape(const std::string& variant, std::uint32_t partitions) {
  const bool flushing = variant == "rocksdb, flushing often";
  return std::make_unique<RocksdbFixture>(partitions,
                                          flushing || variant == "rocksdb, reader apart", flushing);
}

}  // namespace tapedeck::storage::test
