// schemas/batch_encoder.cpp -- market events to a record's payload.
#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include <capnp/message.h>
#include <schemas/market.capnp.h>

#include "schemas/batch_codec.hpp"
#include "schemas/batch_format.hpp"

namespace tapedeck::schemas {
namespace {

using market::Event;
using market::EventKind;
using namespace format;

constexpr std::size_t kPatchBytes = 16;
/// The message but for its lists: segment table, root, struct, list tags, padding of each list to
/// whole words.
constexpr std::size_t kOverheadBytes = 256;

struct PatchCode {
  std::uint32_t event;
  std::uint8_t column;
  std::uint64_t code;
};

struct Bases {
  std::uint64_t time = 0, sequence = 0, receive = 0, order = 0, match = 0, price = 0;
};

/// How one column is stored.
struct Layout {
  std::size_t entries = 0;
  std::uint32_t width = 0;
  std::uint32_t patched = 0;  ///< entries that do not fit
};

constexpr bool is_new_order(EventKind kind) { return (columns_of(kind) & bit(orders)) != 0; }
constexpr bool has(EventKind kind, Column column) { return (columns_of(kind) & bit(column)) != 0; }

template <EventKind kind>
std::uint64_t order_of(const Event& event) {
  return kind == EventKind::replace ? event.other : event.id;
}

template <EventKind kind>
std::uint64_t match_of(const Event& event) {
  constexpr bool in_id = kind == EventKind::trade || kind == EventKind::trade_break;
  return in_id ? event.id : event.other;
}

/// What an event carries beyond the columns of its kind: not zero only if it needs the full form.
template <EventKind kind>
std::uint64_t stray(const Event& event) {
  constexpr bool id_used = has(kind, references) || kind == EventKind::add ||
                           kind == EventKind::trade || kind == EventKind::trade_break;
  constexpr bool other_used =
      has(kind, values) || kind == EventKind::replace ||
      (has(kind, matches) && kind != EventKind::trade && kind != EventKind::trade_break);
  std::uint64_t bits = 0;
  if constexpr (!id_used) bits |= event.id;
  if constexpr (!has(kind, prices)) bits |= static_cast<std::uint64_t>(event.price);
  if constexpr (!has(kind, sizes)) bits |= static_cast<std::uint64_t>(event.size);
  if constexpr (!other_used) bits |= event.other;
  if constexpr (!has(kind, codes)) bits |= event.code;
  return bits;
}

/// Width with the fewest bytes, patches counted. `all`: the bits that any of the codes has.
Layout choose_width(std::span<const std::uint64_t> codes_of_column, std::uint64_t all) {
  const std::size_t entries = codes_of_column.size();
  auto width = static_cast<std::uint32_t>((std::bit_width(all) + 7) / 8);
  Layout best{entries, width, 0};
  std::size_t cost = entries * width;
  while (width-- > 0) {
    std::uint32_t patched = 0;
    for (const std::uint64_t code : codes_of_column) patched += (code >> (8 * width)) != 0;
    if (patched * kPatchBytes >= cost) break;  // and narrower ones only patch more
    const std::size_t narrower = entries * width + patched * kPatchBytes;
    if (narrower < cost) cost = narrower, best = Layout{entries, width, patched};
  }
  return best;
}

/// Looks at a column's codes; makes them zigzag where one is negative.
Layout lay_out(std::span<std::uint64_t> codes_of_column, bool& zigzag) {
  std::uint64_t all = 0;
  for (const std::uint64_t code : codes_of_column) all |= code;
  zigzag = (all >> 63) != 0;
  if (zigzag) {
    all = 0;
    for (std::uint64_t& code : codes_of_column) {
      code = (code << 1) ^ static_cast<std::uint64_t>(static_cast<std::int64_t>(code) >> 63);
      all |= code;
    }
  }
  return choose_width(codes_of_column, all);
}

/// Divides the price codes by 100 where all are multiples of it: most tick sizes are.
std::uint32_t scale_prices(std::span<std::uint64_t> deltas) {
  constexpr std::int64_t kUnit = 100;
  for (const std::uint64_t delta : deltas) {
    if (static_cast<std::int64_t>(delta) % kUnit != 0) return 1;
  }
  for (std::uint64_t& delta : deltas)
    delta = static_cast<std::uint64_t>(static_cast<std::int64_t>(delta) / kUnit);
  return kUnit;
}

template <std::uint32_t width>
void store(std::uint8_t* to, std::span<const std::uint64_t> from) {
  for (const std::uint64_t code : from) {
    std::memcpy(to, &code, 8);
    to += width;
  }
}

/// Each store writes eight bytes, the next one over the upper of them: the last needs the padding.
void store_column(std::uint8_t* to, std::span<const std::uint64_t> from, std::uint32_t width) {
  switch (width) {
    case 1: return store<1>(to, from);
    case 2: return store<2>(to, from);
    case 3: return store<3>(to, from);
    case 4: return store<4>(to, from);
    case 5: return store<5>(to, from);
    case 6: return store<6>(to, from);
    case 7: return store<7>(to, from);
    case 8: return store<8>(to, from);
    default: return;
  }
}

Result<void> check(std::string_view source_name, std::span<const Event> events) {
  const auto refuse = [](std::string text) { return fail(ErrorCode::invalid, std::move(text)); };
  if (events.empty()) return refuse("a batch of no events");
  if (events.size() > kMaxBatchEvents) {
    return refuse("a batch of " + std::to_string(events.size()) + " events; at most " +
                  std::to_string(kMaxBatchEvents));
  }
  if (source_name.size() > kMaxSourceNameBytes) {
    return refuse("source name of " + std::to_string(source_name.size()) + " bytes; at most " +
                  std::to_string(kMaxSourceNameBytes));
  }
  if (events.back().flags & market::kMore)
    return refuse("the last event of a batch says that its message goes on");
  return {};
}

}  // namespace

/// A batch on its way: differences by column, then their layout, then the message.
struct BatchEncoder::Buffers {
  std::vector<std::uint64_t> storage;
  std::size_t stride = 0;  ///< column c begins at c * stride
  std::vector<std::uint8_t> kind_bytes;
  std::size_t count = 0;               ///< events
  std::vector<std::uint64_t> scratch;  ///< the builder's; it leaves it zeroed when it goes
  std::vector<std::uint64_t> payload;  ///< segment table and the message's only segment
  std::vector<PatchCode> patches;

