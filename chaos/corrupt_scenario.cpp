// Inputs of which five in a hundred messages are broken: each of these must be found again whole,
// with its reason, and the others give what the input without them gives.
#include <fmt/format.h>

#include <array>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "chaos/scenarios.hpp"
#include "feeds/sim_l3.hpp"
#include "replay/refold.hpp"
#include "storage/rocksdb_tape.hpp"

namespace tapedeck::chaos {

namespace {

constexpr std::uint64_t kOneIn = 20;
constexpr std::uint32_t kCorruptSymbols = 20;
constexpr std::uint64_t kCorruptMessages = 60'000;

/// What was put into an input: bytes that the recorder must keep, refusals that the fold must say.
struct Injected {
  std::multiset<std::string> letters;
  std::map<std::string, std::uint64_t> refusals;  ///< by rule
};

struct Inputs {
  std::string clean, corrupt;
  Injected injected;
};

std::string read_whole(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_whole(const std::string& file, std::string_view bytes) {
  std::ofstream out(file, std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!out.flush()) throw CannotRun(file + " cannot be written");
}

void put_number(std::string& message, std::size_t at, std::size_t bytes, std::uint64_t value) {
  for (std::size_t i = 0; i < bytes; ++i)
    message[at + i] = static_cast<char>(value >> (8 * (bytes - 1 - i)));
}
std::uint64_t number(std::string_view message, std::size_t at, std::size_t bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i)
    value = value << 8 | static_cast<std::uint8_t>(message[at + i]);
  return value;
}

/// Breaks ITCH messages. Offsets within an Add Order (A): locate 1, time 5, order 11, shares 20.
class ItchBreaker {
public:
  ItchBreaker(Scene& scene, Injected& injected) : scene_(scene), injected_(injected) {}

