#include "base/result.h"

#include <fmt/format.h>

#include <cstdio>

namespace qw {

std::string_view name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kBadInput: return "BAD_INPUT";
    case ErrorCode::kNotFound: return "NOT_FOUND";
    case ErrorCode::kConflict: return "CONFLICT";
    case ErrorCode::kExhausted: return "EXHAUSTED";
    case ErrorCode::kTimeout: return "TIMEOUT";
    case ErrorCode::kUnavailable: return "UNAVAILABLE";
    case ErrorCode::kCorrupt: return "CORRUPT";
    case ErrorCode::kIo: return "IO";
    case ErrorCode::kUnsupported: return "UNSUPPORTED";
    case ErrorCode::kInternal: return "INTERNAL";
  }
  return "UNKNOWN";
}

std::string Error::to_string() const {
  std::string text = where.empty() ? message : fmt::format("{}: {}", where, message);
  if (!how_to_mend.empty()) text += fmt::format(" (how to mend: {})", how_to_mend);
  return text;
}

namespace internal {

void die(const char* file, int line, const char* condition, const std::string& detail) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s%s%s\n", file, line, condition,
               detail.empty() ? "" : ": ", detail.c_str());
  std::abort();
}

}  // namespace internal
}  // namespace qw