  std::array<std::size_t, kColumns> entries{};
  std::array<Layout, kColumns> layouts{};
  Bases bases;
  std::uint16_t zigzag = 0;
  std::uint32_t price_unit = 1;
  bool full = false;
  bool received = false;

  [[nodiscard]] std::span<std::uint64_t> column(std::size_t index) {
    return {storage.data() + index * stride, entries[index]};
  }
  void reserve(std::size_t events);
  [[nodiscard]] bool gather(std::span<const Event> events);
  void gather_full(std::span<const Event> events);
  void gather_common(std::span<const Event> events);
  void lay_out_columns();
  [[nodiscard]] std::size_t column_bytes() const;
  [[nodiscard]] bool has_entry(std::size_t column, std::uint32_t event) const;
  void take_patches();
  void write_columns(std::uint8_t* to);
  [[nodiscard]] std::span<const std::byte> write(market::SourceId source, std::string_view name);
};

void BatchEncoder::Buffers::reserve(std::size_t events) {
  if (stride < events) {
    // Not a power of two, so that the columns do not fall on the same cache sets.
    stride = std::max<std::size_t>(1024, std::bit_ceil(events)) + 24;
    storage.resize(stride * kColumns);
  }
  if (kind_bytes.size() < events) kind_bytes.resize(std::bit_ceil(events));
  count = events;
  patches.clear();
  bases = {};
  entries = {};
  zigzag = 0;
}

namespace {

/// The columns that depend on the kind, as they fill.
struct Filling {
  std::uint64_t* order;
  std::uint64_t* reference;
  std::uint64_t* match;
  std::uint64_t* price;
  std::uint64_t* size;
  std::uint64_t* value;
  std::uint64_t* code;
  std::uint64_t last_order, last_match, last_price;
  std::uint64_t stray_bits = 0;

