#include "api/server.hpp"

#include <catch2/catch.hpp>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "telemetry/metrics.hpp"
#include "tests/api/fake_backend.hpp"
#include "tests/api/http_client.hpp"

using namespace tapedeck;
using namespace std::chrono_literals;
using nlohmann::json;
using test::HttpAnswer;
using test::HttpClient;

namespace {

std::optional<api::StaticFile> page(std::string_view path) {
  if (path == "/index.html") return api::StaticFile{"text/html; charset=utf-8", "<!doctype html>"};
  if (path == "/app.js") return api::StaticFile{"text/javascript; charset=utf-8", "'use strict'"};
  return std::nullopt;
}

/// A server on a free port over the fake engine.
struct Fixture {
  explicit Fixture(api::ServerLimits limits = {}, unsigned threads = 2) {
    api::ServerOptions options;
    options.port = 0, options.threads = threads, options.files = page, options.limits = limits;
    auto started = api::Server::start(std::move(options), backend, &metrics);
    REQUIRE(started);
    server = *std::move(started);
  }
  HttpAnswer get(std::string_view target) const { return HttpClient(server->port()).get(target); }

  test::FakeBackend backend;
  telemetry::Metrics metrics{1};
  std::unique_ptr<api::Server> server;
};

template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

void check_error(const HttpAnswer& answer, int status, const std::string& field) {
  CHECK(answer.status == status);
  CHECK(answer.headers.at("content-type") == "application/json");
  const auto error = json::parse(answer.body).at("error");
  CHECK(error.at("field") == field);
  CHECK_FALSE(error.at("message").get<std::string>().empty());
  CHECK_FALSE(error.at("code").get<std::string>().empty());
}

}  // namespace

TEST_CASE("every route answers with its JSON, not to be cached", "[server]") {
  const Fixture fixture;
  for (const std::string target :
       {"/v1/symbols", "/v1/symbols/AAPL", "/v1/symbols/AAPL/book", "/v1/symbols/AAPL/book?depth=1",
        "/v1/symbols/AAPL/candles?width=1m", "/v1/symbols/AAPL/metrics", "/v1/positions",
        "/v1/supervision", "/health/live", "/health/ready", "/openapi.json"}) {
    INFO(target);
    const auto answer = fixture.get(target);
    CHECK(answer.status == 200);
    CHECK(answer.headers.at("content-type") == "application/json");
    CHECK(answer.headers.at("cache-control") == "no-store");
    CHECK(answer.headers.at("x-content-type-options") == "nosniff");
    CHECK_FALSE(answer.headers.contains("access-control-allow-origin"));
    CHECK_NOTHROW(json::parse(answer.body));
  }
}

TEST_CASE("a book has the depth asked for, and the engine gets the position as typed", "[server]") {
  Fixture fixture;
  CHECK(json::parse(fixture.get("/v1/symbols/AAPL/book").body)["bids"].size() ==
        api::kDefaultDepth);
  CHECK(json::parse(fixture.get("/v1/symbols/AAPL/book?depth=3").body)["asks"].size() == 3);
  CHECK(fixture.backend.last_at().empty());
  for (const std::string at :
       {"end", "offset:7", "2:7", "2:7:1", "2012-06-21T09:30:00.004241176-04:00",
        "2012-06-21T09:30:00+02:00"}) {
    CHECK(fixture.get("/v1/symbols/AAPL/book?at=" + at).status == 200);
    CHECK(fixture.backend.last_at() == at);
  }
  CHECK(fixture.get("/v1/symbols/AAPL/book?at=2012-06-21T09%3A30%3A00%2B02%3A00").status == 200);
  CHECK(fixture.backend.last_at() == "2012-06-21T09:30:00+02:00");
}

TEST_CASE("candles are asked for by width, range and filling", "[server]") {
  Fixture fixture;
  const auto answer = fixture.get(
      "/v1/symbols/AAPL/"
      "candles?width=10s&from=2012-06-21T09:30:00Z&to=2012-06-21T10:30:00Z&fill=previous");
  CHECK(answer.status == 200);
  const auto query = fixture.backend.last_candles();
  CHECK(query.symbol == "AAPL");
  CHECK(query.width == "10s");
  CHECK(query.from == "2012-06-21T09:30:00Z");
  CHECK(query.to == "2012-06-21T10:30:00Z");
  CHECK(query.fill_previous);
  CHECK(fixture.get("/v1/symbols/AAPL/candles?width=10s").status == 200);
  CHECK_FALSE(fixture.backend.last_candles().fill_previous);
  CHECK_FALSE(fixture.backend.last_candles().from);
}

