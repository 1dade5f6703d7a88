#include "api/url.hpp"

#include <optional>

namespace tapedeck::api {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::optional<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = hex_value(text[i + 1]), low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

tl::unexpected<Error> bad_escape(std::string_view text, std::string field) {
  std::string message(field);
  message.append(": expected two hexadecimal digits after each %, found \"")
      .append(text)
      .append("\"");
  return fail(ErrorCode::invalid, std::move(message), std::move(field));
}

/// Takes what stands before `separator` off `rest`.
std::string_view take_until(std::string_view& rest, char separator) {
  const auto end = rest.find(separator);
  const auto taken = rest.substr(0, end);
  rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  return taken;
}

}  // namespace

std::string Target::path() const {
  std::string out;
  for (const auto& segment : segments) out.append("/").append(segment);
  return out;
}

Result<Target> parse_target(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (target.starts_with(kScheme)) {
    const auto path = target.find('/', kScheme.size());
    target = path == target.npos ? "/" : target.substr(path);
  }
  if (!target.starts_with('/')) {
    return fail(ErrorCode::invalid, "path: expected one that begins with /", "path");
  }
  const auto question = target.find('?');
  auto path = target.substr(1, question == target.npos ? question : question - 1);
  auto query = question == target.npos ? std::string_view{} : target.substr(question + 1);
  Target out;
  for (bool more = true; more;) {
    more = path.find('/') != path.npos;
    const auto segment = take_until(path, '/');
    auto decoded = percent_decode(segment);
    if (!decoded) return bad_escape(segment, "path");
    out.segments.push_back(*std::move(decoded));
  }
  while (!query.empty()) {
    auto value = take_until(query, '&');
    if (value.empty()) continue;
    const auto key = take_until(value, '=');
    auto decoded_key = percent_decode(key);
    if (!decoded_key) return bad_escape(key, "query");
    auto decoded_value = percent_decode(value);
    if (!decoded_value) return bad_escape(value, *decoded_key);
    out.query.emplace_back(*std::move(decoded_key), *std::move(decoded_value));
  }
  return out;
}

}  // namespace tapedeck::api
