// schemas/snapshot_rows.hpp -- the parts of a snapshot of which there may be thousands, as
// variable-length numbers. Inside schemas only; the layout is docs/formats/snapshot.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "market/snapshot.hpp"
#include "schemas/varint.hpp"

namespace tapedeck::schemas {

void put_rows(VarintWriter& out, const std::vector<market::OrderSnapshot>& orders);
void put_rows(VarintWriter& out, const std::vector<market::LevelSnapshot>& levels);
void put_rows(VarintWriter& out, const std::vector<market::KeptUpdate>& updates);
void put_rows(VarintWriter& out, const std::vector<market::CandleSnapshot>& candles);
void put_rows(VarintWriter& out, const std::vector<market::TradeSnapshot>& trades);

/// What is wrong, and at which byte of the section; `what` is empty if nothing is.
struct RowFault {
  std::string what;
  std::size_t byte = 0;
};

/// Exactly `count` rows out of exactly these bytes. Rows have a least size, so that no count makes
/// them allocate more than a small multiple of the bytes.
[[nodiscard]] RowFault get_rows(std::span<const std::uint8_t> bytes, std::uint32_t count,
                                std::vector<market::OrderSnapshot>& orders);
[[nodiscard]] RowFault get_rows(std::span<const std::uint8_t> bytes, std::uint32_t count,
                                std::vector<market::LevelSnapshot>& levels);
[[nodiscard]] RowFault get_rows(std::span<const std::uint8_t> bytes, std::uint32_t count,
                                std::vector<market::KeptUpdate>& updates);
[[nodiscard]] RowFault get_rows(std::span<const std::uint8_t> bytes, std::uint32_t count,
                                std::vector<market::CandleSnapshot>& candles);
[[nodiscard]] RowFault get_rows(std::span<const std::uint8_t> bytes, std::uint32_t count,
                                std::vector<market::TradeSnapshot>& trades);

}  // namespace tapedeck::schemas
