#include "chaos/scene.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <filesystem>

#include "storage/rocksdb_state.hpp"
#include "storage/rocksdb_tape.hpp"

namespace tapedeck::chaos {

namespace {

namespace fs = std::filesystem;

/// The last lines of what a process printed.
std::string tail(const std::string& text) {
  constexpr std::size_t kTail = 600;
  return text.size() <= kTail ? text : "..." + text.substr(text.size() - kTail);
}

}  // namespace

Scene::Scene(std::string_view scenario, std::uint64_t seed, std::string folder,
             Clock::duration duration, std::function<void(std::string_view)> log,
             std::string kafka_script)
    : random(seed ^ market::source_id(scenario)),
      folder_(std::move(folder)),
      end_(Clock::now() + duration),
      log_(std::move(log)),
      kafka_script_(std::move(kafka_script)) {}

void Scene::next_round() {
  ++rounds_;
  fs::remove_all(path(""));
  fs::create_directories(path(""));
}

std::string Scene::path(std::string_view name) const {
  return fmt::format("{}/round/{}", folder_, name);
}

void Scene::struck(const std::string& fault, std::uint64_t times) {
  if (times > 0) faults_[fault] += times, log_(fault);
}
void Scene::checked(const std::string& what, std::uint64_t times) { checks_[what] += times; }
void Scene::figure(const std::string& what, std::uint64_t value) {
  auto& most = figures_[what];
  most = std::max(most, value);
}

Child Scene::start(const std::vector<std::string>& arguments, const Environment& environment) {
  std::string line = "tapedeck";
  for (const auto& word : arguments) line += " " + word;
  log_(line);
  auto child = Child::start(arguments, environment,
                            fmt::format("{}/{}-{}.log", folder_, ++children_, arguments.front()));
  if (!child) throw CannotRun(child.error().message);
  return std::move(*child);
}

Child Scene::start_script(const std::vector<std::string>& arguments) {
  std::string line = kafka_script_;
  for (const auto& word : arguments) line += " " + word;
  log_(line);
  auto child = Child::start(arguments, {}, fmt::format("{}/{}-kafka.log", folder_, ++children_),
                            kafka_script_);
  if (!child) throw CannotRun(child.error().message);
  return std::move(*child);
}

int Scene::run(const std::vector<std::string>& arguments, const Environment& environment,
               std::string* printed) {
  auto child = start(arguments, environment);
  const auto status = child.wait(kPatience);
  if (!status)
    throw Broken(
        fmt::format("`tapedeck {}` did not end within {} s", arguments.front(), kPatience.count()));
  if (printed != nullptr) *printed = child.printed();
  return *status;
}

void Scene::succeeds(const std::vector<std::string>& arguments, const Environment& environment) {
  std::string printed;
  if (const int status = run(arguments, environment, &printed); status != 0)
    throw Broken(
        fmt::format("`tapedeck {}` exited with {}: {}", arguments.front(), status, tail(printed)));
}

void Scene::ends(Child& child) {
  child.signal(SIGINT);
  const auto status = child.wait(kPatience);
  if (!status) throw Broken("a process did not end when asked to");
  if (*status != 0)
    throw Broken(
        fmt::format("a process asked to end exited with {}: {}", *status, tail(child.printed())));
}

std::vector<std::string> recording(const Session& session, const std::string& tape,
                                   const std::string& rate) {
  return {"record", "--feed", "sim:l3", "--input", session.input, "--tape", tape, "--rate", rate};
}

Session make_session(Scene& scene, std::uint64_t messages, std::uint32_t symbols) {
  Session session;
  session.input = fmt::format("seed={},symbols={},messages={}", scene.random.below(1u << 30) + 1,
                              symbols, messages);
  const auto folder = scene.path("undisturbed");
  scene.succeeds(recording(session, folder));
  const auto tape = must(storage::open_tape_reader(folder));
  static const market::FoldSettings kDefaults;
  session.expected = must(refolded_lines(*tape, kDefaults));
  for (const auto& [symbol, line] : session.expected) {
    session.symbols.push_back(symbol);
    session.events += line.events;
  }
  return session;
}

void check_against(Scene& scene, const Session& session, const std::string& folder) {
  scene.succeeds(recording(session, folder));
  scene.succeeds({"tape", "index", "--tape", folder});
  scene.succeeds({"verify", "--tape", folder});
  const auto tape = must(storage::open_tape_reader(folder));
  const auto state = must(storage::open_state_reader(folder));
  if (const auto lost =
          difference(session.expected, must(refolded_lines(*tape, must(rules_of(folder))))))
    throw Broken("the tape is not what was recorded: " + *lost);
  if (const auto wrong = difference(session.expected, must(stored_lines(*tape, *state))))
    throw Broken("what was folded is not an undisturbed run's: " + *wrong);
  std::uint64_t outputs = 0;
  for (const auto& [symbol, line] : session.expected) outputs += line.outputs.size();
  scene.checked("events that were neither lost nor doubled", session.events);
  scene.checked("digests equal to an undisturbed run's", session.symbols.size());
  scene.checked("outputs equal to an undisturbed run's", outputs);
}

}  // namespace tapedeck::chaos