TEST_CASE("a symbol may hold any character", "[server]") {
  const Fixture fixture;
  CHECK(json::parse(fixture.get("/v1/symbols/BRK%2FB").body)["symbol"] == "BRK/B");
  check_error(fixture.get("/v1/symbols/%00%ff%22"), 404, "symbol");
  CHECK(fixture.get("/v1/symbols/BRK/B").status == 404);
}

TEST_CASE("a bad request gets 400 and the field at fault", "[server]") {
  const Fixture fixture;
  const std::string book = "/v1/symbols/AAPL/book", candles = "/v1/symbols/AAPL/candles";
  for (const auto& [target, field] : std::vector<std::pair<std::string, std::string>>{
           {book + "?depth=x", "depth"},
           {book + "?depth=-1", "depth"},
           {book + "?depth=0", "depth"},
           {book + "?depth=", "depth"},
           {book + "?depth=10001", "depth"},
           {book + "?depth=99999999999999999999", "depth"},
           {book + "?depth=1.5", "depth"},
           {book + "?depth=1&depth=2", "depth"},
           {book + "?deph=1", "deph"},
           {book + "?at=", "at"},
           {book + "?at=yesterday", "at"},
           {book + "?at=offset:x", "at"},
           {book + "?at=2012-06-21T09:30:00", "at"},
           {book + "?at=%zz", "at"},
           {candles, "width"},
           {candles + "?width=", "width"},
           {candles + "?width=1", "width"},
           {candles + "?width=-1s", "width"},
           {candles + "?width=1s&from=x", "from"},
           {candles + "?width=1s&to=x", "to"},
           {candles + "?width=1s&from=2012-06-21T10:00:00Z&to=2012-06-21T09:00:00Z", "to"},
           {candles + "?width=1s&fill=next", "fill"},
           {candles + "?width=1s&limit=1", "limit"},
           {"/v1/symbols?x=1", "x"},
           {"/v1/symbols/AAPL?x", "x"},
           {"/v1/symbols/AAPL/metrics?x", "x"},
           {"/metrics?x", "x"},
           {"/v1/symbols/%2", "path"}}) {
    INFO(target);
    check_error(fixture.get(target), 400, field);
  }
}

TEST_CASE("an unknown symbol is a 404 of the symbol, an unknown path a 404 of the path",
          "[server]") {
  const Fixture fixture;
  for (const std::string target :
       {"/v1/symbols/ZZZZ", "/v1/symbols/ZZZZ/book", "/v1/symbols/ZZZZ/candles?width=1s",
        "/v1/symbols/ZZZZ/metrics"}) {
    INFO(target);
    check_error(fixture.get(target), 404, "symbol");
  }
  for (const std::string target :
       {"/v1", "/v1/", "/v1/symbols/", "/v1/symbols//book", "/v1/symbols/AAPL/", "/v2/symbols",
        "/v1/symbols/AAPL/book/x", "/nothing", "/health", "/../etc/passwd", "//"}) {
    INFO(target);
    check_error(fixture.get(target), 404, "path");
  }
}

TEST_CASE("other methods get 405 and are told which ones there are", "[server]") {
  const Fixture fixture;
  HttpClient client(fixture.server->port());
  for (const std::string method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS"}) {
    for (const std::string target :
         {"/v1/symbols", "/v1/symbols/AAPL/book", "/metrics", "/app.js"}) {
      INFO(method << ' ' << target);
      client.request(method, target, "Content-Length: 0\r\n");
      const auto answer = client.read();
      check_error(answer, 405, "method");
      CHECK(answer.headers.at("allow") == "GET, HEAD");
    }
  }
}

TEST_CASE("HEAD has the head of GET and no body", "[server]") {
  const Fixture fixture;
  HttpClient client(fixture.server->port());
  for (const std::string target : {"/v1/symbols/AAPL/book", "/", "/v1/symbols/ZZZZ", "/nothing"}) {
    INFO(target);
    client.request("HEAD", target);
    const auto head = client.read(true);
    const auto get = client.get(target);
    CHECK(head.status == get.status);
    CHECK(head.headers == get.headers);
    CHECK(std::to_string(get.body.size()) == head.headers.at("content-length"));
  }
}

