#include "chaos/dice.hpp"

namespace tapedeck::chaos {

namespace {

struct Kind {
  std::string_view name;
  std::uint64_t often, seldom;  ///< one in so many occasions, at most and at least
};

// In the order of Fault.
constexpr std::array<Kind, kFaults> kKinds = {{
    {"fold throws", 10, 400},
    {"message throws", 3, 100},
    {"tape read throws", 20, 300},
    {"tape read fails", 40, 600},
    {"tape read corrupt", 40, 600},
    {"refill fails", 3, 60},
    {"short read", 2, 10},
    {"late news", 2, 20},
    {"append fails", 10, 100},
    {"record twice", 4, 60},
    {"recorder dies", 20, 200},
    {"state write fails", 10, 200},
    {"state write throws", 10, 200},
    {"state write throws after", 10, 200},
    {"state read fails", 20, 600},
    {"misdirected read", 20, 600},
    {"snapshot rots", 60, 800},
    {"state row rots", 300, 3000},
    {"record rots", 300, 3000},
    {"crash", 60, 1500},
    {"power loss", 100, 2000},
    {"orderly stop", 100, 2000},
    {"slow handler", 5, 200},
    {"clock jump", 100, 2000},
    {"spurious wake", 10, 400},
    {"poison event", 10, 200},
    {"gateway dies", 60, 1000},
    {"fold hangs", 100, 2000},
    {"release", 5, 100},
    {"release fails", 1, 4},
    {"control write fails", 3, 30},
    {"append torn", 20, 200},
    {"misdirected record", 60, 800},
    {"sink fails", 5, 100},
    {"sink fails late", 5, 100},
    {"sink throws", 10, 200},
}};

}  // namespace

std::string_view name(Fault fault) noexcept { return kKinds[static_cast<std::size_t>(fault)].name; }

Dice::Dice(std::uint64_t seed) : random_(seed ^ 0xd1ce) {
  const std::uint64_t percent =
      random_.below(4) * 25;  // one seed in four disturbs nothing but order
  for (std::size_t i = 0; i < kFaults; ++i) {
    const bool on = random_.chance(percent, 100);
    const std::uint64_t rate =
        kKinds[i].often + random_.below(kKinds[i].seldom - kKinds[i].often + 1);
    if (on) one_in_[i] = rate;
  }
}

bool Dice::hit(Fault fault) {
  const auto i = static_cast<std::size_t>(fault);
  if (resting_ || one_in_[i] == 0 || random_.below(one_in_[i]) != 0) return false;
  ++hits_[i];
  if (told_) told_(fault);
  return true;
}

}  // namespace tapedeck::chaos
