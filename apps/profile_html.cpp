// A profile as one page.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "api/time_format.hpp"
#include "apps/profile_report.hpp"
#include "apps/tape_json.hpp"

namespace tapedeck::apps {

namespace {

constexpr const char* kStyle = R"(
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5c6670;--line:#d9dee3;--bar:#2f6fb3;--bad:#b3372f;--good:#2d7d46;--page:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e4e8ec;--soft:#9aa5b0;--line:#343b43;--bar:#5b9bdd;--bad:#e5766e;--good:#63b67e;--page:#14181c}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--page);max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .25rem;overflow-wrap:anywhere}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p{margin:.25rem 0;color:var(--soft)}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:right;padding:.25rem .5rem;border-bottom:1px solid var(--line)}th:first-child,td:first-child{text-align:left}
.wide{overflow-x:auto}svg{width:100%;height:auto;display:block}svg text{font:12px system-ui,sans-serif;fill:var(--ink)}
svg .bar{fill:var(--bar)}svg .axis{stroke:var(--line)}.bad{color:var(--bad)}.good{color:var(--good)}
li{margin:.15rem 0;overflow-wrap:anywhere}ul{margin:.25rem 0 .75rem;padding-left:1.25rem;color:var(--soft)})";

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

struct Bar {
  std::string label;
  std::uint64_t value = 0;
};

/// Lying bars, a label before and the number behind each.
std::string bars(std::string_view title, const std::vector<Bar>& values) {
  constexpr int row = 22, left = 190, width = 560;
  std::uint64_t most = 1;
  for (const Bar& bar : values) most = std::max(most, bar.value);
  std::string svg = fmt::format("<svg viewBox=\"0 0 860 {}\" role=\"img\" aria-label=\"{}\">",
                                row * static_cast<int>(values.size()) + 4, escaped(title));
  int y = 0;
  for (const Bar& bar : values) {
    const auto length = static_cast<int>(market::UInt128{bar.value} * width / most);
    svg += fmt::format(
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><rect class=\"bar\" x=\"{}\" "
        "y=\"{}\" "
        "width=\"{}\" height=\"14\"/><text x=\"{}\" y=\"{}\">{}</text>",
        left - 8, y + 15, escaped(bar.label), left, y + 4, bar.value > 0 ? std::max(length, 1) : 0,
        left + length + 6, y + 15, bar.value);
    y += row;
  }
  return svg + "</svg>";
}

/// Standing bars over time.
std::string timeline(const market::Activity& activity) {
  if (activity.spans.empty()) return "<p>no events</p>";
  constexpr int width = 840, height = 140;
  const auto first = activity.spans.begin()->first, last = activity.spans.rbegin()->first;
  const auto slots = (last - first) / activity.width + 1;
  std::uint64_t most = 1;
  for (const auto& [begin, count] : activity.spans) most = std::max(most, count);
  std::string svg = fmt::format(
      "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"events over time\"><line "
      "class=\"axis\" "
      "x1=\"0\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>",
      width, height + 22, width, height, height);
  // In hundredths of a unit: spans can be narrower than one.
  const auto x_of = [&](std::int64_t slot) {
    return static_cast<std::int64_t>(market::Int128{slot} * width * 100 / slots);
  };
  for (const auto& [begin, count] : activity.spans) {
    const auto slot = (begin - first) / activity.width;
    const auto x = x_of(slot), next = x_of(slot + 1);
    const auto high = std::max<std::uint64_t>(1, count * height / most);
    svg += fmt::format(
        "<rect class=\"bar\" x=\"{}.{:02}\" y=\"{}\" width=\"{}.{:02}\" height=\"{}\"/>", x / 100,
        x % 100, height - high, std::max<std::int64_t>(next - x, 60) / 100,
        std::max<std::int64_t>(next - x, 60) % 100, high);
  }
  svg += fmt::format(
      "<text x=\"0\" y=\"{0}\">{1}</text><text x=\"{2}\" y=\"{0}\" text-anchor=\"end\">{3}</text>"
      "</svg><p>spans of {4}, at most {5} events in one</p>",
      height + 17, api::format_time(first), width, api::format_time(last + activity.width),
      api::format_duration(activity.width), most);
  return svg;
}

std::string symbols_table(const ProfileResult& result) {
  const auto symbols = result.by_activity();
  std::string html =
      "<div class=\"wide\"><table><tr><th>symbol</th><th>events</th><th>trades</th><th>quotes</th>"
      "<th>sequence gaps</th><th>crossed</th><th>unknown orders</th><th>duplicates</th>"
      "<th>outliers</th><th>refused</th></tr>";
  for (std::size_t i = 0; i < std::min(symbols.size(), kTopSymbols); ++i) {
    const auto& [symbol, quality] = *symbols[i];
    const auto found = [&quality = quality](market::Finding finding) {
      return quality.findings[static_cast<std::size_t>(finding)];
    };
    html += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>"
        "<td>{}</td><td>{}</td><td>{}</td></tr>",
        escaped(symbol), quality.events, quality.trades, quality.quotes, quality.integrity.gaps,
        quality.integrity.crossed + found(market::Finding::crossed_quote),
        quality.integrity.unknown_orders, found(market::Finding::duplicate),
        found(market::Finding::outlier), found(market::Finding::refused));
  }
  html += "</table></div>";
  if (symbols.size() > kTopSymbols)
    html += fmt::format("<p>and {} more symbols</p>", symbols.size() - kTopSymbols);
  return html;
}