TEST_CASE("the page is served with its policy, and told when it is known already", "[server]") {
  const Fixture fixture;
  HttpClient client(fixture.server->port());
  const auto index = client.get("/");
  CHECK(index.status == 200);
  CHECK(index.body == "<!doctype html>");
  CHECK(index.headers.at("content-type") == "text/html; charset=utf-8");
  CHECK(index.headers.at("content-security-policy").starts_with("default-src 'self'"));
  CHECK(client.get("/index.html").body == index.body);
  const auto script = client.get("/app.js?v=1");
  CHECK(script.body == "'use strict'");
  CHECK(script.headers.at("etag") != index.headers.at("etag"));
  const auto known = client.get("/app.js", "If-None-Match: " + script.headers.at("etag") + "\r\n");
  CHECK(known.status == 304);
  CHECK(client.get("/app.js", "If-None-Match: " + index.headers.at("etag") + "\r\n").status == 200);
}

TEST_CASE("metrics are text, and readiness is a status", "[server]") {
  Fixture fixture;
  const auto metrics = fixture.get("/metrics");
  CHECK(metrics.status == 200);
  CHECK(metrics.headers.at("content-type") == "text/plain; version=0.0.4; charset=utf-8");
  CHECK(metrics.body == "tapedeck_up 1\n");
  fixture.backend.ready = false;
  const auto ready = fixture.get("/health/ready");
  CHECK(ready.status == 503);
  CHECK(json::parse(ready.body)["reason"] == "recovering partition 2");
  CHECK(fixture.get("/health/live").status == 200);
  fixture.backend.live = false;
  CHECK(fixture.get("/health/live").status == 503);
}