  template <EventKind kind>
  [[gnu::always_inline]] void add(const Event& event) {
    stray_bits |= stray<kind>(event);
    if constexpr (has(kind, orders)) {
      const std::uint64_t id = order_of<kind>(event);
      *order++ = id - last_order;
      last_order = id;
    }
    if constexpr (has(kind, references)) *reference++ = last_order - event.id;
    if constexpr (has(kind, matches)) {
      const std::uint64_t number = match_of<kind>(event);
      *match++ = number - last_match;
      last_match = number;
    }
    if constexpr (has(kind, prices)) {
      *price++ = static_cast<std::uint64_t>(event.price) - last_price;
      last_price = static_cast<std::uint64_t>(event.price);
    }
    if constexpr (has(kind, sizes)) *size++ = static_cast<std::uint64_t>(event.size);
    if constexpr (has(kind, values)) *value++ = event.other;
    if constexpr (has(kind, codes)) *code++ = event.code;
  }
};

/// So that the first differences are 0.
Bases bases_of(std::span<const Event> events) {
  Bases bases;
  const Event& first = events.front();
  bases.time = static_cast<std::uint64_t>(first.time);
  bases.sequence = first.sequence;
  bases.receive = static_cast<std::uint64_t>(first.receive_time) - bases.time;
  bool order = false, reference = false, match = false, price = false;
  for (const Event& event : events) {
    const auto number = static_cast<std::uint8_t>(event.kind);
    const std::uint16_t in = number < market::kEventKinds ? kColumnsOf[number] : 0;
    if (in == 0) continue;
    with_kind(number, [&]<EventKind kind>() {
      if (has(kind, orders) && !order) bases.order = order_of<kind>(event), order = true;
      if (has(kind, matches) && !match) bases.match = match_of<kind>(event), match = true;
    });
    if ((in & bit(references)) != 0 && !order && !reference)
      bases.order = event.id, reference = true;
    if ((in & bit(prices)) != 0 && !price)
      bases.price = static_cast<std::uint64_t>(event.price), price = true;
    if (order && match && price) break;
    // Matches are rare: looking for one in all of a large batch would cost more than a patch.
    if (&event - events.data() > 16) break;
  }
  return bases;
}

}  // namespace

/// The columns of the kinds. False: an event is no valid one.
bool BatchEncoder::Buffers::gather(std::span<const Event> events) {
  bases = bases_of(events);
  const auto begin = [this](Column index) { return storage.data() + index * stride; };
  Filling filling{begin(orders), begin(references), begin(matches), begin(prices), begin(sizes),
                  begin(values), begin(codes),      bases.order,    bases.match,   bases.price};
  std::uint8_t* kind_byte = kind_bytes.data();
  for (const Event& event : events) {
    const auto number = static_cast<std::uint8_t>(event.kind);
    const auto side = static_cast<std::uint8_t>(event.side);
    if (number >= market::kEventKinds || side > 2) return false;
    *kind_byte++ = static_cast<std::uint8_t>(number | side << kSideShift |
                                             ((event.flags & market::kMore) ? kMoreBit : 0));
    with_kind(number, [&]<EventKind kind>() { filling.add<kind>(event); });
  }
  const auto set = [&](Column index, const std::uint64_t* end) {
    entries[index] = static_cast<std::size_t>(end - begin(index));
  };
  set(orders, filling.order), set(references, filling.reference), set(matches, filling.match);
  set(prices, filling.price), set(sizes, filling.size);
  set(values, filling.value), set(codes, filling.code);
  full = filling.stray_bits != 0;
  if (full) gather_full(events);
  gather_common(events);
  return true;
}

/// Again, for the rare batch in which an event has a field that its kind has no use for.
void BatchEncoder::Buffers::gather_full(std::span<const Event> events) {
  bases.order = events.front().id;
  bases.match = 0;
  bases.price = static_cast<std::uint64_t>(events.front().price);
  std::uint64_t price = bases.price;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const Event& event = events[i];
    storage[references * stride + i] = bases.order - event.id;
    storage[prices * stride + i] = static_cast<std::uint64_t>(event.price) - price;
    price = static_cast<std::uint64_t>(event.price);
    storage[sizes * stride + i] = static_cast<std::uint64_t>(event.size);
    storage[values * stride + i] = event.other;
    storage[codes * stride + i] = event.code;
  }
  for (std::size_t index = kCommonColumns; index < kColumns; ++index)
    entries[index] = (kFullColumns >> index & 1) != 0 ? events.size() : 0;
}

