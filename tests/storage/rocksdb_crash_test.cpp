// tests/storage/rocksdb_crash_test.cpp -- killed writers, torn logs, damaged files, full disks,
// second openers.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <random>

#include "storage/rocksdb_tape.hpp"
#include "storage/verify.hpp"
#include "tests/storage/tape_child.hpp"
#include "tests/storage/tape_fixture.hpp"

extern char** environ;

namespace tapedeck::storage::test {

namespace fs = std::filesystem;

Child::Child(const std::vector<std::string>& arguments) {
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], 1);
  std::vector<std::string> words{TAPE_CHILD};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int failed = posix_spawn(&pid_, TAPE_CHILD, &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe_ends[1]);
  output_ = pipe_ends[0];
  if (failed != 0) throw std::runtime_error("cannot start " TAPE_CHILD);
}

Child::~Child() {
  if (pid_ > 0) {
    kill();
    wait();
  }
  ::close(output_);
}

std::string Child::read(std::size_t bytes) {
  std::string all(bytes, '\0');
  std::size_t got = 0;
  while (got < bytes) {
    const auto n = ::read(output_, all.data() + got, bytes - got);
    if (n <= 0) break;
    got += static_cast<std::size_t>(n);
  }
  all.resize(got);
  return all;
}

void Child::kill() { ::kill(pid_, SIGKILL); }

int Child::wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

std::uint64_t whole_appends(const TapeReader& reader) {
  std::optional<std::uint64_t> count;
  for (const char* symbol : kChildSymbols) {
    const auto block =
        reader.read_symbol(symbol, 0, ~Offset{0}, {~std::size_t{0}, ~std::size_t{0}});
    if (!block) throw std::runtime_error(block.error().message);
    std::uint64_t id = 0;
    for (const auto& record : (*block)->records) REQUIRE(id_of(record) == ++id);
    REQUIRE(id == count.value_or(id));
    count = id;
  }
  for (Partition p = 0; p < reader.partitions(); ++p) {
    const auto mark = reader.last_mark(p).value();
    REQUIRE((mark ? mark->cursor_messages : 0) == *count / 10 * 10);
  }
  const auto verified = verify(reader);
  if (!verified) throw std::runtime_error(verified.error().message);
  return *count;
}

namespace {

std::map<std::string, std::pair<std::uintmax_t, fs::file_time_type>> listing(
    const std::string& dir) {
  std::map<std::string, std::pair<std::uintmax_t, fs::file_time_type>> files;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    if (entry.is_regular_file()) files[entry.path()] = {entry.file_size(), entry.last_write_time()};
  }
  return files;
}

fs::path largest(const std::string& dir, const std::string& extension) {
  fs::path found;
  for (const auto& entry : fs::directory_iterator(dir)) {
    if (entry.path().extension() != extension) continue;
    if (found.empty() || entry.file_size() > fs::file_size(found)) found = entry.path();
  }
  return found;
}

void flip_byte(const fs::path& file, std::uintmax_t at) {
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(at));
  const char byte = static_cast<char>(stream.get() ^ 0x20);
  stream.seekp(static_cast<std::streamoff>(at));
  stream.put(byte);
  REQUIRE(stream.good());
}

