#include "chaos/broker.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

namespace tapedeck::chaos {

namespace {

/// The first start may have to fetch the broker's files.
constexpr std::chrono::minutes kStart{10};
constexpr std::chrono::seconds kStop{60};

}  // namespace

Broker::Broker(Scene& scene, std::uint16_t advertised)
    : scene_(scene), folder_(std::filesystem::absolute(scene.path("broker")).string()) {
  if (!std::filesystem::exists(scene.kafka_script()))
    throw CannotRun("a broker is wanted, and --kafka names no script that starts one: " +
                    scene.kafka_script());
  std::vector<std::string> arguments{"start", "--dir", folder_};
  if (advertised != 0) arguments.insert(arguments.end(), {"--behind", std::to_string(advertised)});
  auto starting = scene_.start_script(arguments);
  const auto status = starting.wait(kStart);
  if (!status || *status != 0) throw CannotRun("no broker could be started: " + starting.printed());
  address_ = fmt::format("127.0.0.1:{}", number_in("port"));
  if (advertised != 0) proxied_port_ = static_cast<std::uint16_t>(number_in("behind"));
}

Broker::~Broker() {
  try {
    (void)scene_.start_script({"stop", "--dir", folder_}).wait(kStop);
  } catch (const CannotRun& error) {
    scene_.say(error.what());
  }
}

std::uint64_t Broker::number_in(const std::string& file) const {
  std::uint64_t number = 0;
  std::ifstream(folder_ + "/" + file) >> number;
  return number;
}

}  // namespace tapedeck::chaos
