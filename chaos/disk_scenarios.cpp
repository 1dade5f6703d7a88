// Scenarios about storage: a disk that fills, bytes that rot.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "chaos/observer.hpp"
#include "chaos/scenarios.hpp"
#include "storage/rocksdb_state.hpp"
#include "storage/rocksdb_tape.hpp"

namespace tapedeck::chaos {

namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

/// A small disk of its own.
class SmallDisk {
public:
  SmallDisk(std::string folder, std::size_t megabytes) : folder_(std::move(folder)) {
    fs::create_directories(folder_);
    const auto size = fmt::format("size={}m", megabytes);
    if (::mount("tapedeck-chaos", folder_.c_str(), "tmpfs", 0, size.c_str()) != 0)
      throw CannotRun(fmt::format("a small filesystem cannot be mounted at {}: {} (it needs root)",
                                  folder_, std::strerror(errno)));
  }
  ~SmallDisk() { (void)::umount2(folder_.c_str(), MNT_DETACH); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  /// Takes all room but `left` bytes.
  void fill(std::size_t left) const {
    const auto free = fs::space(folder_).available;
    if (free <= left) return;
    const int file = ::open(ballast().c_str(), O_CREAT | O_WRONLY, 0600);
    const bool done = file >= 0 && ::posix_fallocate(file, 0, static_cast<off_t>(free - left)) == 0;
    if (file >= 0) ::close(file);
    if (!done) throw CannotRun("the small filesystem cannot be filled");
  }
  void free() const { fs::remove(ballast()); }

private:
  [[nodiscard]] std::string ballast() const { return folder_ + "/ballast"; }
  std::string folder_;
};

std::vector<fs::path> files_in(const std::string& folder) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.file_size() > 0) found.push_back(entry.path());
  }
  std::ranges::sort(found);
  return found;
}

/// Another value at some bytes of one of these files.
void flip(Scene& scene, const std::vector<fs::path>& files) {
  const auto& path = files[scene.random.below(files.size())];
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  for (auto n = 1 + scene.random.below(4); n > 0; --n) {
    const auto at = static_cast<std::streamoff>(scene.random.below(fs::file_size(path)));
    file.seekg(at);
    const char old = static_cast<char>(file.get());
    file.seekp(at);
    file.put(static_cast<char>(old ^ static_cast<char>(1 + scene.random.below(255))));
  }
  scene.say("bytes flipped in " + path.string());
}

bool said_why(int status, const std::string& printed) {
  return (status == 1 || status == 3) && printed.find("tapedeck: ") != printed.npos;
}

/// A command over a damaged tape either says so, or does not notice because what is damaged is of
/// no account; then its result must be right.
bool noticed(Scene& scene, const std::vector<std::string>& command) {
  std::string printed;
  const int status = scene.run(command, {}, &printed);
  if (status == 0) return false;
  if (!said_why(status, printed) && command.front() != "verify" && command[1] != "verify")
    throw Broken(fmt::format("`tapedeck {}` over damaged bytes exited with {}: {}", command.front(),
                             status, printed));
  if (status < 0 || status > 3)
    throw Broken(
        fmt::format("`tapedeck {}` over damaged bytes ended with {}", command.front(), status));
  scene.checked("damage that was named");
  return true;
}

void rot_state(Scene& scene, const Session& session, const std::string& tape) {
  flip(scene, files_in(tape + "/state"));
  scene.struck("bytes of the state flipped");
  const bool named = noticed(scene, {"tape", "index", "--tape", tape});
  if (named || noticed(scene, {"verify", "--tape", tape})) {
    fs::remove_all(tape + "/state");
    scene.checked("states made again from the tape");
  }
  check_against(scene, session, tape);
}

void rot_tape(Scene& scene, const Session& session, const std::string& tape) {
  flip(scene, files_in(tape + "/log"));
  scene.struck("bytes of the tape flipped");
  fs::remove_all(tape + "/state");
  if (noticed(scene, {"tape", "verify", "--tape", tape})) return;
  if (noticed(scene, {"tape", "index", "--tape", tape})) return;
  if (noticed(scene, recording(session, tape))) return;
  check_against(scene, session, tape);
  scene.checked("flips that changed nothing");
}

}  // namespace

void disk_round(Scene& scene) {
  const SmallDisk disk(scene.path("small"), 96);
  const auto session = make_session(scene, 200'000, 40);
  const auto tape = scene.path("small/tape");
  const Environment steps{{"TAPEDECK_ENGINE_CHECKPOINT_EVENTS", "20000"}};
  const auto record = [&] { return scene.start(recording(session, tape, "40000"), steps); };
  auto recorder = record();
  while (!storage::open_tape_reader(tape)) {
    if (recorder.wait(milliseconds(10))) throw Broken("record ended: " + recorder.printed());
  }
  auto server = scene.start({"serve", "--tape", tape, "--port", "0"}, steps);
  auto port = server.port(kPatience);
  if (!port) throw Broken("serve did not start: " + server.printed());
  Observer observer(session);
  (void)recorder.wait(milliseconds(300 + scene.random.below(1500)));
  disk.fill(scene.random.below(std::uint64_t{1} << 20));
  scene.struck("the disk filled");
  const auto full = recorder.wait(kPatience);
  if (!full) throw Broken("record did not end although its disk is full");
  if (*full != 0 && *full != 3)
    throw Broken(
        fmt::format("record on a full disk exited with {}: {}", *full, recorder.printed()));
  if (*full == 3) scene.checked("record that ended with status 3 on the full disk");
  for (int i = 0; i < 20; ++i) (void)observer.ask(scene, *port);
  disk.free();
  scene.struck("the disk was freed");
  if (*full != 0) scene.succeeds(recording(session, tape), steps);
  if (const auto over = server.status()) {
    if (*over != 3)
      throw Broken(fmt::format("serve on a full disk exited with {}: {}", *over, server.printed()));
    scene.checked("serve ended with status 3 and was started again");
    server = scene.start({"serve", "--tape", tape, "--port", "0"}, steps);
    port = server.port(kPatience);
    if (!port) throw Broken("serve did not start again: " + server.printed());
  }
  (void)check_balance(scene, *port);
  scene.ends(server);
  check_against(scene, session, tape);
  observer.judge(scene, tape);
}

void bitrot_round(Scene& scene) {
  const auto session = make_session(scene, 60'000, 12);
  const auto whole = scene.path("whole"), tape = scene.path("tape");
  scene.succeeds(recording(session, whole));
  scene.succeeds({"tape", "index", "--tape", whole}, {{"TAPEDECK_ENGINE_SNAPSHOT_EVENTS", "1000"}});
  for (int i = 0; i < 6; ++i) {
    fs::remove_all(tape);
    fs::copy(whole, tape, fs::copy_options::recursive);
    if (i % 2 == 0) {
      rot_state(scene, session, tape);
    } else {
      rot_tape(scene, session, tape);
    }
  }
}

}  // namespace tapedeck::chaos
