// schemas/row_fields.hpp -- gathers the fields of one row, in any order. Private to the row codecs.
#pragma once

#include <string_view>

#include "schemas/row_codec.hpp"

namespace tapedeck::schemas {

class RowFields {
public:
  /// Both must outlive it; the row starts anew.
  RowFields(const RowFormat& format, Row& row);
  /// An empty text is a field that is not there.
  [[nodiscard]] RowFault take(Column column, std::string_view text);
  [[nodiscard]] RowFault take_level(market::Side side, std::string_view price,
                                    std::string_view size);
  /// Is it a whole row?
  [[nodiscard]] RowFault finish() const;

private:
  const RowFormat* format_;
  Row* row_;
  bool has_symbol_ = false, has_time_ = false, has_sequence_ = false;
  bool price_ = false, size_ = false, bid_ = false, bid_size_ = false;
  bool ask_ = false, ask_size_ = false;
};

}  // namespace tapedeck::schemas
