// api/stream.hpp -- what WS /v1/stream sends: messages, who wants which of them, and the hub
// between one producer and its subscribers.
//
// A message is {"seq", "type", "data"}. Types, and what `data` is:
//
//   book_snapshot  a book (api/json.hpp) of the stream's depth: begins each symbol, and begins it
//                  anew behind a gap or a seek
//   book           {symbol, position, event_time, trust, trust_since, digest, bids, asks}: levels
//                  that changed; size "0" in the instrument's digits: the level is out of the depth
//   candle         a candle that is open (at most 5 times a second and symbol) or has closed
//   correction     a candle, revision above 0
//   metrics, alert, late_trade, refusal   as api/output_json.hpp says
//   trust          {symbol, position, trust, trust_since}: a gap in the data, or that it is healed
//   gap            {from, to}: messages from seq `from` on, before `to`, are lost to this
//   subscriber;
//                  book_snapshots follow
//   replay         a replay's status, when it plays, pauses, is sought, begins anew or ends
//
// `seq` counts a stream's messages, those that a subscriber has filtered out too; it is the resume
// token: `resume=seq` goes on behind that message while it is kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "market/result.hpp"

namespace tapedeck::api {

enum class Channel : std::uint8_t { book = 1, candles = 2, metrics = 4, alerts = 8, refusals = 16 };
constexpr std::uint8_t kAllChannels = 31;
/// `book,candles,...`; empty: all. Error `invalid` (field "channels").
[[nodiscard]] Result<std::uint8_t> parse_channels(std::string_view text);

struct StreamQuery {
  std::set<std::string, std::less<>> symbols;  ///< empty: all of the stream's
  std::uint8_t channels = kAllChannels;
  std::string replay;
  std::optional<std::uint64_t> resume;
};

using Message = std::shared_ptr<const std::string>;

/// One subscriber's side. Thread safe; ends with its object.
class Subscription {
public:
  virtual ~Subscription() = default;
  /// Messages in order, at least one if there is any, about `bytes` at most. None: `wake` is called
  /// when there are some, or when the stream ended.
  [[nodiscard]] virtual std::vector<Message> take(std::size_t bytes) = 0;
  /// No message will come any more.
  [[nodiscard]] virtual bool ended() const = 0;
};

struct StreamLimits {
  std::size_t kept_messages = 16'384;  ///< for those who resume, and between producer and readers
  std::size_t subscribers = 64;        ///< error `exhausted` to the one too many
};

/// Between one producer, on one thread, and subscribers on any. A producer that asks for room()
/// first loses nothing for anybody; one that does not has a slow subscriber told of a gap.
class StreamHub : public std::enable_shared_from_this<StreamHub> {
public:
  /// `need` is called on any thread, not with the hub locked: somebody joined or left, or there is
  /// room again.
  StreamHub(StreamLimits limits, std::function<void()> need)
      : limits_(limits), need_(std::move(need)) {}

  /// Waits for its snapshots until the producer admits it, unless it can resume. `wake` must not
  /// call back. Error `exhausted`.
  [[nodiscard]] Result<std::unique_ptr<Subscription>> subscribe(StreamQuery query,
                                                                std::function<void()> wake);
  [[nodiscard]] std::size_t subscribers() const;

  // The producer's side.
  [[nodiscard]] bool room() const;
  /// Somebody reads, or may come back to.
  [[nodiscard]] bool wanted() const;
  /// `symbol` empty: for everybody.
  void publish(Channel channel, std::string_view symbol, std::string_view type,
               std::string_view data);
  /// Gives those who wait for it their snapshots: `snapshots(wants)` makes messages' data for the
  /// symbols that are wanted.
  using Wants = std::function<bool(std::string_view symbol)>;
  void admit(const std::function<std::vector<std::string>(const Wants&)>& snapshots);
  /// Everybody begins anew with snapshots: what is told goes on elsewhere.
  void restart();
  void end();
  /// Messages published, and gaps told.
  [[nodiscard]] std::uint64_t published() const;
  [[nodiscard]] std::uint64_t gaps() const;

private:
  struct Entry {
    Channel channel = Channel::book;
    std::string symbol;
    Message text;
  };
  struct Reader {
    StreamQuery query;
    std::function<void()> wake;
    std::uint64_t next = 0;  ///< seq of the message that it reads next
    bool joining = false;    ///< waits for snapshots
    std::deque<Message> own;
  };
  class Side;

  [[nodiscard]] std::vector<Message> take(Reader& reader, std::size_t bytes);
  void leave(const Reader* reader);
  [[nodiscard]] std::uint64_t first() const { return next_seq_ - kept_.size(); }
  [[nodiscard]] bool room_locked() const;
  void lose(Reader& reader);
  void trim();

  const StreamLimits limits_;
  const std::function<void()> need_;
  mutable std::mutex mutex_;
  std::deque<Entry> kept_;
  std::uint64_t next_seq_ = 1, gaps_ = 0;
  std::vector<std::shared_ptr<Reader>> readers_;
  bool ever_read_ = false, ended_ = false;
};

}  // namespace tapedeck::api