/// A file system of a few MiB, where the system lets us mount one.
class SmallDisk {
public:
  SmallDisk(const std::string& dir, const std::string& size) : dir_(dir) {
    mounted_ = ::mount("none", dir.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
    if (!mounted_) std::cout << "ABSENT: may not mount a small file system here, not tested\n";
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(dir_.c_str(), MNT_DETACH);
  }
  explicit operator bool() const { return mounted_; }
  bool make_read_only() const {
    return ::mount("none", dir_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0;
  }

private:
  std::string dir_;
  bool mounted_;
};

/// Does not compress, so that it fills a disk.
OwnRecord noise(std::mt19937_64& random, const std::string& symbol, std::uint64_t id) {
  auto record = make_record(symbol, id, 64);
  std::vector<market::Event> events(64);
  for (auto& event : events) {
    event.kind = market::EventKind::add;
    event.side = market::Side::bid;
    event.time = event.feed_time = static_cast<TimeNs>(random() >> 2);
    event.sequence = id;
    event.id = random();
    event.price = static_cast<market::Price>(random() >> 4);
    event.size = static_cast<market::Size>(random() >> 8);
  }
  schemas::BatchEncoder encoder;
  const auto bytes = encoder.encode(7, {}, events).value();
  record.payload.assign(bytes.begin(), bytes.end());
  return record;
}

}  // namespace

TEST_CASE("a writer killed at any moment leaves whole appends, and the next one goes on") {
  const auto seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  std::mt19937 random(seed);
  TempDir dir;
  std::uint64_t total = 0;
  for (int round = 0; round < 10; ++round) {
    Child child({"write", dir.path(), "1000000"});
    const auto acknowledged = child.read(1 + random() % 400).size();
    for (volatile unsigned spin = random() % 200'000; spin > 0;) spin = spin - 1;
    child.kill();
    REQUIRE(child.wait() == -SIGKILL);
    const auto reader = open_tape_reader(dir.path());
    REQUIRE(reader);
    const auto now = whole_appends(**reader);
    CHECK(now >= total + acknowledged);  // what append() confirmed is there
    total = now;
  }
  auto writer = open_tape_writer(dir.path());
  REQUIRE(writer);
  CHECK(whole_appends((*writer)->reader()) == total);
}

TEST_CASE("a log torn after a crash gives back the appends before the tear") {
  TempDir dir;
  Child child({"write", dir.path(), "30", "kill"});
  REQUIRE(child.wait() == -SIGKILL);
  const auto log = largest(dir.path() + "/log", ".log");
  const auto whole = fs::file_size(log);
  std::uint64_t last = 30;
  for (const std::uintmax_t cut : {0u, 1u, 7u, 100u, 3000u, 9000u, 20000u}) {
    CAPTURE(cut);
    TempDir copy;
    fs::copy(dir.path(), copy.path(), fs::copy_options::recursive);
    fs::resize_file(fs::path(copy.path()) / "log" / log.filename(), whole - cut);
    const auto reader = open_tape_reader(copy.path());
    REQUIRE(reader);
    const auto read = whole_appends(**reader);
    auto writer = open_tape_writer(copy.path());
    REQUIRE(writer);
    const auto found = whole_appends((*writer)->reader());
    CHECK(found == read);
    CHECK(found <= last);
    if (cut > 0) CHECK(found < 30);
    last = found;
    writer->reset();
    Child again({"write", copy.path(), "5"});
    REQUIRE(again.wait() == 0);
    CHECK(whole_appends(**open_tape_reader(copy.path())) == found + 5);
  }
  CHECK(last > 0);
}

TEST_CASE(
    "a damaged byte in the middle of the log is an error that names the folder, not a silent "
    "loss") {
  TempDir dir;
  Child child({"write", dir.path(), "30", "kill"});
  REQUIRE(child.wait() == -SIGKILL);
  const auto log = largest(dir.path() + "/log", ".log");
  flip_byte(log, fs::file_size(log) / 2);
  const auto writer = open_tape_writer(dir.path());
  REQUIRE_FALSE(writer);
  CHECK(writer.error().code == ErrorCode::corrupt);
  CHECK_THAT(writer.error().message, Catch::Contains(dir.path() + "/log"));
}

TEST_CASE(
    "a damaged byte in a stored file is an error that names the record and the file; what is "
    "before it is read") {
  TempDir dir;
  {
    auto writer = open_tape_writer(dir.path(), {1}).value();
    for (std::uint64_t id = 1; id <= 400; ++id)
      append(*writer, {make_record("A", id, 50), make_record("B", id, 50)});
  }
  REQUIRE(verify(*open_tape_reader(dir.path()).value()));
  const auto file = largest(dir.path() + "/log", ".sst");
  flip_byte(file, fs::file_size(file) / 2);
  for (const bool apart : {true, false}) {
    std::unique_ptr<TapeReader> reader;
    std::unique_ptr<TapeWriter> writer;
    if (apart) reader = open_tape_reader(dir.path()).value();
    if (!apart) writer = open_tape_writer(dir.path()).value();
    TapeReader& tape = apart ? *reader : writer->reader();
    Offset next = 0;
    auto block = tape.read(0, next, {});
    while (block && !(*block)->records.empty()) {
      next = (*block)->records.back().offset + 1;
      block = tape.read(0, next, {});
    }
    REQUIRE_FALSE(block);
    CHECK(next > 0);
    CHECK(next < 800);
    CHECK(block.error().code == ErrorCode::corrupt);
    CHECK_THAT(block.error().message, Catch::Contains("0:" + std::to_string(next)));
    CHECK_THAT(block.error().message, Catch::Contains(file.filename()));
    const auto verified = verify(tape);
    REQUIRE_FALSE(verified);
    CHECK_THAT(verified.error().message, Catch::Contains("0:" + std::to_string(next)));
    CHECK(tape.read_symbol(next % 2 == 0 ? "A" : "B", next, next + 1, {}).error().code ==
          ErrorCode::corrupt);
  }
}

TEST_CASE("a stored file that cannot be opened is an error that names it, not an older tape") {
  TempDir dir;
  {
    auto writer = open_tape_writer(dir.path(), {1}).value();
    for (std::uint64_t id = 1; id <= 400; ++id) append(*writer, {make_record("A", id, 50)});
  }
  const auto file = largest(dir.path() + "/log", ".sst");
  // Its properties stand before the index of metadata and the footer of 53 bytes.
  flip_byte(file, fs::file_size(file) - 400);
  for (const auto& error :
       {open_tape_reader(dir.path()).error(), open_tape_writer(dir.path()).error()}) {
    CHECK(error.code == ErrorCode::corrupt);
    CHECK_THAT(error.message, Catch::Contains(file.filename()));
  }
}

TEST_CASE("a file that nothing refers to any more is passed over") {
  TempDir dir;
  { append(*open_tape_writer(dir.path(), {1}).value(), {make_record("A", 1, 50)}); }
  fs::copy_file(largest(dir.path() + "/log", ".sst"), dir.path() + "/log/999990.sst");
  CHECK(open_tape_reader(dir.path()).value()->end(0).value() == 1);
}

TEST_CASE("a second writer is refused, in this process and in another, while readers are welcome") {
  TempDir dir;
  auto writer = open_tape_writer(dir.path()).value();
  append(*writer, {make_record("A", 1)});
  const auto second = open_tape_writer(dir.path());
  REQUIRE_FALSE(second);
  CHECK(second.error().code == ErrorCode::conflict);
  CHECK_THAT(second.error().message,
             Catch::Contains("another process records to " + dir.path() + "/log"));
  Child other({"open", dir.path()});
  CHECK_THAT(other.read(1000),
             Catch::Contains("another process records to " + dir.path() + "/log"));
  CHECK(other.wait() == 1 + static_cast<int>(ErrorCode::conflict));
  CHECK(open_tape_reader(dir.path()).value()->end(partition_of("A", kDefaultPartitions)).value() ==
        1);
  append(*writer, {make_record("A", 2)});  // undisturbed
  writer.reset();
  Child later({"open", dir.path()});
  CHECK(later.wait() == 0);
}

TEST_CASE("a reader follows another process that writes at full speed, records and index alike") {
  TempDir dir;
  constexpr std::uint64_t kAppends = 4000;
  Child child({"write", dir.path(), std::to_string(kAppends)});
  REQUIRE(child.read(1).size() == 1);
  auto reader = open_tape_reader(dir.path()).value();
  std::map<std::string, std::uint64_t> seen;
  std::vector<Offset> next(reader->partitions());
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto all_seen = [&] {
    if (seen.size() < std::size(kChildSymbols)) return false;
    return std::all_of(seen.begin(), seen.end(),
                       [](const auto& entry) { return entry.second == kAppends; });
  };
  int refreshes = 0;
  while (!all_seen()) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    REQUIRE(reader->refresh());
    ++refreshes;
    for (Partition p = 0; p < reader->partitions(); ++p) {
      const auto block = reader->read(p, next[p], {});
      REQUIRE(block);
      for (const auto& record : (*block)->records) {
        REQUIRE(record.offset == next[p]++);
        if (record.kind == RecordKind::mark) continue;
        REQUIRE(id_of(record) == ++seen[std::string(record.symbol)]);
      }
      if ((*block)->records.empty()) continue;
      const auto& last = (*block)->records.back();
      if (last.kind == RecordKind::events) {
        REQUIRE(reader->index(last.symbol, last.offset, last.offset + 1).value().size() == 1);
      }
    }
  }
  CHECK(child.wait() == 0);
  std::cout << refreshes << " refreshes\n";
  CHECK(whole_appends(*reader) == kAppends);
}

TEST_CASE("a reader changes nothing in the folder") {
  TempDir dir;
  Child child({"write", dir.path(), "50", "kill"});
  REQUIRE(child.wait() == -SIGKILL);
  const auto before = listing(dir.path());
  {
    auto reader = open_tape_reader(dir.path()).value();
    CHECK(whole_appends(*reader) == 50);
    REQUIRE(reader->refresh());
  }
  CHECK(listing(dir.path()) == before);
}

TEST_CASE("a tape on a read-only disk can be read; recording to it says why not") {
  TempDir dir;
  SmallDisk disk(dir.path(), "32m");
  if (!disk) return;
  Child child({"write", dir.path(), "50", "kill"});
  REQUIRE(child.wait() == -SIGKILL);
  REQUIRE(disk.make_read_only());
  CHECK(whole_appends(*open_tape_reader(dir.path()).value()) == 50);
  const auto writer = open_tape_writer(dir.path());
  REQUIRE_FALSE(writer);
  CHECK(writer.error().code == ErrorCode::environment);
  CHECK_THAT(writer.error().message,
             Catch::Contains(dir.path() + "/log") && Catch::Contains("writable"));
  const auto fresh = open_tape_writer(dir.path() + "/new");
  REQUIRE_FALSE(fresh);
  CHECK(fresh.error().code == ErrorCode::environment);
}

TEST_CASE(
    "a full disk refuses an append whole; once there is space again, the same writer goes on") {
  TempDir dir;
  SmallDisk disk(dir.path(), "24m");
  if (!disk) return;
  const auto ballast = dir.path() + "/ballast";
  std::ofstream(ballast) << std::string(10 << 20, 'x');
  WriterOptions options{1};
  options.write_buffer_bytes = options.write_buffers_bytes = std::size_t{1} << 20;
  options.wal_bytes = std::size_t{2} << 20;
  std::mt19937_64 random(5);
  std::uint64_t id = 0;
  auto writer = open_tape_writer(dir.path(), options).value();
  const auto fill = [&] {
    while (id < 100'000) {
      std::vector<OwnRecord> records;
      std::vector<NewRecord> views;
      for (int i = 0; i < 10; ++i) records.push_back(noise(random, "FULL", ++id));
      for (const auto& record : records) views.push_back(record.view());
      const auto ok = writer->append(views, {});
      if (ok) continue;
      id -= 10;
      return ok.error();
    }
    return Error{};
  };
  const auto error = fill();
  INFO(error.message);
  REQUIRE(id > 100);
  CHECK(error.code == ErrorCode::environment);
  CHECK_THAT(error.message, Catch::Contains(dir.path() + "/log: the disk is full"));
  CHECK(writer->reader().end(0).value() == id);
  CHECK(fill().code == ErrorCode::environment);  // still full, still polite
  CHECK(writer->reader().end(0).value() == id);

  fs::remove(ballast);
  const auto before = id;
  const auto second = fill();
  INFO(second.message);
  CHECK(id > before + 100);
  SECTION("closed while full") { writer.reset(); }
  SECTION("closed after space was made") {
    CHECK(writer->reader().end(0).value() == id);
    writer.reset();
  }
  REQUIRE(::mount("none", dir.path().c_str(), "tmpfs", MS_REMOUNT, "size=64m") == 0);
  writer = open_tape_writer(dir.path(), options).value();
  CHECK(writer->reader().end(0).value() == id);
  append(*writer, {make_record("FULL", id + 1)});
  const auto verified = verify(writer->reader());
  INFO((verified ? "" : verified.error().message));
  REQUIRE(verified);
  CHECK(*verified == id + 1);
}

TEST_CASE("opening says what is wrong with a folder") {
  TempDir dir;
  const auto nothing = open_tape_reader(dir.path() + "/none");
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().code == ErrorCode::not_found);
  CHECK_THAT(nothing.error().message, Catch::Contains(dir.path() + "/none/log"));