void BatchEncoder::Buffers::gather_common(std::span<const Event> events) {
  std::uint64_t* const time_codes = storage.data() + times * stride;
  std::uint64_t* const sequence_codes = storage.data() + sequences * stride;
  std::uint64_t time = bases.time, sequence = bases.sequence;
  std::uint64_t flag_bits = 0, lead = 0, receive = 0;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const Event& event = events[i];
    time_codes[i] = static_cast<std::uint64_t>(event.time) - time;
    time = static_cast<std::uint64_t>(event.time);
    sequence_codes[i] = event.sequence - sequence;
    sequence = event.sequence;
    flag_bits |= event.flags & ~unsigned{market::kMore};
    lead |= static_cast<std::uint64_t>(event.feed_time) ^ time;
    receive |= static_cast<std::uint64_t>(event.receive_time);
  }
  entries[times] = entries[sequences] = events.size();
  entries[flags] = entries[feed_times] = entries[receives] = events.size();
  received = receive != 0;
  if (!received) bases.receive = 0;
  // Where there is nothing, the column is not even looked at.
  if (flag_bits == 0) entries[flags] = 0;
  if (lead == 0) entries[feed_times] = 0;
  if (!received) entries[receives] = 0;
  std::uint64_t ahead = bases.receive;
  for (std::size_t i = 0; i < events.size() && (flag_bits | lead | receive) != 0; ++i) {
    const Event& event = events[i];
    const auto at = static_cast<std::uint64_t>(event.time);
    storage[flags * stride + i] = event.flags & ~unsigned{market::kMore};
    storage[feed_times * stride + i] = static_cast<std::uint64_t>(event.feed_time) - at;
    storage[receives * stride + i] = static_cast<std::uint64_t>(event.receive_time) - at - ahead;
    ahead = static_cast<std::uint64_t>(event.receive_time) - at;
  }
}

void BatchEncoder::Buffers::lay_out_columns() {
  price_unit = scale_prices(column(prices));
  for (std::size_t index = 0; index < kColumns; ++index) {
    bool negative = false;
    layouts[index] = lay_out(column(index), negative);
    if (negative) zigzag = static_cast<std::uint16_t>(zigzag | 1u << index);
  }
  take_patches();
}

std::size_t BatchEncoder::Buffers::column_bytes() const {
  std::size_t bytes = kPadding;
  for (const Layout& layout : layouts) bytes += layout.entries * layout.width;
  return bytes;
}

bool BatchEncoder::Buffers::has_entry(std::size_t index, std::uint32_t event) const {
  if (index < kCommonColumns) return true;
  const std::uint16_t in = full ? kFullColumns : kColumnsOf[kind_bytes[event] & kKindMask];
  return (in >> index & 1) != 0;
}

/// Moves the codes that do not fit out of the columns.
void BatchEncoder::Buffers::take_patches() {
  for (std::size_t index = 0; index < kColumns; ++index) {
    if (layouts[index].patched == 0) continue;
    const int shift = static_cast<int>(8 * layouts[index].width);
    std::uint32_t event = 0;
    for (std::uint64_t& code : column(index)) {
      while (!has_entry(index, event)) ++event;
      if (code >> shift != 0) {
        patches.push_back({event, static_cast<std::uint8_t>(index), code});
        code = 0;
      }
      ++event;
    }
  }
  std::sort(patches.begin(), patches.end(), [](const PatchCode& a, const PatchCode& b) {
    return a.event != b.event ? a.event < b.event : a.column < b.column;
  });
}

