// Times as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace qw {

// Microseconds since 1970 UTC as "2026-01-02T03:04:05.000006Z".
std::string format_time(int64_t time_us);

}  // namespace qw
