#include "api/routes.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <tuple>

#include "api/openapi.hpp"
#include "tests/api/fake_backend.hpp"

using namespace tapedeck;
using nlohmann::json;

namespace {

/// Waits for the answer of a router, which comes on the engine's thread.
api::Response ask(const api::Router& router, const api::Request& request) {
  std::mutex mutex;
  std::condition_variable wake;
  std::optional<api::Render> render;
  router.handle(request, [&](api::Render made) {
    const std::lock_guard lock(mutex);
    render = std::move(made);
    wake.notify_one();
  });
  std::unique_lock lock(mutex);
  REQUIRE(wake.wait_for(lock, std::chrono::seconds(20), [&] { return render.has_value(); }));
  return api::render_response(*render);
}

api::Response ask(const api::Router& router, std::string target, std::string method = "GET") {
  return ask(router, api::Request{std::move(method), std::move(target), {}});
}

/// How many there are below `node`.
std::size_t check_references(const json& document, const json& node) {
  std::size_t count = 0;
  for (const auto& [name, value] : node.items()) {
    if (name == "$ref") {
      ++count;
      CHECK(document.contains(json::json_pointer(value.get<std::string>().substr(1))));
    } else if (value.is_structured()) {
      count += check_references(document, value);
    }
  }
  return count;
}

}  // namespace

TEST_CASE("the description names exactly the routes and their parameters", "[routes]") {
  const auto document = json::parse(api::openapi_json());
  CHECK(document["openapi"] == "3.1.0");
  CHECK(document["info"]["version"].get<std::string>().find('@') == std::string::npos);
  std::set<std::string> described, served;
  for (const auto& [path, item] : document["paths"].items()) {
    for (const auto& [method, operation] : item.items()) {
      auto text = method + " " + path;
      for (const auto& parameter : operation.value("parameters", json::array())) {
        if (parameter["in"] == "query")
          text.append(" ").append(parameter["name"].get<std::string>());
      }
      described.insert(text);
    }
  }
  for (const auto& route : api::routes()) {
    std::string text(route.method);
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
    text.append(" ").append(route.path);
    for (const auto parameter : route.parameters) text.append(" ").append(parameter);
    served.insert(text);
  }
  CHECK(described == served);
  const auto& paths = document["paths"];
  const auto& depth = paths["/v1/symbols/{symbol}/book"]["get"]["parameters"][1]["schema"];
  CHECK(depth["maximum"] == api::kMaxDepth);
  CHECK(depth["default"] == api::kDefaultDepth);
}

TEST_CASE("each answer has the fields that its schema requires, and no other", "[routes]") {
  test::FakeBackend backend;
  const api::Router router(backend, {});
  const auto document = json::parse(api::openapi_json());
  for (const auto& [target, schema] : {std::pair{"/v1/symbols", "symbol"},
                                       {"/v1/symbols/AAPL", "symbol"},
                                       {"/v1/symbols/AAPL/book", "book"},
                                       {"/v1/symbols/AAPL/candles?width=1s", "candle"},
                                       {"/v1/symbols/AAPL/metrics", "metrics"},
                                       {"/v1/alerts?symbol=AAPL", "alert"},
                                       {"/v1/positions", "partition_position"},
                                       {"/v1/supervision", "supervision"},
                                       {"/v1/dead-letters?symbol=A", "dead_letter"},
                                       {"/health/live", "health"},
                                       {"/v1/symbols/NONE", "error"}}) {
    INFO(target);
    const auto body = json::parse(ask(router, target).body);
    const auto& answer = body.is_array() ? body.at(0) : body;
    std::set<std::string> given, required;
    for (const auto& [name, value] : answer.items()) given.insert(name);
    for (const auto& name : document["components"]["schemas"][schema]["required"])
      required.insert(name);
    CHECK(given == required);
  }
}

