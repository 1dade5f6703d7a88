#include "api/server.hpp"

#include <utility>  // before asio, which in this version forgets it under C++20

#include <array>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "api/gate.hpp"
#include "api/json.hpp"
#include "api/replays.hpp"
#include "api/stream_session.hpp"
#include "telemetry/metrics.hpp"

namespace tapedeck::api {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace net = boost::asio;
using boost::system::error_code;
using net::ip::tcp;
using Clock = std::chrono::steady_clock;
using Executor = StreamExecutor;
using Stream = ClientStream;
using Timer = net::basic_waitable_timer<Clock, net::wait_traits<Clock>, Executor>;

constexpr std::size_t kReadBufferBytes = 64 * 1024;  // of one connection
constexpr std::size_t kDrainBytes = 256 * 1024;      // of a request that was refused half read
constexpr std::chrono::seconds kDrainTime{2};
constexpr std::chrono::milliseconds kAcceptRetry{100};

/// What all connections share; owned by the server, which outlives them.
struct Shared {
  Router router;
  Backend& backend;
  ServerLimits limits;
  telemetry::Metrics* metrics;
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  std::atomic<std::size_t> connections{0};
};

/// One client. All its work runs on its strand: read, ask the engine, write, read again.
class Connection : public std::enable_shared_from_this<Connection> {
public:
  Connection(Stream::socket_type socket, Shared& shared)
      : stream_(std::move(socket)),
        timer_(stream_.get_executor()),
        buffer_(kReadBufferBytes),
        shared_(shared),
        count_(std::make_unique<ConnectionCount>(shared.connections, shared.metrics)) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void start() {
    net::dispatch(stream_.get_executor(), [self = shared_from_this()] {
      error_code ignored;
      self->stream_.socket().set_option(tcp::no_delay(true), ignored);
      self->read();
    });
  }

  [[nodiscard]] Executor executor() { return stream_.get_executor(); }

  /// On the strand. A late or second answer to a request is dropped.
  void answered(std::uint64_t request, const Render& render) {
    if (request != request_ || !waiting_) return;
    waiting_ = false;
    timer_.cancel();
    respond(render_response(render));
  }

private:
  void read() {
    parser_.emplace();
    parser_->header_limit(shared_.limits.header_bytes);
    parser_->body_limit(shared_.limits.body_bytes);
    stream_.expires_after(shared_.limits.idle);
    http::async_read(
        stream_, buffer_, *parser_,
        [self = shared_from_this()](error_code error, std::size_t) { self->on_read(error); });
  }

  void on_read(error_code error) {
    started_ = Clock::now();
    if (!error) return ask();
    keep_alive_ = head_only_ = false;
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
      return respond(error_response(
          431, "header_too_large",
          "expected at most " + std::to_string(shared_.limits.header_bytes) + " bytes of header"));
    }
    if (error == http::error::body_limit) {
      return respond(error_response(
          413, "body_too_large",
          "expected at most " + std::to_string(shared_.limits.body_bytes) + " bytes of body"));
    }
    const bool gone = error == http::error::end_of_stream || error == http::error::partial_message;
    if (!gone && error.category() == http::make_error_code(http::error::bad_method).category()) {
      return respond(error_response(400, "invalid", "not an HTTP request: " + error.message()));
    }
    close();
  }

  void ask() {
    const auto& message = parser_->get();
    keep_alive_ = message.keep_alive();
    old_version_ = message.version() < 11;
    head_only_ = message.method() == http::verb::head;
    const auto text = [](beast::string_view view) { return std::string(view); };
    const boost::string_view forwarded(kForwardedHeader.data(), kForwardedHeader.size());
    Request request{text(message.method_string()),
                    text(message.target()),
                    text(message[http::field::if_none_match]),
                    text(message[http::field::origin]),
                    text(message[http::field::host]),
                    message.body(),
                    message.find(forwarded) != message.end()};
    if (beast::websocket::is_upgrade(message)) return upgrade(request);
    waiting_ = true;
    ++request_;
    timer_.expires_after(shared_.limits.reply);
    timer_.async_wait([self = shared_from_this(), asked = request_](error_code error) {
      if (!error)
        self->answered(asked, [] {
          return error_response(503, "timeout", "the engine did not answer in time; try again");
        });
    });
    shared_.router.handle(
        request, [gate = shared_.gate, weak = weak_from_this(), asked = request_](Render render) {
          gate->pass([&] {
            auto self = weak.lock();
            if (!self) return;
            const auto executor = self->executor();
            net::post(executor, [self = std::move(self), asked, render = std::move(render)] {
              self->answered(asked, render);
            });
          });
        });
  }

