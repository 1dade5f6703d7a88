#include "api/routes.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "api/openapi.hpp"
#include "tests/api/fake_backend.hpp"

using namespace tapedeck;
using nlohmann::json;

namespace {

/// Waits for the answer of a router, which comes on the engine's thread.
api::Response ask(const api::Router& router, std::string target, std::string method = "GET") {
  std::mutex mutex;
  std::condition_variable wake;
  std::optional<api::Render> render;
  router.handle({std::move(method), std::move(target), {}}, [&](api::Render made) {
    const std::lock_guard lock(mutex);
    render = std::move(made);
    wake.notify_one();
  });
  std::unique_lock lock(mutex);
  REQUIRE(wake.wait_for(lock, std::chrono::seconds(20), [&] { return render.has_value(); }));
  return api::render_response(*render);
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
    REQUIRE(item.size() == 1);
    auto text = path;
    for (const auto& parameter : item["get"].value("parameters", json::array())) {
      if (parameter["in"] == "query") text.append(" ").append(parameter["name"].get<std::string>());
    }
    described.insert(text);
  }
  for (const auto& route : api::routes()) {
    std::string text(route.path);
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
