// schemas/batch_reader.cpp -- columns to events. Knows nothing of Cap'n Proto: open() left plain
// pointers.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "schemas/batch_codec.hpp"
#include "schemas/batch_format.hpp"

namespace tapedeck::schemas {

using market::Event;
using market::EventKind;
using market::Side;
using namespace format;

market::SourceId BatchReader::source() const noexcept { return source_; }
std::string_view BatchReader::source_name() const noexcept { return source_name_; }
std::size_t BatchReader::size() const noexcept { return count_; }

namespace {

/// Events decoded at once: their columns stay in the first-level cache, and a byte lane counts
/// their entries.
constexpr std::size_t kChunk = 255;
/// Patches in a chunk; it ends before more.
constexpr std::size_t kChunkPatches = 32;

/// Numbers of one column for one chunk; the first is the one before the chunk where there is one.
using Numbers = std::array<std::uint64_t, kChunk + 1>;

template <class Word>
void widen(const std::uint8_t* from, std::uint64_t* to, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    Word word;
    std::memcpy(&word, from + i * sizeof(Word), sizeof(Word));
    to[i] = word;
  }
}

/// The same for any width, eight bytes at a time.
void cut(const std::uint8_t* from, std::uint64_t* to, std::size_t n, std::size_t width,
         std::uint64_t mask) {
  for (std::size_t i = 0; i < n; ++i, from += width) {
    std::uint64_t word;
    std::memcpy(&word, from, 8);
    to[i] = word & mask;
  }
}

/// Four fields of an event that stand side by side, to be stored at once.
using Fields = std::uint64_t __attribute__((vector_size(32)));
static_assert(offsetof(Event, time) == 0 && offsetof(Event, feed_time) == 8 &&
              offsetof(Event, receive_time) == 16 && offsetof(Event, sequence) == 24 &&
              offsetof(Event, id) == 32 && offsetof(Event, price) == 40 &&
              offsetof(Event, size) == 48 && offsetof(Event, other) == 56 &&
              offsetof(Event, kind) == 64 && offsetof(Event, side) == 65 &&
              offsetof(Event, flags) == 66 && offsetof(Event, code) == 67);

/// What the fields of a kind are made of: all bits set or none.
struct alignas(32) Shape {
  std::uint64_t price_and_size[4] = {};  ///< mask of the fields from id to other
  std::uint64_t new_order = 0, reference = 0, match = 0, price = 0, size = 0;
  std::uint64_t id_order = 0, id_match = 0, other_order = 0, other_match = 0;
  bool rare = false;  ///< has values or codes
};

constexpr auto kShapes = [] {
  std::array<Shape, 32> shapes{};
  for (std::uint8_t number = 0; number < market::kEventKinds; ++number) {
    const auto kind = static_cast<EventKind>(number);
    const auto mask = [](bool set) { return set ? ~std::uint64_t{0} : 0; };
    const auto has = [in = columns_of(kind)](format::Column which) {
      return (in & bit(which)) != 0;
    };
    const bool match_is_id = kind == EventKind::trade || kind == EventKind::trade_break;
    Shape& shape = shapes[number];
    shape.new_order = mask(has(orders)), shape.reference = mask(has(references));
    shape.match = mask(has(matches)), shape.price = mask(has(prices)),
    shape.size = mask(has(sizes));
    shape.id_order = mask(kind == EventKind::add);
    shape.other_order = mask(kind == EventKind::replace);
    shape.id_match = mask(has(matches) && match_is_id);
    shape.other_match = mask(has(matches) && !match_is_id);
    shape.price_and_size[0] = shape.price_and_size[3] = mask(true);
    shape.price_and_size[1] = shape.price, shape.price_and_size[2] = shape.size;
    shape.rare = has(values) || has(codes);
  }
  return shapes;
}();

/// For each kind byte the event's kind, side and flags, as they lie in memory.
constexpr auto kHeads = [] {
  static_assert(market::kMore == 1);
  std::array<std::array<std::uint8_t, 4>, 256> heads{};
  for (std::size_t byte = 0; byte < heads.size(); ++byte) {
    heads[byte] = {static_cast<std::uint8_t>(byte & kKindMask),
                   static_cast<std::uint8_t>(byte >> kSideShift & kSideMask),
                   static_cast<std::uint8_t>(byte >> 7), 0};
  }
  return heads;
}();

}  // namespace

/// Works on a copy of the cursor. Events without patches are decoded in chunks: column by column
/// first, then event by event without a branch on the kind, which nobody can predict.
struct BatchReader::Decoder {
  Cursor at;
  std::uint32_t index;  ///< of the event being decoded
  std::uint64_t unit;
  bool received;
  bool common_only;
  /// Of the chunk; `event` is the entry in the column here.
  std::array<Patch, kChunkPatches> patches;
  std::size_t patched = 0;

  /// The next code.
  std::uint64_t take(format::Column which) {
    Column& column = at.columns[which];
    std::uint64_t code;
    std::memcpy(&code, column.next, 8);
    code &= column.mask;
    column.next += column.width;
    if (at.patch->event == index && at.patch->column == which) code = at.patch++->code;
    const std::uint64_t sign = column.sign;
    return (code >> sign) ^ (std::uint64_t{0} - (code & sign));
  }

