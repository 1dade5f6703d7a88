#include "chaos/broker.hpp"

#include <fmt/format.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

namespace tapedeck::chaos {

namespace {

/// The first start may have to fetch the broker's files.
constexpr std::chrono::minutes kFirstStart{10};
constexpr std::chrono::seconds kStart{200}, kStop{60};

}  // namespace

Broker::Broker(Scene& scene, std::uint16_t advertised)
    : scene_(scene), folder_(std::filesystem::absolute(scene.path("broker")).string()) {
  if (!std::filesystem::exists(scene.kafka_script()))
    throw CannotRun("a broker is wanted, and --kafka names no script that starts one: " +
                    scene.kafka_script());
  start_ = {"start", "--dir", folder_};
  if (advertised != 0) start_.insert(start_.end(), {"--behind", std::to_string(advertised)});
  begin_start();
  const auto status = starting_->wait(kFirstStart);
  if (!status || *status != 0)
    throw CannotRun("no broker could be started: " + starting_->printed());
  address_ = fmt::format("127.0.0.1:{}", number_in("port"));
  if (advertised != 0) proxied_port_ = static_cast<std::uint16_t>(number_in("behind"));
}

Broker::~Broker() {
  try {
    signal(SIGCONT);
    (void)scene_.start_script({"stop", "--dir", folder_}).wait(kStop);
  } catch (const CannotRun& error) {
    scene_.say(error.what());
  }
}

void Broker::signal(int number) const {
  if (const auto pid = number_in("pid"); pid != 0) (void)::kill(static_cast<pid_t>(pid), number);
}

void Broker::begin_start() { starting_ = scene_.start_script(start_); }

bool Broker::started() {
  const auto status = starting_->status();
  if (status && *status != 0) throw Broken("the broker did not come back: " + starting_->printed());
  return status.has_value();
}

std::uint64_t Broker::number_in(const std::string& file) const {
  std::uint64_t number = 0;
  std::ifstream(folder_ + "/" + file) >> number;
  return number;
}

}  // namespace tapedeck::chaos
