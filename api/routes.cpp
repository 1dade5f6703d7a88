#include "api/routes.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <exception>
#include <iterator>
#include <utility>

#include "api/json.hpp"
#include "api/openapi.hpp"
#include "api/position_text.hpp"
#include "api/replays.hpp"
#include "api/time_format.hpp"
#include "api/url.hpp"

namespace tapedeck::api {
namespace {

constexpr std::string_view kSymbolSegment = "{symbol}", kIdSegment = "{id}";
constexpr std::string_view kNoStore = "Cache-Control: no-store\r\n";
constexpr std::string_view kPageHeaders =
    "Cache-Control: no-cache\r\n"
    "Content-Security-Policy: default-src 'self'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; "
    "frame-ancestors 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n";

Response answer_with(std::string body, unsigned status = 200,
                     std::string_view type = "application/json") {
  Response response;
  response.status = status;
  response.content_type = type;
  response.headers = kNoStore;
  response.body = std::move(body);
  return response;
}

Response error_answer(const Error& error) {
  return answer_with(to_json(error), http_status(error.code));
}

/// One request on its way: what the handlers of routes see.
struct Call {
  Backend& backend;
  const Request& request;
  const Target& target;
  std::string symbol;  ///< or id
  Done done;

  [[nodiscard]] std::optional<std::string> parameter(std::string_view name) const {
    const auto found = std::find_if(target.query.begin(), target.query.end(),
                                    [&](const auto& p) { return p.first == name; });
    if (found == target.query.end()) return std::nullopt;
    return found->second;
  }
  void now(Response response) {
    done([response = std::move(response)]() mutable { return std::move(response); });
  }
  template <class T>
  [[nodiscard]] Reply<T> reply(unsigned status = 200) {
    return [done = std::move(done), status](Result<T> result) {
      done([result = std::move(result), status] {
        return result ? answer_with(to_json(*result), status) : error_answer(result.error());
      });
    };
  }
};

/// A number from 1 to `most`; `otherwise` where it is not given.
Result<std::size_t> parse_count(const Call& call, const std::string& name, std::size_t otherwise,
                                std::size_t most) {
  const auto text = call.parameter(name);
  if (!text) return otherwise;
  std::size_t count = 0;
  const auto* const last = text->data() + text->size();
  const auto [end, error] = std::from_chars(text->data(), last, count);
  if (error == std::errc{} && end == last && count >= 1 && count <= most) return count;
  return fail(
      ErrorCode::invalid,
      name + ": expected a number from 1 to " + std::to_string(most) + ", found \"" + *text + "\"",
      name);
}

struct Range {
  std::optional<market::TimeNs> from, to;
};

/// The parameters from and to.
Result<Range> parse_range(const Call& call) {
  Range range;
  const std::pair<std::string_view, std::optional<market::TimeNs>&> ends[] = {{"from", range.from},
                                                                              {"to", range.to}};
  for (const auto& [name, end] : ends) {
    const auto text = call.parameter(name);
    if (!text) continue;
    const auto parsed = parse_time(*text, name);
    if (!parsed) return tl::unexpected(parsed.error());
    end = *parsed;
  }
  if (range.from && range.to && *range.to < *range.from) {
    return fail(ErrorCode::invalid,
                "to: expected a time that is not before from, found " + *call.parameter("to"),
                "to");
  }
  return range;
}

Result<CandleQuery> parse_candle_query(const Call& call) {
  CandleQuery query;
  query.symbol = call.symbol;
  const auto width = call.parameter("width");
  if (!width) return fail(ErrorCode::invalid, "width: expected one, such as width=1m", "width");
  if (const auto parsed = parse_width(*width, "width"); !parsed)
    return tl::unexpected(parsed.error());
  query.width = *width;
  query.from = call.parameter("from"), query.to = call.parameter("to");
  if (const auto range = parse_range(call); !range) return tl::unexpected(range.error());
  if (const auto fill = call.parameter("fill")) {
    if (*fill != "previous" && *fill != "none") {
      return fail(ErrorCode::invalid, "fill: expected previous or none, found \"" + *fill + "\"",
                  "fill");
    }
    query.fill_previous = *fill == "previous";
  }
  return query;
}

void get_symbols(Call& call) {
  call.backend.symbols(call.reply<std::vector<market::SymbolView>>());
}

void get_symbol(Call& call) { call.backend.symbol(call.symbol, call.reply<market::SymbolView>()); }

void get_book(Call& call) {
  const auto depth = parse_count(call, "depth", kDefaultDepth, kMaxDepth);
  if (!depth) return call.now(error_answer(depth.error()));
  auto at = call.parameter("at").value_or("");
  if (call.parameter("at")) {
    if (const auto parsed = parse_position(at, "at"); !parsed)
      return call.now(error_answer(parsed.error()));
  }
  call.backend.book(call.symbol, *depth, std::move(at), call.reply<market::BookView>());
}

void get_candles(Call& call) {
  auto query = parse_candle_query(call);
  if (!query) return call.now(error_answer(query.error()));
  call.backend.candles(*std::move(query), call.reply<std::vector<market::CandleView>>());
}

void get_metrics(Call& call) {
  call.backend.metrics(call.symbol, call.reply<market::MetricsView>());
}

void get_alerts(Call& call) {
  const auto limit = parse_count(call, "limit", kDefaultAlerts, kMaxAlerts);
  if (!limit) return call.now(error_answer(limit.error()));
  const auto range = parse_range(call);
  if (!range) return call.now(error_answer(range.error()));
  AlertQuery query;
  query.symbol = call.parameter("symbol").value_or("");
  query.from = range->from.value_or(query.from), query.to = range->to.value_or(query.to);
  query.limit = *limit;
  call.backend.alerts(std::move(query), call.reply<std::vector<market::AlertView>>());
}

void get_positions(Call& call) {
  call.backend.positions(call.reply<std::vector<PartitionPosition>>());
}

void get_dead_letters(Call& call) {
  call.backend.dead_letters(call.parameter("symbol").value_or(""),
                            call.reply<std::vector<DeadLetter>>());
}

void get_supervision(Call& call) { call.backend.supervision(call.reply<SupervisionNode>()); }

void get_prometheus(Call& call) {
  call.now(answer_with(call.backend.prometheus(), 200, "text/plain; version=0.0.4; charset=utf-8"));
}

void get_live(Call& call) {
  const auto health = call.backend.health();
  call.now(answer_with(to_json(health), health.live ? 200 : 503));
}

void get_ready(Call& call) {
  const auto health = call.backend.health();
  call.now(answer_with(to_json(health), health.live && health.ready ? 200 : 503));
}

void get_openapi(Call& call) { call.now(answer_with(std::string(openapi_json()))); }

void get_replays(Call& call) {
  call.backend.replays().list(call.reply<std::vector<ReplayStatus>>());
}

void post_replay(Call& call) {
  auto request = parse_replay_request(call.request.body);
  if (!request) return call.now(error_answer(request.error()));
  call.backend.replays().create(*std::move(request), call.reply<ReplayStatus>(201));
}

void get_replay(Call& call) { call.backend.replays().get(call.symbol, call.reply<ReplayStatus>()); }

void delete_replay(Call& call) {
  call.backend.replays().remove(call.symbol, call.reply<ReplayStatus>());
}

/// The last segment of the path says what.
void command_replay(Call& call) {
  auto command = parse_replay_command(call.target.segments.back(), call.request.body);
  if (!command) return call.now(error_answer(command.error()));
  call.backend.replays().command(call.symbol, *std::move(command), call.reply<ReplayStatus>());
}

/// What comes here has not asked for a WebSocket.
void get_stream(Call& call) {
  auto response = error_response(426, "upgrade_required",
                                 "expected a WebSocket: this path is a stream", "upgrade");
  response.headers.append("Upgrade: websocket\r\n");
  call.now(std::move(response));
}

constexpr std::string_view kBookParameters[] = {"depth", "at"};
constexpr std::string_view kAlertParameters[] = {"symbol", "from", "to", "limit"};
constexpr std::string_view kCandleParameters[] = {"width", "from", "to", "fill"};

constexpr std::string_view kDeadLetterParameters[] = {"symbol"};
constexpr std::string_view kStreamParameters[] = {"symbols", "channels", "replay", "resume"};

using Handler = void (*)(Call&);
constexpr std::pair<RouteInfo, Handler> kRoutes[] = {
    {{"/v1/symbols", {}}, get_symbols},
    {{"/v1/symbols/{symbol}", {}}, get_symbol},
    {{"/v1/symbols/{symbol}/book", kBookParameters}, get_book},
    {{"/v1/symbols/{symbol}/candles", kCandleParameters}, get_candles},
    {{"/v1/symbols/{symbol}/metrics", {}}, get_metrics},
    {{"/v1/alerts", kAlertParameters}, get_alerts},
    {{"/v1/positions", {}}, get_positions},
    {{"/v1/dead-letters", kDeadLetterParameters}, get_dead_letters},
    {{"/v1/supervision", {}}, get_supervision},
    {{"/v1/replays", {}}, get_replays},
    {{"/v1/replays", {}, "POST"}, post_replay},
    {{"/v1/replays/{id}", {}}, get_replay},
    {{"/v1/replays/{id}", {}, "DELETE"}, delete_replay},
    {{"/v1/replays/{id}/play", {}, "POST"}, command_replay},
    {{"/v1/replays/{id}/pause", {}, "POST"}, command_replay},
    {{"/v1/replays/{id}/step", {}, "POST"}, command_replay},
    {{"/v1/replays/{id}/seek", {}, "POST"}, command_replay},
    {{"/v1/replays/{id}/speed", {}, "POST"}, command_replay},
    {{kStreamPath, kStreamParameters}, get_stream},
    {{"/metrics", {}}, get_prometheus},
    {{"/health/live", {}}, get_live},
    {{"/health/ready", {}}, get_ready},
    {{"/openapi.json", {}}, get_openapi},
};

/// Whether `path` is the route's; takes the symbol out of it. A symbol may hold any character, even
/// a slash.
bool matches(std::string_view route, const std::vector<std::string>& segments,
             std::string& symbol) {
  std::string_view found;
  route.remove_prefix(1);
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const auto slash = route.find('/');
    const auto expected = route.substr(0, slash);
    const bool last = slash == route.npos;
    if (last != (i + 1 == segments.size())) return false;
    const bool named = expected == kSymbolSegment || expected == kIdSegment;
    if (named && !segments[i].empty()) {
      found = segments[i];
    } else if (expected != segments[i]) {
      return false;
    }
    if (!last) route.remove_prefix(slash + 1);
  }
  symbol = found;
  return true;
}

/// An unknown parameter is more likely a typing error than something to be left aside; so is one
/// given twice.
std::optional<Error> check_parameters(const Target& target, const RouteInfo& route) {
  for (auto given = target.query.begin(); given != target.query.end(); ++given) {
    const auto& name = given->first;
    const auto known =
        std::find(route.parameters.begin(), route.parameters.end(), name) != route.parameters.end();
    const auto twice =
        std::any_of(target.query.begin(), given, [&](const auto& p) { return p.first == name; });
    if (known && !twice) continue;
    std::string message = name + (known ? ": given twice" : ": unknown parameter; expected ");
    for (const auto expected : route.parameters) {
      if (!known) message.append(expected == route.parameters.front() ? "" : ", ").append(expected);
    }
    if (!known && route.parameters.empty()) message += "none";
    return Error{ErrorCode::invalid, std::move(message), name};
  }
  return std::nullopt;
}

bool readable(std::string_view method) { return method == "GET" || method == "HEAD"; }

Response wrong_method(const Request& request, const std::string& allowed = "GET, HEAD") {
  auto response = error_response(405, "method_not_allowed",
                                 request.method + ": expected one of " + allowed, "method");
  response.headers.append("Allow: ").append(allowed).append("\r\n");
  return response;
}

/// Whether a page of another site asks: it may not make replays, nor read a stream.
bool foreign(const Request& request) {
  const auto scheme = request.origin.find("://");
  return !request.origin.empty() &&
         (scheme == std::string::npos || request.origin.substr(scheme + 3) != request.host);
}

Response foreign_answer() {
  return error_response(403, "forbidden", "a page of another site may not ask for this", "origin");
}

/// FNV-1a: equal bytes, equal tag.
std::string entity_tag(std::string_view bytes) {
  std::uint64_t hash = 14'695'981'039'346'656'037ULL;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 1'099'511'628'211ULL;
  return '"' + std::to_string(hash) + '"';
}

Response file_response(const StaticFile& file, const Request& request) {
  const auto tag = entity_tag(file.bytes);
  Response response;
  response.content_type = file.content_type;
  response.headers.append(kPageHeaders).append("ETag: ").append(tag).append("\r\n");
  if (request.if_none_match == tag) {
    response.status = 304;
  } else {
    response.static_body = file.bytes;
  }
  return response;
}

}  // namespace

