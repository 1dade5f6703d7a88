#include "chaos/http_get.hpp"

#include <utility>  // before asio, which in this version forgets it under C++20

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

namespace tapedeck::chaos {

namespace beast = boost::beast;
namespace http = beast::http;

std::optional<HttpAnswer> http_get(std::uint16_t port, const std::string& target,
                                   std::chrono::milliseconds patience) {
  boost::asio::io_context context;
  beast::tcp_stream stream(context);
  stream.expires_after(patience);
  http::request<http::empty_body> request(http::verb::get, target, 11);
  request.set(http::field::host, "127.0.0.1");
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  parser.body_limit(boost::none);
  bool whole = false;
  stream.async_connect({boost::asio::ip::address_v4::loopback(), port}, [&](auto error) {
    if (error) return;
    http::async_write(stream, request, [&](auto failed, std::size_t) {
      if (failed) return;
      http::async_read(stream, buffer, parser, [&](auto broken, std::size_t) { whole = !broken; });
    });
  });
  context.run();
  if (!whole) return std::nullopt;
  return HttpAnswer{parser.get().result_int(), std::move(parser.get().body())};
}

}  // namespace tapedeck::chaos