void BatchEncoder::Buffers::write_columns(std::uint8_t* to) {
  for (std::size_t index = 0; index < kColumns; ++index) {
    store_column(to, column(index), layouts[index].width);
    to += layouts[index].entries * layouts[index].width;
  }
}

std::span<const std::byte> BatchEncoder::Buffers::write(market::SourceId source,
                                                        std::string_view name) {
  const std::size_t columns_size = column_bytes();
  const std::size_t most =
      kOverheadBytes + count + columns_size + name.size() + patches.size() * kPatchBytes;
  if (scratch.size() * 8 < most) scratch.assign(std::max<std::size_t>(2048, most / 8 * 2), 0);
  kj::ArrayPtr<::capnp::word> segment(reinterpret_cast<::capnp::word*>(scratch.data()),
                                      scratch.size());
  ::capnp::MallocMessageBuilder message(segment);
  auto batch = message.initRoot<wire::Batch>();
  batch.setVersion(kVersion);
  batch.setSigned(zigzag);
  batch.setCount(static_cast<std::uint32_t>(count));
  batch.setSource(source);
  std::uint64_t widths = 0;
  for (std::size_t index = 0; index < kColumns; ++index)
    widths |= std::uint64_t{layouts[index].width} << (4 * index);
  batch.setWidths(widths);
  batch.setPriceUnit(price_unit);
  batch.setFull(full);
  batch.setReceived(received);
  batch.setBaseTime(static_cast<std::int64_t>(bases.time));
  batch.setBaseSequence(bases.sequence);
  batch.setBaseReceive(static_cast<std::int64_t>(bases.receive));
  batch.setBaseOrder(bases.order);
  batch.setBaseMatch(bases.match);
  batch.setBasePrice(static_cast<std::int64_t>(bases.price));
  if (!name.empty()) batch.setSourceName(::capnp::Text::Reader(name.data(), name.size()));
  std::memcpy(batch.initKinds(static_cast<unsigned>(count)).begin(), kind_bytes.data(), count);
  write_columns(batch.initColumns(static_cast<unsigned>(columns_size)).begin());
  if (!patches.empty()) {
    auto list = batch.initPatches(static_cast<unsigned>(patches.size()));
    for (unsigned i = 0; i < list.size(); ++i) {
      list[i].setEvent(patches[i].event);
      list[i].setColumn(patches[i].column);
      list[i].setCode(patches[i].code);
    }
  }
  const auto segments = message.getSegmentsForOutput();
  KJ_ASSERT(segments.size() == 1);
  const std::size_t words = segments[0].size();
  if (payload.size() < words + 1) payload.resize(words + 1);
  payload[0] = std::uint64_t{words} << 32;
  std::memcpy(payload.data() + 1, segments[0].begin(), words * 8);
  return std::as_bytes(std::span(payload.data(), words + 1));
}

BatchEncoder::BatchEncoder() : buffers_(std::make_unique<Buffers>()) {}
BatchEncoder::~BatchEncoder() = default;
BatchEncoder::BatchEncoder(BatchEncoder&&) noexcept = default;
BatchEncoder& BatchEncoder::operator=(BatchEncoder&&) noexcept = default;

Result<std::span<const std::byte>> BatchEncoder::encode(market::SourceId source,
                                                        std::string_view source_name,
                                                        std::span<const Event> events) {
  if (auto checked = check(source_name, events); !checked)
    return tl::unexpected(std::move(checked.error()));
  Buffers& work = *buffers_;
  work.reserve(events.size());
  if (!work.gather(events)) return fail(ErrorCode::invalid, "an event of unknown kind or side");
  work.lay_out_columns();
  const std::span<const std::byte> payload = work.write(source, source_name);
  if (payload.size() > kMaxPayloadBytes) {
    return fail(ErrorCode::invalid, "a payload of " + std::to_string(payload.size()) +
                                        " bytes; at most " + std::to_string(kMaxPayloadBytes));
  }
  return payload;
}

}  // namespace tapedeck::schemas
