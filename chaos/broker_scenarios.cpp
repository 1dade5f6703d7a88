// Scenarios on a real broker: it dies, stands still, comes back; the network between it and us is
// slow, cut, deaf.
#include <fmt/format.h>
#include <signal.h>
#include <simdjson.h>

#include <set>
#include <thread>

#include "chaos/broker.hpp"
#include "chaos/http_get.hpp"
#include "chaos/kafka_rows.hpp"
#include "chaos/net_proxy.hpp"
#include "chaos/observer.hpp"
#include "chaos/scenarios.hpp"
#include "storage/kafka_record.hpp"
#include "storage/kafka_tape.hpp"
#include "storage/rocksdb_state.hpp"

namespace tapedeck::chaos {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint32_t kSymbols = 24;
constexpr std::uint64_t kMessages = 120'000, kRate = 12'000;
constexpr std::uint64_t kFaultsOfARound = 3;
constexpr milliseconds kLook{20};
/// librdkafka gives a connection that is deaf up after a minute, and begins anew.
constexpr seconds kHeals{240};

/// As the rows' header has it.
std::string hex_of(const std::string& bytes) {
  std::string text;
  for (const char byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return text;
}

/// Records a session to a topic and serves it from there, through brokers that are hurt.
class KafkaLive {
public:
  KafkaLive(Scene& scene, std::string brokers, std::string direct)
      : scene_(scene),
        session_(make_session(scene, kMessages, kSymbols)),
        topic_{"--brokers", std::move(brokers), "--topic", kTopic},
        direct_(std::move(direct)),
        state_(scene.path("state")),
        observer_(session_) {
    scene_.succeeds({"topics", "create", "--brokers", direct_, "--topic", kTopic});
    auto arguments = with({"serve"});
    arguments.insert(arguments.end(), {"--state", state_, "--port", "0"});
    server_ = scene_.start(arguments, {{"TAPEDECK_ENGINE_CHECKPOINT_EVENTS", "20000"},
                                       {"TAPEDECK_ENGINE_SNAPSHOT_EVENTS", "5000"}});
    const auto port = server_->port(kPatience);
    if (!port) throw Broken("serve did not start: " + server_->printed());
    port_ = *port;
  }

  /// For so long, or until `over` says so. False: the whole session is recorded.
  bool go_on(
      milliseconds time, const std::function<bool()>& over = [] { return false; }) {
    const auto end = Scene::Clock::now() + time;
    while (Scene::Clock::now() < end && !over()) {
      if (!recorded_) record();
      const bool answered = observer_.ask(scene_, port_);
      if (const auto status = server_->status())
        throw Broken(fmt::format("serve exited with {}: {}", *status, server_->printed()));
      if (!answered) throw Broken("serve did not answer: " + server_->printed());
      std::this_thread::sleep_for(kLook);
    }
    return !recorded_;
  }

  /// The faults are over: all goes on by itself, and everything is as it should be.
  void finish() {
    const auto begin = Scene::Clock::now();
    if (go_on(kHeals, [&] { return recorded_; }))
      throw Broken(fmt::format("the session was not recorded {} s after the last fault: {}",
                               kHeals.count(), recorder_->printed()));
    const auto tape = must(storage::open_kafka_reader(options(kTopic)));
    if (!committed(*tape, begin + kHeals))
      throw Broken(fmt::format("outputs were not out {} s after the last fault", kHeals.count()));
    (void)check_balance(scene_, port_);
    scene_.figure(
        "milliseconds until all was recorded, folded and out",
        static_cast<std::uint64_t>(
            std::chrono::duration_cast<milliseconds>(Scene::Clock::now() - begin).count()));
    scene_.ends(*server_);
    check(*tape);
  }

private:
  static constexpr const char* kTopic = "market";

  [[nodiscard]] storage::KafkaOptions options(const std::string& topic) const {
    storage::KafkaOptions options;
    options.brokers = direct_, options.topic = topic;
    return options;
  }
  [[nodiscard]] std::vector<std::string> with(std::vector<std::string> words) const {
    words.insert(words.end(), topic_.begin(), topic_.end());
    return words;
  }
  /// Where it gave up, as it may where no broker answers, it is started again and goes on.
  void record() {
    if (recorder_) {
      const auto status = recorder_->status();
      if (!status) return;
      if (*status == 0) recorded_ = true;
      if (recorded_) return;
      if (*status != 3)
        throw Broken(fmt::format("record exited with {}: {}", *status, recorder_->printed()));
      scene_.checked("record that ended with status 3 and was started again");
    }
    recorder_ = scene_.start(with({"record", "--feed", "sim:l3", "--input", session_.input,
                                   "--rate", std::to_string(kRate)}));
  }

  [[nodiscard]] bool committed(const storage::TapeReader& tape, Scene::Clock::time_point until) {
    std::map<std::uint64_t, std::uint64_t> ends;
    for (storage::Partition p = 0; p < tape.partitions(); ++p) ends[p] = must(tape.end(p));
    bool all = false;
    while (!all && Scene::Clock::now() < until) {
      (void)go_on(kLook);
      const auto answer = http_get(port_, "/v1/positions", seconds(30));
      if (!answer || answer->status != 200) continue;
      simdjson::dom::parser parser;
      std::size_t out = 0;
      for (const auto one : parser.parse(answer->body).get_array()) {
        std::uint64_t partition = 0, at = 0;
        const bool told = one["partition"].get(partition) == simdjson::SUCCESS &&
                          one["committed"].get(at) == simdjson::SUCCESS;
        if (told && at == ends[partition]) ++out;
      }
      all = out == ends.size();
    }
    return all;
  }

  void check(const storage::TapeReader& tape) {
    static const market::FoldSettings kDefaults;
    const replay::FoldRules rules(kDefaults);
    if (const auto lost = difference(session_.expected, must(refolded_lines(tape, rules))))
      throw Broken("the topic is not what was recorded: " + *lost);
    const auto state = must(storage::open_state_reader(state_));
    if (const auto wrong = difference(session_.expected, must(stored_lines(tape, *state))))
      throw Broken("what was folded is not an undisturbed run's: " + *wrong);
    scene_.checked("events that were neither lost nor doubled", session_.events);
    scene_.checked("digests equal to an undisturbed run's", session_.symbols.size());
    observer_.judge(scene_, tape, rules);
    check_rows();
  }

  /// Each output once, none that an undisturbed run does not say.
  void check_rows() {
    std::map<std::string, std::multiset<std::string>> found;
    for (const auto* topic : {"orderbook.processed", "orderbook.alerts", "orderbook.dlq"}) {
      const auto read =
          read_committed(options(topic), [&](storage::Partition, const rd_kafka_message_t& row) {
            found[std::string(storage::key_of(row))].insert(
                std::string(storage::header(row, "identity")));
          });
      if (!read) throw Broken(read.error().message);
    }
    for (const auto& [symbol, line] : session_.expected) {
      const auto& rows = found[symbol];
      std::set<std::string> expected;
      for (const auto& [identity, content] : line.outputs) expected.insert(hex_of(identity));
      if (!std::equal(rows.begin(), rows.end(), expected.begin(), expected.end()))
        throw Broken(fmt::format("symbol {}: {} rows were committed, expected {}, each once",
                                 symbol, rows.size(), expected.size()));
      scene_.checked("rows that a reader of committed ones finds once", rows.size());
    }
  }

  Scene& scene_;
  Session session_;
  std::vector<std::string> topic_;
  std::string direct_, state_;
  Observer observer_;
  std::optional<Child> recorder_, server_;
  std::uint16_t port_ = 0;
  bool recorded_ = false;
};

milliseconds between(Scene& scene, std::uint64_t least, std::uint64_t most) {
  return milliseconds(least + scene.random.below(most - least));
}

void come_back(Broker& broker, KafkaLive& live) {
  broker.begin_start();
  bool back = false;
  (void)live.go_on(kHeals, [&] { return back = broker.started(); });
  if (!back) throw CannotRun("the broker does not come back");
}

}  // namespace

void broker_round(Scene& scene) {
  Broker broker(scene);
  KafkaLive live(scene, broker.address(), broker.address());
  for (std::uint64_t n = 0; n < kFaultsOfARound; ++n) {
    (void)live.go_on(between(scene, 500, 2'500));
    switch (scene.random.below(3)) {
      case 0:
        broker.signal(SIGKILL);
        scene.struck("kill -9 of the broker");
        (void)live.go_on(between(scene, 0, 3'000));
        come_back(broker, live);
        break;
      case 1:
        broker.signal(SIGSTOP);
        scene.struck("the broker stood still");
        (void)live.go_on(between(scene, 500, 12'000));
        broker.signal(SIGCONT);
        break;
      default:
        broker.signal(SIGTERM);
        scene.struck("the broker was stopped");
        (void)live.go_on(between(scene, 2'000, 6'000));
        come_back(broker, live);
    }
  }
  live.finish();
}

void network_round(Scene& scene) {
  NetProxy proxy(scene.random.next());
  Broker broker(scene, proxy.port());
  proxy.lead_to(broker.proxied_port());
  KafkaLive live(scene, fmt::format("127.0.0.1:{}", proxy.port()), broker.address());
  for (std::uint64_t n = 0; n < kFaultsOfARound; ++n) {
    (void)live.go_on(between(scene, 500, 2'000));
    const auto fault = static_cast<NetFault>(1 + scene.random.below(kNetFaults - 1));
    proxy.inject(fault);
    scene.struck(fmt::format("network: {}", name(fault)));
    (void)live.go_on(between(scene, 500, 6'000));
    proxy.inject(NetFault::none);
  }
  live.finish();
  scene.figure("connections through the proxy", proxy.connections());
}

}  // namespace tapedeck::chaos
