#include "chaos/scenarios.hpp"

namespace tapedeck::chaos {

std::span<const Scenario> scenarios() {
  static constexpr Scenario kAll[] = {
      {"actors", "symbol actors throw at random while a session is recorded and served",
       actors_round},
      {"kill", "record and serve are killed (kill -9) again and again", kill_round},
      {"corrupt", "5 % of the input is broken: garbage, truncated, wrong, twice", corrupt_round},
      {"disk", "a small filesystem fills and is freed (needs root)", disk_round},
      {"bitrot", "bytes of snapshots and of the tape flip while nothing runs", bitrot_round},
      {"slow-reader", "clients of the API ask and never read", slow_reader_round},
      {"broker", "the Kafka broker is killed, stopped, paused, and comes back (needs --kafka)",
       broker_round},
      {"network", "latency, cuts, a slow and a deaf network to the broker (needs --kafka)",
       network_round},
  };
  return kAll;
}

}  // namespace tapedeck::chaos