  /// To a WebSocket: the connection is the stream's from then on.
  void upgrade(const Request& request) {
    if (auto refused = Router::refuse_upgrade(request)) return respond(*std::move(refused));
    auto query = parse_stream_query(request.target);
    Result<void> started = query.map([](const auto&) {});
    if (query) {
      started = start_stream_session(
          stream_, parser_->release(),
          [this, &query](std::function<void()> wake) {
            return shared_.backend.subscribe(*std::move(query), std::move(wake));
          },
          shared_.gate, count_, shared_.limits);
    }
    if (!started)
      respond(error_response(http_status(started.error().code), name(started.error().code),
                             started.error().message, started.error().field));
  }

  void respond(Response response) {
    response_ = std::move(response);
    if (auto* metrics = shared_.metrics) {
      metrics->http_requests.fetch_add(1, std::memory_order_relaxed);
      if (response_.status >= 400) metrics->http_errors.fetch_add(1, std::memory_order_relaxed);
      const auto taken =
          std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - started_);
      metrics->http_ns.record(static_cast<std::uint64_t>(taken.count()));
    }
    const auto body =
        response_.static_body.empty() ? std::string_view(response_.body) : response_.static_body;
    make_head(body.size());
    const std::array<net::const_buffer, 2> parts = {
        net::buffer(head_), head_only_ ? net::const_buffer{} : net::buffer(body)};
    stream_.expires_after(shared_.limits.write);
    net::async_write(stream_, parts, [self = shared_from_this()](error_code error, std::size_t) {
      if (error) return self->close();
      self->keep_alive_ ? self->read() : self->finish();
    });
  }

  void make_head(std::size_t body_bytes) {
    const auto reason = http::obsolete_reason(http::int_to_status(response_.status));
    head_ = "HTTP/1.1 " + std::to_string(response_.status) + ' ';
    head_.append(reason.data(), reason.size()).append("\r\n");
    if (response_.status != 304) {
      head_.append("Content-Type: ").append(response_.content_type).append("\r\nContent-Length: ");
      head_.append(std::to_string(body_bytes)).append("\r\n");
    }
    head_.append("X-Content-Type-Options: nosniff\r\n").append(response_.headers);
    if (!keep_alive_) {
      head_.append("Connection: close\r\n");
    } else if (old_version_) {
      head_.append("Connection: keep-alive\r\n");
    }
    head_.append("\r\n");
  }

  /// Says that no more comes, then reads what the client still sends: closing at once would make
  /// the kernel take back what was written last.
  void finish() {
    error_code ignored;
    stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    stream_.expires_after(kDrainTime);
    drain(0);
  }

  void drain(std::size_t so_far) {
    buffer_.clear();
    stream_.async_read_some(
        buffer_.prepare(kReadBufferBytes),
        [self = shared_from_this(), so_far](error_code error, std::size_t bytes) {
          if (error || so_far + bytes > kDrainBytes) return self->close();
          self->drain(so_far + bytes);
        });
  }

  void close() {
    error_code ignored;
    stream_.socket().close(ignored);
  }

  Stream stream_;
  Timer timer_;
  beast::flat_buffer buffer_;
  Shared& shared_;
  std::optional<http::request_parser<http::string_body>> parser_;
  Response response_;
  std::string head_;
  Clock::time_point started_;
  std::uint64_t request_ = 0;  // numbers the requests, so that a late answer is known
  bool waiting_ = false;
  bool keep_alive_ = false;
  bool old_version_ = false;
  bool head_only_ = false;
  std::unique_ptr<ConnectionCount> count_;
};

std::string endpoint_text(const tcp::endpoint& endpoint) {
  const auto host = endpoint.address().to_string();
  return (endpoint.address().is_v6() ? '[' + host + ']' : host) + ':' +
         std::to_string(endpoint.port());
}

