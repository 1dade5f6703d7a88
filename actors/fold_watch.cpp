#include "actors/fold_watch.hpp"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <mutex>
#include <optional>

namespace tapedeck::actors {

namespace {

constexpr std::size_t kMaxThreads = 256;  ///< that fold; further ones are not watched
constexpr std::size_t kSignalStackBytes = std::size_t{64} << 10;
constexpr int kAsk = SIGUSR2;  ///< the watchdog asks a thread what it is folding
constexpr int kCrashes[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

struct Slot {
  std::atomic<bool> taken = false;
  std::atomic<std::uint64_t> epoch = 0;  ///< odd: in a FoldScope; grows with progress
  pthread_t thread{};
  std::atomic<const market::SymbolState*> state = nullptr;  ///< read on its own thread only
  std::atomic<const market::FoldItem*> blamed = nullptr;    ///< likewise
  // The thread's answer to kAsk.
  std::atomic<std::uint64_t> asked = 0;  ///< epoch that was asked about
  std::atomic<bool> answered = false;
  char symbol[64];
  std::size_t symbol_size = 0;
  market::FoldItem item;
  bool named = false;
};

std::array<Slot, kMaxThreads> slots;
std::mutex slots_mutex;
std::atomic<int> attempts_descriptor = -1;
struct sigaction before[std::size(kCrashes)];

/// This thread's slot; given back when the thread ends.
class OwnSlot {
public:
  OwnSlot() {
    const std::scoped_lock lock(slots_mutex);
    for (auto& slot : slots) {
      if (slot.taken.exchange(true)) continue;
      slot.thread = pthread_self();
      slot.epoch = slot.epoch + (slot.epoch & 1);
      slot_ = &slot;
      break;
    }
    stack_ = std::make_unique<char[]>(kSignalStackBytes);
    stack_t stack{};
    stack.ss_sp = stack_.get();
    stack.ss_size = kSignalStackBytes;
    (void)sigaltstack(&stack, nullptr);
  }
  ~OwnSlot() {
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    (void)sigaltstack(&none, nullptr);
    if (slot_ == nullptr) return;
    const std::scoped_lock lock(slots_mutex);
    current = nullptr;
    slot_->state = nullptr;
    slot_->taken = false;
  }
  static thread_local Slot* current;
  [[nodiscard]] Slot* slot() const noexcept { return slot_; }

private:
  Slot* slot_ = nullptr;
  std::unique_ptr<char[]> stack_;
};
thread_local Slot* OwnSlot::current = nullptr;

void enter(const market::SymbolState* state) noexcept {
  if (OwnSlot::current == nullptr) {
    thread_local OwnSlot own;
    OwnSlot::current = own.slot();
    if (OwnSlot::current == nullptr) return;
  }
  auto& slot = *OwnSlot::current;
  slot.state.store(state, std::memory_order_relaxed);
  slot.epoch.store(slot.epoch.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

/// What is being folded, on its own thread.
market::UnderWay folding(const Slot& slot, const market::SymbolState& state) noexcept {
  auto now = state.under_way();
  const auto* blamed = slot.blamed.load(std::memory_order_relaxed);
  if (!now.known && blamed != nullptr) now = {true, *blamed};
  return now;
}

void append_attempt(std::string_view symbol, const market::FoldItem& item,
                    std::string_view error) noexcept {
  const int to = attempts_descriptor.load(std::memory_order_relaxed);
  if (to < 0) return;
  char line[kMaxAttemptLine];
  const auto size = format_attempt(line, symbol, item, error);
  (void)!::write(to, line, size);
}

/// Names what this thread folds and lets the signal do what it would have done.
void crashed(int signal, siginfo_t* info, void*) {
  const int saved = errno;
  const bool sent = info->si_code == SI_USER || info->si_code == SI_QUEUE;
  const bool from_outside = sent && info->si_pid != getpid();
  for (std::size_t i = 0; i < std::size(kCrashes); ++i) {
    if (kCrashes[i] == signal) (void)sigaction(signal, &before[i], nullptr);
  }
  Slot* slot = OwnSlot::current;
  const auto* state = slot == nullptr ? nullptr : slot->state.load(std::memory_order_relaxed);
  if (state != nullptr && !from_outside) {
    slot->state.store(nullptr, std::memory_order_relaxed);  // a crash in here is nobody's
    const auto now = folding(*slot, *state);
    const char* why = signal == SIGSEGV  ? "ended by SIGSEGV"
                      : signal == SIGBUS ? "ended by SIGBUS"
                      : signal == SIGILL ? "ended by SIGILL"
                      : signal == SIGFPE ? "ended by SIGFPE"
                                         : "ended by SIGABRT";
    if (now.known) append_attempt(state->symbol(), now.item, why);
  }
  errno = saved;
  // Waits until this handler returned, then ends the process.
  (void)raise(signal);
}

void asked(int, siginfo_t*, void*) {
  const int saved = errno;
  Slot* slot = OwnSlot::current;
  if (slot != nullptr &&
      slot->epoch.load(std::memory_order_relaxed) == slot->asked.load(std::memory_order_acquire)) {
    const auto* state = slot->state.load(std::memory_order_relaxed);
    slot->named = false;
    slot->symbol_size = 0;
    if (state != nullptr) {
      const auto now = folding(*slot, *state);
      const auto& name = state->symbol();
      slot->symbol_size = std::min(name.size(), sizeof slot->symbol);
      std::memcpy(slot->symbol, name.data(), slot->symbol_size);
      slot->named = now.known;
      slot->item = now.item;
      if (now.known) append_attempt(name, now.item, "hung: ended by the watchdog");
    }
  }
  slot->answered.store(true, std::memory_order_release);
  errno = saved;
}

void install(int signal, void (*handler)(int, siginfo_t*, void*), struct sigaction* old) {
  struct sigaction action {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  sigemptyset(&action.sa_mask);
  (void)sigaction(signal, &action, old);
}

/// Asks the thread of a slot, which stood at `epoch`. Nothing where it went on meanwhile.
std::optional<Hang> ask(Slot& slot, std::uint64_t epoch) {
  const std::scoped_lock lock(slots_mutex);
  if (!slot.taken || slot.epoch.load(std::memory_order_acquire) != epoch) return std::nullopt;
  slot.answered = false;
  slot.asked.store(epoch, std::memory_order_release);
  if (pthread_kill(slot.thread, kAsk) != 0) return std::nullopt;
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::seconds(2);
  while (!slot.answered.load(std::memory_order_acquire) && Clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  if (slot.epoch.load(std::memory_order_acquire) != epoch) return std::nullopt;
  Hang hang;
  if (slot.answered.load(std::memory_order_acquire)) {
    hang.symbol.assign(slot.symbol, slot.symbol_size);
    hang.item = slot.item;
    hang.named = slot.named;
  }
  return hang;
}

}  // namespace

FoldScope::FoldScope(const market::SymbolState& state) noexcept { enter(&state); }

FoldScope::~FoldScope() {
  Slot* slot = OwnSlot::current;
  if (slot == nullptr) return;
  slot->state.store(nullptr, std::memory_order_relaxed);
  slot->blamed.store(nullptr, std::memory_order_relaxed);
  slot->epoch.store(slot->epoch.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

void FoldScope::progress() noexcept {
  Slot* slot = OwnSlot::current;
  if (slot == nullptr) return;
  slot->epoch.store(slot->epoch.load(std::memory_order_relaxed) + 2, std::memory_order_release);
}

void FoldScope::blame(const market::FoldItem* item) noexcept {
  if (OwnSlot::current != nullptr) OwnSlot::current->blamed.store(item, std::memory_order_relaxed);
}

void FoldScope::moved(const market::SymbolState& state) noexcept {
  if (OwnSlot::current != nullptr) OwnSlot::current->state.store(&state, std::memory_order_relaxed);
}

void name_crashes(int descriptor) {
  attempts_descriptor = descriptor;
  static const bool installed = [] {
    for (std::size_t i = 0; i < std::size(kCrashes); ++i) install(kCrashes[i], crashed, &before[i]);
    return true;
  }();
  (void)installed;
}

Watchdog::Watchdog(std::chrono::milliseconds budget, std::function<void(const Hang&)> on_hang)
    : budget_(budget), on_hang_(std::move(on_hang)) {
  install(kAsk, asked, nullptr);
  thread_ = std::jthread([this](std::stop_token stop) { look(stop); });
}

Watchdog::~Watchdog() = default;

void Watchdog::look(std::stop_token stop) {
  using Clock = std::chrono::steady_clock;
  struct Seen {
    std::uint64_t epoch = 0;
    Clock::time_point since{};
  };
  std::array<Seen, kMaxThreads> seen{};
  std::mutex mutex;
  std::condition_variable_any waiting;
  while (!stop.stop_requested()) {
    const auto now = Clock::now();
    for (std::size_t i = 0; i < kMaxThreads; ++i) {
      const auto epoch = slots[i].epoch.load(std::memory_order_acquire);
      if (epoch != seen[i].epoch || (epoch & 1) == 0 || seen[i].since == Clock::time_point{}) {
        seen[i] = {epoch, now};
        continue;
      }
      if (now - seen[i].since < budget_) continue;
      if (auto hang = ask(slots[i], epoch)) {
        hang->since = std::chrono::duration_cast<std::chrono::milliseconds>(now - seen[i].since);
        on_hang_(*hang);
        return;
      }
      seen[i] = {};
    }
    std::unique_lock lock(mutex);
    waiting.wait_for(lock, stop, std::max(budget_ / 8, std::chrono::milliseconds(1)),
                     [] { return false; });
  }
}

}  // namespace tapedeck::actors
