#include "replay/alerts.hpp"

#include <map>
#include <string>

namespace tapedeck::replay {
namespace {

/// What the identity of every alert at or after `time` is not less than.
std::string lower_identity(TimeNs time) {
  constexpr std::size_t kKindWidthTime = 17;
  market::Output probe;
  probe.time = time;
  probe.body = market::Alert{};
  return market::identity(probe).substr(0, kKindWidthTime);
}

}  // namespace

Result<std::vector<market::AlertView>> alerts(const storage::StateReader& state,
                                              std::string_view symbol,
                                              const market::Instrument& instrument,
                                              const AlertRange& range,
                                              const market::Outputs& newer) {
  std::map<std::string, market::AlertView> found;
  const auto take = [&](const market::Output& output) {
    const auto* alert = std::get_if<market::Alert>(&output.body);
    if (alert != nullptr && output.time >= range.from && output.time < range.to) {
      found[market::identity(output)] = {std::string(symbol), output.time,  *alert,
                                         instrument,          output.trust, output.position};
    }
    return true;
  };
  auto read = state.outputs(symbol, lower_identity(range.from), lower_identity(range.to), take);
  if (!read) return tl::unexpected(std::move(read.error()));
  for (const auto& output : newer) take(output);
  std::vector<market::AlertView> views;
  views.reserve(found.size());
  for (auto& [identity, view] : found) views.push_back(std::move(view));
  return views;
}

}  // namespace tapedeck::replay
