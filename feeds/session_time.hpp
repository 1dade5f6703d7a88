// feeds/session_time.hpp -- from times of day to instants.
#pragma once

#include <string>

#include "market/result.hpp"
#include "market/units.hpp"

namespace tapedeck::feeds {

/// The instant of local midnight of `date` (YYYY-MM-DD) in an IANA time zone. Nanoseconds since
/// midnight are added to it, so that a change of clocks during the day moves nothing. Errors name
/// `--date` or `--timezone`.
[[nodiscard]] Result<market::TimeNs> local_midnight(const std::string& date,
                                                    const std::string& timezone);

}  // namespace tapedeck::feeds