Error listen_error(const tcp::endpoint& endpoint, const error_code& error) {
  const auto where = endpoint_text(endpoint);
  if (error == net::error::address_in_use) {
    return {ErrorCode::environment, where + " is in use; choose another with --port", "port"};
  }
  if (error == net::error::access_denied) {
    return {ErrorCode::environment,
            where + " is not permitted; choose a port above 1023 with --port", "port"};
  }
  return {ErrorCode::environment, where + " cannot be listened on: " + error.message(), "address"};
}

}  // namespace

struct Server::Impl {
  Impl(ServerOptions options, Backend& backend, telemetry::Metrics* metrics)
      : forwarder(options.peers == nullptr ? nullptr
                                           : std::make_unique<Forwarder>(ForwardLimits{}, metrics)),
        shared{Router(backend, std::move(options.files), options.peers, forwarder.get()), backend,
               options.limits, metrics},
        io(static_cast<int>(options.threads)),
        acceptor(net::make_strand(io)),
        retry(acceptor.get_executor()) {}

  [[nodiscard]] std::optional<Error> listen(const tcp::endpoint& endpoint) {
    error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(net::socket_base::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(net::socket_base::max_listen_connections, error);
    if (error) return listen_error(endpoint, error);
    port = acceptor.local_endpoint().port();
    return std::nullopt;
  }

  void accept() {
    acceptor.async_accept(net::make_strand(io),
                          [this](error_code error, Stream::socket_type socket) {
                            if (error == net::error::operation_aborted) return;
                            if (error)
                              return accept_later();  // out of file descriptors, most likely
                            if (shared.connections.load() < shared.limits.connections) {
                              std::make_shared<Connection>(std::move(socket), shared)->start();
                            } else {
                              refuse(socket);
                            }
                            accept();
                          });
  }

  void accept_later() {
    retry.expires_after(kAcceptRetry);
    retry.async_wait([this](error_code error) {
      if (!error) accept();
    });
  }

  /// A fresh socket takes these few bytes at once; what it does not take is not worth waiting for.
  static void refuse(Stream::socket_type& socket) {
    constexpr std::string_view kBusy =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: "
        "close\r\n\r\n";
    error_code ignored;
    socket.non_blocking(true, ignored);
    socket.write_some(net::buffer(kBusy), ignored);
    socket.shutdown(tcp::socket::shutdown_both, ignored);
  }

  void run() {
    for (;;) {
      try {
        io.run();
        return;
      } catch (const std::exception&) {  // of one connection, which went with its handler
        if (shared.metrics != nullptr)
          shared.metrics->http_errors.fetch_add(1, std::memory_order_relaxed);
      }
    }
  }

  std::unique_ptr<Forwarder> forwarder;
  Shared shared;
  net::io_context io;
  net::basic_socket_acceptor<tcp, Executor> acceptor;
  Timer retry;
  std::vector<std::thread> threads;
  std::uint16_t port = 0;
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { stop(); }

Result<std::unique_ptr<Server>> Server::start(ServerOptions options, Backend& backend,
                                              telemetry::Metrics* metrics) {
  error_code error;
  const auto address = net::ip::make_address(options.address, error);
  if (error) {
    return fail(ErrorCode::invalid,
                "address: expected an IP address, found \"" + options.address + "\"", "address");
  }
  if (options.threads == 0)
    return fail(ErrorCode::invalid, "threads: expected at least 1, found 0", "threads");
  const tcp::endpoint endpoint(address, options.port);
  const auto threads = options.threads;
  auto impl = std::make_unique<Impl>(std::move(options), backend, metrics);
  if (auto failed = impl->listen(endpoint)) return tl::unexpected(*std::move(failed));
  impl->accept();
  for (unsigned i = 0; i < threads; ++i) {
    impl->threads.emplace_back([server = impl.get()] { server->run(); });
  }
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

std::uint16_t Server::port() const noexcept { return impl_->port; }

void Server::stop() {
  impl_->io.stop();
  for (auto& thread : impl_->threads) thread.join();
  impl_->threads.clear();
  impl_->shared.gate->close();
  error_code ignored;
  impl_->acceptor.close(ignored);
}

}  // namespace tapedeck::api
