#include "api/stream.hpp"

#include <algorithm>
#include <utility>

namespace tapedeck::api {

namespace {

constexpr std::pair<std::string_view, Channel> kChannels[] = {{"book", Channel::book},
                                                              {"candles", Channel::candles},
                                                              {"metrics", Channel::metrics},
                                                              {"alerts", Channel::alerts},
                                                              {"refusals", Channel::refusals}};

std::string envelope(std::uint64_t seq, std::string_view type, std::string_view data) {
  std::string text = R"({"seq":)" + std::to_string(seq) + R"(,"type":")";
  text.append(type).append(R"(","data":)").append(data).push_back('}');
  return text;
}

bool wants(const StreamQuery& query, Channel channel, std::string_view symbol) {
  if (symbol.empty()) return true;
  return (query.channels & static_cast<std::uint8_t>(channel)) != 0 &&
         (query.symbols.empty() || query.symbols.contains(symbol));
}

}  // namespace

Result<std::uint8_t> parse_channels(std::string_view text) {
  if (text.empty()) return kAllChannels;
  std::uint8_t channels = 0;
  while (true) {
    const auto comma = text.find(',');
    const auto name = text.substr(0, comma);
    const auto found =
        std::ranges::find(kChannels, name, &std::pair<std::string_view, Channel>::first);
    if (found == std::end(kChannels)) {
      return fail(ErrorCode::invalid,
                  "channels: expected some of book, candles, metrics, alerts, refusals, found \"" +
                      std::string(name) + "\"",
                  "channels");
    }
    channels |= static_cast<std::uint8_t>(found->second);
    if (comma == text.npos) return channels;
    text.remove_prefix(comma + 1);
  }
}

/// A reader's end of the hub.
class StreamHub::Side final : public Subscription {
public:
  Side(std::shared_ptr<StreamHub> hub, std::shared_ptr<Reader> reader)
      : hub_(std::move(hub)), reader_(std::move(reader)) {}
  ~Side() override { hub_->leave(reader_.get()); }
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  std::vector<Message> take(std::size_t bytes) override { return hub_->take(*reader_, bytes); }
  bool ended() const override {
    const std::lock_guard lock(hub_->mutex_);
    return hub_->ended_ && reader_->own.empty() && reader_->next == hub_->next_seq_;
  }

private:
  std::shared_ptr<StreamHub> hub_;
  std::shared_ptr<Reader> reader_;
};

Result<std::unique_ptr<Subscription>> StreamHub::subscribe(StreamQuery query,
                                                           std::function<void()> wake) {
  auto reader = std::make_shared<Reader>();
  reader->query = std::move(query), reader->wake = std::move(wake);
  {
    const std::lock_guard lock(mutex_);
    if (readers_.size() >= limits_.subscribers) {
      return fail(ErrorCode::exhausted,
                  "this stream has " + std::to_string(limits_.subscribers) +
                      " subscribers already, more are not allowed",
                  "replay");
    }
    const auto resume = reader->query.resume;
    reader->next = resume ? *resume + 1 : next_seq_;
    if (resume && (reader->next < first() || reader->next > next_seq_)) {
      lose(*reader);
    } else {
      reader->joining = !resume;
    }
    readers_.push_back(reader);
    ever_read_ = true;
  }
  need_();
  return std::make_unique<Side>(shared_from_this(), std::move(reader));
}

void StreamHub::leave(const Reader* reader) {
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(readers_, [reader](const auto& other) { return other.get() == reader; });
    trim();
  }
  need_();
}

std::size_t StreamHub::subscribers() const {
  const std::lock_guard lock(mutex_);
  return readers_.size();
}

bool StreamHub::wanted() const {
  const std::lock_guard lock(mutex_);
  return ever_read_;
}

