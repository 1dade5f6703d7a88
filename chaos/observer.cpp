#include "chaos/observer.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <charconv>
#include <thread>

#include "chaos/http_get.hpp"
#include "replay/time_travel.hpp"
#include "storage/rocksdb_tape.hpp"

namespace tapedeck::chaos {

namespace {

constexpr auto kAnswerWithin = std::chrono::seconds(30);
constexpr auto kAskAgain = std::chrono::milliseconds(10);
constexpr std::size_t kMostAnswers = 300;

std::string text_of(simdjson::dom::element element, const char* key) {
  return std::string(element[key].get_string().value());
}
std::uint64_t number_of(simdjson::dom::element element, const char* key) {
  return element[key].get_uint64().value();
}

}  // namespace

bool Observer::ask(Scene& scene, std::uint16_t port) {
  const auto& symbol = session_.symbols[scene.random.below(session_.symbols.size())];
  const auto answer = http_get(port, "/v1/symbols/" + symbol, kAnswerWithin);
  if (!answer) return false;
  if (answer->status != 200) {  // not read yet, or recovering
    scene.checked(fmt::format("answers with status {}", answer->status));
    return true;
  }
  simdjson::dom::parser parser;
  auto json = parser.parse(answer->body);
  if (json.error() != simdjson::SUCCESS) throw Broken("an answer is no JSON: " + answer->body);
  const auto at = json["position"].value();
  if (answers_.size() < kMostAnswers)
    answers_.push_back(
        {symbol,
         text_of(json.value(), "digest"),
         text_of(json.value(), "trust"),
         {static_cast<market::Partition>(number_of(at, "partition")), number_of(at, "offset"),
          static_cast<std::uint32_t>(number_of(at, "index"))}});
  return true;
}

void Observer::judge(Scene& scene, const std::string& folder) {
  const auto tape = must(storage::open_tape_reader(folder));
  judge(scene, *tape, must(rules_of(folder)));
}

void Observer::judge(Scene& scene, const storage::TapeReader& tape,
                     const replay::FoldRules& rules) {
  for (const auto& [symbol, digest, trust, position] : answers_) {
    const auto at = replay::AtOffset{position.partition, position.offset, position.index};
    const auto truth = must(replay::state_at(tape, nullptr, symbol, at, rules));
    const auto view = truth.fold.state().view();
    if (view.digest.hex() != digest)
      throw Broken(fmt::format("{} as of {}:{}:{} ({}) was answered with digest {}, it is {}",
                               symbol, position.partition, position.offset, position.index, trust,
                               digest, view.digest.hex()));
    if (trust == "clean" && view.trust != market::Trust::clean)
      throw Broken(fmt::format("{} as of {}:{}:{} was called clean, it is {}", symbol,
                               position.partition, position.offset, position.index,
                               market::name(view.trust)));
    scene.checked(fmt::format("answers ({}) equal to the undisturbed state", trust));
  }
}

std::uint64_t metric(const std::string& metrics, std::string_view name) {
  std::uint64_t sum = 0;
  const std::string want = "\ntapedeck_" + std::string(name);
  for (auto at = metrics.find(want); at != metrics.npos; at = metrics.find(want, at + 1)) {
    const auto rest = std::string_view(metrics).substr(at + want.size());
    if (!rest.starts_with('{') && !rest.starts_with(' ')) continue;
    const auto line = rest.substr(0, rest.find('\n'));
    double value = 0;
    const auto space = line.rfind(' ');
    std::from_chars(line.data() + space + 1, line.data() + line.size(), value);
    sum += static_cast<std::uint64_t>(value);
  }
  return sum;
}

void wait_ready(Scene&, std::uint16_t port) {
  const auto end = Scene::Clock::now() + kPatience;
  while (Scene::Clock::now() < end) {
    const auto answer = http_get(port, "/health/ready", kAnswerWithin);
    if (answer && answer->status == 200) return;
    std::this_thread::sleep_for(kAskAgain);
  }
  throw Broken(fmt::format("a server was not ready within {} s", kPatience.count()));
}

std::string check_balance(Scene& scene, std::uint16_t port) {
  wait_ready(scene, port);
  const auto end = Scene::Clock::now() + kPatience;
  std::string last;
  while (Scene::Clock::now() < end) {
    const auto answer = http_get(port, "/metrics", kAnswerWithin);
    if (!answer) throw Broken("/metrics did not answer");
    const auto read = metric(answer->body, "events_total");
    const auto folded = metric(answer->body, "folded_events_total"),
               duplicates = metric(answer->body, "duplicate_events_total"),
               dead = metric(answer->body, "dead_letters_total"),
               filtered = metric(answer->body, "filtered_events_total");
    if (read == folded + duplicates + dead + filtered && read > 0) {
      scene.checked("events read that are folded, duplicate, dead letter or filtered", read);
      return answer->body;
    }
    last = fmt::format("{} events read, {} folded, {} duplicates, {} dead letters, {} filtered",
                       read, folded, duplicates, dead, filtered);
    std::this_thread::sleep_for(kAskAgain);
  }
  throw Broken("the counters do not balance: " + last);
}

}  // namespace tapedeck::chaos
