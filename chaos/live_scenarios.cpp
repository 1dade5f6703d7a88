// Scenarios in which a session is recorded while it is served: actors that throw, processes that
// are killed, clients that do not read.
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "chaos/observer.hpp"
#include "chaos/scenarios.hpp"
#include "storage/rocksdb_tape.hpp"

namespace tapedeck::chaos {

namespace {

using std::chrono::milliseconds;

constexpr std::uint32_t kLiveSymbols = 40;
constexpr std::uint64_t kLiveMessages = 200'000, kLiveRate = 60'000;

/// Records and serves a session, each in a process of its own, until the session is over.
class Live {
public:
  Live(Scene& scene, Environment environment)
      : scene_(scene),
        environment_(std::move(environment)),
        session_(make_session(scene, kLiveMessages, kLiveSymbols)),
        tape_(scene.path("tape")),
        observer_(session_) {}

  /// `disturb` is called every few milliseconds.
  void run(const std::function<void()>& disturb) {
    while (!recorded()) {
      if (!recorder_)
        recorder_ =
            scene_.start(recording(session_, tape_, std::to_string(kLiveRate)), environment_);
      if (!server_ && storage::open_tape_reader(tape_)) serve();
      disturb();
      if (server_) ask();
      std::this_thread::sleep_for(milliseconds(5));
    }
    if (!server_) serve();
  }
  /// It ends in order, and everything is as it should be.
  void finish() {
    const auto metrics = check_balance(scene_, port_);
    scene_.struck("a symbol actor threw", metric(metrics, "symbol_restarts_total"));
    scene_.ends(*server_);
    check_against(scene_, session_, tape_);
    observer_.judge(scene_, tape_);
  }

  void kill_recorder() {
    if (recorder_ && recorder_->kill()) scene_.struck("kill -9 of record"), recorder_.reset();
  }
  void kill_server() {
    if (server_ && server_->kill()) scene_.struck("kill -9 of serve"), server_.reset();
  }
  [[nodiscard]] std::uint16_t port() const noexcept { return server_ ? port_ : 0; }
  [[nodiscard]] const std::optional<Child>& server() const noexcept { return server_; }

private:
  bool recorded() {
    if (!recorder_) return false;
    const auto status = recorder_->status();
    if (status && *status != 0)
      throw Broken(fmt::format("record exited with {}: {}", *status, recorder_->printed()));
    return status.has_value();
  }
  void serve() {
    server_ = scene_.start({"serve", "--tape", tape_, "--port", "0"}, environment_);
    const auto port = server_->port(kPatience);
    if (!port) throw Broken("serve did not start: " + server_->printed());
    port_ = *port;
  }
  void ask() {
    if (const auto status = server_->status())
      throw Broken(fmt::format("serve exited with {}: {}", *status, server_->printed()));
    if (!observer_.ask(scene_, port_)) throw Broken("serve did not answer");
  }

  Scene& scene_;
  Environment environment_;
  Session session_;
  std::string tape_;
  Observer observer_;
  std::optional<Child> recorder_, server_;
  std::uint16_t port_ = 0;
};

/// Many checkpoints and snapshots in little time.
Environment small_steps() {
  return {{"TAPEDECK_ENGINE_CHECKPOINT_EVENTS", "20000"},
          {"TAPEDECK_ENGINE_SNAPSHOT_EVENTS", "5000"}};
}

/// A connection that asks again and again and never reads.
class Mute {
public:
  explicit Mute(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET, to.sin_port = htons(port), to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int little = 4096;
    (void)setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
    (void)::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  }
  ~Mute() {
    if (socket_ >= 0) ::close(socket_);
  }
  Mute(Mute&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  Mute(const Mute&) = delete;
  Mute& operator=(const Mute&) = delete;
  Mute& operator=(Mute&&) = delete;
  bool ask(const std::string& target) const {
    const auto request = fmt::format("GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", target);
    return ::send(socket_, request.data(), request.size(), MSG_NOSIGNAL) > 0;
  }

private:
  int socket_;
};

}  // namespace

void actors_round(Scene& scene) {
  auto environment = small_steps();
  environment.emplace_back("TAPEDECK_FAULT", fmt::format("*@1/{}#{}", 50 + scene.random.below(1000),
                                                         scene.random.below(1u << 30)));
  environment.emplace_back("TAPEDECK_SUPERVISION_SYMBOL_BUDGET", "1000000");
  environment.emplace_back("TAPEDECK_SUPERVISION_SYMBOL_BACKOFF_MIN", "1ms");
  environment.emplace_back("TAPEDECK_SUPERVISION_SYMBOL_BACKOFF_MAX", "50ms");
  Live live(scene, environment);
  live.run([] {});
  live.finish();
}

void kill_round(Scene& scene) {
  Live live(scene, small_steps());
  auto next = Scene::Clock::now() + milliseconds(200 + scene.random.below(400));
  live.run([&] {
    if (Scene::Clock::now() < next) return;
    next = Scene::Clock::now() + milliseconds(100 + scene.random.below(900));
    const auto whom = scene.random.below(3);
    if (whom != 0) live.kill_server();
    if (whom != 1) live.kill_recorder();
  });
  live.finish();
}

void slow_reader_round(Scene& scene) {
  constexpr std::size_t kClients = 32;
  constexpr std::size_t kMostMemory = std::size_t{512} << 20;
  const std::array<std::string, 3> targets{"/v1/symbols", "/v1/alerts", "/metrics"};
  Live live(scene, small_steps());
  std::vector<Mute> clients;
  live.run([&] {
    if (live.port() == 0) return;
    if (clients.size() < kClients) {
      clients.emplace_back(live.port());
      scene.struck("a client that never reads");
    }
    for (const auto& client : clients) {
      if (client.ask(targets[scene.random.below(targets.size())]))
        scene.checked("requests whose answers nobody read");
    }
    const auto memory = live.server()->memory();
    scene.figure("resident memory of serve, MB", memory >> 20);
    if (memory > kMostMemory)
      throw Broken(fmt::format("serve holds {} MB for {} clients that do not read", memory >> 20,
                               clients.size()));
  });
  live.finish();
}

}  // namespace tapedeck::chaos