TEST_CASE("a replay is made, commanded and ended as the description says", "[routes]") {
  test::FakeBackend backend;
  const api::Router router(backend, {});
  const auto document = json::parse(api::openapi_json());
  const auto send = [&](const std::string& method, const std::string& target,
                        const std::string& body = {}, const std::string& origin = {}) {
    return ask(router, {method, target, {}, origin, "here:8080", body});
  };
  const auto made = send(
      "POST", "/v1/replays",
      R"({"symbols":["A","B"],"from":"offset:3","to":"end","speed":2.5,"loop":true,"depth":3})");
  CHECK(made.status == 201);
  const auto status = json::parse(made.body);
  std::set<std::string> given, required;
  for (const auto& [name, value] : status.items()) given.insert(name);
  for (const auto& name : document["components"]["schemas"]["replay"]["required"])
    required.insert(name);
  CHECK(given == required);
  CHECK(status["id"] == "1");
  CHECK(status["time"].is_null());
  const auto& request = backend.replays().last_request;
  CHECK(request.symbols == std::vector<std::string>{"A", "B"});
  CHECK(request.from == "offset:3");
  CHECK(request.speed == "2.5");
  CHECK(request.depth == 3);
  CHECK(send("POST", "/v1/replays", {}, "http://here:8080").status == 201);
  CHECK(send("POST", "/v1/replays").status == 503);
  CHECK(send("POST", "/v1/replays", {}, "http://elsewhere").status == 403);
  CHECK(json::parse(send("GET", "/v1/replays").body).size() == 2);
  CHECK(send("GET", "/v1/replays/2").status == 200);
  CHECK(send("GET", "/v1/replays/3").status == 404);

  const auto& command = backend.replays().last_command;
  using Kind = api::ReplayCommand::Kind;
  CHECK(send("POST", "/v1/replays/1/play").status == 200);
  CHECK(command.kind == Kind::play);
  CHECK(send("POST", "/v1/replays/1/pause", "{}").status == 200);
  CHECK(command.kind == Kind::pause);
  CHECK(send("POST", "/v1/replays/1/step").status == 200);
  CHECK((command.unit == "event" && command.count == 1));
  CHECK(send("POST", "/v1/replays/1/step", R"({"unit":"second","count":5})").status == 200);
  CHECK((command.unit == "second" && command.count == 5));
  CHECK(send("POST", "/v1/replays/1/seek", R"({"at":"2026-01-05T10:00:00Z"})").status == 200);
  CHECK(command.at == "2026-01-05T10:00:00Z");
  CHECK(send("POST", "/v1/replays/1/speed", R"({"speed":"max"})").status == 200);
  CHECK(command.speed == "max");
  CHECK(send("POST", "/v1/replays/9/play").status == 404);
  CHECK(send("DELETE", "/v1/replays/1").status == 200);
  CHECK(send("GET", "/v1/replays/1").status == 404);
}

TEST_CASE("what is wrong in a replay's body is named by its field", "[routes]") {
  test::FakeBackend backend;
  const api::Router router(backend, {});
  for (const auto& [path, body, field] : {std::tuple{"", "[]", "body"},
                                          {"", "{", "body"},
                                          {"", R"({"what":1})", "what"},
                                          {"", R"({"symbols":"A"})", "symbols"},
                                          {"", R"({"symbols":[1]})", "symbols"},
                                          {"", R"({"from":"noon"})", "from"},
                                          {"", R"({"to":3})", "to"},
                                          {"", R"({"speed":true})", "speed"},
                                          {"", R"({"loop":"yes"})", "loop"},
                                          {"", R"({"depth":0})", "depth"},
                                          {"", R"({"depth":1.5})", "depth"},
                                          {"/1/play", R"({"speed":1})", "speed"},
                                          {"/1/step", R"({"count":0})", "count"},
                                          {"/1/step", R"({"count":10001})", "count"},
                                          {"/1/seek", "", "at"},
                                          {"/1/seek", R"({"at":"yesterday"})", "at"},
                                          {"/1/speed", "{}", "speed"}}) {
    INFO(path << " " << body);
    const auto answer = ask(router, {"POST", "/v1/replays" + std::string(path), {}, {}, {}, body});
    CHECK(answer.status == 400);
    CHECK(json::parse(answer.body)["error"]["field"] == field);
  }
  const auto wrong = ask(router, "/v1/replays/1/play", "GET");
  CHECK(wrong.status == 405);
  CHECK(wrong.headers.find("Allow: POST\r\n") != std::string::npos);
  const auto put = ask(router, "/v1/replays", "PUT");
  CHECK(put.headers.find("Allow: GET, HEAD, POST\r\n") != std::string::npos);
  CHECK(ask(router, "/v1/stream").status == 426);
}

TEST_CASE("every reference of the description leads somewhere", "[routes]") {
  const auto document = json::parse(api::openapi_json());
  CHECK(check_references(document, document) > 20);
}

TEST_CASE("kinds of errors become statuses", "[routes]") {
  test::FakeBackend backend;
  const api::Router router(backend, {});
  CHECK(ask(router, "/v1/symbols/NONE/book").status == 404);
  CHECK(ask(router, "/v1/symbols/CORRUPT/book").status == 500);
  CHECK(ask(router, "/v1/symbols/DOWN/book").status == 503);
  CHECK(ask(router, "/v1/symbols/OWNED/book").status == 409);
  CHECK(ask(router, "/v1/symbols/LATER/book").status == 400);
  CHECK(api::http_status(ErrorCode::exhausted) == 503);
  const auto thrown = ask(router, "/v1/symbols/THROWS/book");
  CHECK(thrown.status == 500);
  CHECK(json::parse(thrown.body)["error"]["message"] == "the engine has a hole");
}

TEST_CASE("an answer beyond the limit asks for a smaller range", "[routes]") {
  const auto response = api::render_response([] {
    api::Response big;
    big.body.assign(api::kMaxResponseBytes + 1, ' ');
    return big;
  });
  CHECK(response.status == 400);
  CHECK(json::parse(response.body)["error"]["code"] == "out_of_range");
}
