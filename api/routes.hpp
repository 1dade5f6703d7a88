// api/routes.hpp -- from a request to a response, without sockets: which path asks the engine for
// what.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "api/backend.hpp"

namespace tapedeck::api {

struct Request {
  std::string method;
  std::string target;            ///< as sent, escapes included
  std::string if_none_match;     ///< empty where absent
  std::string origin{}, host{};  ///< as the headers say
  std::string body{};
  bool forwarded = false;  ///< by another engine: it is answered here or not at all
};

struct Response {
  unsigned status = 200;
  std::string_view content_type = "application/json";
  std::string headers;  ///< further header lines, each ended by CR LF
  std::string body;
  std::string_view static_body;  ///< instead of `body`: bytes that outlive the server
};

/// A file of the page. Both views outlive the server.
struct StaticFile {
  std::string_view content_type;
  std::string_view bytes;
};
/// By decoded path, such as "/index.html". Asked for "/" first and then "/index.html". Called on
/// server threads.
using StaticFiles = std::function<std::optional<StaticFile>(std::string_view path)>;

/// Makes the response; called once, where writing is to happen.
using Render = std::function<Response()>;
/// Takes the render on any thread; called exactly once unless the engine never answers.
using Done = std::function<void(Render)>;

constexpr std::size_t kDefaultDepth = 20;
constexpr std::size_t kMaxDepth = 10'000;  ///< levels a side
constexpr std::size_t kDefaultAlerts = 1'000;
constexpr std::size_t kMaxAlerts = 100'000;
constexpr std::size_t kMaxResponseBytes = std::size_t{64}
                                          << 20;  ///< beyond: 400, ask for a smaller range

/// One path and method of the interface, as /openapi.json describes it.
struct RouteInfo {
  std::string_view path;                         ///< "/v1/symbols/{symbol}/book"
  std::span<const std::string_view> parameters;  ///< of the query; others are refused
  std::string_view method = "GET";               ///< GET takes HEAD too
};
/// The path of the stream: a WebSocket, which the server sees to.
constexpr std::string_view kStreamPath = "/v1/stream";
[[nodiscard]] std::span<const RouteInfo> routes();

class Peers;
class Forwarder;

/// Thread safe. A question about another engine's symbol is forwarded to it. Unknown paths answer
/// 404, other methods 405, bad parameters 400 with the field; an exception of the engine 500.
/// Responses carry what the request's method asks for as to GET: leaving out a HEAD's body is the
/// server's.
class Router {
public:
  /// `peers` null: this engine answers everything. Both outlive the router.
  Router(Backend& backend, StaticFiles files, const Peers* peers = nullptr,
         Forwarder* forwarder = nullptr)
      : backend_(backend), files_(std::move(files)), peers_(peers), forwarder_(forwarder) {}
  void handle(const Request& request, Done done) const;
  /// Why a request for a WebSocket does not get one; none: it is for the stream.
  [[nodiscard]] static std::optional<Response> refuse_upgrade(const Request& request);

private:
  void dispatch(const Request& request, Done done) const;
  [[nodiscard]] std::optional<StaticFile> file(const std::string& path) const;

  Backend& backend_;
  StaticFiles files_;
  const Peers* peers_;
  Forwarder* forwarder_;
};

/// Calls `render`; an exception or an oversized body becomes the error response for it.
[[nodiscard]] Response render_response(const Render& render);
/// invalid, out_of_range 400; not_found 404; conflict 409; corrupt 500; environment, exhausted 503.
[[nodiscard]] unsigned http_status(ErrorCode code) noexcept;
[[nodiscard]] Response error_response(unsigned status, std::string_view code,
                                      std::string_view message, std::string_view field = {});

}  // namespace tapedeck::api
