// tests/api/http_client.hpp -- a plain socket that sends bytes and reads HTTP responses; 20 s at
// most for each step.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tapedeck::test {

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;
};

class HttpClient {
public:
  explicit HttpClient(std::uint16_t port, int receive_buffer = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0)
      ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const timeval limit{20, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
      throw std::runtime_error("cannot connect");
  }
  ~HttpClient() { ::close(socket_); }
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) throw std::runtime_error("cannot send");
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void request(std::string_view method, std::string_view target, std::string_view headers = {}) {
    send(std::string(method)
             .append(" ")
             .append(target)
             .append(" HTTP/1.1\r\nHost: test\r\n")
             .append(headers)
             .append("\r\n"));
  }
  /// The next response; `head`: it has no body whatever its length says.
  HttpAnswer read(bool head = false) {
    HttpAnswer answer;
    while (buffer_.find("\r\n\r\n") == buffer_.npos) more();
    const auto end = buffer_.find("\r\n\r\n");
    parse_head(answer, std::string_view(buffer_).substr(0, end + 2));
    buffer_.erase(0, end + 4);
    if (head || answer.status == 304 || answer.status == 101) return answer;
    const auto length = std::stoull(answer.headers.at("content-length"));
    while (buffer_.size() < length) more();
    answer.body = buffer_.substr(0, length);
    buffer_.erase(0, length);
    return answer;
  }
  HttpAnswer get(std::string_view target, std::string_view headers = {}) {
    request("GET", target, headers);
    return read();
  }
  /// The next so many bytes, of what is no HTTP any more.
  std::string bytes(std::size_t count) {
    while (buffer_.size() < count) more();
    auto taken = buffer_.substr(0, count);
    buffer_.erase(0, count);
    return taken;
  }
  /// Whether the server has closed: the next read finds an end (or a reset), and no bytes before
  /// it.
  bool closed() {
    char byte;
    return buffer_.empty() && (::recv(socket_, &byte, 1, 0) == 0 || errno == ECONNRESET);
  }
  void no_more() { ::shutdown(socket_, SHUT_WR); }

private:
  void more() {
    char bytes[65536];
    const auto got = ::recv(socket_, bytes, sizeof bytes, 0);
    if (got <= 0) throw std::runtime_error("the server closed before its answer was whole");
    buffer_.append(bytes, static_cast<std::size_t>(got));
  }
  static void parse_head(HttpAnswer& answer, std::string_view head) {
    const auto line = head.substr(0, head.find("\r\n"));
    if (!line.starts_with("HTTP/1.1 "))
      throw std::runtime_error("not an HTTP answer: " + std::string(line));
    answer.status = std::stoi(std::string(line.substr(9, 3)));
    head.remove_prefix(line.size() + 2);
    while (!head.empty()) {
      const auto end = head.find("\r\n");
      const auto colon = head.find(": ");
      std::string name(head.substr(0, colon));
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return std::tolower(c); });
      answer.headers[name] = head.substr(colon + 2, end - colon - 2);
      head.remove_prefix(end + 2);
    }
  }

  int socket_;
  std::string buffer_;
};

}  // namespace tapedeck::test
