#include <utility>  // before asio, which in this version forgets it under C++20

#include <atomic>
#include <boost/asio.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <thread>

#include "api/peers.hpp"
#include "telemetry/metrics.hpp"

namespace tapedeck::api {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace net = boost::asio;
using boost::system::error_code;
using net::ip::tcp;

/// The content types that routes answer with; a view has to outlive the response.
std::string_view known_type(std::string_view type) {
  constexpr std::string_view kText = "text/plain; version=0.0.4; charset=utf-8";
  return type == kText ? kText : "application/json";
}

/// One question on its way.
class Question : public std::enable_shared_from_this<Question> {
public:
  Question(net::io_context& io, std::string address, const Request& request, Done done,
           std::chrono::milliseconds patience, std::atomic<std::size_t>& waiting,
           telemetry::Metrics* metrics)
      : resolver_(io),
        stream_(io),
        timer_(io),
        address_(std::move(address)),
        done_(std::move(done)),
        patience_(patience),
        waiting_(waiting),
        metrics_(metrics) {
    message_.method_string(request.method);
    message_.target(request.target);
    message_.version(11);
    message_.set(http::field::host, address_);
    message_.set(http::field::connection, "close");
    message_.set(boost::string_view(kForwardedHeader.data(), kForwardedHeader.size()), "1");
    parser_.body_limit(kMaxResponseBytes);
    parser_.skip(request.method == "HEAD");
  }
  ~Question() { --waiting_; }
  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;

  void start() {
    const auto colon = address_.rfind(':');
    timer_.expires_after(patience_);
    timer_.async_wait([self = shared_from_this()](error_code stopped) {
      if (!stopped) self->give_up();
    });
    resolver_.async_resolve(
        address_.substr(0, colon), colon == address_.npos ? "80" : address_.substr(colon + 1),
        [self = shared_from_this()](error_code error, const tcp::resolver::results_type& found) {
          if (error) return self->failed(error);
          if (self->late_) return self->failed(beast::error::timeout);
          self->stream_.async_connect(found, [self](error_code refused, const tcp::endpoint&) {
            refused ? self->failed(refused) : self->write();
          });
        });
  }

private:
  /// A resolver cannot always be stopped; who asked is told at once all the same.
  void give_up() {
    late_ = true;
    resolver_.cancel();
    stream_.close();
    failed(beast::error::timeout);
  }
  void write() {
    http::async_write(stream_, message_,
                      [self = shared_from_this()](error_code error, std::size_t) {
                        error ? self->failed(error) : self->read();
                      });
  }
  void read() {
    http::async_read(stream_, buffer_, parser_,
                     [self = shared_from_this()](error_code error, std::size_t) {
                       error ? self->failed(error) : self->answered();
                     });
  }
  void answered() {
    timer_.cancel();
    const auto& found = parser_.get();
    Response response;
    response.status = found.result_int();
    const auto type = found[http::field::content_type];
    response.content_type = known_type({type.data(), type.size()});
    response.headers = "Cache-Control: no-store\r\n";
    response.body = found.body();
    tell([response = std::move(response)] { return response; });
  }
  void tell(Render render) {
    if (auto done = std::exchange(done_, nullptr)) done(std::move(render));
  }
  void failed(const error_code& error) {
    timer_.cancel();
    if (!done_) return;
    if (metrics_ != nullptr) ++metrics_->http_forward_failures;
    const auto why = error == beast::error::timeout
                         ? "did not answer within " + std::to_string(patience_.count()) + " ms"
                         : "cannot be asked: " + error.message();
    tell([text = "recovering: the engine at " + address_ + ", which owns the symbol's partition, " +
                 why +
                 "; ask again"] { return error_response(503, "environment", text, "symbol"); });
  }

  tcp::resolver resolver_;
  beast::tcp_stream stream_;
  net::steady_timer timer_;
  beast::flat_buffer buffer_;
  http::request<http::empty_body> message_;
  http::response_parser<http::string_body> parser_;
  std::string address_;
  Done done_;
  std::chrono::milliseconds patience_;
  std::atomic<std::size_t>& waiting_;
  telemetry::Metrics* metrics_;
  bool late_ = false;
};

}  // namespace

struct Forwarder::Impl {
  Impl(ForwardLimits given, telemetry::Metrics* counters)
      : limits(given), metrics(counters), work(net::make_work_guard(io)) {
    thread = std::thread([this] { io.run(); });
  }
  ~Impl() {
    io.stop();
    thread.join();
  }
  ForwardLimits limits;
  telemetry::Metrics* metrics;
  std::atomic<std::size_t> waiting = 0;  // before io: its handlers count down
  net::io_context io;
  net::executor_work_guard<net::io_context::executor_type> work;
  std::thread thread;
};

Forwarder::Forwarder(ForwardLimits limits, telemetry::Metrics* metrics)
    : impl_(std::make_unique<Impl>(limits, metrics)) {}
Forwarder::~Forwarder() = default;

void Forwarder::ask(const std::string& address, const Request& request, Done done) {
  if (impl_->metrics != nullptr) ++impl_->metrics->http_forwarded;
  if (impl_->waiting.fetch_add(1) >= impl_->limits.waiting) {
    --impl_->waiting;
    if (impl_->metrics != nullptr) ++impl_->metrics->http_forward_failures;
    done([most = impl_->limits.waiting] {
      return error_response(503, "environment",
                            std::to_string(most) + " questions wait for other engines already");
    });
    return;
  }
  auto question = std::make_shared<Question>(impl_->io, address, request, std::move(done),
                                             impl_->limits.answer, impl_->waiting, impl_->metrics);
  net::post(impl_->io, [question = std::move(question)] { question->start(); });
}

}  // namespace tapedeck::api
