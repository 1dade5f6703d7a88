// schemas/output_block.cpp -- outputs as variable-length numbers, differences from the one before.
// Structured bindings: a field more or less does not compile until it is handled here.
#include <algorithm>
#include <cstring>

#include "market/mixing.hpp"
#include "schemas/state_codec.hpp"
#include "schemas/varint.hpp"

namespace tapedeck::schemas {
namespace {

using market::Alert;
using market::Candle;
using market::Event;
using market::LateTrade;
using market::MetricsRow;
using market::Output;
using market::Refusal;

/// 2 where something is told that 1 does not know: candles by activity, further metrics.
constexpr std::uint64_t kBlockVersion = 1, kFurtherVersion = 2;
constexpr std::size_t kOutputBytes = 8;  ///< least size of one
constexpr std::uint64_t kKinds = 5, kTrustCodes = 4, kRules = market::kRefusalRules;
constexpr std::uint64_t kMaxNameBytes = 64;

/// What numbers are told as differences from.
struct Before {
  market::TimeNs time = 0, open_time = 0;
  market::SourceId source = 0;
  market::Offset offset = 0;
  market::Price price = 0;
  std::uint64_t number = 0;
  Event event;
  bool further = false;  ///< the block is of kFurtherVersion
};

void put(VarintWriter& out, const Candle& candle, Before& before) {
  const auto& [width, open_time, open, high, low, close, volume, buy_volume, sell_volume, notional,
               trades, revision, closed, ohlc_exact, number, end_time] = candle;
  out.put_signed(width);
  out.put_delta(open_time, before.open_time);
  out.put_delta(open, before.price);
  for (const auto price : {high, low, close})
    out.put_signed(static_cast<market::Price>(market::wrapping_sub(price, open)));
  out.put_wide(volume), out.put_wide(buy_volume), out.put_wide(sell_volume), out.put_wide(notional);
  out.put(trades), out.put(revision);
  const bool numbered = number != 0 || end_time != 0;
  out.put((closed ? 1u : 0u) | (ohlc_exact ? 2u : 0u) | (numbered ? 4u : 0u));
  if (!numbered) return;
  out.put_delta(number, before.number);
  market::TimeNs time = open_time;
  out.put_delta(end_time, time);
}

void take(VarintReader& in, Candle& candle, Before& before) {
  candle.width = in.get_signed();
  candle.open_time = in.get_delta(before.open_time);
  candle.open = in.get_delta(before.price);
  const auto from_open = [&] {  // unsigned: hostile bytes may overflow
    return static_cast<market::Price>(static_cast<std::uint64_t>(candle.open) +
                                      static_cast<std::uint64_t>(in.get_signed()));
  };
  candle.high = from_open(), candle.low = from_open(), candle.close = from_open();
  candle.volume = in.get_wide(), candle.buy_volume = in.get_wide(),
  candle.sell_volume = in.get_wide();
  candle.notional = in.get_wide();
  candle.trades = in.get(), candle.revision = static_cast<std::uint32_t>(in.get());
  const auto bits = in.get();
  candle.closed = (bits & 1) != 0, candle.ohlc_exact = (bits & 2) != 0;
  if ((bits & 4) == 0) return;
  candle.number = in.get_delta(before.number);
  market::TimeNs time = candle.open_time;
  candle.end_time = in.get_delta(time);
}

void put(VarintWriter& out, const market::Summary& summary) {
  const auto& [min, max, last, sum] = summary;
  out.put_signed(min), out.put_signed(max), out.put_signed(last), out.put_wide(sum);
}
void take(VarintReader& in, market::Summary& summary) {
  summary.min = in.get_signed(), summary.max = in.get_signed(), summary.last = in.get_signed();
  summary.sum = in.get_wide();
}

void put(VarintWriter& out, const MetricsRow& row, Before& before) {
  const auto& [width, open_time, samples, imbalance_ppm, spread, spread_samples,
               order_flow_imbalance, further] = row;
  out.put_signed(width);
  out.put_delta(open_time, before.open_time);
  out.put(samples), out.put(spread_samples);
  put(out, imbalance_ppm), put(out, spread);
  out.put_wide(order_flow_imbalance);
  if (!before.further) return;
  out.put(further.size());
  for (const auto& [series, count, values] : further) {
    out.put(static_cast<std::uint64_t>(series)), out.put(count);
    put(out, values);
  }
}
const char* take(VarintReader& in, MetricsRow& row, Before& before) {
  row.width = in.get_signed();
  row.open_time = in.get_delta(before.open_time);
  row.samples = in.get(), row.spread_samples = in.get();
  take(in, row.imbalance_ppm), take(in, row.spread);
  row.order_flow_imbalance = in.get_wide();
  if (!before.further) return nullptr;
  const auto count = in.get();
  if (count > market::kMetricSeries) return "too many metrics";
  for (std::uint64_t i = 0; i < count; ++i) {
    auto& one = row.further.emplace_back();
    const auto series = in.get();
    if (series >= market::kMetricSeries) return "unknown metric";
    one.series = static_cast<market::MetricSummary::Series>(series);
    one.count = in.get();
    take(in, one.values);
  }
  return nullptr;
}

bool is_further(const Output& output) {
  if (const auto* candle = std::get_if<Candle>(&output.body))
    return candle->number != 0 || candle->end_time != 0;
  const auto* row = std::get_if<MetricsRow>(&output.body);
  return row != nullptr && !row->further.empty();
}

void put(VarintWriter& out, const Event& event, Before& before) {
  const auto& [time, feed_time, receive_time, sequence, id, price, size, other, kind, side, flags,
               code] = event;
  out.put_delta(time, before.event.time), out.put_delta(feed_time, before.event.feed_time);
  out.put_delta(receive_time, before.event.receive_time),
      out.put_delta(sequence, before.event.sequence);
  out.put_delta(id, before.event.id), out.put_delta(price, before.event.price);
  out.put_signed(size), out.put_delta(other, before.event.other);
  out.put(static_cast<std::uint64_t>(kind)), out.put(static_cast<std::uint64_t>(side)),
      out.put(flags), out.put(code);
}
void take(VarintReader& in, Event& event, Before& before) {
  event.time = in.get_delta(before.event.time),
  event.feed_time = in.get_delta(before.event.feed_time);
  event.receive_time = in.get_delta(before.event.receive_time);
  event.sequence = in.get_delta(before.event.sequence);
  event.id = in.get_delta(before.event.id), event.price = in.get_delta(before.event.price);
  event.size = in.get_signed(), event.other = in.get_delta(before.event.other);
  // Whole, as it was refused: a kind or side that nobody knows stays what it is.
  event.kind = static_cast<market::EventKind>(in.get()),
  event.side = static_cast<market::Side>(in.get());
  event.flags = static_cast<std::uint8_t>(in.get()),
  event.code = static_cast<std::uint8_t>(in.get());
}

void put(VarintWriter& out, const LateTrade& late, Before& before) {
  const auto& [width, event, message_index] = late;
  out.put_signed(width), out.put(message_index);
  put(out, event, before);
}
void take(VarintReader& in, LateTrade& late, Before& before) {
  late.width = in.get_signed(), late.message_index = static_cast<std::uint32_t>(in.get());
  take(in, late.event, before);
}

void put(VarintWriter& out, const Refusal& refusal, Before& before) {
  const auto& [rule, event, message_index] = refusal;
  out.put(static_cast<std::uint64_t>(rule)), out.put(message_index);
  put(out, event, before);
}
void take(VarintReader& in, Refusal& refusal, Before& before) {
  refusal.rule = static_cast<market::Refused>(in.get()),
  refusal.message_index = static_cast<std::uint32_t>(in.get());
  take(in, refusal.event, before);
}

void put(VarintWriter& out, const Alert& alert, Before& before) {
  const auto& [rule, level, side, value, threshold, mean_sum, mean_count, stream, sequence,
               message_index, pattern] = alert;
  out.put(static_cast<std::uint64_t>(rule)), out.put(static_cast<std::uint64_t>(level));
  out.put(static_cast<std::uint64_t>(side));
  out.put_signed(value), out.put_signed(threshold), out.put_wide(mean_sum), out.put(mean_count);
  out.put(stream), out.put_delta(sequence, before.event.sequence), out.put(message_index);
  out.put(pattern.size());
  for (const char letter : pattern) out.put(static_cast<unsigned char>(letter));
}
/// What is wrong, or nothing.
const char* take(VarintReader& in, Alert& alert, Before& before) {
  const auto rule = in.get(), level = in.get(), side = in.get();
  if (rule >= market::kAlertRules || level >= market::kAlertLevels || side > 2)
    return "unknown alert";
  alert.rule = static_cast<market::AlertRule>(rule);
  alert.level = static_cast<market::AlertLevel>(level);
  alert.side = static_cast<market::Side>(side);
  alert.value = in.get_signed(), alert.threshold = in.get_signed();
  alert.mean_sum = in.get_wide(), alert.mean_count = in.get();
  const auto stream = in.get();
  if (stream > Alert::kByCount) return "unknown stream";
  alert.stream = static_cast<std::uint8_t>(stream);
  alert.sequence = in.get_delta(before.event.sequence);
  alert.message_index = static_cast<std::uint32_t>(in.get());
  const auto letters = in.get();
  if (letters > kMaxNameBytes) return "a pattern's name is too long";
  for (std::uint64_t i = 0; i < letters; ++i) alert.pattern += static_cast<char>(in.get());
  return nullptr;
}

const char* take_output(VarintReader& in, Output& output, Before& before) {
  const auto head = in.get();
  const auto kind = head / kTrustCodes;
  if (kind < 1 || kind > kKinds) return "unknown kind";
  output.trust = static_cast<market::Trust>(head % kTrustCodes);
  output.time = in.get_delta(before.time);
  output.source = in.get_delta(before.source);
  output.position.partition = static_cast<market::Partition>(in.get());
  output.position.offset = in.get_delta(before.offset);
  output.position.index = static_cast<std::uint32_t>(in.get());
  switch (static_cast<market::OutputKind>(kind)) {
    case market::OutputKind::candle: take(in, output.body.emplace<Candle>(), before); break;
    case market::OutputKind::metrics: take(in, output.body.emplace<MetricsRow>(), before); break;
    case market::OutputKind::late_trade: take(in, output.body.emplace<LateTrade>(), before); break;
    case market::OutputKind::refusal:
      take(in, output.body.emplace<Refusal>(), before);
      if (static_cast<std::uint64_t>(std::get<Refusal>(output.body).rule) >= kRules)
        return "unknown rule";
      break;
    case market::OutputKind::alert: return take(in, output.body.emplace<Alert>(), before);
  }
  return nullptr;
}

}  // namespace

std::string encode_block(std::span<const Output* const> outputs) {
  VarintWriter out;
  Before before;
  before.further = std::ranges::any_of(outputs, [](const Output* one) { return is_further(*one); });
  out.put(before.further ? kFurtherVersion : kBlockVersion);
  out.put(outputs.size());
  for (const Output* output : outputs) {
    out.put(static_cast<std::uint64_t>(output->kind()) * kTrustCodes +
            static_cast<std::uint64_t>(output->trust) % kTrustCodes);
    out.put_delta(output->time, before.time);
    out.put_delta(output->source, before.source);
    out.put(output->position.partition);
    out.put_delta(output->position.offset, before.offset);
    out.put(output->position.index);
    std::visit([&](const auto& body) { put(out, body, before); }, output->body);
  }
  const auto bytes = out.bytes();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

namespace {

tl::unexpected<Error> bad_block(const std::string& what, std::size_t at) {
  return fail(ErrorCode::corrupt, "outputs: " + what + " at byte " + std::to_string(at));
}

Result<void> take_block(VarintReader& in, std::size_t total, std::vector<Output>& outputs) {
  const auto begin = in.position();
  const auto version = in.get();
  if (in.failed() || version < kBlockVersion || version > kFurtherVersion) {
    return bad_block("version " + std::to_string(version) + " is not known", begin);
  }
  const auto at_count = in.position();
  const auto count = in.get();
  if (count > (total - begin) / kOutputBytes)
    return bad_block(std::to_string(count) + " outputs in fewer bytes", at_count);
  outputs.reserve(outputs.size() + count);
  Before before;
  before.further = version == kFurtherVersion;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto at = in.position();
    const char* wrong = take_output(in, outputs.emplace_back(), before);
    if (in.failed()) return bad_block("cut off or overlong", at);
    if (wrong != nullptr) return bad_block(wrong, at);
  }
  return {};
}

}  // namespace

Result<std::vector<Output>> decode_block(std::span<const std::byte> bytes) {
  VarintReader in({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  std::vector<Output> outputs;
  do {
    if (auto taken = take_block(in, bytes.size(), outputs); !taken)
      return tl::unexpected(std::move(taken.error()));
  } while (!in.at_end());
  return outputs;
}

}  // namespace tapedeck::schemas
