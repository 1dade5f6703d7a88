// schemas/control_codec.cpp -- quarantines, releases, changes of settings.
#include "schemas/state_codec.hpp"
#include "schemas/state_message.hpp"

namespace tapedeck::schemas {
namespace {

constexpr unsigned kMaxErrors = 64;
constexpr unsigned kMaxFeedTimes = 1 << 16;

constexpr bool may_be_due(market::OutputKind kind) {
  using enum market::OutputKind;
  return kind == candle || kind == metrics || kind == alert;
}

}  // namespace

std::string encode(const ControlRecord& record) {
  const auto& [kind, symbol, item, at, errors, settings, feed_times] = record;
  const bool changes = record.kind == ControlRecord::Kind::settings;
  const std::string settings_bytes = changes ? encode(record.settings) : std::string();
  std::size_t bytes =
      record.symbol.size() + 64 + settings_bytes.size() + record.feed_times.size() * 16;
  for (const auto& error : errors) bytes += error.size() + 24;
  return write_message<wire::ControlRecord>(bytes, [&](wire::ControlRecord::Builder to) {
    to.setVersion(kStateVersion);
    to.setKind(static_cast<std::uint8_t>(record.kind));
    put_text([&](auto text) { to.setSymbol(text); }, record.symbol);
    to.setPartition(record.item.position.partition), to.setOffset(record.item.position.offset);
    to.setIndex(record.item.position.index), to.setAt(record.at);
    if (record.item.due) {
      const auto& [source, due_kind, width, time] = *record.item.due;
      to.setDue(true), to.setDueKind(static_cast<std::uint8_t>(due_kind));
      to.setDueSource(source), to.setDueWidth(width), to.setDueTime(time);
    }
    auto list = to.initErrors(static_cast<unsigned>(record.errors.size()));
    for (unsigned i = 0; i < list.size(); ++i)
      put_text([&](auto text) { list.set(i, text); }, record.errors[i]);
    if (!changes) return;
    to.setSettings(
        {reinterpret_cast<const ::capnp::byte*>(settings_bytes.data()), settings_bytes.size()});
    auto times = to.initFeedTimes(static_cast<unsigned>(record.feed_times.size()));
    for (unsigned i = 0; i < times.size(); ++i) {
      times[i].setSource(record.feed_times[i].source);
      times[i].setFeedTime(record.feed_times[i].feed_time);
    }
  });
}

Result<ControlRecord> decode_control(std::span<const std::byte> bytes) {
  return read_message<wire::ControlRecord, ControlRecord>(
      "control record", bytes,
      [](wire::ControlRecord::Reader from, auto&& fault) -> Result<ControlRecord> {
        if (from.getKind() < 1 || from.getKind() > 3) return fault(nullptr, "unknown kind");
        if (from.getSymbol().size() > kMaxTextBytes) return fault(nullptr, "symbol too long");
        if (from.getErrors().size() > kMaxErrors) return fault(nullptr, "too many errors");
        ControlRecord record;
        record.kind = static_cast<ControlRecord::Kind>(from.getKind());
        record.symbol = text_of(from.getSymbol());
        record.item.position = {from.getPartition(), from.getOffset(), from.getIndex()};
        record.at = from.getAt();
        if (from.getDue()) {
          const auto due = static_cast<market::OutputKind>(from.getDueKind());
          if (!may_be_due(due)) return fault(nullptr, "unknown kind of due item");
          record.item.due = {from.getDueSource(), due, from.getDueWidth(), from.getDueTime()};
        }
        for (const auto error : from.getErrors()) record.errors.push_back(text_of(error));
        if (record.kind != ControlRecord::Kind::settings) return record;
        if (from.getFeedTimes().size() > kMaxFeedTimes) return fault(nullptr, "too many sources");
        for (const auto time : from.getFeedTimes())
          record.feed_times.push_back({time.getSource(), time.getFeedTime()});
        const auto stored = from.getSettings();
        auto settings = decode_settings(std::as_bytes(std::span(stored.begin(), stored.size())));
        if (!settings) return tl::unexpected(settings.error());
        record.settings = std::move(*settings);
        return record;
      });
}

}  // namespace tapedeck::schemas
