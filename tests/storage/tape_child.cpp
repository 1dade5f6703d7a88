// tests/storage/tape_child.cpp -- another process that writes a tape, for tests that kill it or
// share a tape with it.
//   tape_child write DIR APPENDS [kill]   each append brings one record for each of the eight
//   symbols, and says "." on
//                                         stdout; "kill": ends by SIGKILL, else closes the tape
//   tape_child open DIR                   opens DIR to write; prints the error, exits with 1 + its
//   code
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "storage/rocksdb_tape.hpp"
#include "tests/storage/tape_child.hpp"
#include "tests/storage/tape_fixture.hpp"

using namespace tapedeck::storage;

int main(int argc, char** argv) {
  if (argc < 3) return 99;
  WriterOptions options;
  options.write_buffer_bytes = std::size_t{256} << 10;  // so that flushes happen too
  auto writer = open_tape_writer(argv[2], options);
  if (!writer) {
    std::fprintf(stdout, "%s\n", writer.error().message.c_str());
    return 1 + static_cast<int>(writer.error().code);
  }
  if (std::strcmp(argv[1], "open") == 0) return 0;
  const auto appends = std::strtoull(argv[3], nullptr, 10);
  const auto start = (*writer)->reader().last_of(test::kChildSymbols[0]).value();
  const std::uint64_t first = start ? start->max_event_time / 1000 + 1 : 1;
  for (std::uint64_t id = first; id < first + appends; ++id) {
    std::vector<test::OwnRecord> records;
    for (const char* symbol : test::kChildSymbols)
      records.push_back(test::make_record(symbol, id, 1 + id % 50));
    std::vector<NewMark> marks;
    if (id % 10 == 0) {
      for (std::uint32_t p = 0; p < kDefaultPartitions; ++p)
        marks.push_back({p, test::make_mark("child", 1, id)});
    }
    test::append(**writer, records, marks);
    if (write(1, ".", 1) != 1) return 98;
  }
  if (argc > 4) kill(getpid(), SIGKILL);
  return 0;
}