/// Says which messages are lost, and has it begin anew with snapshots.
void StreamHub::lose(Reader& reader) {
  ++gaps_;
  const auto from = std::min(reader.next, next_seq_);
  reader.own.clear();
  reader.own.push_back(std::make_shared<std::string>(envelope(
      next_seq_ - 1, "gap",
      R"({"from":)" + std::to_string(from) + R"(,"to":)" + std::to_string(next_seq_) + "}")));
  reader.next = next_seq_;
  reader.joining = true;
}

std::vector<Message> StreamHub::take(Reader& reader, std::size_t bytes) {
  std::vector<Message> messages;
  bool need = false;
  {
    const std::lock_guard lock(mutex_);
    const bool was_room = room_locked();
    if (reader.next < first()) lose(reader), need = true;
    std::size_t taken = 0;
    for (; !reader.own.empty() && taken < bytes; reader.own.pop_front()) {
      taken += reader.own.front()->size();
      messages.push_back(std::move(reader.own.front()));
    }
    for (; !reader.joining && reader.next < next_seq_ && taken < bytes; ++reader.next) {
      const auto& entry = kept_[reader.next - first()];
      if (!wants(reader.query, entry.channel, entry.symbol)) continue;
      taken += entry.text->size();
      messages.push_back(entry.text);
    }
    need = need || (!was_room && room_locked());
  }
  if (need) need_();
  return messages;
}

bool StreamHub::room_locked() const {
  return std::ranges::all_of(readers_, [this](const auto& reader) {
    return reader->joining || next_seq_ - reader->next < limits_.kept_messages / 2;
  });
}

bool StreamHub::room() const {
  const std::lock_guard lock(mutex_);
  return room_locked();
}

void StreamHub::trim() {
  while (kept_.size() > limits_.kept_messages) kept_.pop_front();
}

void StreamHub::publish(Channel channel, std::string_view symbol, std::string_view type,
                        std::string_view data) {
  const std::lock_guard lock(mutex_);
  const auto seq = next_seq_++;
  kept_.push_back(
      {channel, std::string(symbol), std::make_shared<std::string>(envelope(seq, type, data))});
  trim();
  for (const auto& reader : readers_) {
    const bool first_for_it = reader->next == seq;
    if (!reader->joining && first_for_it) {
      if (wants(reader->query, channel, symbol)) {
        reader->wake();
      } else {
        reader->next = next_seq_;
      }
    }
  }
}

void StreamHub::admit(const std::function<std::vector<std::string>(const Wants&)>& snapshots) {
  std::vector<std::shared_ptr<Reader>> joining;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& reader : readers_)
      if (reader->joining) joining.push_back(reader);
  }
  for (const auto& reader : joining) {  // its query does not change
    const auto data = snapshots(
        [&](std::string_view symbol) { return wants(reader->query, Channel::book, symbol); });
    const std::lock_guard lock(mutex_);
    for (const auto& one : data) {
      reader->own.push_back(
          std::make_shared<std::string>(envelope(next_seq_ - 1, "book_snapshot", one)));
    }
    reader->next = next_seq_;
    reader->joining = false;
    reader->wake();
  }
}

void StreamHub::restart() {
  const std::lock_guard lock(mutex_);
  for (const auto& reader : readers_) {
    if (reader->joining) continue;
    // What was told before is told to the end: it goes in front of the snapshots.
    if (reader->next < first()) lose(*reader);
    for (; reader->next < next_seq_; ++reader->next) {
      const auto& entry = kept_[reader->next - first()];
      if (wants(reader->query, entry.channel, entry.symbol)) reader->own.push_back(entry.text);
    }
    reader->joining = true;
  }
}

void StreamHub::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  for (const auto& reader : readers_) reader->joining = false, reader->wake();
}

std::uint64_t StreamHub::published() const {
  const std::lock_guard lock(mutex_);
  return next_seq_ - 1;
}

std::uint64_t StreamHub::gaps() const {
  const std::lock_guard lock(mutex_);
  return gaps_;
}

}  // namespace tapedeck::api