std::span<const RouteInfo> routes() {
  static const auto kInfos = [] {
    std::array<RouteInfo, std::size(kRoutes)> infos;
    std::transform(std::begin(kRoutes), std::end(kRoutes), infos.begin(),
                   [](const auto& route) { return route.first; });
    return infos;
  }();
  return kInfos;
}

unsigned http_status(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid:
    case ErrorCode::out_of_range: return 400;
    case ErrorCode::not_found: return 404;
    case ErrorCode::conflict: return 409;
    case ErrorCode::corrupt: return 500;
    case ErrorCode::environment:
    case ErrorCode::exhausted: return 503;
  }
  return 500;
}

Response error_response(unsigned status, std::string_view code, std::string_view message,
                        std::string_view field) {
  return answer_with(error_json(code, message, field), status);
}

Response render_response(const Render& render) {
  try {
    auto response = render();
    if (response.body.size() <= kMaxResponseBytes) return response;
    return error_response(400, "out_of_range",
                          "the answer would be too large: ask for a smaller range");
  } catch (const std::exception& error) {
    return error_response(500, "internal", error.what());
  }
}

std::optional<StaticFile> Router::file(const std::string& path) const {
  if (!files_) return std::nullopt;
  auto found = files_(path);
  if (!found && path == "/") found = files_("/index.html");
  return found;
}

