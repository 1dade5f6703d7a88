// What settings must hold together.
#include <algorithm>
#include <bit>

#include "config/settings.hpp"
#include "config/value_text.hpp"

namespace tapedeck::config {

namespace {

std::optional<std::pair<std::string_view, std::string>> backoff_contradiction(
    const SupervisionSettings& nodes) {
  const auto wrong =
      [](const NodeSettings& node,
         std::string_view key) -> std::optional<std::pair<std::string_view, std::string>> {
    if (node.backoff_min <= node.backoff_max) return std::nullopt;
    return {{key, format_duration(node.backoff_min) + " is more than the longest wait, " +
                      format_duration(node.backoff_max)}};
  };
  for (const auto& [node, key] :
       {std::pair(&nodes.partition, "supervision.partition.backoff_min"),
        std::pair(&nodes.symbol, "supervision.symbol.backoff_min"),
        std::pair(&nodes.checkpointer, "supervision.checkpointer.backoff_min"),
        std::pair(&nodes.sink, "supervision.sink.backoff_min"),
        std::pair(&nodes.gateway, "supervision.gateway.backoff_min")}) {
    if (auto found = wrong(*node, key)) return found;
  }
  return std::nullopt;
}

/// The first item of the list that no symbol could be meant by.
std::optional<std::string_view> bad_symbol(std::string_view list) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    const auto item = list.substr(0, comma);
    const auto name = item.ends_with('*') ? item.substr(0, item.size() - 1) : item;
    if (item.empty() || name.find_first_of("* \t\"") != name.npos) return item;
    if (comma + 1 == list.size()) return list.substr(list.size());
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::pair<std::string_view, std::string>> contradiction(const Config& config) {
  const auto& engine = config.engine;
  if (auto wrong = backoff_contradiction(config.supervision)) return wrong;
  if (engine.poll_bytes > engine.max_inflight_bytes) {
    return {{"engine.poll_bytes",
             format_size(static_cast<std::int64_t>(engine.poll_bytes)) +
                 " is more than engine.max_inflight_bytes, " +
                 format_size(static_cast<std::int64_t>(engine.max_inflight_bytes))}};
  }
  if (const auto bad = bad_symbol(config.fold.refusals.symbols)) {
    return {{"refusals.symbols", "'" + std::string(*bad) +
                                     "' is no symbol: expected names, or their beginnings and a *, "
                                     "with a comma and nothing else between"}};
  }
  const auto& alerts = config.fold.alerts;
  if (alerts.imbalance_high != 0 && alerts.imbalance_medium > alerts.imbalance_high) {
    return {{"alerts.imbalance_medium", format_ratio(alerts.imbalance_medium) +
                                            " is more than alerts.imbalance_high, " +
                                            format_ratio(alerts.imbalance_high)}};
  }
  for (const std::int64_t level : {alerts.imbalance_medium, alerts.imbalance_high}) {
    if (level == 0 || alerts.imbalance_hysteresis < level) continue;
    return {{"alerts.imbalance_hysteresis", format_ratio(alerts.imbalance_hysteresis) +
                                                " is not less than the threshold, " +
                                                format_ratio(level)}};
  }
  if (alerts.outlier != 0 && alerts.outlier_trades > config.fold.kept_trades) {
    return {{"alerts.outlier_trades", std::to_string(alerts.outlier_trades) +
                                          " is more than candles.kept_trades, " +
                                          std::to_string(config.fold.kept_trades)}};
  }
  if (!std::has_single_bit(config.quality.fingerprints) && config.quality.fingerprints != 0) {
    return {{"quality.fingerprints",
             std::to_string(config.quality.fingerprints) + " is no power of two"}};
  }
  return std::nullopt;
}

}  // namespace tapedeck::config
