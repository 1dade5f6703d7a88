#include "chaos/net_proxy.hpp"

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <list>
#include <thread>

#include "feeds/random.hpp"

namespace tapedeck::chaos {

namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;

constexpr std::size_t kChunk = 64 << 10;
constexpr std::size_t kSlowChunk = 4 << 10;
constexpr milliseconds kSlowPause{62};  // 64 KiB a second
constexpr std::uint64_t kLeastLatencyMs = 50, kLatencySpreadMs = 200;

/// Closing it then resets the connection.
void abandon(tcp::socket& socket) {
  boost::system::error_code ignored;
  socket.set_option(asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

}  // namespace

std::string_view name(NetFault fault) noexcept {
  constexpr std::array<std::string_view, kNetFaults> names{"none", "latency", "cut", "slow",
                                                           "half-open"};
  return names[static_cast<std::size_t>(fault)];
}

struct NetProxy::Impl {
  struct Link : std::enable_shared_from_this<Link> {
    Link(Impl& proxy, tcp::socket accepted)
        : owner(proxy), near(std::move(accepted)), far(proxy.context) {}

    /// One direction: a chunk is read, waits as long as the fault says, is written.
    struct Way {
      tcp::socket& from;
      tcp::socket& to;
      asio::steady_timer timer;
      std::array<char, kChunk> bytes;
      Way(asio::io_context& context, tcp::socket& source, tcp::socket& sink)
          : from(source), to(sink), timer(context) {}
    };

    void begin() {
      const tcp::endpoint to(asio::ip::address_v4::loopback(), owner.target);
      far.async_connect(to, [self = shared_from_this()](auto error) {
        if (error) return self->end();
        self->read(self->out);
        self->read(self->back);
      });
    }
    void read(Way& way) {
      const auto most = owner.fault == NetFault::slow ? kSlowChunk : kChunk;
      way.from.async_read_some(asio::buffer(way.bytes.data(), most),
                               [self = shared_from_this(), &way](auto error, std::size_t size) {
                                 if (error) return self->end_from(way);
                                 self->carry(way, size);
                               });
    }
    void carry(Way& way, std::size_t size) {
      if (owner.fault == NetFault::half_open) dead = true;
      if (dead) return read(way);
      milliseconds pause{0};
      if (owner.fault == NetFault::slow) pause = kSlowPause;
      if (owner.fault == NetFault::latency)
        pause = milliseconds(kLeastLatencyMs + owner.random.below(kLatencySpreadMs));
      if (pause.count() == 0) return write(way, size);
      way.timer.expires_after(pause);
      way.timer.async_wait([self = shared_from_this(), &way, size](auto error) {
        if (!error) self->write(way, size);
      });
    }
    void write(Way& way, std::size_t size) {
      asio::async_write(way.to, asio::buffer(way.bytes.data(), size),
                        [self = shared_from_this(), &way](auto error, std::size_t) {
                          if (error) return self->end();
                          self->read(way);
                        });
    }
    /// Of a dead link the other end learns nothing.
    void end_from(Way& way) {
      if (dead) return abandon(way.from);
      end();
    }
    void end() {
      abandon(near), abandon(far);
      out.timer.cancel(), back.timer.cancel();
    }

    Impl& owner;
    tcp::socket near, far;
    Way out{owner.context, near, far}, back{owner.context, far, near};
    bool dead = false;
  };

  explicit Impl(std::uint64_t seed)
      : random(seed), acceptor(context, {asio::ip::address_v4::loopback(), 0}) {
    accept();
    thread = std::thread([this] { context.run(); });
  }
  ~Impl() {
    context.stop();
    thread.join();
  }

  void accept() {
    acceptor.async_accept([this](auto error, tcp::socket socket) {
      if (error) return;
      ++connections;
      if (fault == NetFault::cut) {
        abandon(socket);
      } else {
        auto link = std::make_shared<Link>(*this, std::move(socket));
        links.remove_if([](const auto& one) { return one.expired(); });
        links.push_back(link);
        link->begin();
      }
      accept();
    });
  }
  void end_all() {
    for (const auto& link : links) {
      if (const auto open = link.lock()) open->end();
    }
    links.clear();
  }

  feeds::Random random;
  asio::io_context context;
  tcp::acceptor acceptor;
  NetFault fault = NetFault::none;  ///< of its thread alone, as all below
  std::uint16_t target = 0;
  std::list<std::weak_ptr<Link>> links;
  std::atomic<std::uint64_t> connections = 0;
  std::thread thread;
};

NetProxy::NetProxy(std::uint64_t seed) : impl_(std::make_unique<Impl>(seed)) {}
NetProxy::~NetProxy() = default;

std::uint16_t NetProxy::port() const noexcept { return impl_->acceptor.local_endpoint().port(); }

void NetProxy::lead_to(std::uint16_t port) {
  asio::post(impl_->context, [impl = impl_.get(), port] { impl->target = port; });
}

void NetProxy::inject(NetFault fault) {
  asio::post(impl_->context, [impl = impl_.get(), fault] {
    impl->fault = fault;
    if (fault == NetFault::cut) impl->end_all();
  });
}

std::uint64_t NetProxy::connections() const noexcept { return impl_->connections; }

}  // namespace tapedeck::chaos
