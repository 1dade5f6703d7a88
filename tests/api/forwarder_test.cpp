#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "api/server.hpp"
#include "tests/api/fake_backend.hpp"
#include "tests/api/http_client.hpp"

using namespace tapedeck;
using nlohmann::json;
using test::HttpClient;

namespace {

/// Says that every symbol is at one place.
struct Elsewhere final : api::Peers {
  std::string address;
  [[nodiscard]] std::optional<std::string> owner(std::string_view) const override {
    return address.empty() ? std::nullopt : std::optional(address);
  }
};

struct Engine {
  explicit Engine(const api::Peers* peers) {
    api::ServerOptions options;
    options.port = 0, options.peers = peers;
    server = api::Server::start(std::move(options), backend, nullptr).value();
  }
  [[nodiscard]] std::string address() const {
    return "127.0.0.1:" + std::to_string(server->port());
  }
  [[nodiscard]] test::HttpAnswer get(std::string_view target, std::string_view headers = {}) const {
    return HttpClient(server->port()).get(target, headers);
  }

  test::FakeBackend backend;
  std::unique_ptr<api::Server> server;
};

}  // namespace

TEST_CASE("a question about another engine's symbol is answered by that engine", "[forward]") {
  Elsewhere to_owner, nowhere;
  const Engine owner(&nowhere), asked(&to_owner);
  to_owner.address = owner.address();
  for (const std::string target :
       {"/v1/symbols/AAPL", "/v1/symbols/BRK%2FB/book?depth=1", "/v1/symbols/NONE/metrics",
        "/v1/symbols/AAPL/candles?width=1m", "/v1/alerts?symbol=AAPL"}) {
    INFO(target);
    const auto there = owner.get(target), forwarded = asked.get(target);
    CHECK(forwarded.status == there.status);
    CHECK(forwarded.body == there.body);
    CHECK(forwarded.headers.at("content-type") == "application/json");
  }
}

TEST_CASE("a question is forwarded once, whatever engines believe of each other", "[forward]") {
  Elsewhere to_b, to_a;
  const Engine a(&to_b), b(&to_a);
  to_b.address = b.address(), to_a.address = a.address();
  CHECK(a.get("/v1/symbols/AAPL").status == 200);  // b answers, and does not ask a
  CHECK(b.get("/v1/symbols/AAPL", "X-Tapedeck-Forwarded: 1\r\n").status == 200);
}

TEST_CASE("unknown parameters are refused where they are asked", "[forward]") {
  Elsewhere gone;
  const Engine asked(&gone);
  gone.address = "127.0.0.1:1";
  CHECK(asked.get("/v1/symbols/AAPL/book?colour=red").status == 400);
  CHECK(asked.get("/v1/symbols").status == 200);  // this engine's own
}

TEST_CASE("an owner that cannot be asked, or does not answer in time, is recovering", "[forward]") {
  Elsewhere gone;
  const Engine asked(&gone);
  gone.address = "127.0.0.1:1";
  const auto refused = asked.get("/v1/symbols/AAPL");
  CHECK(refused.status == 503);
  CHECK(json::parse(refused.body)
            .at("error")
            .at("message")
            .get<std::string>()
            .starts_with("recovering: the engine at 127.0.0.1:1"));
  api::Forwarder forwarder({std::chrono::milliseconds(50), 256});
  Elsewhere nowhere;
  const Engine silent(&nowhere);
  std::mutex mutex;
  std::condition_variable told;
  std::optional<api::Response> answer;
  forwarder.ask(silent.address(), {"GET", "/v1/symbols/SILENT", "", "", "", ""}, [&](auto render) {
    const std::lock_guard lock(mutex);
    answer = render();
    told.notify_one();
  });
  std::unique_lock lock(mutex);
  REQUIRE(told.wait_for(lock, std::chrono::seconds(20), [&] { return answer.has_value(); }));
  CHECK(answer->status == 503);
  CHECK(answer->body.find("within 50 ms") != std::string::npos);
}
