#include "api/stream_session.hpp"

#include <boost/beast/websocket.hpp>
#include <vector>

namespace tapedeck::api {
namespace {

namespace beast = boost::beast;
namespace net = boost::asio;
namespace websocket = beast::websocket;
using boost::system::error_code;

constexpr std::size_t kTakeBytes = 256 * 1024;
constexpr std::size_t kMaxReadBytes = 4 * 1024;  ///< of a message that a client sends

class StreamSession : public std::enable_shared_from_this<StreamSession> {
public:
  StreamSession(StreamExecutor executor, std::shared_ptr<Gate> gate)
      : executor_(std::move(executor)), gate_(std::move(gate)) {}

  /// From any thread.
  [[nodiscard]] std::function<void()> wake() {
    return [gate = gate_, weak = weak_from_this()] {
      gate->pass([&weak] {
        auto self = weak.lock();
        if (!self) return;
        const auto executor = self->executor_;
        net::post(executor, [self = std::move(self)] { self->pump(); });
      });
    };
  }

  void start(ClientStream client, UpgradeRequest request,
             std::unique_ptr<Subscription> subscription, std::unique_ptr<ConnectionCount> count,
             const ServerLimits& limits) {
    subscription_ = std::move(subscription), count_ = std::move(count);
    request_ = std::move(request);
    client.expires_never();
    socket_.emplace(std::move(client));
    // A client that does not read answers no ping either.
    socket_->set_option(websocket::stream_base::timeout{limits.write, limits.idle, true});
    socket_->read_message_max(kMaxReadBytes);
    socket_->text(true);
    socket_->async_accept(request_, [self = shared_from_this()](error_code error) {
      if (error) return;
      self->open_ = true;
      self->read();
      self->pump();
    });
  }

private:
  void read() {
    socket_->async_read(buffer_, [self = shared_from_this()](error_code error, std::size_t) {
      if (error) return self->end();
      self->buffer_.clear();
      self->read();
    });
  }

  void pump() {
    if (!open_ || writing_ || subscription_ == nullptr) return;
    if (at_ == messages_.size()) {
      messages_ = subscription_->take(kTakeBytes);
      at_ = 0;
    }
    if (messages_.empty()) {
      if (subscription_->ended()) close();
      return;
    }
    writing_ = true;
    socket_->async_write(net::buffer(*messages_[at_]),
                         [self = shared_from_this()](error_code error, std::size_t) {
                           self->writing_ = false;
                           if (error) return self->end();
                           ++self->at_;
                           self->pump();
                         });
  }

  void close() {
    open_ = false;
    subscription_.reset();
    socket_->async_close(websocket::close_code::normal, [self = shared_from_this()](error_code) {});
  }

  void end() {
    open_ = false;
    subscription_.reset();
  }

  StreamExecutor executor_;
  std::shared_ptr<Gate> gate_;
  std::unique_ptr<ConnectionCount> count_;
  UpgradeRequest request_;
  std::optional<websocket::stream<ClientStream>> socket_;
  beast::flat_buffer buffer_;
  std::unique_ptr<Subscription> subscription_;
  std::vector<Message> messages_;
  std::size_t at_ = 0;
  bool open_ = false, writing_ = false;
};

}  // namespace

Result<void> start_stream_session(ClientStream& client, UpgradeRequest request,
                                  const Subscribe& subscribe, std::shared_ptr<Gate> gate,
                                  std::unique_ptr<ConnectionCount>& count,
                                  const ServerLimits& limits) {
  const auto session = std::make_shared<StreamSession>(client.get_executor(), std::move(gate));
  auto subscription = subscribe(session->wake());
  if (!subscription) return tl::unexpected(std::move(subscription.error()));
  session->start(std::move(client), std::move(request), std::move(*subscription), std::move(count),
                 limits);
  return {};
}

}  // namespace tapedeck::api