  /// The next n codes.
  void take(format::Column which, std::uint64_t* to, std::size_t n) {
    Column& column = at.columns[which];
    const std::uint8_t* from = column.next;
    column.next += n * column.width;
    switch (column.width) {
      case 0: std::fill_n(to, n, 0); break;
      case 1: widen<std::uint8_t>(from, to, n); break;
      case 2: widen<std::uint16_t>(from, to, n); break;
      case 4: widen<std::uint32_t>(from, to, n); break;
      default: cut(from, to, n, column.width, column.mask);
    }
    for (const Patch& patch : std::span(patches).first(patched))
      if (patch.column == which) to[patch.event] = patch.code;
    if (column.sign == 0) return;
    for (std::size_t i = 0; i < n; ++i) to[i] = (to[i] >> 1) ^ (std::uint64_t{0} - (to[i] & 1));
  }

  void common_chunk(std::span<Event> out) {
    std::array<std::uint64_t, kChunk> codes_of_times, codes_of_sequences;
    take(times, codes_of_times.data(), out.size());
    take(sequences, codes_of_sequences.data(), out.size());
    std::uint64_t time = at.time, sequence = at.sequence;
    for (std::size_t i = 0; i < out.size(); ++i) {
      time += codes_of_times[i];
      sequence += codes_of_sequences[i];
      const Fields fields{time, time, 0, sequence};
      std::memcpy(&out[i].time, &fields, sizeof fields);
    }
    at.time = time, at.sequence = sequence;
  }