  fs::create_directories(dir.path() + "/other/log");
  std::ofstream(dir.path() + "/other/log/thesis.txt") << "mine";
  CHECK(open_tape_writer(dir.path() + "/other").error().code == ErrorCode::invalid);
  CHECK(open_tape_reader(dir.path() + "/other").error().code == ErrorCode::not_found);

  open_tape_writer(dir.path(), {3}).value().reset();
  CHECK(open_tape_writer(dir.path()).value()->reader().partitions() == 3);
  const auto more = open_tape_writer(dir.path(), {4});
  REQUIRE_FALSE(more);
  CHECK(more.error().code == ErrorCode::conflict);
  CHECK(more.error().field == "partitions");
  CHECK(open_tape_writer(dir.path() + "/big", {kMaxPartitions + 1}).error().code ==
        ErrorCode::invalid);
}

TEST_CASE("a clean close leaves nothing to replay") {
  TempDir dir;
  Child child({"write", dir.path(), "50"});
  REQUIRE(child.wait() == 0);
  for (const auto& entry : fs::directory_iterator(dir.path() + "/log")) {
    if (entry.path().extension() == ".log") CHECK(entry.file_size() == 0);
  }
  CHECK(whole_appends(*open_tape_reader(dir.path()).value()) == 50);
}

}  // namespace tapedeck::storage::test
