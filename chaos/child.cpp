#include "chaos/child.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <thread>

namespace tapedeck::chaos {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kChildLook = std::chrono::milliseconds(2);
constexpr std::string_view kUrl = "http://";

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> found;
  for (auto& text : texts) found.push_back(text.data());
  found.push_back(nullptr);
  return found;
}

std::vector<std::string> environment_with(const Environment& more) {
  std::vector<std::string> all;
  for (char** one = environ; *one != nullptr; ++one) {
    if (!std::string_view(*one).starts_with("TAPEDECK")) all.emplace_back(*one);
  }
  for (const auto& [name, value] : more) all.push_back(name + "=" + value);
  return all;
}

}  // namespace

Result<Child> Child::start(const std::vector<std::string>& arguments, const Environment& more,
                           const std::string& log, const std::string& program) {
  std::vector<std::string> words{program == "/proc/self/exe" ? "tapedeck" : program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  auto settings = environment_with(more);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_APPEND,
                                   0644);
  posix_spawn_file_actions_adddup2(&files, 1, 2);
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, program.c_str(), &files, nullptr, pointers(words).data(),
                                 pointers(settings).data());
  posix_spawn_file_actions_destroy(&files);
  if (failed == 0) return Child(pid, log);
  return fail(ErrorCode::environment,
              fmt::format("no process can be started ({}): {}", log, std::strerror(failed)));
}

Child::~Child() {
  if (pid_ > 0) kill();
}
Child::Child(Child&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), status_(other.status_), log_(std::move(other.log_)) {}
Child& Child::operator=(Child&& other) noexcept {
  std::swap(pid_, other.pid_), std::swap(status_, other.status_), std::swap(log_, other.log_);
  return *this;
}

std::optional<int> Child::status() {
  int raw = 0;
  if (!status_ && waitpid(pid_, &raw, WNOHANG) == pid_)
    status_ = WIFEXITED(raw) ? WEXITSTATUS(raw) : -WTERMSIG(raw);
  return status_;
}

std::optional<int> Child::wait(std::chrono::milliseconds patience) {
  const auto end = Clock::now() + patience;
  while (!status() && Clock::now() < end) std::this_thread::sleep_for(kChildLook);
  return status_;
}

void Child::signal(int number) const {
  if (!status_) (void)::kill(pid_, number);
}

bool Child::kill() {
  if (status()) return false;
  signal(SIGKILL);
  signal(SIGCONT);
  int raw = 0;
  while (waitpid(pid_, &raw, 0) < 0 && errno == EINTR) {
  }
  status_ = WIFEXITED(raw) ? WEXITSTATUS(raw) : -WTERMSIG(raw);
  return *status_ == -SIGKILL;
}

std::string Child::printed() const {
  std::ifstream in(log_, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::size_t Child::memory() const {
  std::ifstream in(fmt::format("/proc/{}/statm", pid_));
  std::size_t all = 0, resident = 0;
  in >> all >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

std::optional<std::uint16_t> Child::port(std::chrono::milliseconds patience) {
  const auto end = Clock::now() + patience;
  while (Clock::now() < end) {
    const bool over = status().has_value();
    const auto text = printed();
    const auto url = text.find(kUrl);
    const auto colon = url == text.npos ? url : text.find(':', url + kUrl.size());
    if (colon != text.npos && text.find('\n', colon) != text.npos) {
      std::uint16_t port = 0;
      std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
      return port;
    }
    if (over) break;
    std::this_thread::sleep_for(kChildLook);
  }
  return std::nullopt;
}

}  // namespace tapedeck::chaos
