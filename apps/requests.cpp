#include "apps/requests.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

namespace tapedeck::apps {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr auto kLookEvery = std::chrono::milliseconds(200);
constexpr const char* kRequest = ".request";
constexpr const char* kAnswer = ".answer";

std::string read_whole(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// There at once or not at all.
Result<void> put(const std::string& file, std::string_view bytes) {
  const auto fresh = file + ".new";
  std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  std::error_code error;
  if (out) fs::rename(fresh, file, error);
  if (out && !error) return {};
  return fail(ErrorCode::environment, file + ": cannot be written");
}

std::string encode_answer(const Result<market::Offset>& answer) {
  if (answer) return fmt::format("ok {}", *answer);
  return fmt::format("{} {}", static_cast<int>(answer.error().code), answer.error().message);
}

Result<market::Offset> decode_answer(std::string_view text) {
  const auto space = std::min(text.find(' '), text.size());
  const auto head = text.substr(0, space);
  const auto rest = text.substr(std::min(space + 1, text.size()));
  if (head == "ok") {
    market::Offset offset = 0;
    std::from_chars(rest.data(), rest.data() + rest.size(), offset);
    return offset;
  }
  int code = static_cast<int>(ErrorCode::environment);
  std::from_chars(head.data(), head.data() + head.size(), code);
  return fail(static_cast<ErrorCode>(code), std::string(rest));
}

}  // namespace

std::string request_folder(const std::string& state_folder) {
  return (fs::path(state_folder) / "requests").string();
}

Result<market::Offset> request_control(const std::string& state_folder,
                                       const schemas::ControlRecord& record,
                                       std::chrono::milliseconds patience) {
  const auto folder = request_folder(state_folder);
  std::error_code error;
  fs::create_directories(folder, error);
  const auto name =
      fmt::format("{}/{}-{}", folder, ::getpid(), Clock::now().time_since_epoch().count());
  if (auto asked = put(name + kRequest, schemas::encode(record)); !asked)
    return tl::unexpected(asked.error());
  const auto deadline = Clock::now() + patience;
  while (Clock::now() < deadline) {
    if (fs::exists(name + kAnswer, error)) {
      const auto answer = decode_answer(read_whole(name + kAnswer));
      fs::remove(name + kAnswer, error);
      return answer;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  fs::remove(name + kRequest, error);
  return fail(ErrorCode::environment,
              fmt::format("the engine that serves {} did not answer within {} ms", state_folder,
                          patience.count()));
}

RequestDesk::RequestDesk(actors::Engine& engine, const std::string& state_folder)
    : engine_(engine), folder_(request_folder(state_folder)) {}

void RequestDesk::look() {
  const auto now = Clock::now();
  if (now - looked_ < kLookEvery) return;
  looked_ = now;
  std::error_code error;
  for (fs::directory_iterator at(folder_, error), end; !error && at != end; at.increment(error)) {
    if (at->path().extension() == kRequest) take_up(at->path().string());
  }
}

void RequestDesk::take_up(const std::string& file) {
  const auto bytes = read_whole(file);
  std::error_code error;
  if (!fs::remove(file, error)) return;  // it was taken back
  const auto answer_file = fs::path(file).replace_extension(kAnswer).string();
  const auto request = schemas::decode_control(std::as_bytes(std::span(bytes)));
  if (!request) {
    (void)put(answer_file, encode_answer(tl::unexpected(request.error())));
    return;
  }
  auto reply = [answer_file](const Result<market::Offset>& answer) {
    (void)put(answer_file, encode_answer(answer));
  };
  if (request->kind == schemas::ControlRecord::Kind::settings) {
    engine_.change_settings(request->item.position.partition, request->settings, std::move(reply));
  } else {
    engine_.release(request->symbol, request->item, std::move(reply));
  }
}

}  // namespace tapedeck::apps