TEST_CASE("a thousand requests on one connection, in order", "[server]") {
  const Fixture fixture;
  HttpClient client(fixture.server->port());
  for (std::size_t i = 0; i < 1'000; ++i) {
    const auto answer = client.get("/v1/symbols/AAPL/book?depth=" + std::to_string(1 + i % 7));
    REQUIRE(answer.status == 200);
    REQUIRE(json::parse(answer.body)["bids"].size() == 1 + i % 7);
  }
  CHECK(fixture.metrics.http_requests == 1'000);
  CHECK(fixture.metrics.http_errors == 0);
}

TEST_CASE("requests sent without waiting are answered in order", "[server]") {
  const Fixture fixture;
  HttpClient client(fixture.server->port());
  std::string all;
  for (int i = 0; i < 300; ++i) {
    const auto target =
        i % 3 == 0 ? "/nothing" : "/v1/symbols/AAPL/book?depth=" + std::to_string(1 + i % 5);
    all.append("GET " + target + " HTTP/1.1\r\nHost: test\r\n\r\n");
  }
  client.send(all);
  for (int i = 0; i < 300; ++i) {
    const auto answer = client.read();
    REQUIRE(answer.status == (i % 3 == 0 ? 404 : 200));
    if (i % 3 != 0)
      REQUIRE(json::parse(answer.body)["bids"].size() == static_cast<std::size_t>(1 + i % 5));
  }
}

TEST_CASE("many connections at once each get their own answers", "[server]") {
  const Fixture fixture;
  std::atomic<int> right{0};
  std::vector<std::thread> clients;
  for (std::size_t c = 1; c <= 32; ++c) {
    clients.emplace_back([&, c] {
      HttpClient client(fixture.server->port());
      for (int i = 0; i < 50; ++i) {
        const auto answer = client.get("/v1/symbols/AAPL/book?depth=" + std::to_string(c));
        right += answer.status == 200 && json::parse(answer.body)["bids"].size() == c;
      }
    });
  }
  for (auto& client : clients) client.join();
  CHECK(right == 32 * 50);
  CHECK(eventually([&] { return fixture.metrics.http_connections == 0; }));
}

TEST_CASE("a client that does not read its answers does not hold up others, and is cut off",
          "[server]") {
  api::ServerLimits limits;
  limits.write = 300ms;
  const Fixture fixture(limits, 1);
  HttpClient slow(fixture.server->port(), 4096);
  for (int i = 0; i < 40; ++i) slow.request("GET", "/v1/symbols/AAPL/book?depth=10000");
  HttpClient quick(fixture.server->port());
  const auto before = std::chrono::steady_clock::now();
  for (int i = 0; i < 50; ++i) REQUIRE(quick.get("/v1/symbols/AAPL/book").status == 200);
  CHECK(std::chrono::steady_clock::now() - before < 10s);
  CHECK(eventually([&] { return fixture.metrics.http_connections == 1; }));
}

TEST_CASE("a client that never finishes its request is cut off", "[server]") {
  api::ServerLimits limits;
  limits.idle = 100ms;
  const Fixture fixture(limits);
  HttpClient half(fixture.server->port());
  half.send("GET /v1/symbols HTTP/1.1\r\nHost:");
  HttpClient silent(fixture.server->port());
  CHECK(half.closed());
  CHECK(silent.closed());
}

TEST_CASE("a request to which the engine does not answer gets 503, and its connection goes on",
          "[server]") {
  api::ServerLimits limits;
  limits.reply = 100ms;
  Fixture fixture(limits);
  HttpClient client(fixture.server->port());
  CHECK(client.get("/v1/symbols/SILENT").status == 503);
  CHECK(fixture.backend.kept() == 1);
  client.request("GET", "/v1/symbols/SILENT/book");
  REQUIRE(eventually([&] { return fixture.backend.kept() == 2; }));
  fixture.backend.release();  // the first answer is too late and must not be taken for the second's
  const auto answer = client.read();
  if (answer.status == 200) CHECK(json::parse(answer.body).contains("bids"));
  CHECK(client.get("/v1/symbols/AAPL").status == 200);
}

TEST_CASE("an answer that comes after the client left, or after the server stopped, harms nobody",
          "[server]") {
  Fixture fixture;
  {
    HttpClient client(fixture.server->port());
    client.request("GET", "/v1/symbols/SILENT");
    REQUIRE(eventually([&] { return fixture.backend.kept() == 1; }));
  }
  fixture.backend.release();
  CHECK(fixture.get("/v1/symbols/AAPL").status == 200);
  HttpClient client(fixture.server->port());
  client.request("GET", "/v1/symbols/SILENT");
  REQUIRE(eventually([&] { return fixture.backend.kept() == 1; }));
  fixture.server->stop();
  fixture.backend.release();
  fixture.server->stop();
  fixture.server.reset();
  CHECK(client.closed());
}

TEST_CASE("what is too large, or no HTTP, is refused and the connection closed", "[server]") {
  const Fixture fixture;
  const auto refused = [&](const std::string& bytes, int status) {
    HttpClient client(fixture.server->port());
    client.send(bytes);
    client.no_more();
    const auto answer = client.read();
    CHECK(answer.status == status);
    CHECK(answer.headers.at("connection") == "close");
    CHECK(json::parse(answer.body).contains("error"));
    CHECK(client.closed());
  };
  refused("GET / HTTP/1.1\r\nX: " + std::string(9'000, 'x') + "\r\n\r\n", 431);
  refused("GET /" + std::string(9'000, 'x') + " HTTP/1.1\r\n\r\n", 431);
  refused("GET / HTTP/1.1\r\nContent-Length: 70000\r\n\r\n" + std::string(70'000, 'x'), 413);
  refused("hello\r\n\r\n", 400);
  refused("GET / HTTP/9.9\r\n\r\n", 400);
  refused("GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400);
  refused(std::string("\x16\x03\x01\x02\x00\x01\x00", 7) + "\r\n\r\n", 400);
  CHECK(fixture.get("/v1/symbols").status == 200);
}

TEST_CASE("a body on GET is read and left aside; HTTP/1.0 and Connection: close are kept to",
          "[server]") {
  const Fixture fixture;
  HttpClient client(fixture.server->port());
  client.send("GET /v1/symbols HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello");
  CHECK(client.read().status == 200);
  client.send("GET /v1/symbols HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
  CHECK(client.read().headers.at("connection") == "close");
  CHECK(client.closed());
  HttpClient old(fixture.server->port());
  old.send("GET /v1/symbols HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(old.read().headers.at("connection") == "keep-alive");
  old.send("GET /v1/symbols HTTP/1.0\r\n\r\n");
  CHECK(old.read().status == 200);
  CHECK(old.closed());
}

TEST_CASE("beyond the limit of connections a client gets 503, until one leaves", "[server]") {
  api::ServerLimits limits;
  limits.connections = 2;
  const Fixture fixture(limits);
  {
    HttpClient first(fixture.server->port()), second(fixture.server->port());
    CHECK(first.get("/v1/symbols").status == 200);
    CHECK(second.get("/v1/symbols").status == 200);
    HttpClient third(fixture.server->port());
    CHECK(third.read().status == 503);
    CHECK(first.get("/v1/symbols").status == 200);
  }
  CHECK(eventually([&] { return fixture.metrics.http_connections == 0; }));
  CHECK(fixture.get("/v1/symbols").status == 200);
}

TEST_CASE("a port in use, a bad address or no thread is an error that says what to do",
          "[server]") {
  Fixture fixture;
  api::ServerOptions options;
  options.port = fixture.server->port();
  const auto taken = api::Server::start(options, fixture.backend, nullptr);
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code == ErrorCode::environment);
  CHECK(taken.error().message ==
        "127.0.0.1:" + std::to_string(options.port) + " is in use; choose another with --port");
  options.port = 0, options.address = "localhost:1";
  CHECK(api::Server::start(options, fixture.backend, nullptr).error().field == "address");
  options.address = "203.0.113.1";
  CHECK(api::Server::start(options, fixture.backend, nullptr).error().code ==
        ErrorCode::environment);
  options.address = "127.0.0.1", options.threads = 0;
  CHECK(api::Server::start(options, fixture.backend, nullptr).error().field == "threads");
}

TEST_CASE("requests are counted, errors too", "[server]") {
  const Fixture fixture;
  HttpClient client(fixture.server->port());
  for (int i = 0; i < 5; ++i) client.get("/v1/symbols");
  for (int i = 0; i < 3; ++i) client.get("/nothing");
  CHECK(fixture.metrics.http_requests == 8);
  CHECK(fixture.metrics.http_errors == 3);
  CHECK(fixture.metrics.http_connections == 1);
  std::uint64_t timed = 0;
  for (std::size_t i = 0; i < telemetry::Histogram::kBuckets; ++i)
    timed += fixture.metrics.http_ns.count(i);
  CHECK(timed == 8);
}

/// Not run unless named: prints how many requests a second the book route answers.
TEST_CASE("speed of the book route", "[.speed]") {
  const Fixture fixture({}, 1);
  for (const int connections : {1, 32}) {
    constexpr int kRequests = 20'000;
    std::vector<std::unique_ptr<HttpClient>> clients;
    for (int i = 0; i < connections; ++i)
      clients.push_back(std::make_unique<HttpClient>(fixture.server->port()));
    const auto before = std::chrono::steady_clock::now();
    for (int i = 0; i < kRequests; i += connections) {
      for (auto& client : clients) client->request("GET", "/v1/symbols/AAPL/book?depth=10");
      for (auto& client : clients) REQUIRE(client->read().status == 200);
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - before;
    WARN(connections << " connections: " << static_cast<int>(kRequests / taken.count())
                     << " requests/s");
  }
}

TEST_CASE("a stream is a WebSocket that gets its messages and is closed with its replay",
          "[server]") {
  Fixture fixture;
  HttpClient client(fixture.server->port());
  client.request("POST", "/v1/replays", "Content-Length: 2\r\n");
  client.send("{}");
  CHECK(client.read().status == 201);
  const auto hub = fixture.backend.replays().hub("1");
  constexpr std::string_view kUpgrade =
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  const auto refused = [&](const std::string& target, const std::string& more, int status) {
    HttpClient other(fixture.server->port());
    other.request("GET", target, std::string(kUpgrade) + more);
    CHECK(other.read().status == status);
  };
  refused("/v1/stream?replay=2", "", 404);
  refused("/v1/stream?replay=1&channels=smells", "", 400);
  refused("/v1/symbols", "", 404);
  refused("/v1/stream?replay=1", "Origin: http://elsewhere\r\n", 403);

  HttpClient stream(fixture.server->port());
  stream.request("GET", "/v1/stream?replay=1", kUpgrade);
  const auto answer = stream.read(true);
  REQUIRE(answer.status == 101);
  CHECK(answer.headers.at("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  refused("/v1/stream?replay=1", "", 503);  // one subscriber may be
  hub->admit([](const api::StreamHub::Wants&) { return std::vector<std::string>{"{}"}; });
  hub->publish(api::Channel::alerts, "A", "alert", "7");
  hub->end();
  const std::string expected[] = {R"({"seq":0,"type":"book_snapshot","data":{}})",
                                  R"({"seq":1,"type":"alert","data":7})"};
  for (const auto& text : expected) {
    const auto head = stream.bytes(2);
    CHECK(head == std::string("\x81") + static_cast<char>(text.size()));
    CHECK(stream.bytes(text.size()) == text);
  }
  CHECK(stream.bytes(2) == std::string("\x88\x02"));  // a close, with its code
  CHECK(stream.bytes(2) == std::string("\x03\xe8"));
}