void Router::dispatch(const Request& request, Done done) const {
  const auto parsed = parse_target(request.target);
  const auto target = parsed.value_or(Target{});
  Call call{backend_, request, target, {}, std::move(done)};
  if (!parsed) return call.now(error_answer(parsed.error()));
  std::string allowed;
  for (const auto& [route, handler] : kRoutes) {
    if (!matches(route.path, target.segments, call.symbol)) continue;
    const bool reads = route.method == "GET" && readable(request.method);
    if (!reads && route.method != request.method) {
      allowed.append(allowed.empty() ? "" : ", ").append(route.method);
      if (route.method == "GET") allowed.append(", HEAD");
      continue;
    }
    if (const auto error = check_parameters(target, route)) return call.now(error_answer(*error));
    if (!reads && foreign(request)) return call.now(foreign_answer());
    return handler(call);
  }
  if (!allowed.empty()) return call.now(wrong_method(request, allowed));
  const auto path = target.path();
  if (const auto found = file(path)) {
    return call.now(readable(request.method) ? file_response(*found, request)
                                             : wrong_method(request));
  }
  call.now(error_response(404, "not_found", path + ": no such path; /openapi.json names them all",
                          "path"));
}

std::optional<Response> Router::refuse_upgrade(const Request& request) {
  const auto target = parse_target(request.target);
  if (!target) return error_answer(target.error());
  if (target->path() != kStreamPath) {
    return error_response(404, "not_found",
                          target->path() + ": no stream; it is at " + std::string(kStreamPath),
                          "path");
  }
  if (foreign(request)) return foreign_answer();
  return std::nullopt;
}

void Router::handle(const Request& request, Done done) const {
  try {
    dispatch(request, done);
  } catch (const std::exception& error) {
    done([text = std::string(error.what())] { return error_response(500, "internal", text); });
  }
}

}  // namespace tapedeck::api