  /// Flags, feed times, receive times: after the bodies.
  void extras_chunk(std::span<Event> out) {
    std::array<std::uint64_t, kChunk> numbers;
    take(flags, numbers.data(), out.size());
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i].flags |= static_cast<std::uint8_t>(numbers[i] & ~std::uint64_t{market::kMore});
    take(feed_times, numbers.data(), out.size());
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i].feed_time =
          static_cast<std::int64_t>(static_cast<std::uint64_t>(out[i].time) + numbers[i]);
    take(receives, numbers.data(), out.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      at.receive += numbers[i];
      if (received) {
        out[i].receive_time =
            static_cast<std::int64_t>(static_cast<std::uint64_t>(out[i].time) + at.receive);
      }
    }
  }

  /// n differences of `unit_of` each, added up from `before` on, which becomes the last.
  void sum(format::Column which, Numbers& to, std::size_t n, std::uint64_t& before,
           std::uint64_t unit_of) {
    take(which, to.data() + 1, n);
    std::uint64_t number = to[0] = before;
    for (std::size_t i = 1; i <= n; ++i) to[i] = number += to[i] * unit_of;
    before = number;
  }

  /// The columns that depend on the kind, as far as this chunk has entries in them.
  struct Chunk {
    Numbers order, reference, match, price, size;
  };

  /// How many entries each column has for the chunk, in byte lanes; finds out which entries are
  /// patched.
  std::uint64_t count_chunk(std::size_t events) {
    std::uint64_t lanes = 0;
    std::size_t i = 0;
    patched = 0;
    for (; at.patch->event < index + events; ++at.patch) {
      const std::size_t event = at.patch->event - index;
      for (; i < event; ++i) lanes += kLanesOf[at.kinds[i]];
      const std::uint32_t column = at.patch->column;
      const auto entry =
          column < kCommonColumns
              ? static_cast<std::uint32_t>(event)
              : static_cast<std::uint32_t>(lanes >> (8 * (column - kCommonColumns)) & 0xff);
      patches[patched++] = {entry, column, at.patch->code};
    }
    for (; i < events; ++i) lanes += kLanesOf[at.kinds[i]];
    return lanes;
  }

  void columns_chunk(Chunk& chunk, std::uint64_t lanes) {
    const auto entries = [lanes](format::Column which) {
      return static_cast<std::size_t>(lanes >> (8 * (which - kCommonColumns)) & 0xff);
    };
    sum(orders, chunk.order, entries(orders), at.order, 1);
    sum(matches, chunk.match, entries(matches), at.match, 1);
    sum(prices, chunk.price, entries(prices), at.price, unit);
    take(references, chunk.reference.data(), entries(references));
    take(sizes, chunk.size.data(), entries(sizes));
    // Read, though not used, by events after the last entry.
    chunk.reference[entries(references)] = chunk.size[entries(sizes)] = 0;
  }

  void bodies_chunk(const Chunk& chunk, std::span<Event> out) {
    const std::uint64_t* order = chunk.order.data();
    const std::uint64_t* match = chunk.match.data();
    const std::uint64_t* price = chunk.price.data();
    const std::uint64_t* reference = chunk.reference.data();
    const std::uint64_t* size = chunk.size.data();
    const std::uint8_t* kind = at.kinds;
    for (Event& event : out) {
      const std::uint8_t byte = *kind++;
      const Shape& shape = kShapes[byte & kKindMask];
      order += shape.new_order & 1, match += shape.match & 1, price += shape.price & 1;
      const std::uint64_t id = (*order & shape.id_order) |
                               ((*order - *reference) & shape.reference) |
                               (*match & shape.id_match);
      const std::uint64_t other = (*order & shape.other_order) | (*match & shape.other_match);
      Fields fields{id, *price, *size, other}, mask;
      std::memcpy(&mask, shape.price_and_size, sizeof mask);
      fields &= mask;
      std::memcpy(&event.id, &fields, sizeof fields);
      std::memcpy(&event.kind, kHeads[byte].data(), 4);
      reference += shape.reference & 1, size += shape.size & 1;
      if (shape.rare) [[unlikely]]
        rare(event);
    }
    at.kinds = kind;
  }

  void rare(Event& event) {
    const std::uint16_t in = kColumnsOf[static_cast<std::uint8_t>(event.kind)];
    if ((in & bit(values)) != 0) event.other = take(values);
    if ((in & bit(codes)) != 0) event.code = static_cast<std::uint8_t>(take(codes));
  }

  void chunk(std::span<Event> out) {
    Chunk columns;
    const std::uint64_t lanes = count_chunk(out.size());
    common_chunk(out);
    columns_chunk(columns, lanes);
    bodies_chunk(columns, out);
    if (!common_only) extras_chunk(out);
    index += static_cast<std::uint32_t>(out.size());
  }

  /// What every event has.
  void common(Event& event) {
    const std::uint8_t byte = *at.kinds++;
    at.time += take(times);
    at.sequence += take(sequences);
    event.time = static_cast<std::int64_t>(at.time);
    event.sequence = at.sequence;
    event.kind = static_cast<EventKind>(byte & kKindMask);
    event.side = static_cast<Side>(byte >> kSideShift & kSideMask);
    event.flags =
        static_cast<std::uint8_t>(byte >> 7 | (take(flags) & ~std::uint64_t{market::kMore}));
    event.feed_time = static_cast<std::int64_t>(at.time + take(feed_times));
    at.receive += take(receives);
    event.receive_time = received ? static_cast<std::int64_t>(at.time + at.receive) : 0;
  }

  /// The fields of a kind; all others 0.
  void one(Event& event) {
    common(event);
    const std::uint16_t in = kColumnsOf[static_cast<std::uint8_t>(event.kind)];
    const Shape& shape = kShapes[static_cast<std::uint8_t>(event.kind)];
    event.id = event.other = 0;
    event.price = event.size = event.code = 0;
    if ((in & bit(orders)) != 0) {
      at.order += take(orders);
      (shape.id_order != 0 ? event.id : event.other) = at.order;
    }
    if ((in & bit(references)) != 0) event.id = at.order - take(references);
    if ((in & bit(matches)) != 0) {
      at.match += take(matches);
      (shape.id_match != 0 ? event.id : event.other) = at.match;
    }
    if ((in & bit(prices)) != 0) {
      at.price += take(prices) * unit;
      event.price = static_cast<std::int64_t>(at.price);
    }
    if ((in & bit(sizes)) != 0) event.size = static_cast<std::int64_t>(take(sizes));
    if ((in & bit(values)) != 0) event.other = take(values);
    if ((in & bit(codes)) != 0) event.code = static_cast<std::uint8_t>(take(codes));
    ++index;
  }

  void one_full(Event& event) {
    common(event);
    event.id = at.order - take(references);
    at.price += take(prices) * unit;
    event.price = static_cast<std::int64_t>(at.price);
    event.size = static_cast<std::int64_t>(take(sizes));
    event.other = take(values);
    event.code = static_cast<std::uint8_t>(take(codes));
    ++index;
  }

  /// Events until the chunk must end: too many patches, or one in a column that is not read in
  /// chunks.
  [[nodiscard]] std::size_t chunk_size(std::size_t most) const {
    const Patch* patch = at.patch;
    for (std::size_t n = 0; n < kChunkPatches; ++n, ++patch) {
      const std::size_t event = patch->event - index;
      if (event >= most) return most;
      if (patch->column >= values) return event;
    }
    return std::min<std::size_t>(patch[-1].event - index, most);
  }

  void run(std::span<Event> out) {
    constexpr std::size_t kFew = 8;  // not worth a chunk
    while (!out.empty()) {
      const std::size_t size = chunk_size(std::min(out.size(), kChunk));
      if (size > kFew) {
        chunk(out.first(size));
        out = out.subspan(size);
        continue;
      }
      for (Event& event : out.first(std::max<std::size_t>(size, 1))) one(event);
      out = out.subspan(std::max<std::size_t>(size, 1));
    }
  }
};

std::size_t BatchReader::next(std::span<Event> out) noexcept {
  const auto n = static_cast<std::uint32_t>(std::min<std::size_t>(out.size(), count_ - index_));
  if (n == 0) return 0;
  out = out.first(n);
  Decoder decoder{cursor_, index_, price_unit_, received_, common_only_, {}, 0};
  if (full_) {
    for (Event& event : out) decoder.one_full(event);
  } else {
    decoder.run(out);
  }
  cursor_ = decoder.at;
  index_ += n;
  return n;
}

}  // namespace tapedeck::schemas
