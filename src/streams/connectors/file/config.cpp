#include "streams/connectors/file/config.h"

#include <fmt/format.h>

#include <cmath>

namespace qw::streams::file {

Result<Mode> parse_mode(std::string_view text) {
  if (text == "read") return Mode::kRead;
  if (text == "tail") return Mode::kTail;
  if (text == "replay") return Mode::kReplay;
  return Error{ErrorCode::kBadInput, fmt::format("unknown file mode '{}'", text), "",
               "known: read, tail, replay"};
}

Result<void> check(const Config& config) {
  const auto bad = [](const char* message, const char* mend) {
    return Error{ErrorCode::kBadInput, message, "file", mend};
  };
  if (config.path.empty()) return bad("no path is given", "name a file, a folder or a glob");
  if (!std::isfinite(config.speed) || config.speed < 0)
    return bad("the replay speed is negative", "0 is as fast as possible, 1 is real time");
  if (config.max_files == 0 || config.max_files > 100'000)
    return bad("max_files is outside 1..100000", "");
  if (config.rescan_ms < 10) return bad("rescan_ms is below 10", "");
  return {};
}

}  // namespace qw::streams::file
