// Timestamps as data writes them -> microseconds since 1970 UTC.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "streams/decoders/options.h"

namespace qw::streams {

// Reads one declared form. Fixed after make(); parse() may run concurrently. Digits beyond the
// microsecond are cut. Local times that the zone skips (a clock put forward) are refused; of those
// it has twice the first is taken.
class TimeParser {
 public:
  // kBadInput: the zone is unknown.
  static Result<TimeParser> make(TimeForm form, const std::string& zone);
  // kBadInput with what is wrong.
  Result<int64_t> parse(std::string_view text) const;
  // Whether values of this form are numbers in JSON.
  bool numeric() const;

 private:
  struct Zone;
  Result<int64_t> parse_iso8601(std::string_view text) const;
  Result<int64_t> parse_common_log(std::string_view text) const;

  TimeForm form_ = TimeForm::kIso8601;
  std::shared_ptr<const Zone> zone_;  // null: none declared
};

}  // namespace qw::streams
