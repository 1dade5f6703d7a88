#include "api/replays.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "api/json.hpp"
#include "api/json_writer.hpp"
#include "api/position_text.hpp"
#include "api/url.hpp"

namespace tapedeck::api {
namespace {

using nlohmann::json;

tl::unexpected<Error> wrong(const std::string& field, const std::string& expected,
                            const std::string& found) {
  return fail(ErrorCode::invalid, field + ": expected " + expected + ", found " + found, field);
}

/// An object whose fields are all among `known`.
Result<json> parse_object(std::string_view body, std::initializer_list<std::string_view> known) {
  if (body.empty()) return json::object();
  auto object = json::parse(body, nullptr, false);
  if (!object.is_object()) return fail(ErrorCode::invalid, "body: expected a JSON object", "body");
  for (const auto& [name, value] : object.items()) {
    if (std::ranges::find(known, name) != known.end()) continue;
    std::string expected;
    for (const auto one : known) expected.append(expected.empty() ? "" : ", ").append(one);
    return fail(ErrorCode::invalid,
                name + ": unknown field; expected " + (expected.empty() ? "none" : expected), name);
  }
  return object;
}

Result<void> take_text(const json& object, const std::string& name, std::string& text) {
  const auto found = object.find(name);
  if (found == object.end() || found->is_null()) return {};
  if (!found->is_string()) return wrong(name, "a string", found->dump());
  text = found->get<std::string>();
  return {};
}

/// As a string or a number.
Result<void> take_speed(const json& object, std::string& text) {
  const auto found = object.find("speed");
  if (found != object.end() && found->is_number()) {
    text = found->dump();
    if (text.ends_with(".0")) text.resize(text.size() - 2);
    return {};
  }
  return take_text(object, "speed", text);
}

Result<void> take_position(const json& object, const std::string& name, std::string& text) {
  if (auto taken = take_text(object, name, text); !taken) return taken;
  if (text.empty()) return {};
  return parse_position(text, name).map([](const auto&) {});
}

template <class T>
Result<void> take_count(const json& object, const std::string& name, std::uint64_t most, T& count) {
  const auto found = object.find(name);
  if (found == object.end()) return {};
  const bool good = found->is_number_unsigned() && found->template get<std::uint64_t>() >= 1 &&
                    found->template get<std::uint64_t>() <= most;
  if (!good) return wrong(name, "a number from 1 to " + std::to_string(most), found->dump());
  count = static_cast<T>(found->template get<std::uint64_t>());
  return {};
}

Result<void> take_symbols(const json& object, std::vector<std::string>& symbols) {
  const auto found = object.find("symbols");
  if (found == object.end() || found->is_null()) return {};
  const bool strings = found->is_array() && found->size() <= kMaxReplaySymbols &&
                       std::ranges::all_of(*found, [](const json& one) { return one.is_string(); });
  if (!strings) {
    return wrong("symbols", "a list of at most " + std::to_string(kMaxReplaySymbols) + " strings",
                 found->dump().substr(0, 100));
  }
  symbols = found->get<std::vector<std::string>>();
  return {};
}

}  // namespace

Result<ReplayRequest> parse_replay_request(std::string_view body) {
  const auto object = parse_object(body, {"symbols", "from", "to", "speed", "loop", "depth"});
  if (!object) return tl::unexpected(object.error());
  ReplayRequest request;
  if (const auto loop = object->find("loop"); loop != object->end()) {
    if (!loop->is_boolean()) return wrong("loop", "true or false", loop->dump());
    request.loop = loop->get<bool>();
  }
  auto taken =
      take_symbols(*object, request.symbols)
          .and_then([&] { return take_position(*object, "from", request.from); })
          .and_then([&] { return take_position(*object, "to", request.to); })
          .and_then([&] { return take_speed(*object, request.speed); })
          .and_then([&] { return take_count(*object, "depth", kMaxReplayDepth, request.depth); });
  if (!taken) return tl::unexpected(taken.error());
  return request;
}

Result<ReplayCommand> parse_replay_command(std::string_view verb, std::string_view body) {
  ReplayCommand command;
  Result<void> taken;
  const auto with = [&](std::initializer_list<std::string_view> known, auto take) {
    const auto object = parse_object(body, known);
    taken = object ? take(*object) : Result<void>(tl::unexpected(object.error()));
  };
  const auto nothing = [](const json&) { return Result<void>(); };
  if (verb == "play" || verb == "pause") {
    command.kind = verb == "play" ? ReplayCommand::Kind::play : ReplayCommand::Kind::pause;
    with({}, nothing);
  } else if (verb == "step") {
    command.kind = ReplayCommand::Kind::step;
    with({"unit", "count"}, [&](const json& object) {
      return take_text(object, "unit", command.unit).and_then([&] {
        return take_count(object, "count", kMaxSteps, command.count);
      });
    });
  } else if (verb == "seek") {
    command.kind = ReplayCommand::Kind::seek;
    with({"at"}, [&](const json& object) { return take_position(object, "at", command.at); });
    if (taken && command.at.empty())
      return fail(ErrorCode::invalid, R"(at: expected one, such as {"at": "end"})", "at");
  } else {
    command.kind = ReplayCommand::Kind::speed;
    with({"speed"}, [&](const json& object) { return take_speed(object, command.speed); });
    if (taken && command.speed.empty())
      return fail(ErrorCode::invalid, R"(speed: expected one, such as {"speed": 10})", "speed");
  }
  if (!taken) return tl::unexpected(taken.error());
  return command;
}

Result<StreamQuery> parse_stream_query(std::string_view text) {
  const auto target = parse_target(text);
  if (!target) return tl::unexpected(target.error());
  StreamQuery query;
  std::set<std::string> given;
  for (const auto& [name, value] : target->query) {
    if (!given.insert(name).second) return fail(ErrorCode::invalid, name + ": given twice", name);
    if (name == "symbols") {
      for (std::size_t from = 0; from <= value.size();) {
        const auto comma = std::min(value.find(',', from), value.size());
        if (comma > from) query.symbols.insert(value.substr(from, comma - from));
        from = comma + 1;
      }
    } else if (name == "channels") {
      const auto channels = parse_channels(value);
      if (!channels) return tl::unexpected(channels.error());
      query.channels = *channels;
    } else if (name == "replay") {
      query.replay = value;
    } else if (name == "resume") {
      std::uint64_t seq = 0;
      const auto* const last = value.data() + value.size();
      const auto [end, error] = std::from_chars(value.data(), last, seq);
      if (error != std::errc{} || end != last || seq == UINT64_MAX)
        return wrong(name, "the seq of a message", '"' + value + '"');
      query.resume = seq;
    } else {
      return fail(ErrorCode::invalid,
                  name + ": unknown parameter; expected symbols, channels, replay, resume", name);
    }
  }
  return query;
}

namespace {

void write(JsonWriter& out, const ReplayStatus& status) {
  out.open('{');
  out.key("id").string(status.id);
  out.key("state").string(status.state);
  out.key("speed").string(status.speed);
  out.key("loop").boolean(status.loop);
  out.key("time").time(status.time);
  out.key("position");
  status.position ? out.raw(to_json(*status.position)) : out.null();
  out.key("symbols").open('[');
  for (const auto& symbol : status.symbols) out.string(symbol);
  out.close(']');
  out.key("events").integer(status.events);
  out.key("records").integer(status.records);
  out.key("loops").integer(status.loops);
  out.key("subscribers").integer(status.subscribers);
  out.key("error");
  status.error.empty() ? out.null() : out.string(status.error);
  out.close('}');
}

}  // namespace

std::string to_json(const ReplayStatus& status) {
  JsonWriter out(256 + 8 * status.symbols.size());
  write(out, status);
  return out.take();
}

std::string to_json(const std::vector<ReplayStatus>& statuses) {
  JsonWriter out;
  out.open('[');
  for (const auto& status : statuses) write(out, status);
  out.close(']');
  return out.take();
}

}  // namespace tapedeck::api
