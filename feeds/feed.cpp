#include "feeds/feed.hpp"

#include <fmt/format.h>

#include "feeds/byte_source.hpp"
#include "feeds/itch_feed.hpp"
#include "feeds/lobster.hpp"
#include "feeds/row_feed.hpp"
#include "feeds/session_time.hpp"
#include "feeds/sim_l3.hpp"

namespace tapedeck::feeds {
namespace {

const std::string kSimDate = "2024-01-02";

const std::string& date_of(const std::string& name, const FeedOptions& options) {
  return name == "sim:l3" && options.date.empty() ? kSimDate : options.date;
}

tl::unexpected<Error> unknown(const std::string& name) {
  return fail(
      ErrorCode::invalid,
      fmt::format(
          "unknown feed '{}', expected itch, lobster, trades-csv, ticks-csv, ticks-json or sim:l3",
          name),
      "--feed");
}

}  // namespace

Result<std::unique_ptr<Feed>> open_feed(const std::string& name, const FeedOptions& options) {
  if (is_row_feed(name)) {
    auto bytes = open_bytes(options.input);
    if (!bytes) return tl::unexpected(bytes.error());
    return open_rows(name, options, std::move(*bytes));
  }
  if (name != "itch" && name != "lobster" && name != "sim:l3") return unknown(name);
  const auto midnight = local_midnight(date_of(name, options), options.timezone);
  if (!midnight) return tl::unexpected(midnight.error());
  if (name == "lobster") return open_lobster(options.input, *midnight);
  if (name == "sim:l3") {
    const auto parameters = parse_sim_l3(options.input);
    if (!parameters) return tl::unexpected(parameters.error());
    return std::make_unique<ItchFeed>(name, sim_l3_bytes(*parameters), *midnight);
  }
  auto bytes = open_bytes(options.input);
  if (!bytes) return tl::unexpected(bytes.error());
  return std::make_unique<ItchFeed>(options.input, std::move(*bytes), *midnight);
}

Result<std::string> source_name(const std::string& name, const FeedOptions& options) {
  if (is_row_feed(name)) {
    const auto hash = hash_file(options.input);
    if (!hash) return tl::unexpected(hash.error());
    return fmt::format("{}:{}{}", name, *hash, row_options(options));
  }
  if (name != "itch" && name != "lobster" && name != "sim:l3") return unknown(name);
  const std::string& date = date_of(name, options);
  const auto midnight = local_midnight(date, options.timezone);
  if (!midnight) return tl::unexpected(midnight.error());
  if (name == "sim:l3") {
    const auto parameters = parse_sim_l3(options.input);
    if (!parameters) return tl::unexpected(parameters.error());
    std::string text = fmt::format("sim:l3:{},date={}", canonical(*parameters), date);
    if (options.timezone != FeedOptions{}.timezone) text += ",timezone=" + options.timezone;
    return text;
  }
  const auto hash = hash_file(options.input);
  if (!hash) return tl::unexpected(hash.error());
  return fmt::format("{}:{}:{}", name, date, *hash);
}

}  // namespace tapedeck::feeds