  /// A broken message to follow `add`, behind its length.
  std::string after(const std::string& add) {
    std::string message = add;
    const std::uint64_t fresh = (std::uint64_t{1} << 40) + ++orders_;
    switch (scene_.random.below(7)) {
      case 0:
        message.assign(1 + scene_.random.below(40), '\0');
        for (char& byte : message) byte = static_cast<char>(scene_.random.below(256));
        message[0] = '~';
        return letter("garbage bytes", message);
      case 1: message[0] = 'z'; return letter("an unknown message type", message);
      case 2:
        message.resize(1 + scene_.random.below(message.size() - 1));
        return letter("a truncated message", message);
      case 3:
        put_number(message, 1, 2, 60'000), put_number(message, 11, 8, fresh);
        message.replace(24, 8, 8, ' ');
        return letter("a wrong symbol", message);
      case 4:
        put_number(message, 20, 4, 0), put_number(message, 11, 8, fresh);
        return refusal("a size of zero", "size_not_positive", message);
      case 5:
        put_number(message, 5, 6, number(message, 5, 6) + 7'200'000'000'000);
        put_number(message, 11, 8, fresh);
        return refusal("a date in the future", "time_ahead", message);
      default: return refusal("a message twice", "duplicate_order", message);
    }
  }

private:
  static std::string framed(const std::string& message) {
    std::string frame(2, '\0');
    put_number(frame, 0, 2, message.size());
    return frame + message;
  }
  std::string letter(const char* what, const std::string& message) {
    scene_.struck(what);
    injected_.letters.insert(message);
    return framed(message);
  }
  std::string refusal(const char* what, const char* rule, const std::string& message) {
    scene_.struck(what);
    ++injected_.refusals[rule];
    return framed(message);
  }
  Scene& scene_;
  Injected& injected_;
  std::uint64_t orders_ = 0;
};

Inputs itch_inputs(Scene& scene) {
  Inputs inputs{scene.path("clean.itch"), scene.path("corrupt.itch"), {}};
  feeds::SimL3Options options;
  options.seed = scene.random.below(1u << 30) + 1;
  options.symbols = kCorruptSymbols, options.messages = kCorruptMessages;
  must(feeds::write_sim_l3(inputs.clean, options).map([] { return true; }));
  const auto clean = read_whole(inputs.clean);
  ItchBreaker breaker(scene, inputs.injected);
  std::string corrupt;
  for (std::size_t at = 0; at + 2 <= clean.size();) {
    const auto length = number(clean, at, 2);
    const auto message = clean.substr(at + 2, length);
    corrupt += clean.substr(at, 2 + length);
    at += 2 + length;
    if (message.starts_with('A') && scene.random.below(kOneIn / 2) == 0)
      corrupt += breaker.after(message);  // about half of the messages are adds
  }
  write_whole(inputs.corrupt, corrupt);
  return inputs;
}

/// A row that breaks a rule, or a format.
std::string broken_row(Scene& scene, Injected& injected, std::uint64_t time) {
  const auto symbol = fmt::format("S{}", scene.random.below(kCorruptSymbols));
  const auto letter = [&](const char* what, std::string row) {
    scene.struck(what);
    injected.letters.insert(row);
    return row;
  };
  const auto refusal = [&](const char* what, const char* rule, std::string row) {
    scene.struck(what);
    ++injected.refusals[rule];
    return row;
  };
  switch (scene.random.below(7)) {
    case 0: {
      std::string row(1 + scene.random.below(60), '\0');
      for (char& byte : row) byte = static_cast<char>(128 + scene.random.below(128));
      return letter("garbage bytes", row);
    }
    case 1: return letter("a truncated message", fmt::format("{},{}", symbol, time));
    case 2: return letter("a wrong symbol", fmt::format(" ,{},100,1,buy", time));
    case 3: return letter("a price that is none", fmt::format("{},{},1O0,1,buy", symbol, time));
    case 4:
      return letter("a huge size", fmt::format("{},{},100,99999999999999999999,buy", symbol, time));
    case 5:
      return refusal("a negative price", "price_not_allowed",
                     fmt::format("{},{},-100,1,buy", symbol, time));
    default:
      return refusal("a date in the future", "time_ahead",
                     fmt::format("{},{},100,1,buy", symbol, time + 86'400'000'000));
  }
}

Inputs row_inputs(Scene& scene) {
  Inputs inputs{scene.path("clean.csv"), scene.path("corrupt.csv"), {}};
  std::string clean, corrupt;
  std::uint64_t time = 1'700'000'000'000'000;
  for (std::uint64_t i = 0; i < kCorruptMessages; ++i) {
    time += scene.random.below(20'000);
    const auto row =
        fmt::format("S{},{},{}.{:02},{},{}\n", scene.random.below(kCorruptSymbols), time,
                    90 + scene.random.below(20), scene.random.below(100),
                    1 + scene.random.below(500), scene.random.below(2) ? "buy" : "sell");
    clean += row, corrupt += row;
    // The first rows decide whether the input is one of the format.
    if (i > 200 && scene.random.below(kOneIn) == 0)
      corrupt += broken_row(scene, inputs.injected, time) + "\n";
  }
  write_whole(inputs.clean, clean);
  write_whole(inputs.corrupt, corrupt);
  return inputs;
}

/// Books and candles, without what depends on how many messages came between.
struct Folded {
  std::map<std::string, std::string> books;
  std::multiset<std::string> candles;
  std::map<std::string, std::uint64_t> refusals;
  market::EventCounts counts;
};

std::string text_of(const std::vector<market::LevelView>& levels) {
  std::string text;
  for (const auto& level : levels)
    text += fmt::format(" {}x{}x{}", level.price, level.size, level.orders.value_or(0));
  return text;
}

void take(Folded& folded, const std::string& symbol, const market::Output& output) {
  if (const auto* refusal = std::get_if<market::Refusal>(&output.body)) {
    ++folded.refusals[std::string(market::name(refusal->rule))];
  } else if (const auto* candle = std::get_if<market::Candle>(&output.body)) {
    const auto& c = *candle;
    folded.candles.insert(fmt::format(
        "{} {} {} {} {} {} {} {} {} {} {} {}", symbol, c.width, c.open_time, c.open, c.high, c.low,
        c.close, static_cast<std::int64_t>(c.volume), static_cast<std::int64_t>(c.buy_volume),
        static_cast<std::int64_t>(c.notional), c.trades, c.revision));
  }
}

Folded fold(const storage::TapeReader& tape, const std::string& folder) {
  Folded folded;
  replay::RefoldListener listener;
  listener.said = [&](const replay::SymbolFold& from, const market::Outputs& outputs) {
    for (const auto& output : outputs) take(folded, from.state().symbol(), output);
  };
  const auto done = must(replay::refold(tape, must(rules_of(folder)), {}, listener));
  folded.counts = done.counts;
  for (const auto& [symbol, state] : done.symbols) {
    const auto book = state.state().book(~std::size_t{0});
    folded.books[symbol] = text_of(book.bids) + " |" + text_of(book.asks);
  }
  return folded;
}

void check_letters(Scene& scene, const storage::TapeReader& tape, const Injected& injected) {
  std::multiset<std::string> found;
  for (const auto& letter : must(tape.dead_letters())) {
    if (letter.reason.empty()) throw Broken("a dead letter has no reason");
    found.insert(letter.bytes);
  }
  if (found != injected.letters)
    throw Broken(
        fmt::format("{} dead letters of the recorder, {} messages were broken that way, or "
                    "their bytes differ",
                    found.size(), injected.letters.size()));
  scene.checked("recorder's dead letters, each with all its bytes", found.size());
}

}  // namespace

void corrupt_round(Scene& scene) {
  const bool itch = scene.random.below(2) == 0;
  const auto inputs = itch ? itch_inputs(scene) : row_inputs(scene);
  const auto record = [&](const std::string& input, const std::string& tape) {
    std::vector<std::string> words{
        "record", "--feed", itch ? "itch" : "trades-csv", "--input", input, "--tape", tape};
    if (itch) words.insert(words.end(), {"--date", "2024-01-02"});
    scene.succeeds(words);
    scene.succeeds({"tape", "index", "--tape", tape});
    scene.succeeds({"verify", "--tape", tape});
  };
  const auto clean_folder = scene.path("clean"), corrupt_folder = scene.path("corrupt");
  record(inputs.clean, clean_folder);
  record(inputs.corrupt, corrupt_folder);
  const auto tape = must(storage::open_tape_reader(corrupt_folder));
  check_letters(scene, *tape, inputs.injected);
  const auto expected = fold(*must(storage::open_tape_reader(clean_folder)), clean_folder);
  const auto found = fold(*tape, corrupt_folder);
  if (found.refusals != inputs.injected.refusals)
    throw Broken("the fold refused something else than what was broken");
  for (const auto& [rule, count] : found.refusals) scene.checked("refused: " + rule, count);
  const auto& counts = found.counts;
  if (counts.read != counts.folded + counts.duplicates + counts.refused + counts.filtered)
    throw Broken("the counts do not add up");
  if (counts.folded != expected.counts.folded)
    throw Broken(fmt::format("{} good events were folded, there are {}", counts.folded,
                             expected.counts.folded));
  if (found.books != expected.books) throw Broken("a book is not that of the clean input");
  if (found.candles != expected.candles) throw Broken("a candle is not that of the clean input");
  scene.checked("good events folded", counts.folded);
  scene.checked("books equal to the clean input's", found.books.size());
  scene.checked("candles equal to the clean input's", found.candles.size());
}

}  // namespace tapedeck::chaos