std::string findings_part(const ProfileResult& result) {
  std::vector<Bar> counts;
  std::string lists;
  for (std::size_t i = 0; i < market::kFindings; ++i) {
    const auto finding = static_cast<market::Finding>(i);
    counts.push_back({std::string(name(finding)), result.quality.findings[i]});
    if (result.quality.examples[i].empty()) continue;
    lists += fmt::format("<strong>{}</strong><ul>", name(finding));
    for (const auto& example : result.quality.examples[i])
      lists += "<li>" + escaped(example_line(result, finding, example)) + "</li>";
    lists += "</ul>";
  }
  counts.push_back({"dead letters", result.dead_letters});
  if (!result.dead_letter_examples.empty()) lists += "<strong>dead letters</strong><ul>";
  for (const auto& letter : result.dead_letter_examples)
    lists += fmt::format("<li>byte {}: {}</li>", letter.byte_offset, escaped(letter.reason));
  if (!result.dead_letter_examples.empty()) lists += "</ul>";
  return bars("findings", counts) + lists;
}

std::string expectations_part(const ProfileResult& result) {
  if (result.expectations.empty()) return {};
  std::string html =
      "<h2>Expectations</h2><div class=\"wide\"><table><tr><th>expectation</th><th>rule</th>"
      "<th>checked</th><th>failed</th><th>allowed ppm</th><th></th></tr>";
  std::string lists;
  for (std::size_t i = 0; i < result.expectations.size(); ++i) {
    const auto& expectation = result.expectations[i];
    const auto& outcome = result.outcomes[i];
    const bool passed = outcome.passed(expectation);
    html += fmt::format(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td class=\"{}\">{}</td></tr>",
        escaped(expectation.name), escaped(rule_text(expectation)), outcome.checked, outcome.failed,
        expectation.share_ppm, passed ? "good" : "bad", passed ? "kept" : "failed");
    if (outcome.examples.empty()) continue;
    lists += "<strong>" + escaped(expectation.name) + "</strong><ul>";
    for (const auto& example : outcome.examples)
      lists += "<li>" + escaped(outcome_example_line(result, i, example)) + "</li>";
    lists += "</ul>";
  }
  return html + "</table></div>" + lists;
}

std::string gaps_part(const ProfileResult& result) {
  std::vector<Bar> gaps;
  for (std::size_t i = 0; i < market::kGapScales; ++i) {
    const std::string scale = api::format_duration(result.settings.gap_scales[i]);
    std::uint64_t count = 0;
    for (const auto& [symbol, each] : result.quality.symbols) count += each.gaps[i];
    gaps.push_back({"a symbol, above " + scale, count});
    if (result.in_feed_order)
      gaps.push_back({"the whole feed, above " + scale, result.quality.feed_gaps[i]});
  }
  return bars("gaps by scale", gaps);
}

}  // namespace

std::string profile_html(const ProfileResult& result) {
  const auto& quality = result.quality;
  std::vector<Bar> kinds, active;
  for (std::size_t i = 0; i < market::kEventKinds; ++i) {
    if (quality.kinds[i] > 0)
      kinds.push_back(
          {std::string(market::name(static_cast<market::EventKind>(i))), quality.kinds[i]});
  }
  const auto symbols = result.by_activity();
  for (std::size_t i = 0; i < std::min(symbols.size(), kTopSymbols); ++i)
    active.push_back({symbols[i]->first, symbols[i]->second.events});
  std::string html = fmt::format(
      "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width,initial-scale=1\"><link rel=\"icon\" href=\"data:,\">"
      "<title>Profile of {0}</title><style>{1}</style></head><body><h1>Profile of {0}</h1>"
      "<p>{2} events in {3} messages of {4} symbols</p>",
      escaped(result.input), kStyle, quality.events, quality.messages, quality.symbols.size());
  if (quality.last_time != market::kNoTime)
    html += fmt::format("<p>{} to {}</p>", api::format_time(quality.first_time),
                        api::format_time(quality.last_time));
  html += expectations_part(result);
  html += "<h2>Events over time</h2>" + timeline(quality.activity);
  html += "<h2>Messages by kind</h2>" + bars("messages by kind", kinds);
  html += "<h2>What was found</h2>" + findings_part(result);
  html += "<h2>Gaps</h2>" + gaps_part(result);
  html +=
      "<h2>Symbols by activity</h2>" + bars("symbols by activity", active) + symbols_table(result);
  return html + "</body></html>\n";
}

}  // namespace tapedeck::apps
