// chaos/scene.hpp -- one run of a scenario with real processes: its dice, its folder, what was
// done, what was checked.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "chaos/child.hpp"
#include "chaos/state_lines.hpp"
#include "feeds/random.hpp"

namespace tapedeck::chaos {

/// A promise was broken; the text says which.
struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// The scenario cannot run on this machine, and what would help.
struct CannotRun : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Everything converges within this, or the run is broken.
constexpr std::chrono::seconds kPatience{120};

class Scene {
public:
  using Clock = std::chrono::steady_clock;

  /// `folder` is there and empty. `log` is told what happens.
  /// `kafka_script`: scripts/kafka, for scenarios that want a broker.
  Scene(std::string_view scenario, std::uint64_t seed, std::string folder, Clock::duration duration,
        std::function<void(std::string_view)> log, std::string kafka_script = {});

  feeds::Random random;

  [[nodiscard]] bool time_left() const { return Clock::now() < end_; }
  /// A name in an emptied folder for the next round.
  void next_round();
  [[nodiscard]] std::string path(std::string_view name) const;
  [[nodiscard]] std::uint64_t rounds() const noexcept { return rounds_; }

  void struck(const std::string& fault, std::uint64_t times = 1);
  void checked(const std::string& what, std::uint64_t times = 1);
  /// A figure worth telling, the highest that was seen.
  void figure(const std::string& what, std::uint64_t value);
  void say(std::string_view what) const { log_(what); }
  [[nodiscard]] const std::map<std::string, std::uint64_t>& faults() const { return faults_; }
  [[nodiscard]] const std::map<std::string, std::uint64_t>& checks() const { return checks_; }
  [[nodiscard]] const std::map<std::string, std::uint64_t>& figures() const { return figures_; }

  [[nodiscard]] Child start(const std::vector<std::string>& arguments,
                            const Environment& environment = {});
  [[nodiscard]] const std::string& kafka_script() const noexcept { return kafka_script_; }
  /// The same of that script.
  [[nodiscard]] Child start_script(const std::vector<std::string>& arguments);
  /// Runs it to its end; its exit status. Broken where it does not end.
  [[nodiscard]] int run(const std::vector<std::string>& arguments,
                        const Environment& environment = {}, std::string* printed = nullptr);
  /// Broken unless it exits with 0.
  void succeeds(const std::vector<std::string>& arguments, const Environment& environment = {});
  /// Asks it to end; Broken unless it does so with 0.
  void ends(Child& child);

private:
  std::string folder_;
  Clock::time_point end_;
  std::function<void(std::string_view)> log_;
  std::string kafka_script_;
  std::map<std::string, std::uint64_t> faults_, checks_, figures_;
  std::uint64_t rounds_ = 0, children_ = 0;
};

template <class T>
T must(Result<T> result) {
  if (!result) throw Broken(result.error().message);
  return std::move(*result);
}

/// A synthetic session, and what an undisturbed run says of it.
struct Session {
  std::string input;  ///< of the feed sim:l3
  std::vector<std::string> symbols;
  StateLines expected;
  std::uint64_t events = 0;
};
[[nodiscard]] Session make_session(Scene& scene, std::uint64_t messages, std::uint32_t symbols);
/// Records the rest, folds the rest; then the tape and the state are what an undisturbed run gives,
/// and `verify` agrees. `tape`: path of its folder.
void check_against(Scene& scene, const Session& session, const std::string& tape);
[[nodiscard]] std::vector<std::string> recording(const Session& session, const std::string& tape,
                                                 const std::string& rate = "max");

}  // namespace tapedeck::chaos
